/* SPDX-License-Identifier: MIT */
/*
 * Files in memory, one idea a case: what mappings show and keep, what reaches the device and
 * when, what errors come to.
 */
#include "support/test.h"

#include <errno.h>
#include <string.h>

#include "files.h"

#define RW     (MM_PROT_READ | MM_PROT_WRITE)
#define SECOND 1000000000ull
#define SHARED                                     \
	{                                          \
		.prot = RW, .flags = MM_MAP_SHARED \
	}
#define PRIVATE                                     \
	{                                           \
		.prot = RW, .flags = MM_MAP_PRIVATE \
	}

static uint64_t load(struct files *f, unsigned int mm, vaddr_t va)
{
	uint64_t value = 0;

	assert_in_range(files_load(f, f->mms[mm], va, &value), 0, MM_FAULT_MAJOR);
	return value;
}

static void store(struct files *f, unsigned int mm, vaddr_t va, uint64_t value)
{
	assert_in_range(files_store(f, f->mms[mm], va, value), 0, MM_FAULT_MAJOR);
}

static void map(struct files *f, unsigned int mm, unsigned int page, unsigned int nr,
		struct mm_map_file_args args)
{
	args.len = nr * PAGE_SIZE;
	files_map(f, f->mms[mm], page, &args);
}

static void map_shared(struct files *f, unsigned int mm, unsigned int page, unsigned int nr)
{
	map(f, mm, page, nr, (struct mm_map_file_args)SHARED);
}

static void map_private(struct files *f, unsigned int mm, unsigned int page, unsigned int nr)
{
	map(f, mm, page, nr, (struct mm_map_file_args)PRIVATE);
}

static uint64_t stamp_of(unsigned int page)
{
	return files_stamp(page * PAGE_SIZE);
}

/* Read around: the first fault reads 32 pages, the mark among them the next. */
static void a_mapped_file_is_read_ahead(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 128);
	for (unsigned int i = 0; i < 128; i++)
		assert_int_equal(load(&f, 0, world_va(i)), stamp_of(i));
	assert_int_equal(WSTAT(&f.w, pgmajfault), 1);
	/* each 16th, and the marked ones at 24, 32, 64, 96 */
	assert_int_equal(WSTAT(&f.w, pgfault), 8 + 1);
	assert_int_equal(WSTAT(&f.w, nr_mapped), 128);
	world_check(&f.w);
	map_private(&f, 1, 100, 128);
	for (unsigned int i = 0; i < 128; i++)
		assert_int_equal(load(&f, 1, world_va(100 + i)), stamp_of(i));
	assert_int_equal(WSTAT(&f.w, pgmajfault), 1);
	assert_int_equal(WSTAT(&f.w, nr_mapped), 128);
	world_check(&f.w);
	files_destroy(&f);
}

static void count_seen(void *arg, vaddr_t va, pte_t bits)
{
	(void)va;
	(void)bits;
	++*(unsigned int *)arg;
}

/* The 16 pages around it are mapped too, and begin as used. */
static void a_major_fault_maps_what_was_read_with_it(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	unsigned int nr_used = 0;
	struct files f;

	(void)state;
	cfg.world.caps |= MACHINE_SETS_ACCESSED;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 128);
	assert_int_equal(load(&f, 0, world_va(50)), stamp_of(50));
	assert_int_equal(WSTAT(&f.w, pgmajfault), 1);
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 32);
	assert_int_equal(WSTAT(&f.w, nr_mapped), 15); /* of [48, 64); 58 has the mark */
	f.w.machine->ops->harvest(f.w.machine, f.mms[0]->space, world_va(0), world_va(128),
				  count_seen, &nr_used);
	assert_int_equal(nr_used, WSTAT(&f.w, nr_mapped));
	world_check(&f.w);
	files_destroy(&f);
}

