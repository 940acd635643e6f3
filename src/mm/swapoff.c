/* SPDX-License-Identifier: MIT */
/*
 * swapoff: an area is taken out of use while programs run.
 *
 * From the first mm_swapoff() on the area is leaving: none of its slots is handed out, and what
 * is written anew goes elsewhere. Each further call is a bounded step of a pass:
 *
 *   walk    the page tables, an address space at a time: a swap entry of the area gets its
 * page, which is read into the swap cache first, 32 pages a batch; sweep   the swap cache: a
 * page that still has its copy in the area gives it up and is dirty; one that nobody maps is
 * freed.
 *
 * Pages that were busy, or whose address space a writer had, are left to the next pass; passes
 * go on until no slot is used. That comes, for no entry is made to name a slot of the area any
 * more, but by a fork, which copies them. Frames come from reclaim, which writes to the other
 * areas. Where it finds nothing more, the swapoff gives up before anybody else is refused
 * memory: the area is then in use again, and what was read back is merely in RAM (Linux's
 * try_to_unuse() would let the OOM killer end the caller of swapoff).
 *
 * The walk remembers where it is by the number of the address space (mm->id) and an address,
 * not by pointers: what it looked at may be gone at the next step.
 *
 * 1. An area that is leaving has no current cluster, and gives out no slot.
 */
#include "base/assert.h"
#include "base/checked.h"
#include "mm/commit.h"
#include "mm/reclaim.h"
#include "mm/slab.h"

/* Entries, and then slots, that one step looks at. */
#define STEP_ENTRIES 1024
#define STEP_SLOTS   2048

/*
 * Where RAM is full of what cannot leave, the pages of a batch are thrown out again before the
 * next step finds them. So often in a row that happens, then there is no room.
 */
#define FRUITLESS_MAX 64

static struct swap_area *area_find(struct mm_system *sys, const struct swapdev *dev)
{
	for (unsigned int t = 0; t < sys->nr_swap_areas; t++)
		if (sys->swap_areas[t] && sys->swap_areas[t]->dev == dev)
			return sys->swap_areas[t];
	return NULL;
}

/* Something has to happen first; who waits is woken when it may have. */
static int step_wait(struct mm_system *sys)
{
	sys->has_waiters = true;
	return -EAGAIN;
}

/* There is more to do at once. */
static int step_again(struct mm_system *sys)
{
	sys->has_waiters = true;
	sys_wake(sys);
	return -EAGAIN;
}

static struct mm *mm_from_id(struct mm_system *sys, uint64_t id)
{
	struct mm *mm, *first = NULL;

	list_for_each_entry (mm, &sys->mms, node)
		if (mm->id >= id && (!first || mm->id < first->id))
			first = mm;
	return first;
}

/* The slot's page is in the swap cache: the entry gets it, and the last one gives up the slot.
 */
static int bring_back(struct swap_area *area, struct mm *mm, pte_t *pte, struct page *page,
		      vaddr_t va)
{
	swp_entry_t entry = *pte;

	if (anon_swap_bring_in(mm, pte, page, va))
		return -ENOMEM;
	area->leave.nr_fruitless = 0;
	if (swap_entry_count(mm->sys, entry) == 0)
		anon_page_mark_dirty(mm->sys, page);
	return 0;
}

struct walk {
	struct swap_area *area;
	struct page *reads[SWAP_IO_MAX];
	unsigned int nr_reads;
	vaddr_t resume; /* the first entry that is not done */
	bool must_wait;
};

/* Return: 0: go on; -ENOMEM: no frame; -EIO: the slot cannot be read. */
static int walk_entry(struct walk *w, struct mm *mm, pte_t *pte, vaddr_t va)
{
	struct mm_system *sys = mm->sys;
	struct page *page = swap_cache_lookup(sys, *pte);

	if (page && !anon_page_is_busy(page) && !page_has(page, PG_error))
		return bring_back(w->area, mm, pte, page, va);
	if (page && page_has(page, PG_error)) {
		anon_page_put(sys, page); /* the next touch reads again */
		return -EIO;
	}
	w->resume = min_u64(w->resume, va);
	if (page) {
		w->must_wait = true;
		return 0;
	}
	if (w->must_wait)
		return 0; /* one batch at a time: what is read early is thrown out again */
	page = swap_cache_new_page(sys, *pte, 0);
	if (!page)
		return -ENOMEM;
	w->reads[w->nr_reads++] = page;
	return 0;
}

