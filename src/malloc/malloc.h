/* SPDX-License-Identifier: MIT */
/*
 * The C allocation interface over memory that somebody else hands out: what the runtime sees.
 *
 * 1. Every call works before malloc_set_backend(): the dynamic linker and early constructors
 *    allocate. Such memory comes from the host's mmap, and stays valid and freeable for ever.
 * 2. The C names (malloc, free, ...) are in malloc_symbols, which only the preloaded library
 *    links. All else here has names of its own.
 * 3. No thread-local storage, no libc allocation; errno is touched by the C names only, where C
 *    says so.
 */
#ifndef MALLOC_MALLOC_H
#define MALLOC_MALLOC_H

#include "ration/types.h"

/*
 * Where memory comes from: the calls of Linux on anonymous private memory.
 *
 * Context for all: any thread, LOCK_RANK_MALLOC may be held. An op never allocates with malloc,
 * never calls back, and leaves errno alone. Addresses and lengths are page aligned, except the
 * break. Return: 0, or -errno, and then nothing has changed.
 */
struct malloc_backend {
	void *arg;

	/*
	 * Moves the break by delta bytes and gives its old place, as sbrk(3). Atomic against
	 * the program's own brk() and sbrk(), which may move the break too. Pages that the
	 * break has moved over upwards read as zeros. NULL: there is no heap, mmap serves.
	 */
	int (*sbrk)(void *arg, int64_t delta, vaddr_t *ret_old);

	int (*mmap)(void *arg, uint64_t len, vaddr_t *ret_addr); /* readable, writable, zeros */
	int (*munmap)(void *arg, vaddr_t addr, uint64_t len);
	int (*mremap)(void *arg, vaddr_t addr, uint64_t old_len, uint64_t new_len,
		      vaddr_t *ret_addr);			/* MREMAP_MAYMOVE */
	int (*dontneed)(void *arg, vaddr_t addr, uint64_t len); /* reads as zeros after it */
};

int malloc_set_backend(const struct malloc_backend *backend);

/* Around the fork of the process: prepare before it, one of the other two after it. */
void malloc_fork_prepare(void);
void malloc_fork_parent(void);
void malloc_fork_child(void);

/* Bytes, except where the name says a number. */
struct malloc_usage {
	uint64_t used;	     /* in objects, rounded up to their size classes */
	uint64_t heap;	     /* had from sbrk, and from mmap in its place */
	uint64_t heap_free;  /* in free page runs of the heap */
	uint64_t heap_dirty; /* of these, pages that were written since they were fresh */
	uint64_t mapped;     /* in mappings of one object each; counted in used as well */
	uint64_t metadata;   /* bookkeeping in use; no part of the others */
	uint64_t heap_top;   /* free at the end of the heap */
	uint64_t heap_peak, mapped_peak;
	uint64_t nr_mapped, nr_mapped_peak; /* mappings */
	uint64_t nr_free_runs;		    /* free page runs of the heap */
	uint64_t nr_allocs, nr_frees;	    /* calls that gave or took an object */
};

void malloc_get_usage(struct malloc_usage *ret_usage);

int malloc_check(void);

#endif