static void random_advice_reads_one_page(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 256);
	assert_int_equal(mm_advise(f.mms[0], world_va(0), 256 * PAGE_SIZE, MM_MADV_RANDOM), 0);
	for (unsigned int i = 0; i < 256; i += 16)
		assert_int_equal(load(&f, 0, world_va(i)), stamp_of(i));
	assert_int_equal(WSTAT(&f.w, pgmajfault), 16);
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 16);
	files_destroy(&f);
}

static void a_shared_write_is_everybody_s(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	uint64_t value;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 16);
	map_shared(&f, 1, 300, 16);
	map_private(&f, 1, 400, 16);
	assert_int_equal(load(&f, 1, world_va(303)), stamp_of(3));
	assert_int_equal(load(&f, 1, world_va(403)), stamp_of(3));
	store(&f, 0, world_va(3), 77);
	assert_int_equal(load(&f, 1, world_va(303)), 77);
	assert_int_equal(load(&f, 1, world_va(403)), 77);
	assert_int_equal(files_read(&f, 3 * PAGE_SIZE, &value, 8), 8);
	assert_int_equal(value, 77);
	assert_int_equal(WSTAT(&f.w, nr_dirty), 1);
	assert_int_equal(files_stored(&f, 3)[0], stamp_of(3));
	world_check(&f.w);
	assert_int_equal(files_sync(&f), 0);
	assert_int_equal(files_stored(&f, 3)[0], 77);
	assert_int_equal(WSTAT(&f.w, nr_dirty), 0);
	world_check(&f.w);
	/* clean again: the next write is seen too, and only that page is written */
	store(&f, 1, world_va(303), 78);
	assert_int_equal(WSTAT(&f.w, nr_dirty), 1);
	assert_int_equal(files_sync(&f), 0);
	assert_int_equal(files_stored(&f, 3)[0], 78);
	assert_int_equal(WSTAT(&f.w, nr_written), 2);
	files_destroy(&f);
}

static void a_private_write_is_one_s_own(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map_private(&f, 0, 0, 16);
	map_shared(&f, 1, 0, 16);
	assert_int_equal(load(&f, 0, world_va(2)), stamp_of(2));
	store(&f, 0, world_va(2), 5); /* was mapped */
	store(&f, 0, world_va(9), 6); /* was not */
	assert_int_equal(load(&f, 0, world_va(2)), 5);
	assert_int_equal(load(&f, 0, world_va(2) + 8), files_stamp(2 * PAGE_SIZE + 8));
	assert_int_equal(load(&f, 0, world_va(9)), 6);
	assert_int_equal(load(&f, 1, world_va(2)), stamp_of(2));
	assert_int_equal(load(&f, 1, world_va(9)), stamp_of(9));
	assert_int_equal(WSTAT(&f.w, nr_anon_pages), 2);
	assert_int_equal(WSTAT(&f.w, nr_dirty), 0);
	world_check(&f.w);
	store(&f, 1, world_va(2), 8);
	assert_int_equal(load(&f, 0, world_va(2)), 5);
	/* thrown away, it is the file's again */
	world_advise(&f.w, 2, 1, MM_MADV_DONTNEED);
	assert_int_equal(load(&f, 0, world_va(2)), 8);
	world_check(&f.w);
	files_destroy(&f);
}

static void beyond_the_end_is_a_bus_error(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	uint64_t value;
	struct files f;

	(void)state;
	cfg.nr_bytes = 3 * PAGE_SIZE + 16;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 8);
	assert_int_equal(load(&f, 0, world_va(3) + 8), files_stamp(3 * PAGE_SIZE + 8));
	assert_int_equal(load(&f, 0, world_va(3) + 16), 0);
	assert_int_equal(files_load(&f, f.mms[0], world_va(4), &value), MM_FAULT_BUS);
	assert_int_equal(files_store(&f, f.mms[0], world_va(7), 1), MM_FAULT_BUS);
	world_check(&f.w);
	/* what is written behind the end of the last page stays there */
	store(&f, 0, world_va(3) + 8, 1);
	store(&f, 0, world_va(3) + 16, 2);
	assert_int_equal(files_sync(&f), 0);
	assert_int_equal(filedev_slots_size(f.dev), cfg.nr_bytes);
	assert_int_equal(files_write(&f, 5 * PAGE_SIZE, "12345678", 8), 8);
	assert_int_equal(load(&f, 0, world_va(3) + 8), 1);
	assert_int_equal(load(&f, 0, world_va(3) + 16), 0);
	assert_int_equal(load(&f, 0, world_va(4)), 0);
	assert_int_equal(mm_file_size(f.file), 5 * PAGE_SIZE + 8);
	world_check(&f.w);
	files_destroy(&f);
}

