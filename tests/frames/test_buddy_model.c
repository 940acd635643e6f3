/* SPDX-License-Identifier: MIT */
/*
 * The buddy system against a plain map of which frames are free. Joining is eager, so the map
 * alone says which blocks there must be: each largest aligned run of free frames within the
 * zone is one.
 */
#include "frames/frames_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_STEPS      20000
#define NR_BLOCKS_MAX 2048

struct block {
	pfn_t pfn;
	unsigned int order;
};

struct model {
	struct frames *f;
	bool *is_free;			    /* by frame */
	struct block blocks[NR_BLOCKS_MAX]; /* handed out */
	unsigned int nr_blocks;
	struct rng rng;
};

static bool run_is_free(const struct model *m, const struct zone *zone, pfn_t pfn,
			unsigned int order)
{
	if (pfn < zone->start || pfn + (1u << order) > zone->end)
		return false;
	for (pfn_t i = 0; i < 1u << order; i++)
		if (!m->is_free[pfn + i])
			return false;
	return true;
}

/* Counts the largest free aligned runs within [pfn, pfn + (1 << order)). */
static void count_blocks(const struct model *m, const struct zone *zone, pfn_t pfn,
			 unsigned int order, uint32_t *counts)
{
	if (pfn >= zone->end || pfn + (1u << order) <= zone->start)
		return;
	if (run_is_free(m, zone, pfn, order)) {
		counts[order]++;
		return;
	}
	if (order == 0)
		return;
	count_blocks(m, zone, pfn, order - 1, counts);
	count_blocks(m, zone, pfn + (1u << (order - 1)), order - 1, counts);
}

static void expected_blocks(const struct model *m, const struct zone *zone, uint32_t *counts)
{
	memset(counts, 0, BUDDY_NR_ORDERS * sizeof(*counts));
	for (pfn_t pfn = 0; pfn < zone->end; pfn += 1u << BUDDY_ORDER_MAX)
		count_blocks(m, zone, pfn, BUDDY_ORDER_MAX, counts);
}

static void assert_same(const struct model *m)
{
	const struct mm_system *sys = &m->f->sys;

	for (unsigned int i = 0; i < sys->nr_zones; i++) {
		uint32_t counts[BUDDY_NR_ORDERS];

		expected_blocks(m, &sys->zones[i], counts);
		for (unsigned int order = 0; order < BUDDY_NR_ORDERS; order++)
			assert_int_equal(sys->zones[i].free_area[order].nr, counts[order]);
	}
}

static void mark(struct model *m, struct block block, bool is_free)
{
	for (pfn_t i = 0; i < 1u << block.order; i++) {
		assert_int_equal(m->is_free[block.pfn + i], !is_free);
		m->is_free[block.pfn + i] = is_free;
	}
}

/* One more block is in nobody's hands: it was free, and is aligned. */
static void model_take(struct model *m, const struct page *page, unsigned int order)
{
	struct block block = {page_pfn(&m->f->sys, page), order};

	assert_int_equal(block.pfn % (1u << order), 0);
	mark(m, block, false);
	m->blocks[m->nr_blocks++] = block;
}

static struct block model_give(struct model *m)
{
	uint64_t i = rng_below(&m->rng, m->nr_blocks);
	struct block block = m->blocks[i];

	m->blocks[i] = m->blocks[--m->nr_blocks];
	mark(m, block, true);
	return block;
}

/* Mostly small orders, each order at times. */
static unsigned int random_order(struct rng *rng)
{
	uint64_t bits = rng_next(rng) >> 40;

	return rng_chance(rng, 10) ? (unsigned int)rng_below(rng, BUDDY_NR_ORDERS)
				   : (unsigned int)__builtin_ctzll(bits | 1 << 6);
}

static void model_init(struct model *m, const struct frames_config *cfg, uint64_t seed)
{
	m->f = frames_create(cfg);
	m->is_free = calloc(cfg->nr_frames, sizeof(bool));
	m->nr_blocks = 0;
	m->rng = rng_make(seed);
	for (pfn_t pfn = cfg->start + cfg->nr_reserved; pfn < cfg->nr_frames; pfn++)
		m->is_free[pfn] = true;
}

static void model_destroy(struct model *m)
{
	while (m->nr_blocks > 0) {
		struct block block = model_give(m);

		page_free(&m->f->sys, page_of(&m->f->sys, block.pfn), block.order);
	}
	pcp_drain(&m->f->sys);
	assert_same(m);
	frames_destroy(m->f);
	free(m->is_free);
}

static struct zone *zone_of_block(struct mm_system *sys, struct block block)
{
	struct zone *zone = sys->zones;

	while (block.pfn >= zone->end)
		zone++;
	return zone;
}

