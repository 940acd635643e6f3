/* SPDX-License-Identifier: MIT */
/*
 * How much of its share the tier takes.
 *
 * A frame of the tier holds a few pages compressed, and is a frame that no page of the program
 * lies in. Which is better depends on the program, and each page that is read back tells. The
 * manager says how many evictions ago it left, its refault distance: with so many frames more
 * it would still be there (Linux mm/workingset.c). Held against what the tier holds:
 *
 *	distance      read from   the tier has
 *	<= nr_frames  the tier    lost what one of its reads takes: 1
 *	<= nr_frames  behind      lost what a read from behind takes: READ_COST
 *	>  nr_frames  the tier    gained: READ_COST
 *	>  nr_frames  behind      neither; a larger tier might have had it
 *
 * After each WINDOW of such reads the limit goes down by a quarter where the tier has lost more
 * than it gained, and up by a step where it gained, or might have. Down is faster than up: too
 * large a tier leaves a small RAM nothing to work in, and then all that is done is paging.
 *
 * What is above the limit moves on to the devices behind as ever (zram_writeback.c), objects
 * first, then same-filled pages, whose tables are frames too. So it is, too, where the manager
 * is about to say that memory has run out: zram_squeeze(). Where one area has nothing behind
 * it, its pages stay; without any device behind the limit is the share, always.
 *
 * Where the limit begins is the caller's affair (zram_config.frames_first).
 */
#include <errno.h>

#include "base/checked.h"
#include "base/list.h"
#include "swapdev/zram_internal.h"

#define WINDOW	  128
#define READ_COST 16 /* a read from behind, in reads of the tier: 150 us to 10 */
#define DOWN_PART 4  /* a quarter of the limit */
#define UP_PART	  16 /* a 16th of the share */
#define PACK_MAX  4  /* pages that a frame of the tier holds, if they compress well */

static void limit_set(struct zram *z, uint64_t limit)
{
	__atomic_store_n(&z->frames_limit, min_u64(limit, z->frames_max), __ATOMIC_RELAXED);
}

/* Context: zram->lock held. */
static void share_adjust(struct zram *z)
{
	struct zram_balance *b = &z->balance;

	if (b->lost > b->gained)
		limit_set(z, z->frames_limit - z->frames_limit / DOWN_PART);
	else if (b->gained > 0 || b->missed > WINDOW / 2)
		limit_set(z, z->frames_limit + z->frames_max / UP_PART + 1);
	*b = (struct zram_balance){0};
}

/**
 * zram_refault() - the refault() of struct swapdev_ops.
 */
void zram_refault(struct swapdev *dev, uint64_t slot, uint64_t distance)
{
	struct zram_front *front = container_of(dev, struct zram_front, dev);
	struct zram *z = front->zram;
	struct zram_balance *b = &z->balance;
	const struct zslot *at;
	bool is_here;

	if (!z->has_behind)
		return;
	mm_lock_acquire(&z->lock);
	at = zram_slot(z, front_key(front, slot));
	is_here = at && at->state != ZSLOT_NONE;
	if (distance <= z->nr_frames) {
		b->lost += is_here ? 1 : READ_COST;
		z->stats.nr_lost++;
	} else if (is_here) {
		b->gained += READ_COST;
	} else {
		b->missed += distance <= PACK_MAX * z->frames_max;
	}
	if (++b->nr == WINDOW)
		share_adjust(z);
	mm_lock_release(&z->lock);
}

/**
 * zram_squeeze() - the squeeze() of struct swapdev_ops.
 */
bool zram_squeeze(struct swapdev *dev)
{
	struct zram_front *front = container_of(dev, struct zram_front, dev);
	struct zram *z = front->zram;
	bool is_moving;

	if (!front->behind)
		return false;
	mm_lock_acquire(&z->lock);
	if (z->nr_frames <= z->frames_limit)
		limit_set(z, z->nr_frames - z->nr_frames / DOWN_PART);
	mm_lock_release(&z->lock);
	zram_write_back(front);
	zram_trim(z);
	mm_lock_acquire(&z->lock);
	is_moving = front->nr_writes > 0;
	mm_lock_release(&z->lock);
	return is_moving;
}
