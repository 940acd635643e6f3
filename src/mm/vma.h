/* SPDX-License-Identifier: MIT */
/*
 * Virtual memory areas: disjoint ranges [start, end) of one address space, each with one
 * protection, in a balanced tree by address. Neighbours that are alike are one area.
 *
 * A change has two steps. vma_reserve() takes the areas that cutting may need, and may fail;
 * everything else cannot.
 *
 * Context for all: mm_system.lock held; the tree changes only with the mm write-locked.
 */
#ifndef MM_VMA_H
#define MM_VMA_H

#include "base/list.h"
#include "base/rbtree.h"
#include "ration/types.h"

struct address_space;
struct mm;

enum vma_flags {
	VMA_READ = 1 << 0,
	VMA_WRITE = 1 << 1,
	VMA_EXEC = 1 << 2,
	VMA_NORESERVE = 1 << 3,
	VMA_FOREIGN = 1 << 4,	/* somebody else maps it; the manager only keeps its place */
	VMA_SEQ_READ = 1 << 5,	/* MADV_SEQUENTIAL */
	VMA_RAND_READ = 1 << 6, /* MADV_RANDOM: no readahead */
	VMA_ACCOUNT = 1 << 7,	/* its pages are committed (mm/commit.c) */
	VMA_TOUCHED = 1 << 8,  /* it had a fault, in part or before a merge (Linux: anon_vma) */
	VMA_DONTFORK = 1 << 9, /* MADV_DONTFORK: a child does not have it */
	VMA_WIPEONFORK = 1 << 10,  /* MADV_WIPEONFORK: a child finds zeroes */
	VMA_LOCKED = 1 << 13,	   /* its pages stay in RAM (mm/mlock.c) */
	VMA_LOCKONFAULT = 1 << 14, /* from their first touch on */
	VMA_SHARED = 1 << 12,	   /* MAP_SHARED: writes go to the mapping */
	/* MADV_HUGEPAGE, MADV_NOHUGEPAGE; MAP_HUGETLB: pages of the pool only (mm/hugetlb.c) */
	VMA_HUGEPAGE = 1 << 16,
	VMA_NOHUGEPAGE = 1 << 17,
	VMA_HUGETLB = 1 << 18,
	VMA_HUGETLB_1G = 1 << 19,   /* of 1 GiB */
	VMA_HUGETLB_LOST = 1 << 20, /* a page was taken from it (mm/hugetlb_cow.c) */
};

#define VMA_PROT (VMA_READ | VMA_WRITE | VMA_EXEC) /* the values of MM_PROT_* */

#define VMA_COUNT_MAX 65530 /* vm.max_map_count, unless somebody sets it */

struct vma {
	struct rb_node node;
	vaddr_t start, end;
	uint64_t gap;	  /* bytes: the hole before it, down to its neighbour or the window */
	uint64_t max_gap; /* bytes: the largest gap in its subtree */
	uint32_t flags;	  /* enum vma_flags */
	struct mm *mm;	  /* while it is in the tree */

	/* What it maps: a file, or shared anonymous memory; NULL: private anonymous memory. */
	struct address_space *mapping;
	union {
		uint64_t pgoff;	      /* pages: where in the mapping it starts; 0 without one */
		uint64_t nr_promised; /* VMA_HUGETLB: pages of its pool that are kept for it */
	};
	struct list_head i_mmap; /* on mapping->i_mmap, while it is in the tree */
};

/* Areas that were taken from the cache but are in no tree yet, linked by node.parent. */
struct vma_reserve {
	struct rb_node *first;
	unsigned int nr;
	uint64_t nr_charged; /* pages of mm_charge() */
};

void vma_tree_init(struct mm *mm);
struct vma *vma_find(struct mm *mm, vaddr_t addr);	 /* the area that holds addr, or NULL */
struct vma *vma_find_first(struct mm *mm, vaddr_t addr); /* the first that ends after addr */
struct vma *vma_next(struct vma *vma);
int vma_check(struct mm *mm);

/* The page of the mapping that lies at an address of the area. */
static inline uint64_t vma_index(const struct vma *vma, vaddr_t va)
{
	return vma->pgoff + ((va - vma->start) >> PAGE_SHIFT);
}

bool vma_range_is_free(struct mm *mm, vaddr_t start, vaddr_t end);
bool vma_is_cut_by(struct mm *mm, vaddr_t at);
int vma_find_gap(struct mm *mm, uint64_t len, vaddr_t *ret_addr);

int vma_reserve(struct mm *mm, struct vma_reserve *reserve, unsigned int nr);
void vma_unreserve(struct mm *mm, struct vma_reserve *reserve);
void vma_cut(struct mm *mm, vaddr_t at, struct vma_reserve *reserve);
struct vma *vma_add(struct mm *mm, vaddr_t start, vaddr_t end, uint32_t flags,
		    struct vma_reserve *reserve);
struct vma *vma_add_like(struct mm *mm, const struct vma *like, struct vma_reserve *reserve);
void vma_remove(struct mm *mm, struct vma *vma);
void vma_set_flags(struct mm *mm, struct vma *vma, uint32_t flags);
void vma_grow(struct mm *mm, struct vma *vma, vaddr_t end);
struct vma *vma_merge(struct mm *mm, struct vma *vma);

#endif
