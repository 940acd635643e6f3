/* SPDX-License-Identifier: MIT */
/*
 * Pages of a program that are larger than 4 KiB (Linux's transparent huge pages and large
 * folios).
 *
 * Such a page is an aligned block of frames, as page_alloc() hands it out: the first frame's
 * struct page stands for all, says the order (page_block_order()), is on the policy's lists and
 * counts there as that many pages; the others have refs 0 and no flags. It is mapped whole, or
 * not at all: 2 MiB by one entry of a PMD, 64 KiB by sixteen neighbouring PTEs. It is
 * exclusive, dirty, and never in the swap cache.
 *
 * As soon as a part of it is to be treated by itself (unmapped, protected, moved, advised), or
 * it is to be swapped out, it is split into single pages: first its translation is taken from
 * the machine, then, in one go under sys->lock, the entries become those of single pages, IDLE
 * each, and the frames pages of their own. The leaf table for that was deposited when the page
 * was mapped, so the second half cannot fail. Linux can keep a large page whose PMD entry is
 * split; here both go together, and what is unmapped is free at once, so there is nothing to
 * defer (its deferred split queue).
 *
 *   PMD [ 2 MiB, PS ]     machine: gone      PMD ──► deposited table
 *   LRU: first frame  ─► IDLE ────────────►  [ IDLE | IDLE | … 512 ]   LRU: 512 frames
 *
 * Invariants, walked by huge_check():
 *  1. mm->nr_huge counts larger pages with an entry: of all kinds, 64 KiB as one.
 *  2. A larger page lies in one area.
 *  3. The sixteen entries of 64 KiB are alike but for the frame, which is in order, aligned.
 *  4. A program's larger page has PG_anon and PG_dirty, mm and index of its entry, and is not
 *     in the swap cache, nor is it written.
 */
#include "mm/hugetlb.h"

#include "base/assert.h"
#include "mm/reclaim.h"

#define NR_CONT huge_nr_pages(HUGE_ORDER_64K)

static vaddr_t order_align(vaddr_t va, unsigned int order)
{
	return align_down(va, PAGE_SIZE << order);
}

/**
 * huge_find() - the larger page that an address lies in.
 *
 * Return: false where there is none: nothing, or single pages.
 * Context: sys->lock held.
 */
bool huge_find(struct mm *mm, vaddr_t va, struct huge_leaf *ret_leaf)
{
	unsigned int level, order;
	pte_t *entry;

	if (mm->nr_huge == 0)
		return false;
	entry = pgtable_leaf(mm, va, &level);
	if (!entry || (level == 0 && !(pte_is_resident(*entry) && *entry & PTE_CONT)))
		return false;
	order = level ? 9 * level : HUGE_ORDER_64K;
	*ret_leaf = (struct huge_leaf){mm, order_align(va, order), entry, order};
	if (level == 0)
		ret_leaf->entry -= (va - ret_leaf->va) >> PAGE_SHIFT;
	return true;
}

/**
 * huge_next() - the first larger page that has a part in a range.
 *
 * Return: false where there is none.
 * Context: sys->lock held.
 */
bool huge_next(struct mm *mm, struct mm_range range, struct huge_leaf *ret_leaf)
{
	vaddr_t va = range.start;

	while (mm->nr_huge > 0 && va < range.end) {
		unsigned int level;

		if (huge_find(mm, va, ret_leaf))
			return true;
		if (pgtable_leaf(mm, va, &level))
			va = order_align(va, HUGE_ORDER_64K) + NR_CONT * PAGE_SIZE;
		else
			va = order_align(va, 9 * level) + (PAGE_SIZE << 9 * level);
	}
	return false;
}

struct page *huge_leaf_page(const struct huge_leaf *leaf)
{
	return page_of(leaf->mm->sys, pte_pfn(*leaf->entry));
}

/* pte 0: unmaps. Otherwise of the first frame; the other entries follow from it. */
void huge_set(const struct huge_leaf *leaf, pte_t pte)
{
	pfn_t nr = leaf->order == HUGE_ORDER_64K ? NR_CONT : 1;
	bool was_mapped = !pte_is_none(*leaf->entry);

	for (pte_t i = 0; i < nr; i++)
		pte_set(leaf->mm, leaf->entry + i, pte ? pte + (i << PTE_PFN_SHIFT) : 0);
	leaf->mm->nr_huge += (uint64_t)(pte != 0) - (uint64_t)was_mapped;
}

pte_t *huge_page_entry(const struct page *page)
{
	unsigned int level;
	pte_t *entry = pgtable_leaf(page->mm, page->index << PAGE_SHIFT, &level);

	MM_ASSERT(entry && *entry & (PTE_PS | PTE_CONT));
	return entry;
}

