/* SPDX-License-Identifier: MIT */
/*
 * mlock: memory that stays in RAM.
 *
 * An area with VMA_LOCKED has all its pages in frames; one with VMA_LOCKONFAULT too, those that
 * were touched. A page that such an area maps has PG_mlocked and is kept from reclaim: it is on
 * no list of the policy, PG_unevictable, and counted. What is being made, written or looked at
 * when it is locked gets PG_mlocked alone, and leaves the lists when it comes back to one, or
 * when reclaim meets it there ("culled", mm/vmscan.c).
 *
 * A page is locked as long as one of its mappers is. That is asked of the mappers when one of
 * them goes or is unlocked, not counted.
 *
 * Locking an area and filling it are two things: the flags change at once, then pages are
 * brought in by faults, in steps. A call that is told -EAGAIN meanwhile is made again, and
 * finds the flags as it wants them.
 *
 * A locked area has single pages only: larger ones are split when it is locked, and faults make
 * none there (Linux keeps them).
 *
 * 1. A page with PG_unevictable has PG_mlocked, and neither PG_lru nor PG_isolated.
 * 2. A page has PG_mlocked if and only if an area with VMA_LOCKED maps it.
 * 3. nr_mlock and nr_unevictable are the numbers of such pages; mm->locked_vm is the number of
 *    pages in the areas with VMA_LOCKED.
 */
#include "mm/mlock.h"

#include "base/assert.h"
#include "mm/huge.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"

/* Faults that one call takes to fill an area; then it says -EAGAIN. */
#define POPULATE_FAULTS 1024

/* The page is on no list and stays off them. */
void page_make_unevictable(struct mm_system *sys, struct page *page)
{
	MM_ASSERT(page_has(page, PG_mlocked) &&
		  !page_has(page, PG_lru | PG_isolated | PG_unevictable));
	page->flags |= PG_unevictable;
	STAT(sys, nr_unevictable, 1);
	STAT(sys, unevictable_pgs_culled, 1);
}

/**
 * page_mlock() - an area with VMA_LOCKED maps the page.
 *
 * Context: sys->lock held.
 */
void page_mlock(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_mlocked))
		return;
	page->flags |= PG_mlocked;
	STAT(sys, nr_mlock, 1);
	STAT(sys, unevictable_pgs_mlocked, 1);
	if (!page_has(page, PG_lru))
		return; /* whoever has it puts it where it belongs */
	sys->policy_ops->remove(sys->policy, page);
	page_make_unevictable(sys, page);
}

/**
 * page_mlock_mapped() - mm has become a mapper of the page, at page->index.
 *
 * Context: sys->lock held; mm has areas with VMA_LOCKED.
 */
void page_mlock_mapped(struct mm *mm, struct page *page)
{
	const struct vma *vma = vma_find(mm, page->index << PAGE_SHIFT);

	if (vma && vma->flags & VMA_LOCKED)
		page_mlock(mm->sys, page);
}

static void page_munlock(struct mm_system *sys, struct page *page)
{
	page->flags &= ~(uint32_t)PG_mlocked;
	STAT(sys, nr_mlock, -1);
	STAT(sys, unevictable_pgs_munlocked, 1);
	if (!page_has(page, PG_unevictable))
		return;
	page->flags &= ~(uint32_t)PG_unevictable;
	STAT(sys, nr_unevictable, -1);
	STAT(sys, unevictable_pgs_rescued, 1);
	page_lru_add(sys, page);
}

static bool mapper_is_unlocked(const struct rmap_entry *at, void *arg)
{
	const struct vma *vma = vma_find(at->mm, at->va);

	(void)arg;
	return !vma || !(vma->flags & VMA_LOCKED);
}

/* Does one of the page's mappers keep it in RAM? */
bool page_is_in_locked_area(struct mm_system *sys, struct page *page)
{
	return !rmap_walk(sys, page, mapper_is_unlocked, NULL);
}

/**
 * page_mlock_unmapped() - a mapper of a page with PG_mlocked is gone, or not locked any more.
 *
 * Context: sys->lock held.
 */
