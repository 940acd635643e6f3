/* SPDX-License-Identifier: MIT */
/*
 * The memory of a run, used by processes that are forked, execute and are killed.
 */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mm/swapdev.h"
#include "run/share.h"
#include "support/rng.h"
#include "swapdev/share.h"

#define CLUSTERS  64
#define NR_KILLED 150

struct run {
	struct run_map map; /* the launcher's */
	char path[64];
	int swap_fd;
};

static struct run run_make(void)
{
	struct run run = {.swap_fd = memfd_create("swap", MFD_CLOEXEC)};
	struct run_area_config area = {.fd = run.swap_fd,
				       .prio = -2,
				       .nr_slots = CLUSTERS * SWAP_CLUSTER_SLOTS,
				       .name = "a swap file"};
	struct run_share_config config = {.ram_bytes = 1 << 20,
					  .swappiness = 60,
					  .flags = RUN_NO_MOVE,
					  .areas = &area,
					  .nr_areas = 1};

	assert_int_equal(run_share_create(&config, &run.map), 0);
	snprintf(run.path, sizeof(run.path), "/proc/%d/fd/%d", (int)getpid(), run.map.fd);
	return run;
}

static void run_drop(struct run *run)
{
	run_share_detach(&run->map);
	close(run->swap_fd);
}

/* In a child: ends the child, not the test, if it does not hold. */
#define CHILD_ASSERT(cond)                                                        \
	do {                                                                      \
		if (!(cond)) {                                                    \
			fprintf(stderr, "child: line %d: %s\n", __LINE__, #cond); \
			_exit(99);                                                \
		}                                                                 \
	} while (0)

static pid_t child_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
	return pid;
}

/* A process that says when it is ready, and then lives until it is killed. */
static pid_t child_start(void (*setup)(const struct run *), const struct run *run)
{
	int ends[2];
	pid_t pid;
	char ready;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = child_fork();
	if (pid == 0) {
		setup(run);
		CHILD_ASSERT(write(ends[1], "r", 1) == 1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &ready, 1), 1);
	close(ends[0]);
	return pid;
}

