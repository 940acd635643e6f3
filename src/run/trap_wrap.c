/* SPDX-License-Identifier: MIT */
/*
 * The C library's functions that make system calls, as the program gets to see them where the
 * signal engine resolves faults.
 *
 * Those that are called often (read, write, ...) come here to save the signal that catching the
 * call costs; those whose structures hold addresses, because the filter cannot see these. With
 * nothing in the window, and with the thread engine, they are the C library's own.
 *
 * A call that the C library makes for itself does not come here. The filter catches it if an
 * address in the window is among its arguments.
 *
 * Cancellation points stay that: where the call is made here, a thread can be cancelled while
 * it waits in the kernel.
 */
#undef _FILE_OFFSET_BITS /* it renames pread to pread64, and both are defined here */

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/syscall.h"
#include "run/interpose.h"
#include "run/next.h"
#include "run/runtime.h"
#include "run/swap_read.h"
#include "run/trap.h"

#define SMALL_BYTES  1000 /* as in trap_call.c, with room for a name */
#define MEDIUM_BYTES 65536

static bool is_caught(const void *addr)
{
	return trap_is_inside(addr) && rt_is_by_signal();
}

/*
 * Data that is best moved from here. What has no room on this stack is better let be caught,
 * for there is room on the stack of signals; the next larger needs a mapping in either case.
 */
static bool data_is_caught(const void *buf, size_t n)
{
	return is_caught(buf) && (n <= SMALL_BYTES || n > MEDIUM_BYTES);
}

/* Where a thread may be cancelled. */
static long do_cancellable(long nr, const long *args)
{
	int old;
	long ret;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	ret = trap_do(nr, args);
	pthread_setcanceltype(old, &old);
	return rt_answer(ret);
}

/* Nothing of it is in the window; where the C library makes it, it would be caught. */
static long pass_cancellable(long nr, const long *a)
{
	int old;
	long ret;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	ret = trap_kernel(nr, a);
	pthread_setcanceltype(old, &old);
	return rt_answer(ret);
}

#define PASS(nr, ...) pass_cancellable((nr), (const long[TRAP_ARGS]){__VA_ARGS__})
#define DO(nr, ...)   do_cancellable((nr), (const long[TRAP_ARGS]){__VA_ARGS__})

/* -- Data -- */

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	if (data_is_caught(buf, n))
		return DO(SYS_read, fd, (long)buf, (long)n);
	return NEXT(read)(fd, buf, n);
}

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	if (data_is_caught(buf, n))
		return DO(SYS_write, fd, (long)buf, (long)n);
	return NEXT(write)(fd, buf, n);
}

#define PREAD(name)                                                               \
	EXPORT ssize_t name(int fd, void *buf, size_t n, off64_t at);             \
	EXPORT ssize_t name(int fd, void *buf, size_t n, off64_t at)              \
	{                                                                         \
		if (data_is_caught(buf, n))                                       \
			return DO(SYS_pread64, fd, (long)buf, (long)n, (long)at); \
		return NEXT(name)(fd, buf, n, at);                                \
	}

#define PWRITE(name)                                                               \
	EXPORT ssize_t name(int fd, const void *buf, size_t n, off64_t at);        \
	EXPORT ssize_t name(int fd, const void *buf, size_t n, off64_t at)         \
	{                                                                          \
		if (data_is_caught(buf, n))                                        \
			return DO(SYS_pwrite64, fd, (long)buf, (long)n, (long)at); \
		return NEXT(name)(fd, buf, n, at);                                 \
	}

PREAD(pread)
PREAD(pread64)
PWRITE(pwrite)
PWRITE(pwrite64)

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	if (data_is_caught(buf, n))
		return DO(SYS_sendto, fd, (long)buf, (long)n, flags);
	return NEXT(send)(fd, buf, n, flags);
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	if (data_is_caught(buf, n))
		return DO(SYS_recvfrom, fd, (long)buf, (long)n, flags);
	return NEXT(recv)(fd, buf, n, flags);
}

