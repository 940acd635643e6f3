/* SPDX-License-Identifier: MIT */
/*
 * swapoff while programs run: it reads everything back, or fails and changes nothing. Areas
 * come and go in any order.
 */
#include <errno.h>
#include <string.h>

#include "ration/sysctl.h"
#include "support/test.h"
#include "world.h"

#define RW	  (MM_PROT_READ | MM_PROT_WRITE)
#define STEPS_MAX 100000
#define TELLS	  (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)

static void write_all(struct world *w, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		assert_in_range(world_write(w, i), 0, MM_FAULT_MAJOR);
}

static void read_all(struct world *w, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		assert_in_range(world_read(w, i), 0, MM_FAULT_MAJOR);
}

/* Until it says something else than "again", as a caller with a thread for mm_step(). */
static int swapoff(struct world *w, struct swapdev *dev)
{
	int err = -EAGAIN;

	for (unsigned int i = 0; i < STEPS_MAX && err == -EAGAIN; i++) {
		err = mm_swapoff(w->sys, dev);
		world_check(w);
		world_step(w);
	}
	return err;
}

static struct swapdev *more_swap(struct world *w, uint64_t nr_slots, int prio)
{
	struct swapdev_mem_config mem = {
		.nr_slots = nr_slots, .mode = w->cfg.mode, .seed = w->cfg.seed + 1};
	struct swapdev *dev;

	assert_int_equal(swapdev_mem_create(&mem, &dev), 0);
	assert_int_equal(mm_swapon(w->sys, dev, prio), 0);
	return dev;
}

/* The world's own area is on again at the end: world_destroy() looks at it. */
static void finish(struct world *w, struct swapdev *more)
{
	if (!w->sys->swap_areas[0])
		assert_int_equal(mm_swapon(w->sys, w->dev, 0), 0);
	world_check(w);
	world_destroy(w);
	if (more)
		more->ops->close(more);
}

static const struct {
	uint32_t caps;
	enum swapdev_mem_mode mode;
} kinds[] = {
	{0, SWAPDEV_MEM_SYNC},
	{0, SWAPDEV_MEM_RANDOM},
	{TELLS, SWAPDEV_MEM_RANDOM},
	{MACHINE_FAULTS_COST, SWAPDEV_MEM_SYNC},
};

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void everything_is_read_back(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;

		cfg.caps = kinds[k].caps;
		cfg.mode = kinds[k].mode;
		world_create(&w, &cfg);
		world_map(&w, 0, 200, RW);
		write_all(&w, 200);
		world_advise(&w, 0, 200, MM_MADV_PAGEOUT);
		world_settle(&w);
		assert_int_equal(WSTAT(&w, nr_anon_pages), 0);
		assert_int_equal(swapoff(&w, w.dev), 0);
		assert_int_equal(WSTAT(&w, nr_swap_slots_used), 0);
		assert_int_equal(WSTAT(&w, nr_anon_pages), 200);
		assert_int_equal(WSTAT(&w, pswpin), 200);
		assert_int_equal(w.sys->nr_swap_areas, 0);
		assert_int_equal(w.sys->nr_swap_pages, 0);
		read_all(&w, 200);
		assert_int_equal(WSTAT(&w, pgmajfault), 0);
		assert_int_equal(mm_swapoff(w.sys, w.dev), -EINVAL);
		finish(&w, NULL);
	}
}

/* More than RAM holds goes from one area to the other, through RAM. */
static void what_does_not_fit_goes_to_the_other_area(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct swapdev *more;
		struct world w;

		cfg.caps = kinds[k].caps;
		cfg.mode = kinds[k].mode;
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		write_all(&w, WORLD_PAGES);
		more = more_swap(&w, 2048, 5);
		assert_int_equal(swapoff(&w, w.dev), 0);
		assert_null(w.sys->swap_areas[0]);
		assert_true(w.sys->swap_areas[1]->nr_used > WORLD_PAGES - cfg.nr_frames);
		read_all(&w, WORLD_PAGES);
		write_all(&w, WORLD_PAGES);
		/* and back: the free place of the first is taken again */
		assert_int_equal(mm_swapon(w.sys, w.dev, 0), 0);
		assert_ptr_equal(w.sys->swap_areas[0]->dev, w.dev);
		assert_int_equal(swapoff(&w, more), 0);
		assert_int_equal(w.sys->nr_swap_areas, 1);
		read_all(&w, WORLD_PAGES);
		finish(&w, more);
	}
}