static void child_kill(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static uint64_t clusters_owned(const struct run *run)
{
	uint64_t nr = 0;

	for (unsigned int slot = 0; slot < RUN_PROCS_MAX; slot++)
		nr += swap_share_count(run_share_swap(&run->map, 0), slot);
	return nr;
}

static void what_the_launcher_says_arrives(void **state)
{
	struct run run = run_make();
	struct run_map map;

	(void)state;
	assert_int_equal(run_share_attach(run.path, &map), 0);
	assert_int_equal(map.share->ram_bytes, 1 << 20);
	assert_int_equal(map.share->swappiness, 60);
	assert_int_equal(map.share->flags, RUN_NO_MOVE);
	assert_int_equal(map.share->nr_areas, 1);
	assert_int_equal(map.share->areas[0].nr_slots, CLUSTERS * SWAP_CLUSTER_SLOTS);
	assert_string_equal(map.share->areas[0].name, "a swap file");
	assert_int_equal(run_share_swap(&map, 0)->nr_clusters, CLUSTERS);
	run_share_detach(&map);
	run_drop(&run);
}

static void no_process_can_cut_it_short(void **state)
{
	struct run run = run_make();

	(void)state;
	assert_int_equal(ftruncate(run.map.fd, 0), -1);
	run_drop(&run);
}

static void what_is_not_a_run_is_refused(void **state)
{
	struct run_share junk = {.magic = RUN_SHARE_MAGIC, .version = RUN_SHARE_VERSION + 1};
	struct run_map map = {.fd = 42};
	int fd = memfd_create("junk", MFD_CLOEXEC);
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(run_share_attach("/no/such", &map), -ENOENT);
	assert_int_equal(run_share_attach(path, &map), -EPROTO);
	assert_int_equal(write(fd, &junk, sizeof(junk)), sizeof(junk));
	assert_int_equal(run_share_attach(path, &map), -EPROTO);
	junk.version = RUN_SHARE_VERSION;
	junk.nr_vmstat = NR_MM_VMSTAT;
	junk.bytes = sizeof(junk) + 1;
	assert_int_equal(pwrite(fd, &junk, sizeof(junk), 0), sizeof(junk));
	assert_int_equal(run_share_attach(path, &map), -EPROTO);
	junk.bytes = sizeof(junk);
	assert_int_equal(pwrite(fd, &junk, sizeof(junk), 0), sizeof(junk));
	assert_int_equal(map.fd, 42);
	assert_int_equal(run_share_attach(path, &map), 0);
	run_share_detach(&map);
	close(fd);
}

static void too_many_areas_are_refused(void **state)
{
	struct run_share_config config = {.nr_areas = RUN_AREAS_MAX + 1};
	struct run_map map;

	(void)state;
	assert_int_equal(run_share_create(&config, &map), -EINVAL);
}

static void entries_are_given_out_once(void **state)
{
	struct run run = run_make();
	struct run_map maps[2];
	uint64_t seen = 0;
	unsigned int slot;

	(void)state;
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(run_share_attach(run.path, &maps[i]), 0);
	for (unsigned int i = 0; i < RUN_PROCS_MAX; i++) {
		assert_int_equal(run_share_claim(&maps[i % 2], &slot), 0);
		assert_int_equal(run.map.share->procs[slot].pid, getpid());
		assert_int_not_equal(run.map.share->procs[slot].start_ticks, 0);
		assert_false(seen >> slot & 1);
		seen |= (uint64_t)1 << slot;
	}
	assert_int_equal(run_share_claim(&maps[0], &slot), -EUSERS);
	assert_int_equal(run_share_reclaim(&run.map), 0);

	run_share_release(&maps[0], slot = (unsigned int)__builtin_ctzll(maps[0].held));
	assert_int_equal(run_share_claim(&maps[1], &slot), 0);
	run_share_detach(&maps[1]); /* its half dies with it */
	assert_int_equal(run_share_reclaim(&run.map), RUN_PROCS_MAX / 2 + 1);
	run_share_detach(&maps[0]);
	run_drop(&run);
}

static void child_takes_swap(const struct run *run)
{
	struct run_map map;
	unsigned int slot;

	CHILD_ASSERT(run_share_attach(run->path, &map) == 0);
	CHILD_ASSERT(run_share_claim(&map, &slot) == 0);
	for (unsigned int i = 0; i < 5; i++)
		CHILD_ASSERT(swap_share_get(run_share_swap(&map, 0), slot * 5 + i, slot));
	map.share->procs[slot].vmstat[MM_VMSTAT_pgfault] = 100;
	map.share->procs[slot].vmstat[MM_VMSTAT_nr_touched_peak] = 7 + slot;
}

static void what_the_dead_held_comes_back(void **state)
{
	struct run run = run_make();
	pid_t first = child_start(child_takes_swap, &run);
	pid_t second = child_start(child_takes_swap, &run);
	struct run_totals totals;

	(void)state;
	assert_int_equal(clusters_owned(&run), 10);
	assert_int_equal(run_share_reclaim(&run.map), 0);
	child_kill(first);
	assert_int_equal(clusters_owned(&run), 10);
	assert_int_equal(run_share_reclaim(&run.map), 1);
	assert_int_equal(clusters_owned(&run), 5);
	assert_int_equal(run_share_reclaim(&run.map), 0);

	run_share_totals(run.map.share, &totals);
	assert_int_equal(totals.vmstat[MM_VMSTAT_pgfault], 200);
	assert_int_equal(totals.vmstat[MM_VMSTAT_nr_touched_peak], 8);
	assert_int_equal(totals.nr_processes, 2);
	child_kill(second);
	assert_int_equal(run_share_reclaim(&run.map), 1);
	assert_int_equal(clusters_owned(&run), 0);
	run_share_totals(run.map.share, &totals);
	assert_int_equal(totals.vmstat[MM_VMSTAT_pgfault], 200);
	run_drop(&run);
}

static int io_fd; /* as a request that is under way holds the file, so does the test */

static void child_has_io(const struct run *run)
{
	struct run_map map;
	unsigned int slot;

	CHILD_ASSERT(run_share_attach(run->path, &map) == 0);
	CHILD_ASSERT(run_share_claim(&map, &slot) == 0 && slot == 0);
	CHILD_ASSERT(swap_share_get(run_share_swap(&map, 0), 3, slot));
	run_share_hold_area(&map, slot, 0, io_fd);
}

static void what_the_dead_still_write_is_nobody_elses(void **state)
{
	struct run run = run_make();
	struct run_map map;
	unsigned int slot;

	(void)state;
	assert_int_equal(run_share_open_area(&run.map, 0, &io_fd), 0);
	child_kill(child_start(child_has_io, &run));
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(run_share_reclaim(&run.map), 1); /* dead, and not quiet */
	assert_int_equal(clusters_owned(&run), 1);
	assert_int_equal(run_share_attach(run.path, &map), 0);
	for (unsigned int i = 1; i < RUN_PROCS_MAX; i++) {
		assert_int_equal(run_share_claim(&map, &slot), 0);
		assert_int_not_equal(slot, 0);
	}
	assert_int_equal(run_share_claim(&map, &slot), -EUSERS);
	close(io_fd);
	assert_int_equal(run_share_claim(&map, &slot), 0);
	assert_int_equal(slot, 0);
	assert_int_equal(clusters_owned(&run), 0);
	run_share_detach(&map);
	run_drop(&run);
}

static void a_claim_takes_back_what_it_needs(void **state)
{
	struct run run = run_make();
	struct run_map map;
	unsigned int slot;

	(void)state;
	assert_int_equal(run_share_attach(run.path, &map), 0);
	for (unsigned int i = 0; i < RUN_PROCS_MAX; i++)
		assert_int_equal(run_share_claim(&map, &slot), 0);
	assert_true(swap_share_get(run_share_swap(&run.map, 0), 3, slot));
	run.map.share->procs[slot].vmstat[MM_VMSTAT_pgfault] = 5;
	run_share_detach(&map);

	assert_int_equal(run_share_attach(run.path, &map), 0);
	assert_int_equal(run_share_claim(&map, &slot), 0); /* without a reclaim before it */
	assert_int_equal(run.map.share->procs[slot].vmstat[MM_VMSTAT_pgfault], 0);
	assert_int_equal(run_share_reclaim(&run.map), RUN_PROCS_MAX - 1);
	assert_int_equal(clusters_owned(&run), 0);
	run_share_detach(&map);
	run_drop(&run);
}

static void child_executes(const struct run *run)
{
	child_takes_swap(run);
	execl("/bin/sh", "sh", "-c", "echo ready; exec sleep 100", NULL);
	CHILD_ASSERT(errno == 0);
}

/* Number and start time stay the same at an exec; what the old program held does not. */
static void an_exec_ends_the_old_program(void **state)
{
	struct run run = run_make();
	int ends[2];
	char ready;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = child_fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		child_executes(&run);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &ready, 1), 1);
	assert_int_equal(run_share_reclaim(&run.map), 1);
	assert_int_equal(clusters_owned(&run), 0);
	child_kill(pid);
	close(ends[0]);
	run_drop(&run);
}

