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
 * Where a fault costs far more than a translation (MACHINE_FAULTS_COST), one fault translates
 * others for which there is evidence: faults that go through memory in order (mm/stream.c) are
 * met with the next pages, 1, 2, 4 … 16 or 32: made, read, or resident; and the first touch of
 * a page that was read ahead takes along what was read with it.
 *
 * A page is translated writable if this access writes, or if it is dirty anyway, or if the
 * machine tells by itself whether it was written. Otherwise (clean: its copy in swap is good;
 * or lazily freed) the translation is read-only, and the write that ends that is a fault which
 * drops the copy. So whether a page must be written again is known, not guessed.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "mm/fault.h"
#include "mm/huge.h"
#include "mm/oom.h"
#include "mm/reclaim.h"
#include "mm/vma.h"

/* How often one call looks anew after the world changed under it; then the caller asks again.
 */
#define LOOKS_MAX 4

/* A power of two that divides a table, so the entries of a block are neighbours. */
#define AROUND_PAGES FAULT_WINDOW
_Static_assert(AROUND_PAGES <= FAULT_WINDOW_MAX, "a block is one machine op");

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

enum mm_fault_result fault_retry(struct fault *f)
{
	f->sys->has_waiters = true;
	return MM_FAULT_RETRY;
}

static enum mm_fault_result fault_out_of_memory(struct fault *f)
{
	switch (oom_out_of_memory(f->mm)) {
	case OOM_AGAIN:
		return FAULT_AGAIN;
	case OOM_WAIT:
		return fault_retry(f);
	default:
		return MM_FAULT_OOM;
	}
}

enum mm_fault_result fault_no_memory(struct fault *f)
{
	switch (reclaim_direct(f->sys)) {
	case RECLAIM_FREED:
		return FAULT_AGAIN;
	case RECLAIM_WAIT:
		return fault_retry(f);
	default:
		return fault_out_of_memory(f);
	}
}

static inline pte_t present_bits(const struct fault *f, const struct page *page)
{
	bool tells = (f->sys->machine->ops->caps & MACHINE_SETS_DIRTY) != 0;
	pte_t bits = PTE_PRESENT | PTE_USER | PTE_ACCESSED;

	if (!(f->vma->flags & VMA_EXEC))
		bits |= PTE_NX;
	if (page_has(page, PG_file))
		return bits | fault_file_write_bit(f, page);
	if ((f->vma->flags & VMA_WRITE) && (tells || page_has(page, PG_dirty)) &&
	    anon_page_may_write(f->sys, page))
		bits |= PTE_WRITE;
	return bits;
}

pte_t fault_present_bits(const struct fault *f, const struct page *page)
{
	return present_bits(f, page);
}

/* One machine op: the page that was touched, and perhaps neighbours, ascending. */
struct translation {
	struct machine_change changes[FAULT_WINDOW_MAX];
	struct page *pages[FAULT_WINDOW_MAX];
	pte_t *ptes[FAULT_WINDOW_MAX];
	unsigned int nr, target;
};

/* The entry is IDLE, or PRESENT and gains PTE_WRITE. */
static void translation_add(struct fault *f, struct translation *t, pte_t *pte, vaddr_t va)
{
	struct page *page = page_of(f->sys, pte_pfn(*pte));

	t->changes[t->nr] = (struct machine_change){
		.va = va,
		.old_pte = *pte,
		.new_pte = pte_make(page_pfn(f->sys, page), present_bits(f, page)),
	};
	t->pages[t->nr] = page;
	t->ptes[t->nr++] = pte;
	page->flags |= PG_locked;
}

/* The neighbour was read ahead for its entry and waits to be touched. Attaches it. */
static bool ahead_attach(struct fault *f, pte_t *pte, vaddr_t va)
{
	struct page *page = pte_is_swap(*pte) ? swap_cache_lookup(f->sys, *pte) : NULL;

	if (!page || anon_page_is_busy(page) || page_is_mapped(page) ||
	    page_has(page, PG_error) || !page_has(page, PG_readahead))
		return false;
	page->flags &= ~(uint32_t)PG_readahead;
	anon_swap_attach(f->mm, pte, page, va);
	return true;
}

static void count_hit(struct mm_system *sys)
{
	sys->readahead.hits++;
	STAT(sys, swap_ra_hit, 1);
}

/*
 * A page that was read ahead is touched: so will be what was read with it. Each of those would
 * be a fault of its own, of which the machine op is the smaller part. Of a file it is what is
 * cached around it (Linux's fault-around).
 */
