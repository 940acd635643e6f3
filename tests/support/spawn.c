/* SPDX-License-Identifier: MIT */
#include "support/spawn.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct thread_start {
	void (*fn)(void *);
	void *arg;
};

static void *thread_main(void *arg)
{
	struct thread_start start = *(struct thread_start *)arg;

	free(arg);
	start.fn(start.arg);
	return NULL;
}

int spawn_thread(void (*fn)(void *), void *arg)
{
	struct thread_start *start = malloc(sizeof(*start));
	pthread_t thread;
	int err;

	if (!start)
		return -ENOMEM;
	*start = (struct thread_start){.fn = fn, .arg = arg};
	err = pthread_create(&thread, NULL, thread_main, start);
	if (err) {
		free(start);
		return -err;
	}
	pthread_detach(thread);
	return 0;
}
