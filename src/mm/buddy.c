/* SPDX-License-Identifier: MIT */
/*
 * The buddy system (Knowlton 1965; Linux mm/page_alloc.c).
 *
 * Free frames lie in blocks of 1 << order frames, aligned to their size. A request takes the
 * smallest block that fits and splits it in halves; a block that comes back joins its buddy,
 * the other half of the block they were split from, for as long as that one is free and whole.
 * Alignment is that of frame numbers; a block never reaches across the ends of its zone, which
 * need no alignment: the buddies of the frames there just do not exist.
 *
 * Invariants, walked by zone_check() in mm/zone.c:
 *  1. A free block's first frame has PG_buddy, its order, refs == 0, and is on
 *     free_area[order]; its other frames have flags == 0 and refs == 0.
 *  2. A free block is aligned to its size and lies within its zone.
 *  3. No two buddies are both free: they are one block.
 *  4. Bit n of free_orders tells whether free_area[n] has a block.
 *  5. nr_free is the number of frames in all lists; nr_free_pages is its sum over zones.
 */
#include "mm/buddy.h"

static void free_area_add(struct mm_system *sys, struct zone *zone, pfn_t pfn,
			  unsigned int order)
{
	struct page *page = page_of(sys, pfn);

	page->flags = PG_buddy;
	page->order = order;
	page_list_add_head(sys->mem_map, &zone->free_area[order], pfn);
	zone->free_orders |= 1u << order;
}

static void free_area_del(struct mm_system *sys, struct zone *zone, pfn_t pfn,
			  unsigned int order)
{
	struct page_list *list = &zone->free_area[order];

	page_of(sys, pfn)->flags = 0;
	page_list_del(sys->mem_map, list, pfn);
	if (list->nr == 0)
		zone->free_orders &= ~(1u << order);
}

static void count_free(struct mm_system *sys, struct zone *zone, int32_t frames)
{
	zone->nr_free += (uint32_t)frames;
	STAT(sys, nr_free_pages, frames);
}

/* The first block of the smallest order that is not empty and not below order. */
static pfn_t take_smallest(struct mm_system *sys, struct zone *zone, unsigned int *order)
{
	uint32_t fits = zone->free_orders >> *order;
	pfn_t pfn;

	if (fits == 0)
		return PFN_NONE;
	*order += (unsigned int)__builtin_ctz(fits);
	pfn = page_list_pop(sys->mem_map, &zone->free_area[*order]);
	if (zone->free_area[*order].nr == 0)
		zone->free_orders &= ~(1u << *order);
	page_of(sys, pfn)->flags = 0;
	return pfn;
}

/*
 * Of the block at pfn, keeps the first 1 << to frames and frees the rest: one block of each
 * order between. Their lists are empty, or the block would not have been split.
 */
static void split(struct mm_system *sys, struct zone *zone, pfn_t pfn, unsigned int from,
		  unsigned int to)
{
	zone->free_orders |= (1u << from) - (1u << to);
	while (from > to) {
		struct page *page;

		from--;
		page = page_of(sys, pfn + (1u << from));
		MM_DEBUG_ASSERT(zone->free_area[from].nr == 0);
		page->flags = PG_buddy;
		page->order = from;
		page->next = page->prev = PFN_NONE;
		zone->free_area[from].head = zone->free_area[from].tail = pfn + (1u << from);
		zone->free_area[from].nr = 1;
	}
}

/**
 * buddy_take() - take a block off the free lists.
 *
 * Return: its first frame, with no flag set and refs == 0, or PFN_NONE.
 * Context: mm_system.lock held.
 */
pfn_t buddy_take(struct mm_system *sys, struct zone *zone, unsigned int order)
{
	unsigned int found = order;
	pfn_t pfn = take_smallest(sys, zone, &found);

	if (pfn == PFN_NONE)
		return PFN_NONE;
	split(sys, zone, pfn, found, order);
	count_free(sys, zone, -(int32_t)(1u << order));
	return pfn;
}

/**
 * buddy_take_block() - take a certain block of the largest order.
 * @pfn: its first frame: PG_buddy, of BUDDY_ORDER_MAX.
 *
 * Context: mm_system.lock held.
 */
