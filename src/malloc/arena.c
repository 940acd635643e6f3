/* SPDX-License-Identifier: MIT */
/*
 * An arena: requests go to objects of a class (up to 32 KiB), to runs of pages (up to
 * mmap_threshold) or to mappings of their own.
 *
 *   arena.c     large.c ──► backend: mmap, munmap, mremap
 *      │
 *      ├──────► object.c                          objects of a class in a run
 *      │           │
 *      └───────────┴──► run.c ──► heap.c ──► backend: sbrk, mmap, dontneed
 *
 *   pagemap.c: address ─► run          meta.c: where runs, bitmaps and the map lie
 *
 * Everything that the arena knows lies in its bookkeeping; an object's pages are touched by its
 * owner only (and by memset for a zeroed object on pages that were used before, and by memcpy
 * where a realloc must move).
 *
 * One lock guards the arena. It is never held while an object's bytes are set or copied, nor
 * while large objects are mapped.
 */
#include "malloc/arena.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "malloc/large.h"

/* Root, middle and leaf of the map, and the small pieces. */
#define BOOT_META_BYTES (4 * META_NODE_BYTES)

/* The first memory: boot memory if there is any, bookkeeping first. */
static bool prepare(struct arena *arena)
{
	vaddr_t boot = (vaddr_t)arena->boot;

	arena->backend = arena->has_backend ? &arena->given_backend : &malloc_host_backend;
	if (boot && !arena->meta.end && arena->boot_bytes >= BOOT_META_BYTES) {
		arena->meta.next = arena->boot;
		arena->meta.end = arena->meta.next + BOOT_META_BYTES;
	}
	if (!arena->pagemap)
		arena->pagemap = meta_node_alloc(arena);
	if (!arena->pagemap)
		return false;
	list_init(&arena->mapped);
	arena->heap.free.update = run_tree_update;
	for (unsigned int i = 0; i < NR_CLASSES; i++)
		object_class_init(&arena->classes[i], i);
	/* Without the rest of it the arena works as well. */
	if (boot && arena->boot_bytes > BOOT_META_BYTES)
		(void)heap_add_region(arena, boot + BOOT_META_BYTES, boot + arena->boot_bytes,
				      RUN_OWNER_HOST);
	arena->is_ready = true;
	return true;
}

/**
 * arena_prepare_locked() - make the arena ready at its first use.
 * @arena: ready or not.
 *
 * Return: false where there is no memory for the first bookkeeping.
 * Context: arena->lock held.
 */
bool arena_prepare_locked(struct arena *arena)
{
	return __builtin_expect(arena->is_ready, true) || prepare(arena);
}

/**
 * arena_set_backend() - take memory from somewhere else than the host from now on.
 * @arena: which has none.
 * @backend: copied. All but sbrk are set.
 *
 * Return: 0, or -EBUSY if the arena has one.
 * Context: takes arena->lock.
 */
int arena_set_backend(struct arena *arena, const struct malloc_backend *backend)
{
	int err = -EBUSY;

	mm_lock_acquire(&arena->lock);
	if (!arena->has_backend) {
		arena->given_backend = *backend;
		arena->has_backend = true;
		arena->backend = &arena->given_backend;
		err = 0;
	}
	mm_lock_release(&arena->lock);
	return err;
}

static bool wants_mapping(const struct arena *arena, uint64_t size)
{
	return size >= arena->options.mmap_threshold &&
	       arena->usage.nr_mapped < arena->options.mmap_max;
}

static uint64_t pages_of(uint64_t bytes)
{
	return bytes / PAGE_SIZE + (bytes % PAGE_SIZE != 0);
}

static void *small_alloc(struct arena *arena, uint64_t size, bool *ret_is_zero)
{
	unsigned int class = class_of(size);
	void *object = NULL;

	mm_lock_acquire(&arena->lock);
	if (arena_prepare_locked(arena))
		object = object_alloc(arena, class, ret_is_zero);
	if (object) {
		arena->usage.used += arena->classes[class].layout.size;
		arena->usage.nr_allocs++;
	}
	mm_lock_release(&arena->lock);
	return object;
}

