/* SPDX-License-Identifier: MIT */
/*
 * dumps abort|alone|segv|fpe|quit|sent|child: fills memory with a pattern, says where it is,
 * and ends by a signal that dumps core, while other threads (not: alone) work on memory of
 * their own. Page i of the pattern begins with its own address, i, and ~i; of a part that
 * nobody may read, too.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	   ((size_t)4096)
#define PAGES	   ((size_t)4096) /* of the pattern */
#define OTHERS	   ((size_t)512)  /* of each thread */
#define NR_THREADS 3

static volatile int zero;
static char *volatile nothing;

static char *map(size_t pages)
{
	void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	if (at == MAP_FAILED)
		exit(3);
	return at;
}

static void *work(void *arg)
{
	char *at = map(OTHERS);

	for (size_t i = 0;; i++)
		at[i * PAGE % (OTHERS * PAGE)] += 1;
	return arg;
}

static void fill(char *at)
{
	for (size_t i = 0; i < PAGES; i++) {
		uint64_t words[3] = {(uint64_t)(at + i * PAGE), i, ~i};

		memcpy(at + i * PAGE, words, sizeof(words));
	}
	mprotect(at + PAGES / 2 * PAGE, PAGES / 4 * PAGE, PROT_NONE);
	printf("%p %zu %d\n", (void *)at, PAGES, (int)getpid());
	fflush(stdout);
}

static void die(const char *how)
{
	if (!strcmp(how, "abort") || !strcmp(how, "alone"))
		abort();
	if (!strcmp(how, "segv"))
		*nothing = 1;
	if (!strcmp(how, "fpe"))
		exit(7 / zero);
	if (!strcmp(how, "quit"))
		raise(SIGQUIT);
	if (!strcmp(how, "sent"))
		kill(getpid(), SIGXCPU);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int status = 0;

	for (int i = 0; i < NR_THREADS && !(argc == 2 && !strcmp(argv[1], "alone")); i++)
		pthread_create(&thread, NULL, work, NULL);
	if (argc == 2 && !strcmp(argv[1], "child")) {
		if (fork() == 0) {
			fill(map(PAGES));
			abort();
		}
		wait(&status);
		return WCOREDUMP(status) ? WTERMSIG(status) : 0;
	}
	fill(map(PAGES));
	die(argc == 2 ? argv[1] : "abort");
	return 0;
}
