/* SPDX-License-Identifier: MIT */
#include "base/lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>

#include "base/assert.h"
#include "base/syscall.h"

#define SPINS_MAX \
	100 /* about 1 us: the lock is held for less, unless its holder was preempted */

#ifdef RATION_DEBUG
/* initial-exec: in a preloaded library any other model may allocate at the first access. */
#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))
static THREAD_LOCAL uint8_t held_ranks[8];
static THREAD_LOCAL unsigned int nr_held;

static void rank_acquired(const struct mm_lock *lock)
{
	MM_ASSERT(nr_held < sizeof(held_ranks));
	MM_ASSERT(nr_held == 0 || held_ranks[nr_held - 1] < lock->rank);
	held_ranks[nr_held++] = lock->rank;
}

static void rank_released(const struct mm_lock *lock)
{
	MM_ASSERT(nr_held > 0 && held_ranks[nr_held - 1] == lock->rank);
	nr_held--;
}
#else
static void rank_acquired(const struct mm_lock *lock)
{
	(void)lock;
}

static void rank_released(const struct mm_lock *lock)
{
	(void)lock;
}
#endif

void mm_lock_init(struct mm_lock *lock, enum lock_rank rank)
{
	lock->state = 0;
	lock->rank = (uint8_t)rank;
}

bool mm_lock_try(struct mm_lock *lock)
{
	uint32_t expected = 0;

	if (!__atomic_compare_exchange_n(&lock->state, &expected, 1, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return false;
	rank_acquired(lock);
	chaos_point();
	return true;
}

void mm_lock_acquire(struct mm_lock *lock)
{
	for (int i = 0; i < SPINS_MAX; i++) {
		if (mm_lock_try(lock))
			return;
		__builtin_ia32_pause();
	}
	while (__atomic_exchange_n(&lock->state, 2, __ATOMIC_ACQUIRE) != 0)
		sys_call4(SYS_futex, (long)&lock->state, FUTEX_WAIT_PRIVATE, 2, 0);
	rank_acquired(lock);
}

void mm_lock_release(struct mm_lock *lock)
{
	rank_released(lock);
	if (__atomic_exchange_n(&lock->state, 0, __ATOMIC_RELEASE) == 2)
		sys_call4(SYS_futex, (long)&lock->state, FUTEX_WAKE_PRIVATE, 1, 0);
	chaos_point();
}

bool mm_lock_is_held(const struct mm_lock *lock)
{
	return __atomic_load_n(&lock->state, __ATOMIC_RELAXED) != 0;
}
