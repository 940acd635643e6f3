/* SPDX-License-Identifier: MIT */
/*
 * The heap: one range grown by the backend's break; where the break cannot move (and before
 * there is a backend), chunks from mmap. Others may move the break too; what they took lies
 * between two regions.
 *
 * It grows by at least ARENA_GROW_BYTES (1 MiB). A call of the backend costs the runtime a
 * round trip to another thread, some 10 us; the 256 faults that fill 1 MiB cost 10 to 100 times
 * as much, so the call is lost in them, and what is not touched costs no RAM.
 *
 * Memory goes back in two ways. Above trim_threshold (2 MiB) of free pages at the break, the
 * break moves down, to 1 MiB above the last run in use, so that a program which allocates and
 * frees at the end moves it once a MiB and no oftener. And free pages that hold something cost
 * RAM, or worse: they are written to swap for nothing. When there are more of them than
 * trim_threshold and an eighth of the heap, all are dropped (MADV_DONTNEED). So a program that
 * frees and takes all its memory in turn pays one extra fault a page and a turn.
 */
#include "malloc/heap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/checked.h"
#include "base/log.h"
#include "malloc/arena.h"

#define DIRTY_SHARE 8 /* of the heap's pages, one in so many may be free and dirty */

/* The links to the regions that end at start and begin at end. Bound: the number of regions. */
static void find_neighbours(struct heap *heap, const struct region *new, struct region **lower,
			    struct region **upper)
{
	for (struct region *region = heap->regions; region; region = region->next) {
		if (region->owner != new->owner)
			continue;
		if (region->end == new->start)
			*lower = region;
		if (region->start == new->end)
			*upper = region;
	}
}

static void region_delete(struct arena *arena, struct region *region)
{
	struct region **link = &arena->heap.regions;

	while (*link != region)
		link = &(*link)->next;
	*link = region->next;
	meta_free(arena, region, REGION_WORDS);
}

/* Adds a region; it, or a neighbour that takes it up, stands for it. */
static void region_insert(struct arena *arena, struct region *region)
{
	struct region *lower = NULL, *upper = NULL;

	find_neighbours(&arena->heap, region, &lower, &upper);
	region->next = arena->heap.regions;
	arena->heap.regions = region;
	if (lower) {
		region->start = lower->start;
		region_delete(arena, lower);
	}
	if (upper) {
		region->end = upper->end;
		region_delete(arena, upper);
	}
}

/**
 * heap_add_region() - give the heap fresh pages.
 * @arena: whose heap it is.
 * @start: page aligned.
 * @end: page aligned, above @start. The pages read as zeros and are not in the heap.
 * @owner: where they came from.
 *
 * Return: 0, or -ENOMEM.
 * Context: arena->lock held.
 */
int heap_add_region(struct arena *arena, vaddr_t start, vaddr_t end, enum run_owner owner)
{
	struct heap *heap = &arena->heap;
	struct region *region;
	struct run *run;
	int err;

	err = pagemap_ensure(arena, start, end);
	if (err)
		return err;
	region = meta_alloc(arena, REGION_WORDS);
	if (!region)
		return -ENOMEM;
	run = run_new(arena);
	if (!run)
		goto free_region;
	*region = (struct region){.start = start, .end = end, .owner = owner};
	region_insert(arena, region);
	heap->nr_pages += (end - start) >> PAGE_SHIFT;
	heap->nr_pages_peak = max_u64(heap->nr_pages_peak, heap->nr_pages);
	run->start = start;
	run->nr_pages = (uint32_t)((end - start) >> PAGE_SHIFT);
	run->owner = owner;
	run_insert_free(arena, run);
	return 0;
free_region:
	meta_free(arena, region, REGION_WORDS);
	return -ENOMEM;
}

/* Moves the break from end down to start, if it is there. */
static int break_give_back(struct arena *arena, vaddr_t start, vaddr_t end)
{
	const struct malloc_backend *backend = arena->backend;
	vaddr_t at;
	int err;

	err = backend->sbrk(backend->arg, 0, &at);
	if (err)
		return err;
	if (at != end)
		return -EBUSY;
	return backend->sbrk(backend->arg, -(int64_t)(end - start), &at);
}

/* Moves the break up by bytes and aligns it. [start, end) are the pages that it gave. */
static int break_take(struct arena *arena, uint64_t bytes, vaddr_t *ret_start, vaddr_t *ret_end)
{
	const struct malloc_backend *backend = arena->backend;
	vaddr_t old, end, at;
	uint64_t pad;
	int err;

	err = backend->sbrk(backend->arg, (int64_t)bytes, &old);
	if (err)
		return err;
	end = old + bytes;
	pad = -end & (PAGE_SIZE - 1);
	if (pad && !backend->sbrk(backend->arg, (int64_t)pad, &at) && at == end)
		end += pad;
	*ret_start = align_down(old + PAGE_SIZE - 1, PAGE_SIZE);
	*ret_end = align_down(end, PAGE_SIZE);
	return 0;
}

static int grow_break(struct arena *arena, uint64_t bytes)
{
	vaddr_t start, end;
	int err;

	err = break_take(arena, bytes, &start, &end);
	if (err)
		return err;
	if (start < arena->heap.top) {
		mm_lock_release(&arena->lock);
		log_line("ration: malloc: the program has moved the break below memory that "
			 "malloc has from it (%#lx, now %#lx)",
			 (long)arena->heap.top, (long)start);
		abort();
	}
	if (start >= end)
		return -ENOMEM;
	err = heap_add_region(arena, start, end, RUN_OWNER_BREAK);
	if (err) {
		/* If it cannot go back, the next growth finds the break above top. */
		break_give_back(arena, start, end);
		return err;
	}
	arena->heap.top = end;
	return 0;
}

