/* SPDX-License-Identifier: MIT */
/*
 * mremap: a range grows, shrinks or moves (man 2 mremap; Linux 6.18's mm/mremap.c for the order
 * of its checks). The pattern and its invariants are told in mmap.c.
 *
 * A move goes area by area: what one area has of the old range becomes an area of the new range
 * (with MREMAP_FIXED there may be several, Linux since 6.17), and its entries are moved from
 * table to table. All of it is one change, not one for each area: tables and areas are taken
 * for all, then the machine lets go of all pages, then all is committed.
 *
 *   old  [ A ]    [ B ]            [ A ]     gaps stay gaps: what is mapped there at the new
 *   new       ->            [ A ]    [ B ]   place stays
 *
 * Pages keep their frames and slots: a resident page only learns its new address. As everything
 * else that is not translated it comes back by a fault. Pages that others share by fork are
 * copied first: a shared page is found at one address only (mm/rmap.c).
 */
#include "mm/mmap.h"

#include "base/assert.h"
#include "mm/commit.h"
#include "mm/hugetlb.h"
#include "mm/mlock.h"
#include "mm/reclaim.h"

#define TASK_SIZE (PGTABLE_VA_MAX - PAGE_SIZE) /* as in mmap.c */

#define MREMAP_KNOWN (MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED | MM_MREMAP_DONTUNMAP)

/* A move needs so many areas more at its worst; Linux refuses it when they may not be had. */
#define MREMAP_COUNT_SPARE 3

struct remap {
	struct mm *mm;
	vaddr_t addr;
	uint64_t old_len, new_len; /* page aligned */
	vaddr_t new_addr;
	int flags;	/* MM_MREMAP_* */
	bool is_locked; /* VMA_LOCKED: what is new is filled */
};

static struct mm_range old_range(const struct remap *r)
{
	return (struct mm_range){r->addr, r->addr + r->old_len};
}

/* What of the old range moves, and what is cut off when it shrinks on the way. */
static struct mm_range moved_range(const struct remap *r)
{
	return (struct mm_range){r->addr, r->addr + min_u64(r->old_len, r->new_len)};
}

static struct mm_range tail_range(const struct remap *r)
{
	return (struct mm_range){moved_range(r).end, old_range(r).end};
}

static struct vma *first_area(const struct remap *r)
{
	return vma_find(r->mm, r->addr);
}

/* The next area that has a part of what moves. */
static struct vma *next_area(const struct remap *r, struct vma *vma)
{
	vma = vma_next(vma);
	return vma && vma->start < moved_range(r).end ? vma : NULL;
}

/* Where that area's part goes. The last one takes what is new. */
static struct mm_range new_range(const struct remap *r, const struct vma *vma)
{
	struct mm_range part = range_clip(moved_range(r), vma);
	vaddr_t shift = r->new_addr - r->addr; /* modulo 2^64 */
	bool is_last = part.end == moved_range(r).end;

	return (struct mm_range){
		.start = part.start + shift,
		.end = is_last ? r->new_addr + r->new_len : part.end + shift,
	};
}

static bool remap_has_new_addr(const struct remap *r)
{
	return (r->flags & (MM_MREMAP_FIXED | MM_MREMAP_DONTUNMAP)) != 0;
}

/* The checks that need no tree, in Linux's order. */
static int remap_check_args(const struct remap *r)
{
	if (r->flags & ~MREMAP_KNOWN || r->addr & ~PAGE_MASK)
		return -EINVAL;
	if (r->new_len == 0 || r->new_len > TASK_SIZE)
		return -EINVAL;
	if (!remap_has_new_addr(r))
		return 0;
	if (r->new_addr > TASK_SIZE - r->new_len || r->new_addr & ~PAGE_MASK)
		return -EINVAL;
	if (!(r->flags & MM_MREMAP_MAYMOVE))
		return -EINVAL;
	if (r->flags & MM_MREMAP_DONTUNMAP && r->old_len != r->new_len)
		return -EINVAL;
	if (r->addr + r->old_len > r->new_addr && r->new_addr + r->new_len > r->addr)
		return -EINVAL;
	return 0;
}

/* A part of the new range that replaces what is there, or finds it free. */
static int clear_new_range(struct mm *mm, struct mm_range range)
{
	return vma_range_is_free(mm, range.start, range.end) ? 0 : mm_zap_range(mm, range);
}

/*
 * Areas for the worst case: each part is new, cuts what it replaces at both ends, and merges
 * with an old area that must be cut off it again.
 */
static int move_reserve(const struct remap *r, struct vma_reserve *reserve)
{
	unsigned int nr = mm_nr_cuts(r->mm, old_range(r)) + mm_nr_cuts(r->mm, tail_range(r));

	for (struct vma *vma = first_area(r); vma; vma = next_area(r, vma))
		nr += 2 + mm_nr_cuts(r->mm, new_range(r, vma));
	return mm_reserve(r->mm, reserve, nr);
}

