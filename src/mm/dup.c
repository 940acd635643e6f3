/* SPDX-License-Identifier: MIT */
/*
 * fork of one address space: mm_fork() (Linux's dup_mmap() and copy_page_range()).
 *
 * The child gets the areas, and for each entry of the parent one of its own that names the same
 * frame or the same slot. No content is copied: both sides are translated read-only from then
 * on, and the first write makes a copy (mm/cow.c). MADV_DONTFORK leaves an area out,
 * MADV_WIPEONFORK its content. Pages of files are not entered: a fault finds them again.
 *
 * Parent and child are write-locked until the end, so no entry of theirs changes but here, and
 * reclaim leaves their pages alone. The work goes by batches of entries, and the machine is
 * told of each batch in two ops: the parent's writable translations become read-only, which
 * shoots down what processors still hold; then the child gets read-only translations of what
 * the parent has translated. Frames and slots are shared in between, under sys->lock.
 *
 *	parent  [ W W W | W W W | W ]        [ r r r | W W W | W ]        [ r r r | r r r | r ]
 *	child                          ->    [ r r r ]              ->    [ r r r | r r r | r ]
 *
 * Transparent huge pages are split first (Linux shares them by their PMD, and splits them when
 * one side writes). Those of a pool are shared whole (mm/hugetlb_cow.c).
 *
 * Whatever fails on the way, a frame for a table or the machine, is undone by ending the child,
 * as an exit would. That leaves the parent's content and counts as they were; some of its pages
 * are then read-only and shared with nobody, and the next write to one takes it back.
 */
#include <errno.h>

#include "base/assert.h"
#include "mm/commit.h"
#include "mm/hugetlb.h"
#include "mm/mlock.h"
#include "mm/mmap.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"

/* Entries that one round shares. */
#define DUP_BATCH 256

#define RIGHTS_OF_PARENT (PTE_PRESENT | PTE_USER | PTE_NX)

struct dup {
	struct mm *parent, *child;
	struct machine_change changes[DUP_BATCH];
};

static bool area_is_copied(const struct vma *vma)
{
	return !(vma->flags & VMA_DONTFORK);
}

static bool content_is_copied(const struct vma *vma)
{
	return !(vma->flags & (VMA_DONTFORK | VMA_WIPEONFORK | VMA_FOREIGN | VMA_SHARED));
}

/* What the child's areas take is taken before the first is made. */
static int dup_reserve(const struct dup *d, struct vma_reserve *reserve)
{
	uint64_t nr_charged = 0;
	unsigned int nr = 0;
	int err;

	for (struct vma *vma = vma_find_first(d->parent, 0); vma; vma = vma_next(vma)) {
		if (!area_is_copied(vma))
			continue;
		nr++;
		if (vma->flags & VMA_ACCOUNT)
			nr_charged += (vma->end - vma->start) >> PAGE_SHIFT;
	}
	err = mm_reserve(d->child, reserve, nr);
	return err ? err : mm_charge(d->child, reserve, nr_charged, 0);
}

static int dup_areas(const struct dup *d)
{
	struct vma_reserve reserve = {0};
	int err = dup_reserve(d, &reserve);

	for (struct vma *vma = vma_find_first(d->parent, 0); vma && !err; vma = vma_next(vma)) {
		struct vma like = *vma;

		if (!area_is_copied(vma))
			continue;
		like.flags &= ~(uint32_t)VMA_LOCKED_ANY; /* a lock is not inherited */
		if (!content_is_copied(vma))
			like.flags &= ~(uint32_t)VMA_TOUCHED;
		if (vma->flags & VMA_HUGETLB)
			hugetlb_area_disown(&like);
		vma_add_like(d->child, &like, &reserve);
	}
	vma_unreserve(d->child, &reserve);
	return err ? err : mm_replay_regions(d->child);
}

/* Where a round that begins at start ends; what the parent may write there is in changes. */
static vaddr_t collect_writable(struct dup *d, vaddr_t start, vaddr_t end, uint32_t *ret_nr)
{
	unsigned int left = DUP_BATCH;
	vaddr_t va = start;
	uint32_t nr = 0;
	pte_t *pte;

	for (; left > 0 && (pte = pgtable_next(d->parent, &va, end)); va += PAGE_SIZE, left--)
		if (pte_is_present(*pte) && *pte & PTE_WRITE)
			d->changes[nr++] = (struct machine_change){
				.va = va, .old_pte = *pte, .new_pte = *pte & ~PTE_WRITE};
	*ret_nr = nr;
	return left > 0 ? end : va;
}

/* Nothing is translated writable in the parent's round any more. Unlocks. */
static int write_protect(struct dup *d, uint32_t nr)
{
	struct machine_batch batch = {.changes = d->changes, .nr = nr};
	struct mm_system *sys = d->parent->sys;
	int err = mm_machine_apply(d->parent, &batch);

	for (uint32_t i = 0; i < (err ? batch.nr_done : nr); i++) {
		const struct machine_change *change = &d->changes[i];

		pte_set(d->parent, pgtable_lookup(d->parent, change->va), change->new_pte);
		if (change->old_pte & PTE_DIRTY)
			anon_page_mark_dirty(sys, page_of(sys, pte_pfn(change->new_pte)));
	}
	return err;
}

static void count_touched(struct mm_system *sys)
{
	sys->nr_touched++;
	if (sys->nr_touched > sys->vmstat[MM_VMSTAT_nr_touched_peak])
		sys->vmstat[MM_VMSTAT_nr_touched_peak] = sys->nr_touched;
}

