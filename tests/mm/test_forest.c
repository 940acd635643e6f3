/* SPDX-License-Identifier: MIT */
/*
 * A tree of address spaces that fork, exit, map, touch, move and are swapped, each byte of each
 * checked against a plain model, mm_check() after each step: on machines with and without
 * accessed and dirty bits, on two processors with a TLB each, on devices that answer late or
 * with errors, and with every nth frame allocation failing.
 */
#include <errno.h>
#include <string.h>

#include "steps.h"
#include "support/test.h"

#define RW	   (MM_PROT_READ | MM_PROT_WRITE)
#define TELLS	   (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)
#define SPACES_MAX 6
#define STEPS	   350

struct space {
	struct mm *mm;
	struct model_page model[WORLD_PAGES];
};

/* The world has one of the spaces at a time. */
struct forest {
	struct world w;
	struct space spaces[SPACES_MAX];
	unsigned int nr, current;
	uint64_t nr_forks, nr_exits;
	struct swapdev *spare; /* a second device, on and off; NULL: none, and no balloon */
	bool is_spare_on;
	uint64_t nr_swapoffs;
};

static void put_down(struct forest *f)
{
	f->spaces[f->current].mm = f->w.mm;
	memcpy(f->spaces[f->current].model, f->w.model, sizeof(f->w.model));
}

static void take_up(struct forest *f, unsigned int i)
{
	f->current = i;
	f->w.mm = f->spaces[i].mm;
	memcpy(f->w.model, f->spaces[i].model, sizeof(f->w.model));
}

static struct model_page child_page(const struct model_page *parent)
{
	struct model_page child = *parent;

	if (parent->is_left_out)
		return (struct model_page){.is_mapped = false};
	if (parent->is_wiped) {
		child.stamp = 0;
		child.may_be_zero = false;
	}
	return child;
}

static void step_fork(struct forest *f)
{
	struct space *child = &f->spaces[f->nr];
	struct mm *mm;
	int err;

	if (f->nr == SPACES_MAX)
		return;
	UNTIL_DONE(&f->w, err, mm_fork(f->w.mm, &mm));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	child->mm = mm;
	for (unsigned int i = 0; i < WORLD_PAGES; i++)
		child->model[i] = child_page(&f->w.model[i]);
	f->nr++;
	f->nr_forks++;
}

static void step_exit(struct forest *f)
{
	if (f->nr == 1)
		return;
	mm_destroy(f->w.mm);
	f->nr--;
	if (f->current < f->nr)
		f->spaces[f->current] = f->spaces[f->nr];
	take_up(f, (unsigned int)rng_below(&f->w.rng, f->nr));
	f->nr_exits++;
}

static void step_fork_advice(struct forest *f)
{
	static const int advice[] = {MM_MADV_DONTFORK, MM_MADV_DOFORK, MM_MADV_WIPEONFORK,
				     MM_MADV_KEEPONFORK};
	struct range r = random_range(&f->w);
	unsigned int which = (unsigned int)rng_below(&f->w.rng, 4);
	int err;

	if (r.nr > 24 || !is_all_mapped(&f->w, r))
		return;
	UNTIL_DONE(&f->w, err,
		   mm_advise(f->w.mm, world_va(r.first), r.nr * PAGE_SIZE, advice[which]));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = r.first; i < r.first + r.nr; i++) {
		if (which < 2)
			f->w.model[i].is_left_out = which == 0;
		else
			f->w.model[i].is_wiped = which == 2;
	}
}

/* What the family has in the second device comes back, for each that names a slot of it. */
static void step_swap(struct forest *f)
{
	int err = 0;

	if (!f->is_spare_on) {
		err = mm_swapon(f->w.sys, f->spare, (int)rng_below(&f->w.rng, 3));
		assert_true(err == 0 || err == -ENOMEM);
		f->is_spare_on = err == 0;
		return;
	}
	UNTIL_DONE(&f->w, err, mm_swapoff(f->w.sys, f->spare));
	assert_true(err == 0 || err == -ENOMEM);
	f->is_spare_on = err != 0;
	f->nr_swapoffs += err == 0;
}

