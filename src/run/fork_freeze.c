/* SPDX-License-Identifier: MIT */
/*
 * The service thread's side of a fork: the manager at rest, between FREEZE and THAW.
 *
 * The program's threads go on, until they touch managed memory: that waits for THAW. But the
 * forking thread may wait for one of them, or touch memory itself, before it reaches fork(2):
 * the C library locks its table of name services and reads it, and that is on the heap. So
 * faults are served here, without the manager: the thread gets a copy of its page, and the
 * frame keeps the content that the child inherits (machine/host_lend.c). The forking thread
 * gets it at once, the others after LEND_AFTER_NS: then it looks as if one of them is waited
 * for.
 *
 * A page that is not in a frame (fresh, or in swap) cannot be lent. For the forking thread the
 * freeze is undone, the fault served, and the freeze done again, with a new copy of the frames
 * where fork(2) makes none: the thread cannot fork meanwhile. For
 * the others nothing can be done, for the process might be copied at any moment; so after
 * GIVE_UP_NS the fork is given up. Whether that is safe is decided like this:
 *
 * 1. is_frozen is cleared before anything of the manager changes, and a child that finds it
 *    cleared does not run. (fork(2) copies memory page by page while other threads write, so
 *    clearing it and changing the manager could both be seen or missed by a fork under way.)
 * 2. After it is cleared, the forking thread must be seen asleep in futex(2). Then it is not in
 *    fork(2), and one that it makes later copies the cleared flag. If it is seen elsewhere the
 *    flag is set again: nothing has changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/assert.h"
#include "run/fork.h"
#include "run/outcome.h"
#include "run/port.h"
#include "run/runtime.h"
#include "run/swap_defer.h"
#include "swapdev/file.h"

#define FREEZE_TIMEOUT_NS (10 * RT_SECOND)
#define POLL_NS		  (RT_SECOND / 1000)
#define LEND_AFTER_NS	  (2 * RT_SECOND / 1000)
#define GIVE_UP_NS	  (3 * RT_SECOND)
#define LENT_MAX	  256 /* 1 MiB beyond the budget, for milliseconds */

struct lent {
	vaddr_t va;
	void *frame;
};

/* The service thread's own; in a fork's child it means nothing. */
static struct {
	int tid;	   /* who forks */
	uint32_t tid_proc; /* in /proc */
	unsigned int child_slot;
	int copy; /* its descriptor of rt_port_create_copy(); 0: none */
	uint64_t since_ns;
	struct lent lent[LENT_MAX];
	unsigned int nr_lent;
	struct machine_host_fault wanted; /* by the forking thread, and not in a frame */
	bool is_wanted;
} fz;

/* Until swap I/O ends, for a millisecond at most. */
static void wait_for_io(struct runtime *rt)
{
	struct timespec timeout = {.tv_nsec = POLL_NS};
	struct pollfd fds[RUN_AREAS_MAX];

	rt_swap_defer_drain();
	for (unsigned int i = 0; i < rt->nr_swapdevs; i++)
		fds[i] = (struct pollfd){swapdev_file_event_fd(rt->swapdevs[i]), POLLIN, 0};
	sys_call6(SYS_ppoll, (long)fds, rt->nr_swapdevs, (long)&timeout, 0, 0, 0);
}

/*
 * The gate is closed. Return: 0 with the manager at rest and all that the child is to have of
 * it copied, or given to its entry; or -errno with it awake.
 */
static int freeze(struct runtime *rt)
{
	uint64_t give_up_ns = rt_now_ns() + FREEZE_TIMEOUT_NS;
	int err;

	while (((err = mm_fork_prepare(rt->mm)) == -EAGAIN || err == -EBUSY) &&
	       rt_now_ns() < give_up_ns)
		wait_for_io(rt);
	if (!err)
		err = rt_port_copy(rt, fz.tid_proc, fz.copy);
	if (err) {
		mm_fork_parent(rt->mm, false);
		return err == -EAGAIN ? -ETIMEDOUT : err;
	}
	run_share_fork(&rt->map, rt->slot, fz.child_slot);
	return 0;
}

static void take_back_all(struct runtime *rt)
{
	for (unsigned int i = 0; i < fz.nr_lent; i++) {
		struct lent *lent = &fz.lent[i];
		int err = rt_port_take_back(rt, lent->va, lent->frame);

		MM_ASSERT(!err);
		mm_fork_frame_changed(rt->mm, lent->va);
	}
	fz.nr_lent = 0;
}

/**
 * rt_fork_freeze() - bring the manager to rest, and let the child's entry own what ours owns.
 * @args: the forking thread's number; the child's entry; the descriptor of its copy; the
 *	thread's number in /proc.
 *
 * Return: 0; -EBUSY: the kernel holds a page; -ETIMEDOUT; -errno of rt_port_copy(). Then
 * nothing is frozen.
 */