/* Context: arena->lock held. */
static void *pages_alloc(struct arena *arena, uint64_t size, uint64_t align)
{
	struct run *run;

	if (run_alloc(arena, pages_of(size), pages_of(align), &run))
		return NULL;
	run->kind = RUN_PAGES;
	arena->usage.used += (uint64_t)run->nr_pages << PAGE_SHIFT;
	arena->usage.nr_allocs++;
	return (void *)run->start;
}

/* size: above CLASS_SIZE_MAX, or any where align, a power of two, is above PAGE_SIZE. */
static void *big_alloc(struct arena *arena, uint64_t size, uint64_t align, bool *ret_is_mapped)
{
	void *object = NULL;
	uint64_t total;

	*ret_is_mapped = false;
	if (!checked_add(size, align, &total) || total > INT64_MAX)
		return NULL;
	mm_lock_acquire(&arena->lock);
	if (arena_prepare_locked(arena)) {
		*ret_is_mapped = wants_mapping(arena, total - CLASS_ALIGN);
		if (!*ret_is_mapped)
			object = pages_alloc(arena, size, align);
	}
	mm_lock_release(&arena->lock);
	return *ret_is_mapped ? large_alloc(arena, size, align) : object;
}

/**
 * arena_alloc() - take an object.
 * @arena: to take it from.
 * @size: bytes; 0 gives an object of its own as well.
 *
 * Return: the object, aligned to CLASS_ALIGN, its content undefined; or NULL where there is no
 * memory, or size is above INT64_MAX.
 * Context: takes arena->lock.
 */
void *arena_alloc(struct arena *arena, uint64_t size)
{
	bool unused;

	if (size <= CLASS_SIZE_MAX)
		return small_alloc(arena, size, &unused);
	return big_alloc(arena, size, CLASS_ALIGN, &unused);
}

/* Pages that were not touched since they were fresh stay so. */
static void zero_pages(const struct arena *arena, char *object, uint64_t size)
{
	for (uint64_t offset = 0; offset < size; offset += PAGE_SIZE)
		if (pagemap_is_dirty(arena->pagemap, (vaddr_t)object + offset))
			memset(object + offset, 0, min_u64(PAGE_SIZE, size - offset));
}

/**
 * arena_alloc_zeroed() - take an object that reads as zeros.
 * @arena: to take it from.
 * @size: as for arena_alloc().
 *
 * Return, Context: as for arena_alloc().
 */
void *arena_alloc_zeroed(struct arena *arena, uint64_t size)
{
	bool is_zero, is_mapped;
	void *object;

	if (size <= CLASS_SIZE_MAX) {
		object = small_alloc(arena, size, &is_zero);
		if (object && !is_zero)
			memset(object, 0, size);
		return object;
	}
	object = big_alloc(arena, size, CLASS_ALIGN, &is_mapped);
	if (object && !is_mapped)
		zero_pages(arena, object, size);
	return object;
}

/**
 * arena_alloc_aligned() - take an object at a multiple of a power of two.
 * @arena: to take it from.
 * @align: a power of two.
 * @size: as for arena_alloc().
 *
 * Return, Context: as for arena_alloc().
 */
void *arena_alloc_aligned(struct arena *arena, uint64_t align, uint64_t size)
{
	uint64_t multiple;
	bool unused;

	MM_ASSERT(align && !(align & (align - 1)));
	if (align <= CLASS_ALIGN)
		return arena_alloc(arena, size);
	if (!checked_align_up(max_u64(size, 1), align, &multiple))
		return NULL;
	if (align <= PAGE_SIZE && multiple <= CLASS_SIZE_MAX)
		return small_alloc(arena, multiple, &unused);
	return big_alloc(arena, max_u64(size, 1), align, &unused);
}

/*
 * The run of an object in use that starts at addr, or NULL.
 * Context: arena->lock held.
 */
static struct run *find_live(const struct arena *arena, vaddr_t addr)
{
	struct run *run = arena->is_ready ? pagemap_run(arena->pagemap, addr) : NULL;

