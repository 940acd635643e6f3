/* SPDX-License-Identifier: MIT */
/*
 * apply() of the host machine: see the theory of operation in machine/host.c.
 *
 * A batch is cut into runs: neighbouring changes of one kind whose addresses, and frames where
 * they matter, follow each other. A run is one call to the kernel where all goes well, and goes
 * on from where the kernel stopped where it does not. What is to be given back to the kernel is
 * collected and given in one call, because each such call costs a TLB flush.
 *
 * Measured on Linux 6.18, us a page in runs of 1, 16 and 512: move 1.3, 0.20, 0.08; copy and
 * drop 4.0, 1.5, 1.4; drop 1.9, 0.43, 0.24, and 0.68 for 32 scattered pages in one call. A move
 * that is refused costs 0.6, little beside the copy that follows, so that the host's protection
 * of each address need not be remembered: the move is tried.
 */
#include <errno.h>
#include <sys/syscall.h>

#include "base/assert.h"
#include "base/checked.h"
#include "base/syscall.h"
#include "machine/host_drop.h"
#include "machine/host_internal.h"
#include "machine/host_uffd.h"
#include "mm/pgtable.h"

#define TRIES_MAX 16 /* without progress, before the manager is told to come back */
#define STEP_MAX  UINT32_MAX

#define SWITCH_COUNTS 8 /* copies if more than a ninth of the calls come from elsewhere */
#define SPREAD_MAX    64

#define COPIES_A_FLUSH 8 /* pages copied in the time that an interrupt takes */

enum run_kind {
	RUN_NOTHING,
	RUN_IN,	     /* not present -> present */
	RUN_OUT,     /* present -> not present */
	RUN_DISCARD, /* the same, and nobody needs the content */
	RUN_PROTECT,
	RUN_UNPROTECT,
	RUN_REFRESH, /* present -> present, nothing changes */
	RUN_REPLACE, /* present -> present, another frame */
};

struct run {
	enum run_kind kind;
	bool is_write;	    /* of the translation that is made, or else of the one taken away */
	bool is_by_copy;    /* not by a move */
	bool is_protected;  /* nobody can write what goes out */
	bool is_drop_later; /* of the frames of what comes in */
	vaddr_t va, frame;  /* of the first page */
	uint32_t nr;	    /* pages */
	uint32_t done;	    /* pages, from the front */
	uint32_t step;	    /* pages in one call, at most */
	unsigned int tries; /* since the last progress */
};

/* How the pages of a batch go. */
struct way {
	bool is_by_copy;   /* although they could be moved */
	bool is_protected; /* those that go out, and could be written */
};

static vaddr_t run_va(const struct run *run)
{
	return run->va + (uint64_t)run->done * PAGE_SIZE;
}

static vaddr_t run_frame(const struct run *run)
{
	return run->frame + (uint64_t)run->done * PAGE_SIZE;
}

static uint64_t run_left(const struct run *run)
{
	return (uint64_t)(run->nr - run->done) * PAGE_SIZE;
}

static uint64_t run_chunk(const struct run *run, uint64_t pages_max)
{
	return min_u64(run_left(run), min_u64(run->step, pages_max) * PAGE_SIZE);
}

static void run_advance(struct run *run, uint64_t bytes, uint64_t *counter)
{
	run->done += (uint32_t)(bytes / PAGE_SIZE);
	run->step = run->step <= STEP_MAX / 2 ? run->step * 2 : STEP_MAX;
	run->tries = 0;
	__atomic_fetch_add(counter, bytes / PAGE_SIZE, __ATOMIC_RELAXED);
}

static bool run_may_retry(struct run *run)
{
	return ++run->tries < TRIES_MAX;
}

/* The kernel refuses a range that spans two of its mappings: find where one ends, by halves. */
static bool run_may_split(struct run *run, int err, uint64_t len)
{
	if ((err != -EINVAL && err != -ENOENT) || len == PAGE_SIZE)
		return false;
	run->step = (uint32_t)(len / PAGE_SIZE / 2);
	return true;
}

static bool is_transient(int err)
{
	return err == -EAGAIN || err == -EINTR;
}

/* Not -EINTR: the manager does not know it. */
static int run_failed(int err)
{
	return is_transient(err) ? -EAGAIN : err;
}

static uint64_t run_copy_chunk(const struct run *run, uint32_t until)
{
	return run_chunk(run, min_u64(until - run->done, DROP_PAGES_MAX));
}

