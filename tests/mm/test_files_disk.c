/* SPDX-License-Identifier: MIT */
/*
 * A file on the host's disk, through the whole manager: mapped in far less RAM than it has
 * bytes, sorted in place, synced, cut, and then looked at with the host's own eyes.
 */
#include "support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "filedev/file.h"
#include "files.h"
#include "support/spawn.h"

#define PAGES	  800
#define RECORDS	  (PAGES * 512)
#define TRIES_MAX 1000000

static int make_file(void)
{
	char path[] = "/tmp/ration-files-XXXXXX";
	struct rng rng = rng_make(test_seed());
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	for (unsigned int i = 0; i < PAGES; i++) {
		uint64_t page[512];

		for (unsigned int j = 0; j < 512; j++)
			page[j] = rng_next(&rng) >> 40;
		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	}
	return fd;
}

struct disk {
	struct world w;
	struct filedev *dev;
	struct address_space *file;
	int fd; /* the test's own */
};

static void disk_open(struct disk *d, bool has_thread)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct filedev_file_config file = {.name = "scratch"};
	struct mm_map_file_args args = {.hint = WORLD_BASE,
					.len = PAGES * PAGE_SIZE,
					.prot = MM_PROT_READ | MM_PROT_WRITE,
					.flags = MM_MAP_SHARED | MM_MAP_FIXED};
	vaddr_t addr;

	world_create(&d->w, &cfg);
	d->fd = make_file();
	file.fd = dup(d->fd);
	file.spawn = has_thread ? spawn_thread : NULL;
	assert_int_equal(filedev_file_create(&file, &d->dev), 0);
	assert_int_equal(mm_file_open(d->w.sys, d->dev, &d->file), 0);
	assert_int_equal(mm_map_file(d->w.mm, d->file, &args, &addr), 0);
}

/* What the calls that are to be made again come to, with a real disk below. */
#define UNTIL_DONE(d, err, call)                                  \
	do {                                                      \
		for (int tries = 0; tries < TRIES_MAX; tries++) { \
			(err) = (call);                           \
			if ((err) != -EAGAIN)                     \
				break;                            \
			world_step(&(d)->w);                      \
			usleep(10);                               \
		}                                                 \
	} while (0)

static void disk_close(struct disk *d)
{
	int err = 0;

	assert_int_equal(mm_unmap(d->w.mm, WORLD_BASE, PAGES * PAGE_SIZE), 0);
	UNTIL_DONE(d, err, mm_file_close(d->file));
	assert_int_equal(err, 0);
	d->dev->ops->close(d->dev);
	world_destroy(&d->w);
	close(d->fd);
}

static uint64_t record(struct disk *d, unsigned int i, uint64_t value, bool is_write)
{
	vaddr_t va = WORLD_BASE + i * 8ull;
	enum mm_fault_result result = MM_FAULT_RETRY;

	/* RETRY: the disk, or the thread that asks it, has not answered for long. */
	for (int tries = 0; tries < 100 && result == MM_FAULT_RETRY; tries++)
		result = is_write ? machine_soft_mm_store(d->w.mm, va, &value, 8)
				  : machine_soft_mm_load(d->w.mm, va, &value, 8);
	assert_in_range(result, 0, MM_FAULT_MAJOR);
	return value;
}

/* Each page's records turned round, and each page changed with its mirror. */
static void turn_round(struct disk *d)
{
	for (unsigned int i = 0; i < RECORDS / 2; i += 16) { /* every 16th is enough to see */
		uint64_t a = record(d, i, 0, false), b = record(d, RECORDS - 1 - i, 0, false);

		record(d, i, b, true);
		record(d, RECORDS - 1 - i, a, true);
	}
}

static void a_file_on_disk_is_changed_in_place(void **state)
{
	(void)state;
	for (unsigned int has_thread = 0; has_thread < 2; has_thread++) {
		static uint64_t before[RECORDS], after[RECORDS];
		uint64_t ticket = 0;
		struct disk d;
		int err = 0;

		disk_open(&d, has_thread);
		assert_int_equal(pread(d.fd, before, sizeof(before), 0), sizeof(before));
		turn_round(&d);
		world_check(&d.w);
		UNTIL_DONE(&d, err, mm_fsync(d.file, &ticket));
		assert_int_equal(err, 0);
		assert_int_equal(pread(d.fd, after, sizeof(after), 0), sizeof(after));
		for (unsigned int i = 0; i < RECORDS; i++) {
			unsigned int low = i < RECORDS / 2 ? i : RECORDS - 1 - i;
			unsigned int from = low % 16 ? i : RECORDS - 1 - i;

			assert_int_equal(after[i], before[from]);
		}
		UNTIL_DONE(&d, err, mm_truncate(d.file, 12345));
		assert_int_equal(err, 0);
		assert_int_equal(lseek(d.fd, 0, SEEK_END), 12345);
		world_check(&d.w);
		disk_close(&d);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_file_on_disk_is_changed_in_place),
};
TEST_MAIN(tests)
