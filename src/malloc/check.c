/* SPDX-License-Identifier: MIT */
/*
 * arena_check(): walks every invariant of an arena. It reads bookkeeping only, no object.
 */
#include "base/assert.h"
#include "malloc/arena.h"

/* What the walk finds, to be compared with what is counted. */
struct found {
	uint64_t pages, free_pages, dirty_pages, free_runs;
	uint64_t used_bytes;
	uint64_t partial_runs; /* runs of objects that must be on a list */
	uint64_t mappings, mapped_bytes;
};

static int check_free(const struct arena *arena, const struct run *run, struct found *found)
{
	uint32_t nr_dirty = 0;
	const struct run *next, *named;

	for (vaddr_t page = run->start; page < run_end(run); page += PAGE_SIZE) {
		bool is_end = page == run->start || page + PAGE_SIZE == run_end(run);

		nr_dirty += pagemap_is_dirty(arena->pagemap, page);
		named = pagemap_run(arena->pagemap, page);
		CHECK(named == (is_end ? run : NULL)); /* run.c 1 */
	}
	CHECK(run->free.nr_dirty == nr_dirty);
	next = pagemap_run(arena->pagemap, run_end(run));
	CHECK(!next || next->kind != RUN_FREE || next->owner != run->owner); /* run.c 2 */
	found->free_pages += run->nr_pages;
	found->dirty_pages += nr_dirty;
	found->free_runs++;
	return 0;
}

/* The pages of a run, after the first, name what they must (run.c 1). */
static int check_named(const struct arena *arena, const struct run *run,
		       const struct run *named)
{
	for (vaddr_t page = run->start + PAGE_SIZE; page < run_end(run); page += PAGE_SIZE)
		CHECK(pagemap_run(arena->pagemap, page) == named);
	return 0;
}

static bool object_is_free(const struct run *run, uint32_t index)
{
	return run->objects.bitmap[index / 64] >> index % 64 & 1;
}

static int check_objects(const struct arena *arena, const struct run *run, struct found *found)
{
	const struct class_layout *layout;
	uint32_t nr_free = 0;

	CHECK(run->class < NR_CLASSES);
	layout = &arena->classes[run->class].layout;
	CHECK(run->nr_pages == layout->nr_pages);
	CHECK(run->objects.nr_objects == layout->nr_objects);
	for (uint32_t i = 0; i < layout->nr_objects; i++) {
		nr_free += object_is_free(run, i);
		CHECK(i < run->objects.nr_touched || object_is_free(run, i));  /* object.c 4 */
		CHECK(i / 64 >= run->objects.hint || !object_is_free(run, i)); /* object.c 3 */
	}
	for (uint32_t i = layout->nr_objects; i < layout->nr_words * 64; i++)
		CHECK(!object_is_free(run, i)); /* object.c 1 */
	CHECK(run->objects.nr_free == nr_free);
	found->partial_runs += nr_free != 0;
	found->used_bytes += (uint64_t)(layout->nr_objects - nr_free) * layout->size;
	return check_named(arena, run, run);
}

static int check_run(const struct arena *arena, const struct run *run, struct found *found)
{
	CHECK(run->nr_pages > 0);
	if (run->kind == RUN_FREE)
		return check_free(arena, run, found);
	if (run->kind == RUN_OBJECTS)
		return check_objects(arena, run, found);
	CHECK(run->kind == RUN_PAGES);
	found->used_bytes += (uint64_t)run->nr_pages << PAGE_SHIFT;
	return check_named(arena, run, NULL);
}

static int check_region(const struct arena *arena, const struct region *region,
			struct found *found)
{
	const struct run *run;
	vaddr_t addr;
	int err;

	CHECK(region->start < region->end);
	for (addr = region->start; addr < region->end; addr = run_end(run)) {
		run = pagemap_run(arena->pagemap, addr);
		CHECK(run && run->start == addr); /* run.c 1 */
		CHECK(run->owner == region->owner);
		err = check_run(arena, run, found);
		if (err)
			return err;
	}
	CHECK(addr == region->end);
	found->pages += (region->end - region->start) >> PAGE_SHIFT;
	return 0;
}

