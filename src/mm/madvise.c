/* SPDX-License-Identifier: MIT */
/*
 * madvise: what a program tells of a range (man 2 madvise). The pattern and its invariants are
 * told in mmap.c.
 *
 * As in Linux holes do not stop the call: what is mapped is advised, and the answer is -ENOMEM.
 */
#include "mm/hugetlb.h"
#include "mm/mmap.h"

enum advice_kind {
	ADVICE_UNKNOWN, /* must be 0 */
	ADVICE_NOTHING, /* a hint that changes nothing here, or says what is so anyway */
	ADVICE_FLAGS,	/* how the area is read */
	ADVICE_ZAP,
	ADVICE_PAGES,
};

#define READ_FLAGS ((uint32_t)(VMA_SEQ_READ | VMA_RAND_READ))
#define THP_FLAGS  ((uint32_t)(VMA_HUGEPAGE | VMA_NOHUGEPAGE))

struct advice {
	enum advice_kind kind;
	uint32_t vma_flags, vma_mask; /* ADVICE_FLAGS: those set, of those that it is about */
	bool wants_unlocked;	      /* -EINVAL where mlock() keeps the pages in RAM */
	bool is_for_fork;
	int (*pages)(struct mm *mm, vaddr_t start, vaddr_t end);
};

/*
 * By number. Advice that promises what the manager does not keep (MADV_GUARD_INSTALL,
 * MADV_POPULATE_*) is unknown: the program is told so. So is advice for mm_fork() on a machine
 * where there is none.
 */
static const struct advice advice_table[] = {
	[MM_MADV_NORMAL] = {.kind = ADVICE_FLAGS, .vma_mask = READ_FLAGS},
	[MM_MADV_RANDOM] = {.kind = ADVICE_FLAGS,
			    .vma_flags = VMA_RAND_READ,
			    .vma_mask = READ_FLAGS},
	[MM_MADV_SEQUENTIAL] = {.kind = ADVICE_FLAGS,
				.vma_flags = VMA_SEQ_READ,
				.vma_mask = READ_FLAGS},
	[MM_MADV_WILLNEED] = {.kind = ADVICE_PAGES, .pages = anon_advise_willneed},
	[MM_MADV_DONTNEED] = {.kind = ADVICE_ZAP, .wants_unlocked = true},
	[MM_MADV_FREE] = {.kind = ADVICE_PAGES,
			  .wants_unlocked = true,
			  .pages = anon_advise_free},
	[MM_MADV_DONTFORK] = {.kind = ADVICE_FLAGS,
			      .vma_flags = VMA_DONTFORK,
			      .vma_mask = VMA_DONTFORK,
			      .is_for_fork = true},
	[MM_MADV_DOFORK] = {.kind = ADVICE_FLAGS, .vma_mask = VMA_DONTFORK},
	[MM_MADV_MERGEABLE] = {.kind = ADVICE_NOTHING},
	[MM_MADV_UNMERGEABLE] = {.kind = ADVICE_NOTHING},
	[MM_MADV_HUGEPAGE] = {.kind = ADVICE_FLAGS,
			      .vma_flags = VMA_HUGEPAGE,
			      .vma_mask = THP_FLAGS},
	[MM_MADV_NOHUGEPAGE] = {.kind = ADVICE_FLAGS,
				.vma_flags = VMA_NOHUGEPAGE,
				.vma_mask = THP_FLAGS},
	[MM_MADV_DONTDUMP] = {.kind = ADVICE_NOTHING},
	[MM_MADV_DODUMP] = {.kind = ADVICE_NOTHING},
	[MM_MADV_WIPEONFORK] = {.kind = ADVICE_FLAGS,
				.vma_flags = VMA_WIPEONFORK,
				.vma_mask = VMA_WIPEONFORK,
				.is_for_fork = true},
	[MM_MADV_KEEPONFORK] = {.kind = ADVICE_FLAGS, .vma_mask = VMA_WIPEONFORK},
	[MM_MADV_COLD] = {.kind = ADVICE_PAGES,
			  .wants_unlocked = true,
			  .pages = anon_advise_cold},
	[MM_MADV_PAGEOUT] = {.kind = ADVICE_PAGES,
			     .wants_unlocked = true,
			     .pages = anon_advise_pageout},
	[MM_MADV_DONTNEED_LOCKED] = {.kind = ADVICE_ZAP},
};

static const struct advice *advice_find(const struct mm *mm, int advice)
{
	bool can_fork = (mm->sys->machine->ops->caps & MACHINE_MAPS_SHARED) != 0;

	if (advice < 0 || (size_t)advice >= sizeof(advice_table) / sizeof(advice_table[0]))
		return NULL;
	if (advice_table[advice].kind == ADVICE_UNKNOWN)
		return NULL;
	if (advice_table[advice].is_for_fork && !can_fork)
		return NULL;
	return &advice_table[advice];
}

