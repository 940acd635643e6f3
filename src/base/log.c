/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/syscall.h"

static long write_all(int fd, const char *line, int len)
{
	long ret;

	do
		ret = sys_call3(SYS_write, fd, (long)line, len);
	while (ret == -EINTR);
	return ret;
}

/* A thread with a file table of its own has no standard error: the process's is borrowed. */
static void write_to_process(const char *line, int len)
{
	long self = sys_call2(SYS_pidfd_open, sys_call2(SYS_getpid, 0, 0), 0);
	long fd = sys_call3(SYS_pidfd_getfd, self, STDERR_FILENO, 0);

	if (fd >= 0) {
		write_all((int)fd, line, len);
		sys_call2(SYS_close, fd, 0);
	}
	if (self >= 0)
		sys_call2(SYS_close, self, 0);
}

void log_line(const char *format, ...)
{
	char line[512];
	int saved = errno;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (len < 0)
		len = 0;
	if (len > (int)sizeof(line) - 2)
		len = (int)sizeof(line) - 2;
	line[len++] = '\n';
	if (write_all(STDERR_FILENO, line, len) == -EBADF)
		write_to_process(line, len);
	errno = saved;
}