static void page_attach(struct mm *mm, struct page *page, vaddr_t va)
{
	unsigned int order = page_block_order(page);

	page->flags |= PG_anon | PG_dirty;
	page->mm = mm;
	page->index = va >> PAGE_SHIFT;
	page->mapcount = 1;
	page->refs = 1;
	mm->nr_resident += huge_nr_pages(order);
	STAT(mm->sys, nr_anon_pages, huge_nr_pages(order));
	STAT(mm->sys, nr_anon_transparent_hugepages, order == HUGE_ORDER_2M);
}

/**
 * huge_leaf_make() - a fresh larger page is mapped, IDLE.
 * @leaf: its entries are NONE; of 2 MiB it has a deposit.
 * @page: the first frame of a block as page_alloc() has given it out.
 */
void huge_leaf_make(const struct huge_leaf *leaf, struct page *page)
{
	pte_t size = leaf->order == HUGE_ORDER_64K ? PTE_CONT : PTE_PS;
	struct mm_system *sys = leaf->mm->sys;

	page_attach(leaf->mm, page, leaf->va);
	huge_set(leaf, pte_make(page_pfn(sys, page), PTE_IDLE | size));
	sys->nr_touched += huge_nr_pages(leaf->order);
	if (sys->nr_touched > sys->vmstat[MM_VMSTAT_nr_touched_peak])
		sys->vmstat[MM_VMSTAT_nr_touched_peak] = sys->nr_touched;
}

/* What it is counted as goes over to its single pages, or away. */
static void page_uncount(struct mm *mm, struct page *page)
{
	unsigned int order = page_block_order(page);

	mm->nr_resident -= huge_nr_pages(order);
	STAT(mm->sys, nr_anon_pages, -(int64_t)huge_nr_pages(order));
	STAT(mm->sys, nr_anon_transparent_hugepages, -(int64_t)(order == HUGE_ORDER_2M));
	page->mm = NULL;
	page->mapcount = 0;
	page->refs = 0;
}

/* Its content goes. The machine holds no translation. */
static void leaf_zap(const struct huge_leaf *leaf)
{
	struct mm_system *sys = leaf->mm->sys;
	struct page *page = huge_leaf_page(leaf);

	if (!page_has(page, PG_anon)) {
		hugetlb_zap(leaf);
		return;
	}
	huge_set(leaf, 0);
	if (leaf->order == HUGE_ORDER_2M)
		pgtable_undeposit(leaf->mm, leaf->entry);
	sys->nr_touched -= huge_nr_pages(leaf->order);
	page_uncount(leaf->mm, page);
	anon_page_put(sys, page);
}

/* Takes the translation away. Return: 0 or the machine's -errno. Unlocks. */
static int leaf_idle(const struct huge_leaf *leaf, uint32_t batch_flags)
{
	struct machine_change change = {.va = leaf->va,
					.old_pte = *leaf->entry,
					.new_pte = pte_idle(*leaf->entry),
					.order = leaf->order};
	struct machine_batch batch = {.changes = &change, .nr = 1, .flags = batch_flags};
	int err;

	if (!pte_is_present(*leaf->entry))
		return 0;
	err = mm_machine_apply(leaf->mm, &batch);
	if (!err)
		huge_set(leaf, change.new_pte);
	return err;
}

/* The frames become pages of their own, but are not on the policy's lists yet. */
static void frames_part(struct mm *mm, struct page *page, unsigned int order)
{
	uint32_t flags = page->flags & ((1u << PAGE_ORDER_SHIFT) - 1);
	uint64_t index = page->index;

	page_uncount(mm, page);
	page->flags = flags;
	for (pfn_t i = 0; i < huge_nr_pages(order); i++) {
		struct page *part = page + i;

		if (i > 0) {
			part->flags = flags & ~(uint32_t)PG_isolated;
			part->refs = 0;
			part->owner = 0;
			part->next = part->prev = PFN_NONE;
			part->slot_and_mapcount = 0;
		}
		anon_page_attach(mm, part, (index + i) << PAGE_SHIFT);
	}
}

/*
 * The single pages take the place of the large one on the policy's lists. What reclaim has
 * isolated goes on to reclaim, the others are the next that it will meet.
 */
static void frames_insert(struct mm_system *sys, struct page *page, unsigned int order)
{
	bool is_isolated = page_has(page, PG_isolated);

	for (pfn_t i = 0; i < huge_nr_pages(order); i++) {
		struct page *part = page + i;

		if (page_has(part, PG_isolated))
			continue;
		sys->policy_ops->insert(sys->policy, part);
		if (is_isolated)
			sys->policy_ops->deactivate(sys->policy, part);
	}
}

