/* SPDX-License-Identifier: MIT */
/*
 * What a policy itself costs, in a pager without a machine: an operation of
 *	P_hit	 is one use told of a page that is in memory, pages in random order;
 *	P_turn	 is one page going and another coming: the share of a scan for 32, its callbacks
 *		 (which answer from an array), and an insert; nobody was used;
 *	P_busy	 is the same with every second page used between two scans;
 *	P_one	 is the same as turn with scans for one page.
 * Frames: 64 MiB of them, so that struct pages (640 KiB) do not fit the first level cache.
 * opt_*: an operation is one reference of a trace.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "policy/opt.h"
#include "policy/policy.h"

#define FRAMES	  16384u
#define OPT_REFS  (1u << 16)
#define OPT_PAGES 8192u

struct pager {
	const struct policy_ops *ops;
	struct policy *p;
	struct page *map;
	uint32_t used_percent; /* of the pages that are asked */
	unsigned int nr_reclaim;
	uint64_t rng;
	pfn_t gone[FRAMES];
	unsigned int nr_gone;
};

static uint32_t next_number(uint64_t *rng)
{
	*rng = *rng * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
	return (uint32_t)(*rng >> 32);
}

static void *must_alloc(size_t nr, size_t size)
{
	void *p = calloc(nr, size);

	if (!p) {
		fprintf(stderr, "bench_policy: out of memory\n");
		exit(1);
	}
	return p;
}

static void harvest(void *arg, struct page **pages, unsigned int nr, const bool *may_leave,
		    bool *ret_young)
{
	struct pager *g = arg;

	(void)may_leave;
	(void)pages;
	for (unsigned int i = 0; i < nr; i++)
		ret_young[i] =
			g->used_percent > 0 && next_number(&g->rng) % 100 < g->used_percent;
}

static void evict(void *arg, struct page **pages, unsigned int nr,
		  enum policy_verdict *ret_verdicts)
{
	struct pager *g = arg;

	for (unsigned int i = 0; i < nr; i++) {
		ret_verdicts[i] = POLICY_GONE;
		pages[i]->flags = 0;
		g->gone[g->nr_gone++] = (pfn_t)(pages[i] - g->map);
	}
}

static void pager_scan(struct pager *g)
{
	struct policy_scan scan = {.nr_reclaim = g->nr_reclaim,
				   .swappiness = 60,
				   .may_swap = true,
				   .arg = g,
				   .harvest = harvest,
				   .evict = evict};

	g->ops->shrink(g->p, &scan);
}

static void pager_insert(struct pager *g, pfn_t pfn)
{
	g->map[pfn].flags = PG_anon;
	g->ops->insert(g->p, &g->map[pfn]);
}

static void turn(void *arg, uint64_t nr_ops)
{
	struct pager *g = arg;

	for (uint64_t done = 0; done < nr_ops;) {
		pager_scan(g);
		for (done += g->nr_gone; g->nr_gone > 0;)
			pager_insert(g, g->gone[--g->nr_gone]);
	}
}

static void turn_plain(void *arg, uint64_t nr_ops)
{
	struct pager *g = arg;

	g->used_percent = 0;
	g->nr_reclaim = POLICY_BATCH;
	turn(g, nr_ops);
}

static void turn_busy(void *arg, uint64_t nr_ops)
{
	struct pager *g = arg;

	g->used_percent = 50;
	g->nr_reclaim = POLICY_BATCH;
	turn(g, nr_ops);
}

static void turn_one(void *arg, uint64_t nr_ops)
{
	struct pager *g = arg;

	g->used_percent = 0;
	g->nr_reclaim = 1;
	turn(g, nr_ops);
}

static void hit(void *arg, uint64_t nr_ops)
{
	struct pager *g = arg;

	while (nr_ops--)
		g->ops->accessed(g->p, &g->map[next_number(&g->rng) % FRAMES]);
	bench_use(g->map);
}

static struct pager *pager_create(const struct policy_ops *ops)
{
	struct pager *g = must_alloc(1, sizeof(*g));

	g->ops = ops;
	g->p = must_alloc(1, ops->state_size);
	g->map = must_alloc(FRAMES, sizeof(*g->map));
	ops->init(g->p, g->map, FRAMES);
	for (pfn_t pfn = 0; pfn < FRAMES; pfn++)
		pager_insert(g, pfn);
	return g;
}

struct opt_trace {
	uint64_t *pages, *next, *scratch;
};

static void opt_next(void *arg, uint64_t nr_ops)
{
	struct opt_trace *t = arg;

	for (uint64_t nr; nr_ops > 0; nr_ops -= nr) {
		nr = nr_ops < OPT_REFS ? nr_ops : OPT_REFS;
		opt_next_uses(t->pages, nr, t->next, t->scratch);
	}
	bench_use(t->next);
}

static void opt_replay(void *arg, uint64_t nr_ops)
{
	struct opt_trace *t = arg;

	for (uint64_t nr; nr_ops > 0; nr_ops -= nr) {
		nr = nr_ops < OPT_REFS ? nr_ops : OPT_REFS;
		opt_misses(t->next, nr, OPT_PAGES / 4, t->scratch);
	}
	bench_use(t->scratch);
}

/* Skewed: a page below one that is drawn evenly. */
static struct opt_trace *opt_trace_create(void)
{
	struct opt_trace *t = must_alloc(1, sizeof(*t));
	uint64_t rng = 1;

	t->pages = must_alloc(OPT_REFS, sizeof(*t->pages));
	t->next = must_alloc(OPT_REFS, sizeof(*t->next));
	t->scratch = must_alloc(OPT_SCRATCH_WORDS(OPT_REFS), sizeof(*t->scratch));
	for (size_t i = 0; i < OPT_REFS; i++)
		t->pages[i] = next_number(&rng) % (next_number(&rng) % OPT_PAGES + 1);
	opt_next_uses(t->pages, OPT_REFS, t->next, t->scratch);
	return t;
}

int main(int argc, char **argv)
{
	static const struct bench kinds[] = {
		{"hit", hit, NULL},
		{"turn", turn_plain, NULL},
		{"busy", turn_busy, NULL},
		{"one", turn_one, NULL},
	};
	static struct bench benches[64];
	static char names[64][32];
	const struct policy_ops *ops;
	struct opt_trace *trace = opt_trace_create();
	size_t nr = 0;

	for (unsigned int i = 0; (ops = policy_at(i)); i++) {
		for (unsigned int k = 0; k < 4; k++) {
			snprintf(names[nr], sizeof(names[nr]), "%s_%s", ops->name,
				 kinds[k].name);
			benches[nr] = kinds[k];
			benches[nr].name = names[nr];
			benches[nr++].arg = pager_create(ops);
		}
	}
	benches[nr++] = (struct bench){"opt_next_uses", opt_next, trace};
	benches[nr++] = (struct bench){"opt_misses", opt_replay, trace};
	return bench_main(argc, argv, benches, nr);
}
