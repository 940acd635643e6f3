/* SPDX-License-Identifier: MIT */
#include "frames/frames_fixture.h"

#include <stdlib.h>

/* A system whose zones have so many managed frames, without any frame behind them. */
static struct mm_system *paper_system(const uint32_t *managed, unsigned int nr)
{
	struct mm_system *sys = calloc(1, sizeof(*sys));

	sys->cfg.nr_cpus = 1;
	sys->nr_zones = nr;
	for (unsigned int i = 0; i < nr; i++)
		sys->zones[i].managed = managed[i];
	return sys;
}

/* As a guest of Linux 6.1 with 256 MB shows in /proc/zoneinfo, and larger ones by its formulas.
 */
static void watermarks_are_those_of_linux(void **state)
{
	static const struct {
		uint32_t managed;
		uint64_t min_free_kbytes;
		uint32_t scale_factor;
		uint32_t expected[NR_WMARK];
	} table[] = {
		{52065, 1744, 10, {436, 545, 654}},
		{52065, 1747, 10, {436, 545, 654}},
		{52065, 0, 10, {456, 570, 684}},
		{52065, 1744, 100, {436, 956, 1476}},
		{1 << 20, 0, 10, {2048, 3096, 4144}},
		{1024, 0, 10, {64, 80, 96}},
		{64, 0, 10, {32, 40, 48}},
		{1000, 8000000, 10, {1000, 1250, 1500}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct mm_system *sys = paper_system(&table[i].managed, 1);

		zones_set_watermarks(sys, table[i].min_free_kbytes, table[i].scale_factor);
		for (unsigned int mark = 0; mark < NR_WMARK; mark++)
			assert_int_equal(sys->zones[0].watermark[mark],
					 table[i].expected[mark]);
		free(sys);
	}
}

/* DMA and DMA32 of that guest: min is shared out by size, and DMA keeps 1/256 of DMA32. */
static void zones_share_min_and_keep_a_reserve(void **state)
{
	struct mm_system *sys = paper_system((uint32_t[]){3840, 52065}, 2);

	(void)state;
	zones_set_watermarks(sys, 1873, 10);
	assert_int_equal(sys->zones[0].watermark[WMARK_MIN], 32);
	assert_int_equal(sys->zones[1].watermark[WMARK_MIN], 435);
	assert_int_equal(sys->zones[0].lowmem_reserve, 52065 / 256);
	assert_int_equal(sys->zones[1].lowmem_reserve, 0);
	free(sys);
}

static void min_free_grows_with_the_root(void **state)
{
	static const struct {
		uint64_t lowmem, expected;
	} table[] = {
		{1, 128},
		{1024, 128},
		{1025, 128},
		{4 << 10, 256},
		{256 << 10, 2048},
		{1 << 20, 4096},
		{64ull << 20, 32768},
		{4ull << 30, 262144},
		{1ull << 40, 262144},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		assert_int_equal(zone_default_min_free_kbytes(table[i].lowmem),
				 table[i].expected);
}

/* batch and high of one CPU's list, by zone_batchsize() and zone_highsize(). */
static void pcps_are_sized_as_in_linux(void **state)
{
	static const struct {
		uint32_t managed, nr_cpus, batch, high;
	} table[] = {
		{52065, 1, 15, 545},   {52065, 2, 15, 272},   {52065, 64, 15, 60},
		{1 << 20, 4, 63, 774}, {1024, 1, 1, 80},      {64, 1, 1, 40},
		{8 << 10, 1, 1, 226},  {12 << 10, 1, 3, 276},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct mm_system *sys = paper_system(&table[i].managed, 1);
		void *pcps;

		sys->cfg.nr_cpus = table[i].nr_cpus;
		pcps = malloc(zone_pcps_bytes(sys));
		zone_set_pcps(sys, &sys->zones[0], pcps);
		zones_set_watermarks(sys, table[i].managed == 52065 ? 1744 : 0, 10);
		for (unsigned int cpu = 0; cpu < table[i].nr_cpus; cpu++) {
			assert_int_equal(sys->zones[0].pcps[cpu].batch, table[i].batch);
			assert_int_equal(sys->zones[0].pcps[cpu].high, table[i].high);
		}
		free(pcps);
		free(sys);
	}
}

static void zone_init_wants_frames_that_exist(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){.nr_frames = 64});
	struct zone zone;

	(void)state;
	assert_int_equal(zone_init(&f->sys, &zone, "Bad", 5, 5), -EINVAL);
	assert_int_equal(zone_init(&f->sys, &zone, "Bad", 5, 65), -EINVAL);
	frames_destroy(f);
}