/* The leaf is IDLE and its page not busy. */
static void leaf_split(const struct huge_leaf *leaf)
{
	struct mm_system *sys = leaf->mm->sys;
	struct page *page = huge_leaf_page(leaf);
	pfn_t pfn = page_pfn(sys, page);
	pte_t *entries = leaf->entry;

	MM_ASSERT(pte_is_idle(*leaf->entry) && page_has(page, PG_anon));
	MM_ASSERT(!anon_page_is_busy(page));
	if (page_has(page, PG_lru)) {
		uint32_t state = page->flags & (PG_active | PG_referenced | PG_workingset);

		sys->policy_ops->remove(sys->policy, page);
		page->flags |= state;
	}
	if (leaf->order == HUGE_ORDER_2M) {
		entries = pgtable_huge_split(leaf->mm, leaf->entry);
		STAT(sys, thp_split_pmd, 1);
		STAT(sys, thp_split_page, 1);
	}
	leaf->mm->nr_huge--;
	for (pfn_t i = 0; i < huge_nr_pages(leaf->order); i++)
		pte_set(leaf->mm, entries + i, pte_make(pfn + i, PTE_IDLE));
	frames_part(leaf->mm, page, leaf->order);
	frames_insert(sys, page, leaf->order);
}

/**
 * huge_split_page() - a larger page becomes single ones (Linux's split_huge_page()).
 * @page: mapped, not translated, not busy; on the policy's lists, or isolated: then its first
 * frame stays isolated.
 *
 * Context: sys->lock held; no writer but the caller has the mm.
 */
void huge_split_page(struct mm_system *sys, struct page *page)
{
	struct huge_leaf leaf = {page->mm, page->index << PAGE_SHIFT, huge_page_entry(page),
				 page_block_order(page)};

	(void)sys;
	leaf_split(&leaf);
}

enum partial { PARTIAL_KEEP, PARTIAL_SPLIT };

static bool is_anon_leaf(const struct huge_leaf *leaf)
{
	return page_has(huge_leaf_page(leaf), PG_anon);
}

static bool covers(struct mm_range range, const struct huge_leaf *leaf)
{
	struct mm_range at = huge_leaf_range(leaf);

	return range.start <= at.start && at.end <= range.end;
}

/* The content may go with the translation, unless it is a pool's and others have it too. */
static uint32_t discard_flag(const struct huge_leaf *leaf)
{
	return huge_leaf_page(leaf)->refs == 1 ? MACHINE_DISCARD : 0;
}

/* Splits one; a hugetlb page cannot be, and no caller cuts one. Unlocks. */
static int leaf_idle_and_split(const struct huge_leaf *leaf)
{
	int err = leaf_idle(leaf, 0);

	if (!err)
		leaf_split(leaf);
	return err;
}

/**
 * huge_zap_range() - throw the content of larger pages in a range away.
 *
 * Those that it cuts are split, and left for the caller.
 *
 * Return: 0, or the machine's -errno; then a part at the front of the range may be done.
 * Context: sys->lock held, dropped and retaken; mm write-locked.
 */
int huge_zap_range(struct mm *mm, struct mm_range range)
{
	struct mm_range left = range;
	struct huge_leaf leaf;
	int err = 0;

	while (!err && huge_next(mm, left, &leaf)) {
		if (!covers(range, &leaf)) {
			err = leaf_idle_and_split(&leaf);
		} else {
			err = leaf_idle(&leaf, discard_flag(&leaf));
			if (!err)
				leaf_zap(&leaf);
		}
		left.start = huge_leaf_range(&leaf).end;
	}
	return err;
}

/**
 * huge_idle_range() - take the translations of larger pages in a range away.
 *
 * Those that it cuts are split.
 *
 * Return, Context: as huge_zap_range().
 */
int huge_idle_range(struct mm *mm, struct mm_range range)
{
	struct mm_range left = range;
	struct huge_leaf leaf;
	int err = 0;

	while (!err && huge_next(mm, left, &leaf)) {
		if (covers(range, &leaf))
			err = leaf_idle(&leaf, 0);
		else
			err = leaf_idle_and_split(&leaf);
		left.start = huge_leaf_range(&leaf).end;
	}
	return err;
}

/**
 * huge_split_range() - have single pages only in a range, but for hugetlb pages.
 *
 * Return, Context: as huge_zap_range().
 */
int huge_split_range(struct mm *mm, struct mm_range range)
{
	struct huge_leaf leaf;
	int err = 0;

	while (!err && huge_next(mm, range, &leaf)) {
		if (is_anon_leaf(&leaf))
			err = leaf_idle_and_split(&leaf);
		range.start = huge_leaf_range(&leaf).end;
	}
	return err;
}

bool huge_is_cut(struct mm *mm, vaddr_t at)
{
	struct huge_leaf leaf;

	return huge_find(mm, at, &leaf) && leaf.va < at;
}

