/* SPDX-License-Identifier: MIT */
/*
 * The reserved pools of huge pages, and the areas that are made of them (MAP_HUGETLB).
 *
 * Context for all, unless said: sys->lock held.
 */
#ifndef MM_HUGETLB_H
#define MM_HUGETLB_H

#include "mm/huge.h"

#define HUGETLB_POOLS 2 /* 2 MiB, 1 GiB */

void hugetlb_init(struct mm_system *sys);
void hugetlb_resize(struct mm_system *sys); /* to what sys->cfg says, as far as it goes */
uint64_t hugetlb_ram_pages(const struct mm_system *sys);
int hugetlb_check(struct mm_system *sys);

/* One page of an area: from what it is promised, or else from what nobody is. */
int hugetlb_page_get(struct mm_system *sys, struct vma *vma, struct page **ret_page);
void hugetlb_page_put(struct mm_system *sys, struct vma *vma, struct page *page);
int hugetlb_page_get_extra(struct mm_system *sys, struct hugetlb_pool *pool,
			   struct page **ret_page);
void hugetlb_page_put_extra(struct mm_system *sys, struct hugetlb_pool *pool,
			    struct page *page);
int hugetlb_check_leaf(const struct huge_leaf *leaf, const struct vma *vma);

/* hugetlb_area.c */
int hugetlb_map(struct mm *mm, vaddr_t hint, uint64_t len, int prot, int flags,
		vaddr_t *ret_addr); /* takes sys->lock */
void hugetlb_area_gone(struct mm_system *sys, const struct vma *vma);
bool hugetlb_may_cut(struct mm *mm, struct mm_range range);
enum mm_fault_result hugetlb_fault(struct fault *f);	   /* unlocks */
void hugetlb_area_cut(struct vma *head, struct vma *tail); /* which was its end */
void hugetlb_zap(const struct huge_leaf *leaf);

/* hugetlb_cow.c */
void hugetlb_area_disown(struct vma *copy); /* of a parent's area, for a child */
int hugetlb_dup(struct mm *parent, struct mm *child, struct mm_range range);	 /* unlocks */
enum mm_fault_result hugetlb_cow(struct fault *f, const struct huge_leaf *leaf); /* unlocks */

int hugetlb_reserve(struct mm_system *sys, struct hugetlb_pool *pool, uint64_t nr);
void hugetlb_unreserve(struct mm_system *sys, struct hugetlb_pool *pool, uint64_t nr);

static inline unsigned int hugetlb_vma_order(const struct vma *vma)
{
	return vma->flags & VMA_HUGETLB_1G ? HUGE_ORDER_1G : HUGE_ORDER_2M;
}

static inline uint64_t hugetlb_vma_slots(const struct vma *vma)
{
	return (vma->end - vma->start) >> (PAGE_SHIFT + hugetlb_vma_order(vma));
}

static inline struct hugetlb_pool *hugetlb_pool_of(struct mm_system *sys, unsigned int order)
{
	return &sys->hugetlb[order == HUGE_ORDER_1G];
}

/* It was made with promises: each page that it gives back is promised to it anew. */
static inline bool hugetlb_is_reserved(const struct vma *vma)
{
	return (vma->flags & (VMA_HUGETLB | VMA_NORESERVE)) == VMA_HUGETLB;
}

#endif
