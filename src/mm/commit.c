/* SPDX-License-Identifier: MIT */
/*
 * Overcommit: how much memory programs may be promised.
 *
 * A private area that can be written (or once could) may need a frame or a slot for each of its
 * pages. It has VMA_ACCOUNT, and its pages are committed (Committed_AS); so is what objects
 * without an area promise: shared anonymous memory, whole, from the call that makes it until no
 * area maps a part of it. vm.overcommit_memory says when a request is refused (Linux's
 * __vm_enough_memory()):
 *   0  GUESS   one that alone is more than all RAM and swap;
 *   1  ALWAYS  none;
 *   2  NEVER   one that takes what is committed to the commit limit, less two reserves.
 * The limit is vm.overcommit_kbytes, or vm.overcommit_ratio percent of RAM; and all swap.
 *
 * Areas are counted where they enter and leave the tree (mm/vma.c). A call that makes them asks
 * first, with mm_charge(): what it is granted is counted as pending until the call ends, so
 * that two calls at a time are not granted the same pages. Nothing has changed when it is
 * refused.
 *
 * 1. nr_accounted of an mm is the number of pages in its areas with VMA_ACCOUNT.
 * 2. nr_committed of the system is the sum of these, and what is pending or charged without an
 *    area.
 */
#include "mm/commit.h"

#include "base/assert.h"
#include "base/checked.h"
#include "mm/hugetlb.h"
#include "mm/system.h"

#define KBYTES_TO_PAGES_SHIFT (PAGE_SHIFT - 10)

/* Linux's defaults: 1/32 of what is free at boot, at most so much (mm/mmap.c). */
#define ADMIN_RESERVE_KBYTES_MAX 8192
#define USER_RESERVE_KBYTES_MAX	 131072

/**
 * sys_ram_pages() - frames that the manager has for all purposes but its own (Linux's
 * totalram).
 */
uint64_t sys_ram_pages(const struct mm_system *sys)
{
	return zones_managed_pages(sys) - sys->balloon.nr;
}

static uint64_t ram_and_swap_pages(const struct mm_system *sys)
{
	return sys_ram_pages(sys) + sys->nr_swap_pages;
}

/**
 * sys_commit_limit() - Linux's CommitLimit, in pages.
 *
 * Context: sys->lock held.
 */
uint64_t sys_commit_limit(const struct mm_system *sys)
{
	const struct mm_tunables *t = &sys->tune;
	uint64_t allowed = (uint64_t)t->overcommit_kbytes >> KBYTES_TO_PAGES_SHIFT;

	if (t->overcommit_kbytes == 0)
		allowed = (sys_ram_pages(sys) - hugetlb_ram_pages(sys)) *
			  (uint64_t)t->overcommit_ratio / 100;
	return allowed + sys->nr_swap_pages;
}

/* What NEVER leaves for a program: some is kept for an administrator, and for others. */
static uint64_t commit_allowed(const struct mm_system *sys, const struct mm *mm)
{
	uint64_t limit = sys_commit_limit(sys);
	uint64_t kept = (uint64_t)sys->tune.admin_reserve_kbytes >> KBYTES_TO_PAGES_SHIFT;

	if (mm)
		kept += min_u64(mm->total_vm / 32, (uint64_t)sys->tune.user_reserve_kbytes >>
							   KBYTES_TO_PAGES_SHIFT);
	return limit > kept ? limit - kept : 0;
}

static bool commit_allows(const struct mm_system *sys, const struct mm *mm, uint64_t pages,
			  uint64_t credit)
{
	switch (sys->cfg.overcommit_memory) {
	case MM_OVERCOMMIT_ALWAYS:
		return true;
	case MM_OVERCOMMIT_GUESS:
		return pages <= ram_and_swap_pages(sys);
	default:
		return sys->nr_committed + pages - credit < commit_allowed(sys, mm);
	}
}

/**
 * commit_charge() - promise pages, if the overcommit mode allows it.
 * @mm: who asks; NULL: nobody in particular.
 * @pages: how many; not too many to be bytes.
 * @credit: committed pages that are given back if this is granted.
 *
 * Return: 0: they are counted until commit_uncharge(); -ENOMEM: nothing has changed.
 * Context: sys->lock held.
 */
