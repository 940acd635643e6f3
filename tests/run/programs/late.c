/* SPDX-License-Identifier: MIT */
/*
 * late MIB ROUNDS: the forking thread touches pages that are out when all is ready for fork(2).
 *
 * The C library does that, where it puts its own locks in order, but it cannot be made to. So
 * here a handler does it, that is registered before any other and therefore runs after them
 * all: it reads pages that were not used for long, and pages that never were. Then parent and
 * child check every byte, change all, and check again. Prints "done", or what was wrong.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096
#define WORDS (PAGE / sizeof(uint64_t))
#define LATE  64 /* pages, of each kind */

static uint64_t *data, *fresh;
static size_t nr_pages;
static uint64_t now; /* what the pages hold when the process forks */
static unsigned int nr_wrong;

/* A third of it compresses, another third is all the same. */
static uint64_t word(size_t page, size_t i, uint64_t tag)
{
	uint64_t x = (page * 3 + tag) * 0x9e3779b97f4a7c15u;

	if (page % 3 == 0)
		return x;
	return page % 3 == 1 && i % 4 ? x + i : (x ^ i) * 0xff51afd7ed558ccdu;
}

static void write_all(uint64_t tag)
{
	for (size_t page = 0; page < nr_pages; page++)
		for (size_t i = 0; i < WORDS; i++)
			data[page * WORDS + i] = word(page, i, tag);
}

static void check(const char *who, size_t page, uint64_t tag)
{
	for (size_t i = 0; i < WORDS; i++) {
		if (data[page * WORDS + i] == word(page, i, tag))
			continue;
		if (nr_wrong++ < 8)
			printf("%s: page %zu word %zu\n", who, page, i);
		return;
	}
}

static void check_all(const char *who, uint64_t tag)
{
	for (size_t page = 0; page < nr_pages; page++)
		check(who, page, tag);
}

static void touch_late(void)
{
	for (size_t i = 0; now && i < LATE; i++) {
		check("late", i * nr_pages / (2 * LATE), now);
		nr_wrong += ((volatile uint64_t *)fresh)[i * WORDS] != 0;
	}
}

static void nothing(void)
{
}

/*
 * Which nothing() it is, is asked by the loader while it relocates the program: before any code
 * of any library. Only so a handler comes before the runtime's.
 */
static void (*resolve_first(void))(void)
{
	pthread_atfork(touch_late, NULL, NULL);
	return nothing;
}

void first(void) __attribute__((ifunc("resolve_first")));

static uint64_t *map(size_t pages)
{
	return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
}

static void life(const char *who, uint64_t tag, uint64_t next)
{
	check_all(who, tag);
	write_all(next);
	check_all(who, next);
}

/* Return: true if all was right. */
static bool round_is_right(uint64_t tag)
{
	int status = 0;
	pid_t pid;

	write_all(tag);
	now = tag;
	pid = fork();
	if (pid == 0) {
		life("child", tag, 100 + tag);
		fflush(stdout);
		_exit(nr_wrong > 0);
	}
	life("parent", tag, 200 + tag);
	if (waitpid(pid, &status, 0) != pid || status)
		printf("the child ended with %#x\n", status);
	return nr_wrong == 0 && status == 0;
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 2 ? (unsigned int)atoi(argv[2]) : 1;
	bool is_right = true;

	first();
	nr_pages = (argc > 1 ? strtoul(argv[1], NULL, 0) << 20 : 1 << 20) / PAGE;
	data = map(nr_pages);
	for (unsigned int round = 1; round <= rounds; round++) {
		fresh = map(LATE);
		is_right &= round_is_right(round);
	}
	puts(is_right ? "done" : "wrong");
	return 0;
}
