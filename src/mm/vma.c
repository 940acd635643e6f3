/* SPDX-License-Identifier: MIT */
/*
 * The areas of an address space.
 *
 * They are nodes of a red-black tree by address. Each keeps the hole before it and the largest
 * such hole in its subtree (as Linux did until 6.1, Lespinasse 2012), so that the highest hole
 * that is large enough is found in O(log n). The hole after the last area is not in the tree;
 * it is the first to be asked. The area that was looked for last is remembered: with the hole
 * before it, it answers for all addresses in between.
 *
 * Callers change the map by cutting at a bound, so that whole areas lie in the range they work
 * on, and by merging afterwards.
 *
 * 1. Areas are page aligned, not empty, in the window, ascending and disjoint.
 * 2. Neighbours that touch differ in their flags or in what they map, or do not continue it.
 * 3. ->gap and ->max_gap are what they say.
 * 4. mm->nr_vmas counts the areas, mm->total_vm their pages, mm->nr_accounted those with
 *    VMA_ACCOUNT, mm->locked_vm those with VMA_LOCKED.
 * 5. Only pages in areas that are not VMA_FOREIGN have entries in the page tables.
 * 6. An area that maps a file is on that mapping's i_mmap.
 */
#include "mm/vma.h"

#include "base/assert.h"
#include "base/checked.h"
#include "mm/commit.h"
#include "mm/filemap.h"
#include "mm/hugetlb.h"
#include "mm/slab.h"
#include "mm/system.h"

static struct vma *vma_of(struct rb_node *node)
{
	return node ? container_of(node, struct vma, node) : NULL;
}

static uint64_t max_gap_below(struct rb_node *node)
{
	return node ? vma_of(node)->max_gap : 0;
}

static bool vma_update(struct rb_node *node)
{
	struct vma *vma = vma_of(node);
	uint64_t old = vma->max_gap;

	vma->max_gap = max_u64(vma->gap,
			       max_u64(max_gap_below(node->left), max_gap_below(node->right)));
	return vma->max_gap != old;
}

void vma_tree_init(struct mm *mm)
{
	mm->vmas = (struct rb_root){.update = vma_update};
}

struct vma *vma_find_first(struct mm *mm, vaddr_t addr)
{
	struct rb_node *node = mm->vmas.node;
	struct vma *found = mm->vma_cached;

	if (found && addr < found->end && addr >= found->start - found->gap)
		return found;
	found = NULL;
	while (node) {
		struct vma *vma = vma_of(node);

		if (addr >= vma->end) {
			node = node->right;
			continue;
		}
		found = vma;
		if (addr >= vma->start)
			break;
		node = node->left;
	}
	if (found)
		mm->vma_cached = found;
	return found;
}

struct vma *vma_find(struct mm *mm, vaddr_t addr)
{
	struct vma *vma = vma_find_first(mm, addr);

	return vma && vma->start <= addr ? vma : NULL;
}

struct vma *vma_next(struct vma *vma)
{
	return vma_of(rb_next(&vma->node));
}

static struct vma *vma_prev(struct vma *vma)
{
	return vma_of(rb_prev(&vma->node));
}

bool vma_range_is_free(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct vma *vma = vma_find_first(mm, start);

	return !vma || vma->start >= end;
}

/* Does at lie inside an area, not at its bounds? Then vma_cut() there takes one from the
 * reserve.
 */
bool vma_is_cut_by(struct mm *mm, vaddr_t at)
{
	struct vma *vma = vma_find(mm, at);

	return vma && vma->start < at;
}

/**
 * vma_find_gap() - the highest free range of the window.
 * @len: bytes, page aligned, not 0.
 *
 * Top-down, as Linux's mmap places what has no fixed address (vm_unmapped_area()).
 *
 * Return: 0, or -ENOMEM.
 * Context: sys->lock held.
 */
