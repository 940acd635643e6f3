/* SPDX-License-Identifier: MIT */
/*
 * System calls that trap_call.c cannot know by their arguments alone: those on memory itself
 * are the manager's, those on signals action.c's; others have addresses inside of structures.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/mman.h> /* what the C library's header leaves out */
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "base/checked.h"
#include "base/syscall.h"
#include "run/action.h"
#include "run/interpose.h"
#include "run/spawn.h"
#include "run/trap.h"

#define EXEC_TRIES_MAX 1000
#define WAITV_TRIES    100	 /* each fails only if a page has gone out in the meantime */
#define STRINGS_MAX    (1 << 20) /* more than the kernel takes */

/* -- Signals -- */

static bool fetch(void *to, long from, size_t len)
{
	return from == 0 || trap_copy(to, (void *)from, len) == 0;
}

static bool store(long to, const void *from, size_t len)
{
	return to == 0 || trap_copy((void *)to, from, len) == 0;
}

static long do_sigaction(const long *a)
{
	struct rt_action new_action, old;
	long ret;

	if (!fetch(&new_action, a[1], sizeof(new_action)))
		return -EFAULT;
	ret = rt_do_sigaction((int)a[0], a[1] ? &new_action : NULL, &old);
	return ret == 0 && !store(a[2], &old, sizeof(old)) ? -EFAULT : ret;
}

static long do_sigprocmask(const long *a)
{
	uint64_t set, old;
	long ret;

	if (!fetch(&set, a[1], sizeof(set)))
		return -EFAULT;
	ret = rt_do_sigprocmask((int)a[0], a[1] ? &set : NULL, &old);
	return ret == 0 && !store(a[2], &old, sizeof(old)) ? -EFAULT : ret;
}

/**
 * trap_sigaltstack() - sigaltstack(2).
 * @sp: the stack that the call was made on; this is another.
 *
 * Context: as trap_do().
 */
long trap_sigaltstack(const long *args, vaddr_t sp)
{
	stack_t stack, old;
	long ret;

	if (!fetch(&stack, args[0], sizeof(stack)))
		return -EFAULT;
	ret = rt_do_sigaltstack(args[0] ? &stack : NULL, &old, sp);
	return ret == 0 && !store(args[1], &old, sizeof(old)) ? -EFAULT : ret;
}

static bool do_signal(long nr, const long *args, long *ret_ret)
{
	if (nr == SYS_rt_sigaction)
		*ret_ret = do_sigaction(args);
	else if (nr == SYS_rt_sigprocmask)
		*ret_ret = do_sigprocmask(args);
	else
		return false;
	return true;
}

/* -- exec -- */

/* Brings a string in. Return: false if it does not end. */
static bool touch_string(vaddr_t va)
{
	for (unsigned int i = 0; i < STRINGS_MAX; i++) {
		size_t len = PAGE_SIZE - (va & ~PAGE_MASK);

		if (!trap_is_inside((void *)va))
			return true;
		if (!trap_touch(va, 1))
			return false;
		if (memchr((void *)va, 0, len))
			return true;
		va += len;
	}
	return false;
}

static void touch_strings(vaddr_t array)
{
	vaddr_t string;

	for (unsigned int i = 0; array && i < STRINGS_MAX; i++, array += sizeof(string)) {
		if (trap_copy(&string, (void *)array, sizeof(string)) != 0 || string == 0)
			return;
		touch_string(string);
	}
}

/**
 * trap_touch_strings() - bring in what a program is executed with.
 *
 * Context: as trap_do().
 */
void trap_touch_strings(const char *path, char *const *argv, char *const *envp)
{
	touch_string((vaddr_t)path);
	touch_strings((vaddr_t)argv);
	touch_strings((vaddr_t)envp);
}

/* It fails with EFAULT before it has changed anything, so it can be tried again. */
static long do_exec(long nr, const long *a)
{
	unsigned int at = nr == SYS_execveat; /* the path's place */
	long ret = -EFAULT;

	for (unsigned int i = 0; i < EXEC_TRIES_MAX && ret == -EFAULT; i++) {
		trap_touch_strings((const char *)a[at], (char *const *)a[at + 1],
				   (char *const *)a[at + 2]);
		rt_exec_begins();
		ret = trap_kernel(nr, a);
	}
	return ret;
}

/* -- select -- */

/* The last argument of pselect6(2). */
struct select_mask {
	const uint64_t *set;
	uint64_t bytes;
};