static int split_at(struct mm *mm, vaddr_t at)
{
	struct huge_leaf leaf;

	if (!huge_is_cut(mm, at))
		return 0;
	huge_find(mm, at, &leaf);
	return leaf_idle_and_split(&leaf);
}

/**
 * huge_split_cuts() - no larger page goes over either end of a range.
 *
 * Before an area is cut there.
 *
 * Return: 0 or the machine's -errno.
 * Context: sys->lock held, dropped and retaken; mm write-locked.
 */
int huge_split_cuts(struct mm *mm, struct mm_range range)
{
	int err = split_at(mm, range.start);

	return err ? err : split_at(mm, range.end);
}

/**
 * huge_zap_all() - the address space ends, and with it what the machine may still hold.
 *
 * Context: sys->lock held; nobody else uses mm.
 */
void huge_zap_all(struct mm *mm)
{
	struct mm_range all = {mm->window_start, mm->window_end};
	struct huge_leaf leaf;

	while (huge_next(mm, all, &leaf)) {
		leaf_zap(&leaf);
		all.start = huge_leaf_range(&leaf).end;
	}
}

/* Below 512 MiB of RAM transparent huge pages are off (Linux: hugepage_init()). */
#define THP_RAM_MIN ((pfn_t)(512ull << 20 >> PAGE_SHIFT))

/*
 * So that blocks are left when programs need one, min_free_kbytes is raised where transparent
 * huge pages are on: two blocks and nine more a zone, 5% of RAM at most (Linux:
 * set_recommended_min_free_kbytes(); nine is its kinds of mobility squared).
 */
#define BLOCKS_A_ZONE (2 + 9)
#define RAM_PARTS     20

/**
 * huge_init() - whether transparent huge pages are on, and min_free_kbytes.
 *
 * Context: boot; zones have their frames, sys->cfg.min_free_kbytes is set.
 */
void huge_init(struct mm_system *sys)
{
	uint64_t blocks = (uint64_t)BLOCKS_A_ZONE * sys->nr_zones;
	uint64_t pages = blocks << HUGE_ORDER_2M, kbytes;

	if (sys->cfg.thp == MM_THP_DEFAULT)
		sys->cfg.thp = sys->nr_frames < THP_RAM_MIN ? MM_THP_NEVER : MM_THP_ALWAYS;
	if (sys->cfg.thp == MM_THP_NEVER || !(sys->machine->ops->caps & MACHINE_HUGE_2M))
		return;
	pages = min_u64(pages, zones_free_pages(sys) / RAM_PARTS);
	kbytes = pages << (PAGE_SHIFT - 10);
	sys->cfg.min_free_kbytes = max_u64(sys->cfg.min_free_kbytes, kbytes);
}

/* 3 */
static int check_cont(const struct huge_leaf *leaf)
{
	CHECK((pte_pfn(*leaf->entry) & (NR_CONT - 1)) == 0);
	for (pte_t i = 1; i < NR_CONT; i++)
		CHECK(leaf->entry[i] == *leaf->entry + (i << PTE_PFN_SHIFT));
	return 0;
}

static int check_leaf(const struct huge_leaf *leaf)
{
	const struct vma *vma = vma_find(leaf->mm, leaf->va);
	const struct page *page = huge_leaf_page(leaf);

	CHECK(vma && vma->end >= huge_leaf_range(leaf).end); /* 2 */
	if (leaf->order == HUGE_ORDER_64K)
		CHECK(check_cont(leaf) == 0);
	if (!page_has(page, PG_anon))
		return hugetlb_check_leaf(leaf, vma);
	CHECK(page_block_order(page) == leaf->order);
	CHECK(page->mm == leaf->mm && page->index == leaf->va >> PAGE_SHIFT); /* 4 */
	CHECK(page->mapcount == 1 && !page_has(page, PG_shared));	      /* 4 */
	CHECK(page_has(page, PG_dirty));				      /* 4 */
	CHECK(!page_has(page, PG_swapcache | PG_writeback | PG_lazyfree));    /* 4 */
	return 0;
}

/**
 * huge_check() - invariants 1 to 4.
 * @ret_nr_resident: pages of programs that larger pages hold are added to it.
 *
 * Return: 0 or -EUCLEAN.
 * Context: sys->lock held.
 */
int huge_check(struct mm *mm, uint64_t *nr_resident)
{
	struct mm_range all = {mm->window_start, mm->window_end};
	struct huge_leaf leaf;
	uint64_t nr = 0;

	for (; huge_next(mm, all, &leaf); all.start = huge_leaf_range(&leaf).end) {
		CHECK(check_leaf(&leaf) == 0);
		*nr_resident += is_anon_leaf(&leaf) ? huge_nr_pages(leaf.order) : 0;
		nr++;
	}
	CHECK(nr == mm->nr_huge); /* 1 */
	return 0;
}
