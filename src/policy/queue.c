/* SPDX-License-Identifier: MIT */
#include "policy/queue.h"

#include "base/assert.h"

/* Isolated frames, and which of them were used. */
struct queue_batch {
	struct page *pages[POLICY_BATCH];
	bool young[POLICY_BATCH];
	unsigned int nr;
};

static pfn_t pfn_of(const struct policy *p, const struct page *page)
{
	return (pfn_t)(page - p->mem_map);
}

void queue_init(struct policy *p, struct page *mem_map, pfn_t nr_frames)
{
	(void)nr_frames;
	p->mem_map = mem_map;
	p->nr_anon = 0;
	page_list_init(&p->list);
}

static void queue_note_put(struct policy *p, struct page *page)
{
	page->flags = (page->flags | PG_lru) & ~(uint32_t)PG_isolated;
	p->nr_anon += page_has(page, PG_anon) ? page_weight(page) : 0;
}

static void queue_put_head(struct policy *p, struct page *page)
{
	queue_note_put(p, page);
	page_list_add_head(p->mem_map, &p->list, pfn_of(p, page));
}

static void queue_take(struct policy *p, struct page *page)
{
	MM_ASSERT(page_has(page, PG_lru));
	page->flags &= ~(uint32_t)PG_lru;
	p->nr_anon -= page_has(page, PG_anon) ? page_weight(page) : 0;
	page_list_del(p->mem_map, &p->list, pfn_of(p, page));
}

/* Frames come with PG_active where the manager could not evict them: that is a use. */
void queue_insert(struct policy *p, struct page *page)
{
	MM_ASSERT(!page_has(page, PG_lru | PG_isolated));
	if (page_has(page, PG_active))
		page->flags = (page->flags | PG_referenced) & ~(uint32_t)PG_active;
	queue_put_head(p, page);
}

void queue_remove(struct policy *p, struct page *page)
{
	queue_take(p, page);
	page->flags &= ~(uint32_t)(PG_referenced | PG_workingset);
}

/* To the tail and not used, so that it is the next to go. */
void queue_deactivate(struct policy *p, struct page *page)
{
	queue_take(p, page);
	page->flags &= ~(uint32_t)PG_referenced;
	queue_note_put(p, page);
	page_list_add_tail(p->mem_map, &p->list, pfn_of(p, page));
}

/* Of a frame on the list. */
void queue_move_to_head(struct policy *p, struct page *page)
{
	if (p->list.head == pfn_of(p, page))
		return;
	queue_take(p, page);
	queue_put_head(p, page);
}

/* Takes up to max frames that may go from the tail on; looks at *budget frames at most. */
static void queue_isolate(struct policy *p, const struct policy_scan *scan, unsigned int max,
			  uint64_t *budget, struct queue_batch *ret_batch)
{
	pfn_t pfn = p->list.tail;

	ret_batch->nr = 0;
	if (!scan->may_swap && p->nr_anon == p->list.nr)
		return;
	for (; *budget > 0 && ret_batch->nr < max && pfn != PFN_NONE; --*budget) {
		struct page *page = &p->mem_map[pfn];

		pfn = page->prev;
		if (!scan->may_swap && page_has(page, PG_anon))
			continue;
		queue_take(p, page);
		page->flags |= PG_isolated;
		ret_batch->pages[ret_batch->nr++] = page;
	}
}

/* Puts those that were used since they were last asked back, and leaves the others. */
static void queue_spare(struct policy *p, struct policy_scan *scan, struct queue_batch *batch)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < batch->nr; i++) {
		struct page *page = batch->pages[i];

		if (!batch->young[i] && !page_has(page, PG_referenced)) {
			batch->pages[nr++] = page;
			continue;
		}
		page->flags &= ~(uint32_t)PG_referenced;
		queue_put_head(p, page);
		scan->nr_rotated++;
	}
	batch->nr = nr;
}

static void queue_evict(struct policy *p, struct policy_scan *scan,
			const struct queue_batch *batch)
{
	enum policy_verdict verdicts[POLICY_BATCH];
	struct page *victims[POLICY_BATCH];

	for (unsigned int i = 0; i < batch->nr; i++)
		victims[i] = batch->pages[i];
	scan->evict(scan->arg, victims, batch->nr, verdicts);
	for (unsigned int i = 0; i < batch->nr; i++) {
		if (verdicts[i] == POLICY_GONE) {
			scan->nr_gone++;
			continue;
		}
		if (verdicts[i] == POLICY_ACTIVATE) {
			victims[i]->flags |= PG_referenced;
			scan->nr_activated++;
		} else {
			scan->nr_rotated++;
		}
		queue_put_head(p, victims[i]);
	}
}

/**
 * queue_shrink() - offer frames from the tail to evict() until enough are gone.
 * @scan: what is asked, the callbacks, and what was done.
 * @spares_used: a frame that was used since it was last asked goes to the head instead.
 *
 * Looks at twice the list >> priority, at least at a batch: at priority 0 a list of which every
 * frame was used gives one, the second time round. A policy that spares nobody asks all the
 * same, for on a machine without accessed bits asking is what takes translations away, and what
 * is translated is not evicted.
 *
 * Context: the manager's lock, which the callbacks may drop and retake.
 */
void queue_shrink(struct policy *p, struct policy_scan *scan, bool spares_used)
{
	uint64_t budget = (2 * (uint64_t)p->list.nr) >> scan->priority;
	struct queue_batch batch;

	if (budget < POLICY_BATCH)
		budget = POLICY_BATCH;
	while (scan->nr_gone < scan->nr_reclaim) {
		unsigned int max = scan->nr_reclaim - scan->nr_gone;

		queue_isolate(p, scan, max < POLICY_BATCH ? max : POLICY_BATCH, &budget,
			      &batch);
		if (batch.nr == 0)
			return;
		policy_scan_count(scan, batch.pages, batch.nr);
		scan->harvest(scan->arg, batch.pages, batch.nr, NULL, batch.young);
		if (spares_used)
			queue_spare(p, scan, &batch);
		if (batch.nr > 0)
			queue_evict(p, scan, &batch);
	}
}

void queue_count(const struct policy *p, uint64_t ret_nr[4])
{
	ret_nr[0] = p->nr_anon;
	ret_nr[2] = p->list.nr - p->nr_anon;
	ret_nr[1] = ret_nr[3] = 0;
}

/**
 * queue_check() - walk the list.
 * Return: 0, or -EUCLEAN where an invariant of queue.h does not hold.
 */
int queue_check(const struct policy *p)
{
	uint32_t nr = 0, nr_anon = 0;
	pfn_t prev = PFN_NONE;

	for (pfn_t pfn = p->list.head; pfn != PFN_NONE; pfn = p->mem_map[pfn].next) {
		const struct page *page = &p->mem_map[pfn];

		CHECK(nr < p->list.nr);
		CHECK(page_has(page, PG_lru));
		CHECK(!page_has(page, PG_isolated | PG_active));
		CHECK(page->prev == prev);
		nr_anon += page_has(page, PG_anon) ? page_weight(page) : 0;
		prev = pfn;
		nr += page_weight(page);
	}
	CHECK(nr == p->list.nr && p->list.tail == prev);
	CHECK(nr_anon == p->nr_anon);
	return 0;
}
