/* SPDX-License-Identifier: MIT */
/*
 * Boot and the locks of address spaces.
 *
 * At boot there is no allocator yet, so the manager takes what it must have before one can run
 * from the front of RAM, in this order: struct mm_system, the per-CPU lists, the policy's
 * state, mem_map. These frames are PG_reserved for ever; all others go to the buddy system.
 */
#include "mm/system.h"

#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "mm/commit.h"
#include "mm/hugetlb.h"
#include "mm/mmap.h"
#include "mm/rmap.h"
#include "mm/slab.h"
#include "mm/vma.h"

#define MM_FRAMES_MIN                                                          \
	256 /* 1 MiB: below this the reserved frames and watermarks eat it all \
	     */

/*
 * How many readers are refused after a writer was, before they are let in again. The writer is
 * expected back within that; should it never come, faults go on.
 */
#define WRITER_PATIENCE 64

struct boot_layout {
	uint64_t pcps, policy, mem_map, end; /* bytes from the start of RAM */
};

static int config_check(const struct mm_config *cfg)
{
	if (!cfg->machine || !cfg->policy || cfg->machine->nr_frames < MM_FRAMES_MIN)
		return -EINVAL;
	if (cfg->nr_cpus > MM_CPUS_MAX || cfg->swappiness > 200 || cfg->page_cluster > 5)
		return -EINVAL;
	if (cfg->overcommit_memory > MM_OVERCOMMIT_NEVER)
		return -EINVAL;
	if (cfg->watermark_scale_factor < 1 || cfg->watermark_scale_factor > 3000)
		return -EINVAL;
	if (cfg->thp > MM_THP_DEFAULT || cfg->thp == MM_THP_INHERIT ||
	    cfg->thp_64k > MM_THP_INHERIT)
		return -EINVAL;
	if (cfg->window_start >= cfg->window_end || cfg->window_end > PGTABLE_VA_MAX)
		return -EINVAL;
	if ((cfg->window_start | cfg->window_end) & ~PAGE_MASK)
		return -EINVAL;
	return 0;
}

static struct boot_layout boot_layout(const struct mm_config *cfg,
				      const struct policy_ops *policy, uint32_t nr_cpus)
{
	struct boot_layout layout;
	uint64_t at = sizeof(struct mm_system);

	at = (at + 63) & ~63ull;
	layout.pcps = at;
	at += (uint64_t)nr_cpus * sizeof(struct pcp) * (cfg->nr_dma_frames ? 2 : 1);
	at = (at + 63) & ~63ull;
	layout.policy = at;
	at += policy->state_size;
	at = (at + 63) & ~63ull;
	layout.mem_map = at;
	at += cfg->machine->nr_frames * sizeof(struct page);
	layout.end = (at + PAGE_SIZE - 1) & PAGE_MASK;
	return layout;
}

static void system_init_fields(struct mm_system *sys, const struct mm_config *cfg)
{
	mm_lock_init(&sys->lock, LOCK_RANK_SYSTEM);
	sys->cfg = *cfg;
	if (sys->cfg.nr_cpus == 0)
		sys->cfg.nr_cpus = 1;
	sysctl_init(sys);
	sys->machine = cfg->machine;
	sys->nr_frames = cfg->machine->nr_frames;
	sys->vmstat = cfg->vmstat ? cfg->vmstat : sys->vmstat_own;
	memset(sys->vmstat, 0, NR_MM_VMSTAT * sizeof(sys->vmstat[0]));
	sys->kswapd_priority = POLICY_PRIORITY_MAX;
	list_init(&sys->mms);
	page_list_init(&sys->balloon);
}

static int system_init_caches(struct mm_system *sys)
{
	int err = slab_init(sys);

	if (!err)
		err = kmem_cache_create(sys, "mm_struct", sizeof(struct mm), 64,
					&sys->mm_cache);
	if (!err)
		err = kmem_cache_create(sys, "vm_area_struct", sizeof(struct vma), 8,
					&sys->vma_cache);
	if (!err)
		err = swap_init(sys);
	if (!err)
		err = filemap_init(sys);
	return err;
}

/* Frames below first are the manager's; they lie in the lowest zone. */
static int system_init_zones(struct mm_system *sys, pfn_t first)
{
	uint64_t dma_end = (uint64_t)first + sys->cfg.nr_dma_frames;
	int err = 0;

	if (sys->cfg.nr_dma_frames) {
		err = zone_init(sys, &sys->zones[sys->nr_zones++], "DMA", 0,
				(pfn_t)min_u64(dma_end, sys->nr_frames));
		if (err)
			return err;
	} else {
		dma_end = 0;
	}
	return zone_init(sys, &sys->zones[sys->nr_zones++], "Normal", (pfn_t)dma_end,
			 sys->nr_frames);
}

