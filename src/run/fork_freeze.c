/* SPDX-License-Identifier: MIT */
/*
 * The service thread's side of a fork: the manager at rest.
 */
#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>

#include "run/fork.h"
#include "run/runtime.h"
#include "swapdev/file.h"

#define FREEZE_TIMEOUT_NS (10 * RT_SECOND)
#define POLL_NS		  (RT_SECOND / 1000)

/* Until swap I/O ends, for a millisecond at most. */
static void wait_for_io(struct runtime *rt)
{
	struct timespec timeout = {.tv_nsec = POLL_NS};
	struct pollfd fds[RUN_AREAS_MAX];

	for (unsigned int i = 0; i < rt->nr_swapdevs; i++)
		fds[i] = (struct pollfd){swapdev_file_event_fd(rt->swapdevs[i]), POLLIN, 0};
	sys_call6(SYS_ppoll, (long)fds, rt->nr_swapdevs, (long)&timeout, 0, 0, 0);
}

/**
 * rt_fork_freeze() - bring the manager to rest, and let the child's entry own what ours owns.
 * @args: the forking thread's number; the child's entry.
 *
 * Return: 0; -EBUSY: the kernel holds a page; -ETIMEDOUT. Then nothing is frozen.
 */
long rt_fork_freeze(struct runtime *rt, const uint64_t *args)
{
	uint64_t give_up_ns = rt_now_ns() + FREEZE_TIMEOUT_NS;
	int err;

	rt_gate_close(&rt->gate);
	while ((err = mm_fork_prepare(rt->mm)) != 0 && rt_now_ns() < give_up_ns)
		wait_for_io(rt);
	if (err) {
		mm_fork_parent(rt->mm, false);
		rt_gate_open(&rt->gate);
		return err == -EAGAIN ? -ETIMEDOUT : err;
	}
	run_share_fork(&rt->map, rt->slot, (unsigned int)args[1]);
	rt->is_frozen = true;
	return 0;
}

/**
 * rt_fork_thaw() - in the parent, after the fork.
 *
 * It does not know whether there is a child; if there is none its entry is dead, and the slots
 * that it shares with us are taken back with it.
 *
 * Return: 0.
 */
long rt_fork_thaw(struct runtime *rt, const uint64_t *args)
{
	(void)args;
	if (!rt->is_frozen)
		return 0;
	mm_fork_parent(rt->mm, true);
	rt->is_frozen = false;
	rt_gate_open(&rt->gate);
	return 0;
}

/**
 * rt_frozen_work() - what the service thread does while a fork is under way.
 *
 * Return: how long it may sleep, ns.
 */
uint64_t rt_frozen_work(struct runtime *rt)
{
	return rt->is_frozen ? POLL_NS : RT_FOREVER;
}
