/* SPDX-License-Identifier: MIT */
/* Frames that are taken from a system and given back while a program runs. */
#include <errno.h>

#include "support/test.h"
#include "world.h"

#define RW    (MM_PROT_READ | MM_PROT_WRITE)
#define TELLS (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)

static void write_all(struct world *w)
{
	for (unsigned int i = 0; i < WORLD_PAGES; i++)
		assert_in_range(world_write(w, i), 0, MM_FAULT_MAJOR);
}

static void read_all(struct world *w)
{
	for (unsigned int i = 0; i < WORLD_PAGES; i++)
		assert_in_range(world_read(w, i), 0, MM_FAULT_MAJOR);
}

static int inflate(struct world *w, uint64_t pages)
{
	int err = -EAGAIN;

	for (unsigned int i = 0; i < 100000 && err == -EAGAIN; i++) {
		uint64_t taken;

		err = mm_balloon_inflate(w->sys, pages, &taken);
		assert_true(taken <= pages && (err || taken == pages));
		pages -= taken;
		world_check(w);
		if (err == -EAGAIN)
			world_step(w);
	}
	return err;
}

/* Less RAM means more swapping, and no byte is lost; more RAM is used again. */
static void ram_goes_and_comes_back(void **state)
{
	static const struct {
		uint32_t caps;
		enum swapdev_mem_mode mode;
	} kinds[] = {
		{0, SWAPDEV_MEM_SYNC}, {0, SWAPDEV_MEM_RANDOM}, {TELLS, SWAPDEV_MEM_RANDOM}};

	(void)state;
	for (unsigned int k = 0; k < 3; k++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		uint64_t resident;
		struct world w;

		cfg.caps = kinds[k].caps;
		cfg.mode = kinds[k].mode;
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		write_all(&w);
		assert_int_equal(inflate(&w, 150), 0);
		assert_int_equal(mm_balloon_pages(w.sys), 150);
		assert_int_equal(WSTAT(&w, balloon_inflate), 150);
		read_all(&w);
		resident = WSTAT(&w, nr_anon_pages);
		assert_in_range(resident, 1, cfg.nr_frames - 150);
		assert_int_equal(mm_balloon_deflate(w.sys, 100), 100);
		assert_int_equal(mm_balloon_deflate(w.sys, 100), 50);
		assert_int_equal(mm_balloon_deflate(w.sys, 100), 0);
		assert_int_equal(WSTAT(&w, balloon_deflate), 150);
		read_all(&w);
		assert_true(WSTAT(&w, nr_anon_pages) > resident + 100);
		world_check(&w);
		world_destroy(&w);
	}
}

static void what_cannot_be_freed_is_enomem(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.nr_slots = 0;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	for (unsigned int i = 0; i < 100; i++)
		assert_in_range(world_write(&w, i), 0, MM_FAULT_MAJOR);
	assert_int_equal(inflate(&w, 1000), -ENOMEM);
	assert_in_range(mm_balloon_pages(w.sys), 100, 200);
	for (unsigned int i = 0; i < 100; i++)
		assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	assert_int_equal(WSTAT(&w, oom_kill), 0);
	mm_balloon_deflate(w.sys, 1000);
	world_check(&w);
	world_destroy(&w);
}

/* What is in the balloon is not RAM that can be promised. */
static void the_commit_limit_follows(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm_commit before, after;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	mm_commit_get(w.sys, &before);
	assert_int_equal(inflate(&w, 100), 0);
	mm_commit_get(w.sys, &after);
	assert_int_equal(after.ram_pages, before.ram_pages - 100);
	assert_int_equal(after.limit_pages, before.limit_pages - 50);
	mm_balloon_deflate(w.sys, 100);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(ram_goes_and_comes_back),
	cmocka_unit_test(what_cannot_be_freed_is_enomem),
	cmocka_unit_test(the_commit_limit_follows),
};
TEST_MAIN(tests)
