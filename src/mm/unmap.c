/* SPDX-License-Identifier: MIT */
/*
 * Reclaim's questions to the machine: was a page used, and its translations away.
 *
 * A machine with accessed bits is asked by harvest(). On one without, a translated page counts
 * as used, and asking takes its translation away, so that the next use is a fault (Linux's own
 * way on processors without the bit).
 *
 * sys->lock is dropped for each op. Meanwhile the pages are isolated, the mm that the op works
 * on is read-locked, and pages whose translation changes are PG_locked. An mm that is
 * write-locked is passed over, and its pages stay as they are.
 *
 * Exclusive pages are taken mm by mm: neighbours are one op. Pages with several mappers are
 * asked after those, through a set of mappers that rmap_walk() fills, with the mm of each
 * read-locked. A page with more mappers than the set holds takes several rounds. Which mappers
 * a page has may change between two rounds, and one may then be passed over: its translation
 * stays, and whoever wants to take the page finds that it is in use.
 */
#include "base/assert.h"
#include "mm/huge.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"

#define MAPPERS_MAX (2 * POLICY_BATCH)

/* One machine batch: neighbours of one mm. */
struct idle_batch {
	struct mm *mm;
	struct machine_change changes[POLICY_BATCH];
	struct page *pages[POLICY_BATCH];
	unsigned int nr;
	bool only_writes; /* as in struct mapper_scan */
};

struct mapper {
	struct mm *mm; /* read-locked; NULL: done */
	vaddr_t va;
	unsigned int page; /* its place in what is asked */
};

struct mapper_set {
	struct mapper_scan *scan;
	struct page **pages;
	bool *ret_seen; /* in what way: had a translation, or was accessed */
	struct mapper mappers[MAPPERS_MAX];
	unsigned int nr;
	void (*run)(struct mapper_set *set); /* unlocks; works all off */
};

static bool lock_mm(struct mapper_scan *scan, struct mm *mm)
{
	if (mm == scan->locked || mm_reclaim_trylock(mm))
		return true;
	scan->was_refused = true;
	return false;
}

static void unlock_mm(struct mapper_scan *scan, struct mm *mm)
{
	if (mm != scan->locked)
		mm_read_unlock(mm);
}

/* By address, for the machine merges neighbours. At most POLICY_BATCH: insertion is fine. */
static inline void idle_batch_add(struct idle_batch *b, struct page *page, vaddr_t va,
				  pte_t pte)
{
	pte_t new_pte = b->only_writes ? pte & ~PTE_WRITE : pte_idle(pte);
	unsigned int at = b->nr++;

	while (at > 0 && b->changes[at - 1].va > va) {
		b->changes[at] = b->changes[at - 1];
		b->pages[at] = b->pages[at - 1];
		at--;
	}
	b->changes[at] = (struct machine_change){
		.va = va,
		.old_pte = pte,
		.new_pte = new_pte,
		.order = page_block_order(page),
	};
	b->pages[at] = page;
	page->flags |= PG_locked;
}

/* Makes the changes from first on. Return: where it stopped; that one could not be made. */
static unsigned int idle_batch_apply(struct idle_batch *b, unsigned int first)
{
	struct machine_batch batch = {.changes = b->changes + first, .nr = b->nr - first};

	if (mm_machine_apply(b->mm, &batch) == 0)
		return b->nr;
	return first + batch.nr_done;
}

/*
 * It was written through a translation. Its slot is then worth nothing; Linux keeps it, and
 * writes the page there again.
 */
static void mark_written(struct mm_system *sys, struct page *page)
{
	if (sys->cfg.is_linux_reclaim && !page_has(page, PG_file | PG_lazyfree))
		page->flags |= PG_dirty;
	else
		page_mark_dirty(sys, page);
}

static void set_idle(struct mm *mm, const struct machine_change *change)
{
	struct huge_leaf leaf;

	if (change->order && huge_find(mm, change->va, &leaf))
		huge_set(&leaf, change->new_pte);
	else
		pte_set(mm, pgtable_lookup(mm, change->va), change->new_pte);
}

/*
 * Takes the translations away. A page that the machine cannot give up (the kernel holds it,
 * say) stays PRESENT, and does not keep the others. Unlocks.
 */
static inline void idle_batch_run(struct idle_batch *b)
{
	unsigned int at = 0;

	while (at < b->nr) {
		unsigned int stop = idle_batch_apply(b, at);

		for (; at < stop; at++) {
			const struct machine_change *change = &b->changes[at];
			struct page *page = b->pages[at];

			page->flags &= ~(uint32_t)PG_locked;
			set_idle(b->mm, change);
			if (change->old_pte & PTE_DIRTY)
				mark_written(b->mm->sys, page);
		}
		if (at < b->nr)
			b->pages[at++]->flags &= ~(uint32_t)PG_locked;
	}
	sys_wake(b->mm->sys);
	b->nr = 0;
}

