/* SPDX-License-Identifier: MIT */
/*
 * A balloon in RAM: frames that are taken from the system, and given back, while it runs
 * (Linux's virtio balloon). So a simulation can ask what less RAM would mean, and a host can
 * take memory back from one that it has lent it to.
 *
 * Inflating allocates as a program's fault would, down to the min watermark, and reclaims where
 * that fails. The frames stay on a list of their own; nobody reads or writes them. What is in
 * the balloon does not count as RAM for the commit limit and for the OOM killer (Linux:
 * totalram).
 *
 * 1. Frames on the list have refs 1 and PG_balloon, and are the only ones that have it.
 */
#include "base/assert.h"
#include "mm/reclaim.h"

/* Frames that one call moves; then it answers -EAGAIN. */
#define BALLOON_BATCH 256

/* How often a call reclaims before it gives its thread back. */
#define RECLAIMS_MAX 4

static bool take_frame(struct mm_system *sys)
{
	struct page *page;

	if (page_alloc(sys, 0, GFP_USER, &page))
		return false;
	page->flags |= PG_balloon;
	page_list_add_head(sys->mem_map, &sys->balloon, page_pfn(sys, page));
	STAT(sys, balloon_inflate, 1);
	return true;
}

static int inflate(struct mm_system *sys, uint64_t pages, uint64_t *ret_taken)
{
	unsigned int reclaims = 0;

	while (*ret_taken < pages && *ret_taken < BALLOON_BATCH) {
		if (take_frame(sys)) {
			++*ret_taken;
			continue;
		}
		if (reclaims++ == RECLAIMS_MAX)
			break;
		switch (reclaim_direct(sys)) {
		case RECLAIM_FREED:
			break;
		case RECLAIM_WAIT:
			sys->has_waiters = true;
			return -EAGAIN;
		default:
			return -ENOMEM;
		}
	}
	if (*ret_taken == pages)
		return 0;
	sys->has_waiters = true;
	sys_wake(sys); /* there is more to do at once */
	return -EAGAIN;
}

/**
 * mm_balloon_inflate() - take frames away from the system.
 * @pages: how many.
 * @ret_taken: how many were; to be subtracted before the next call.
 *
 * Return: 0: all of them; -EAGAIN: call again for the rest, now or after mm_config.wake;
 * -ENOMEM: the rest cannot be freed. Context: takes sys->lock, drops it for the machine and the
 * devices.
 */
int mm_balloon_inflate(struct mm_system *sys, uint64_t pages, uint64_t *ret_taken)
{
	int err;

	*ret_taken = 0;
	sys_lock(sys);
	if (sys->frozen) {
		sys->has_waiters = true;
		err = -EAGAIN;
	} else {
		err = inflate(sys, pages, ret_taken);
		kswapd_wake_if_low(sys);
	}
	sys_unlock(sys);
	return err;
}

/**
 * mm_balloon_deflate() - give frames back to the system.
 * @pages: how many; more than there are: all.
 *
 * Return: how many were given back.
 * Context: takes sys->lock.
 */
uint64_t mm_balloon_deflate(struct mm_system *sys, uint64_t pages)
{
	uint64_t given = 0;

	sys_lock(sys);
	for (; given < pages && sys->balloon.nr > 0; given++) {
		struct page *page = page_of(sys, page_list_pop(sys->mem_map, &sys->balloon));

		page->flags &= ~(uint32_t)PG_balloon;
		page_free(sys, page, 0);
		STAT(sys, balloon_deflate, 1);
	}
	if (given > 0)
		sys_wake(sys);
	sys_unlock(sys);
	return given;
}

/* Frames that are in the balloon. Context: takes sys->lock. */
uint64_t mm_balloon_pages(struct mm_system *sys)
{
	uint64_t pages;

	sys_lock(sys);
	pages = sys->balloon.nr;
	sys_unlock(sys);
	return pages;
}

/**
 * balloon_check() - invariant 1.
 * Return: 0 or -EUCLEAN. Context: sys->lock held.
 */
int balloon_check(struct mm_system *sys)
{
	uint64_t listed = 0, marked = 0;

	for (pfn_t pfn = sys->balloon.head; pfn != PFN_NONE; pfn = page_of(sys, pfn)->next) {
		CHECK(page_has(page_of(sys, pfn), PG_balloon) && page_of(sys, pfn)->refs == 1);
		listed++;
	}
	for (pfn_t pfn = 0; pfn < sys->nr_frames; pfn++)
		marked += page_has(page_of(sys, pfn), PG_balloon);
	CHECK(listed == sys->balloon.nr && marked == listed);
	return 0;
}
