/* SPDX-License-Identifier: MIT */
/*
 * Cluster ownership: its rules one by one, then real processes that fight over it and die.
 */
#include "support/test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/rng.h"
#include "swapdev/share.h"

#define CLUSTERS 16

static struct swap_share *share_make(void)
{
	struct swap_share *share =
		mmap(NULL, swap_share_bytes(CLUSTERS), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(share, MAP_FAILED);
	swap_share_init(share, CLUSTERS);
	return share;
}

static void share_free(struct swap_share *share)
{
	munmap(share, swap_share_bytes(CLUSTERS));
}

static void counts_clusters(void **state)
{
	(void)state;
	assert_int_equal(swap_share_clusters(0), 0);
	assert_int_equal(swap_share_clusters(1), 1);
	assert_int_equal(swap_share_clusters(256), 1);
	assert_int_equal(swap_share_clusters(257), 2);
	assert_int_equal(swap_share_clusters(UINT32_MAX), 1 << 24);
	assert_int_equal(swap_share_bytes(3), 32);
}

static void one_gets_it(void **state)
{
	struct swap_share *share = share_make();

	(void)state;
	assert_true(swap_share_get(share, 0, 5));
	assert_false(swap_share_get(share, 0, 6));
	assert_false(swap_share_get(share, 0, 5));
	assert_true(swap_share_is_exclusive(share, 0, 5));
	assert_false(swap_share_is_exclusive(share, 0, 6));
	assert_false(swap_share_get(share, CLUSTERS, 5));
	swap_share_put(share, 0, 5);
	assert_true(swap_share_get(share, 0, 63));
	assert_true(swap_share_is_exclusive(share, 0, 63));
	share_free(share);
}

/*
 *		parent 0	child 1
 *	fork	0 and 1		0 and 1		read by both, written by none
 *	0 puts	-		1		the child's alone
 */
static void fork_shares_until_one_lets_go(void **state)
{
	struct swap_share *share = share_make();

	(void)state;
	assert_true(swap_share_get(share, 2, 0));
	assert_true(swap_share_get(share, 3, 4));
	swap_share_fork(share, 0, 1);
	assert_false(swap_share_is_exclusive(share, 2, 0));
	assert_false(swap_share_is_exclusive(share, 2, 1));
	assert_false(swap_share_get(share, 2, 1));
	assert_true(swap_share_is_exclusive(share, 3, 4));
	assert_int_equal(swap_share_count(share, 1), 1);
	swap_share_put(share, 2, 0);
	assert_true(swap_share_is_exclusive(share, 2, 1));
	assert_int_equal(swap_share_count(share, 0), 0);
	share_free(share);
}

static void a_second_look_before_the_fork_counts(void **state)
{
	struct swap_share *share = share_make();

	(void)state;
	assert_true(swap_share_get(share, 2, 0));
	assert_true(swap_share_get(share, 3, 0));
	swap_share_fork(share, 0, 1);
	swap_share_put(share, 2, 0);
	assert_true(swap_share_get(share, 4, 0));
	swap_share_fork(share, 0, 1);
	assert_int_equal(share->owners[2], 0);
	assert_int_equal(share->owners[3], 3);
	assert_int_equal(share->owners[4], 3);
	share_free(share);
}

static void release_lets_go_of_all(void **state)
{
	struct swap_share *share = share_make();

	(void)state;
	for (uint64_t c = 0; c < CLUSTERS; c += 2)
		assert_true(swap_share_get(share, c, 7));
	swap_share_fork(share, 7, 8);
	assert_true(swap_share_get(share, 1, 8));
	swap_share_release(share, 7);
	assert_int_equal(swap_share_count(share, 7), 0);
	assert_int_equal(swap_share_count(share, 8), CLUSTERS / 2 + 1);
	assert_true(swap_share_is_exclusive(share, 0, 8));
	swap_share_release(share, 8);
	for (uint64_t c = 0; c < CLUSTERS; c++)
		assert_int_equal(share->owners[c], 0);
	share_free(share);
}

/*
 * Processes that take clusters, write their number into a cluster's word when it is theirs
 * alone, look whether it is still there, and let go. Where two believed to own it at once, one
 * finds the other's number.
 */
#define FIGHTERS 4
#define STEPS	 20000
#define NO_ONE	 UINT32_MAX

struct ring {
	uint32_t writer[CLUSTERS]; /* who owns the cluster exclusively just now */
	uint32_t nr_clashes;
	uint32_t nr_taken;
	uint32_t go;
};

static void write_exclusively(struct ring *ring, uint64_t cluster, unsigned int owner)
{
	if (__atomic_exchange_n(&ring->writer[cluster], owner, __ATOMIC_ACQ_REL) != NO_ONE)
		__atomic_fetch_add(&ring->nr_clashes, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 20; i++)
		if (__atomic_load_n(&ring->writer[cluster], __ATOMIC_RELAXED) != owner)
			__atomic_fetch_add(&ring->nr_clashes, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&ring->writer[cluster], NO_ONE, __ATOMIC_RELEASE);
}

static void fight(struct swap_share *share, struct ring *ring, unsigned int owner,
		  unsigned int nr_steps)
{
	struct rng rng = rng_make(test_seed() + owner);
	bool holds[CLUSTERS];

	for (uint64_t c = 0; c < CLUSTERS; c++)
		holds[c] = __atomic_load_n(&share->owners[c], __ATOMIC_RELAXED) >> owner & 1;
	for (unsigned int i = 0; i < nr_steps; i++) {
		uint64_t c = rng_chance(&rng, 60) ? 0 : rng_below(&rng, CLUSTERS);

		if (!holds[c]) {
			holds[c] = swap_share_get(share, c, owner);
			__atomic_fetch_add(&ring->nr_taken, holds[c], __ATOMIC_RELAXED);
			/* Nobody can have joined since. */
			if (holds[c] && !swap_share_is_exclusive(share, c, owner))
				__atomic_fetch_add(&ring->nr_clashes, 1, __ATOMIC_RELAXED);
		} else if (rng_chance(&rng, 40)) {
			swap_share_put(share, c, owner);
			holds[c] = false;
		}
		if (holds[c] && swap_share_is_exclusive(share, c, owner))
			write_exclusively(ring, c, owner);
	}
}

/* Fights, forks a child that fights on with what it inherited, and dies without letting go. */
static void fighter_main(struct swap_share *share, struct ring *ring, unsigned int owner)
{
	unsigned int child = owner + FIGHTERS;
	pid_t pid;

	while (__atomic_load_n(&ring->go, __ATOMIC_ACQUIRE) == 0)
		usleep(100);
	fight(share, ring, owner, STEPS);
	swap_share_fork(share, owner, child);
	pid = fork();
	if (pid == 0) {
		fight(share, ring, child, STEPS);
		_exit(0);
	}
	fight(share, ring, owner, STEPS);
	_exit(waitpid(pid, NULL, 0) == pid ? 0 : 1);
}

static void never_two_exclusive_owners(void **state)
{
	struct swap_share *share = share_make();
	struct ring *ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[FIGHTERS];
	int status;

	(void)state;
	assert_ptr_not_equal(ring, MAP_FAILED);
	test_seed();
	for (int c = 0; c < CLUSTERS; c++)
		ring->writer[c] = NO_ONE;
	for (unsigned int i = 0; i < FIGHTERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			fighter_main(share, ring, i);
	}
	__atomic_store_n(&ring->go, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < FIGHTERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		swap_share_release(share, i);
		swap_share_release(share, i + FIGHTERS);
	}
	assert_int_equal(ring->nr_clashes, 0);
	assert_true(ring->nr_taken > FIGHTERS * STEPS / 100);
	for (uint64_t c = 0; c < CLUSTERS; c++)
		assert_int_equal(share->owners[c], 0);
	munmap(ring, sizeof(*ring));
	share_free(share);
}

/* Killed at any instruction, an owner leaves nothing but its own bits. */
static void a_killed_owner_is_released(void **state)
{
	struct swap_share *share = share_make();
	struct ring *ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	(void)state;
	assert_ptr_not_equal(ring, MAP_FAILED);
	assert_true(swap_share_get(share, 0, 1));
	for (int round = 0; round < 10; round++) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			fight(share, ring, 0, UINT32_MAX);
			_exit(0);
		}
		usleep(2000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		swap_share_release(share, 0);
		assert_int_equal(share->owners[0], 1 << 1);
		for (uint64_t c = 1; c < CLUSTERS; c++)
			assert_int_equal(share->owners[c], 0);
	}
	munmap(ring, sizeof(*ring));
	share_free(share);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(counts_clusters),
	cmocka_unit_test(one_gets_it),
	cmocka_unit_test(fork_shares_until_one_lets_go),
	cmocka_unit_test(a_second_look_before_the_fork_counts),
	cmocka_unit_test(release_lets_go_of_all),
	cmocka_unit_test(never_two_exclusive_owners),
	cmocka_unit_test(a_killed_owner_is_released),
};
TEST_MAIN(tests)
