/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/rng.h"

static void case_passes(void **state)
{
	(void)state;
}

static void case_fails(void **state)
{
	(void)state;
	fail();
}

static void case_is_skipped(void **state)
{
	(void)state;
	test_skip("to see it counted");
}

/* The exit status of a test binary with these cases; its output goes nowhere. */
static int status_of(const struct CMUnitTest *cases, size_t nr)
{
	pid_t pid = fork();
	int null, status;

	assert_true(pid >= 0);
	if (pid == 0) {
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		_exit(test_run(cases, nr, NULL, NULL));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void exit_status_tells_what_happened(void **state)
{
	static const struct CMUnitTest pass = cmocka_unit_test(case_passes);
	static const struct CMUnitTest fails = cmocka_unit_test(case_fails);
	static const struct CMUnitTest skips = cmocka_unit_test(case_is_skipped);
	const struct {
		struct CMUnitTest cases[2];
		int status;
	} table[] = {
		{{pass, pass}, 0},
		{{pass, fails}, 1},
		{{skips, fails}, 1},
		{{pass, skips}, 0},
		{{skips, skips}, TEST_EXIT_SKIP},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		assert_int_equal(status_of(table[i].cases, 2), table[i].status);
}

/* Steele, Lea and Flood's generator from seed 0. */
static void rng_gives_the_published_numbers(void **state)
{
	struct rng rng = rng_make(0);

	(void)state;
	assert_true(rng_next(&rng) == 0xe220a8397b1dcdafu);
	assert_true(rng_next(&rng) == 0x6e789e6aa1b965f4u);
	assert_true(rng_next(&rng) == 0x06c45d188009454fu);
}

static void rng_stays_in_its_range(void **state)
{
	struct rng rng = rng_make(1);
	unsigned int seen = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t n = rng_between(&rng, 3, 7);

		assert_in_range(n, 3, 7);
		seen |= 1u << n;
	}
	assert_int_equal(seen, 0xf8);
	assert_int_equal(rng_below(&rng, 1), 0);
	assert_true(rng_chance(&rng, 100));
	assert_false(rng_chance(&rng, 0));
}

static void seed_comes_from_the_environment(void **state)
{
	(void)state;
	setenv("RATION_TEST_SEED", "0x1234", 1);
	assert_int_equal(test_seed(), 0x1234);
	setenv("RATION_TEST_SEED", "1", 1);
	assert_int_equal(test_seed(), 0x1234);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(exit_status_tells_what_happened),
	cmocka_unit_test(rng_gives_the_published_numbers),
	cmocka_unit_test(rng_stays_in_its_range),
	cmocka_unit_test(seed_comes_from_the_environment),
};
TEST_MAIN(tests)
