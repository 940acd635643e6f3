/* SPDX-License-Identifier: MIT */
/*
 * kswapd: keeps free frames between the low and the high watermark, ahead of need.
 *
 * Woken when an allocation leaves a zone below low; works until one is at high, counting frames
 * that will be free when their write ends. It starts at priority 12 and looks at twice as much
 * with each pass that frees too little. A round that ends at priority 1 with nothing freed is a
 * failure; after 16 in a row it sleeps until the next wake (Linux's MAX_RECLAIM_RETRIES), and
 * direct reclaim has the last word.
 *
 * Where mm_config.is_reclaim_by_faults says so, faults do this work themselves, a batch each
 * time that free frames are below low, and kswapd is woken only where that does not help. On
 * the host each page that kswapd takes away interrupts the processor where the program runs,
 * for the two share an address space; the program's own thread takes it away without.
 */
#include "base/checked.h"
#include "mm/huge.h"
#include "mm/oom.h"
#include "mm/reclaim.h"

#define KSWAPD_FAILURES_MAX 16

/* A fault that reclaims is late by so many pages: a few tens of microseconds. */
#define AHEAD_BATCH  16
#define AHEAD_ROUNDS 8

void kswapd_wake_if_low(struct mm_system *sys)
{
	if (sys->kswapd_awake)
		return;
	for (unsigned int i = 0; i < sys->nr_zones; i++)
		if (zone_watermark_ok(&sys->zones[i], 0, sys->zones[i].watermark[WMARK_LOW]))
			return;
	sys->kswapd_awake = true;
	sys->kswapd_priority = POLICY_PRIORITY_MAX;
	sys->kswapd_gone = 0;
	if (sys->cfg.is_linux_reclaim)
		zones_set_reclaim_active(sys, true);
	STAT(sys, pageoutrun, 1);
	if (sys->cfg.wake_kswapd)
		sys->cfg.wake_kswapd(sys->cfg.arg);
}

/* At which the scan looks at a batch of the inactive lists, no less. */
static unsigned int ahead_priority(const struct mm_system *sys)
{
	unsigned int priority = POLICY_PRIORITY_MAX;
	uint64_t nr[4];

	sys->policy_ops->count(sys->policy, nr);
	while (priority > 0 && (nr[0] + nr[2]) >> priority < AHEAD_BATCH)
		priority--;
	return priority;
}

/* Also with what will be free when its write ends? */
static bool is_short(const struct mm_system *sys, uint64_t mark)
{
	return zones_free_pages(sys) + sys->nr_reclaiming < mark;
}

/**
 * reclaim_ahead() - a fault has taken frames: see to it that there are some for the next.
 * @nr_wanted: if frames are short, so many, or a batch if that is more.
 *
 * Context: sys->lock held, dropped and retaken where mm_config.is_reclaim_by_faults; the mm
 * read-locked.
 */
void reclaim_ahead(struct mm_system *sys, unsigned int nr_wanted)
{
	unsigned int want = nr_wanted < AHEAD_BATCH ? AHEAD_BATCH : nr_wanted;
	unsigned int gone = 0, freed, priority;
	uint64_t low, min;

	if (!sys->cfg.is_reclaim_by_faults) {
		kswapd_wake_if_low(sys);
		return;
	}
	low = zones_watermark(sys, WMARK_LOW);
	min = zones_watermark(sys, WMARK_MIN);
	if (zones_free_pages(sys) >= low)
		return;
	if (sys->nr_reclaiming > 0)
		swap_complete(sys);
	priority = ahead_priority(sys);
	for (unsigned int i = 0; i < AHEAD_ROUNDS && gone < want && is_short(sys, low); i++) {
		freed = reclaim_turn_direct(sys, AHEAD_BATCH, priority);
		if (freed == 0 && priority > 0)
			priority--;
		gone += freed;
	}
	workingset_snapshot(sys);
	swap_count(sys); /* as kswapd does, which seldom runs here */
	if (gone < want && is_short(sys, low) && zones_free_pages(sys) < (low + min) / 2)
		kswapd_wake_if_low(sys);
}

/* A pass over priority steps without enough gone: the next looks at twice as much. */
static void kswapd_step_down(struct mm_system *sys, unsigned int gone)
{
	if (gone > 0)
		sys->kswapd_failures = 0;
	if (sys->kswapd_priority > 1) {
		sys->kswapd_priority--;
		return;
	}
	sys->kswapd_priority = POLICY_PRIORITY_MAX;
	if (gone == 0 && ++sys->kswapd_failures >= KSWAPD_FAILURES_MAX) {
		sys->kswapd_failures = 0;
		sys->kswapd_awake = false;
	}
}

static bool is_balanced(const struct mm_system *sys)
{
	for (unsigned int i = 0; i < sys->nr_zones; i++)
		if (zone_watermark_ok(&sys->zones[i], 0, sys->zones[i].watermark[WMARK_HIGH]))
			return true;
	return false;
}

