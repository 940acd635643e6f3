/* SPDX-License-Identifier: MIT */
/* Free slabs go back under pressure: in batches where there are many, whole where it is tight.
 */
#include "mm/reclaim.h"
#include "mm/slab.h"
#include "support/test.h"
#include "world.h"

#define CACHES_MAX 40
#define OBJECTS	   64

/* Caches that each have free slabs, as many as they keep. Return: frames of free slabs. */
static uint64_t make_free_slabs(struct world *w, unsigned int nr_caches)
{
	static void *objects[OBJECTS];
	uint64_t frames;

	sys_lock(w->sys);
	for (unsigned int c = 0; c < nr_caches; c++) {
		struct kmem_cache *cache;

		assert_int_equal(kmem_cache_create(w->sys, "test", 2000, 8, &cache), 0);
		for (unsigned int i = 0; i < OBJECTS; i++) {
			objects[i] = kmem_cache_alloc(w->sys, cache);
			assert_non_null(objects[i]);
		}
		for (unsigned int i = 0; i < OBJECTS; i++)
			kmem_cache_free(w->sys, cache, objects[i]);
	}
	frames = slab_count_free(w->sys);
	sys_unlock(w->sys);
	return frames;
}

static uint64_t shrink(struct world *w, unsigned int priority)
{
	uint64_t freed;

	sys_lock(w->sys);
	freed = shrink_slab(w->sys, priority);
	sys_unlock(w->sys);
	world_check(w);
	return freed;
}

static void world_large(struct world *w)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	cfg.nr_frames = 8192;
	world_create(w, &cfg);
}

/* Half of many, at any priority: making a slab again costs no I/O. */
static void half_of_many(void **state)
{
	uint64_t had, freed;
	struct world w;

	(void)state;
	world_large(&w);
	had = make_free_slabs(&w, CACHES_MAX);
	assert_true(had / 2 >= 128);
	freed = shrink(&w, POLICY_PRIORITY_MAX);
	assert_in_range(freed, 128, had / 2 + 8);
	assert_int_equal(WSTAT(&w, slabs_scanned), freed / 128 * 128);
	world_destroy(&w);
}

/* A few are left alone until memory is tight; then all go, for what was put off adds up. */
static void few_go_when_it_is_tight(void **state)
{
	uint64_t had, freed = 0;
	struct world w;

	(void)state;
	world_large(&w);
	had = make_free_slabs(&w, 2);
	assert_in_range(had, 2, 127);
	for (unsigned int priority = POLICY_PRIORITY_MAX; priority > 3; priority--)
		assert_int_equal(shrink(&w, priority), 0);
	for (unsigned int priority = 3; priority-- > 0;)
		freed += shrink(&w, priority);
	assert_int_equal(freed, had);
	sys_lock(w.sys);
	assert_int_equal(slab_count_free(w.sys), 0);
	sys_unlock(w.sys);
	assert_int_equal(shrink(&w, 0), 0);
	make_free_slabs(&w, 1);
	assert_true(shrink(&w, 0) > 0); /* the last word */
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(half_of_many),
	cmocka_unit_test(few_go_when_it_is_tight),
};
TEST_MAIN(tests)
