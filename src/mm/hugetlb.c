/* SPDX-License-Identifier: MIT */
/*
 * The pools of huge pages (Linux's mm/hugetlb.c).
 *
 * A pool's pages are taken from the buddy system when vm.nr_hugepages is set, and serve nothing
 * but areas of MAP_HUGETLB: they are not swapped, not split, and on no list of the policy. An
 * area reserves a page for each of its slots when it is made, or cannot be made; so a touch
 * never fails for want of a page, unless the program has asked for that (MAP_NORESERVE). What
 * fork does to a promise is told in mm/hugetlb_cow.c.
 *
 * vm.nr_overcommit_hugepages allows the pool to grow when it cannot promise enough. What it
 * grows by is surplus, and goes back to the buddy system as soon as nobody has or reserves it.
 * A pool that is made smaller keeps pages in use as surplus, too.
 *
 *   nr_total = free + in use;   asked for by vm.nr_hugepages: nr_total - nr_surplus
 *
 * A page is a block of the buddy system, KERNEL in its first frame (mm/page.h), linked there;
 * of 1 GiB, 256 blocks of 4 MiB side by side.
 *
 * Invariants, walked by hugetlb_check():
 *  1. ->free holds pages that nobody maps; nr_total is these and those that are mapped.
 *  2. nr_reserved <= free: each promise can be kept.
 *  3. nr_reserved is the sum of what areas are promised, and nr_pending for areas that are not
 *     in the tree yet.
 *  4. nr_surplus <= nr_total.
 *  5. An area is promised no more pages than it has slots without one; one that does not
 *     reserve, none.
 */
#include "mm/hugetlb.h"

#include <errno.h>

#include "base/assert.h"
#include "mm/buddy.h"
#include "mm/fault.h"

#define GIANT_BLOCKS ((pfn_t)1 << (HUGE_ORDER_1G - BUDDY_ORDER_MAX))
#define BLOCK_FRAMES ((pfn_t)1 << BUDDY_ORDER_MAX)

static uint64_t nr_persistent(const struct hugetlb_pool *pool)
{
	return pool->nr_total - pool->nr_surplus;
}

/* Is it free, whole? */
static bool giant_is_free(const struct mm_system *sys, pfn_t pfn)
{
	for (pfn_t i = 0; i < GIANT_BLOCKS; i++) {
		const struct page *page = page_of(sys, pfn + i * BLOCK_FRAMES);

		if (!page_has(page, PG_buddy) || page->order != BUDDY_ORDER_MAX)
			return false;
	}
	return true;
}

static void giant_take(struct mm_system *sys, struct zone *zone, pfn_t pfn)
{
	for (pfn_t i = 0; i < GIANT_BLOCKS; i++) {
		buddy_take_block(sys, zone, pfn + i * BLOCK_FRAMES);
		page_prepare(sys, pfn + i * BLOCK_FRAMES, BUDDY_ORDER_MAX);
	}
}

/* The first free aligned 1 GiB (Linux's alloc_contig_pages()); GFP_USER's floor is kept. */
static int giant_alloc(struct mm_system *sys, struct page **ret_page)
{
	for (unsigned int z = 0; z < sys->nr_zones; z++) {
		struct zone *zone = &sys->zones[z];
		pfn_t size = huge_nr_pages(HUGE_ORDER_1G);

		if (zone->nr_free < zone->floor[GFP_USER] + size)
			continue;
		for (pfn_t pfn = (zone->start + size - 1) & ~(size - 1);
		     pfn + size <= zone->end; pfn += size) {
			if (!giant_is_free(sys, pfn))
				continue;
			giant_take(sys, zone, pfn);
			*ret_page = page_of(sys, pfn);
			return 0;
		}
	}
	return -ENOMEM;
}

/* Takes it from the buddy system into the pool. */
static int pool_grow(struct mm_system *sys, struct hugetlb_pool *pool)
{
	struct page *page;
	int err;

	if (pool->order == HUGE_ORDER_1G)
		err = alloc_fails_for_test(sys) ? -ENOMEM : giant_alloc(sys, &page);
	else
		err = page_alloc(sys, pool->order, GFP_USER, &page);
	if (err)
		return err;
	page_list_add_head(sys->mem_map, &pool->free, page_pfn(sys, page));
	pool->nr_total++;
	return 0;
}

