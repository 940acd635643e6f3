/* SPDX-License-Identifier: MIT */
/*
 * Stacks outside of managed memory for signal handlers, one a thread (altstack.c).
 */
#ifndef RUN_ALTSTACK_H
#define RUN_ALTSTACK_H

#include <signal.h>
#include <ucontext.h>

#include "ration/types.h"

#define ALTSTACK_BYTES ((size_t)256 * 1024)

int rt_altstack_init(void);
bool rt_altstack_claim(stack_t *ret_stack);
bool rt_altstack_reserve(stack_t *ret_stack);
void rt_altstack_give(const stack_t *stack, uint32_t tid);
void rt_altstack_install(void);
void rt_altstack_arm(ucontext_t *context);
void rt_altstack_forked(void);
bool rt_altstack_contains(vaddr_t sp);
vaddr_t rt_altstack_top(vaddr_t sp);

#endif
