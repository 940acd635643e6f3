/* SPDX-License-Identifier: MIT */
/*
 * The program's signal handlers, as the program believes them to be (action.c).
 */
#ifndef RUN_ACTION_H
#define RUN_ACTION_H

#include <signal.h>
#include <stdint.h>

#include "ration/types.h"

/* What rt_sigaction(2) takes. */
struct rt_action {
	void *handler; /* SIG_DFL and SIG_IGN too */
	uint64_t flags;
	void *restorer;
	uint64_t mask;
};

int rt_actions_init(void);
void rt_actions_undo(void);
void rt_actions_forked(void);
vaddr_t rt_frame_place(vaddr_t from, size_t len, vaddr_t end);
void rt_action_deliver(int sig, siginfo_t *info, void *context);

/* As the system calls; the pointers may be to managed memory, and NULL. */
long rt_do_sigaction(int sig, const struct rt_action *new_action, struct rt_action *ret_old);
long rt_do_sigprocmask(int how, const uint64_t *set, uint64_t *ret_old);
long rt_do_sigaltstack(const stack_t *stack, stack_t *ret_old, vaddr_t sp);

#endif
