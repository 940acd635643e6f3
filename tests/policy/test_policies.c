/* SPDX-License-Identifier: MIT */
/*
 * What holds for every policy: frames, two callbacks, nothing of the manager.
 */
#include <string.h>

#include "policy/policy.h"
#include "support/rng.h"
#include "support/test.h"

#define FRAMES 512

/* Frames of which some were used; evict() frees those that are not held. */
struct toy {
	const struct policy_ops *ops;
	uint64_t state[64];
	struct page map[FRAMES];
	bool young[FRAMES];
	bool was_asked[FRAMES];
	enum policy_verdict held[FRAMES]; /* POLICY_GONE: not held */
	pfn_t gone[FRAMES];
	unsigned int nr_gone;
	pfn_t used_meanwhile; /* accessed() while it is isolated; PFN_NONE: no frame */
};

static struct policy *toy_policy(struct toy *t)
{
	return (struct policy *)(void *)t->state;
}

static void toy_harvest(void *arg, struct page **pages, unsigned int nr, const bool *may_leave,
			bool *ret_young)
{
	struct toy *t = arg;

	(void)may_leave;
	assert_in_range(nr, 1, POLICY_BATCH);
	for (unsigned int i = 0; i < nr; i++) {
		pfn_t pfn = (pfn_t)(pages[i] - t->map);

		assert_true(page_has(pages[i], PG_isolated) && !page_has(pages[i], PG_lru));
		ret_young[i] = t->young[pfn];
		t->young[pfn] = false;
		t->was_asked[pfn] = true;
		if (pfn == t->used_meanwhile)
			t->ops->accessed(toy_policy(t), pages[i]);
	}
}

static void toy_evict(void *arg, struct page **pages, unsigned int nr,
		      enum policy_verdict *ret_verdicts)
{
	struct toy *t = arg;

	assert_in_range(nr, 1, POLICY_BATCH);
	for (unsigned int i = 0; i < nr; i++) {
		pfn_t pfn = (pfn_t)(pages[i] - t->map);

		assert_true(page_has(pages[i], PG_isolated) && !page_has(pages[i], PG_lru));
		assert_true(t->was_asked[pfn]);
		ret_verdicts[i] = t->held[pfn];
		if (t->held[pfn] != POLICY_GONE)
			continue;
		pages[i]->flags = 0;
		t->was_asked[pfn] = false;
		t->gone[t->nr_gone++] = pfn;
	}
}

static struct policy_scan toy_scan(struct toy *t, unsigned int nr)
{
	return (struct policy_scan){.nr_reclaim = nr,
				    .swappiness = 60,
				    .may_swap = true,
				    .arg = t,
				    .harvest = toy_harvest,
				    .evict = toy_evict};
}

static struct policy_scan toy_shrink(struct toy *t, unsigned int nr)
{
	struct policy_scan scan = toy_scan(t, nr);

	t->ops->shrink(toy_policy(t), &scan);
	assert_int_equal(t->ops->check(toy_policy(t)), 0);
	return scan;
}

static void toy_init(struct toy *t, const struct policy_ops *ops)
{
	memset(t, 0, sizeof(*t));
	assert_true(ops->state_size <= sizeof(t->state));
	t->ops = ops;
	t->used_meanwhile = PFN_NONE;
	ops->init(toy_policy(t), t->map, FRAMES);
}

static void toy_insert(struct toy *t, pfn_t first, pfn_t nr, uint32_t flags)
{
	for (pfn_t pfn = first; pfn < first + nr; pfn++) {
		t->map[pfn].flags = flags;
		t->ops->insert(toy_policy(t), &t->map[pfn]);
	}
}

static uint64_t toy_count(struct toy *t)
{
	uint64_t nr[4];

	t->ops->count(toy_policy(t), nr);
	return nr[0] + nr[1] + nr[2] + nr[3];
}

#define for_each_policy(t) \
	for (unsigned int i_ = 0; policy_at(i_) && (toy_init((t), policy_at(i_)), true); i_++)