void buddy_take_block(struct mm_system *sys, struct zone *zone, pfn_t pfn)
{
	MM_ASSERT(page_has(page_of(sys, pfn), PG_buddy));
	MM_ASSERT(page_of(sys, pfn)->order == BUDDY_ORDER_MAX);
	free_area_del(sys, zone, pfn, BUDDY_ORDER_MAX);
	count_free(sys, zone, -(int32_t)(1u << BUDDY_ORDER_MAX));
}

/**
 * buddy_take_bulk() - take single frames, smallest blocks first.
 * @nr: how many to take; fewer if there are no more.
 * @list: they are added at its tail, ascending within each block, marked PG_pcp.
 *
 * A block is taken apart at once instead of by nr splits.
 *
 * Context: mm_system.lock held.
 */
void buddy_take_bulk(struct mm_system *sys, struct zone *zone, uint32_t nr,
		     struct page_list *list)
{
	uint32_t left = nr;

	while (left > 0) {
		unsigned int found = 0, order;
		pfn_t pfn = take_smallest(sys, zone, &found);

		if (pfn == PFN_NONE)
			break;
		for (order = found; 1u << order > left; order--)
			;
		split(sys, zone, pfn, found, order);
		for (pfn_t i = 0; i < 1u << order; i++) {
			page_of(sys, pfn + i)->flags = PG_pcp;
			page_list_add_tail(sys->mem_map, list, pfn + i);
		}
		left -= 1u << order;
	}
	count_free(sys, zone, -(int32_t)(nr - left));
}

static bool buddy_is_free(const struct mm_system *sys, const struct zone *zone, pfn_t buddy,
			  unsigned int order)
{
	const struct page *page = page_of(sys, buddy);

	return buddy >= zone->start && buddy + (1u << order) <= zone->end &&
	       page_has(page, PG_buddy) && page->order == order;
}

/**
 * buddy_give() - put a block on the free lists, joined with its free buddies.
 * @pfn: its first frame, with no flag set and refs == 0, like the others.
 *
 * Context: mm_system.lock held.
 */
void buddy_give(struct mm_system *sys, struct zone *zone, pfn_t pfn, unsigned int order)
{
	count_free(sys, zone, (int32_t)(1u << order));
	while (order < BUDDY_ORDER_MAX) {
		pfn_t buddy = pfn ^ (1u << order);

		if (!buddy_is_free(sys, zone, buddy, order))
			break;
		free_area_del(sys, zone, buddy, order);
		pfn &= buddy;
		order++;
	}
	free_area_add(sys, zone, pfn, order);
}

/**
 * buddy_alloc() - take a block of 1 << @order free frames from one zone, whatever its
 * watermarks say.
 * @order: 0..BUDDY_ORDER_MAX.
 * @ret_page: the block's first frame, refs 1; its content is undefined.
 *
 * The smallest block that fits is split in halves; the upper halves go back to their lists.
 *
 * Return: 0, or -ENOMEM if no block of that order can be made.
 * Context: mm_system.lock held.
 */
int buddy_alloc(struct mm_system *sys, struct zone *zone, unsigned int order,
		struct page **ret_page)
{
	pfn_t pfn;

	MM_ASSERT(order <= BUDDY_ORDER_MAX);
	pfn = buddy_take(sys, zone, order);
	if (pfn == PFN_NONE)
		return -ENOMEM;
	*ret_page = page_prepare(sys, pfn, order);
	return 0;
}

/**
 * buddy_free() - give back what buddy_alloc() or page_alloc() returned, past the per-CPU lists.
 * @page: the block's first frame; the caller holds its last reference (refs == 1).
 * @order: as it was allocated; anything else, and a second free, aborts.
 *
 * Context: mm_system.lock held.
 */
void buddy_free(struct mm_system *sys, struct zone *zone, struct page *page, unsigned int order)
{
	pfn_t pfn = page_pfn(sys, page);

	MM_ASSERT(pfn >= zone->start && pfn < zone->end);
	page_retire(sys, page, order);
	buddy_give(sys, zone, pfn, order);
}
