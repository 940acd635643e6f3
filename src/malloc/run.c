/* SPDX-License-Identifier: MIT */
/*
 * Free runs, and how runs are taken from them and given back.
 *
 * Free runs are in one tree by address. Each node knows the longest run of its subtree, so the
 * lowest run that is long enough is found in O(log n) steps. Address-ordered first fit keeps
 * the end of the heap free, and is as good as best fit against fragmentation (Johnstone, Wilson
 * 1998).
 *
 *   heap  |OBJECTS|  FREE  |PAGES|OBJECTS|      FREE      |
 *   map    o o o o f - - f  p - - o o o o f - - - - - - - f
 *   dirty  ? ? ? ? 1 1 0 0  ? ? ? ? ? ? ? 1 0 0 0 0 0 0 0 0
 *
 * Invariants (arena_check):
 * 1. Every page of the heap belongs to one run; the map names it on every page of a run of
 *    objects, on the first of a run of pages, on the first and last of a free run, and nowhere
 *    else.
 * 2. Two free runs of one owner never touch.
 * 3. The dirty bit of a page in a free run is clear only if the page reads as zeros and was not
 *    touched since it was had from the system or given back to it. In a run in use it has the
 *    value from before the run was taken.
 * 4. heap->nr_free, nr_dirty and nr_free_runs are the sums over the tree.
 */
#include "malloc/run.h"

#include <errno.h>

#include "base/assert.h"
#include "base/checked.h"
#include "malloc/arena.h"
#include "malloc/heap.h"

/**
 * run_new() - make a descriptor.
 * @arena: whose bookkeeping it lies in.
 *
 * Return: the descriptor, all zeros, or NULL where there is no memory.
 * Context: arena->lock held.
 */
struct run *run_new(struct arena *arena)
{
	return meta_alloc(arena, RUN_WORDS);
}

/**
 * run_delete() - give a descriptor back.
 * @arena: that it was made for.
 * @run: in no tree and on no list, and named nowhere.
 *
 * Context: arena->lock held.
 */
void run_delete(struct arena *arena, struct run *run)
{
	meta_free(arena, run, RUN_WORDS);
}

static uint32_t max_pages_of(const struct rb_node *node)
{
	return node ? run_of_node(node)->free.max_pages : 0;
}

/**
 * run_tree_update() - heap->free.update: the longest run of a subtree from those below it.
 * @node: of a free run.
 *
 * Return: is it another than before?
 */
bool run_tree_update(struct rb_node *node)
{
	struct run *run = run_of_node(node);
	uint32_t old = run->free.max_pages;
	uint64_t below = max_u64(max_pages_of(node->left), max_pages_of(node->right));

	run->free.max_pages = (uint32_t)max_u64(run->nr_pages, below);
	return run->free.max_pages != old;
}

/* The lowest free run of so many pages or more. Bound: the height of the tree. */
static struct run *find_first_fit(const struct heap *heap, uint64_t nr_pages)
{
	struct rb_node *node = heap->free.node;

	if (max_pages_of(node) < nr_pages)
		return NULL;
	for (;;) {
		if (max_pages_of(node->left) >= nr_pages)
			node = node->left;
		else if (run_of_node(node)->nr_pages >= nr_pages)
			return run_of_node(node);
		else
			node = node->right;
	}
}

static void tree_insert(struct heap *heap, struct run *run)
{
	struct rb_node **link = &heap->free.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = run->start < run_of_node(parent)->start ? &parent->left : &parent->right;
	}
	run->free.max_pages = run->nr_pages;
	rb_insert(&heap->free, &run->free.node, parent, link);
	heap->nr_free_runs++;
}

static void tree_erase(struct heap *heap, struct run *run)
{
	rb_erase(&heap->free, &run->free.node);
	heap->nr_free_runs--;
}

/* The run has another length or start now; its order among the others is the same. */
static void tree_update(struct heap *heap, struct run *run)
{
	rb_update_up(&heap->free, &run->free.node);
}

static uint32_t count_dirty(const struct arena *arena, vaddr_t start, vaddr_t end)
{
	return pagemap_count_dirty(arena->pagemap, start, end);
}

/* run is free, or NULL to take the names of a free run away. */
static void name_ends(struct arena *arena, const struct run *of, struct run *run)
{
	pagemap_set_run(arena->pagemap, of->start, run);
	pagemap_set_run(arena->pagemap, run_end(of) - PAGE_SIZE, run);
}

