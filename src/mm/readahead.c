/* SPDX-License-Identifier: MIT */
/*
 * Which pages of a file are read together: Linux's ondemand readahead (mm/readahead.c of 6.1).
 *
 * A window of pages is read; in it one page carries a mark (PG_readahead), and when that page
 * is reached the next window is read, while the reader still has the rest of this one.
 *
 *	|<----- async_size ---------|
 *	|------------------- size -------------------->|
 *	|==================#===========================|
 *	^start             ^the page with the mark
 *
 * A first read gets a window of 4 or 2 times what it asks for; each following one is 4 times
 * the last (while that is below a 16th of the largest) or 2 times, up to the largest, which is
 * 128 KiB unless MADV_SEQUENTIAL or the caller say otherwise. A read that follows no other is
 * read as it is, unless the cache shows that somebody came this way (try_context_readahead()).
 *
 * A fault on a mapped page that is not cached reads the pages around it, until such faults have
 * missed a hundred times more often than found what they wanted (do_sync_mmap_readahead() of
 * mm/filemap.c).
 *
 * All answer 0, or -ENOMEM where there was no frame for the page that is wanted itself.
 */
#include "base/assert.h"
#include "base/checked.h"
#include "mm/filemap.h"
#include "mm/system.h"
#include "mm/vma.h"

#define READ_AHEAD_PAGES 32  /* read_ahead_kb, 128 */
#define MMAP_MISSES_MAX	 100 /* MMAP_LOTSAMISS */

static uint32_t roundup_pow2(uint64_t n)
{
	uint32_t power = 1;

	while (power < n && power < 1u << 31)
		power <<= 1;
	return power;
}

/* get_init_ra_size() */
static uint32_t first_size(uint64_t wanted, uint32_t max)
{
	uint32_t size = roundup_pow2(wanted);

	if (size <= max / 32)
		return size * 4;
	if (size <= max / 4)
		return size * 2;
	return max;
}

/* get_next_ra_size() */
static uint32_t next_size(const struct file_readahead *ra, uint32_t max)
{
	if (ra->size < max / 16)
		return ra->size * 4;
	if (ra->size <= max / 2)
		return ra->size * 2;
	return max;
}

struct window {
	uint64_t start, end; /* pages */
	uint64_t mark;	     /* the page that gets the mark; UINT64_MAX: none */
	uint64_t demand;     /* the page that somebody waits for; UINT64_MAX: none */
};

/* Makes the pages of the window that are not there, and reads them, a batch at a time. */
static int read_window(struct address_space *mapping, const struct window *w)
{
	struct page *pages[FILEMAP_IO_MAX];
	unsigned int nr = 0;
	int err = 0;

	for (uint64_t i = w->start; i < min_u64(w->end, mapping_nr_pages(mapping)) && !err;
	     i++) {
		uint32_t flags =
			(i == w->mark ? PG_readahead : 0) | (i == w->demand ? PG_demand : 0);

		if (filemap_find(mapping, i))
			continue;
		err = filemap_add(mapping, i, flags | PG_locked, &pages[nr]);
		nr += !err;
		if (nr < FILEMAP_IO_MAX)
			continue;
		filemap_read_pages(mapping, pages, nr);
		nr = 0;
		if (truncate_blocks_io(mapping))
			break;
	}
	filemap_read_pages(mapping, pages, nr);
	/* Memory that runs out behind the wanted page is no matter. */
	return w->demand == UINT64_MAX || filemap_find(mapping, w->demand) ? 0 : err;
}

/* do_page_cache_ra(): a window inside the file, its mark async pages before its end. */
static int read_pages(const struct readahead *want, uint64_t start, uint64_t nr, uint64_t async)
{
	uint64_t end = min_u64(start + nr, mapping_nr_pages(want->mapping));
	struct window w = {.start = start,
			   .end = end,
			   .mark = async > 0 && async <= nr ? start + nr - async : UINT64_MAX,
			   .demand = want->index};

	if (start >= end || truncate_blocks_io(want->mapping))
		return 0;
	return read_window(want->mapping, &w);
}

static bool is_cached(const struct address_space *mapping, uint64_t index)
{
	return filemap_find(mapping, index) != NULL;
}

/* page_cache_next_miss(): the first page from index on that is not there, at most max on. */
static uint64_t next_miss(const struct address_space *mapping, uint64_t index, uint32_t max)
{
	uint64_t end = index + max;

	while (index < end && is_cached(mapping, index))
		index++;
	return index;
}

/* count_history_pages(): how many cached pages lie right before index, at most max. */
static uint64_t history(const struct address_space *mapping, uint64_t index, uint32_t max)
{
	uint64_t nr = 0;

	while (nr < max && nr < index && is_cached(mapping, index - 1 - nr))
		nr++;
	return nr;
}

/* try_context_readahead() */
static bool follows_a_stream(const struct readahead *want, struct file_readahead *ra)
{
	uint64_t size = history(want->mapping, want->index, want->max);

	if (size <= want->nr)
		return false;
	if (size >= want->index)
		size *= 2; /* from the file's start: it will go on for long */
	ra->start = want->index;
	ra->size = (uint32_t)min_u64(size + want->nr, want->max);
	ra->async_size = 1;
	return true;
}

static void begin_window(const struct readahead *want, struct file_readahead *ra)
{
	ra->start = want->index;
	ra->size = first_size(want->nr, want->max);
	ra->async_size = ra->size > want->nr ? ra->size - (uint32_t)want->nr : ra->size;
}

