/* SPDX-License-Identifier: MIT */
/*
 * What every test binary starts from: cmocka with its four headers, a main, skips that a
 * harness can see, and one seed a run.
 *
 *	static const struct CMUnitTest tests[] = {
 *		cmocka_unit_test(splits_the_upper_half_back),
 *	};
 *	TEST_MAIN(tests)
 *
 * Exit status: 0, 1 if a case failed, 77 (what Meson counts as a skip) if each case was skipped
 * by test_skip().
 */
#ifndef SUPPORT_TEST_H
#define SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The four above come first: cmocka.h does not include what it needs. */
#include <cmocka.h>

#define TEST_EXIT_SKIP 77

#define TEST_MAIN(cases) TEST_MAIN_WITH(cases, NULL, NULL)

/* With a fixture for the whole group, either may be NULL. */
#define TEST_MAIN_WITH(cases, setup, teardown)                                             \
	int main(void)                                                                     \
	{                                                                                  \
		return test_run(cases, sizeof(cases) / sizeof(*(cases)), setup, teardown); \
	}

int test_run(const struct CMUnitTest *cases, size_t nr, CMFixtureFunction setup,
	     CMFixtureFunction teardown);

/* Ends the running case as skipped. why: one line for a person, "needs userfaultfd". */
_Noreturn void test_skip(const char *why);

uint64_t test_seed(void);

#endif
