/* SPDX-License-Identifier: MIT */
/*
 * The C library's calls on memory, as the program gets to see them.
 *
 * The dynamic linker binds the program's calls, and those of its libraries, to these. What is
 * not the manager's goes to the kernel as a raw system call, with the C library's meaning of
 * errno. The C library's own calls to itself (thread stacks, its loader's mappings) do not come
 * here, and the kernel never places a mapping in the window, which is taken.
 *
 * Those that are made by number come to the same functions: through syscall(3)
 * (syscall_wrap.c), or raw, with the signal engine, by its filter (trap_special.c). A program
 * that makes raw system calls on managed memory goes behind the manager's back with the thread
 * engine: docs/run.md says what happens then.
 */
#undef _FILE_OFFSET_BITS /* it renames mmap to mmap64, and both are defined here */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "run/interpose.h"
#include "run/next.h"
#include "run/route.h"
#include "run/runtime.h"
#include "run/service.h"
#include "run/trap.h"

/* glibc declares these with attributes and macros of its own that ours need not repeat. */
EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset);
EXPORT int pkey_mprotect(void *addr, size_t len, int prot, int pkey);

static bool touches(const void *addr, size_t len)
{
	return rt_is_managed() && rt_touches_window(&rt_runtime, (vaddr_t)addr, len ? len : 1);
}

static long ask(enum rt_op op, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	struct rt_request request = {.op = op, .args = {a, b, c, d, e}};

	return rt_service_call(&request);
}

/*
 * MAP_POPULATE: what Linux does before it returns. A page that can be written is made so that a
 * write does not fault: adding 0 changes nothing, whoever else writes.
 */
static void populate(char *start, size_t len, int prot)
{
	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		if (prot & PROT_WRITE)
			__atomic_fetch_add(start + at, 0, __ATOMIC_RELAXED);
		else if (prot & PROT_READ)
			(void)*(volatile char *)(start + at);
	}
}

static long map_managed(void *addr, size_t len, int prot, int flags)
{
	long ret = ask(RT_OP_MAP, (uint64_t)addr, len, (uint64_t)prot, (uint64_t)flags, 0);

	if (ret >= 0 && (flags & MAP_POPULATE))
		populate((char *)ret, len, prot);
	return ret;
}

/* The caller's descriptors are the caller's: it maps, the service thread puts it in place. */
static long map_foreign(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	int anywhere = flags & ~(MAP_FIXED | MAP_FIXED_NOREPLACE);
	long from, ret;

	if ((vaddr_t)addr & ~PAGE_MASK)
		return -EINVAL;
	from = sys_call6(SYS_mmap, 0, (long)len, prot, anywhere, fd, offset);
	if (sys_is_error(from))
		return from;
	ret = ask(RT_OP_PLACE, (uint64_t)addr, len, (uint64_t)prot, (uint64_t)flags,
		  (uint64_t)from);
	if (ret < 0)
		sys_call2(SYS_munmap, from, (long)len);
	return ret;
}

long rt_do_mmap(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	struct rt_window window = {rt_runtime.window_start, rt_runtime.window_end};
	enum rt_route route = RT_ROUTE_HOST;

	if (rt_is_managed() && ((uint64_t)offset & ~PAGE_MASK) == 0)
		route = rt_route_mmap(&window, (vaddr_t)addr, len, prot, flags);
	switch (route) {
	case RT_ROUTE_MANAGED:
		return map_managed(addr, len, prot, flags);
	case RT_ROUTE_FOREIGN:
		return map_foreign(addr, len, prot, flags, fd, offset);
	case RT_ROUTE_NO_ROOM:
		return -ENOMEM;
	default:
		return TRAP_KERNEL(SYS_mmap, (long)addr, (long)len, prot, flags, fd, offset);
	}
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return (void *)rt_answer(rt_do_mmap(addr, len, prot, flags, fd, offset));
}

EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	return (void *)rt_answer(rt_do_mmap(addr, len, prot, flags, fd, offset));
}

long rt_do_munmap(void *addr, size_t len)
{
	if (touches(addr, len))
		return ask(RT_OP_UNMAP, (uint64_t)addr, len, 0, 0, 0);
	return TRAP_KERNEL(SYS_munmap, (long)addr, (long)len);
}

EXPORT int munmap(void *addr, size_t len)
{
	return (int)rt_answer(rt_do_munmap(addr, len));
}