/* ... and back. */
static void pool_shrink(struct mm_system *sys, struct hugetlb_pool *pool)
{
	pfn_t pfn = page_list_pop(sys->mem_map, &pool->free);

	MM_ASSERT(pfn != PFN_NONE);
	pool->nr_total--;
	if (pool->order != HUGE_ORDER_1G) {
		page_free(sys, page_of(sys, pfn), pool->order);
		return;
	}
	for (pfn_t i = 0; i < GIANT_BLOCKS; i++)
		page_free(sys, page_of(sys, pfn + i * BLOCK_FRAMES), BUDDY_ORDER_MAX);
}

static uint64_t nr_unpromised(const struct hugetlb_pool *pool)
{
	return pool->free.nr - pool->nr_reserved;
}

/* Surplus that nobody has or reserves goes. */
static void pool_trim(struct mm_system *sys, struct hugetlb_pool *pool)
{
	while (pool->nr_surplus > 0 && nr_unpromised(pool) > 0) {
		pool_shrink(sys, pool);
		pool->nr_surplus--;
	}
}

/* Linux's set_max_huge_pages(). Return: what it has come to. */
static uint64_t pool_resize(struct mm_system *sys, struct hugetlb_pool *pool, uint64_t want)
{
	while (pool->nr_surplus > 0 && nr_persistent(pool) < want)
		pool->nr_surplus--;
	while (nr_persistent(pool) < want && pool_grow(sys, pool) == 0)
		;
	while (nr_persistent(pool) > want && nr_unpromised(pool) > 0)
		pool_shrink(sys, pool);
	while (nr_persistent(pool) > want)
		pool->nr_surplus++;
	return nr_persistent(pool);
}

static bool pool_has_machine(const struct mm_system *sys, const struct hugetlb_pool *pool)
{
	uint32_t cap = pool->order == HUGE_ORDER_1G ? MACHINE_HUGE_1G : MACHINE_HUGE_2M;

	return (sys->machine->ops->caps & cap) != 0;
}

/**
 * hugetlb_resize() - make the pools as large as sys->cfg says.
 *
 * As far as blocks are free, and pages are not in use or reserved; sys->cfg says then what they
 * have come to, as vm.nr_hugepages does in Linux.
 *
 * Context: sys->lock held.
 */
void hugetlb_resize(struct mm_system *sys)
{
	uint32_t *wants[HUGETLB_POOLS] = {&sys->cfg.nr_hugepages, &sys->cfg.nr_hugepages_1g};

	for (unsigned int i = 0; i < HUGETLB_POOLS; i++) {
		struct hugetlb_pool *pool = &sys->hugetlb[i];
		uint64_t want = pool_has_machine(sys, pool) ? *wants[i] : 0;

		*wants[i] = (uint32_t)pool_resize(sys, pool, want);
	}
}

/**
 * hugetlb_init() - the pools at boot.
 *
 * Context: zones have their frames.
 */
void hugetlb_init(struct mm_system *sys)
{
	for (unsigned int i = 0; i < HUGETLB_POOLS; i++) {
		sys->hugetlb[i].order = i ? HUGE_ORDER_1G : HUGE_ORDER_2M;
		page_list_init(&sys->hugetlb[i].free);
	}
	hugetlb_resize(sys);
}

/* Frames of all pools: nobody else can have them. */
uint64_t hugetlb_ram_pages(const struct mm_system *sys)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < HUGETLB_POOLS; i++)
		sum += sys->hugetlb[i].nr_total << sys->hugetlb[i].order;
	return sum;
}

/* Linux allows surplus for the size that vm.nr_hugepages is about. */
static uint64_t surplus_max(const struct mm_system *sys, const struct hugetlb_pool *pool)
{
	return pool->order == HUGE_ORDER_2M ? sys->tune.nr_overcommit_hugepages : 0;
}

