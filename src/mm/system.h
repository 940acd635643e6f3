/* SPDX-License-Identifier: MIT */
/*
 * The manager's state: one struct mm_system, which lies in the first frames of its own RAM.
 *
 * Locks: one lock, sys->lock, guards everything; it is held for a few hundred nanoseconds at a
 * time and never over a system call, a copy or a compression. What goes on without it is kept
 * apart by
 *   PG_locked, PG_writeback   on a frame whose content or translation is being made;
 *   mm->users                 on an address space: readers (faults and reclaim, whose machine
 *                             ops run unlocked) or one writer (map, unmap, protect, remap,
 *                             advise), as Linux's mmap_lock, but never waited for: who finds it
 *                             taken answers RETRY or -EAGAIN.
 */
#ifndef MM_SYSTEM_H
#define MM_SYSTEM_H

#include "base/list.h"
#include "base/lock.h"
#include "base/rbtree.h"
#include "mm/filemap.h"
#include "mm/machine.h"
#include "mm/page.h"
#include "mm/pgtable.h"
#include "mm/policy.h"
#include "mm/swap.h"
#include "mm/sysctl.h"
#include "mm/workingset.h"
#include "mm/zone.h"
#include "ration/mm.h"

struct anon_family;
struct slab_state;
struct vma;
struct vmalloc;

/* Faults that go through memory in order (mm/stream.c). */
struct fault_stream {
	vaddr_t last, next;    /* where the last one was, and the next is expected */
	int32_t step;	       /* pages from one to the next */
	unsigned int window;   /* pages done at once the last time; 0: there is no stream */
	unsigned int nr_ahead; /* of these, read ahead */
};

#define FAULT_STREAMS 4

struct mm {
	struct mm_system *sys;	     /* (c) */
	uint64_t id;		     /* (c) of all there ever were, in the order of creation */
	struct list_head node;	     /* on sys->mms */
	struct machine_space *space; /* (c) */
	struct anon_family
		*family; /* the mms that share pages by fork; NULL: it never forked */
	struct list_head family_node;
	pfn_t pgd;
	int32_t users;		    /* readers, or -1: one writer */
	uint32_t readers_to_refuse; /* a writer was refused: it is let in before so many readers
				     */
	uint32_t nr_wanted;	    /* frames that the call has to have at once, beside one */
	uint32_t nr_starved; /* calls in a row that found no memory, but were worth repeating */
	bool was_writer_refused; /* it wants to be woken */
	bool is_doomed;		 /* mm_destroy() waits for readers */
	bool is_oom_victim;	 /* killed: its faults answer MM_FAULT_OOM */
	bool is_oom_reaped;	 /* and its private memory is gone */
	int oom_score_adj;	 /* -1000..1000 */
	struct mm_identity who;
	struct rb_root vmas;
	struct vma *vma_cached; /* the last that was looked for; NULL: none */
	uint64_t nr_vmas;
	uint64_t total_vm;		  /* pages in VMAs */
	uint64_t nr_accounted;		  /* of these, pages with VMA_ACCOUNT */
	uint64_t locked_vm;		  /* and those with VMA_LOCKED */
	uint32_t def_flags;		  /* of areas to come: MM_MCL_FUTURE */
	vaddr_t window_start, window_end; /* (c) */
	vaddr_t start_brk, brk;
	uint64_t nr_resident, nr_swapped; /* anonymous pages */
	uint64_t nr_file;		  /* entries that name pages of files */
	uint64_t nr_tables;		  /* frames of page tables, the PGD too */
	uint64_t nr_huge; /* larger pages that are mapped, 64 KiB as one (mm/huge.c) */
	struct fault_stream streams[FAULT_STREAMS];
	unsigned int next_stream; /* the one to be replaced next */
};

/* Where it is on its way through all address spaces (mm/khugepaged.c). */
struct khugepaged {
	struct mm *mm; /* NULL: the first */
	vaddr_t va;
	uint64_t due_ns;
	uint64_t nr_left;      /* pages of this round; 0: the next has not begun */
	unsigned int nr_waits; /* how often the range that it is at was not ready */
	uint64_t full_scans, pages_collapsed;
};