/* The test leads the grandchild through its steps, so that no time has to be guessed. */
static int steps[2]; /* a byte lets it go on; it says when it is done with one */
static int done[2];

static void step_wait(void)
{
	char go;

	CHILD_ASSERT(read(steps[0], &go, 1) == 1);
}

static void step_next(void)
{
	char said;

	assert_int_equal(write(steps[1], "s", 1), 1);
	assert_int_equal(read(done[0], &said, 1), 1);
}

static _Noreturn void grandchild_lives(const struct run *run, struct run_map *inherited,
				       unsigned int slot)
{
	struct run_map map;

	step_wait();
	CHILD_ASSERT(swap_share_count(run_share_swap(inherited, 0), slot) == 1);
	CHILD_ASSERT(run_share_attach(run->path, &map) == 0);
	CHILD_ASSERT(run_share_adopt(&map, slot) == 0);
	CHILD_ASSERT(run_share_adopt(&map, slot) == -EBUSY);
	run_share_detach(inherited);
	CHILD_ASSERT(write(done[1], "d", 1) == 1);
	step_wait();
	run_share_detach(&map);
	CHILD_ASSERT(write(done[1], "d", 1) == 1);
	_exit(0);
}

static void child_forks(const struct run *run)
{
	struct run_map map, inherited;
	unsigned int parent, child;

	CHILD_ASSERT(run_share_attach(run->path, &map) == 0);
	CHILD_ASSERT(run_share_claim(&map, &parent) == 0);
	CHILD_ASSERT(swap_share_get(run_share_swap(&map, 0), 9, parent));
	CHILD_ASSERT(run_share_attach(run->path, &inherited) == 0);
	CHILD_ASSERT(run_share_claim(&inherited, &child) == 0);
	run_share_fork(&map, parent, child);
	if (fork() == 0) {
		close(map.fd); /* as if it were in the file table of the parent's runtime */
		grandchild_lives(run, &inherited, child);
	}
	run_share_detach(&inherited);
}

/* A killed process's files are closed a little after it can be waited for. */
static unsigned int reclaim_one(struct run *run)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < 5000 && nr == 0; i++) {
		nr = run_share_reclaim(&run->map);
		usleep(1000);
	}
	return nr;
}

static void a_fork_hands_over_without_a_gap(void **state)
{
	struct run run = run_make();
	pid_t parent;

	(void)state;
	assert_int_equal(pipe2(steps, O_CLOEXEC), 0);
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	parent = child_start(child_forks, &run);
	assert_int_equal(run_share_reclaim(&run.map), 0);
	child_kill(parent);
	assert_int_equal(reclaim_one(&run), 1); /* the parent's entry; not the child's */
	assert_int_equal(run_share_reclaim(&run.map), 0);
	assert_int_equal(clusters_owned(&run), 1);
	step_next(); /* it has adopted its entry */
	assert_int_equal(run_share_reclaim(&run.map), 0);
	assert_int_equal(clusters_owned(&run), 1);
	step_next(); /* it has left */
	assert_int_equal(run_share_reclaim(&run.map), 1);
	assert_int_equal(clusters_owned(&run), 0);
	for (unsigned int i = 0; i < 2; i++) {
		close(steps[i]);
		close(done[i]);
	}
	run_drop(&run);
}