static void what_fits_nowhere_is_enomem_and_stays(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct swapdev *more;
		uint64_t written;
		struct world w;

		cfg.caps = kinds[k].caps;
		cfg.mode = kinds[k].mode;
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		write_all(&w, WORLD_PAGES);
		more = more_swap(&w, 100, 5);
		assert_int_equal(swapoff(&w, w.dev), -ENOMEM);
		assert_int_equal(WSTAT(&w, oom_kill), 0);
		assert_int_equal(w.sys->nr_swap_areas, 2);
		assert_false(w.sys->swap_areas[0]->leave.is_leaving);
		read_all(&w, WORLD_PAGES);
		written = WSTAT(&w, pswpout);
		write_all(&w, WORLD_PAGES);
		assert_true(WSTAT(&w, pswpout) > written + WORLD_PAGES / 2);
		/* with less to keep it fits */
		assert_int_equal(mm_unmap(w.mm, world_va(200), 824 * PAGE_SIZE), 0);
		memset(&w.model[200], 0, 824 * sizeof(w.model[0]));
		assert_int_equal(swapoff(&w, w.dev), 0);
		read_all(&w, 200);
		finish(&w, more);
	}
}

/* A program that needs memory comes before the swapoff. */
static void a_fault_makes_it_give_up(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	write_all(&w, 500);
	world_settle(&w);
	assert_int_equal(mm_swapoff(w.sys, w.dev), -EAGAIN);
	assert_true(w.sys->swap_areas[0]->leave.is_leaving);
	write_all(&w, WORLD_PAGES);
	assert_int_equal(WSTAT(&w, oom_kill), 0);
	assert_false(w.sys->swap_areas[0]->leave.is_leaving);
	assert_int_equal(mm_swapoff(w.sys, w.dev), -ENOMEM);
	assert_false(w.sys->swap_areas[0]->leave.is_leaving);
	read_all(&w, WORLD_PAGES);
	finish(&w, NULL);
}

static void no_slot_is_given_while_it_leaves(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct swapdev *more;
	uint64_t used;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	write_all(&w, 600);
	more = more_swap(&w, 2048, -1); /* of lower priority */
	assert_int_equal(mm_swapoff(w.sys, w.dev), -EAGAIN);
	used = w.sys->swap_areas[0]->nr_used;
	for (unsigned int i = 600; i < WORLD_PAGES; i++) {
		assert_in_range(world_write(&w, i), 0, MM_FAULT_MAJOR);
		assert_true(w.sys->swap_areas[0]->nr_used <= used);
		used = w.sys->swap_areas[0]->nr_used;
	}
	assert_true(w.sys->swap_areas[1]->nr_used > 300);
	assert_int_equal(swapoff(&w, w.dev), 0);
	read_all(&w, WORLD_PAGES);
	finish(&w, more);
}