static void truncation_takes_pages_away(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	uint64_t value;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 32);
	map_private(&f, 1, 0, 32);
	for (unsigned int i = 0; i < 32; i++) {
		store(&f, 0, world_va(i), i);
		store(&f, 1, world_va(i), 100 + i);
	}
	assert_int_equal(files_truncate(&f, 10 * PAGE_SIZE + 8), 0);
	world_check(&f.w);
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 11);
	assert_int_equal(load(&f, 0, world_va(10)), 10);
	assert_int_equal(load(&f, 0, world_va(10) + 8), 0);
	assert_int_equal(load(&f, 1, world_va(10)), 110);
	for (unsigned int mm = 0; mm < 2; mm++)
		assert_int_equal(files_load(&f, f.mms[mm], world_va(11), &value), MM_FAULT_BUS);
	assert_int_equal(files_truncate(&f, 20 * PAGE_SIZE), 0);
	for (unsigned int mm = 0; mm < 2; mm++)
		assert_int_equal(load(&f, mm, world_va(11)), 0);
	assert_int_equal(load(&f, 0, world_va(10) + 16), 0);
	assert_int_equal(files_sync(&f), 0);
	assert_int_equal(filedev_slots_size(f.dev), 20 * PAGE_SIZE);
	assert_int_equal(files_stored(&f, 9)[0], 9);
	world_check(&f.w);
	files_destroy(&f);
}

/* Clean pages go without a write, and come back. */
static void a_file_larger_than_ram_is_dropped_and_read_again(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct files f;

	(void)state;
	cfg.nr_bytes = 900 * PAGE_SIZE;
	cfg.mode = SWAPDEV_MEM_RANDOM;
	cfg.world.seed = 7;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 900);
	for (unsigned int round = 0; round < 3; round++)
		for (unsigned int i = 0; i < 900; i++)
			assert_int_equal(load(&f, 0, world_va(i)), stamp_of(i));
	assert_true(WSTAT(&f.w, pgpgin) > 2 * 900 * 4);
	assert_int_equal(WSTAT(&f.w, pgpgout), 0);
	assert_int_equal(WSTAT(&f.w, pswpout), 0);
	world_check(&f.w);
	files_destroy(&f);
}

static void dirty_pages_beyond_ram_reach_the_file(void **state)
{
	static const enum swapdev_mem_mode modes[] = {SWAPDEV_MEM_SYNC, SWAPDEV_MEM_RANDOM};

	(void)state;
	for (unsigned int m = 0; m < 2; m++) {
		struct files_config cfg = FILES_CONFIG_DEFAULT;
		struct files f;

		cfg.nr_bytes = 900 * PAGE_SIZE;
		cfg.mode = modes[m];
		cfg.world.seed = 5;
		files_create(&f, &cfg);
		map_shared(&f, 0, 0, 900);
		for (unsigned int i = 0; i < 900; i++)
			store(&f, 0, world_va(i), i);
		world_check(&f.w);
		for (unsigned int i = 0; i < 900; i++)
			assert_int_equal(load(&f, 0, world_va(i)), i);
		assert_int_equal(files_sync(&f), 0);
		for (unsigned int i = 0; i < 900; i++)
			assert_int_equal(files_stored(&f, i)[0], i);
		world_check(&f.w);
		files_destroy(&f);
	}
}

