/* SPDX-License-Identifier: MIT */
/*
 * Swap I/O that starts in a thread of the program.
 *
 * A device works with descriptors of the runtime's file table. In a thread of the program their
 * numbers mean nothing, or a file of the program. So what such a thread submits is queued here,
 * and a thread of the runtime submits it; what has ended it leaves to the runtime's threads.
 * They themselves go straight to the device. Neighbouring slots that such a thread wants to
 * read it reads by itself where it can (swap_read.c); what has ended so is kept for poll().
 *
 * A device that is being submitted to must not be copied by a fork, so that thread works inside
 * the gate. While a fork waits for I/O to end with the gate closed, the service thread does its
 * work.
 *
 * The queue has a bound; beyond it submit() takes fewer, as a device with a full queue does.
 * The manager asks again when I/O has ended, and if the queue is full there is some under way.
 */
#include "run/swap_defer.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/lock.h"
#include "run/futex.h"
#include "run/runtime.h"
#include "run/swap_read.h"
#include "run/thread.h"
#include "swapdev/common.h"
#include "swapdev/transfer.h"

#define QUEUE_MAX 256
#define BATCH_MAX 32
#define FULL_NS	  (RT_SECOND / 10000) /* until a device that was full is asked again */

static struct deferred {
	struct swapdev dev;
	struct swapdev *inner; /* (c) */
	struct mm_lock lock;
	struct swapdev_io queue[QUEUE_MAX]; /* lock: a ring */
	uint32_t head, nr;		    /* lock */
	struct swapdev_io done[QUEUE_MAX];  /* lock: read by threads of the program */
	uint32_t nr_done;		    /* lock; read without (a) */
} devices[RUN_AREAS_MAX];

static unsigned int nr_devices; /* (c) */
static uint32_t queued_seq;	/* (a) batches ever queued */

static struct deferred *deferred_of(struct swapdev *dev)
{
	return (struct deferred *)dev; /* dev is its first member */
}

static unsigned int queue_put(struct deferred *d, const struct swapdev_io *ios, unsigned int nr)
{
	mm_lock_acquire(&d->lock);
	nr = (unsigned int)min_u64(nr, QUEUE_MAX - d->nr);
	for (unsigned int i = 0; i < nr; i++)
		d->queue[(d->head + d->nr + i) % QUEUE_MAX] = ios[i];
	d->nr += nr;
	mm_lock_release(&d->lock);
	return nr;
}

static unsigned int queue_peek(struct deferred *d, struct swapdev_io *ret_ios, unsigned int max)
{
	unsigned int nr;

	mm_lock_acquire(&d->lock);
	nr = (unsigned int)min_u64(max, d->nr);
	for (unsigned int i = 0; i < nr; i++)
		ret_ios[i] = d->queue[(d->head + i) % QUEUE_MAX];
	mm_lock_release(&d->lock);
	return nr;
}

static void queue_drop(struct deferred *d, unsigned int nr)
{
	mm_lock_acquire(&d->lock);
	d->head = (d->head + nr) % QUEUE_MAX;
	d->nr -= nr;
	mm_lock_release(&d->lock);
}

static bool done_put(struct deferred *d, const struct swapdev_io *ios, unsigned int nr)
{
	bool has_room;

	mm_lock_acquire(&d->lock);
	has_room = nr <= QUEUE_MAX - d->nr_done;
	if (has_room) {
		memcpy(&d->done[d->nr_done], ios, nr * sizeof(*ios));
		__atomic_store_n(&d->nr_done, d->nr_done + nr, __ATOMIC_RELAXED);
	}
	mm_lock_release(&d->lock);
	return has_room;
}

static unsigned int done_take(struct deferred *d, struct swapdev_io *ret_done, unsigned int max)
{
	unsigned int nr;

	if (__atomic_load_n(&d->nr_done, __ATOMIC_RELAXED) == 0)
		return 0;
	mm_lock_acquire(&d->lock);
	nr = (unsigned int)min_u64(max, d->nr_done);
	memcpy(ret_done, &d->done[d->nr_done - nr], nr * sizeof(*ret_done));
	__atomic_store_n(&d->nr_done, d->nr_done - nr, __ATOMIC_RELAXED);
	mm_lock_release(&d->lock);
	return nr;
}

/* Return: true if all is read, and waits for poll(). */
static bool read_here(struct deferred *d, const struct swapdev_io *ios, unsigned int nr)
{
	struct swapdev_io done[TRANSFER_PAGES_MAX];

	if (nr > TRANSFER_PAGES_MAX)
		return false;
	for (unsigned int i = 0; i < nr; i++)
		if (ios[i].is_write || swapdev_io_refusal(&d->dev, &ios[i]))
			return false;
	return rt_swap_read((unsigned int)(d - devices), ios, nr, done) &&
	       done_put(d, done, nr);
}

