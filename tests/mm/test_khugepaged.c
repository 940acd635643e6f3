/* SPDX-License-Identifier: MIT */
/*
 * khugepaged: which ranges become one page, when, and that nothing is lost where they do not.
 */
#include <errno.h>

#include "mm/huge.h"
#include "support/test.h"
#include "world.h"

#define RW   (MM_PROT_READ | MM_PROT_WRITE)
#define BITS (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)
#define THP  512 /* pages */
#define SEC  1000000000ull
#define MANY 400 /* calls: more than what any wait here takes */

/* Single pages first: large ones are switched on later. */
static void create(struct world *w)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	cfg.caps = BITS | MACHINE_HUGE | MACHINE_MAPS_SHARED;
	cfg.nr_frames = 3000;
	cfg.seed = test_seed();
	world_create(w, &cfg);
	world_map(w, 0, WORLD_PAGES, RW);
}

static void set(struct world *w, const char *name, int64_t value)
{
	assert_int_equal(mm_sysctl_set(w->sys, name, value), 0);
}

static void switch_on(struct world *w)
{
	set(w, "transparent_hugepage.enabled", MM_THP_ALWAYS);
}

static void fill(struct world *w, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		assert_in_range(world_write(w, i), 0, MM_FAULT_MAJOR);
}

static bool is_huge(struct world *w, unsigned int page)
{
	struct huge_leaf leaf;

	return huge_find(w->mm, world_va(page), &leaf);
}

static void steps(struct world *w, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		world_step(w);
		world_check(w);
	}
}

static void check_all(struct world *w)
{
	for (unsigned int i = 0; i < WORLD_PAGES; i++)
		assert_in_range(world_read(w, i), 0, MM_FAULT_MAJOR);
	world_check(w);
}

static void single_pages_become_one(void **state)
{
	struct world w;

	(void)state;
	create(&w);
	fill(&w, 0, WORLD_PAGES);
	switch_on(&w);
	steps(&w, 3);
	assert_true(is_huge(&w, 0) && is_huge(&w, THP));
	assert_int_equal(WSTAT(&w, thp_collapse_alloc), 2);
	assert_int_equal(WSTAT(&w, nr_anon_transparent_hugepages), 2);
	assert_int_equal(WSTAT(&w, nr_anon_pages), WORLD_PAGES);
	assert_int_equal(w.sys->khugepaged.pages_collapsed, 2);
	assert_int_equal(w.sys->khugepaged.full_scans, 1);
	check_all(&w);
	fill(&w, 100, 10);
	check_all(&w);
	world_destroy(&w);
}

/* pages_to_scan a round, scan_sleep_millisecs between rounds. */
static void it_takes_its_time(void **state)
{
	struct world w;

	(void)state;
	create(&w);
	set(&w, "transparent_hugepage.khugepaged.pages_to_scan", THP);
	fill(&w, 0, WORLD_PAGES);
	switch_on(&w);
	assert_int_equal(mm_step(w.sys, SEC, 1), 10 * SEC);
	assert_true(is_huge(&w, 0) && !is_huge(&w, THP));
	assert_int_equal(mm_step(w.sys, 11 * SEC - 1, 1), 1);
	assert_false(is_huge(&w, THP));
	assert_int_equal(mm_step(w.sys, 11 * SEC, 1), 10 * SEC);
	assert_true(is_huge(&w, THP));
	world_destroy(&w);
}

/* How many pages may be missing, in swap; what must be written and in use. */
static void who_is_worth_it(void **state)
{
	static const struct {
		unsigned int nr_filled, nr_swapped;
		int64_t max_none;
		int prot, advice;
		bool is_worth_it;
	} cases[] = {
		{1, 0, 511, RW, MM_MADV_NORMAL, true},
		{1, 0, 510, RW, MM_MADV_NORMAL, false},
		{THP, 64, 511, RW, MM_MADV_NORMAL, true},
		{THP, 65, 511, RW, MM_MADV_NORMAL, false},
		{THP, 0, 511, MM_PROT_READ, MM_MADV_NORMAL, false},
		{THP, 0, 511, RW, MM_MADV_COLD, false}, /* none in use */
		{THP, 0, 511, RW, MM_MADV_NOHUGEPAGE, false},
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;

		create(&w);
		set(&w, "transparent_hugepage.khugepaged.max_ptes_none", cases[i].max_none);
		fill(&w, 0, cases[i].nr_filled);
		if (cases[i].nr_swapped)
			world_advise(&w, 100, cases[i].nr_swapped, MM_MADV_PAGEOUT);
		world_settle(&w);
		world_advise(&w, 0, THP, cases[i].advice);
		assert_int_equal(mm_protect(w.mm, world_va(0), THP * PAGE_SIZE, cases[i].prot),
				 0);
		for (unsigned int page = 0; page < THP; page++)
			w.model[page].prot = cases[i].prot;
		switch_on(&w);
		set(&w, "transparent_hugepage.khugepaged.scan_sleep_millisecs", 0);
		if (cases[i].prot != RW || cases[i].advice == MM_MADV_NORMAL)
			for (unsigned int page = 0; page < cases[i].nr_filled; page++)
				if (cases[i].nr_swapped == 0 || page < 100 || page > 200)
					world_read(&w, page);
		steps(&w, MANY);
		assert_int_equal(is_huge(&w, 0), cases[i].is_worth_it);
		check_all(&w);
		world_destroy(&w);
	}
}