static void collect_block(struct fault *f, struct translation *t)
{
	vaddr_t start = align_down(f->va, AROUND_PAGES * PAGE_SIZE);
	pte_t *first = f->pte - ((f->va - start) >> PAGE_SHIFT);

	for (unsigned int i = 0; i < AROUND_PAGES; i++) {
		vaddr_t va = start + i * PAGE_SIZE;

		if (va < f->vma->start || va >= f->vma->end)
			continue;
		if (va == f->va)
			t->target = t->nr;
		else if (f->is_around ? !fault_file_around(f, first + i, va)
				      : !ahead_attach(f, first + i, va))
			continue;
		else if (!f->is_around)
			count_hit(f->sys);
		translation_add(f, t, first + i, va);
	}
}

static struct page *pte_page(const struct fault *f, pte_t pte)
{
	return page_of(f->sys, pte_pfn(pte));
}

/* The copy in swap takes room that is needed, or is about to be worth nothing. */
static void give_up_copy(struct fault *f, struct page *page)
{
	bool is_wanted =
		!f->is_write && !(page_has(page, PG_swapcache) && swap_is_nearly_full(f->sys));

	if (!is_wanted && anon_page_may_write(f->sys, page))
		anon_page_mark_dirty(f->sys, page);
}

/* It is in RAM, and this access would be a fault there, too. */
static bool is_resident(struct fault *f, pte_t pte)
{
	struct page *page;

	if (!pte_is_resident(pte))
		return false;
	page = pte_page(f, pte);
	if (anon_page_is_busy(page) || page_has(page, PG_file))
		return false;
	if (pte_is_idle(pte))
		return true;
	return f->is_write && !(pte & PTE_WRITE) && anon_page_may_write(f->sys, page);
}

/* Resident, or read ahead: then attaches it. */
static bool is_at_hand(struct fault *f, pte_t *pte, vaddr_t va, unsigned int *nr_ahead)
{
	if (is_resident(f, *pte)) {
		pte_page(f, *pte)->flags &= ~(uint32_t)PG_readahead;
	} else if (ahead_attach(f, pte, va)) {
		++*nr_ahead;
	} else {
		return false;
	}
	give_up_copy(f, pte_page(f, *pte));
	return true;
}

/* Faults come in order: takes along the next pages of the stream, as far as they are at hand.
 */
static void collect_stream(struct fault *f, struct translation *t)
{
	unsigned int nr_ahead = 0;

	for (unsigned int i = 0; i < f->window; i++) {
		unsigned int nth = f->step > 0 ? i : f->window - 1 - i; /* ascending */
		vaddr_t va = fault_nth_va(f, nth);
		pte_t *pte = fault_nth_pte(f, nth);

		if (nth == 0)
			t->target = t->nr;
		else if (!is_at_hand(f, pte, va, &nr_ahead))
			continue;
		translation_add(f, t, pte, va);
	}
	stream_note_ahead(f, nr_ahead);
}

/* A frame for an entry that is NONE; it becomes IDLE. The content is not zeroed yet. */
static bool fresh_page(struct fault *f, pte_t *pte, vaddr_t va, struct page **ret_page)
{
	struct mm_system *sys = f->sys;
	struct page *page = anon_page_new(sys);

	if (!page)
		return false;
	anon_page_attach(f->mm, page, va);
	pte_set(f->mm, pte, pte_make(page_pfn(sys, page), PTE_IDLE));
	sys->nr_touched++;
	if (sys->nr_touched > sys->vmstat[MM_VMSTAT_nr_touched_peak])
		sys->vmstat[MM_VMSTAT_nr_touched_peak] = sys->nr_touched;
	*ret_page = page;
	return true;
}

/* Where faults free frames ahead, they do so as soon as they are below low. */
bool fault_has_frames(const struct mm_system *sys)
{
	for (unsigned int i = 0; i < sys->nr_zones; i++) {
		const struct zone *zone = &sys->zones[i];
		uint32_t mark = zone->watermark[WMARK_LOW];

		if (sys->cfg.is_reclaim_by_faults)
			mark = (mark + zone->watermark[WMARK_MIN]) / 2;
		if (zone_watermark_ok(zone, 0, mark))
			return true;
	}
	return false;
}

/* First touches in order: makes the next pages too, while there is room. */
static void collect_fresh(struct fault *f, struct translation *t)
{
	unsigned int window = f->step == 1 ? f->window : 1, nth;
	struct page *page;

	translation_add(f, t, f->pte, f->va);
	for (nth = 1; nth < window && fault_has_frames(f->sys); nth++) {
		pte_t *pte = fault_nth_pte(f, nth);

		if (!pte_is_none(*pte) || !fresh_page(f, pte, fault_nth_va(f, nth), &page))
			break;
		translation_add(f, t, pte, fault_nth_va(f, nth));
	}
	if (nth < f->window)
		stream_leave(f, nth);
}

static void translation_collect(struct fault *f, struct translation *t)
{
	bool has_stream = f->window > 0;

	if (has_stream && f->is_fresh)
		collect_fresh(f, t);
	else if (f->window > 1)
		collect_stream(f, t);
	else if ((has_stream && f->is_ahead) || (f->is_around && !f->is_fetch))
		collect_block(f, t);
	else
		translation_add(f, t, f->pte, f->va);
}