/* Copies in until the run has done so many pages. */
static int run_copy_in(struct run *run, struct drops *drops, uint32_t until)
{
	struct machine_host *host = drops->host;

	run->step = STEP_MAX;
	while (run->done < until) {
		vaddr_t frame = run_frame(run);
		uint64_t len = run_copy_chunk(run, until);
		int64_t ret = uffd_copy(host->fd, run_va(run), frame, len,
					run->is_write ? UFFD_WAKES : UFFD_PROTECTED);

		if (ret > 0) {
			run_advance(run, (uint64_t)ret, &host->stats.nr_copied_in);
			if (run->is_drop_later)
				host_drop_later(host, frame, (uint64_t)ret);
			else
				drops_add(drops, frame, (uint64_t)ret);
			continue;
		}
		if (run_may_split(run, (int)ret, len))
			continue;
		if (!is_transient((int)ret) || !run_may_retry(run))
			return run_failed((int)ret);
	}
	return 0;
}

/* A write fills a hole of the pool with zeros, and ends the sharing of a frame after a fork. */
static void run_touch_frames(const struct run *run)
{
	vaddr_t frame = run_frame(run);
	vaddr_t end = frame + run_chunk(run, DROP_PAGES_MAX);

	for (; frame < end; frame += PAGE_SIZE) {
		volatile char *byte = (volatile char *)frame;

		*byte = *byte;
	}
}

static bool is_there(vaddr_t page)
{
	unsigned char is_resident = 0;

	return sys_call3(SYS_mincore, (long)page, PAGE_SIZE, (long)&is_resident) == 0 &&
	       (is_resident & 1);
}

/*
 * Linux 6.18 begins a move anew where an entry changes under it (somebody uses the page, or its
 * accessed bit is taken away), and may then say EEXIST of pages that it has moved: it meets
 * them where they were to go.
 */
static bool was_moved(vaddr_t from, vaddr_t to, int err)
{
	return err == -EEXIST && is_there(to) && !is_there(from);
}

/*
 * EINVAL: not a mapping like the pool's. EEXIST: there is a page, and the copy will say so too;
 * or poison, which a copy replaces. EBUSY after the touch: pinned; it may be read, and stays.
 */
static int run_move_in_failed(struct run *run, struct drops *drops, int err)
{
	if (was_moved(run_frame(run), run_va(run), err)) {
		err = uffd_wake(drops->host->fd, run_va(run), PAGE_SIZE);
		run_advance(run, PAGE_SIZE, &drops->host->stats.nr_moved_in);
		return err;
	}
	if (err == -EINVAL)
		return run_copy_in(run, drops, run->nr);
	if (err == -EEXIST || (err == -EBUSY && run->tries > 0))
		return run_copy_in(run, drops, run->done + 1);
	if (err == -EBUSY || err == -ENOENT)
		run_touch_frames(run);
	else if (!is_transient(err))
		return err;
	return run_may_retry(run) ? 0 : run_failed(err);
}

static int run_in(struct run *run, struct drops *drops)
{
	struct machine_host *host = drops->host;
	int err = 0;

	if (run->is_by_copy || !run->is_write)
		return run_copy_in(run, drops, run->nr);
	while (run->done < run->nr && !err) {
		uint64_t len = run_chunk(run, run->nr);
		int64_t ret = uffd_move(host->fd, run_va(run), run_frame(run), len, UFFD_WAKES);

		if (ret > 0)
			run_advance(run, (uint64_t)ret, &host->stats.nr_moved_in);
		else if (ret != -EINVAL || !run_may_split(run, (int)ret, len))
			err = run_move_in_failed(run, drops, (int)ret);
	}
	return err;
}

/*
 * -EEXIST: a frame of the pool that is no hole although it is mapped. Somebody has looked at
 * it, which put a page of zeros there.
 */
static bool run_out_may_retry(struct run *run, int err)
{
	if (err == -EEXIST)
		host_drop_range(run_frame(run), PAGE_SIZE);
	else if (!is_transient(err))
		return false;
	return run_may_retry(run);
}

/*
 * Stops the writes, copies, drops, until the run has done so many pages. A thread that writes
 * meanwhile waits, and its fault is told like any other.
 */
static int run_copy_out(struct run *run, struct drops *drops, uint32_t until)
{
	struct machine_host *host = drops->host;

	run->step = STEP_MAX;
	while (run->done < until) {
		vaddr_t va = run_va(run);
		uint64_t len = run_copy_chunk(run, until);
		int64_t ret = 0;

		if (run->is_write && !run->is_protected)
			ret = uffd_protect(host->fd, va, len, true);
		if (ret == 0)
			ret = uffd_copy(host->fd, run_frame(run), va, len, UFFD_WAKES_NOT);
		if (ret > 0) {
			run_advance(run, (uint64_t)ret, &host->stats.nr_copied_out);
			drops_add(drops, va, (uint64_t)ret);
			continue;
		}
		if (run_may_split(run, (int)ret, len) || run_out_may_retry(run, (int)ret))
			continue;
		if (run->is_write)
			uffd_protect(host->fd, va, len, false);
		return run_failed((int)ret);
	}
	return 0;
}

