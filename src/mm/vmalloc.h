/* SPDX-License-Identifier: MIT */
/*
 * The inside of kernel space, shared by vmalloc.c and vmalloc_check.c.
 */
#ifndef MM_VMALLOC_H
#define MM_VMALLOC_H

#include "mm/system.h"
#include "ration/vmalloc.h"

/*
 * An area is one of
 *   FILLING   mm_vmalloc() is at work on it; nobody else knows its address
 *   BUSY      all its pages are mapped
 *   DRAINING  mm_vfree() is at work on it
 *   LAZY      no page is mapped, but a TLB may still know some
 * in this order; FILLING goes straight away where frames run out.
 */
enum vmap_state { VMAP_FILLING, VMAP_BUSY, VMAP_DRAINING, VMAP_LAZY };

struct vmap_area {
	struct rb_node node;
	struct list_head lazy; /* LAZY: on vmalloc->lazy, or on the list of a purge */
	vaddr_t start;	       /* (c) */
	uint64_t nr_pages;     /* (c) without the guard page */
	uint64_t nr_mapped;    /* the first ones */
	uint64_t gap;	       /* bytes: the hole before it */
	uint64_t max_gap;      /* the largest in its subtree */
	enum vmap_state state;
};

struct vmalloc {
	struct mm mm; /* only what tables need; it is on no list */
	struct kmem_cache *area_cache;
	struct rb_root areas;
	vaddr_t start, end;	 /* (c) */
	struct list_head lazy;	 /* areas, LAZY */
	uint64_t nr_lazy;	 /* pages of addresses of all areas that are LAZY */
	uint64_t nr_lazy_max;	 /* above that they are purged (c) */
	uint64_t nr_purges;	 /* shootdowns, ever */
	unsigned int nr_purging; /* calls that are waiting for one */
};

static inline struct vmap_area *vmap_area_of(struct rb_node *node)
{
	return node ? container_of(node, struct vmap_area, node) : NULL;
}

/* Where the guard page after it ends. */
static inline vaddr_t vmap_area_end(const struct vmap_area *area)
{
	return area->start + (area->nr_pages + 1) * PAGE_SIZE;
}

int vmalloc_check(struct mm_system *sys);

#endif
