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

struct address_space {
	struct mm_system *sys; /* (c) */
	struct list_head node; /* on sys->files.mappings */
	struct filedev *dev;   /* (c) NULL: shared anonymous memory */
	struct radix_root tree;
	struct list_head i_mmap;	 /* vma->i_mmap of those that map it */
	uint64_t nr_bytes;		 /* its size */
	uint64_t nr_pages;		 /* pages in the tree */
	uint64_t nr_swapped;		 /* swap entries in the tree */
	uint64_t nr_dirty;		 /* pages with FILEMAP_DIRTY */
	uint64_t nr_writeback;		 /* pages with FILEMAP_WRITEBACK */
	uint64_t nr_io;			 /* I/Os at the device, of all kinds */
	uint64_t dirtied_ns;		 /* when the oldest of what is dirty became so, about */
	uint64_t writeback_next;	 /* where the flusher goes on */
	uint64_t sync_begun, sync_ended; /* passes */
	bool is_sync_at_device;
	bool is_open;	    /* mm_file_open() has it, not only areas */
	bool is_truncating; /* the device has not taken the new size yet */
	bool is_size_at_device;
	int wb_err; /* of a write since the last sync that told it */
	struct file_readahead ra;
};

/* In struct mm_system. */
struct filemap_state {
	struct list_head mappings; /* all */
	struct kmem_cache *mapping_cache, *node_cache;
	bool has_unused; /* a mapping may have lost its last area */
};

/* filemap.c */
int filemap_init(struct mm_system *sys);
int filemap_create(struct mm_system *sys, struct filedev *dev, uint64_t nr_bytes,
		   struct address_space **ret_mapping);
struct page *filemap_find(const struct address_space *mapping, uint64_t index);

/* An area begins or ceases to map it (vma.c). */
void filemap_area_linked(struct address_space *mapping, struct vma *vma);
void filemap_area_unlinked(struct address_space *mapping, struct vma *vma);

#endif