static void names_find_policies(void **state)
{
	char names[128] = "";
	const struct policy_ops *ops;

	(void)state;
	for (unsigned int i = 0; (ops = policy_at(i)); i++) {
		assert_ptr_equal(policy_find(ops->name), ops);
		strcat(strcat(names, i ? ", " : ""), ops->name);
	}
	assert_string_equal(names, POLICY_NAMES);
	assert_string_equal(policy_at(0)->name, "two-lists");
	assert_null(policy_find(""));
	assert_null(policy_find("opt"));
}

static void each_frame_goes_once(void **state)
{
	bool is_gone[FRAMES] = {false};
	struct toy t;

	(void)state;
	for_each_policy(&t)
	{
		memset(is_gone, 0, sizeof(is_gone));
		toy_insert(&t, 0, 100, PG_anon);
		toy_insert(&t, 100, 100, 0);
		for (unsigned int i = 0; i < 20; i++)
			toy_shrink(&t, 32);
		assert_int_equal(t.nr_gone, 200);
		assert_int_equal(toy_count(&t), 0);
		for (unsigned int i = 0; i < t.nr_gone; i++) {
			assert_false(is_gone[t.gone[i]]);
			is_gone[t.gone[i]] = true;
		}
	}
}

static void no_more_go_than_are_wanted(void **state)
{
	struct toy t;

	(void)state;
	for_each_policy(&t)
	{
		if (i_ == 0)
			continue; /* the two lists work by batches */
		toy_insert(&t, 0, 200, PG_anon);
		assert_int_equal(toy_shrink(&t, 1).nr_gone, 1);
		assert_int_equal(toy_shrink(&t, 33).nr_gone, 33);
		assert_int_equal(toy_count(&t), 166);
	}
}

static void without_slots_only_files_go(void **state)
{
	struct toy t;

	(void)state;
	for_each_policy(&t)
	{
		toy_insert(&t, 0, 200, PG_anon);
		toy_insert(&t, 200, 8, 0);
		toy_insert(&t, 208, 200, PG_anon);
		for (unsigned int i = 0; i < 3; i++) {
			struct policy_scan scan = toy_scan(&t, 32);

			scan.may_swap = false;
			t.ops->shrink(toy_policy(&t), &scan);
			assert_int_equal(t.ops->check(toy_policy(&t)), 0);
		}
		assert_int_equal(t.nr_gone, 8);
		for (unsigned int i = 0; i < 8; i++)
			assert_in_range(t.gone[i], 200, 207);
	}
}

static void what_is_held_stays(void **state)
{
	static const enum policy_verdict verdicts[] = {POLICY_KEEP, POLICY_ACTIVATE};
	struct policy_scan scan;
	struct toy t;

	(void)state;
	for_each_policy(&t)
	{
		toy_insert(&t, 0, 40, PG_anon);
		for (pfn_t pfn = 0; pfn < 40; pfn += 2)
			t.held[pfn] = verdicts[pfn / 2 % 2];
		for (unsigned int i = 0; i < 6; i++)
			scan = toy_shrink(&t, 64);
		assert_int_equal(t.nr_gone, 20);
		assert_int_equal(toy_count(&t), 20);
		assert_int_equal(scan.nr_gone, 0);
		memset(t.held, 0, sizeof(t.held));
		for (unsigned int i = 0; i < 6; i++)
			toy_shrink(&t, 64);
		assert_int_equal(toy_count(&t), 0);
	}
}

static void removed_frames_are_forgotten(void **state)
{
	struct toy t;

	(void)state;
	for_each_policy(&t)
	{
		toy_insert(&t, 0, 32, PG_anon);
		for (pfn_t pfn = 0; pfn < 32; pfn += 2) {
			t.ops->remove(toy_policy(&t), &t.map[pfn]);
			assert_int_equal(t.ops->check(toy_policy(&t)), 0);
			assert_int_equal(t.map[pfn].flags, PG_anon);
		}
		toy_shrink(&t, 32);
		assert_int_equal(t.nr_gone, 16);
		for (unsigned int i = 0; i < 16; i++)
			assert_int_equal(t.gone[i] % 2, 1);
	}
}