static void step_balloon(struct forest *f)
{
	uint64_t pages = rng_between(&f->w.rng, 1, 40), taken;
	int err;

	if (rng_chance(&f->w.rng, 50) || mm_balloon_pages(f->w.sys) > 60) {
		mm_balloon_deflate(f->w.sys, pages);
		return;
	}
	err = mm_balloon_inflate(f->w.sys, pages, &taken);
	assert_true(err == 0 || err == -EAGAIN || err == -ENOMEM);
}

static void forest_step(struct forest *f)
{
	uint64_t dice = rng_below(&f->w.rng, 100);

	if (dice < 30) {
		put_down(f);
		take_up(f, (unsigned int)rng_below(&f->w.rng, f->nr));
	}
	if (f->w.mm->is_oom_victim) {
		step_exit(f); /* all that a killed program does */
		return;
	}
	if (dice < 8)
		step_fork(f);
	else if (dice < 14)
		step_exit(f);
	else if (dice < 17)
		step_fork_advice(f);
	else if (dice < 20 && f->spare)
		step_swap(f);
	else if (dice < 23 && f->spare)
		step_balloon(f);
	else
		step_any(&f->w);
	world_check(&f->w);
}

/* What every space has in the end. */
static void read_all(struct forest *f)
{
	put_down(f);
	for (unsigned int s = 0; s < f->nr; s++) {
		take_up(f, s);
		for (unsigned int i = 0; i < WORLD_PAGES; i++) {
			const struct model_page *m = &f->w.model[i];
			enum mm_fault_result result;

			if (!m->is_mapped || m->prot == MM_PROT_NONE)
				continue;
			result = world_read(&f->w, i);
			if (f->w.cfg.nr_rules == 0 && f->w.cfg.nr_slots > 0)
				assert_in_range(result, 0, MM_FAULT_MAJOR);
		}
		put_down(f);
	}
}

static void forest_create(struct forest *f, const struct world_config *from)
{
	struct world_config cfg = *from;

	memset(f, 0, sizeof(*f));
	cfg.nr_slots *= SPACES_MAX; /* 0 stays 0 */
	world_create(&f->w, &cfg);
	world_map(&f->w, 0, WORLD_PAGES, RW);
	for (unsigned int i = 0; i < WORLD_PAGES / 2; i++)
		world_write(&f->w, i);
	f->nr = 1;
}

static void forest_destroy(struct forest *f)
{
	while (f->nr > 1) {
		step_exit(f);
		world_check(&f->w);
	}
	world_destroy(&f->w);
}

/* Of large pages, over all lives. */
static uint64_t nr_splits;

static void grow(const struct world_config *cfg, unsigned int steps)
{
	static struct forest f;

	forest_create(&f, cfg);
	for (unsigned int i = 0; i < steps; i++)
		forest_step(&f);
	read_all(&f);
	world_check(&f.w);
	assert_true(f.nr_forks > 0 || cfg->nr_slots == 0);
	nr_splits += WSTAT(&f.w, thp_split_page);
	forest_destroy(&f);
}

static void every_byte_of_each_is_as_modelled(void **state)
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
			grow(&cfg, STEPS);
		}
	}
}

/* A write on one processor is read on the other, and by nobody who shares the page no more. */
static void no_processor_uses_a_stale_translation(void **state)
{
	static const uint32_t caps[] = {TELLS, 0};

	(void)state;
	for (unsigned int c = 0; c < 2; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;

		cfg.caps = caps[c];
		cfg.mode = SWAPDEV_MEM_RANDOM;
		cfg.tlb = &tlb_presets[0];
		cfg.nr_cpus = 2;
		cfg.seed = test_seed() + 50 + c;
		grow(&cfg, STEPS);
	}
}

/* Large pages are split by forks, and made again of what is shared and what is not. */
static void larger_pages_among_relatives(void **state)
{
	(void)state;
	for (unsigned int c = 0; c < 4; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;

		cfg.caps = (c % 2 ? TELLS : 0) | MACHINE_HUGE;
		cfg.mode = SWAPDEV_MEM_RANDOM;
		cfg.nr_frames = 2200;
		cfg.min_free_kbytes = 2400;
		cfg.thp = MM_THP_ALWAYS;
		cfg.thp_64k = c < 2 ? MM_THP_ALWAYS : MM_THP_NEVER;
		cfg.collapses = true;
		cfg.tlb = c % 2 ? &tlb_presets[0] : NULL;
		cfg.nr_cpus = c % 2 ? 2 : 0;
		cfg.seed = test_seed() + 80 + c;
		grow(&cfg, STEPS / 2);
	}
	assert_true(nr_splits > 0);
}