	if (!run || run->kind == RUN_FREE)
		return NULL;
	if (run->kind == RUN_OBJECTS)
		return object_is_live(arena, run, addr) ? run : NULL;
	return run->start == addr ? run : NULL;
}

static uint64_t usable_size(const struct arena *arena, const struct run *run)
{
	if (run->kind == RUN_OBJECTS)
		return arena->classes[run->class].layout.size;
	if (run->kind == RUN_PAGES)
		return (uint64_t)run->nr_pages << PAGE_SHIFT;
	return large_usable_size(run);
}

/**
 * arena_free() - give an object back.
 * @arena: that it was taken from.
 * @object: not NULL.
 *
 * Return: 0, or -EINVAL where no object in use starts there; then nothing has changed.
 * Context: takes arena->lock.
 */
int arena_free(struct arena *arena, void *object)
{
	vaddr_t addr = (vaddr_t)object;
	struct run *run;

	mm_lock_acquire(&arena->lock);
	run = find_live(arena, addr);
	if (!run) {
		mm_lock_release(&arena->lock);
		return -EINVAL;
	}
	arena->usage.nr_frees++;
	if (run->kind == RUN_MAPPED) {
		large_free_unlock(arena, run);
		return 0;
	}
	arena->usage.used -= usable_size(arena, run);
	if (run->kind == RUN_OBJECTS)
		object_free(arena, run, addr);
	else
		run_free(arena, run, run->nr_pages);
	mm_lock_release(&arena->lock);
	return 0;
}

/**
 * arena_usable_size() - the bytes of an object that its owner may use.
 * @arena: that it was taken from.
 * @object: not NULL.
 * @ret_size: at least what was asked for.
 *
 * Return: 0, or -EINVAL where no object in use starts there.
 * Context: takes arena->lock.
 */
int arena_usable_size(struct arena *arena, const void *object, uint64_t *ret_size)
{
	struct run *run;

	mm_lock_acquire(&arena->lock);
	run = find_live(arena, (vaddr_t)object);
	if (run)
		*ret_size = usable_size(arena, run);
	mm_lock_release(&arena->lock);
	return run ? 0 : -EINVAL;
}

/* An object of a class stays while it wastes at most half of it. */
static bool may_stay(uint64_t usable, uint64_t size)
{
	return size <= usable && size + CLASS_ALIGN > usable / 2;
}

/* Context: arena->lock held. */
static int pages_realloc(struct arena *arena, struct run *run, uint64_t size)
{
	uint64_t old_bytes = usable_size(arena, run);

	if (size <= CLASS_SIZE_MAX || wants_mapping(arena, size) || pages_of(size) > UINT32_MAX)
		return -ENOMEM;
	if (run_resize(arena, run, (uint32_t)pages_of(size)))
		return -ENOMEM;
	arena->usage.used += usable_size(arena, run) - old_bytes;
	return 0;
}

/*
 * The object changes its size where it is, or its pages move; only then is *ret_object set.
 * Return: 0, or an error where it must be copied. Context: arena->lock held; released.
 */
static int realloc_unlock(struct arena *arena, struct run *run, uint64_t size,
			  void **ret_object)
{
	int err = -ENOMEM;

	if (run->kind == RUN_MAPPED && size > CLASS_SIZE_MAX)
		return large_realloc_unlock(arena, run, size, ret_object);
	if (run->kind == RUN_OBJECTS && may_stay(usable_size(arena, run), size))
		err = 0;
	if (run->kind == RUN_PAGES)
		err = pages_realloc(arena, run, size);
	mm_lock_release(&arena->lock);
	return err;
}

static int realloc_copy(struct arena *arena, void *object, uint64_t usable, uint64_t size,
			void **ret_object)
{
	void *copy = arena_alloc(arena, size);

	if (!copy && size > usable)
		return -ENOMEM;
	if (!copy) { /* no memory to become smaller: it stays as large as it is */
		*ret_object = object;
		return 0;
	}
	memcpy(copy, object, min_u64(usable, size));
	*ret_object = copy;
	return arena_free(arena, object);
}

