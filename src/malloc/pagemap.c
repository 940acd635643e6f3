/* SPDX-License-Identifier: MIT */
#include "malloc/pagemap.h"

#include <errno.h>

#include "base/assert.h"
#include "base/checked.h"
#include "malloc/arena.h"

#define LEAF_BYTES ((uint64_t)PAGEMAP_FANOUT << PAGE_SHIFT) /* of addresses */

static int ensure_leaf(struct arena *arena, vaddr_t addr)
{
	unsigned int top = (unsigned int)(addr >> (PAGE_SHIFT + 2 * PAGEMAP_LEVEL_BITS));
	unsigned int middle = addr / LEAF_BYTES & (PAGEMAP_FANOUT - 1);
	struct pagemap_mid **mid = &arena->pagemap->mids[top];

	if (!*mid)
		*mid = meta_node_alloc(arena);
	if (!*mid)
		return -ENOMEM;
	if (!(*mid)->leaves[middle])
		(*mid)->leaves[middle] = meta_node_alloc(arena);
	return (*mid)->leaves[middle] ? 0 : -ENOMEM;
}

/**
 * pagemap_ensure() - make the nodes that cover [@start, @end).
 * @arena: whose map it is.
 * @start: page aligned.
 * @end: page aligned, above @start.
 *
 * Return: 0, or -ENOMEM (then nothing but empty nodes was added). At most two nodes are needed
 * for a range inside one leaf.
 * Context: arena->lock held.
 */
int pagemap_ensure(struct arena *arena, vaddr_t start, vaddr_t end)
{
	int err;

	MM_ASSERT(start < end);
	if ((end - 1) >> PAGEMAP_VA_BITS)
		return -ENOMEM;
	for (vaddr_t addr = align_down(start, LEAF_BYTES); addr < end; addr += LEAF_BYTES) {
		err = ensure_leaf(arena, addr);
		if (err)
			return err;
	}
	return 0;
}

/* The entries of the pages from start up to end, or up to the end of their leaf. */
static uintptr_t *span(const struct pagemap_root *root, vaddr_t start, vaddr_t end,
		       uint64_t *ret_nr)
{
	vaddr_t leaf_end = align_down(start, LEAF_BYTES) + LEAF_BYTES;

	*ret_nr = (min_u64(end, leaf_end) - start) >> PAGE_SHIFT;
	return pagemap_entry(root, start);
}

/**
 * pagemap_update() - change the entries of the pages in [@start, @end).
 * @root: the map; nodes cover the range.
 * @start: page aligned.
 * @end: page aligned.
 * @keep: each entry becomes (entry & @keep) | @set.
 * @set: a run's address, PAGEMAP_DIRTY, both or neither.
 *
 * Context: arena->lock held.
 */
void pagemap_update(struct pagemap_root *root, vaddr_t start, vaddr_t end, uintptr_t keep,
		    uintptr_t set)
{
	uintptr_t *entries;
	uint64_t nr;

	for (; start < end; start += nr << PAGE_SHIFT) {
		entries = span(root, start, end, &nr);
		for (uint64_t i = 0; i < nr; i++)
			entries[i] = (entries[i] & keep) | set;
	}
}

/**
 * pagemap_count_dirty() - how many of the pages in [@start, @end) may hold something.
 * @root: the map; nodes cover the range.
 * @start: page aligned.
 * @end: page aligned.
 *
 * Context: arena->lock held.
 */
uint32_t pagemap_count_dirty(const struct pagemap_root *root, vaddr_t start, vaddr_t end)
{
	const uintptr_t *entries;
	uint32_t nr_dirty = 0;
	uint64_t nr;

	for (; start < end; start += nr << PAGE_SHIFT) {
		entries = span(root, start, end, &nr);
		for (uint64_t i = 0; i < nr; i++)
			nr_dirty += entries[i] & PAGEMAP_DIRTY;
	}
	return nr_dirty;
}