/* Is what is new within the limit of locked memory? */
static bool may_lock_more(const struct remap *r)
{
	if (!(first_area(r)->flags & VMA_LOCKED) || r->new_len <= r->old_len)
		return true;
	return mm_lock_allows(r->mm, (r->new_len - r->old_len) >> PAGE_SHIFT);
}

/* What is new is promised; all of it where the old area stays. Only the last part grows. */
static int move_charge(const struct remap *r, struct vma_reserve *reserve)
{
	struct mm_range moved = moved_range(r);
	uint64_t pages = 0;

	if (!may_lock_more(r))
		return -ENOMEM;

	if (r->flags & MM_MREMAP_DONTUNMAP)
		pages = mm_accounted_in(r->mm, moved.start, moved.end);
	if (r->new_len > r->old_len && first_area(r)->flags & VMA_ACCOUNT)
		pages += (r->new_len - r->old_len) >> PAGE_SHIFT;
	if (pages == 0)
		return 0;
	return mm_charge(r->mm, reserve, pages,
			 mm_accounted_in(r->mm, r->new_addr, r->new_addr + r->new_len));
}

/* Single pages only where it comes from, and where tables are about to be made. */
static int move_split_huge(const struct remap *r)
{
	const struct mm_range to = {r->new_addr, r->new_addr + r->new_len};
	int err = huge_split_range(r->mm, old_range(r));

	return err ? err : huge_split_range(r->mm, to);
}

/* Before anything is taken that a lack of frames would have to give back. */
static int move_unshare(const struct remap *r)
{
	struct mm_range moved = moved_range(r);
	int err;

	if (!r->mm->family)
		return 0;
	err = mm_idle_range(r->mm, moved.start, moved.end);
	return err ? err : anon_range_unshare(r->mm, moved.start, moved.end);
}

/* A table for each entry that will move. */
static int move_prepare_tables(const struct remap *r)
{
	struct mm_range range = moved_range(r);
	pte_t *pte;

	for (vaddr_t va = range.start; pgtable_next(r->mm, &va, range.end); va += PAGE_SIZE)
		if (pgtable_ensure(r->mm, va - r->addr + r->new_addr, &pte))
			return MM_NO_FRAMES;
	return 0;
}

/* Nothing is translated any more where the move comes from or goes to. */
static int move_drop_translations(const struct remap *r)
{
	struct mm_range moved = moved_range(r);
	int err = mm_idle_range(r->mm, moved.start, moved.end);

	for (struct vma *vma = first_area(r); vma && !err; vma = next_area(r, vma))
		err = clear_new_range(r->mm, new_range(r, vma));
	if (!err)
		err = mm_zap_range(r->mm, tail_range(r));
	return err;
}

static int move_tell_machine(const struct remap *r)
{
	for (struct vma *vma = first_area(r); vma; vma = next_area(r, vma)) {
		struct mm_range range = new_range(r, vma);
		int err;

		mm_region_unmap(r->mm, range);
		err = mm_machine_region(r->mm, range.start, range.end, MACHINE_REGION_MAP,
					(int)(vma->flags & VMA_PROT));
		if (err)
			return err;
	}
	if (!(r->flags & MM_MREMAP_DONTUNMAP))
		mm_region_unmap(r->mm, old_range(r));
	return 0;
}

/*
 * The machine refused: the new range is unmapped, and what would have been lost by shrinking.
 * What was mapped there has no content any more.
 */
static void move_give_up(const struct remap *r, struct vma_reserve *reserve)
{
	struct mm_range tail = tail_range(r);
	struct vma *vma, *next;

	for (vma = first_area(r); vma; vma = next) {
		struct mm_range range = new_range(r, vma);

		next = next_area(r, vma);
		mm_machine_region(r->mm, range.start, range.end, MACHINE_REGION_UNMAP,
				  MM_PROT_NONE);
		mm_remove_areas(r->mm, range, reserve);
	}
	mm_region_unmap(r->mm, tail);
	mm_remove_areas(r->mm, tail, reserve);
	pgtable_free_range(r->mm, tail.start, tail.end);
}

static void move_entries(const struct remap *r)
{
	struct mm_range range = moved_range(r);
	struct mm *mm = r->mm;
	pte_t *from, *to;

	for (vaddr_t va = range.start; (from = pgtable_next(mm, &va, range.end));
	     va += PAGE_SIZE) {
		vaddr_t new_va = va - r->addr + r->new_addr;
		pte_t pte = *from;

		to = pgtable_lookup(mm, new_va);
		MM_ASSERT(to && pte_is_none(*to));
		MM_ASSERT(!pte_is_present(pte));
		pte_set(mm, from, 0);
		pte_set(mm, to, pte);
		if (pte_is_resident(pte) && page_has(page_of(mm->sys, pte_pfn(pte)), PG_anon))
			anon_page_move(page_of(mm->sys, pte_pfn(pte)), new_va);
	}
}

