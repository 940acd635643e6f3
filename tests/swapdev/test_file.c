/* SPDX-License-Identifier: MIT */
/*
 * swapdev/file: what its two engines do when all is not well, and around a fork. What every
 * device does is in test_conformance.c.
 */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/spawn.h"
#include "swapdev/child.h"
#include "swapdev/devices.h"
#include "swapdev/header.h"

#define SLOTS 512u
#define NR    16u

static const struct swapdev_file_config engines[] = {
	{.name = "io_uring"},
	{.name = "thread", .no_uring = true},
};

/* A device over dir/it, which stays there. */
struct fixture {
	const struct swapdev_file_config *how;
	char *dir;
	struct test_device t;
};

static struct fixture f;

static int open_it(void)
{
	int fd = open("it", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void write_header(const char *path, uint64_t file_bytes,
			 const struct swap_header *header)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_return_code(ftruncate(fd, (off_t)file_bytes), errno);
	assert_int_equal(swap_header_write(fd, header), 0);
	close(fd);
}

static int create(int fd, struct swapdev **ret_dev)
{
	struct swapdev_file_config cfg = *f.how;

	cfg.fd = fd;
	cfg.nr_slots = SLOTS;
	cfg.spawn = spawn_thread;
	return swapdev_file_create(&cfg, ret_dev);
}

static void open_device(void)
{
	f.t = (struct test_device){.kind = &device_kinds[0]};
	assert_int_equal(create(open_it(), &f.t.dev), 0);
	f.t.event_fd = swapdev_file_event_fd(f.t.dev);
}

static void close_device(void)
{
	f.t.dev->ops->close(f.t.dev);
}

static int set_up(void **state)
{
	f.how = *state;
	f.dir = scratch_dir_make();
	assert_return_code(chdir(f.dir), errno);
	write_header("it", SLOTS * PAGE_SIZE, &(struct swap_header){.nr_slots = SLOTS});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_return_code(chdir("/"), errno);
	scratch_dir_remove(f.dir);
	return 0;
}

static void need_engine(void)
{
	if (strcmp(swapdev_file_engine(f.t.dev), f.how->name) == 0)
		return;
	close_device();
	test_skip("needs io_uring");
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

/* NR writes or reads from slot on, all in one submit. */
static void submit_run(void *pages, uint64_t slot, bool is_write, uint64_t generation)
{
	struct swapdev_io ios[NR];

	for (unsigned int i = 0; i < NR; i++) {
		ios[i] = (struct swapdev_io){.slot = slot + i,
					     .page = page_at(pages, i),
					     .cookie = i,
					     .is_write = is_write};
		if (is_write)
			page_fill(ios[i].page, slot + i, generation);
	}
	submit_all(&f.t, ios, NR);
}

static void check_run(uint64_t slot, uint64_t generation)
{
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];

	submit_run(pages, slot, false, 0);
	wait_for(&f.t, done, NR);
	for (unsigned int i = 0; i < NR; i++) {
		assert_int_equal(done[i].err, 0);
		assert_true(page_holds(page_at(pages, i), slot + i, generation));
	}
	pages_free(pages, NR);
}

static void write_run(uint64_t slot, uint64_t generation)
{
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];

	submit_run(pages, slot, true, generation);
	wait_for(&f.t, done, NR);
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(done[i].err, 0);
	pages_free(pages, NR);
}

static void refuses_what_is_no_swap_area(void **state)
{
	struct swapdev_file_config cfg = {.fd = -1, .nr_slots = SLOTS, .spawn = spawn_thread};
	const uint64_t wrong[] = {0, 1, SLOTS + 1};
	struct swapdev *dev = NULL;

	(void)state;
	assert_int_equal(swapdev_file_create(&cfg, &dev), -EBADF);
	cfg.fd = open_it();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		cfg.nr_slots = wrong[i];
		assert_int_equal(swapdev_file_create(&cfg, &dev), -EINVAL);
	}
	assert_return_code(fcntl(cfg.fd, F_GETFD), errno); /* still ours */
	assert_int_equal(pwrite(cfg.fd, "no", 2, 4086), 2);
	cfg.nr_slots = SLOTS;
	assert_int_equal(swapdev_file_create(&cfg, &dev), -EINVAL);
	assert_null(dev);
	close(cfg.fd);
}

