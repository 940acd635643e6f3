/* SPDX-License-Identifier: MIT */
/*
 * Objects move on to the device behind.
 *
 * When the tier has nearly all the frames that it may have, the objects that were stored first
 * go to their slots of the device behind: in batches, ordered by slot, for pages that were
 * evicted together lie side by side there. One batch is on its way at a time. Until it has
 * arrived its objects stay, and are read here. New pages go on being stored, in what is left
 * until the limit; where the device behind is slower than that, they go to it directly.
 *
 * A slot that is freed while its content is on its way is not free for the device behind until
 * that has arrived: a cluster is given back then (zcluster.is_put), and a page that must go
 * behind waits (-EAGAIN). So an old write can never come after a new one, of this process or
 * another.
 *
 * After a fork both sides have the same objects in clusters that neither may use for others
 * (mm/swap.c); if both write one back, they write the same bytes to the same slot.
 */
#include "swapdev/zram_internal.h"

#include <errno.h>

#include "base/list.h"
#include "swapdev/common.h"

#define ROOM_PART	  16 /* write-back begins when less than 1/16 of the frames is left */
#define PAUSE_AFTER_ERROR 64 /* batches of writes to the tier */
#define LOOKED_AT_MAX	  (4 * ZRAM_WRITES_MAX)

/* Context: zram->lock held. */
static bool is_due(struct zram_front *front)
{
	const struct zram *z = front->zram;

	if (!front->behind || front->nr_write_pages == 0 || front->nr_writes > 0)
		return false;
	if (front->pause > 0) {
		front->pause--;
		return false;
	}
	return z->nr_frames > z->frames_limit - z->frames_limit / ROOM_PART;
}

static void insert_sorted(uint32_t *keys, unsigned int nr, uint32_t key)
{
	for (; nr > 0 && keys[nr - 1] > key; nr--)
		keys[nr] = keys[nr - 1];
	keys[nr] = key;
}

/* Context: zram->lock held. */
static unsigned int choose_in_cluster(struct zram_front *front, uint64_t cluster)
{
	uint32_t key = front_key(front, cluster * SWAP_CLUSTER_SLOTS);
	unsigned int nr = 0;

	for (unsigned int i = 0; i < SWAP_CLUSTER_SLOTS && nr < front->nr_write_pages; i++) {
		struct zslot *slot = zram_slot(front->zram, key + i);

		if (!slot)
			break;
		if (slot->state != ZSLOT_SAME || slot->is_writing)
			continue;
		zram_writing_begin(front, key + i, slot);
		front->write_keys[nr++] = key + i;
	}
	return nr;
}

/* Same-filled pages, by cluster, for a table of them is a frame. Context: zram->lock held. */
static unsigned int choose_same(struct zram_front *front)
{
	uint64_t nr_clusters =
		(front->dev.nr_slots + SWAP_CLUSTER_SLOTS - 1) / SWAP_CLUSTER_SLOTS;
	unsigned int nr = 0;

	for (uint64_t i = 0; i < nr_clusters && nr == 0; i++) {
		nr = choose_in_cluster(front, front->next_cluster % nr_clusters);
		front->next_cluster += nr == 0;
	}
	return nr;
}

/* The oldest objects, by key. Context: zram->lock held. */
static unsigned int choose(struct zram_front *front)
{
	uint32_t key = front->oldest, newer;
	unsigned int nr = 0;

	for (unsigned int i = 0; key && i < LOOKED_AT_MAX && nr < front->nr_write_pages; i++) {
		struct zslot *slot = zram_slot(front->zram, key);

		newer = slot->newer;
		if (!slot->is_writing) { /* old content of this slot may be */
			zram_writing_begin(front, key, slot);
			insert_sorted(front->write_keys, nr++, key);
		}
		key = newer;
	}
	if (nr == 0 && front->zram->nr_frames > front->zram->frames_limit)
		nr = choose_same(front);
	front->nr_writes = nr;
	return nr;
}

