/* SPDX-License-Identifier: MIT */
/*
 * past: a program as Go makes them. It lies at a fixed address, has Go's note, and blocks all
 * signals by system calls of its own while it works on memory that is out.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cold.h"
#include "raw.h"

__asm__(".pushsection .note.go.buildid, \"a\", @note\n"
	".long 4, 4, 4\n"
	".ascii \"Go\\0\\0\"\n"
	".ascii \"test\"\n"
	".popsection\n");

int main(void)
{
	static unsigned long all = ~0ul, old;
	char *at = cold(BIG, 3);
	unsigned int want = sum(at, BIG);
	int status = 0;

	chill(at, BIG);
	raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, 8);
	printf("past: blocked, the memory is right %d\n", sum(at, BIG) == want);
	raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, 8);
	chill(at, BIG);
	printf("past: written %ld",
	       raw(SYS_write, open("/dev/null", O_WRONLY), (long)at, (long)BIG, 0));
	fflush(stdout);
	status = system("exit 4");
	printf(", a child %d\n", WEXITSTATUS(status));
	return 0;
}
