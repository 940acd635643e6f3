/* SPDX-License-Identifier: MIT */
/*
 * What fault, reclaim and swap I/O share. Context for all: mm_system.lock held; those marked
 * "unlocks" drop and retake it.
 */
#ifndef MM_RECLAIM_H
#define MM_RECLAIM_H

#include "mm/system.h"

/* shrinker.c */
uint64_t shrink_slab(struct mm_system *sys, unsigned int priority);

/* balloon.c */
int balloon_check(struct mm_system *sys);

/* mlock.c */
void page_make_unevictable(struct mm_system *sys, struct page *page);

/* rmap.c: a program's pages and what names them */
pte_t *anon_page_pte(const struct page *page); /* of an exclusive, mapped page; never NULL */
void anon_page_attach(struct mm *mm, struct page *page, vaddr_t va);
void anon_swap_attach(struct mm *mm, pte_t *pte, struct page *page, vaddr_t va);
void anon_page_mark_dirty(struct mm_system *sys, struct page *page);
void page_mark_dirty(struct mm_system *sys, struct page *page); /* of any kind */
void anon_page_put(struct mm_system *sys, struct page *page);
bool anon_page_is_busy(const struct page *page);
bool anon_page_can_attach(const struct mm *mm, const struct page *page, vaddr_t va);

/* cow.c */
struct page *anon_page_new(struct mm_system *sys);

/* The page's slot is named by entries, too: its content will be read again. */
static inline bool page_slot_is_named(struct mm_system *sys, const struct page *page)
{
	return page_has(page, PG_swapcache) && swap_entry_count(sys, page_swap(page)) > 0;
}

/* May the content change, and nobody but the one mapper sees it? */
static inline bool anon_page_may_write(struct mm_system *sys, const struct page *page)
{
	return page_is_exclusive(page) && !page_slot_is_named(sys, page);
}

bool anon_page_take_back(struct mm *mm, struct page *page);
int anon_swap_bring_in(struct mm *mm, pte_t *pte, struct page *page, vaddr_t va);
int anon_range_unshare(struct mm *mm, vaddr_t start, vaddr_t end); /* unlocks */

/* Reclaim may look at a page again that somebody had; at a locked one it need not. */
static inline void page_lru_add(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_lru | PG_isolated | PG_unevictable))
		return;
	if (page_has(page, PG_mlocked))
		page_make_unevictable(sys, page);
	else
		sys->policy_ops->insert(sys->policy, page);
}

/* swap_io.c */
#define SWAP_IO_MAX 32 /* pages a batch: POLICY_BATCH, and the largest readahead window */
void swap_read_pages(struct mm_system *sys, struct page **pages, unsigned int nr); /* unlocks */
void swap_write_pages(struct mm_system *sys, struct page **pages,
		      unsigned int nr);		   /* unlocks */
unsigned int swap_complete(struct mm_system *sys); /* unlocks */

/* swap_state.c */
enum swapin_result { SWAPIN_STARTED, SWAPIN_NO_MEMORY };
void swap_cache_fill(struct mm_system *sys, struct page *page, swp_entry_t entry,
		     uint32_t flags);
struct page *swap_cache_new_page(struct mm_system *sys, swp_entry_t entry, uint32_t flags);
enum swapin_result swapin_readahead(struct mm_system *sys, swp_entry_t entry,
				    bool alone); /* unlocks */

/* advise.c */
int mm_idle_range(struct mm *mm, vaddr_t start, vaddr_t end); /* unlocks */

/* vmscan.c */
enum reclaim_result {
	RECLAIM_FREED,	/* look again now */
	RECLAIM_WAIT,	/* I/O is in flight: memory comes when it ends */
	RECLAIM_NOTHING /* out of memory */
};
enum reclaim_result reclaim_direct(struct mm_system *sys); /* unlocks */
struct reclaim_pass {
	unsigned int nr_scanned; /* frames looked at */
	bool was_refused;	 /* some were passed over because somebody holds their mm */
};
unsigned int reclaim_turn(struct mm_system *sys, unsigned int nr, unsigned int priority,
			  struct reclaim_pass *ret_pass); /* unlocks */
unsigned int reclaim_turn_direct(struct mm_system *sys, unsigned int nr,
				 unsigned int priority); /* unlocks */
unsigned int reclaim_pages(struct mm_system *sys, unsigned int nr, unsigned int priority,
			   bool *ret_was_refused); /* unlocks */
unsigned int reclaim_evict(struct mm_system *sys, struct mm *locked, struct page **pages,
			   unsigned int nr, enum policy_verdict *ret_verdicts); /* unlocks */
void kswapd_wake_if_low(struct mm_system *sys);
void reclaim_ahead(struct mm_system *sys, unsigned int nr_wanted); /* unlocks */

#endif
