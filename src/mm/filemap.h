/* SPDX-License-Identifier: MIT */
/*
 * Files in memory: what of a file is cached (filemap.c), who maps it, what is to be written.
 *
 * An address_space is one file, or shared anonymous memory, which is a file without a device
 * whose evicted pages are in swap (shmem.c). Its tree has for each page offset one of
 *
 *   nothing       never read, or dropped without a trace
 *   page          the frame that has the content, or is being filled (PG_locked)
 *   shadow entry  the page was evicted; what mm/workingset.h noted then
 *   swap entry    shared anonymous memory only: the content is in that slot
 *
 * A frame of a file has PG_file, ->mapping and ->index, the page offset. References: one for
 * the tree, one for each page table entry (mapcount), one for I/O in flight.
 *
 * Context for all that is declared here: mm_system.lock held; those marked "unlocks" drop and
 * retake it.
 */
#ifndef MM_FILEMAP_H
#define MM_FILEMAP_H

#include "base/list.h"
#include "base/radix.h"
#include "mm/filedev.h"
#include "mm/page.h"
#include "mm/pgtable.h"

struct mm;
struct mm_system;
struct vma;

/* Marks in the tree. A page that is dirty has the first, one under writeback the second. */
enum filemap_mark {
	FILEMAP_DIRTY,
	FILEMAP_WRITEBACK,
	FILEMAP_TOWRITE, /* dirty when the sync that runs began */
};

/* What a value in a tree is, by its low bits. */
#define FILEMAP_SHADOW	  1u
#define FILEMAP_SWAP	  2u
#define FILEMAP_KIND_BITS 2
#define FILEMAP_KIND	  3u

static inline struct page *filemap_value_page(uint64_t value)
{
	return value & FILEMAP_KIND ? NULL : (struct page *)(uintptr_t)value;
}

static inline bool filemap_value_is_shadow(uint64_t value)
{
	return (value & FILEMAP_KIND) == FILEMAP_SHADOW;
}

static inline bool filemap_value_is_swap(uint64_t value)
{
	return (value & FILEMAP_KIND) == FILEMAP_SWAP;
}

/* What a shadow or swap entry carries: 62 bits. */
static inline uint64_t filemap_value_content(uint64_t value)
{
	return value >> FILEMAP_KIND_BITS;
}

/* Linux's struct file_ra_state. */
struct file_readahead {
	uint64_t start;	     /* where readahead started */
	uint32_t size;	     /* pages of the last window; 0: none */
	uint32_t async_size; /* start the next when only so many of it are left */
	uint32_t mmap_miss;
	uint64_t prev_index; /* the last page that was read by a call; UINT64_MAX: none */
};

/* A change of size that has begun (truncate.c). */
enum truncate_state { TRUNCATE_NONE, TRUNCATE_BEGUN, TRUNCATE_AT_DEVICE, TRUNCATE_DONE };

struct address_space {
	struct mm_system *sys; /* (c) */
	struct list_head node; /* on sys->files.mappings */
	struct filedev *dev;   /* (c) NULL: shared anonymous memory */
	struct radix_root tree;
	struct list_head i_mmap; /* vma->i_mmap of those that map it */
	uint64_t nr_bytes;	 /* its size */
	uint64_t nr_pages;	 /* pages in the tree */
	uint64_t nr_swapped;	 /* swap entries in the tree */
	uint64_t nr_committed;	 /* pages that it was charged with, until it goes */
	uint64_t nr_dirty;	 /* pages with FILEMAP_DIRTY */
	uint64_t nr_writeback;	 /* pages with FILEMAP_WRITEBACK */
	uint64_t nr_io;		 /* I/Os at the device, of all kinds */
	uint32_t nr_pins;	 /* threads that work on it without sys->lock */
	bool is_open;		 /* mm_file_open() has it, not only areas */

	uint64_t dirtied_ns;	 /* when it began to have dirty pages */
	uint64_t writeback_next; /* where the flusher goes on */
	uint64_t flush_left;	 /* pages that the flusher is to write of it in any case */
	uint64_t sync_begun, sync_ended; /* passes of mm_fsync() */
	bool is_sync_at_device;
	int wb_err; /* of a write since the last sync that told it */

	enum truncate_state truncate;
	uint64_t truncate_size;
	int truncate_err;

	struct file_readahead ra;
};

/* In struct mm_system. */
struct filemap_state {
	struct list_head mappings; /* all */
	struct kmem_cache *mapping_cache, *node_cache;
	uint64_t nr_dirty, nr_writeback; /* pages of files, not of shared anonymous memory */
	uint64_t flush_due_ns;		 /* the next look for what is old */
	bool has_unused;		 /* a mapping may have lost its last area */
	bool is_flush_wanted; /* reclaim met nothing but dirty pages: write them all */
	uint32_t nr_pins;     /* threads that walk mappings without sys->lock */
};