static int grow_chunk(struct arena *arena, uint64_t bytes)
{
	const struct malloc_backend *backend = arena->backend;
	vaddr_t start;
	int err;

	err = backend->mmap(backend->arg, bytes, &start);
	if (err)
		return err;
	err = heap_add_region(arena, start, start + bytes,
			      arena->has_backend ? RUN_OWNER_CHUNK : RUN_OWNER_HOST);
	if (err)
		backend->munmap(backend->arg, start, bytes);
	return err;
}

static int grow_by(struct arena *arena, uint64_t bytes)
{
	int err = -ENOMEM;

	if (arena->backend->sbrk)
		err = grow_break(arena, bytes);
	return err ? grow_chunk(arena, bytes) : 0;
}

/**
 * heap_grow() - get more pages from the backend.
 * @arena: whose heap it is.
 * @nr_pages: at least so many, in one run; below 1 << 33.
 *
 * Return: 0, or -ENOMEM or the backend's error. A break that others have left unaligned and do
 * not let align may cost a page of the run.
 * Context: arena->lock held.
 */
int heap_grow(struct arena *arena, uint64_t nr_pages)
{
	uint64_t need = nr_pages << PAGE_SHIFT, grow = arena->options.grow_bytes;
	uint64_t step = (need + grow - 1) / grow * grow;
	int err;

	err = grow_by(arena, step);
	if (err && need < step)
		err = grow_by(arena, need);
	return err;
}

/* The free run that ends at the break, or NULL. */
static struct run *top_run(struct arena *arena)
{
	vaddr_t top = arena->heap.top;
	struct run *run = top ? pagemap_run(arena->pagemap, top - PAGE_SIZE) : NULL;

	return run && run->kind == RUN_FREE && run->owner == RUN_OWNER_BREAK ? run : NULL;
}

/**
 * heap_top_bytes() - how far the break could move down now.
 * @arena: whose heap it is.
 *
 * Return: bytes of the free run below the break; 0 where others have moved the break.
 * Context: arena->lock held.
 */
uint64_t heap_top_bytes(struct arena *arena)
{
	const struct run *run = top_run(arena);

	return run ? (uint64_t)run->nr_pages << PAGE_SHIFT : 0;
}

static struct region *region_at_top(struct heap *heap)
{
	struct region *region = heap->regions;

	while (region->owner != RUN_OWNER_BREAK || region->end != heap->top)
		region = region->next;
	return region;
}

/**
 * heap_shrink() - move the break down over free pages.
 * @arena: whose heap it is.
 * @keep_bytes: of free memory that stay below the break, rounded up to pages.
 *
 * Return: true if it was moved.
 * Context: arena->lock held.
 */
bool heap_shrink(struct arena *arena, uint64_t keep_bytes)
{
	struct heap *heap = &arena->heap;
	uint64_t free_bytes = heap_top_bytes(arena), keep, cut;
	struct region *region;

	if (!checked_align_up(keep_bytes, PAGE_SIZE, &keep) || free_bytes <= keep)
		return false;
	cut = free_bytes - keep;
	if (break_give_back(arena, heap->top - cut, heap->top)) {
		heap->top = 0; /* not ours any more: ask again when the heap has grown */
		return false;
	}
	run_cut_free(arena, top_run(arena), (uint32_t)(cut >> PAGE_SHIFT));
	region = region_at_top(heap);
	heap->top -= cut;
	heap->nr_pages -= cut >> PAGE_SHIFT;
	region->end -= cut;
	if (region->start == region->end)
		region_delete(arena, region);
	return true;
}

/* Drops the content of a free run, in one call from its first dirty page to its last. */
static bool purge_run(struct arena *arena, struct run *run)
{
	const struct malloc_backend *backend = arena_backend_of(arena, run->owner);
	vaddr_t start = run->start, end = run_end(run);

	while (!pagemap_is_dirty(arena->pagemap, start))
		start += PAGE_SIZE;
	while (!pagemap_is_dirty(arena->pagemap, end - PAGE_SIZE))
		end -= PAGE_SIZE;
	if (backend->dontneed(backend->arg, start, end - start))
		return false;
	pagemap_update(arena->pagemap, start, end, ~PAGEMAP_DIRTY, 0);
	arena->heap.nr_dirty -= run->free.nr_dirty;
	run->free.nr_dirty = 0;
	return true;
}

/**
 * heap_purge() - give back the content of all free pages; the addresses stay.
 * @arena: whose heap it is.
 *
 * Return: true if some was given back.
 * Context: arena->lock held.
 */
bool heap_purge(struct arena *arena)
{
	bool is_purged = false;

	for (struct rb_node *node = rb_first(&arena->heap.free); node; node = rb_next(node)) {
		if (run_of_node(node)->free.nr_dirty == 0)
			continue;
		if (!purge_run(arena, run_of_node(node)))
			break;
		is_purged = true;
	}
	return is_purged;
}

/**
 * heap_maintain() - after pages have become free: give memory back where there is too much.
 * @arena: whose heap it is.
 *
 * Context: arena->lock held.
 */
void heap_maintain(struct arena *arena)
{
	const struct heap *heap = &arena->heap;
	uint64_t threshold = arena->options.trim_threshold;

	if (heap_top_bytes(arena) > threshold)
		heap_shrink(arena, arena->options.grow_bytes);
	if (heap->nr_dirty > max_u64(threshold >> PAGE_SHIFT, heap->nr_pages / DIRTY_SHARE))
		heap_purge(arena);
}
