/* SPDX-License-Identifier: MIT */
/*
 * crowd MAX: as many children at a time as can be had, and why there are not more.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a process group of its own, so that it can end its children, and nobody else, at once. */
int main(int argc, char **argv)
{
	int max = argc > 1 ? atoi(argv[1]) : 10;
	int nr, why = 0;

	setpgid(0, 0);
	signal(SIGTERM, SIG_IGN);
	for (nr = 0; nr < max && !why; nr++) {
		pid_t pid = fork();

		if (pid == 0) {
			signal(SIGTERM, SIG_DFL);
			for (;;)
				pause();
		}
		if (pid < 0)
			why = errno;
	}
	printf("%d and then %s\n", nr - 1, strerrorname_np(why));
	fflush(stdout);
	while (waitpid(-1, NULL, WNOHANG) >= 0) {
		kill(0, SIGTERM); /* again, for those that still ignored it */
		usleep(1000);
	}
	return 0;
}
