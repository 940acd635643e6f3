/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: the policy says which frames, this file makes them free.
 *
 * harvest() tells the policy which frames were used (mm/unmap.c).
 *
 * evict() takes frames that were not used. What has a good copy in swap, or is lazily freed and
 * clean, is freed at once; the rest gets a slot and is written, and its frame is free when the
 * write ends. Frames of an mm that is write-locked are left alone.
 *
 * Both drop sys->lock for the machine and the devices. Meanwhile the frames are isolated, the
 * mms they belong to are read-locked, and those whose translation changes are PG_locked.
 */
#include "base/assert.h"
#include "mm/huge.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"
#include "mm/slab.h"

/* A pass over everything that frees nothing is repeated so often before the last word. */
#define LAST_ROUNDS 3

/* So often a call that needs memory is told to come back, before there is none. */
#define STARVED_MAX 256

#define REFUSED_ROUNDS_MAX 16

/*
 * With so many frames on their way whoever needs one waits for those: more writes would only
 * queue up behind them, and throw out pages that need not go.
 */
#define CULLED_MAX (sizeof(((struct mapper_scan *)0)->culled) / sizeof(pfn_t))

#define IN_FLIGHT_ENOUGH (2 * POLICY_BATCH)

static void harvest(void *arg, struct page **pages, unsigned int nr, const bool *may_leave,
		    bool *ret_young)
{
	mappers_harvest(arg, pages, nr, may_leave, ret_young);
}

/* Its slot may be kept with a fork's other half: then it is not ours to write. */
static int slot_for_write(struct mm_system *sys, struct page *page)
{
	swp_entry_t entry;
	int err;

	if (page_has(page, PG_swapcache)) {
		if (swap_slot_is_writable(sys, page_swap(page)))
			return 0;
		swap_cache_del(sys, page);
	}
	err = swap_slot_alloc(sys, &entry);
	if (!err)
		swap_cache_add(sys, page, entry);
	return err;
}

static void page_gone(struct mm_system *sys, struct page *page)
{
	page->flags &= ~(uint32_t)PG_isolated;
	if (page_has(page, PG_swapcache))
		swap_cache_evict(sys, page);
	anon_page_put(sys, page);
}

/* Takes the entries away, if that needs no I/O; those of a dirty page only could be. */
static enum unmap_result evict_unmap(struct mapper_scan *rc, struct page *page)
{
	enum unmap_result result;

	if (page_block_order(page) && page_is_mapped(page)) {
		result = rmap_can_unmap(rc->sys, page, rc->locked);
		if (result != UNMAP_DONE)
			return result;
		huge_split_page(rc->sys, page);
	}
	if (!page_is_mapped(page))
		return UNMAP_DONE; /* dead, or only in the swap cache, and clean */
	if (page_has(page, PG_swapcache) && !swap_slot_may_stay(rc->sys, page_swap(page)))
		anon_page_mark_dirty(rc->sys, page);
	if (!page_has(page, PG_dirty | PG_lazyfree))
		return try_to_unmap(rc->sys, page, rc->locked);
	result = rmap_can_unmap(rc->sys, page, rc->locked);
	if (result == UNMAP_DONE && !page_has(page, PG_dirty)) {
		STAT(rc->sys, pglazyfreed, 1);
		rmap_unmap_lazyfree(rc->sys, page);
	}
	return result;
}

/*
 * Still being written when the scan comes round again: out of the way until the write ends,
 * which takes it to the tail (shrink_folio_list()). Only where what is written stays on a list.
 */
static bool is_met_again(const struct mm_system *sys, struct page *page)
{
	if (!sys->cfg.is_linux_reclaim || !page_has(page, PG_writeback))
		return false;
	page->flags |= PG_reclaim;
	return true;
}

/* The write is about to begin: where the page is meanwhile. */
static enum policy_verdict written(const struct mm_system *sys, struct page *page)
{
	if (sys->cfg.is_linux_reclaim)
		return POLICY_WRITTEN;
	page->flags &= ~(uint32_t)PG_isolated;
	return POLICY_GONE;
}

/* What can be decided without I/O. True if decided. */
static bool evict_at_once(struct mapper_scan *rc, struct page *page,
			  enum policy_verdict *ret_verdict)
{
	enum unmap_result result;

