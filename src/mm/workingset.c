/* SPDX-License-Identifier: MIT */
/*
 * Shadow entries: what is known of a page after it was evicted (Linux mm/workingset.c).
 *
 * A clock counts evictions and activations: each moves the tail of the inactive list on by one
 * frame. An evicted page leaves the clock's value in its place (the swap cache or the file's
 * tree). When it is read again, the difference is its refault distance: with so many frames
 * more it would still have been there. If that is not more than what the other lists hold, it
 * competes with pages that are in use, and starts as an active page; what was deactivated
 * meanwhile and is not in use loses its place to it.
 *
 * A shadow entry is
 *   bits 29..2  the clock, modulo 1 << AGE_BITS (1 TiB of evictions)
 *   bit 1       the page was active at some time before (PG_workingset)
 *   bit 0       1: an entry is never 0
 *
 * Policies without active lists get the counts, nothing else changes for them.
 */
#include "mm/workingset.h"

#include "base/checked.h"
#include "mm/system.h"

#define AGE_SHIFT     2
#define AGE_BITS      (WORKINGSET_SHADOW_BITS - AGE_SHIFT)
#define AGE_MASK      ((1ull << AGE_BITS) - 1)
#define SHADOW_ACTIVE 2u
#define SHADOW_ONE    1u

/* What count() of a policy tells, in its order. */
enum { NR_INACTIVE_ANON, NR_ACTIVE_ANON, NR_INACTIVE_FILE, NR_ACTIVE_FILE, NR_COUNTS };

/**
 * workingset_eviction() - a page is evicted.
 * @page: its flags still say what it was.
 *
 * Return: what to keep in its place for workingset_refault(): above 0, below
 * 1 << WORKINGSET_SHADOW_BITS.
 */
uint64_t workingset_eviction(struct mm_system *sys, const struct page *page)
{
	uint64_t age = sys->workingset.nonresident_age++ & AGE_MASK;

	sys->workingset.nr_evicted++;

	return age << AGE_SHIFT | (page_has(page, PG_workingset) ? SHADOW_ACTIVE : 0) |
	       SHADOW_ONE;
}

/* Frames whose owners the refaulting page competes with, besides its own inactive list. */
static uint64_t competing_frames(struct mm_system *sys, bool is_file)
{
	uint64_t nr[NR_COUNTS], size;

	sys->policy_ops->count(sys->policy, nr);
	size = nr[NR_ACTIVE_FILE];
	if (!is_file)
		size += nr[NR_INACTIVE_FILE];
	if (swap_has_free_slot(sys)) {
		size += nr[NR_ACTIVE_ANON];
		if (is_file)
			size += nr[NR_INACTIVE_ANON];
	}
	return size;
}

static uint64_t refault_distance(const struct mm_system *sys, uint64_t shadow)
{
	return (sys->workingset.nonresident_age - (shadow >> AGE_SHIFT)) & AGE_MASK;
}

/**
 * workingset_evictions() - about how many pages were evicted since a page was.
 * @shadow: what workingset_eviction() answered.
 *
 * The clock counts activations too; of the time since then they get the part that they have had
 * of all time.
 */
uint64_t workingset_evictions(const struct mm_system *sys, uint64_t shadow)
{
	const struct workingset *ws = &sys->workingset;

	/* 28 bits and, up to 256 TiB of evictions, 36. */
	return refault_distance(sys, shadow) * ws->nr_evicted / max_u64(ws->nonresident_age, 1);
}

/**
 * workingset_refault() - a page is read again.
 * @page: new, on no list yet. It gets PG_active if it is to start on the active list, and
 * PG_workingset if it was there before.
 * @shadow: what workingset_eviction() answered.
 */
void workingset_refault(struct mm_system *sys, struct page *page, uint64_t shadow)
{
	bool is_file = !page_has(page, PG_anon);
	uint64_t distance = refault_distance(sys, shadow);

	stat_add(sys, MM_VMSTAT_workingset_refault_anon + is_file, 1);
	if (!sys->policy_ops->note_cost || distance > competing_frames(sys, is_file))
		return;
	page->flags |= PG_active;
	workingset_age(sys, 1);
	stat_add(sys, MM_VMSTAT_workingset_activate_anon + is_file, 1);
	if (!(shadow & SHADOW_ACTIVE))
		return;
	page->flags |= PG_workingset;
	sys->policy_ops->note_cost(sys->policy, is_file, 1);
	stat_add(sys, MM_VMSTAT_workingset_restore_anon + is_file, 1);
}

/**
 * workingset_age() - frames went from an inactive list to an active one.
 */
void workingset_age(struct mm_system *sys, uint64_t nr_activated)
{
	sys->workingset.nonresident_age += nr_activated;
}

/**
 * workingset_has_refaulted() - were pages activated as they came back, since the last snapshot?
 *
 * Then a new working set is being established: the old one is to be deactivated.
 */
bool workingset_has_refaulted(const struct mm_system *sys, bool is_file)
{
	return sys->vmstat[MM_VMSTAT_workingset_activate_anon + is_file] !=
	       sys->workingset.activated[is_file];
}

/* A run of reclaim is over (Linux's snapshot_refaults()). */
void workingset_snapshot(struct mm_system *sys)
{
	for (unsigned int is_file = 0; is_file < 2; is_file++)
		sys->workingset.activated[is_file] =
			sys->vmstat[MM_VMSTAT_workingset_activate_anon + is_file];
}
