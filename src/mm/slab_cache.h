/* SPDX-License-Identifier: MIT */
/*
 * The inside of the slab allocator, shared by slab.c, kmalloc.c, slab_debug.c and slab_check.c.
 */
#ifndef MM_SLAB_CACHE_H
#define MM_SLAB_CACHE_H

#include "base/list.h"
#include "mm/slab.h"
#include "mm/system.h"

#define KMALLOC_NR_CLASSES 13 /* 8, 16, 32, 64, 96, 128, 192, 256 ... 8192 */

struct kmem_cache {
	struct page
		*current; /* the slab that objects are taken from, on no list; may be NULL */
	uint32_t size;	  /* bytes asked for (c) */
	uint32_t stride;  /* bytes from one object to the next (c) */
	uint32_t link_offset; /* where in a free object the next one's address is (c) */
	uint32_t keep_slabs;  /* partial and free slabs: above that a free one goes (c) */
	uint8_t order;	      /* of a slab, where frames are to be had (c) */
	uint8_t order_min;    /* ... and where they are not: one object (c) */
	struct page_list partial, full, free; /* slabs by state, except current */
	const char *name;		      /* (c) */
	struct list_head node;		      /* on slab_state.caches */
};

struct slab_state {
	struct list_head caches;
	struct kmem_cache *cache_cache; /* caches are objects of this one, itself too */
	struct kmem_cache *classes[KMALLOC_NR_CLASSES];
	uint64_t nr_large; /* frames handed out by kmalloc() as whole blocks */
};

int kmalloc_init(struct mm_system *sys);
void slab_put(struct mm_system *sys, struct page *slab, void *object);

/* Debug builds: red zones and poison (slab_debug.c). */
uint32_t slab_debug_layout(struct kmem_cache *cache, uint32_t align);
void slab_debug_init_object(const struct kmem_cache *cache, void *object);
void slab_debug_on_alloc(const struct kmem_cache *cache, void *object);
void slab_debug_on_free(const struct mm_system *sys, const struct page *slab, void *object);
int slab_debug_check(const struct mm_system *sys, const struct page *slab);

/* The smallest order whose block has so many bytes; above BUDDY_ORDER_MAX: none has. */
static inline unsigned int slab_order_for_bytes(uint64_t bytes)
{
	unsigned int order = 0;

	while (order <= BUDDY_ORDER_MAX && PAGE_SIZE << order < bytes)
		order++;
	return order;
}

/* The first frame of the slab or block that an address lies in. */
static inline struct page *slab_of(const struct mm_system *sys, const void *object)
{
	struct page *page = page_of(sys, addr_pfn(sys, object));

	return page_has(page, PG_slab_tail) ? page_of(sys, (pfn_t)page->index) : page;
}

/* Where a free object keeps the address of the next. Its own first bytes, unless poisoned. */
static inline void **slab_link(const struct kmem_cache *cache, void *object)
{
	return (void **)((char *)object + (MM_DEBUG ? cache->link_offset : 0));
}

#endif
