/* SPDX-License-Identifier: MIT */
/*
 * Swap in compressed memory, alone or in front of other devices (zram.c).
 */
#ifndef SWAPDEV_ZRAM_H
#define SWAPDEV_ZRAM_H

#include "mm/swapdev.h"
#include "swapdev/zcodec.h"

#define ZRAM_FRONTS_MAX 33 /* one a swap area, and one alone */

struct zram;

struct zram_config {
	uint64_t frames_max;   /* of the manager's RAM that it may take, all in */
	uint64_t frames_first; /* of these, until it is known what for; 0: all */
	uint64_t nr_slots_max; /* of all fronts together */
	enum zcodec_kind codec;
};

int zram_create(const struct zram_config *cfg, struct zram **ret_zram);
int zram_front_create(struct zram *zram, struct swapdev *behind, struct swapdev **ret_dev);
int zram_alone_create(struct zram *zram, uint64_t nr_slots, struct swapdev **ret_dev);
void zram_after_fork(struct zram *zram);
void zram_destroy(struct zram *zram);
int zram_check(struct zram *zram);

#endif