#define NS_PER_CENTISEC 10000000ull

#define FILEMAP_IO_MAX 32 /* pages a batch: POLICY_BATCH, and the largest readahead window */

/* The pages that a file has, the last one perhaps not whole. */
static inline uint64_t mapping_nr_pages(const struct address_space *mapping)
{
	return (mapping->nr_bytes >> PAGE_SHIFT) + ((mapping->nr_bytes & (PAGE_SIZE - 1)) != 0);
}

static inline bool page_is_shmem(const struct page *page)
{
	return (page->flags & (PG_file | PG_swapbacked)) == (PG_file | PG_swapbacked);
}

/* Of a file, whose content can be read and written there. */
static inline bool page_is_cache(const struct page *page)
{
	return (page->flags & (PG_file | PG_swapbacked)) == PG_file;
}

/* filemap.c: pages in trees, and what maps them */
int filemap_init(struct mm_system *sys);
int filemap_create(struct mm_system *sys, struct filedev *dev, uint64_t nr_bytes,
		   struct address_space **ret_mapping);
void filemap_reap(struct mm_system *sys); /*  */
struct page *filemap_find(const struct address_space *mapping, uint64_t index);
int filemap_add(struct address_space *mapping, uint64_t index, uint32_t flags,
		struct page **ret_page);
void filemap_remove(struct mm_system *sys, struct page *page, uint64_t value);
void filemap_put(struct mm_system *sys, struct page *page);
void filemap_map(struct mm *mm, struct page *page, pte_t *pte);
void filemap_unmap(struct mm *mm, struct page *page);
void filemap_mark_dirty(struct mm_system *sys, struct page *page);
void filemap_clear_dirty(struct mm_system *sys, struct page *page);
int filemap_check(struct mm_system *sys);
int filemap_check_frame(struct mm_system *sys, struct page *page);
int filemap_check_entry(const struct vma *vma, vaddr_t va, pte_t pte);

/* An area begins or ceases to map it (vma.c). */
void filemap_area_linked(struct address_space *mapping, struct vma *vma);
void filemap_area_unlinked(struct address_space *mapping, struct vma *vma);

/* filemap_io.c */
void filemap_read_pages(struct address_space *mapping, struct page **pages,
			unsigned int nr); /* unlocks */
void filemap_write_pages(struct address_space *mapping, struct page **pages,
			 unsigned int nr); /* unlocks */
void filemap_submit_other(struct address_space *mapping, enum filedev_op op,
			  uint64_t offset);	      /* unlocks */
unsigned int filemap_complete(struct mm_system *sys); /* unlocks */

/* readahead.c */
struct readahead {
	struct address_space *mapping;
	uint64_t index; /* the page that is wanted, or that has the mark */
	uint64_t nr;	/* pages that the caller wants from there on */
	uint32_t max;	/* pages of the largest window */
};

int readahead_sync(const struct readahead *want);		       /* unlocks */
bool readahead_async(const struct readahead *want, struct page *page); /* unlocks */
int readahead_mmap(struct address_space *mapping, uint64_t index,
		   uint32_t vma_flags);						 /* unlocks */
int readahead_range(struct address_space *mapping, uint64_t index, uint64_t nr); /* unlocks */
bool readahead_mmap_hit(struct address_space *mapping, struct page *page,
			uint32_t vma_flags); /* unlocks */

/* writeback.c */
uint64_t flusher_run(struct mm_system *sys); /* unlocks */
void flusher_start(struct mm_system *sys);   /* unlocks */
bool writeback_must_wait(struct mm_system *sys);
unsigned int writeback_pages(struct address_space *mapping, enum filemap_mark mark,
			     unsigned int nr_max); /* unlocks */

/* truncate.c */
void truncate_device_done(struct address_space *mapping, int err);
int truncate_zero_tail(struct address_space *mapping, uint64_t size); /* unlocks */
bool truncate_blocks_io(const struct address_space *mapping);

/* filereclaim.c */
void filemap_unmap_all(struct mm_system *sys, struct page *page);

/* filefault.c is declared in mm/fault.h */

/* shmem.c */
int shmem_find(struct address_space *mapping, uint64_t index, struct page **ret_page);
int shmem_bring_back(struct mm_system *sys, unsigned int type,
		     unsigned int *nr_back); /* unlocks */
void shmem_swap_zap(struct address_space *mapping, swp_entry_t entry);
bool shmem_to_swap(struct mm_system *sys, struct page *page, const struct mm *locked);

#endif
