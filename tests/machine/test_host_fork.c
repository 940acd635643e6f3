/* SPDX-License-Identifier: MIT */
/*
 * The host machine across fork: what the child has, and what the parent keeps.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/host_support.h"

/* In the child, where cmocka's jumps would lead astray: the exit status tells the line. */
#define CHILD_CHECK(cond)                                                       \
	do {                                                                    \
		if (!(cond)) {                                                  \
			print_message("child: line %d: %s\n", __LINE__, #cond); \
			_exit(1);                                               \
		}                                                               \
	} while (0)

static void fill_frames(const struct host_test *t, uint32_t nr, uint64_t seed)
{
	for (pfn_t i = 0; i < nr; i++)
		page_fill(host_frame(t, i), seed + i);
}

static bool page_is(const char *page, uint64_t seed)
{
	static char want[4096] __attribute__((aligned(8)));

	page_fill(want, seed);
	return memcmp(page, want, sizeof(want)) == 0;
}

static void join_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/*
 * A child that checks its own frames when it is told to (by the end of the pipe), after the
 * parent has changed its own.
 */
static pid_t fork_keeper(const struct host_test *t, uint32_t nr, int *ret_pipe)
{
	int fds[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[1]);
		CHILD_CHECK(read(fds[0], &c, 1) == 0);
		for (pfn_t i = 0; i < nr; i++)
			CHILD_CHECK(page_is(host_frame(t, i), i));
		_exit(0);
	}
	close(fds[0]);
	*ret_pipe = fds[1];
	return pid;
}

static void both_keep_their_bytes(void **state)
{
	const struct host_test *t = *state;
	int keeper;
	pid_t pid;

	host_region(t, 0, 200, MACHINE_REGION_MAP, PROT_RW);
	fill_frames(t, 200, 0);
	pid = fork_keeper(t, 200, &keeper);
	host_map(t, 0, 0, 100, PTE_RW); /* shared with the child: UFFDIO_MOVE refuses */
	host_map(t, 100, 100, 100, PTE_RO);
	for (uint32_t i = 0; i < 200; i++)
		assert_page(host_ptr(t, i), i);
	for (uint32_t i = 0; i < 100; i++)
		page_fill(host_ptr(t, i), 1000 + i);
	host_unmap(t, 0, 0, 100, PTE_RW); /* the window's pages are the parent's alone */
	host_unmap(t, 100, 100, 100, PTE_RO);
	for (uint32_t i = 0; i < 200; i++)
		assert_page(host_frame(t, i), i < 100 ? 1000 + i : i);
	close(keeper);
	join_child(pid);
}

/* The usual fork and exec: no page is copied, since nobody else has it any more. */
static void a_child_that_is_gone_costs_no_copy(void **state)
{
	const struct host_test *t = *state;
	struct machine_host_stats stats;
	int keeper;
	pid_t pid;

	if (t->no_move)
		test_skip("everything is copied anyway");
	host_region(t, 0, 100, MACHINE_REGION_MAP, PROT_RW);
	fill_frames(t, 100, 0);
	pid = fork_keeper(t, 100, &keeper);
	close(keeper);
	join_child(pid);
	host_map(t, 0, 0, 100, PTE_RW);
	for (uint32_t i = 0; i < 100; i++)
		assert_page(host_ptr(t, i), i);
	machine_host_stats(t->m, &stats);
	assert_int_equal(stats.nr_moved_in, 100);
}

static void mapped_while_forking_stays_with_the_parent(void **state)
{
	const struct host_test *t = *state;
	pid_t pid;

	host_region(t, 0, 2, MACHINE_REGION_MAP, PROT_RW);
	fill_frames(t, 2, 0);
	host_map(t, 0, 0, 2, PTE_RW);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		CHILD_CHECK(!kernel_can_read(host_ptr(t, 0)));
		_exit(0);
	}
	page_fill(host_ptr(t, 0), 7);
	join_child(pid);
	host_unmap(t, 0, 0, 2, PTE_RW);
	assert_page(host_frame(t, 0), 7);
	assert_page(host_frame(t, 1), 1);
}

