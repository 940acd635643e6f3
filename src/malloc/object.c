/* SPDX-License-Identifier: MIT */
/*
 * A run of objects has a bitmap in the bookkeeping, a set bit for a free object; nothing is
 * written in or beside the objects. So to allocate, to free and to check touch no page but
 * those of the bookkeeping.
 *
 *   run       |  0  |  1  |  2  |  3  |  4  |  5  | end |      one class, nr_objects = 6
 *   bitmap       0     1     0     1     1     1               nr_free = 4, hint = word 0
 *   nr_touched                     ^                           3 and up were never handed out
 *
 * The lowest free object of the first run on the class's list is taken: used objects gather at
 * the start of a run, and what was never used stays untouched. A run on which an object becomes
 * free goes to the front of the list, since its pages are the ones that were just in use.
 *
 * Invariants (arena_check):
 * 1. nr_free is the number of bits set; bits from nr_objects on are clear.
 * 2. A run is on its class's list if and only if 0 < nr_free.
 * 3. No word below hint has a bit set.
 * 4. Objects from nr_touched on are free, and read as zeros.
 * 5. At most one run of a class has no object in use (it is kept if it is the last on the list,
 *    so that a program which takes and frees one object in turn does not make a run each time).
 */
#include "malloc/object.h"

#include <errno.h>

#include "base/checked.h"
#include "malloc/arena.h"
#include "malloc/heap.h"

#define WORD_BITS 64

/**
 * object_class_init() - a class without runs.
 * @class: to initialise.
 * @number: 0..NR_CLASSES - 1.
 */
void object_class_init(struct object_class *class, unsigned int number)
{
	list_init(&class->partial);
	class_layout_init(&class->layout, number);
}

static int bitmap_init(struct arena *arena, const struct class_layout *layout, struct run *run)
{
	uint64_t *bitmap = &run->objects.word;

	if (layout->nr_words > 1)
		bitmap = meta_alloc(arena, layout->nr_words);
	if (!bitmap)
		return -ENOMEM;
	for (uint32_t i = 0; i < layout->nr_objects / WORD_BITS; i++)
		bitmap[i] = UINT64_MAX;
	if (layout->nr_objects % WORD_BITS)
		bitmap[layout->nr_words - 1] =
			((uint64_t)1 << layout->nr_objects % WORD_BITS) - 1;
	run->objects.bitmap = bitmap;
	return 0;
}

static bool is_clean(const struct arena *arena, const struct run *run)
{
	return pagemap_count_dirty(arena->pagemap, run->start, run_end(run)) == 0;
}

static struct run *objects_create(struct arena *arena, unsigned int class)
{
	struct object_class *oc = &arena->classes[class];
	struct run *run;

	if (run_alloc(arena, oc->layout.nr_pages, 1, &run))
		return NULL;
	if (bitmap_init(arena, &oc->layout, run)) {
		run->kind = RUN_PAGES;
		run_free(arena, run, 0);
		return NULL;
	}
	run->kind = RUN_OBJECTS;
	run->class = (uint8_t) class;
	run->objects.nr_objects = (uint16_t)oc->layout.nr_objects;
	run->objects.nr_free = run->objects.nr_objects;
	run->objects.hint = 0;
	run->objects.nr_touched = is_clean(arena, run) ? 0 : run->objects.nr_objects;
	pagemap_update(arena->pagemap, run->start, run_end(run), PAGEMAP_DIRTY, (uintptr_t)run);
	list_add(&run->objects.node, &oc->partial);
	return run;
}

