/* SPDX-License-Identifier: MIT */
/*
 * stat(2) of /proc/self/task, whose number of links counts threads: sandboxes look there
 * whether they are alone in their process (Chromium's end it if not). The runtime's threads
 * hold no state of the program's that could matter to them, and are not counted.
 *
 * Who reads the directory, or /proc/self/status, does see them.
 */
#undef _FILE_OFFSET_BITS /* it renames stat to stat64, and both are defined here */

#include <errno.h>
#include <sys/stat.h>

#include "run/next.h"
#include "run/runtime.h"
#include "run/thread.h"

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout");

/* Directories of /proc have no size, and are written by nobody. */
static bool may_be_task(const struct stat *st)
{
	return st->st_size == 0 && st->st_mode == (S_IFDIR | 0555) && st->st_nlink > 2;
}

static int leave_out(int ret, struct stat *st)
{
	struct stat task;
	int saved = errno;

	if (ret || !rt_is_managed() || !may_be_task(st))
		return ret;
	if (NEXT(stat)("/proc/self/task", &task) == 0 && task.st_dev == st->st_dev &&
	    task.st_ino == st->st_ino)
		st->st_nlink -= rt_thread_count();
	errno = saved;
	return 0;
}

EXPORT int stat(const char *path, struct stat *st)
{
	return leave_out(NEXT(stat)(path, st), st);
}

EXPORT int stat64(const char *path, struct stat64 *st)
{
	return leave_out(NEXT(stat64)(path, st), (struct stat *)st);
}

EXPORT int fstatat(int fd, const char *path, struct stat *st, int flags)
{
	return leave_out(NEXT(fstatat)(fd, path, st, flags), st);
}

EXPORT int fstatat64(int fd, const char *path, struct stat64 *st, int flags)
{
	return leave_out(NEXT(fstatat64)(fd, path, st, flags), (struct stat *)st);
}
