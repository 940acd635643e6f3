/* SPDX-License-Identifier: MIT */
/*
 * Areas of MAP_HUGETLB: private anonymous memory in pages of a pool (mm/hugetlb.c).
 *
 * Each slot of an area, 2 MiB or 1 GiB, has a page or, in an area that reserves, a promise of
 * one, unless that was spent on a page which a child has now (mm/hugetlb_cow.c). Calls that
 * would cut one are refused with -EINVAL before anything is changed (hugetlb_may_cut()), as
 * Linux does. A slot's page goes back to the pool when the slot is unmapped or MADV_DONTNEED
 * takes it; its promise goes with the area.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/checked.h"
#include "mm/fault.h"
#include "mm/hugetlb.h"

#define HUGE_SHIFT_BITS(flags) ((unsigned int)(flags) >> MM_MAP_HUGE_SHIFT & MM_MAP_HUGE_MASK)

/* What to map, and where. */
struct hugetlb_request {
	struct hugetlb_pool *pool;
	vaddr_t addr; /* in: hint; then: where */
	uint64_t len; /* of whole pages of the pool */
	uint32_t vma_flags;
	int flags; /* MM_MAP_* */
};

static uint64_t pool_page_size(const struct hugetlb_pool *pool)
{
	return PAGE_SIZE << pool->order;
}

/* The pool of the size that the flags name: none is 2 MiB. NULL: there is no such. */
static struct hugetlb_pool *pool_by_flags(struct mm_system *sys, int flags)
{
	uint32_t caps = sys->machine->ops->caps;
	unsigned int shift = HUGE_SHIFT_BITS(flags);

	if ((shift == 0 || shift == PAGE_SHIFT + HUGE_ORDER_2M) && caps & MACHINE_HUGE_2M)
		return hugetlb_pool_of(sys, HUGE_ORDER_2M);
	if (shift == PAGE_SHIFT + HUGE_ORDER_1G && caps & MACHINE_HUGE_1G)
		return hugetlb_pool_of(sys, HUGE_ORDER_1G);
	return NULL;
}

static bool range_is_free(struct mm *mm, const struct hugetlb_request *req)
{
	return mm_range_in_window(mm, req->addr, req->len) &&
	       vma_range_is_free(mm, req->addr, req->addr + req->len);
}

/* hugetlb_get_unmapped_area(). */
static int place(struct mm *mm, struct hugetlb_request *req)
{
	uint64_t size = pool_page_size(req->pool);
	int err;

	if (req->flags & MM_MAP_FIXED) {
		if (req->addr & (size - 1))
			return -EINVAL;
		if (!mm_range_in_window(mm, req->addr, req->len))
			return -ENOMEM;
		if (req->flags & MM_MAP_FIXED_NOREPLACE && !range_is_free(mm, req))
			return -EEXIST;
		return 0;
	}
	req->addr = align_down(req->addr, size);
	if (range_is_free(mm, req))
		return 0;
	err = vma_find_gap(mm, req->len + size - PAGE_SIZE, &req->addr);
	if (!err)
		req->addr = align_down(req->addr + size - 1, size);
	return err;
}

/* As map_commit() in mmap.c. */
static int commit(struct mm *mm, const struct hugetlb_request *req, uint64_t nr_promised,
		  struct vma_reserve *reserve)
{
	struct mm_range range = {req->addr, req->addr + req->len};
	int err = mm_zap_range(mm, range);

	if (err)
		return err;
	mm_region_unmap(mm, range);
	err = mm_machine_region(mm, range.start, range.end, MACHINE_REGION_MAP,
				(int)(req->vma_flags & VMA_PROT));
	mm_remove_areas(mm, range, reserve);
	pgtable_free_range(mm, range.start, range.end);
	if (!err)
		vma_add(mm, range.start, range.end, req->vma_flags, reserve)->nr_promised =
			nr_promised;
	return err;
}

static int map_locked(struct mm *mm, struct hugetlb_request *req)
{
	uint64_t nr_pages = req->len / pool_page_size(req->pool);
	uint64_t nr_reserved = req->vma_flags & VMA_NORESERVE ? 0 : nr_pages;
	struct vma_reserve reserve = {0};
	struct mm_range range;
	int err;

	if (mm->nr_vmas > mm_vmas_max(mm))
		return -ENOMEM;
	err = place(mm, req);
	if (err)
		return err;
	range = (struct mm_range){req->addr, req->addr + req->len};
	if (!hugetlb_may_cut(mm, range))
		return -EINVAL;
	err = mm_reserve(mm, &reserve, 1 + mm_nr_cuts(mm, range));
	if (err)
		return err;
	err = hugetlb_reserve(mm->sys, req->pool, nr_reserved);
	if (!err) {
		req->pool->nr_pending += nr_reserved;
		err = commit(mm, req, nr_reserved, &reserve);
		req->pool->nr_pending -= nr_reserved;
		if (err)
			hugetlb_unreserve(mm->sys, req->pool, nr_reserved);
	}
	vma_unreserve(mm, &reserve);
	return err;
}