/* The pages that could be read, as I/Os in the order of slots; the others are given up. */
static unsigned int prepare(struct zram_front *front, unsigned int nr, struct swapdev_io *ios)
{
	unsigned int nr_ios = 0;

	for (unsigned int i = 0; i < nr; i++) {
		struct swapdev_io io = {
			.slot = front->write_keys[i] - front->base,
			.page = front->write_pages[i],
			.cookie = ZRAM_WRITE_COOKIE | i,
			.is_write = true,
		};

		if (zram_fetch(front->zram, front->write_keys[i], io.page) == 0) {
			ios[nr_ios++] = io;
		} else {
			io.err =
				-ECANCELED; /* freed meanwhile; or what a reader will be told */
			zram_written_back(front, &io);
		}
	}
	return nr_ios;
}

/**
 * zram_write_back() - start to move the oldest objects on, if it is time.
 * Context: no lock held.
 */
void zram_write_back(struct zram_front *front)
{
	struct swapdev_io ios[ZRAM_WRITES_MAX];
	unsigned int nr = 0, taken;

	mm_lock_acquire(&front->zram->lock);
	if (is_due(front))
		nr = choose(front);
	mm_lock_release(&front->zram->lock);
	nr = prepare(front, nr, ios);
	if (nr == 0)
		return;
	taken = front->behind->ops->submit(front->behind, ios, nr);
	for (unsigned int i = taken; i < nr; i++) {
		ios[i].err = -EAGAIN;
		zram_written_back(front, &ios[i]);
	}
}

/* Return: the cluster is to be given back to the device behind. Context: zram->lock held. */
static bool cluster_is_let_go(struct zram *z, uint32_t key)
{
	struct zcluster *c = zram_cluster(z, key);

	if (!c->is_put || c->nr_writing > 0)
		return false;
	c->is_put = false;
	return true;
}

/**
 * zram_written_back() - one of them has arrived, or failed and stays.
 * @io: with ZRAM_WRITE_COOKIE.
 * Context: takes zram->lock.
 */
void zram_written_back(struct zram_front *front, const struct swapdev_io *io)
{
	struct zram *z = front->zram;
	uint32_t key = front_key(front, io->slot);
	bool is_let_go;

	mm_lock_acquire(&z->lock);
	zram_writing_end(front, key, io->err == 0);
	front->nr_writes--;
	if (io->err != 0 && io->err != -ECANCELED)
		front->pause = PAUSE_AFTER_ERROR;
	is_let_go = cluster_is_let_go(z, key);
	mm_lock_release(&z->lock);
	if (is_let_go)
		front->behind->ops->cluster_put(front->behind, io->slot / SWAP_CLUSTER_SLOTS);
}

/* -- Clusters are the device's behind -- */

static struct zram_front *front_of(struct swapdev *dev)
{
	return container_of(dev, struct zram_front, dev);
}

/*
 * A cluster that is still to be given back is ours, unless a fork's other half reads it: what
 * was given back with it in mind may not be written anew.
 */
bool zram_cluster_get(struct swapdev *dev, uint64_t cluster)
{
	struct zram_front *front = front_of(dev);
	struct zcluster *c =
		zram_cluster(front->zram, front_key(front, cluster * SWAP_CLUSTER_SLOTS));
	/* It stays true until we let go, which is_put tells. */
	bool is_exclusive = zram_cluster_is_exclusive(dev, cluster);
	bool was_put, is_kept;

	mm_lock_acquire(&front->zram->lock);
	was_put = c->is_put;
	is_kept = was_put && is_exclusive;
	if (is_kept)
		c->is_put = false;
	mm_lock_release(&front->zram->lock);
	return was_put ? is_kept : front->behind->ops->cluster_get(front->behind, cluster);
}

void zram_cluster_put(struct swapdev *dev, uint64_t cluster)
{
	struct zram_front *front = front_of(dev);
	struct zcluster *c =
		zram_cluster(front->zram, front_key(front, cluster * SWAP_CLUSTER_SLOTS));
	bool must_wait;

	mm_lock_acquire(&front->zram->lock);
	must_wait = c->nr_writing > 0;
	c->is_put = must_wait;
	mm_lock_release(&front->zram->lock);
	if (!must_wait)
		front->behind->ops->cluster_put(front->behind, cluster);
}

bool zram_cluster_is_exclusive(struct swapdev *dev, uint64_t cluster)
{
	struct swapdev *behind = front_of(dev)->behind;

	return behind->ops->cluster_is_exclusive(behind, cluster);
}
