/* SPDX-License-Identifier: MIT */
/*
 * read(2) and write(2) of cached files, opening and closing (mm/filemap.c of Linux:
 * filemap_read(), generic_perform_write()).
 *
 * A read copies what is cached, and reads what is not with readahead. The second read of a page
 * makes it active; several reads of one page in a row count as one. A write goes into the
 * cache; a page that it does not cover whole is read first. Neither waits: they answer how much
 * was done, or -EAGAIN if nothing was.
 */
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "mm/filemap.h"
#include "mm/reclaim.h"
#include "mm/slab.h"

#define READ_AHEAD_PAGES 32 /* read_ahead_kb, 128 */
#define LOOKS_MAX	 4

/* A part of one page that a call reads or writes. */
struct piece {
	struct address_space *file;
	uint64_t index;	 /* page */
	uint32_t within; /* byte in it */
	uint32_t bytes;
	uint64_t nr_ahead; /* pages from this one on that the call wants */
	char *buf;	   /* NULL: the content does not matter */
};

static struct piece piece_at(struct address_space *file, uint64_t offset, uint64_t left,
			     void *buf)
{
	uint32_t within = (uint32_t)(offset & (PAGE_SIZE - 1));

	return (struct piece){
		.file = file,
		.index = offset >> PAGE_SHIFT,
		.within = within,
		.bytes = (uint32_t)min_u64(left, PAGE_SIZE - within),
		.nr_ahead = (within + left + PAGE_SIZE - 1) >> PAGE_SHIFT,
		.buf = buf,
	};
}

/* The page is PG_locked meanwhile. Unlocks. */
static void copy_piece(const struct piece *p, struct page *page, bool is_write)
{
	struct mm_system *sys = p->file->sys;
	char *at = (char *)page_addr(sys, page) + p->within;

	if (!p->buf)
		return;
	page->flags |= PG_locked;
	sys_unlock(sys);
	if (is_write)
		memcpy(at, p->buf, p->bytes);
	else
		memcpy(p->buf, at, p->bytes);
	sys_lock(sys);
	page->flags &= ~(uint32_t)PG_locked;
	sys_wake(sys);
}

static int no_memory(struct mm_system *sys)
{
	return mm_reclaim_for_kernel(sys);
}

/* 0: the page is there; FILE_LOOK_AGAIN; or what the call comes to. Unlocks. */
#define FILE_LOOK_AGAIN 1

static int look_for_page(const struct piece *p, struct page **ret_page)
{
	struct readahead want = {.mapping = p->file,
				 .index = p->index,
				 .nr = p->nr_ahead,
				 .max = READ_AHEAD_PAGES};
	struct page *page = filemap_find(p->file, p->index);
	struct mm_system *sys = p->file->sys;

	if (!page) {
		if (readahead_sync(&want))
			return no_memory(sys);
		kswapd_wake_if_low(sys);
		swap_complete(sys);
		return FILE_LOOK_AGAIN;
	}
	if (readahead_async(&want, page))
		return FILE_LOOK_AGAIN;
	if (page_has(page, PG_locked))
		return -EAGAIN;
	if (page_has(page, PG_error)) {
		filemap_remove(sys, page, 0); /* the next read tries again */
		return -EIO;
	}
	*ret_page = page;
	return 0;
}

static int read_piece(const struct piece *p)
{
	struct file_readahead *ra = &p->file->ra;
	struct mm_system *sys = p->file->sys;
	struct page *page = NULL;
	int err = FILE_LOOK_AGAIN;

	for (int i = 0; i < LOOKS_MAX && err == FILE_LOOK_AGAIN; i++)
		err = truncate_blocks_io(p->file) ? -EAGAIN : look_for_page(p, &page);
	if (err)
		return err == FILE_LOOK_AGAIN ? -EAGAIN : err;
	page->flags &= ~(uint32_t)PG_demand;
	if (p->index != ra->prev_index)
		sys->policy_ops->accessed(sys->policy, page);
	ra->prev_index = p->index;
	copy_piece(p, page, false);
	return 0;
}

/**
 * mm_file_read() - pread(2) of a cached file.
 * @file: from mm_file_open().
 * @buf: NULL: the content does not matter, as in a simulation.
 *
 * Return: bytes read, fewer than @len at the end of the file and where the rest is not here
 * yet; 0 at the end; -EAGAIN: nothing is here yet, call again after mm_config.wake; -EIO;
 * -ENOMEM.
 * Context: takes sys->lock; does not hold it over copies.
 */
int64_t mm_file_read(struct address_space *file, uint64_t offset, void *buf, uint64_t len)
{
	struct mm_system *sys = file->sys;
	uint64_t done = 0;
	int err = 0;

	sys_lock(sys);
	file->nr_pins++;
	while (done < len && offset + done < file->nr_bytes && !err) {
		uint64_t left = min_u64(len - done, file->nr_bytes - offset - done);
		struct piece p =
			piece_at(file, offset + done, left, buf ? (char *)buf + done : NULL);

		err = read_piece(&p);
		done += err ? 0 : p.bytes;
	}
	file->nr_pins--;
	if (err == -EAGAIN && done == 0)
		sys->has_waiters = true;
	sys_unlock(sys);
	return done > 0 ? (int64_t)done : err;
}

/* Nothing of the page has to be read: the write covers what the file has of it. */
static bool covers_page(const struct piece *p)
{
	uint64_t start = p->index << PAGE_SHIFT;

	if (start >= p->file->nr_bytes)
		return true;
	return p->within == 0 &&
	       (p->bytes == PAGE_SIZE || start + p->bytes >= p->file->nr_bytes);
}