	*ret_verdict = POLICY_KEEP;
	if (page_has(page, PG_mlocked)) {
		if (rc->nr_culled < CULLED_MAX)
			rc->culled[rc->nr_culled++] = page_pfn(rc->sys, page);
		return true;
	}
	if (page_has(page, PG_file))
		return filemap_evict(rc, page, ret_verdict);
	if (is_met_again(rc->sys, page))
		*ret_verdict = POLICY_ACTIVATE;
	if (anon_page_is_busy(page))
		return true;
	result = evict_unmap(rc, page);
	rc->was_refused |= result == UNMAP_REFUSED;
	if (result != UNMAP_DONE)
		return true;
	if (page_is_mapped(page))
		return false;
	*ret_verdict = POLICY_GONE;
	page_gone(rc->sys, page);
	return true;
}

/**
 * reclaim_evict() - free isolated frames, or start to.
 * @locked: an mm that the caller has write-locked, or NULL.
 * @pages: isolated, at most POLICY_BATCH.
 *
 * Return: how many frames are free or will be when their write ends.
 * Context: sys->lock held, dropped and retaken.
 */
unsigned int reclaim_evict(struct mm_system *sys, struct mm *locked, struct page **pages,
			   unsigned int nr, enum policy_verdict *ret_verdicts)
{
	struct mapper_scan rc = {.sys = sys, .locked = locked};
	struct page *writes[POLICY_BATCH];
	bool had[POLICY_BATCH] = {false};
	unsigned int nr_writes = 0, gone = 0;

	if (sys->machine->ops->caps & MACHINE_SETS_ACCESSED)
		mappers_idle(&rc, pages, nr, had); /* not accessed, but still translated */
	for (unsigned int i = 0; i < nr; i++) {
		if (!evict_at_once(&rc, pages[i], &ret_verdicts[i])) {
			int err = slot_for_write(sys, pages[i]);

			ret_verdicts[i] = err == -ENOSPC ? POLICY_ACTIVATE : POLICY_KEEP;
			if (!err) {
				ret_verdicts[i] = written(sys, pages[i]);
				writes[nr_writes++] = pages[i];
			}
		}
		gone += ret_verdicts[i] == POLICY_GONE || ret_verdicts[i] == POLICY_WRITTEN;
	}
	if (rc.nr_dirty == nr)
		sys->files.is_flush_wanted = true;
	if (nr_writes > 0)
		swap_write_pages(sys, writes, nr_writes);
	return gone;
}

static void evict(void *arg, struct page **pages, unsigned int nr,
		  enum policy_verdict *ret_verdicts)
{
	struct mapper_scan *rc = arg;
	bool is_file[POLICY_BATCH]; /* what is gone may be another page already */

	for (unsigned int i = 0; i < nr; i++)
		is_file[i] = page_is_file_lru(pages[i]);
	reclaim_evict(rc->sys, rc->locked, pages, nr, ret_verdicts);
	for (unsigned int i = 0; i < nr; i++)
		rc->nr_gone_file += is_file[i] && ret_verdicts[i] == POLICY_GONE;
}

static void count_scan(struct mapper_scan *rc, const struct policy_scan *scan, bool is_kswapd)
{
	struct mm_system *sys = rc->sys;

	rc->nr_scanned += scan->nr_scanned;
	STAT(sys, pgscan_anon, scan->nr_scanned - scan->nr_scanned_file);
	STAT(sys, pgscan_file, scan->nr_scanned_file);
	STAT(sys, pgsteal_anon, scan->nr_gone - rc->nr_gone_file);
	STAT(sys, pgsteal_file, rc->nr_gone_file);
	STAT(sys, pgscan_kswapd, is_kswapd ? scan->nr_scanned : 0);
	STAT(sys, pgsteal_kswapd, is_kswapd ? scan->nr_gone : 0);
	STAT(sys, pgscan_direct, is_kswapd ? 0 : scan->nr_scanned);
	STAT(sys, pgsteal_direct, is_kswapd ? 0 : scan->nr_gone);
	STAT(sys, pgactivate, scan->nr_activated);
	workingset_age(sys, scan->nr_activated);
	STAT(sys, pgdeactivate, scan->nr_deactivated);
	STAT(sys, pgrefill, scan->nr_refill);
	STAT(sys, pgrotated, scan->nr_rotated);
}

/*
 * Locked pages that the policy had come off its lists, now that it is not at work on them. What
 * has become of a frame meanwhile, its flags say.
 */
static void cull_locked(struct mapper_scan *rc)
{
	struct mm_system *sys = rc->sys;

	for (unsigned int i = 0; i < rc->nr_culled; i++) {
		struct page *page = page_of(sys, rc->culled[i]);

		if (!page_has(page, PG_mlocked) || !page_has(page, PG_lru))
			continue;
		sys->policy_ops->remove(sys->policy, page);
		page_make_unevictable(sys, page);
	}
	rc->nr_culled = 0;
}