/**
 * hugetlb_map() - mmap(2) with MAP_HUGETLB.
 *
 * As mm_map(), whose arguments it has; @len is rounded up to pages of the pool, and a fixed
 * address is a multiple of their size. MM_MAP_HUGE_2MB and MM_MAP_HUGE_1GB say which pool; 2
 * MiB where neither does.
 *
 * Return: as mm_map(); -EINVAL: there is no such size, or a page of the pool would be cut;
 * -ENOMEM: the pool cannot promise so many pages; -EOPNOTSUPP: shared, or of a file.
 * Context: takes sys->lock and write-locks mm.
 */
int hugetlb_map(struct mm *mm, vaddr_t hint, uint64_t len, int prot, int flags,
		vaddr_t *ret_addr)
{
	struct hugetlb_request req = {.pool = pool_by_flags(mm->sys, flags),
				      .addr = hint,
				      .vma_flags = ((uint32_t)prot & VMA_PROT) | VMA_HUGETLB,
				      .flags = flags};
	int err;

	if (!(flags & MM_MAP_ANONYMOUS) || (flags & MM_MAP_TYPE) != MM_MAP_PRIVATE)
		return -EOPNOTSUPP;
	if (!req.pool || len == 0)
		return -EINVAL;
	if (!checked_align_up(len, pool_page_size(req.pool), &req.len))
		return -ENOMEM;
	if (req.pool->order == HUGE_ORDER_1G)
		req.vma_flags |= VMA_HUGETLB_1G;
	if (flags & MM_MAP_NORESERVE)
		req.vma_flags |= VMA_NORESERVE;
	if (flags & MM_MAP_FIXED_NOREPLACE)
		req.flags |= MM_MAP_FIXED;
	err = mm_write_begin(mm);
	if (err)
		return err;
	err = mm_write_end(mm, map_locked(mm, &req));
	if (!err)
		*ret_addr = req.addr;
	return err;
}

/* An area leaves the tree: its slots have no pages any more, and need no promise. */
void hugetlb_area_gone(struct mm_system *sys, const struct vma *vma)
{
	hugetlb_unreserve(sys, hugetlb_pool_of(sys, hugetlb_vma_order(vma)), vma->nr_promised);
}

/* An area is cut in two, which share its promises: each has room for its part of them. */
void hugetlb_area_cut(struct vma *head, struct vma *tail)
{
	struct mm_range range = {tail->start, tail->end};
	uint64_t nr_empty = hugetlb_vma_slots(tail);
	struct huge_leaf leaf;

	for (; huge_next(tail->mm, range, &leaf); range.start = huge_leaf_range(&leaf).end)
		nr_empty--;
	tail->nr_promised = min_u64(head->nr_promised, nr_empty);
	head->nr_promised -= tail->nr_promised;
}

static bool may_cut_at(struct mm *mm, vaddr_t at)
{
	const struct vma *vma = vma_find(mm, at);

	return !vma || !(vma->flags & VMA_HUGETLB) ||
	       (at & ((PAGE_SIZE << hugetlb_vma_order(vma)) - 1)) == 0;
}

/**
 * hugetlb_may_cut() - does neither end of a range lie inside a page of a pool?
 *
 * For calls that treat the range by itself; Linux's hugetlb_vm_op_split().
 */
bool hugetlb_may_cut(struct mm *mm, struct mm_range range)
{
	return may_cut_at(mm, range.start) && may_cut_at(mm, range.end);
}

static int make(struct fault *f, struct huge_leaf *leaf)
{
	unsigned int level = leaf->order / 9;
	const pte_t *there;
	struct page *page;
	int err;

	there = pgtable_leaf(f->mm, leaf->va, &level);
	err = pgtable_huge_prepare(f->mm, leaf->va, leaf->order / 9, &leaf->entry);
	if (err)
		return err;
	if (there && leaf->order == HUGE_ORDER_2M)
		pgtable_undeposit(f->mm, leaf->entry); /* it is never split */
	err = hugetlb_page_get(f->sys, vma_find(f->mm, leaf->va), &page);
	if (err)
		return -ENOSPC;
	huge_set(leaf, pte_make(page_pfn(f->sys, page), PTE_IDLE | PTE_PS));
	return 0;
}

/**
 * hugetlb_fault() - the first touch of a slot.
 * @f: the area allows the access; no page is there.
 *
 * Return: as mm_fault()'s; MM_FAULT_BUS where nothing is promised to the area and no page is
 * left, or where a page was taken from it: this slot may be that which has lost its content.
 * Context: sys->lock held, dropped and retaken; mm read-locked.
 */
enum mm_fault_result hugetlb_fault(struct fault *f)
{
	unsigned int order = hugetlb_vma_order(f->vma);
	struct huge_leaf leaf = {
		.mm = f->mm, .va = align_down(f->va, PAGE_SIZE << order), .order = order};
	int err;

	if (f->vma->flags & VMA_HUGETLB_LOST)
		return MM_FAULT_BUS;
	err = make(f, &leaf);
	if (err == -ENOMEM)
		return fault_no_memory(f);
	if (err)
		return MM_FAULT_BUS;
	return huge_translate(f, &leaf, true);
}

/* Its content goes; the machine holds no translation. The area is still there. */
void hugetlb_zap(const struct huge_leaf *leaf)
{
	struct page *page = huge_leaf_page(leaf);

	huge_set(leaf, 0);
	hugetlb_page_put(leaf->mm->sys, vma_find(leaf->mm, leaf->va), page);
}
