/* SPDX-License-Identifier: MIT */
/*
 * Shared anonymous memory: a file without a device (mm/shmem.c).
 *
 * Its pages are zeroed at their first touch, always dirty, and counted and scanned with the
 * anonymous ones (PG_swapbacked). One that is evicted is written to a slot, through the swap
 * cache like an anonymous page, but stays in its tree until the write has ended; then the tree
 * has the swap entry, and the frame is the swap cache's (it becomes PG_anon without a mapper).
 * A touch finds it there or reads it, and takes it back into the tree. So a write that fails
 * loses nothing, and the swap cache needs to know nothing of trees.
 */
#include <string.h>

#include "base/assert.h"
#include "mm/filemap.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"

static uint64_t swap_value(swp_entry_t entry)
{
	return entry << FILEMAP_KIND_BITS | FILEMAP_SWAP;
}

/* A page that nobody has touched. Unlocks. */
static int make_zero_page(struct address_space *mapping, uint64_t index)
{
	struct mm_system *sys = mapping->sys;
	struct page *page;
	int err = filemap_add(mapping, index, PG_swapbacked | PG_dirty | PG_locked, &page);

	if (err)
		return err;
	sys_unlock(sys);
	memset(page_addr(sys, page), 0, PAGE_SIZE);
	sys_lock(sys);
	page->flags &= ~(uint32_t)PG_locked;
	sys_wake(sys);
	return -EAGAIN;
}

/* The slot's frame, in the swap cache and filled, goes back into the tree in its place. */
static void take_back(struct address_space *mapping, uint64_t index, struct page *page)
{
	struct mm_system *sys = mapping->sys;
	swp_entry_t entry = page_swap(page);

	if (page_has(page,
		     PG_lru)) /* it goes to the same list: what tells them apart changes */
		sys->policy_ops->remove(sys->policy, page);
	swap_cache_del(sys, page);
	swap_entry_put(sys, entry);
	mapping->nr_swapped--;
	radix_set(&mapping->tree, index, (uint64_t)(uintptr_t)page);
	page->flags = (page->flags & ~(uint32_t)(PG_anon | PG_readahead)) | PG_file |
		      PG_swapbacked | PG_dirty;
	page->mapping = mapping;
	page->index = index;
	page->refs++;
	mapping->nr_pages++;
	STAT(sys, nr_file_pages, 1);
	STAT(sys, nr_shmem, 1);
	if (!page_has(page, PG_isolated))
		sys->policy_ops->insert(sys->policy, page);
}

/* Return: -EAGAIN: look anew; -ENOMEM; -EIO: the slot cannot be read. Unlocks. */
static int swap_in(struct address_space *mapping, uint64_t index, swp_entry_t entry)
{
	struct mm_system *sys = mapping->sys;
	struct page *page = swap_cache_lookup(sys, entry);

	if (!page) {
		if (swapin_readahead(sys, entry, false) != SWAPIN_STARTED)
			return -ENOMEM;
		kswapd_wake_if_low(sys);
		swap_complete(sys);
		return -EAGAIN;
	}
	if (anon_page_is_busy(page))
		return -EBUSY;
	if (page_has(page, PG_error)) {
		anon_page_put(sys, page); /* the next touch reads again */
		return -EIO;
	}
	if (page_has(page, PG_readahead)) {
		sys->readahead.hits++;
		STAT(sys, swap_ra_hit, 1);
	}
	take_back(mapping, index, page);
	return -EAGAIN;
}

/**
 * shmem_find() - the page at an offset of shared anonymous memory.
 *
 * Return: 0 with the page, which may be busy; -EAGAIN: the world has changed, look anew;
 * -EBUSY: I/O is in flight, wait for a wake; -EIO: its slot cannot be read; -ENOMEM: no frame.
 * Context: sys->lock held, dropped and retaken.
 */
