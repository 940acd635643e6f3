/* SPDX-License-Identifier: MIT */
/*
 * The calls on memory as system calls: a value, or -errno (interpose.c).
 */
#ifndef RUN_INTERPOSE_H
#define RUN_INTERPOSE_H

#include <errno.h>
#include <sys/types.h>

#include "base/syscall.h"

struct iovec;

/* The kernel's answer, or the service thread's, becomes the C library's. */
static inline long rt_answer(long ret)
{
	if (!sys_is_error(ret))
		return ret;
	errno = (int)-ret;
	return -1;
}

void rt_dlopen_init(void); /* dlopen_wrap.c */

long rt_do_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
long rt_do_munmap(void *addr, size_t len);
long rt_do_mprotect(void *addr, size_t len, int prot);
long rt_do_pkey_mprotect(void *addr, size_t len, int prot, int pkey);
long rt_do_mremap(void *addr, size_t old_len, size_t new_len, int flags, void *new_addr);
long rt_do_madvise(void *addr, size_t len, int advice);
long rt_do_mlock(const void *addr, size_t len, unsigned int flags);
long rt_do_munlock(const void *addr, size_t len);
long rt_do_mlockall(int flags);
long rt_do_munlockall(void);
long rt_do_vmsplice(int fd, const struct iovec *iov, size_t nr, unsigned int flags);

/* syscall_wrap.c: any of them but vmsplice, by number. Return: false if it is none. */
bool rt_do_memory(long nr, const long *args, long *ret_ret);

#endif
