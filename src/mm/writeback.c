/* SPDX-License-Identifier: MIT */
/*
 * Dirty pages on their way back to their files.
 *
 * The flusher runs in mm_step(). It writes
 *   - what a sync waits for;
 *   - while more than vm.dirty_background_ratio percent of what could be dirty is, whatever is;
 *   - every vm.dirty_writeback_centisecs the files that have been dirty for longer than
 *     vm.dirty_expire_centisecs;
 *   - everything, when reclaim meets nothing but dirty pages.
 * (Linux: fs/fs-writeback.c and mm/page-writeback.c. The age is the file's, as there.) What
 * could be dirty is free memory above the watermarks and the pages of files
 * (global_dirtyable_memory()). Above vm.dirty_ratio whoever makes a page dirty waits while
 * writes are in flight.
 *
 * A page is written in three steps. It is pinned by a reference; the right to write is taken
 * from its translations; if it is still dirty and nobody got that right back meanwhile, it is
 * marked clean and under writeback in one go, and submitted. A write that comes later is a
 * fault, which waits for the end of this one.
 *
 * A sync is a pass over one file: all pages that are dirty when it begins are marked
 * (FILEMAP_TOWRITE), each leaves the mark when it is written, and when none has it and no write
 * is in flight the device is told to sync. Whoever asks while a pass runs waits for the next
 * one, since this one may not have his pages. A write error is told to the first sync that
 * ends after it, once. Meanwhile the flusher leaves the file alone, so that a pass ends.
 */
#include "base/assert.h"
#include "base/checked.h"
#include "mm/filemap.h"
#include "mm/mmap.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"

#define IN_FLIGHT_MAX 256 /* writes of one file at a time */
#define MSYNC_FLAGS   (MM_MS_ASYNC | MM_MS_INVALIDATE | MM_MS_SYNC)

static uint64_t dirtyable_pages(const struct mm_system *sys)
{
	uint64_t free = zones_free_pages(sys), reserve = zones_watermark(sys, WMARK_HIGH);
	uint64_t nr[4];

	sys->policy_ops->count(sys->policy, nr);
	return (free > reserve ? free - reserve : 0) + nr[2] + nr[3];
}

static uint64_t dirty_limit(const struct mm_system *sys)
{
	return dirtyable_pages(sys) * (uint64_t)sys->tune.dirty_ratio / 100;
}

/* domain_dirty_limits(): the background limit stays below the other. */
static uint64_t background_limit(const struct mm_system *sys)
{
	uint64_t limit =
		dirtyable_pages(sys) * (uint64_t)sys->tune.dirty_background_ratio / 100;
	uint64_t hard = dirty_limit(sys);

	return limit < hard ? limit : hard / 2;
}

static bool is_over_background(const struct mm_system *sys)
{
	return sys->files.nr_dirty > background_limit(sys);
}

static void wake_flusher(struct mm_system *sys)
{
	if (sys->cfg.wake_kswapd)
		sys->cfg.wake_kswapd(sys->cfg.arg);
}

/**
 * writeback_must_wait() - there is too much dirty for one page more.
 *
 * Return: true while writes are in flight whose end helps.
 * Context: sys->lock held.
 */
bool writeback_must_wait(struct mm_system *sys)
{
	if (sys->files.nr_dirty + sys->files.nr_writeback <= background_limit(sys))
		return false;
	wake_flusher(sys);
	if (sys->files.nr_dirty + sys->files.nr_writeback <= dirty_limit(sys))
		return false;
	sys->files.is_flush_wanted = true;
	return sys->files.nr_writeback > 0;
}

static bool page_is_writable_now(const struct page *page, const struct address_space *mapping)
{
	return page->mapping == mapping && page_has(page, PG_dirty) &&
	       !page_has(page, PG_locked | PG_writeback);
}

/* The next pages with the mark, from where the last ones ended; pinned. */
static unsigned int collect(struct address_space *mapping, enum filemap_mark mark,
			    unsigned int nr_max, struct page **pages)
{
	uint64_t index = mapping->writeback_next, value;
	unsigned int nr = 0;

	for (; nr < nr_max &&
	       (value = radix_next_marked(&mapping->tree, &index, UINT64_MAX, mark));
	     index++) {
		struct page *page = filemap_value_page(value);

		if (!page_is_writable_now(page, mapping))
			continue;
		page->refs++;
		pages[nr++] = page;
	}
	mapping->writeback_next = nr == nr_max ? index : 0;
	return nr;
}

static bool entry_is_not_writable(const struct rmap_entry *at, void *arg)
{
	(void)arg;
	return !(pte_is_present(*at->pte) && *at->pte & PTE_WRITE);
}

