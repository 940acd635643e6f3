/* SPDX-License-Identifier: MIT */
/*
 * What an object costs, here and in the C library. A pair takes an object and gives it back; a
 * row takes many and gives them back in the order in which they came; the mix replaces objects
 * of random sizes at random among a thousand; its time is for one pair of them.
 *
 * Ours has no backend: what it needs comes from the host's mmap, as the C library's does.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define ROW	  1024
#define NR_RANDOM 8192 /* a power of two */
#define ROUNDS	  15
#define NR_CASES  9
#define RATIO_OPS 200000

struct names {
	void *(*malloc)(size_t size);
	void (*free)(void *object);
};

struct work {
	const struct names *names;
	size_t size;
};

static const struct names ours = {malloc, free};
static struct names theirs;

static uint32_t random_sizes[NR_RANDOM], random_slots[NR_RANDOM];

static void pair(void *arg, uint64_t nr_ops)
{
	const struct work *work = arg;

	while (nr_ops--) {
		void *object = work->names->malloc(work->size);

		bench_use(object);
		work->names->free(object);
	}
}

static void row(void *arg, uint64_t nr_ops)
{
	const struct work *work = arg;
	static void *objects[ROW];

	for (uint64_t done = 0; done < nr_ops; done += ROW) {
		for (int i = 0; i < ROW; i++)
			objects[i] = work->names->malloc(work->size);
		bench_use(objects);
		for (int i = 0; i < ROW; i++)
			work->names->free(objects[i]);
	}
}

static void mix(void *arg, uint64_t nr_ops)
{
	const struct work *work = arg;
	static void *objects[ROW];

	for (uint64_t i = 0; i < nr_ops; i++) {
		uint32_t slot = random_slots[i % NR_RANDOM];

		work->names->free(objects[slot]);
		objects[slot] = work->names->malloc(random_sizes[i % NR_RANDOM]);
		bench_use(objects);
	}
	for (int i = 0; i < ROW; i++)
		work->names->free(objects[i]);
	memset(objects, 0, sizeof(objects));
}

static const struct {
	const char *name;
	void (*run)(void *arg, uint64_t nr_ops);
	size_t size;
} cases[NR_CASES] = {
	{"pair_16", pair, 16},	   {"pair_64", pair, 64},	   {"pair_256", pair, 256},
	{"pair_4096", pair, 4096}, {"pair_256k", pair, 256 << 10}, {"row_16", row, 16},
	{"row_64", row, 64},	   {"row_256", row, 256},	   {"mix", mix, 0},
};

/* Sizes as programs ask for them: half below 64 bytes, one in 16 of some pages. */
static void choose_at_random(void)
{
	uint64_t state = 1;

	for (int i = 0; i < NR_RANDOM; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		random_slots[i] = (uint32_t)(state >> 54);
		random_sizes[i] = 1 + (uint32_t)(state >> 33) % (16u << (state >> 30 & 7));
		if ((state >> 26 & 15) == 0)
			random_sizes[i] *= 8;
	}
}

static double time_of(unsigned int number, const struct names *names)
{
	struct work work = {names, cases[number].size};
	uint64_t start = bench_now_ns();

	cases[number].run(&work, RATIO_OPS);
	return (double)(bench_now_ns() - start);
}

/* Ours beside theirs, in turn, so that what disturbs one disturbs the other. */
static void print_ratio(unsigned int number, int as_json)
{
	double ratios[ROUNDS];
	char name[32];

	snprintf(name, sizeof(name), "malloc_vs_libc_%s", cases[number].name);
	for (int i = 0; i < ROUNDS; i++)
		ratios[i] = time_of(number, &ours) / time_of(number, &theirs);
	bench_print(&(struct bench_result){name, "ratio", ratios, ROUNDS}, as_json);
}

int main(int argc, char **argv)
{
	static struct work works[2 * NR_CASES];
	static struct bench benches[2 * NR_CASES];
	static char bench_names[2 * NR_CASES][32];
	int as_json = argc == 2 && strcmp(argv[1], "--json") == 0, ret;

	theirs.malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	theirs.free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	choose_at_random();
	for (int i = 0; i < 2 * NR_CASES; i++) {
		works[i] = (struct work){i % 2 ? &theirs : &ours, cases[i / 2].size};
		snprintf(bench_names[i], sizeof(bench_names[i]), "%s_%s",
			 i % 2 ? "libc" : "malloc", cases[i / 2].name);
		benches[i] = (struct bench){bench_names[i], cases[i / 2].run, &works[i]};
	}
	ret = bench_main(argc, argv, benches, 2 * NR_CASES);
	for (unsigned int i = 0; ret == 0 && (argc == 1 || as_json) && i < NR_CASES; i++)
		print_ratio(i, as_json);
	return ret;
}