static void direct_io_is_what_the_descriptor_says(void **state)
{
	struct swapdev_file_config cfg = *f.how;

	(void)state;
	for (int no_direct = 0; no_direct <= 1; no_direct++) {
		cfg.fd = open_it();
		cfg.nr_slots = SLOTS;
		cfg.spawn = spawn_thread;
		cfg.no_direct = no_direct;
		assert_int_equal(swapdev_file_create(&cfg, &f.t.dev), 0);
		if (no_direct)
			assert_false(swapdev_file_is_direct(f.t.dev));
		assert_int_equal((fcntl(cfg.fd, F_GETFL) & O_DIRECT) != 0,
				 swapdev_file_is_direct(f.t.dev));
		close_device();
		assert_int_equal(fcntl(cfg.fd, F_GETFD), -1);
	}
}

/*
 *	submit 16 .. some end		readable
 *	poll 5				still readable: 11 are left
 *	poll the rest			not readable
 */
static void event_fd_is_readable_while_there_is_something(void **state)
{
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];

	(void)state;
	open_device();
	need_engine();
	assert_false(is_readable(f.t.event_fd, 0));
	submit_run(pages, 1, true, 1);
	wait_for(&f.t, done, 5);
	for (unsigned int i = 5; i < NR; i++) {
		assert_true(is_readable(f.t.event_fd, WAIT_SECONDS_MAX * 1000));
		wait_for(&f.t, &done[i], 1);
	}
	assert_int_equal(f.t.dev->ops->poll(f.t.dev, done, NR), 0);
	assert_false(is_readable(f.t.event_fd, 0));
	close_device();
	pages_free(pages, NR);
}

static void a_refused_io_is_an_event_too(void **state)
{
	struct swapdev_io io = {.slot = SLOTS, .page = (void *)PAGE_SIZE}, done;

	(void)state;
	open_device();
	submit_all(&f.t, &io, 1);
	assert_true(is_readable(f.t.event_fd, 0));
	wait_for(&f.t, &done, 1);
	assert_int_equal(done.err, -EINVAL);
	close_device();
}

static bool is_zero(uint64_t slot)
{
	uint8_t page[PAGE_SIZE], zero[PAGE_SIZE] = {0};
	int fd = open_it();

	assert_int_equal(pread(fd, page, sizeof(page), (off_t)(slot * PAGE_SIZE)),
			 sizeof(page));
	close(fd);
	return memcmp(page, zero, sizeof(page)) == 0;
}

static void bad_slots_are_never_touched(void **state)
{
	const struct swap_header header = {.nr_slots = SLOTS, .nr_bad = 2, .bad = {4, 9}};
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];

	(void)state;
	write_header("it", SLOTS * PAGE_SIZE, &header);
	open_device();
	assert_int_equal(f.t.dev->nr_bad_slots, 2);
	assert_int_equal(f.t.dev->bad_slots[0], 4);
	assert_int_equal(f.t.dev->bad_slots[1], 9);
	submit_run(pages, 1, true, 3);
	wait_for(&f.t, done, NR);
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(done[i].err,
				 done[i].slot == 4 || done[i].slot == 9 ? -EIO : 0);
	close_device();
	pages_free(pages, NR);
	assert_true(is_zero(4));
	assert_true(is_zero(9));
	assert_false(is_zero(5));
}

