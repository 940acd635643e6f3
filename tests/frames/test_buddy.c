/* SPDX-License-Identifier: MIT */
#include "frames/frames_fixture.h"

/* Blocks of each order in the zone, from order 0. */
static void assert_free_area(const struct zone *zone, const uint32_t *expected)
{
	for (unsigned int order = 0; order < BUDDY_NR_ORDERS; order++)
		assert_int_equal(zone->free_area[order].nr, expected[order]);
}

static pfn_t take(struct frames *f, unsigned int order)
{
	struct page *page = NULL;

	assert_int_equal(buddy_alloc(&f->sys, &f->sys.zones[0], order, &page), 0);
	assert_int_equal(zone_check(&f->sys), 0);
	return page_pfn(&f->sys, page);
}

static void give(struct frames *f, pfn_t pfn, unsigned int order)
{
	buddy_free(&f->sys, &f->sys.zones[0], page_of(&f->sys, pfn), order);
	assert_int_equal(zone_check(&f->sys), 0);
}

/*
 *	0               8              15
 *	[..............................]	order 4
 *	[A][.][..][....][..............]	A of order 0 is taken: one block of each order
 */
static void splits_and_joins(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){.nr_frames = 16});
	struct zone *zone = &f->sys.zones[0];

	(void)state;
	assert_free_area(zone, (uint32_t[BUDDY_NR_ORDERS]){0, 0, 0, 0, 1});
	assert_int_equal(take(f, 0), 0);
	assert_free_area(zone, (uint32_t[BUDDY_NR_ORDERS]){1, 1, 1, 1, 0});
	assert_int_equal(zone->nr_free, 15);
	give(f, 0, 0);
	assert_free_area(zone, (uint32_t[BUDDY_NR_ORDERS]){0, 0, 0, 0, 1});
	frames_destroy(f);
}

/* The smallest block that fits is used, even where a larger one lies lower. */
static void prefers_the_smallest_block(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){.nr_frames = 16});
	pfn_t low = take(f, 3);

	(void)state;
	assert_int_equal(take(f, 1), 8);
	give(f, low, 3);
	assert_int_equal(take(f, 1), 10);
	give(f, 8, 1);
	give(f, 10, 1);
	frames_destroy(f);
}

/*
 *	frames 3 .. 4102, reserved up to 5: neither end is aligned
 *
 *	5 6.7 8..15 ... 512..1023 [1024..2047] [2048..3071] [3072..4095] 4096..4099 4100.4101
 *4102
 */
static void ends_need_no_alignment(void **state)
{
	struct frames *f = frames_create(
		&(struct frames_config){.nr_frames = 4103, .start = 3, .nr_reserved = 2});
	struct zone *zone = &f->sys.zones[0];
	const uint32_t expected[] = {2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 3};
	pfn_t pfns[4098];

	(void)state;
	assert_int_equal(zone->managed, 4098);
	assert_free_area(zone, expected);
	for (unsigned int i = 0; i < 4098; i++) {
		struct page *page;

		assert_int_equal(buddy_alloc(&f->sys, zone, 0, &page), 0);
		pfns[i] = page_pfn(&f->sys, page);
	}
	assert_int_equal(zone->nr_free, 0);
	assert_int_equal(zone_check(&f->sys), 0);
	for (unsigned int i = 0; i < 4098; i++)
		buddy_free(&f->sys, zone, page_of(&f->sys, pfns[i]), 0);
	assert_free_area(zone, expected);
	frames_destroy(f);
}

/* A zone that ends in the middle of a 4 MiB block: buddies of two zones are never joined. */
static void zones_do_not_join(void **state)
{
	struct frames *f =
		frames_create(&(struct frames_config){.nr_frames = 64, .zone_ends = {24, 64}});

	(void)state;
	assert_free_area(&f->sys.zones[0], (uint32_t[BUDDY_NR_ORDERS]){0, 0, 0, 1, 1});
	assert_free_area(&f->sys.zones[1], (uint32_t[BUDDY_NR_ORDERS]){0, 0, 0, 1, 0, 1});
	frames_destroy(f);
}

static void no_block_is_made_of_two_that_are_not_buddies(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){.nr_frames = 24, .start = 4});
	struct page *page = NULL;

	(void)state;
	/* 4..7, 8..15, 16..23 */
	assert_int_equal(buddy_alloc(&f->sys, &f->sys.zones[0], 4, &page), -ENOMEM);
	assert_null(page);
	assert_int_equal(take(f, 3) % 8, 0);
	assert_int_equal(take(f, 3) % 8, 0);
	assert_int_equal(buddy_alloc(&f->sys, &f->sys.zones[0], 3, &page), -ENOMEM);
	give(f, 8, 3);
	give(f, 16, 3);
	frames_destroy(f);
}