EXPORT int poll(struct pollfd *fds, nfds_t nr, int timeout)
{
	if (is_caught(fds))
		return (int)DO(SYS_poll, (long)fds, (long)nr, timeout);
	return NEXT(poll)(fds, nr, timeout);
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	if (is_caught(events) && max > 0)
		return (int)DO(SYS_epoll_wait, fd, (long)events, max, timeout);
	return NEXT(epoll_wait)(fd, events, max, timeout);
}

/* -- Vectors -- */

static bool vector_is_caught(const struct iovec *iov, size_t nr)
{
	if (!rt_is_by_signal())
		return false;
	if (trap_is_inside(iov))
		return true;
	for (size_t i = 0; iov && i < nr && i < IOV_MAX; i++)
		if (iov[i].iov_len > 0 && trap_is_inside(iov[i].iov_base))
			return true;
	return false;
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int nr)
{
	if (nr > 0 && vector_is_caught(iov, (size_t)nr))
		return DO(SYS_readv, fd, (long)iov, nr);
	if (rt_is_by_signal())
		return PASS(SYS_readv, fd, (long)iov, nr);
	return NEXT(readv)(fd, iov, nr);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int nr)
{
	if (nr > 0 && vector_is_caught(iov, (size_t)nr))
		return DO(SYS_writev, fd, (long)iov, nr);
	if (rt_is_by_signal())
		return PASS(SYS_writev, fd, (long)iov, nr);
	return NEXT(writev)(fd, iov, nr);
}

#define PVECTOR(name, syscall)                                                    \
	EXPORT ssize_t name(int fd, const struct iovec *iov, int nr, off64_t at); \
	EXPORT ssize_t name(int fd, const struct iovec *iov, int nr, off64_t at)  \
	{                                                                         \
		if (nr > 0 && vector_is_caught(iov, (size_t)nr))                  \
			return DO((syscall), fd, (long)iov, nr, (long)at);        \
		if (rt_is_by_signal())                                            \
			return PASS((syscall), fd, (long)iov, nr, (long)at);      \
		return NEXT(name)(fd, iov, nr, at);                               \
	}

PVECTOR(preadv, SYS_preadv)
PVECTOR(preadv64, SYS_preadv)
PVECTOR(pwritev, SYS_pwritev)
PVECTOR(pwritev64, SYS_pwritev)

static bool message_is_caught(const struct msghdr *msg)
{
	return rt_is_by_signal() && msg &&
	       (trap_is_inside(msg) || trap_is_inside(msg->msg_name) ||
		trap_is_inside(msg->msg_control) ||
		vector_is_caught(msg->msg_iov, msg->msg_iovlen));
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (message_is_caught(msg))
		return DO(SYS_sendmsg, fd, (long)msg, flags);
	if (rt_is_by_signal())
		return PASS(SYS_sendmsg, fd, (long)msg, flags);
	return NEXT(sendmsg)(fd, msg, flags);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	if (message_is_caught(msg))
		return DO(SYS_recvmsg, fd, (long)msg, flags);
	if (rt_is_by_signal())
		return PASS(SYS_recvmsg, fd, (long)msg, flags);
	return NEXT(recvmsg)(fd, msg, flags);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int nr, int flags)
{
	for (unsigned int i = 0; i < nr && i < IOV_MAX; i++)
		if (message_is_caught(&msgs[i].msg_hdr))
			return (int)DO(SYS_sendmmsg, fd, (long)msgs, nr, flags);
	if (rt_is_by_signal())
		return (int)PASS(SYS_sendmmsg, fd, (long)msgs, nr, flags);
	return NEXT(sendmmsg)(fd, msgs, nr, flags);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int nr, int flags,
		    struct timespec *timeout)
{
	for (unsigned int i = 0; i < nr && i < IOV_MAX; i++)
		if (message_is_caught(&msgs[i].msg_hdr))
			return (int)DO(SYS_recvmmsg, fd, (long)msgs, nr, flags, (long)timeout);
	if (rt_is_by_signal())
		return (int)PASS(SYS_recvmmsg, fd, (long)msgs, nr, flags, (long)timeout);
	return NEXT(recvmmsg)(fd, msgs, nr, flags, timeout);
}

