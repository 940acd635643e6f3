/* SPDX-License-Identifier: MIT */
/*
 * A backend over the host's mmap whose break moves in a range of its own. It counts calls,
 * fails those it is told to, and leaves nothing readable above the break.
 */
#ifndef TESTS_MALLOC_BACKEND_H
#define TESTS_MALLOC_BACKEND_H

#include "malloc/malloc.h"

#define TEST_BREAK_BYTES ((uint64_t)1 << 30)

enum test_backend_op {
	TEST_SBRK,
	TEST_MMAP,
	TEST_MUNMAP,
	TEST_MREMAP,
	TEST_DONTNEED,
	NR_TEST_OPS
};

struct test_backend {
	struct malloc_backend ops;
	vaddr_t start, brk, end;
	uint64_t nr_calls[NR_TEST_OPS];
	uint64_t nr_all;     /* calls that could fail: all but sbrk(0) */
	uint64_t fail_at;    /* the call of this number (from 1) fails; 0: none */
	uint64_t fail_every; /* and every call of so many; 0: none */
	uint64_t mapped;     /* bytes now mapped by mmap and mremap */
};

void test_backend_create(struct test_backend *backend);
void test_backend_destroy(struct test_backend *backend);

/* As somebody else in the program moves the break. */
vaddr_t test_backend_sbrk(struct test_backend *backend, int64_t delta);

#endif
