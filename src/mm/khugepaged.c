/* SPDX-License-Identifier: MIT */
/*
 * khugepaged: makes pages of 2 MiB out of single ones (Linux's mm/khugepaged.c).
 *
 * It goes through all address spaces in turn, 4096 entries every 10 s, and looks at each
 * aligned 2 MiB that an area which may have large pages holds whole. These become one page if
 * few enough of them are missing, in swap, or shared with another address space (max_ptes_none,
 * max_ptes_swap, max_ptes_shared), and if some are written and some in use.
 *
 * mm_step() calls it, one range a call. What it needs comes first, and each may end the attempt
 * with nothing changed:
 *
 *   write-lock the mm       somebody is in it: again with the next call
 *   read in what is in swap it waits for the I/O: again with the next call
 *   a block of order 9      none: it sleeps for 60 s
 *   translations away       the machine refuses: the pages stay IDLE
 *   is nobody at work       reclaim holds a page: left
 *   copy                    without sys->lock; nobody can touch or change the pages
 *   commit                  cannot fail: the table that they were in becomes the deposit
 *
 * 1. The cursor's mm is NULL or on sys->mms.
 */
#include <string.h>

#include "base/assert.h"
#include "mm/huge.h"
#include "mm/reclaim.h"

#define RANGE_PAGES PGTABLE_ENTRIES
#define RANGE_BYTES (RANGE_PAGES * PAGE_SIZE)
#define WAITS_MAX   64 /* calls with a range that is not ready, before it is left */
#define NS_PER_MS   1000000ull

enum collapse {
	COLLAPSE_DONE,	  /* or not worth it: go on */
	COLLAPSE_WAIT,	  /* again with the next call */
	COLLAPSE_NO_BLOCK /* nobody needs to be asked soon */
};

struct range {
	struct mm *mm;
	struct mm_range at;
	pte_t *entries; /* of its leaf table */
	const struct vma *vma;
};

/* What the entries are. */
struct census {
	unsigned int nr_none, nr_swap, nr_shared, nr_referenced, nr_written;
	bool is_hindered;
};

static bool is_on(const struct mm_system *sys)
{
	return sys->cfg.thp != MM_THP_NEVER && (sys->machine->ops->caps & MACHINE_HUGE_2M);
}

/* The first range of the mm at or after va that may become one page. */
static bool find_in_mm(struct mm *mm, vaddr_t va, struct range *range)
{
	struct vma *vma = vma_find_first(mm, va);

	for (; vma; vma = vma_next(vma)) {
		vaddr_t start =
			align_down(max_u64(va, vma->start) + RANGE_BYTES - 1, RANGE_BYTES);

		if (start + RANGE_BYTES > vma->end ||
		    !huge_vma_allows(mm->sys, vma, HUGE_ORDER_2M))
			continue;
		*range = (struct range){
			.mm = mm, .at = {start, start + RANGE_BYTES}, .vma = vma};
		return true;
	}
	return false;
}

/* From the cursor on. False: all address spaces are through, the cursor is at the first. */
static bool find_range(struct mm_system *sys, struct range *range)
{
	struct khugepaged *k = &sys->khugepaged;

	while (!list_is_empty(&sys->mms)) {
		struct list_head *next;

		if (!k->mm) {
			k->mm = list_entry(sys->mms.next, struct mm, node);
			k->va = 0;
		}
		if (find_in_mm(k->mm, k->va, range)) {
			k->va = range->at.start;
			return true;
		}
		next = k->mm->node.next;
		k->mm = NULL;
		if (next == &sys->mms)
			break;
		k->mm = list_entry(next, struct mm, node);
		k->va = 0;
	}
	k->full_scans++;
	return false;
}

static void look_at_page(const struct page *page, pte_t pte, struct census *c)
{
	if (!page_has(page, PG_anon) || anon_page_is_busy(page) || !page_has(page, PG_lru)) {
		c->is_hindered = true;
		return;
	}
	c->nr_shared += page->mapcount > 1;
	c->nr_referenced += pte_is_present(pte) || page_has(page, PG_referenced | PG_active);
	c->nr_written += (pte & PTE_WRITE) || page_has(page, PG_dirty);
}