EXPORT ssize_t process_vm_readv(pid_t pid, const struct iovec *here, unsigned long nr_here,
				const struct iovec *there, unsigned long nr,
				unsigned long flags)
{
	if (rt_is_by_signal())
		return DO(SYS_process_vm_readv, pid, (long)here, (long)nr_here, (long)there,
			  (long)nr, (long)flags);
	return NEXT(process_vm_readv)(pid, here, nr_here, there, nr, flags);
}

EXPORT ssize_t process_vm_writev(pid_t pid, const struct iovec *here, unsigned long nr_here,
				 const struct iovec *there, unsigned long nr,
				 unsigned long flags)
{
	if (rt_is_by_signal())
		return DO(SYS_process_vm_writev, pid, (long)here, (long)nr_here, (long)there,
			  (long)nr, (long)flags);
	return NEXT(process_vm_writev)(pid, here, nr_here, there, nr, flags);
}

/* -- Structures that may hold addresses -- */

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	long arg;

	va_start(args, request);
	arg = va_arg(args, long);
	va_end(args);
	if (!rt_is_by_signal())
		return NEXT(ioctl)(fd, request, arg);
	return (int)rt_answer(
		trap_do(SYS_ioctl, (const long[TRAP_ARGS]){fd, (long)request, arg}));
}

EXPORT int prctl(int option, ...)
{
	long a[TRAP_ARGS] = {option};
	va_list args;

	va_start(args, option);
	for (unsigned int i = 1; i < 5; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	/* Names would make two areas of what is one to the machine. */
	if (rt_is_managed() && option == PR_SET_VMA && trap_is_inside((void *)a[2]))
		return (int)rt_answer(-EINVAL);
	if (!rt_is_by_signal())
		return NEXT(prctl)(option, a[1], a[2], a[3], a[4]);
	return (int)rt_answer(trap_do(SYS_prctl, a));
}

/* -- Descriptors of the runtime are nobody's to close -- */

/* The first of them in [from, last]; last + 1 if there is none. */
static uint64_t next_ours(uint64_t from, uint64_t last)
{
	uint64_t machine = (uint64_t)rt_runtime.signal_fd;
	uint64_t next = rt_swap_read_next(from);

	if (machine > 0 && machine >= from)
		next = min_u64(next, machine);
	return min_u64(next, last + 1);
}

static bool is_ours(int fd)
{
	return rt_is_by_signal() && fd > 0 &&
	       next_ours((uint64_t)fd, (uint64_t)fd) == (uint64_t)fd;
}

EXPORT int close(int fd)
{
	return is_ours(fd) ? (int)rt_answer(-EBADF) : NEXT(close)(fd);
}

EXPORT int dup2(int fd, int to)
{
	return is_ours(to) || is_ours(fd) ? (int)rt_answer(-EBADF) : NEXT(dup2)(fd, to);
}

EXPORT int dup3(int fd, int to, int flags)
{
	return is_ours(to) || is_ours(fd) ? (int)rt_answer(-EBADF) : NEXT(dup3)(fd, to, flags);
}

static long close_range_around(unsigned int first, unsigned int last, int flags)
{
	uint64_t from = first;
	long err = 0;

	if (!rt_is_by_signal() || first > last)
		return TRAP_KERNEL(SYS_close_range, first, last, flags);
	while (!err && from <= last) {
		uint64_t ours = next_ours(from, last);

		if (from < ours)
			err = TRAP_KERNEL(SYS_close_range, (long)from, (long)(ours - 1), flags);
		from = ours + 1;
	}
	return err;
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	return (int)rt_answer(close_range_around(first, last, flags));
}

EXPORT void closefrom(int first)
{
	if (rt_is_by_signal())
		close_range_around(first < 0 ? 0 : (unsigned int)first, ~0u, 0);
	else
		NEXT(closefrom)(first);
}