/* RAM and swap come and go under a family that shares frames and slots. */
static void ram_and_swap_come_and_go(void **state)
{
	static struct forest f;
	uint64_t nr_swapoffs = 0;

	(void)state;
	for (unsigned int c = 0; c < 4; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct swapdev_mem_config mem = {.nr_slots = 900};

		cfg.caps = c % 2 ? TELLS : MACHINE_FAULTS_COST;
		cfg.policy = policy_at(c);
		mem.mode = cfg.mode = c < 2 ? SWAPDEV_MEM_SYNC : SWAPDEV_MEM_RANDOM;
		mem.seed = cfg.seed = test_seed() + 90 + c;
		forest_create(&f, &cfg);
		assert_int_equal(swapdev_mem_create(&mem, &f.spare), 0);
		for (unsigned int i = 0; i < STEPS; i++)
			forest_step(&f);
		mm_balloon_deflate(f.w.sys, WORLD_PAGES);
		read_all(&f);
		while (f.nr > 1)
			step_exit(&f);
		if (f.is_spare_on)
			step_swap(&f);
		assert_false(f.is_spare_on);
		read_all(&f);
		nr_swapoffs += f.nr_swapoffs;
		forest_destroy(&f);
		f.spare->ops->close(f.spare);
	}
	assert_true(nr_swapoffs > 0);
}

static void memory_runs_full_without_swap(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	(void)state;
	cfg.nr_slots = 0;
	cfg.nr_frames = 1200;
	cfg.seed = test_seed() + 60;
	grow(&cfg, STEPS);
}

static void failing_devices_lose_no_byte(void **state)
{
	static const struct swapdev_fault_rule rules[] = {
		{.fault = SWAPDEV_FAULT_ERROR, .is_write = true, .err = -EIO, .per_mille = 3},
		{.fault = SWAPDEV_FAULT_SHORT, .is_write = true, .per_mille = 3},
		{.fault = SWAPDEV_FAULT_ERROR, .err = -EIO, .per_mille = 20},
		{.fault = SWAPDEV_FAULT_DELAY, .delay_polls = 9, .per_mille = 50},
		{.fault = SWAPDEV_FAULT_DELAY,
		 .is_write = true,
		 .delay_polls = 9,
		 .per_mille = 50},
	};

	(void)state;
	for (unsigned int c = 0; c < 2; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;

		cfg.caps = c ? TELLS : MACHINE_FAULTS_COST;
		cfg.mode = SWAPDEV_MEM_RANDOM;
		cfg.rules = rules;
		cfg.nr_rules = sizeof(rules) / sizeof(rules[0]);
		cfg.seed = test_seed() + 70 + c;
		grow(&cfg, STEPS);
	}
}

/* Every nth frame allocation fails, for each n in turn. */
static void failing_allocations_change_nothing(void **state)
{
	static struct forest f;

	(void)state;
	for (unsigned int nth = 1; nth <= 24; nth++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;

		cfg.seed = test_seed() + 100 + nth;
		cfg.caps = nth % 2 ? TELLS : 0;
		cfg.mode = SWAPDEV_MEM_RANDOM;
		forest_create(&f, &cfg);
		for (unsigned int i = 0; i < 50; i++) {
			f.w.sys->fail_alloc = nth;
			forest_step(&f);
			f.w.sys->fail_alloc = 0;
		}
		read_all(&f);
		forest_destroy(&f);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_byte_of_each_is_as_modelled),
	cmocka_unit_test(no_processor_uses_a_stale_translation),
	cmocka_unit_test(larger_pages_among_relatives),
	cmocka_unit_test(ram_and_swap_come_and_go),
	cmocka_unit_test(memory_runs_full_without_swap),
	cmocka_unit_test(failing_devices_lose_no_byte),
	cmocka_unit_test(failing_allocations_change_nothing),
};
TEST_MAIN(tests)
