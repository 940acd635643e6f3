/* SPDX-License-Identifier: MIT */
/*
 * Random calls; every invariant and every object's bytes after each.
 */
#include "malloc/arena.h"

#include "malloc/backend.h"
#include "malloc/model.h"
#include "support/test.h"

#define NR_STEPS 6000

static void run_steps(struct arena *arena, uint64_t seed, uint64_t size_max)
{
	struct model model;
	struct malloc_usage usage;

	model_init(&model, arena, seed);
	model.size_max = size_max;
	for (int i = 0; i < NR_STEPS; i++) {
		model_step(&model);
		assert_int_equal(arena_check(arena), 0);
		if (i % 64 == 0)
			model_verify(&model);
	}
	model_free_all(&model);
	assert_int_equal(arena_check(arena), 0);
	arena_get_usage(arena, &usage);
	assert_int_equal(usage.used, 0);
	assert_int_equal(usage.mapped, 0);
	assert_int_equal(usage.nr_allocs, usage.nr_frees);
}

static void keeps_every_byte(void **state)
{
	struct test_backend backend;
	struct arena arena = ARENA_INIT(NULL, 0);

	(void)state;
	test_backend_create(&backend);
	assert_int_equal(arena_set_backend(&arena, &backend.ops), 0);
	run_steps(&arena, test_seed(), UINT64_MAX);
	assert_int_equal(backend.brk, backend.start + arena.heap.nr_pages * PAGE_SIZE);
	test_backend_destroy(&backend);
}

static void keeps_every_byte_of_small_objects(void **state)
{
	struct test_backend backend;
	struct arena arena = ARENA_INIT(NULL, 0);

	(void)state;
	test_backend_create(&backend);
	assert_int_equal(arena_set_backend(&arena, &backend.ops), 0);
	run_steps(&arena, test_seed() + 1, 600);
	test_backend_destroy(&backend);
}

static void keeps_every_byte_without_a_break(void **state)
{
	struct test_backend backend;
	struct arena arena = ARENA_INIT(NULL, 0);

	(void)state;
	test_backend_create(&backend);
	backend.ops.sbrk = NULL;
	assert_int_equal(arena_set_backend(&arena, &backend.ops), 0);
	run_steps(&arena, test_seed() + 2, UINT64_MAX);
	test_backend_destroy(&backend);
}

/* Somebody else moves the break now and then, to odd places. */
static void keeps_every_byte_beside_another_user_of_the_break(void **state)
{
	struct test_backend backend;
	struct arena arena = ARENA_INIT(NULL, 0);
	struct rng rng = rng_make(test_seed() + 3);
	struct model model;
	unsigned char *theirs;

	(void)state;
	test_backend_create(&backend);
	test_backend_sbrk(&backend, 24);
	assert_int_equal(arena_set_backend(&arena, &backend.ops), 0);
	model_init(&model, &arena, test_seed() + 4);
	for (int i = 0; i < NR_STEPS / 2; i++) {
		model_step(&model);
		if (rng_below(&rng, 200) == 0) {
			theirs = (unsigned char *)test_backend_sbrk(
				&backend, 1 + (int64_t)rng_below(&rng, 9000));
			*theirs = 1;
		}
		assert_int_equal(arena_check(&arena), 0);
	}
	model_free_all(&model);
	assert_int_equal(arena_check(&arena), 0);
	test_backend_destroy(&backend);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(keeps_every_byte),
	cmocka_unit_test(keeps_every_byte_of_small_objects),
	cmocka_unit_test(keeps_every_byte_without_a_break),
	cmocka_unit_test(keeps_every_byte_beside_another_user_of_the_break),
};
TEST_MAIN(tests)