int vma_find_gap(struct mm *mm, uint64_t len, vaddr_t *ret_addr)
{
	struct vma *vma = vma_of(rb_last(&mm->vmas));
	vaddr_t top = vma ? vma->end : mm->window_start;

	if (mm->window_end - top >= len) {
		*ret_addr = mm->window_end - len;
		return 0;
	}
	vma = vma_of(mm->vmas.node);
	if (!vma || vma->max_gap < len)
		return -ENOMEM;
	for (;;) { /* at most the depth of the tree */
		if (max_gap_below(vma->node.right) >= len) {
			vma = vma_of(vma->node.right);
		} else if (vma->gap >= len) {
			break;
		} else {
			vma = vma_of(vma->node.left);
		}
	}
	*ret_addr = vma->start - len;
	return 0;
}

/* What lies before vma has changed. vma may be NULL: the hole after the last is not kept. */
static void gap_changed(struct mm *mm, struct vma *vma)
{
	struct vma *prev;

	if (!vma)
		return;
	prev = vma_prev(vma);
	vma->gap = vma->start - (prev ? prev->end : mm->window_start);
	rb_update_up(&mm->vmas, &vma->node);
}

/* An area gets pages, or loses them (below 0). */
static void count_pages(struct mm *mm, uint32_t flags, int64_t pages)
{
	mm->total_vm += (uint64_t)pages;
	if (flags & VMA_LOCKED)
		mm->locked_vm += (uint64_t)pages;
	if (!(flags & VMA_ACCOUNT))
		return;
	mm->nr_accounted += (uint64_t)pages;
	mm->sys->nr_committed += (uint64_t)pages;
}

static int64_t vma_pages(const struct vma *vma)
{
	return (int64_t)((vma->end - vma->start) >> PAGE_SHIFT);
}

static void vma_insert(struct mm *mm, struct vma *vma)
{
	struct rb_node **link = &mm->vmas.node, *parent = NULL;
	struct vma *prev = NULL, *next = NULL;

	while (*link) {
		parent = *link;
		if (vma->start < vma_of(parent)->start) {
			next = vma_of(parent);
			link = &parent->left;
		} else {
			prev = vma_of(parent);
			link = &parent->right;
		}
	}
	MM_ASSERT(!prev || prev->end <= vma->start);
	MM_ASSERT(!next || vma->end <= next->start);
	MM_ASSERT(vma->start >= mm->window_start && vma->end <= mm->window_end);
	vma->gap = vma->start - (prev ? prev->end : mm->window_start);
	rb_insert(&mm->vmas, &vma->node, parent, link);
	gap_changed(mm, next);
	mm->nr_vmas++;
	count_pages(mm, vma->flags, vma_pages(vma));
	vma->mm = mm;
	if (vma->mapping)
		filemap_area_linked(vma->mapping, vma);
}

/**
 * vma_remove() - take an area out of the tree and free it.
 *
 * Context: sys->lock held, mm write-locked.
 */
void vma_remove(struct mm *mm, struct vma *vma)
{
	struct vma *next = vma_next(vma);

	if (mm->vma_cached == vma)
		mm->vma_cached = next;
	rb_erase(&mm->vmas, &vma->node);
	gap_changed(mm, next);
	mm->nr_vmas--;
	count_pages(mm, vma->flags, -vma_pages(vma));
	if (vma->mapping)
		filemap_area_unlinked(vma->mapping, vma);
	if (vma->flags & VMA_HUGETLB)
		hugetlb_area_gone(mm->sys, vma);
	kmem_cache_free(mm->sys, mm->sys->vma_cache, vma);
}

static struct vma *reserve_take(struct vma_reserve *reserve)
{
	struct vma *vma = vma_of(reserve->first);

	MM_ASSERT(vma);
	reserve->first = vma->node.parent;
	reserve->nr--;
	return vma;
}

static void reserve_shrink(struct mm *mm, struct vma_reserve *reserve, unsigned int nr)
{
	while (reserve->nr > nr)
		kmem_cache_free(mm->sys, mm->sys->vma_cache, reserve_take(reserve));
}