static uint32_t longest_below(const struct run *run)
{
	const struct rb_node *below[] = {run->free.node.left, run->free.node.right};
	uint32_t longest = run->nr_pages;

	for (int i = 0; i < 2; i++)
		if (below[i] && run_of_node(below[i])->free.max_pages > longest)
			longest = run_of_node(below[i])->free.max_pages;
	return longest;
}

static int check_tree(const struct heap *heap, const struct found *found)
{
	uint64_t nr_runs = 0;
	vaddr_t end = 0;
	int err;

	err = rb_check(&heap->free);
	if (err)
		return err;
	for (struct rb_node *node = rb_first(&heap->free); node; node = rb_next(node)) {
		const struct run *run = run_of_node(node);

		CHECK(run->kind == RUN_FREE);
		CHECK(run->start >= end);
		CHECK(run->free.max_pages == longest_below(run));
		end = run_end(run);
		nr_runs++;
	}
	CHECK(nr_runs == found->free_runs);
	return 0;
}

static int check_lists(struct arena *arena, const struct found *found)
{
	uint64_t nr_runs = 0, nr_unused;
	const struct run *run;

	for (unsigned int class = 0; class < NR_CLASSES; class ++) {
		nr_unused = 0;
		list_for_each_entry (run, &arena->classes[class].partial, objects.node) {
			CHECK(run->kind == RUN_OBJECTS && run->class == class);
			CHECK(run->objects.nr_free > 0);
			nr_unused += run->objects.nr_free == run->objects.nr_objects;
			nr_runs++;
		}
		CHECK(nr_unused <= 1); /* object.c 5 */
	}
	CHECK(nr_runs == found->partial_runs); /* object.c 2 */
	return 0;
}

static int check_mapped(struct arena *arena, struct found *found)
{
	const struct run *run;

	list_for_each_entry (run, &arena->mapped, mapped.node) {
		CHECK(run->kind == RUN_MAPPED);
		CHECK(pagemap_run(arena->pagemap, run->start) == run); /* large.c 1 */
		CHECK(run->mapped.map_start <= run->start);	       /* large.c 2 */
		CHECK(run->start - run->mapped.map_start < run->mapped.map_bytes);
		found->used_bytes += run->mapped.map_bytes;
		found->mapped_bytes += run->mapped.map_bytes;
		found->mappings++;
	}
	return 0;
}

static int check_counts(const struct arena *arena, const struct found *found)
{
	const struct heap *heap = &arena->heap;

	CHECK(heap->nr_pages == found->pages);
	CHECK(heap->nr_free == found->free_pages); /* run.c 4 */
	CHECK(heap->nr_dirty == found->dirty_pages);
	CHECK(heap->nr_free_runs == found->free_runs);
	CHECK(arena->usage.used == found->used_bytes);
	CHECK(arena->usage.mapped == found->mapped_bytes);
	CHECK(arena->usage.nr_mapped == found->mappings);
	return 0;
}

static int check_locked(struct arena *arena)
{
	struct found found = {0};
	const struct region *region;
	int err = 0;

	for (region = arena->heap.regions; region && !err; region = region->next)
		err = check_region(arena, region, &found);
	if (!err)
		err = check_mapped(arena, &found);
	if (!err)
		err = check_tree(&arena->heap, &found);
	if (!err)
		err = check_lists(arena, &found);
	if (!err)
		err = check_counts(arena, &found);
	return err;
}

/**
 * arena_check() - walk everything that the arena knows.
 * @arena: other threads may use it; a large object that one of them is making, giving back or
 *         moving is not part of it for that while.
 *
 * Return: 0, or -EUCLEAN after a line on the log.
 * Context: takes arena->lock.
 */
int arena_check(struct arena *arena)
{
	int err = 0;

	mm_lock_acquire(&arena->lock);
	if (arena->is_ready)
		err = check_locked(arena);
	mm_lock_release(&arena->lock);
	return err;
}
