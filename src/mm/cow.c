/* SPDX-License-Identifier: MIT */
/*
 * Copy on write: the fault that gives an address space a page of its own.
 *
 * A private page that somebody else may still read is never translated writable: a page with
 * several mappers, and one whose slot in swap is named by entries besides, for those will be
 * read from the slot. A write to it is a fault. If it has no other mapper and no such slot, the
 * page is taken back as it is (Linux's wp_page_reuse()); otherwise its content is copied to a
 * new frame, which takes its place in this entry (wp_page_copy()), by one machine op from the
 * old read-only translation to the new writable one.
 *
 * From the moment of the decision until the entry names the copy the source is PG_locked, and
 * this mm read-locked: its entry stays, so that the source is not taken back by another mapper,
 * freed or evicted while it is read. Its translations elsewhere stay as they are, read-only.
 *
 * A page that is found in the swap cache may be mapped already where the family cannot find it
 * by its address: one of two mms that name the slot has moved its entry (mremap). Then this mm
 * gets a copy at once, as Linux does for pages of KSM.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "mm/fault.h"
#include "mm/mmap.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"

/**
 * anon_page_take_back() - make a page that was shared the last mapper's own.
 * @mm: maps the page.
 *
 * Return: true if it is its own now, and may be written.
 * Context: sys->lock held; the page is not busy.
 */
bool anon_page_take_back(struct mm *mm, struct page *page)
{
	MM_ASSERT(!anon_page_is_busy(page));
	if (!page_has(page, PG_anon) || page->mapcount != 1 ||
	    page_slot_is_named(mm->sys, page))
		return false;
	if (page_has(page, PG_shared))
		rmap_make_exclusive(mm, page);
	return true;
}

/**
 * anon_page_new() - a frame for a page of a program, of which nothing names it yet.
 *
 * Return: the page, dirty, its content undefined; NULL: no frame can be had just now.
 * Context: sys->lock held.
 */
struct page *anon_page_new(struct mm_system *sys)
{
	struct page *page;

	if (page_alloc(sys, 0, GFP_USER, &page))
		return NULL;
	page->flags = PG_anon | PG_dirty;
	page->refs = 0;
	page->mm = NULL;
	return page;
}

/* While sys->lock is dropped it is a frame in somebody's hands, and no program's page yet. */
static void page_hold(struct page *page)
{
	page->flags = 0;
	page->refs = 1;
}

static void page_unhold(struct page *page)
{
	MM_ASSERT(page->refs == 1);
	page->flags = PG_anon | PG_dirty;
	page->refs = 0;
}

/* The source may have been left by everybody meanwhile. */
static void source_unlock(struct mm_system *sys, struct page *page)
{
	page->flags &= ~(uint32_t)PG_locked;
	if (page_is_mapped(page) || !page_has(page, PG_anon))
		return;
	if (page_has(page, PG_dead) || !page_slot_is_named(sys, page))
		anon_page_put(sys, page);
}

/* The entry names the copy. */
static void cow_commit(struct fault *f, struct page *old, struct page *new, pte_t pte)
{
	pte_t was = *f->pte;

	page_unhold(new);
	anon_page_attach(f->mm, new, f->va);
	pte_set(f->mm, f->pte, pte);
	if (pte_is_swap(was)) {
		f->mm->nr_swapped--;
		swap_entry_put(f->sys, was);
	} else {
		rmap_detach(f->mm, old);
	}
	page_lru_add(f->sys, new);
	STAT(f->sys, pgcow, 1);
}

/**
 * fault_cow() - give the faulting entry a copy of a page.
 * @old: what the entry names, by frame or by slot; not busy, and translated nowhere writable.
 *
 * Return: MM_FAULT_MINOR; FAULT_AGAIN, MM_FAULT_RETRY, MM_FAULT_OOM or MM_FAULT_BUS: the entry
 * is as it was.
 * Context: sys->lock held, dropped and retaken; mm read-locked.
 */
enum mm_fault_result fault_cow(struct fault *f, struct page *old)
{
	struct mm_system *sys = f->sys;
	struct machine_change change = {.va = f->va};
	struct machine_batch batch = {.changes = &change, .nr = 1};
	struct page *new = anon_page_new(sys);
	int err;

