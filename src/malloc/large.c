/* SPDX-License-Identifier: MIT */
/*
 * Large objects: each in a mapping of its own, with its descriptor apart from it.
 *
 * The backend maps, unmaps and moves without arena->lock, so that other threads go on while the
 * system works on a large range. The descriptor is made before and entered after the mapping is
 * made, and taken out before it goes away; at every moment a thread that frees garbage is told
 * so.
 *
 * mmap_threshold adapts as the C library's does (mallopt(3), M_MMAP_THRESHOLD): when a large
 * object is freed, it goes up to above that size, so that what a program takes and frees over
 * and over comes from the heap. Here only for objects of up to 1 MiB: from there on the faults
 * of filling one cost a hundred times what mapping it does, and memory that is given back at
 * once is worth more to a program that is short of it.
 *
 * Invariants (arena_check):
 * 1. A MAPPED run is on arena->mapped; the map names it on its object's first page.
 * 2. map_start <= start < map_start + map_bytes; the object reaches to the end of the mapping.
 */
#include "malloc/large.h"

#include <errno.h>

#include "base/assert.h"
#include "base/checked.h"
#include "malloc/arena.h"

#define MMAP_THRESHOLD_MAX ((uint64_t)1 << 20)

/**
 * large_usable_size() - the bytes of a large object that its owner may use.
 * @run: MAPPED.
 *
 * Return: those from its start to the end of its mapping.
 * Context: arena->lock held.
 */
uint64_t large_usable_size(const struct run *run)
{
	return run->mapped.map_start + run->mapped.map_bytes - run->start;
}

/* Context: arena->lock held. The map has a node for run->start. */
static void enter(struct arena *arena, struct run *run)
{
	struct malloc_usage *usage = &arena->usage;

	pagemap_set_run(arena->pagemap, run->start, run);
	list_add(&run->mapped.node, &arena->mapped);
	usage->used += run->mapped.map_bytes;
	usage->mapped += run->mapped.map_bytes;
	usage->nr_mapped++;
	usage->mapped_peak = max_u64(usage->mapped_peak, usage->mapped);
	usage->nr_mapped_peak = max_u64(usage->nr_mapped_peak, usage->nr_mapped);
}

static void take_out(struct arena *arena, struct run *run)
{
	struct malloc_usage *usage = &arena->usage;

	pagemap_set_run(arena->pagemap, run->start, NULL);
	list_del(&run->mapped.node);
	usage->used -= run->mapped.map_bytes;
	usage->mapped -= run->mapped.map_bytes;
	usage->nr_mapped--;
}

/* A mapping that cannot go (too many of them, say) gives back its memory, not its addresses. */
static void unmap(const struct malloc_backend *backend, vaddr_t start, uint64_t bytes)
{
	if (backend->munmap(backend->arg, start, bytes))
		backend->dontneed(backend->arg, start, bytes);
}

/*
 * Maps bytes at a multiple of align into run: more than that, of which what lies before and
 * behind goes back. What cannot go back stays a part of the mapping.
 */
static int map_aligned(const struct malloc_backend *backend, struct run *run, uint64_t bytes,
		       uint64_t align)
{
	uint64_t slack = align > PAGE_SIZE ? align - PAGE_SIZE : 0, total, head, tail;
	vaddr_t start;
	int err;

	if (!checked_add(bytes, slack, &total))
		return -ENOMEM;
	err = backend->mmap(backend->arg, total, &start);
	if (err)
		return err;
	head = slack ? -start & (align - 1) : 0;
	tail = slack - head;
	run->start = start + head;
	if (head && !backend->munmap(backend->arg, start, head)) {
		start += head;
		total -= head;
	}
	if (tail && !backend->munmap(backend->arg, start + total - tail, tail))
		total -= tail;
	run->mapped.map_start = start;
	run->mapped.map_bytes = total;
	return 0;
}

static struct run *prepare_run(struct arena *arena)
{
	struct run *run = NULL;

	mm_lock_acquire(&arena->lock);
	if (arena_prepare_locked(arena))
		run = run_new(arena);
	if (run) {
		run->kind = RUN_MAPPED;
		run->owner = arena->has_backend ? RUN_OWNER_CHUNK : RUN_OWNER_HOST;
	}
	mm_lock_release(&arena->lock);
	return run;
}