/* A pool of huge pages (mm/hugetlb.c). In pages of its size. */
struct hugetlb_pool {
	unsigned int order; /* (c) */
	struct page_list free;
	uint64_t nr_total;    /* HugePages_Total: free and in use */
	uint64_t nr_reserved; /* HugePages_Rsvd: promised to areas, not yet touched */
	uint64_t nr_pending;  /* of these, for areas that are about to be made */
	uint64_t nr_surplus;  /* HugePages_Surp: above what was asked for; freed when unused */
};

#define NR_SHRINKERS 1

struct mm_system {
	struct mm_lock lock;
	struct mm_config cfg;	 /* (c), but for what mm_sysctl_set() changes */
	struct mm_tunables tune; /* as the former: values of mm_sysctl_set() */
	struct machine *machine;
	struct page *mem_map;
	pfn_t nr_frames;
	struct zone zones[MM_ZONES_MAX];
	unsigned int nr_zones;
	struct slab_state *slab;
	struct vmalloc *vmalloc; /* NULL: nothing was ever allocated in kernel space */
	struct list_head mms;
	struct page_list balloon; /* frames that were taken away (mm/balloon.c) */
	uint64_t nr_mms_ever;
	uint64_t shrink_deferred[NR_SHRINKERS]; /* work put off (mm/shrinker.c) */
	uint64_t nr_oom_dying;			/* victims that have not been reaped */
	struct kmem_cache *mm_cache, *vma_cache;
	struct filemap_state files;

	const struct policy_ops *policy_ops;
	struct policy *policy;

	struct swap_area *swap_areas[SWAP_TYPES_MAX]; /* by type */
	unsigned int nr_swap_areas;
	uint64_t nr_swap_pages; /* slots that pages can have, of all areas (Linux's
				   total_swap_pages) */
	unsigned int swap_turn; /* the area whose turn it is among equal priorities */
	struct swap_readahead readahead;
	struct workingset workingset;
	struct kmem_cache *swap_cluster_cache;
	struct swapdev_stats
		swap_stats; /* of the devices, when vmstat was last brought up to date */
	uint64_t nr_writes_refused; /* by a device that has no room, ever */
	unsigned int
		nr_rounds_refused; /* of direct reclaim, in a row, that came to nothing by it */

	bool has_doomed;  /* mms that mm_destroy() could not end yet */
	bool has_waiters; /* somebody was told RETRY or -EAGAIN since the last wake */
	bool is_memalloc; /* this allocation serves reclaim: to the last frame (PF_MEMALLOC) */
	bool frozen;	  /* a fork is on its way: faults answer RETRY */
	struct {
		vaddr_t va;
		int err; /* 0: there was none */
		pte_t entry;
	} machine_error;       /* l: the last fault that the machine refused for good */
	bool is_held_for_fork; /* and it has the mm write-locked */
	bool kswapd_awake;
	unsigned int kswapd_priority;
	uint64_t kswapd_gone;	      /* frames, since it woke or began anew */
	unsigned int kswapd_failures; /* passes that freed nothing, in a row */
	struct khugepaged khugepaged;
	struct hugetlb_pool hugetlb[2]; /* of 2 MiB and of 1 GiB */
	uint64_t now_ns;
	uint64_t nr_touched;   /* pages of programs that have content: resident or in a slot */
	uint64_t nr_io;	       /* frames with I/O in flight */
	uint64_t nr_committed; /* pages promised to programs: Committed_AS */
	uint64_t nr_commit_loose; /* of these, not (or not yet) in areas with VMA_ACCOUNT */
	uint64_t nr_reclaiming;	  /* frames that will be free when their I/O ends */
	/* Tests: the nth allocation of frames or of an object from here fails; 0: none does. */
	uint64_t fail_alloc;

	uint64_t *vmstat;
	uint64_t vmstat_own[NR_MM_VMSTAT];
};

/* vm.max_map_count. Context: sys->lock held. */
static inline uint64_t mm_vmas_max(const struct mm *mm)
{
	return (uint64_t)mm->sys->tune.max_map_count;
}

static inline struct page *page_of(const struct mm_system *sys, pfn_t pfn)
{
	return &sys->mem_map[pfn];
}

static inline pfn_t page_pfn(const struct mm_system *sys, const struct page *page)
{
	return (pfn_t)(page - sys->mem_map);
}

static inline void *pfn_addr(const struct mm_system *sys, pfn_t pfn)
{
	return sys->machine->ram + (uint64_t)pfn * PAGE_SIZE;
}

