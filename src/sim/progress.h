/* SPDX-License-Identifier: MIT */
/*
 * How far a long simulation is, on a terminal: one line on standard error that is written over
 * itself, and gone at the end.
 */
#ifndef SIM_PROGRESS_H
#define SIM_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool is_on; /* (c) */
	pthread_mutex_t lock;
	unsigned int nr_parts; /* (c) */
	double sum;	       /* lock: of the parts' shares, 0 .. nr_parts */
	uint64_t nr_accesses;  /* lock: of all parts */
	uint64_t next_ns;      /* lock: when to print */
	bool is_shown;	       /* lock */
};

/* One thread's view of it. */
struct progress_part {
	struct progress *whole;
	double share;
	uint64_t nr_accesses;
};

void progress_begin(struct progress *progress, unsigned int nr_parts, bool is_on);
void progress_update(struct progress_part *part, uint64_t nr_accesses, double share);
void progress_end(struct progress *progress);

#endif
