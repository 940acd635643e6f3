/* SPDX-License-Identifier: MIT */
/*
 * RAM for swap devices that keep pages in it (compressed, say), and what they did with it.
 *
 * A device asks for frames while pages are being evicted, when there are few: it gets the last
 * one, as reclaim itself does (PF_MEMALLOC). Each page that it takes frees one.
 */
#include "base/assert.h"
#include "mm/system.h"

static int frames_alloc(void *arg, unsigned int order, void **ret_block)
{
	struct mm_system *sys = arg;
	struct page *page;
	int err;

	sys_lock(sys);
	err = page_alloc(sys, order, GFP_RECLAIM, &page);
	if (!err)
		*ret_block = page_addr(sys, page);
	sys_unlock(sys);
	return err;
}

static void block_free(struct mm_system *sys, unsigned int order, void *block)
{
	page_free(sys, page_of(sys, addr_pfn(sys, block)), order);
}

static void frames_free(void *arg, unsigned int order, void *block)
{
	struct mm_system *sys = arg;

	sys_lock(sys);
	block_free(sys, order, block);
	sys_wake(sys);
	sys_unlock(sys);
}

/**
 * swap_lend_frames() - let a device take frames.
 *
 * Return: 0, or what the device says. Context: sys->lock not held.
 */
int swap_lend_frames(struct mm_system *sys, struct swapdev *dev)
{
	const struct swapdev_frames frames = {
		.ram = sys->machine->ram,
		.nr_frames = sys->nr_frames,
		.alloc = frames_alloc,
		.free = frames_free,
		.arg = sys,
	};

	return dev->ops->set_frames(dev, &frames);
}

/**
 * swap_slot_forget() - the slot is free: the device need not keep its content.
 * Context: sys->lock held.
 */
void swap_slot_forget(struct mm_system *sys, struct swapdev *dev, uint64_t slot)
{
	void *frames[SWAPDEV_FREED_MAX];
	unsigned int nr;

	if (!dev->ops->slot_free)
		return;
	nr = dev->ops->slot_free(dev, slot, frames);
	for (unsigned int i = 0; i < nr; i++)
		block_free(sys, 0, frames[i]);
	if (nr > 0)
		sys_wake(sys);
}

/**
 * swap_area_is_busy() - has the device I/O of its own under way?
 */
bool swap_area_is_busy(const struct swap_area *area)
{
	struct swapdev *dev = area->dev;

	return dev->ops->is_busy && dev->ops->is_busy(dev);
}

/**
 * swap_is_busy() - has any device?
 * Context: sys->lock held.
 */
bool swap_is_busy(struct mm_system *sys)
{
	for (unsigned int t = 0; t < sys->nr_swap_areas; t++)
		if (sys->swap_areas[t] && swap_area_is_busy(sys->swap_areas[t]))
			return true;
	return false;
}

/**
 * swap_squeeze() - the last resort: devices are to move what they have in RAM elsewhere.
 *
 * Return: false: there is nothing that could be.
 * Context: sys->lock held, dropped and retaken.
 */
bool swap_squeeze(struct mm_system *sys)
{
	bool is_more = false;

	for (unsigned int t = 0; t < sys->nr_swap_areas; t++) {
		struct swap_area *area = sys->swap_areas[t];

		if (!area || !area->dev->ops->squeeze)
			continue;
		area->nr_ops++;
		sys_unlock(sys);
		is_more |= area->dev->ops->squeeze(area->dev);
		sys_lock(sys);
		area->nr_ops--;
	}
	return is_more;
}

/* What the devices counted since the last look, and what they hold now. */
static void count_stats(struct mm_system *sys, const struct swapdev_stats *now)
{
	const struct swapdev_stats *seen = &sys->swap_stats;
	uint64_t *vmstat = sys->vmstat;

	vmstat[MM_VMSTAT_nr_zspages] = now->nr_frames;
	vmstat[MM_VMSTAT_nr_zspages_limit] = now->nr_frames_limit;
	vmstat[MM_VMSTAT_nr_zswapped] = now->nr_stored;
	vmstat[MM_VMSTAT_nr_zsame] = now->nr_same;
	vmstat[MM_VMSTAT_zswap_bytes] = now->stored_bytes;
	STAT(sys, zswpout, now->nr_out - seen->nr_out);
	STAT(sys, zswpin, now->nr_in - seen->nr_in);
	STAT(sys, zswpwb, now->nr_written_back - seen->nr_written_back);
	STAT(sys, zswp_poor, now->nr_incompressible - seen->nr_incompressible);
	STAT(sys, zswp_full, now->nr_refused - seen->nr_refused);
	STAT(sys, zswp_lost, now->nr_lost - seen->nr_lost);
	STAT(sys, zswp_moved, now->nr_moved - seen->nr_moved);
}

/**
 * swap_count() - bring vmstat up to date with what the devices have counted.
 * Context: sys->lock held.
 */
void swap_count(struct mm_system *sys)
{
	struct swapdev_stats now = {0};
	bool has_any = false;

	for (unsigned int t = 0; t < sys->nr_swap_areas; t++) {
		const struct swap_area *area = sys->swap_areas[t];

		if (!area || !area->dev->ops->stats)
			continue;
		area->dev->ops->stats(area->dev, &now);
		has_any = true;
	}
	if (!has_any)
		return;
	count_stats(sys, &now);
	sys->swap_stats = now;
}