/* Past watermarks and per-CPU lists: exact in every step. */
static void step_buddy(struct model *m)
{
	struct mm_system *sys = &m->f->sys;
	bool takes =
		m->nr_blocks == 0 || (m->nr_blocks < NR_BLOCKS_MAX && rng_chance(&m->rng, 52));
	struct page *page = NULL;

	if (takes) {
		struct zone *zone = &sys->zones[rng_below(&m->rng, sys->nr_zones)];
		unsigned int order = random_order(&m->rng), largest = BUDDY_NR_ORDERS;
		uint32_t counts[BUDDY_NR_ORDERS];

		expected_blocks(m, zone, counts);
		while (largest > 0 && counts[largest - 1] == 0)
			largest--;
		if (buddy_alloc(sys, zone, order, &page) == 0)
			model_take(m, page, order);
		assert_int_equal(page != NULL, order < largest);
	} else {
		struct block block = model_give(m);

		buddy_free(sys, zone_of_block(sys, block), page_of(sys, block.pfn),
			   block.order);
	}
	assert_same(m);
}

static void buddy_is_its_model(void **state)
{
	static const struct frames_config configs[] = {
		{.nr_frames = 4096},
		{.nr_frames = 3001, .start = 7, .nr_reserved = 5},
		{.nr_frames = 2500, .start = 1, .zone_ends = {100, 1500, 2500}},
		{.nr_frames = 17},
	};
	struct model m;

	(void)state;
	for (size_t i = 0; i < sizeof(configs) / sizeof(*configs); i++) {
		model_init(&m, &configs[i], test_seed() + i);
		for (int step = 0; step < NR_STEPS / 10; step++) {
			step_buddy(&m);
			assert_int_equal(zone_check(&m.f->sys), 0);
		}
		model_destroy(&m);
	}
}

/* Is there a zone whose watermark lets the request through? */
static bool some_zone_allows(const struct mm_system *sys, unsigned int order, enum gfp gfp)
{
	for (unsigned int i = 0; i < sys->nr_zones; i++) {
		const struct zone *zone = &sys->zones[i];
		uint32_t min = zone->watermark[WMARK_MIN];

		if (zone_watermark_ok(zone, order, gfp == GFP_USER ? min : (min + 1) / 2))
			return true;
	}
	return false;
}

static void assert_refusal_is_right(const struct mm_system *sys, unsigned int order,
				    enum gfp gfp)
{
	if (gfp == GFP_RECLAIM)
		for (unsigned int i = 0; i < sys->nr_zones; i++)
			assert_int_equal(sys->zones[i].free_orders >> order, 0);
	else
		assert_false(some_zone_allows(sys, order, gfp));
}

/* Through watermarks, per-CPU lists and fallback, on changing CPUs. */
static void step_pages(struct model *m)
{
	struct mm_system *sys = &m->f->sys;
	unsigned int order = rng_chance(&m->rng, 70) ? 0 : random_order(&m->rng);
	struct page *page;

	m->f->cpu = (unsigned int)rng_below(&m->rng, sys->cfg.nr_cpus);
	if (rng_chance(&m->rng, 1)) {
		pcp_drain(sys);
		assert_same(m);
	}
	if (m->nr_blocks < NR_BLOCKS_MAX && rng_chance(&m->rng, 55)) {
		enum gfp gfp = (enum gfp)rng_below(&m->rng, 3);

		if (page_alloc(sys, order, gfp, &page) == 0)
			model_take(m, page, order);
		else
			assert_refusal_is_right(sys, order, gfp);
	} else if (m->nr_blocks > 0) {
		struct block block = model_give(m);

		page_free(sys, page_of(sys, block.pfn), block.order);
	}
}

static void pages_are_their_model(void **state)
{
	static const struct frames_config configs[] = {
		{.nr_frames = 4096, .nr_cpus = 3, .min_free_kbytes = 400},
		{.nr_frames = 1111,
		 .start = 3,
		 .nr_cpus = 2,
		 .zone_ends = {50, 300, 1111},
		 .min_free_kbytes = 128},
		{.nr_frames = 40, .nr_cpus = 4, .min_free_kbytes = 16},
	};
	struct model m;

	(void)state;
	for (size_t i = 0; i < sizeof(configs) / sizeof(*configs); i++) {
		model_init(&m, &configs[i], test_seed() + i);
		for (int step = 0; step < NR_STEPS; step++) {
			step_pages(&m);
			assert_int_equal(zone_check(&m.f->sys), 0);
		}
		model_destroy(&m);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(buddy_is_its_model),
	cmocka_unit_test(pages_are_their_model),
};

int main(void)
{
	test_seed();
	return test_run(tests, sizeof(tests) / sizeof(*tests), NULL, NULL);
}
