/* SPDX-License-Identifier: MIT */
/*
 * The C names. With the C library's semantics (malloc(3), posix_memalign(3), glibc 2.36): what
 * cannot be had is NULL and ENOMEM, realloc(p, 0) frees, free() keeps errno, and a pointer that
 * is none ends the program.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/log.h"
#include "malloc/process.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int malloc_trim(size_t pad);
EXPORT struct mallinfo mallinfo(void);

static _Noreturn void die(const char *call, const void *object)
{
	log_line("ration: %s(%p): not an allocation, or freed twice", call, object);
	abort();
}

static void *or_enomem(void *object)
{
	if (__builtin_expect(!object, false))
		errno = ENOMEM;
	return object;
}

EXPORT void *malloc(size_t size)
{
	return or_enomem(arena_alloc(&malloc_process_arena, size));
}

EXPORT void *calloc(size_t nr, size_t size)
{
	uint64_t bytes;

	if (!checked_mul(nr, size, &bytes))
		return or_enomem(NULL);
	return or_enomem(arena_alloc_zeroed(&malloc_process_arena, bytes));
}

EXPORT void free(void *object)
{
	if (object && arena_free(&malloc_process_arena, object))
		die("free", object);
}

EXPORT void *realloc(void *object, size_t size)
{
	void *moved;
	int err;

	if (!object)
		return malloc(size);
	if (size == 0) {
		free(object);
		return NULL;
	}
	err = arena_realloc(&malloc_process_arena, object, size, &moved);
	if (err == -EINVAL)
		die("realloc", object);
	return or_enomem(err ? NULL : moved);
}

EXPORT void *reallocarray(void *object, size_t nr, size_t size)
{
	uint64_t bytes;

	if (!checked_mul(nr, size, &bytes))
		return or_enomem(NULL);
	return realloc(object, bytes);
}

static bool is_power_of_two(size_t n)
{
	return n && !(n & (n - 1));
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	if (!is_power_of_two(align)) {
		errno = EINVAL;
		return NULL;
	}
	return or_enomem(arena_alloc_aligned(&malloc_process_arena, align, size));
}

EXPORT int posix_memalign(void **ret_object, size_t align, size_t size)
{
	void *object;

	if (!is_power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	object = arena_alloc_aligned(&malloc_process_arena, align, size);
	if (!object)
		return ENOMEM;
	*ret_object = object;
	return 0;
}

/* An alignment that is no power of two is rounded up to one. */
EXPORT void *memalign(size_t align, size_t size)
{
	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	if (align <= CLASS_ALIGN)
		return malloc(size);
	align = (size_t)1 << (64 - __builtin_clzll(align - 1));
	return aligned_alloc(align, size);
}

EXPORT void *valloc(size_t size)
{
	return aligned_alloc(PAGE_SIZE, size);
}

EXPORT void *pvalloc(size_t size)
{
	uint64_t bytes;

	if (!checked_align_up(size, PAGE_SIZE, &bytes))
		return or_enomem(NULL);
	return aligned_alloc(PAGE_SIZE, bytes);
}

EXPORT size_t malloc_usable_size(void *object)
{
	uint64_t size;

	if (!object)
		return 0;
	if (arena_usable_size(&malloc_process_arena, object, &size))
		die("malloc_usable_size", object);
	return size;
}

EXPORT int malloc_trim(size_t keep)
{
	return arena_trim(&malloc_process_arena, keep);
}

static bool set_option(struct arena_options *options, int name, int value)
{
	uint64_t number = (uint64_t)(int64_t)value; /* -1: never, or as many as there are */

	switch (name) {
	case M_TRIM_THRESHOLD:
		options->trim_threshold = number;
		options->is_fixed = true;
		return true;
	case M_TOP_PAD:
		options->grow_bytes = value > 0 ? number : 0;
		options->is_fixed = true;
		return true;
	case M_MMAP_THRESHOLD:
		options->mmap_threshold = number;
		options->is_fixed = true;
		return true;
	case M_MMAP_MAX:
		options->mmap_max = number;
		options->is_fixed = true;
		return true;
	default:
		return false;
	}
}

#define MXFAST_LIMIT (80 * (int)sizeof(size_t) / 4) /* the C library's: bytes in a fast bin */

EXPORT int mallopt(int name, int value)
{
	struct arena_options options;

	if (name == M_MXFAST && (value < 0 || value > MXFAST_LIMIT))
		return 0;
	arena_get_options(&malloc_process_arena, &options);
	if (set_option(&options, name, value))
		arena_set_options(&malloc_process_arena, &options);
	return 1; /* what has no meaning here is accepted, as the C library does */
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct malloc_usage usage;
	struct mallinfo2 info = {0};

	malloc_get_usage(&usage);
	info.arena = usage.heap;
	info.ordblks = usage.nr_free_runs;
	info.hblks = usage.nr_mapped;
	info.hblkhd = usage.mapped;
	info.uordblks = usage.used - usage.mapped;
	info.fordblks = info.arena - info.uordblks;
	info.keepcost = usage.heap_top;
	return info;
}

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 wide = mallinfo2();
	struct mallinfo info = {0};

	info.arena = (int)wide.arena;
	info.ordblks = (int)wide.ordblks;
	info.hblks = (int)wide.hblks;
	info.hblkhd = (int)wide.hblkhd;
	info.uordblks = (int)wide.uordblks;
	info.fordblks = (int)wide.fordblks;
	info.keepcost = (int)wide.keepcost;
	return info;
}

/* In the C library's words. */
EXPORT void malloc_stats(void)
{
	struct mallinfo2 info = mallinfo2();
	struct malloc_usage usage;

	malloc_get_usage(&usage);
	log_line("Arena 0:");
	log_line("system bytes     = %10zu", info.arena);
	log_line("in use bytes     = %10zu", info.uordblks);
	log_line("Total (incl. mmap):");
	log_line("system bytes     = %10zu", info.arena + info.hblkhd);
	log_line("in use bytes     = %10zu", info.uordblks + info.hblkhd);
	log_line("max mmap regions = %10zu", (size_t)usage.nr_mapped_peak);
	log_line("max mmap bytes   = %10zu", (size_t)usage.mapped_peak);
}
