/* SPDX-License-Identifier: MIT */
/*
 * Linux's two lists (mm/vmscan.c, mm/swap.c).
 *
 * New frames enter the inactive list at its head. The scan goes from the tail. An inactive
 * frame that was accessed since it was last looked at gets a second chance: the first time it
 * is marked PG_referenced and goes round once more, the second time it becomes active. One that
 * was not is given to evict(). Active frames are moved to the inactive list from the tail when
 * that list has become too short, whether accessed or not; what matters is whether they are
 * accessed again.
 *
 * Anonymous and file frames have lists of their own; how hard each pair is scanned follows from
 * swappiness and from what reclaiming of each kind has cost lately (get_scan_count).
 *
 * Invariants:
 *  1. A frame on a list has PG_lru, and PG_active if and only if that list is an active one.
 *  2. Isolated frames (PG_isolated) are on no list and have PG_lru clear.
 */
#include "policy/two_lists.h"

#include "base/assert.h"

enum lru { INACTIVE_ANON, ACTIVE_ANON, INACTIVE_FILE, ACTIVE_FILE, NR_LRU };

struct policy {
	struct page *mem_map;
	struct page_list lists[NR_LRU];
	uint64_t cost[2]; /* anonymous, file: I/O and rotations, decaying */
};

/* One batch of isolated frames. */
struct batch {
	struct page *pages[POLICY_BATCH];
	bool young[POLICY_BATCH], may_leave[POLICY_BATCH];
	unsigned int nr;
};

static uint64_t int_sqrt(uint64_t n)
{
	uint64_t root = 0;

	for (uint64_t bit = 1ull << 31; bit > 0; bit >>= 1)
		if ((root + bit) * (root + bit) <= n)
			root += bit;
	return root;
}

static pfn_t pfn_of(const struct policy *p, const struct page *page)
{
	return (pfn_t)(page - p->mem_map);
}

static enum lru lru_of(const struct page *page)
{
	enum lru base = page_is_file_lru(page) ? INACTIVE_FILE : INACTIVE_ANON;

	return page_has(page, PG_active) ? base + 1 : base;
}

static void two_lists_init(struct policy *p, struct page *mem_map, pfn_t nr_frames)
{
	(void)nr_frames;
	p->mem_map = mem_map;
	for (unsigned int i = 0; i < NR_LRU; i++)
		page_list_init(&p->lists[i]);
}

static void list_put(struct policy *p, struct page *page)
{
	page->flags = (page->flags | PG_lru) & ~(uint32_t)PG_isolated;
	page_list_add_head(p->mem_map, &p->lists[lru_of(page)], pfn_of(p, page));
}

static void list_take(struct policy *p, struct page *page)
{
	MM_ASSERT(page_has(page, PG_lru));
	page_list_del(p->mem_map, &p->lists[lru_of(page)], pfn_of(p, page));
	page->flags &= ~(uint32_t)PG_lru;
}

static void two_lists_insert(struct policy *p, struct page *page)
{
	MM_ASSERT(!page_has(page, PG_lru | PG_isolated));
	list_put(p, page);
}

static void two_lists_remove(struct policy *p, struct page *page)
{
	list_take(p, page);
	page->flags &= ~(uint32_t)(PG_active | PG_referenced | PG_workingset);
}

/* folio_mark_accessed(): the second touch activates. */
static void two_lists_accessed(struct policy *p, struct page *page)
{
	if (!page_has(page, PG_referenced)) {
		page->flags |= PG_referenced;
		return;
	}
	if (page_has(page, PG_active) || !page_has(page, PG_lru))
		return;
	list_take(p, page);
	page->flags = (page->flags | PG_active) & ~(uint32_t)PG_referenced;
	list_put(p, page);
}

/* To the inactive tail, so that it is the next to be looked at. */
static void two_lists_deactivate(struct policy *p, struct page *page)
{
	list_take(p, page);
	page->flags &= ~(uint32_t)(PG_active | PG_referenced);
	page->flags |= PG_lru;
	page_list_add_tail(p->mem_map, &p->lists[lru_of(page)], pfn_of(p, page));
}

