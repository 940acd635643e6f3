/* SPDX-License-Identifier: MIT */
/*
 * A swap device that moves nothing, to measure what the manager itself costs: a write is
 * forgotten, a read gives zeros, and both end in submit().
 */
#include <string.h>

#include "base/list.h"
#include "base/lock.h"
#include "swapdev/common.h"
#include "swapdev/mem.h"

#define QUEUE_MAX 256

/* Locks: d lock, (c) set at create. queue[0, nr) have ended and wait for poll(). */
struct null_dev {
	struct swapdev dev; /* (c) */
	struct mm_lock lock;
	unsigned int nr;		    /* d */
	struct swapdev_io queue[QUEUE_MAX]; /* d */
};

static struct null_dev *null_of(struct swapdev *dev)
{
	return container_of(dev, struct null_dev, dev);
}

static unsigned int null_submit(struct swapdev *dev, const struct swapdev_io *ios,
				unsigned int nr)
{
	struct null_dev *null = null_of(dev);
	unsigned int taken = 0;

	mm_lock_acquire(&null->lock);
	for (; taken < nr && null->nr < QUEUE_MAX; taken++) {
		struct swapdev_io *io = &null->queue[null->nr++];

		*io = ios[taken];
		io->err = swapdev_io_refusal(dev, io);
		if (io->err == 0 && !io->is_write)
			memset(io->page, 0, PAGE_SIZE);
	}
	mm_lock_release(&null->lock);
	return taken;
}

static unsigned int null_poll(struct swapdev *dev, struct swapdev_io *ret_done,
			      unsigned int max)
{
	struct null_dev *null = null_of(dev);
	unsigned int nr;

	mm_lock_acquire(&null->lock);
	nr = null->nr < max ? null->nr : max;
	memcpy(ret_done, null->queue, nr * sizeof(*ret_done));
	null->nr -= nr;
	memmove(null->queue, null->queue + nr, null->nr * sizeof(null->queue[0]));
	mm_lock_release(&null->lock);
	return nr;
}

static void null_close(struct swapdev *dev)
{
	state_unmap(null_of(dev), sizeof(struct null_dev));
}

static const struct swapdev_ops null_ops = {
	.name = "null",
	.submit = null_submit,
	.poll = null_poll,
	.close = null_close,
};

/**
 * swapdev_null_create() - a swap device that moves nothing.
 * @nr_slots: at least 2.
 * @ret_dev: the device.
 *
 * Return: 0, -EINVAL (no slot beside the header's), -ENOMEM.
 */
int swapdev_null_create(uint64_t nr_slots, struct swapdev **ret_dev)
{
	struct null_dev *null;
	void *mapped;
	int err;

	if (nr_slots < 2)
		return -EINVAL;
	err = state_map(sizeof(*null), &mapped);
	if (err)
		return err;
	null = mapped;
	null->dev = (struct swapdev){.ops = &null_ops, .nr_slots = nr_slots, .name = "null"};
	mm_lock_init(&null->lock, LOCK_RANK_SWAPDEV);
	*ret_dev = &null->dev;
	return 0;
}
