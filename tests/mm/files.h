/* SPDX-License-Identifier: MIT */
/*
 * A world with files: a file in the slots of a RAM device, and two address spaces.
 */
#ifndef TESTS_MM_FILES_H
#define TESTS_MM_FILES_H

#include "filedev/slots.h"
#include "world.h"

#define FILES_MMS 2

struct files_config {
	struct world_config world;
	uint64_t nr_bytes;  /* of the file at first */
	uint64_t max_pages; /* that it may grow to */
	enum swapdev_mem_mode mode;
	const struct swapdev_fault_rule *rules; /* of the file's device */
	unsigned int nr_rules;
};

struct files {
	struct world w; /* w.mm is mms[0] */
	struct mm *mms[FILES_MMS];
	struct swapdev *store, *faulty; /* the file's content; what fails; NULL: nothing does */
	struct filedev *dev;
	struct address_space *file;
};

#define FILES_CONFIG_DEFAULT                                                                  \
	{                                                                                     \
		.world = WORLD_CONFIG_DEFAULT, .nr_bytes = 256 * PAGE_SIZE, .max_pages = 1024 \
	}

void files_create(struct files *f, const struct files_config *cfg);
void files_destroy(struct files *f);
/* Where the device has a page of the file. */
uint64_t *files_stored(struct files *f, uint64_t index);
/* What a fresh file has at an offset, a multiple of 8. */
uint64_t files_stamp(uint64_t offset);
void files_map(struct files *f, struct mm *mm, unsigned int page,
	       const struct mm_map_file_args *args);
enum mm_fault_result files_access(struct files *f, struct mm *mm, vaddr_t va, uint64_t *value,
				  bool is_write);
enum mm_fault_result files_load(struct files *f, struct mm *mm, vaddr_t va, uint64_t *value);
enum mm_fault_result files_store(struct files *f, struct mm *mm, vaddr_t va, uint64_t value);
int files_sync(struct files *f);
int files_truncate(struct files *f, uint64_t size);
int files_read(struct files *f, uint64_t offset, void *buf, uint64_t len);
int files_write(struct files *f, uint64_t offset, const void *buf, uint64_t len);

#endif
