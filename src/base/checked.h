/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic that says when it overflows.
 */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
	return !__builtin_add_overflow(a, b, ret_sum);
}

static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *ret_product)
{
	return !__builtin_mul_overflow(a, b, ret_product);
}

static inline uint64_t align_down(uint64_t n, uint64_t align)
{
	return n & ~(align - 1);
}

/* False where the result would not fit. */
static inline bool checked_align_up(uint64_t n, uint64_t align, uint64_t *ret_aligned)
{
	uint64_t sum;

	if (!checked_add(n, align - 1, &sum))
		return false;
	*ret_aligned = align_down(sum, align);
	return true;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
