/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[PATH_MAX / 2];
static char last[PATH_MAX];

static void give_up(const char *what)
{
	perror(what);
	abort();
}

const char *tree_make(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(top, sizeof(top), "%s/ration-test-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(top))
		give_up(top);
	chmod(top, 0755);
	return top;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void tree_remove(void)
{
	if (top[0])
		nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	top[0] = '\0';
}

const char *tree_write(const char *path, const void *data, size_t len, mode_t mode)
{
	int fd;

	snprintf(last, sizeof(last), "%s/%s", top, path);
	for (char *at = last + strlen(top) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(last, 0755);
		*at = '/';
	}
	fd = open(last, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len || fchmod(fd, mode))
		give_up(last);
	close(fd);
	return last;
}
