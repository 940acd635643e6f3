/* SPDX-License-Identifier: MIT */
/*
 * Items by Zipf's law: the k-th of n by rank is drawn in proportion to 1 / k^s, k from 1.
 */
#ifndef SIM_ZIPF_H
#define SIM_ZIPF_H

#include <stdint.h>

#define ZIPF_RANKS_MAX ((uint32_t)1 << 24)

struct zipf;

struct zipf_spec {
	uint32_t nr_ranks; /* 1..ZIPF_RANKS_MAX */
	double s;	   /* 0: all alike; 1: the second by rank half as often as the first */
	uint32_t stride; /* rank k (from 0) is item k * stride % nr_ranks: no common divisor */
};

int zipf_create(const struct zipf_spec *spec, struct zipf **ret_zipf);
void zipf_destroy(struct zipf *zipf);
uint32_t zipf_draw(const struct zipf *zipf, uint64_t *random); /* an item */

#endif
