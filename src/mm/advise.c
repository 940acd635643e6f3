/* SPDX-License-Identifier: MIT */
/*
 * What madvise() asks of pages: MADV_FREE, MADV_COLD, MADV_PAGEOUT. MADV_WILLNEED is in
 * swap_state.c, MADV_DONTNEED is an unmap that leaves the area.
 */
#include "base/assert.h"
#include "mm/huge.h"
#include "mm/reclaim.h"

/* Neighbours in one machine op: 512 cost a third of 32 a page, and 6 KiB of stack is at hand.
 */
#define IDLE_BATCH 256

/*
 * Takes the translations in [start, end) away; the pages stay, with their content.
 *
 * Return: 0, or the machine's -errno (-EAGAIN, -EBUSY: some translations are still there).
 * Context: sys->lock held, dropped and retaken; mm write-locked.
 */
int mm_idle_range(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct machine_change changes[IDLE_BATCH];
	struct machine_batch batch = {.changes = changes};
	vaddr_t va = start;
	int err = huge_idle_range(mm, (struct mm_range){start, end});

	while (!err) {
		pte_t *pte;

		for (batch.nr = 0; batch.nr < IDLE_BATCH; va += PAGE_SIZE) {
			pte = pgtable_next(mm, &va, end);
			if (!pte)
				break;
			if (pte_is_present(*pte))
				changes[batch.nr++] = (struct machine_change){
					va, *pte, pte_make(pte_pfn(*pte), PTE_IDLE)};
		}
		if (batch.nr == 0)
			break;
		err = mm_machine_apply(mm, &batch);
		for (unsigned int i = 0; i < (err ? batch.nr_done : batch.nr); i++) {
			struct page *page = page_of(mm->sys, pte_pfn(changes[i].new_pte));

			pte_set(mm, pgtable_lookup(mm, changes[i].va), changes[i].new_pte);
			if (changes[i].old_pte & PTE_DIRTY)
				page_mark_dirty(mm->sys, page);
		}
	}
	return err;
}

/* As mm_idle_range(), for those who then look at pages one by one. */
static int idle_single_pages(struct mm *mm, vaddr_t start, vaddr_t end)
{
	int err = huge_split_range(mm, (struct mm_range){start, end});

	return err ? err : mm_idle_range(mm, start, end);
}

/* Nobody else maps it. */
static bool page_is_own(struct mm *mm, struct page *page)
{
	if (page_has(page, PG_file))
		return page->mapcount == 1;
	return anon_page_may_write(mm->sys, page) || anon_page_take_back(mm, page);
}

/*
 * The next resident page in [*va, end) that nobody is at work on, and that is not shared: as in
 * Linux one of several mappers does not speak for the others. *va becomes its address.
 */
static struct page *next_resident(struct mm *mm, vaddr_t *va, vaddr_t end)
{
	pte_t *pte;

	for (; (pte = pgtable_next(mm, va, end)); *va += PAGE_SIZE) {
		struct page *page;

		if (!pte_is_idle(*pte) || *pte & PTE_CONT)
			continue;
		page = page_of(mm->sys, pte_pfn(*pte));
		if (!anon_page_is_busy(page) && page_has(page, PG_lru) && page_is_own(mm, page))
			return page;
	}
	return NULL;
}

/**
 * anon_advise_cold() - MADV_COLD: the pages are the next to be looked at.
 * Return, Context: as mm_idle_range().
 */
int anon_advise_cold(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct mm_system *sys = mm->sys;
	int err = idle_single_pages(mm, start, end);
	struct page *page;

	for (vaddr_t va = start; (page = next_resident(mm, &va, end)); va += PAGE_SIZE)
		sys->policy_ops->deactivate(sys->policy, page);
	return err;
}

static void lazyfree(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_swapcache))
		swap_cache_del(sys, page);
	page->flags &= ~(uint32_t)PG_dirty;
	page->flags |= PG_lazyfree;
	STAT(sys, pglazyfree, 1);
	sys->policy_ops->deactivate(sys->policy, page);
}

/**
 * anon_advise_free() - MADV_FREE: the content may go, unless the page is written again.
 *
 * Pages in swap go at once, as in Linux.
 *
 * Return, Context: as mm_idle_range().
 */
int anon_advise_free(struct mm *mm, vaddr_t start, vaddr_t end)
{
	int err = idle_single_pages(mm, start, end);
	struct page *page;
	pte_t *pte;

	if (err)
		return err;
	for (vaddr_t va = start; (page = next_resident(mm, &va, end)); va += PAGE_SIZE)
		lazyfree(mm->sys, page);
	for (vaddr_t va = start; (pte = pgtable_next(mm, &va, end)); va += PAGE_SIZE) {
		pte_t entry = *pte;

		if (!pte_is_swap(entry))
			continue;
		pte_set(mm, pte, 0);
		anon_swap_zap(mm, entry);
	}
	return 0;
}

static void pageout_batch(struct mm *mm, struct page **pages, unsigned int nr)
{
	enum policy_verdict verdicts[POLICY_BATCH];
	struct mm_system *sys = mm->sys;

	reclaim_evict(sys, mm, pages, nr, verdicts);
	for (unsigned int i = 0; i < nr; i++) {
		if (verdicts[i] == POLICY_GONE)
			continue;
		pages[i]->flags &= ~(uint32_t)PG_isolated;
		page_lru_add(sys, pages[i]);
	}
}

static bool is_written(const struct page *page)
{
	return page_has(page, PG_swapcache) && !page_has(page, PG_dirty);
}

/* A batch from va on, of those only that have a good copy, or of all. Return: where it ends. */
static vaddr_t pageout_next(struct mm *mm, vaddr_t va, vaddr_t end, bool is_only_written)
{
	struct page *pages[POLICY_BATCH], *page = NULL;
	unsigned int nr = 0;

	for (; nr < POLICY_BATCH && (page = next_resident(mm, &va, end)); va += PAGE_SIZE) {
		if (is_only_written && !is_written(page))
			continue;
		mm->sys->policy_ops->remove(mm->sys->policy, page);
		page->flags |= PG_isolated;
		pages[nr++] = page;
	}
	if (nr > 0)
		pageout_batch(mm, pages, nr);
	return page ? va : end;
}

/**
 * anon_advise_pageout() - MADV_PAGEOUT: write the pages to swap and free them.
 *
 * Where a write ends before the next begins, who takes its end in cannot take the entries away,
 * for the mm is ours: a second look does.
 *
 * Return: 0, also where swap is full (the pages stay, as in Linux), or as mm_idle_range().
 * Context: as mm_idle_range().
 */
int anon_advise_pageout(struct mm *mm, vaddr_t start, vaddr_t end)
{
	int err = idle_single_pages(mm, start, end);

	while (!err && start < end) {
		vaddr_t next = pageout_next(mm, start, end, false);

		while (start < next)
			start = pageout_next(mm, start, next, true);
	}
	return err;
}
