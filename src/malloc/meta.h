/* SPDX-License-Identifier: MIT */
/*
 * Memory for the allocator's own bookkeeping, apart from the objects.
 *
 * Chunks from the backend's mmap, never given back. Small pieces (descriptors, bitmaps) are cut
 * from the front of the chunk, so that they lie densely; nodes of the page map, of which only a
 * few pages are ever touched, from its end. A freed piece goes to a list of its size.
 */
#ifndef MALLOC_META_H
#define MALLOC_META_H

#include "ration/types.h"

struct arena;

#define META_CHUNK_BYTES ((uint64_t)256 << 10) /* seven nodes and the small pieces of 5 MiB */
#define META_NODE_BYTES	 ((uint64_t)32 << 10)
#define META_WORDS_MAX	 32 /* the bitmap of CLASS_OBJECTS_MAX objects */

struct meta {
	char *next, *end;		    /* what is left of the chunk */
	uint64_t *free[META_WORDS_MAX + 1]; /* by words; linked through the first word */
	uint64_t *nodes;		    /* never used nodes, linked the same way */
	uint64_t nr_bytes;		    /* in use; a node counts in full */
};

void *meta_alloc(struct arena *arena, unsigned int nr_words);
void meta_free(struct arena *arena, void *piece, unsigned int nr_words);
void *meta_node_alloc(struct arena *arena);
void meta_node_put(struct arena *arena, void *node);

#endif
