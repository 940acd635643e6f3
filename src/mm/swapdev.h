/* SPDX-License-Identifier: MIT */
/*
 * A swap device moves pages between frames and slots. It knows nothing else: which slot is
 * used, by how many, and what is cached of it, is the manager's (mm/swap.c).
 *
 * Slots are pages of the device; slot 0 is its header and never moved. I/O is asynchronous:
 * submit() starts it, poll() hands back what has ended, in any order. A device that is
 * synchronous ends everything in submit() and hands it back at the next poll().
 *
 * Several managers may share one device (the processes of one run). The device then hands out
 * clusters of SWAP_CLUSTER_SLOTS slots, so that no slot is ever used by two; after a fork both
 * parent and child hold the same clusters, may read them, and may write only those that are
 * theirs alone.
 *
 * Context: submit and poll without mm_system.lock, the cluster ops with it held; the device has
 * a lock of its own (LOCK_RANK_SWAPDEV). An op neither blocks for I/O nor calls the manager.
 */
#ifndef MM_SWAPDEV_H
#define MM_SWAPDEV_H

#include "ration/types.h"

#define SWAP_CLUSTER_SLOTS 256 /* 1 MiB: Linux's SWAPFILE_CLUSTER */

struct swapdev;

struct swapdev_io {
	uint64_t slot;
	void *page;	 /* PAGE_SIZE bytes, page aligned, untouched by others until the end */
	uint64_t cookie; /* the caller's */
	bool is_write;
	int err; /* out: 0 or -errno; a short transfer is -EIO */
};

struct swapdev_ops {
	const char *name;

	/*
	 * Starts ios[0..nr) and copies what it needs of them. Neighbouring slots in ascending
	 * order are one transfer where the device can. Return: how many were taken, from the
	 * front; fewer than nr when its queue is full. One that could not be started is taken,
	 * and ends with its error.
	 */
	unsigned int (*submit)(struct swapdev *dev, const struct swapdev_io *ios,
			       unsigned int nr);

	/* Return: how many ended I/Os were put in ret_done, at most max. */
	unsigned int (*poll)(struct swapdev *dev, struct swapdev_io *ret_done,
			     unsigned int max);

	/* The three below may be NULL: the device is the manager's alone. */
	bool (*cluster_get)(struct swapdev *dev, uint64_t cluster); /* false: not to be had */
	void (*cluster_put)(struct swapdev *dev, uint64_t cluster);
	bool (*cluster_is_exclusive)(struct swapdev *dev, uint64_t cluster);

	void (*close)(struct swapdev *dev);
};

struct swapdev {
	const struct swapdev_ops *ops;
	uint64_t nr_slots; /* slots [1, nr_slots) hold pages (c) */
	const char *name;  /* for messages: the path (c) */

	/*
	 * Slots that its maker found broken (mkswap -c), ascending. A manager may leave them
	 * out from the start; one that does not look is right too: their I/O ends with -EIO.
	 */
	const uint32_t *bad_slots; /* (c) */
	unsigned int nr_bad_slots; /* (c) */
};

#endif
