/* SPDX-License-Identifier: MIT */
/*
 * What the calls that change an address space share (mmap.c, mprotect.c, mremap.c, madvise.c).
 *
 * Context for all but the first two: sys->lock held, mm write-locked. Those marked "unlocks"
 * drop sys->lock for the machine and retake it.
 */
#ifndef MM_MMAP_H
#define MM_MMAP_H

#include "base/checked.h"
#include "mm/system.h"
#include "mm/vma.h"

/* Inside the manager: memory for its own use has run out. A caller never sees it. */
#define MM_NO_FRAMES (-ENOBUFS)

/* A range of addresses, [start, end). */
struct mm_range {
	vaddr_t start, end;
};

/*
 * Takes sys->lock and write-locks mm. Return: 0, or -EAGAIN with neither held: a reader has the
 * mm.
 */
int mm_write_begin(struct mm *mm);

/* Ends it. err: what the call has come to. Return: what to tell its caller. */
int mm_write_end(struct mm *mm, int err);

/* The checks of a range that a call of the C library got. */
bool mm_range_in_window(const struct mm *mm, vaddr_t start, uint64_t len);

/* vma_reserve() with MM_NO_FRAMES where that has -ENOMEM. */
int mm_reserve(struct mm *mm, struct vma_reserve *reserve, unsigned int nr);
/* An area for each bound of the range that lies inside an area. */
unsigned int mm_nr_cuts(struct mm *mm, struct mm_range range);

int mm_zap_range(struct mm *mm, struct mm_range range);	       /* unlocks */
void mm_region_unmap(struct mm *mm, struct mm_range range);    /* unlocks */
int mm_unmap_range(struct mm *mm, vaddr_t start, vaddr_t end); /* unlocks */
void mm_remove_areas(struct mm *mm, struct mm_range range, struct vma_reserve *reserve);

static inline struct mm_range range_clip(struct mm_range range, const struct vma *vma)
{
	return (struct mm_range){max_u64(range.start, vma->start),
				 min_u64(range.end, vma->end)};
}

#endif