/**
 * vma_reserve() - take areas from the cache for changes to come.
 * @reserve: zeroed, or with what it has; holds at least @nr afterwards.
 *
 * Return: 0, or -ENOMEM; @reserve then keeps what it had.
 * Context: sys->lock held.
 */
int vma_reserve(struct mm *mm, struct vma_reserve *reserve, unsigned int nr)
{
	unsigned int had = reserve->nr;

	while (reserve->nr < nr) {
		struct vma *vma = kmem_cache_alloc(mm->sys, mm->sys->vma_cache);

		if (!vma) {
			reserve_shrink(mm, reserve, had);
			return -ENOMEM;
		}
		vma->node.parent = reserve->first;
		reserve->first = &vma->node;
		reserve->nr++;
	}
	return 0;
}

void vma_unreserve(struct mm *mm, struct vma_reserve *reserve)
{
	reserve_shrink(mm, reserve, 0);
	commit_uncharge(mm->sys, reserve->nr_charged);
	reserve->nr_charged = 0;
}

/**
 * vma_cut() - make an address a bound: no area has it inside afterwards.
 * @at: page aligned.
 * @reserve: holds an area for it if vma_is_cut_by(@at).
 *
 *	[  flags  )  ->  [flags)[flags)      the two are alike until the caller makes them
 *	     at                at            differ, or merges them
 *
 * Context: sys->lock held, mm write-locked.
 */
void vma_cut(struct mm *mm, vaddr_t at, struct vma_reserve *reserve)
{
	struct vma *vma = vma_find(mm, at), *tail;

	if (!vma || vma->start == at)
		return;
	MM_DEBUG_ASSERT(!huge_is_cut(mm, at)); /* huge_split_cuts() comes before */
	tail = reserve_take(reserve);
	*tail = (struct vma){.start = at,
			     .end = vma->end,
			     .flags = vma->flags,
			     .mapping = vma->mapping,
			     .pgoff = vma->mapping ? vma_index(vma, at) : 0};
	count_pages(mm, vma->flags, -(int64_t)((vma->end - at) >> PAGE_SHIFT));
	vma->end = at;
	vma_insert(mm, tail);
	if (vma->flags & VMA_HUGETLB)
		hugetlb_area_cut(vma, tail);
}

/**
 * vma_set_flags() - an area gets other flags.
 *
 * Context: sys->lock held, mm write-locked.
 */
void vma_set_flags(struct mm *mm, struct vma *vma, uint32_t flags)
{
	count_pages(mm, vma->flags, -vma_pages(vma));
	vma->flags = flags;
	count_pages(mm, vma->flags, vma_pages(vma));
}

/**
 * vma_grow() - move the end of an area up.
 * @end: nothing lies between it and the old end.
 *
 * Context: sys->lock held, mm write-locked.
 */
void vma_grow(struct mm *mm, struct vma *vma, vaddr_t end)
{
	MM_ASSERT(end >= vma->end && end <= mm->window_end);
	MM_DEBUG_ASSERT(vma_range_is_free(mm, vma->end, end));
	count_pages(mm, vma->flags, (int64_t)((end - vma->end) >> PAGE_SHIFT));
	vma->end = end;
	gap_changed(mm, vma_next(vma));
}

static bool vma_can_follow(const struct vma *prev, const struct vma *vma)
{
	if (!prev || !vma || prev->end != vma->start || vma->flags & VMA_HUGETLB ||
	    ((prev->flags ^ vma->flags) & ~(uint32_t)VMA_TOUCHED))
		return false;
	return prev->mapping == vma->mapping &&
	       (!vma->mapping || vma_index(prev, vma->start) == vma->pgoff);
}

/* prev takes the range of vma, which is freed. */
static void vma_absorb(struct mm *mm, struct vma *prev, struct vma *vma)
{
	vaddr_t end = vma->end;

	prev->flags |= vma->flags & VMA_TOUCHED;
	vma_remove(mm, vma);
	vma_grow(mm, prev, end);
}