/* Slots 1..16 are asked for, the file ends after slot 8. */
static void a_file_that_ended_early_costs_only_its_end(void **state)
{
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];

	(void)state;
	open_device();
	need_engine();
	write_run(1, 2);
	assert_return_code(truncate("it", 9 * PAGE_SIZE), errno);
	submit_run(pages, 1, false, 0);
	wait_for(&f.t, done, NR);
	for (unsigned int i = 0; i < NR; i++) {
		assert_int_equal(done[i].err, done[i].slot <= 8 ? 0 : -EIO);
		if (done[i].slot <= 8)
			assert_true(page_holds(done[i].page, done[i].slot, 2));
	}
	close_device();
	pages_free(pages, NR);
}

static void the_system_s_error_comes_back(void **state)
{
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];
	int fd = open("it", O_RDONLY | O_CLOEXEC);

	(void)state;
	f.t = (struct test_device){.kind = &device_kinds[0]};
	assert_int_equal(create(fd, &f.t.dev), 0);
	f.t.event_fd = swapdev_file_event_fd(f.t.dev);
	submit_run(pages, 1, true, 2);
	wait_for(&f.t, done, NR);
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(done[i].err, -EBADF);
	close_device();
	pages_free(pages, NR);
}

static void close_waits_for_what_runs(void **state)
{
	enum { MANY = 100 };
	void *pages = pages_make(MANY);
	struct swapdev_io ios[MANY];

	(void)state;
	open_device();
	for (unsigned int i = 0; i < MANY; i++) {
		page_fill(page_at(pages, i), 1 + 2 * i, 4);
		ios[i] = (struct swapdev_io){
			.slot = 1 + 2 * i, .page = page_at(pages, i), .is_write = true};
	}
	submit_all(&f.t, ios, MANY);
	close_device();
	memset(pages, 0xff, MANY * PAGE_SIZE);
	open_device();
	for (unsigned int i = 0; i < MANY; i++) {
		assert_int_equal(read_page(&f.t, 1 + 2 * i, pages), 0);
		assert_true(page_holds(pages, 1 + 2 * i, 4));
	}
	close_device();
	pages_free(pages, MANY);
}

/* The runtime's threads share the program's errno, and may hold its malloc's lock. */
static void leaves_errno_and_malloc_alone(void **state)
{
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];
	unsigned int ended = 0;
	size_t before;

	(void)state;
	open_device();
	need_engine();
	submit_run(pages, 1, true, 2);
	wait_for(&f.t, done, NR);
	before = mallinfo2().uordblks;
	errno = 4242;
	for (int tries = 0; tries < 100; tries++) {
		ended = 0;
		submit_run(pages, 1, true, 2);
		while (ended < NR)
			ended += f.t.dev->ops->poll(f.t.dev, done, NR);
	}
	assert_int_equal(errno, 4242);
	assert_int_equal(mallinfo2().uordblks, before);
	close_device();
	assert_int_equal(errno, 4242);
	pages_free(pages, NR);
}

/* Forks. The child opens the area anew, as the parent's descriptors mean nothing to it. */

