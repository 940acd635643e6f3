/* SPDX-License-Identifier: MIT */
/*
 * Swap devices for tests and benches, without a disk: RAM (mem.c) and nothing (null.c).
 */
#ifndef SWAPDEV_MEM_H
#define SWAPDEV_MEM_H

#include "mm/swapdev.h"
#include "swapdev/share.h"

enum swapdev_mem_mode {
	SWAPDEV_MEM_SYNC,   /* ends in submit(), in order */
	SWAPDEV_MEM_RANDOM, /* each poll() ends some, in an order drawn from seed */
	SWAPDEV_MEM_HELD,   /* nothing ends until swapdev_mem_deliver(); order as RANDOM */
};

struct swapdev_mem_config {
	uint64_t nr_slots;
	enum swapdev_mem_mode mode;
	uint64_t seed;
	unsigned int queue_max;	  /* I/Os taken and not yet polled; 0: SWAPDEV_MEM_QUEUE_MAX */
	struct swap_share *share; /* NULL: the device is ours alone */
	unsigned int owner;
};

#define SWAPDEV_MEM_QUEUE_MAX 256

int swapdev_mem_create(const struct swapdev_mem_config *cfg, struct swapdev **ret_dev);
unsigned int swapdev_mem_deliver(struct swapdev *dev, unsigned int nr);
unsigned int swapdev_mem_in_flight(struct swapdev *dev);
void *swapdev_mem_page(struct swapdev *dev, uint64_t slot);

int swapdev_null_create(uint64_t nr_slots, struct swapdev **ret_dev);

#endif
