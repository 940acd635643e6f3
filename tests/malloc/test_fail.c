/* SPDX-License-Identifier: MIT */
/*
 * Every call of the backend fails once, and then every Nth: no call of the arena loses a byte
 * or an invariant, and what it says is true.
 */
#include "malloc/arena.h"

#include "malloc/backend.h"
#include "malloc/model.h"
#include "support/test.h"

#define NR_STEPS 400

/* Return: how many calls the backend had. */
static uint64_t run_failing(uint64_t seed, uint64_t fail_at, uint64_t fail_every)
{
	struct test_backend backend;
	struct arena arena = ARENA_INIT(NULL, 0);
	struct model model;

	test_backend_create(&backend);
	backend.fail_at = fail_at;
	backend.fail_every = fail_every;
	assert_int_equal(arena_set_backend(&arena, &backend.ops), 0);
	/* What is freed goes back at once, so that giving back fails too. */
	arena.options.trim_threshold = 64 << 10;
	arena.options.is_fixed = true;
	model_init(&model, &arena, seed);
	model.may_fail = true;
	for (int i = 0; i < NR_STEPS; i++) {
		model_step(&model);
		assert_int_equal(arena_check(&arena), 0);
	}
	model_verify(&model);
	model_free_all(&model);
	assert_int_equal(arena_check(&arena), 0);
	test_backend_destroy(&backend);
	return backend.nr_all;
}

static void each_call_fails_once(void **state)
{
	uint64_t nr_calls = run_failing(test_seed(), 0, 0);

	(void)state;
	assert_true(nr_calls > 20);
	for (uint64_t i = 1; i <= nr_calls; i++)
		run_failing(test_seed(), i, 0);
}

static void every_nth_call_fails(void **state)
{
	(void)state;
	for (uint64_t every = 1; every <= 12; every++)
		run_failing(test_seed(), 0, every);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(each_call_fails_once),
	cmocka_unit_test(every_nth_call_fails),
};
TEST_MAIN(tests)