int shmem_find(struct address_space *mapping, uint64_t index, struct page **ret_page)
{
	uint64_t value = radix_get(&mapping->tree, index);

	if (!value)
		return make_zero_page(mapping, index);
	if (filemap_value_is_swap(value))
		return swap_in(mapping, index, filemap_value_content(value));
	*ret_page = filemap_value_page(value);
	return 0;
}

/* One tree. Return: as shmem_bring_back(). Unlocks. */
static int bring_back_mapping(struct address_space *mapping, unsigned int type,
			      unsigned int *nr_back)
{
	uint64_t index = 0, value;
	int result = 0;

	for (; (value = radix_next(&mapping->tree, &index, UINT64_MAX)); index++) {
		swp_entry_t entry = filemap_value_content(value);
		int err;

		if (!filemap_value_is_swap(value) || swp_type(entry) != type)
			continue;
		err = swap_in(mapping, index, entry);
		if (err != -EAGAIN && err != -EBUSY)
			return err;
		*nr_back += filemap_find(mapping, index) != NULL;
		result = -EAGAIN;
		if (mapping->sys->nr_io >= SWAP_IO_MAX)
			break; /* more would only be thrown out again */
	}
	return result;
}

/**
 * shmem_bring_back() - a swap area leaves: its pages go back into the trees.
 * @type: of the area.
 * @nr_back: is raised by the pages that are back.
 *
 * Return: 0: no tree has an entry of the area; -EAGAIN: there are some, call again when I/O has
 * ended; -ENOMEM: no frame; -EIO: a slot cannot be read.
 * Context: sys->lock held, dropped and retaken.
 */
int shmem_bring_back(struct mm_system *sys, unsigned int type, unsigned int *nr_back)
{
	struct address_space *mapping;
	int err = 0, result = 0;

	sys->files.nr_pins++;
	list_for_each_entry (mapping, &sys->files.mappings, node) {
		err = mapping->nr_swapped > 0 ? bring_back_mapping(mapping, type, nr_back) : 0;
		if (err && err != -EAGAIN)
			break;
		result = err ? err : result;
	}
	sys->files.nr_pins--;
	return err && err != -EAGAIN ? err : result;
}

/**
 * shmem_swap_zap() - a swap entry leaves a tree for good.
 *
 * The caller takes it out.
 */
void shmem_swap_zap(struct address_space *mapping, swp_entry_t entry)
{
	struct mm_system *sys = mapping->sys;
	struct page *page = swap_cache_lookup(sys, entry);

	mapping->nr_swapped--;
	swap_entry_put(sys, entry);
	if (page && !page_is_mapped(page) && swap_entry_count(sys, entry) == 0)
		anon_page_put(sys, page);
}

/**
 * shmem_to_swap() - let the tree name the slot instead of the frame.
 * @page: clean, in the swap cache, in a tree.
 * @locked: an mm that the caller has write-locked, or NULL.
 *
 * The frame stays in the swap cache; it is the caller's to drop.
 *
 * Return: false where an entry of the page tables cannot be changed now.
 */
bool shmem_to_swap(struct mm_system *sys, struct page *page, const struct mm *locked)
{
	struct address_space *mapping = page->mapping;
	bool was_listed = page_has(page, PG_lru);

	if (rmap_can_unmap(sys, page, locked) != UNMAP_DONE)
		return false;
	filemap_unmap_all(sys, page);
	radix_set(&mapping->tree, page->index, swap_value(page_swap(page)));
	swap_entry_dup(sys, page_swap(page));
	mapping->nr_swapped++;
	mapping->nr_pages--;
	STAT(sys, nr_file_pages, -1);
	STAT(sys, nr_shmem, -1);
	if (was_listed)
		sys->policy_ops->remove(sys->policy, page);
	page->flags = (page->flags & ~(uint32_t)(PG_file | PG_swapbacked)) | PG_anon;
	page->mapping = NULL;
	page->index = 0;
	page->refs--;
	if (was_listed)
		sys->policy_ops->insert(sys->policy, page);
	return true;
}