int commit_charge(struct mm_system *sys, const struct mm *mm, uint64_t pages, uint64_t credit)
{
	MM_ASSERT(credit <= sys->nr_committed);
	if (!commit_allows(sys, mm, pages, credit))
		return -ENOMEM;
	sys->nr_committed += pages;
	sys->nr_commit_loose += pages;
	return 0;
}

/* Gives back what commit_charge() has counted. */
void commit_uncharge(struct mm_system *sys, uint64_t pages)
{
	MM_ASSERT(sys->nr_commit_loose >= pages);
	sys->nr_commit_loose -= pages;
	sys->nr_committed -= pages;
}

/**
 * mm_charge() - ask for pages that areas with VMA_ACCOUNT will have.
 * @reserve: of the call that makes the areas; vma_unreserve() ends the charge, for by then the
 * areas themselves are counted, or are not there.
 * @credit: pages with VMA_ACCOUNT that leave the tree in the same change.
 *
 * Return: 0, or -ENOMEM: nothing has changed.
 * Context: sys->lock held, mm write-locked.
 */
int mm_charge(struct mm *mm, struct vma_reserve *reserve, uint64_t pages, uint64_t credit)
{
	int err = commit_charge(mm->sys, mm, pages, credit);

	if (!err)
		reserve->nr_charged += pages;
	return err;
}

/* Pages with VMA_ACCOUNT in a range. */
uint64_t mm_accounted_in(struct mm *mm, vaddr_t start, vaddr_t end)
{
	uint64_t pages = 0;

	for (struct vma *vma = vma_find_first(mm, start); vma && vma->start < end;
	     vma = vma_next(vma))
		if (vma->flags & VMA_ACCOUNT)
			pages += (min_u64(end, vma->end) - max_u64(start, vma->start)) >>
				 PAGE_SHIFT;
	return pages;
}

/* Linux's accountable_mapping(): does an area with these flags have to be promised? */
bool vma_flags_account(uint32_t flags)
{
	const uint32_t nots = VMA_NORESERVE | VMA_FOREIGN | VMA_SHARED | VMA_HUGETLB;

	return (flags & (nots | VMA_WRITE)) == VMA_WRITE;
}

/* What MAP_NORESERVE means now: nothing where overcommit is forbidden. */
uint32_t mm_noreserve_flag(const struct mm *mm)
{
	return mm->sys->cfg.overcommit_memory == MM_OVERCOMMIT_NEVER ? 0 : VMA_NORESERVE;
}

/**
 * commit_init() - the reserves, from what is free now.
 *
 * Context: boot, after the zones have their frames.
 */
void commit_init(struct mm_system *sys)
{
	uint64_t share = (zones_free_pages(sys) << KBYTES_TO_PAGES_SHIFT) / 32;

	sys->tune.admin_reserve_kbytes = (int64_t)min_u64(share, ADMIN_RESERVE_KBYTES_MAX);
	sys->tune.user_reserve_kbytes = (int64_t)min_u64(share, USER_RESERVE_KBYTES_MAX);
}

/**
 * mm_commit_get() - what is promised, and what may be.
 *
 * Context: takes sys->lock.
 */
void mm_commit_get(struct mm_system *sys, struct mm_commit *ret_commit)
{
	sys_lock(sys);
	*ret_commit = (struct mm_commit){
		.ram_pages = sys_ram_pages(sys),
		.swap_pages = sys->nr_swap_pages,
		.limit_pages = sys_commit_limit(sys),
		.committed_pages = sys->nr_committed,
	};
	sys_unlock(sys);
}

/**
 * commit_check() - invariant 2; vma_check() has the first.
 * Return: 0 or -EUCLEAN. Context: sys->lock held.
 */
int commit_check(struct mm_system *sys)
{
	uint64_t pages = sys->nr_commit_loose;
	struct mm *mm;

	list_for_each_entry (mm, &sys->mms, node)
		pages += mm->nr_accounted;
	CHECK(sys->nr_committed == pages);
	return 0;
}
