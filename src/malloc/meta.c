/* SPDX-License-Identifier: MIT */
#include "malloc/meta.h"

#include <string.h>

#include "base/assert.h"
#include "malloc/arena.h"

/* What was left of the last chunk is lost: it was never touched, so it costs no RAM. */
static int refill(struct arena *arena)
{
	const struct malloc_backend *backend = arena->backend;
	vaddr_t start;
	int err;

	err = backend->mmap(backend->arg, META_CHUNK_BYTES, &start);
	if (err)
		return err;
	arena->meta.next = (char *)start;
	arena->meta.end = arena->meta.next + META_CHUNK_BYTES;
	return 0;
}

static bool has_room(const struct meta *meta, uint64_t bytes)
{
	return (uint64_t)(meta->end - meta->next) >= bytes;
}

/**
 * meta_alloc() - take a small piece.
 * @arena: to take it for.
 * @nr_words: its size in words of 64 bits, 1..META_WORDS_MAX.
 *
 * Return: the piece, zeroed, or NULL where the backend has no memory.
 * Context: arena->lock held.
 */
void *meta_alloc(struct arena *arena, unsigned int nr_words)
{
	struct meta *meta = &arena->meta;
	uint64_t bytes = nr_words * sizeof(uint64_t);
	uint64_t *piece = meta->free[nr_words];

	if (piece) {
		meta->free[nr_words] = (uint64_t *)piece[0];
		memset(piece, 0, bytes);
	} else {
		if (!has_room(meta, bytes) && refill(arena))
			return NULL;
		piece = (uint64_t *)meta->next;
		meta->next += bytes;
	}
	meta->nr_bytes += bytes;
	return piece;
}

/**
 * meta_free() - give a small piece back.
 * @arena: that it was taken for.
 * @piece: from meta_alloc().
 * @nr_words: what it was taken with.
 *
 * Context: arena->lock held.
 */
void meta_free(struct arena *arena, void *piece, unsigned int nr_words)
{
	struct meta *meta = &arena->meta;

	*(uint64_t **)piece = meta->free[nr_words];
	meta->free[nr_words] = piece;
	meta->nr_bytes -= nr_words * sizeof(uint64_t);
}

/**
 * meta_node_alloc() - take META_NODE_BYTES, page aligned.
 * @arena: to take them for.
 *
 * Return: the node, zeroed, or NULL where the backend has no memory.
 * Context: arena->lock held.
 */
void *meta_node_alloc(struct arena *arena)
{
	struct meta *meta = &arena->meta;
	uint64_t *node = meta->nodes;

	if (node) {
		meta->nodes = (uint64_t *)node[0];
		node[0] = 0;
	} else {
		if (!has_room(meta, META_NODE_BYTES) && refill(arena))
			return NULL;
		meta->end -= META_NODE_BYTES;
		node = (uint64_t *)meta->end;
	}
	meta->nr_bytes += META_NODE_BYTES;
	return node;
}

/**
 * meta_node_put() - give back a node that was not written to.
 * @arena: that it was taken for.
 * @node: from meta_node_alloc(), or NULL. The next meta_node_alloc() takes it, and cannot fail.
 *
 * Context: arena->lock held.
 */
void meta_node_put(struct arena *arena, void *node)
{
	if (!node)
		return;
	*(uint64_t **)node = arena->meta.nodes;
	arena->meta.nodes = node;
	arena->meta.nr_bytes -= META_NODE_BYTES;
}
