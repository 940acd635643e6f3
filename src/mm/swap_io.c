/* SPDX-License-Identifier: MIT */
/*
 * Pages on their way to and from swap devices.
 *
 * A page that is read is PG_locked until its content is there; one that is written is
 * PG_writeback until the device has it, and no translation reaches it meanwhile, so its content
 * stands still. Both hold a reference. The page stays in the swap cache throughout: whoever
 * looks for the slot finds the frame, and nobody reads a slot that is being written.
 *
 * The frame of a written page is freed when the write ends, never before (PG_reclaim asks for
 * it; a fault in between withdraws the wish). A write that fails leaves the page dirty in RAM
 * and the slot unused for ever, unless it was for lack of room; a read that fails leaves
 * PG_error for the fault that wanted it.
 */
#include "base/assert.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"
#include "mm/swap.h"

static void read_end(struct mm_system *sys, struct page *page, int err)
{
	page->flags &= ~(uint32_t)PG_locked;
	if (err) {
		page->flags |= PG_error;
		STAT(sys, swap_read_errors, err != -EAGAIN);
	} else {
		STAT(sys, pswpin, 1);
	}
	if (page_has(page, PG_dead) || (err && page_has(page, PG_readahead)) || err == -EAGAIN)
		anon_page_put(sys, page);
	else
		page_lru_add(sys, page);
}

static void write_failed(struct mm_system *sys, struct page *page, int err)
{
	swp_entry_t entry = page_swap(page);

	swap_cache_del(sys, page);
	if (err == -ENOSPC || err == -EDQUOT) {
		STAT(sys, swap_write_nospace, 1);
		sys->nr_writes_refused++;
		page->flags |= PG_active;
		swap_area_has_no_space(sys, entry);
	} else if (err == -ENOBUFS || err == -E2BIG) {
		sys->nr_writes_refused++;
		page->flags |= PG_active; /* the slot is good, but the page cannot go now */
		if (err == -ENOBUFS)
			swap_area_is_full(sys, entry);
	} else if (err != -EAGAIN) {
		STAT(sys, swap_write_errors, 1);
		if (swap_entry_count(sys, entry) == 0)
			swap_slot_mark_bad(sys, entry);
		if (page_has(page, PG_lru)) /* mm_config.is_linux_reclaim */
			sys->policy_ops->remove(sys->policy, page);
		page->flags |= PG_active;
	}
	page_lru_add(sys, page);
}

/* The slot has the content: let it be named instead of the frame. */
static bool unmap_written(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_file))
		return shmem_to_swap(sys, page, NULL);
	return page_is_mapped(page) && try_to_unmap(sys, page, NULL) == UNMAP_DONE;
}

/* The next that the scan meets; now it is clean, and freed. */
static void rotate_reclaimable(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_isolated))
		return; /* the write was so fast that its caller has not put it back yet */
	page_lru_add(sys, page);
	if (!page_has(page, PG_lru))
		return;
	sys->policy_ops->deactivate(sys->policy, page);
	STAT(sys, pgrotated, 1);
}

static void write_end(struct mm_system *sys, struct page *page, int err)
{
	bool is_wanted_free = page_has(page, PG_reclaim);

	page->flags &= ~(uint32_t)(PG_writeback | PG_reclaim);
	STAT(sys, nr_writeback, -1);
	sys->nr_reclaiming--;
	if (page_has(page, PG_dead)) {
		anon_page_put(sys, page);
		return;
	}
	if (err) {
		write_failed(sys, page, err);
		return;
	}
	STAT(sys, pswpout, 1);
	swap_area_has_space(sys, page_swap(page));
	page->flags &= ~(uint32_t)PG_dirty;
	/* A writer of an mm may be at work on an entry. */
	if (is_wanted_free && !page_has(page, PG_mlocked) &&
	    swap_slot_may_stay(sys, page_swap(page)) && unmap_written(sys, page)) {
		if (sys->cfg.is_linux_reclaim) {
			rotate_reclaimable(sys, page);
			return;
		}
		swap_cache_evict(sys, page);
		anon_page_put(sys, page);
	} else {
		page_lru_add(sys, page);
	}
}

static void io_end(struct mm_system *sys, struct page *page, bool is_write, int err)
{
	MM_ASSERT(sys->nr_io > 0 && page->refs > 0);
	sys->nr_io--;
	page->refs--;
	if (is_write)
		write_end(sys, page, err);
	else
		read_end(sys, page, err);
}

