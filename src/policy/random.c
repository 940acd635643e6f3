/* SPDX-License-Identifier: MIT */
/*
 * Random replacement.
 *
 * There is no list: a frame is a candidate while it has PG_lru, and a victim is found by
 * drawing frame numbers until one is a candidate. Where memory is full, as it is when somebody
 * reclaims, that is one or two draws. If DRAWS_MAX miss, candidates are few, and the next one
 * after the last draw is taken; then a candidate after a gap is likelier than others, and only
 * then.
 *
 * Uses do not matter. The same seed and the same calls give the same victims. Frames that
 * MADV_COLD or MADV_FREE marks are kept on a list and go first, oldest mark first, until a use
 * is told.
 *
 * The generator is SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, any seed is a good
 * one. A number below n comes by multiplication (Lemire 2019), whose bias of n / 2^64 is none.
 *
 * Invariants:
 *  1. nr[0] and nr[1] are the numbers of anonymous and of file frames with PG_lru.
 *  2. A frame with PG_lru has PG_isolated and PG_active clear.
 *  3. A frame is on the cold list if and only if it has PG_lru and PG_referenced.
 */
#include "policy/random.h"

#include "base/assert.h"

/* With a quarter of all frames candidates, one time in 10^8 none of so many draws hits. */
#define DRAWS_MAX 64

struct policy {
	struct page *mem_map;
	pfn_t nr_frames;
	uint32_t nr[2]; /* candidates: anonymous, file */
	uint64_t rng;
	struct page_list cold;
};