/* Takes order-0 frames until there are no more, and gives them all back. */
static uint32_t drain_with(struct frames *f, enum gfp gfp, uint32_t *ret_left)
{
	pfn_t first = PFN_NONE;
	struct page *page;
	uint32_t nr = 0;

	while (page_alloc(&f->sys, 0, gfp, &page) == 0) {
		page->index = first;
		first = page_pfn(&f->sys, page);
		nr++;
	}
	assert_int_equal(zone_check(&f->sys), 0);
	*ret_left = f->sys.zones[0].nr_free;
	for (uint32_t i = 0; i < nr; i++) {
		page = page_of(&f->sys, first);
		first = (pfn_t)page->index;
		page_free(&f->sys, page, 0);
	}
	return nr;
}

/* 1024 frames, min 65: programs stop there, the manager at half, reclaim takes all. */
static void gfp_says_how_far_down(void **state)
{
	static const struct {
		enum gfp gfp;
		uint32_t left;
	} table[] = {{GFP_USER, 65}, {GFP_KERNEL, 33}, {GFP_RECLAIM, 0}};

	(void)state;
	for (uint32_t nr_cpus = 0; nr_cpus <= 1; nr_cpus++) {
		struct frames *f = frames_create(&(struct frames_config){
			.nr_frames = 1024, .nr_cpus = nr_cpus, .min_free_kbytes = 260});

		for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
			uint32_t left, nr;

			pcp_drain(&f->sys);
			nr = drain_with(f, table[i].gfp, &left);
			assert_int_equal(left, table[i].left);
			assert_int_equal(nr, 1024 - left);
		}
		frames_destroy(f);
	}
}

static void watermark_counts_the_whole_block(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){.nr_frames = 64});
	struct zone *zone = &f->sys.zones[0];
	struct page *page;

	(void)state;
	assert_true(zone_watermark_ok(zone, 0, 63));
	assert_false(zone_watermark_ok(zone, 0, 64));
	assert_true(zone_watermark_ok(zone, 5, 32));
	assert_false(zone_watermark_ok(zone, 5, 33));
	zone->lowmem_reserve = 3;
	assert_true(zone_watermark_ok(zone, 5, 29));
	assert_false(zone_watermark_ok(zone, 5, 30));
	zone->lowmem_reserve = 0;
	/* 63 frames are left, but not 64 in a row */
	assert_int_equal(page_alloc(&f->sys, 0, GFP_USER, &page), 0);
	assert_true(zone_watermark_ok(zone, 5, 0));
	assert_false(zone_watermark_ok(zone, 6, 0));
	page_free(&f->sys, page, 0);
	frames_destroy(f);
}

/* 128 frames, min 32: of the blocks of 32 the last stays, and so does half of one. */
static void a_large_block_must_leave_the_floor(void **state)
{
	struct frames *f = frames_create(
		&(struct frames_config){.nr_frames = 128, .min_free_kbytes = 128});
	struct page *pages[3], *page;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(page_alloc(&f->sys, 5, GFP_USER, &pages[i]), 0);
	assert_int_equal(page_alloc(&f->sys, 5, GFP_USER, &page), -ENOMEM);
	assert_int_equal(page_alloc(&f->sys, 5, GFP_KERNEL, &page), -ENOMEM);
	assert_int_equal(page_alloc(&f->sys, 4, GFP_KERNEL, &page), 0);
	page_free(&f->sys, page, 4);
	assert_int_equal(page_alloc(&f->sys, 5, GFP_RECLAIM, &page), 0);
	frames_destroy(f);
}

