/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS	  15
#define ROUND_NS  4000000 /* long beside the clock's own 20 ns, short beside a time slice */
#define OPS_FIRST 16
#define OPS_MAX	  ((uint64_t)1 << 40)

struct options {
	bool as_json;
	const char *only;
	uint64_t nr_ops; /* 0: measure */
};

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void bench_print(const struct bench_result *result, int as_json)
{
	double median;

	qsort(result->values, result->nr, sizeof(double), compare);
	median = result->values[result->nr / 2];
	if (as_json)
		printf("{\"name\": \"%s\", \"unit\": \"%s\", \"median\": %.2f, \"min\": %.2f, "
		       "\"rounds\": %zu}\n",
		       result->name, result->unit, median, result->values[0], result->nr);
	else
		printf("%s %.2f\n", result->name, median);
}

static uint64_t time_round(const struct bench *bench, uint64_t nr_ops)
{
	uint64_t start = bench_now_ns();

	bench->run(bench->arg, nr_ops);
	return bench_now_ns() - start;
}

/* So many operations that a round takes about ROUND_NS. Warms caches up, too. */
static uint64_t calibrate(const struct bench *bench)
{
	uint64_t nr_ops = OPS_FIRST;

	while (nr_ops < OPS_MAX) {
		if (time_round(bench, nr_ops) >= ROUND_NS)
			break;
		nr_ops *= 2;
	}
	return nr_ops;
}

static void measure(const struct bench *bench, const struct options *options)
{
	double values[ROUNDS];
	uint64_t nr_ops;

	if (bench->setup)
		bench->setup(bench->arg);
	if (options->nr_ops) {
		bench->run(bench->arg, options->nr_ops);
		return;
	}
	nr_ops = calibrate(bench);
	for (int i = 0; i < ROUNDS; i++)
		values[i] = (double)time_round(bench, nr_ops) / (double)nr_ops;
	bench_print(&(struct bench_result){bench->name, "ns", values, ROUNDS},
		    options->as_json);
}

static bool parse(int argc, char **argv, struct options *ret_options)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			ret_options->as_json = true;
		else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
			ret_options->only = argv[++i];
		else if (strcmp(argv[i], "--ops") == 0 && i + 1 < argc)
			ret_options->nr_ops = strtoull(argv[++i], NULL, 10);
		else
			return false;
	}
	return true;
}

int bench_main(int argc, char **argv, const struct bench *benches, size_t nr)
{
	struct options options = {0};

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: %s [--json] [--only NAME] [--ops N]\n", argv[0]);
		return 2;
	}
	for (size_t i = 0; i < nr; i++)
		if (!options.only || strcmp(options.only, benches[i].name) == 0)
			measure(&benches[i], &options);
	return 0;
}
