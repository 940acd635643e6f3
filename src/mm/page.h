/* SPDX-License-Identifier: MIT */
/*
 * Page frames.
 *
 * mem_map[] has one struct page a frame, and lives itself in the first frames. All fields are
 * guarded by mm_system.lock. Links are frame numbers, not pointers: they are half as large and
 * do not care where mem_map lies.
 *
 * A frame is exactly one of
 *   RESERVED  the manager's own (mem_map, the system)   PG_reserved
 *   FREE      first frame of a block in a buddy list    PG_buddy, refs == 0
 *             (the block's other frames have no flag and refs == 0)
 *   PCP       on a per-CPU list                         PG_pcp, refs == 0
 *   SLAB      part of a slab                            PG_slab
 *   TABLE     a page table                              PG_table
 *   KERNEL    handed out by page_alloc(), none of the others: PG_anon clear, refs > 0
 *   ANON      a page of a program                       PG_anon, refs > 0, and one of
 *               LRU   on the policy's lists             PG_lru
 *               ISO   isolated by reclaim               PG_isolated
 *               BUSY  being filled or mapped            PG_locked
 *               DEAD  nothing names it any more, refs may be 0: freed when its I/O ends, or
 *                     by the next scan that meets it                      PG_dead
 *   FILE      a page of a file (mm/filemap.h)           PG_file, refs > 0; LRU, ISO, BUSY, DEAD
 *                                                       as ANON
 *
 * A block that is handed out has refs > 0 in its first frame, which also keeps its order
 * (page_block_order()), and refs == 0 in the others. page_free() wants the last reference, so
 * that a frame with refs == 0 is free, reserved, dead or a tail, and freeing it again is seen.
 *
 * A page of a hugetlb pool is KERNEL; its refs are the entries that map it, or 1 in the pool.
 *
 * A block that is one page of a program (64 KiB, 2 MiB: mm/huge.c) is ANON in its first frame.
 *
 * References of an ANON frame: one for each page table entry that maps it (mapcount), one for
 * the swap cache (PG_swapcache), one for I/O in flight (PG_locked by a read, or PG_writeback).
 *
 * Who maps it (mm/rmap.c goes from a frame to its entries):
 *   exclusive   PG_anon, !PG_shared   mapcount 0 or 1; ->mm is the one that maps it, NULL: none
 *   shared      PG_anon, PG_shared    mapcount > 0: mms of ->family, which fork made
 */
#ifndef MM_PAGE_H
#define MM_PAGE_H

#include "base/assert.h"
#include "ration/types.h"

struct address_space;
struct anon_family;
struct kmem_cache;
struct mm;
struct mm_system;

enum page_flags {
	PG_reserved = 1u << 0,
	PG_buddy = 1u << 1,
	PG_pcp = 1u << 2,
	PG_slab = 1u << 3,
	PG_table = 1u << 4,
	PG_anon = 1u << 5,
	PG_lru = 1u << 6,
	PG_isolated = 1u << 7,
	PG_locked = 1u << 8,	/* its content or its translation is being made: answer RETRY */
	PG_writeback = 1u << 9, /* being written to swap: its content must not change */
	PG_dirty = 1u << 10,	/* differs from its swap copy, or has none */
	PG_swapcache = 1u << 11,  /* page_swap() is its slot */
	PG_active = 1u << 12,	  /* on the active list */
	PG_referenced = 1u << 13, /* seen accessed once while inactive */
	PG_readahead = 1u << 14,  /* read ahead, not yet touched */
	PG_lazyfree = 1u << 15,	  /* MADV_FREE: drop it, unless it is written again */
	PG_dead = 1u << 16,
	PG_error = 1u << 17,	  /* its read from swap failed */
	PG_reclaim = 1u << 18,	  /* free it as soon as its writeback ends */
	PG_workingset = 1u << 19, /* was active when it was deactivated */
	PG_slab_tail = 1u << 20,  /* not the first frame of its slab */
	PG_demand = 1u << 21,	  /* read because it was touched: mapping it is a major fault */
	PG_shared = 1u << 22,	  /* ANON that fork made common: ->family, not ->mm */
	PG_file = 1u << 23,	  /* in a file's tree, or was: ->mapping, ->index */
	PG_mlocked = 1u << 25,	  /* an area with VMA_LOCKED maps it */
	PG_balloon = 1u << 27,	  /* in the balloon (mm/balloon.c) */
	PG_unevictable = 1u << 26, /* on no list of the policy, for it has PG_mlocked */
	PG_swapbacked = 1u << 24,  /* with PG_file: of shared anonymous memory */
};

/* In the flags of the first frame of a block that is handed out: the block's order. */
#define PAGE_ORDER_SHIFT 28