static void in_fork(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void child_goes_on(void)
{
	assert_int_equal(swapdev_file_reopen(f.t.dev, open_it(), 3), 0);
	f.t.event_fd = swapdev_file_event_fd(f.t.dev);
	check_run(1, 5);
	write_run(101, 6);
	check_run(101, 6);
	close_device();
}

static void works_on_in_the_child_of_a_fork(void **state)
{
	(void)state;
	open_device();
	need_engine();
	write_run(1, 5);
	in_fork(child_goes_on);
	check_run(101, 6);
	write_run(1, 7);
	check_run(1, 7);
	close_device();
}

static void child_polls_the_rest(void)
{
	struct swapdev_io done[NR];

	assert_int_equal(swapdev_file_reopen(f.t.dev, open_it(), 3), 0);
	f.t.event_fd = swapdev_file_event_fd(f.t.dev);
	assert_true(is_readable(f.t.event_fd, 0));
	wait_for(&f.t, done, NR - 1);
	check_run(1, 5);
	close_device();
}

static void ended_io_survives_a_fork(void **state)
{
	void *pages = pages_make(NR);
	struct swapdev_io done;

	(void)state;
	open_device();
	need_engine();
	submit_run(pages, 1, true, 5);
	wait_for(&f.t, &done, 1);
	in_fork(child_polls_the_rest);
	close_device();
	pages_free(pages, NR);
}

static void child_may_not(void)
{
	int fd = open_it();

	assert_int_equal(swapdev_file_reopen(f.t.dev, fd, 3), -EBUSY);
	assert_return_code(fcntl(fd, F_GETFD), errno);
}

static void running_io_forbids_reopening(void **state)
{
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];

	(void)state;
	open_device();
	need_engine();
	if (strcmp(f.how->name, "io_uring") != 0) {
		close_device();
		return; /* it may have ended by now */
	}
	submit_run(pages, 1, true, 5); /* runs until it is polled */
	in_fork(child_may_not);
	wait_for(&f.t, done, NR);
	close_device();
	pages_free(pages, NR);
}

/* A disk that is full: 64 pages of tmpfs below 512 slots. */

static unsigned int write_until_full(uint64_t first, uint64_t end, int *ret_other_errors)
{
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];
	unsigned int nr_good = 0;

	*ret_other_errors = 0;
	for (uint64_t slot = first; slot + NR <= end; slot += NR) {
		submit_run(pages, slot, true, 9);
		wait_for(&f.t, done, NR);
		for (unsigned int i = 0; i < NR; i++) {
			nr_good += done[i].err == 0;
			*ret_other_errors += done[i].err != 0 && done[i].err != -ENOSPC;
		}
	}
	pages_free(pages, NR);
	return nr_good;
}

