/* SPDX-License-Identifier: MIT */
/*
 * Shadow entries: which refaults start on the active list.
 */
#include "support/test.h"
#include "world.h"

#define RW (MM_PROT_READ | MM_PROT_WRITE)

/* evicted ---- later frames evicted or activated ----> refault, with nr_active active frames */
static void a_refault_is_active_if_the_active_lists_are_longer_than_its_distance(void **state)
{
	static const struct {
		uint64_t later;
		uint32_t nr_active;
		uint32_t flags;
		bool is_active, is_restored;
	} cases[] = {
		{0, 4, 0, true, false},
		{3, 4, 0, true, false}, /* its own eviction counts: distance 4 */
		{4, 4, 0, false, false},
		{3, 4, PG_workingset, true, true},
		{4, 4, PG_workingset, false, false},
		{UINT64_C(1) << 28, 4, 0, true, false}, /* the clock has lapped the entry */
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct page page = {.flags = PG_anon | cases[i].flags}, saved[4];
		struct world w;
		uint64_t shadow;

		world_create(&w, &cfg);
		for (uint32_t n = 0; n < cases[i].nr_active; n++) {
			struct page *active = page_of(w.sys, 200 + n);

			saved[n] = *active;
			active->flags = PG_anon | PG_active;
			w.sys->policy_ops->insert(w.sys->policy, active);
		}
		shadow = workingset_eviction(w.sys, &page);
		assert_true(shadow > 0 && shadow < UINT64_C(1) << WORKINGSET_SHADOW_BITS);
		workingset_age(w.sys, cases[i].later);
		page.flags = PG_anon;
		workingset_refault(w.sys, &page, shadow);
		assert_int_equal(page_has(&page, PG_active), cases[i].is_active);
		assert_int_equal(page_has(&page, PG_workingset), cases[i].is_restored);
		assert_int_equal(WSTAT(&w, workingset_refault_anon), 1);
		assert_int_equal(WSTAT(&w, workingset_activate_anon), cases[i].is_active);
		assert_int_equal(WSTAT(&w, workingset_restore_anon), cases[i].is_restored);
		assert_int_equal(workingset_has_refaulted(w.sys, false), cases[i].is_active);
		workingset_snapshot(w.sys);
		assert_false(workingset_has_refaulted(w.sys, false));
		for (uint32_t n = 0; n < cases[i].nr_active; n++) {
			w.sys->policy_ops->remove(w.sys->policy, page_of(w.sys, 200 + n));
			*page_of(w.sys, 200 + n) = saved[n];
		}
		world_destroy(&w);
	}
}

/* Each page that comes from swap was evicted before, and left a shadow entry. */
static void what_comes_from_swap_is_a_refault(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 800, RW);
	for (unsigned int pass = 0; pass < 2; pass++)
		for (unsigned int i = 0; i < 800; i++)
			assert_in_range(world_write(&w, i), 0, MM_FAULT_MAJOR);
	world_settle(&w);
	assert_true(WSTAT(&w, pswpin) > 400);
	assert_int_equal(WSTAT(&w, workingset_refault_anon), WSTAT(&w, pswpin));
	world_check(&w);
	world_destroy(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_refault_is_active_if_the_active_lists_are_longer_than_its_distance),
		cmocka_unit_test(what_comes_from_swap_is_a_refault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