/*
 * EINVAL for a page that was written: the move of it alone must be refused before it is copied,
 * or a pin in the part of the run that can be moved would go unseen.
 */
static int run_move_out_failed(struct run *run, struct drops *drops, int err)
{
	if (was_moved(run_va(run), run_frame(run), err)) {
		run_advance(run, PAGE_SIZE, &drops->host->stats.nr_moved_out);
		return 0;
	}
	if (err == -EINVAL && !run->is_write)
		return run_copy_out(run, drops, run->nr);
	if (err == -EINVAL) {
		err = run_copy_out(run, drops, run->done + 1);
		run->step = 1;
		return err;
	}
	return run_out_may_retry(run, err) ? 0 : run_failed(err);
}

static int run_out(struct run *run, struct drops *drops)
{
	struct machine_host *host = drops->host;
	int err = 0;

	if (run->is_by_copy)
		return run_copy_out(run, drops, run->nr);
	while (run->done < run->nr && !err) {
		uint64_t len = run_chunk(run, run->nr);
		int64_t ret = uffd_move(host->fd, run_frame(run), run_va(run), len,
					UFFD_WAKES_NOT | UFFD_HOLES_ALLOWED);

		if (ret > 0)
			run_advance(run, (uint64_t)ret, &host->stats.nr_moved_out);
		else if (ret != -EINVAL || !run->is_write || !run_may_split(run, (int)ret, len))
			err = run_move_out_failed(run, drops, (int)ret);
	}
	return err;
}

static int run_discard(struct run *run, struct drops *drops)
{
	uint64_t len = run_left(run);

	drops_add(drops, run->va, len);
	run_advance(run, len, &drops->host->stats.nr_discarded);
	return 0;
}

static int run_set_protected(struct run *run, struct drops *drops, bool is_protected)
{
	struct machine_host_stats *stats = &drops->host->stats;
	uint64_t *counter = is_protected ? &stats->nr_protected : &stats->nr_unprotected;

	while (run->done < run->nr) {
		uint64_t len = run_chunk(run, run->nr);
		int err = uffd_protect(drops->host->fd, run_va(run), len, is_protected);

		if (!err)
			run_advance(run, len, counter);
		else if (!run_may_split(run, err, len) &&
			 (!is_transient(err) || !run_may_retry(run)))
			return run_failed(err);
	}
	return 0;
}

static const char zero_page[PAGE_SIZE] __attribute__((aligned(4096)));

/*
 * Makes the translation what the manager takes it for: a page that the kernel has dropped reads
 * as zeros (invariant 1), a writable one is not write-protected.
 */
static int run_refresh(struct run *run, struct drops *drops)
{
	struct machine_host *host = drops->host;

	while (run->done < run->nr) {
		vaddr_t va = run_va(run);
		int64_t ret = uffd_copy(host->fd, va, (vaddr_t)zero_page, PAGE_SIZE,
					run->is_write ? UFFD_WAKES : UFFD_PROTECTED);

		if (ret == -EEXIST && run->is_write)
			ret = uffd_protect(host->fd, va, PAGE_SIZE, false);
		else if (ret == -EEXIST)
			ret = uffd_wake(host->fd, va, PAGE_SIZE);
		if (ret >= 0)
			run_advance(run, PAGE_SIZE, &host->stats.nr_refreshed);
		else if (!is_transient((int)ret) || !run_may_retry(run))
			return run_failed((int)ret);
	}
	return 0;
}

static enum run_kind kind_of(const struct machine_change *change, uint32_t flags)
{
	pte_t old_pte = change->old_pte, new_pte = change->new_pte;

	if (!pte_is_present(old_pte))
		return pte_is_present(new_pte) ? RUN_IN : RUN_NOTHING;
	if (!pte_is_present(new_pte))
		return flags & MACHINE_DISCARD ? RUN_DISCARD : RUN_OUT;
	if (pte_pfn(old_pte) != pte_pfn(new_pte))
		return RUN_REPLACE;
	if (((old_pte ^ new_pte) & PTE_WRITE) == 0)
		return RUN_REFRESH;
	return new_pte & PTE_WRITE ? RUN_UNPROTECT : RUN_PROTECT;
}

