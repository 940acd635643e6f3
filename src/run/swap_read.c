/* SPDX-License-Identifier: MIT */
/*
 * Swap that threads of the program read by themselves.
 *
 * The way by a thread of the runtime (swap_defer.c) costs two switches there and two back, on a
 * fast disk more than the read. So the program's file table has a descriptor of each swap area,
 * too, with a high number: for reading only, close-on-exec. What is read is waited for.
 *
 * The program may do with its descriptors what it likes. The C library's functions that would
 * close or replace these leave them alone (trap_wrap.c), a system call made past it does not:
 * then the number means nothing, or a file of the program's.
 *
 * 1. Content counts only if the number was the area after it was read: a program that replaces
 *    a descriptor does not put ours back, so then it was the area before, too. Otherwise the
 *    number is given up for good, and the page is read by the runtime's thread, over what may
 *    have been read by mistake.
 * 2. Nothing is ever written by these descriptors; they do not allow it.
 * 3. An error is not believed either: who has asked asks the runtime's thread.
 *
 * A fork copies the table, so the child has them too, and they are of the same areas. A process
 * that shares this memory with a table of its own (a vfork child) does not come here: its
 * faults are handed over (engine_signal.c).
 */
#include "run/swap_read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "run/runtime.h"
#include "run/thread.h"
#include "swapdev/file.h"
#include "swapdev/transfer.h"

static struct reader {
	int fd;		   /* (a) in the program's file table; 0: none, or no more */
	uint64_t dev, ino; /* (c) of the area */
} readers[RUN_AREAS_MAX];

static int fd_of(const struct reader *r)
{
	return __atomic_load_n(&r->fd, __ATOMIC_RELAXED);
}

static bool identify(int fd, struct reader *ret_is)
{
	struct stat stat;

	if (sys_call2(SYS_fstat, fd, (long)&stat))
		return false;
	ret_is->dev = stat.st_dev;
	ret_is->ino = stat.st_ino;
	return true;
}

/* Return: a number far from those that the program gets, closed by exec; -errno. */
static int move_up(int fd)
{
	struct rlimit limit = {.rlim_cur = 0};
	long high;

	sys_call2(SYS_getrlimit, RLIMIT_NOFILE, (long)&limit);
	if (limit.rlim_cur < RT_FD_MIN + RT_FDS_LEFT)
		return -EMFILE; /* it has few as it is */
	high = sys_call3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, RT_FD_MIN);
	return (int)high;
}

static void open_area(const struct runtime *rt, unsigned int area)
{
	struct reader *r = &readers[area];
	char path[RT_FD_PATH_BYTES];
	int fd, high, direct = swapdev_file_is_direct(rt->swapdevs[area]) ? O_DIRECT : 0;

	rt_thread_fd_path(rt->service_tid, rt->swap_fds[area], path);
	fd = (int)sys_call3(SYS_open, (long)path, O_RDONLY | O_CLOEXEC | direct, 0);
	if (fd < 0)
		return;
	high = identify(fd, r) ? move_up(fd) : -EBADF;
	sys_call2(SYS_close, fd, 0);
	if (high > 0)
		__atomic_store_n(&r->fd, high, __ATOMIC_RELAXED);
}

/**
 * rt_swap_read_open() - take descriptors of the swap areas into the program's file table.
 *
 * Where that fails, all is read by the runtime's threads.
 *
 * Context: the program's first thread, before main(); the swap areas are there.
 */
void rt_swap_read_open(struct runtime *rt)
{
	for (unsigned int i = 0; i < rt->nr_swapdevs; i++)
		open_area(rt, i);
}

static bool is_area(struct reader *r, int fd)
{
	struct reader is;

	if (identify(fd, &is) && is.dev == r->dev && is.ino == r->ino)
		return true;
	__atomic_store_n(&r->fd, 0, __ATOMIC_RELAXED);
	return false;
}

/**
 * rt_swap_read() - read neighbouring slots in this thread.
 * @area: its number.
 * @ios: reads of good slots.
 * @ret_done: the same, ended; room for @nr.
 *
 * Return: false if they cannot be read so; then their frames hold anything.
 * Context: a thread of the program, in the gate. Waits for the disk.
 */
bool rt_swap_read(unsigned int area, const struct swapdev_io *ios, unsigned int nr,
		  struct swapdev_io *ret_done)
{
	struct reader *r = &readers[area];
	int fd = fd_of(r);
	struct transfer t;

	if (fd <= 0 || transfer_init(&t, ios, nr) < nr)
		return false;
	transfer_run(&t, fd);
	if (!is_area(r, fd))
		return false;
	for (unsigned int i = 0; i < nr; i++) {
		if (t.err[i])
			return false;
		transfer_result(&t, i, &ret_done[i]);
	}
	return true;
}

/**
 * rt_swap_read_next() - the lowest of these descriptors.
 * @from: it is this number at least.
 *
 * Return: UINT64_MAX if there is none.
 */
uint64_t rt_swap_read_next(uint64_t from)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int i = 0; i < RUN_AREAS_MAX; i++) {
		int fd = fd_of(&readers[i]);

		if (fd > 0 && (uint64_t)fd >= from)
			next = min_u64(next, (uint64_t)fd);
	}
	return next;
}
