/* SPDX-License-Identifier: MIT */
/*
 * Measuring short operations: how long one takes, in the median of several rounds.
 *
 * A program lists what it measures and calls bench_main(). It prints a line "name ns_per_op"
 * for each, and takes
 *	--json		one object a line instead: {"name", "unit", "median", "min", "rounds"}
 *	--only NAME	just this one
 *	--ops N		one round of N operations, for counting instructions (callgrind)
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

struct bench {
	const char *name;
	void (*run)(void *arg, uint64_t nr_ops); /* does nr_ops operations */
	void *arg;
	void (*setup)(void *arg); /* or NULL: before the first run, if it is measured at all */
};

/* Return: main()'s: 0, or 2 if the arguments are wrong. */
int bench_main(int argc, char **argv, const struct bench *benches, size_t nr);

/* For values that come from elsewhere, in the same form. values: nr of them, sorted by this. */
struct bench_result {
	const char *name, *unit;
	double *values;
	size_t nr;
};

void bench_print(const struct bench_result *result, int as_json);

uint64_t bench_now_ns(void);

/* The compiler must assume that p is read, and all memory written. */
static inline void bench_use(void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

#endif
