/* SPDX-License-Identifier: MIT */
/*
 * Faults in order, on a machine where a fault costs more than a translation: how many there
 * are, and how many pages are read that nobody asked for. mm/stream.c.
 */
#include <errno.h>
#include <string.h>

#include "mm/fault.h"
#include "support/test.h"
#include "world.h"

#define RW    (MM_PROT_READ | MM_PROT_WRITE)
#define PAGES 128

static void world_of_streams(struct world *w, enum swapdev_mem_mode mode)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	cfg.caps = MACHINE_FAULTS_COST;
	cfg.mode = mode;
	world_create(w, &cfg);
	world_map(w, 0, WORLD_PAGES, RW);
}

/* Pages [0, nr) have content, and are out; no fault was before. */
static void put_out(struct world *w, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		world_write(w, i);
	world_advise(w, 0, nr, MM_MADV_PAGEOUT);
	world_settle(w);
	memset(w->mm->streams, 0, sizeof(w->mm->streams));
}

struct walk {
	unsigned int first;
	int step;
	unsigned int nr; /* pages touched */
	unsigned int nr_faults;
	unsigned int nr_faults_device; /* where reading waits for a device */
};

/*
 * Windows of 1, 1, 2, 4, 8, 16, 16 … : the second page shows the step, unless it is 1. None
 * goes beyond a table (512 pages) or the area. A device has 32 after 16.
 */
static const struct walk walks[] = {
	{0, 1, 128, 12, 9},    /* 1 2 4 8 16 … */
	{127, -1, 128, 12, 9}, /* 1 1 2 4 8 16 … */
	{0, 2, 64, 8, 7},      /* 1 1 2 4 8 16 16 16 */
	{3, 7, 18, 6, 6},      /* 1 1 2 4 8 2 */
	{125, -5, 16, 5, 5},   /* 1 1 2 4 8 */
	{0, 33, 4, 4, 4},      /* too far apart */
};

static uint64_t faults_of(const struct walk *walk, enum swapdev_mem_mode mode, bool is_in_ram)
{
	uint64_t nr_faults;
	struct world w;

	world_of_streams(&w, mode);
	w.dev->is_synchronous = is_in_ram;
	put_out(&w, PAGES);
	nr_faults = WSTAT(&w, pgfault);
	for (unsigned int n = 0; n < walk->nr; n++)
		world_read(&w, (unsigned int)((int)walk->first + (int)n * walk->step));
	nr_faults = WSTAT(&w, pgfault) - nr_faults;
	world_check(&w);
	world_destroy(&w);
	return nr_faults;
}

static void faults_in_order_are_one_a_window(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(walks) / sizeof(*walks); i++) {
		const struct walk *walk = &walks[i];

		assert_int_equal(faults_of(walk, SWAPDEV_MEM_SYNC, true), walk->nr_faults);
		assert_int_equal(faults_of(walk, SWAPDEV_MEM_SYNC, false),
				 walk->nr_faults_device);
		assert_in_range(faults_of(walk, SWAPDEV_MEM_RANDOM, false),
				walk->nr_faults_device, walk->nr);
	}
}

/* None of these is within 32 pages of one of the last four. */
static void faults_at_random_are_left_alone(void **state)
{
	struct world w;

	(void)state;
	world_of_streams(&w, SWAPDEV_MEM_SYNC);
	put_out(&w, WORLD_PAGES);
	for (unsigned int i = 0; i < 32; i++)
		world_read(&w, i * 3 % 8 * 128 + i / 8 * 17);
	assert_int_equal(WSTAT(&w, pswpin), 32);
	assert_int_equal(WSTAT(&w, pgmajfault), 32);
	assert_int_equal(WSTAT(&w, swap_ra), 0);
	world_check(&w);
	world_destroy(&w);
}

/*
 * The pages of a window are one machine op. Where it stops before the page that was touched,
 * that one has not been tried; where it stops at that page for good, the fault says why.
 */