static void io_begin(struct mm_system *sys, struct page *page, bool is_write)
{
	page->refs++;
	sys->nr_io++;
	if (!is_write) {
		page->flags |= PG_locked;
		return;
	}
	page->flags |= PG_writeback | PG_reclaim;
	sys->nr_reclaiming++;
	STAT(sys, nr_writeback, 1);
}

/* Takes in what has ended on one device. Return: how many pages. Unlocks. */
static unsigned int complete(struct mm_system *sys, struct swap_area *area)
{
	struct swapdev *dev = area->dev;
	struct swapdev_io done[SWAP_IO_MAX];
	unsigned int total = 0, nr;

	area->nr_ops++;
	do {
		sys_unlock(sys);
		nr = dev->ops->poll(dev, done, SWAP_IO_MAX);
		sys_lock(sys);
		for (unsigned int i = 0; i < nr; i++)
			io_end(sys, page_of(sys, (pfn_t)done[i].cookie), done[i].is_write,
			       done[i].err);
		total += nr;
	} while (nr == SWAP_IO_MAX);
	area->nr_ops--;
	return total;
}

/* kswapd may have stopped for frames that were on their way, and now are not. */
static void wake_kswapd_again(struct mm_system *sys)
{
	if (sys->kswapd_awake && sys->cfg.wake_kswapd)
		sys->cfg.wake_kswapd(sys->cfg.arg);
}

/* Pages of one area, already begun, in the order given. Unlocks. */
static void submit_run(struct mm_system *sys, struct page **pages, unsigned int nr,
		       bool is_write)
{
	struct swap_area *area = sys->swap_areas[swp_type(page_swap(pages[0]))];
	struct swapdev *dev = area->dev;
	struct swapdev_io ios[SWAP_IO_MAX];
	unsigned int nr_taken;

	for (unsigned int i = 0; i < nr; i++)
		ios[i] = (struct swapdev_io){
			.slot = swp_slot(page_swap(pages[i])),
			.page = page_addr(sys, pages[i]),
			.cookie = page_pfn(sys, pages[i]),
			.is_write = is_write,
		};
	area->nr_ops++;
	sys_unlock(sys);
	nr_taken = dev->ops->submit(dev, ios, nr);
	sys_lock(sys);
	for (unsigned int i = nr_taken; i < nr; i++)
		io_end(sys, page_of(sys, (pfn_t)ios[i].cookie), is_write, -EAGAIN);
	if (dev->is_synchronous && complete(sys, area) > 0)
		wake_kswapd_again(sys);
	area->nr_ops--;
}

/* All begin before the lock is first dropped: from then on faults stay away from them. */
static void submit(struct mm_system *sys, struct page **pages, unsigned int nr, bool is_write)
{
	unsigned int done = 0;

	MM_ASSERT(nr <= SWAP_IO_MAX);
	for (unsigned int i = 0; i < nr; i++)
		io_begin(sys, pages[i], is_write);
	while (done < nr) {
		unsigned int run = 1;

		while (done + run < nr && swp_type(page_swap(pages[done + run])) ==
						  swp_type(page_swap(pages[done])))
			run++;
		submit_run(sys, pages + done, run, is_write);
		done += run;
	}
	sys_wake(sys);
}

/**
 * swap_read_pages() - start reading frames from the slots that cache them.
 * @pages: in the swap cache, new; at most SWAP_IO_MAX; neighbouring slots side by side.
 *
 * Context: sys->lock held, dropped and retaken.
 */
void swap_read_pages(struct mm_system *sys, struct page **pages, unsigned int nr)
{
	submit(sys, pages, nr, false);
}

/**
 * swap_write_pages() - start writing frames to the slots that cache them, and free them after.
 * @pages: dirty, in the swap cache, not translated, on no list; at most SWAP_IO_MAX.
 *
 * Context: sys->lock held, dropped and retaken; their mms are read-locked by the caller.
 */
void swap_write_pages(struct mm_system *sys, struct page **pages, unsigned int nr)
{
	submit(sys, pages, nr, true);
}

/**
 * swap_complete() - take in the I/O that has ended.
 *
 * Return: how many pages.
 * Context: sys->lock held, dropped and retaken.
 */
unsigned int swap_complete(struct mm_system *sys)
{
	unsigned int total = 0;

	if (sys->nr_io > 0)
		total = filemap_complete(sys);
	for (unsigned int t = 0; t < sys->nr_swap_areas; t++) {
		struct swap_area *area = sys->swap_areas[t];

		if (area && (sys->nr_io > 0 || swap_area_is_busy(area)))
			total += complete(sys, area);
	}
	if (total > 0)
		sys_wake(sys);
	if (total > 0)
		wake_kswapd_again(sys);
	return total;
}
