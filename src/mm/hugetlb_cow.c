/* SPDX-License-Identifier: MIT */
/*
 * Pages of a pool under fork (Linux's copy_hugetlb_page_range(), hugetlb_wp()).
 *
 * The child's areas name the parent's pages, one reference each, and both sides are translated
 * read-only. A write to a page that has another name makes a copy; the last one that names a
 * page may write it as it is. No lists are kept: fork leaves a page at its address, so who maps
 * it is found by a look at each address space, which only the last resort below does.
 *
 * A promise is the parent's. It was for one page a slot, and the page that is shared has kept
 * it: a copy is one page more, which nobody has promised to anyone. The child has no promises
 * at all, as if its areas were mapped with MAP_NORESERVE: it copies, or touches what the parent
 * never did, while there are pages that nobody is promised, and then it gets SIGBUS.
 *
 *	pool of 2, area of 2    free 2  rsvd 2     parent [ - - ]
 *	touch, fork             free 1  rsvd 1     parent [ a - ]   child [ a - ]
 *	either side writes      no page that is not promised: the child SIGBUS, the parent ...
 *
 * ... takes the page from all others (unmap_ref_private()). They must not find zeroes there, so
 * their area is VMA_HUGETLB_LOST from then on: a touch of a slot without a page is SIGBUS. In
 * Linux a child that such an area is forked to forgets that, and reads zeroes; here it does
 * not.
 *
 * When the parent gives a page back that others still have, its promise is spent: the slot's
 * next touch takes what another slot of the area is promised, if any, or what nobody is.
 *
 * A page whose translations are being changed, or whose content is read for a copy, is
 * PG_locked; who else faults on it is told RETRY. That is what keeps two sharers apart.
 */
#include "mm/hugetlb.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "mm/fault.h"

/* An area of a parent becomes one of a child: without promises. */
void hugetlb_area_disown(struct vma *copy)
{
	copy->nr_promised = 0;
	copy->flags |= VMA_NORESERVE;
}

/* Return: 0 or the machine's -errno; the entry is what the machine has. Unlocks. */
static int leaf_change(const struct huge_leaf *leaf, pte_t new_pte)
{
	struct machine_change change = {.va = leaf->va,
					.old_pte = *leaf->entry,
					.new_pte = new_pte,
					.order = leaf->order};
	struct machine_batch batch = {.changes = &change, .nr = 1};
	int err = mm_machine_apply(leaf->mm, &batch);

	if (!err)
		huge_set(leaf, new_pte);
	return err;
}

/* The child gets the page too. What its machine does not take now stays IDLE. Unlocks. */
static int leaf_share(const struct huge_leaf *from, struct mm *child)
{
	struct huge_leaf to = {.mm = child, .va = from->va, .order = from->order};
	struct page *page = huge_leaf_page(from);
	int err = 0;

	if (pte_is_present(*from->entry) && *from->entry & PTE_WRITE)
		err = leaf_change(from, *from->entry & ~PTE_WRITE);
	if (err)
		return err;
	if (pgtable_huge_prepare(child, to.va, to.order / 9, &to.entry))
		return MM_NO_FRAMES;
	page->refs++;
	huge_set(&to, pte_make(page_pfn(child->sys, page), PTE_IDLE | PTE_PS));
	if (pte_is_present(*from->entry))
		(void)leaf_change(&to, *from->entry);
	return 0;
}

/**
 * hugetlb_dup() - a child shares the pages of an area with its parent.
 * @range: of the area, which both have.
 *
 * Return: 0; MM_NO_FRAMES; the machine's -errno: the child has a part of them.
 * Context: sys->lock held, dropped and retaken; both mms write-locked.
 */
int hugetlb_dup(struct mm *parent, struct mm *child, struct mm_range range)
{
	struct huge_leaf leaf;
	int err = 0;

	while (!err && huge_next(parent, range, &leaf)) {
		err = leaf_share(&leaf, child);
		range.start = huge_leaf_range(&leaf).end;
	}
	return err;
}

/* Somebody else who maps the page. */
static bool find_other(const struct huge_leaf *leaf, struct huge_leaf *ret_other)
{
	struct page *page = huge_leaf_page(leaf);
	struct mm *mm;

	list_for_each_entry (mm, &leaf->mm->sys->mms, node)
		if (mm != leaf->mm && huge_find(mm, leaf->va, ret_other) &&
		    huge_leaf_page(ret_other) == page)
			return true;
	return false;
}

/* Return: 0; -EAGAIN: somebody is at work on it; the machine's -errno. Unlocks. */
static int take_from(const struct huge_leaf *other)
{
	struct mm *mm = other->mm;
	int err;

	if (!mm_reclaim_trylock(mm))
		return -EAGAIN;
	err = huge_idle_range(mm,
			      huge_leaf_range(other)); /* PG_locked: it is only this one's */
	if (!err) {
		vma_find(mm, other->va)->flags |= VMA_HUGETLB_LOST;
		hugetlb_zap(other);
	}
	mm_read_unlock(mm);
	return err;
}

/* The page becomes the faulting area's own. Unlocks. */
static enum mm_fault_result take_from_all(struct fault *f, const struct huge_leaf *leaf)
{
	struct page *page = huge_leaf_page(leaf);
	struct huge_leaf other;
	int err = 0;

	page->flags |= PG_locked;
	while (!err && page->refs > 1 && find_other(leaf, &other))
		err = take_from(&other);
	page->flags &= ~(uint32_t)PG_locked;
	sys_wake(f->sys);
	if (err)
		return fault_machine_error(f, err);
	MM_ASSERT(page->refs == 1);
	return huge_translate(f, leaf, false);
}

/* Unlocks. */
static enum mm_fault_result copy_to(struct fault *f, const struct huge_leaf *leaf,
				    struct page *new)
{
	struct hugetlb_pool *pool = hugetlb_pool_of(f->sys, leaf->order);
	struct page *old = huge_leaf_page(leaf);
	pte_t bits = PTE_PRESENT | PTE_USER | PTE_ACCESSED | PTE_WRITE | PTE_PS;
	int err;

	if (!(f->vma->flags & VMA_EXEC))
		bits |= PTE_NX;
	old->flags |= PG_locked;
	sys_unlock(f->sys);
	memcpy(page_addr(f->sys, new), page_addr(f->sys, old), PAGE_SIZE << leaf->order);
	sys_lock(f->sys);
	err = leaf_change(leaf, pte_make(page_pfn(f->sys, new), bits));
	old->flags &= ~(uint32_t)PG_locked;
	hugetlb_page_put_extra(f->sys, pool, err ? new : old);
	sys_wake(f->sys);
	return err ? fault_machine_error(f, err) : MM_FAULT_MINOR;
}

/**
 * hugetlb_cow() - a write to a page that others have too.
 * @f: the area allows the write.
 * @leaf: its page is not PG_locked.
 *
 * Return: as mm_fault()'s; MM_FAULT_BUS: the area is a child's, and no page is left for it.
 * Context: sys->lock held, dropped and retaken; mm read-locked.
 */
enum mm_fault_result hugetlb_cow(struct fault *f, const struct huge_leaf *leaf)
{
	struct page *new;

	if (hugetlb_page_get_extra(f->sys, hugetlb_pool_of(f->sys, leaf->order), &new) == 0)
		return copy_to(f, leaf, new);
	return hugetlb_is_reserved(f->vma) ? take_from_all(f, leaf) : MM_FAULT_BUS;
}