/**
 * mm_system_create() - make a manager over a machine's RAM.
 * @cfg: copied; the machine must outlive the system.
 * @ret_sys: the system; it lies in the first frames of the machine's RAM.
 *
 * Return: 0; -EINVAL for a field out of range or RAM below 1 MiB; -ENOMEM where RAM does not
 * hold what the manager itself needs.
 * Context: nothing of this system runs yet.
 */
int mm_system_create(const struct mm_config *cfg, struct mm_system **ret_sys)
{
	const struct policy_ops *policy = cfg->policy;
	uint32_t nr_cpus = cfg->nr_cpus ? cfg->nr_cpus : 1;
	struct boot_layout layout;
	struct mm_system *sys;
	pfn_t first;
	int err;

	err = config_check(cfg);
	if (err)
		return err;
	layout = boot_layout(cfg, policy, nr_cpus);
	if (layout.end >> PAGE_SHIFT >= cfg->machine->nr_frames / 2)
		return -ENOMEM;
	memset(cfg->machine->ram, 0, layout.end);
	sys = (struct mm_system *)(void *)cfg->machine->ram;
	system_init_fields(sys, cfg);
	sys->mem_map = (struct page *)(void *)(cfg->machine->ram + layout.mem_map);
	sys->policy_ops = policy;
	sys->policy = (struct policy *)(void *)(cfg->machine->ram + layout.policy);
	policy->init(sys->policy, sys->mem_map, sys->nr_frames);
	if (policy->seed)
		policy->seed(sys->policy, cfg->policy_seed);

	first = (pfn_t)(layout.end >> PAGE_SHIFT);
	err = system_init_zones(sys, first);
	if (err)
		return err;
	sys_lock(sys);
	zone_free_boot(sys, first, sys->nr_frames);
	STAT(sys, nr_reserved, first);
	if (cfg->min_free_kbytes == 0)
		sys->cfg.min_free_kbytes = zones_default_min_free_kbytes(sys);
	huge_init(sys);
	hugetlb_init(sys);
	zones_set_watermarks(sys, sys->cfg.min_free_kbytes, cfg->watermark_scale_factor);
	for (unsigned int i = 0; i < sys->nr_zones; i++)
		zone_set_pcps(sys, &sys->zones[i],
			      cfg->machine->ram + layout.pcps + i * zone_pcps_bytes(sys));
	commit_init(sys);
	err = system_init_caches(sys);
	sys_unlock(sys);
	if (err)
		return err;
	*ret_sys = sys;
	return 0;
}

/**
 * mm_system_destroy() - end a system.
 *
 * Its state lies in the machine's RAM and goes with it; what is left to do is to end the
 * address spaces, which have a part in the machine. Swap devices stay the caller's to close.
 * Context: no other call runs, no I/O is in flight.
 */
void mm_system_destroy(struct mm_system *sys)
{
	struct mm *mm, *tmp;

	MM_ASSERT(sys->nr_io == 0);
	sys_lock(sys);
	list_for_each_entry_safe (mm, tmp, &sys->mms, node)
		mm_destroy_locked(mm);
	sys_unlock(sys);
}

static int mm_init(struct mm_system *sys, struct mm *mm)
{
	memset(mm, 0, sizeof(*mm));
	mm->sys = sys;
	mm->id = ++sys->nr_mms_ever;
	mm->window_start = sys->cfg.window_start;
	mm->window_end = sys->cfg.window_end;
	mm->start_brk = mm->brk = mm->window_start;
	mm->users = -1;
	vma_tree_init(mm);
	list_init(&mm->family_node);
	return pgtable_create(mm);
}

/**
 * mm_create_locked() - make an empty address space, write-locked by the caller.
 *
 * Return: 0; MM_NO_FRAMES; the machine's -errno.
 * Context: sys->lock held, dropped and retaken.
 */
int mm_create_locked(struct mm_system *sys, struct mm **ret_mm)
{
	struct machine *m = sys->machine;
	struct mm *mm = kmem_cache_alloc(sys, sys->mm_cache);
	int err;

	if (!mm)
		return MM_NO_FRAMES;
	if (mm_init(sys, mm)) {
		err = MM_NO_FRAMES;
		goto free_mm;
	}
	sys_unlock(sys);
	err = m->ops->space_create(m, mm->window_start, mm->window_end, &mm->space);
	sys_lock(sys);
	if (err)
		goto free_pgd;
	list_add_tail(&mm->node, &sys->mms);
	*ret_mm = mm;
	return 0;
free_pgd:
	pgtable_destroy(mm);
free_mm:
	kmem_cache_free(sys, sys->mm_cache, mm);
	return err;
}

