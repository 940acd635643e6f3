/* SPDX-License-Identifier: MIT */
/*
 * Zones, watermarks, the buddy system, and the per-CPU lists in front of it.
 *
 * Boot, in this order: zone_init() for each of sys->zones[0..nr_zones), lowest first;
 * zone_free_boot() for what the boot code does not keep; zones_set_watermarks(). Then, or
 * before, zone_set_pcps(); until then order 0 comes straight from the buddy system.
 *
 * Context for all: mm_system.lock held.
 */
#ifndef MM_ZONE_H
#define MM_ZONE_H

#include "mm/page.h"

#define BUDDY_ORDER_MAX 10 /* 4 MiB: Linux's MAX_PAGE_ORDER */
#define BUDDY_NR_ORDERS (BUDDY_ORDER_MAX + 1)
#define MM_ZONES_MAX	3

enum zone_watermark { WMARK_MIN, WMARK_LOW, WMARK_HIGH, NR_WMARK };

/* How far down an allocation may go. */
enum gfp {
	GFP_USER,    /* a program's page: stops at the min watermark */
	GFP_KERNEL,  /* the manager's own need (tables, slabs): stops at half of min */
	GFP_RECLAIM, /* needed to get memory free (Linux's PF_MEMALLOC): takes the last frame */
	NR_GFP
};

struct pcp {
	struct page_list list;
	uint32_t batch; /* frames moved at once between this list and the buddy system */
	uint32_t high;	/* frames it may hold */
};

struct zone {
	const char *name;
	pfn_t start, end; /* (c) */
	uint32_t managed; /* frames given to the buddy system at boot (c) */
	uint32_t
		nr_free; /* frames in the buddy lists; those on per-CPU lists are not counted */
	uint32_t watermark[NR_WMARK];
	uint32_t lowmem_reserve; /* frames kept from requests that could use a higher zone */
	uint32_t floor[NR_GFP];	 /* frames that a request must leave: of the two above */
	uint32_t floor_first;	 /* and a program's page, while a lower zone may have more */
	uint32_t free_orders;	 /* bit n: free_area[n] is not empty */
	struct page_list free_area[BUDDY_NR_ORDERS]; /* heads of free blocks, by order */
	struct pcp *pcps;			     /* nr_cpus of them; NULL: none */
};

int zone_init(struct mm_system *sys, struct zone *zone, const char *name, pfn_t start,
	      pfn_t end);
void zone_free_boot(struct mm_system *sys, pfn_t start, pfn_t end);
void zones_set_watermarks(struct mm_system *sys, uint64_t min_free_kbytes,
			  uint32_t watermark_scale_factor);
void zones_setup_watermarks(struct mm_system *sys, uint64_t min_free_kbytes,
			    uint32_t watermark_scale_factor);
uint64_t zones_default_min_free_kbytes(const struct mm_system *sys);
uint64_t zone_pcps_bytes(const struct mm_system *sys);
void zone_use_watermarks(struct mm_system *sys, struct zone *zone,
			 const uint32_t marks[NR_WMARK], uint32_t reserve);
void zones_set_reclaim_active(struct mm_system *sys, bool is_active);
void zone_set_pcps(struct mm_system *sys, struct zone *zone, void *memory);
uint64_t zone_default_min_free_kbytes(uint64_t lowmem_kbytes);
bool zone_watermark_ok(const struct zone *zone, unsigned int order, uint32_t mark);

int buddy_alloc(struct mm_system *sys, struct zone *zone, unsigned int order,
		struct page **ret_page);
void buddy_free(struct mm_system *sys, struct zone *zone, struct page *page,
		unsigned int order);

int page_alloc(struct mm_system *sys, unsigned int order, enum gfp gfp, struct page **ret_page);
void page_free(struct mm_system *sys, struct page *page, unsigned int order);
void pcp_drain(struct mm_system *sys);
uint64_t zones_free_pages(const struct mm_system *sys);
uint64_t zones_managed_pages(const struct mm_system *sys);
uint64_t zones_watermark(const struct mm_system *sys, unsigned int mark);

int zone_check(struct mm_system *sys);

#endif