/* Unpins, and keeps those that can be written now. */
static unsigned int keep_clean(struct address_space *mapping, struct page **pages,
			       unsigned int nr)
{
	struct mm_system *sys = mapping->sys;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < nr; i++) {
		pages[i]->refs--;
		if (page_is_writable_now(pages[i], mapping) && !truncate_blocks_io(mapping) &&
		    rmap_walk(sys, pages[i], entry_is_not_writable, NULL))
			pages[kept++] = pages[i];
		else
			filemap_put(sys, pages[i]);
	}
	return kept;
}

/**
 * writeback_pages() - start writing one batch of a file.
 * @mark: which pages.
 * @nr_max: at most so many, and FILEMAP_IO_MAX.
 *
 * Return: how many were started.
 * Context: sys->lock held, dropped and retaken.
 */
unsigned int writeback_pages(struct address_space *mapping, enum filemap_mark mark,
			     unsigned int nr_max)
{
	struct mapper_scan scan = {.sys = mapping->sys, .only_writes = true};
	struct page *pages[FILEMAP_IO_MAX];
	bool had[FILEMAP_IO_MAX] = {false};
	unsigned int nr;

	if (truncate_blocks_io(mapping) || mapping->nr_writeback >= IN_FLIGHT_MAX)
		return 0;
	nr_max = nr_max < FILEMAP_IO_MAX ? nr_max : FILEMAP_IO_MAX;
	nr = collect(mapping, mark, nr_max, pages);
	if (nr == 0)
		nr = collect(mapping, mark, nr_max, pages); /* from the start */
	if (nr == 0)
		return 0;
	mapping->nr_pins++;
	mappers_idle(&scan, pages, nr, had);
	mapping->nr_pins--;
	nr = keep_clean(mapping, pages, nr);
	filemap_write_pages(mapping, pages, nr);
	return nr;
}

static bool sync_is_running(const struct address_space *mapping)
{
	return mapping->sync_begun > mapping->sync_ended;
}

static void sync_begin(struct address_space *mapping)
{
	uint64_t index = 0;

	mapping->sync_begun++;
	for (; radix_next_marked(&mapping->tree, &index, UINT64_MAX, FILEMAP_DIRTY); index++)
		radix_mark(&mapping->tree, index, FILEMAP_TOWRITE);
}

/* What a pass can do now. Unlocks. */
static void sync_advance(struct address_space *mapping)
{
	if (!sync_is_running(mapping) || mapping->is_sync_at_device)
		return;
	while (writeback_pages(mapping, FILEMAP_TOWRITE, FILEMAP_IO_MAX) > 0)
		;
	if (radix_has_mark(&mapping->tree, FILEMAP_TOWRITE) || mapping->nr_writeback > 0)
		return;
	if (truncate_blocks_io(mapping) || !sync_is_running(mapping) ||
	    mapping->is_sync_at_device)
		return;
	mapping->is_sync_at_device = true;
	filemap_submit_other(mapping, FILEDEV_SYNC, 0);
}

/* Writes of one file until enough is on its way. Unlocks. */
static void flush_mapping(struct address_space *mapping)
{
	struct mm_system *sys = mapping->sys;
	unsigned int nr = 1;

	if (sync_is_running(mapping))
		return;
	while (nr > 0 && (mapping->flush_left > 0 || is_over_background(sys))) {
		nr = writeback_pages(mapping, FILEMAP_DIRTY, FILEMAP_IO_MAX);
		mapping->flush_left -= min_u64(nr, mapping->flush_left);
	}
}

/* wb_check_old_data_flush() */
static void find_old(struct mm_system *sys)
{
	uint64_t expire = (uint64_t)sys->tune.dirty_expire_centisecs * NS_PER_CENTISEC;
	struct address_space *mapping;

	sys->files.flush_due_ns =
		sys->now_ns + (uint64_t)sys->tune.dirty_writeback_centisecs * NS_PER_CENTISEC;
	list_for_each_entry (mapping, &sys->files.mappings, node) {
		if (mapping->nr_dirty == 0 || sys->now_ns - mapping->dirtied_ns < expire)
			continue;
		mapping->flush_left = mapping->nr_dirty;
		mapping->dirtied_ns = sys->now_ns;
	}
}

static void want_all(struct mm_system *sys)
{
	struct address_space *mapping;

	sys->files.is_flush_wanted = false;
	list_for_each_entry (mapping, &sys->files.mappings, node)
		mapping->flush_left = mapping->nr_dirty;
}

/**
 * flusher_run() - write what is due.
 *
 * Return: nanoseconds until the next look is due; UINT64_MAX: nothing is dirty.
 * Context: sys->lock held, dropped and retaken.
 */
