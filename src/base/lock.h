/* SPDX-License-Identifier: MIT */
/*
 * A lock that knows its rank.
 *
 * Three states (Drepper 2011, "Futexes Are Tricky"): 0 free, 1 held, 2 held and somebody waits.
 * It needs no thread-local storage and no libc, so the runtime's own threads, which share the
 * program's, may take it. In debug builds each thread remembers the ranks that it holds, and
 * taking a lock of a rank not above the last is a bug.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

enum lock_rank {
	LOCK_RANK_MALLOC = 1, /* malloc's arenas: taken before anything of the manager */
	LOCK_RANK_RUN,	      /* the runtime's request slots */
	LOCK_RANK_SYSTEM,     /* mm_system.lock */
	LOCK_RANK_MACHINE,    /* inside a machine op */
	LOCK_RANK_SWAPDEV,    /* inside a swap device op */
};

struct mm_lock {
	uint32_t state;
	uint8_t rank; /* enum lock_rank (c) */
};

#define MM_LOCK_INIT(r)                 \
	{                               \
		.state = 0, .rank = (r) \
	}

void mm_lock_init(struct mm_lock *lock, enum lock_rank rank);
void mm_lock_acquire(struct mm_lock *lock);
bool mm_lock_try(struct mm_lock *lock);
void mm_lock_release(struct mm_lock *lock);
bool mm_lock_is_held(const struct mm_lock *lock);

#endif
