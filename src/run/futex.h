/* SPDX-License-Identifier: MIT */
/*
 * Futexes as the runtime uses them: words of this address space, no errno, no cancellation.
 */
#ifndef RUN_FUTEX_H
#define RUN_FUTEX_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/syscall.h"

#define RT_FOREVER UINT64_MAX
#define RT_SECOND  ((uint64_t)1000000000) /* ns */

/* Sleeps while *word == seen, at most timeout_ns; wakes for nothing now and then. */
static inline void rt_futex_wait(const uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(timeout_ns / RT_SECOND),
		.tv_nsec = (long)(timeout_ns % RT_SECOND),
	};

	sys_call4(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, seen,
		  timeout_ns == RT_FOREVER ? 0 : (long)&ts);
}

static inline void rt_futex_wake(const uint32_t *word, int nr)
{
	sys_call3(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, nr);
}

/* Sleeps until *word is value. */
static inline void rt_futex_await(const uint32_t *word, uint32_t value)
{
	uint32_t seen;

	while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != value)
		rt_futex_wait(word, seen, RT_FOREVER);
}

static inline void rt_futex_set(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	rt_futex_wake(word, INT32_MAX);
}

/* CLOCK_MONOTONIC, ns. */
static inline uint64_t rt_now_ns(void)
{
	struct timespec ts = {0};

	sys_call2(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&ts);
	return (uint64_t)ts.tv_sec * RT_SECOND + (uint64_t)ts.tv_nsec;
}

#endif
