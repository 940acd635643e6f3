/* SPDX-License-Identifier: MIT */
/*
 * A file of the host's file system (file.c).
 */
#ifndef FILEDEV_FILE_H
#define FILEDEV_FILE_H

#include "mm/filedev.h"

struct filedev_file_config {
	int fd; /* for reading, and for writing if anything is to be; the device's own from
		   success on */
	const char *name; /* outlives the device */
	/* Starts the I/O thread: 0 or -errno. NULL: the I/O is done in submit(), which waits.
	 */
	int (*spawn)(void (*fn)(void *), void *arg);
};

int filedev_file_create(const struct filedev_file_config *cfg, struct filedev **ret_dev);
int filedev_file_event_fd(struct filedev *dev);

#endif
