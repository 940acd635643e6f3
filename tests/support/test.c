/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static size_t nr_skipped;

/**
 * test_run() - run a group of cases, as main() does.
 * @cases: @nr of them.
 * @setup: runs once before the first, or NULL.
 * @teardown: runs once after the last, or NULL.
 *
 * Return: the exit status: 0, 1, or TEST_EXIT_SKIP where every case was skipped.
 */
int test_run(const struct CMUnitTest *cases, size_t nr, CMFixtureFunction setup,
	     CMFixtureFunction teardown)
{
	int nr_failed;

	nr_skipped = 0;
	nr_failed = _cmocka_run_group_tests(program_invocation_short_name, cases, nr, setup,
					    teardown);
	if (nr_failed)
		return EXIT_FAILURE;
	return nr && nr_skipped == nr ? TEST_EXIT_SKIP : EXIT_SUCCESS;
}

_Noreturn void test_skip(const char *why)
{
	nr_skipped++;
	print_message("skipped: %s\n", why);
	skip();
	abort(); /* skip() has jumped away; cmocka does not declare it so */
}

/**
 * test_seed() - the seed of this run.
 *
 * From RATION_TEST_SEED (decimal, or hexadecimal with 0x) if it is set, otherwise a new one for
 * each run; printed when it is first asked for, so that a failure can be had again.
 *
 * Return: the same number at each call.
 * Context: one thread.
 */
uint64_t test_seed(void)
{
	static uint64_t seed;
	static bool is_known;
	const char *given = getenv("RATION_TEST_SEED");
	struct timespec now;

	if (is_known)
		return seed;
	is_known = true;
	if (given && *given) {
		seed = strtoull(given, NULL, 0);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		seed = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
		seed ^= (uint64_t)getpid() << 40;
	}
	printf("seed: RATION_TEST_SEED=0x%" PRIx64 "\n", seed);
	fflush(stdout);
	return seed;
}