static int pool_grow_surplus(struct mm_system *sys, struct hugetlb_pool *pool)
{
	if (pool->nr_surplus >= surplus_max(sys, pool))
		return -ENOMEM;
	if (pool_grow(sys, pool))
		return -ENOMEM;
	pool->nr_surplus++;
	return 0;
}

/**
 * hugetlb_reserve() - promise pages to an area.
 *
 * Return: 0, or -ENOMEM: neither the pool nor surplus has so many; then nothing is changed.
 */
int hugetlb_reserve(struct mm_system *sys, struct hugetlb_pool *pool, uint64_t nr)
{
	while (nr_unpromised(pool) < nr) {
		if (pool_grow_surplus(sys, pool)) {
			pool_trim(sys, pool);
			return -ENOMEM;
		}
	}
	pool->nr_reserved += nr;
	return 0;
}

void hugetlb_unreserve(struct mm_system *sys, struct hugetlb_pool *pool, uint64_t nr)
{
	MM_ASSERT(pool->nr_reserved >= nr);
	pool->nr_reserved -= nr;
	pool_trim(sys, pool);
}

static struct page *pool_pop(struct mm_system *sys, struct hugetlb_pool *pool)
{
	return page_of(sys, page_list_pop(sys->mem_map, &pool->free));
}

/**
 * hugetlb_page_get_extra() - a page that is promised to nobody.
 * @ret_page: its first frame; the content is undefined.
 *
 * Return: 0, or -ENOMEM: none is left.
 */
int hugetlb_page_get_extra(struct mm_system *sys, struct hugetlb_pool *pool,
			   struct page **ret_page)
{
	if (nr_unpromised(pool) == 0 && pool_grow_surplus(sys, pool))
		return -ENOMEM;
	*ret_page = pool_pop(sys, pool);
	return 0;
}

/**
 * hugetlb_page_get() - a page for a slot of an area that has none: a promise is kept, if the
 * area has one left.
 *
 * Return: as hugetlb_page_get_extra().
 */
int hugetlb_page_get(struct mm_system *sys, struct vma *vma, struct page **ret_page)
{
	struct hugetlb_pool *pool = hugetlb_pool_of(sys, hugetlb_vma_order(vma));

	if (vma->nr_promised == 0)
		return hugetlb_page_get_extra(sys, pool, ret_page);
	vma->nr_promised--;
	pool->nr_reserved--;
	*ret_page = pool_pop(sys, pool);
	return 0;
}

/* One name less. Return: true if it was the last, and the page is back in the pool. */
static bool page_unref(struct mm_system *sys, struct hugetlb_pool *pool, struct page *page)
{
	MM_ASSERT(page->refs > 0);
	if (page->refs > 1) {
		page->refs--;
		return false;
	}
	page_list_add_head(sys->mem_map, &pool->free, page_pfn(sys, page));
	return true;
}

/* The opposite of hugetlb_page_get_extra(); or an area has another page in its place. */
void hugetlb_page_put_extra(struct mm_system *sys, struct hugetlb_pool *pool, struct page *page)
{
	if (page_unref(sys, pool, page))
		pool_trim(sys, pool);
}

/**
 * hugetlb_page_put() - a slot has no page any more.
 *
 * If nobody else has it the promise that it kept is made anew; otherwise that is spent.
 */
void hugetlb_page_put(struct mm_system *sys, struct vma *vma, struct page *page)
{
	struct hugetlb_pool *pool = hugetlb_pool_of(sys, hugetlb_vma_order(vma));

	if (!page_unref(sys, pool, page))
		return;
	if (hugetlb_is_reserved(vma)) {
		vma->nr_promised++;
		pool->nr_reserved++;
	}
	pool_trim(sys, pool);
}

/**
 * mm_hugetlb_get() - Linux's HugePages_Total, _Free, _Rsvd, _Surp.
 * @order: 9: 2 MiB; 18: 1 GiB.
 *
 * Return: 0, or -EINVAL for another order.
 * Context: takes sys->lock.
 */
