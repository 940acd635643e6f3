/* SPDX-License-Identifier: MIT */
/*
 * A program that has more data than RAM, for scripts/bench-swap: it fills MIB of memory with
 *pages that compress about 2.5 times, then touches pages by each of the patterns it is given,
 *and says what that took: one line of JSON a phase.
 *
 *	swap_load MIB OPS PATTERN...      fill alone, uniform-read, uniform-write, zipf-read,
 *	                                  zipf-write, seq-read
 *
 * It knows nothing of Ration. Each access is timed; what it reads is checked.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define PAGE	  4096ul
#define NOISE	  200  /* words of a page that do not compress */
#define THETA	  0.99 /* of the Zipf law, as YCSB has it */
#define BUCKETS	  32   /* a power of two: of latencies between 2^n and 2^(n+1) ns */
#define LATENCIES (64 * BUCKETS)

static uint64_t nr_pages, nr_ops, seed = 42;
static char *memory;
static uint32_t latencies[LATENCIES];
static double zeta_n, zeta_2;

static uint64_t next_random(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static double cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void note_latency(uint64_t ns)
{
	unsigned int power = 63 - (unsigned int)__builtin_clzll(ns | BUCKETS);

	latencies[power * BUCKETS + (ns >> (power - 5)) % BUCKETS]++;
}

static double percentile_us(double part)
{
	uint64_t total = 0, seen = 0;

	for (unsigned int i = 0; i < LATENCIES; i++)
		total += latencies[i];
	for (unsigned int i = 0; i < LATENCIES; i++) {
		seen += latencies[i];
		if ((double)seen >= part * (double)total)
			return ldexp(1 + (i % BUCKETS) / (double)BUCKETS, (int)(i / BUCKETS)) /
			       1e3;
	}
	return 0;
}

static void fill_page(uint64_t page)
{
	uint64_t *words = (uint64_t *)(memory + page * PAGE);

	for (unsigned int i = 0; i < NOISE; i++)
		words[i] = next_random();
	for (unsigned int i = NOISE; i < PAGE / 8; i++)
		words[i] = 0x2020202020202020 + page;
	words[PAGE / 8 - 1] = page;
}

static void zipf_init(void)
{
	for (uint64_t i = 1; i <= nr_pages; i++) {
		zeta_n += pow((double)i, -THETA);
		if (i == 2)
			zeta_2 = zeta_n;
	}
}

/* Gray et al. 1994, as in YCSB; ranks are scattered over memory. */
static uint64_t zipf_page(void)
{
	double u = (double)(next_random() >> 11) / 9007199254740992.0, uz = u * zeta_n;
	double n = (double)nr_pages;
	double eta = (1 - pow(2 / n, 1 - THETA)) / (1 - zeta_2 / zeta_n);
	uint64_t rank;

	if (uz < 1)
		rank = 0;
	else if (uz < 1 + pow(0.5, THETA))
		rank = 1;
	else
		rank = (uint64_t)(n * pow(eta * u - eta + 1, 1 / (1 - THETA)));
	return rank * 2654435761u % nr_pages;
}

static void touch(uint64_t page, bool is_write)
{
	volatile uint64_t *word = (uint64_t *)(memory + (page + 1) * PAGE - 8);
	uint64_t start = now_ns(), seen = *word;

	if (is_write)
		*word = page;
	note_latency(now_ns() - start);
	if (seen == page)
		return;
	fprintf(stderr, "swap_load: page %lu has the content of another\n",
		(unsigned long)page);
	exit(1);
}

static void run_phase(const char *name)
{
	bool is_write = strstr(name, "write") != NULL, is_zipf = strstr(name, "zipf") != NULL;
	bool is_seq = strstr(name, "seq") != NULL;
	uint64_t nr = is_seq ? nr_pages : nr_ops;

	for (uint64_t i = 0; i < nr; i++)
		touch(is_seq ? i : is_zipf ? zipf_page() : next_random() % nr_pages, is_write);
}

static void report(const char *name, uint64_t nr, uint64_t start_ns, double start_cpu)
{
	printf("{\"phase\": \"%s\", \"ops\": %lu, \"wall_s\": %.3f, \"cpu_s\": %.3f, "
	       "\"p50_us\": %.2f, \"p99_us\": %.2f}\n",
	       name, (unsigned long)nr, (double)(now_ns() - start_ns) / 1e9,
	       cpu_s() - start_cpu, percentile_us(0.5), percentile_us(0.99));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t start;
	double cpu;

	if (argc < 3) {
		fprintf(stderr, "usage: swap_load MIB OPS PATTERN...\n");
		return 2;
	}
	nr_pages = strtoull(argv[1], NULL, 0) << 8;
	nr_ops = strtoull(argv[2], NULL, 0);
	memory = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	madvise(memory, nr_pages * PAGE, MADV_NOHUGEPAGE); /* as swap knows pages */
	zipf_init();
	start = now_ns();
	cpu = cpu_s();
	for (uint64_t page = 0; page < nr_pages; page++)
		fill_page(page);
	report("fill", nr_pages, start, cpu);
	for (int i = 3; i < argc; i++) {
		memset(latencies, 0, sizeof(latencies));
		start = now_ns();
		cpu = cpu_s();
		run_phase(argv[i]);
		report(argv[i], strstr(argv[i], "seq") ? nr_pages : nr_ops, start, cpu);
	}
	return 0;
}
