/* SPDX-License-Identifier: MIT */
/*
 * A swap device that wraps another and does to chosen I/Os what disks do on bad days
 * (faulty.c).
 */
#ifndef SWAPDEV_FAULTY_H
#define SWAPDEV_FAULTY_H

#include "mm/swapdev.h"

#define SWAPDEV_FAULTY_RULES_MAX 8

enum swapdev_fault {
	SWAPDEV_FAULT_ERROR, /* nothing is moved; ends with err */
	SWAPDEV_FAULT_SHORT, /* the page's first half is moved, the rest is junk; ends -EIO */
	SWAPDEV_FAULT_DELAY, /* ends well, delay_polls polls later */
};

/* Reads and writes are counted apart, from 1. A rule hits the nth, and then every every-th. */
struct swapdev_fault_rule {
	enum swapdev_fault fault;
	bool is_write;
	int err;		  /* ERROR: -errno */
	unsigned int delay_polls; /* DELAY */
	uint64_t nth;		  /* 0: by chance only */
	uint64_t every;		  /* 0: the nth only */
	unsigned int per_mille;	  /* chance of a hit for each I/O, from the seed */
};

struct swapdev_faulty_config {
	struct swapdev *inner; /* closed with the wrapper */
	const struct swapdev_fault_rule *rules;
	unsigned int nr_rules; /* at most SWAPDEV_FAULTY_RULES_MAX */
	uint64_t seed;
};

int swapdev_faulty_create(const struct swapdev_faulty_config *cfg, struct swapdev **ret_dev);
int swapdev_faulty_set_rules(struct swapdev *dev, const struct swapdev_fault_rule *rules,
			     unsigned int nr_rules);
uint64_t swapdev_faulty_hits(struct swapdev *dev);

#endif
