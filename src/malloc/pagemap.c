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