	if (!new)
		return fault_no_memory(f);
	MM_ASSERT(!anon_page_is_busy(old));
	old->flags |= PG_locked;
	change.old_pte = pte_is_present(*f->pte) ? *f->pte : 0;
	change.new_pte = pte_make(page_pfn(sys, new), fault_present_bits(f, new));
	page_hold(new);
	sys_unlock(sys);
	memcpy(page_addr(sys, new), page_addr(sys, old), PAGE_SIZE);
	err = sys->machine->ops->apply(sys->machine, f->mm->space, &batch);
	sys_lock(sys);
	if (err)
		page_free(sys, new, 0);
	else
		cow_commit(f, old, new, change.new_pte);
	source_unlock(sys, old);
	sys_wake(sys);
	reclaim_ahead(sys, 1);
	return err ? fault_machine_error(f, err) : MM_FAULT_MINOR;
}

/**
 * anon_swap_bring_in() - let a swap entry name a frame, without a fault.
 * @page: caches its slot; not busy.
 *
 * Where the frame is mapped at another address already, the entry gets a copy, made with
 * sys->lock held: that is rare, and the callers have much in hand.
 *
 * Return: 0: the entry is IDLE; -ENOMEM.
 * Context: sys->lock held; mm read- or write-locked.
 */
int anon_swap_bring_in(struct mm *mm, pte_t *pte, struct page *page, vaddr_t va)
{
	struct mm_system *sys = mm->sys;
	swp_entry_t entry = *pte;
	struct page *new;

	if (anon_page_can_attach(mm, page, va)) {
		anon_swap_attach(mm, pte, page, va);
		return 0;
	}
	new = anon_page_new(sys);
	if (!new)
		return -ENOMEM;
	memcpy(page_addr(sys, new), page_addr(sys, page), PAGE_SIZE);
	anon_page_attach(mm, new, va);
	pte_set(mm, pte, pte_make(page_pfn(sys, new), PTE_IDLE));
	mm->nr_swapped--;
	swap_entry_put(sys, entry);
	page_lru_add(sys, new);
	STAT(sys, pgcow, 1);
	return 0;
}

/* The entry is IDLE, and of an mm that the caller has write-locked. Unlocks. */
static int entry_unshare(struct mm *mm, vaddr_t va, pte_t *pte)
{
	struct mm_system *sys = mm->sys;
	struct page *old = page_of(sys, pte_pfn(*pte)), *new;

	if (old->mapcount == 1) {
		rmap_make_exclusive(mm, old);
		return 0;
	}
	new = anon_page_new(sys);
	if (!new)
		return MM_NO_FRAMES;
	/* Nobody evicts or takes back what an mm that has a writer maps: it holds still. */
	page_hold(new);
	sys_unlock(sys);
	memcpy(page_addr(sys, new), page_addr(sys, old), PAGE_SIZE);
	sys_lock(sys);
	page_unhold(new);
	anon_page_attach(mm, new, va);
	pte_set(mm, pte, pte_make(page_pfn(sys, new), PTE_IDLE));
	rmap_detach(mm, old); /* asks the mappers that are left whether it is locked */
	page_lru_add(sys, new);
	if (!page_is_mapped(old))
		anon_page_put(sys, old);
	mm->nr_starved = 0; /* this is done, however often the call has to come back */
	STAT(sys, pgcow, 1);
	return 0;
}

/**
 * anon_range_unshare() - give an mm pages of its own in a range, for they will be elsewhere.
 *
 * A shared page is found at one address only. Swap entries may go: see fault_cow().
 *
 * Return: 0, or MM_NO_FRAMES: some pages are still shared, no content has changed.
 * Context: sys->lock held, dropped and retaken; mm write-locked; nothing in the range is
 * translated.
 */
int anon_range_unshare(struct mm *mm, vaddr_t start, vaddr_t end)
{
	int err = 0;
	pte_t *pte;

	for (vaddr_t va = start; !err && (pte = pgtable_next(mm, &va, end)); va += PAGE_SIZE)
		if (pte_is_idle(*pte) && page_has(page_of(mm->sys, pte_pfn(*pte)), PG_shared))
			err = entry_unshare(mm, va, pte);
	return err;
}
