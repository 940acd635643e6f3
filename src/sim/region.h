/* SPDX-License-Identifier: MIT */
/*
 * The 2 MiB regions that were seen: for each, the entries of its pages. A hash table with open
 * addressing, for one thread.
 */
#ifndef SIM_REGION_H
#define SIM_REGION_H

#include <stdlib.h>

#include "ration/types.h"

struct mm;

struct sim_region {
	uint64_t key; /* 0: free */
	pte_t *entries;
	struct mm *mm;
};

struct sim_region_map {
	struct sim_region *slots;
	unsigned int bits; /* log2 of slots */
	uint64_t nr;
};

static inline uint64_t sim_region_key(unsigned int pid, vaddr_t va)
{
	return ((uint64_t)pid << 26 | va >> 21) + 1;
}

/* Where key is, or the free slot where it belongs. At most half of the slots are used. */
static inline struct sim_region *sim_region_slot(const struct sim_region_map *map, uint64_t key)
{
	uint64_t mask = ((uint64_t)1 << map->bits) - 1;
	uint64_t at = key * 0x9e3779b97f4a7c15u >> (64 - map->bits);

	while (map->slots[at].key != key && map->slots[at].key != 0)
		at = (at + 1) & mask;
	return &map->slots[at];
}

int sim_region_map_init(struct sim_region_map *map);
void sim_region_map_destroy(struct sim_region_map *map);
int sim_region_add(struct sim_region_map *map, const struct sim_region *region,
		   struct sim_region **ret_region);

#endif
