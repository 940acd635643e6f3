/* SPDX-License-Identifier: MIT */
/*
 * kmalloc(): memory of any size. A cache for each size class up to KMALLOC_SIZE_MAX, whole
 * blocks of frames above (Linux mm/slab_common.c). Classes are powers of two, and 96 and 192,
 * which halve what the classes before them would waste.
 *
 * A block keeps its order in its first frame (page_block_order()), a class's object leads to
 * its cache through its slab: kfree() needs no size.
 */
#include <string.h>

#include "mm/buddy.h"
#include "mm/slab_cache.h"

#define CLASS_OF_256 7 /* kmalloc-256, the first where the classes are powers of two only */

static const struct {
	const char *name;
	uint32_t size, align;
} classes[KMALLOC_NR_CLASSES] = {
	{"kmalloc-8", 8, 8},	    {"kmalloc-16", 16, 16},	{"kmalloc-32", 32, 32},
	{"kmalloc-64", 64, 64},	    {"kmalloc-96", 96, 8},	{"kmalloc-128", 128, 128},
	{"kmalloc-192", 192, 8},    {"kmalloc-256", 256, 256},	{"kmalloc-512", 512, 512},
	{"kmalloc-1k", 1024, 1024}, {"kmalloc-2k", 2048, 2048}, {"kmalloc-4k", 4096, 4096},
	{"kmalloc-8k", 8192, 4096},
};

/* The class of sizes up to 192, by (size - 1) / 8. */
static const uint8_t small_classes[24] = {0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4,
					  5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6};

static unsigned int class_of(uint64_t size)
{
	if (size <= 8)
		return 0;
	if (size <= 192)
		return small_classes[(size - 1) / 8];
	if (size <= 256)
		return CLASS_OF_256;
	return CLASS_OF_256 + 64 - (unsigned int)__builtin_clzll(size - 1) - 8;
}

int kmalloc_init(struct mm_system *sys)
{
	int err = 0;

	for (unsigned int i = 0; i < KMALLOC_NR_CLASSES && !err; i++)
		err = kmem_cache_create(sys, classes[i].name, classes[i].size, classes[i].align,
					&sys->slab->classes[i]);
	return err;
}

static void *kmalloc_large(struct mm_system *sys, uint64_t size)
{
	unsigned int order = slab_order_for_bytes(size);
	struct page *page;
	int err;

	if (order > BUDDY_ORDER_MAX || alloc_fails_for_test(sys))
		return NULL;
	err = page_alloc_uncounted(sys, order, GFP_KERNEL, &page);
	if (err && slab_shrink(sys) > 0)
		err = page_alloc_uncounted(sys, order, GFP_KERNEL, &page);
	if (err)
		return NULL;
	sys->slab->nr_large += 1u << order;
	STAT(sys, nr_slab, 1 << order);
	return page_addr(sys, page);
}

/**
 * kmalloc() - memory of at least @size bytes; its content is undefined.
 * @size: 0 is taken as 1; above 4 MiB there is none.
 *
 * Return: its address, or NULL.
 * Context: mm_system.lock held.
 */
void *kmalloc(struct mm_system *sys, uint64_t size)
{
	if (size > KMALLOC_SIZE_MAX)
		return kmalloc_large(sys, size);
	return kmem_cache_alloc(sys, sys->slab->classes[class_of(size)]);
}

/**
 * kzalloc() - kmalloc(), and the @size bytes are 0.
 */
void *kzalloc(struct mm_system *sys, uint64_t size)
{
	void *object = kmalloc(sys, size);

	if (object)
		memset(object, 0, size);
	return object;
}

static void kfree_large(struct mm_system *sys, struct page *page, const void *object)
{
	unsigned int order = page_block_order(page);

	MM_ASSERT(object == page_addr(sys, page));
	MM_ASSERT(page->flags == order << PAGE_ORDER_SHIFT);
	page_free(sys, page, order);
	sys->slab->nr_large -= 1u << order;
	STAT(sys, nr_slab, -(1 << order));
}

/**
 * kfree() - give back what kmalloc(), kzalloc() or kmem_cache_alloc() returned.
 * @object: may be NULL.
 *
 * Context: mm_system.lock held.
 */
void kfree(struct mm_system *sys, void *object)
{
	struct page *page;

	if (!object)
		return;
	page = slab_of(sys, object);
	if (page_has(page, PG_slab))
		slab_put(sys, page, object);
	else
		kfree_large(sys, page, object);
}