/*
 * Collects the translated ones among pages[first..nr) that are of the same mm as the first, but
 * for those that may be left.
 */
static void idle_batch_collect(struct idle_batch *b, struct page **pages, unsigned int first,
			       unsigned int nr, const bool *may_leave, bool *ret_had)
{
	for (unsigned int i = first; i < nr; i++) {
		struct page *page = pages[i];
		pte_t *pte;

		if (!page_is_exclusive(page) || page->mm != b->mm || anon_page_is_busy(page))
			continue;
		pte = anon_page_pte(page);
		if (!pte_is_present(*pte))
			continue;
		ret_had[i] = true;
		if (!may_leave || !may_leave[i])
			idle_batch_add(b, page, page->index << PAGE_SHIFT, *pte);
	}
}

/* Return: are there pages with several mappers, too? Unlocks. */
static bool idle_exclusive(struct mapper_scan *scan, struct page **pages, unsigned int nr,
			   const bool *may_leave, bool *ret_had)
{
	const struct mm *last = NULL; /* pages of one mm mostly come together */
	struct idle_batch b = {.nr = 0};
	bool has_shared = false;

	for (unsigned int i = 0; i < nr; i++) {
		struct mm *mm = pages[i]->mm;

		if (!page_is_exclusive(pages[i])) {
			has_shared = true;
			continue;
		}
		if (!mm || mm == last || ret_had[i])
			continue;
		last = mm;
		if (!lock_mm(scan, mm))
			continue;
		b.mm = mm;
		idle_batch_collect(&b, pages, i, nr, may_leave, ret_had);
		idle_batch_run(&b);
		unlock_mm(scan, mm);
	}
	return has_shared;
}

/* Is there anything to take away? */
static bool pte_is_asked(const struct mapper_scan *scan, pte_t pte)
{
	return pte_is_present(pte) && (!scan->only_writes || pte & PTE_WRITE);
}

/* A page's turn in a set. */
struct mapper_collect {
	struct mapper_set *set;
	unsigned int page;
	uint64_t nr_skip; /* mappers that were in the last set */
	uint64_t nr_seen;
};

static bool mapper_add(const struct rmap_entry *at, void *arg)
{
	struct mapper_collect *collect = arg;
	struct mapper_set *set = collect->set;

	if (collect->nr_seen++ < collect->nr_skip || !pte_is_asked(set->scan, *at->pte))
		return true;
	if (set->nr == MAPPERS_MAX) {
		collect->nr_seen--;
		return false;
	}
	if (lock_mm(set->scan, at->mm))
		set->mappers[set->nr++] =
			(struct mapper){.mm = at->mm, .va = at->va, .page = collect->page};
	return true;
}

/* Unlocks where the set is full. */
static void mapper_set_add_page(struct mapper_set *set, unsigned int page)
{
	struct mapper_collect collect = {.set = set, .page = page};
	uint64_t rounds_max = set->pages[page]->mapcount / MAPPERS_MAX + 1;

	for (uint64_t i = 0; i <= rounds_max; i++) {
		/* While the lock was dropped it may have become somebody's own, or busy. */
		if (page_is_exclusive(set->pages[page]) || anon_page_is_busy(set->pages[page]))
			return;
		if (rmap_walk(set->scan->sys, set->pages[page], mapper_add, &collect))
			return;
		set->run(set);
		collect.nr_skip = collect.nr_seen;
		collect.nr_seen = 0;
	}
}

/* Asks the pages with several mappers. Unlocks. */
static void mapper_set_ask(struct mapper_set *set, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!page_is_exclusive(set->pages[i]))
			mapper_set_add_page(set, i);
	set->run(set);
}

static bool idle_batch_has(const struct idle_batch *b, const struct page *page)
{
	for (unsigned int i = 0; i < b->nr; i++)
		if (b->pages[i] == page)
			return true;
	return false;
}

/* What the set has of the mm of mappers[first], as far as it is one batch. */
static void mapper_set_batch(struct mapper_set *set, unsigned int first, struct idle_batch *b)
{
	b->mm = set->mappers[first].mm;
	for (unsigned int i = first; i < set->nr && b->nr < POLICY_BATCH; i++) {
		struct mapper *m = &set->mappers[i];
		struct page *page = set->pages[m->page];
		const pte_t *pte;

		if (m->mm != b->mm || idle_batch_has(b, page))
			continue; /* a page that is mapped twice goes with the next */
		m->mm = NULL;
		if (i > first)
			unlock_mm(set->scan, b->mm); /* one lock is enough */
		pte = pgtable_lookup(b->mm, m->va);
		/* Other mms' batches came before: another thread may be at work on it now. */
		if (anon_page_is_busy(page) || !pte || !pte_is_asked(set->scan, *pte) ||
		    page_of(set->scan->sys, pte_pfn(*pte)) != page)
			continue;
		set->ret_seen[m->page] = true;
		idle_batch_add(b, page, m->va, *pte);
	}
}

