/* SPDX-License-Identifier: MIT */
/*
 * storm SECONDS: threads map, unmap and allocate while a timer's signal handler does the same
 * in whatever thread it meets, and while one thread's handler jumps out of whatever it met.
 * Checks what it wrote. Prints "done", or what is wrong.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096
#define THREADS 6

static atomic_int nr_handled, nr_jumps;
static atomic_bool is_over;
static sigjmp_buf back;

static void fail(const char *what)
{
	printf("wrong: %s\n", what);
	fflush(stdout);
	_exit(1);
}

static void map_one(unsigned int pages, unsigned char tag)
{
	unsigned char *p = mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	for (unsigned int i = 0; i < pages; i++) {
		if (p[(size_t)i * PAGE])
			fail("a fresh page is not zero");
		p[(size_t)i * PAGE] = tag;
	}
	for (unsigned int i = 0; i < pages; i++)
		if (p[(size_t)i * PAGE] != tag)
			fail("a page lost its content");
	if (munmap(p, (size_t)pages * PAGE))
		fail("munmap");
}

static void on_timer(int sig)
{
	(void)sig;
	nr_handled++;
	map_one(2, 0xaa);
}

static void on_jump(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static void *worker(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (!is_over) {
		size_t size = 1 + rand_r(&seed) % 300000;
		char *text = malloc(size);

		memset(text, 0x77, size);
		map_one(1 + rand_r(&seed) % 8, (unsigned char)seed);
		for (size_t i = 0; i < size; i++)
			if (text[i] != 0x77)
				fail("malloc'ed memory changed");
		free(text);
	}
	return NULL;
}

/* The signal cuts its calls short wherever it meets them; what they had mapped leaks. */
static void *jumper(void *arg)
{
	(void)arg;
	while (!is_over) {
		if (sigsetjmp(back, 1) == 0) {
			for (;;)
				map_one(1, 0x55);
		}
		nr_jumps++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	struct itimerval timer = {{0, 1000}, {0, 1000}};
	pthread_t threads[THREADS], jump;
	struct timespec pause = {0, 2000000};
	sigset_t usr1;

	signal(SIGALRM, on_timer);
	signal(SIGUSR1, on_jump);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	pthread_create(&jump, NULL, jumper, NULL);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, worker, (void *)(uintptr_t)(i + 1));
	setitimer(ITIMER_REAL, &timer, NULL);
	for (double t = 0; t < seconds; t += 0.002) {
		nanosleep(&pause, NULL);
		if (nr_jumps > 0 || t > 0.1)
			pthread_kill(jump, SIGUSR1);
	}
	is_over = true;
	pthread_kill(jump, SIGUSR1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	puts(nr_handled > 10 && nr_jumps > 10 ? "done" : "too few signals");
	return 0;
}
