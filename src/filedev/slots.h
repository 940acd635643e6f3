/* SPDX-License-Identifier: MIT */
/*
 * A file in the slots of a swap device, so that what the swap devices can do (RAM, a disk in
 * virtual time, one with bad days) files can do too (slots.c).
 */
#ifndef FILEDEV_SLOTS_H
#define FILEDEV_SLOTS_H

#include "mm/filedev.h"
#include "mm/swapdev.h"

struct filedev_slots_config {
	struct swapdev *store; /* ours alone, closed with the file; page n lies in slot n + 1 */
	uint64_t nr_bytes;     /* the file's size, at most what the store holds */
	bool has_content;      /* the store has the file's bytes; otherwise they are zero */
	const char *name;      /* outlives the device */
};

int filedev_slots_create(const struct filedev_slots_config *cfg, struct filedev **ret_dev);
uint64_t filedev_slots_size(struct filedev *dev);
/* Tests: the nth sync from here ends with err; 0: none. */
void filedev_slots_fail_sync(struct filedev *dev, unsigned int nth, int err);

#endif
