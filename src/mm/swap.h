/* SPDX-License-Identifier: MIT */
/*
 * Swap areas, slots and the swap cache.
 *
 * A slot is used while its count (page table entries that name it) is not 0 or a frame caches
 * it. Context for all: mm_system.lock held, unless said.
 */
#ifndef MM_SWAP_H
#define MM_SWAP_H

#include "base/list.h"
#include "mm/page.h"
#include "mm/pgtable.h"
#include "mm/swapdev.h"

struct swap_cluster;

/* swapoff, under way (mm/swapoff.c) */
struct swap_leave {
	bool is_leaving;  /* no slot is given out */
	bool is_stepping; /* a call is at work */
	int err;	  /* why it was given up, for the next call; 0: it was not */
	uint64_t mm_id;	  /* the walk: the address space, and where in it */
	vaddr_t va;
	uint64_t slot;		   /* the sweep */
	unsigned int nr_fruitless; /* batches since an entry last got its page */
};

struct swap_area {
	struct swapdev *dev;
	int prio;
	unsigned int type;
	uint64_t nr_clusters;
	uint64_t nr_pages;		/* slots that pages can have (c) */
	uint64_t nr_used;		/* slots */
	uint64_t nr_bad;		/* slots whose write failed; never used again */
	uint64_t nr_sealed;		/* clusters shared with a fork parent or child */
	struct swap_cluster **clusters; /* by number; NULL: none of its slots is ours */
	struct swap_cluster *current;	/* slots are taken from it; NULL: none yet */
	struct list_head partial;	/* clusters with holes */
	uint64_t hint;			/* where to look for the next unused cluster */
	unsigned int nr_nospace; /* writes in a row for which the device's host had no room */
	unsigned int full_for;	 /* it was full: so many requests are refused without a look */
	unsigned int nr_ops;	 /* ops of the device that run, without sys->lock */
	struct swap_leave leave;
};

struct swap_readahead {
	uint64_t last_slot;
	unsigned int last_window;
	unsigned int hits; /* pages read ahead that were touched since the last window */
};

int swap_init(struct mm_system *sys);
/*
 * A search that found nothing walks all clusters, and what changes its answer may be another
 * process that gives clusters back. So it is made again only after so many requests.
 */
#define SWAP_FULL_PATIENCE 64

/* Does it hand out slots? */
static inline bool swap_area_gives(const struct swap_area *area)
{
	return area && !area->leave.is_leaving;
}

int swap_slot_alloc(struct mm_system *sys, swp_entry_t *ret_entry); /* 0, -ENOSPC, -ENOMEM */
int swap_count_reserve(struct mm_system *sys, swp_entry_t entry, uint32_t nr); /* 0, -ENOMEM */
void swap_entry_dup(struct mm_system *sys, swp_entry_t entry);
void swap_entry_put(struct mm_system *sys, swp_entry_t entry);
uint32_t swap_entry_count(struct mm_system *sys, swp_entry_t entry);
bool swap_entry_is_in_ram(struct mm_system *sys, swp_entry_t entry); /* most likely */
void swap_slot_mark_bad(struct mm_system *sys, swp_entry_t entry);
bool swap_slot_is_writable(struct mm_system *sys, swp_entry_t entry);
bool swap_slot_may_stay(struct mm_system *sys, swp_entry_t entry);
bool swap_has_space(struct mm_system *sys);
bool swap_has_free_slot(const struct mm_system *sys);
void swap_area_is_full(struct mm_system *sys, swp_entry_t entry);
void swap_area_has_no_space(struct mm_system *sys, swp_entry_t entry);
void swap_area_has_space(struct mm_system *sys, swp_entry_t entry);
void swap_look_again(struct mm_system *sys);
bool swap_is_nearly_full(const struct mm_system *sys);

/*
 * The slot of a page that has PG_swapcache. The entry lies above the mapcount, shifted so that
 * its lowest bit, which is 0, falls on the mapcount's highest.
 */
static inline swp_entry_t page_swap(const struct page *page)
{
	return page->slot_and_mapcount >> PAGE_MAPCOUNT_BITS << 1;
}

static inline void page_set_swap(struct page *page, swp_entry_t entry)
{
	page->slot_and_mapcount = entry << (PAGE_MAPCOUNT_BITS - 1) | page->mapcount;
}

struct page *swap_cache_lookup(struct mm_system *sys, swp_entry_t entry);
uint64_t swap_cache_add(struct mm_system *sys, struct page *page, swp_entry_t entry);
void swap_cache_del(struct mm_system *sys, struct page *page);
void swap_cache_evict(struct mm_system *sys, struct page *page);

/* After a fork of the process: clusters that are in use may be read, not written (wall 7). */
void swap_seal_clusters(struct mm_system *sys);

void swap_area_close(struct mm_system *sys, struct swap_area *area);
void swap_area_remove(struct mm_system *sys, struct swap_area *area);

/* swapoff.c */
bool swapoff_give_up(struct mm_system *sys);
void swapoff_forget(struct mm_system *sys);

/* swap_frames.c: RAM for devices that keep pages in it */
int swap_lend_frames(struct mm_system *sys, struct swapdev *dev); /* sys->lock not held */
void swap_slot_forget(struct mm_system *sys, struct swapdev *dev, uint64_t slot);
bool swap_area_is_busy(const struct swap_area *area);
bool swap_is_busy(struct mm_system *sys);
bool swap_squeeze(struct mm_system *sys); /* sys->lock is dropped */
void swap_count(struct mm_system *sys);

int swap_check(struct mm_system *sys);

#endif
