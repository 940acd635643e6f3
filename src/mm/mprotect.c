/* SPDX-License-Identifier: MIT */
/*
 * mprotect: the protection of a range changes (man 2 mprotect). The pattern and its invariants
 * are told in mmap.c.
 *
 * As in Linux the range is worked on area by area, and a hole ends the call with -ENOMEM after
 * what lies before the hole was changed.
 */
#include "mm/mmap.h"

#include "mm/reclaim.h"

/* Grows and shrinks are of stacks that the manager does not have. */
#define PROT_GROWS (MM_PROT_GROWSDOWN | MM_PROT_GROWSUP)
#define PROT_KNOWN (MM_PROT_READ | MM_PROT_WRITE | MM_PROT_EXEC | MM_PROT_SEM)

/*
 * One area, or the part of it that the range covers. Foreign ones only note it. Return: the
 * area that has range.end's last page now, through *vma.
 */
static int protect_area(struct mm *mm, struct vma **vma, struct mm_range range, uint32_t prot,
			struct vma_reserve *reserve)
{
	uint32_t flags = ((*vma)->flags & ~(uint32_t)VMA_PROT) | prot;
	int err = 0;

	if ((*vma)->flags == flags)
		return 0;
	if (!(flags & VMA_FOREIGN)) {
		err = mm_idle_range(mm, range.start, range.end);
		if (!err)
			err = mm_machine_region(mm, range.start, range.end,
						MACHINE_REGION_PROTECT, (int)prot);
	}
	if (err)
		return err;
	vma_cut(mm, range.start, reserve);
	vma_cut(mm, range.end, reserve);
	*vma = vma_find(mm, range.start);
	(*vma)->flags = flags;
	*vma = vma_merge(mm, *vma);
	return 0;
}

static int protect_locked(struct mm *mm, struct mm_range range, uint32_t prot)
{
	struct vma *vma = vma_find(mm, range.start);
	struct vma_reserve reserve = {0};
	vaddr_t at = range.start;
	unsigned int nr_cuts;
	int err;

	if (!vma)
		return -ENOMEM;
	nr_cuts = mm_nr_cuts(mm, range);
	if (mm->nr_vmas + nr_cuts > VMA_COUNT_MAX)
		return -ENOMEM;
	err = mm_reserve(mm, &reserve, nr_cuts);
	while (!err && at < range.end) {
		struct mm_range part = {at, min_u64(range.end, vma->end)};

		err = protect_area(mm, &vma, part, prot, &reserve);
		at = part.end;
		if (vma->end <= at)
			vma = vma_next(vma);
		if (!err && at < range.end && (!vma || vma->start > at))
			err = -ENOMEM;
	}
	vma_unreserve(mm, &reserve);
	return err;
}

/* MM_PROT_GROWSDOWN and MM_PROT_GROWSUP ask for areas that grow: none does. */
static int protect_grows(struct mm *mm, struct mm_range range, int grows)
{
	struct vma *vma = vma_find_first(mm, range.start);

	if (grows == MM_PROT_GROWSDOWN)
		return vma && vma->start < range.end ? -EINVAL : -ENOMEM;
	return vma && vma->start <= range.start ? -EINVAL : -ENOMEM;
}

/**
 * mm_protect() - mprotect(2).
 * @addr: page aligned.
 * @len: bytes; rounded up to pages.
 * @prot: MM_PROT_*.
 *
 * Of foreign areas only the tree's note changes: their mapping is the caller's to protect.
 *
 * Return: 0; -EINVAL as Linux; -ENOMEM where the range has a hole (what lies before it is
 * changed), where there would be too many areas, or no memory can be had for one; -EAGAIN: the
 * call is to be made again; the machine's -errno.
 * Context: takes sys->lock and write-locks mm.
 */
int mm_protect(struct mm *mm, vaddr_t addr, uint64_t len, int prot)
{
	int grows = prot & PROT_GROWS;
	struct mm_range range = {.start = addr};
	uint64_t aligned;
	int err;

	if (grows == PROT_GROWS || addr & ~PAGE_MASK)
		return -EINVAL;
	if (len == 0)
		return 0;
	if (!checked_align_up(len, PAGE_SIZE, &aligned) ||
	    !checked_add(addr, aligned, &range.end))
		return -ENOMEM;
	if (prot & ~(PROT_KNOWN | PROT_GROWS))
		return -EINVAL;
	err = mm_write_begin(mm);
	if (err)
		return err;
	if (grows)
		err = protect_grows(mm, range, grows);
	else
		err = protect_locked(mm, range, (uint32_t)prot & VMA_PROT);
	return mm_write_end(mm, err);
}
