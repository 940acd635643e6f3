/* SPDX-License-Identifier: MIT */
/*
 * From a frame back to what names it.
 *
 * An anonymous page is mapped by at most one page table entry: page->mm and page->index say
 * which. It is also named by its slot while it is in the swap cache. Each name is a reference,
 * I/O in flight is one more, and the frame is freed with the last.
 *
 * A frame that reclaim has isolated is in somebody's array and cannot go at once: it is marked
 * PG_dead, comes back to a list, and the next scan frees it. So is a frame with I/O in flight,
 * which is freed when that ends.
 */
#include "base/assert.h"
#include "mm/reclaim.h"

pte_t *anon_page_pte(const struct page *page)
{
	pte_t *pte = pgtable_lookup(page->mm, page->index << PAGE_SHIFT);

	MM_ASSERT(pte && pte_is_resident(*pte));
	return pte;
}

/* In use by somebody who runs without the lock: not to be changed or freed now. */
bool anon_page_is_busy(const struct page *page)
{
	return page_has(page, PG_locked | PG_writeback);
}

/* The entry at va is about to name the page. */
void anon_page_attach(struct mm *mm, struct page *page, vaddr_t va)
{
	MM_ASSERT(!page->mm && !page_has(page, PG_dead));
	page->mm = mm;
	page->index = va >> PAGE_SHIFT;
	page->refs++;
	mm->nr_resident++;
	STAT(mm->sys, nr_anon_pages, 1);
}

/**
 * anon_swap_attach() - the slot's frame is in the cache: let the entry name it.
 * @pte: the swap entry; it becomes IDLE.
 * @page: not busy.
 */
void anon_swap_attach(struct mm *mm, pte_t *pte, struct page *page, vaddr_t va)
{
	swp_entry_t entry = *pte;

	anon_page_attach(mm, page, va);
	pte_set(mm, pte, pte_make(page_pfn(mm->sys, page), PTE_IDLE));
	mm->nr_swapped--;
	swap_entry_put(mm->sys, entry);
}

static void anon_page_detach(struct page *page)
{
	struct mm *mm = page->mm;

	MM_ASSERT(page->refs > 0);
	mm->nr_resident--;
	STAT(mm->sys, nr_anon_pages, -1);
	page->mm = NULL;
	page->refs--;
}

/**
 * anon_page_to_swap() - let the entry name the slot instead of the frame.
 * @page: mapped by *@pte, which is IDLE; clean, in the swap cache.
 *
 * The frame stays in the swap cache; it is the caller's to drop.
 */
void anon_page_to_swap(struct page *page, pte_t *pte)
{
	struct mm *mm = page->mm;

	MM_ASSERT(pte_is_idle(*pte) && page_has(page, PG_swapcache));
	pte_set(mm, pte, page->swap);
	swap_entry_dup(mm->sys, page->swap);
	mm->nr_swapped++;
	anon_page_detach(page);
}

/* The content changes now: a copy in swap is worth nothing any more. */
void anon_page_mark_dirty(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_swapcache) && !page_has(page, PG_writeback))
		swap_cache_del(sys, page);
	page->flags |= PG_dirty;
	page->flags &= ~(uint32_t)PG_lazyfree;
}

/**
 * anon_page_put() - free the frame if nothing names it any more.
 *
 * A swap cache entry that nobody else needs goes with it.
 */
void anon_page_put(struct mm_system *sys, struct page *page)
{
	if (page->mm || anon_page_is_busy(page)) {
		if (!page->mm)
			page->flags |= PG_dead;
		return;
	}
	if (page_has(page, PG_swapcache))
		swap_cache_del(sys, page);
	if (page_has(page, PG_isolated)) {
		page->flags |= PG_dead;
		return;
	}
	MM_ASSERT(page->refs == 0);
	if (page_has(page, PG_lru))
		sys->policy_ops->remove(sys->policy, page);
	page->flags = 0;
	page->refs = 1;
	page->owner = 0;
	page_free(sys, page, 0);
	sys_wake(sys);
}

void anon_page_zap(struct mm *mm, struct page *page)
{
	MM_ASSERT(page->mm == mm);
	mm->sys->nr_touched--;
	page->flags &= ~(uint32_t)PG_reclaim;
	anon_page_detach(page);
	anon_page_put(mm->sys, page);
}

void anon_swap_zap(struct mm *mm, swp_entry_t entry)
{
	struct mm_system *sys = mm->sys;
	struct page *page = swap_cache_lookup(sys, entry);

	mm->nr_swapped--;
	sys->nr_touched--;
	swap_entry_put(sys, entry);
	if (page && !page->mm && swap_entry_count(sys, entry) == 0)
		anon_page_put(sys, page);
}
