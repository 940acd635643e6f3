/* SPDX-License-Identifier: MIT */
/*
 * Who resolves faults, and when. The engine knows the machine's port and the manager, they do
 * not know it: engine_thread.c does it in threads of the runtime, engine_signal.c in the thread
 * that faults.
 */
#ifndef RUN_ENGINE_H
#define RUN_ENGINE_H

#include <signal.h>

#include "base/lock.h"
#include "machine/host.h"
#include "run/share.h"

#define RT_HANDLERS_MAX 2
#define RT_PENDING_MAX	1024 /* faults that wait: one a thread of the program */
#define RT_REPEATS_MAX	64

/* A fault that was answered RETRY. */
struct rt_pending {
	struct machine_host_fault fault;
	uint32_t seq; /* wake_seq before the manager was last asked */
};

/* A fault that the manager refused: how often in a row. */
struct rt_repeat {
	vaddr_t va;
	int tid;
	unsigned int times;
};

struct rt_engine {
	unsigned int nr_handlers; /* (c) */
	int epoll_fd, wake_fd;	  /* (c) */
	uint32_t wake_seq;	  /* (a) calls of rt_engine_wake() */
	uint32_t nr_sleepers;	  /* (a) threads in rt_engine_sleep() */
	uint32_t nr_pending;	  /* lock; read without (a) */
	struct mm_lock lock;
	struct rt_pending pending[RT_PENDING_MAX]; /* lock */
	struct rt_repeat repeats[RT_REPEATS_MAX];  /* lock */
};

struct runtime;

/* Return: true if the fault is dealt with. */
typedef bool (*rt_fault_fn)(struct runtime *rt, const struct machine_host_fault *fault);

int rt_engine_start(struct runtime *rt);
void rt_engine_serve_frozen(struct runtime *rt, rt_fault_fn serve);
void rt_engine_wake(void *arg);
uint32_t rt_engine_seq(struct runtime *rt);
void rt_engine_sleep(struct runtime *rt, uint32_t seq);

/* engine_signal.c */
int rt_signal_start(struct runtime *rt, enum run_refusal *ret_why);
void rt_signal_stop(struct runtime *rt);
int rt_signal_forked(struct runtime *rt);
bool rt_signal_serve(struct runtime *rt, const uint64_t *args, long *ret_answer);
void rt_on_bus(int sig, siginfo_t *info, void *context);
void rt_on_segv(int sig, siginfo_t *info, void *context);
void rt_on_sys(int sig, siginfo_t *info, void *context);

#endif