static struct run run_of(const struct machine_host *host, const struct machine_change *change,
			 uint32_t flags)
{
	enum run_kind kind = kind_of(change, flags);
	pte_t pte = kind == RUN_OUT || kind == RUN_DISCARD ? change->old_pte : change->new_pte;

	MM_ASSERT(kind == RUN_NOTHING || pte_pfn(pte) < host->m.nr_frames);
	return (struct run){
		.kind = kind,
		.is_write = (pte & PTE_WRITE) != 0,
		.is_by_copy = !host->has_move,
		.va = change->va,
		.frame = host_frame_addr(host, pte_pfn(pte)),
		.nr = 1,
		.step = STEP_MAX,
	};
}

/* Does next, the run of one change, go on where run ends? */
static bool run_joins(const struct run *run, const struct run *next)
{
	uint64_t len = (uint64_t)run->nr * PAGE_SIZE;

	if (next->kind != run->kind || next->is_write != run->is_write)
		return false;
	if (next->kind == RUN_NOTHING)
		return true;
	if (next->kind == RUN_REPLACE || next->va != run->va + len)
		return false;
	if (next->kind == RUN_IN || next->kind == RUN_OUT)
		return next->frame == run->frame + len;
	return true;
}

/* What a run is made of: the change itself, or what it asks for first. */
typedef struct run part_of(const struct machine_host *host, const struct machine_batch *batch,
			   uint32_t i);

static struct run change_of(const struct machine_host *host, const struct machine_batch *batch,
			    uint32_t i)
{
	return run_of(host, &batch->changes[i], batch->flags);
}

/* The protection of a writable page that goes out; RUN_NOTHING for any other change. */
static struct run protection_of(const struct machine_host *host,
				const struct machine_batch *batch, uint32_t i)
{
	struct run run = change_of(host, batch, i);

	run.kind = run.kind == RUN_OUT && run.is_write ? RUN_PROTECT : RUN_NOTHING;
	return run;
}

static struct run run_cut(const struct machine_host *host, const struct machine_batch *batch,
			  uint32_t from, part_of *part)
{
	struct run run = part(host, batch, from);

	for (uint32_t i = from + 1; i < batch->nr; i++) {
		struct run next = part(host, batch, i);

		if (!run_joins(&run, &next))
			break;
		run.nr++;
	}
	return run;
}

static int run_do(struct run *run, struct drops *drops)
{
	switch (run->kind) {
	case RUN_IN:
		return run_in(run, drops);
	case RUN_OUT:
		return run_out(run, drops);
	case RUN_DISCARD:
		return run_discard(run, drops);
	case RUN_PROTECT:
		return run_set_protected(run, drops, true);
	case RUN_UNPROTECT:
		return run_set_protected(run, drops, false);
	case RUN_REFRESH:
		return run_refresh(run, drops);
	case RUN_NOTHING:
	case RUN_REPLACE: /* by change_replace() */
		break;
	}
	run->done = run->nr;
	return 0;
}

/* If the new frame cannot be mapped, the translation is forgotten, as a machine may. */
static int change_replace(const struct machine_change *change, uint32_t flags,
			  struct drops *drops)
{
	struct machine_change half = {.va = change->va, .old_pte = change->old_pte};
	struct run run = run_of(drops->host, &half, flags);
	int err = run_do(&run, drops);

	if (err)
		return err;
	drops_flush(drops);
	if (drops->err)
		return drops->err;
	half = (struct machine_change){.va = change->va, .new_pte = change->new_pte};
	run = run_of(drops->host, &half, flags);
	return run_do(&run, drops);
}

static int batch_step(const struct machine_batch *batch, const struct way *way,
		      struct drops *drops, uint32_t *done)
{
	struct run run = run_cut(drops->host, batch, *done, change_of);
	int err;

	run.is_by_copy |= way->is_by_copy;
	run.is_protected = way->is_protected;
	run.is_drop_later = way->is_by_copy;

	if (run.kind == RUN_REPLACE) {
		err = change_replace(&batch->changes[*done], batch->flags, drops);
		run.done = err ? 0 : 1;
	} else {
		err = run_do(&run, drops);
	}
	*done += run.done;
	return err ? err : drops->err;
}

/*
 * Do several processors run the program by turns? A move takes a translation away from all of
 * them, by an interrupt to each for each page that is no neighbour of the last, and holds locks
 * meanwhile: 10 us on a virtual machine. Copies need one for all drops of a batch.
 *
 * A switch of processor between two calls counts for SWITCH_COUNTS calls without.
 */
