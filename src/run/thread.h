/* SPDX-License-Identifier: MIT */
/*
 * The runtime's own threads. How they differ from the program's is told in run/thread.c.
 */
#ifndef RUN_THREAD_H
#define RUN_THREAD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define RT_THREADS_MAX 8

enum rt_thread_flags {
	RT_THREAD_OWN_FILES = 1 << 0, /* its file table and working directory are its own */
};

struct rt_thread_config {
	const char *name; /* at most 15 bytes, as ps and top show it */
	void (*fn)(void *arg);
	void *arg;
	unsigned int flags; /* enum rt_thread_flags */
	int keep_fd; /* with RT_THREAD_OWN_FILES: the one descriptor that stays; 0: none */
};

int rt_threads_init(void);
int rt_thread_start(const struct rt_thread_config *cfg);
void rt_threads_forget(void);
unsigned int rt_thread_index(void);
unsigned int rt_thread_count(void);
bool rt_thread_has_tid(uint32_t tid);
uint32_t rt_thread_in_proc(void);

#define RT_FD_PATH_BYTES 64
void rt_thread_fd_path(uint32_t tid, int fd, char ret_path[RT_FD_PATH_BYTES]);
bool rt_thread_is_own(void); /* false in the program's threads */

/* The signals that a thread of the program must never block: a page fault of its own. */
#define RT_FAULT_SIGNALS (1ull << (SIGBUS - 1) | 1ull << (SIGSEGV - 1) | 1ull << (SIGSYS - 1))

/* All others are blocked from now on; *ret_old is the mask to go back to. */
void rt_signals_block(uint64_t *ret_old);
void rt_signals_restore(uint64_t old);

#endif