/**
 * vma_merge() - make an area one with its neighbours where they are alike.
 *
 * Return: the area that has the range now.
 * Context: sys->lock held, mm write-locked.
 */
struct vma *vma_merge(struct mm *mm, struct vma *vma)
{
	struct vma *prev = vma_prev(vma), *next = vma_next(vma);

	if (vma_can_follow(vma, next))
		vma_absorb(mm, vma, next);
	if (!vma_can_follow(prev, vma))
		return vma;
	vma_absorb(mm, prev, vma);
	return prev;
}

/**
 * vma_add() - a new area, made one with its neighbours where they are alike.
 * @start: with @end, a free range of the window.
 * @reserve: holds an area for it.
 *
 * Return: the area that has the range now.
 * Context: sys->lock held, mm write-locked.
 */
struct vma *vma_add(struct mm *mm, vaddr_t start, vaddr_t end, uint32_t flags,
		    struct vma_reserve *reserve)
{
	const struct vma like = {.start = start, .end = end, .flags = flags};

	return vma_add_like(mm, &like, reserve);
}

/**
 * vma_add_like() - vma_add() of an area that may map a file.
 * @like: what of it the caller says: start, end, flags, mapping, pgoff.
 *
 * Return, Context: as vma_add().
 */
struct vma *vma_add_like(struct mm *mm, const struct vma *like, struct vma_reserve *reserve)
{
	struct vma *vma;

	MM_ASSERT(like->start < like->end);
	vma = reserve_take(reserve);
	*vma = (struct vma){.start = like->start,
			    .end = like->end,
			    .flags = like->flags,
			    .mapping = like->mapping,
			    .pgoff = like->pgoff};
	vma_insert(mm, vma);
	return vma_merge(mm, vma);
}

static int check_hole(struct mm *mm, vaddr_t start, vaddr_t end)
{
	vaddr_t va = start;

	CHECK(pgtable_next(mm, &va, end) == NULL);
	return 0;
}

static int check_area(struct mm *mm, struct vma *vma, const struct vma *prev)
{
	vaddr_t hole = prev ? prev->end : mm->window_start;

	CHECK(((vma->start | vma->end) & ~PAGE_MASK) == 0);
	CHECK(hole <= vma->start && vma->start < vma->end && vma->end <= mm->window_end);
	CHECK(!vma_can_follow(prev, vma));
	CHECK(vma->gap == vma->start - hole);
	CHECK(!vma_update(&vma->node));
	CHECK(vma->mm == mm);
	CHECK(!vma->mapping || !list_is_empty(&vma->i_mmap)); /* 6 */
	return check_hole(mm, hole, vma->flags & VMA_FOREIGN ? vma->end : vma->start);
}

/**
 * vma_check() - invariants 1 to 6.
 *
 * Return: 0, or -EUCLEAN.
 * Context: sys->lock held. A writer may be under way: it changes the tree without a pause.
 */
int vma_check(struct mm *mm)
{
	uint64_t nr = 0, pages = 0, accounted = 0, locked = 0;
	struct vma *prev = NULL, *vma;
	int err = rb_check(&mm->vmas);

	for (vma = vma_of(rb_first(&mm->vmas)); vma && !err; prev = vma, vma = vma_next(vma)) {
		err = check_area(mm, vma, prev);
		nr++;
		pages += (uint64_t)vma_pages(vma);
		locked += vma->flags & VMA_LOCKED ? (uint64_t)vma_pages(vma) : 0;
		accounted += vma->flags & VMA_ACCOUNT ? (uint64_t)vma_pages(vma) : 0;
	}
	if (err)
		return err;
	CHECK(mm->nr_vmas == nr);
	CHECK(mm->total_vm == pages);
	CHECK(mm->nr_accounted == accounted);
	CHECK(mm->locked_vm == locked);
	return check_hole(mm, prev ? prev->end : mm->window_start, mm->window_end);
}
