/* SPDX-License-Identifier: MIT */
/*
 * Swap in compressed memory: Linux's zram where it stands alone, its zswap where it stands in
 * front of a swap file.
 *
 *   manager ── slot n of area 0 ─► front 0 ─┐                     ┌─► swap file of area 0
 *           ── slot n of area 1 ─► front 1 ─┼─► tier: table, store ─► swap file of area 1
 *           ── slot n of area 2 ─► alone   ─┘                     (none)
 *
 * A front has the slots of the device behind it, with the same numbers. A slot's content is
 * either in the tier or behind, and the table says where (zram_table.c); what is neither was
 * never written. So nothing is looked up twice, and a slot that is free takes room nowhere.
 *
 *   zram_io.c         reads and writes      zram_table.c   slots, LRU lists
 *   zram_writeback.c  to the device behind  zram_frames.c  the manager's RAM
 *   zcodec.c          pages to bytes        zstore.c       objects into frames
 *   zram_share.c      how much of its share it takes
 *
 * Same-filled pages are kept as their word, in the table. What does not compress to 3/4 of a
 * page goes behind, and stays in RAM where there is nothing behind (-E2BIG).
 *
 * All that the tier has in memory lies in frames of the manager (set_frames()), at most
 * frames_max of them: objects, tables (16 bytes a slot, a frame for a cluster that has
 * something in it), compression state, pages on their way behind. Only this struct, its fronts
 * and 16 bytes for each MiB of swap are outside. A page that is evicted frees its frame when it
 * is stored; storing it takes at most three (zstore.c), nearly always one or none, which come
 * from spare frames, then from below the manager's watermarks. Where there is none the page
 * goes behind, or stays and is tried again; nobody waits for a frame, so nothing can lock up.
 *
 * A fork copies all this with the manager's memory. Both sides read what they had; slots that
 * both name are sealed by the manager, and so never written anew by one while the other has
 * them.
 *
 * Invariants, walked by zram_check():
 *  1. The store's own (zstore.c).
 *  2. Each object is the slot's whose key it has, and is on its front's LRU list or is_writing.
 *  3. A cluster has a frame of slots exactly while one is used; sums agree.
 *  4. nr_frames is all that was taken and not given back, and at most frames_max.
 */
#include "swapdev/zram_internal.h"

#include <errno.h>

#include "base/assert.h"
#include "base/checked.h"
#include "base/list.h"
#include "swapdev/common.h"

#define TIGHT_PART  2  /* tight: half of the frames are used */
#define WRITES_PART 64 /* pages on their way behind: at most 1/64 of the frames */

static struct zram_front *front_of(struct swapdev *dev)
{
	return container_of(dev, struct zram_front, dev);
}

static void write_pages_get(struct zram_front *front)
{
	struct zram *z = front->zram;
	uint64_t max = min_u64(ZRAM_WRITES_MAX, z->frames_max / WRITES_PART);

	while (front->nr_write_pages < max &&
	       zram_block_take(z, 0, &front->write_pages[front->nr_write_pages]) == 0)
		front->nr_write_pages++;
}

/* Before any I/O, by mm_swapon(), which calls without its lock. */
static int zram_set_frames(struct swapdev *dev, const struct swapdev_frames *frames)
{
	struct zram_front *front = front_of(dev);
	struct zram *z = front->zram;

	if (frames->nr_frames > ZSTORE_FRAMES_MAX)
		return -EFBIG;
	if (!z->frames.ram) {
		z->frames = *frames;
		zstore_init(&z->store, frames->ram, z->frames_max, zram_moved, z);
	}
	if (front->behind)
		write_pages_get(front);
	return 0;
}

static unsigned int zram_slot_free(struct swapdev *dev, uint64_t slot,
				   void *ret_frames[SWAPDEV_FREED_MAX])
{
	struct zram_front *front = front_of(dev);
	unsigned int nr;

	mm_lock_acquire(&front->zram->lock);
	zram_drop(front, front_key(front, slot));
	nr = zram_spare_take(front->zram, ret_frames, SWAPDEV_FREED_MAX);
	mm_lock_release(&front->zram->lock);
	return nr;
}

