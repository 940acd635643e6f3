/* SPDX-License-Identifier: MIT */
#include "sim/region.h"

#include <errno.h>

#include "base/assert.h"

#define BITS_FIRST 10

int sim_region_map_init(struct sim_region_map *map)
{
	*map = (struct sim_region_map){.bits = BITS_FIRST};
	map->slots = calloc((size_t)1 << map->bits, sizeof(*map->slots));
	return map->slots ? 0 : -ENOMEM;
}

void sim_region_map_destroy(struct sim_region_map *map)
{
	free(map->slots);
}

static int grow(struct sim_region_map *map)
{
	struct sim_region_map larger = {.bits = map->bits + 1, .nr = map->nr};

	larger.slots = calloc((size_t)1 << larger.bits, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)1 << map->bits; i++)
		if (map->slots[i].key)
			*sim_region_slot(&larger, map->slots[i].key) = map->slots[i];
	free(map->slots);
	*map = larger;
	return 0;
}

/**
 * sim_region_add() - remember a region.
 * @region: copied; its key is new.
 * @ret_region: where it is until the next is added.
 *
 * Return: 0 or -ENOMEM.
 */
int sim_region_add(struct sim_region_map *map, const struct sim_region *region,
		   struct sim_region **ret_region)
{
	struct sim_region *slot;

	if (2 * (map->nr + 1) > (uint64_t)1 << map->bits) {
		int err = grow(map);

		if (err)
			return err;
	}
	slot = sim_region_slot(map, region->key);
	MM_ASSERT(slot->key == 0);
	*slot = *region;
	map->nr++;
	*ret_region = slot;
	return 0;
}