static bool can_merge(const struct run *run, const struct run *neighbour)
{
	return neighbour && neighbour->kind == RUN_FREE && neighbour->owner == run->owner;
}

/* Appends upper to lower, which touch. Neither is named on its pages after it. */
static void absorb(struct arena *arena, struct run *lower, struct run *upper)
{
	name_ends(arena, lower, NULL);
	name_ends(arena, upper, NULL);
	lower->nr_pages += upper->nr_pages;
	lower->free.nr_dirty += upper->free.nr_dirty;
	run_delete(arena, upper);
}

/**
 * run_insert_free() - make a run part of the free memory.
 * @arena: whose heap it is.
 * @run: not in the tree; start, nr_pages, owner and free.nr_dirty are set. It may be merged
 *       with its neighbours and is not valid any more.
 *
 * Context: arena->lock held.
 */
void run_insert_free(struct arena *arena, struct run *run)
{
	struct heap *heap = &arena->heap;
	struct run *lower = pagemap_run(arena->pagemap, run->start - PAGE_SIZE);
	struct run *upper = pagemap_run(arena->pagemap, run_end(run));

	run->kind = RUN_FREE;
	heap->nr_free += run->nr_pages;
	heap->nr_dirty += run->free.nr_dirty;
	if (can_merge(run, lower)) {
		absorb(arena, lower, run);
		run = lower;
	} else {
		tree_insert(heap, run);
	}
	if (can_merge(run, upper)) {
		tree_erase(heap, upper);
		absorb(arena, run, upper);
	}
	tree_update(heap, run);
	name_ends(arena, run, run);
}

/**
 * run_cut_free() - take pages from the end of a free run out of the heap.
 * @arena: whose heap it is.
 * @run: free; if all of it is cut it is deleted.
 * @nr_pages: 1..run->nr_pages. The map forgets them.
 *
 * Context: arena->lock held.
 */
void run_cut_free(struct arena *arena, struct run *run, uint32_t nr_pages)
{
	vaddr_t end = run_end(run), start = end - ((uint64_t)nr_pages << PAGE_SHIFT);
	uint32_t nr_dirty = count_dirty(arena, start, end);

	pagemap_update(arena->pagemap, start, end, 0, 0);
	arena->heap.nr_free -= nr_pages;
	arena->heap.nr_dirty -= nr_dirty;
	run->free.nr_dirty -= nr_dirty;
	if (nr_pages == run->nr_pages) {
		tree_erase(&arena->heap, run);
		run_delete(arena, run);
		return;
	}
	run->nr_pages -= nr_pages;
	tree_update(&arena->heap, run);
	name_ends(arena, run, run);
}

/* Takes the first nr_pages of a free run; none of them names a run after it. */
static void take_front(struct arena *arena, struct run *run, uint32_t nr_pages)
{
	vaddr_t end = run->start + ((uint64_t)nr_pages << PAGE_SHIFT);
	uint32_t nr_dirty = count_dirty(arena, run->start, end);

	name_ends(arena, run, NULL);
	arena->heap.nr_free -= nr_pages;
	arena->heap.nr_dirty -= nr_dirty;
	if (nr_pages == run->nr_pages) {
		tree_erase(&arena->heap, run);
		run_delete(arena, run);
	} else {
		run->start = end;
		run->nr_pages -= nr_pages;
		run->free.nr_dirty -= nr_dirty;
		tree_update(&arena->heap, run);
		name_ends(arena, run, run);
	}
}

/* Splits a free run at an address inside it; upper is a new descriptor for the upper part. */
static void split_free(struct arena *arena, struct run *run, vaddr_t at, struct run *upper)
{
	uint32_t nr_dirty = count_dirty(arena, run->start, at);

	*upper = *run;
	upper->start = at;
	upper->nr_pages = (uint32_t)((run_end(run) - at) >> PAGE_SHIFT);
	upper->free.nr_dirty -= nr_dirty;
	run->nr_pages -= upper->nr_pages;
	run->free.nr_dirty = nr_dirty;
	tree_update(&arena->heap, run);
	tree_insert(&arena->heap, upper);
	name_ends(arena, run, run);
	name_ends(arena, upper, upper);
}