uint64_t flusher_run(struct mm_system *sys)
{
	struct filemap_state *files = &sys->files;
	struct address_space *mapping;

	if (list_is_empty(&files->mappings))
		return UINT64_MAX;
	if (files->is_flush_wanted)
		want_all(sys);
	if (files->nr_dirty > 0 && sys->tune.dirty_writeback_centisecs > 0 &&
	    sys->now_ns >= files->flush_due_ns)
		find_old(sys);
	files->nr_pins++;
	list_for_each_entry (mapping, &files->mappings, node) {
		sync_advance(mapping);
		flush_mapping(mapping);
	}
	files->nr_pins--;
	filemap_reap(sys);
	if (files->nr_dirty == 0 || sys->tune.dirty_writeback_centisecs == 0)
		return UINT64_MAX;
	return files->flush_due_ns > sys->now_ns ? files->flush_due_ns - sys->now_ns : 0;
}

/**
 * flusher_start() - reclaim needs what is dirty written.
 *
 * Context: sys->lock held, dropped and retaken.
 */
void flusher_start(struct mm_system *sys)
{
	sys->files.is_flush_wanted = true;
	flusher_run(sys);
}

/* Return: -EAGAIN, or what the pass has come to. Unlocks. */
static int fsync_locked(struct address_space *file, uint64_t *ticket)
{
	int err;

	if (!file->dev)
		return 0;
	if (*ticket == 0)
		*ticket = file->sync_begun + 1;
	if (!sync_is_running(file) && file->sync_begun < *ticket)
		sync_begin(file);
	file->nr_pins++;
	sync_advance(file);
	filemap_complete(file->sys);
	file->nr_pins--;
	if (file->sync_ended < *ticket) {
		file->sys->has_waiters = true;
		return -EAGAIN;
	}
	*ticket = 0;
	err = file->wb_err;
	file->wb_err = 0;
	return err;
}

/**
 * mm_fsync() - fsync(2): what is dirty now is on stable storage when it returns 0.
 * @file: from mm_file_open().
 * @ticket: 0 at the first call; kept by the caller while the answer is -EAGAIN.
 *
 * Return: 0; -EAGAIN: call again after mm_config.wake; -EIO, -ENOSPC and so on: a write or the
 * sync failed since the last time somebody was told. What was not written stays dirty, and is
 * tried again later.
 * Context: takes sys->lock.
 */
int mm_fsync(struct address_space *file, uint64_t *ticket)
{
	struct mm_system *sys = file->sys;
	int err;

	sys_lock(sys);
	err = fsync_locked(file, ticket);
	sys_unlock(sys);
	return err;
}

/* The first area from at on that a sync has to do with; *has_hole as msync(2) tells it. */
static struct vma *next_shared(struct mm *mm, vaddr_t *at, vaddr_t end, bool *has_hole)
{
	struct vma *vma = vma_find_first(mm, *at);

	for (; vma && vma->start < end; vma = vma_next(vma)) {
		*has_hole |= vma->start > *at;
		*at = max_u64(*at, vma->start);
		if (vma->mapping && vma->mapping->dev && vma->flags & VMA_SHARED)
			return vma;
		*at = min_u64(vma->end, end);
	}
	*has_hole |= *at < end;
	*at = end;
	return NULL;
}

/* File by file. Unlocks. */
static int msync_locked(struct mm *mm, vaddr_t end, int flags, struct mm_msync *state)
{
	struct vma *vma;

	while ((vma = next_shared(mm, &state->at, end, &state->has_hole))) {
		vaddr_t vma_end = min_u64(vma->end, end);
		int err = flags & MM_MS_SYNC ? fsync_locked(vma->mapping, &state->ticket) : 0;

		if (err)
			return err;
		state->at = vma_end;
	}
	return state->has_hole ? -ENOMEM : 0;
}

/**
 * mm_msync() - msync(2).
 * @addr: page aligned.
 * @len: bytes; rounded up to pages.
 * @flags: MM_MS_*. With MM_MS_ASYNC nothing is started, as in Linux since 2.6.19: what is dirty
 *         is known, and the flusher comes.
 * @state: zeroed before the first call; kept by the caller while the answer is -EAGAIN.
 *
 * Return: 0; -EINVAL as Linux; -ENOMEM where the range has a hole (the rest is done); -EAGAIN:
 * call again after mm_config.wake; otherwise as mm_fsync().
 * Context: takes sys->lock; does not lock mm, whose areas may change between two calls.
 */
int mm_msync(struct mm *mm, vaddr_t addr, uint64_t len, int flags, struct mm_msync *state)
{
	uint64_t aligned, end;
	int err;

	if (flags & ~MSYNC_FLAGS || addr & ~PAGE_MASK ||
	    (flags & (MM_MS_ASYNC | MM_MS_SYNC)) == (MM_MS_ASYNC | MM_MS_SYNC))
		return -EINVAL;
	if (!checked_align_up(len, PAGE_SIZE, &aligned) || !checked_add(addr, aligned, &end))
		return -ENOMEM;
	if (aligned == 0)
		return 0;
	if (state->at < addr)
		state->at = addr;
	sys_lock(mm->sys);
	err = msync_locked(mm, end, flags, state);
	sys_unlock(mm->sys);
	return err;
}