/* vm.min_free_kbytes is lowered while a list is full by the old one. */
static void lists_shrink_with_their_high(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){
		.nr_frames = 1024, .nr_cpus = 1, .min_free_kbytes = 1024});
	struct pcp *pcp = &f->sys.zones[0].pcps[0];
	uint32_t left;

	(void)state;
	drain_with(f, GFP_USER, &left);
	assert_int_equal(pcp->list.nr, pcp->high);
	zones_set_watermarks(&f->sys, 64, 10);
	assert_true(pcp->high < 40);
	assert_int_equal(zone_check(&f->sys), 0);
	frames_destroy(f);
}

/*
 * Three zones: the highest gives first, and the lower ones keep their reserve. All give down to
 * their low watermarks before any goes down to min.
 */
static void falls_back_from_the_highest_zone_down(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){
		.nr_frames = 4096, .zone_ends = {512, 1024, 4096}, .min_free_kbytes = 128});
	const struct zone *zones = f->sys.zones;
	unsigned int zone = 2, round = 0;
	struct page *page;

	(void)state;
	assert_int_equal(zones[0].lowmem_reserve, (512 + 3072) / 256);
	assert_int_equal(zones[1].lowmem_reserve, 3072 / 256);
	while (page_alloc(&f->sys, 0, GFP_USER, &page) == 0) {
		pfn_t pfn = page_pfn(&f->sys, page);

		if (zone == 0 && round == 0 && pfn >= zones[2].start) {
			zone = 2;
			round++;
		}
		while (pfn < zones[zone].start)
			zone--;
		assert_in_range(pfn, zones[zone].start, zones[zone].end - 1);
		if (round == 1)
			assert_true(zones[2].nr_free <=
				    zones[2].watermark[WMARK_LOW] + zones[2].lowmem_reserve);
	}
	assert_int_equal(zone, 0);
	assert_int_equal(round, 1);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(zones[i].nr_free,
				 zones[i].watermark[WMARK_MIN] + zones[i].lowmem_reserve);
	frames_destroy(f);
}

static pfn_t take_one(struct frames *f)
{
	struct page *page;

	assert_int_equal(page_alloc(&f->sys, 0, GFP_USER, &page), 0);
	assert_int_equal(page->refs, 1);
	assert_int_equal(page->flags, 0);
	assert_int_equal(zone_check(&f->sys), 0);
	return page_pfn(&f->sys, page);
}

static void give_one(struct frames *f, pfn_t pfn)
{
	page_free(&f->sys, page_of(&f->sys, pfn), 0);
	assert_int_equal(zone_check(&f->sys), 0);
}

/* 64 Ki frames: batch 15. Frames ascend, across refills too, and the last freed comes first. */
static void pcp_gives_neighbours_and_the_hottest(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){
		.nr_frames = 65536, .nr_cpus = 1, .min_free_kbytes = 2048});
	pfn_t first = take_one(f);

	(void)state;
	assert_int_equal(f->sys.zones[0].pcps[0].batch, 15);
	assert_int_equal(f->sys.zones[0].pcps[0].list.nr, 14);
	assert_int_equal(f->sys.vmstat[MM_VMSTAT_nr_free_pages], 65536 - 15);
	for (pfn_t i = 1; i < 100; i++)
		assert_int_equal(take_one(f), first + i);
	give_one(f, first + 7);
	give_one(f, first + 50);
	assert_int_equal(take_one(f), first + 50);
	assert_int_equal(take_one(f), first + 7);
	frames_destroy(f);
}