void page_mlock_unmapped(struct mm_system *sys, struct page *page)
{
	if (page_is_in_locked_area(sys, page))
		STAT(sys, unevictable_pgs_stranded, 1);
	else
		page_munlock(sys, page);
}

/* Has the address space room to lock so many pages more? */
bool mm_lock_allows(const struct mm *mm, uint64_t pages)
{
	uint64_t max = mm->sys->cfg.memlock_bytes >> PAGE_SHIFT;

	return mm->locked_vm <= max && pages <= max - mm->locked_vm;
}

static uint32_t new_flags(const struct vma *vma, uint32_t locked)
{
	if (vma->flags & (VMA_FOREIGN | VMA_HUGETLB))
		return vma->flags; /* stays anyway */
	return (vma->flags & ~(uint32_t)VMA_LOCKED_ANY) | locked;
}

/* The area's flags have changed: so do the pages that it maps there. */
static void lock_pages(struct mm *mm, struct mm_range part, bool is_locked)
{
	struct mm_system *sys = mm->sys;
	pte_t *pte;

	for (vaddr_t va = part.start; (pte = pgtable_next(mm, &va, part.end));
	     va += PAGE_SIZE) {
		struct page *page;

		if (!pte_is_resident(*pte))
			continue;
		page = page_of(sys, pte_pfn(*pte));
		if (is_locked)
			page_mlock(sys, page);
		else if (page_has(page, PG_mlocked))
			page_mlock_unmapped(sys, page);
	}
}

/*
 * One part of an area. Cutting cannot fail: the range's two bounds have been provided for, and
 * areas that become one had the same flags. Return: the area that has the part now.
 */
static struct vma *lock_part(struct mm *mm, struct vma *vma, struct mm_range part,
			     uint32_t locked, struct vma_reserve *reserve)
{
	uint32_t flags = new_flags(vma, locked);

	if (flags == vma->flags)
		return vma;
	vma_cut(mm, part.start, reserve);
	vma_cut(mm, part.end, reserve);
	vma = vma_find(mm, part.start);
	vma_set_flags(mm, vma, flags);
	lock_pages(mm, part, locked != 0);
	return vma_merge(mm, vma);
}

/* Return: 0; -ENOMEM at a hole: what lies before it is done. */
static int lock_parts(struct mm *mm, struct mm_range range, uint32_t locked,
		      struct vma_reserve *reserve)
{
	vaddr_t at = range.start;

	while (at < range.end) {
		struct vma *vma = vma_find(mm, at);
		struct mm_range part;

		if (!vma)
			return -ENOMEM;
		part = range_clip((struct mm_range){at, range.end}, vma);
		lock_part(mm, vma, part, locked, reserve);
		at = part.end;
	}
	return 0;
}

static int lock_range(struct mm *mm, struct mm_range range, uint32_t locked)
{
	struct vma_reserve reserve = {0};
	unsigned int nr_cuts = mm_nr_cuts(mm, range);
	int err;

	if (!vma_find(mm, range.start))
		return -ENOMEM;
	if (mm->nr_vmas + nr_cuts > mm_vmas_max(mm))
		return -ENOMEM;
	err = mm_reserve(mm, &reserve, nr_cuts);
	if (err)
		return err;
	err = huge_split_range(mm, range);
	if (!err)
		err = lock_parts(mm, range, locked, &reserve);
	vma_unreserve(mm, &reserve);
	return err;
}

/* Pages of a range that are locked already: they do not count twice. */
static uint64_t locked_in(struct mm *mm, struct mm_range range)
{
	struct vma *vma = vma_find_first(mm, range.start);
	uint64_t pages = 0;

	for (; vma && vma->start < range.end; vma = vma_next(vma)) {
		struct mm_range part = range_clip(range, vma);

		if (vma->flags & VMA_LOCKED)
			pages += (part.end - part.start) >> PAGE_SHIFT;
	}
	return pages;
}

