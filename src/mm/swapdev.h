/* SPDX-License-Identifier: MIT */
/*
 * A swap device moves pages between frames and slots. It knows nothing else: which slot is
 * used, by how many, and what is cached of it, is the manager's (mm/swap.c).
 *
 * Slots are pages of the device; slot 0 is its header and never moved. A write may end with
 * -ENOBUFS or -E2BIG: no room just now, for any page or for this; or with -ENOSPC or -EDQUOT:
 * the file system that holds the device is full. The slot is as good as before. I/O is
 * asynchronous: submit() starts it, poll() hands back what has ended, in any order. A device
 * that is synchronous ends everything in submit() and hands it back at the next poll().
 *
 * Several managers may share one device (the processes of one run). The device then hands out
 * clusters of SWAP_CLUSTER_SLOTS slots, so that no slot is ever used by two; after a fork both
 * parent and child hold the same clusters, may read them, and may write only those that are
 * theirs alone.
 *
 * A device may keep pages in RAM. That RAM is the manager's: it comes from set_frames(), frame
 * by frame, and goes back when slot_free() says that a slot is not wanted any more.
 *
 * Context: slot_free and the cluster ops with mm_system.lock held, or not, set_frames, submit
 * and poll without, the others either way; the device has a lock of its own
 * (LOCK_RANK_SWAPDEV). An op does not block for I/O, and calls nothing of the manager but
 * swapdev_frames.
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

/*
 * The manager's RAM, for a device that keeps pages in it. Blocks are 1 << order neighbouring
 * frames. alloc() serves reclaim, so it goes down to the last frame; it answers -ENOMEM where
 * there is none, and the device must do without.
 *
 * Context: mm_system.lock not held, nor the device's own.
 */
struct swapdev_frames {
	char *ram; /* where frame 0 lies */
	uint64_t nr_frames;
	int (*alloc)(void *arg, unsigned int order, void **ret_block);
	void (*free)(void *arg, unsigned int order, void *block);
	void *arg;
};

#define SWAPDEV_FREED_MAX 4 /* frames that one slot_free() gives back */

/* What a device that keeps pages in RAM has in it, and did. Pages unless said. */
struct swapdev_stats {
	uint64_t nr_frames;	    /* of the manager's RAM that the device holds */
	uint64_t nr_stored;	    /* pages in it, same-filled ones too */
	uint64_t nr_same;	    /* of these, same-filled */
	uint64_t stored_bytes;	    /* compressed */
	uint64_t nr_out, nr_in;	    /* stored and read back, ever */
	uint64_t nr_incompressible; /* not taken: too large when compressed */
	uint64_t nr_refused;	    /* not taken: no room */
	uint64_t nr_written_back;   /* moved on to the device behind */
	uint64_t nr_moved;	    /* objects that compaction moved */
	uint64_t nr_corrupt;	    /* not read back: the checksum was wrong */
	uint64_t nr_frames_limit;   /* of RAM that it may hold just now */
	uint64_t nr_lost;	    /* reads that its frames as RAM would have spared */
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

	/*
	 * The seven below are NULL where a device keeps nothing in RAM. set_frames() is called
	 * once, before any I/O; 0 or -errno. slot_free(): nobody will read this slot again; no
	 * I/O on it is in flight. Return: how many frames were put in ret_frames, to be freed.
	 */
	int (*set_frames)(struct swapdev *dev, const struct swapdev_frames *frames);
	unsigned int (*slot_free)(struct swapdev *dev, uint64_t slot,
				  void *ret_frames[SWAPDEV_FREED_MAX]);
	/* I/O that the device does for itself is in flight; poll() takes it in. */
	bool (*is_busy)(struct swapdev *dev);
	/* The RAM that it may have is nearly used up: a copy of what is in a frame anyway, and
	 * may be had again, is worth less than its room. */
	bool (*is_tight)(struct swapdev *dev);
	/*
	 * A page is about to be read that left so many evictions ago: with so many frames more
	 * it would still be in RAM.
	 */
	void (*refault)(struct swapdev *dev, uint64_t slot, uint64_t distance);
	/*
	 * Nothing else can be reclaimed: as much as can be is to go elsewhere. Called without
	 * mm_system.lock. Return: false: nothing is on its way.
	 */
	bool (*squeeze)(struct swapdev *dev);
	/* Added to what is in ret_stats. */
	void (*stats)(struct swapdev *dev, struct swapdev_stats *ret_stats);

	void (*close)(struct swapdev *dev);
};

struct swapdev {
	const struct swapdev_ops *ops;
	uint64_t nr_slots; /* slots [1, nr_slots) hold pages (c) */
	const char *name;  /* for messages: the path (c) */

	/* Most I/O ends in submit(): whoever submits shall poll at once (c). */
	bool is_synchronous;
	/* Its content is copied by fork(2): parent and child have each their own (c). */
	bool is_private;

	/*
	 * Slots that its maker found broken (mkswap -c), ascending. A manager may leave them
	 * out from the start; one that does not look is right too: their I/O ends with -EIO.
	 */
	const uint32_t *bad_slots; /* (c) */
	unsigned int nr_bad_slots; /* (c) */
};

#endif