static bool host_is_spread(struct machine_host *host)
{
	uint32_t cpu = host_cpu(), nr = __atomic_load_n(&host->nr_switches, __ATOMIC_RELAXED);

	if (cpu != __atomic_load_n(&host->last_cpu, __ATOMIC_RELAXED)) {
		__atomic_store_n(&host->last_cpu, cpu, __ATOMIC_RELAXED);
		nr = nr < SPREAD_MAX ? nr + SWITCH_COUNTS : nr;
	} else if (nr > 0) {
		nr--;
	}
	__atomic_store_n(&host->nr_switches, nr, __ATOMIC_RELAXED);
	return nr >= SPREAD_MAX / 2;
}

static bool host_may_copy(const struct machine_host *host)
{
	return __atomic_load_n(&host->may_copy, __ATOMIC_SEQ_CST);
}

/* Whatever the frames: neighbours are one run. */
static int protect_ahead(struct drops *drops, const struct machine_batch *batch)
{
	struct run run;
	int err = 0;

	for (uint32_t i = 0; i < batch->nr && !err; i += run.nr) {
		run = run_cut(drops->host, batch, i, protection_of);
		if (run.kind == RUN_PROTECT)
			err = run_set_protected(&run, drops, true);
	}
	return err;
}

/*
 * Does it cost less to copy all? The drops of what leaves are one interrupt, those of frames
 * that are mapped next to none.
 */
static bool copies_are_cheaper(const struct machine_host *host,
			       const struct machine_batch *batch)
{
	uint32_t nr_moves = 0, nr_pages = 0, nr_flushes = 0;
	bool has_drops = false;
	struct run run;

	for (uint32_t i = 0; i < batch->nr; i += run.nr) {
		run = run_cut(host, batch, i, change_of);
		if (run.kind != RUN_OUT && (run.kind != RUN_IN || !run.is_write))
			continue;
		nr_moves++;
		nr_pages += run.nr;
		has_drops |= run.kind == RUN_OUT;
	}
	for (uint32_t i = 0; i < batch->nr; i += run.nr) {
		run = run_cut(host, batch, i, protection_of);
		nr_flushes += run.kind == RUN_PROTECT;
	}
	return nr_moves >= 2 * (nr_flushes + has_drops) + nr_pages / COPIES_A_FLUSH;
}

/*
 * Whoever may have a page written past its protection says so before it begins
 * (machine_host_note_device()): if that is not said when the page is protected, such a write
 * was not begun, and meets the protection.
 */
static struct way choose_way(struct drops *drops, const struct machine_batch *batch)
{
	struct machine_host *host = drops->host;
	bool is_spread = host_may_copy(host) && host_is_spread(host);
	struct way way;

	host_drop_due(host, batch, !is_spread);
	way.is_by_copy = is_spread && copies_are_cheaper(host, batch);
	way.is_protected =
		(way.is_by_copy || !host->has_move) && protect_ahead(drops, batch) == 0;
	if (!host_may_copy(host))
		way.is_by_copy = false;
	return way;
}

/**
 * host_apply() - the apply() of struct machine_ops.
 *
 * Return: 0; -EBUSY for a page that a device may be writing; -EAGAIN if the kernel keeps asking
 * to try again; -ENOMEM; -EEXIST if a page is mapped where the caller says that none is;
 * -ENOENT, -EINVAL, -ESRCH if the window is not what it was.
 * Context: may take a lock of rank MACHINE; sleeps in the kernel for other changes of the
 * address space.
 */
int host_apply(struct machine *m, struct machine_space *space, struct machine_batch *batch)
{
	struct drops drops;
	struct way way;
	uint32_t done = 0, sure = 0; /* sure: changes whose drops have been made */
	int err = 0;

	(void)space;
	drops_init(&drops, host_of(m));
	way = choose_way(&drops, batch);
	while (done < batch->nr && !err) {
		err = batch_step(batch, &way, &drops, &done);
		if (drops.nr == 0 && drops.err == 0)
			sure = done;
	}
	drops_flush(&drops);
	batch->nr_done = drops.err ? sure : done;
	return err ? err : drops.err;
}

/**
 * machine_host_stats() - how many pages went which way.
 */
void machine_host_stats(const struct machine *m, struct machine_host_stats *ret_stats)
{
	const uint64_t *from = (const uint64_t *)&host_of_const(m)->stats;
	uint64_t *to = (uint64_t *)ret_stats;

	for (size_t i = 0; i < sizeof(*ret_stats) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
