/* SPDX-License-Identifier: MIT */
/*
 * Faults on pages larger than 4 KiB.
 *
 * The first touch of 2 MiB that lie in one area and have no entry yet gets a block of order 9,
 * where transparent huge pages are on for the area, and one is free: a program does not wait
 * for one to be made (Linux with defrag=madvise). Otherwise the same is tried with 64 KiB. What
 * cannot be had is no error: the fault goes on with a single page, and khugepaged looks later.
 *
 * As with single pages (fault.c) the block is PG_locked and its entry IDLE while it is zeroed
 * and translated without sys->lock.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "mm/fault.h"
#include "mm/hugetlb.h"
#include "mm/reclaim.h"

static bool mode_allows(uint32_t mode, const struct vma *vma)
{
	if (vma->mapping ||
	    vma->flags & (VMA_NOHUGEPAGE | VMA_FOREIGN | VMA_HUGETLB | VMA_LOCKED))
		return false;
	return mode == MM_THP_ALWAYS || (mode == MM_THP_MADVISE && (vma->flags & VMA_HUGEPAGE));
}

/**
 * huge_vma_allows() - may the area have transparent pages of that order?
 * @order: HUGE_ORDER_64K or HUGE_ORDER_2M.
 *
 * Context: sys->lock held.
 */
bool huge_vma_allows(const struct mm_system *sys, const struct vma *vma, unsigned int order)
{
	uint32_t mode = sys->cfg.thp, caps = sys->machine->ops->caps;

	if (order == HUGE_ORDER_2M)
		return (caps & MACHINE_HUGE_2M) && mode_allows(mode, vma);
	if (sys->cfg.thp_64k != MM_THP_INHERIT)
		mode = sys->cfg.thp_64k;
	return (caps & MACHINE_HUGE_64K) && mode_allows(mode, vma);
}

/* A large page is dirty; and what its area allows it may, but for one that fork has shared. */
static pte_t present_pte(const struct fault *f, const struct huge_leaf *leaf)
{
	pte_t pte =
		(pte_idle(*leaf->entry) & ~PTE_IDLE) | PTE_PRESENT | PTE_USER | PTE_ACCESSED;

	if (!(f->vma->flags & VMA_EXEC))
		pte |= PTE_NX;
	if (f->vma->flags & VMA_WRITE && huge_leaf_page(leaf)->refs == 1)
		pte |= PTE_WRITE;
	return pte;
}

/* Has the machine translate it. Unlocks. */
enum mm_fault_result huge_translate(struct fault *f, const struct huge_leaf *leaf,
				    bool is_fresh)
{
	struct mm_system *sys = f->mm->sys;
	struct page *page = huge_leaf_page(leaf);
	struct machine_change change = {.va = leaf->va,
					.old_pte = *leaf->entry,
					.new_pte = present_pte(f, leaf),
					.order = leaf->order};
	struct machine_batch batch = {.changes = &change, .nr = 1};
	int err;

	if (pte_is_present(*leaf->entry) && (!f->is_write || *leaf->entry & PTE_WRITE))
		change.new_pte = change.old_pte; /* the machine may have forgotten it */
	page->flags |= PG_locked;
	sys_unlock(sys);
	if (is_fresh)
		memset(page_addr(sys, page), 0, PAGE_SIZE << leaf->order);
	err = sys->machine->ops->apply(sys->machine, f->mm->space, &batch);
	sys_lock(sys);
	page->flags &= ~(uint32_t)PG_locked;
	if (!err)
		huge_set(leaf, change.new_pte);
	if (page_has(page, PG_anon) && !page_has(page, PG_lru | PG_isolated))
		sys->policy_ops->insert(sys->policy, page);
	sys_wake(sys);
	return err ? fault_machine_error(f, err) : MM_FAULT_MINOR;
}

static enum mm_fault_result fault_mapped(struct fault *f, const struct huge_leaf *leaf)
{
	struct page *page = huge_leaf_page(leaf);