/* Takes nr_pages at start, which lie in a free run. */
static int carve(struct arena *arena, struct run *from, vaddr_t start, uint32_t nr_pages,
		 struct run **ret_run)
{
	struct run *used = run_new(arena), *upper;

	if (!used)
		return -ENOMEM;
	if (start > from->start) {
		upper = run_new(arena);
		if (!upper)
			goto delete_used;
		split_free(arena, from, start, upper);
		from = upper;
	}
	used->start = start;
	used->nr_pages = nr_pages;
	used->owner = from->owner;
	take_front(arena, from, nr_pages);
	pagemap_set_run(arena->pagemap, start, used);
	*ret_run = used;
	return 0;
delete_used:
	run_delete(arena, used);
	return -ENOMEM;
}

/**
 * run_alloc() - take a run of pages, the lowest there is.
 * @arena: whose heap it is taken from; the heap grows where it has none.
 * @nr_pages: 1 or more.
 * @align_pages: the run starts at a multiple of so many pages; a power of two.
 * @ret_run: the run; the caller sets its kind and what goes with it. Its first page names it.
 *           The dirty bits in the map tell which of its pages may hold something.
 *
 * Return: 0, or -ENOMEM.
 * Context: arena->lock held.
 */
int run_alloc(struct arena *arena, uint64_t nr_pages, uint64_t align_pages,
	      struct run **ret_run)
{
	uint64_t nr_search = nr_pages + align_pages - 1, start;
	struct run *from;
	int err;

	if (nr_pages > UINT32_MAX || nr_search > UINT32_MAX)
		return -ENOMEM;
	from = find_first_fit(&arena->heap, nr_search);
	if (!from) {
		err = heap_grow(arena, nr_search);
		if (err)
			return err;
		from = find_first_fit(&arena->heap, nr_search);
		if (!from)
			return -ENOMEM;
	}
	if (!checked_align_up(from->start, align_pages << PAGE_SHIFT, &start))
		return -ENOMEM;
	return carve(arena, from, start, (uint32_t)nr_pages, ret_run);
}

/**
 * run_free() - give a run of pages back.
 * @arena: that it was taken from.
 * @run: OBJECTS or PAGES; not valid any more.
 * @nr_touched: so many of its first pages may have been written since it was taken.
 *
 * Context: arena->lock held. May give memory back to the backend.
 */
void run_free(struct arena *arena, struct run *run, uint32_t nr_touched)
{
	vaddr_t touched_end = run->start + ((uint64_t)nr_touched << PAGE_SHIFT);

	pagemap_update(arena->pagemap, run->start, touched_end, 0, PAGEMAP_DIRTY);
	pagemap_update(arena->pagemap, touched_end, run_end(run), PAGEMAP_DIRTY, 0);
	run->free.nr_dirty = nr_touched + count_dirty(arena, touched_end, run_end(run));
	run_insert_free(arena, run);
	heap_maintain(arena);
}

static int run_shrink(struct arena *arena, struct run *run, uint32_t nr_pages)
{
	struct run *tail = run_new(arena);

	if (!tail)
		return -ENOMEM;
	tail->start = run->start + ((uint64_t)nr_pages << PAGE_SHIFT);
	tail->nr_pages = run->nr_pages - nr_pages;
	tail->owner = run->owner;
	run->nr_pages = nr_pages;
	run_free(arena, tail, tail->nr_pages);
	return 0;
}

/**
 * run_resize() - change the length of a run where it lies.
 * @arena: that it was taken from.
 * @run: PAGES.
 * @nr_pages: 1 or more.
 *
 * Return: 0, or -ENOMEM where the pages behind it are not free, or there is no memory for
 * bookkeeping.
 * Context: arena->lock held.
 */
int run_resize(struct arena *arena, struct run *run, uint32_t nr_pages)
{
	struct run *next;

	if (nr_pages == run->nr_pages)
		return 0;
	if (nr_pages < run->nr_pages)
		return run_shrink(arena, run, nr_pages);
	next = pagemap_run(arena->pagemap, run_end(run));
	if (!can_merge(run, next) || next->nr_pages < nr_pages - run->nr_pages)
		return -ENOMEM;
	take_front(arena, next, nr_pages - run->nr_pages);
	run->nr_pages = nr_pages;
	return 0;
}