static void isolate_tail(struct policy *p, enum lru lru, unsigned int max, struct batch *batch)
{
	batch->nr = 0;
	while (batch->nr < max && p->lists[lru].tail != PFN_NONE) {
		struct page *page = &p->mem_map[p->lists[lru].tail];

		list_take(p, page);
		page->flags |= PG_isolated;
		batch->pages[batch->nr++] = page;
	}
}

/* lru_note_cost(): both are halved when they outgrow a quarter of the lists. */
static void two_lists_note_cost(struct policy *p, bool is_file, unsigned int nr)
{
	uint64_t size = 0;

	p->cost[is_file] += nr;
	for (unsigned int i = 0; i < NR_LRU; i++)
		size += p->lists[i].nr;
	if (p->cost[0] + p->cost[1] > size / 4) {
		p->cost[0] /= 2;
		p->cost[1] /= 2;
	}
}

/* folio_check_references(): true if the frame stays. */
static bool second_chance(struct policy *p, struct page *page, bool young,
			  struct policy_scan *scan)
{
	bool was_referenced = page_has(page, PG_referenced);

	if (!young) {
		page->flags &= ~(uint32_t)PG_referenced;
		return false;
	}
	/* Stays set on an active one: after it was deactivated, one use is enough. */
	page->flags |= PG_referenced;
	if (was_referenced) {
		page->flags |= PG_active;
		scan->nr_activated++;
	} else {
		scan->nr_rotated++;
	}
	list_put(p, page);
	return true;
}

static void put_back(struct policy *p, struct page *page, enum policy_verdict verdict,
		     struct policy_scan *scan)
{
	if (verdict == POLICY_ACTIVATE) {
		page->flags |= PG_active;
		scan->nr_activated++;
	} else if (verdict != POLICY_WRITTEN) {
		scan->nr_rotated++;
	}
	list_put(p, page);
}

static void shrink_inactive(struct policy *p, enum lru lru, unsigned int nr,
			    struct policy_scan *scan)
{
	enum policy_verdict verdicts[POLICY_BATCH];
	struct batch batch, victims = {.nr = 0};
	unsigned int gone = 0, written = 0;

	isolate_tail(p, lru, nr, &batch);
	if (batch.nr == 0)
		return;
	policy_scan_count(scan, batch.pages, batch.nr);
	for (unsigned int i = 0; i < batch.nr; i++) /* if used, active: then nobody asks */
		batch.may_leave[i] = page_has(batch.pages[i], PG_referenced);
	scan->harvest(scan->arg, batch.pages, batch.nr, batch.may_leave, batch.young);
	for (unsigned int i = 0; i < batch.nr; i++)
		if (!second_chance(p, batch.pages[i], batch.young[i], scan))
			victims.pages[victims.nr++] = batch.pages[i];
	if (victims.nr > 0)
		scan->evict(scan->arg, victims.pages, victims.nr, verdicts);
	for (unsigned int i = 0; i < victims.nr; i++) {
		written += verdicts[i] == POLICY_WRITTEN;
		if (verdicts[i] == POLICY_GONE)
			gone++;
		else
			put_back(p, victims.pages[i], verdicts[i], scan);
	}
	scan->nr_gone += gone;
	two_lists_note_cost(p, lru >= INACTIVE_FILE, written);
}

static void shrink_active(struct policy *p, enum lru lru, unsigned int nr,
			  struct policy_scan *scan)
{
	struct batch batch;

	isolate_tail(p, lru, nr, &batch);
	if (batch.nr == 0)
		return;
	scan->nr_refill += batch.nr;
	scan->harvest(scan->arg, batch.pages, batch.nr, NULL, batch.young);
	for (unsigned int i = 0; i < batch.nr; i++) {
		batch.pages[i]->flags &= ~(uint32_t)PG_active;
		batch.pages[i]->flags |= PG_workingset;
		list_put(p, batch.pages[i]);
	}
	scan->nr_deactivated += batch.nr;
}

