/* SPDX-License-Identifier: MIT */
/*
 * The runtime inside a managed process: what its parts share.
 *
 *	program's threads                    runtime's threads (own file table, run/thread.c)
 *	  touch memory ... fault  -------->  ration-fault   mm_fault()         engine_thread.c
 *	  mmap, munmap, brk ...   --slot-->  ration-service mm_map() ...       service.c
 *	                                     ration-kswapd  mm_step()          kswapd.c
 *
 * That is the thread engine. With the signal engine (engine_signal.c) the faults are resolved
 * in a signal handler of the thread that touches memory, and what it calls the kernel for is
 * carried out by trap_call.c.
 *
 * 1. Program threads run no manager code but in that handler, with all signals blocked, so none
 *    of them can hold a lock of the manager when it forks, is cancelled, or jumps out of a
 *    signal handler.
 * 2. The runtime's threads never touch managed memory, but for the service thread in one place
 *    (service_foreign.c), where it holds nothing.
 * 3. Whoever runs manager code is inside the gate, or has closed it.
 */
#ifndef RUN_RUNTIME_H
#define RUN_RUNTIME_H

#include <sys/syscall.h>

#include "base/syscall.h"
#include "ration/mm.h"
#include "run/engine.h"
#include "run/gate.h"
#include "run/share.h"

struct zram;

/* Descriptors in the program's file table: high, so that they are in nobody's way. */
#define RT_FD_MIN   960
#define RT_FDS_LEFT 64 /* numbers that the program keeps above ours, where it may have few */

enum rt_state {
	RT_INERT,   /* not part of a run: every call goes to the kernel */
	RT_MANAGED, /* the constructor has ended well */
};

struct runtime {
	uint32_t state; /* enum rt_state (atomic) */
	struct run_map map;
	unsigned int slot; /* in map */
	struct machine *machine;
	struct mm_system *sys;
	struct mm *mm;
	vaddr_t window_start, window_end;
	struct swapdev *swapdevs[RUN_AREAS_MAX];
	int swap_fds[RUN_AREAS_MAX]; /* theirs, in the runtime's file table */
	unsigned int nr_swapdevs;
	struct zram *zram; /* NULL: there is no tier in front of them (run/tier.c) */
	struct rt_gate gate;
	struct rt_engine engine;
	uint32_t service_tid;  /* in /proc */
	uint32_t pid;	       /* this process */
	bool is_by_signal;     /* (c) which engine */
	bool is_by_segv;       /* (c) by signal, and without userfaultfd */
	bool is_past_libc;     /* (c) no engine but the thread's can serve the program */
	bool is_asking;	       /* (a) whether the filter catches a system call */
	int signal_fd;	       /* (c) by signal: the machine's, in both file tables; 0: none */
	bool has_lost_machine; /* (a) by signal: it is not in the program's any more */
	struct swapdev *deferred[RUN_AREAS_MAX]; /* by signal: each over one of swapdevs */
	bool has_said_bus;			 /* (a) one line a process is enough */
	bool is_frozen;		   /* a fork is under way; written by the service thread */
	uint32_t kswapd_seq;	   /* (a) times it was woken */
	uint32_t kswapd_is_asleep; /* (a) */
};

/* The one of this process, zero while inert (run/init.c). */
extern struct runtime rt_runtime __attribute__((visibility("hidden")));

static inline bool rt_is_managed(void)
{
	return __atomic_load_n(&rt_runtime.state, __ATOMIC_ACQUIRE) != RT_INERT;
}

/* Does [start, start + len) touch the window? It may wrap around. */
static inline bool rt_touches_window(const struct runtime *rt, vaddr_t start, uint64_t len)
{
	if (start >= rt->window_end)
		return false;
	return start >= rt->window_start || len > rt->window_start - start;
}

/* False in a process that shares this memory, as a vfork child does. */
static inline bool rt_is_at_home(const struct runtime *rt)
{
	return (uint32_t)sys_call2(SYS_getpid, 0, 0) == rt->pid;
}

static inline bool rt_is_by_signal(void)
{
	return rt_is_managed() && rt_runtime.is_by_signal;
}

/* run/kswapd.c */
int rt_kswapd_start(struct runtime *rt);
void rt_kswapd_wake(void *arg);

/* run/tier.c */
int rt_tier_swapon(struct runtime *rt);
void rt_tier_after_fork(struct runtime *rt);

/* run/say.c */
void rt_say(struct runtime *rt, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