static bool zram_is_busy(struct swapdev *dev)
{
	struct zram_front *front = front_of(dev);
	bool is_busy;

	mm_lock_acquire(&front->zram->lock);
	is_busy = front->nr_writes > 0;
	mm_lock_release(&front->zram->lock);
	return is_busy;
}

/* A momentary look: nothing depends on it but what is worth keeping. */
static bool zram_is_tight(struct swapdev *dev)
{
	const struct zram *z = front_of(dev)->zram;
	uint64_t nr_frames = __atomic_load_n(&z->nr_frames, __ATOMIC_RELAXED);
	uint64_t limit = __atomic_load_n(&z->frames_limit, __ATOMIC_RELAXED);

	return nr_frames > limit - limit / TIGHT_PART;
}

/* The first front speaks for all. */
static void zram_stats(struct swapdev *dev, struct swapdev_stats *ret_stats)
{
	struct zram_front *front = front_of(dev);
	struct zram *z = front->zram;

	if (z->fronts[0] != front)
		return;
	mm_lock_acquire(&z->lock);
	ret_stats->nr_frames += z->nr_frames;
	ret_stats->nr_stored += z->stats.nr_stored;
	ret_stats->nr_same += z->stats.nr_same;
	ret_stats->stored_bytes += z->store.nr_bytes;
	ret_stats->nr_out += z->stats.nr_out;
	ret_stats->nr_in += z->stats.nr_in;
	ret_stats->nr_incompressible += z->stats.nr_incompressible;
	ret_stats->nr_refused += z->stats.nr_refused;
	ret_stats->nr_written_back += z->stats.nr_written_back;
	ret_stats->nr_moved += z->store.nr_moved;
	ret_stats->nr_corrupt += z->stats.nr_corrupt;
	ret_stats->nr_frames_limit += z->frames_limit;
	ret_stats->nr_lost += z->stats.nr_lost;
	mm_lock_release(&z->lock);
}

static void zram_close(struct swapdev *dev)
{
	struct zram_front *front = front_of(dev);

	if (front->behind)
		front->behind->ops->close(front->behind);
	state_unmap(front, sizeof(*front));
}

#define ZRAM_OPS                                                                             \
	.name = "zram", .submit = zram_submit, .poll = zram_poll,                            \
	.set_frames = zram_set_frames, .slot_free = zram_slot_free, .is_busy = zram_is_busy, \
	.is_tight = zram_is_tight, .refault = zram_refault, .squeeze = zram_squeeze,         \
	.stats = zram_stats, .close = zram_close

static const struct swapdev_ops zram_ops = {ZRAM_OPS};

static const struct swapdev_ops zram_shared_ops = {
	ZRAM_OPS,
	.cluster_get = zram_cluster_get,
	.cluster_put = zram_cluster_put,
	.cluster_is_exclusive = zram_cluster_is_exclusive,
};

/**
 * zram_create() - a tier without a front.
 * @cfg: see zram.h.
 *
 * Return: 0; -EINVAL: nr_slots_max cannot be numbered; -ENOMEM.
 */
int zram_create(const struct zram_config *cfg, struct zram **ret_zram)
{
	uint64_t nr_clusters = cfg->nr_slots_max / SWAP_CLUSTER_SLOTS + ZRAM_FRONTS_MAX;
	struct zram *z;
	void *mapped;
	int err;

	if (nr_clusters >= UINT32_MAX / SWAP_CLUSTER_SLOTS || cfg->codec >= NR_ZCODECS)
		return -EINVAL;
	err = state_map(sizeof(*z) + nr_clusters * sizeof(struct zcluster), &mapped);
	if (err)
		return err;
	z = mapped;
	mm_lock_init(&z->lock, LOCK_RANK_SWAPDEV);
	z->codec = cfg->codec;
	z->frames_max = z->frames_limit = cfg->frames_max;
	z->frames_first = cfg->frames_first ? min_u64(cfg->frames_first, cfg->frames_max)
					    : cfg->frames_max;
	z->clusters = (struct zcluster *)(z + 1);
	z->nr_clusters = nr_clusters;
	*ret_zram = z;
	return 0;
}

