/* SPDX-License-Identifier: MIT */
/*
 * Swap-in with Linux's cluster readahead (mm/swap_state.c).
 *
 * Pages that left together lie together, so a fault on one slot reads the aligned block of
 * slots around it. The block grows while what was read ahead gets used, and shrinks by half at
 * most when it does not.
 */
#include "base/assert.h"
#include "base/checked.h"
#include "mm/reclaim.h"

/* swapin_nr_pages(): how many slots to read, a power of two or 1. */
static unsigned int readahead_window(struct mm_system *sys, uint64_t slot)
{
	struct swap_readahead *ra = &sys->readahead;
	unsigned int max = (unsigned int)min_u64(1ull << sys->cfg.page_cluster, SWAP_IO_MAX);
	unsigned int pages = ra->hits + 2, roundup = 4;

	if (max <= 1)
		return 1;
	ra->hits = 0;
	if (pages == 2) {
		if (slot != ra->last_slot + 1 && slot + 1 != ra->last_slot)
			pages = 1;
		ra->last_slot = slot;
	} else {
		while (roundup < pages)
			roundup <<= 1;
		pages = roundup;
	}
	if (pages > max)
		pages = max;
	if (pages < ra->last_window / 2)
		pages = ra->last_window / 2;
	ra->last_window = pages;
	return pages;
}

/* The device is told of reads that somebody waits for. */
static void page_refaults(struct mm_system *sys, struct page *page, uint64_t shadow)
{
	swp_entry_t entry = page_swap(page);
	struct swapdev *dev = sys->swap_areas[swp_type(entry)]->dev;

	if (page_has(page, PG_demand) && dev->ops->refault)
		dev->ops->refault(dev, swp_slot(entry), workingset_evictions(sys, shadow));
	workingset_refault(sys, page, shadow);
}

/* A new frame goes into the swap cache for this slot, not yet filled. */
void swap_cache_fill(struct mm_system *sys, struct page *page, swp_entry_t entry,
		     uint32_t flags)
{
	uint64_t shadow;

	page->flags = PG_anon | flags;
	page->refs = 0;
	page->mm = NULL;
	shadow = swap_cache_add(sys, page, entry);
	if (shadow)
		page_refaults(sys, page, shadow);
}

/* A frame in the swap cache for this slot, not yet filled; NULL if there is no memory. */
struct page *swap_cache_new_page(struct mm_system *sys, swp_entry_t entry, uint32_t flags)
{
	struct page *page;

	if (page_alloc(sys, 0, GFP_USER, &page))
		return NULL;
	swap_cache_fill(sys, page, entry, flags);
	return page;
}

static bool slot_is_wanted(struct mm_system *sys, swp_entry_t entry)
{
	return swap_entry_count(sys, entry) > 0 && !swap_cache_lookup(sys, entry);
}

/* The aligned block of slots around entry, in the order of slots. */
static unsigned int cache_block(struct mm_system *sys, swp_entry_t entry, struct page *target,
				unsigned int window, struct page **pages)
{
	uint64_t slot = swp_slot(entry), start = align_down(slot, window);
	uint64_t end = min_u64(start + window, sys->swap_areas[swp_type(entry)]->dev->nr_slots);
	unsigned int nr = 0;

	for (uint64_t s = max_u64(start, 1); s < end; s++) {
		swp_entry_t neighbour = swp_entry(swp_type(entry), s);
		struct page *page = target;

		if (s != slot) {
			if (!slot_is_wanted(sys, neighbour))
				continue;
			page = swap_cache_new_page(sys, neighbour, PG_readahead);
			if (!page)
				continue;
			STAT(sys, swap_ra, 1);
		}
		pages[nr++] = page;
	}
	return nr;
}

/**
 * swapin_readahead() - start reading a slot, and its neighbours as they seem worth it.
 * @entry: a slot that is used and not cached.
 * @alone: no neighbours.
 *
 * Return: SWAPIN_STARTED, or SWAPIN_NO_MEMORY where there is no frame for the slot itself.
 * Context: sys->lock held, dropped and retaken.
 */
enum swapin_result swapin_readahead(struct mm_system *sys, swp_entry_t entry, bool alone)
{
	struct page *pages[SWAP_IO_MAX], *target;
	unsigned int window;

	target = swap_cache_new_page(sys, entry, PG_demand);
	if (!target)
		return SWAPIN_NO_MEMORY;
	window = alone ? 1 : readahead_window(sys, swp_slot(entry));
	swap_read_pages(sys, pages, cache_block(sys, entry, target, window, pages));
	return SWAPIN_STARTED;
}

/**
 * anon_advise_willneed() - MADV_WILLNEED: read what is in swap, as far as memory is at hand.
 *
 * Return: 0. Context: as mm/system.h says.
 */
int anon_advise_willneed(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct mm_system *sys = mm->sys;
	struct page *pages[SWAP_IO_MAX];
	unsigned int nr = 0;
	pte_t *pte;

	for (vaddr_t va = start; (pte = pgtable_next(mm, &va, end)); va += PAGE_SIZE) {
		if (!pte_is_swap(*pte) || !slot_is_wanted(sys, *pte))
			continue;
		pages[nr] = swap_cache_new_page(sys, *pte, PG_readahead);
		if (!pages[nr])
			break;
		STAT(sys, swap_ra, 1);
		if (++nr == SWAP_IO_MAX) {
			swap_read_pages(sys, pages, nr);
			nr = 0;
		}
	}
	if (nr > 0)
		swap_read_pages(sys, pages, nr);
	kswapd_wake_if_low(sys);
	return 0;
}