static int dup_swap_entry(struct mm *child, pte_t *to, swp_entry_t entry)
{
	if (swap_count_reserve(child->sys, entry, 1))
		return MM_NO_FRAMES;
	pte_set(child, to, entry);
	swap_entry_dup(child->sys, entry);
	child->nr_swapped++;
	count_touched(child->sys);
	return 0;
}

static int dup_resident_entry(struct mm *child, pte_t *to, struct page *page)
{
	if (page->mapcount == PAGE_MAPCOUNT_MAX)
		return -ENOMEM;
	rmap_share(child, page);
	pte_set(child, to, pte_make(page_pfn(child->sys, page), PTE_IDLE));
	count_touched(child->sys);
	return 0;
}

/* The child's entries of a round name what the parent's do. */
static int share_entries(const struct dup *d, vaddr_t start, vaddr_t end)
{
	pte_t *from, *to;
	int err = 0;

	for (vaddr_t va = start; !err && (from = pgtable_next(d->parent, &va, end));
	     va += PAGE_SIZE) {
		struct page *page = page_of(d->parent->sys, pte_pfn(*from));

		if (pte_is_resident(*from) && !page_has(page, PG_anon))
			continue;
		if (pgtable_ensure(d->child, va, &to))
			return MM_NO_FRAMES;
		if (pte_is_swap(*from))
			err = dup_swap_entry(d->child, to, *from);
		else
			err = dup_resident_entry(d->child, to, page);
	}
	return err;
}

/*
 * What the parent has translated the child may read without a fault. What the machine does not
 * take stays IDLE: it is a cache. Unlocks.
 */
static void translate_child(struct dup *d, vaddr_t start, vaddr_t end)
{
	struct machine_batch batch = {.changes = d->changes, .nr = 0};
	int err;
	pte_t *pte;

	for (vaddr_t va = start; (pte = pgtable_next(d->child, &va, end)); va += PAGE_SIZE) {
		pte_t from = *pgtable_lookup(d->parent, va);

		if (pte_is_present(from) && pte_is_idle(*pte))
			d->changes[batch.nr++] = (struct machine_change){
				.va = va,
				.old_pte = *pte,
				.new_pte = pte_make(pte_pfn(*pte), from & RIGHTS_OF_PARENT)};
	}
	err = mm_machine_apply(d->child, &batch);
	for (uint32_t i = 0; i < (err ? batch.nr_done : batch.nr); i++)
		pte_set(d->child, pgtable_lookup(d->child, d->changes[i].va),
			d->changes[i].new_pte);
}

/* Unlocks. */
static int dup_range(struct dup *d, vaddr_t start, vaddr_t end)
{
	int err = 0;

	while (start < end && !err) {
		uint32_t nr;
		vaddr_t next = collect_writable(d, start, end, &nr);

		err = write_protect(d, nr);
		if (!err)
			err = share_entries(d, start, next);
		if (!err)
			translate_child(d, start, next);
		start = next;
	}
	return err;
}

/* Unlocks. */
static int dup_content(struct dup *d, const struct vma *vma)
{
	if (vma->flags & VMA_HUGETLB)
		return hugetlb_dup(d->parent, d->child,
				   (struct mm_range){vma->start, vma->end});
	return dup_range(d, vma->start, vma->end);
}

/* Unlocks. */
static int dup_mm(struct dup *d)
{
	struct mm_range all = {d->parent->window_start, d->parent->window_end};
	int err = huge_split_range(d->parent, all);

	if (!err && family_ensure(d->parent))
		err = MM_NO_FRAMES;
	if (!err) {
		family_join(d->parent->family, d->child);
		err = dup_areas(d);
	}
	for (struct vma *vma = vma_find_first(d->parent, 0); vma && !err; vma = vma_next(vma))
		if (content_is_copied(vma))
			err = dup_content(d, vma);
	d->child->start_brk = d->parent->start_brk;
	d->child->brk = d->parent->brk;
	return err;
}

static int fork_locked(struct mm *parent, struct mm **ret_child)
{
	struct mm_system *sys = parent->sys;
	struct dup d; /* large: its changes need no zeroes */
	int err;

	if (parent->is_oom_victim)
		return -EINTR;
	d.parent = parent;
	err = mm_create_locked(sys, &d.child);
	if (err)
		return err;
	err = dup_mm(&d);
	if (!err && parent->is_oom_victim)
		err = -EINTR; /* chosen meanwhile: the child would keep what is to be freed */
	if (err) {
		parent->nr_wanted = (uint32_t)parent->nr_tables;
		mm_destroy_locked(d.child);
		return err;
	}
	mm_write_unlock(d.child);
	*ret_child = d.child;
	return 0;
}

/**
 * mm_fork() - fork(2) of an address space: a child with the same areas and the same content.
 * @parent: nobody is at work on it, or the call is refused.
 * @ret_child: the new address space; it shares the parent's pages and slots until one writes.
 *
 * The child's memory is committed anew where the parent's is (vm.overcommit_memory).
 *
 * Return: 0; -EOPNOTSUPP on a machine that cannot translate a frame twice; -EAGAIN: the parent
 * is in use, or memory is being freed: to be called again after mm_config.wake; -ENOMEM;
 * -EINTR: the OOM killer has chosen the parent, as Linux answers where a fatal signal is
 * pending; the machine's -errno. A call that fails has changed no content. Context: takes
 * sys->lock and write-locks parent and child.
 */
int mm_fork(struct mm *parent, struct mm **ret_child)
{
	struct mm *child;
	int err;

	if (!(parent->sys->machine->ops->caps & MACHINE_MAPS_SHARED))
		return -EOPNOTSUPP;
	err = mm_write_begin(parent);
	if (err)
		return err;
	err = mm_write_end(parent, fork_locked(parent, &child));
	if (!err)
		*ret_child = child;
	return err;
}
