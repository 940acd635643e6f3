/* SPDX-License-Identifier: MIT */
/*
 * Reclaim of pages of files and of shared anonymous memory.
 *
 * A clean page of a file is dropped, and leaves a shadow entry in its place. A dirty one is not
 * written from here: as in Linux (shrink_folio_list() of mm/vmscan.c), reclaim marks it
 * PG_reclaim and passes on, for the flusher writes in the order of the file; when a batch was
 * nothing but dirty pages the flusher is told to write them all. The write's end puts a marked
 * page where the next scan meets it first.
 *
 * Linux's kswapd writes such a page itself when it comes round a second time; here the flusher,
 * which mm_step() runs as well, has then begun with all of them.
 */
#include "base/assert.h"
#include "mm/filemap.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"
#include "mm/workingset.h"

static bool entry_to_none(const struct rmap_entry *at, void *page)
{
	pte_set(at->mm, at->pte, 0);
	filemap_unmap(at->mm, page);
	return true;
}

/**
 * filemap_unmap_all() - no entry names the page any more.
 * @page: rmap_can_unmap(), in a tree.
 */
void filemap_unmap_all(struct mm_system *sys, struct page *page)
{
	rmap_walk(sys, page, entry_to_none, page);
}

static void drop_clean(struct mm_system *sys, struct page *page)
{
	uint64_t shadow = workingset_eviction(sys, page);

	filemap_unmap_all(sys, page);
	page->flags &= ~(uint32_t)PG_isolated;
	filemap_remove(sys, page, shadow << FILEMAP_KIND_BITS | FILEMAP_SHADOW);
}

/* It is to be freed when it has been written. */
static void pass_on(struct mapper_scan *rc, struct page *page)
{
	if (page_has(page, PG_dirty) && !page_has(page, PG_writeback))
		rc->nr_dirty++;
	page->flags |= PG_reclaim;
}

/* Somebody works on the page without sys->lock, besides those who map it. */
static bool is_pinned(const struct page *page)
{
	return page->refs > 1 + page->mapcount + (page_has(page, PG_swapcache) ? 1u : 0);
}

/* Has shared memory no good copy in swap? One in an area that leaves is given up. */
static bool shmem_needs_slot(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_swapcache) && !swap_slot_may_stay(sys, page_swap(page)))
		page_mark_dirty(sys, page);
	return page_has(page, PG_dirty);
}

/**
 * filemap_evict() - what can be decided of a page without I/O.
 * @page: PG_file, isolated.
 * @ret_verdict: for the policy.
 *
 * Return: true if that is all; false: it is to be written to swap.
 * Context: sys->lock held.
 */
bool filemap_evict(struct mapper_scan *rc, struct page *page, enum policy_verdict *ret_verdict)
{
	enum unmap_result result;

	*ret_verdict = POLICY_KEEP;
	if (!page->mapping) {
		*ret_verdict = POLICY_GONE;
		page->flags &= ~(uint32_t)PG_isolated;
		filemap_put(rc->sys, page);
		return true;
	}
	if (page_has(page, PG_locked))
		return true;
	if (page_is_cache(page) && page_has(page, PG_dirty | PG_writeback)) {
		*ret_verdict = POLICY_ACTIVATE;
		pass_on(rc, page);
		return true;
	}
	result = rmap_can_unmap(rc->sys, page, rc->locked);
	rc->was_refused |= result == UNMAP_REFUSED;
	if (result != UNMAP_DONE || is_pinned(page) || page_has(page, PG_writeback))
		return true;
	if (page_is_shmem(page) && shmem_needs_slot(rc->sys, page))
		return false;
	*ret_verdict = POLICY_GONE;
	if (page_is_cache(page)) {
		drop_clean(rc->sys, page);
		return true;
	}
	shmem_to_swap(rc->sys, page, rc->locked);
	page->flags &= ~(uint32_t)PG_isolated;
	swap_cache_evict(rc->sys, page);
	anon_page_put(rc->sys, page);
	return true;
}