static void mapper_set_idle(struct mapper_set *set)
{
	struct idle_batch b = {.nr = 0, .only_writes = set->scan->only_writes};

	for (unsigned int i = 0; i < set->nr; i++) {
		if (!set->mappers[i].mm)
			continue;
		mapper_set_batch(set, i, &b);
		idle_batch_run(&b);
		unlock_mm(set->scan, b.mm);
	}
	set->nr = 0;
}

static __attribute__((noinline)) void mappers_ask(struct mapper_scan *scan, struct page **pages,
						  unsigned int nr, bool *ret_seen,
						  void (*run)(struct mapper_set *set))
{
	struct mapper_set set; /* large: its mappers need no zeroes */

	set.scan = scan;
	set.pages = pages;
	set.ret_seen = ret_seen;
	set.nr = 0;
	set.run = run;
	mapper_set_ask(&set, nr);
}

static void idle_pages(struct mapper_scan *scan, struct page **pages, unsigned int nr,
		       const bool *may_leave, bool *ret_had)
{
	if (idle_exclusive(scan, pages, nr, may_leave, ret_had))
		mappers_ask(scan, pages, nr, ret_had, mapper_set_idle);
}

/**
 * mappers_idle() - take the translations away of those of the pages that have one.
 * @pages: isolated, at most POLICY_BATCH.
 * @ret_had: by page; is set to true for those that had one, left alone for others.
 *
 * Context: sys->lock held, dropped and retaken.
 */
void mappers_idle(struct mapper_scan *scan, struct page **pages, unsigned int nr, bool *ret_had)
{
	idle_pages(scan, pages, nr, NULL, ret_had);
}

static void seen_accessed(void *arg, vaddr_t va, pte_t bits)
{
	(void)va;
	(void)bits;
	*(bool *)arg = true;
}

/* Unlocks. The caller has mm locked. */
static inline void harvest_page(struct mm *mm, vaddr_t va, uint32_t nr_pages, bool *ret_young)
{
	struct machine *m = mm->sys->machine;

	sys_unlock(mm->sys);
	m->ops->harvest(m, mm->space, va, va + nr_pages * PAGE_SIZE, seen_accessed, ret_young);
	sys_lock(mm->sys);
}

static void mapper_set_harvest(struct mapper_set *set)
{
	for (unsigned int i = 0; i < set->nr; i++) {
		const struct mapper *m = &set->mappers[i];

		harvest_page(m->mm, m->va, 1, &set->ret_seen[m->page]);
		unlock_mm(set->scan, m->mm);
	}
	set->nr = 0;
}

/* Return: are there pages with several mappers, too? Unlocks. */
static bool harvest_exclusive(struct mapper_scan *scan, struct page **pages, unsigned int nr,
			      bool *ret_young)
{
	bool has_shared = false;

	for (unsigned int i = 0; i < nr; i++) {
		struct page *page = pages[i];
		struct mm *mm = page->mm;

		if (!page_is_exclusive(page)) {
			has_shared = true;
			continue;
		}
		if (!mm || anon_page_is_busy(page) || !lock_mm(scan, mm))
			continue;
		harvest_page(mm, page->index << PAGE_SHIFT, page_weight(page), &ret_young[i]);
		unlock_mm(scan, mm);
	}
	return has_shared;
}

/**
 * mappers_harvest() - were the pages accessed since they were last asked?
 * @pages: isolated, at most POLICY_BATCH.
 * @may_leave: by page, or NULL: of one that was, it need not be known when it is the next time.
 * @ret_young: by page.
 *
 * Context: sys->lock held, dropped and retaken.
 */
void mappers_harvest(struct mapper_scan *scan, struct page **pages, unsigned int nr,
		     const bool *may_leave, bool *ret_young)
{
	bool has_bits = (scan->sys->machine->ops->caps & MACHINE_SETS_ACCESSED) != 0;

	for (unsigned int i = 0; i < nr; i++)
		ret_young[i] = false;
	if (!has_bits)
		idle_pages(scan, pages, nr, may_leave, ret_young);
	else if (harvest_exclusive(scan, pages, nr, ret_young))
		mappers_ask(scan, pages, nr, ret_young, mapper_set_harvest);
}