static void what_is_old_is_written(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 16);
	store(&f, 0, world_va(1), 11);
	for (unsigned int s = 1; s < 30; s++)
		mm_step(f.w.sys, s * SECOND, 64);
	assert_int_equal(files_stored(&f, 1)[0], stamp_of(1));
	for (unsigned int s = 30; s < 36; s++)
		mm_step(f.w.sys, s * SECOND, 64);
	assert_int_equal(files_stored(&f, 1)[0], 11);
	assert_int_equal(WSTAT(&f.w, nr_dirty), 0);
	f.w.now_ns = 36 * SECOND;
	assert_int_equal(load(&f, 0, world_va(1)), 11);
	files_destroy(&f);
}

static void a_tenth_dirty_is_written_in_the_background(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 100);
	for (unsigned int i = 0; i < 10; i++)
		store(&f, 0, world_va(i), i);
	world_step(&f.w);
	assert_int_equal(WSTAT(&f.w, nr_written), 0);
	for (unsigned int i = 0; i < 60; i++)
		store(&f, 0, world_va(i), i);
	world_step(&f.w);
	assert_true(WSTAT(&f.w, nr_written) > 10);
	world_check(&f.w);
	files_destroy(&f);
}

static void a_write_error_is_told_once_and_loses_nothing(void **state)
{
	static const struct swapdev_fault_rule rule = {
		.fault = SWAPDEV_FAULT_ERROR, .is_write = true, .err = -ENOSPC, .nth = 2};
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct files f;

	(void)state;
	cfg.rules = &rule;
	cfg.nr_rules = 1;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 16);
	for (unsigned int i = 0; i < 3; i++)
		store(&f, 0, world_va(i), 50 + i);
	assert_int_equal(files_sync(&f), -ENOSPC);
	assert_int_equal(WSTAT(&f.w, nr_dirty), 1);
	assert_int_equal(files_stored(&f, 1)[0], stamp_of(1));
	world_check(&f.w);
	assert_int_equal(files_sync(&f), 0);
	assert_int_equal(files_stored(&f, 1)[0], 51);
	filedev_slots_fail_sync(f.dev, 1, -EIO);
	assert_int_equal(files_sync(&f), -EIO);
	assert_int_equal(files_sync(&f), 0);
	files_destroy(&f);
}

static void a_read_error_is_a_bus_error_once(void **state)
{
	static const struct swapdev_fault_rule rule = {
		.fault = SWAPDEV_FAULT_ERROR, .err = -EIO, .nth = 1};
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	uint64_t value;
	struct files f;

	(void)state;
	cfg.rules = &rule;
	cfg.nr_rules = 1;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 16);
	assert_int_equal(files_load(&f, f.mms[0], world_va(0), &value), MM_FAULT_BUS);
	world_check(&f.w);
	assert_int_equal(load(&f, 0, world_va(0)), stamp_of(0));
	assert_int_equal(WSTAT(&f.w, file_read_errors), 1);
	files_destroy(&f);
}

/* Shared anonymous memory: zeroed, swapped, brought back. */
static void shared_memory_goes_to_swap(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	vaddr_t addr;
	struct files f;

	(void)state;
	cfg.world.mode = SWAPDEV_MEM_RANDOM;
	cfg.world.seed = 3;
	files_create(&f, &cfg);
	assert_int_equal(mm_map(f.mms[0], world_va(0), 900 * PAGE_SIZE, RW,
				MM_MAP_SHARED | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr),
			 0);
	assert_int_equal(load(&f, 0, world_va(899)), 0);
	for (unsigned int i = 0; i < 900; i++)
		store(&f, 0, world_va(i), 1 + i);
	world_check(&f.w);
	assert_true(WSTAT(&f.w, pswpout) > 500);
	assert_true(WSTAT(&f.w, nr_shmem) > 0);
	for (unsigned int round = 0; round < 2; round++)
		for (unsigned int i = 0; i < 900; i++)
			assert_int_equal(load(&f, 0, world_va(i)), 1 + i);
	world_check(&f.w);
	world_settle(&f.w);
	assert_int_equal(mm_unmap(f.mms[0], world_va(0), 900 * PAGE_SIZE), 0);
	world_settle(&f.w);
	world_check(&f.w);
	assert_int_equal(WSTAT(&f.w, nr_shmem), 0);
	assert_int_equal(WSTAT(&f.w, nr_swap_slots_used), 0);
	files_destroy(&f);
}