/* The next page of the range that is to be in RAM and is not. False: there is none. */
static bool next_missing(struct mm *mm, struct mm_range *range, unsigned int *ret_access)
{
	struct vma *vma = vma_find_first(mm, range->start);

	for (; vma && vma->start < range->end; vma = vma_next(vma)) {
		struct mm_range part = range_clip(*range, vma);

		if (!(vma->flags & VMA_LOCKED) || vma->flags & VMA_LOCKONFAULT)
			continue;
		*ret_access = vma->flags & VMA_WRITE && !(vma->flags & VMA_SHARED)
				      ? MM_ACCESS_WRITE
				      : MM_ACCESS_READ;
		for (vaddr_t va = part.start; va < part.end; va += PAGE_SIZE) {
			const pte_t *pte = pgtable_lookup(mm, va);

			range->start = va;
			if (!pte || !pte_is_resident(*pte))
				return true;
		}
	}
	return false;
}

/**
 * mm_populate() - bring in the pages of a range that are locked.
 *
 * As an access to each would (Linux's populate_vma_page_range()): where the area can be
 * written, a write.
 *
 * Return: 0; -EAGAIN: not done yet, call again; -ENOMEM: a page cannot be had, for lack of
 * memory or because its area forbids access. Context: takes sys->lock.
 */
int mm_populate(struct mm *mm, struct mm_range range)
{
	struct mm_system *sys = mm->sys;

	for (unsigned int i = 0; i < POPULATE_FAULTS; i++) {
		enum mm_fault_result result;
		unsigned int access;
		bool is_missing;

		sys_lock(sys);
		is_missing = next_missing(mm, &range, &access);
		sys_unlock(sys);
		if (!is_missing)
			return 0;
		result = mm_fault(mm, range.start, access);
		if (result == MM_FAULT_RETRY)
			return -EAGAIN;
		if (result > MM_FAULT_MAJOR)
			return -ENOMEM;
	}
	sys_lock(sys);
	sys->has_waiters = true;
	sys_wake(sys);
	sys_unlock(sys);
	return -EAGAIN;
}

/* The range that a call means, in whole pages. False: it has no end. */
static bool range_of(vaddr_t addr, uint64_t len, struct mm_range *ret_range)
{
	uint64_t aligned;

	if (!checked_add(len, addr & ~PAGE_MASK, &aligned) ||
	    !checked_align_up(aligned, PAGE_SIZE, &aligned))
		return false;
	ret_range->start = addr & PAGE_MASK;
	return checked_add(ret_range->start, aligned, &ret_range->end);
}

static int mlock_locked(struct mm *mm, struct mm_range range, uint32_t locked)
{
	uint64_t pages = (range.end - range.start) >> PAGE_SHIFT;

	if (range.start == range.end)
		return 0;
	if (!mm_lock_allows(mm, pages) && !mm_lock_allows(mm, pages - locked_in(mm, range)))
		return -ENOMEM;
	return lock_range(mm, range, locked);
}

/**
 * mm_mlock() - mlock2(2): keep a range in RAM.
 * @addr: any byte of the first page.
 * @len: bytes.
 * @flags: 0: all of it, now; MM_MLOCK_ONFAULT: each page from its first touch on.
 *
 * Of foreign areas nothing is changed: they are the kernel's.
 *
 * Return: 0; -EINVAL for another flag or a range without an end; -EPERM where nothing may be
 * locked (mm_config.memlock_bytes 0); -ENOMEM above that limit, at a hole (what lies before it
 * is locked), where there would be too many areas, or a page cannot be had (what is locked
 * stays so); -EAGAIN: the call is to be made again. Context: takes sys->lock and write-locks
 * mm; then faults.
 */
int mm_mlock(struct mm *mm, vaddr_t addr, uint64_t len, int flags)
{
	uint32_t locked = VMA_LOCKED;
	struct mm_range range;
	int err;

	if (flags & ~MM_MLOCK_ONFAULT || !range_of(addr, len, &range))
		return -EINVAL;
	if (mm->sys->cfg.memlock_bytes == 0)
		return -EPERM;
	if (flags & MM_MLOCK_ONFAULT)
		locked |= VMA_LOCKONFAULT;
	err = mm_write_begin(mm);
	if (err)
		return err;
	err = mm_write_end(mm, mlock_locked(mm, range, locked));
	return err ? err : mm_populate(mm, range);
}

