/* SPDX-License-Identifier: MIT */
/*
 * The fault path. It retries, it never blocks.
 *
 * What the entry says decides (mm/pgtable.h): NONE gets a zeroed frame, IDLE is translated
 * again, SWAP is looked for in the swap cache and read if it is not there, PRESENT is a write
 * to a page that was translated read-only, or a fault that another thread has resolved
 * meanwhile.
 *
 * From the moment a frame is chosen until the machine has it the frame is PG_locked, its entry
 * is IDLE, and sys->lock is not held: faults on other pages go on in parallel, one on the same
 * page answers RETRY. The mm is read-locked throughout, so VMA, tables and entry stay.
 *
 * A page is translated writable if this access writes, or if it is dirty anyway, or if the
 * machine tells by itself whether it was written. Otherwise (clean: its copy in swap is good;
 * or lazily freed) the translation is read-only, and the write that ends that is a fault which
 * drops the copy. So whether a page must be written again is known, not guessed.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "mm/reclaim.h"
#include "mm/vma.h"

/* How often one call looks anew after the world changed under it; then the caller asks again.
 */
#define LOOKS_MAX 4

#define FAULT_AGAIN ((enum mm_fault_result) - 1) /* inside this file: look anew */

struct fault {
	struct mm *mm;
	struct mm_system *sys;
	const struct vma *vma;
	pte_t *pte;
	vaddr_t va;
	bool is_write;
	bool is_fresh; /* the frame's content is to be zeroed first */
};

static bool vma_allows(const struct vma *vma, unsigned int access)
{
	if (vma->flags & VMA_FOREIGN)
		return false;
	if (access & MM_ACCESS_WRITE)
		return (vma->flags & VMA_WRITE) != 0;
	if (access & MM_ACCESS_EXEC)
		return (vma->flags & VMA_EXEC) != 0;
	return (vma->flags & (VMA_READ | VMA_WRITE | VMA_EXEC)) != 0;
}

static enum mm_fault_result fault_retry(struct fault *f)
{
	f->sys->has_waiters = true;
	return MM_FAULT_RETRY;
}

static enum mm_fault_result fault_no_memory(struct fault *f)
{
	switch (reclaim_direct(f->sys)) {
	case RECLAIM_FREED:
		return FAULT_AGAIN;
	case RECLAIM_WAIT:
		return fault_retry(f);
	default:
		return MM_FAULT_OOM;
	}
}

static pte_t present_bits(const struct fault *f, const struct page *page)
{
	bool tells = (f->sys->machine->ops->caps & MACHINE_SETS_DIRTY) != 0;
	pte_t bits = PTE_PRESENT | PTE_USER | PTE_ACCESSED;

	if (!(f->vma->flags & VMA_EXEC))
		bits |= PTE_NX;
	if ((f->vma->flags & VMA_WRITE) && (tells || page_has(page, PG_dirty)))
		bits |= PTE_WRITE;
	return bits;
}

/* Has the machine translate the page. The entry is IDLE, or PRESENT and gains PTE_WRITE. */
static enum mm_fault_result fault_translate(struct fault *f, struct page *page)
{
	struct mm_system *sys = f->sys;
	struct machine_change change = {.va = f->va, .old_pte = *f->pte};
	struct machine_batch batch = {.changes = &change, .nr = 1};
	int err;

	if (f->is_write)
		anon_page_mark_dirty(sys, page);
	change.new_pte = pte_make(page_pfn(sys, page), present_bits(f, page));
	page->flags |= PG_locked;
	sys_unlock(sys);
	if (f->is_fresh)
		memset(page_addr(sys, page), 0, PAGE_SIZE);
	err = sys->machine->ops->apply(sys->machine, f->mm->space, &batch);
	sys_lock(sys);
	page->flags &= ~(uint32_t)PG_locked;
	if (!err)
		pte_set(f->mm, f->pte, change.new_pte);
	if (!page_has(page, PG_lru | PG_isolated))
		sys->policy_ops->insert(sys->policy, page);
	sys_wake(sys);
	if (!err)
		return MM_FAULT_MINOR;
	if (err == -ENOMEM)
		return MM_FAULT_OOM;
	if (err != -EAGAIN && err != -EBUSY)
		return MM_FAULT_BUS; /* the machine says that it never will */
	fault_retry(f);
	sys_wake(sys);
	return MM_FAULT_RETRY;
}

static enum mm_fault_result fault_zero(struct fault *f)
{
	struct mm_system *sys = f->sys;
	enum mm_fault_result result;
	struct page *page;

	if (page_alloc(sys, 0, GFP_USER, &page))
		return fault_no_memory(f);
	page->flags = PG_anon | PG_dirty;
	page->refs = 0;
	page->mm = NULL;
	page->swap = 0;
	anon_page_attach(f->mm, page, f->va);
	pte_set(f->mm, f->pte, pte_make(page_pfn(sys, page), PTE_IDLE));
	sys->nr_touched++;
	if (sys->nr_touched > sys->vmstat[MM_VMSTAT_nr_touched_peak])
		sys->vmstat[MM_VMSTAT_nr_touched_peak] = sys->nr_touched;
	f->is_fresh = true;
	result = fault_translate(f, page);
	kswapd_wake_if_low(sys);
	return result;
}

/* What was read ahead and is used tells the next window; what was read on demand is major. */
static enum mm_fault_result fault_account(struct mm_system *sys, struct page *page)
{
	bool is_major = page_has(page, PG_demand);

	if (page_has(page, PG_readahead)) {
		sys->readahead.hits++;
		STAT(sys, swap_ra_hit, 1);
	}
	page->flags &= ~(uint32_t)(PG_readahead | PG_demand);
	return is_major ? MM_FAULT_MAJOR : MM_FAULT_MINOR;
}