static void shared_memory_is_the_child_s_too(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	vaddr_t addr;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	assert_int_equal(mm_map(f.mms[0], world_va(0), 4 * PAGE_SIZE, RW,
				MM_MAP_SHARED | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr),
			 0);
	map_private(&f, 0, 8, 4);
	store(&f, 0, world_va(1), 1);
	store(&f, 0, world_va(9), 1);
	mm_destroy(f.mms[1]);
	assert_int_equal(mm_fork(f.mms[0], &f.mms[1]), 0);
	store(&f, 1, world_va(1), 2);
	store(&f, 1, world_va(9), 2);
	store(&f, 1, world_va(3), 3);
	assert_int_equal(load(&f, 0, world_va(1)), 2);
	assert_int_equal(load(&f, 0, world_va(3)), 3);
	assert_int_equal(load(&f, 0, world_va(9)), 1);
	world_check(&f.w);
	/* it lives as long as one of them maps it */
	assert_int_equal(mm_unmap(f.mms[0], world_va(0), 4 * PAGE_SIZE), 0);
	world_check(&f.w);
	assert_int_equal(load(&f, 1, world_va(1)), 2);
	assert_int_equal(WSTAT(&f.w, nr_shmem), 2);
	assert_int_equal(mm_unmap(f.mms[1], world_va(0), 4 * PAGE_SIZE), 0);
	assert_int_equal(WSTAT(&f.w, nr_shmem), 0);
	world_check(&f.w);
	files_destroy(&f);
}

static void a_locked_file_stays(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct files f;
	int err = -EAGAIN;

	(void)state;
	cfg.nr_bytes = 900 * PAGE_SIZE;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 900);
	map_shared(&f, 1, 0, 16);
	for (unsigned int i = 0; i < 100 && err == -EAGAIN; i++) {
		err = mm_mlock(f.mms[0], world_va(0), 8 * PAGE_SIZE, 0);
		world_step(&f.w);
	}
	assert_int_equal(err, 0);
	assert_int_equal(WSTAT(&f.w, nr_mlock), 8);
	world_check(&f.w);
	store(&f, 1, world_va(3), 33);
	for (unsigned int i = 8; i < 900; i++)
		assert_int_equal(load(&f, 0, world_va(i)), stamp_of(i));
	for (unsigned int i = 0; i < 8; i++)
		assert_non_null(filemap_find(f.file, i));
	world_check(&f.w);
	assert_int_equal(files_sync(&f), 0);
	assert_int_equal(files_stored(&f, 3)[0], 33);
	assert_int_equal(files_truncate(&f, 4 * PAGE_SIZE), 0);
	assert_int_equal(WSTAT(&f.w, nr_mlock), 4);
	world_check(&f.w);
	assert_int_equal(mm_munlock(f.mms[0], world_va(0), 8 * PAGE_SIZE), 0);
	assert_int_equal(WSTAT(&f.w, nr_mlock), 0);
	world_check(&f.w);
	files_destroy(&f);
}

/* While a writer has the mm its translations stay: the page may be written, so it is not. */
static void a_page_that_can_be_written_is_not_taken_for_clean(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	uint64_t ticket = 0;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 4);
	store(&f, 0, world_va(1), 1);
	sys_lock(f.w.sys);
	assert_true(mm_write_trylock(f.mms[0]));
	sys_unlock(f.w.sys);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(mm_fsync(f.file, &ticket), -EAGAIN);
		world_step(&f.w);
	}
	assert_int_equal(WSTAT(&f.w, nr_dirty), 1);
	world_check(&f.w);
	sys_lock(f.w.sys);
	mm_write_unlock(f.mms[0]);
	sys_unlock(f.w.sys);
	store(&f, 0, world_va(1), 2); /* no fault: it is still translated writable */
	assert_int_equal(files_sync(&f), 0);
	assert_int_equal(files_stored(&f, 1)[0], 2);
	files_destroy(&f);
}