static long do_select(long nr, const long *args)
{
	struct trap_call call = *trap_lookup(nr);
	uint64_t fds = (uint64_t)args[0] < UINT16_MAX ? (uint64_t)args[0] : UINT16_MAX;
	long a[TRAP_ARGS];
	struct select_mask mask;
	uint64_t set;

	memcpy(a, args, sizeof(a));
	for (unsigned int i = 1; i <= 3; i++)
		call.args[i] = (struct trap_arg){TRAP_INOUT, TRAP_FIXED,
						 (uint16_t)((fds + 63) / 64 * 8)};
	if (nr == SYS_pselect6 && a[5]) {
		if (!fetch(&mask, a[5], sizeof(mask)) ||
		    !fetch(&set, (long)mask.set, sizeof(set)))
			return -EFAULT;
		if (mask.set)
			mask.set = &set;
		a[5] = (long)&mask;
		call.args[5].kind = TRAP_NONE;
	}
	return trap_do_as(&call, nr, a);
}

/* -- Others -- */

static long do_vmsplice(const long *a)
{
	struct iovec iov[IOV_MAX];
	size_t nr = (size_t)a[2];

	if (nr > IOV_MAX)
		return -EINVAL;
	if (trap_copy(iov, (void *)a[1], nr * sizeof(*iov)) != 0)
		return -EFAULT;
	return rt_do_vmsplice((int)a[0], iov, nr, (unsigned int)a[3]);
}

/*
 * Advice to memory of any process. What throws this one's away is the manager's; Linux before
 * 6.13 does not know it in this call.
 */
static long do_process_madvise(const long *a)
{
	struct iovec iov[IOV_MAX];
	size_t nr = (size_t)a[2];
	bool is_harmless = a[3] == MADV_COLD || a[3] == MADV_PAGEOUT || a[3] == MADV_WILLNEED ||
			   a[3] == MADV_COLLAPSE;

	if (nr > IOV_MAX)
		return -EINVAL;
	if (trap_copy(iov, (void *)a[1], nr * sizeof(*iov)) != 0)
		return -EFAULT;
	for (size_t i = 0; i < nr && !is_harmless; i++)
		if (trap_is_inside(iov[i].iov_base))
			return -EINVAL;
	return TRAP_KERNEL(SYS_process_madvise, a[0], (long)iov, (long)nr, a[3], a[4]);
}

static long do_futex_waitv(const long *a)
{
	struct futex_waitv waiters[FUTEX_WAITV_MAX];
	struct timespec timeout;
	size_t nr = (size_t)a[1];
	long ret = -EFAULT;

	if (nr > FUTEX_WAITV_MAX)
		return -EINVAL;
	if (!a[0] || !fetch(waiters, a[0], nr * sizeof(*waiters)) ||
	    !fetch(&timeout, a[3], sizeof(timeout)))
		return a[0] ? -EFAULT : -EINVAL;
	for (unsigned int n = 0; n < WAITV_TRIES && ret == -EFAULT; n++) {
		for (size_t i = 0; i < nr; i++)
			if (trap_is_inside((void *)waiters[i].uaddr))
				trap_touch(waiters[i].uaddr, sizeof(uint32_t));
		ret = TRAP_KERNEL(SYS_futex_waitv, (long)waiters, (long)nr, a[2],
				  a[3] ? (long)&timeout : 0, a[4]);
	}
	return ret;
}

/* What would have the kernel look at managed memory of its own accord, or split it in two. */
static bool is_refused(long nr, const long *args, long *ret_ret)
{
	if (nr == SYS_rseq)
		*ret_ret = -ENOSYS;
	else if (nr == SYS_prctl && args[0] == PR_SET_VMA)
		*ret_ret = -EINVAL; /* as where memory cannot be given names */
	else
		return false;
	return true;
}

/**
 * trap_do_special() - carry out a call that needs more than its arguments copied.
 *
 * Return: false if it is none of them.
 * Context: as trap_do().
 */
bool trap_do_special(long nr, const long *args, long *ret_ret)
{
	if (rt_do_memory(nr, args, ret_ret) || do_signal(nr, args, ret_ret) ||
	    trap_do_vector(nr, args, ret_ret) || is_refused(nr, args, ret_ret) ||
	    trap_do_inner(nr, args, ret_ret) || trap_do_seccomp(nr, args, ret_ret))
		return true;
	switch (nr) {
	case SYS_execve:
	case SYS_execveat:
		*ret_ret = do_exec(nr, args);
		return true;
	case SYS_select:
	case SYS_pselect6:
		*ret_ret = do_select(nr, args);
		return true;
	case SYS_vmsplice:
		*ret_ret = do_vmsplice(args);
		return true;
	case SYS_process_madvise:
		*ret_ret = do_process_madvise(args);
		return true;
	case SYS_futex_waitv:
		*ret_ret = do_futex_waitv(args);
		return true;
	default:
		return false;
	}
}