static int on_full_disk(void)
{
	int other_errors, filler;
	unsigned int nr_good;

	if (child_mount_tmpfs("mnt", "size=256K") != 0)
		return CHILD_CANNOT;
	filler = open("mnt/filler", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHILD_EXPECT(posix_fallocate(filler, 0, 100000) == 0);
	CHILD_EXPECT(chdir("mnt") == 0);
	write_header("it", SLOTS * PAGE_SIZE, &(struct swap_header){.nr_slots = SLOTS});
	open_device();
	nr_good = write_until_full(1, 129, &other_errors);
	CHILD_EXPECT(nr_good >= 20 && nr_good <= 64 && other_errors == 0);
	check_run(1, 9); /* what fitted is there */
	CHILD_EXPECT(unlink("filler") == 0 && close(filler) == 0);
	CHILD_EXPECT(write_until_full(301, 317, &other_errors) == NR && other_errors == 0);
	check_run(301, 9);
	close_device();
	return 0;
}

static void a_full_disk_is_said_page_by_page(void **state)
{
	(void)state;
	assert_return_code(mkdir("mnt", 0700), errno);
	assert_in_child(on_full_disk);
}

/* Without io_uring. */

static int uring_is_forbidden(int err)
{
	struct swapdev_file_config cfg = {.nr_slots = SLOTS, .fd = open_it()};
	struct swapdev *dev;

	if (child_forbid_syscall(SYS_io_uring_setup, err) != 0)
		return CHILD_CANNOT;
	CHILD_EXPECT(swapdev_file_create(&cfg, &dev) == -err);
	close(cfg.fd);
	open_device();
	CHILD_EXPECT(strcmp(swapdev_file_engine(f.t.dev), "thread") == 0);
	write_run(1, 1);
	check_run(1, 1);
	close_device();
	return 0;
}

static int without_permission(void)
{
	return uring_is_forbidden(EPERM);
}

static int on_an_old_kernel(void)
{
	return uring_is_forbidden(ENOSYS);
}

static void falls_back_to_a_thread(void **state)
{
	struct swapdev_file_config cfg = {.nr_slots = SLOTS, .no_uring = true, .fd = open_it()};
	struct swapdev *dev;

	(void)state;
	assert_int_equal(swapdev_file_create(&cfg, &dev), -ENOSYS);
	close(cfg.fd);
	assert_in_child(without_permission);
	assert_in_child(on_an_old_kernel);
}

/* A program that locks itself in after the ring was made. */
static int ring_is_shut_later(void)
{
	open_device();
	write_run(1, 1);
	if (child_forbid_syscall(SYS_io_uring_enter, EPERM) != 0)
		return CHILD_CANNOT;
	write_run(101, 2);
	check_run(101, 2);
	check_run(1, 1);
	return 0;
}

static void goes_on_when_the_ring_is_shut(void **state)
{
	(void)state;
	assert_in_child(ring_is_shut_later);
}

static int ring_is_never_ready(void)
{
	void *pages = pages_make(NR);
	struct swapdev_io done[NR];

	open_device();
	if (strcmp(swapdev_file_engine(f.t.dev), "io_uring") != 0)
		return CHILD_CANNOT;
	if (child_forbid_syscall(SYS_io_uring_enter, EAGAIN) != 0)
		return CHILD_CANNOT;
	submit_run(pages, 1, true, 1);
	for (int i = 0; i < 10; i++) {
		CHILD_EXPECT(is_readable(f.t.event_fd, 0)); /* so that poll() tries again */
		CHILD_EXPECT(f.t.dev->ops->poll(f.t.dev, done, NR) == 0);
	}
	return 0;
}

static void is_asked_again_when_the_ring_is_not_ready(void **state)
{
	(void)state;
	if (!f.how->no_uring)
		assert_in_child(ring_is_never_ready);
}

static const struct CMUnitTest cases[] = {
	cmocka_unit_test(refuses_what_is_no_swap_area),
	cmocka_unit_test(direct_io_is_what_the_descriptor_says),
	cmocka_unit_test(event_fd_is_readable_while_there_is_something),
	cmocka_unit_test(a_refused_io_is_an_event_too),
	cmocka_unit_test(bad_slots_are_never_touched),
	cmocka_unit_test(a_file_that_ended_early_costs_only_its_end),
	cmocka_unit_test(the_system_s_error_comes_back),
	cmocka_unit_test(close_waits_for_what_runs),
	cmocka_unit_test(leaves_errno_and_malloc_alone),
	cmocka_unit_test(works_on_in_the_child_of_a_fork),
	cmocka_unit_test(ended_io_survives_a_fork),
	cmocka_unit_test(running_io_forbids_reopening),
	cmocka_unit_test(a_full_disk_is_said_page_by_page),
	cmocka_unit_test(falls_back_to_a_thread),
	cmocka_unit_test(goes_on_when_the_ring_is_shut),
	cmocka_unit_test(is_asked_again_when_the_ring_is_not_ready),
};

#define NR_CASES   (sizeof(cases) / sizeof(cases[0]))
#define NR_ENGINES (sizeof(engines) / sizeof(engines[0]))

/* Each case with each engine. */
int main(void)
{
	static char names[NR_ENGINES * NR_CASES][128];
	struct CMUnitTest tests[NR_ENGINES * NR_CASES];

	for (size_t i = 0; i < NR_ENGINES * NR_CASES; i++) {
		const struct CMUnitTest *test = &cases[i % NR_CASES];
		const struct swapdev_file_config *engine = &engines[i / NR_CASES];

		snprintf(names[i], sizeof(names[i]), "%s: %s", engine->name, test->name);
		tests[i] = (struct CMUnitTest){.name = names[i],
					       .test_func = test->test_func,
					       .setup_func = set_up,
					       .teardown_func = tear_down};
		memcpy(&tests[i].initial_state, &engine, sizeof(engine));
	}
	return test_run(tests, NR_ENGINES * NR_CASES, NULL, NULL);
}