/* Looks at entries until the step's budget or a batch of reads is full. */
static int walk_mm(struct walk *w, struct mm *mm)
{
	struct swap_leave *leave = &w->area->leave;
	vaddr_t va = leave->va;
	int err = 0;

	w->resume = mm->window_end;
	for (unsigned int i = 0; i < STEP_ENTRIES && w->nr_reads < SWAP_IO_MAX && !err; i++) {
		pte_t *pte = pgtable_next(mm, &va, mm->window_end);

		if (!pte) {
			va = mm->window_end;
			break;
		}
		if (pte_is_swap(*pte) && swp_type(*pte) == w->area->type)
			err = walk_entry(w, mm, pte, va);
		if (!err)
			va += PAGE_SIZE;
	}
	leave->va = min_u64(va, w->resume);
	if (leave->va == mm->window_end) {
		leave->mm_id = mm->id + 1;
		leave->va = 0; /* the next one's number may be just this */
	}
	return err;
}

/* Reads what the walk has met. err: why it ended early. Return: as mm_swapoff(). Unlocks. */
static int walk_end(struct mm_system *sys, struct walk *w, int err)
{
	struct swap_leave *leave = &w->area->leave;

	if (w->nr_reads > 0) {
		swap_read_pages(sys, w->reads, w->nr_reads);
		kswapd_wake_if_low(sys);
	}
	if (err == -EIO)
		return err;
	if (w->nr_reads == 0 && err) {
		enum reclaim_result result = reclaim_direct(sys);

		if (result == RECLAIM_WAIT)
			return step_wait(sys);
		if (result == RECLAIM_NOTHING)
			return -ENOMEM;
	}
	if ((w->nr_reads > 0 || err) && ++leave->nr_fruitless > FRUITLESS_MAX)
		return -ENOMEM;
	return w->must_wait ? step_wait(sys) : step_again(sys);
}

/* One step through the address spaces. Return: 0 after the last; or as mm_swapoff(). Unlocks.
 */
static int walk_step(struct mm_system *sys, struct swap_area *area)
{
	struct walk w = {.area = area};
	struct mm *mm = mm_from_id(sys, area->leave.mm_id);
	int err;

	if (!mm)
		return 0;
	if (mm->id != area->leave.mm_id || area->leave.va < mm->window_start) {
		area->leave.mm_id = mm->id;
		area->leave.va = mm->window_start;
	}
	if (!mm_read_trylock(mm))
		return step_wait(sys);
	err = walk_mm(&w, mm);
	mm_read_unlock(mm);
	return walk_end(sys, &w, err);
}

/* The trees of shared anonymous memory. Return: 0: none has an entry; or as mm_swapoff(). */
static int shmem_step(struct mm_system *sys, struct swap_area *area)
{
	struct walk w = {.area = area};
	unsigned int nr_back = 0;
	int err = shmem_bring_back(sys, area->type, &nr_back);

	if (nr_back > 0)
		area->leave.nr_fruitless = 0;
	if (!err)
		return 0;
	w.must_wait = err == -EAGAIN;
	if (nr_back == 0 && w.must_wait && ++area->leave.nr_fruitless > FRUITLESS_MAX)
		return -ENOMEM;
	return walk_end(sys, &w, w.must_wait ? 0 : err);
}

/* One step through the swap cache. Return: 0 at the end; or as mm_swapoff(). */
static int sweep_step(struct mm_system *sys, struct swap_area *area)
{
	struct swap_leave *leave = &area->leave;
	uint64_t end = min_u64(leave->slot + STEP_SLOTS, area->dev->nr_slots);

	for (; leave->slot < end; leave->slot++) {
		swp_entry_t entry = swp_entry(area->type, leave->slot);
		struct page *page = swap_cache_lookup(sys, entry);

		if (!page || swap_entry_count(sys, entry) > 0)
			continue; /* unused, or for the next pass */
		if (anon_page_is_busy(page))
			return step_wait(sys);
		if (page_is_mapped(page) || page_has(page, PG_file))
			page_mark_dirty(sys, page);
		else
			anon_page_put(sys, page);
	}
	return end == area->dev->nr_slots ? 0 : step_again(sys);
}

static bool is_unused(const struct swap_area *area)
{
	return area->nr_used == area->nr_bad && area->nr_ops == 0 && !swap_area_is_busy(area);
}

static void pass_begin(struct swap_area *area)
{
	area->leave.mm_id = 0;
	area->leave.va = 0;
	area->leave.slot = 1;
}

