/* SPDX-License-Identifier: MIT */
/*
 * Assertions of three kinds. MM_ASSERT is always on, costs O(1) and aborts with its place.
 * MM_DEBUG_ASSERT exists in debug builds (-DRATION_DEBUG). A whole structure is walked by its
 * *_check(), which answers 0 or -EUCLEAN and says what it found through CHECK().
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <errno.h>

_Noreturn void base_assert_failed(const char *what, const char *file, int line);
void base_check_failed(const char *what, const char *file, int line);

#define MM_ASSERT(cond)                                                \
	do {                                                           \
		if (__builtin_expect(!(cond), 0))                      \
			base_assert_failed(#cond, __FILE__, __LINE__); \
	} while (0)

/* MM_DEBUG: for what debug builds do besides asserting, where #ifdef is out of place. */
#ifdef RATION_DEBUG
#define MM_DEBUG	      1
#define MM_DEBUG_ASSERT(cond) MM_ASSERT(cond)
#else
#define MM_DEBUG 0
#define MM_DEBUG_ASSERT(cond)       \
	do {                        \
		(void)sizeof(cond); \
	} while (0)
#endif

/* In a *_check(): return -EUCLEAN, after one line on the log, unless the invariant holds. */
#define CHECK(cond)                                                   \
	do {                                                          \
		if (__builtin_expect(!(cond), 0)) {                   \
			base_check_failed(#cond, __FILE__, __LINE__); \
			return -EUCLEAN;                              \
		}                                                     \
	} while (0)

#endif