static void what_the_machine_refuses_is_told_of_the_page_itself(void **state)
{
	struct machine_soft_failure failure = {.nth = 1, .err = -EEXIST};
	uint64_t entry = 0;
	struct world w;

	(void)state;
	for (int step = -1; step <= 1; step += 2) {
		world_of_streams(&w, SWAPDEV_MEM_SYNC);
		put_out(&w, PAGES);
		for (int i = 0; i < 3; i++) /* the fourth fault takes two pages or more */
			world_read(&w, (unsigned int)(64 + i * step));
		machine_soft_fail(w.machine, SOFT_APPLY, &failure);
		assert_int_equal(mm_fault(w.mm, world_va((unsigned int)(64 + 4 * step)), 0),
				 step < 0 ? MM_FAULT_RETRY : MM_FAULT_BUS);
		assert_int_equal(
			mm_fault_error(w.mm, world_va((unsigned int)(64 + 4 * step)), &entry),
			step < 0 ? 0 : -EEXIST);
		assert_int_equal(mm_fault_error(w.mm, world_va(64), &entry), 0);
		world_read(&w, (unsigned int)(64 + 4 * step));
		world_check(&w);
		world_destroy(&w);
	}
}

/* A stream that ends has read at most as much for nothing as it had use for. */
static void what_is_read_for_nothing_is_bounded(void **state)
{
	(void)state;
	for (unsigned int nr = 1; nr < 60; nr++) {
		struct world w;

		world_of_streams(&w, SWAPDEV_MEM_SYNC);
		put_out(&w, PAGES);
		for (unsigned int i = 0; i < nr; i++)
			world_read(&w, i);
		assert_in_range(WSTAT(&w, pswpin), nr, 2 * nr);
		assert_in_range(WSTAT(&w, pswpin), nr, nr + FAULT_WINDOW_MAX);
		assert_true(WSTAT(&w, swap_ra_hit) <= WSTAT(&w, swap_ra));
		world_check(&w);
		world_destroy(&w);
	}
}

static void streams_do_not_disturb_each_other(void **state)
{
	uint64_t before;
	struct world w;

	(void)state;
	world_of_streams(&w, SWAPDEV_MEM_SYNC);
	put_out(&w, 256);
	before = WSTAT(&w, pgfault);
	for (unsigned int i = 0; i < 64; i++) {
		world_read(&w, i);
		world_read(&w, 127 - i);
		world_read(&w, 192 + i);
	}
	assert_int_equal(WSTAT(&w, pgfault) - before, 8 + 8 + 8);
	world_check(&w);
	world_destroy(&w);
}

/* Pages that reclaim has asked about, and pages that are translated read-only. */
static void resident_pages_are_met_too(void **state)
{
	uint64_t before;
	struct world w;

	(void)state;
	world_of_streams(&w, SWAPDEV_MEM_SYNC);
	put_out(&w, PAGES);
	for (unsigned int i = 0; i < PAGES; i++)
		world_read(&w, i);
	before = WSTAT(&w, pgfault);
	for (unsigned int i = 0; i < PAGES; i++)
		world_write(&w, i); /* clean so far: each would be a fault */
	assert_int_equal(WSTAT(&w, pgfault) - before, 12);
	assert_int_equal(WSTAT(&w, pswpin), PAGES);
	world_advise(&w, 0, PAGES, MM_MADV_COLD);
	before = WSTAT(&w, pgfault);
	for (unsigned int i = 0; i < PAGES; i++)
		world_read(&w, i);
	assert_int_equal(WSTAT(&w, pgfault) - before, 12);
	world_advise(&w, 0, PAGES, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(WSTAT(&w, pswpout), 2 * PAGES);
	world_check(&w);
	world_destroy(&w);
}

static void no_window_leaves_its_area(void **state)
{
	struct world w;

	(void)state;
	world_of_streams(&w, SWAPDEV_MEM_SYNC);
	put_out(&w, 96);
	assert_int_equal(mm_unmap(w.mm, world_va(40), 8 * PAGE_SIZE), 0);
	world_map(&w, 40, 8, RW);
	for (unsigned int i = 0; i < 8; i++)
		w.model[40 + i] = (struct model_page){.is_mapped = true, .prot = RW};
	for (unsigned int i = 0; i < 96; i++)
		world_read(&w, i);
	assert_int_equal(WSTAT(&w, pswpin), 96 - 8);
	world_check(&w);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(faults_in_order_are_one_a_window),
	cmocka_unit_test(faults_at_random_are_left_alone),
	cmocka_unit_test(what_the_machine_refuses_is_told_of_the_page_itself),
	cmocka_unit_test(what_is_read_for_nothing_is_bounded),
	cmocka_unit_test(streams_do_not_disturb_each_other),
	cmocka_unit_test(resident_pages_are_met_too),
	cmocka_unit_test(no_window_leaves_its_area),
};
TEST_MAIN(tests)