	if (page_has(page, PG_locked))
		return fault_retry(f);
	if (f->is_write && page->refs > 1)
		return hugetlb_cow(f, leaf);
	if (f->is_fetch)
		return MM_FAULT_MINOR;
	return huge_translate(f, leaf, false);
}

/* The aligned range of that order around the address, if the area has all of it. */
static bool range_fits(struct fault *f, unsigned int order, vaddr_t *ret_va)
{
	*ret_va = align_down(f->va, PAGE_SIZE << order);
	return *ret_va >= f->vma->start && *ret_va + (PAGE_SIZE << order) <= f->vma->end;
}

/* A deposit hangs on the entry on success. */
static int prepare_2m(struct mm *mm, vaddr_t va, pte_t **ret_entry)
{
	unsigned int level;
	const pte_t *there = pgtable_leaf(mm, va, &level);
	int err = pgtable_huge_prepare(mm, va, 1, ret_entry);

	if (err || there)
		return err; /* the empty table that was there is the deposit */
	return pgtable_deposit(mm, *ret_entry);
}

static int prepare_64k(struct mm *mm, vaddr_t va, pte_t **ret_entry)
{
	vaddr_t at = va;

	if (pgtable_next(mm, &at, va + (PAGE_SIZE << HUGE_ORDER_64K)))
		return -EEXIST;
	return pgtable_ensure(mm, va, ret_entry);
}

static void count_fault(struct mm_system *sys, unsigned int order, bool is_had)
{
	if (order != HUGE_ORDER_2M) {
		STAT(sys, anon_64k_fault_alloc, is_had);
		STAT(sys, anon_64k_fault_fallback, !is_had);
		return;
	}
	STAT(sys, thp_fault_alloc, is_had);
	STAT(sys, thp_fault_fallback, !is_had);
}

/* Return: 0; -EEXIST: smaller pages are there; -ENOMEM. */
static int leaf_create(struct fault *f, struct huge_leaf *leaf)
{
	struct mm_system *sys = f->mm->sys;
	bool is_2m = leaf->order == HUGE_ORDER_2M;
	struct page *page;
	int err = (is_2m ? prepare_2m : prepare_64k)(f->mm, leaf->va, &leaf->entry);

	if (err)
		return err;
	err = page_alloc(sys, leaf->order, GFP_USER, &page);
	count_fault(sys, leaf->order, !err);
	if (err) {
		if (is_2m)
			pgtable_undeposit(f->mm, leaf->entry);
		return err;
	}
	huge_leaf_make(leaf, page);
	return 0;
}

static bool fault_fresh(struct fault *f, unsigned int order, enum mm_fault_result *ret_result)
{
	struct huge_leaf leaf = {.mm = f->mm, .order = order};

	if (!huge_vma_allows(f->mm->sys, f->vma, order) || !range_fits(f, order, &leaf.va))
		return false;
	if (leaf_create(f, &leaf))
		return false;
	*ret_result = huge_translate(f, &leaf, true);
	kswapd_wake_if_low(f->mm->sys);
	return true;
}

/**
 * huge_fault() - a fault, where larger pages have to do with it.
 * @f: the area allows the access.
 * @ret_result: as mm_fault()'s.
 *
 * Return: false if it is one for a single page: none larger is there, or is to be made.
 * Context: sys->lock held, dropped and retaken where it returns true; mm read-locked.
 */
bool huge_fault(struct fault *f, enum mm_fault_result *ret_result)
{
	struct huge_leaf leaf;

	if (huge_find(f->mm, f->va, &leaf)) {
		*ret_result = fault_mapped(f, &leaf);
		return true;
	}
	if (f->vma->flags & VMA_HUGETLB) {
		*ret_result = hugetlb_fault(f);
		return true;
	}
	if (f->is_fetch)
		return false;
	return fault_fresh(f, HUGE_ORDER_2M, ret_result) ||
	       fault_fresh(f, HUGE_ORDER_64K, ret_result);
}
