/* SPDX-License-Identifier: MIT */
/*
 * Patterns: how many accesses, to which pages, and how often.
 */
#include "support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ration/types.h"
#include "sim/pattern.h"
#include "sim/zipf.h"

#define CHUNK 1000 /* no divisor of the totals */

static struct pattern *make(const char *text, uint64_t seed)
{
	struct pattern_spec spec;
	struct sim_error error;
	struct pattern *p;

	assert_int_equal(pattern_parse(text, seed, &spec, &error), 0);
	assert_int_equal(pattern_create(&spec, &p), 0);
	return p;
}

/* All of its accesses. Return: how many; to be freed. */
static uint64_t take(const char *text, uint64_t seed, struct trace_access **ret_accesses)
{
	struct pattern *p = make(text, seed);
	uint64_t total = pattern_total(p), at = 0;
	unsigned int nr;

	*ret_accesses = calloc(total, sizeof(**ret_accesses));
	assert_non_null(*ret_accesses);
	while ((nr = pattern_next(p, *ret_accesses + at, CHUNK)) > 0)
		at += nr;
	assert_int_equal(at, total);
	pattern_destroy(p);
	return total;
}

static uint64_t page_of_access(const struct trace_access *access)
{
	assert_int_equal(access->size, 8);
	assert_int_equal(access->va % PAGE_SIZE, 0);
	return (access->va - PATTERN_BASE) / PAGE_SIZE;
}

static void sequential_goes_round(void **state)
{
	struct trace_access *accesses;
	uint64_t nr = take("sequential,pages=700,passes=3,writes=0", 1, &accesses);

	(void)state;
	assert_int_equal(nr, 2100);
	for (uint64_t i = 0; i < nr; i++) {
		assert_int_equal(page_of_access(&accesses[i]), i % 700);
		assert_int_equal(accesses[i].op, TRACE_READ);
		assert_int_equal(accesses[i].pid, 1);
	}
	free(accesses);
}

static void scan_goes_on_between_touches(void **state)
{
	struct trace_access *accesses;
	uint64_t nr = take("scan-hot,pages=50,passes=2,hot=10,touches=3", 1, &accesses);

	(void)state;
	assert_int_equal(nr, 50 * 2 * 4);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t page = page_of_access(&accesses[i]);

		if (i % 4 == 0)
			assert_int_equal(page, 10 + i / 4 % 50);
		else
			assert_true(page < 10);
	}
	free(accesses);
}

static void processes_take_turns(void **state)
{
	struct trace_access *accesses;
	uint64_t nr =
		take("processes,processes=3,quantum=7,pages=5,accesses=100", 1, &accesses);

	(void)state;
	for (uint64_t i = 0; i < nr; i++) {
		assert_int_equal(accesses[i].pid, 1 + i / 7 % 3);
		assert_true(page_of_access(&accesses[i]) < 5);
	}
	free(accesses);
}

/* Within five standard deviations of what the law says, for each page. */
static void zipf_follows_its_law(void **state)
{
	enum { PAGES = 100, DRAWS = 200000 };
	static const struct zipf_spec spec = {.nr_ranks = PAGES, .s = 1, .stride = 1};
	uint64_t random = 42, counts[PAGES] = {0};
	struct zipf *zipf;
	double sum = 0;

	(void)state;
	assert_int_equal(zipf_create(&spec, &zipf), 0);
	for (int i = 0; i < DRAWS; i++)
		counts[zipf_draw(zipf, &random)]++;
	for (int k = 1; k <= PAGES; k++)
		sum += 1.0 / k;
	for (int k = 1; k <= PAGES; k++) {
		double want = DRAWS / (k * sum), off = (double)counts[k - 1] - want;

		assert_true(off * off < 25 * want);
	}
	zipf_destroy(zipf);
}

/* A stride moves items; it neither loses one nor draws one for another. */
static void zipf_scatters_without_loss(void **state)
{
	static const struct zipf_spec plain = {.nr_ranks = 101, .s = 0.7, .stride = 1};
	static const struct zipf_spec moved = {.nr_ranks = 101, .s = 0.7, .stride = 63};
	uint64_t counts[2][101] = {{0}}, random[2] = {7, 7};
	struct zipf *zipf[2];

	(void)state;
	assert_int_equal(zipf_create(&plain, &zipf[0]), 0);
	assert_int_equal(zipf_create(&moved, &zipf[1]), 0);
	for (int i = 0; i < 400000; i++)
		for (int j = 0; j < 2; j++)
			counts[j][zipf_draw(zipf[j], &random[j])]++;
	for (uint32_t k = 0; k < 101; k++) {
		double a = (double)counts[0][k], b = (double)counts[1][k * 63 % 101];

		assert_true((a - b) * (a - b) < 50 * a);
	}
	zipf_destroy(zipf[0]);
	zipf_destroy(zipf[1]);
}

static void writes_are_as_many_as_asked(void **state)
{
	struct trace_access *accesses;
	uint64_t nr = take("uniform,pages=10,accesses=100000,writes=25", 3, &accesses);
	uint64_t writes = 0, pages[10] = {0};

	(void)state;
	for (uint64_t i = 0; i < nr; i++) {
		writes += accesses[i].op == TRACE_WRITE;
		pages[page_of_access(&accesses[i])]++;
	}
	assert_in_range(writes, 24300, 25700);
	for (int i = 0; i < 10; i++)
		assert_in_range(pages[i], 9500, 10500);
	free(accesses);
}

