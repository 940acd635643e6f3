/* SPDX-License-Identifier: MIT */
/*
 * The two lists alone: frames, two callbacks, nothing of the manager.
 */
#include <string.h>

#include "policy/two_lists.h"
#include "support/rng.h"
#include "support/test.h"

#define FRAMES 512

/* Frames of which some are young; evict() frees all but the pinned. */
struct toy {
	struct policy *p;
	struct page map[FRAMES];
	bool young[FRAMES], pinned[FRAMES];
	pfn_t gone[FRAMES];
	unsigned int nr_gone;
	bool leaves; /* what it is told that it may */
	unsigned int nr_cleared;
	uint64_t state[512];
};

static void toy_harvest(void *arg, struct page **pages, unsigned int nr, const bool *may_leave,
			bool *ret_young)
{
	struct toy *t = arg;

	for (unsigned int i = 0; i < nr; i++) {
		size_t pfn = (size_t)(pages[i] - t->map);

		assert_true(page_has(pages[i], PG_isolated) && !page_has(pages[i], PG_lru));
		ret_young[i] = t->young[pfn];
		if (t->leaves && may_leave && may_leave[i])
			continue;
		t->nr_cleared += t->young[pfn];
		t->young[pfn] = false;
	}
}

static void toy_evict(void *arg, struct page **pages, unsigned int nr,
		      enum policy_verdict *ret_verdicts)
{
	struct toy *t = arg;

	for (unsigned int i = 0; i < nr; i++) {
		pfn_t pfn = (pfn_t)(pages[i] - t->map);

		ret_verdicts[i] = t->pinned[pfn] ? POLICY_ACTIVATE : POLICY_GONE;
		if (t->pinned[pfn])
			continue;
		pages[i]->flags = 0;
		t->gone[t->nr_gone++] = pfn;
	}
}

static struct policy_scan toy_scan(struct toy *t, unsigned int priority, unsigned int nr)
{
	return (struct policy_scan){
		.priority = priority,
		.nr_reclaim = nr,
		.swappiness = 60,
		.may_swap = true,
		.arg = t,
		.harvest = toy_harvest,
		.evict = toy_evict,
	};
}

static struct policy_scan toy_shrink(struct toy *t, unsigned int priority, unsigned int nr)
{
	struct policy_scan scan = toy_scan(t, priority, nr);

	policy_two_lists.shrink(t->p, &scan);
	assert_int_equal(policy_two_lists.check(t->p), 0);
	return scan;
}

static void toy_init(struct toy *t)
{
	assert_true(policy_two_lists.state_size <= sizeof(t->state));
	memset(t, 0, sizeof(*t));
	t->p = (struct policy *)(void *)t->state;
	policy_two_lists.init(t->p, t->map, FRAMES);
}

static void toy_insert(struct toy *t, pfn_t pfn, uint32_t flags)
{
	t->map[pfn].flags = flags;
	policy_two_lists.insert(t->p, &t->map[pfn]);
}

static void oldest_untouched_goes_first(void **state)
{
	struct toy t;

	(void)state;
	toy_init(&t);
	for (pfn_t i = 0; i < 64; i++)
		toy_insert(&t, i, PG_anon);
	assert_int_equal(toy_shrink(&t, 0, 32).nr_gone, 32);
	for (pfn_t i = 0; i < 32; i++)
		assert_int_equal(t.gone[i], i);
}

/* young once: another round; young twice: active; never again: gone */
static void second_touch_activates(void **state)
{
	struct policy_scan scan;
	struct toy t;

	(void)state;
	toy_init(&t);
	for (pfn_t i = 0; i < 8; i++)
		toy_insert(&t, i, PG_anon);
	memset(t.young, true, 8);
	scan = toy_shrink(&t, 0, 8);
	assert_int_equal(scan.nr_gone, 0);
	assert_int_equal(scan.nr_rotated, 8);
	memset(t.young, true, 4);
	scan = toy_shrink(&t, 0, 8);
	assert_int_equal(scan.nr_activated, 4);
	assert_int_equal(scan.nr_gone, 4);
	for (unsigned int i = 0; i < 4; i++)
		assert_in_range(t.gone[i], 4, 7);
}

static void pinned_frames_become_active(void **state)
{
	uint64_t nr[4];
	struct toy t;

	(void)state;
	toy_init(&t);
	for (pfn_t i = 0; i < 8; i++)
		toy_insert(&t, i, PG_anon);
	t.pinned[3] = true;
	assert_int_equal(toy_shrink(&t, 0, 8).nr_gone, 7);
	policy_two_lists.count(t.p, nr);
	assert_int_equal(nr[0] + nr[1], 1);
}