/* A list that is over its high gives the batch back that was used longest ago. */
static void pcp_gives_the_coldest_back(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){
		.nr_frames = 16384, .nr_cpus = 1, .min_free_kbytes = 1024});
	struct pcp *pcp = &f->sys.zones[0].pcps[0];
	pfn_t pfns[1024];

	(void)state;
	assert_int_equal(pcp->batch, 3);
	assert_true(pcp->high < 1000);
	for (unsigned int i = 0; i <= pcp->high; i++)
		pfns[i] = take_one(f);
	pcp_drain(&f->sys);
	for (unsigned int i = 0; i < pcp->high; i++)
		give_one(f, pfns[i]);
	assert_int_equal(pcp->list.nr, pcp->high);
	give_one(f, pfns[pcp->high]);
	assert_int_equal(pcp->list.nr, pcp->high + 1 - pcp->batch);
	assert_int_equal(pcp->list.tail, pfns[3]);
	assert_int_equal(pcp->list.head, pfns[pcp->high]);
	frames_destroy(f);
}

/* Each CPU has a list of its own; one that may take the last frame empties the others'. */
static void the_last_frame_is_found_on_another_cpu(void **state)
{
	struct frames *f =
		frames_create(&(struct frames_config){.nr_frames = 64, .nr_cpus = 2});
	struct page *page;
	pfn_t pfn;

	(void)state;
	for (pfn = 0; pfn < 64; pfn++)
		take_one(f);
	f->cpu = 1;
	give_one(f, 42);
	f->cpu = 0;
	assert_int_equal(f->sys.zones[0].pcps[1].list.nr, 1);
	assert_int_equal(page_alloc(&f->sys, 0, GFP_USER, &page), -ENOMEM);
	assert_int_equal(page_alloc(&f->sys, 0, GFP_KERNEL, &page), -ENOMEM);
	assert_int_equal(page_alloc(&f->sys, 0, GFP_RECLAIM, &page), 0);
	assert_int_equal(page_pfn(&f->sys, page), 42);
	frames_destroy(f);
}

/* Order 6 needs all frames, and half of them lie on per-CPU lists. */
static void a_large_block_empties_the_pcps(void **state)
{
	struct frames *f =
		frames_create(&(struct frames_config){.nr_frames = 64, .nr_cpus = 1});
	struct page *page;

	(void)state;
	for (pfn_t pfn = 0; pfn < 64; pfn++)
		take_one(f);
	for (pfn_t pfn = 0; pfn < 64; pfn++)
		give_one(f, pfn);
	assert_true(f->sys.zones[0].pcps[0].list.nr > 0);
	assert_int_equal(page_alloc(&f->sys, 6, GFP_USER, &page), 0);
	assert_int_equal(page_block_order(page), 6);
	page_free(&f->sys, page, 6);
	frames_destroy(f);
}

static void the_nth_allocation_fails_for_tests(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){.nr_frames = 64});
	struct page *page;

	(void)state;
	f->sys.fail_alloc = 3;
	take_one(f);
	take_one(f);
	assert_int_equal(page_alloc(&f->sys, 0, GFP_RECLAIM, &page), -ENOMEM);
	take_one(f);
	frames_destroy(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(watermarks_are_those_of_linux),
	cmocka_unit_test(zones_share_min_and_keep_a_reserve),
	cmocka_unit_test(min_free_grows_with_the_root),
	cmocka_unit_test(pcps_are_sized_as_in_linux),
	cmocka_unit_test(zone_init_wants_frames_that_exist),
	cmocka_unit_test(gfp_says_how_far_down),
	cmocka_unit_test(watermark_counts_the_whole_block),
	cmocka_unit_test(a_large_block_must_leave_the_floor),
	cmocka_unit_test(lists_shrink_with_their_high),
	cmocka_unit_test(falls_back_from_the_highest_zone_down),
	cmocka_unit_test(pcp_gives_neighbours_and_the_hottest),
	cmocka_unit_test(pcp_gives_the_coldest_back),
	cmocka_unit_test(the_last_frame_is_found_on_another_cpu),
	cmocka_unit_test(a_large_block_empties_the_pcps),
	cmocka_unit_test(the_nth_allocation_fails_for_tests),
};

TEST_MAIN(tests)
