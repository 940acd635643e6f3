/* SPDX-License-Identifier: MIT */
/*
 * The way to a frame: watermarks, zones from the highest down, and for order 0 a list of the
 * running CPU in front of the buddy system (Linux mm/page_alloc.c).
 *
 * A per-CPU list is filled with a batch from the buddy system when it is empty, and gives a
 * batch back when it holds more than its high. Allocations and frees work on its head, where
 * the frames are that were used last; what goes back is taken from its tail. Frames of one
 * refill come out ascending, so that pages touched one after the other lie in neighbouring
 * frames and cost one machine op.
 *
 * Invariants, walked by zone_check() in mm/zone.c:
 *  6. A frame on a per-CPU list has PG_pcp and refs == 0, and only such frames have PG_pcp.
 *  7. A list holds at most its high frames.
 */
#include "mm/buddy.h"

static inline struct pcp *pcp_here(const struct mm_system *sys, const struct zone *zone)
{
	unsigned int cpu;

	if (!sys->cfg.cpu)
		return &zone->pcps[0];
	cpu = sys->cfg.cpu(sys->cfg.arg);
	MM_ASSERT(cpu < zone_nr_pcps(sys));
	return &zone->pcps[cpu];
}

static pfn_t pcp_take(struct mm_system *sys, struct zone *zone)
{
	struct pcp *pcp = pcp_here(sys, zone);

	if (pcp->list.nr == 0)
		buddy_take_bulk(sys, zone, pcp->batch, &pcp->list);
	return page_list_pop(sys->mem_map, &pcp->list);
}

/* The frames that were used longest ago go. */
static __attribute__((noinline)) void pcp_shrink(struct mm_system *sys, struct zone *zone,
						 struct pcp *pcp, uint32_t nr)
{
	for (; nr > 0; nr--) {
		pfn_t pfn = pcp->list.tail;

		page_list_del(sys->mem_map, &pcp->list, pfn);
		page_of(sys, pfn)->flags = 0;
		buddy_give(sys, zone, pfn, 0);
	}
}

static void pcp_give(struct mm_system *sys, struct zone *zone, pfn_t pfn)
{
	struct pcp *pcp = pcp_here(sys, zone);

	page_of(sys, pfn)->flags = PG_pcp;
	page_list_add_head(sys->mem_map, &pcp->list, pfn);
	if (pcp->list.nr > pcp->high)
		pcp_shrink(sys, zone, pcp, pcp->batch);
}

/**
 * pcp_drain() - give the frames on all per-CPU lists back to the buddy system.
 *
 * Watermarks count only what the buddy system has: who is about to give up for lack of memory
 * drains first.
 *
 * Context: mm_system.lock held.
 */
void pcp_drain(struct mm_system *sys)
{
	for (unsigned int i = 0; i < sys->nr_zones; i++) {
		struct zone *zone = &sys->zones[i];

		for (unsigned int cpu = 0; zone->pcps && cpu < zone_nr_pcps(sys); cpu++) {
			struct pcp *pcp = &zone->pcps[cpu];

			pcp_shrink(sys, zone, pcp, pcp->list.nr);
		}
	}
}

/**
 * zone_watermark_ok() - may a block leave the zone?
 * @mark: frames that must stay free, besides the zone's lowmem_reserve.
 *
 * Return: true if a block of that order is free and more than @mark frames stay (Linux's
 * __zone_watermark_ok()).
 * Context: mm_system.lock held.
 */
bool zone_watermark_ok(const struct zone *zone, unsigned int order, uint32_t mark)
{
	return zone->nr_free >= mark + zone->lowmem_reserve + (1u << order) &&
	       zone->free_orders >> order != 0;
}

static bool zone_allows(const struct zone *zone, unsigned int order, enum gfp gfp)
{
	return gfp == GFP_RECLAIM || zone->nr_free >= zone->floor[gfp] + (1u << order);
}