/* The area is taken away while its pages are in it. */
static void shared_memory_comes_back_from_swap(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	int err = -EAGAIN;
	vaddr_t addr;
	struct files f;

	(void)state;
	cfg.world.mode = SWAPDEV_MEM_RANDOM;
	cfg.world.seed = 4;
	files_create(&f, &cfg);
	assert_int_equal(mm_map(f.mms[0], world_va(0), 100 * PAGE_SIZE, RW,
				MM_MAP_SHARED | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr),
			 0);
	for (unsigned int i = 0; i < 100; i++)
		store(&f, 0, world_va(i), 1 + i);
	world_advise(&f.w, 0, 100, MM_MADV_PAGEOUT);
	world_settle(&f.w);
	assert_int_equal(WSTAT(&f.w, nr_shmem), 0);
	for (unsigned int i = 0; i < 10000 && err == -EAGAIN; i++) {
		err = mm_swapoff(f.w.sys, f.w.dev);
		world_step(&f.w);
	}
	assert_int_equal(err, 0);
	assert_int_equal(WSTAT(&f.w, nr_shmem), 100);
	world_check(&f.w);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(load(&f, 0, world_va(i)), 1 + i);
	assert_int_equal(mm_swapon(f.w.sys, f.w.dev, 0), 0);
	files_destroy(&f);
}

static void areas_keep_their_place_in_the_file(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct mm_area area;
	vaddr_t addr;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map(&f, 0, 10, 20,
	    (struct mm_map_file_args){
		    .prot = RW, .flags = MM_MAP_SHARED, .offset = 5 * PAGE_SIZE});
	assert_int_equal(mm_protect(f.mms[0], world_va(15), 5 * PAGE_SIZE, MM_PROT_READ), 0);
	world_check(&f.w);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(load(&f, 0, world_va(10 + i)), stamp_of(5 + i));
	assert_int_equal(files_store(&f, f.mms[0], world_va(16), 1), MM_FAULT_SEGV);
	assert_int_equal(mm_protect(f.mms[0], world_va(15), 5 * PAGE_SIZE, RW), 0);
	assert_int_equal(mm_query(f.mms[0], world_va(10), &area), 0);
	assert_int_equal(area.end - area.start, 20 * PAGE_SIZE);
	/* a neighbour that does not continue it in the file stays another area */
	map(&f, 0, 30, 4, (struct mm_map_file_args){.prot = RW, .flags = MM_MAP_SHARED});
	assert_int_equal(mm_query(f.mms[0], world_va(10), &area), 0);
	assert_int_equal(area.end - area.start, 20 * PAGE_SIZE);
	store(&f, 0, world_va(17), 99);
	assert_int_equal(mm_remap(f.mms[0], world_va(15), 10 * PAGE_SIZE, 12 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(100), &addr),
			 0);
	world_check(&f.w);
	assert_int_equal(load(&f, 0, world_va(102)), 99);
	for (unsigned int i = 3; i < 12; i++)
		assert_int_equal(load(&f, 0, world_va(100 + i)), stamp_of(10 + i));
	assert_int_equal(load(&f, 0, world_va(25)), stamp_of(20));
	world_check(&f.w);
	files_destroy(&f);
}