struct mix_counts {
	uint64_t memory, mapped, calls, streamed, mapped_writes, call_writes;
};

static void count_mix(const struct trace_access *a, uint64_t *stream, struct mix_counts *counts)
{
	if (!a->file) {
		assert_true(page_of_access(a) < 40);
		counts->memory++;
		return;
	}
	assert_int_equal(a->file, 1);
	assert_true(a->va / PAGE_SIZE < 50 && a->va % PAGE_SIZE == 0);
	if (a->op <= TRACE_WRITE) {
		assert_int_equal(a->size, 8);
		counts->mapped++;
		counts->mapped_writes += a->op == TRACE_WRITE;
		return;
	}
	assert_int_equal(a->size, PAGE_SIZE);
	counts->calls++;
	counts->call_writes += a->op == TRACE_PWRITE;
	if (a->va / PAGE_SIZE == *stream % 50) {
		counts->streamed++;
		++*stream;
	}
}

/* Shares within five standard deviations. Who is not streamed may hit the next page by chance.
 */
static void mix_keeps_its_shares(void **state)
{
	struct mix_counts counts = {0};
	struct trace_access *accesses;
	uint64_t stream = 0;
	uint64_t nr = take("mix,pages=40,file=50,accesses=100000,mapped=20,calls=30,s=0,"
			   "streamed=100,file-writes=10,processes=2,quantum=10",
			   1, &accesses);

	(void)state;
	for (uint64_t i = 0; i < nr; i++) {
		assert_int_equal(accesses[i].pid, 1 + i / 10 % 2);
		count_mix(&accesses[i], &stream, &counts);
	}
	assert_in_range(counts.memory, 49200, 50800);
	assert_in_range(counts.mapped, 19300, 20700);
	assert_int_equal(counts.streamed, counts.calls);
	assert_in_range(counts.mapped_writes, counts.mapped / 10 - 220,
			counts.mapped / 10 + 220);
	assert_in_range(counts.call_writes, counts.calls / 10 - 280, counts.calls / 10 + 280);
	free(accesses);
}

static void a_seed_says_it_all(void **state)
{
	struct trace_access *a, *b, *c;
	uint64_t nr = take("zipf,pages=999,accesses=5000", 5, &a);

	(void)state;
	assert_int_equal(take("zipf,pages=999,accesses=5000,seed=5", 6, &b), nr);
	assert_int_equal(take("zipf,pages=999,accesses=5000", 6, &c), nr);
	assert_memory_equal(a, b, nr * sizeof(*a));
	assert_memory_not_equal(a, c, nr * sizeof(*a));
	free(a);
	free(b);
	free(c);
}

static void refuses_what_it_does_not_know(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "no such pattern"},
		{"zip", "no such pattern"},
		{"zipff", "no such pattern"},
		{"zipf,", "wants parameter=value"},
		{"zipf,pages", "wants parameter=value"},
		{"zipf,=4", "no such parameter"},
		{"zipf,passes=4", "no such parameter"},
		{"zipf,pages=", "wants a number"},
		{"zipf,pages=4x", "wants a number"},
		{"zipf,pages=-4", "wants a number"},
		{"zipf,pages=4.5", "wants a number"},
		{"zipf,pages=0", "wants a number from 1"},
		{"zipf,pages=16777217", "16777216 at most"},
		{"zipf,pages=18446744073709551616", "wants a number"},
		{"zipf,s=4.000001", "wants a number from 0 to 4"},
		{"zipf,s=1.0000001", "wants a number from 0 to 4"},
		{"zipf,s=.", "wants a number"},
		{"zipf,s=1.2.3", "wants a number"},
		{"zipf,writes=101", "from 0 to 100"},
		{"uniform,s=1", "no such parameter"},
		{"zipf,file=1", "no such parameter"},
		{"mix,file=16777217", "from 1 to 16777216"},
		{"mix,pages=16777217", "16777216 at most"},
		{"mix,mapped=51,calls=50", "together at most 100"},
		{"mix,streamed=101", "from 0 to 100"},
	};
	struct pattern_spec spec;
	struct sim_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(pattern_parse(cases[i].text, 1, &spec, &error), -EINVAL);
		assert_non_null(strstr(error.why, cases[i].why));
	}
	assert_int_equal(
		pattern_parse("zipf,s=0.5,seed=18446744073709551615", 1, &spec, &error), 0);
	assert_int_equal(spec.values[PATTERN_S], 500000);
	assert_int_equal(spec.values[PATTERN_SEED], UINT64_MAX);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(sequential_goes_round),
	cmocka_unit_test(scan_goes_on_between_touches),
	cmocka_unit_test(processes_take_turns),
	cmocka_unit_test(zipf_follows_its_law),
	cmocka_unit_test(zipf_scatters_without_loss),
	cmocka_unit_test(writes_are_as_many_as_asked),
	cmocka_unit_test(mix_keeps_its_shares),
	cmocka_unit_test(a_seed_says_it_all),
	cmocka_unit_test(refuses_what_it_does_not_know),
};
TEST_MAIN(tests)
