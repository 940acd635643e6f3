/* SPDX-License-Identifier: MIT */
/*
 * The slab allocator (Bonwick 1994) in the form of Linux's SLUB, with slabs in three states:
 * full, partial, free. Context for all: mm_system.lock held.
 */
#ifndef MM_SLAB_H
#define MM_SLAB_H

#include "mm/page.h"

#define KMALLOC_SIZE_MAX 8192 /* bytes from a size class; above that whole blocks of frames */

struct kmem_cache;

int slab_init(struct mm_system *sys);
int kmem_cache_create(struct mm_system *sys, const char *name, uint32_t size, uint32_t align,
		      struct kmem_cache **ret_cache);
int kmem_cache_destroy(struct mm_system *sys, struct kmem_cache *cache);
void *kmem_cache_alloc(struct mm_system *sys, struct kmem_cache *cache);
void kmem_cache_free(struct mm_system *sys, struct kmem_cache *cache, void *object);
void *kmalloc(struct mm_system *sys, uint64_t size);
void *kzalloc(struct mm_system *sys, uint64_t size);
void kfree(struct mm_system *sys, void *object);
uint32_t slab_shrink(struct mm_system *sys); /* frames given back to the buddy system */
int slab_check(struct mm_system *sys);

#endif
