/* SPDX-License-Identifier: MIT */
/*
 * Pages on their way to and from files.
 *
 * A page that is read is PG_locked until its content is there. One that is written is
 * PG_writeback until the device has it, and no writable translation reaches it meanwhile, so
 * its content stands still; reading it goes on. Both hold a reference and stay in the tree.
 *
 * A read that fails leaves PG_error for the fault that wanted it, and goes if nobody did. A
 * write that fails leaves the page dirty: the file's content is in RAM and nowhere else, so it
 * is kept and written again later, where Linux would call it clean. The error is told once, to
 * the next sync (writeback.c).
 */
#include "base/assert.h"
#include "mm/filemap.h"
#include "mm/reclaim.h"

#define COOKIE_NO_PAGE UINT64_MAX

static void read_end(struct mm_system *sys, struct page *page, int err)
{
	page->flags &= ~(uint32_t)PG_locked;
	if (!err) {
		STAT(sys, pgpgin, PAGE_SIZE / 1024);
		return;
	}
	if (err != -EAGAIN)
		STAT(sys, file_read_errors, 1);
	if (err == -EAGAIN || !page_has(page, PG_demand))
		filemap_remove(sys, page, 0);
	else
		page->flags |= PG_error;
}

static void write_failed(struct mm_system *sys, struct page *page, int err)
{
	filemap_mark_dirty(sys, page);
	if (err == -EAGAIN) { /* the device's queue was full */
		if (page->mapping->sync_begun > page->mapping->sync_ended)
			radix_mark(&page->mapping->tree, page->index, FILEMAP_TOWRITE);
		return;
	}
	STAT(sys, file_write_errors, 1);
	if (!page->mapping->wb_err)
		page->mapping->wb_err = err;
}

static void write_end(struct mm_system *sys, struct page *page, int err)
{
	struct address_space *mapping = page->mapping;
	bool is_wanted_free = page_has(page, PG_reclaim);

	page->flags &= ~(uint32_t)(PG_writeback | PG_reclaim);
	radix_unmark(&mapping->tree, page->index, FILEMAP_WRITEBACK);
	mapping->nr_writeback--;
	sys->files.nr_writeback--;
	STAT(sys, nr_writeback, -1);
	if (err) {
		write_failed(sys, page, err);
		return;
	}
	STAT(sys, nr_written, 1);
	STAT(sys, pgpgout, PAGE_SIZE / 1024);
	if (is_wanted_free && page_has(page, PG_lru) && !page_has(page, PG_dirty))
		sys->policy_ops->deactivate(sys->policy, page); /* folio_rotate_reclaimable() */
}

static void other_end(struct address_space *mapping, const struct filedev_io *io)
{
	if (io->op == FILEDEV_TRUNCATE) {
		truncate_device_done(mapping, io->err);
		return;
	}
	mapping->is_sync_at_device = false;
	if (io->err == -EAGAIN)
		return; /* the pass asks again */
	mapping->sync_ended = mapping->sync_begun;
	if (io->err && !mapping->wb_err)
		mapping->wb_err = io->err;
}

static void io_end(struct address_space *mapping, const struct filedev_io *io)
{
	struct mm_system *sys = mapping->sys;
	struct page *page;

	MM_ASSERT(mapping->nr_io > 0 && sys->nr_io > 0);
	mapping->nr_io--;
	sys->nr_io--;
	if (io->cookie == COOKIE_NO_PAGE) {
		other_end(mapping, io);
		return;
	}
	page = page_of(sys, (pfn_t)io->cookie);
	page->refs--;
	if (io->op == FILEDEV_WRITE)
		write_end(sys, page, io->err);
	else
		read_end(sys, page, io->err);
}

static void io_begin(struct address_space *mapping, struct page *page, bool is_write)
{
	struct mm_system *sys = mapping->sys;

	mapping->nr_io++;
	sys->nr_io++;
	page->refs++;
	if (!is_write) {
		page->flags |= PG_locked;
		return;
	}
	filemap_clear_dirty(sys, page);
	page->flags |= PG_writeback;
	radix_mark(&mapping->tree, page->index, FILEMAP_WRITEBACK);
	mapping->nr_writeback++;
	sys->files.nr_writeback++;
	STAT(sys, nr_writeback, 1);
}