static void next_window(struct file_readahead *ra, uint32_t max)
{
	ra->start += ra->size;
	ra->size = next_size(ra, max);
	ra->async_size = ra->size;
}

/* A mark whose window is not known any more (another reader came in between). */
static bool window_from_mark(const struct readahead *want, struct file_readahead *ra)
{
	uint64_t start = next_miss(want->mapping, want->index + 1, want->max);

	if (start - want->index > want->max)
		return false;
	ra->start = start;
	ra->size = (uint32_t)(start - want->index + want->nr);
	ra->size = next_size(ra, want->max);
	ra->async_size = ra->size;
	return true;
}

/* Return: false: read as it is, and remember nothing. */
static bool choose_window(const struct readahead *want, struct file_readahead *ra,
			  bool is_marked)
{
	uint64_t expected = ra->start + ra->size - ra->async_size;

	if (want->index == 0) {
		begin_window(want, ra);
		return true;
	}
	if (want->index == expected || want->index == ra->start + ra->size) {
		next_window(ra, want->max);
		return true;
	}
	if (is_marked)
		return window_from_mark(want, ra);
	if (want->nr > want->max || want->index - ra->prev_index <= 1) {
		begin_window(want, ra);
		return true;
	}
	return follows_a_stream(want, ra);
}

/* This read meets its own mark at once: what that would read is read along. */
static void merge_own_mark(const struct readahead *want, struct file_readahead *ra)
{
	uint32_t more = next_size(ra, want->max);

	if (want->index != ra->start || ra->size != ra->async_size)
		return;
	if (ra->size + more <= want->max) {
		ra->async_size = more;
		ra->size += more;
	} else {
		ra->size = want->max;
		ra->async_size = want->max >> 1;
	}
}

/* ondemand_readahead() */
static int ondemand(const struct readahead *want, bool is_marked)
{
	struct file_readahead *ra = &want->mapping->ra;

	if (!choose_window(want, ra, is_marked))
		return is_marked ? 0 : read_pages(want, want->index, want->nr, 0);
	merge_own_mark(want, ra);
	return read_pages(want, ra->start, ra->size, ra->async_size);
}

/**
 * readahead_sync() - a page that is wanted is not cached.
 *
 * Return: 0: it is being read, or the file has no such page; -ENOMEM.
 * Context: sys->lock held, dropped and retaken.
 */
int readahead_sync(const struct readahead *want)
{
	return ondemand(want, false);
}

/**
 * readahead_async() - a page is reached that is cached.
 * @page: that page; if it has the mark, that is taken off.
 *
 * Return: true if it had the mark, and more is being read; @page may be gone then.
 * Context: sys->lock held, dropped and retaken where it returns true.
 */
bool readahead_async(const struct readahead *want, struct page *page)
{
	if (!page_has(page, PG_readahead) || page_has(page, PG_writeback))
		return false;
	page->flags &= ~(uint32_t)PG_readahead;
	ondemand(want, true);
	return true;
}

/**
 * readahead_range() - read pages as they are (MADV_WILLNEED).
 *
 * Context: sys->lock held, dropped and retaken.
 */
int readahead_range(struct address_space *mapping, uint64_t index, uint64_t nr)
{
	struct window w = {.start = index,
			   .end = min_u64(index + nr, mapping_nr_pages(mapping)),
			   .mark = UINT64_MAX,
			   .demand = UINT64_MAX};

	if (w.start >= w.end || truncate_blocks_io(mapping))
		return 0;
	return read_window(mapping, &w);
}

/**
 * readahead_mmap() - a fault found its page not cached.
 * @vma_flags: of the area.
 *
 * Return, Context: as readahead_sync().
 */
int readahead_mmap(struct address_space *mapping, uint64_t index, uint32_t vma_flags)
{
	struct readahead want = {
		.mapping = mapping, .index = index, .nr = 1, .max = READ_AHEAD_PAGES};
	struct file_readahead *ra = &mapping->ra;

	if (vma_flags & VMA_RAND_READ)
		return read_pages(&want, index, 1, 0);
	if (vma_flags & VMA_SEQ_READ) {
		want.nr = READ_AHEAD_PAGES;
		return readahead_sync(&want);
	}
	if (ra->mmap_miss < MMAP_MISSES_MAX * 10)
		ra->mmap_miss++;
	if (ra->mmap_miss > MMAP_MISSES_MAX)
		return read_pages(&want, index, 1, 0);
	ra->start = index > READ_AHEAD_PAGES / 2 ? index - READ_AHEAD_PAGES / 2 : 0;
	ra->size = READ_AHEAD_PAGES;
	ra->async_size = READ_AHEAD_PAGES / 4;
	return read_pages(&want, ra->start, ra->size, ra->async_size);
}

/**
 * readahead_mmap_hit() - a fault found its page cached.
 *
 * Return, Context: as readahead_async().
 */
bool readahead_mmap_hit(struct address_space *mapping, struct page *page, uint32_t vma_flags)
{
	struct readahead want = {.mapping = mapping,
				 .index = page->index,
				 .nr = READ_AHEAD_PAGES,
				 .max = READ_AHEAD_PAGES};

	/* The fault that read it comes back for it: Linux's FAULT_FLAG_TRIED. */
	if (vma_flags & VMA_RAND_READ || page_has(page, PG_demand))
		return false;
	if (readahead_async(&want, page))
		return true; /* and comes back */
	if (mapping->ra.mmap_miss > 0)
		mapping->ra.mmap_miss--;
	return false;
}
