/* SPDX-License-Identifier: MIT */
/*
 * zone_check(): the invariants of zone.c, buddy.c and page_alloc.c, by their numbers there.
 *
 * Lists are walked for their links, mem_map for what the frames say; that both found as many
 * free blocks and as many PG_pcp frames makes them the same ones.
 */
#include "mm/buddy.h"

/* What one walk over the zone's part of mem_map found. */
struct zone_census {
	uint32_t managed;
	uint32_t nr_blocks[BUDDY_NR_ORDERS]; /* free ones */
	uint32_t nr_pcp;
};

static int check_list_link(const struct mm_system *sys, const struct zone *zone, pfn_t prev,
			   pfn_t pfn)
{
	CHECK(pfn >= zone->start && pfn < zone->end);
	CHECK(page_of(sys, pfn)->prev == prev);
	return 0;
}

/* Each frame of the list has exactly these flags, and links back. */
static int check_list(const struct mm_system *sys, const struct zone *zone,
		      const struct page_list *list, uint32_t flags)
{
	pfn_t prev = PFN_NONE;
	uint32_t nr = 0;
	int err;

	for (pfn_t pfn = list->head; pfn != PFN_NONE; pfn = page_of(sys, pfn)->next) {
		CHECK(nr < list->nr);
		err = check_list_link(sys, zone, prev, pfn);
		if (err)
			return err;
		CHECK(page_of(sys, pfn)->flags == flags);
		prev = pfn;
		nr++;
	}
	CHECK(list->tail == prev);
	CHECK(list->nr == nr);
	return 0;
}

static int check_free_area(const struct mm_system *sys, const struct zone *zone,
			   unsigned int order, const struct zone_census *census)
{
	const struct page_list *list = &zone->free_area[order];
	int err = check_list(sys, zone, list, PG_buddy);

	if (err)
		return err;
	for (pfn_t pfn = list->head; pfn != PFN_NONE; pfn = page_of(sys, pfn)->next)
		CHECK(page_of(sys, pfn)->order == order);	   /* 1 */
	CHECK(list->nr == census->nr_blocks[order]);		   /* 1 */
	CHECK((zone->free_orders >> order & 1) == (list->nr > 0)); /* 4 */
	return 0;
}

static int check_pcps(const struct mm_system *sys, const struct zone *zone,
		      const struct zone_census *census)
{
	uint32_t nr = 0;

	for (unsigned int cpu = 0; zone->pcps && cpu < zone_nr_pcps(sys); cpu++) {
		const struct pcp *pcp = &zone->pcps[cpu];
		int err = check_list(sys, zone, &pcp->list, PG_pcp); /* 6 */

		if (err)
			return err;
		CHECK(pcp->list.nr <= pcp->high); /* 7 */
		nr += pcp->list.nr;
	}
	CHECK(nr == census->nr_pcp); /* 6 */
	return 0;
}

/* The frames after the first of a block: free, and handed out (slabs mark theirs). */
static int check_tails(const struct mm_system *sys, pfn_t pfn, unsigned int order,
		       uint32_t flags)
{
	for (pfn_t i = 1; i < 1u << order; i++) {
		CHECK(page_of(sys, pfn + i)->refs == 0); /* 1, 8 */
		CHECK((page_of(sys, pfn + i)->flags & ~flags) == 0);
	}
	return 0;
}

static int check_free_block(const struct mm_system *sys, const struct zone *zone, pfn_t pfn,
			    unsigned int order)
{
	pfn_t buddy = pfn ^ (1u << order);
	const struct page *other = page_of(sys, buddy);

	CHECK(page_of(sys, pfn)->refs == 0);	 /* 1 */
	CHECK((pfn & ((1u << order) - 1)) == 0); /* 2 */
	CHECK(pfn + (1u << order) <= zone->end); /* 2 */
	if (order < BUDDY_ORDER_MAX && buddy >= zone->start && buddy < zone->end)
		CHECK(!page_has(other, PG_buddy) || other->order != order); /* 3 */
	return check_tails(sys, pfn, order, 0);
}

/* The block at pfn. *ret_order: how far it is to the next one. */
static int check_block(const struct mm_system *sys, const struct zone *zone, pfn_t pfn,
		       struct zone_census *census, unsigned int *ret_order)
{
	const struct page *page = page_of(sys, pfn);

	*ret_order = 0;
	if (page_has(page, PG_reserved))
		return 0;
	if (page_has(page, PG_pcp)) {
		CHECK(page->refs == 0); /* 6 */
		census->nr_pcp++;
		census->managed++;
		return 0;
	}
	*ret_order = page_has(page, PG_buddy) ? page->order : page_block_order(page);
	CHECK(*ret_order <= BUDDY_ORDER_MAX);
	census->managed += 1u << *ret_order;
	if (page_has(page, PG_buddy)) {
		census->nr_blocks[*ret_order]++;
		return check_free_block(sys, zone, pfn, *ret_order);
	}
	CHECK(page->refs > 0 || page_has(page, PG_dead)); /* 8 */
	CHECK(pfn + (1u << *ret_order) <= zone->end);
	return check_tails(sys, pfn, *ret_order, PG_slab_tail);
}

static int check_zone(const struct mm_system *sys, const struct zone *zone)
{
	struct zone_census census = {0};
	uint64_t nr_free = 0;
	unsigned int order;
	int err;

	for (pfn_t pfn = zone->start; pfn < zone->end; pfn += 1u << order) {
		err = check_block(sys, zone, pfn, &census, &order);
		if (err)
			return err;
	}
	CHECK(census.managed == zone->managed); /* 9 */
	for (order = 0; order < BUDDY_NR_ORDERS; order++) {
		err = check_free_area(sys, zone, order, &census);
		if (err)
			return err;
		nr_free += (uint64_t)zone->free_area[order].nr << order;
	}
	CHECK(nr_free == zone->nr_free); /* 5 */
	return check_pcps(sys, zone, &census);
}

/**
 * zone_check() - walk every invariant of frames, free lists and per-CPU lists.
 *
 * Return: 0, or -EUCLEAN after a line on the log that says which is broken.
 * Context: mm_system.lock held.
 */
int zone_check(struct mm_system *sys)
{
	for (unsigned int i = 0; i < sys->nr_zones; i++) {
		int err = check_zone(sys, &sys->zones[i]);

		if (err)
			return err;
	}
	CHECK(sys->vmstat[MM_VMSTAT_nr_free_pages] == zones_free_pages(sys)); /* 5 */
	return 0;
}