static int front_create(struct zram *z, const struct swapdev *like, struct swapdev *behind,
			struct swapdev **ret_dev)
{
	uint64_t nr_clusters = (like->nr_slots + SWAP_CLUSTER_SLOTS - 1) / SWAP_CLUSTER_SLOTS;
	struct zram_front *front;
	void *mapped;
	int err;

	if (z->nr_fronts == ZRAM_FRONTS_MAX || z->nr_given + nr_clusters > z->nr_clusters)
		return -ENOSPC;
	err = state_map(sizeof(*front), &mapped);
	if (err)
		return err;
	front = mapped;
	front->dev = *like;
	front->dev.ops = behind && behind->ops->cluster_get ? &zram_shared_ops : &zram_ops;
	front->dev.is_synchronous = true;
	front->dev.is_private = !behind;
	front->zram = z;
	front->behind = behind;
	front->base = (uint32_t)(z->nr_given * SWAP_CLUSTER_SLOTS);
	for (uint32_t i = 0; i < ZRAM_PASSED_MAX; i++)
		front->passed[i].slot = i + 1;
	z->nr_given += nr_clusters;
	z->fronts[z->nr_fronts++] = front;
	if (behind && !z->has_behind) {
		z->has_behind = true;
		z->frames_limit = z->frames_first;
	}
	*ret_dev = &front->dev;
	return 0;
}

/**
 * zram_front_create() - put the tier in front of a device.
 * @behind: the front's from success on, which closes it at its own close.
 *
 * Return: 0; -ENOSPC: more fronts or slots than the tier was made for; -ENOMEM.
 * Context: before any I/O on the tier.
 */
int zram_front_create(struct zram *zram, struct swapdev *behind, struct swapdev **ret_dev)
{
	return front_create(zram, behind, behind, ret_dev);
}

/**
 * zram_alone_create() - a swap area that is in the tier alone.
 * @nr_slots: the header's, which does not exist, included.
 *
 * Return: as zram_front_create(); -EINVAL: no slot beside the header's.
 */
int zram_alone_create(struct zram *zram, uint64_t nr_slots, struct swapdev **ret_dev)
{
	const struct swapdev like = {.nr_slots = nr_slots, .name = "zram"};

	return nr_slots < 2 ? -EINVAL : front_create(zram, &like, NULL, ret_dev);
}

/**
 * zram_after_fork() - in the child: what other threads of the parent held is free.
 *
 * Context: no I/O was in flight at the fork, nor is_busy(); the devices behind are open again.
 */
void zram_after_fork(struct zram *zram)
{
	mm_lock_init(&zram->lock, LOCK_RANK_SWAPDEV);
	for (unsigned int i = 0; i < ZRAM_STATES_MAX; i++)
		zram_state_release(&zram->states[i]);
}

/**
 * zram_destroy() - the end of the tier, after that of its fronts.
 *
 * Its frames are the manager's, which goes as a whole.
 */
void zram_destroy(struct zram *zram)
{
	state_unmap(zram, sizeof(*zram) + zram->nr_clusters * sizeof(struct zcluster));
}

/**
 * zram_check() - walk invariants 1 to 4.
 * Return: 0 or -EUCLEAN. Context: takes zram->lock.
 */
int zram_check(struct zram *zram)
{
	int err;

	mm_lock_acquire(&zram->lock);
	err = zram->frames.ram ? zstore_check(&zram->store) : 0;
	if (!err)
		err = zram_table_check(zram);
	if (!err && zram->nr_frames > zram->frames_max)
		err = -EUCLEAN;
	mm_lock_release(&zram->lock);
	return err;
}
