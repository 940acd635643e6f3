/* SPDX-License-Identifier: MIT */
/*
 * Files on a disk in virtual time (disk.c).
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "mm/filedev.h"
#include "swapdev/model.h"

struct address_space;

#define SIM_FILES_MAX	   255
#define SIM_FILE_BYTES_MAX ((uint64_t)64 << 30)

struct sim_disk {
	struct swapdev_model_params params;
	struct swapdev_model_channel channel; /* its files wait for each other */
	const uint64_t *clock_ns;
};

/* All NULL: none. */
struct sim_file {
	struct swapdev *store; /* dev's */
	struct filedev *dev;
	struct address_space *cached; /* the caller's */
};

int sim_file_create(struct sim_disk *disk, uint64_t nr_bytes, struct sim_file *ret_file);
void sim_file_destroy(struct sim_file *file);
uint64_t sim_file_next_ns(const struct sim_file *file);

#endif
