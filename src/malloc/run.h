/* SPDX-License-Identifier: MIT */
/*
 * Runs: what the memory of an arena is made of.
 *
 * A run is exactly one of
 *   FREE     pages of the heap that nobody uses
 *   OBJECTS  pages of the heap cut into objects of one class      malloc/object.c
 *   PAGES    pages of the heap that are one object                malloc/arena.c
 *   MAPPED   a mapping of its own that holds one object           malloc/large.c
 * Legal moves: FREE->OBJECTS FREE->PAGES OBJECTS->FREE PAGES->FREE; a MAPPED run comes and goes
 * with its mapping.
 *
 * Context for all: arena->lock held.
 */
#ifndef MALLOC_RUN_H
#define MALLOC_RUN_H

#include "base/list.h"
#include "base/rbtree.h"
#include "ration/types.h"

struct arena;

enum run_kind { RUN_FREE, RUN_OBJECTS, RUN_PAGES, RUN_MAPPED };

enum run_owner {
	RUN_OWNER_HOST,	 /* had before there was a backend: goes back to the host */
	RUN_OWNER_BREAK, /* had by moving the backend's break */
	RUN_OWNER_CHUNK, /* had from the backend's mmap */
};

struct run {
	vaddr_t start;	   /* MAPPED: the object; it may start inside the mapping */
	uint32_t nr_pages; /* MAPPED: 0 */
	uint8_t kind;	   /* enum run_kind */
	uint8_t owner;	   /* enum run_owner */
	uint8_t class;	   /* OBJECTS */
	union {
		struct {
			struct rb_node node; /* in heap->free, by address */
			uint32_t max_pages;  /* of the runs in this subtree */
			uint32_t nr_dirty;   /* pages that may hold something */
		} free;
		struct {
			struct list_head node; /* on the class's list while 0 < nr_free */
			uint64_t *bitmap;      /* a set bit: the object is free */
			uint64_t word;	       /* the bitmap, where one word is enough */
			uint16_t nr_objects;
			uint16_t nr_free;
			uint16_t hint;	     /* no word below it has a bit set */
			uint16_t nr_touched; /* objects from here on are zeros */
		} objects;
		struct {
			struct list_head node; /* on arena->mapped */
			vaddr_t map_start;
			uint64_t map_bytes;
		} mapped;
	};
};

#define RUN_WORDS (sizeof(struct run) / sizeof(uint64_t))

_Static_assert(sizeof(struct run) == 56, "0.17% of the shortest run of small objects");

static inline vaddr_t run_end(const struct run *run)
{
	return run->start + ((uint64_t)run->nr_pages << PAGE_SHIFT);
}

static inline struct run *run_of_node(const struct rb_node *node)
{
	return (struct run *)((uintptr_t)node - offsetof(struct run, free.node));
}

struct run *run_new(struct arena *arena);
void run_delete(struct arena *arena, struct run *run);

int run_alloc(struct arena *arena, uint64_t nr_pages, uint64_t align_pages,
	      struct run **ret_run);
void run_free(struct arena *arena, struct run *run, uint32_t nr_touched);
int run_resize(struct arena *arena, struct run *run, uint32_t nr_pages);

/* For malloc/heap.c. */
bool run_tree_update(struct rb_node *node);
void run_insert_free(struct arena *arena, struct run *run);
void run_cut_free(struct arena *arena, struct run *run, uint32_t nr_pages);

#endif