long rt_fork_freeze(struct runtime *rt, const uint64_t *args)
{
	int err;

	fz.tid = (int)args[0];
	fz.child_slot = (unsigned int)args[1];
	fz.copy = (int)args[2];
	fz.tid_proc = (uint32_t)args[3];
	rt_gate_close(&rt->gate);
	err = freeze(rt);
	if (err) {
		rt_gate_open(&rt->gate);
		return err;
	}
	fz.since_ns = rt_now_ns();
	fz.is_wanted = false;
	fz.nr_lent = 0; /* in a child what the parent had lent was copied, too */
	__atomic_store_n(&rt->is_frozen, true, __ATOMIC_SEQ_CST);
	return 0;
}

static void thaw(struct runtime *rt)
{
	take_back_all(rt);
	mm_fork_parent(rt->mm, true);
	rt_gate_open(&rt->gate);
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
	__atomic_store_n(&rt->is_frozen, false, __ATOMIC_SEQ_CST);
	thaw(rt);
	return 0;
}

static bool is_lent(vaddr_t va)
{
	for (unsigned int i = 0; i < fz.nr_lent; i++)
		if (fz.lent[i].va == va)
			return true;
	return false;
}

static bool lend(struct runtime *rt, const struct machine_host_fault *fault)
{
	void *frame = mm_fork_frame(rt->mm, fault->va);

	if (is_lent(fault->va)) { /* to another thread */
		rt_port_wake(rt, fault->va);
		return true;
	}
	if (!frame || fz.nr_lent == LENT_MAX || rt_port_lend(rt, fault->va, frame) != 0)
		return false;
	fz.lent[fz.nr_lent++] = (struct lent){fault->va, frame};
	return true;
}

/**
 * rt_frozen_serve() - a fault while a fork is under way.
 *
 * Return: false if it has to wait.
 */
bool rt_frozen_serve(struct runtime *rt, const struct machine_host_fault *fault)
{
	bool is_forker = fault->tid == fz.tid;

	if (!is_forker && rt_now_ns() - fz.since_ns < LEND_AFTER_NS)
		return false;
	if (lend(rt, fault))
		return true;
	if (is_forker) {
		fz.wanted = *fault;
		fz.is_wanted = true;
	}
	return false;
}

/*
 * The forking thread waits for a page that is in no frame. It goes on waiting while the page is
 * brought into one, so it cannot fork meanwhile; then the page can be lent.
 */
static enum mm_fault_result fetch(struct runtime *rt, const struct machine_host_fault *fault)
{
	uint64_t give_up_ns = rt_now_ns() + FREEZE_TIMEOUT_NS;
	enum mm_fault_result result;

	take_back_all(rt);
	mm_fork_parent(rt->mm, false);
	do {
		result = mm_fault(rt->mm, fault->va, fault->access | MM_ACCESS_FETCH);
		if (result == MM_FAULT_RETRY)
			wait_for_io(rt);
		mm_step(rt->sys, rt_now_ns(), 0);
	} while (result == MM_FAULT_RETRY && rt_now_ns() < give_up_ns);
	return result;
}

/* As if it had not been frozen, and was frozen only now. */
static void serve_wanted(struct runtime *rt)
{
	enum mm_fault_result result = fetch(rt, &fz.wanted);

	fz.is_wanted = false;
	if (result != MM_FAULT_MINOR && result != MM_FAULT_MAJOR)
		rt_fault_refused(rt, &fz.wanted, result);
	if (freeze(rt) == 0)
		return;
	__atomic_store_n(&rt->is_frozen, false, __ATOMIC_SEQ_CST);
	rt_gate_open(&rt->gate);
}

/* Is the forking thread asleep in futex(2)? */
static bool forker_sleeps(void)
{
	char path[64], text[16] = "";
	long fd;

	snprintf(path, sizeof(path), "/proc/self/task/%u/syscall", fz.tid_proc);
	fd = sys_call3(SYS_open, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	sys_call3(SYS_read, fd, (long)text, sizeof(text) - 1);
	sys_call2(SYS_close, fd, 0);
	return strncmp(text, "202 ", 4) == 0; /* SYS_futex */
}

static void give_up(struct runtime *rt)
{
	__atomic_store_n(&rt->is_frozen, false, __ATOMIC_SEQ_CST);
	if (forker_sleeps()) {
		rt_say(rt, "a fork of process %ld was given up: a thread holds what it needs",
		       sys_call2(SYS_getpid, 0, 0));
		thaw(rt);
	} else {
		__atomic_store_n(&rt->is_frozen, true, __ATOMIC_SEQ_CST);
	}
}

/**
 * rt_frozen_work() - what the service thread does while a fork is under way.
 *
 * Return: how long it may sleep, ns.
 */
uint64_t rt_frozen_work(struct runtime *rt)
{
	if (!rt->is_frozen)
		return RT_FOREVER;
	rt_engine_serve_frozen(rt, rt_frozen_serve);
	if (fz.is_wanted) {
		serve_wanted(rt);
		return 0;
	}
	if (rt_now_ns() - fz.since_ns > GIVE_UP_NS)
		give_up(rt);
	return POLL_NS;
}
