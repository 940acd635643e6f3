/* SPDX-License-Identifier: MIT */
/*
 * Size classes: what a small request is rounded up to.
 *
 * Multiples of 16 up to 128, then eight classes a doubling (jemalloc has four and wastes up to
 * 20%, mimalloc has eight): 144, 160, ... 256, 288, ... 32768. So a request of more than 128
 * bytes wastes at most a ninth of its class, and the end of a run that holds no object is at
 * most a sixteenth of the run. Above 32 KiB whole pages waste no more than that.
 *
 * Each class is a multiple of every power of two, up to a page, that divides some request which
 * it serves, so an aligned request needs no class of its own: objects lie at multiples of the
 * class size from the start of a page.
 */
#ifndef MALLOC_CLASS_H
#define MALLOC_CLASS_H

#include "ration/types.h"

#define CLASS_ALIGN    16 /* of every object: what the C library promises on x86-64 */
#define CLASS_SIZE_MAX ((uint64_t)32768)
#define NR_CLASSES     72

/* How the objects of one class lie in a run of pages. */
struct class_layout {
	uint32_t size;	     /* bytes of an object */
	uint32_t nr_pages;   /* of a run */
	uint32_t nr_objects; /* in a run */
	uint32_t nr_words;   /* of 64 bits, one an object */
	uint64_t magic;	     /* offset * magic >> CLASS_MAGIC_SHIFT is offset / size */
};

#define CLASS_MAGIC_SHIFT 40
#define CLASS_PAGES_MAX	  16 /* of a run */
#define CLASS_OBJECTS_MAX 2048

/* size: 0..CLASS_SIZE_MAX; 0 counts as 1. */
static inline unsigned int class_of(uint64_t size)
{
	unsigned int log2;

	if (size <= 128)
		return size ? (unsigned int)((size - 1) / CLASS_ALIGN) : 0;
	log2 = 63 - (unsigned int)__builtin_clzll(size - 1);
	return (unsigned int)((size - 1) >> (log2 - 3)) + (log2 - 7) * 8;
}

uint32_t class_size(unsigned int class);
void class_layout_init(struct class_layout *layout, unsigned int class);

/* offset: from the start of the run, below its length. */
static inline uint32_t class_index(const struct class_layout *layout, uint64_t offset)
{
	return (uint32_t)(offset * layout->magic >> CLASS_MAGIC_SHIFT);
}

#endif