/* Frames that the zones together have free, and that kswapd stops at. */
static void scan_set_marks(const struct mm_system *sys, struct policy_scan *scan)
{
	scan->nr_free = zones_free_pages(sys);
	scan->nr_high = zones_watermark(sys, WMARK_HIGH);
	for (unsigned int is_file = 0; is_file < 2; is_file++)
		scan->has_refaulted[is_file] = workingset_has_refaulted(sys, is_file != 0);
}

static unsigned int reclaim_scan(struct mapper_scan *rc, unsigned int nr, unsigned int priority,
				 bool is_kswapd)
{
	struct mm_system *sys = rc->sys;
	unsigned int slabs;
	struct policy_scan scan = {
		.priority = priority,
		.nr_reclaim = nr,
		.swappiness = sys->cfg.swappiness,
		/* Clean pages go without a slot, so anonymous lists are scanned in any case
		 * while swap holds anything. */
		.may_swap =
			swap_has_space(sys) || sys->vmstat[MM_VMSTAT_nr_swapcached] > 0 ||
			sys->vmstat[MM_VMSTAT_pglazyfree] > sys->vmstat[MM_VMSTAT_pglazyfreed],
		.is_kswapd = is_kswapd,
		.is_exact = sys->cfg.is_linux_reclaim,
		.arg = rc,
		.harvest = harvest,
		.evict = evict,
	};

	rc->nr_gone_file = 0;
	scan_set_marks(sys, &scan);
	sys->policy_ops->shrink(sys->policy, &scan);
	cull_locked(rc);
	slabs = (unsigned int)shrink_slab(sys, priority);
	count_scan(rc, &scan, is_kswapd);
	return scan.nr_gone + slabs;
}

/**
 * reclaim_turn() - one pass of kswapd's at one priority.
 * @nr: stop when so many frames are gone.
 * @priority: POLICY_PRIORITY_MAX..0: the part of each list that is looked at is its size >>
 * this.
 * @ret_pass: more of what it did.
 *
 * Return: frames freed or on their way.
 * Context: sys->lock held, dropped and retaken.
 */
unsigned int reclaim_turn(struct mm_system *sys, unsigned int nr, unsigned int priority,
			  struct reclaim_pass *ret_pass)
{
	struct mapper_scan rc = {.sys = sys};
	unsigned int gone = reclaim_scan(&rc, nr, priority, true);

	*ret_pass = (struct reclaim_pass){.nr_scanned = rc.nr_scanned,
					  .was_refused = rc.was_refused};
	return gone;
}

/* As reclaim_turn(), for those who ask no more. */
unsigned int reclaim_pages(struct mm_system *sys, unsigned int nr, unsigned int priority,
			   bool *ret_was_refused)
{
	struct reclaim_pass pass;
	unsigned int gone = reclaim_turn(sys, nr, priority, &pass);

	*ret_was_refused = pass.was_refused;
	return gone;
}

/* As reclaim_turn(), by somebody who faults: counted as direct reclaim. */
unsigned int reclaim_turn_direct(struct mm_system *sys, unsigned int nr, unsigned int priority)
{
	struct mapper_scan rc = {.sys = sys};

	return reclaim_scan(&rc, nr, priority, false);
}

/* So many, and one more, above the min watermark? */
static bool has_free_frames(const struct mm_system *sys, uint32_t nr)
{
	for (unsigned int i = 0; i < sys->nr_zones; i++)
		if (zone_watermark_ok(&sys->zones[i], 0,
				      sys->zones[i].watermark[WMARK_MIN] + nr))
			return true;
	return false;
}

/*
 * A device that keeps pages in RAM may refuse what it was sent. When all was refused for so
 * many times in a row (Linux's MAX_RECLAIM_RETRIES), and nothing became free meanwhile, it will
 * be so the next time.
 */
static bool round_was_refused(struct mm_system *sys, unsigned int gone, uint64_t nr_refused)
{
	if (sys->nr_writes_refused == nr_refused || sys->nr_writes_refused - nr_refused < gone)
		return false;
	return ++sys->nr_rounds_refused >= REFUSED_ROUNDS_MAX;
}

/* Linux's do_try_to_free_pages(), without a look at what is free between priorities. */
static unsigned int direct_exact(struct mapper_scan *rc)
{
	unsigned int gone = 0;

	for (unsigned int round = 0; round <= LAST_ROUNDS; round++) {
		for (int priority = POLICY_PRIORITY_MAX; priority >= 0 && gone < POLICY_BATCH;
		     priority--)
			gone += reclaim_scan(rc, POLICY_BATCH, (unsigned int)priority, false);
		if (gone > 0 || rc->sys->nr_reclaiming > 0)
			break;
		swap_look_again(rc->sys);
	}
	return gone;
}

