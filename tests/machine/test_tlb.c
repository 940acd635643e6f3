/* SPDX-License-Identifier: MIT */
/*
 * The TLB against a naive model, its presets, and what it refuses to be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine/tlb_model.h"
#include "support/quiet.h"
#include "support/rng.h"
#include "support/test.h"

#define I    TLB_BIT(TLB_INSTR)
#define D    TLB_BIT(TLB_DATA)
#define P4K  TLB_BIT(TLB_4K)
#define P64K TLB_BIT(TLB_64K)
#define P2M  TLB_BIT(TLB_2M)
#define P1G  TLB_BIT(TLB_1G)

#define STEPS	    30000
#define CHECK_EVERY 500
#define BASE_VA	    0x7f0040000000u

/* Small, so that everything is evicted often; sets that are no power of two. */
static const struct tlb_config small = {
	.arrays = {{1, I, TLB_SIZES_ALL, 1, 5},
		   {1, D, P4K | P64K, 3, 2},
		   {1, D, P2M, 1, 3},
		   {2, TLB_KINDS_BOTH, P4K | P2M, 5, 3},
		   {2, TLB_KINDS_BOTH, P64K, 7, 1}},
	.walk = {{3, 2}, {1, 2}, {0, 0}},
};
static const struct tlb_config one_level = {
	.arrays = {{1, TLB_KINDS_BOTH, P4K, 4, 2}, {1, TLB_KINDS_BOTH, P1G, 1, 1}},
};

struct run {
	struct tlb *t;
	struct tlb_model *m;
	struct rng rng;
};

/*
 * The address space of the runs: eight 1 GiB regions of one page size each, the same for both
 * address spaces; the last of a kind is global.
 */
static struct tlb_page page_at(struct run *r, vaddr_t va)
{
	unsigned int region = (unsigned int)((va - BASE_VA) >> 30);
	struct tlb_page page = {.va = va, .asid = (uint16_t)rng_below(&r->rng, 2)};
	uint64_t span;

	page.size = (uint8_t)(region / 2);
	page.is_global = region % 2;
	span = (uint64_t)1 << tlb_size_shift(page.size);
	page.pa = (((va & ~(span - 1)) ^ 0x15000000000) +
		   (page.is_global ? 0 : page.asid) * ((uint64_t)1 << 41)) &
		  ~(span - 1);
	page.kind = (uint8_t)rng_below(&r->rng, TLB_NR_KINDS);
	page.rights = TLB_READ | TLB_EXEC | TLB_USER;
	if (rng_chance(&r->rng, 50))
		page.rights |= TLB_WRITE;
	return page;
}

static vaddr_t any_va(struct run *r)
{
	uint64_t region = rng_below(&r->rng, 8), spread = region / 2 == 3 ? 30 : 24;

	if (rng_chance(&r->rng, 60))
		spread = 17;
	return BASE_VA + (region << 30) + rng_below(&r->rng, (uint64_t)1 << spread);
}

static void access_one(struct run *r)
{
	struct tlb_page page = page_at(r, any_va(r));
	unsigned int need = TLB_READ | (rng_chance(&r->rng, 20) ? TLB_WRITE : 0), level;
	const struct tlb_entry *e = tlb_lookup_fast(r->t, page.va, page.asid, page.kind, need);
	uint32_t slot = 0;
	uint64_t pa = 0;

	level = tlb_model_lookup(r->m, page.va, page.asid, page.kind, need, &pa);
	if (!e)
		slot = tlb_lookup(r->t, page.va, page.asid, page.kind, need);
	if (slot)
		e = &r->t->entries[slot];
	assert_int_equal(e != NULL, level != 0);
	if (e)
		assert_int_equal(tlb_entry_translate(e, page.va), pa);
	if (e)
		return;
	page.rights |= (uint8_t)need;
	tlb_fill(r->t, &page);
	tlb_model_fill(r->m, &page);
}

static void invalidate(struct run *r)
{
	uint16_t asid = (uint16_t)rng_below(&r->rng, 2);
	uint64_t dice = rng_below(&r->rng, 100);
	vaddr_t va = any_va(r);

	if (dice < 90) {
		tlb_invalidate_page(r->t, va, asid);
		tlb_model_invalidate_page(r->m, va, asid);
	} else if (dice < 97) {
		tlb_invalidate_asid(r->t, asid);
		tlb_model_invalidate_asid(r->m, asid);
	} else {
		tlb_invalidate_all(r->t, dice == 99);
		tlb_model_invalidate_all(r->m, dice == 99);
	}
}

