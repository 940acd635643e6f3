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

/* One page of an area: from its reservation, or from what nobody reserved. */
int hugetlb_page_get(struct mm_system *sys, const struct vma *vma, struct page **ret_page);
void hugetlb_page_put(struct mm_system *sys, const struct vma *vma, struct page *page);

/* hugetlb_area.c */
int hugetlb_map(struct mm *mm, vaddr_t hint, uint64_t len, int prot, int flags,
		vaddr_t *ret_addr); /* takes sys->lock */
void hugetlb_area_gone(struct mm_system *sys, const struct vma *vma);
bool hugetlb_may_cut(struct mm *mm, struct mm_range range);
enum mm_fault_result hugetlb_fault(struct fault *f); /* unlocks */
void hugetlb_zap(const struct huge_leaf *leaf);
int hugetlb_check_leaf(const struct huge_leaf *leaf, const struct vma *vma);

int hugetlb_reserve(struct mm_system *sys, struct hugetlb_pool *pool, uint64_t nr);
void hugetlb_unreserve(struct mm_system *sys, struct hugetlb_pool *pool, uint64_t nr);

static inline unsigned int hugetlb_vma_order(const struct vma *vma)
{
	return vma->flags & VMA_HUGETLB_1G ? HUGE_ORDER_1G : HUGE_ORDER_2M;
}

static inline struct hugetlb_pool *hugetlb_pool_of(struct mm_system *sys, unsigned int order)
{
	return &sys->hugetlb[order == HUGE_ORDER_1G];
}

static inline bool hugetlb_is_reserved(const struct vma *vma)
{
	return (vma->flags & (VMA_HUGETLB | VMA_NORESERVE)) == VMA_HUGETLB;
}

#endif
