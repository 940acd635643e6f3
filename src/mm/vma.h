/* SPDX-License-Identifier: MIT */
/*
 * Virtual memory areas: disjoint ranges [start, end) of one address space, each with one
 * protection, in a balanced tree by address. Neighbours that are alike are one area.
 *
 * Context for all: mm_system.lock held; the tree changes only with the mm write-locked.
 */
#ifndef MM_VMA_H
#define MM_VMA_H

#include "base/rbtree.h"
#include "ration/types.h"

struct mm;

enum vma_flags {
	VMA_READ = 1 << 0,
	VMA_WRITE = 1 << 1,
	VMA_EXEC = 1 << 2,
	VMA_NORESERVE = 1 << 3,
	VMA_FOREIGN = 1 << 4,	/* somebody else maps it; the manager only keeps its place */
	VMA_HEAP = 1 << 5,	/* grown by brk */
	VMA_SEQ_READ = 1 << 6,	/* MADV_SEQUENTIAL */
	VMA_RAND_READ = 1 << 7, /* MADV_RANDOM: no readahead */
};

struct vma {
	struct rb_node node;
	vaddr_t start, end;
	uint64_t max_gap; /* bytes: the largest hole before a VMA in this subtree */
	uint32_t flags;	  /* enum vma_flags */
};

void vma_tree_init(struct mm *mm);
struct vma *vma_find(struct mm *mm, vaddr_t addr);	 /* the area that holds addr, or NULL */
struct vma *vma_find_first(struct mm *mm, vaddr_t addr); /* the first that ends after addr */
struct vma *vma_next(struct vma *vma);
int vma_check(struct mm *mm);

#endif
