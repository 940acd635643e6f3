/* SPDX-License-Identifier: MIT */
/*
 * The page map: from an address to the run of pages that holds it.
 *
 * A radix tree of three levels of 12 bits over the page numbers of a 48-bit address space; one
 * word a page: the run's descriptor, and whether the page may hold something else than zeros.
 *   - each page of a run of objects names it; so do the first page of another run in use, and
 *     the first and the last page of a free run;
 *   - every other page names nothing, so an address that was never handed out is known as such.
 * 8 bytes a page are 0.2%. Nodes are never freed: where memory was, memory will be again.
 *
 * Context for all: arena->lock held, but where somebody owns a page in use, he may read its
 * entry without.
 */
#ifndef MALLOC_PAGEMAP_H
#define MALLOC_PAGEMAP_H

#include "malloc/meta.h"

struct run;

#define PAGEMAP_LEVEL_BITS 12
#define PAGEMAP_FANOUT	   (1 << PAGEMAP_LEVEL_BITS)
#define PAGEMAP_VA_BITS	   (PAGE_SHIFT + 3 * PAGEMAP_LEVEL_BITS)
#define PAGEMAP_DIRTY	   ((uintptr_t)1)

struct pagemap_leaf {
	uintptr_t entries[PAGEMAP_FANOUT];
};

struct pagemap_mid {
	struct pagemap_leaf *leaves[PAGEMAP_FANOUT];
};

struct pagemap_root {
	struct pagemap_mid *mids[PAGEMAP_FANOUT];
};

_Static_assert(sizeof(struct pagemap_leaf) == META_NODE_BYTES, "a leaf is a node");
_Static_assert(sizeof(struct pagemap_root) == META_NODE_BYTES, "and so is the root");

/* NULL where no node covers addr. */
static inline uintptr_t *pagemap_entry(const struct pagemap_root *root, vaddr_t addr)
{
	const struct pagemap_mid *mid;
	struct pagemap_leaf *leaf;

	if (addr >> PAGEMAP_VA_BITS)
		return NULL;
	mid = root->mids[addr >> (PAGE_SHIFT + 2 * PAGEMAP_LEVEL_BITS)];
	if (!mid)
		return NULL;
	leaf = mid->leaves[addr >> (PAGE_SHIFT + PAGEMAP_LEVEL_BITS) & (PAGEMAP_FANOUT - 1)];
	if (!leaf)
		return NULL;
	return &leaf->entries[addr >> PAGE_SHIFT & (PAGEMAP_FANOUT - 1)];
}

static inline struct run *pagemap_run(const struct pagemap_root *root, vaddr_t addr)
{
	const uintptr_t *entry = pagemap_entry(root, addr);

	return entry ? (struct run *)(*entry & ~PAGEMAP_DIRTY) : NULL;
}

/* For all below: nodes cover the range. */
static inline bool pagemap_is_dirty(const struct pagemap_root *root, vaddr_t addr)
{
	return (*pagemap_entry(root, addr) & PAGEMAP_DIRTY) != 0;
}

/* The page keeps its dirty bit. */
static inline void pagemap_set_run(struct pagemap_root *root, vaddr_t addr, struct run *run)
{
	uintptr_t *entry = pagemap_entry(root, addr);

	*entry = (uintptr_t)run | (*entry & PAGEMAP_DIRTY);
}

void pagemap_update(struct pagemap_root *root, vaddr_t start, vaddr_t end, uintptr_t keep,
		    uintptr_t set);
uint32_t pagemap_count_dirty(const struct pagemap_root *root, vaddr_t start, vaddr_t end);
int pagemap_ensure(struct arena *arena, vaddr_t start, vaddr_t end);

#endif
