/* SPDX-License-Identifier: MIT */
/*
 * Two threads fault, a third reclaims and takes in I/O, all at once, on data of three times the
 * RAM, or more than all of it; every value is checked by the thread that wrote it. For
 * ThreadSanitizer. The two wait for each other after each round, so that neither has the RAM
 * for itself however they are scheduled.
 */
#include <pthread.h>
#include <sched.h>

#include "support/test.h"
#include "world.h"

#define RW     (MM_PROT_READ | MM_PROT_WRITE)
#define ROUNDS 6
#define HALF   (WORLD_PAGES / 2)

struct worker {
	struct world *w;
	unsigned int first; /* pages [first, first + HALF) are its own */
	uint64_t seed;
	unsigned int nr_bad;
	unsigned int nr_retries;
};

static bool is_stopped;
static pthread_barrier_t round_end;

static void access_until_done(struct worker *k, vaddr_t va, uint64_t *value, bool is_write)
{
	struct machine_soft_fault fault;
	struct world *w = k->w;

	for (;;) {
		enum mm_fault_result result;
		int err = is_write ? machine_soft_store(w->mm->space, va, value, 8, &fault)
				   : machine_soft_load(w->mm->space, va, value, 8, &fault);

		if (err == 0)
			return;
		result = mm_fault(w->mm, va, is_write ? MM_ACCESS_WRITE : MM_ACCESS_READ);
		if (result == MM_FAULT_RETRY) {
			k->nr_retries++;
			mm_step(w->sys, 0, 0);
			sched_yield();
		} else if (result > MM_FAULT_MAJOR) {
			k->nr_bad++;
			return;
		}
	}
}

static void *work(void *arg)
{
	struct worker *k = arg;
	struct rng rng = rng_make(k->seed);
	static __thread uint64_t expected[HALF];

	for (unsigned int i = 0; i < ROUNDS * HALF; i++) {
		unsigned int page = (unsigned int)rng_below(&rng, HALF);
		vaddr_t va = world_va(k->first + page);
		uint64_t value = rng_next(&rng);

		if (rng_chance(&rng, 50)) {
			access_until_done(k, va, &value, true);
			expected[page] = value;
		} else {
			access_until_done(k, va, &value, false);
			k->nr_bad += value != expected[page];
		}
		if ((i + 1) % HALF == 0)
			pthread_barrier_wait(&round_end);
	}
	return NULL;
}

static void *kswapd(void *arg)
{
	struct world *w = arg;

	while (!__atomic_load_n(&is_stopped, __ATOMIC_RELAXED)) {
		mm_step(w->sys, 0, 32);
		sched_yield();
	}
	return NULL;
}

static void run_in_parallel(const struct world_config *cfg)
{
	struct world w;
	struct worker workers[2];
	pthread_t threads[2], reclaimer;

	world_create(&w, cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	is_stopped = false;
	assert_int_equal(pthread_barrier_init(&round_end, NULL, 2), 0);
	assert_int_equal(pthread_create(&reclaimer, NULL, kswapd, &w), 0);
	for (unsigned int i = 0; i < 2; i++) {
		workers[i] = (struct worker){
			.w = &w, .first = i * HALF, .seed = test_seed() + i + cfg->caps};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&is_stopped, true, __ATOMIC_RELAXED);
	pthread_join(reclaimer, NULL);
	pthread_barrier_destroy(&round_end);
	assert_int_equal(workers[0].nr_bad + workers[1].nr_bad, 0);
	assert_true(WSTAT(&w, pswpin) > 0);
	world_settle(&w);
	world_check(&w);
	world_destroy(&w);
}

static void faults_run_in_parallel(uint32_t caps)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	cfg.caps = caps;
	cfg.mode = SWAPDEV_MEM_RANDOM;
	run_in_parallel(&cfg);
}

/* Beside reclaim, which splits, the third thread makes large pages. */
static void with_larger_pages(void **state)
{
	(void)state;
	for (uint32_t bits = 0; bits < 4; bits += 3) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;

		cfg.caps = MACHINE_HUGE | bits; /* none, or accessed and dirty */
		cfg.mode = SWAPDEV_MEM_RANDOM;
		cfg.nr_frames = 1100;
		cfg.min_free_kbytes = 1600;
		cfg.thp = cfg.thp_64k = MM_THP_ALWAYS;
		cfg.collapses = true;
		run_in_parallel(&cfg);
	}
}

static void without_accessed_bits(void **state)
{
	(void)state;
	faults_run_in_parallel(0);
}

static void with_accessed_and_dirty_bits(void **state)
{
	(void)state;
	faults_run_in_parallel(MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY);
}

static void with_neighbours(void **state)
{
	(void)state;
	faults_run_in_parallel(MACHINE_FAULTS_COST);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(without_accessed_bits),
	cmocka_unit_test(with_neighbours),
	cmocka_unit_test(with_accessed_and_dirty_bits),
	cmocka_unit_test(with_larger_pages),
};
TEST_MAIN(tests)