long rt_do_mprotect(void *addr, size_t len, int prot)
{
	if (touches(addr, len))
		return ask(RT_OP_PROTECT, (uint64_t)addr, len, (uint64_t)prot, 0, 0);
	return TRAP_KERNEL(SYS_mprotect, (long)addr, (long)len, prot);
}

EXPORT int mprotect(void *addr, size_t len, int prot)
{
	return (int)rt_answer(rt_do_mprotect(addr, len, prot));
}

/* Managed memory has no protection keys; key -1 means plain mprotect(). */
long rt_do_pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	if (pkey == -1)
		return rt_do_mprotect(addr, len, prot);
	if (touches(addr, len))
		return -EINVAL;
	return TRAP_KERNEL(SYS_pkey_mprotect, (long)addr, (long)len, prot, pkey);
}

EXPORT int pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	return (int)rt_answer(rt_do_pkey_mprotect(addr, len, prot, pkey));
}

long rt_do_mremap(void *addr, size_t old_len, size_t new_len, int flags, void *new_addr)
{
	bool goes_inside = (flags & MREMAP_FIXED) && touches(new_addr, new_len);

	if (touches(addr, old_len) || goes_inside)
		return ask(RT_OP_REMAP, (uint64_t)addr, old_len, new_len, (uint64_t)flags,
			   (uint64_t)new_addr);
	return TRAP_KERNEL(SYS_mremap, (long)addr, (long)old_len, (long)new_len, flags,
			   (long)new_addr);
}

EXPORT void *mremap(void *addr, size_t old_len, size_t new_len, int flags, ...)
{
	void *new_addr = NULL;
	va_list args;

	va_start(args, flags);
	if (flags & MREMAP_FIXED)
		new_addr = va_arg(args, void *);
	va_end(args);
	return (void *)rt_answer(rt_do_mremap(addr, old_len, new_len, flags, new_addr));
}

long rt_do_madvise(void *addr, size_t len, int advice)
{
	if (touches(addr, len))
		return ask(RT_OP_ADVISE, (uint64_t)addr, len, (uint64_t)advice, 0, 0);
	return TRAP_KERNEL(SYS_madvise, (long)addr, (long)len, advice);
}

EXPORT int madvise(void *addr, size_t len, int advice)
{
	return (int)rt_answer(rt_do_madvise(addr, len, advice));
}

/* Returns the error; POSIX_MADV_DONTNEED must not throw anything away, so glibc ignores it. */
EXPORT int posix_madvise(void *addr, size_t len, int advice)
{
	if (advice == POSIX_MADV_DONTNEED)
		return 0;
	return (int)-rt_do_madvise(addr, len, advice);
}

EXPORT int brk(void *addr)
{
	vaddr_t got;

	if (!rt_is_managed())
		got = (vaddr_t)TRAP_KERNEL(SYS_brk, (long)addr);
	else
		got = (vaddr_t)ask(RT_OP_BRK, (uint64_t)addr, 0, 0, 0, 0);
	return got < (vaddr_t)addr ? (int)rt_answer(-ENOMEM) : 0;
}

static long host_sbrk(intptr_t delta)
{
	long old = sys_call2(SYS_brk, 0, 0);
	long want;

	if (delta == 0)
		return old;
	if (__builtin_add_overflow(old, delta, &want) || want < 0 ||
	    sys_call2(SYS_brk, want, 0) != want)
		return -ENOMEM;
	return old;
}

EXPORT void *sbrk(intptr_t delta)
{
	if (!rt_is_managed())
		return (void *)rt_answer(host_sbrk(delta));
	return (void *)rt_answer(ask(RT_OP_SBRK, (uint64_t)delta, 0, 0, 0, 0));
}

static bool any_touches(const struct iovec *iov, size_t nr)
{
	for (size_t i = 0; i < nr && i < IOV_MAX; i++)
		if (iov[i].iov_len > 0 && touches(iov[i].iov_base, iov[i].iov_len))
			return true;
	return false;
}

/* Has the pipe room for PIPE_BUF bytes? 1, 0 (not within timeout_ms; -1: for ever), or -errno.
 */
static long pipe_has_room(int fd, int timeout_ms)
{
	struct pollfd poll = {.fd = fd, .events = POLLOUT};

	return sys_call3(SYS_poll, (long)&poll, 1, timeout_ms);
}

static long write_part(int fd, const char *from, size_t len)
{
	const long args[TRAP_ARGS] = {fd, (long)from, (long)len};

	return rt_is_by_signal() ? trap_do(SYS_write, args)
				 : sys_call3(SYS_write, fd, (long)from, (long)len);
}

