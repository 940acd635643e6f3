/* SPDX-License-Identifier: MIT */
/*
 * A file gets another size.
 *
 * While that is under way (mapping->truncate) no I/O on the file is started. First what is in
 * flight ends; then the device changes the file, so that a device that refuses has changed
 * nothing; then the manager follows: pages beyond the new end leave page tables and tree,
 * copies of them in private mappings too (unmap_mapping_range() of Linux with even_cows), and
 * the rest of the last page becomes zero. From then on a touch beyond the end is a bus error.
 */
#include <string.h>

#include "base/assert.h"
#include "mm/filemap.h"
#include "mm/mmap.h"
#include "mm/reclaim.h"

bool truncate_blocks_io(const struct address_space *mapping)
{
	return mapping->truncate != TRUNCATE_NONE;
}

/* The device has answered. */
void truncate_device_done(struct address_space *mapping, int err)
{
	MM_ASSERT(mapping->truncate == TRUNCATE_AT_DEVICE);
	mapping->truncate = err == -EAGAIN ? TRUNCATE_BEGUN : TRUNCATE_DONE;
	mapping->truncate_err = err;
}

/* The part of an area that shows pages from first on. */
static struct mm_range range_beyond(const struct vma *vma, uint64_t first)
{
	uint64_t nr = first > vma->pgoff ? first - vma->pgoff : 0;

	if (nr > (vma->end - vma->start) >> PAGE_SHIFT)
		nr = (vma->end - vma->start) >> PAGE_SHIFT;
	return (struct mm_range){vma->start + (nr << PAGE_SHIFT), vma->end};
}

static struct vma *next_beyond(struct address_space *mapping, uint64_t first,
			       struct mm_range *ret_range)
{
	struct vma *vma;

	list_for_each_entry (vma, &mapping->i_mmap, i_mmap) {
		vaddr_t va;

		*ret_range = range_beyond(vma, first);
		va = ret_range->start;
		if (va < ret_range->end && pgtable_next(vma->mm, &va, ret_range->end))
			return vma;
	}
	return NULL;
}

/*
 * No entry names a page from first on, or a copy of it. Return: 0; -EAGAIN: somebody has one of
 * the mms, or the machine cannot let go just now; the machine's -errno. Unlocks.
 */
static int unmap_beyond(struct address_space *mapping, uint64_t first)
{
	struct mm_range range;
	struct vma *vma;

	/* Each turn empties an area; while this goes on no entry beyond is made. */
	while ((vma = next_beyond(mapping, first, &range))) {
		struct mm *mm = vma->mm;
		int err;

		if (!mm_write_trylock(mm))
			return -EAGAIN;
		err = mm_zap_range(mm, range);
		mm_write_unlock(mm);
		if (err)
			return err == -EBUSY ? -EAGAIN : err;
	}
	return 0;
}

/* Return: 0, or -EAGAIN: somebody works on one. */
static int drop_beyond(struct address_space *mapping, uint64_t first)
{
	uint64_t index = first, value;

	while ((value = radix_next(&mapping->tree, &index, UINT64_MAX))) {
		struct page *page = filemap_value_page(value);

		if (!page) {
			radix_erase(&mapping->tree, index);
			continue;
		}
		if (page_has(page, PG_locked) || page_is_mapped(page) || page->refs > 1)
			return -EAGAIN;
		filemap_remove(mapping->sys, page, 0);
	}
	return 0;
}

/**
 * truncate_zero_tail() - what the page at a size has beyond it becomes zero.
 *
 * Return: 0, or -EAGAIN: somebody works on the page.
 * Context: sys->lock held, dropped and retaken.
 */
int truncate_zero_tail(struct address_space *mapping, uint64_t size)
{
	struct page *page = filemap_find(mapping, size >> PAGE_SHIFT);
	struct mm_system *sys = mapping->sys;
	uint64_t from = size & ~PAGE_MASK;

	if (from == 0 || !page)
		return 0;
	if (page_has(page, PG_locked | PG_writeback))
		return -EAGAIN;
	if (page_has(page, PG_error))
		return 0;
	page->flags |= PG_locked;
	sys_unlock(sys);
	memset((char *)page_addr(sys, page) + from, 0, PAGE_SIZE - from);
	sys_lock(sys);
	page->flags &= ~(uint32_t)PG_locked;
	sys_wake(sys);
	return 0;
}

/* The device has the new size. Unlocks. */
static int follow_device(struct address_space *mapping)
{
	uint64_t old = mapping->nr_bytes, size = mapping->truncate_size;
	int err;

	if (size < old)
		mapping->nr_bytes = size;
	err = unmap_beyond(mapping, mapping_nr_pages(mapping));
	if (!err)
		err = drop_beyond(mapping, mapping_nr_pages(mapping));
	if (!err)
		err = truncate_zero_tail(mapping, mapping->nr_bytes);
	if (!err)
		mapping->nr_bytes = size;
	return err;
}

static void begin(struct address_space *mapping, uint64_t size)
{
	mapping->truncate = TRUNCATE_BEGUN;
	mapping->truncate_size = size;
}

/* Unlocks. */
static int truncate_step(struct address_space *mapping)
{
	int err = 0;

	if (mapping->truncate == TRUNCATE_BEGUN) {
		filemap_complete(mapping->sys);
		if (mapping->nr_io > 0 || mapping->nr_pins > 1)
			return -EAGAIN;
		mapping->truncate = TRUNCATE_AT_DEVICE;
		filemap_submit_other(mapping, FILEDEV_TRUNCATE, mapping->truncate_size);
	}
	if (mapping->truncate == TRUNCATE_AT_DEVICE)
		filemap_complete(mapping->sys);
	if (mapping->truncate != TRUNCATE_DONE)
		return -EAGAIN;
	err = mapping->truncate_err;
	if (!err)
		err = follow_device(mapping);
	if (err != -EAGAIN)
		mapping->truncate = TRUNCATE_NONE;
	return err;
}

/**
 * mm_truncate() - ftruncate(2): the file gets a new size.
 * @file: from mm_file_open().
 * @size: bytes.
 *
 * Return: 0; -EAGAIN: call again, with the same size, after mm_config.wake, until it ends:
 * until then faults on the file answer RETRY; the device's -errno: nothing has changed; the
 * machine's -errno. Context: takes sys->lock; write-locks the mms that map the file, one after
 * the other.
 */
int mm_truncate(struct address_space *file, uint64_t size)
{
	struct mm_system *sys = file->sys;
	int err = -EAGAIN;

	sys_lock(sys);
	if (file->truncate == TRUNCATE_NONE && size == file->nr_bytes) {
		sys_unlock(sys);
		return 0;
	}
	if (file->truncate == TRUNCATE_NONE)
		begin(file, size);
	file->nr_pins++;
	if (size == file->truncate_size)
		err = truncate_step(file);
	file->nr_pins--;
	sys->has_waiters = true;
	if (err != -EAGAIN)
		sys_wake(sys); /* faults waited for it */
	sys_unlock(sys);
	return err;
}
