/* SPDX-License-Identifier: MIT */
/*
 * Random lives of an address space, each byte checked against a plain model, mm_check() after
 * each step: maps, unmaps, protections, touches, advice, moves, rests for a fork; on machines
 * with and without accessed and dirty bits; on devices that answer at once, late, out of order,
 * or with errors; with every nth frame allocation failing.
 */
#include <errno.h>
#include <stdlib.h>

#include "steps.h"
#include "support/test.h"

#define RW    (MM_PROT_READ | MM_PROT_WRITE)
#define TELLS (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)
#define STEPS 1500

/* Over all lives: what the tests of larger pages must have met. */
static struct {
	uint64_t nr_made, nr_split, nr_fallback;
} huge;

static void count_huge(const struct world *w)
{
	huge.nr_made += WSTAT(w, thp_fault_alloc) + WSTAT(w, anon_64k_fault_alloc);
	huge.nr_split += WSTAT(w, thp_split_page);
	huge.nr_fallback += WSTAT(w, thp_fault_fallback);
}

static void live(const struct world_config *cfg, unsigned int steps)
{
	struct world w;

	world_create(&w, cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	for (unsigned int i = 0; i < WORLD_PAGES; i++)
		world_write(&w, i); /* three times what RAM holds */
	world_check(&w);
	for (unsigned int i = 0; i < steps; i++) {
		step_any(&w);
		world_check(&w);
	}
	assert_true(WSTAT(&w, pswpout) > 0 || cfg->nr_slots == 0 ||
		    cfg->nr_frames > 2 * WORLD_PAGES);
	count_huge(&w);
	world_destroy(&w);
}

static void every_byte_is_as_modelled(void **state)
{
	static const uint32_t caps[] = {0, TELLS, MACHINE_SETS_DIRTY, MACHINE_SETS_ACCESSED,
					MACHINE_FAULTS_COST};
	static const enum swapdev_mem_mode modes[] = {SWAPDEV_MEM_SYNC, SWAPDEV_MEM_RANDOM};

	(void)state;
	for (unsigned int c = 0; c < 5; c++) {
		for (unsigned int m = 0; m < 2; m++) {
			struct world_config cfg = WORLD_CONFIG_DEFAULT;

			cfg.caps = caps[c];
			cfg.mode = modes[m];
			cfg.seed = test_seed() + c * 2 + m;
			live(&cfg, STEPS);
			cfg.is_linux_reclaim = true;
			live(&cfg, STEPS / 2);
			cfg.is_linux_reclaim = false;
			cfg.is_reclaim_by_faults = true;
			live(&cfg, STEPS / 2);
		}
	}
}

/* Every policy on every kind of machine, with devices that answer at once and out of order. */
static void no_policy_loses_a_byte(void **state)
{
	static const uint32_t caps[] = {0, TELLS, MACHINE_FAULTS_COST, MACHINE_SETS_ACCESSED};
	const struct policy_ops *policy;

	(void)state;
	for (unsigned int i = 1; (policy = policy_at(i)); i++) {
		for (unsigned int c = 0; c < 8; c++) {
			struct world_config cfg = WORLD_CONFIG_DEFAULT;

			cfg.policy = policy;
			cfg.caps = caps[c % 4];
			cfg.mode = c < 4 ? SWAPDEV_MEM_SYNC : SWAPDEV_MEM_RANDOM;
			cfg.seed = test_seed() + 200 + i * 8 + c;
			live(&cfg, STEPS / 5);
		}
	}
}

/* Memory runs full with nowhere to swap to, and gets free again. */
static void no_policy_hangs_without_swap(void **state)
{
	const struct policy_ops *policy;

	(void)state;
	for (unsigned int i = 0; (policy = policy_at(i)); i++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;

		cfg.policy = policy;
		cfg.nr_slots = 0;
		cfg.seed = test_seed() + 300 + i;
		live(&cfg, STEPS / 10);
	}
}

static void failing_devices_lose_no_byte(void **state)
{
	static const struct swapdev_fault_rule rules[] = {
		{.fault = SWAPDEV_FAULT_ERROR, .is_write = true, .err = -EIO, .per_mille = 3},
		{.fault = SWAPDEV_FAULT_SHORT, .is_write = true, .per_mille = 3},
		{.fault = SWAPDEV_FAULT_ERROR, .err = -EIO, .per_mille = 20},
		{.fault = SWAPDEV_FAULT_SHORT, .per_mille = 20},
		{.fault = SWAPDEV_FAULT_DELAY, .delay_polls = 9, .per_mille = 50},
		{.fault = SWAPDEV_FAULT_DELAY,
		 .is_write = true,
		 .delay_polls = 9,
		 .per_mille = 50},
	};

	(void)state;
	for (unsigned int c = 0; policy_at(c / 2); c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;

		cfg.caps = c % 2 ? TELLS : MACHINE_FAULTS_COST;
		cfg.mode = SWAPDEV_MEM_RANDOM;
		cfg.rules = rules;
		cfg.nr_rules = sizeof(rules) / sizeof(rules[0]);
		cfg.seed = test_seed() + 100 + c;
		cfg.policy = policy_at(c / 2);
		live(&cfg, c < 2 ? STEPS : STEPS / 4);
		cfg.is_linux_reclaim = true;
		live(&cfg, STEPS / 4);
	}
}

/* Every nth frame allocation fails, for each n in turn: calls say so and change nothing. */
static void failing_allocations_change_nothing(void **state)
{
	(void)state;
	for (unsigned int nth = 1; nth <= 40; nth++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;

		cfg.seed = test_seed() + nth;
		cfg.caps = nth % 2 ? MACHINE_FAULTS_COST : 0;
		cfg.mode = SWAPDEV_MEM_RANDOM;
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		for (unsigned int i = 0; i < 60; i++) {
			w.sys->fail_alloc = nth;
			step_any(&w);
			w.sys->fail_alloc = 0;
			world_check(&w);
		}
		world_destroy(&w);
	}
}

/*
 * Pages of 2 MiB and of 64 KiB beside single ones, in RAM that has one or two blocks for the
 * former, and so much kept free that it has to swap; on machines with and without accessed and
 * dirty bits.
 */
static void larger_pages_lose_no_byte(void **state)
{
	static const struct {
		pfn_t nr_frames;
		uint64_t min_free_kbytes;
		uint32_t thp, thp_64k;
	} cases[] = {
		{1600, 2600, MM_THP_ALWAYS, MM_THP_ALWAYS},
		{1100, 1600, MM_THP_ALWAYS, MM_THP_NEVER},
		{1100, 1900, MM_THP_ALWAYS, MM_THP_INHERIT},
		{2600, 0, MM_THP_ALWAYS, MM_THP_ALWAYS},
		{400, 0, MM_THP_NEVER, MM_THP_ALWAYS},
		{1100, 1700, MM_THP_MADVISE, MM_THP_ALWAYS},
		{2600, 0, MM_THP_ALWAYS, MM_THP_NEVER},
	};

	/* What a split or a collapse left in a TLB would show another's content. */
	static const char *const tlbs[] = {NULL, "skylake", "cortex-a76", "zen2"};

	(void)state;
	for (unsigned int c = 0; c < 18; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;

		cfg.policy = policy_at(c % 5);
		cfg.caps = (c % 2 ? TELLS : 0) | MACHINE_HUGE;
		cfg.mode = c % 4 < 2 ? SWAPDEV_MEM_SYNC : SWAPDEV_MEM_RANDOM;
		cfg.nr_frames = cases[c % 7].nr_frames;
		cfg.min_free_kbytes = cases[c % 7].min_free_kbytes;
		cfg.thp = cases[c % 7].thp;
		cfg.thp_64k = cases[c % 7].thp_64k;
		cfg.seed = test_seed() + 400 + c;
		cfg.collapses = c % 3 > 0;
		cfg.tlb = tlbs[c % 4] ? tlb_preset_find(tlbs[c % 4]) : NULL;
		cfg.nr_cpus = cfg.tlb ? 2 : 0;
		live(&cfg, STEPS / 8);
	}
	assert_true(huge.nr_made > 0);
	assert_true(huge.nr_split > 0);
	assert_true(huge.nr_fallback > 0);
}

static void failing_allocations_of_larger_pages(void **state)
{
	(void)state;
	for (unsigned int nth = 1; nth <= 20; nth++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;

		cfg.seed = test_seed() + nth;
		cfg.caps = MACHINE_HUGE | (nth % 2 ? TELLS : 0);
		cfg.mode = SWAPDEV_MEM_RANDOM;
		cfg.thp = cfg.thp_64k = MM_THP_ALWAYS;
		cfg.nr_frames = 1100;
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		for (unsigned int i = 0; i < 60; i++) {
			w.sys->fail_alloc = nth;
			step_any(&w);
			w.sys->fail_alloc = 0;
			world_check(&w);
		}
		world_destroy(&w);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_byte_is_as_modelled),
	cmocka_unit_test(no_policy_loses_a_byte),
	cmocka_unit_test(no_policy_hangs_without_swap),
	cmocka_unit_test(failing_devices_lose_no_byte),
	cmocka_unit_test(failing_allocations_change_nothing),
	cmocka_unit_test(larger_pages_lose_no_byte),
	cmocka_unit_test(failing_allocations_of_larger_pages),
};
TEST_MAIN(tests)