static void advice_on_files(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 64);
	assert_int_equal(mm_advise(f.mms[0], world_va(0), PAGE_SIZE, MM_MADV_FREE), -EINVAL);
	world_advise(&f.w, 0, 64, MM_MADV_WILLNEED);
	world_settle(&f.w);
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 64);
	for (unsigned int i = 0; i < 64; i++)
		load(&f, 0, world_va(i));
	assert_int_equal(WSTAT(&f.w, pgmajfault), 0);
	store(&f, 0, world_va(5), 55);
	world_advise(&f.w, 0, 64, MM_MADV_DONTNEED);
	assert_int_equal(WSTAT(&f.w, nr_mapped), 0);
	assert_int_equal(load(&f, 0, world_va(5)), 55);
	assert_int_equal(WSTAT(&f.w, pgmajfault), 0);
	for (unsigned int i = 0; i < 64; i++)
		load(&f, 0, world_va(i));
	world_advise(&f.w, 0, 64, MM_MADV_COLD);
	world_check(&f.w);
	world_advise(&f.w, 0, 64, MM_MADV_PAGEOUT);
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 1); /* the dirty one */
	world_check(&f.w);
	files_destroy(&f);
}

/* Windows of 4, 8, 16, 32, 32 … pages, each read when the one before is reached. */
static void reading_in_order_reads_ahead(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	uint64_t buf[512];
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	assert_int_equal(files_read(&f, 0, buf, PAGE_SIZE), PAGE_SIZE);
	assert_int_equal(buf[3], files_stamp(24));
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 4);
	assert_int_equal(files_read(&f, PAGE_SIZE, buf, PAGE_SIZE), PAGE_SIZE);
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 4 + 8);
	assert_int_equal(files_read(&f, 4 * PAGE_SIZE, buf, PAGE_SIZE), PAGE_SIZE);
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 4 + 8 + 16);
	assert_int_equal(files_read(&f, 12 * PAGE_SIZE, buf, PAGE_SIZE), PAGE_SIZE);
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 4 + 8 + 16 + 32);
	/* here and there: as it is */
	assert_int_equal(files_read(&f, 200 * PAGE_SIZE, buf, 16), 16);
	assert_int_equal(WSTAT(&f.w, nr_file_pages), 4 + 8 + 16 + 32 + 1);
	/* one page twice in a row counts once, with another between twice */
	assert_int_equal(files_read(&f, 200 * PAGE_SIZE + 16, buf, 16), 16);
	assert_false(page_has(filemap_find(f.file, 200), PG_active));
	assert_int_equal(files_read(&f, 0, buf, 16), 16);
	assert_int_equal(files_read(&f, 200 * PAGE_SIZE, buf, 16), 16);
	assert_true(page_has(filemap_find(f.file, 200), PG_active));
	world_check(&f.w);
	files_destroy(&f);
}

static void writing_makes_a_file_longer(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	char buf[3 * PAGE_SIZE];
	struct files f;

	(void)state;
	cfg.nr_bytes = 100;
	files_create(&f, &cfg);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(files_write(&f, 50, buf, 2 * PAGE_SIZE), 2 * PAGE_SIZE);
	assert_int_equal(mm_file_size(f.file), 50 + 2 * PAGE_SIZE);
	assert_int_equal(files_read(&f, 0, buf, sizeof(buf)), 50 + 2 * PAGE_SIZE);
	assert_int_equal(buf[49], (char)(files_stamp(48) >> 8));
	assert_int_equal(buf[50], 'x');
	assert_int_equal(files_sync(&f), 0);
	assert_int_equal(filedev_slots_size(f.dev), 50 + 2 * PAGE_SIZE);
	assert_int_equal(((char *)files_stored(&f, 2))[49], 'x');
	assert_int_equal(files_write(&f, 1024 * PAGE_SIZE, buf, 1), 1);
	assert_int_equal(files_sync(&f), -EFBIG); /* the device's last word */
	assert_int_equal(files_truncate(&f, 0), 0);
	assert_int_equal(files_read(&f, 0, buf, 1), 0);
	assert_int_equal(files_sync(&f), 0);
	world_check(&f.w);
	files_destroy(&f);
}