/* Return: frames that are gone. */
static unsigned int direct_priorities(struct mapper_scan *rc, uint32_t nr)
{
	struct mm_system *sys = rc->sys;
	unsigned int gone = 0;

	for (int priority = POLICY_PRIORITY_MAX; priority > -LAST_ROUNDS; priority--) {
		if (has_free_frames(sys, nr))
			break;
		if (priority == 0)
			swap_look_again(sys);
		if (priority <= 0 && sys->nr_reclaiming > 0)
			break;
		gone += reclaim_scan(rc, POLICY_BATCH, priority < 0 ? 0 : (unsigned)priority,
				     false);
		if (gone >= POLICY_BATCH)
			break;
	}
	return gone;
}

/* What devices have in RAM is the last that can go; it is on its way then. */
static enum reclaim_result nothing_left(struct mm_system *sys)
{
	if (!swap_squeeze(sys))
		return RECLAIM_NOTHING;
	sys->nr_rounds_refused = 0;
	swap_look_again(sys);
	return RECLAIM_WAIT;
}

/* reclaim_direct(), for one frame and nr more. */
static enum reclaim_result reclaim_frames(struct mm_system *sys, uint32_t nr)
{
	uint64_t nr_freed = sys->vmstat[MM_VMSTAT_pgfree], nr_refused = sys->nr_writes_refused;
	struct mapper_scan rc = {.sys = sys};
	unsigned int gone;
	bool was_in_flight;

	swap_complete(sys);
	pcp_drain(sys);
	if (!has_free_frames(sys, nr) && !sys->cfg.is_linux_reclaim &&
	    sys->nr_reclaiming >= IN_FLIGHT_ENOUGH)
		return RECLAIM_WAIT;
	STAT(sys, allocstall, 1);
	gone = sys->cfg.is_linux_reclaim ? direct_exact(&rc) : direct_priorities(&rc, nr);
	workingset_snapshot(sys);
	if (gone == 0 && sys->files.nr_dirty > 0)
		flusher_start(sys);
	/* What ends now may be clean and still there: touched meanwhile, or its mm in work. */
	was_in_flight = sys->nr_io > 0;
	swap_complete(sys);
	swap_count(sys);
	if (has_free_frames(sys, nr) || sys->vmstat[MM_VMSTAT_pgfree] != nr_freed) {
		sys->nr_rounds_refused = 0;
		return RECLAIM_FREED; /* or it was, and another thread has it by now */
	}
	if (sys->nr_io > 0)
		return RECLAIM_WAIT;
	if (round_was_refused(sys, gone, nr_refused) && !rc.was_refused)
		return nothing_left(sys);
	/* Who held them may have let go by now, and the wake is past. */
	if (gone > 0 || rc.was_refused || was_in_flight || swapoff_give_up(sys))
		return RECLAIM_FREED;
	return nothing_left(sys);
}

/**
 * reclaim_direct() - somebody needs a frame and there is none above the min watermark.
 *
 * As Linux's try_to_free_pages(): priority by priority, until a batch is gone.
 *
 * Return: enum reclaim_result. RECLAIM_NOTHING means that nothing is in flight either.
 * Context: sys->lock held, dropped and retaken.
 */
enum reclaim_result reclaim_direct(struct mm_system *sys)
{
	return reclaim_frames(sys, 0);
}

int mm_reclaim_for_kernel(struct mm_system *sys)
{
	enum reclaim_result result = reclaim_direct(sys);

	if (result == RECLAIM_WAIT)
		sys->has_waiters = true;
	return result == RECLAIM_NOTHING ? -ENOMEM : -EAGAIN;
}

/* Until there is what the call needs at once, or no more to be had. */
static enum reclaim_result reclaim_wanted(struct mm_system *sys, uint32_t nr)
{
	enum reclaim_result result = RECLAIM_FREED;

	for (unsigned int i = 0; i < STARVED_MAX && result == RECLAIM_FREED; i++) {
		result = reclaim_frames(sys, nr);
		if (has_free_frames(sys, nr))
			break;
	}
	return result;
}

int mm_reclaim_for_call(struct mm *mm)
{
	enum reclaim_result result = reclaim_wanted(mm->sys, mm->nr_wanted);

	mm->nr_wanted = 0;
	if (result == RECLAIM_WAIT)
		mm->sys->has_waiters = true;
	/* What is freed may be no more than what the call that failed had taken and given back.
	 */
	if (result == RECLAIM_FREED && ++mm->nr_starved > STARVED_MAX)
		result = RECLAIM_NOTHING;
	if (result != RECLAIM_NOTHING)
		return -EAGAIN;
	mm->nr_starved = 0;
	return -ENOMEM;
}