/**
 * mm_create() - make an empty address space.
 *
 * Return: 0, -ENOMEM, or the machine's -errno.
 * Context: takes sys->lock; the machine's space_create() runs without it.
 */
int mm_create(struct mm_system *sys, struct mm **ret_mm)
{
	struct mm *mm;
	int err;

	sys_lock(sys);
	err = mm_create_locked(sys, &mm);
	if (!err) {
		mm_write_unlock(mm);
		*ret_mm = mm;
	}
	sys_unlock(sys);
	return err == MM_NO_FRAMES ? -ENOMEM : err;
}

/**
 * mm_destroy_locked() - end an address space.
 *
 * Context: sys->lock held, dropped and retaken; nobody but the caller uses mm, or ever will.
 */
void mm_destroy_locked(struct mm *mm)
{
	struct mm_system *sys = mm->sys;

	mm_unmap_all(mm);
	filemap_reap(sys);
	khugepaged_forget(mm);
	sys->nr_oom_dying -= mm->is_oom_victim && !mm->is_oom_reaped;
	list_del(&mm->node);
	family_leave(mm);
	pgtable_destroy(mm);
	sys_unlock(sys);
	sys->machine->ops->space_destroy(sys->machine, mm->space);
	sys_lock(sys);
	kmem_cache_free(sys, sys->mm_cache, mm);
}

/**
 * mm_destroy() - end an address space; its pages and slots become free.
 *
 * Pages that it shares with others by fork stay theirs. Where reclaim is at work on the mm in
 * another thread, mm_step() ends it when that is done.
 *
 * Context: takes sys->lock; no other call on this mm runs, and none comes after.
 */
void mm_destroy(struct mm *mm)
{
	struct mm_system *sys = mm->sys;

	sys_lock(sys);
	MM_ASSERT(!mm->is_doomed);
	if (mm->users == 0) {
		mm_destroy_locked(mm);
	} else {
		mm->is_doomed = true;
		sys->has_doomed = true;
	}
	sys_unlock(sys);
}

/* Ends what mm_destroy() could not. Context: sys->lock held, dropped and retaken. */
void mm_destroy_doomed(struct mm_system *sys)
{
	struct mm *mm, *found = NULL;

	if (!sys->has_doomed)
		return;
	sys->has_doomed = false;
	list_for_each_entry (mm, &sys->mms, node) {
		if (!mm->is_doomed)
			continue;
		sys->has_doomed = true; /* look again next time: the list may change below */
		if (mm->users == 0 && !found)
			found = mm;
	}
	if (found)
		mm_destroy_locked(found);
}

bool mm_read_trylock(struct mm *mm)
{
	if (mm->users < 0)
		return false;
	if (mm->readers_to_refuse > 0) {
		mm->readers_to_refuse--;
		return false;
	}
	mm->users++;
	return true;
}

/*
 * Reclaim is let in before a waiting writer: a fault that reclaims holds its own mm already,
 * and must be able to take it once more.
 */
bool mm_reclaim_trylock(struct mm *mm)
{
	if (mm->users < 0)
		return false;
	mm->users++;
	return true;
}

void mm_read_unlock(struct mm *mm)
{
	MM_ASSERT(mm->users > 0);
	mm->users--;
	if (mm->users == 0 && mm->was_writer_refused)
		sys_wake(mm->sys);
}

bool mm_write_trylock(struct mm *mm)
{
	if (mm->users != 0) {
		mm->readers_to_refuse = WRITER_PATIENCE;
		mm->was_writer_refused = true;
		mm->sys->has_waiters = true;
		return false;
	}
	mm->readers_to_refuse = 0;
	mm->was_writer_refused = false;
	mm->users = -1;
	return true;
}

void mm_write_unlock(struct mm *mm)
{
	struct mm_system *sys = mm->sys;

	MM_ASSERT(mm->users == -1);
	mm->users = 0;
	sys_wake(sys);
	if (sys->kswapd_awake && sys->cfg.wake_kswapd)
		sys->cfg.wake_kswapd(sys->cfg.arg); /* it may have been refused */
}

int mm_machine_apply(struct mm *mm, struct machine_batch *batch)
{
	struct mm_system *sys = mm->sys;
	int err;

	if (batch->nr == 0)
		return 0;
	batch->nr_done = 0;
	sys_unlock(sys);
	err = sys->machine->ops->apply(sys->machine, mm->space, batch);
	sys_lock(sys);
	return err;
}

int mm_machine_region(struct mm *mm, vaddr_t start, vaddr_t end, enum machine_region_op op,
		      int prot)
{
	struct mm_system *sys = mm->sys;
	int err;

	if (!sys->machine->ops->region)
		return 0;
	sys_unlock(sys);
	err = sys->machine->ops->region(sys->machine, mm->space, start, end, op, prot);
	sys_lock(sys);
	return err;
}