/* balance_pgdat() ends. Return: true if it begins anew at once. */
static bool exact_end(struct mm_system *sys, bool is_done)
{
	workingset_snapshot(sys);
	if (!is_done && sys->kswapd_gone == 0)
		sys->kswapd_failures++;
	is_done |= sys->kswapd_failures >= KSWAPD_FAILURES_MAX;
	sys->kswapd_gone = 0;
	sys->kswapd_priority = POLICY_PRIORITY_MAX;
	if (!is_done)
		return true;
	sys->kswapd_failures = 0;
	sys->kswapd_awake = false;
	zones_set_reclaim_active(sys, false);
	return false;
}

/*
 * mm_config.is_linux_reclaim: one turn of balance_pgdat()'s loop. Each asks for the high
 * watermarks anew; the priority falls unless as many frames were looked at, and some are gone.
 *
 * Return: true if there is more to do at once.
 */
static bool kswapd_balance_exactly(struct mm_system *sys)
{
	struct reclaim_pass pass;
	unsigned int want = 0, gone;

	if (!sys->kswapd_awake)
		return false;
	if (is_balanced(sys))
		return exact_end(sys, true);
	for (unsigned int i = 0; i < sys->nr_zones; i++)
		want += (unsigned int)max_u64(sys->zones[i].watermark[WMARK_HIGH],
					      POLICY_BATCH);
	gone = reclaim_turn(sys, want, sys->kswapd_priority, &pass);
	sys_wake(sys);
	sys->kswapd_gone += gone;
	if (gone > 0)
		sys->kswapd_failures = 0;
	if ((pass.nr_scanned < want || gone == 0) && --sys->kswapd_priority < 1)
		return exact_end(sys, false);
	return true;
}

/* Return: true while there is work that does not wait for I/O. */
static bool kswapd_balance(struct mm_system *sys, unsigned int budget)
{
	while (sys->kswapd_awake && budget > 0) {
		uint64_t high = zones_watermark(sys, WMARK_HIGH), free = zones_free_pages(sys);
		unsigned int want, gone;
		bool was_refused;

		if (free >= high) {
			sys->kswapd_awake = false;
			sys->kswapd_failures = 0;
			workingset_snapshot(sys);
			break;
		}
		if (free + sys->nr_reclaiming >= high)
			return false;
		want = (unsigned int)(high - free - sys->nr_reclaiming);
		if (want > budget)
			want = budget;
		gone = reclaim_pages(sys, want, sys->kswapd_priority, &was_refused);
		sys_wake(sys);
		if (was_refused && gone == 0)
			return false; /* until mm_write_unlock() wakes it */
		budget -= gone < budget ? (gone ? gone : 1) : budget;
		if (gone < want)
			kswapd_step_down(sys, gone);
	}
	return sys->kswapd_awake;
}

static void update_list_counts(struct mm_system *sys)
{
	uint64_t nr[4];

	sys->policy_ops->count(sys->policy, nr);
	sys->vmstat[MM_VMSTAT_nr_inactive_anon] = nr[0];
	sys->vmstat[MM_VMSTAT_nr_active_anon] = nr[1];
	sys->vmstat[MM_VMSTAT_nr_inactive_file] = nr[2];
	sys->vmstat[MM_VMSTAT_nr_active_file] = nr[3];
}

/**
 * mm_step() - do what is due: take in I/O that has ended, keep free frames ahead of need, write
 * dirty pages to their files, make huge pages.
 * @sys: the system.
 * @now_ns: the caller's clock, never going back.
 * @budget_pages: about how many frames to reclaim before returning; 0: only take in I/O.
 *
 * Return: nanoseconds until the next call is due: 0 if there is more to do at once, UINT64_MAX
 * if nothing is due before wake_kswapd() is called or I/O ends.
 * Context: takes sys->lock, drops it over machine and device ops. Any thread.
 */
uint64_t mm_step(struct mm_system *sys, uint64_t now_ns, unsigned int budget_pages)
{
	uint64_t flush_ns = UINT64_MAX, due_ns = UINT64_MAX;
	bool is_more = false;

	sys_lock(sys);
	if (now_ns > sys->now_ns)
		sys->now_ns = now_ns;
	swap_complete(sys);
	oom_reap_victims(sys);
	mm_destroy_doomed(sys);
	if (!sys->frozen && budget_pages > 0) {
		is_more = sys->cfg.is_linux_reclaim ? kswapd_balance_exactly(sys)
						    : kswapd_balance(sys, budget_pages);
		flush_ns = flusher_run(sys);
	}
	if (!sys->frozen && budget_pages > 0 && !is_more)
		due_ns = khugepaged_step(sys);
	update_list_counts(sys);
	swap_count(sys);
	sys_unlock(sys);
	return is_more ? 0 : min_u64(due_ns, flush_ns);
}