int mm_hugetlb_get(struct mm_system *sys, unsigned int order, struct mm_hugetlb *ret_pool)
{
	const struct hugetlb_pool *pool = hugetlb_pool_of(sys, order);

	if (order != HUGE_ORDER_2M && order != HUGE_ORDER_1G)
		return -EINVAL;
	sys_lock(sys);
	*ret_pool = (struct mm_hugetlb){.total = pool->nr_total,
					.free = pool->free.nr,
					.reserved = pool->nr_reserved,
					.surplus = pool->nr_surplus};
	sys_unlock(sys);
	return 0;
}

static bool maps(struct mm *mm, vaddr_t va, const struct page *page)
{
	struct huge_leaf leaf;

	return huge_find(mm, va, &leaf) && huge_leaf_page(&leaf) == page;
}

/* How many address spaces map it: fork leaves it at its address. */
static uint32_t nr_mappers(struct mm_system *sys, vaddr_t va, const struct page *page)
{
	uint32_t nr = 0;
	struct mm *mm;

	list_for_each_entry (mm, &sys->mms, node)
		nr += maps(mm, va, page);
	return nr;
}

static bool is_first_mapper(const struct huge_leaf *leaf)
{
	const struct page *page = huge_leaf_page(leaf);
	struct mm *mm;

	list_for_each_entry (mm, &leaf->mm->sys->mms, node)
		if (maps(mm, leaf->va, page))
			return mm == leaf->mm;
	return false;
}

/* Of a page that is no program's: it is in an area of its pool, and counts who maps it. */
int hugetlb_check_leaf(const struct huge_leaf *leaf, const struct vma *vma)
{
	const struct page *page = huge_leaf_page(leaf);

	CHECK(vma->flags & VMA_HUGETLB && hugetlb_vma_order(vma) == leaf->order);
	CHECK(page->refs == nr_mappers(leaf->mm->sys, leaf->va, page));
	CHECK(page->refs == 1 || !(*leaf->entry & PTE_WRITE));
	CHECK(!page_has(page, PG_lru | PG_isolated));
	return 0;
}

struct tally {
	uint64_t nr_mapped; /* pages: what is shared once */
	uint64_t nr_promised;
};

static int tally_area(struct mm *mm, const struct vma *vma, struct tally *tally)
{
	struct mm_range range = {vma->start, vma->end};
	uint64_t nr_empty = hugetlb_vma_slots(vma);
	struct huge_leaf leaf;

	for (; huge_next(mm, range, &leaf); range.start = leaf.va + (PAGE_SIZE << leaf.order)) {
		tally->nr_mapped += is_first_mapper(&leaf);
		nr_empty--;
	}
	tally->nr_promised += vma->nr_promised;
	CHECK(vma->nr_promised <= (hugetlb_is_reserved(vma) ? nr_empty : 0)); /* 5 */
	return 0;
}

static int check_pool(struct mm_system *sys, const struct hugetlb_pool *pool)
{
	struct tally tally = {0};
	struct mm *mm;

	list_for_each_entry (mm, &sys->mms, node)
		for (struct vma *vma = vma_find_first(mm, 0); vma; vma = vma_next(vma))
			if (vma->flags & VMA_HUGETLB && hugetlb_vma_order(vma) == pool->order)
				CHECK(tally_area(mm, vma, &tally) == 0);
	CHECK(pool->nr_total == pool->free.nr + tally.nr_mapped);	  /* 1 */
	CHECK(pool->nr_reserved <= pool->free.nr);			  /* 2 */
	CHECK(pool->nr_reserved == tally.nr_promised + pool->nr_pending); /* 3 */
	CHECK(pool->nr_surplus <= pool->nr_total);			  /* 4 */
	return 0;
}

/**
 * hugetlb_check() - invariants 1 to 5.
 *
 * Return: 0 or -EUCLEAN.
 * Context: sys->lock held.
 */
int hugetlb_check(struct mm_system *sys)
{
	for (unsigned int i = 0; i < HUGETLB_POOLS; i++)
		CHECK(check_pool(sys, &sys->hugetlb[i]) == 0);
	return 0;
}
