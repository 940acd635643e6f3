/* SPDX-License-Identifier: MIT */
/*
 * Who owns which cluster of a swap device that several processes use (share.c).
 */
#ifndef SWAPDEV_SHARE_H
#define SWAPDEV_SHARE_H

#include "ration/types.h"

#define SWAP_SHARE_OWNERS_MAX 64

/* In memory shared by all owners; zeroed memory is a share where nobody owns anything. */
struct swap_share {
	uint64_t nr_clusters; /* (c) */
	uint64_t owners[];    /* a cluster: bit n is set while owner n holds it; atomic */
};

size_t swap_share_bytes(uint64_t nr_clusters);
void swap_share_init(struct swap_share *share, uint64_t nr_clusters);
uint64_t swap_share_clusters(uint64_t nr_slots);

bool swap_share_get(struct swap_share *share, uint64_t cluster, unsigned int owner);
void swap_share_put(struct swap_share *share, uint64_t cluster, unsigned int owner);
bool swap_share_is_exclusive(const struct swap_share *share, uint64_t cluster,
			     unsigned int owner);

void swap_share_fork(struct swap_share *share, unsigned int parent, unsigned int child);
void swap_share_release(struct swap_share *share, unsigned int owner);
uint64_t swap_share_count(const struct swap_share *share, unsigned int owner);

#endif
