/* SPDX-License-Identifier: MIT */
/*
 * The C names, as this program and all of its libraries have them, beside those of the C
 * library.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "malloc/malloc.h"
#include "support/test.h"

#define PAGE 4096

/* Through pointers, so that the compiler cannot know what a call returns. */
struct names {
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t nr, size_t size);
	void *(*realloc)(void *object, size_t size);
	void *(*reallocarray)(void *object, size_t nr, size_t size);
	void (*free)(void *object);
	void *(*aligned_alloc)(size_t align, size_t size);
	int (*posix_memalign)(void **ret_object, size_t align, size_t size);
	void *(*memalign)(size_t align, size_t size);
	void *(*valloc)(size_t size);
	void *(*pvalloc)(size_t size);
	size_t (*malloc_usable_size)(void *object);
	int (*malloc_trim)(size_t keep);
	int (*mallopt)(int name, int value);
	struct mallinfo2 (*mallinfo2)(void);
};

static struct names ours = {
	malloc,
	calloc,
	realloc,
	reallocarray,
	free,
	aligned_alloc,
	posix_memalign,
	memalign,
	valloc,
	pvalloc,
	malloc_usable_size,
	malloc_trim,
	mallopt,
	mallinfo2,
};
static struct names theirs;

static void *next(const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	assert_non_null(symbol);
	return symbol;
}

static int setup(void **state)
{
	(void)state;
	theirs = (struct names){
		next("malloc"),
		next("calloc"),
		next("realloc"),
		next("reallocarray"),
		next("free"),
		next("aligned_alloc"),
		next("posix_memalign"),
		next("memalign"),
		next("valloc"),
		next("pvalloc"),
		next("malloc_usable_size"),
		next("malloc_trim"),
		next("mallopt"),
		next("mallinfo2"),
	};
	return 0;
}

static int whole(void **state)
{
	(void)state;
	return malloc_check();
}

/* What a call says: whether it gave an object, and errno. */
struct answer {
	bool is_given;
	int err;
};

static struct answer answer_of(const struct names *names, void *object)
{
	struct answer answer = {object != NULL, errno};

	names->free(object);
	return answer;
}

static const size_t odd_sizes[] = {
	0,
	1,
	24,
	4096,
	PTRDIFF_MAX,
	(size_t)PTRDIFF_MAX + 1,
	SIZE_MAX - 4096,
	SIZE_MAX - 15,
	SIZE_MAX,
};
#define NR_ODD (sizeof(odd_sizes) / sizeof(*odd_sizes))

static const size_t odd_aligns[] = {0,	     1, 8, 16, 24, 64, 4096, 1 << 20, (size_t)1 << 62,
				    SIZE_MAX};
#define NR_ALIGNS (sizeof(odd_aligns) / sizeof(*odd_aligns))

static void assert_same(struct answer a, struct answer b)
{
	assert_int_equal(a.is_given, b.is_given);
	assert_int_equal(a.err, b.err);
}

/* Each of the two answers the same call; errno was 7 before. */
#define ASSERT_SAME_ANSWER(call)                                 \
	do {                                                     \
		struct answer answers[2];                        \
		const struct names *names = &ours;               \
                                                                 \
		for (int who = 0; who < 2; who++) {              \
			names = who ? &theirs : &ours;           \
			errno = 7;                               \
			answers[who] = answer_of(names, (call)); \
		}                                                \
		assert_same(answers[0], answers[1]);             \
	} while (0)

/* The C library's own reallocarray() calls the program's realloc(), which is ours. */
static void reallocarray_answers_as_calloc(void **state)
{
	struct answer answers[2];

	(void)state;
	for (size_t i = 0; i < NR_ODD; i++) {
		for (size_t j = 0; j < NR_ODD; j++) {
			errno = 7;
			answers[0] = answer_of(
				&ours, ours.reallocarray(NULL, odd_sizes[i], odd_sizes[j]));
			errno = 7;
			answers[1] =
				answer_of(&theirs, theirs.calloc(odd_sizes[i], odd_sizes[j]));
			assert_same(answers[0], answers[1]);
		}
	}
}

static void odd_sizes_are_answered_as_by_the_c_library(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_ODD; i++) {
		ASSERT_SAME_ANSWER(names->malloc(odd_sizes[i]));
		ASSERT_SAME_ANSWER(names->realloc(NULL, odd_sizes[i]));
		ASSERT_SAME_ANSWER(names->valloc(odd_sizes[i]));
		ASSERT_SAME_ANSWER(names->pvalloc(odd_sizes[i]));
		for (size_t j = 0; j < NR_ODD; j++) {
			ASSERT_SAME_ANSWER(names->calloc(odd_sizes[i], odd_sizes[j]));
		}
	}
}

static void odd_alignments_are_answered_as_by_the_c_library(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_ALIGNS; i++) {
		for (size_t j = 0; j < NR_ODD; j++)
			ASSERT_SAME_ANSWER(names->memalign(odd_aligns[i], odd_sizes[j]));
	}
}

