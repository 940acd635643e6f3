/* SPDX-License-Identifier: MIT */
/*
 * The compressed tier of a process: in front of each swap file, and behind them all an area
 * that is in the tier alone. So a run without a swap file has swap too, and where the files are
 * used up pages still find room. Without --zram the swap files are the areas, as they are.
 */
#include "base/checked.h"
#include "run/runtime.h"
#include "swapdev/zram.h"

/*
 * Slots of the area without a file: what the RAM would hold compressed eight times. More slots
 * would only be good for same-filled pages; at 16 bytes a slot these take a 32nd of the RAM.
 */
#define ALONE_TIMES 8

#define FULL_FRAMES ((uint64_t)8192)

#define ALONE_PRIO INT16_MIN /* after every file, as swapon(8) would have it */

static uint64_t alone_slots(const struct runtime *rt)
{
	return rt->map.share->ram_bytes / PAGE_SIZE * ALONE_TIMES;
}

/*
 * A program that has a few MiB to work in needs them all until it is seen to page: below 32 MiB
 * of share the tier begins with as large a part of it as that is of 32 MiB.
 */
static uint64_t first_frames(uint64_t frames_max)
{
	return frames_max < FULL_FRAMES ? frames_max * frames_max / FULL_FRAMES + 1
					: frames_max;
}

static int make_zram(struct runtime *rt)
{
	const struct run_share *share = rt->map.share;
	struct zram_config cfg = {
		.frames_max = share->zram_bytes / PAGE_SIZE,
		.frames_first = first_frames(share->zram_bytes / PAGE_SIZE),
		.nr_slots_max = alone_slots(rt),
		.codec = share->zram_codec,
	};

	for (unsigned int i = 0; i < rt->nr_swapdevs; i++)
		cfg.nr_slots_max += share->areas[i].nr_slots;
	return zram_create(&cfg, &rt->zram);
}

/**
 * rt_tier_swapon() - give the manager its swap areas.
 *
 * Return: 0, or -errno. Context: rt->sys and rt->swapdevs are there.
 */
int rt_tier_swapon(struct runtime *rt)
{
	const struct run_share *share = rt->map.share;
	struct swapdev *dev;
	int err = share->zram_bytes ? make_zram(rt) : 0;

	for (unsigned int i = 0; i < rt->nr_swapdevs && !err; i++) {
		struct swapdev *file = rt->is_by_signal ? rt->deferred[i] : rt->swapdevs[i];

		dev = file;
		if (rt->zram)
			err = zram_front_create(rt->zram, file, &dev);
		if (!err)
			err = mm_swapon(rt->sys, dev, share->areas[i].prio);
	}
	if (err || !rt->zram)
		return err;
	err = zram_alone_create(rt->zram, alone_slots(rt), &dev);
	return err ? err : mm_swapon(rt->sys, dev, ALONE_PRIO);
}

/**
 * rt_tier_after_fork() - in the child, with the swap files open again.
 */
void rt_tier_after_fork(struct runtime *rt)
{
	if (rt->zram)
		zram_after_fork(rt->zram);
}