/* With MREMAP_DONTUNMAP what stays is not locked: the lock has moved with the pages. */
static void unlock_old_part(struct mm *mm, struct mm_range part, uint32_t flags,
			    struct vma_reserve *reserve)
{
	struct vma *vma;

	vma_cut(mm, part.start, reserve);
	vma_cut(mm, part.end, reserve);
	vma = vma_find(mm, part.start);
	vma_set_flags(mm, vma, flags & ~(uint32_t)VMA_LOCKED_ANY);
	vma_merge(mm, vma);
}

/* Cannot fail. The new areas do not overlap the old range, but may merge with areas in it. */
static void move_commit(const struct remap *r, struct vma_reserve *reserve)
{
	struct mm *mm = r->mm;
	vaddr_t at = r->addr, end = moved_range(r).end;
	struct vma *vma;

	move_entries(r);
	mm_remove_areas(mm, tail_range(r), reserve);
	while (at < end && (vma = vma_find_first(mm, at)) && vma->start < end) {
		struct mm_range part = range_clip(moved_range(r), vma);
		struct mm_range range = new_range(r, vma);
		struct vma like = {.start = range.start,
				   .end = range.end,
				   .flags = vma->flags,
				   .mapping = vma->mapping,
				   .pgoff = vma->mapping ? vma_index(vma, part.start) : 0};

		if (!(r->flags & MM_MREMAP_DONTUNMAP))
			mm_remove_areas(mm, part, reserve);
		else if (like.flags & VMA_LOCKED_ANY)
			unlock_old_part(mm, part, like.flags, reserve);
		mm_remove_areas(mm, range, reserve);
		vma_add_like(mm, &like, reserve);
		at = part.end;
	}
	pgtable_free_range(mm, r->addr, old_range(r).end);
}

/* r->new_addr is set. */
static int remap_move(const struct remap *r)
{
	struct vma_reserve reserve = {0};
	struct mm *mm = r->mm;
	int err;

	if (mm->nr_vmas + MREMAP_COUNT_SPARE >= mm_vmas_max(mm))
		return -ENOMEM;
	if (!mm_range_in_window(mm, r->new_addr, r->new_len))
		return -ENOMEM;
	if (!hugetlb_may_cut(mm, (struct mm_range){r->new_addr, r->new_addr + r->new_len}))
		return -EINVAL;
	err = move_unshare(r);
	if (!err)
		err = move_reserve(r, &reserve);
	if (!err)
		err = move_charge(r, &reserve);
	if (!err)
		err = move_split_huge(r);
	if (!err)
		err = move_prepare_tables(r);
	if (!err)
		err = move_drop_translations(r);
	if (err)
		goto free_tables;
	err = move_tell_machine(r);
	if (err) {
		move_give_up(r, &reserve);
		goto free_tables;
	}
	move_commit(r, &reserve);
free_tables: /* those at the new place that are empty */
	pgtable_free_range(mm, r->new_addr, r->new_addr + r->new_len);
	vma_unreserve(mm, &reserve);
	return err;
}

/* Can the area grow to that end where it is? */
static bool can_grow(struct mm *mm, const struct vma *vma, vaddr_t end)
{
	return end > vma->end && end <= mm->window_end && vma_range_is_free(mm, vma->end, end);
}

static int remap_grow_in_place(struct mm *mm, struct vma *vma, vaddr_t end)
{
	struct vma_reserve charge = {0};
	int err = 0;

	if (vma->flags & VMA_ACCOUNT)
		err = mm_charge(mm, &charge, (end - vma->end) >> PAGE_SHIFT, 0);
	if (!err)
		err = mm_machine_region(mm, vma->end, end, MACHINE_REGION_MAP,
					(int)(vma->flags & VMA_PROT));
	if (!err) {
		vma_grow(mm, vma, end);
		vma_merge(mm, vma);
	}
	vma_unreserve(mm, &charge);
	return err;
}

static int remap_grow(struct remap *r)
{
	struct vma *vma = first_area(r);
	int err;

	if (r->old_len == 0)
		return -EINVAL; /* would be a second mapping of the same pages */
	if (r->old_len > vma->end - r->addr)
		return -EFAULT;
	if (!may_lock_more(r))
		return -ENOMEM;
	if (r->addr + r->old_len == vma->end && can_grow(r->mm, vma, r->addr + r->new_len)) {
		r->new_addr = r->addr;
		return remap_grow_in_place(r->mm, vma, r->addr + r->new_len);
	}
	if (!(r->flags & MM_MREMAP_MAYMOVE))
		return -ENOMEM;
	err = vma_find_gap(r->mm, r->new_len, &r->new_addr);
	return err ? err : remap_move(r);
}

