/* SPDX-License-Identifier: MIT */
/*
 * Calls on memory by number: as if the C library's function had been called.
 *
 * The signal engine's filter catches those with an address of the window, whoever makes them.
 * What comes through syscall(3) is seen here, with each engine, and also where no address says
 * that it is the manager's: a mapping that the kernel may place, a lock of all memory.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "run/fork.h"
#include "run/interpose.h"
#include "run/next.h"
#include "run/trap.h"

bool rt_do_memory(long nr, const long *a, long *ret_ret)
{
	void *addr = (void *)a[0];
	size_t len = (size_t)a[1];

	switch (nr) {
	case SYS_mmap:
		*ret_ret = rt_do_mmap(addr, len, (int)a[2], (int)a[3], (int)a[4], a[5]);
		return true;
	case SYS_munmap:
		*ret_ret = rt_do_munmap(addr, len);
		return true;
	case SYS_mprotect:
		*ret_ret = rt_do_mprotect(addr, len, (int)a[2]);
		return true;
	case SYS_pkey_mprotect:
		*ret_ret = rt_do_pkey_mprotect(addr, len, (int)a[2], (int)a[3]);
		return true;
	case SYS_mremap:
		*ret_ret = rt_do_mremap(addr, len, (size_t)a[2], (int)a[3], (void *)a[4]);
		return true;
	case SYS_madvise:
		*ret_ret = rt_do_madvise(addr, len, (int)a[2]);
		return true;
	case SYS_mlock:
		*ret_ret = rt_do_mlock(addr, len, 0);
		return true;
	case SYS_mlock2:
		*ret_ret = rt_do_mlock(addr, len, (unsigned int)a[2]);
		return true;
	case SYS_munlock:
		*ret_ret = rt_do_munlock(addr, len);
		return true;
	case SYS_mlockall:
		*ret_ret = rt_do_mlockall((int)a[0]);
		return true;
	case SYS_munlockall:
		*ret_ret = rt_do_munlockall();
		return true;
	default:
		return false;
	}
}

/* As in the C library all six arguments are taken, given or not. */
EXPORT long syscall(long nr, ...)
{
	long a[TRAP_ARGS], ret;
	va_list args;

	va_start(args, nr);
	for (unsigned int i = 0; i < TRAP_ARGS; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (nr == SYS_ioctl)
		return ioctl((int)a[0], (unsigned long)a[1], a[2]);
	if (nr == SYS_vmsplice)
		return vmsplice((int)a[0], (const struct iovec *)a[1], (size_t)a[2],
				(unsigned int)a[3]);
	if (rt_do_memory(nr, a, &ret) || rt_fork_do_clone(nr, a, &ret))
		return rt_answer(ret);
	/* The filter knows what it does by where its code lies. */
	return NEXT(syscall)(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
