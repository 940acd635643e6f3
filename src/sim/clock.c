/* SPDX-License-Identifier: MIT */
/*
 * The time of a simulation, and what happens in it.
 *
 * There are two kinds of events. An I/O ends: mm_step() takes it in. The background is due,
 * that is kswapd, khugepaged or the flusher of dirty pages: mm_step() lets it work on a batch.
 * The background has a processor of its own: what it looks at costs it time, and it does not
 * work again before that is over, but the program goes on meanwhile. So a program that wants
 * frames faster than kswapd frees them is sent to reclaim by itself.
 *
 * While the swap device's queue is full, nobody enters the manager: a driver would have them
 * sleep until there is room.
 *
 * A program that waits asks again at each event. One that waits for writes to a file asks for
 * more of them each time, which is work for the background at once; so after POLLS_MAX turns it
 * sleeps until an I/O ends.
 */
#include <errno.h>

#include "base/checked.h"
#include "sim/replay_internal.h"

#define KSWAPD_BATCH 32	  /* SWAP_CLUSTER_MAX */
#define KSWAPD_WORK  2000 /* cycles that a batch takes at least */
#define SETUP_TRIES  1000 /* of a call that needs a frame for the manager's own use */
#define POLLS_MAX    16

void sim_wake(void *arg)
{
	struct sim_replay *r = arg;

	r->is_woken = true;
}

void sim_wake_kswapd(void *arg)
{
	struct sim_replay *r = arg;

	r->is_kswapd_due = true;
}

void sim_set_clock(struct sim_replay *r)
{
	r->clock_ns = r->now / SIM_CYCLES_NS;
}

bool sim_is_swap_full(const struct sim_replay *r)
{
	return r->swap && swapdev_model_is_full(r->swap);
}

static uint64_t cycles_at(uint64_t ns)
{
	return ns < SIM_NEVER / SIM_CYCLES_NS ? ns * SIM_CYCLES_NS : SIM_NEVER;
}

/* When the next I/O ends, of swap or a file. */
static uint64_t next_io(const struct sim_replay *r)
{
	uint64_t ns = r->swap ? swapdev_model_next_ns(r->swap) : SIM_NEVER;

	for (unsigned int i = 0; i < r->files.nr; i++)
		ns = min_u64(ns, sim_file_next_ns(&r->files.open[i]));
	return cycles_at(ns);
}

/* When kswapd, khugepaged or the flusher, of which one works at a time, wants to be called. */
static uint64_t background_due(const struct sim_replay *r)
{
	uint64_t due = r->is_kswapd_due ? r->now : r->khugepaged_at;

	if (r->sys->files.nr_dirty > 0)
		due = min_u64(due, cycles_at(r->sys->files.flush_due_ns));
	return max_u64(due, max_u64(r->kswapd_at, r->now));
}

void sim_find_next_event(struct sim_replay *r)
{
	r->next_event = next_io(r);
	if (!sim_is_swap_full(r))
		r->next_event = min_u64(r->next_event, background_due(r));
}

/* A batch of kswapd's, which takes in what has ended, too; or a turn of one of the others. */
static void run_background(struct sim_replay *r)
{
	uint64_t scanned = r->sys->vmstat[MM_VMSTAT_pgscan_kswapd];
	uint64_t due_ns = mm_step(r->sys, r->clock_ns, KSWAPD_BATCH);

	r->is_kswapd_due = due_ns == 0;
	if (due_ns > 0)
		r->khugepaged_at = due_ns < SIM_NEVER - r->clock_ns
					   ? cycles_at(r->clock_ns + due_ns)
					   : SIM_NEVER;
	scanned = r->sys->vmstat[MM_VMSTAT_pgscan_kswapd] - scanned;
	r->kswapd_at = r->now + KSWAPD_WORK + scanned * r->cfg.costs.scan;
}

/* All that is due by now. Context: now >= next_event. */
void sim_run_events(struct sim_replay *r)
{
	sim_set_clock(r);
	if (background_due(r) <= r->now && !sim_is_swap_full(r))
		run_background(r);
	else
		mm_step(r->sys, r->clock_ns, 0);
	sim_find_next_event(r);
}

/**
 * sim_wait() - the program has nothing to do until something happens.
 * @nr_tries: how often it has waited for the same before.
 */
void sim_wait(struct sim_replay *r, unsigned int nr_tries)
{
	uint64_t at;

	if (next_io(r) == SIM_NEVER) /* nothing will call: the manager may find more to do, */
		r->is_kswapd_due = true; /* and what is due in seconds is not waited for */
	sim_find_next_event(r);
	at = r->next_event;
	if (nr_tries >= POLLS_MAX && r->files.nr > 0 && next_io(r) != SIM_NEVER)
		at = next_io(r);
	if (at > r->now) {
		r->wait_cycles += at - r->now;
		r->now = at;
	}
	sim_run_events(r);
}

/* Is a call on address spaces, which answered err, worth making again? Lets time go on. */
bool sim_should_retry(struct sim_replay *r, int err, unsigned int nr_tries)
{
	if ((err != -EAGAIN && err != -ENOMEM) || nr_tries >= SETUP_TRIES)
		return false;
	sim_find_next_event(r);
	sim_wait(r, 0);
	return true;
}

/* What was written last is still on its way. Each turn ends an I/O, so it comes to an end. */
void sim_drain(struct sim_replay *r)
{
	while (next_io(r) != SIM_NEVER) {
		r->clock_ns = max_u64(r->clock_ns, next_io(r) / SIM_CYCLES_NS);
		mm_step(r->sys, r->clock_ns, 0);
	}
	r->now = max_u64(r->now, r->clock_ns * SIM_CYCLES_NS);
	mm_step(r->sys, r->clock_ns, 0);
	sim_find_next_event(r);
}
