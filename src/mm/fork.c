/* SPDX-License-Identifier: MIT */
/*
 * When the process that holds the manager forks.
 *
 * The manager lies in memory that fork copies, so the child has it whole: tables, lists, and
 * the content of every frame that is not mapped. What fork does not copy are translations (the
 * machine's window is not inherited) and I/O in flight. So before the fork all I/O ends and
 * every page goes back to its frame; after it each side goes on with its own copy. Slots that
 * were in use are now named by two managers: both seal their clusters, and read them only.
 *
 * The counters may lie in memory that fork shares, where the parent goes on counting before the
 * child has looked: what the child begins with is a copy made at rest.
 */
#include <string.h>

#include "base/assert.h"
#include "mm/mlock.h"
#include "mm/reclaim.h"
#include "mm/vma.h"

/**
 * mm_fork_prepare() - bring the system to rest, with every page in its frame.
 * @mm: the one address space of the process.
 *
 * From the first call on, faults answer RETRY. When it returns 0 the mm is write-locked and
 * nothing is in flight; the process may fork, then mm_fork_parent() and mm_fork_child() go on.
 * To give up, call mm_fork_parent() whatever it returned.
 *
 * Return: 0; -EAGAIN: call again after mm_config.wake or when I/O ends; -EBUSY: the kernel
 * holds a page, for how long is not known. Context: takes sys->lock.
 */
int mm_fork_prepare(struct mm *mm)
{
	struct mm_system *sys = mm->sys;
	int err = -EAGAIN;

	sys_lock(sys);
	sys->frozen = true;
	swap_complete(sys);
	if (sys->nr_io > 0 || swap_is_busy(sys) || !mm_write_trylock(mm)) {
		sys->has_waiters = true;
		goto unlock;
	}
	err = mm_idle_range(mm, mm->window_start, mm->window_end);
	if (err) {
		mm_write_unlock(mm);
		goto unlock;
	}
	sys->is_held_for_fork = true;
	memmove(sys->vmstat_own, sys->vmstat, sizeof(sys->vmstat_own));
unlock:
	sys_unlock(sys);
	return err;
}

/**
 * mm_fork_frame() - where the content of a page lies, while the system is at rest.
 *
 * For a caller that must let a thread of the parent go on between mm_fork_prepare() and
 * mm_fork_parent(), with a copy.
 *
 * Return: the frame's address; NULL if the page was never touched or is in swap.
 * Context: mm_fork_prepare() has returned 0. Takes no lock: the process may fork at any moment,
 * and the child must find the lock free; nothing changes meanwhile.
 */
void *mm_fork_frame(struct mm *mm, vaddr_t va)
{
	const pte_t *pte = pgtable_lookup(mm, va);

	return pte && pte_is_resident(*pte) ? pfn_addr(mm->sys, pte_pfn(*pte)) : NULL;
}

/**
 * mm_fork_may_write() - does the program have the right to write there?
 *
 * Context: as mm_fork_frame().
 */
bool mm_fork_may_write(const struct mm *mm, vaddr_t va)
{
	struct rb_node *node = mm->vmas.node;

	while (node) {
		const struct vma *vma = container_of(node, struct vma, node);

		if (va >= vma->start && va < vma->end)
			return (vma->flags & VMA_WRITE) != 0;
		node = va < vma->start ? node->left : node->right;
	}
	return false;
}

/**
 * mm_fork_used_frames() - which frames have a content that the child needs.
 * @pfn: 0, or where the last answer ended.
 * @ret_end: past the last of the frames in use that follow each other.
 *
 * Return: the first frame in use from @pfn on; nr_frames of the system if there is none.
 * Context: as mm_fork_frame().
 */
pfn_t mm_fork_used_frames(const struct mm_system *sys, pfn_t pfn, pfn_t *ret_end)
{
	while (pfn < sys->nr_frames && page_has(page_of(sys, pfn), PG_buddy))
		pfn += 1u << page_of(sys, pfn)->order;
	*ret_end = pfn;
	while (*ret_end < sys->nr_frames && !page_has(page_of(sys, *ret_end), PG_buddy))
		(*ret_end)++;
	return pfn;
}

/**
 * mm_fork_frame_changed() - a frame that mm_fork_frame() gave has a new content, in the parent.
 *
 * Context: after the fork, before mm_fork_parent(). Takes sys->lock.
 */
void mm_fork_frame_changed(struct mm *mm, vaddr_t va)
{
	sys_lock(mm->sys);
	anon_page_mark_dirty(mm->sys, page_of(mm->sys, pte_pfn(*pgtable_lookup(mm, va))));
	sys_unlock(mm->sys);
}

static void thaw(struct mm *mm)
{
	struct mm_system *sys = mm->sys;

	sys->frozen = false;
	if (sys->is_held_for_fork)
		mm_write_unlock(mm);
	else if (sys->kswapd_awake && sys->cfg.wake_kswapd)
		sys->cfg.wake_kswapd(sys->cfg.arg); /* it found the system frozen */
	sys->is_held_for_fork = false;
	sys->has_waiters = true;
	sys_wake(sys);
}

/**
 * mm_fork_parent() - go on after the fork, or after giving it up.
 * @did_fork: there is a child that has the same slots.
 *
 * Context: takes sys->lock.
 */
void mm_fork_parent(struct mm *mm, bool did_fork)
{
	sys_lock(mm->sys);
	if (did_fork)
		swap_seal_clusters(mm->sys);
	thaw(mm);
	sys_unlock(mm->sys);
}

/**
 * mm_fork_child() - go on in the child, on its own copy.
 * @vmstat: where the child's counters go, NR_MM_VMSTAT of them; present values are carried
 * over, events start at 0. NULL: inside the system.
 *
 * As in Linux the child's memory is not locked.
 *
 * The machine has its window again, and the devices are open again. Return: 0, or -errno of the
 * machine's region(); then the address space is not whole and the child must not go on.
 * Context: takes sys->lock; no other thread exists yet.
 */
int mm_fork_child(struct mm *mm, uint64_t *vmstat)
{
	struct mm_system *sys = mm->sys;
	const uint64_t *old = sys->vmstat_own;
	int err;

	sys_lock(sys);
	if (!vmstat)
		vmstat = sys->vmstat_own;
	for (unsigned int i = 0; i < NR_MM_VMSTAT; i++)
		vmstat[i] = i <= MM_VMSTAT_nr_touched_peak ? old[i] : 0;
	sys->vmstat = vmstat;
	swap_seal_clusters(sys);
	swapoff_forget(sys);
	mm_unlock_areas(mm);
	err = mm_replay_regions(mm);
	if (!err)
		thaw(mm);
	sys_unlock(sys);
	return err;
}