static void cancelled_it_is_as_before(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 200, RW);
	write_all(&w, 200);
	world_advise(&w, 0, 200, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(mm_swapoff_cancel(w.sys, w.dev), -EINVAL);
	assert_int_equal(mm_swapoff(w.sys, w.dev), -EAGAIN);
	assert_int_equal(mm_swapoff(w.sys, w.dev), -EAGAIN);
	assert_int_equal(mm_swapoff_cancel(w.sys, w.dev), 0);
	world_check(&w);
	assert_true(WSTAT(&w, pswpin) > 0);
	world_advise(&w, 0, 200, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(w.sys->swap_areas[0]->nr_used, 200);
	assert_int_equal(swapoff(&w, w.dev), 0);
	read_all(&w, 200);
	finish(&w, NULL);
}

static void a_slot_that_cannot_be_read_is_eio(void **state)
{
	static const struct swapdev_fault_rule rule = {
		.fault = SWAPDEV_FAULT_ERROR, .err = -EIO, .nth = 40};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.rules = &rule;
	cfg.nr_rules = 1;
	world_create(&w, &cfg);
	world_map(&w, 0, 200, RW);
	write_all(&w, 200);
	world_advise(&w, 0, 200, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(swapoff(&w, w.dev), -EIO);
	assert_false(w.sys->swap_areas[0]->leave.is_leaving);
	assert_int_equal(swapoff(&w, w.dev), 0); /* the device has recovered */
	read_all(&w, 200);
	finish(&w, NULL);
}

/* A write to the area ends after the swapoff has begun: its page stays in RAM. */
static void writes_in_flight_end_first(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.mode = SWAPDEV_MEM_HELD;
	world_create(&w, &cfg);
	world_map(&w, 0, 8, RW);
	write_all(&w, 8);
	world_advise(&w, 0, 8, MM_MADV_PAGEOUT);
	assert_int_equal(WSTAT(&w, nr_writeback), 8);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(mm_swapoff(w.sys, w.dev), -EAGAIN);
	assert_int_equal(swapdev_mem_deliver(w.dev, 8), 8);
	assert_int_equal(swapoff(&w, w.dev), 0);
	assert_int_equal(WSTAT(&w, pswpin), 0);
	read_all(&w, 8);
	finish(&w, NULL);
}

static void overcommit_is_asked(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.overcommit = MM_OVERCOMMIT_NEVER;
	world_create(&w, &cfg);
	assert_int_equal(mm_sysctl_set(w.sys, "vm.overcommit_kbytes", 4 * 300), 0);
	assert_int_equal(mm_sysctl_set(w.sys, "vm.admin_reserve_kbytes", 0), 0);
	world_map(&w, 0, 300, RW);
	assert_int_equal(mm_swapoff(w.sys, w.dev), -ENOMEM);
	assert_int_equal(mm_unmap(w.mm, world_va(0), PAGE_SIZE), 0);
	w.model[0].is_mapped = false;
	assert_int_equal(swapoff(&w, w.dev), 0);
	finish(&w, NULL);
}

static void arguments_are_checked(void **state)
{
	struct swapdev_mem_config mem = {.nr_slots = 64};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct swapdev *devs[SWAP_TYPES_MAX];
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	assert_int_equal(mm_swapon(w.sys, w.dev, 3), -EBUSY);
	for (unsigned int i = 1; i < SWAP_TYPES_MAX; i++) {
		assert_int_equal(swapdev_mem_create(&mem, &devs[i]), 0);
		assert_int_equal(mm_swapoff(w.sys, devs[i]), -EINVAL);
		assert_int_equal(mm_swapon(w.sys, devs[i], (int)i), 0);
	}
	assert_int_equal(swapdev_mem_create(&mem, &devs[0]), 0);
	assert_int_equal(mm_swapon(w.sys, devs[0], 0), -EPERM);
	assert_int_equal(swapoff(&w, devs[17]), 0);
	assert_int_equal(mm_swapon(w.sys, devs[0], 0), 0);
	assert_ptr_equal(w.sys->swap_areas[17]->dev, devs[0]);
	world_map(&w, 0, WORLD_PAGES, RW);
	write_all(&w, WORLD_PAGES);
	for (unsigned int i = 0; i < SWAP_TYPES_MAX; i++)
		if (i != 17)
			assert_int_equal(swapoff(&w, devs[i]), 0);
	read_all(&w, WORLD_PAGES);
	world_destroy(&w);
	for (unsigned int i = 0; i < SWAP_TYPES_MAX; i++)
		devs[i]->ops->close(devs[i]);
}

/* Spaces come and go while it is under way. */
static void spaces_may_die_meanwhile(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm *others[6];
	struct world w;
	vaddr_t addr;

	(void)state;
	cfg.mode = SWAPDEV_MEM_RANDOM;
	world_create(&w, &cfg);
	world_map(&w, 0, 100, RW);
	write_all(&w, 100);
	for (unsigned int i = 0; i < 6; i++) {
		assert_int_equal(mm_create(w.sys, &others[i]), 0);
		assert_int_equal(mm_map(others[i], world_va(0), 40 * PAGE_SIZE, RW,
					MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED,
					&addr),
				 0);
		for (unsigned int p = 0; p < 40; p++)
			while (mm_fault(others[i], world_va(p), MM_ACCESS_WRITE) >=
			       MM_FAULT_RETRY)
				world_step(&w);
		while (mm_advise(others[i], world_va(0), 40 * PAGE_SIZE, MM_MADV_PAGEOUT) != 0)
			world_step(&w);
		world_settle(&w);
	}
	assert_int_equal(mm_swapoff(w.sys, w.dev), -EAGAIN);
	for (unsigned int i = 0; i < 6; i += 2) {
		mm_destroy(others[i]);
		world_check(&w);
		mm_swapoff(w.sys, w.dev);
	}
	assert_int_equal(swapoff(&w, w.dev), 0);
	for (unsigned int i = 1; i < 6; i += 2)
		mm_destroy(others[i]);
	read_all(&w, 100);
	finish(&w, NULL);
}

#define FAMILY	     4
#define FAMILY_PAGES 200

struct family {
	struct world w; /* has one of the spaces at a time */
	struct mm *mms[FAMILY];
	struct model_page models[FAMILY][WORLD_PAGES];
};

/* A space and its children, whose numbers follow each other; all name the same slots. */
static void family_create(struct family *f, const struct world_config *cfg)
{
	world_create(&f->w, cfg);
	world_map(&f->w, 0, FAMILY_PAGES, RW);
	write_all(&f->w, FAMILY_PAGES);
	world_advise(&f->w, 0, FAMILY_PAGES, MM_MADV_PAGEOUT);
	world_settle(&f->w);
	f->mms[0] = f->w.mm;
	for (unsigned int i = 0; i < FAMILY; i++) {
		if (i > 0)
			assert_int_equal(mm_fork(f->w.mm, &f->mms[i]), 0);
		memcpy(f->models[i], f->w.model, sizeof(f->w.model));
	}
}

static void family_each(struct family *f, void (*do_all)(struct world *w, unsigned int nr))
{
	for (unsigned int i = FAMILY; i-- > 0;) {
		f->w.mm = f->mms[i];
		memcpy(f->w.model, f->models[i], sizeof(f->w.model));
		do_all(&f->w, FAMILY_PAGES);
		memcpy(f->models[i], f->w.model, sizeof(f->w.model));
	}
}

/* Each slot is read once. When all have written, RAM holds not half of it. */
static void slots_that_a_family_shares_come_back(void **state)
{
	static struct family f;

	(void)state;
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct swapdev *more;

		cfg.caps = kinds[k].caps;
		cfg.mode = kinds[k].mode;
		family_create(&f, &cfg);
		assert_int_equal(swapoff(&f.w, f.w.dev), 0);
		assert_int_equal(WSTAT(&f.w, pswpin), FAMILY_PAGES);
		family_each(&f, read_all);
		assert_int_equal(WSTAT(&f.w, pgmajfault), 0);
		assert_int_equal(mm_swapon(f.w.sys, f.w.dev, 0), 0);
		family_each(&f, write_all);
		assert_int_equal(swapoff(&f.w, f.w.dev), -ENOMEM);
		family_each(&f, read_all);
		more = more_swap(&f.w, 2048, 5);
		assert_int_equal(swapoff(&f.w, f.w.dev), 0);
		family_each(&f, read_all);
		for (unsigned int i = 1; i < FAMILY; i++)
			mm_destroy(f.mms[i]);
		finish(&f.w, more);
	}
}

/* One page of shared memory is evicted, until its write is under way or it is gone. */
static void evict_shared(struct world *w)
{
	int err;

	while ((err = mm_advise(w->mm, world_va(0), PAGE_SIZE, MM_MADV_PAGEOUT)) == -EAGAIN)
		world_step(w);
	assert_int_equal(err, 0);
}

/* A tree, too, gets no slot of it any more, though the copy there is good. */
static void shared_memory_goes_to_the_other_area(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct swapdev *more;
	struct world w;
	vaddr_t addr;

	(void)state;
	cfg.mode = SWAPDEV_MEM_HELD;
	world_create(&w, &cfg);
	assert_int_equal(mm_map(w.mm, world_va(0), PAGE_SIZE, RW,
				MM_MAP_SHARED | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr),
			 0);
	assert_in_range(mm_fault(w.mm, addr, MM_ACCESS_WRITE), 0, MM_FAULT_MAJOR);
	evict_shared(&w);
	assert_int_equal(WSTAT(&w, nr_writeback), 1);
	/* the fault waits for the write, and wants the page to stay then */
	assert_int_equal(mm_fault(w.mm, addr, MM_ACCESS_READ), MM_FAULT_RETRY);
	assert_int_equal(swapdev_mem_deliver(w.dev, 1), 1);
	world_settle(&w);
	assert_int_equal(WSTAT(&w, pswpout), 1); /* clean, and it has its slot */
	more = more_swap(&w, 64, -1);
	assert_int_equal(mm_swapoff(w.sys, w.dev), -EAGAIN);
	assert_int_equal(w.sys->swap_areas[0]->nr_used, 1);
	evict_shared(&w);
	assert_int_equal(w.sys->swap_areas[0]->nr_used, 0);
	assert_int_equal(w.sys->swap_areas[1]->nr_used, 1);
	swapdev_mem_deliver(more, 1);
	world_settle(&w);
	assert_int_equal(swapoff(&w, w.dev), 0);
	assert_int_equal(mm_unmap(w.mm, addr, PAGE_SIZE), 0);
	finish(&w, more);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(everything_is_read_back),
	cmocka_unit_test(what_does_not_fit_goes_to_the_other_area),
	cmocka_unit_test(what_fits_nowhere_is_enomem_and_stays),
	cmocka_unit_test(a_fault_makes_it_give_up),
	cmocka_unit_test(no_slot_is_given_while_it_leaves),
	cmocka_unit_test(cancelled_it_is_as_before),
	cmocka_unit_test(a_slot_that_cannot_be_read_is_eio),
	cmocka_unit_test(writes_in_flight_end_first),
	cmocka_unit_test(overcommit_is_asked),
	cmocka_unit_test(arguments_are_checked),
	cmocka_unit_test(spaces_may_die_meanwhile),
	cmocka_unit_test(slots_that_a_family_shares_come_back),
	cmocka_unit_test(shared_memory_goes_to_the_other_area),
};
TEST_MAIN(tests)