static void assert_same_stats(struct run *r)
{
	struct tlb_stats stats = tlb_stats_get(r->t);

	assert_memory_equal(stats.hits, r->m->stats.hits, sizeof(stats.hits));
	assert_memory_equal(stats.walks, r->m->stats.walks, sizeof(stats.walks));
}

static void run_against_model(const struct tlb_config *cfg, unsigned int steps)
{
	struct run r = {.rng = rng_make(test_seed())};

	r.m = calloc(1, sizeof(*r.m));
	assert_non_null(r.m);
	r.m->cfg = cfg;
	assert_int_equal(tlb_create(cfg, &r.t), 0);
	for (unsigned int i = 0; i < steps; i++) {
		if (rng_chance(&r.rng, 4))
			invalidate(&r);
		else
			access_one(&r);
		if (i % CHECK_EVERY == 0)
			assert_int_equal(tlb_check(r.t), 0);
	}
	assert_same_stats(&r);
	assert_true(r.t->fast_hits[TLB_DATA] > 0);
	tlb_destroy(r.t);
	free(r.m);
}

static void small_tlbs_are_as_the_model(void **state)
{
	(void)state;
	run_against_model(&small, STEPS);
	run_against_model(&one_level, STEPS);
}

static void presets_are_as_the_model(void **state)
{
	(void)state;
	for (size_t i = 0; i < tlb_nr_presets; i++)
		run_against_model(&tlb_presets[i], STEPS / 4);
}

static uint32_t entries_for(const struct tlb_config *cfg, unsigned int level,
			    enum tlb_kind kind, enum tlb_size size)
{
	for (unsigned int i = 0; cfg->arrays[i].level; i++)
		if (cfg->arrays[i].level == level && cfg->arrays[i].kinds & TLB_BIT(kind) &&
		    cfg->arrays[i].sizes & TLB_BIT(size))
			return cfg->arrays[i].sets * cfg->arrays[i].ways;
	return 0;
}

/* Sets times ways is what the makers publish as entries. */
static void presets_have_the_published_sizes(void **state)
{
	static const struct {
		const char *name;
		uint32_t instr_4k, data_4k, second_instr_4k, second_data_4k, data_2m, data_1g;
	} published[] = {
		{"skylake", 128, 64, 1536, 1536, 32, 4},
		{"haswell", 64, 64, 1024, 1024, 32, 4},
		{"zen2", 64, 64, 512, 2048, 64, 64},
		{"cortex-a76", 48, 48, 1280, 1280, 48, 0},
		{"cortex-a72", 48, 32, 1024, 1024, 0, 0},
		{"cortex-a53", 10, 10, 512, 512, 0, 0},
	};
	char why[160];

	(void)state;
	assert_int_equal(tlb_nr_presets, sizeof(published) / sizeof(*published));
	for (size_t i = 0; i < tlb_nr_presets; i++) {
		const struct tlb_config *cfg = tlb_preset_find(published[i].name);

		assert_non_null(cfg);
		assert_int_equal(tlb_config_check(cfg, why, sizeof(why)), 0);
		assert_int_equal(entries_for(cfg, 1, TLB_INSTR, TLB_4K), published[i].instr_4k);
		assert_int_equal(entries_for(cfg, 1, TLB_DATA, TLB_4K), published[i].data_4k);
		assert_int_equal(entries_for(cfg, 2, TLB_INSTR, TLB_4K),
				 published[i].second_instr_4k);
		assert_int_equal(entries_for(cfg, 2, TLB_DATA, TLB_4K),
				 published[i].second_data_4k);
		assert_int_equal(entries_for(cfg, 1, TLB_DATA, TLB_2M), published[i].data_2m);
		assert_int_equal(entries_for(cfg, 1, TLB_DATA, TLB_1G), published[i].data_1g);
	}
	assert_null(tlb_preset_find("pentium"));
}

