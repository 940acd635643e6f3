/* SPDX-License-Identifier: MIT */
/*
 * moments PAGES ROUNDS THREADS SEED: each child of a fork sees memory as it was at the fork.
 *
 * Threads change pages all the time, and each tells in versions[] (which is not managed: the
 * kernel's fork copies it) what a page is to hold. Two kinds of pages:
 *
 *	kept   changed under a lock that the forking thread holds; the child demands versions[]
 *	free   changed from the first word to the last with no lock, also while the fork is
 *	       under way; the child demands words of one version up to a place, and of the one
 *	       before after it, and neither older than before the fork nor newer than after
 *
 * What is in a page goes all ways there are: same-filled, compressible, incompressible, zero
 * after MADV_DONTNEED, read by the kernel from a pipe. The child then changes half of the kept
 * pages itself, forks once more, and both look at all again. Two children live at a time, while
 * the parent goes on. Prints "done", or each page that is wrong and why.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	    4096ul
#define WORDS	    (PAGE / 8)
#define PAGES_MAX   65536u
#define THREADS_MAX 16
#define FREE_EACH   16 /* every so-manieth page is a free one */
#define SHOWN_MAX   8

static uint64_t *data;
static unsigned int nr_pages, nr_threads;
static uint32_t versions[PAGES_MAX]; /* a free page's: the one being written */
static uint32_t before[PAGES_MAX];   /* of free pages, before the fork */
static pthread_mutex_t locks[THREADS_MAX];
static atomic_bool is_over;
static unsigned int nr_wrong;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdu;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

/* Version 0 is a page of zeros; which version has which kind differs from page to page. */
static uint64_t word(unsigned int page, uint32_t version, unsigned int i)
{
	uint64_t tag = (uint64_t)page << 32 | version;

	if (version == 0)
		return 0;
	switch (mix(tag) % 4) {
	case 0:
		return tag; /* all words the same */
	case 1:
		return mix(tag * WORDS + i); /* nothing to compress */
	default:
		return i % 4 ? tag + i : mix(tag * WORDS + i);
	}
}

static bool is_free(unsigned int page)
{
	return page % FREE_EACH == FREE_EACH - 1;
}

static void wrong(const char *who, unsigned int page, unsigned int i, uint32_t version)
{
	uint64_t *p = data + page * WORDS;
	unsigned int nr = 0;

	if (++nr_wrong > SHOWN_MAX)
		return;
	for (unsigned int k = 0; k < WORDS; k++)
		nr += p[k] != word(page, version, k);
	printf("%s: page %u word %u is %#lx, not %#lx of version %u; %u words differ\n", who,
	       page, i, p[i], word(page, version, i), version, nr);
	for (uint32_t old = version > 40 ? version - 40 : 0; old < version + 4; old++) {
		for (nr = 0; nr < WORDS && p[nr] == word(page, old, nr);)
			nr++;
		if (nr == WORDS)
			printf("\tit is version %u\n", old);
	}
	fflush(stdout);
}

static void check_kept(const char *who, unsigned int page)
{
	for (unsigned int i = 0; i < WORDS; i++) {
		if (data[page * WORDS + i] == word(page, versions[page], i))
			continue;
		wrong(who, page, i, versions[page]);
		return;
	}
}

/* Where the first is of version v, and from some place on all are of v - 1. */
static bool is_torn_once(unsigned int page, uint32_t version)
{
	const uint64_t *p = data + page * WORDS;
	unsigned int i = 0;

	while (i < WORDS && p[i] == word(page, version, i))
		i++;
	while (version > 0 && i < WORDS && p[i] == word(page, version - 1, i))
		i++;
	return i == WORDS;
}

static void check_free(const char *who, unsigned int page)
{
	uint32_t first = before[page] > 0 ? before[page] - 1 : 0;

	for (uint32_t v = first; v <= versions[page] + 1; v++)
		if (is_torn_once(page, v))
			return;
	wrong(who, page, 0, versions[page]);
}

static void check_all(const char *who, bool with_free)
{
	for (unsigned int page = 0; page < nr_pages; page++) {
		if (!is_free(page))
			check_kept(who, page);
		else if (with_free)
			check_free(who, page);
	}
}

static void write_page(unsigned int page, uint32_t version)
{
	volatile uint64_t *p = data + page * WORDS;

	for (unsigned int i = 0; i < WORDS; i++)
		p[i] = word(page, version, i);
}

