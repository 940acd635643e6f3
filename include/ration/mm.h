/* SPDX-License-Identifier: MIT */
/*
 * The manager's public face.
 *
 * Everything here may be called from several threads. Nothing here blocks, sleeps, reads a
 * clock or calls the operating system except through the machine and the swap devices it was
 * given. A call that cannot go on answers "again" (MM_FAULT_RETRY, -EAGAIN) after it has
 * started what it waits for; mm_config.wake is called when it is worth asking again.
 */
#ifndef RATION_MM_H
#define RATION_MM_H

#include "ration/types.h"

struct address_space;
struct filedev;
struct machine;
struct mm;
struct mm_system;
struct policy_ops;
struct swapdev;

/* Protection and flags have Linux's values (asm-generic/mman-common.h). */
#define MM_PROT_NONE	  0x0
#define MM_PROT_READ	  0x1
#define MM_PROT_WRITE	  0x2
#define MM_PROT_EXEC	  0x4
#define MM_PROT_SEM	  0x8 /* means nothing on x86 */
#define MM_PROT_GROWSDOWN 0x01000000
#define MM_PROT_GROWSUP	  0x02000000

#define MM_MAP_SHARED	       0x01
#define MM_MAP_PRIVATE	       0x02
#define MM_MAP_SHARED_VALIDATE 0x03
#define MM_MAP_TYPE	       0x0f
#define MM_MAP_FIXED	       0x10
#define MM_MAP_ANONYMOUS       0x20
#define MM_MAP_32BIT	       0x40
#define MM_MAP_GROWSDOWN       0x100
#define MM_MAP_LOCKED	       0x2000
#define MM_MAP_NORESERVE       0x4000
#define MM_MAP_POPULATE	       0x8000
#define MM_MAP_HUGETLB	       0x40000
#define MM_MAP_FIXED_NOREPLACE 0x100000
#define MM_MAP_FOREIGN	       0x2000000 /* ours: the range is taken, but not managed */

/* With MM_MAP_HUGETLB: log2 of the page's size, from this bit on; 0: 2 MiB. */
#define MM_MAP_HUGE_SHIFT 26
#define MM_MAP_HUGE_MASK  0x3f
#define MM_MAP_HUGE_2MB	  (21 << MM_MAP_HUGE_SHIFT)
#define MM_MAP_HUGE_1GB	  (30 << MM_MAP_HUGE_SHIFT)

#define MM_MLOCK_ONFAULT 0x01

#define MM_MCL_CURRENT 1
#define MM_MCL_FUTURE  2
#define MM_MCL_ONFAULT 4

#define MM_MREMAP_MAYMOVE   1
#define MM_MREMAP_FIXED	    2
#define MM_MREMAP_DONTUNMAP 4

#define MM_MADV_NORMAL		0
#define MM_MADV_RANDOM		1
#define MM_MADV_SEQUENTIAL	2
#define MM_MADV_WILLNEED	3
#define MM_MADV_DONTNEED	4
#define MM_MADV_FREE		8
#define MM_MADV_DONTFORK	10
#define MM_MADV_DOFORK		11
#define MM_MADV_MERGEABLE	12
#define MM_MADV_UNMERGEABLE	13
#define MM_MADV_HUGEPAGE	14
#define MM_MADV_NOHUGEPAGE	15
#define MM_MADV_DONTDUMP	16
#define MM_MADV_DODUMP		17
#define MM_MADV_WIPEONFORK	18
#define MM_MADV_KEEPONFORK	19
#define MM_MADV_COLD		20
#define MM_MADV_PAGEOUT		21
#define MM_MADV_DONTNEED_LOCKED 24

/* What an access did, for mm_fault(). */
#define MM_ACCESS_READ	0x0
#define MM_ACCESS_WRITE 0x1
#define MM_ACCESS_EXEC	0x2
#define MM_ACCESS_FETCH 0x4 /* with one of these: into a frame, but not mapped */

enum mm_fault_result {
	MM_FAULT_MINOR, /* mapped; no I/O was needed */
	MM_FAULT_MAJOR, /* mapped; the page was read from swap */
	MM_FAULT_RETRY, /* started or busy: ask again after mm_config.wake */
	MM_FAULT_SEGV,	/* no VMA there, or its protection forbids the access */
	MM_FAULT_BUS,	/* the page's only copy could not be read; see mm_fault_error() */
	MM_FAULT_OOM,	/* nothing can be reclaimed; see mm_oom_describe() */
};