static enum mm_fault_result fault_idle(struct fault *f)
{
	struct page *page = page_of(f->sys, pte_pfn(*f->pte));
	enum mm_fault_result kind, result;

	if (page_has(page, PG_writeback)) {
		if (page_has(page, PG_reclaim))
			STAT(f->sys, pgreuse, 1);
		page->flags &= ~(uint32_t)PG_reclaim;
		return fault_retry(f);
	}
	if (page_has(page, PG_locked))
		return fault_retry(f);
	kind = fault_account(f->sys, page);
	if (page_has(page, PG_swapcache) && swap_is_nearly_full(f->sys))
		anon_page_mark_dirty(f->sys, page);
	result = fault_translate(f, page);
	return result == MM_FAULT_MINOR ? kind : result;
}

static enum mm_fault_result fault_present(struct fault *f)
{
	struct page *page = page_of(f->sys, pte_pfn(*f->pte));
	struct machine_change change = {.va = f->va, .old_pte = *f->pte, .new_pte = *f->pte};
	struct machine_batch batch = {.changes = &change, .nr = 1};
	int err;

	if (anon_page_is_busy(page))
		return fault_retry(f);
	if (f->is_write && !(*f->pte & PTE_WRITE))
		return fault_translate(f, page);
	/* Reclaim must not take the translation away while the machine makes it again. */
	page->flags |= PG_locked;
	err = mm_machine_apply(f->mm, &batch);
	page->flags &= ~(uint32_t)PG_locked;
	sys_wake(f->sys);
	return err ? FAULT_AGAIN : MM_FAULT_MINOR;
}

/* The slot's frame is in the cache: let the entry name it. */
static enum mm_fault_result fault_attach(struct fault *f, struct page *page)
{
	swp_entry_t entry = *f->pte;

	anon_page_attach(f->mm, page, f->va);
	pte_set(f->mm, f->pte, pte_make(page_pfn(f->sys, page), PTE_IDLE));
	f->mm->nr_swapped--;
	swap_entry_put(f->sys, entry);
	return FAULT_AGAIN;
}

static enum mm_fault_result fault_swap(struct fault *f)
{
	struct mm_system *sys = f->sys;
	struct page *page = swap_cache_lookup(sys, *f->pte);

	if (!page) {
		if (swapin_readahead(f->mm, *f->pte, (f->vma->flags & VMA_RAND_READ) != 0) !=
		    SWAPIN_STARTED)
			return fault_no_memory(f);
		kswapd_wake_if_low(sys);
		swap_complete(sys);
		/* Not RETRY: another thread may have taken the I/O in while the lock was
		 * dropped, and its wake is past. Whether to wait is decided by a look. */
		return FAULT_AGAIN;
	}
	if (anon_page_is_busy(page))
		return fault_retry(f);
	if (page_has(page, PG_error)) {
		anon_page_put(sys, page); /* the next touch reads again */
		return MM_FAULT_BUS;
	}
	return fault_attach(f, page);
}

static enum mm_fault_result fault_look(struct fault *f, unsigned int access)
{
	f->vma = vma_find(f->mm, f->va);
	if (!f->vma || !vma_allows(f->vma, access))
		return MM_FAULT_SEGV;
	if (pgtable_ensure(f->mm, f->va, &f->pte))
		return fault_no_memory(f);
	if (pte_is_none(*f->pte))
		return fault_zero(f);
	if (pte_is_present(*f->pte))
		return fault_present(f);
	if (pte_is_idle(*f->pte))
		return fault_idle(f);
	return fault_swap(f);
}

static enum mm_fault_result fault_locked(struct fault *f, unsigned int access)
{
	for (unsigned int look = 0; look < LOOKS_MAX; look++) {
		enum mm_fault_result result = fault_look(f, access);

		if (result != FAULT_AGAIN)
			return result;
	}
	/* Nothing will call for it: it is worth asking again at once. */
	fault_retry(f);
	sys_wake(f->sys);
	return MM_FAULT_RETRY;
}

/**
 * mm_fault() - an access at addr found no translation, or one that forbids it.
 * @mm: the address space.
 * @addr: any byte of the page.
 * @access: MM_ACCESS_*.
 *
 * Counts pgfault once for each fault that ends MINOR or MAJOR, pgmajfault for the latter.
 *
 * Return: enum mm_fault_result. After RETRY the call has to be made again, at the latest when
 * mm_config.wake is called next; until then nothing is lost.
 * Context: takes sys->lock; does not hold it over copies, machine ops and device ops. Any
 * number of calls run at a time.
 */
enum mm_fault_result mm_fault(struct mm *mm, vaddr_t addr, unsigned int access)
{
	struct mm_system *sys = mm->sys;
	struct fault f = {
		.mm = mm,
		.sys = sys,
		.va = addr & PAGE_MASK,
		.is_write = (access & MM_ACCESS_WRITE) != 0,
	};
	enum mm_fault_result result;

	sys_lock(sys);
	if (sys->frozen || !mm_read_trylock(mm)) {
		sys->has_waiters = true;
		sys_unlock(sys);
		return MM_FAULT_RETRY;
	}
	result = fault_locked(&f, access);
	if (result == MM_FAULT_MINOR || result == MM_FAULT_MAJOR)
		STAT(sys, pgfault, 1);
	if (result == MM_FAULT_MAJOR)
		STAT(sys, pgmajfault, 1);
	if (result == MM_FAULT_OOM)
		STAT(sys, oom_kill, 1);
	mm_read_unlock(mm);
	sys_unlock(sys);
	return result;
}
