/* SPDX-License-Identifier: MIT */
/*
 * Lives of a program under `ration run`, with more data than RAM; each looks at every byte that
 * it can. The argument is a life's name. Exit status 0: all bytes were right.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	  4096ul
#define PAGES	  8192u /* 32 MiB */
#define WORD_STEP 73	/* words of a page that are looked at */
#define FIRM(call)                                                \
	do {                                                      \
		if (!(call)) {                                    \
			fprintf(stderr, "%s is not so\n", #call); \
			_exit(1);                                 \
		}                                                 \
	} while (0)

struct book {
	char *pages;
	uint32_t *versions;
	unsigned int nr;
	uint64_t random;
};

static char *map_pages(size_t nr)
{
	char *start = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	FIRM(start != MAP_FAILED);
	return start;
}

static uint64_t next_random(struct book *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

static uint64_t word_of(const struct book *b, unsigned int page, unsigned int word)
{
	uint64_t version = b->versions[page];

	return version ? version * 1000003 + page * 7919ul + word : 0;
}

static void page_write(struct book *b, unsigned int page)
{
	uint64_t *words = (uint64_t *)(void *)(b->pages + page * PAGE);

	b->versions[page]++;
	for (unsigned int i = 0; i < PAGE / 8; i += WORD_STEP)
		words[i] = word_of(b, page, i);
}

static void page_check(const struct book *b, unsigned int page)
{
	const uint64_t *words = (const uint64_t *)(void *)(b->pages + page * PAGE);

	for (unsigned int i = 0; i < PAGE / 8; i += WORD_STEP)
		FIRM(words[i] == word_of(b, page, i));
}

static void check_all(const struct book *b)
{
	for (unsigned int page = 0; page < b->nr; page++)
		page_check(b, page);
}

static void work(struct book *b, unsigned int times)
{
	while (times-- > 0) {
		unsigned int page = (unsigned int)(next_random(b) % b->nr);

		page_check(b, page);
		if (next_random(b) & 1)
			page_write(b, page);
	}
}

static struct book book_make(unsigned int nr, uint64_t seed)
{
	return (struct book){map_pages(nr), calloc(nr, sizeof(uint32_t)), nr, seed};
}

static void *thread_main(void *arg)
{
	work(arg, 3 * PAGES);
	check_all(arg);
	return NULL;
}

static void two_threads(void)
{
	struct book books[2] = {book_make(PAGES, 11), book_make(PAGES, 12)};
	pthread_t threads[2];

	for (unsigned int i = 0; i < 2; i++)
		FIRM(pthread_create(&threads[i], NULL, thread_main, &books[i]) == 0);
	for (unsigned int i = 0; i < 2; i++)
		FIRM(pthread_join(threads[i], NULL) == 0);
}

static void child_ends_well(pid_t child)
{
	int status;

	FIRM(child > 0);
	FIRM(waitpid(child, &status, 0) == child && status == 0);
}

/* Each child needs most of the swap; what the dead ones had must be there again. */
static void one_child_after_another(void)
{
	struct book b = book_make(2 * PAGES, 21);

	work(&b, PAGES / 4);
	for (unsigned int i = 0; i < 5; i++) {
		pid_t child = fork();

		if (child == 0) {
			for (unsigned int page = 0; page < b.nr; page++)
				page_write(&b, page);
			check_all(&b);
			_exit(0);
		}
		child_ends_well(child);
		check_all(&b);
	}
}

/* Those in the middle end before their children, who go on with what they got. */
static void a_tree(struct book *b, unsigned int depth, int done_fd)
{
	for (unsigned int i = 0; depth > 0 && i < 2; i++) {
		pid_t child = fork();

		FIRM(child >= 0);
		if (child == 0) {
			b->random += i + 1;
			work(b, b->nr / 2);
			a_tree(b, depth - 1, done_fd);
			check_all(b);
			FIRM(write(done_fd, "d", 1) == 1);
			_exit(0);
		}
		work(b, b->nr / 4);
	}
}

static void grandchildren(void)
{
	struct book b = book_make(PAGES, 31);
	char done;
	int ends[2], nr = 0;

	work(&b, PAGES);
	FIRM(pipe(ends) == 0);
	a_tree(&b, 2, ends[1]);
	close(ends[1]);
	while (read(ends[0], &done, 1) == 1)
		nr++;
	FIRM(nr == 6);
	check_all(&b);
}

static sigjmp_buf jump;
static volatile sig_atomic_t may_jump;

static void on_alarm(int sig)
{
	char *page = map_pages(2);

	(void)sig;
	page[0] = 1;
	munmap(page, 2 * PAGE);
	if (may_jump)
		siglongjmp(jump, 1);
}

static void handlers_that_map_and_jump(void)
{
	static struct book b;
	static volatile unsigned int round;
	struct itimerval often = {{0, 900}, {0, 900}}, never = {{0, 0}, {0, 0}};

	b = book_make(PAGES, 41);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	sigsetjmp(jump, 1);
	while (round < 2 * PAGES) {
		unsigned int page = (unsigned int)(next_random(&b) % b.nr);

		round++;
		may_jump = 1;
		page_check(&b, page);
		may_jump = 0;
		page_write(&b, page);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	check_all(&b);
}

/* The pipe must keep what it was given, whatever becomes of the page. */
static void a_pipe_fed_by_vmsplice(void)
{
	struct book b = book_make(64, 51), other = book_make(PAGES, 52);
	struct book copy = {map_pages(64), b.versions, 64, 0};
	struct iovec iov = {b.pages, 8 * PAGE};
	int ends[2];

	for (unsigned int page = 0; page < b.nr; page++)
		page_write(&b, page);
	FIRM(pipe(ends) == 0);
	for (size_t at = 0; at < 64 * PAGE; at += iov.iov_len) {
		iov.iov_base = b.pages + at;
		FIRM(vmsplice(ends[1], &iov, 1, 0) == (ssize_t)iov.iov_len);
		for (unsigned int page = 0; page < other.nr; page++)
			page_write(&other, page);
		FIRM(read(ends[0], copy.pages + at, iov.iov_len) == (ssize_t)iov.iov_len);
	}
	check_all(&copy);
}

static const struct {
	const char *name;
	void (*live)(void);
} lives[] = {
	{"two_threads", two_threads},
	{"one_child_after_another", one_child_after_another},
	{"grandchildren", grandchildren},
	{"handlers_that_map_and_jump", handlers_that_map_and_jump},
	{"a_pipe_fed_by_vmsplice", a_pipe_fed_by_vmsplice},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(lives) / sizeof(lives[0]); i++) {
		if (strcmp(argv[1], lives[i].name) != 0)
			continue;
		lives[i].live();
		return 0;
	}
	return 2;
}