/* Return: the area that has the range now, through *vma. */
static int advise_flags(struct mm *mm, struct vma **vma, struct mm_range range,
			const struct advice *advice)
{
	uint32_t flags = ((*vma)->flags & ~advice->vma_mask) | advice->vma_flags;
	struct vma_reserve reserve = {0};
	unsigned int nr_cuts = mm_nr_cuts(mm, range);
	int err;

	if ((*vma)->flags == flags)
		return 0;
	if (mm->nr_vmas + nr_cuts > mm_vmas_max(mm))
		return -EAGAIN; /* Linux's answer to all lack of memory here */
	err = huge_split_cuts(mm, range);
	if (!err)
		err = mm_reserve(mm, &reserve, nr_cuts);
	if (err)
		return err;
	vma_cut(mm, range.start, &reserve);
	vma_cut(mm, range.end, &reserve);
	*vma = vma_find(mm, range.start);
	vma_set_flags(mm, *vma, flags);
	*vma = vma_merge(mm, *vma);
	return 0;
}

/* It is advice: pages that cannot be had just now are left out. */
static int advise_pages(struct mm *mm, const struct advice *advice, struct mm_range range)
{
	int err = advice->pages(mm, range.start, range.end);

	return err == -EAGAIN || err == -EBUSY || err == -ENOMEM ? 0 : err;
}

/* What is in swap of a private mapping's own pages is left out, as in Linux. */
static int advise_file_willneed(struct vma *vma, struct mm_range range)
{
	uint64_t nr = (range.end - range.start) >> PAGE_SHIFT;

	if (vma->mapping->dev)
		readahead_range(vma->mapping, vma_index(vma, range.start), nr);
	return 0;
}

/* What Linux refuses of pages of a pool. MADV_DONTNEED leaves a last page that it cuts. */
static int advise_hugetlb(struct mm *mm, const struct vma *vma, struct mm_range *range,
			  const struct advice *advice)
{
	if (advice->kind == ADVICE_ZAP)
		range->end = align_down(range->end, PAGE_SIZE << hugetlb_vma_order(vma));
	if (advice->kind == ADVICE_PAGES || advice->vma_flags & THP_FLAGS ||
	    range->end < range->start)
		return -EINVAL;
	return hugetlb_may_cut(mm, *range) ? 0 : -EINVAL;
}

/* As Linux: of private anonymous memory only. */
static bool area_refuses(const struct vma *vma, const struct advice *advice)
{
	if (advice->vma_flags & VMA_WIPEONFORK)
		return vma->mapping || vma->flags & (VMA_SHARED | VMA_HUGETLB);
	return vma->mapping && advice->pages == anon_advise_free;
}

static int advise_area(struct mm *mm, struct vma **vma, struct mm_range range,
		       const struct advice *advice)
{
	int err;

	if ((*vma)->flags & VMA_FOREIGN)
		return 0;
	if (area_refuses(*vma, advice))
		return -EINVAL;
	if ((*vma)->mapping && advice->pages == anon_advise_willneed)
		return advise_file_willneed(*vma, range);
	if ((*vma)->flags & VMA_HUGETLB) {
		err = advise_hugetlb(mm, *vma, &range, advice);
		if (err || range.start == range.end)
			return err;
	}
	if ((*vma)->flags & VMA_LOCKED && advice->wants_unlocked)
		return -EINVAL;
	switch (advice->kind) {
	case ADVICE_FLAGS:
		return advise_flags(mm, vma, range, advice);
	case ADVICE_ZAP:
		err = mm_zap_range(mm, range);
		pgtable_free_range(mm, range.start, range.end);
		return err;
	case ADVICE_PAGES:
		return advise_pages(mm, advice, range);
	default:
		return 0;
	}
}

static int advise_locked(struct mm *mm, struct mm_range range, const struct advice *advice)
{
	struct vma *vma = vma_find_first(mm, range.start);
	vaddr_t at = range.start;
	bool has_hole = false;
	int err;

	while (at < range.end) {
		struct mm_range part;

		if (!vma || vma->start >= range.end)
			return -ENOMEM;
		has_hole |= vma->start > at;
		part = range_clip((struct mm_range){at, range.end}, vma);
		err = advise_area(mm, &vma, part, advice);
		if (err)
			return err;
		at = part.end;
		if (vma->end <= at)
			vma = vma_next(vma);
	}
	return has_hole ? -ENOMEM : 0;
}

/**
 * mm_advise() - madvise(2).
 * @addr: page aligned.
 * @len: bytes; rounded up to pages.
 * @advice: MM_MADV_*. Linux's other advice is -EINVAL.
 *
 * Foreign areas are left out: the caller advises the kernel of them.
 *
 * Return: 0; -EINVAL as Linux, also where an area is locked and pages would leave; -ENOMEM
 * where the range has a hole (the rest is done), or no memory can be had for an area; -EAGAIN:
 * the call is to be made again; the machine's -errno. Context: takes sys->lock and write-locks
 * mm.
 */
int mm_advise(struct mm *mm, vaddr_t addr, uint64_t len, int advice)
{
	const struct advice *entry = advice_find(mm, advice);
	struct mm_range range = {.start = addr};
	uint64_t aligned;
	int err;

	if (!entry || addr & ~PAGE_MASK)
		return -EINVAL;
	if (!checked_align_up(len, PAGE_SIZE, &aligned) ||
	    !checked_add(addr, aligned, &range.end))
		return -EINVAL;
	if (aligned == 0)
		return 0;
	err = mm_write_begin(mm);
	if (err)
		return err;
	return mm_write_end(mm, advise_locked(mm, range, entry));
}
