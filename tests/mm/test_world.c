/* SPDX-License-Identifier: MIT */
/*
 * Random lives of an address space, each byte checked against a plain model, mm_check() after
 * each step: maps, unmaps, protections, touches, advice, moves, rests for a fork; on machines
 * with and without accessed and dirty bits; on devices that answer at once, late, out of order,
 * or with errors; with every nth frame allocation failing.
 */
#include <errno.h>
#include <stdlib.h>

#include "support/test.h"
#include "world.h"

#define RW    (MM_PROT_READ | MM_PROT_WRITE)
#define TELLS (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)
#define STEPS 1500

struct range {
	unsigned int first, nr;
};

static struct range random_range(struct world *w)
{
	struct range r = {.first = (unsigned int)rng_below(&w->rng, WORLD_PAGES)};
	unsigned int max = rng_chance(&w->rng, 20) ? WORLD_PAGES : 24;

	r.nr = (unsigned int)rng_between(&w->rng, 1, max);
	if (r.nr > WORLD_PAGES - r.first)
		r.nr = WORLD_PAGES - r.first;
	return r;
}

static bool is_all_mapped(const struct world *w, struct range r)
{
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		if (!w->model[i].is_mapped)
			return false;
	return true;
}

/* Calls until it is not told to come back. */
#define UNTIL_DONE(w, err, call)                                        \
	do {                                                            \
		unsigned int tries = 0;                                 \
                                                                        \
		while (((err) = (call)) == -EAGAIN && tries++ < 100000) \
			world_step(w);                                  \
	} while (0)

static void step_touch(struct world *w)
{
	unsigned int page = (unsigned int)rng_below(&w->rng, WORLD_PAGES);
	unsigned int nr = (unsigned int)rng_between(&w->rng, 1, 64);
	bool is_write = rng_chance(&w->rng, 50);

	for (unsigned int i = page; i < page + nr && i < WORLD_PAGES; i++) {
		struct model_page *m = &w->model[i];
		bool is_allowed = m->is_mapped && (is_write ? (m->prot & MM_PROT_WRITE) != 0
							    : m->prot != MM_PROT_NONE);
		enum mm_fault_result result = is_write ? world_write(w, i) : world_read(w, i);

		if (result == MM_FAULT_OOM && w->cfg.nr_slots == 0)
			return;
		if (result == MM_FAULT_BUS && w->cfg.nr_rules > 0)
			continue; /* the next read asks the device again */
		if (is_allowed)
			assert_in_range(result, 0, MM_FAULT_MAJOR);
		else
			assert_int_equal(result, MM_FAULT_SEGV);
	}
}

static void step_map(struct world *w)
{
	static const int prots[] = {RW, RW, RW, MM_PROT_READ, MM_PROT_NONE};
	struct range r = random_range(w);
	int prot = prots[rng_below(&w->rng, 5)], err;
	vaddr_t addr;

	UNTIL_DONE(w, err,
		   mm_map(w->mm, world_va(r.first), r.nr * PAGE_SIZE, prot,
			  MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		w->model[i] = (struct model_page){.is_mapped = true, .prot = prot};
}

static void step_unmap(struct world *w)
{
	struct range r = random_range(w);
	int err;

	UNTIL_DONE(w, err, mm_unmap(w->mm, world_va(r.first), r.nr * PAGE_SIZE));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		w->model[i] = (struct model_page){.is_mapped = false};
}

static void step_protect(struct world *w)
{
	static const int prots[] = {RW, RW, MM_PROT_READ, MM_PROT_NONE};
	struct range r = random_range(w);
	int prot = prots[rng_below(&w->rng, 4)], err;

	if (!is_all_mapped(w, r))
		return;
	UNTIL_DONE(w, err, mm_protect(w->mm, world_va(r.first), r.nr * PAGE_SIZE, prot));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		w->model[i].prot = prot;
}

static void step_advise(struct world *w)
{
	static const int advice[] = {MM_MADV_DONTNEED,	MM_MADV_FREE,	  MM_MADV_COLD,
				     MM_MADV_PAGEOUT,	MM_MADV_WILLNEED, MM_MADV_HUGEPAGE,
				     MM_MADV_NOHUGEPAGE};
	struct range r = random_range(w);

	if (is_all_mapped(w, r))
		world_advise(w, r.first, r.nr, advice[rng_below(&w->rng, w->cfg.thp ? 7 : 5)]);
}

/* Moves one area's pages to a free place; the model moves with them. */
static void step_remap(struct world *w)
{
	struct range from = random_range(w), to = random_range(w);
	vaddr_t addr;
	int err;

	if (from.nr > to.nr)
		from.nr = to.nr;
	to.nr = from.nr;
	if (!is_all_mapped(w, from))
		return;
	if (from.first < to.first + to.nr && to.first < from.first + from.nr)
		return;
	for (unsigned int i = 1; i < from.nr; i++)
		if (w->model[from.first + i].prot != w->model[from.first].prot)
			return;
	UNTIL_DONE(w, err,
		   mm_remap(w->mm, world_va(from.first), from.nr * PAGE_SIZE, to.nr * PAGE_SIZE,
			    MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(to.first), &addr));
	if (err == -EFAULT ||
	    err == -ENOMEM) /* two areas that differ in what is not modelled */
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = 0; i < from.nr; i++) {
		w->model[to.first + i] = w->model[from.first + i];
		w->model[from.first + i] = (struct model_page){.is_mapped = false};
	}
}

static void step_rest(struct world *w)
{
	int err;

	UNTIL_DONE(w, err, mm_fork_prepare(w->mm));
	assert_int_equal(err, 0);
	mm_fork_parent(w->mm, false);
}

static void step_any(struct world *w)
{
	uint64_t dice = rng_below(&w->rng, 100);

	if (dice < 60)
		step_touch(w);
	else if (dice < 70)
		step_map(w);
	else if (dice < 76)
		step_unmap(w);
	else if (dice < 83)
		step_protect(w);
	else if (dice < 91)
		step_advise(w);
	else if (dice < 95)
		step_remap(w);
	else if (dice < 97)
		step_rest(w);
	else
		world_step(w);
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
	assert_true(WSTAT(&w, pswpout) > 0 || cfg->nr_slots == 0);
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
		{400, 0, MM_THP_NEVER, MM_THP_ALWAYS},
		{1100, 1700, MM_THP_MADVISE, MM_THP_ALWAYS},
		{1100, 1200, MM_THP_MADVISE, MM_THP_MADVISE},
	};

	(void)state;
	for (unsigned int c = 0; c < 18; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;

		cfg.policy = policy_at(c % 5);
		cfg.caps = (c % 2 ? TELLS : 0) | MACHINE_HUGE;
		cfg.mode = c % 4 < 2 ? SWAPDEV_MEM_SYNC : SWAPDEV_MEM_RANDOM;
		cfg.nr_frames = cases[c % 6].nr_frames;
		cfg.min_free_kbytes = cases[c % 6].min_free_kbytes;
		cfg.thp = cases[c % 6].thp;
		cfg.thp_64k = cases[c % 6].thp_64k;
		cfg.seed = test_seed() + 400 + c;
		cfg.collapses = c % 3 > 0;
		live(&cfg, STEPS / 8);
	}
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
