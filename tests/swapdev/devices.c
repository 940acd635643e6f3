/* SPDX-License-Identifier: MIT */
#include "swapdev/devices.h"

#include "support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/spawn.h"
#include "swapdev/frames.h"
#include "swapdev/zram.h"

#define SHARE_CLUSTERS ((TEST_SLOTS + SWAP_CLUSTER_SLOTS - 1) / SWAP_CLUSTER_SLOTS)

static uint64_t share_memory[1 + SHARE_CLUSTERS];

static struct swap_share *fresh_share(void)
{
	struct swap_share *share = (struct swap_share *)share_memory;

	memset(share_memory, 0, sizeof(share_memory));
	swap_share_init(share, SHARE_CLUSTERS);
	return share;
}

static int open_mem(const struct device_kind *kind, struct swapdev **ret_dev)
{
	struct swapdev_mem_config cfg = {
		.nr_slots = TEST_SLOTS,
		.mode = kind->mode,
		.seed = test_seed(),
		.share = kind->is_shared ? fresh_share() : NULL,
	};

	return swapdev_mem_create(&cfg, ret_dev);
}

static int open_null(const struct device_kind *kind, struct swapdev **ret_dev)
{
	(void)kind;
	return swapdev_null_create(TEST_SLOTS, ret_dev);
}

static int open_file(const struct device_kind *kind, struct swapdev **ret_dev)
{
	struct swapdev_file_config how = {
		.share = kind->is_shared ? fresh_share() : NULL,
		.no_uring = kind->no_uring,
		.no_direct = kind->no_direct,
	};

	return open_file_device(&how, TEST_SLOTS, ret_dev);
}

static int open_faulty(const struct device_kind *kind, struct swapdev **ret_dev)
{
	static const struct swapdev_fault_rule delays[] = {
		{.fault = SWAPDEV_FAULT_DELAY, .delay_polls = 3, .per_mille = 300},
		{.fault = SWAPDEV_FAULT_DELAY,
		 .is_write = true,
		 .delay_polls = 5,
		 .nth = 2,
		 .every = 4},
	};
	struct swapdev_faulty_config cfg = {
		.rules = delays, .nr_rules = 2, .seed = test_seed()};
	int err = open_mem(kind, &cfg.inner);

	return err ? err : swapdev_faulty_create(&cfg, ret_dev);
}

static struct test_frames *zram_frames;
static struct zram *zram_tier;
static struct swapdev_ops zram_test_ops;
static void (*zram_real_close)(struct swapdev *dev);

static void close_zram(struct swapdev *dev)
{
	zram_real_close(dev);
	zram_destroy(zram_tier);
	frames_destroy(zram_frames);
}

/* In front of the kind's RAM device, or alone; closing it takes tier and frames along. */
static int open_zram(const struct device_kind *kind, struct swapdev **ret_dev)
{
	struct zram_config cfg = {.frames_max = kind->is_alone ? 2500 : 400,
				  .nr_slots_max = TEST_SLOTS};
	struct swapdev_frames frames;
	struct swapdev *behind = NULL;
	int err = zram_create(&cfg, &zram_tier);

	if (!err && !kind->is_alone)
		err = open_mem(kind, &behind);
	if (!err)
		err = behind ? zram_front_create(zram_tier, behind, ret_dev)
			     : zram_alone_create(zram_tier, TEST_SLOTS, ret_dev);
	if (err)
		return err;
	zram_frames = frames_make(3000, &frames);
	zram_test_ops = *(*ret_dev)->ops;
	zram_real_close = zram_test_ops.close;
	zram_test_ops.close = close_zram;
	(*ret_dev)->ops = &zram_test_ops;
	return (*ret_dev)->ops->set_frames(*ret_dev, &frames);
}

const struct device_kind device_kinds[] = {
	{.name = "zram", .open = open_zram},
	{.name = "zram, random order", .open = open_zram, .mode = SWAPDEV_MEM_RANDOM},
	{.name = "zram, shared", .open = open_zram, .is_shared = true},
	{.name = "zram, alone", .open = open_zram, .is_alone = true},
	{.name = "mem", .open = open_mem},
	{.name = "mem, random order", .open = open_mem, .mode = SWAPDEV_MEM_RANDOM},
	{.name = "mem, shared", .open = open_mem, .is_shared = true},
	{.name = "null", .open = open_null, .forgets = true},
	{.name = "faulty, delays", .open = open_faulty, .mode = SWAPDEV_MEM_RANDOM},
	{.name = "faulty, shared", .open = open_faulty, .is_shared = true},
	{.name = "io_uring, direct", .open = open_file, .is_shared = true},
	{.name = "io_uring, buffered", .open = open_file, .no_direct = true},
	{.name = "thread, direct", .open = open_file, .no_uring = true},
	{.name = "thread, buffered",
	 .open = open_file,
	 .is_shared = true,
	 .no_uring = true,
	 .no_direct = true},
};
const size_t nr_device_kinds = sizeof(device_kinds) / sizeof(device_kinds[0]);