/* Linux's names, in Linux's order of ideas (/proc/vmstat). Up to NR_MM_GAUGES: present values.
 */
#define MM_VMSTAT_LIST(X)                \
	X(nr_free_pages)                 \
	X(nr_inactive_anon)              \
	X(nr_active_anon)                \
	X(nr_inactive_file)              \
	X(nr_active_file)                \
	X(nr_unevictable)                \
	X(nr_mlock)                      \
	X(nr_isolated_anon)              \
	X(nr_anon_pages)                 \
	X(nr_mapped)                     \
	X(nr_file_pages)                 \
	X(nr_dirty)                      \
	X(nr_shmem)                      \
	X(nr_page_table_pages)           \
	X(nr_slab)                       \
	X(nr_writeback)                  \
	X(nr_swapcached)                 \
	X(nr_swap_slots_used)            \
	X(nr_reserved)                   \
	X(nr_vmalloc)                    \
	X(nr_anon_transparent_hugepages) \
	X(nr_zspages)                    \
	X(nr_zspages_limit)              \
	X(nr_zswapped)                   \
	X(nr_zsame)                      \
	X(zswap_bytes)                   \
	X(nr_touched_peak)               \
	X(pgalloc)                       \
	X(pgfree)                        \
	X(pgfault)                       \
	X(pgmajfault)                    \
	X(pgpgin)                        \
	X(pgpgout)                       \
	X(pswpin)                        \
	X(pswpout)                       \
	X(swap_ra)                       \
	X(swap_ra_hit)                   \
	X(pgscan_kswapd)                 \
	X(pgscan_direct)                 \
	X(pgsteal_kswapd)                \
	X(pgsteal_direct)                \
	X(pgscan_anon)                   \
	X(pgscan_file)                   \
	X(pgsteal_anon)                  \
	X(pgsteal_file)                  \
	X(pgactivate)                    \
	X(pgdeactivate)                  \
	X(pgrefill)                      \
	X(pgrotated)                     \
	X(pglazyfree)                    \
	X(pglazyfreed)                   \
	X(pgreuse)                       \
	X(workingset_refault_anon)       \
	X(workingset_refault_file)       \
	X(workingset_activate_anon)      \
	X(workingset_activate_file)      \
	X(workingset_restore_anon)       \
	X(workingset_restore_file)       \
	X(pgcow)                         \
	X(allocstall)                    \
	X(slabs_scanned)                 \
	X(pageoutrun)                    \
	X(kswapd_low_wmark_hit_quickly)  \
	X(kswapd_high_wmark_hit_quickly) \
	X(nr_dirtied)                    \
	X(nr_written)                    \
	X(file_read_errors)              \
	X(file_write_errors)             \
	X(unevictable_pgs_culled)        \
	X(unevictable_pgs_rescued)       \
	X(unevictable_pgs_mlocked)       \
	X(unevictable_pgs_munlocked)     \
	X(unevictable_pgs_stranded)      \
	X(swap_read_errors)              \
	X(swap_write_errors)             \
	X(swap_write_nospace)            \
	X(thp_fault_alloc)               \
	X(thp_fault_fallback)            \
	X(thp_collapse_alloc)            \
	X(thp_collapse_alloc_failed)     \
	X(thp_split_page)                \
	X(thp_split_pmd)                 \
	X(anon_64k_fault_alloc)          \
	X(anon_64k_fault_fallback)       \
	X(zswpin)                        \
	X(zswpout)                       \
	X(zswpwb)                        \
	X(zswp_poor)                     \
	X(zswp_full)                     \
	X(zswp_lost)                     \
	X(zswp_moved)                    \
	X(balloon_inflate)               \
	X(balloon_deflate)               \
	X(oom_kill)

enum mm_vmstat_item {
#define X(name) MM_VMSTAT_##name,
	MM_VMSTAT_LIST(X)
#undef X
		NR_MM_VMSTAT
};

extern const char *const mm_vmstat_names[NR_MM_VMSTAT];

/* vm.overcommit_memory: when is a request for memory refused? (mm/commit.c) */
#define MM_OVERCOMMIT_GUESS  0 /* it is more than all RAM and swap: the default */
#define MM_OVERCOMMIT_ALWAYS 1 /* never */
#define MM_OVERCOMMIT_NEVER  2 /* more than the commit limit would be promised */