/* What nearly every request needs: the head of this CPU's list in the highest zone. */
static pfn_t take_hot(struct mm_system *sys, enum gfp gfp)
{
	struct zone *zone = &sys->zones[sys->nr_zones - 1];
	uint32_t floor = gfp == GFP_USER ? zone->floor_first : zone->floor[gfp];

	if (!zone->pcps || zone->nr_free < floor + 1)
		return PFN_NONE;
	return page_list_pop(sys->mem_map, &pcp_here(sys, zone)->list);
}

/* From the highest zone that keeps its low watermark, then from the highest that can. */
static pfn_t take_from_zones(struct mm_system *sys, unsigned int order, enum gfp gfp)
{
	unsigned int first =
		gfp == GFP_USER && sys->nr_zones > 1 ? 2 * sys->nr_zones : sys->nr_zones;

	for (unsigned int i = first; i-- > 0;) {
		struct zone *zone = &sys->zones[i % sys->nr_zones];
		bool is_first = i >= sys->nr_zones;
		pfn_t pfn;

		if (is_first ? zone->nr_free < zone->floor_first + (1u << order)
			     : !zone_allows(zone, order, gfp))
			continue;
		if (order == 0 && zone->pcps)
			pfn = pcp_take(sys, zone);
		else
			pfn = buddy_take(sys, zone, order);
		if (pfn != PFN_NONE)
			return pfn;
	}
	return PFN_NONE;
}

static __attribute__((noinline)) int page_alloc_slow(struct mm_system *sys, unsigned int order,
						     enum gfp gfp, struct page **ret_page)
{
	pfn_t pfn;

	if (sys->is_memalloc)
		gfp = GFP_RECLAIM;
	pfn = take_from_zones(sys, order, gfp);
	if (pfn == PFN_NONE && (order > 0 || gfp == GFP_RECLAIM)) {
		pcp_drain(sys);
		pfn = take_from_zones(sys, order, gfp);
	}
	if (pfn == PFN_NONE)
		return -ENOMEM;
	*ret_page = page_prepare(sys, pfn, order);
	return 0;
}

/* page_alloc(), but never failed by a test: what calls it has been counted itself. */
int page_alloc_uncounted(struct mm_system *sys, unsigned int order, enum gfp gfp,
			 struct page **ret_page)
{
	pfn_t pfn = order == 0 ? take_hot(sys, gfp) : PFN_NONE;

	MM_ASSERT(order <= BUDDY_ORDER_MAX);
	if (pfn == PFN_NONE)
		return page_alloc_slow(sys, order, gfp, ret_page);
	*ret_page = page_prepare(sys, pfn, 0);
	return 0;
}

/**
 * page_alloc() - a block of 1 << @order frames.
 * @order: 0..BUDDY_ORDER_MAX.
 * @gfp: how far down the watermarks it may go.
 * @ret_page: the block's first frame: refs 1, no flag but its order (page_block_order()),
 * owner, index and swap 0. The content is undefined.
 *
 * The highest zone that may give one does. Only a request that would fail for fragmentation, or
 * that may take the last frame, also empties the per-CPU lists; any other caller drains when
 * it has nothing better to reclaim.
 *
 * Return: 0, or -ENOMEM.
 * Context: mm_system.lock held.
 */
int page_alloc(struct mm_system *sys, unsigned int order, enum gfp gfp, struct page **ret_page)
{
	if (alloc_fails_for_test(sys))
		return -ENOMEM;
	return page_alloc_uncounted(sys, order, gfp, ret_page);
}

/**
 * page_free() - give back a block.
 * @page: its first frame, off every list, not under writeback, not in the swap cache; the
 * caller holds the last reference (refs == 1). What its other flags say is forgotten.
 * @order: as it was allocated; anything else, and a second free, aborts.
 *
 * Context: mm_system.lock held.
 */
void page_free(struct mm_system *sys, struct page *page, unsigned int order)
{
	pfn_t pfn = page_pfn(sys, page);
	struct zone *zone = zone_of_pfn(sys, pfn);

	if (order == 0 && zone->pcps) {
		page_retire(sys, page, 0);
		pcp_give(sys, zone, pfn);
	} else {
		page_retire(sys, page, order);
		buddy_give(sys, zone, pfn, order);
	}
}
