/* SPDX-License-Identifier: MIT */
/*
 * Swap in a file or on a block device: the launcher opens it (area.c), each process of the run
 * makes a device over it (file.c).
 */
#ifndef SWAPDEV_FILE_H
#define SWAPDEV_FILE_H

#include "mm/swapdev.h"
#include "swapdev/share.h"

struct swap_file_request {
	const char *path;	/* outlives the swap_file */
	uint64_t size_bytes;	/* as the user gave it; 0: not given */
	uint64_t default_bytes; /* for a missing path without a size; cut to what is free */
};

struct swap_file {
	const char *path;  /* (c) */
	uint64_t nr_slots; /* slot 0 is the header (c) */
	uint64_t dev, ino; /* what path was when it was opened (c) */
	int fd;		   /* holds the flock (c) */
	bool is_made;	   /* by us: removed at close (c) */
};

int swap_file_open(const struct swap_file_request *req, struct swap_file *ret_file, char *why,
		   size_t why_len);
void swap_file_close(struct swap_file *file);

struct swapdev_file_config {
	int fd;		   /* for reading and writing; the device's own from success on */
	uint64_t nr_slots; /* at most what the header says */
	const char *name;  /* outlives the device */
	struct swap_share *share;		     /* NULL: the device is ours alone */
	unsigned int owner;			     /* in share */
	bool no_uring;				     /* use the I/O thread */
	bool no_direct;				     /* go through the host's page cache */
	int (*spawn)(void (*fn)(void *), void *arg); /* starts the I/O thread; NULL: io_uring
							only. 0 or -errno */
};

int swapdev_file_create(const struct swapdev_file_config *cfg, struct swapdev **ret_dev);
int swapdev_file_event_fd(struct swapdev *dev);
int swapdev_file_reopen(struct swapdev *dev, int fd, unsigned int owner);
const char *swapdev_file_engine(struct swapdev *dev); /* "io_uring" or "thread" */
bool swapdev_file_is_direct(struct swapdev *dev);

#endif