/* What the machine has done becomes the entries' truth; the rest stays IDLE. */
static void translation_finish(struct fault *f, struct translation *t, unsigned int nr_done)
{
	for (unsigned int i = 0; i < t->nr; i++) {
		struct page *page = t->pages[i];

		page->flags &= ~(uint32_t)PG_locked;
		if (i < nr_done)
			pte_set(f->mm, t->ptes[i], t->changes[i].new_pte);
		page_lru_add(f->sys, page);
	}
	sys_wake(f->sys);
}

enum mm_fault_result fault_machine_error(struct fault *f, int err)
{
	if (err == -ENOMEM)
		return MM_FAULT_OOM;
	if (err != -EAGAIN && err != -EBUSY) { /* the machine says that it never will */
		f->sys->machine_error.va = f->va;
		f->sys->machine_error.err = err;
		f->sys->machine_error.entry = f->pte ? *f->pte : 0;
		return MM_FAULT_BUS;
	}
	fault_retry(f);
	sys_wake(f->sys);
	return MM_FAULT_RETRY;
}

/* Has the machine translate the page, and with it what is likely to be touched next. */
enum mm_fault_result fault_translate(struct fault *f, struct page *page)
{
	struct mm_system *sys = f->sys;
	struct translation t = {.nr = 0};
	struct machine_batch batch = {.changes = t.changes};
	int err = 0;

	if (f->is_write)
		page_mark_dirty(sys, page);
	translation_collect(f, &t);
	batch.nr = t.nr;
	sys_unlock(sys);
	if (f->is_fresh)
		for (unsigned int i = 0; i < t.nr; i++)
			memset(page_addr(sys, t.pages[i]), 0, PAGE_SIZE);
	if (!f->is_fetch)
		err = sys->machine->ops->apply(sys->machine, f->mm->space, &batch);
	sys_lock(sys);
	if (f->is_fetch)
		batch.nr_done = 0; /* the frame is there, the entry stays IDLE */
	else if (!err)
		batch.nr_done = t.nr;
	translation_finish(f, &t, batch.nr_done);
	if (err)
		stream_break(f); /* asked again, it shall not fail for another page */
	if (f->is_fetch || t.target < batch.nr_done)
		return MM_FAULT_MINOR;
	if (t.target != batch.nr_done)
		err = -EAGAIN; /* it was a neighbour's, and this page was not tried */
	return fault_machine_error(f, err);
}

static enum mm_fault_result fault_zero(struct fault *f)
{
	enum mm_fault_result result;
	struct page *page;

	if (!fresh_page(f, f->pte, f->va, &page))
		return fault_no_memory(f);
	f->is_fresh = true;
	result = fault_translate(f, page);
	/* As many pages more are to go elsewhere, and compressed memory takes frames for that.
	 */
	reclaim_ahead(f->sys, 2 * f->window);
	return result;
}

/* What was read ahead and is used tells the next window; what was read on demand is major. */
static enum mm_fault_result fault_account(struct mm_system *sys, struct page *page)
{
	bool is_major = page_has(page, PG_demand);

	if (page_has(page, PG_readahead))
		count_hit(sys);
	page->flags &= ~(uint32_t)(PG_readahead | PG_demand);
	return is_major ? MM_FAULT_MAJOR : MM_FAULT_MINOR;
}

/* The page is not only this mm's to write, and cannot be made so. */
static bool fault_needs_copy(struct fault *f, struct page *page)
{
	if (!f->is_write || anon_page_may_write(f->sys, page))
		return false;
	if (!anon_page_take_back(f->mm, page))
		return true;
	STAT(f->sys, pgreuse, 1);
	return false;
}

/* The entry names the page, which is not busy. Unlocks. */
static enum mm_fault_result fault_make(struct fault *f, struct page *page)
{
	return fault_needs_copy(f, page) ? fault_cow(f, page) : fault_translate(f, page);
}

static enum mm_fault_result fault_idle(struct fault *f)
{
	struct page *page = page_of(f->sys, pte_pfn(*f->pte));
	enum mm_fault_result kind, result;

	if (page_has(page, PG_writeback)) {
		if (page_has(page, PG_reclaim)) {
			STAT(f->sys, pgreuse, 1);
			/* Linux has one flag for this and for PG_readahead. */
			f->sys->readahead.hits += f->sys->cfg.is_linux_reclaim;
		}
		page->flags &= ~(uint32_t)PG_reclaim;
		return fault_retry(f);
	}
	if (page_has(page, PG_locked))
		return fault_retry(f);
	f->is_ahead = page_has(page, PG_readahead);
	kind = fault_account(f->sys, page);
	if (page_has(page, PG_swapcache) && swap_is_nearly_full(f->sys) &&
	    anon_page_may_write(f->sys, page))
		anon_page_mark_dirty(f->sys, page);
	result = fault_make(f, page);
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
		return fault_make(f, page);
	/* Reclaim must not take the translation away while the machine makes it again. */
	page->flags |= PG_locked;
	err = mm_machine_apply(f->mm, &batch);
	page->flags &= ~(uint32_t)PG_locked;
	sys_wake(f->sys);
	return err ? FAULT_AGAIN : MM_FAULT_MINOR;
}