/* The kernel writes it. */
static void pipe_page(unsigned int page, uint32_t version, const int *pipe)
{
	uint64_t copy[WORDS];
	size_t got = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		copy[i] = word(page, version, i);
	if (write(pipe[1], copy, PAGE) != (ssize_t)PAGE)
		abort();
	while (got < PAGE)
		got += (size_t)read(pipe[0], (char *)(data + page * WORDS) + got, PAGE - got);
}

static void change_kept(unsigned int page, uint32_t version, uint64_t how, const int *pipe)
{
	if (how % 32 == 0) {
		madvise(data + page * WORDS, PAGE, MADV_DONTNEED);
		version = 0;
	} else if (how % 4 == 0 && pipe) {
		pipe_page(page, version, pipe);
	} else {
		write_page(page, version);
	}
	versions[page] = version;
}

/* What one thread does to a page of its own. */
static void touch(unsigned int self, unsigned int page, uint64_t how, uint32_t clock,
		  const int *pipe)
{
	if (is_free(page)) {
		versions[page]++;
		atomic_thread_fence(memory_order_seq_cst);
		write_page(page, versions[page]);
	} else if (how % 3 == 0) {
		check_kept("thread", page); /* nobody else changes it; not held up by a fork */
	} else {
		pthread_mutex_lock(&locks[self]);
		change_kept(page, clock, how >> 8, pipe);
		pthread_mutex_unlock(&locks[self]);
	}
}

struct mutator {
	unsigned int self;
	uint64_t seed;
};

static void *mutate(void *arg)
{
	const struct mutator *m = arg;
	unsigned int nr_own = nr_pages / nr_threads;
	uint64_t random = m->seed;
	uint32_t clock = 1;
	int pipe_fds[2];

	if (pipe(pipe_fds))
		abort();
	while (!is_over) {
		/* Runs of neighbours, of which some are asked for in order. */
		unsigned int at = (unsigned int)(mix(random++) % nr_own);
		unsigned int run = 1 + (unsigned int)(mix(random++) % 48);

		for (unsigned int i = at; i < at + run && i < nr_own; i++)
			touch(m->self, m->self * nr_own + i, mix(random++), ++clock, pipe_fds);
	}
	return NULL;
}

static void child_changes(uint32_t version)
{
	for (unsigned int page = version % 2; page < nr_pages; page += 2)
		if (!is_free(page))
			change_kept(page, version, mix(page + version), NULL);
}

/* Ends with what was wrong. */
static int child(unsigned int depth)
{
	int status = 0;
	pid_t pid;

	check_all(depth ? "child" : "grandchild", true);
	child_changes(1000000 + depth);
	check_all("child, changed", false);
	if (depth > 0 && (pid = fork()) >= 0) {
		if (pid == 0)
			_exit(child(depth - 1));
		child_changes(2000001);
		check_all("child, after its own fork", false);
		waitpid(pid, &status, 0);
	}
	return nr_wrong > 0 || status != 0;
}

static pid_t fork_at_rest(void)
{
	pid_t pid;

	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_mutex_lock(&locks[i]);
	memcpy(before, versions, nr_pages * sizeof(before[0]));
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(child(1));
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_mutex_unlock(&locks[i]);
	return pid;
}

static int wait_for(pid_t pid)
{
	int status = 0;

	if (pid < 0)
		return 1;
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
		printf("a child ended with %#x\n", status);
	return status != 0;
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 2 ? (unsigned int)atoi(argv[2]) : 2;
	uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
	struct mutator mutators[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	pid_t last = 0, pid;
	int failed = 0;

	nr_pages = argc > 1 ? (unsigned int)atoi(argv[1]) : 2048;
	nr_threads = argc > 3 ? (unsigned int)atoi(argv[3]) : 3;
	if (nr_pages > PAGES_MAX || nr_threads < 1 || nr_threads > THREADS_MAX)
		return 2;
	data = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	for (unsigned int page = 0; page < nr_pages; page++)
		write_page(page, versions[page] = 1);
	for (unsigned int i = 0; i < nr_threads; i++) {
		pthread_mutex_init(&locks[i], NULL);
		mutators[i] = (struct mutator){i, mix(seed * THREADS_MAX + i)};
		pthread_create(&threads[i], NULL, mutate, &mutators[i]);
	}
	for (unsigned int round = 0; round < rounds; round++) {
		usleep((useconds_t)(mix(seed + round) % 60000));
		pid = fork_at_rest();
		failed |= wait_for(last);
		last = pid;
	}
	failed |= wait_for(last);
	is_over = true;
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	check_all("parent", false);
	puts(failed || nr_wrong > 0 ? "wrong" : "done");
	return 0;
}
