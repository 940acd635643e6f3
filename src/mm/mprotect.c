/* SPDX-License-Identifier: MIT */
/*
 * mprotect: the protection of a range changes (man 2 mprotect). The pattern and its invariants
 * are told in mmap.c.
 *
 * As in Linux the range is worked on area by area: a hole, or an area that the machine refuses,
 * ends the call after what lies before was changed.
 */
#include "mm/hugetlb.h"
#include "mm/mmap.h"

#include "mm/commit.h"
#include "mm/reclaim.h"

/* Grows and shrinks are of stacks that the manager does not have. */
#define PROT_GROWS (MM_PROT_GROWSDOWN | MM_PROT_GROWSUP)
#define PROT_KNOWN (MM_PROT_READ | MM_PROT_WRITE | MM_PROT_EXEC | MM_PROT_SEM)

/*
 * What can be written from now on is promised. It stays so when it cannot be written any more,
 * for its pages may have content, unless nobody has touched the area (mprotect_fixup(), Linux
 * 6.7). VMA_TOUCHED only ever grows by a merge, so what was decided for two areas is decided
 * for the one that they become.
 */
static uint32_t new_flags(const struct vma *vma, uint32_t prot)
{
	uint32_t flags = (vma->flags & ~(uint32_t)VMA_PROT) | prot;

	if (flags & VMA_WRITE)
		return vma_flags_account(flags) ? flags | VMA_ACCOUNT : flags;
	if (!(flags & VMA_TOUCHED))
		flags &= ~(uint32_t)VMA_ACCOUNT;
	return flags;
}

/* The area that goes on where part ends; NULL where the range ends, or has a hole. */
static struct vma *next_part(struct vma *vma, struct mm_range *part, vaddr_t end)
{
	part->start = part->end;
	if (vma->end <= part->start)
		vma = vma_next(vma);
	if (part->start == end || !vma || vma->start > part->start)
		return NULL;
	part->end = min_u64(end, vma->end);
	return vma;
}

/* Asks for the pages that get VMA_ACCOUNT, an area at a time as Linux does. */
static int charge_parts(struct mm *mm, struct mm_range range, uint32_t prot,
			struct vma_reserve *reserve)
{
	struct vma *vma = vma_find(mm, range.start);
	struct mm_range part = {range.start, min_u64(range.end, vma->end)};
	int err = 0;

	for (; vma && !err; vma = next_part(vma, &part, range.end))
		if (new_flags(vma, prot) & ~vma->flags & VMA_ACCOUNT)
			err = mm_charge(mm, reserve, (part.end - part.start) >> PAGE_SHIFT, 0);
	return err;
}

/* All that can be refused for a while comes before anything is changed. */
static int drop_translations(struct mm *mm, struct mm_range range, uint32_t prot)
{
	struct vma *vma = vma_find(mm, range.start);
	struct mm_range part = {range.start, min_u64(range.end, vma->end)};
	int err = 0;

	for (; vma && !err; vma = next_part(vma, &part, range.end))
		if (vma->flags != new_flags(vma, prot) && !(vma->flags & VMA_FOREIGN))
			err = mm_idle_range(mm, part.start, part.end);
	return err;
}

/*
 * The part of one area. Foreign ones only note it. Return: 0, with the area that has the part
 * now in *vma; or the machine's -errno.
 */
static int protect_part(struct mm *mm, struct vma **vma, struct mm_range part, uint32_t prot,
			struct vma_reserve *reserve)
{
	uint32_t flags = new_flags(*vma, prot);
	int err = 0;

	if ((*vma)->flags == flags)
		return 0;
	if (!(flags & VMA_FOREIGN))
		err = mm_machine_region(mm, part.start, part.end, MACHINE_REGION_PROTECT,
					(int)prot);
	if (err)
		return err;
	vma_cut(mm, part.start, reserve);
	vma_cut(mm, part.end, reserve);
	*vma = vma_find(mm, part.start);
	vma_set_flags(mm, *vma, flags);
	*vma = vma_merge(mm, *vma);
	return 0;
}

static int protect_parts(struct mm *mm, struct mm_range range, uint32_t prot,
			 struct vma_reserve *reserve)
{
	struct vma *vma = vma_find(mm, range.start);
	struct mm_range part = {range.start, min_u64(range.end, vma->end)};

	while (vma) {
		int err = protect_part(mm, &vma, part, prot, reserve);

		if (err)
			return err;
		vma = next_part(vma, &part, range.end);
	}
	return part.start == range.end ? 0 : -ENOMEM;
}

static int protect_locked(struct mm *mm, struct mm_range range, uint32_t prot)
{
	struct vma_reserve reserve = {0};
	unsigned int nr_cuts;
	int err;

	if (!vma_find(mm, range.start))
		return -ENOMEM;
	if (!hugetlb_may_cut(mm, range))
		return -EINVAL;
	nr_cuts = mm_nr_cuts(mm, range);
	if (mm->nr_vmas + nr_cuts > mm_vmas_max(mm))
		return -ENOMEM;
	err = mm_reserve(mm, &reserve, nr_cuts);
	if (err)
		return err;
	err = charge_parts(mm, range, prot, &reserve);
	if (!err)
		err = drop_translations(mm, range, prot);
	if (!err)
		err = protect_parts(mm, range, prot, &reserve);
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
 * changed), where there would be too many areas, no memory can be had for one, or the
 * overcommit mode forbids so much that can be written; -EAGAIN: the call is to be made again;
 * the machine's -errno. Context: takes sys->lock and write-locks mm.
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