/* By address where faults are watched, for that is how they come; else by slot, as Linux. */
static enum swapin_result swapin(struct fault *f)
{
	if (f->window > 0)
		return stream_read(f);
	return swapin_readahead(f->sys, *f->pte, (f->vma->flags & VMA_RAND_READ) != 0);
}

static enum mm_fault_result fault_swap(struct fault *f)
{
	struct mm_system *sys = f->sys;
	struct page *page = swap_cache_lookup(sys, *f->pte);

	if (!page) {
		if (swapin(f) != SWAPIN_STARTED)
			return fault_no_memory(f);
		reclaim_ahead(sys, f->window);
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
	if (!anon_page_can_attach(f->mm, page, f->va))
		return fault_cow(f, page);
	anon_swap_attach(f->mm, f->pte, page, f->va);
	return FAULT_AGAIN;
}

static struct page *entry_page(const struct fault *f)
{
	return pte_page(f, *f->pte);
}

/* Is this one of several faults in order? Only where it matters what a fault costs. */
static void fault_watch(struct fault *f)
{
	if (f->window > 0 || f->is_fetch || f->vma->mapping ||
	    !(f->sys->machine->ops->caps & MACHINE_FAULTS_COST))
		return;
	if (f->vma->flags & VMA_RAND_READ)
		f->window = 1;
	else
		stream_enter(f);
}

static enum mm_fault_result fault_look(struct fault *f, unsigned int access)
{
	enum mm_fault_result result;
	struct vma *vma = vma_find(f->mm, f->va);

	f->vma = vma;
	if (!vma || !vma_allows(vma, access))
		return MM_FAULT_SEGV;
	if ((f->sys->machine->ops->caps & MACHINE_HUGE) && huge_fault(f, &result)) {
		vma->flags |= VMA_TOUCHED;
		return result;
	}
	if (pgtable_ensure(f->mm, f->va, &f->pte))
		return fault_no_memory(f);
	vma->flags |= VMA_TOUCHED;
	fault_watch(f);
	if (pte_is_none(*f->pte))
		return f->vma->mapping ? fault_file(f) : fault_zero(f);
	if (pte_is_resident(*f->pte) && page_has(entry_page(f), PG_file))
		return fault_file_mapped(f, entry_page(f));
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
 * mm_fault_error() - was it the machine that made mm_fault() answer MM_FAULT_BUS?
 * @addr: as given to mm_fault().
 * @ret_entry: the page's entry then, if so.
 *
 * Return: the machine's -errno; 0: the page's copy could not be read. Of the last such fault
 * only: another may come between, and the answer is then 0. Context: takes sys->lock.
 */
int mm_fault_error(struct mm *mm, vaddr_t addr, uint64_t *ret_entry)
{
	struct mm_system *sys = mm->sys;
	int err = 0;

	sys_lock(sys);
	if (sys->machine_error.err && sys->machine_error.va == (addr & PAGE_MASK)) {
		err = sys->machine_error.err;
		*ret_entry = sys->machine_error.entry;
	}
	sys->machine_error.err = 0;
	sys_unlock(sys);
	return err;
}

/**
 * mm_fault() - an access at addr found no translation, or one that forbids it.
 * @mm: the address space.
 * @addr: any byte of the page.
 * @access: MM_ACCESS_*. With MM_ACCESS_FETCH the page ends up in a frame, and the access goes
 * on waiting: its content is there, nobody can change it.
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
		.is_fetch = (access & MM_ACCESS_FETCH) != 0,
	};
	enum mm_fault_result result;

	sys_lock(sys);
	if (sys->frozen || !mm_read_trylock(mm)) {
		sys->has_waiters = true;
		sys_unlock(sys);
		return MM_FAULT_RETRY;
	}
	result = mm->is_oom_victim ? MM_FAULT_OOM : fault_locked(&f, access);
	if (result == MM_FAULT_MINOR || result == MM_FAULT_MAJOR)
		STAT(sys, pgfault, 1);
	if (result == MM_FAULT_MAJOR)
		STAT(sys, pgmajfault, 1);
	if (result == MM_FAULT_OOM && !mm->is_oom_victim)
		STAT(sys, oom_kill, 1);
	mm_read_unlock(mm);
	sys_unlock(sys);
	return result;
}
