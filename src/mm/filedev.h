/* SPDX-License-Identifier: MIT */
/*
 * A file device moves pages between frames and one file's content. What of the file is in RAM,
 * who maps it and what is dirty is the manager's (mm/filemap.c).
 *
 * I/O is asynchronous: submit() starts it, poll() hands back what has ended, in any order. A
 * device that is synchronous ends everything in submit() and hands it back at the next poll().
 *
 * The manager never has two I/Os on one page in flight, and none on a page that a truncation
 * takes away.
 *
 * Context: without mm_system.lock; the device has a lock of its own (LOCK_RANK_SWAPDEV). An op
 * neither blocks for I/O nor calls the manager.
 */
#ifndef MM_FILEDEV_H
#define MM_FILEDEV_H

#include "ration/types.h"

enum filedev_op {
	FILEDEV_READ,  /* a whole page; what the file does not have of it is zero */
	FILEDEV_WRITE, /* bytes from the page's start: less than a page only at the file's end
			*/
	FILEDEV_SYNC,  /* ends when all writes that ended before it are on stable storage */
	FILEDEV_TRUNCATE, /* the file gets a new size; what is added to it is zero */
};

struct filedev;

struct filedev_io {
	enum filedev_op op;
	uint32_t bytes;	 /* WRITE: 1..PAGE_SIZE */
	uint64_t offset; /* READ, WRITE: bytes, a multiple of PAGE_SIZE. TRUNCATE: the size */
	void *page;	 /* READ, WRITE: page aligned, untouched by others until the end */
	uint64_t cookie; /* the caller's */
	int err;	 /* out: 0 or -errno; a short transfer is -EIO */
};

struct filedev_ops {
	const char *name;

	/*
	 * Starts ios[0..nr) and copies what it needs of them. Neighbouring pages in ascending
	 * order are one transfer where the device can. Return: how many were taken, from the
	 * front; fewer than nr when its queue is full. One that could not be started is taken,
	 * and ends with its error.
	 */
	unsigned int (*submit)(struct filedev *dev, const struct filedev_io *ios,
			       unsigned int nr);

	/* Return: how many ended I/Os were put in ret_done, at most max. */
	unsigned int (*poll)(struct filedev *dev, struct filedev_io *ret_done,
			     unsigned int max);

	void (*close)(struct filedev *dev); /* no I/O is in flight */
};

struct filedev {
	const struct filedev_ops *ops;
	uint64_t nr_bytes; /* the file's size when it was opened (c) */
	const char *name;  /* for messages: the path (c) */
};

#endif
