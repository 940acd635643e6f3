/* SPDX-License-Identifier: MIT */
/*
 * A swap device in virtual time, for simulations (model.c).
 */
#ifndef SWAPDEV_MODEL_H
#define SWAPDEV_MODEL_H

#include "mm/swapdev.h"

struct swapdev_model_params {
	const char *name;
	uint64_t read_latency_ns;  /* from the end of the transfer to the answer */
	uint64_t write_latency_ns; /* overlaps with other transfers */
	uint64_t bytes_per_second; /* transfers come one after another */
	uint64_t seek_ns; /* before a transfer that does not follow the last; 0: none */
	uint32_t depth;	  /* I/Os in flight that a device of the class takes before it blocks */
};

/* What transfers one page at a time. Zeroed at first. */
struct swapdev_model_channel {
	uint64_t free_ns;
	const void *last;   /* the device of the last transfer */
	uint64_t slot_next; /* ... which the next one would follow */
};

struct swapdev_model_config {
	uint64_t nr_slots;
	struct swapdev_model_params params; /* copied */
	const uint64_t *clock_ns; /* the virtual time: never goes back; outlives the device */
	/* Shared by devices of one thread, which it outlives; NULL: one of its own. */
	struct swapdev_model_channel *channel;
};

const struct swapdev_model_params *swapdev_model_preset(const char *name);
const struct swapdev_model_params *swapdev_model_preset_at(unsigned int index);

int swapdev_model_create(const struct swapdev_model_config *cfg, struct swapdev **ret_dev);
uint64_t swapdev_model_next_ns(const struct swapdev *dev);
bool swapdev_model_is_full(const struct swapdev *dev);

#endif