/* The pages that its objects have lain on; all, where the run had not begun as zeros. */
static uint32_t touched_pages(const struct class_layout *layout, const struct run *run)
{
	uint64_t bytes = (uint64_t)run->objects.nr_touched * layout->size;

	if (run->objects.nr_touched == run->objects.nr_objects)
		return run->nr_pages;
	return (uint32_t)((bytes + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

static void objects_destroy(struct arena *arena, struct run *run)
{
	const struct class_layout *layout = &arena->classes[run->class].layout;
	uint32_t nr_touched = touched_pages(layout, run);

	list_del(&run->objects.node);
	if (layout->nr_words > 1)
		meta_free(arena, run->objects.bitmap, layout->nr_words);
	run_free(arena, run, nr_touched);
}

/* Bound: the words of the bitmap, 32. */
static uint32_t take_lowest(struct run *run)
{
	uint64_t *bitmap = run->objects.bitmap;
	uint16_t i = run->objects.hint;
	uint32_t bit;

	while (!bitmap[i])
		i++;
	run->objects.hint = i;
	bit = (uint32_t)__builtin_ctzll(bitmap[i]);
	bitmap[i] &= bitmap[i] - 1;
	return i * WORD_BITS + bit;
}

/**
 * object_alloc() - take an object.
 * @arena: to take it from.
 * @class: its size class.
 * @ret_is_zero: whether it reads as zeros.
 *
 * Return: the object, or NULL where there is no memory.
 * Context: arena->lock held.
 */
void *object_alloc(struct arena *arena, unsigned int class, bool *ret_is_zero)
{
	struct object_class *oc = &arena->classes[class];
	struct run *run;
	uint32_t index;

	if (list_is_empty(&oc->partial))
		run = objects_create(arena, class);
	else
		run = list_entry(oc->partial.next, struct run, objects.node);
	if (!run)
		return NULL;
	index = take_lowest(run);
	if (--run->objects.nr_free == 0)
		list_del(&run->objects.node);
	*ret_is_zero = index >= run->objects.nr_touched;
	if (*ret_is_zero)
		run->objects.nr_touched = (uint16_t)(index + 1);
	return (void *)(run->start + (uint64_t)index * oc->layout.size);
}

/**
 * object_is_live() - whether an object in use starts at an address.
 * @arena: the run's.
 * @run: OBJECTS.
 * @addr: on one of its pages.
 *
 * Context: arena->lock held.
 */
bool object_is_live(const struct arena *arena, const struct run *run, vaddr_t addr)
{
	const struct class_layout *layout = &arena->classes[run->class].layout;
	uint64_t offset = addr - run->start;
	uint32_t index = class_index(layout, offset);

	if (index >= layout->nr_objects || (uint64_t)index * layout->size != offset)
		return false;
	return !(run->objects.bitmap[index / WORD_BITS] >> index % WORD_BITS & 1);
}

/**
 * object_free() - give an object back.
 * @arena: that it was taken from.
 * @run: OBJECTS; it may not be valid any more.
 * @addr: of the object, for which object_is_live().
 *
 * Context: arena->lock held.
 */
void object_free(struct arena *arena, struct run *run, vaddr_t addr)
{
	struct object_class *oc = &arena->classes[run->class];
	uint32_t index = class_index(&oc->layout, addr - run->start), word = index / WORD_BITS;

	run->objects.bitmap[word] |= (uint64_t)1 << index % WORD_BITS;
	if (word < run->objects.hint)
		run->objects.hint = (uint16_t)word;
	if (run->objects.nr_free++ == 0)
		list_add(&run->objects.node, &oc->partial);
	if (run->objects.nr_free == run->objects.nr_objects &&
	    oc->partial.next != oc->partial.prev)
		objects_destroy(arena, run);
}

/* Whether no object in use has a byte on the page; then its content is nobody's. */
static bool page_is_unused(const struct class_layout *layout, const struct run *run,
			   uint64_t offset)
{
	uint32_t first = class_index(layout, offset);
	uint32_t last = class_index(layout, offset + PAGE_SIZE - 1);

	for (uint32_t i = first; i <= last && i < layout->nr_objects; i++)
		if (!(run->objects.bitmap[i / WORD_BITS] >> i % WORD_BITS & 1))
			return false;
	return true;
}

/* The end of the unused pages of a run that start at offset; offset where there are none. */
static uint64_t unused_end(const struct class_layout *layout, const struct run *run,
			   uint64_t offset)
{
	uint64_t end = (uint64_t)layout->nr_pages << PAGE_SHIFT;

	while (offset < end && page_is_unused(layout, run, offset))
		offset += PAGE_SIZE;
	return offset;
}

/* Drops the pages of a run on which no object is in use. */
static bool trim_run(struct arena *arena, const struct run *run)
{
	const struct class_layout *layout = &arena->classes[run->class].layout;
	const struct malloc_backend *backend = arena_backend_of(arena, run->owner);
	uint64_t bytes = (uint64_t)touched_pages(layout, run) << PAGE_SHIFT, end;
	bool is_trimmed = false;

	for (uint64_t offset = 0; offset < bytes; offset = end + PAGE_SIZE) {
		end = min_u64(unused_end(layout, run, offset), bytes);
		if (end > offset)
			is_trimmed |= !backend->dontneed(backend->arg, run->start + offset,
							 end - offset);
	}
	return is_trimmed;
}

/**
 * objects_trim() - give back the runs without an object in use, and drop the content of pages
 * without one in the others.
 * @arena: whose objects.
 *
 * Return: true if some memory was given back.
 * Context: arena->lock held.
 */
bool objects_trim(struct arena *arena)
{
	struct object_class *oc;
	struct run *run, *next;
	bool is_trimmed = false;

	for (oc = arena->classes; oc < arena->classes + NR_CLASSES; oc++) {
		list_for_each_entry_safe (run, next, &oc->partial, objects.node) {
			if (run->objects.nr_free == run->objects.nr_objects)
				objects_destroy(arena, run);
			else
				is_trimmed |= trim_run(arena, run);
		}
	}
	return is_trimmed;
}
