/* SPDX-License-Identifier: MIT */
/*
 * A library to preload into real programs: the C names over a break and mappings of its own. At
 * a normal end it checks the arena, and adds a line to the file that MALLOC_TEST_REPORT names:
 * "ok" or "broken", and how many objects were taken.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "malloc/backend.h"

static struct test_backend backend;

__attribute__((constructor)) static void start(void)
{
	test_backend_create(&backend);
	if (malloc_set_backend(&backend.ops) ||
	    pthread_atfork(malloc_fork_prepare, malloc_fork_parent, malloc_fork_child))
		abort();
}

__attribute__((destructor)) static void report(void)
{
	const char *path = getenv("MALLOC_TEST_REPORT");
	struct malloc_usage usage;
	char line[64];
	int fd, len;

	malloc_get_usage(&usage);
	len = snprintf(line, sizeof(line), "%s %lu\n", malloc_check() ? "broken" : "ok",
		       (unsigned long)usage.nr_allocs);
	fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	if (write(fd, line, (size_t)len) != len)
		abort();
	close(fd);
}