static void look(const struct range *range, struct census *c)
{
	struct mm_system *sys = range->mm->sys;

	*c = (struct census){0};
	for (unsigned int i = 0; i < RANGE_PAGES && !c->is_hindered; i++) {
		pte_t pte = range->entries[i];
		pfn_t pfn = pte_pfn(pte);

		if (pte_is_none(pte))
			c->nr_none++;
		else if (pte_is_swap(pte))
			c->nr_swap++;
		else
			look_at_page(page_of(sys, pte & PTE_CONT ? pfn & ~15u : pfn), pte, c);
	}
}

/* hpage_collapse_scan_pmd(). */
static bool is_worth_it(const struct mm_system *sys, const struct range *range,
			const struct census *c)
{
	const struct mm_tunables *t = &sys->tune;

	if (c->is_hindered || c->nr_none > (unsigned int)t->khugepaged_max_ptes_none ||
	    c->nr_swap > (unsigned int)t->khugepaged_max_ptes_swap ||
	    c->nr_shared > (unsigned int)t->khugepaged_max_ptes_shared)
		return false;
	if (c->nr_written == 0 || !(range->vma->flags & VMA_WRITE))
		return false;
	return c->nr_referenced > 0 && (c->nr_swap == 0 || c->nr_referenced >= RANGE_PAGES / 2);
}

/* Attaches what has been read, and starts to read what has not. Unlocks. */
static enum collapse swap_in(const struct range *range)
{
	struct mm *mm = range->mm;
	enum collapse result = COLLAPSE_DONE;

	for (unsigned int i = 0; i < RANGE_PAGES; i++) {
		vaddr_t va = range->at.start + i * PAGE_SIZE;
		pte_t *pte = &range->entries[i];
		struct page *page;

		if (!pte_is_swap(*pte))
			continue;
		page = swap_cache_lookup(mm->sys, *pte);
		if (page && !anon_page_is_busy(page) && !page_has(page, PG_error)) {
			page->flags &= ~(uint32_t)(PG_readahead | PG_demand);
			if (anon_swap_bring_in(mm, pte, page, va))
				return COLLAPSE_WAIT;
			continue;
		}
		result = COLLAPSE_WAIT;
		if (!page && swapin_readahead(mm->sys, *pte, true) != SWAPIN_STARTED)
			return COLLAPSE_WAIT;
	}
	return result;
}

/* All that there is is resident, IDLE and in nobody's hands. */
static bool is_ready(const struct range *range)
{
	struct mm_system *sys = range->mm->sys;

	for (unsigned int i = 0; i < RANGE_PAGES; i++) {
		pte_t pte = range->entries[i];
		const struct page *page = page_of(sys, pte_pfn(pte));

		if (pte_is_none(pte))
			continue;
		if (!pte_is_idle(pte) || anon_page_is_busy(page) || !page_has(page, PG_lru))
			return false;
	}
	return true;
}

/* Context: sys->lock not held; the mm is write-locked, so entries and contents stay. */
static void copy(const struct range *range, char *to)
{
	struct mm_system *sys = range->mm->sys;

	for (unsigned int i = 0; i < RANGE_PAGES; i++, to += PAGE_SIZE) {
		pte_t pte = range->entries[i];

		if (pte_is_none(pte))
			memset(to, 0, PAGE_SIZE);
		else
			memcpy(to, pfn_addr(sys, pte_pfn(pte)), PAGE_SIZE);
	}
}

static void commit(const struct range *range, struct page *block)
{
	struct mm_system *sys = range->mm->sys;
	struct huge_leaf leaf = {
		.mm = range->mm, .va = range->at.start, .order = HUGE_ORDER_2M};
	int err;

	for (unsigned int i = 0; i < RANGE_PAGES; i++) {
		pte_t pte = range->entries[i];

		if (pte_is_none(pte))
			continue;
		pte_set(range->mm, &range->entries[i], 0);
		anon_page_zap(range->mm, page_of(sys, pte_pfn(pte)));
	}
	err = pgtable_huge_prepare(leaf.mm, leaf.va, 1, &leaf.entry);
	MM_ASSERT(!err); /* the table is there, and empty */
	huge_leaf_make(&leaf, block);
	sys->policy_ops->insert(sys->policy, block);
	sys->khugepaged.pages_collapsed++;
}