/**
 * mm_munlock() - munlock(2): a range may be swapped again.
 *
 * Return: 0; -EINVAL for a range without an end; -ENOMEM at a hole (what lies before it is
 * unlocked) or where there would be too many areas; -EAGAIN: the call is to be made again.
 * Context: takes sys->lock and write-locks mm.
 */
int mm_munlock(struct mm *mm, vaddr_t addr, uint64_t len)
{
	struct mm_range range;
	int err;

	if (!range_of(addr, len, &range))
		return -EINVAL;
	err = mm_write_begin(mm);
	if (err)
		return err;
	if (range.start < range.end)
		err = lock_range(mm, range, 0);
	return mm_write_end(mm, err);
}

/* All areas; whole ones are never cut. */
static void lock_all(struct mm *mm, uint32_t locked)
{
	struct vma_reserve none = {0};
	struct vma *vma = vma_find_first(mm, 0);

	while (vma) {
		vma = lock_part(mm, vma, (struct mm_range){vma->start, vma->end}, locked,
				&none);
		vma = vma_next(vma);
	}
}

static int mlockall_locked(struct mm *mm, int flags)
{
	uint32_t locked = VMA_LOCKED;
	int err;

	if (flags & MM_MCL_CURRENT && mm->total_vm > mm->sys->cfg.memlock_bytes >> PAGE_SHIFT)
		return -ENOMEM;
	if (flags & MM_MCL_ONFAULT)
		locked |= VMA_LOCKONFAULT;
	mm->def_flags = flags & MM_MCL_FUTURE ? locked : 0;
	if (!(flags & MM_MCL_CURRENT))
		return 0;
	err = huge_split_range(mm, (struct mm_range){mm->window_start, mm->window_end});
	if (!err)
		lock_all(mm, locked);
	return err;
}

/**
 * mm_mlockall() - mlockall(2).
 * @flags: MM_MCL_CURRENT: all areas there are, MM_MCL_FUTURE: those to come, or both; with
 * MM_MCL_ONFAULT as MM_MLOCK_ONFAULT.
 *
 * Pages that cannot be had are no error, as in Linux.
 *
 * Return: 0; -EINVAL for other flags; -EPERM, -ENOMEM as mm_mlock(); -EAGAIN: the call is to be
 * made again.
 * Context: takes sys->lock and write-locks mm; then faults.
 */
int mm_mlockall(struct mm *mm, int flags)
{
	int err;

	if (flags == 0 || flags == MM_MCL_ONFAULT ||
	    flags & ~(MM_MCL_CURRENT | MM_MCL_FUTURE | MM_MCL_ONFAULT))
		return -EINVAL;
	if (mm->sys->cfg.memlock_bytes == 0)
		return -EPERM;
	err = mm_write_begin(mm);
	if (err)
		return err;
	err = mm_write_end(mm, mlockall_locked(mm, flags));
	if (err || !(flags & MM_MCL_CURRENT))
		return err;
	err = mm_populate(mm, (struct mm_range){mm->window_start, mm->window_end});
	return err == -EAGAIN ? err : 0;
}

/**
 * mm_unlock_areas() - nothing of the address space is locked, nor will be: for a fork's child.
 *
 * Context: sys->lock held, mm write-locked.
 */
void mm_unlock_areas(struct mm *mm)
{
	mm->def_flags = 0;
	lock_all(mm, 0);
}

/**
 * mm_munlockall() - munlockall(2).
 *
 * Return: 0; -EAGAIN: the call is to be made again.
 * Context: takes sys->lock and write-locks mm.
 */
int mm_munlockall(struct mm *mm)
{
	int err = mm_write_begin(mm);

	if (err)
		return err;
	mm_unlock_areas(mm);
	return mm_write_end(mm, 0);
}