/*
 * The pipe would keep the kernel's pages themselves, which no call of the manager can see: once
 * evicted they get another content before the reader has come. So they are written, which a
 * program that leaves them alone until they are read cannot tell from it. As vmsplice() does
 * it, this waits for room for the first byte only.
 */
static long write_pages(int fd, const struct iovec *iov, size_t nr, unsigned int flags)
{
	long ret, total = 0;

	for (size_t i = 0; i < nr; i++) {
		for (size_t at = 0; at < iov[i].iov_len; at += (size_t)ret) {
			size_t len = min_u64(iov[i].iov_len - at, PIPE_BUF);

			ret = pipe_has_room(fd, total || flags & SPLICE_F_NONBLOCK ? 0 : -1);
			if (ret > 0)
				ret = write_part(fd, (char *)iov[i].iov_base + at, len);
			if (ret <= 0)
				return total ? total : (ret ? ret : -EAGAIN);
			total += ret;
		}
	}
	return total;
}

long rt_do_vmsplice(int fd, const struct iovec *iov, size_t nr, unsigned int flags)
{
	long mode = sys_call3(SYS_fcntl, fd, F_GETFL, 0);
	bool is_source =
		sys_call3(SYS_fcntl, fd, F_GETPIPE_SZ, 0) > 0 && (mode & O_ACCMODE) != O_RDONLY;

	if (is_source && nr <= IOV_MAX && any_touches(iov, nr))
		return write_pages(fd, iov, nr, flags);
	return TRAP_KERNEL(SYS_vmsplice, fd, (long)iov, (long)nr, flags);
}

EXPORT ssize_t vmsplice(int fd, const struct iovec *iov, size_t nr, unsigned int flags)
{
	return rt_answer(rt_do_vmsplice(fd, iov, nr, flags));
}

/*
 * The network would keep the pages themselves, as a pipe would. Programs ask whether they may,
 * and send as ever if not.
 */
EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	const long args[TRAP_ARGS] = {fd, level, option, (long)value, (long)len};

	if (rt_is_managed() && level == SOL_SOCKET && option == SO_ZEROCOPY)
		return (int)rt_answer(-EOPNOTSUPP);
	if (rt_is_by_signal())
		return (int)rt_answer(trap_do(SYS_setsockopt, args));
	return (int)rt_answer(TRAP_KERNEL(SYS_setsockopt, fd, level, option, (long)value, len));
}

/* Of managed memory a part of the budget can be locked, as with RLIMIT_MEMLOCK (init.c). */
long rt_do_mlock(const void *addr, size_t len, unsigned int flags)
{
	if (len > 0 && touches(addr, len))
		return ask(RT_OP_LOCK, (uint64_t)addr, len, flags, 0, 0);
	if (flags == 0)
		return TRAP_KERNEL(SYS_mlock, (long)addr, (long)len);
	return TRAP_KERNEL(SYS_mlock2, (long)addr, (long)len, flags);
}

EXPORT int mlock(const void *addr, size_t len)
{
	return (int)rt_answer(rt_do_mlock(addr, len, 0));
}

EXPORT int mlock2(const void *addr, size_t len, unsigned int flags)
{
	return (int)rt_answer(rt_do_mlock(addr, len, flags));
}

long rt_do_munlock(const void *addr, size_t len)
{
	if (len > 0 && touches(addr, len))
		return ask(RT_OP_UNLOCK, (uint64_t)addr, len, 0, 0, 0);
	return TRAP_KERNEL(SYS_munlock, (long)addr, (long)len);
}

EXPORT int munlock(const void *addr, size_t len)
{
	return (int)rt_answer(rt_do_munlock(addr, len));
}

long rt_do_munlockall(void)
{
	if (rt_is_managed())
		ask(RT_OP_UNLOCK_ALL, 0, 0, 0, 0, 0);
	return TRAP_KERNEL(SYS_munlockall, 0);
}

EXPORT int munlockall(void)
{
	return (int)rt_answer(rt_do_munlockall());
}

/* Of all memory that would be more than the budget allows; programs are prepared for ENOMEM. */
long rt_do_mlockall(int flags)
{
	return rt_is_managed() ? -ENOMEM : TRAP_KERNEL(SYS_mlockall, flags);
}

EXPORT int mlockall(int flags)
{
	return (int)rt_answer(rt_do_mlockall(flags));
}
