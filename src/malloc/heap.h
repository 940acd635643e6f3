/* SPDX-License-Identifier: MIT */
/*
 * The heap: where the pages of runs come from, and when they go back.
 *
 * Context for all: arena->lock held.
 */
#ifndef MALLOC_HEAP_H
#define MALLOC_HEAP_H

#include "malloc/run.h"

/* A range that the heap has had in one piece, or in pieces that turned out to be neighbours. */
struct region {
	struct region *next;
	vaddr_t start, end;
	uint64_t owner; /* enum run_owner */
};

#define REGION_WORDS (sizeof(struct region) / sizeof(uint64_t))

struct heap {
	struct rb_root free;	/* free runs (malloc/run.c) */
	struct region *regions; /* disjoint; no two of one owner touch */
	vaddr_t top;		/* the break, as far as it is ours to move; 0: it is not */
	uint64_t nr_pages;	/* in regions */
	uint64_t nr_pages_peak;
	uint64_t nr_free;  /* pages in free runs */
	uint64_t nr_dirty; /* of these */
	uint64_t nr_free_runs;
};

int heap_add_region(struct arena *arena, vaddr_t start, vaddr_t end, enum run_owner owner);
int heap_grow(struct arena *arena, uint64_t nr_pages);
bool heap_purge(struct arena *arena);
bool heap_shrink(struct arena *arena, uint64_t keep_bytes);
void heap_maintain(struct arena *arena);
uint64_t heap_top_bytes(struct arena *arena);

#endif