/* share of anonymous pages scanned, by swappiness, with equal costs */
static void swappiness_divides_the_scan(void **state)
{
	static const struct {
		uint32_t swappiness;
		bool may_swap;
		unsigned int anon_percent;
	} cases[] = {
		{0, true, 0}, {60, true, 30}, {100, true, 50}, {200, true, 100}, {60, false, 0},
	};

	(void)state;
	for (unsigned int c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		unsigned int nr_anon = 0;
		struct policy_scan scan;
		struct toy t;

		toy_init(&t);
		for (pfn_t i = 0; i < 512; i++)
			toy_insert(&t, i, i < 256 ? PG_anon : 0);
		scan = toy_scan(&t, 1, 512);
		scan.swappiness = cases[c].swappiness;
		scan.may_swap = cases[c].may_swap;
		scan.has_refaulted[1] = true; /* else file pages used once go first */
		policy_two_lists.shrink(t.p, &scan);
		for (unsigned int i = 0; i < t.nr_gone; i++)
			nr_anon += t.gone[i] < 256;
		assert_true(t.nr_gone > 0);
		assert_in_range(nr_anon * 100 / 128,
				cases[c].anon_percent > 1 ? cases[c].anon_percent - 1 : 0,
				cases[c].anon_percent + 1);
	}
}

static void a_hot_set_survives_a_scan(void **state)
{
	unsigned int lost = 0;
	struct rng rng;
	struct toy t;

	(void)state;
	rng = rng_make(test_seed());
	toy_init(&t);
	for (pfn_t i = 0; i < 64; i++)
		toy_insert(&t, i, PG_anon);
	for (unsigned int round = 0; round < 2000; round++) {
		pfn_t pfn = (pfn_t)rng_between(&rng, 64, FRAMES - 1);

		memset(t.young, true, 64);
		if (t.map[pfn].flags == 0)
			toy_insert(&t, pfn, PG_anon);
		if (round % 8 == 0)
			toy_shrink(&t, 2, 8);
		t.nr_gone = 0;
	}
	for (pfn_t i = 0; i < 64; i++)
		lost += t.map[i].flags == 0;
	assert_int_equal(lost, 0);
}

/* To be told what may be left changes what is cleared, and nothing else. */
static void what_may_be_left_is_of_no_interest(void **state)
{
	struct rng rng;
	struct toy toys[2];

	(void)state;
	rng = rng_make(test_seed());
	toy_init(&toys[0]);
	toy_init(&toys[1]);
	toys[1].leaves = true;
	for (unsigned int round = 0; round < 3000; round++) {
		unsigned int nr = (unsigned int)rng_between(&rng, 1, 16);
		bool is_shrink = rng_chance(&rng, 20);

		for (unsigned int n = 0; n < nr && !is_shrink; n++) {
			pfn_t pfn = (pfn_t)rng_between(&rng, 0, FRAMES - 1);

			for (unsigned int i = 0; i < 2; i++) {
				if (toys[i].map[pfn].flags == 0)
					toy_insert(&toys[i], pfn, PG_anon);
				toys[i].young[pfn] = true;
			}
		}
		if (!is_shrink)
			continue;
		for (unsigned int i = 0; i < 2; i++) {
			toys[i].nr_gone = 0;
			toy_shrink(&toys[i], 1, nr);
		}
		assert_int_equal(toys[0].nr_gone, toys[1].nr_gone);
		assert_memory_equal(toys[0].gone, toys[1].gone,
				    toys[0].nr_gone * sizeof(pfn_t));
	}
	for (pfn_t i = 0; i < FRAMES; i++)
		assert_int_equal(toys[0].map[i].flags, toys[1].map[i].flags);
	assert_true(toys[1].nr_cleared < toys[0].nr_cleared);
}

static void removed_frames_are_forgotten(void **state)
{
	struct toy t;

	(void)state;
	toy_init(&t);
	for (pfn_t i = 0; i < 32; i++)
		toy_insert(&t, i, PG_anon);
	for (pfn_t i = 0; i < 32; i += 2) {
		policy_two_lists.remove(t.p, &t.map[i]);
		t.map[i].flags = 0;
	}
	policy_two_lists.deactivate(t.p, &t.map[31]);
	assert_int_equal(toy_shrink(&t, 0, 32).nr_gone, 16);
	assert_int_equal(t.gone[0], 31);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(t.gone[i] % 2, 1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(oldest_untouched_goes_first),
	cmocka_unit_test(second_touch_activates),
	cmocka_unit_test(pinned_frames_become_active),
	cmocka_unit_test(swappiness_divides_the_scan),
	cmocka_unit_test(a_hot_set_survives_a_scan),
	cmocka_unit_test(what_may_be_left_is_of_no_interest),
	cmocka_unit_test(removed_frames_are_forgotten),
};
TEST_MAIN(tests)
