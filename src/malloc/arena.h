/* SPDX-License-Identifier: MIT */
/*
 * An arena: one allocator with its memory, its bookkeeping and its lock.
 *
 * A process has one (malloc/malloc.c); tests make as many as they like. Sizes are those of C:
 * any 64-bit number, and what cannot be had is refused.
 */
#ifndef MALLOC_ARENA_H
#define MALLOC_ARENA_H

#include "base/lock.h"
#include "malloc/heap.h"
#include "malloc/malloc.h"
#include "malloc/meta.h"
#include "malloc/object.h"
#include "malloc/pagemap.h"

struct arena_options {
	uint64_t grow_bytes;	 /* the heap grows by a multiple of it */
	uint64_t trim_threshold; /* bytes of free memory that are kept; malloc/heap.c */
	uint64_t mmap_threshold; /* requests from here on get a mapping of their own */
	uint64_t mmap_max;	 /* mappings at a time */
	bool is_fixed;		 /* the thresholds do not adapt (malloc/large.c) */
};

/* Locks: (c) set before the first call. All else is guarded by lock. */
struct arena {
	struct mm_lock lock;
	bool is_ready;
	void *boot;	     /* memory to start with: page aligned, zeros; or NULL (c) */
	uint64_t boot_bytes; /* (c) */
	struct arena_options options;

	const struct malloc_backend *backend; /* the host, or the one below */
	struct malloc_backend given_backend;
	bool has_backend;

	struct meta meta;
	struct pagemap_root *pagemap;
	struct heap heap;
	struct object_class classes[NR_CLASSES];
	struct list_head mapped;   /* MAPPED runs */
	struct malloc_usage usage; /* what is not counted elsewhere */
};

#define ARENA_GROW_BYTES     ((uint64_t)1 << 20)
#define ARENA_TRIM_THRESHOLD ((uint64_t)2 << 20)
#define ARENA_MMAP_THRESHOLD ((uint64_t)128 << 10)
#define ARENA_MMAP_MAX	     65536

#define ARENA_INIT(boot_memory, size)                                          \
	{                                                                      \
		.lock = MM_LOCK_INIT(LOCK_RANK_MALLOC), .boot = (boot_memory), \
		.boot_bytes = (size),                                          \
		.options = {                                                   \
			.grow_bytes = ARENA_GROW_BYTES,                        \
			.trim_threshold = ARENA_TRIM_THRESHOLD,                \
			.mmap_threshold = ARENA_MMAP_THRESHOLD,                \
			.mmap_max = ARENA_MMAP_MAX,                            \
		},                                                             \
	}

int arena_set_backend(struct arena *arena, const struct malloc_backend *backend);

void *arena_alloc(struct arena *arena, uint64_t size);
void *arena_alloc_zeroed(struct arena *arena, uint64_t size);
void *arena_alloc_aligned(struct arena *arena, uint64_t align, uint64_t size);
int arena_realloc(struct arena *arena, void *object, uint64_t size, void **ret_object);
int arena_free(struct arena *arena, void *object);
int arena_usable_size(struct arena *arena, const void *object, uint64_t *ret_size);

bool arena_trim(struct arena *arena, uint64_t keep_bytes);
void arena_get_usage(struct arena *arena, struct malloc_usage *ret_usage);
void arena_get_options(struct arena *arena, struct arena_options *ret_options);
void arena_set_options(struct arena *arena, const struct arena_options *options);
int arena_check(struct arena *arena);

/* For the arena's own files. */
extern const struct malloc_backend malloc_host_backend; /* malloc/host.c */

bool arena_prepare_locked(struct arena *arena);

static inline const struct malloc_backend *arena_backend_of(const struct arena *arena,
							    enum run_owner owner)
{
	return owner == RUN_OWNER_HOST ? &malloc_host_backend : arena->backend;
}

#endif