/* Twice cold is cold; the first marked is the first to go. */
static void cold_frames_go_first(void **state)
{
	struct toy t;

	(void)state;
	for_each_policy(&t)
	{
		toy_insert(&t, 0, 64, PG_anon);
		t.ops->deactivate(toy_policy(&t), &t.map[63]);
		t.ops->deactivate(toy_policy(&t), &t.map[40]);
		t.ops->deactivate(toy_policy(&t), &t.map[40]);
		toy_shrink(&t, 2);
		assert_true(t.nr_gone >= 2);
		assert_int_equal(t.gone[0] + t.gone[1], 63 + 40);
	}
}

static void told_uses_spare(void **state)
{
	static const char *const sparing[] = {"clock", "lru"};
	struct toy t;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		toy_init(&t, policy_find(sparing[i]));
		toy_insert(&t, 0, 8, PG_anon);
		t.ops->accessed(toy_policy(&t), &t.map[0]);
		t.young[1] = true;
		t.used_meanwhile = 2;
		assert_int_equal(toy_shrink(&t, 1).nr_gone, 1);
		assert_int_equal(t.gone[0], 3);
		assert_int_equal(toy_shrink(&t, 4).nr_gone, 4);
		for (unsigned int k = 0; k < 5; k++)
			assert_int_equal(t.gone[k], 3 + k);
	}
}

static void a_frame_that_came_back_active_counts_as_used(void **state)
{
	struct toy t;

	(void)state;
	toy_init(&t, policy_find("clock"));
	toy_insert(&t, 0, 1, PG_anon | PG_active);
	toy_insert(&t, 1, 1, PG_anon);
	assert_int_equal(t.ops->check(toy_policy(&t)), 0);
	toy_shrink(&t, 1);
	assert_int_equal(t.gone[0], 1);
}

/* Every frame used, all the time: somebody goes nevertheless. */
static void priority_zero_gives_in(void **state)
{
	struct toy t;

	(void)state;
	for_each_policy(&t)
	{
		toy_insert(&t, 0, 300, PG_anon);
		memset(t.young, true, sizeof(t.young));
		for (unsigned int i = 0; i < 4; i++)
			toy_shrink(&t, 1);
		assert_true(t.nr_gone >= 1);
	}
}

/* The work of a scan at low pressure has a bound that does not grow with uses. */
static void priority_bounds_the_scan(void **state)
{
	struct toy t;

	(void)state;
	for_each_policy(&t)
	{
		struct policy_scan scan;

		toy_insert(&t, 0, 512, PG_anon);
		memset(t.young, true, sizeof(t.young));
		scan = toy_scan(&t, 512);
		scan.priority = POLICY_PRIORITY_MAX;
		t.ops->shrink(toy_policy(&t), &scan);
		assert_in_range(scan.nr_scanned, 0, POLICY_BATCH);
	}
}

/* One scan for n, or n scans for one: the same frames in the same order. */
static void a_batch_is_as_one_at_a_time(void **state)
{
	static const char *const names[] = {"clock", "fifo", "lru"};
	struct rng rng = rng_make(test_seed());
	struct toy whole, single;

	(void)state;
	for (unsigned int round = 0; round < 90; round++) {
		unsigned int nr = (unsigned int)rng_between(&rng, 1, 100);

		toy_init(&whole, policy_find(names[round % 3]));
		toy_init(&single, whole.ops);
		for (pfn_t pfn = 0; pfn < 256; pfn++) {
			uint32_t flags = rng_chance(&rng, 50) ? PG_anon : 0;

			toy_insert(&whole, pfn, 1, flags);
			toy_insert(&single, pfn, 1, flags);
			whole.young[pfn] = single.young[pfn] = rng_chance(&rng, 30);
		}
		toy_shrink(&whole, nr);
		for (unsigned int i = 0; i < nr; i++)
			toy_shrink(&single, 1);
		assert_int_equal(whole.nr_gone, nr);
		assert_int_equal(single.nr_gone, nr);
		assert_memory_equal(whole.gone, single.gone, nr * sizeof(pfn_t));
	}
}

/* Each of 8 frames in 64 goes first about as often: chi-square with 7 degrees of freedom, whose
 * 99.999% point is 36.4. Seeds are fixed, so this passes or fails for good. */