static unsigned int defer_submit(struct swapdev *dev, const struct swapdev_io *ios,
				 unsigned int nr)
{
	struct deferred *d = deferred_of(dev);

	if (rt_thread_is_own())
		return d->inner->ops->submit(d->inner, ios, nr);
	if (read_here(d, ios, nr))
		return nr;
	nr = queue_put(d, ios, nr);
	__atomic_add_fetch(&queued_seq, 1, __ATOMIC_SEQ_CST);
	rt_futex_wake(&queued_seq, 1);
	return nr;
}

static unsigned int defer_poll(struct swapdev *dev, struct swapdev_io *ret_done,
			       unsigned int max)
{
	struct deferred *d = deferred_of(dev);
	unsigned int nr = done_take(d, ret_done, max);

	if (nr < max && rt_thread_is_own())
		nr += d->inner->ops->poll(d->inner, ret_done + nr, max - nr);
	return nr;
}

static bool defer_cluster_get(struct swapdev *dev, uint64_t cluster)
{
	struct swapdev *inner = deferred_of(dev)->inner;

	return !inner->ops->cluster_get || inner->ops->cluster_get(inner, cluster);
}

static void defer_cluster_put(struct swapdev *dev, uint64_t cluster)
{
	struct swapdev *inner = deferred_of(dev)->inner;

	if (inner->ops->cluster_put)
		inner->ops->cluster_put(inner, cluster);
}

static bool defer_cluster_is_exclusive(struct swapdev *dev, uint64_t cluster)
{
	struct swapdev *inner = deferred_of(dev)->inner;

	return !inner->ops->cluster_is_exclusive ||
	       inner->ops->cluster_is_exclusive(inner, cluster);
}

static void defer_close(struct swapdev *dev)
{
	struct swapdev *inner = deferred_of(dev)->inner;

	inner->ops->close(inner);
}

static const struct swapdev_ops defer_ops = {
	.name = "deferred",
	.submit = defer_submit,
	.poll = defer_poll,
	.cluster_get = defer_cluster_get,
	.cluster_put = defer_cluster_put,
	.cluster_is_exclusive = defer_cluster_is_exclusive,
	.close = defer_close,
};

/**
 * rt_swap_defer_create() - a device over another.
 * @ret_dev: lives as long as the process.
 *
 * Return: 0, or -ENOSPC.
 */
int rt_swap_defer_create(struct swapdev *inner, struct swapdev **ret_dev)
{
	struct deferred *d;

	if (nr_devices == RUN_AREAS_MAX)
		return -ENOSPC;
	d = &devices[nr_devices++];
	d->dev = *inner;
	d->dev.ops = &defer_ops;
	d->inner = inner;
	mm_lock_init(&d->lock, LOCK_RANK_SWAPDEV);
	*ret_dev = &d->dev;
	return 0;
}

/* Return: true if the device was full. */
static bool device_drain(struct deferred *d)
{
	struct swapdev_io ios[BATCH_MAX];
	unsigned int nr, taken;

	while ((nr = queue_peek(d, ios, BATCH_MAX)) > 0) {
		taken = d->inner->ops->submit(d->inner, ios, nr);
		queue_drop(d, taken);
		if (taken < nr)
			return true;
	}
	return false;
}

/**
 * rt_swap_defer_drain() - submit what is queued.
 *
 * Return: true if some is left: a device was full.
 * Context: a thread of the runtime inside the gate, or the one that has closed it.
 */
bool rt_swap_defer_drain(void)
{
	bool is_full = false;

	for (unsigned int i = 0; i < nr_devices; i++)
		is_full |= device_drain(&devices[i]);
	return is_full;
}

static void defer_main(void *arg)
{
	struct runtime *rt = arg;

	for (;;) {
		uint32_t seq = __atomic_load_n(&queued_seq, __ATOMIC_SEQ_CST);
		bool is_full;

		rt_gate_enter(&rt->gate);
		is_full = rt_swap_defer_drain();
		rt_gate_leave(&rt->gate);
		rt_futex_wait(&queued_seq, seq, is_full ? FULL_NS : RT_FOREVER);
	}
}

/**
 * rt_swap_defer_start() - start the thread that submits.
 *
 * Return: 0, or -errno of rt_thread_start().
 */
int rt_swap_defer_start(void)
{
	struct rt_thread_config cfg = {
		.name = "ration-swap", .fn = defer_main, .arg = &rt_runtime};

	return nr_devices > 0 ? rt_thread_start(&cfg) : 0;
}

/**
 * rt_swap_defer_forked() - in the child of a fork: no I/O was under way.
 */
void rt_swap_defer_forked(void)
{
	for (unsigned int i = 0; i < nr_devices; i++) {
		devices[i].head = devices[i].nr = devices[i].nr_done = 0;
		mm_lock_init(&devices[i].lock, LOCK_RANK_SWAPDEV);
	}
}
