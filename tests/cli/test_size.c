/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "run/size.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

static void sizes_read_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{"0", 0},
		{"268435456", 256 * MIB},
		{"512B", 512},
		{"64k", 64 * KIB},
		{"64K", 64 * KIB},
		{"64KB", 64 * KIB},
		{"64KiB", 64 * KIB},
		{"256M", 256 * MIB},
		{"256mB", 256 * MIB},
		{"1.5G", GIB + GIB / 2},
		{"1.5GiB", GIB + GIB / 2},
		{"0.5T", TIB / 2},
		{"007M", 7 * MIB},
		{"1.0000000000000000000000000001G", GIB},
		{"0.333333333333333K", 341}, /* rounded down */
		{"1.5000000000000000000000000000000000000000000000000000000000000000000K",
		 1536},
		{"16777215T", 16777215 * TIB},
		{"18446744073709551615", UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct size_value value;

		if (size_parse(cases[i].text, &value) || value.is_percent ||
		    value.amount != cases[i].bytes)
			fail_msg("%s: read as %" PRIu64, cases[i].text, value.amount);
	}
}

static void percentages_are_shares(void **state)
{
	static const struct {
		const char *text;
		uint64_t whole, bytes;
	} cases[] = {
		{"25%", 4 * GIB, GIB},
		{"100%", 4 * GIB, 4 * GIB},
		{"0%", 4 * GIB, 0},
		{"12.5%", 8 * GIB, GIB},
		{"0.001%", 100000, 1},
		{"200%", GIB, 2 * GIB},
		{"18446744073709%", UINT64_MAX, UINT64_MAX}, /* too much stays too much */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct size_value value;

		assert_int_equal(size_parse(cases[i].text, &value), 0);
		assert_true(value.is_percent);
		if (size_share_of(cases[i].whole, value.amount) != cases[i].bytes)
			fail_msg("%s of %" PRIu64 " is %" PRIu64, cases[i].text, cases[i].whole,
				 size_share_of(cases[i].whole, value.amount));
	}
}

static void what_is_not_a_size_is_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{"", -EINVAL},
		{"M", -EINVAL},
		{"-1", -EINVAL},
		{"+1", -EINVAL},
		{" 1", -EINVAL},
		{"1 ", -EINVAL},
		{"1 M", -EINVAL},
		{"1e3", -EINVAL},
		{"0x10", -EINVAL},
		{"1.5", -EINVAL},
		{"1.5B", -EINVAL},
		{"1.", -EINVAL},
		{"1.G", -EINVAL},
		{".5G", -EINVAL},
		{"1,5G", -EINVAL},
		{"1..5G", -EINVAL},
		{"1.5.5G", -EINVAL},
		{"1GG", -EINVAL},
		{"1Gi", -EINVAL},
		{"1Gb", -EINVAL},
		{"1GIB", -EINVAL},
		{"1iB", -EINVAL},
		{"1P", -EINVAL},
		{"25%%", -EINVAL},
		{"25%M", -EINVAL},
		{"%", -EINVAL},
		{"inf", -EINVAL},
		{"nan", -EINVAL},
		{"1\n", -EINVAL},
		{"\xd9\xa1", -EINVAL},
		{"16777216T", -ERANGE},
		{"18446744073709551616", -ERANGE},
		{"99999999999999999999999999G", -ERANGE},
		{"99999999999999%", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct size_value value = {.amount = 42};
		int err = size_parse(cases[i].text, &value);

		if (err != cases[i].err || value.amount != 42)
			fail_msg("'%s': %d", cases[i].text, err);
	}
}

static void sizes_print_short(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *format, *suggest;
	} cases[] = {
		{0, "0 B", "0K"},
		{1023, "1023 B", "0K"},
		{4 * MIB, "4.0 MiB", "4M"},
		{GIB, "1.0 GiB", "1024M"},
		{2 * GIB - 1, "1.9 GiB", "2047M"},
		{3 * GIB + GIB / 8, "3.1 GiB", "3G"},
		{UINT64_MAX, "15.9 EiB", "16777215T"},
	};
	char text[SIZE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_string_equal(size_format(cases[i].bytes, text), cases[i].format);
		assert_string_equal(size_suggest(cases[i].bytes, text), cases[i].suggest);
	}
}

static void a_suggestion_reads_as_a_size_not_above(void **state)
{
	(void)state;
	for (unsigned int shift = 10; shift < 64; shift++) {
		uint64_t bytes = ((uint64_t)1 << shift) + ((uint64_t)1 << shift) / 3;
		char text[SIZE_TEXT_MAX];
		struct size_value value;

		assert_int_equal(size_parse(size_suggest(bytes, text), &value), 0);
		assert_true(value.amount <= bytes);
		assert_true(value.amount >= bytes - bytes / 2);
	}
}

static void only_a_last_part_that_is_a_size_is_one(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *path;
		uint64_t bytes;
	} cases[] = {
		{"swap", 0, "swap", 0},
		{"swap:1G", 0, "swap", GIB},
		{"/a/b:c:64M", 0, "/a/b:c", 64 * MIB},
		{"a:b", 0, "a:b", 0},
		{"a:", 0, "a:", 0},
		{"a:1Z", 0, "a:1Z", 0},
		{"a:-1", 0, "a:-1", 0},
		{"a:1G/b", 0, "a:1G/b", 0},
		{"64M", 0, "64M", 0},
		{"a:64M:b", 0, "a:64M:b", 0},
		{"a:1:2", 0, "a:1", 2},
		{"", -EINVAL, NULL, 0},
		{":1G", -EINVAL, NULL, 0},
		{"a:0", -EINVAL, NULL, 0},
		{"a:0.0G", -EINVAL, NULL, 0},
		{"a:25%", -EDOM, NULL, 0},
		{"a:99999999999999999999", -ERANGE, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct swap_spec spec = {.path = NULL};
		int err = swap_spec_parse(cases[i].text, &spec);

		if (err != cases[i].err)
			fail_msg("'%s': %d", cases[i].text, err);
		if (err)
			continue;
		assert_string_equal(spec.path, cases[i].path);
		assert_int_equal(spec.size_bytes, cases[i].bytes);
		free(spec.path);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(sizes_read_as_people_write_them),
	cmocka_unit_test(percentages_are_shares),
	cmocka_unit_test(what_is_not_a_size_is_refused),
	cmocka_unit_test(sizes_print_short),
	cmocka_unit_test(a_suggestion_reads_as_a_size_not_above),
	cmocka_unit_test(only_a_last_part_that_is_a_size_is_one),
};
TEST_MAIN(tests)