static int posix_memalign_answer(const struct names *names, size_t align, size_t size)
{
	void *untouched = (void *)16, *object = untouched;
	int err;

	errno = 7;
	err = names->posix_memalign(&object, align, size);
	assert_int_equal(errno, 7);
	if (err)
		assert_ptr_equal(object, untouched);
	else
		names->free(object);
	return err;
}

/* The C library sets errno besides; POSIX leaves it open, and ours keeps it. */
static void posix_memalign_tells_by_its_value(void **state)
{
	static const struct {
		size_t align, size;
		int err;
	} table[] = {
		{0, 1, EINVAL},
		{1, 1, EINVAL},
		{4, 1, EINVAL},
		{24, 1, EINVAL},
		{8, 0, 0},
		{8, 1, 0},
		{64, 100, 0},
		{1 << 20, 100, 0},
		{64, SIZE_MAX, ENOMEM},
		{8, (size_t)PTRDIFF_MAX + 1, ENOMEM},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		assert_int_equal(posix_memalign_answer(&ours, table[i].align, table[i].size),
				 table[i].err);
}

/* As C says, and the C library since 2.38; before, it took any alignment. */
static void aligned_alloc_wants_a_power_of_two(void **state)
{
	static const size_t wrong[] = {0, 3, 24, SIZE_MAX};
	void *object;

	(void)state;
	for (int i = 0; i < 4; i++) {
		errno = 0;
		assert_null(ours.aligned_alloc(wrong[i], 64));
		assert_int_equal(errno, EINVAL);
	}
	object = ours.aligned_alloc(PAGE, 3);
	assert_int_equal((uintptr_t)object % PAGE, 0);
	ours.free(object);
}

static void laws_of_size_and_alignment(const struct names *names)
{
	char *object;

	for (size_t size = 0; size < 300000; size += 1 + size / 3) {
		object = names->malloc(size);
		assert_int_equal((uintptr_t)object % 16, 0);
		assert_true(names->malloc_usable_size(object) >= size);
		memset(object, 1, names->malloc_usable_size(object));
		object = names->realloc(object, size + 100);
		assert_int_equal((uintptr_t)object % 16, 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(object[i], 1);
		names->free(object);
	}
	for (size_t align = 1; align <= 1 << 20; align *= 2) {
		object = names->memalign(align, 100);
		assert_int_equal((uintptr_t)object % align, 0);
		assert_true(names->malloc_usable_size(object) >= 100);
		names->free(object);
	}
	object = names->memalign(24, 100);
	assert_int_equal((uintptr_t)object % 32, 0);
	names->free(object);
	object = names->pvalloc(5000);
	assert_int_equal((uintptr_t)object % PAGE, 0);
	assert_true(names->malloc_usable_size(object) >= 2 * PAGE);
	names->free(object);
	assert_int_equal(names->malloc_usable_size(NULL), 0);
}

static void the_laws_hold_here_as_in_the_c_library(void **state)
{
	(void)state;
	laws_of_size_and_alignment(&ours);
	laws_of_size_and_alignment(&theirs);
}

static void realloc_to_nothing_frees(const struct names *names)
{
	void *object = names->malloc(100);
	size_t before;

	before = names->mallinfo2().uordblks;
	errno = 7;
	assert_null(names->realloc(object, 0));
	assert_int_equal(errno, 7);
	if (names == &ours)
		assert_int_equal(before - names->mallinfo2().uordblks, 112);
	object = names->malloc(100);
	if (names == &ours)
		assert_null(names->reallocarray(object, 0, 5));
	else
		names->free(object);
}

static void realloc_to_nothing_frees_here_as_there(void **state)
{
	(void)state;
	realloc_to_nothing_frees(&ours);
	realloc_to_nothing_frees(&theirs);
}

static void free_keeps_errno(void **state)
{
	static const size_t sizes[] = {0, 100, 50000, 300000, 30 << 20};
	void *object;

	(void)state;
	for (int i = 0; i < 5; i++) {
		object = ours.malloc(sizes[i]);
		errno = 7;
		ours.free(object);
		ours.free(NULL);
		assert_int_equal(errno, 7);
	}
}

static void a_failed_realloc_keeps_the_object(void **state)
{
	char *object = ours.malloc(100);

	(void)state;
	memset(object, 5, 100);
	assert_null(ours.realloc(object, (size_t)PTRDIFF_MAX + 1));
	assert_int_equal(errno, ENOMEM);
	assert_null(ours.reallocarray(object, SIZE_MAX / 2, 3));
	assert_int_equal(object[99], 5);
	ours.free(object);
}

static void mallopt_answers_as_the_c_library(void **state)
{
	static const int table[][2] = {
		{M_MXFAST, 64},
		{M_MXFAST, 161},
		{M_CHECK_ACTION, 3},
		{M_PERTURB, 0},
		{M_ARENA_TEST, 2},
		{M_ARENA_MAX, 2},
		{M_MMAP_THRESHOLD, 1 << 17},
		{M_MMAP_THRESHOLD, 64 << 20},
		{M_TOP_PAD, 1 << 17},
		{M_TRIM_THRESHOLD, -1},
		{M_MMAP_MAX, 65536},
		{99, 1},
		{M_TRIM_THRESHOLD, 1 << 21},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		assert_int_equal(ours.mallopt(table[i][0], table[i][1]),
				 theirs.mallopt(table[i][0], table[i][1]));
}

static void mallopt_sets_the_threshold(void **state)
{
	struct mallinfo2 before = mallinfo2(), after;
	void *object;

	(void)state;
	assert_int_equal(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
	object = ours.malloc(512 << 10);
	after = mallinfo2();
	assert_int_equal(after.hblks, before.hblks);
	ours.free(object);
	assert_int_equal(mallopt(M_MMAP_THRESHOLD, 128 << 10), 1);
	object = ours.malloc(512 << 10);
	assert_int_equal(mallinfo2().hblks, before.hblks + 1);
	assert_int_equal(mallinfo2().hblkhd, before.hblkhd + (512 << 10));
	ours.free(object);
}

static void mallinfo_adds_up(void **state)
{
	struct mallinfo2 before = mallinfo2(), after;
	void *object = ours.malloc(10000);

	(void)state;
	after = mallinfo2();
	assert_int_equal(after.uordblks - before.uordblks, 10240);
	assert_int_equal(after.arena, after.uordblks + after.fordblks);
	ours.free(object);
	ours.malloc_trim(0);
	assert_int_equal(mallinfo2().uordblks, before.uordblks);
}

/* The child's standard error and how it ended. */
static int end_of(void (*misuse)(void), char *ret_said, size_t said_max)
{
	int pipes[2], status;
	ssize_t len;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		misuse();
		_exit(0);
	}
	close(pipes[1]);
	memset(ret_said, 0, said_max);
	while ((len = read(pipes[0], ret_said, said_max - 1)) > 0) {
		ret_said += len;
		said_max -= (size_t)len;
	}
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void *volatile misused;

static void free_twice(void)
{
	ours.free(misused);
	ours.free(misused);
}

static void free_inside(void)
{
	ours.free((char *)misused + 16);
}

static void realloc_wild(void)
{
	misused = ours.realloc((void *)0x1230, 10);
}

static void size_of_freed(void)
{
	ours.free(misused);
	misused = (void *)ours.malloc_usable_size(misused);
}

static void misuse_ends_the_program_with_one_line(void **state)
{
	static const struct {
		void (*misuse)(void);
		const char *call;
		long offset;
	} table[] = {
		{free_twice, "free", 0},
		{free_inside, "free", 16},
		{realloc_wild, "realloc", -1},
		{size_of_freed, "malloc_usable_size", 0},
	};
	char said[256], expected[256];

	(void)state;
	misused = ours.malloc(100);
	for (int i = 0; i < 4; i++) {
		void *object = table[i].offset < 0 ? (void *)0x1230
						   : (char *)misused + table[i].offset;
		int status = end_of(table[i].misuse, said, sizeof(said));

		snprintf(expected, sizeof(expected),
			 "ration: %s(%p): not an allocation, or freed twice\n", table[i].call,
			 object);
		assert_string_equal(said, expected);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
	ours.free(misused);
}

static void print_stats(void)
{
	malloc_stats();
}

static void malloc_stats_prints_the_c_librarys_lines(void **state)
{
	static const char *const names[] = {
		"system bytes", "in use bytes",	    "system bytes",
		"in use bytes", "max mmap regions", "max mmap bytes",
	};
	char said[1024], *line = said;

	(void)state;
	assert_int_equal(end_of(print_stats, said, sizeof(said)), 0);
	assert_memory_equal(said, "Arena 0:\n", 9);
	for (int i = 0; i < 6; i++) {
		line = strstr(line + 1, names[i]);
		assert_non_null(line);
		assert_int_equal(strcspn(line, "\n"), 29);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(reallocarray_answers_as_calloc),
	cmocka_unit_test(odd_sizes_are_answered_as_by_the_c_library),
	cmocka_unit_test(odd_alignments_are_answered_as_by_the_c_library),
	cmocka_unit_test(posix_memalign_tells_by_its_value),
	cmocka_unit_test(aligned_alloc_wants_a_power_of_two),
	cmocka_unit_test(the_laws_hold_here_as_in_the_c_library),
	cmocka_unit_test(realloc_to_nothing_frees_here_as_there),
	cmocka_unit_test(free_keeps_errno),
	cmocka_unit_test(a_failed_realloc_keeps_the_object),
	cmocka_unit_test(mallopt_answers_as_the_c_library),
	cmocka_unit_test(mallopt_sets_the_threshold),
	cmocka_unit_test(mallinfo_adds_up),
	cmocka_unit_test(misuse_ends_the_program_with_one_line),
	cmocka_unit_test(malloc_stats_prints_the_c_librarys_lines),
};
TEST_MAIN_WITH(tests, setup, whole)
