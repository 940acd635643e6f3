/* SPDX-License-Identifier: MIT */
/*
 * Is there room in swap? What is known of that without a search for a slot: mm/swap.c makes
 * those, and devices tell the rest by what they refuse.
 */
#include "base/checked.h"
#include "mm/swap.h"
#include "mm/system.h"

#define NOSPACE_MAX 256 /* writes in a row that found no room: then there is none */

/**
 * swap_has_space() - is a slot worth asking for?
 * Context: sys->lock held.
 */
bool swap_has_space(struct mm_system *sys)
{
	for (unsigned int i = 0; i < sys->nr_swap_areas; i++) {
		struct swap_area *area = sys->swap_areas[i];

		if (!swap_area_gives(area))
			continue;
		if (area->full_for == 0)
			return true;
		area->full_for--;
	}
	return false;
}

/**
 * swap_has_free_slot() - is a slot unused, as far as this manager can tell?
 * Context: sys->lock held.
 */
bool swap_has_free_slot(const struct mm_system *sys)
{
	return sys->vmstat[MM_VMSTAT_nr_swap_slots_used] < sys->nr_swap_pages;
}

/**
 * swap_area_is_full() - the device had no room for a page, whatever slots are free.
 * Context: sys->lock held.
 */
void swap_area_is_full(struct mm_system *sys, swp_entry_t entry)
{
	sys->swap_areas[swp_type(entry)]->full_for = SWAP_FULL_PATIENCE;
}

/**
 * swap_area_has_no_space() - the file system that a device lies on had no room.
 *
 * The slot is as good as before, but others that were never written will fail too. So the
 * longer that goes on, the rarer it is tried, until nothing is tried before the last word.
 * Context: sys->lock held.
 */
void swap_area_has_no_space(struct mm_system *sys, swp_entry_t entry)
{
	struct swap_area *area = sys->swap_areas[swp_type(entry)];

	if (area->nr_nospace < NOSPACE_MAX)
		area->nr_nospace++;
	area->full_for = SWAP_FULL_PATIENCE * area->nr_nospace;
}

/* A write has ended well. Context: sys->lock held. */
void swap_area_has_space(struct mm_system *sys, swp_entry_t entry)
{
	sys->swap_areas[swp_type(entry)]->nr_nospace = 0;
}

/* Before the last word (out of memory): another process may have given clusters back. */
void swap_look_again(struct mm_system *sys)
{
	for (unsigned int i = 0; i < sys->nr_swap_areas; i++)
		if (sys->swap_areas[i] && sys->swap_areas[i]->nr_nospace < NOSPACE_MAX)
			sys->swap_areas[i]->full_for = 0;
}

/*
 * Linux gives the slot of a page back on swap-in when swap is more than half full
 * (mem_cgroup_swap_full), for partitions are small. Ours are sparse files: the slot is worth
 * more as a copy that need not be written again, until swap is nearly full, or the RAM that the
 * copy takes.
 */
bool swap_is_nearly_full(const struct mm_system *sys)
{
	uint64_t total = 0, used = 0;

	for (unsigned int i = 0; i < sys->nr_swap_areas; i++) {
		struct swapdev *dev;

		if (!swap_area_gives(sys->swap_areas[i]))
			continue;
		dev = sys->swap_areas[i]->dev;
		if (dev->ops->is_tight && dev->ops->is_tight(dev))
			return true;
		total += dev->nr_slots;
		used += sys->swap_areas[i]->nr_used;
	}
	return used >= total - total / 8;
}