/* Return: 0: nothing is in the area any more; or as mm_swapoff(). Unlocks. */
static int leave_step(struct mm_system *sys, struct swap_area *area)
{
	int err;

	swap_complete(sys);
	if (!area->leave.is_leaving)
		return area->leave.err;
	if (is_unused(area))
		return 0;
	err = walk_step(sys, area);
	if (!err && area->leave.is_leaving)
		err = shmem_step(sys, area);
	if (!area->leave.is_leaving)
		return area->leave.err;
	if (err)
		return err;
	err = sweep_step(sys, area);
	if (err)
		return err;
	if (is_unused(area))
		return 0;
	pass_begin(area);
	return area->nr_ops > 0 || sys->nr_io > 0 ? step_wait(sys) : step_again(sys);
}

/* Would what is promised still fit? Only a system that forbids overcommit asks. */
static int leave_begin(struct mm_system *sys, struct swap_area *area)
{
	int err = commit_charge(sys, NULL, area->nr_pages, 0);

	if (err)
		return err;
	commit_uncharge(sys, area->nr_pages);
	area->leave = (struct swap_leave){.is_leaving = true};
	swap_area_close(sys, area);
	pass_begin(area);
	return 0;
}

static void leave_end(struct swap_area *area, int err)
{
	area->leave.is_leaving = false;
	area->leave.err = err;
	area->full_for = 0;
}

/**
 * mm_swapoff() - swapoff(2), a step of it: read an area back, and take it out of use.
 * @dev: as it was given to mm_swapon().
 *
 * To be called until it answers something else than -EAGAIN; meanwhile the manager runs as
 * ever. On any other error the area is in use as before.
 *
 * Return: 0: the area is gone, the device is the caller's; -EAGAIN: call again, now or after
 * mm_config.wake; -EINVAL: no area is on this device; -ENOMEM: what is in it does not fit into
 * RAM and the other areas, or vm.overcommit_memory 2 forbids it; -EIO: a slot cannot be read;
 * -EINTR: mm_swapoff_cancel(). Context: takes sys->lock; drops it for the device and the
 * machine.
 */
int mm_swapoff(struct mm_system *sys, struct swapdev *dev)
{
	struct swap_area *area;
	int err = 0;

	sys_lock(sys);
	area = area_find(sys, dev);
	if (!area) {
		err = -EINVAL;
		goto unlock;
	}
	if (sys->frozen || area->leave.is_stepping) {
		err = step_wait(sys);
		goto unlock;
	}
	if (!area->leave.is_leaving) {
		err = area->leave.err; /* given up since the last call */
		area->leave.err = 0;
		if (!err)
			err = leave_begin(sys, area);
	}
	if (err)
		goto unlock;
	area->leave.is_stepping = true;
	err = leave_step(sys, area);
	area->leave.is_stepping = false;
	if (err == 0)
		swap_area_remove(sys, area);
	else if (err != -EAGAIN)
		leave_end(area, 0);
unlock:
	sys_unlock(sys);
	return err;
}

/**
 * mm_swapoff_cancel() - an area that is leaving stays.
 *
 * A call of mm_swapoff() that is under way then answers -EINTR.
 *
 * Return: 0, or -EINVAL: no area on this device is leaving.
 * Context: takes sys->lock.
 */
int mm_swapoff_cancel(struct mm_system *sys, struct swapdev *dev)
{
	struct swap_area *area;
	int err = -EINVAL;

	sys_lock(sys);
	area = area_find(sys, dev);
	if (area && area->leave.is_leaving) {
		leave_end(area, area->leave.is_stepping ? -EINTR : 0);
		err = 0;
	}
	sys_unlock(sys);
	return err;
}

/**
 * swapoff_give_up() - somebody needs memory, and there is none but in areas that are leaving.
 *
 * Return: true if there was such an area.
 * Context: sys->lock held.
 */
bool swapoff_give_up(struct mm_system *sys)
{
	bool had_any = false;

	for (unsigned int t = 0; t < sys->nr_swap_areas; t++) {
		struct swap_area *area = sys->swap_areas[t];

		if (!area || !area->leave.is_leaving)
			continue;
		leave_end(area, -ENOMEM);
		had_any = true;
	}
	return had_any;
}

/* In the child of a fork nobody goes on with it. Context: sys->lock held. */
void swapoff_forget(struct mm_system *sys)
{
	for (unsigned int t = 0; t < sys->nr_swap_areas; t++)
		if (sys->swap_areas[t])
			leave_end(sys->swap_areas[t], 0);
}