static inline void *page_addr(const struct mm_system *sys, const struct page *page)
{
	return pfn_addr(sys, page_pfn(sys, page));
}

static inline pfn_t addr_pfn(const struct mm_system *sys, const void *addr)
{
	return (pfn_t)(((const char *)addr - sys->machine->ram) >> PAGE_SHIFT);
}

static inline void stat_add(struct mm_system *sys, enum mm_vmstat_item item, int64_t n)
{
	sys->vmstat[item] += (uint64_t)n;
}

#define STAT(sys, item, n) stat_add((sys), MM_VMSTAT_##item, (n))

static inline void sys_lock(struct mm_system *sys)
{
	mm_lock_acquire(&sys->lock);
}

static inline void sys_unlock(struct mm_system *sys)
{
	mm_lock_release(&sys->lock);
}

/* Something that made a caller wait may have changed. Context: sys->lock held. */
static inline void sys_wake(struct mm_system *sys)
{
	if (!sys->has_waiters)
		return;
	sys->has_waiters = false;
	if (sys->cfg.wake)
		sys->cfg.wake(sys->cfg.arg);
}

/* mm->users (mm/system.c). Context: sys->lock held. */
bool mm_read_trylock(struct mm *mm);
bool mm_reclaim_trylock(struct mm *mm); /* as mm_read_trylock(), before waiting writers */
void mm_read_unlock(struct mm *mm);
bool mm_write_trylock(struct mm *mm); /* false: asks readers to stay away until it comes back */
void mm_write_unlock(struct mm *mm);

/*
 * Runs the machine's op without sys->lock and takes it again.
 * Context: sys->lock held; mm read- or write-locked by the caller.
 */
int mm_machine_apply(struct mm *mm, struct machine_batch *batch);
int mm_machine_region(struct mm *mm, vaddr_t start, vaddr_t end, enum machine_region_op op,
		      int prot);

/*
 * Memory for the manager's own use has run out: reclaim some (mm/vmscan.c). The second is for a
 * call on an mm: it frees mm->nr_wanted frames, and says no where one comes back too often.
 * Return: -EAGAIN if something was freed or is on its way, so that the caller is worth calling
 * again; -ENOMEM if nothing can be. Context: sys->lock held, dropped and retaken; mm unlocked.
 */
int mm_reclaim_for_kernel(struct mm_system *sys);
int mm_reclaim_for_call(struct mm *mm);

/*
 * What a page table entry held is not wanted any more (mm/rmap.c). The caller has cleared the
 * entry, and the machine holds no translation. Frees the frame and its slot now, or when their
 * I/O ends. Context: sys->lock held.
 */
void anon_page_zap(struct mm *mm, struct page *page);
void anon_swap_zap(struct mm *mm, swp_entry_t entry);

/* Address spaces come and go (mm/system.c). Context: sys->lock held, dropped and retaken. */
int mm_create_locked(struct mm_system *sys, struct mm **ret_mm);
void mm_destroy_locked(struct mm *mm);
void mm_destroy_doomed(struct mm_system *sys);

/* Unmaps everything, for mm_destroy() (mm/mmap.c). Context: sys->lock held. */
void mm_unmap_all(struct mm *mm);

/* After a fork: tells the machine every managed area again (mm/mmap.c). Context: sys->lock
 * held, dropped and retaken. Return: 0 or the machine's -errno. */
int mm_replay_regions(struct mm *mm);

/* The page at index moves with its entry, on mremap. Context: sys->lock held, mm write-locked.
 */
static inline void anon_page_move(struct page *page, vaddr_t new_va)
{
	page->index = new_va >> PAGE_SHIFT;
}

/*
 * mm_advise() on pages (mm/vmscan.c, mm/swap_state.c): [start, end) lies in one managed VMA.
 * Context: sys->lock held, dropped and retaken; mm write-locked.
 */
int anon_advise_free(struct mm *mm, vaddr_t start, vaddr_t end);
int anon_advise_cold(struct mm *mm, vaddr_t start, vaddr_t end);
int anon_advise_pageout(struct mm *mm, vaddr_t start, vaddr_t end);
int anon_advise_willneed(struct mm *mm, vaddr_t start, vaddr_t end);

#endif
