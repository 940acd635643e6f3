/* SPDX-License-Identifier: MIT */
#include "pager.h"

#include <string.h>

#include "support/test.h"

#define NO_FRAME PFN_NONE

struct pager {
	const struct pager_config *cfg;
	uint64_t state[64]; /* the policy's */
	struct page map[PAGER_FRAMES_MAX];
	bool used[PAGER_FRAMES_MAX]; /* since it was asked */
	uint64_t page_in[PAGER_FRAMES_MAX];
	pfn_t free[PAGER_FRAMES_MAX];
	pfn_t nr_free;
	pfn_t frame_of[PAGER_PAGES_MAX];
};

static void pager_harvest(void *arg, struct page **pages, unsigned int nr,
			  const bool *may_leave, bool *ret_young)
{
	struct pager *g = arg;

	(void)may_leave;
	for (unsigned int i = 0; i < nr; i++) {
		ret_young[i] = g->used[pages[i] - g->map];
		g->used[pages[i] - g->map] = false;
	}
}

static void pager_evict(void *arg, struct page **pages, unsigned int nr,
			enum policy_verdict *ret_verdicts)
{
	struct pager *g = arg;

	for (unsigned int i = 0; i < nr; i++) {
		pfn_t pfn = (pfn_t)(pages[i] - g->map);

		g->frame_of[g->page_in[pfn]] = NO_FRAME;
		g->free[g->nr_free++] = pfn;
		pages[i]->flags = 0;
		ret_verdicts[i] = POLICY_GONE;
	}
}

static pfn_t pager_take_frame(struct pager *g)
{
	struct policy *p = (struct policy *)(void *)g->state;

	/* The two lists may need a pass to refill the inactive one. */
	for (unsigned int i = 0; i < 4 && g->nr_free == 0; i++) {
		struct policy_scan scan = {.nr_reclaim = 1,
					   .swappiness = 60,
					   .may_swap = true,
					   .arg = g,
					   .harvest = pager_harvest,
					   .evict = pager_evict};

		g->cfg->ops->shrink(p, &scan);
		assert_int_equal(g->cfg->ops->check(p), 0);
	}
	assert_true(g->nr_free > 0);
	return g->free[--g->nr_free];
}

static void pager_use(struct pager *g, pfn_t pfn)
{
	if (g->cfg->tells == PAGER_TELLS_EACH)
		g->cfg->ops->accessed((struct policy *)(void *)g->state, &g->map[pfn]);
	else
		g->used[pfn] = true;
}

static void pager_init(struct pager *g, const struct pager_config *cfg)
{
	struct policy *p = (struct policy *)(void *)g->state;

	memset(g, 0, sizeof(*g));
	assert_true(cfg->ops->state_size <= sizeof(g->state));
	assert_in_range(cfg->nr_frames, 1, PAGER_FRAMES_MAX);
	g->cfg = cfg;
	cfg->ops->init(p, g->map, cfg->nr_frames);
	if (cfg->ops->seed)
		cfg->ops->seed(p, cfg->seed);
	for (pfn_t pfn = cfg->nr_frames; pfn-- > 0;)
		g->free[g->nr_free++] = pfn;
	memset(g->frame_of, 0xff, sizeof(g->frame_of)); /* NO_FRAME */
}

uint64_t pager_misses(const struct pager_config *cfg, const struct page_refs *refs)
{
	uint64_t misses = 0;
	struct pager g;

	pager_init(&g, cfg);
	for (size_t i = 0; i < refs->nr; i++) {
		pfn_t pfn = g.frame_of[refs->pages[i]];

		if (pfn == NO_FRAME) {
			misses++;
			pfn = pager_take_frame(&g);
			g.frame_of[refs->pages[i]] = pfn;
			g.page_in[pfn] = refs->pages[i];
			g.map[pfn].flags = PG_anon;
			cfg->ops->insert((struct policy *)(void *)g.state, &g.map[pfn]);
		}
		pager_use(&g, pfn);
	}
	return misses;
}
