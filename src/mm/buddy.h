/* SPDX-License-Identifier: MIT */
/*
 * What the per-CPU lists and the zones need of the buddy system beyond mm/zone.h: moves between
 * its lists that neither check nor mark the block as handed out.
 *
 * Context for all: mm_system.lock held.
 */
#ifndef MM_BUDDY_H
#define MM_BUDDY_H

#include "mm/system.h"

pfn_t buddy_take(struct mm_system *sys, struct zone *zone, unsigned int order);
void buddy_take_bulk(struct mm_system *sys, struct zone *zone, uint32_t nr,
		     struct page_list *list);
void buddy_take_block(struct mm_system *sys, struct zone *zone, pfn_t pfn);
void buddy_give(struct mm_system *sys, struct zone *zone, pfn_t pfn, unsigned int order);
int page_alloc_uncounted(struct mm_system *sys, unsigned int order, enum gfp gfp,
			 struct page **ret_page);

static inline bool alloc_fails_for_test(struct mm_system *sys)
{
	return __builtin_expect(sys->fail_alloc != 0, 0) && --sys->fail_alloc == 0;
}

/* CPUs that have a list in each zone. */
static inline unsigned int zone_nr_pcps(const struct mm_system *sys)
{
	return sys->cfg.nr_cpus > 1 ? sys->cfg.nr_cpus : 1;
}

static inline struct zone *zone_of_pfn(struct mm_system *sys, pfn_t pfn)
{
	unsigned int i = sys->nr_zones - 1;

	while (i > 0 && pfn < sys->zones[i].start)
		i--;
	return &sys->zones[i];
}

/* A block that nobody may free, by what its first frame is. */
#define PAGE_FLAGS_NOT_FREEABLE                                                             \
	(PG_reserved | PG_buddy | PG_pcp | PG_slab | PG_slab_tail | PG_lru | PG_writeback | \
	 PG_swapcache)

/* The block's first frame is handed out: a new frame remembers nothing. */
static inline struct page *page_prepare(struct mm_system *sys, pfn_t pfn, unsigned int order)
{
	struct page *page = page_of(sys, pfn);

	MM_DEBUG_ASSERT(page->refs == 0);
	page->flags = order << PAGE_ORDER_SHIFT;
	page->refs = 1;
	page->owner = 0;
	page->index = 0;
	page->slot_and_mapcount = 0;
	STAT(sys, pgalloc, 1 << order);
	return page;
}

/* ... and comes back. */
static inline void page_retire(struct mm_system *sys, struct page *page, unsigned int order)
{
	MM_ASSERT(page->refs == 1); /* 0: freed twice, or not the first frame of its block */
	MM_ASSERT(!page_has(page, PAGE_FLAGS_NOT_FREEABLE));
	MM_ASSERT(page_block_order(page) == order);
	page->flags = 0;
	page->refs = 0;
	STAT(sys, pgfree, 1 << order);
}

#endif