/* inactive_is_low(): the longer both lists, the smaller the inactive one's part. */
static bool inactive_is_low(const struct policy *p, enum lru inactive)
{
	uint64_t nr_inactive = p->lists[inactive].nr, nr_active = p->lists[inactive + 1].nr;
	uint64_t gib = (nr_inactive + nr_active) >> (30 - PAGE_SHIFT);

	return nr_inactive * (gib ? int_sqrt(10 * gib) : 1) < nr_active;
}

/* What shrink() decides before it looks at any frame. */
struct plan {
	uint64_t share[2], denominator; /* of the anonymous and the file lists */
	bool may_deactivate[2];
	uint64_t target[NR_LRU], left[NR_LRU]; /* frames to look at */
};

/* prepare_scan_count(): the old working set gives way when a new one comes in. */
static void plan_deactivation(const struct policy *p, const struct policy_scan *scan,
			      struct plan *plan)
{
	for (unsigned int kind = 0; kind < 2; kind++)
		plan->may_deactivate[kind] =
			scan->has_refaulted[kind] ||
			inactive_is_low(p, kind ? INACTIVE_FILE : INACTIVE_ANON);
}

/* So little is left of files that reclaiming them would be all about the last few. */
static bool file_is_tiny(const struct policy *p, const struct policy_scan *scan,
			 const struct plan *plan)
{
	uint64_t nr_file = p->lists[INACTIVE_FILE].nr + p->lists[ACTIVE_FILE].nr;

	if (nr_file == 0 && (!scan->is_exact || scan->swappiness == 0))
		return true;
	return nr_file + scan->nr_free <= scan->nr_high && !plan->may_deactivate[0] &&
	       p->lists[INACTIVE_ANON].nr >> scan->priority > 0;
}

static void plan_only(struct plan *plan, bool is_file)
{
	plan->share[is_file] = plan->denominator = 1;
	plan->share[!is_file] = 0;
}

/* get_scan_count(): the share of each kind, as a fraction of denominator. */
static void plan_balance(const struct policy *p, const struct policy_scan *scan,
			 struct plan *plan)
{
	uint64_t total = p->cost[0] + p->cost[1];
	uint64_t anon_cost = total + p->cost[0], file_cost = total + p->cost[1];
	uint64_t sum = anon_cost + file_cost;

	if (!scan->may_swap) {
		plan_only(plan, true);
	} else if (scan->priority == 0 && scan->swappiness > 0) {
		plan->share[0] = plan->share[1] = plan->denominator = 1;
	} else if (file_is_tiny(p, scan, plan)) {
		plan_only(plan, false);
	} else if (p->lists[INACTIVE_FILE].nr >> scan->priority > 0 &&
		   !plan->may_deactivate[1]) {
		plan_only(plan, true); /* cache_trim_mode: enough file pages used once */
	} else {
		plan->share[0] = scan->swappiness * (sum + 1) / (anon_cost + 1);
		plan->share[1] = (200 - scan->swappiness) * (sum + 1) / (file_cost + 1);
		plan->denominator = plan->share[0] + plan->share[1];
	}
}

static void plan_make(const struct policy *p, const struct policy_scan *scan, struct plan *plan)
{
	plan_deactivation(p, scan, plan);
	plan_balance(p, scan, plan);
	for (unsigned int lru = 0; lru < NR_LRU; lru++)
		plan->target[lru] = plan->left[lru] =
			((uint64_t)p->lists[lru].nr >> scan->priority) *
			plan->share[lru >= INACTIVE_FILE] / plan->denominator;
}

/* The larger kind keeps to the part of its target that the smaller one has done. */
static void plan_cut(struct plan *plan)
{
	uint64_t *left = plan->left, *target = plan->target;
	uint64_t nr_file = left[INACTIVE_FILE] + left[ACTIVE_FILE];
	uint64_t nr_anon = left[INACTIVE_ANON] + left[ACTIVE_ANON];
	enum lru smaller = nr_file > nr_anon ? INACTIVE_ANON : INACTIVE_FILE;
	enum lru larger = nr_file > nr_anon ? INACTIVE_FILE : INACTIVE_ANON;
	uint64_t percent = (nr_file > nr_anon ? nr_anon : nr_file) * 100 /
			   (target[smaller] + target[smaller + 1] + 1);

	left[smaller] = left[smaller + 1] = 0;
	for (unsigned int lru = larger; lru < larger + 2u; lru++) {
		uint64_t done = target[lru] - left[lru];
		uint64_t want = target[lru] * (100 - percent) / 100;

		left[lru] = want > done ? want - done : 0;
	}
}