static bool has_foreign(struct mm *mm, struct mm_range range)
{
	struct vma *vma = vma_find_first(mm, range.start);

	for (; vma && vma->start < range.end; vma = vma_next(vma))
		if (vma->flags & VMA_FOREIGN)
			return true;
	return false;
}

/* MREMAP_FIXED, MREMAP_DONTUNMAP: it moves in any case. */
static int remap_to(struct remap *r)
{
	struct vma *vma = first_area(r);
	uint64_t moved_len = min_u64(r->old_len, r->new_len);

	if (r->old_len == 0)
		return -EINVAL;
	if (moved_len > vma->end - r->addr &&
	    !(r->flags & MM_MREMAP_FIXED && r->old_len == r->new_len))
		return -EFAULT; /* only a plain move takes several areas */
	if (r->old_len > TASK_SIZE - r->addr)
		return -EINVAL;
	if (has_foreign(r->mm, old_range(r)))
		return -EOPNOTSUPP;
	if (!(r->flags & MM_MREMAP_FIXED) &&
	    !(mm_range_in_window(r->mm, r->new_addr, r->new_len) &&
	      vma_range_is_free(r->mm, r->new_addr, r->new_addr + r->new_len))) {
		int err = vma_find_gap(r->mm, r->new_len, &r->new_addr); /* it was a hint */

		if (err)
			return err;
	}
	return remap_move(r);
}

/* Pages of a pool stay where they are. */
static bool has_hugetlb(struct mm *mm, struct mm_range range)
{
	struct vma *vma = vma_find_first(mm, range.start);

	for (; vma && vma->start < range.end; vma = vma_next(vma))
		if (vma->flags & VMA_HUGETLB)
			return true;
	return false;
}

static int remap_locked(struct remap *r)
{
	struct vma *vma;

	/* Linux: four areas stay free even if both ranges are cut in two. */
	if (remap_has_new_addr(r) &&
	    r->mm->nr_vmas + 2 + MREMAP_COUNT_SPARE >= mm_vmas_max(r->mm))
		return -ENOMEM;
	vma = first_area(r);
	if (!vma)
		return -EFAULT;
	if (vma->flags & VMA_FOREIGN)
		return -EOPNOTSUPP;
	if (has_hugetlb(r->mm, old_range(r)))
		return -EINVAL;
	r->is_locked = (vma->flags & VMA_LOCKED) != 0;
	if (remap_has_new_addr(r))
		return remap_to(r);
	if (r->new_len > r->old_len)
		return remap_grow(r);
	r->new_addr = r->addr;
	if (r->old_len > r->new_len && r->old_len > TASK_SIZE - r->addr)
		return -EINVAL;
	if (has_foreign(r->mm, tail_range(r)))
		return -EOPNOTSUPP;
	return mm_unmap_range(r->mm, r->addr + r->new_len, r->addr + r->old_len);
}

/**
 * mm_remap() - mremap(2).
 * @addr: page aligned.
 * @old_len: bytes; rounded up to pages, as @new_len.
 * @flags: MM_MREMAP_*.
 * @new_addr: with MM_MREMAP_FIXED where to; with MM_MREMAP_DONTUNMAP alone a hint.
 *
 * Return: 0; -EINVAL, -EFAULT as Linux; -ENOMEM as Linux, and where a fixed range does not lie
 * in the window; -EOPNOTSUPP where the old range has a foreign area, which is the caller's to
 * move; -EAGAIN: the call is to be made again; the machine's -errno. If a machine refuses the
 * new range, what it replaces is gone, and what would have been cut off.
 * Context: takes sys->lock and write-locks mm.
 */
int mm_remap(struct mm *mm, vaddr_t addr, uint64_t old_len, uint64_t new_len, int flags,
	     vaddr_t new_addr, vaddr_t *ret_addr)
{
	struct remap r = {.mm = mm, .addr = addr, .new_addr = new_addr, .flags = flags};
	int err;

	/* What does not fit becomes 0, as in Linux. */
	if (!checked_align_up(old_len, PAGE_SIZE, &r.old_len))
		r.old_len = 0;
	if (!checked_align_up(new_len, PAGE_SIZE, &r.new_len))
		r.new_len = 0;
	err = remap_check_args(&r);
	if (err)
		return err;
	err = mm_write_begin(mm);
	if (err)
		return err;
	err = mm_write_end(mm, remap_locked(&r));
	if (err)
		return err;
	*ret_addr = r.new_addr;
	if (r.is_locked)
		mm_populate(mm, (struct mm_range){r.new_addr, r.new_addr + r.new_len});
	return 0;
}
