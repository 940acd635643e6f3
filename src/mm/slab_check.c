/* SPDX-License-Identifier: MIT */
/*
 * slab_check(): the invariants of slab.c, by their numbers there.
 */
#include "mm/slab_cache.h"

enum slab_state_name { SLAB_FULL, SLAB_PARTIAL, SLAB_FREE };

static enum slab_state_name state_of(const struct page *slab)
{
	if (slab->slab_inuse == 0)
		return SLAB_FREE;
	return slab->slab_inuse == slab->slab_objects ? SLAB_FULL : SLAB_PARTIAL;
}

static int check_frames(const struct mm_system *sys, const struct kmem_cache *cache,
			const struct page *slab)
{
	unsigned int order = page_block_order(slab);

	CHECK((slab->flags & ((1u << PAGE_ORDER_SHIFT) - 1)) == PG_slab);
	CHECK(slab->refs == 1);
	CHECK(slab->cache == cache);
	CHECK(slab->slab_order == order);
	CHECK(slab->slab_objects == (PAGE_SIZE << order) / cache->stride);
	for (pfn_t i = 1; i < 1u << order; i++) {
		CHECK(slab[i].flags == PG_slab_tail);
		CHECK(slab[i].index == page_pfn(sys, slab));
	}
	return 0;
}

static int check_chain(const struct mm_system *sys, const struct kmem_cache *cache,
		       const struct page *slab)
{
	char *base = page_addr(sys, slab);
	uint32_t nr = 0;

	CHECK(slab->slab_inuse <= slab->slab_objects);
	for (char *object = slab->freelist; object; object = *slab_link(cache, object)) {
		uint64_t offset = (uint64_t)(object - base);

		CHECK(nr < slab->slab_objects);
		CHECK(offset % cache->stride == 0);
		CHECK(offset / cache->stride < slab->slab_objects);
		nr++;
	}
	CHECK(nr + slab->slab_inuse == slab->slab_objects);
	return 0;
}

static int check_slab(const struct mm_system *sys, const struct kmem_cache *cache,
		      const struct page *slab, uint64_t *nr_frames)
{
	int err = check_frames(sys, cache, slab); /* 1 */

	if (err)
		return err;
	err = check_chain(sys, cache, slab); /* 2 */
	if (err)
		return err;
	*nr_frames += 1u << slab->slab_order;
	return MM_DEBUG ? slab_debug_check(sys, slab) : 0;
}

static int check_list(const struct mm_system *sys, const struct kmem_cache *cache,
		      const struct page_list *list, enum slab_state_name state,
		      uint64_t *nr_frames)
{
	pfn_t prev = PFN_NONE;
	uint32_t nr = 0;

	for (pfn_t pfn = list->head; pfn != PFN_NONE; pfn = page_of(sys, pfn)->next) {
		const struct page *slab = page_of(sys, pfn);
		int err;

		CHECK(nr < list->nr);
		CHECK(slab->prev == prev);
		CHECK(slab != cache->current); /* 3 */
		err = check_slab(sys, cache, slab, nr_frames);
		if (err)
			return err;
		CHECK(state_of(slab) == state); /* 3 */
		prev = pfn;
		nr++;
	}
	CHECK(list->nr == nr);
	CHECK(list->tail == prev);
	return 0;
}

static int check_cache(const struct mm_system *sys, const struct kmem_cache *cache,
		       uint64_t *nr_frames)
{
	int err = check_list(sys, cache, &cache->full, SLAB_FULL, nr_frames);

	if (!err)
		err = check_list(sys, cache, &cache->partial, SLAB_PARTIAL, nr_frames);
	if (!err)
		err = check_list(sys, cache, &cache->free, SLAB_FREE, nr_frames);
	if (!err && cache->current)
		err = check_slab(sys, cache, cache->current, nr_frames);
	if (err)
		return err;
	CHECK(cache->free.nr <= cache->keep_slabs); /* 4 */
	return 0;
}

static uint64_t count_slab_frames(const struct mm_system *sys, const struct zone *zone)
{
	uint64_t nr = 0;

	for (pfn_t pfn = zone->start; pfn < zone->end; pfn++)
		nr += page_has(page_of(sys, pfn), PG_slab | PG_slab_tail);
	return nr;
}

/**
 * slab_check() - walk every invariant of all caches; in debug builds red zones and poison too.
 *
 * Return: 0, or -EUCLEAN after a line on the log that says which is broken.
 * Context: mm_system.lock held.
 */
int slab_check(struct mm_system *sys)
{
	uint64_t nr_frames = 0, nr_flagged = 0;
	const struct kmem_cache *cache;

	list_for_each_entry (cache, &sys->slab->caches, node) {
		int err = check_cache(sys, cache, &nr_frames);

		if (err)
			return err;
	}
	for (unsigned int i = 0; i < sys->nr_zones; i++)
		nr_flagged += count_slab_frames(sys, &sys->zones[i]);
	CHECK(nr_flagged == nr_frames);						  /* 5 */
	CHECK(sys->vmstat[MM_VMSTAT_nr_slab] == nr_frames + sys->slab->nr_large); /* 5 */
	return 0;
}