static void a_bad_geometry_is_one_line(void **state)
{
	static const struct {
		struct tlb_config cfg;
		const char *why;
	} bad[] = {
		{{.arrays = {{1, D, P4K, 4, 0}}},
		 "TLB array 0: 4 sets of 0 ways; there can be 1 to 65536 sets of 1 to 4096 "
		 "ways"},
		{{.arrays = {{3, D, P4K, 4, 4}}},
		 "TLB array 0: level 3; there are levels 1 and 2"},
		{{.arrays = {{1, 0, P4K, 4, 4}}},
		 "TLB array 0: it must hold translations of instructions, data or both"},
		{{.arrays = {{1, D, 16, 4, 4}}},
		 "TLB array 0: it must hold pages of 4K, 64K, 2M or 1G"},
		{{.arrays = {{1, I | D, P4K, 4, 4}, {1, D, P4K, 1, 4}}},
		 "TLB level 1 holds data of 4K pages in two arrays; let it be one"},
		{{.arrays = {{1, D, P4K, 4, 4}}},
		 "TLB level 1 has no array for instructions of 4K pages; add one"},
		{{.arrays = {{1, I | D, P4K, 4, 4}, {2, D, P2M, 4, 4}}},
		 "TLB level 2 has no array for data of 4K pages; add one"},
		{{.arrays = {{1, I | D, P4K, 4, 4}}, .walk = {{0, 0}, {1, 0}}},
		 "PDPTE cache: 1 sets of 0 ways; there can be 1 to 65536 sets of 1 to 4096 "
		 "ways"},
	};
	struct tlb *t;
	char why[160];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(tlb_config_check(&bad[i].cfg, why, sizeof(why)), -EINVAL);
		assert_string_equal(why, bad[i].why);
		assert_int_equal(tlb_create(&bad[i].cfg, &t), -EINVAL);
	}
}

static void check_sees_what_is_wrong(void **state)
{
	const struct tlb_page page = {.va = BASE_VA, .asid = 1, .rights = TLB_READ};
	struct tlb *t;
	uint32_t slot;

	(void)state;
	assert_int_equal(tlb_create(&small, &t), 0);
	tlb_fill(t, &page);
	assert_int_equal(tlb_check(t), 0);
	t->arrays[0].nr_valid[TLB_4K]++;
	assert_unclean(tlb_check, t);
	t->arrays[0].nr_valid[TLB_4K]--;
	t->arrays[0].nr_global++;
	assert_unclean(tlb_check, t);
	t->arrays[0].nr_global--;
	slot = t->arrays[0].first;
	t->entries[slot].mask ^= TLB_TAG_ASID;
	assert_unclean(tlb_check, t);
	t->entries[slot].mask ^= TLB_TAG_ASID;
	t->tags[slot + 1] = t->tags[slot]; /* twice, well counted */
	t->entries[slot + 1] = t->entries[slot];
	t->prints[slot + 1] = t->prints[slot];
	t->stamps[slot + 1] = t->stamps[slot] + 1;
	t->arrays[0].nr_valid[TLB_4K]++;
	assert_unclean(tlb_check, t);
	tlb_destroy(t);
}

/* 10 hits of the first level, one of the second, one walk of four steps. */
static void cycles_are_the_sum_of_costs(void **state)
{
	struct tlb_config cfg = small;
	struct tlb *t;

	(void)state;
	cfg.cycles.l1_hit = 1;
	cfg.cycles.l2_hit = 100;
	cfg.cycles.walk = 1000;
	cfg.cycles.walk_step = 10000;
	assert_int_equal(tlb_create(&cfg, &t), 0);
	t->fast_hits[TLB_DATA] = 6;
	t->stats.hits[0][TLB_INSTR][TLB_2M] = 4;
	t->stats.hits[1][TLB_DATA][TLB_64K] = 1;
	t->stats.walks[TLB_DATA][TLB_4K] = 1;
	t->stats.walk_steps = 4;
	assert_int_equal(tlb_cycles(t), 41110);
	assert_int_equal(tlb_accesses(t), 12);
	tlb_stats_reset(t);
	assert_int_equal(tlb_accesses(t), 0);
	tlb_destroy(t);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(small_tlbs_are_as_the_model),
	cmocka_unit_test(presets_are_as_the_model),
	cmocka_unit_test(presets_have_the_published_sizes),
	cmocka_unit_test(a_bad_geometry_is_one_line),
	cmocka_unit_test(check_sees_what_is_wrong),
	cmocka_unit_test(cycles_are_the_sum_of_costs),
};

TEST_MAIN(tests)