static void the_swap_is_kept_from_other_runs(void **state)
{
	struct run run = run_make();
	struct run_map map;
	char path[64];
	int fd, other;

	(void)state;
	assert_int_equal(run_share_attach(run.path, &map), 0);
	assert_int_equal(run_share_open_area(&map, 0, &fd), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", run.swap_fd);
	other = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	close(fd);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(run_share_open_area(&map, 0, &fd), -EAGAIN);
	close(other);
	map.share->areas[0].fd = 9999;
	assert_int_equal(run_share_open_area(&map, 0, &fd), -ENOENT);
	run_share_detach(&map);
	run_drop(&run);
}

static void last_words_are_heard_once(void **state)
{
	struct run run = run_make();
	char line[300], expected[300];

	(void)state;
	assert_null(run_share_next_words(run.map.share));
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	run_share_say(run.map.share, line);
	strcpy(expected, line);
	expected[RUN_LINE_MAX - 1] = '\0';
	assert_string_equal(run_share_next_words(run.map.share), expected);
	assert_null(run_share_next_words(run.map.share));
	for (unsigned int i = 0; i < 2 * RUN_WORDS_MAX; i++)
		run_share_say(run.map.share, "words");
	for (unsigned int i = 1; i < RUN_WORDS_MAX; i++)
		assert_string_equal(run_share_next_words(run.map.share), "words");
	assert_null(run_share_next_words(run.map.share));
	run_drop(&run);
}

/* Claims, works, releases, and takes back what others left, until it is killed. */
static _Noreturn void child_works(const struct run *run)
{
	struct swap_share *swap;
	struct run_map map;
	unsigned int slot;

	CHILD_ASSERT(run_share_attach(run->path, &map) == 0);
	swap = run_share_swap(&map, 0);
	for (;;) {
		unsigned int mine[CLUSTERS], nr = 0;

		CHILD_ASSERT(run_share_claim(&map, &slot) == 0);
		CHILD_ASSERT(swap_share_count(swap, slot) == 0);
		for (unsigned int i = 0; i < CLUSTERS; i++)
			if (i % 4 == slot % 4 && swap_share_get(swap, i, slot))
				mine[nr++] = i;
		map.share->procs[slot].vmstat[MM_VMSTAT_pgfault]++;
		run_share_reclaim(&map);
		for (unsigned int i = 0; i < nr; i++) /* nobody has taken them from us */
			CHILD_ASSERT(swap_share_is_exclusive(swap, mine[i], slot));
		run_share_release(&map, slot);
	}
}

static void wait_us(uint64_t us)
{
	struct timespec time = {.tv_nsec = (long)us * 1000};

	nanosleep(&time, NULL);
}

/* What is killed at any instruction leaves nothing that cannot be taken back. */
static void a_kill_at_any_time_loses_nothing(void **state)
{
	struct rng rng = rng_make(test_seed());
	struct run run = run_make();
	struct run_totals totals;
	pid_t pids[2];

	(void)state;
	for (unsigned int i = 0; i < NR_KILLED; i++) {
		for (unsigned int j = 0; j < 2; j++) {
			pids[j] = child_fork();
			if (pids[j] == 0)
				child_works(&run);
		}
		wait_us(rng_between(&rng, 200, 3000));
		for (unsigned int j = 0; j < 2; j++)
			child_kill(pids[j]);
	}
	run_share_reclaim(&run.map);
	assert_int_equal(clusters_owned(&run), 0);
	assert_int_equal(run_share_reclaim(&run.map), 0);
	run_share_totals(run.map.share, &totals);
	assert_true(totals.vmstat[MM_VMSTAT_pgfault] <= totals.nr_processes);
	run_drop(&run);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(what_the_launcher_says_arrives),
	cmocka_unit_test(no_process_can_cut_it_short),
	cmocka_unit_test(what_is_not_a_run_is_refused),
	cmocka_unit_test(too_many_areas_are_refused),
	cmocka_unit_test(entries_are_given_out_once),
	cmocka_unit_test(what_the_dead_held_comes_back),
	cmocka_unit_test(what_the_dead_still_write_is_nobody_elses),
	cmocka_unit_test(a_claim_takes_back_what_it_needs),
	cmocka_unit_test(an_exec_ends_the_old_program),
	cmocka_unit_test(a_fork_hands_over_without_a_gap),
	cmocka_unit_test(the_swap_is_kept_from_other_runs),
	cmocka_unit_test(last_words_are_heard_once),
	cmocka_unit_test(a_kill_at_any_time_loses_nothing),
};
TEST_MAIN(tests)