/*
 * Transparent huge pages, of 2 MiB and of 64 KiB, on machines that have them (mm/huge.c): for
 * which areas? As Linux's /sys/kernel/mm/transparent_hugepage/enabled and
 * .../hugepages-64kB/enabled.
 */
enum mm_thp {
	MM_THP_NEVER,
	MM_THP_MADVISE, /* MM_MADV_HUGEPAGE */
	MM_THP_ALWAYS,	/* all but MM_MADV_NOHUGEPAGE */
	MM_THP_INHERIT, /* of 64 KiB: as those of 2 MiB */
	MM_THP_DEFAULT, /* of 2 MiB: always, but never below 512 MiB of RAM, as in Linux */
};

#define MM_COMM_SIZE 16

/* Whose an address space is: for what is printed, and for nothing else. */
struct mm_identity {
	uint32_t pid, uid;
	char comm[MM_COMM_SIZE];
};

struct mm_oom_report;

struct mm_config {
	struct machine *machine;	 /* its RAM is the manager's RAM, all of it */
	const struct policy_ops *policy; /* &policy_two_lists, say */
	uint64_t policy_seed;		 /* for a policy that draws lots; each is a good one */
	uint32_t nr_cpus;		 /* 1..MM_CPUS_MAX; 0 means 1 */
	uint32_t swappiness;		 /* vm.swappiness, 0..200 */
	uint32_t page_cluster;		 /* vm.page-cluster, log2 of pages, 0..5 */
	uint64_t min_free_kbytes;	 /* vm.min_free_kbytes; 0: Linux's formula */
	uint32_t watermark_scale_factor; /* vm.watermark_scale_factor, 1..3000, in 1/10000 */
	uint32_t overcommit_memory;	 /* vm.overcommit_memory, MM_OVERCOMMIT_* */
	uint32_t thp, thp_64k;		 /* enum mm_thp */
	uint32_t nr_hugepages;		 /* vm.nr_hugepages: the pool of 2 MiB */
	uint32_t nr_hugepages_1g;	 /* ... and of 1 GiB */
	uint64_t memlock_bytes; /* RLIMIT_MEMLOCK of each address space; UINT64_MAX: none */
	vaddr_t window_start, window_end; /* addresses that mm_map() hands out, page aligned */
	uint32_t nr_dma_frames; /* in a zone of their own, "DMA", used last; 0: no such zone */
	/* Reclaim page by page as Linux: what was written stays on its list and is freed by the
	 * next scan that meets it, and kswapd ends when free frames are there, not on their
	 * way. For simulations; without it frames are free sooner. */
	bool is_linux_reclaim;
	/* Who faults frees the frames that it uses up, a batch at a time; kswapd is woken only
	 * where that does not keep up. For a machine where a thread that takes translations
	 * away interrupts the threads that use them. */
	bool is_reclaim_by_faults;

	unsigned int (*cpu)(void *arg); /* the CPU that runs, below nr_cpus; NULL: always 0 */
	void (*wake)(void *arg); /* ask again whoever was told RETRY or -EAGAIN; NULL: none */
	void (*wake_kswapd)(void *arg); /* mm_step() has work; NULL: none */
	void *arg; /* for these callbacks, which must not call the manager */
	/* The OOM killer has chosen it (mm/oom.c): end it; NULL: none. It must not call the
	 * manager. */
	void (*oom_kill)(void *arg, struct mm *victim);
	struct mm_oom_report *oom_report; /* filled before that; NULL: none */
	uint64_t *vmstat; /* NR_MM_VMSTAT counters kept there; NULL: inside the system */
};

#define MM_CPUS_MAX 64

#define MM_CONFIG_DEFAULT                                                     \
	{                                                                     \
		.nr_cpus = 1, .swappiness = 60, .page_cluster = 3,            \
		.watermark_scale_factor = 10, .memlock_bytes = 8 << 20,       \
		.window_start = 0x200000000000, .window_end = 0x300000000000, \
	}

int mm_system_create(const struct mm_config *cfg, struct mm_system **ret_sys);
void mm_system_destroy(struct mm_system *sys);

int mm_swapon(struct mm_system *sys, struct swapdev *dev, int prio);
int mm_swapoff(struct mm_system *sys, struct swapdev *dev);
int mm_swapoff_cancel(struct mm_system *sys, struct swapdev *dev);

int mm_create(struct mm_system *sys, struct mm **ret_mm);
int mm_fork(struct mm *parent, struct mm **ret_child);
void mm_destroy(struct mm *mm);

