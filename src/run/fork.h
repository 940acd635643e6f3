/* SPDX-License-Identifier: MIT */
/*
 * fork() of a managed process: the program's side (fork.c), the service thread's
 * (fork_freeze.c).
 */
#ifndef RUN_FORK_H
#define RUN_FORK_H

#include "machine/host.h"

struct rt_bequest;
struct runtime;

int rt_fork_init(void);
bool rt_fork_child_on_demand(void);
long rt_fork_by(long nr, const long *args);
bool rt_fork_do_clone(long nr, const long *args, long *ret_ret);
bool rt_fork_take_bequest(struct rt_bequest *ret_bequest);

long rt_fork_freeze(struct runtime *rt, const uint64_t *args);
long rt_fork_thaw(struct runtime *rt, const uint64_t *args);
uint64_t rt_frozen_work(struct runtime *rt);
bool rt_frozen_serve(struct runtime *rt, const struct machine_host_fault *fault);

bool rt_fork_is_own(void);

#endif