/* A page with zeros, for a write that covers what there is. Unlocks. */
static int make_page(const struct piece *p)
{
	struct mm_system *sys = p->file->sys;
	struct page *page;

	if (filemap_add(p->file, p->index, PG_locked, &page))
		return no_memory(sys);
	sys_unlock(sys);
	memset(page_addr(sys, page), 0, PAGE_SIZE);
	sys_lock(sys);
	page->flags &= ~(uint32_t)PG_locked;
	sys_wake(sys);
	kswapd_wake_if_low(sys);
	return FILE_LOOK_AGAIN;
}

static int look_for_write(const struct piece *p, struct page **ret_page)
{
	struct page *page = filemap_find(p->file, p->index);
	struct mm_system *sys = p->file->sys;

	if (!page && covers_page(p))
		return make_page(p);
	if (!page) {
		if (readahead_range(p->file, p->index, 1))
			return no_memory(sys);
		kswapd_wake_if_low(sys);
		swap_complete(sys);
		return FILE_LOOK_AGAIN;
	}
	if (page_has(page, PG_locked | PG_writeback))
		return -EAGAIN;
	if (page_has(page, PG_error)) {
		filemap_remove(sys, page, 0);
		return -EIO;
	}
	*ret_page = page;
	return 0;
}

/* What lies between the old end and the write becomes zero. Unlocks. */
static int zero_old_tail(const struct piece *p)
{
	uint64_t size = p->file->nr_bytes;

	if ((p->index << PAGE_SHIFT) + p->within <= size)
		return 0;
	return truncate_zero_tail(p->file, size);
}

static int write_piece(const struct piece *p)
{
	uint64_t end = (p->index << PAGE_SHIFT) + p->within + p->bytes;
	struct mm_system *sys = p->file->sys;
	struct page *page = NULL;
	int err = FILE_LOOK_AGAIN;

	if (writeback_must_wait(sys))
		return -EAGAIN;
	for (int i = 0; i < LOOKS_MAX && err == FILE_LOOK_AGAIN; i++) {
		if (truncate_blocks_io(p->file) || zero_old_tail(p))
			return -EAGAIN;
		err = look_for_write(p, &page);
	}
	if (err)
		return err == FILE_LOOK_AGAIN ? -EAGAIN : err;
	page->flags &= ~(uint32_t)PG_demand;
	filemap_mark_dirty(sys, page);
	if (p->file->nr_bytes < end)
		p->file->nr_bytes = end;
	copy_piece(p, page, true);
	return 0;
}

/**
 * mm_file_write() - pwrite(2) of a cached file.
 * @file: from mm_file_open(); it grows where the write goes beyond its end.
 * @buf: NULL: the content does not matter, as in a simulation.
 *
 * Return: bytes written, fewer than @len where the rest has to wait; -EAGAIN: nothing could be
 * written now, call again after mm_config.wake; -EFBIG; -EIO; -ENOMEM.
 * Context: takes sys->lock; does not hold it over copies.
 */
int64_t mm_file_write(struct address_space *file, uint64_t offset, const void *buf,
		      uint64_t len)
{
	struct mm_system *sys = file->sys;
	uint64_t done = 0;
	int err = 0;

	if (len > INT64_MAX || offset > INT64_MAX - len)
		return -EFBIG;
	sys_lock(sys);
	file->nr_pins++;
	while (done < len && !err) {
		struct piece p = piece_at(file, offset + done, len - done,
					  buf ? (char *)(uintptr_t)buf + done : NULL);

		err = write_piece(&p);
		done += err ? 0 : p.bytes;
	}
	file->nr_pins--;
	if (err == -EAGAIN && done == 0)
		sys->has_waiters = true;
	sys_unlock(sys);
	return done > 0 ? (int64_t)done : err;
}

/**
 * mm_file_open() - a file for mm_map_file(), mm_file_read() and so on.
 * @dev: it must outlive the file's use; one file a device.
 *
 * Return: 0, or -ENOMEM; -EAGAIN where memory may be had later.
 * Context: takes sys->lock.
 */
int mm_file_open(struct mm_system *sys, struct filedev *dev, struct address_space **ret_file)
{
	int err;

	sys_lock(sys);
	err = filemap_create(sys, dev, dev->nr_bytes, ret_file);
	if (err)
		err = no_memory(sys);
	else
		(*ret_file)->is_open = true;
	sys_unlock(sys);
	return err;
}

/**
 * mm_file_close() - the file is not used any more.
 *
 * What is cached is dropped. Who wants dirty pages in the file syncs before.
 *
 * Return: 0; -EBUSY: an area maps it; -EAGAIN: I/O is in flight, call again after
 * mm_config.wake; then the file is still open.
 * Context: takes sys->lock.
 */
int mm_file_close(struct address_space *file)
{
	struct mm_system *sys = file->sys;
	int err = 0;

	sys_lock(sys);
	filemap_complete(sys);
	if (!list_is_empty(&file->i_mmap))
		err = -EBUSY;
	else if (file->nr_io > 0 || file->nr_pins > 0 || sys->files.nr_pins > 0)
		err = -EAGAIN;
	if (err == -EAGAIN)
		sys->has_waiters = true;
	if (!err) {
		file->is_open = false;
		sys->files.has_unused = true;
		filemap_reap(sys);
	}
	sys_unlock(sys);
	return err;
}

/**
 * mm_file_size() - the file's size in bytes.
 *
 * Context: takes sys->lock.
 */
uint64_t mm_file_size(struct address_space *file)
{
	uint64_t size;

	sys_lock(file->sys);
	size = file->nr_bytes;
	sys_unlock(file->sys);
	return size;
}