/**
 * arena_realloc() - change the size of an object.
 * @arena: that it was taken from.
 * @object: not NULL.
 * @size: as for arena_alloc().
 * @ret_object: where it lies now. Its bytes below both sizes are the same.
 *
 * Return: 0; -ENOMEM where there is no memory, or -EINVAL where no object in use starts there:
 * then nothing has changed.
 * Context: takes arena->lock.
 */
int arena_realloc(struct arena *arena, void *object, uint64_t size, void **ret_object)
{
	void *moved = object;
	struct run *run;
	uint64_t usable;

	mm_lock_acquire(&arena->lock);
	run = find_live(arena, (vaddr_t)object);
	if (!run) {
		mm_lock_release(&arena->lock);
		return -EINVAL;
	}
	usable = usable_size(arena, run);
	if (realloc_unlock(arena, run, size, &moved))
		return realloc_copy(arena, object, usable, size, ret_object);
	*ret_object = moved;
	return 0;
}

/**
 * arena_trim() - give back all memory that no object uses.
 * @arena: whose.
 * @keep_bytes: of free memory to keep below the break.
 *
 * Return: true if some was given back. Where a run in use has pages without an object, it is
 * true again at each call: which of them hold nothing is not remembered.
 * Context: takes arena->lock.
 */
bool arena_trim(struct arena *arena, uint64_t keep_bytes)
{
	bool is_trimmed = false;

	mm_lock_acquire(&arena->lock);
	if (arena->is_ready) {
		is_trimmed |= objects_trim(arena);
		is_trimmed |= heap_shrink(arena, keep_bytes);
		is_trimmed |= heap_purge(arena);
	}
	mm_lock_release(&arena->lock);
	return is_trimmed;
}

/**
 * arena_get_usage() - what the arena has, and what of it is in use.
 * @arena: whose.
 * @ret_usage: all of one moment.
 *
 * Context: takes arena->lock.
 */
void arena_get_usage(struct arena *arena, struct malloc_usage *ret_usage)
{
	const struct heap *heap = &arena->heap;

	mm_lock_acquire(&arena->lock);
	*ret_usage = arena->usage;
	ret_usage->heap = heap->nr_pages << PAGE_SHIFT;
	ret_usage->heap_peak = heap->nr_pages_peak << PAGE_SHIFT;
	ret_usage->heap_free = heap->nr_free << PAGE_SHIFT;
	ret_usage->heap_dirty = heap->nr_dirty << PAGE_SHIFT;
	ret_usage->heap_top = heap_top_bytes(arena);
	ret_usage->nr_free_runs = heap->nr_free_runs;
	ret_usage->metadata = arena->meta.nr_bytes;
	mm_lock_release(&arena->lock);
}

/**
 * arena_get_options() - what arena_set_options() may change.
 * @arena: whose.
 * @ret_options: as they are now; the thresholds may adapt at any time.
 *
 * Context: takes arena->lock.
 */
void arena_get_options(struct arena *arena, struct arena_options *ret_options)
{
	mm_lock_acquire(&arena->lock);
	*ret_options = arena->options;
	mm_lock_release(&arena->lock);
}

/**
 * arena_set_options() - what mallopt() may set.
 * @arena: whose.
 * @options: grow_bytes is rounded up to a multiple of ARENA_GROW_BYTES, at least one, and
 *           mmap_threshold raised above CLASS_SIZE_MAX.
 *
 * Context: takes arena->lock.
 */
void arena_set_options(struct arena *arena, const struct arena_options *options)
{
	uint64_t grow = max_u64(options->grow_bytes, 1);

	if (!checked_align_up(grow, ARENA_GROW_BYTES, &grow))
		grow = ARENA_GROW_BYTES;
	mm_lock_acquire(&arena->lock);
	arena->options = *options;
	arena->options.grow_bytes = grow;
	arena->options.mmap_threshold = max_u64(options->mmap_threshold, CLASS_SIZE_MAX + 1);
	mm_lock_release(&arena->lock);
}