static uint64_t rng_next(struct policy *p)
{
	uint64_t z = p->rng += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static pfn_t rng_pfn(struct policy *p)
{
	return (pfn_t)((unsigned __int128)rng_next(p) * p->nr_frames >> 64);
}

static pfn_t pfn_of(const struct policy *p, const struct page *page)
{
	return (pfn_t)(page - p->mem_map);
}

static void random_init(struct policy *p, struct page *mem_map, pfn_t nr_frames)
{
	p->mem_map = mem_map;
	p->nr_frames = nr_frames;
	page_list_init(&p->cold);
}

static void random_seed(struct policy *p, uint64_t seed)
{
	p->rng = seed;
}

static void random_put(struct policy *p, struct page *page)
{
	page->flags |= PG_lru;
	page->flags &= ~(uint32_t)(PG_isolated | PG_active | PG_referenced);
	p->nr[!page_has(page, PG_anon)] += page_weight(page);
}

static void random_warm(struct policy *p, struct page *page)
{
	if (!page_has(page, PG_referenced))
		return;
	page_list_del(p->mem_map, &p->cold, pfn_of(p, page));
	page->flags &= ~(uint32_t)PG_referenced;
}

static void random_take(struct policy *p, struct page *page)
{
	MM_ASSERT(page_has(page, PG_lru));
	random_warm(p, page);
	page->flags &= ~(uint32_t)PG_lru;
	p->nr[!page_has(page, PG_anon)] -= page_weight(page);
}

static void random_insert(struct policy *p, struct page *page)
{
	MM_ASSERT(!page_has(page, PG_lru | PG_isolated));
	random_put(p, page);
}

static void random_remove(struct policy *p, struct page *page)
{
	random_take(p, page);
	page->flags &= ~(uint32_t)PG_workingset;
}

static void random_accessed(struct policy *p, struct page *page)
{
	if (page_has(page, PG_lru))
		random_warm(p, page);
}

static void random_deactivate(struct policy *p, struct page *page)
{
	MM_ASSERT(page_has(page, PG_lru));
	if (page_has(page, PG_referenced))
		return;
	page->flags |= PG_referenced;
	page_list_add_head(p->mem_map, &p->cold, pfn_of(p, page));
}

static bool is_candidate(const struct page *page, const struct policy_scan *scan)
{
	return page_has(page, PG_lru) && (scan->may_swap || !page_has(page, PG_anon));
}

/* There is a candidate. */
static struct page *random_draw(struct policy *p, const struct policy_scan *scan)
{
	pfn_t pfn = p->cold.tail;

	if (pfn != PFN_NONE && is_candidate(&p->mem_map[pfn], scan))
		return &p->mem_map[pfn];
	for (unsigned int i = 0; i < DRAWS_MAX; i++) {
		pfn = rng_pfn(p);
		if (is_candidate(&p->mem_map[pfn], scan))
			return &p->mem_map[pfn];
	}
	for (pfn_t i = 0; i < p->nr_frames && !is_candidate(&p->mem_map[pfn], scan); i++)
		pfn = pfn + 1 < p->nr_frames ? pfn + 1 : 0;
	MM_ASSERT(is_candidate(&p->mem_map[pfn], scan));
	return &p->mem_map[pfn];
}

static unsigned int random_isolate(struct policy *p, const struct policy_scan *scan,
				   unsigned int max, struct page **ret_pages)
{
	unsigned int nr = 0;

	for (; nr < max && p->nr[1] + (scan->may_swap ? p->nr[0] : 0) > 0; nr++) {
		ret_pages[nr] = random_draw(p, scan);
		random_take(p, ret_pages[nr]);
		ret_pages[nr]->flags |= PG_isolated;
	}
	return nr;
}

static void random_evict(struct policy *p, struct policy_scan *scan, struct page **pages,
			 unsigned int nr)
{
	enum policy_verdict verdicts[POLICY_BATCH];
	bool young[POLICY_BATCH];

	/* Not to know who was used: on a machine without accessed bits asking is what takes
	 * translations away, and what is translated is not evicted. */
	scan->harvest(scan->arg, pages, nr, NULL, young);
	scan->evict(scan->arg, pages, nr, verdicts);
	for (unsigned int i = 0; i < nr; i++) {
		if (verdicts[i] == POLICY_GONE) {
			scan->nr_gone++;
			continue;
		}
		scan->nr_activated += verdicts[i] == POLICY_ACTIVATE;
		scan->nr_rotated += verdicts[i] == POLICY_KEEP;
		random_put(p, pages[i]);
	}
}

/* Draws as many as there are candidates >> priority, at least a batch. */
static void random_shrink(struct policy *p, struct policy_scan *scan)
{
	uint64_t budget = ((uint64_t)p->nr[0] + p->nr[1]) >> scan->priority;
	struct page *pages[POLICY_BATCH];

	if (budget < POLICY_BATCH)
		budget = POLICY_BATCH;
	while (scan->nr_gone < scan->nr_reclaim && budget > 0) {
		uint64_t max = scan->nr_reclaim - scan->nr_gone;
		unsigned int nr;

		if (max > budget)
			max = budget;
		nr = random_isolate(
			p, scan, max < POLICY_BATCH ? (unsigned int)max : POLICY_BATCH, pages);
		if (nr == 0)
			return;
		budget -= nr;
		policy_scan_count(scan, pages, nr);
		random_evict(p, scan, pages, nr);
	}
}

static void random_count(const struct policy *p, uint64_t ret_nr[4])
{
	ret_nr[0] = p->nr[0];
	ret_nr[2] = p->nr[1];
	ret_nr[1] = ret_nr[3] = 0;
}

static int random_check_cold(const struct policy *p, uint32_t nr_marked)
{
	pfn_t prev = PFN_NONE;
	uint32_t nr = 0;

	for (pfn_t pfn = p->cold.head; pfn != PFN_NONE; pfn = p->mem_map[pfn].next) {
		const struct page *page = &p->mem_map[pfn];

		CHECK(nr < p->cold.nr);
		CHECK(page_has(page, PG_lru) && page_has(page, PG_referenced));
		CHECK(page->prev == prev);
		prev = pfn;
		nr += page_weight(page);
	}
	CHECK(nr == p->cold.nr && p->cold.tail == prev);
	CHECK(nr == nr_marked);
	return 0;
}

static int random_check(const struct policy *p)
{
	uint32_t nr[2] = {0, 0}, nr_cold = 0;

	for (pfn_t pfn = 0; pfn < p->nr_frames; pfn++) {
		const struct page *page = &p->mem_map[pfn];

		if (!page_has(page, PG_lru))
			continue;
		CHECK(!page_has(page, PG_isolated | PG_active));
		nr[!page_has(page, PG_anon)] += page_weight(page);
		nr_cold += page_has(page, PG_referenced) ? page_weight(page) : 0;
	}
	CHECK(nr[0] == p->nr[0] && nr[1] == p->nr[1]);
	return random_check_cold(p, nr_cold);
}

const struct policy_ops policy_random = {
	.name = "random",
	.state_size = sizeof(struct policy),
	.init = random_init,
	.seed = random_seed,
	.insert = random_insert,
	.remove = random_remove,
	.accessed = random_accessed,
	.deactivate = random_deactivate,
	.shrink = random_shrink,
	.count = random_count,
	.check = random_check,
};
