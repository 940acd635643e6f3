/* SPDX-License-Identifier: MIT */
/*
 * fork() and clone(), as the program calls them.
 *
 * What matters is done by the handlers in fork.c, which the C library calls also where it forks
 * by itself (daemon(), forkpty()). Here is what they cannot do:
 *
 * - fail. A run has room for so many processes; fork() says EAGAIN then, as at RLIMIT_NPROC.
 * - leave the stack. A program may run on memory that it got from mmap() or malloc()
 *   (coroutines), which is managed, and managed memory is frozen from the handler before the
 *   fork to the one after it. So the C library's fork() is called on another stack then.
 *
 * A clone() or clone3() whose child has its own copy of memory is a fork, too, of which the C
 * library's list is not told (sandboxes make their children so, in namespaces of their own).
 */
#include <errno.h>
#include <linux/sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/bequest.h"
#include "run/fork.h"
#include "run/interpose.h"
#include "run/next.h"
#include "run/runtime.h"
#include "run/trap.h"

#define STACK_BYTES ((size_t)256 * 1024) /* the program's own handlers run on it, too */

int clone(int (*fn)(void *arg), void *stack, int flags, void *arg, ...);
extern pid_t __fork(void); /* glibc's, by its other name */

static __thread struct rt_bequest *own_bequest;

/* The stack that this is called on may be the program's, and so managed. */
static void *call_elsewhere(void *(*fn)(void *arg), void *arg)
{
	long stack = sys_call6(SYS_mmap, 0, STACK_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *ret;

	if (sys_is_error(stack))
		return (void *)-ENOMEM;
	ret = rt_run_on_stack(fn, arg, (char *)stack + STACK_BYTES);
	sys_call2(SYS_munmap, stack, STACK_BYTES);
	return ret;
}

static long call_unmanaged(void *(*fn)(void *arg), void *arg)
{
	char *here = __builtin_frame_address(0);
	bool is_managed = rt_touches_window(&rt_runtime, (vaddr_t)here, 1);

	return (long)(is_managed ? call_elsewhere(fn, arg) : fn(arg));
}

static void *fork_here(void *arg)
{
	pid_t pid = __fork();

	(void)arg;
	return (void *)(pid < 0 ? -(long)errno : pid);
}

/**
 * rt_fork_take_bequest() - what fork() has made already for the child of this thread's fork.
 *
 * Return: false where fork() was not called by the program.
 */
bool rt_fork_take_bequest(struct rt_bequest *ret_bequest)
{
	if (!own_bequest)
		return false;
	*ret_bequest = *own_bequest;
	own_bequest = NULL;
	return true;
}

EXPORT pid_t fork(void)
{
	struct rt_bequest bequest;

	if (!rt_is_managed())
		return __fork();
	if (rt_bequest_make(&rt_runtime, &bequest)) {
		errno = EAGAIN;
		return -1;
	}
	own_bequest = &bequest;
	return (pid_t)rt_answer(call_unmanaged(fork_here, NULL));
}

/* -- clone(2) of a process -- */

struct cloning {
	long nr;
	struct clone_args clone;
	long args[TRAP_ARGS];
};

static void *clone_here(void *arg)
{
	struct cloning c = *(const struct cloning *)arg; /* that may lie in managed memory */

	if (c.nr == SYS_clone3)
		c.args[0] = (long)&c.clone;
	return (void *)rt_fork_by(c.nr, c.args);
}

/* The kernel found nothing where the child's number is to be. */
static void put_number(uint64_t flags, uint64_t flag, uint64_t at, long pid)
{
	if ((flags & flag) && trap_is_inside((void *)at))
		*(pid_t *)at = (pid_t)pid;
}

static long clone_process(struct cloning *c)
{
	long pid = call_unmanaged(clone_here, c);

	if (pid > 0)
		put_number(c->clone.flags, CLONE_PARENT_SETTID, c->clone.parent_tid, pid);
	if (pid == 0)
		put_number(c->clone.flags, CLONE_CHILD_SETTID, c->clone.child_tid,
			   sys_call2(SYS_gettid, 0, 0));
	return pid;
}

static bool take_arguments(struct cloning *c, long nr, const long *args)
{
	uint64_t size = (uint64_t)args[1];

	*c = (struct cloning){.nr = nr};
	memcpy(c->args, args, sizeof(c->args));
	if (nr == SYS_clone) {
		c->clone.flags = (uint64_t)args[0];
		c->clone.stack = (uint64_t)args[1];
		c->clone.parent_tid = (uint64_t)args[2];
		c->clone.child_tid = (uint64_t)args[3];
	} else if (nr == SYS_clone3) {
		return size <= sizeof(c->clone) &&
		       trap_copy(&c->clone, (void *)args[0], size) == 0;
	}
	return true;
}

/**
 * rt_fork_do_clone() - a clone(2) that is a fork: the child has its own copy of memory.
 *
 * Return: false if it is another call, or one that is not known; for the kernel, then. So is
 * one within a fork: the C library's handlers, and so ours, have been called around it
 * (Firefox does so), and the child is set up by them, or at its first touch.
 */
bool rt_fork_do_clone(long nr, const long *args, long *ret_ret)
{
	struct cloning c;

	if ((nr != SYS_fork && nr != SYS_clone && nr != SYS_clone3) || !rt_is_managed() ||
	    !take_arguments(&c, nr, args) || (c.clone.flags & CLONE_VM) || c.clone.stack ||
	    rt_fork_is_own())
		return false;
	*ret_ret = clone_process(&c);
	return true;
}

struct start {
	int (*fn)(void *arg);
	void *arg;
};

static void *run_child(void *arg)
{
	const struct start *start = arg;

	_exit(start->fn(start->arg));
}

EXPORT int clone(int (*fn)(void *arg), void *stack, int flags, void *arg, ...)
{
	struct start start = {fn, arg};
	pid_t *parent_tid, *child_tid;
	va_list rest;
	void *tls;
	long ret;

	va_start(rest, arg);
	parent_tid = va_arg(rest, pid_t *);
	tls = va_arg(rest, void *);
	child_tid = va_arg(rest, pid_t *);
	va_end(rest);
	if (!fn || !stack ||
	    !rt_fork_do_clone(SYS_clone,
			      (const long[TRAP_ARGS]){flags, 0, (long)parent_tid,
						      (long)child_tid, (long)tls},
			      &ret))
		return NEXT(clone)(fn, stack, flags, arg, parent_tid, tls, child_tid);
	if (ret == 0)
		rt_run_on_stack(run_child, &start, (void *)((uintptr_t)stack & ~15ul));
	return (int)rt_answer(ret);
}
