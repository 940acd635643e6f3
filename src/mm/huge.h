/* SPDX-License-Identifier: MIT */
/*
 * Pages larger than 4 KiB in an address space: 2 MiB that a PMD entry maps, and 64 KiB that
 * sixteen leaf entries with PTE_CONT map. How it works is told in mm/huge.c.
 *
 * Whoever works on single pages of a range first calls one of
 *   huge_zap_range()    to throw content away;
 *   huge_idle_range()   to take translations away;
 *   huge_split_range()  to have single pages only;
 * and whoever cuts an area in two, huge_split_cuts(). All of them cost one comparison where the
 * address space has no such page.
 *
 * Context for all, unless said: sys->lock held; those marked "unlocks" drop and retake it and
 * want mm write-locked.
 */
#ifndef MM_HUGE_H
#define MM_HUGE_H

#include "mm/mmap.h"
#include "mm/system.h"
#include "mm/vma.h"

#define HUGE_ORDER_64K 4
#define HUGE_ORDER_2M  9
#define HUGE_ORDER_1G  18

/* A mapped page larger than 4 KiB. */
struct huge_leaf {
	struct mm *mm;
	vaddr_t va;
	pte_t *entry; /* of the PMD or PUD; for 64 KiB the first of sixteen */
	unsigned int order;
};

bool huge_find(struct mm *mm, vaddr_t va, struct huge_leaf *ret_leaf);
bool huge_next(struct mm *mm, struct mm_range range, struct huge_leaf *ret_leaf);
struct page *huge_leaf_page(const struct huge_leaf *leaf);
void huge_set(const struct huge_leaf *leaf, pte_t pte);
pte_t *huge_page_entry(const struct page *page); /* of a mapped THP or 64 KiB page */

int huge_zap_range(struct mm *mm, struct mm_range range);   /* unlocks */
int huge_idle_range(struct mm *mm, struct mm_range range);  /* unlocks */
int huge_split_range(struct mm *mm, struct mm_range range); /* unlocks */
int huge_split_cuts(struct mm *mm, struct mm_range range);  /* unlocks */
bool huge_is_cut(struct mm *mm, vaddr_t at);		    /* does one go over that address? */
void huge_zap_all(struct mm *mm);			    /* mm ends */

/* A page that is IDLE and not busy becomes single ones. Cannot fail. */
void huge_split_page(struct mm_system *sys, struct page *page);

/* A fresh block of the leaf's order, as page_alloc() gave it out: its entry, NONE, names it. */
void huge_leaf_make(const struct huge_leaf *leaf, struct page *page);

bool huge_vma_allows(const struct mm_system *sys, const struct vma *vma, unsigned int order);

/*
 * A fault that larger pages have to do with. Return: false if it is one for a single page.
 * Unlocks; mm read-locked.
 */
struct fault;
bool huge_fault(struct fault *f, enum mm_fault_result *ret_result);

/* What the policies' lists count a page as. */
static inline pfn_t huge_nr_pages(unsigned int order)
{
	return (pfn_t)1 << order;
}

static inline struct mm_range huge_leaf_range(const struct huge_leaf *leaf)
{
	return (struct mm_range){leaf->va, leaf->va + (PAGE_SIZE << leaf->order)};
}

/* Boot: sys->cfg.thp, and what follows from it. */
void huge_init(struct mm_system *sys);

/* Has the machine translate it; is_fresh: its content is to be zeroed first. Unlocks. */
enum mm_fault_result huge_translate(struct fault *f, const struct huge_leaf *leaf,
				    bool is_fresh);

uint64_t khugepaged_step(struct mm_system *sys); /* unlocks */
void khugepaged_forget(struct mm *mm);

int huge_check(struct mm *mm, uint64_t *nr_resident);

#endif