/* A batch of each list. */
static void shrink_round(struct policy *p, struct plan *plan, struct policy_scan *scan)
{
	for (unsigned int lru = 0; lru < NR_LRU; lru++) {
		unsigned int nr = plan->left[lru] < POLICY_BATCH ? (unsigned int)plan->left[lru]
								 : POLICY_BATCH;
		bool is_active = lru == ACTIVE_ANON || lru == ACTIVE_FILE;

		if (nr == 0)
			continue;
		plan->left[lru] -= nr;
		if (!is_active)
			shrink_inactive(p, (enum lru)lru, nr, scan);
		else if (plan->may_deactivate[lru >= INACTIVE_FILE])
			shrink_active(p, (enum lru)lru, nr, scan);
	}
}

/* kswapd_age_node(), and the end of shrink_lruvec(). */
static void age_anon(struct policy *p, struct policy_scan *scan)
{
	if (scan->may_swap && inactive_is_low(p, INACTIVE_ANON))
		shrink_active(p, ACTIVE_ANON, POLICY_BATCH, scan);
}

/*
 * shrink_lruvec(): all lists in turn, a batch at a time, until enough is gone; but who needs a
 * frame does all that the first priority asks of it, for kswapd does not keep up.
 */
static void two_lists_shrink(struct policy *p, struct policy_scan *scan)
{
	bool does_all =
		scan->is_exact && !scan->is_kswapd && scan->priority == POLICY_PRIORITY_MAX;
	struct plan plan;

	if (scan->is_kswapd)
		age_anon(p, scan);
	plan_make(p, scan, &plan);
	while (plan.left[INACTIVE_ANON] || plan.left[INACTIVE_FILE] || plan.left[ACTIVE_FILE]) {
		shrink_round(p, &plan, scan);
		if (scan->nr_gone < scan->nr_reclaim || does_all)
			continue;
		if (!(plan.left[INACTIVE_FILE] + plan.left[ACTIVE_FILE]) ||
		    !(plan.left[INACTIVE_ANON] + plan.left[ACTIVE_ANON]))
			break;
		plan_cut(&plan);
	}
	age_anon(p, scan);
}

static void two_lists_count(const struct policy *p, uint64_t ret_nr[4])
{
	for (unsigned int lru = 0; lru < NR_LRU; lru++)
		ret_nr[lru] = p->lists[lru].nr;
}

static int list_check(const struct policy *p, enum lru lru)
{
	const struct page_list *list = &p->lists[lru];
	pfn_t prev = PFN_NONE;
	uint32_t nr = 0;

	for (pfn_t pfn = list->head; pfn != PFN_NONE; pfn = p->mem_map[pfn].next) {
		const struct page *page = &p->mem_map[pfn];

		CHECK(nr < list->nr);
		CHECK(page_has(page, PG_lru) && !page_has(page, PG_isolated));
		CHECK(lru_of(page) == lru);
		CHECK(page->prev == prev);
		prev = pfn;
		nr += page_weight(page);
	}
	CHECK(nr == list->nr && list->tail == prev);
	return 0;
}

static int two_lists_check(const struct policy *p)
{
	for (unsigned int lru = 0; lru < NR_LRU; lru++)
		CHECK(list_check(p, (enum lru)lru) == 0);
	return 0;
}

const struct policy_ops policy_two_lists = {
	.name = "two-lists",
	.state_size = sizeof(struct policy),
	.init = two_lists_init,
	.insert = two_lists_insert,
	.remove = two_lists_remove,
	.accessed = two_lists_accessed,
	.deactivate = two_lists_deactivate,
	.note_cost = two_lists_note_cost,
	.shrink = two_lists_shrink,
	.count = two_lists_count,
	.check = two_lists_check,
};
