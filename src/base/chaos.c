/* SPDX-License-Identifier: MIT */
/*
 * No seed is taken: which thread comes to which point when is not repeated by one.
 */
#include "base/chaos.h"

#ifdef RATION_CHAOS

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/syscall.h"

#define YIELD_EVERY	 8
#define SLEEP_EVERY	 64
#define SLEEP_NS_LOG_MIN 14 /* 16 us */
#define SLEEP_NS_LOGS	 8  /* to 2 ms */

void chaos_point(void)
{
	static uint64_t nr;
	uint64_t now = __builtin_ia32_rdtsc() + __atomic_fetch_add(&nr, 1, __ATOMIC_RELAXED);
	uint64_t random = now * 0x9e3779b97f4a7c15u >> 32; /* Fibonacci hashing */
	struct timespec ts = {0};

	if (random % SLEEP_EVERY == 0) {
		ts.tv_nsec = 1l << (SLEEP_NS_LOG_MIN + (random >> 16) % SLEEP_NS_LOGS);
		sys_call_now(SYS_nanosleep, (long)&ts, 0, 0, 0, 0, 0);
	} else if (random % YIELD_EVERY == 0) {
		sys_call_now(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
}

#endif