static void random_is_fair(void **state)
{
	unsigned int firsts[8] = {0};
	double chi_square = 0;
	struct toy t;

	(void)state;
	for (uint64_t seed = 0; seed < 8000; seed++) {
		toy_init(&t, policy_find("random"));
		t.ops->seed(toy_policy(&t), seed);
		for (pfn_t i = 0; i < 8; i++)
			toy_insert(&t, i * 64, 1, PG_anon);
		toy_shrink(&t, 1);
		firsts[t.gone[0] / 64]++;
	}
	for (unsigned int i = 0; i < 8; i++)
		chi_square += (firsts[i] - 1000.0) * (firsts[i] - 1000.0) / 1000.0;
	assert_true(chi_square < 36.4);
}

static void random_repeats_with_its_seed(void **state)
{
	pfn_t gone[3][32];
	struct toy t;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		toy_init(&t, policy_find("random"));
		t.ops->seed(toy_policy(&t), i / 2);
		toy_insert(&t, 0, 200, PG_anon);
		toy_shrink(&t, 32);
		memcpy(gone[i], t.gone, sizeof(gone[i]));
	}
	assert_memory_equal(gone[0], gone[1], sizeof(gone[0]));
	assert_memory_not_equal(gone[0], gone[2], sizeof(gone[0]));
}

static void step_life(struct toy *t, struct rng *rng)
{
	pfn_t pfn = (pfn_t)rng_below(rng, FRAMES);
	struct page *page = &t->map[pfn];
	uint64_t dice = rng_below(rng, 100);

	t->young[pfn] = rng_chance(rng, 50);
	t->held[pfn] = rng_chance(rng, 80) ? POLICY_GONE : rng_between(rng, 1, 2);
	if (!page_has(page, PG_lru)) {
		toy_insert(t, pfn, 1,
			   (rng_chance(rng, 50) ? PG_anon : 0) |
				   (rng_chance(rng, 10) ? PG_active : 0));
	} else if (dice < 20) {
		t->ops->remove(toy_policy(t), page);
		page->flags = 0;
	} else if (dice < 60) {
		t->ops->accessed(toy_policy(t), page);
	} else if (dice < 80) {
		t->ops->deactivate(toy_policy(t), page);
	} else {
		struct policy_scan scan = toy_scan(t, (unsigned int)rng_between(rng, 1, 70));

		scan.priority = (unsigned int)rng_below(rng, POLICY_PRIORITY_MAX + 1);
		scan.may_swap = rng_chance(rng, 70);
		t->used_meanwhile = (pfn_t)rng_below(rng, FRAMES);
		t->ops->shrink(toy_policy(t), &scan);
		t->nr_gone = 0;
	}
}

static void random_lives_keep_the_invariants(void **state)
{
	uint64_t seed = test_seed();
	struct toy t;

	(void)state;
	for_each_policy(&t)
	{
		struct rng rng = rng_make(seed);

		for (unsigned int step = 0; step < 4000; step++) {
			uint64_t nr = 0;

			step_life(&t, &rng);
			assert_int_equal(t.ops->check(toy_policy(&t)), 0);
			for (pfn_t pfn = 0; pfn < FRAMES; pfn++) {
				nr += page_has(&t.map[pfn], PG_lru);
				assert_false(page_has(&t.map[pfn], PG_isolated));
			}
			assert_int_equal(toy_count(&t), nr);
		}
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(names_find_policies),
	cmocka_unit_test(each_frame_goes_once),
	cmocka_unit_test(no_more_go_than_are_wanted),
	cmocka_unit_test(without_slots_only_files_go),
	cmocka_unit_test(what_is_held_stays),
	cmocka_unit_test(removed_frames_are_forgotten),
	cmocka_unit_test(cold_frames_go_first),
	cmocka_unit_test(told_uses_spare),
	cmocka_unit_test(a_frame_that_came_back_active_counts_as_used),
	cmocka_unit_test(priority_zero_gives_in),
	cmocka_unit_test(priority_bounds_the_scan),
	cmocka_unit_test(a_batch_is_as_one_at_a_time),
	cmocka_unit_test(random_is_fair),
	cmocka_unit_test(random_repeats_with_its_seed),
	cmocka_unit_test(random_lives_keep_the_invariants),
};
TEST_MAIN(tests)