static void msync_as_linux(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct mm_msync s = {0};
	struct files f;
	int err = -EAGAIN;

	(void)state;
	files_create(&f, &cfg);
	map_shared(&f, 0, 0, 4);
	map_shared(&f, 0, 8, 4);
	store(&f, 0, world_va(1), 1);
	assert_int_equal(mm_msync(f.mms[0], world_va(0) + 1, 1, MM_MS_SYNC, &s), -EINVAL);
	assert_int_equal(mm_msync(f.mms[0], world_va(0), 1, MM_MS_SYNC | MM_MS_ASYNC, &s),
			 -EINVAL);
	assert_int_equal(mm_msync(f.mms[0], world_va(0), 4 * PAGE_SIZE, MM_MS_ASYNC, &s), 0);
	assert_int_equal(WSTAT(&f.w, nr_written), 0);
	s = (struct mm_msync){0};
	for (unsigned int i = 0; i < 100 && err == -EAGAIN; i++) {
		err = mm_msync(f.mms[0], world_va(0), 12 * PAGE_SIZE, MM_MS_SYNC, &s);
		world_step(&f.w);
	}
	assert_int_equal(err, -ENOMEM); /* a hole, but what is mapped is written */
	assert_int_equal(files_stored(&f, 1)[0], 1);
	world_check(&f.w);
	files_destroy(&f);
}

static void calls_that_are_refused(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct mm_map_file_args args = {.len = PAGE_SIZE, .flags = MM_MAP_SHARED};
	vaddr_t addr;
	struct files f;

	(void)state;
	files_create(&f, &cfg);
	args.offset = 5;
	assert_int_equal(mm_map_file(f.mms[0], f.file, &args, &addr), -EINVAL);
	args.offset = INT64_MAX & PAGE_MASK;
	assert_int_equal(mm_map_file(f.mms[0], f.file, &args, &addr), -EOVERFLOW);
	args.offset = 0;
	args.flags = 0;
	assert_int_equal(mm_map_file(f.mms[0], f.file, &args, &addr), -EINVAL);
	args.flags = MM_MAP_PRIVATE | MM_MAP_HUGETLB;
	assert_int_equal(mm_map_file(f.mms[0], f.file, &args, &addr), -EOPNOTSUPP);
	map_shared(&f, 0, 0, 1);
	assert_int_equal(mm_file_close(f.file), -EBUSY);
	assert_int_equal(mm_file_write(f.file, INT64_MAX, "x", 2), -EFBIG);
	files_destroy(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_mapped_file_is_read_ahead),
	cmocka_unit_test(a_major_fault_maps_what_was_read_with_it),
	cmocka_unit_test(random_advice_reads_one_page),
	cmocka_unit_test(a_shared_write_is_everybody_s),
	cmocka_unit_test(a_private_write_is_one_s_own),
	cmocka_unit_test(beyond_the_end_is_a_bus_error),
	cmocka_unit_test(truncation_takes_pages_away),
	cmocka_unit_test(a_file_larger_than_ram_is_dropped_and_read_again),
	cmocka_unit_test(dirty_pages_beyond_ram_reach_the_file),
	cmocka_unit_test(what_is_old_is_written),
	cmocka_unit_test(a_tenth_dirty_is_written_in_the_background),
	cmocka_unit_test(a_write_error_is_told_once_and_loses_nothing),
	cmocka_unit_test(a_read_error_is_a_bus_error_once),
	cmocka_unit_test(shared_memory_goes_to_swap),
	cmocka_unit_test(shared_memory_is_the_child_s_too),
	cmocka_unit_test(a_locked_file_stays),
	cmocka_unit_test(a_page_that_can_be_written_is_not_taken_for_clean),
	cmocka_unit_test(shared_memory_comes_back_from_swap),
	cmocka_unit_test(areas_keep_their_place_in_the_file),
	cmocka_unit_test(advice_on_files),
	cmocka_unit_test(reading_in_order_reads_ahead),
	cmocka_unit_test(writing_makes_a_file_longer),
	cmocka_unit_test(msync_as_linux),
	cmocka_unit_test(calls_that_are_refused),
};
TEST_MAIN(tests)