static void counts(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){.nr_frames = 2048});
	pfn_t pfn = take(f, 9);

	(void)state;
	assert_int_equal(f->sys.vmstat[MM_VMSTAT_nr_free_pages], 2048 - 512);
	assert_int_equal(f->sys.vmstat[MM_VMSTAT_pgalloc], 512);
	give(f, pfn, 9);
	assert_int_equal(f->sys.vmstat[MM_VMSTAT_nr_free_pages], 2048);
	assert_int_equal(f->sys.vmstat[MM_VMSTAT_pgfree], 512);
	frames_destroy(f);
}

/* Misuses, each seen at once. f has blocks of order 2 at 0 and of order 0 at 4. */
static void frees_twice(void *f)
{
	give(f, 4, 0);
	give(f, 4, 0);
}

static void frees_twice_what_was_joined(void *f)
{
	give(f, 4, 0);
	give(f, 0, 2); /* 4 lies within a block of 16 now */
	give(f, 4, 0);
}

static void frees_with_a_smaller_order(void *f)
{
	give(f, 0, 1);
}

static void frees_with_a_larger_order(void *f)
{
	give(f, 0, 3);
}

static void frees_a_tail(void *f)
{
	give(f, 1, 0);
}

static void frees_what_is_referenced(void *f)
{
	page_of(&((struct frames *)f)->sys, 4)->refs++;
	give(f, 4, 0);
}

static void frees_what_is_on_a_list(void *f)
{
	page_of(&((struct frames *)f)->sys, 4)->flags |= PG_lru;
	give(f, 4, 0);
}

static void frees_as_it_should(void *f)
{
	give(f, 0, 2);
	give(f, 4, 0);
}

static void misuse_aborts(void **state)
{
	static void (*const misuses[])(void *) = {
		frees_twice,
		frees_twice_what_was_joined,
		frees_with_a_smaller_order,
		frees_with_a_larger_order,
		frees_a_tail,
		frees_what_is_referenced,
		frees_what_is_on_a_list,
	};
	struct frames *f = frames_create(&(struct frames_config){.nr_frames = 16});

	(void)state;
	assert_int_equal(take(f, 2), 0);
	assert_int_equal(take(f, 0), 4);
	assert_false(aborts(frees_as_it_should, f));
	for (size_t i = 0; i < sizeof(misuses) / sizeof(*misuses); i++)
		assert_true(aborts(misuses[i], f));
	frees_as_it_should(f);
	frames_destroy(f);
}

/* zone_check() finds what is broken on purpose. */
static void check_sees_damage(void **state)
{
	struct frames *f =
		frames_create(&(struct frames_config){.nr_frames = 64, .nr_cpus = 1});
	struct zone *zone = &f->sys.zones[0];
	struct page *page = NULL;
	pfn_t pfn = take(f, 2);
	uint32_t *const fields[] = {
		&zone->nr_free,
		&zone->managed,
		&zone->free_orders,
		&zone->free_area[3].nr,
		&page_of(&f->sys, pfn)->refs,
		&page_of(&f->sys, pfn + 1)->refs,
		&page_of(&f->sys, pfn + 1)->flags,
		&page_of(&f->sys, zone->free_area[4].head)->order,
		&page_of(&f->sys, zone->free_area[4].head)->flags,
		&page_of(&f->sys, zone->free_area[4].head + 1)->flags,
		&page_of(&f->sys, zone->free_area[4].head)->next,
		(uint32_t *)&f->sys.vmstat[MM_VMSTAT_nr_free_pages],
	};

	(void)state;
	assert_int_equal(page_alloc(&f->sys, 0, GFP_USER, &page), 0);
	page_free(&f->sys, page, 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		uint32_t saved = *fields[i];

		assert_int_equal(zone_check(&f->sys), 0);
		*fields[i] ^= 1;
		assert_int_equal(check_quietly(zone_check, &f->sys), -EUCLEAN);
		*fields[i] = saved;
	}
	give(f, pfn, 2);
	frames_destroy(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(splits_and_joins),
	cmocka_unit_test(prefers_the_smallest_block),
	cmocka_unit_test(ends_need_no_alignment),
	cmocka_unit_test(zones_do_not_join),
	cmocka_unit_test(no_block_is_made_of_two_that_are_not_buddies),
	cmocka_unit_test(counts),
	cmocka_unit_test(misuse_aborts),
	cmocka_unit_test(check_sees_damage),
};

TEST_MAIN(tests)