/* All have begun. Unlocks. */
static void submit(struct address_space *mapping, struct filedev_io *ios, unsigned int nr)
{
	struct mm_system *sys = mapping->sys;
	unsigned int nr_taken;

	mapping->nr_pins++;
	sys_unlock(sys);
	nr_taken = mapping->dev->ops->submit(mapping->dev, ios, nr);
	sys_lock(sys);
	mapping->nr_pins--;
	for (unsigned int i = nr_taken; i < nr; i++) {
		ios[i].err = -EAGAIN;
		io_end(mapping, &ios[i]);
	}
	sys_wake(sys);
}

static uint32_t bytes_of_page(const struct address_space *mapping, const struct page *page)
{
	uint64_t offset = page->index << PAGE_SHIFT;

	MM_ASSERT(offset < mapping->nr_bytes);
	return mapping->nr_bytes - offset < PAGE_SIZE ? (uint32_t)(mapping->nr_bytes - offset)
						      : (uint32_t)PAGE_SIZE;
}

static void submit_pages(struct address_space *mapping, struct page **pages, unsigned int nr,
			 bool is_write)
{
	struct filedev_io ios[FILEMAP_IO_MAX];

	MM_ASSERT(nr <= FILEMAP_IO_MAX);
	if (nr == 0)
		return;
	for (unsigned int i = 0; i < nr; i++) {
		io_begin(mapping, pages[i], is_write);
		ios[i] = (struct filedev_io){
			.op = is_write ? FILEDEV_WRITE : FILEDEV_READ,
			.bytes = is_write ? bytes_of_page(mapping, pages[i]) : 0,
			.offset = pages[i]->index << PAGE_SHIFT,
			.page = page_addr(mapping->sys, pages[i]),
			.cookie = page_pfn(mapping->sys, pages[i]),
		};
	}
	submit(mapping, ios, nr);
}

/**
 * filemap_read_pages() - start filling pages from the file.
 * @pages: in the tree, new; ascending; at most FILEMAP_IO_MAX.
 *
 * Context: sys->lock held, dropped and retaken.
 */
void filemap_read_pages(struct address_space *mapping, struct page **pages, unsigned int nr)
{
	submit_pages(mapping, pages, nr, false);
}

/**
 * filemap_write_pages() - start writing pages to the file.
 * @pages: dirty, not busy, with no writable translation; ascending; at most FILEMAP_IO_MAX.
 *
 * Context: sys->lock held, dropped and retaken.
 */
void filemap_write_pages(struct address_space *mapping, struct page **pages, unsigned int nr)
{
	submit_pages(mapping, pages, nr, true);
}

/**
 * filemap_submit_other() - start a sync or a truncation.
 * @offset: for a truncation: the size.
 *
 * What it comes to is told by truncate_device_done() or the count of syncs.
 *
 * Context: sys->lock held, dropped and retaken.
 */
void filemap_submit_other(struct address_space *mapping, enum filedev_op op, uint64_t offset)
{
	struct filedev_io io = {.op = op, .offset = offset, .cookie = COOKIE_NO_PAGE};

	mapping->nr_io++;
	mapping->sys->nr_io++;
	submit(mapping, &io, 1);
}

/* Unlocks. */
static unsigned int complete_mapping(struct address_space *mapping)
{
	struct filedev_io done[FILEMAP_IO_MAX];
	struct mm_system *sys = mapping->sys;
	unsigned int nr, total = 0;

	do {
		sys_unlock(sys);
		nr = mapping->dev->ops->poll(mapping->dev, done, FILEMAP_IO_MAX);
		sys_lock(sys);
		for (unsigned int i = 0; i < nr; i++)
			io_end(mapping, &done[i]);
		total += nr;
	} while (nr == FILEMAP_IO_MAX);
	return total;
}

/**
 * filemap_complete() - take in the I/O of files that has ended.
 *
 * Return: how many I/Os.
 * Context: sys->lock held, dropped and retaken.
 */
unsigned int filemap_complete(struct mm_system *sys)
{
	struct address_space *mapping;
	unsigned int total = 0;

	sys->files.nr_pins++; /* no mapping leaves the list */
	list_for_each_entry (mapping, &sys->files.mappings, node)
		if (mapping->nr_io > 0)
			total += complete_mapping(mapping);
	sys->files.nr_pins--;
	return total;
}