/* Context: the mm is write-locked. Unlocks. */
static enum collapse collapse_locked(struct range *range)
{
	struct mm_system *sys = range->mm->sys;
	enum collapse result = swap_in(range);
	struct page *block;

	if (result != COLLAPSE_DONE)
		return result;
	if (page_alloc(sys, HUGE_ORDER_2M, GFP_USER, &block)) {
		STAT(sys, thp_collapse_alloc_failed, 1);
		return COLLAPSE_NO_BLOCK;
	}
	STAT(sys, thp_collapse_alloc, 1);
	if (huge_split_range(range->mm, range->at) ||
	    mm_idle_range(range->mm, range->at.start, range->at.end) || !is_ready(range)) {
		page_free(sys, block, HUGE_ORDER_2M);
		return COLLAPSE_DONE;
	}
	sys_unlock(sys);
	copy(range, page_addr(sys, block));
	sys_lock(sys);
	commit(range, block);
	return COLLAPSE_DONE;
}

static enum collapse collapse(struct range *range)
{
	struct mm *mm = range->mm;
	enum collapse result;
	struct census census;
	unsigned int level;

	range->entries = pgtable_leaf(mm, range->at.start, &level);
	if (!range->entries || level > 0)
		return COLLAPSE_DONE; /* nothing there, or done already */
	look(range, &census);
	if (!is_worth_it(mm->sys, range, &census))
		return COLLAPSE_DONE;
	if (!mm_write_trylock(mm))
		return COLLAPSE_WAIT;
	result = collapse_locked(range);
	mm_write_unlock(mm);
	return result;
}

static void sleep_for(struct mm_system *sys, int64_t ms)
{
	sys->khugepaged.nr_left = 0;
	sys->khugepaged.due_ns = sys->now_ns + (uint64_t)ms * NS_PER_MS;
}

/* One range. */
static void scan(struct mm_system *sys)
{
	struct khugepaged *k = &sys->khugepaged;
	enum collapse result = COLLAPSE_DONE;
	struct range range;

	if (!find_range(sys, &range)) {
		sleep_for(sys, sys->tune.khugepaged_scan_sleep_millisecs);
		return;
	}
	result = collapse(&range);
	if (result == COLLAPSE_WAIT && k->nr_waits++ < WAITS_MAX)
		return;
	k->nr_waits = 0;
	k->va = range.at.end;
	k->nr_left -= min_u64(k->nr_left, RANGE_PAGES);
	if (result == COLLAPSE_NO_BLOCK)
		sleep_for(sys, sys->tune.khugepaged_alloc_sleep_millisecs);
	else if (k->nr_left == 0)
		sleep_for(sys, sys->tune.khugepaged_scan_sleep_millisecs);
}

/**
 * khugepaged_step() - look at one range, if it is time.
 *
 * Return: nanoseconds until it wants to be called again; UINT64_MAX: it is off.
 * Context: sys->lock held, dropped and retaken; sys->now_ns is now.
 */
uint64_t khugepaged_step(struct mm_system *sys)
{
	struct khugepaged *k = &sys->khugepaged;

	if (!is_on(sys))
		return UINT64_MAX;
	if (sys->now_ns >= k->due_ns) {
		if (k->nr_left == 0)
			k->nr_left = (uint64_t)sys->tune.khugepaged_pages_to_scan;
		scan(sys);
	}
	return sys->now_ns < k->due_ns ? k->due_ns - sys->now_ns : 0;
}

/* The mm ends. Context: sys->lock held. */
void khugepaged_forget(struct mm *mm)
{
	if (mm->sys->khugepaged.mm == mm)
		mm->sys->khugepaged.mm = NULL;
}