static void without_a_block_it_sleeps_for_a_minute(void **state)
{
	struct world w;

	(void)state;
	create(&w);
	fill(&w, 0, WORLD_PAGES);
	switch_on(&w);
	w.sys->fail_alloc = 1;
	assert_int_equal(mm_step(w.sys, SEC, 1), 60 * SEC);
	assert_int_equal(WSTAT(&w, thp_collapse_alloc_failed), 1);
	assert_false(is_huge(&w, 0));
	world_check(&w);
	assert_int_equal(mm_step(w.sys, 61 * SEC, 1), 0);
	assert_true(is_huge(&w, 0) || is_huge(&w, THP));
	check_all(&w);
	world_destroy(&w);
}

/* The machine does not let the pages go: nothing has changed. */
static void an_attempt_may_fail(void **state)
{
	const struct machine_soft_failure failure = {.nth = 1, .err = -EAGAIN, .nr_done = 100};
	struct world w;
	uint64_t nr_free;

	(void)state;
	create(&w);
	fill(&w, 0, WORLD_PAGES);
	switch_on(&w);
	nr_free = WSTAT(&w, nr_free_pages);
	machine_soft_fail(w.machine, SOFT_APPLY, &failure);
	world_step(&w);
	world_check(&w);
	assert_false(is_huge(&w, 0));
	assert_int_equal(WSTAT(&w, nr_free_pages), nr_free);
	check_all(&w);
	world_destroy(&w);
}

/* Somebody is in the mm: it comes back for the range. */
static void it_waits_for_readers(void **state)
{
	struct world w;

	(void)state;
	create(&w);
	fill(&w, 0, WORLD_PAGES);
	switch_on(&w);
	w.mm->users++;
	steps(&w, 5);
	assert_false(is_huge(&w, 0));
	w.mm->users--;
	steps(&w, 2);
	assert_true(is_huge(&w, 0));
	check_all(&w);
	world_destroy(&w);
}

/* The cursor is in an address space that ends. */
static void an_address_space_ends_under_it(void **state)
{
	struct mm *other;
	struct world w;

	(void)state;
	create(&w);
	set(&w, "transparent_hugepage.khugepaged.pages_to_scan", THP);
	set(&w, "transparent_hugepage.khugepaged.scan_sleep_millisecs", 0);
	assert_int_equal(mm_create(w.sys, &other), 0);
	switch_on(&w);
	steps(&w, 1);
	w.sys->khugepaged.mm = other;
	mm_destroy(other);
	assert_null(w.sys->khugepaged.mm);
	steps(&w, 4);
	world_destroy(&w);
}

/* 256 of the pages may be a child's too; they are copied, and the child keeps its own. */
static void shared_pages_are_copied(void **state)
{
	struct mm *child;
	struct world w;
	uint64_t word;

	(void)state;
	create(&w);
	set(&w, "transparent_hugepage.khugepaged.scan_sleep_millisecs", 0);
	fill(&w, 0, WORLD_PAGES);
	assert_int_equal(mm_fork(w.mm, &child), 0);
	fill(&w, 0, 255); /* 257 are shared */
	switch_on(&w);
	steps(&w, 20);
	assert_false(is_huge(&w, 0));
	fill(&w, 255, 1);
	steps(&w, 20);
	assert_true(is_huge(&w, 0));
	assert_false(is_huge(&w, THP));
	check_all(&w);
	fill(&w, 256, THP - 256);
	for (unsigned int i = 0; i < THP; i++) {
		assert_in_range(machine_soft_mm_load(child, world_va(i), &word, 8), 0,
				MM_FAULT_MAJOR);
		assert_int_equal(word, i + 1); /* what fill() wrote first */
	}
	mm_destroy(child);
	steps(&w, 20);
	assert_true(is_huge(&w, THP));
	check_all(&w);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(single_pages_become_one),
	cmocka_unit_test(it_takes_its_time),
	cmocka_unit_test(who_is_worth_it),
	cmocka_unit_test(without_a_block_it_sleeps_for_a_minute),
	cmocka_unit_test(an_attempt_may_fail),
	cmocka_unit_test(it_waits_for_readers),
	cmocka_unit_test(an_address_space_ends_under_it),
	cmocka_unit_test(shared_pages_are_copied),
};
TEST_MAIN(tests)
