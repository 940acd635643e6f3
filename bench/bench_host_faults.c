/* SPDX-License-Identifier: MIT */
/*
 * What a page fault costs a program under `ration run`, end to end, in microseconds: with data
 * twice and four times the RAM, page after page and at random, read and written.
 *
 * The program starts itself under ration (from RATION in the environment, or the build's own).
 * There it fills its data, so that all of it has been out once, and then touches page by page
 * and times each touch. A touch that takes a microsecond or more was a fault: one of a resident
 * page takes a fifth of that at most, and no fault is as fast.
 *
 *	--engines	each with --fault signal and with --fault thread, one after the other,
 * and the first's part of the second
 *
 * Exit status 77 where programs cannot be managed.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define RAM_MIB	    64
#define PAGE	    4096u
#define FAULT_NS    1000
#define ROUNDS	    7
#define SEQUENTIAL  0
#define RANDOM	    1
#define EXIT_SKIP   77
#define EXIT_RATION 125 /* ration itself failed */

struct work {
	const char *name;
	unsigned int times; /* data, in times of the RAM */
	int is_random, is_write;
};

static const struct work works[] = {
	{"host_fault_seq_read_2x", 2, SEQUENTIAL, 0},
	{"host_fault_seq_write_2x", 2, SEQUENTIAL, 1},
	{"host_fault_random_read_2x", 2, RANDOM, 0},
	{"host_fault_random_write_2x", 2, RANDOM, 1},
	{"host_fault_seq_read_4x", 4, SEQUENTIAL, 0},
	{"host_fault_seq_write_4x", 4, SEQUENTIAL, 1},
	{"host_fault_random_read_4x", 4, RANDOM, 0},
	{"host_fault_random_write_4x", 4, RANDOM, 1},
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* MINSTD (Park and Miller 1988) is random enough for pages. */
static uint64_t next_random(uint64_t *state)
{
	*state = *state * 48271 % 0x7fffffff;
	return *state;
}

static uint64_t touch_ns(volatile char *page, int is_write)
{
	uint64_t start = bench_now_ns();

	if (is_write)
		(*page)++;
	else
		(void)*page;
	return bench_now_ns() - start;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The median: means say more about what else the machine has to do. */
static double median_us(uint64_t *ns, uint64_t nr)
{
	qsort(ns, nr, sizeof(*ns), compare);
	return nr ? (double)ns[nr / 2] / 1000 : 0;
}

/* Prints the microseconds of a fault, a line a round. */
static int run_work(const struct work *work)
{
	uint64_t nr_pages = (uint64_t)work->times * RAM_MIB * 1024 * 1024 / PAGE, random = 1;
	char *data = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t *faults_ns = malloc(nr_pages / ROUNDS * sizeof(*faults_ns));

	if (data == MAP_FAILED || !faults_ns)
		die("memory");
	for (uint64_t i = 0; i < nr_pages; i++)
		memset(data + i * PAGE, (int)i, PAGE);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t nr_faults = 0;

		for (uint64_t i = 0; i < nr_pages / ROUNDS; i++) {
			uint64_t page = (uint64_t)round * (nr_pages / ROUNDS) + i, took;

			if (work->is_random)
				page = next_random(&random) % nr_pages;
			took = touch_ns(data + page * PAGE, work->is_write);
			if (took >= FAULT_NS)
				faults_ns[nr_faults++] = took;
		}
		printf("%.3f\n", median_us(faults_ns, nr_faults));
	}
	return 0;
}

static void find_ration(const char *exe, char *ret_path, size_t size)
{
	const char *given = getenv("RATION");
	const char *slash = strrchr(exe, '/');

	if (given)
		snprintf(ret_path, size, "%s", given);
	else
		snprintf(ret_path, size, "%.*s/../src/cli/ration", (int)(slash - exe), exe);
}

/* Return: how many values were read; -1: cannot be managed here. */
static int measure(const struct work *work, const char *engine, double *ret_values)
{
	char exe[PATH_MAX / 4] = {0}, ration[PATH_MAX / 2],
			    swap[] = "/var/tmp/ration-bench-XXXXXX";
	char command[PATH_MAX];
	int nr = 0, status;
	FILE *out;

	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		die("/proc/self/exe");
	find_ration(exe, ration, sizeof(ration));
	if (!mkdtemp(swap))
		die(swap);
	snprintf(command, sizeof(command),
		 "'%s' run --fault %s --ram %dM --swap '%s/swap' -- '%s' --work %s", ration,
		 engine, RAM_MIB, swap, exe, work->name);
	out = popen(command, "r");
	if (!out)
		die("popen");
	while (nr < ROUNDS && fscanf(out, "%lf", &ret_values[nr]) == 1)
		nr++;
	status = pclose(out);
	rmdir(swap);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_RATION)
		return -1;
	return status == 0 ? nr : 0;
}

/* Prints it as "name" or "name_engine". Return: 0, or the exit status. */
static int measure_and_print(const struct work *work, const char *engine, int as_json,
			     double *ret_median)
{
	double values[ROUNDS];
	int is_default = strcmp(engine, "auto") == 0;
	int nr = measure(work, engine, values);
	char name[64];

	if (nr < ROUNDS)
		return nr < 0 ? EXIT_SKIP : 1;
	snprintf(name, sizeof(name), "%s%s%s", work->name, is_default ? "" : "_",
		 is_default ? "" : engine);
	bench_print(&(struct bench_result){name, "us", values, ROUNDS}, as_json);
	*ret_median = values[ROUNDS / 2];
	return 0;
}

static int run_all(int as_json)
{
	double median;
	int status = 0;

	for (size_t i = 0; i < sizeof(works) / sizeof(*works) && !status; i++)
		status = measure_and_print(&works[i], "auto", as_json, &median);
	return status;
}

static int compare_engines(void)
{
	double by_signal = 0, by_thread = 0;
	int status = 0;

	for (size_t i = 0; i < sizeof(works) / sizeof(*works) && !status; i++) {
		status = measure_and_print(&works[i], "signal", 0, &by_signal);
		if (!status)
			status = measure_and_print(&works[i], "thread", 0, &by_thread);
		if (!status)
			printf("%s_signal_part %.2f\n", works[i].name, by_signal / by_thread);
	}
	return status;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--work") == 0)
		for (size_t i = 0; i < sizeof(works) / sizeof(*works); i++)
			if (strcmp(argv[2], works[i].name) == 0)
				return run_work(&works[i]);
	if (argc == 2 && strcmp(argv[1], "--engines") == 0)
		return compare_engines();
	if (argc == 1 || (argc == 2 && strcmp(argv[1], "--json") == 0))
		return run_all(argc == 2);
	fprintf(stderr, "usage: %s [--json | --engines]\n", argv[0]);
	return 2;
}