char *scratch_dir_make(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = malloc(PATH_MAX);

	assert_non_null(dir);
	snprintf(dir, PATH_MAX, "%s/ration-swapdev-XXXXXX", base && *base ? base : "/tmp");
	assert_non_null(mkdtemp(dir));
	return dir;
}

void scratch_dir_remove(char *dir)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;

	while (entries && (entry = readdir(entries))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(entries), entry->d_name, 0) != 0)
			unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
	}
	if (entries)
		closedir(entries);
	assert_return_code(rmdir(dir), errno);
	free(dir);
}

void make_swap_file(const char *dir, const char *name, uint64_t bytes, char *ret_path)
{
	struct swap_file_request req = {.path = ret_path, .size_bytes = bytes};
	struct swap_file file;
	char why[1024];

	snprintf(ret_path, PATH_MAX, "%s/%s", dir, name);
	if (swap_file_open(&req, &file, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	file.is_made = false; /* stays */
	swap_file_close(&file);
}

int open_file_device(const struct swapdev_file_config *how, uint64_t nr_slots,
		     struct swapdev **ret_dev)
{
	struct swapdev_file_config cfg = *how;
	char *dir = scratch_dir_make();
	char path[PATH_MAX];
	int err;

	make_swap_file(dir, "swap", nr_slots * PAGE_SIZE, path);
	cfg.fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(cfg.fd >= 0);
	scratch_dir_remove(dir); /* the descriptor keeps the file */
	cfg.nr_slots = nr_slots;
	cfg.name = "swap";
	cfg.spawn = spawn_thread;
	err = swapdev_file_create(&cfg, ret_dev);
	if (err)
		close(cfg.fd);
	return err;
}

void *pages_make(unsigned int nr)
{
	void *pages = mmap(NULL, nr * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	return pages;
}

void pages_free(void *pages, unsigned int nr)
{
	munmap(pages, nr * PAGE_SIZE);
}

void *page_at(void *pages, unsigned int i)
{
	return (char *)pages + i * PAGE_SIZE;
}

static uint64_t word_of(uint64_t slot, uint64_t generation, unsigned int i)
{
	return (slot * 0x9e3779b97f4a7c15u) ^ (generation * 0xbf58476d1ce4e5b9u) ^ i;
}

void page_fill(void *page, uint64_t slot, uint64_t generation)
{
	uint64_t *words = page;

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		words[i] = word_of(slot, generation, i);
}

bool page_holds(const void *page, uint64_t slot, uint64_t generation)
{
	const uint64_t *words = page;

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		if (words[i] != word_of(slot, generation, i))
			return false;
	return true;
}

static bool time_is_up(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec > WAIT_SECONDS_MAX;
}

/* Until the device says that there may be something; one without a descriptor is asked again.
 */
static void sleep_on(const struct test_device *t)
{
	struct pollfd fd = {.fd = t->event_fd, .events = POLLIN};

	if (t->event_fd >= 0)
		assert_int_equal(poll(&fd, 1, WAIT_SECONDS_MAX * 1000), 1);
}

void wait_for(struct test_device *t, struct swapdev_io *ret_done, unsigned int nr)
{
	struct timespec start;
	unsigned int done = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (done < nr) {
		unsigned int n = t->dev->ops->poll(t->dev, ret_done + done, nr - done);

		assert_in_range(n, 0, nr - done);
		done += n;
		if (n == 0 && done < nr)
			sleep_on(t);
		if (time_is_up(&start))
			fail_msg("%u of %u I/Os never ended", nr - done, nr);
	}
}

void submit_all(struct test_device *t, const struct swapdev_io *ios, unsigned int nr)
{
	assert_int_equal(t->dev->ops->submit(t->dev, ios, nr), nr);
}

static int move_page(struct test_device *t, uint64_t slot, void *page, bool is_write)
{
	struct swapdev_io io = {.slot = slot, .page = page, .is_write = is_write}, done;

	submit_all(t, &io, 1);
	wait_for(t, &done, 1);
	assert_int_equal(done.slot, slot);
	return done.err;
}

int write_page(struct test_device *t, uint64_t slot, uint64_t generation)
{
	void *page = pages_make(1);
	int err;

	page_fill(page, slot, generation);
	err = move_page(t, slot, page, true);
	pages_free(page, 1);
	return err;
}

int read_page(struct test_device *t, uint64_t slot, void *page)
{
	return move_page(t, slot, page, false);
}