static char *map_foreign(const struct host_test *t, uint64_t page, uint64_t nr, char mark)
{
	char *at = mmap(host_ptr(t, page), HOST_LEN(nr), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	assert_ptr_equal(at, host_ptr(t, page));
	at[0] = at[HOST_LEN(nr) - 1] = mark;
	return at;
}

__attribute__((no_sanitize_thread)) static void *touch(void *arg)
{
	*(volatile char *)arg += 1;
	return NULL;
}

/* A fault in the child goes to the child's own descriptor. */
static void child_takes_a_fault(const struct host_test *t, uint64_t page, pfn_t pfn)
{
	struct pollfd fd = {.fd = machine_host_fd(t->m), .events = POLLIN};
	struct machine_host_fault fault;
	char before = *host_frame(t, pfn);
	pthread_t thread;

	CHILD_CHECK(pthread_create(&thread, NULL, touch, host_ptr(t, page)) == 0);
	CHILD_CHECK(poll(&fd, 1, 10000) == 1);
	CHILD_CHECK(machine_host_read_faults(t->m, &fault, 1) == 1);
	CHILD_CHECK(fault.va == host_va(t, page));
	CHILD_CHECK(host_change(t, RUN(page, pfn, 1, 0, PTE_RW), NULL) == 0);
	CHILD_CHECK(pthread_join(thread, NULL) == 0);
	CHILD_CHECK(*host_ptr(t, page) == (char)(before + 1));
}

/*
 *	page      0      8  9  11          1000       last
 *	        [ VMA  ]  [F] [F] [  ...   F   ... ]  [F]
 */
#define FOREIGN_LAST (((uint64_t)1 << 36) / PAGE_SIZE - 1)

static void child_life(const struct host_test *t)
{
	static const uint64_t foreign[] = {9, 11, 1000, FOREIGN_LAST};

	CHILD_CHECK(!kernel_can_read(host_ptr(t, 0)));
	CHILD_CHECK(machine_host_reattach(t->m, 0) == 0);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		CHILD_CHECK(*host_ptr(t, foreign[i]) == (char)('a' + i));
	/* Not a hole is left: every page is window or foreign. */
	CHILD_CHECK(msync(host_ptr(t, 0), HOST_LEN(FOREIGN_LAST + 1), MS_ASYNC) == 0);
	host_region(t, 0, 9, MACHINE_REGION_MAP, PROT_RW);
	host_region(t, 12, 988, MACHINE_REGION_MAP, PROT_RW);
	host_region(t, FOREIGN_LAST - 3, 3, MACHINE_REGION_MAP, PROT_RW);
	CHILD_CHECK(host_change(t, RUN(0, 0, 9, 0, PTE_RW), NULL) == 0);
	CHILD_CHECK(host_change(t, RUN(12, 12, 8, 0, PTE_RO), NULL) == 0);
	for (uint32_t i = 0; i < 20; i++) {
		if (i >= 9 && i <= 11)
			continue;
		CHILD_CHECK(page_is(host_ptr(t, i), i));
	}
	child_takes_a_fault(t, 999, 21);
	child_takes_a_fault(t, FOREIGN_LAST - 1, 22);
	page_fill(host_ptr(t, 1), 99);
	CHILD_CHECK(host_change(t, RUN(0, 0, 9, PTE_RW, 0), NULL) == 0);
	CHILD_CHECK(page_is(host_frame(t, 1), 99));
	_exit(0);
}

static void a_child_gets_a_machine_of_its_own(void **state)
{
	const struct host_test *t = *state;
	pid_t pid;

	host_region(t, 0, 9, MACHINE_REGION_MAP, PROT_RW);
	map_foreign(t, 9, 1, 'a');
	map_foreign(t, 11, 1, 'b');
	map_foreign(t, 1000, 50, 'c');
	map_foreign(t, FOREIGN_LAST, 1, 'd');
	fill_frames(t, 30, 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_life(t);
	host_map(t, 0, 0, 9, PTE_RW);
	page_fill(host_ptr(t, 1), 55);
	join_child(pid);
	assert_page(host_ptr(t, 1), 55);
	assert_page(host_ptr(t, 2), 2);
	assert_int_equal(*host_ptr(t, 1000), 'c');
}

/* A child of the child: what reattach() made must be fit for the next fork. */
static void a_grandchild_too(void **state)
{
	const struct host_test *t = *state;
	int status;
	pid_t pid;

	host_region(t, 0, 9, MACHINE_REGION_MAP, PROT_RW);
	fill_frames(t, 9, 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		CHILD_CHECK(machine_host_reattach(t->m, 0) == 0);
		host_region(t, 0, 9, MACHINE_REGION_MAP, PROT_RW);
		pid = fork();
		if (pid == 0) {
			CHILD_CHECK(!kernel_can_read(host_ptr(t, 0)));
			CHILD_CHECK(machine_host_reattach(t->m, 0) == 0);
			host_region(t, 0, 9, MACHINE_REGION_MAP, PROT_RW);
			CHILD_CHECK(host_change(t, RUN(0, 0, 9, 0, PTE_RW), NULL) == 0);
			CHILD_CHECK(page_is(host_ptr(t, 8), 8));
			_exit(0);
		}
		CHILD_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		_exit(0);
	}
	join_child(pid);
}

static const struct CMUnitTest tests[] = {
	HOST_CASE(both_keep_their_bytes),
	HOST_CASE(a_child_that_is_gone_costs_no_copy),
	HOST_CASE(mapped_while_forking_stays_with_the_parent),
	HOST_CASE(a_child_gets_a_machine_of_its_own),
	HOST_CASE(a_grandchild_too),
};
TEST_MAIN(tests)
