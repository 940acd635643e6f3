/* SPDX-License-Identifier: MIT */
/*
 * Swap devices of all kinds for tests, each in a directory of its own, and what tests do with
 * them over and over.
 */
#ifndef TESTS_SWAPDEV_DEVICES_H
#define TESTS_SWAPDEV_DEVICES_H

#include "swapdev/faulty.h"
#include "swapdev/file.h"
#include "swapdev/mem.h"

#define WAIT_SECONDS_MAX 20 /* a device that is silent for so long has lost an I/O */

struct device_kind {
	const char *name;
	bool forgets; /* reads give no content back */
	int (*open)(const struct device_kind *kind, struct swapdev **ret_dev);
	bool is_shared, no_uring, no_direct, is_alone;
	enum swapdev_mem_mode mode;
};

struct test_device {
	const struct device_kind *kind;
	struct swapdev *dev;
	int event_fd; /* -1: has none */
};

extern const struct device_kind device_kinds[];
extern const size_t nr_device_kinds;

#define TEST_SLOTS 2048 /* of the devices that the kinds open */

/* Directories and files. */
char *scratch_dir_make(void); /* to be freed and removed by scratch_dir_remove() */
void scratch_dir_remove(char *dir);
void make_swap_file(const char *dir, const char *name, uint64_t bytes, char *ret_path);

/* A file device over a swap file in a directory; both go when the device is closed. */
int open_file_device(const struct swapdev_file_config *how, uint64_t nr_slots,
		     struct swapdev **ret_dev);

/* Pages. */
void *pages_make(unsigned int nr);
void pages_free(void *pages, unsigned int nr);
void *page_at(void *pages, unsigned int i);
void page_fill(void *page, uint64_t slot, uint64_t generation);
bool page_holds(const void *page, uint64_t slot, uint64_t generation);

/* I/O. */
void submit_all(struct test_device *t, const struct swapdev_io *ios, unsigned int nr);
void wait_for(struct test_device *t, struct swapdev_io *ret_done, unsigned int nr);
int write_page(struct test_device *t, uint64_t slot, uint64_t generation);
int read_page(struct test_device *t, uint64_t slot, void *page);

#endif