#define PAGE_MAPCOUNT_BITS 18
#define PAGE_MAPCOUNT_MAX  ((1u << PAGE_MAPCOUNT_BITS) - 1)

/* Slots that a page can name: 128 TiB. */
#define PAGE_SLOT_MAX ((uint64_t)1 << 35)

struct page {
	uint32_t flags; /* enum page_flags */
	uint32_t refs;
	pfn_t next, prev; /* the list it is on: buddy, pcp, LRU, slab */
	union {
		struct mm *mm;		    /* ANON, while a page table entry maps it; TABLE */
		struct anon_family *family; /* ANON with PG_shared */
		struct kmem_cache *cache;   /* SLAB */
		struct address_space *mapping; /* FILE; NULL: no longer in its tree */
		uint64_t owner;
	};
	union {
		uint64_t index; /* ANON: virtual page number */
		void *freelist; /* SLAB, first frame */
	};
	union {
		uint32_t mapcount : PAGE_MAPCOUNT_BITS; /* page table entries that map it */
		uint64_t slot_and_mapcount; /* above it, ANON with PG_swapcache: page_swap() */
		uint32_t order;		    /* FREE, SLAB: the block is 1 << order frames */
		uint32_t table_used;	    /* TABLE: entries that are not NONE */
		struct {
			uint32_t slab_order;
			uint16_t slab_inuse, slab_objects; /* SLAB, first frame */
		};
	};
};

_Static_assert(sizeof(struct page) == 40, "0.98% of a frame");

/* A doubly linked list of frames. */
struct page_list {
	pfn_t head, tail;
	uint32_t nr; /* page_weight() of those on it */
};

#define PAGE_LIST_INIT                                      \
	{                                                   \
		.head = PFN_NONE, .tail = PFN_NONE, .nr = 0 \
	}

static inline bool page_has(const struct page *page, uint32_t flag)
{
	return (page->flags & flag) != 0;
}

/* It belongs to the policy's lists of files, not of what goes to swap (folio_is_file_lru()). */
static inline bool page_is_file_lru(const struct page *page)
{
	return !page_has(page, PG_anon | PG_swapbacked);
}

static inline unsigned int page_block_order(const struct page *page)
{
	return page->flags >> PAGE_ORDER_SHIFT;
}

/* What lists count it as: a program's larger page is as many pages as it has (mm/huge.c). */
static inline uint32_t page_weight(const struct page *page)
{
	return page_has(page, PG_anon) ? 1u << page_block_order(page) : 1;
}

static inline void page_list_init(struct page_list *list)
{
	*list = (struct page_list)PAGE_LIST_INIT;
}

static inline void page_list_add_head(struct page *mem_map, struct page_list *list, pfn_t pfn)
{
	struct page *page = &mem_map[pfn];

	page->prev = PFN_NONE;
	page->next = list->head;
	if (list->head == PFN_NONE)
		list->tail = pfn;
	else
		mem_map[list->head].prev = pfn;
	list->head = pfn;
	list->nr += page_weight(page);
}

static inline void page_list_add_tail(struct page *mem_map, struct page_list *list, pfn_t pfn)
{
	struct page *page = &mem_map[pfn];

	page->next = PFN_NONE;
	page->prev = list->tail;
	if (list->tail == PFN_NONE)
		list->head = pfn;
	else
		mem_map[list->tail].next = pfn;
	list->tail = pfn;
	list->nr += page_weight(page);
}

static inline void page_list_del(struct page *mem_map, struct page_list *list, pfn_t pfn)
{
	struct page *page = &mem_map[pfn];

	MM_ASSERT(list->nr >= page_weight(page));
	if (page->prev == PFN_NONE)
		list->head = page->next;
	else
		mem_map[page->prev].next = page->next;
	if (page->next == PFN_NONE)
		list->tail = page->prev;
	else
		mem_map[page->next].prev = page->prev;
	page->next = page->prev = PFN_NONE;
	list->nr -= page_weight(page);
}

/* Takes the head off. PFN_NONE if the list is empty. */
static inline pfn_t page_list_pop(struct page *mem_map, struct page_list *list)
{
	pfn_t pfn = list->head;
	struct page *page;

	if (pfn == PFN_NONE)
		return PFN_NONE;
	page = &mem_map[pfn];
	list->head = page->next;
	if (page->next == PFN_NONE)
		list->tail = PFN_NONE;
	else
		mem_map[page->next].prev = PFN_NONE;
	page->next = page->prev = PFN_NONE;
	list->nr -= page_weight(page);
	return pfn;
}

static inline bool page_is_mapped(const struct page *page)
{
	return page->mapcount > 0;
}

/* A page that one entry maps, at most, and that says itself which. */
static inline bool page_is_exclusive(const struct page *page)
{
	return (page->flags & (PG_anon | PG_shared)) == PG_anon;
}

#endif