/**
 * large_alloc() - take an object with a mapping of its own.
 * @arena: to take it from.
 * @size: bytes, 1 or more.
 * @align: a power of two.
 *
 * Return: the object, which reads as zeros, or NULL where there is no memory.
 * Context: takes arena->lock.
 */
void *large_alloc(struct arena *arena, uint64_t size, uint64_t align)
{
	const struct malloc_backend *backend;
	struct run *run;
	uint64_t bytes;
	int err;

	if (!checked_align_up(size, PAGE_SIZE, &bytes))
		return NULL;
	run = prepare_run(arena);
	if (!run)
		return NULL;
	backend = arena_backend_of(arena, run->owner);
	err = map_aligned(backend, run, bytes, align);
	mm_lock_acquire(&arena->lock);
	if (err)
		goto delete_run;
	if (pagemap_ensure(arena, run->start, run->start + PAGE_SIZE))
		goto unmap_run;
	enter(arena, run);
	arena->usage.nr_allocs++;
	mm_lock_release(&arena->lock);
	return (void *)run->start;
unmap_run:
	unmap(backend, run->mapped.map_start, run->mapped.map_bytes);
delete_run:
	run_delete(arena, run);
	mm_lock_release(&arena->lock);
	return NULL;
}

static void adapt_thresholds(struct arena_options *options, uint64_t bytes)
{
	if (options->is_fixed || bytes < options->mmap_threshold || bytes > MMAP_THRESHOLD_MAX)
		return;
	options->mmap_threshold = bytes + 1;
}

/**
 * large_free_unlock() - give a large object back.
 * @arena: that it was taken from.
 * @run: MAPPED; not valid any more.
 *
 * Context: arena->lock held; released.
 */
void large_free_unlock(struct arena *arena, struct run *run)
{
	const struct malloc_backend *backend = arena_backend_of(arena, run->owner);
	vaddr_t start = run->mapped.map_start;
	uint64_t bytes = run->mapped.map_bytes;

	adapt_thresholds(&arena->options, bytes);
	take_out(arena, run);
	run_delete(arena, run);
	mm_lock_release(&arena->lock);
	unmap(backend, start, bytes);
}

/*
 * Two nodes are what the map may need at most to name an object at a new address. With them in
 * hand, to enter it there cannot fail.
 */
static int reserve_nodes(struct arena *arena, void *nodes[2])
{
	nodes[0] = meta_node_alloc(arena);
	nodes[1] = meta_node_alloc(arena);
	if (nodes[0] && nodes[1])
		return 0;
	meta_node_put(arena, nodes[0]);
	meta_node_put(arena, nodes[1]);
	return -ENOMEM;
}

/* Enters run again, whose mapping lies at start now and has so many bytes. */
static void enter_at(struct arena *arena, struct run *run, vaddr_t start, uint64_t bytes,
		     void *nodes[2])
{
	int err;

	meta_node_put(arena, nodes[0]);
	meta_node_put(arena, nodes[1]);
	err = pagemap_ensure(arena, start, start + PAGE_SIZE);
	MM_ASSERT(!err);
	run->start = start;
	run->mapped.map_start = start;
	run->mapped.map_bytes = bytes;
	enter(arena, run);
}

/**
 * large_realloc_unlock() - change the size of a large object by moving its pages, not its
 * bytes.
 * @arena: that it was taken from.
 * @run: MAPPED.
 * @size: 1 or more.
 * @ret_object: where it lies now.
 *
 * Return: 0, -ENOMEM, or the backend's error; then the object is as it was.
 * Context: arena->lock held; released.
 */
int large_realloc_unlock(struct arena *arena, struct run *run, uint64_t size, void **ret_object)
{
	const struct malloc_backend *backend = arena_backend_of(arena, run->owner);
	vaddr_t start = run->mapped.map_start;
	uint64_t old_bytes = run->mapped.map_bytes, bytes = 0;
	void *nodes[2];
	int err = -ENOMEM;

	if (!checked_align_up(size, PAGE_SIZE, &bytes) || run->start != start)
		goto unlock;
	err = reserve_nodes(arena, nodes);
	if (err)
		goto unlock;
	take_out(arena, run);
	mm_lock_release(&arena->lock);

	if (bytes != old_bytes)
		err = backend->mremap(backend->arg, start, old_bytes, bytes, &start);

	mm_lock_acquire(&arena->lock);
	enter_at(arena, run, start, err ? old_bytes : bytes, nodes);
	if (!err)
		*ret_object = (void *)start;
unlock:
	mm_lock_release(&arena->lock);
	return err;
}