int mm_map(struct mm *mm, vaddr_t hint, uint64_t len, int prot, int flags, vaddr_t *ret_addr);
int mm_unmap(struct mm *mm, vaddr_t addr, uint64_t len);
int mm_protect(struct mm *mm, vaddr_t addr, uint64_t len, int prot);
int mm_remap(struct mm *mm, vaddr_t addr, uint64_t old_len, uint64_t new_len, int flags,
	     vaddr_t new_addr, vaddr_t *ret_addr);
int mm_advise(struct mm *mm, vaddr_t addr, uint64_t len, int advice);
int mm_balloon_inflate(struct mm_system *sys, uint64_t pages, uint64_t *ret_taken);
uint64_t mm_balloon_deflate(struct mm_system *sys, uint64_t pages);
uint64_t mm_balloon_pages(struct mm_system *sys);

int mm_mlock(struct mm *mm, vaddr_t addr, uint64_t len, int flags);
int mm_munlock(struct mm *mm, vaddr_t addr, uint64_t len);
int mm_mlockall(struct mm *mm, int flags);
int mm_munlockall(struct mm *mm);
int mm_brk(struct mm *mm, vaddr_t brk, vaddr_t *ret_brk);

/* Memory that programs have been promised. In pages. */
struct mm_commit {
	uint64_t ram_pages, swap_pages; /* all there is */
	uint64_t limit_pages;		/* CommitLimit */
	uint64_t committed_pages;	/* Committed_AS */
};

void mm_commit_get(struct mm_system *sys, struct mm_commit *ret_commit);

/* A file, in memory and on its device (mm/filedev.h). Shared among address spaces. */
int mm_file_open(struct mm_system *sys, struct filedev *dev, struct address_space **ret_file);
int mm_file_close(struct address_space *file);
uint64_t mm_file_size(struct address_space *file);
int64_t mm_file_read(struct address_space *file, uint64_t offset, void *buf, uint64_t len);
int64_t mm_file_write(struct address_space *file, uint64_t offset, const void *buf,
		      uint64_t len);
int mm_truncate(struct address_space *file, uint64_t size);
int mm_fsync(struct address_space *file, uint64_t *ticket);

struct mm_map_file_args {
	vaddr_t hint; /* as mm_map()'s, as the next three */
	uint64_t len;
	int prot, flags;
	uint64_t offset; /* bytes, page aligned */
};

int mm_map_file(struct mm *mm, struct address_space *file, const struct mm_map_file_args *args,
		vaddr_t *ret_addr);

#define MM_MS_ASYNC	 1
#define MM_MS_INVALIDATE 2
#define MM_MS_SYNC	 4

/* Where an mm_msync() that answered -EAGAIN goes on; zeroed at first. */
struct mm_msync {
	vaddr_t at;
	uint64_t ticket;
	bool has_hole;
};

int mm_msync(struct mm *mm, vaddr_t addr, uint64_t len, int flags, struct mm_msync *state);

/* A pool of huge pages, in its pages: HugePages_Total and so on in Linux's /proc/meminfo. */
struct mm_hugetlb {
	uint64_t total, free, reserved, surplus;
};

int mm_hugetlb_get(struct mm_system *sys, unsigned int order, struct mm_hugetlb *ret_pool);

/* A range that mm_map() or mm_brk() made, as far as neighbours are alike. */
struct mm_area {
	vaddr_t start, end;
	int prot;	 /* MM_PROT_* */
	bool is_foreign; /* MM_MAP_FOREIGN */
};

int mm_query(struct mm *mm, vaddr_t addr, struct mm_area *ret_area);

enum mm_fault_result mm_fault(struct mm *mm, vaddr_t addr, unsigned int access);
int mm_fault_error(struct mm *mm, uint64_t addr, uint64_t *ret_entry);
uint64_t mm_step(struct mm_system *sys, uint64_t now_ns, unsigned int budget_pages);
int mm_check(struct mm_system *sys);

int mm_fork_prepare(struct mm *mm);
void *mm_fork_frame(struct mm *mm, vaddr_t va);
bool mm_fork_may_write(const struct mm *mm, vaddr_t va);
pfn_t mm_fork_used_frames(const struct mm_system *sys, pfn_t pfn, pfn_t *ret_end);
void mm_fork_frame_changed(struct mm *mm, vaddr_t va);
void mm_fork_parent(struct mm *mm, bool did_fork);
int mm_fork_child(struct mm *mm, uint64_t *vmstat);

#endif
