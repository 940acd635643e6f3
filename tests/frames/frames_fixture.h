/* SPDX-License-Identifier: MIT */
/*
 * A struct mm_system that has frames, zones and slabs and nothing else, on a fake machine: RAM
 * is a piece of the heap, mem_map lies outside of it.
 */
#ifndef FRAMES_FIXTURE_H
#define FRAMES_FIXTURE_H

#include "mm/slab.h"
#include "mm/system.h"
#include "mm/zone.h"
#include "support/rng.h"
#include "support/test.h"

struct frames_config {
	pfn_t nr_frames;
	pfn_t start;		       /* the first zone's; what lies below is in none */
	pfn_t zone_ends[MM_ZONES_MAX]; /* ascending; 0: no more; none: one zone of all */
	pfn_t nr_reserved;	       /* of the first zone: not given to the buddy system */
	uint32_t nr_cpus;	       /* 0: no per-CPU lists */
	uint64_t min_free_kbytes;      /* 0: watermarks stay 0 */
	bool has_slabs;		       /* slab_init() */
};

struct frames {
	struct mm_system sys;
	struct machine machine;
	void *pcps[MM_ZONES_MAX];
	unsigned int cpu; /* that runs */
};

struct frames *frames_create(const struct frames_config *cfg);
void frames_destroy(struct frames *f);

/* check() of a system that was damaged on purpose: what it says is not for the test's output.
 */
int check_quietly(int (*check)(struct mm_system *sys), struct mm_system *sys);

/* Runs fn(arg) in a child: does it die of an assertion? */
bool aborts(void (*fn)(void *arg), void *arg);

#endif
