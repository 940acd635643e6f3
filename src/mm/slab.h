/* SPDX-License-Identifier: MIT */
/*
 * The slab allocator (Bonwick 1994) in the form of Linux's SLUB, with slabs in three states:
 * full, partial, free. Memory is not zeroed, except by kzalloc(); it is aligned as asked, and
 * kmalloc() of a power of two up to a page is aligned to its size.
 *
 * Context for all: mm_system.lock held.
 */
#ifndef MM_SLAB_H
#define MM_SLAB_H

#include "mm/page.h"

#define KMALLOC_SIZE_MAX 8192 /* bytes from a size class; above that whole blocks of frames */

struct kmem_cache;

/* What one cache has, as a line of /proc/slabinfo. */
struct kmem_cache_stat {
	const char *name;
	uint32_t object_size;		    /* bytes, with padding */
	uint32_t slab_objects, slab_frames; /* of a slab of the usual size */
	uint64_t active_objects, nr_objects;
	uint32_t nr_full, nr_partial, nr_free; /* slabs */
	uint64_t nr_frames;
};

int slab_init(struct mm_system *sys);
int kmem_cache_create(struct mm_system *sys, const char *name, uint32_t size, uint32_t align,
		      struct kmem_cache **ret_cache);
int kmem_cache_destroy(struct mm_system *sys, struct kmem_cache *cache);
void *kmem_cache_alloc(struct mm_system *sys, struct kmem_cache *cache);
void kmem_cache_free(struct mm_system *sys, struct kmem_cache *cache, void *object);
void *kmalloc(struct mm_system *sys, uint64_t size);
void *kzalloc(struct mm_system *sys, uint64_t size);
void kfree(struct mm_system *sys, void *object);
void kmem_cache_get_stat(const struct mm_system *sys, const struct kmem_cache *cache,
			 struct kmem_cache_stat *ret_stat);
uint32_t slab_shrink(struct mm_system *sys);
uint64_t slab_count_free(struct mm_system *sys);
uint64_t slab_shrink_frames(struct mm_system *sys,
			    uint64_t nr); /* frames given back to the buddy system */
int slab_check(struct mm_system *sys);

#endif
