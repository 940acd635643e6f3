/* SPDX-License-Identifier: MIT */
/*
 * A program that has more data than RAM, for scripts/bench-swap: it fills MIB of memory with
 * pages that compress about 2.5 times, then touches pages by each of the patterns it is given,
 * and says what that took: one line of JSON a phase.
 *
 *	swap_load MIB OPS THREADS PATTERN...      fill alone, uniform-read, uniform-write,
 *	                                          zipf-read, zipf-write, seq-read
 *
 * Each thread has its own part of the memory and of the accesses, so the work is the same with
 * one thread and with many. It knows nothing of Ration. Each access is timed; what it reads is
 * checked.
 */
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define PAGE	    4096ul
#define NOISE	    200	 /* words of a page that do not compress */
#define THETA	    0.99 /* of the Zipf law, as YCSB has it */
#define BUCKETS	    32	 /* a power of two: of latencies between 2^n and 2^(n+1) ns */
#define LATENCIES   (64 * BUCKETS)
#define THREADS_MAX 16

struct worker {
	pthread_t thread;
	const char *pattern;	   /* NULL: fill */
	uint64_t first_page, seed; /* of its part of nr_pages, nr_ops */
	uint32_t latencies[LATENCIES];
};

static struct worker workers[THREADS_MAX];
static unsigned int nr_workers;
static uint64_t nr_pages, nr_ops; /* of one worker */
static char *memory;
static double zeta_n, zeta_2;

static uint64_t next_random(struct worker *w)
{
	uint64_t z = w->seed += 0x9e3779b97f4a7c15;

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

static void note_latency(struct worker *w, uint64_t ns)
{
	unsigned int power = 63 - (unsigned int)__builtin_clzll(ns | BUCKETS);

	w->latencies[power * BUCKETS + (ns >> (power - 5)) % BUCKETS]++;
}

static uint64_t nr_of_latency(unsigned int i)
{
	uint64_t nr = 0;

	for (unsigned int t = 0; t < nr_workers; t++)
		nr += workers[t].latencies[i];
	return nr;
}

static double percentile_us(double part)
{
	uint64_t total = 0, seen = 0;

	for (unsigned int i = 0; i < LATENCIES; i++)
		total += nr_of_latency(i);
	for (unsigned int i = 0; i < LATENCIES; i++) {
		seen += nr_of_latency(i);
		if ((double)seen >= part * (double)total)
			return ldexp(1 + (i % BUCKETS) / (double)BUCKETS, (int)(i / BUCKETS)) /
			       1e3;
	}
	return 0;
}

static void fill_page(struct worker *w, uint64_t page)
{
	uint64_t *words = (uint64_t *)(memory + page * PAGE);

	for (unsigned int i = 0; i < NOISE; i++)
		words[i] = next_random(w);
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
static uint64_t zipf_page(struct worker *w)
{
	double u = (double)(next_random(w) >> 11) / 9007199254740992.0, uz = u * zeta_n;
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

static void touch(struct worker *w, uint64_t page, bool is_write)
{
	volatile uint64_t *word = (uint64_t *)(memory + (page + 1) * PAGE - 8);
	uint64_t start = now_ns(), seen = *word;

	if (is_write)
		*word = page;
	note_latency(w, now_ns() - start);
	if (seen == page)
		return;
	fprintf(stderr, "swap_load: page %#lx reads as %#lx, then as %#lx\n",
		(unsigned long)page, (unsigned long)seen, (unsigned long)*word);
	exit(1);
}

static void touch_pages(struct worker *w)
{
	const char *name = w->pattern;
	bool is_write = strstr(name, "write") != NULL, is_zipf = strstr(name, "zipf") != NULL;
	bool is_seq = strstr(name, "seq") != NULL;
	uint64_t nr = is_seq ? nr_pages : nr_ops;

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t page = is_seq ? i : is_zipf ? zipf_page(w) : next_random(w) % nr_pages;

		touch(w, w->first_page + page, is_write);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	memset(w->latencies, 0, sizeof(w->latencies));
	if (w->pattern)
		touch_pages(w);
	for (uint64_t page = 0; page < nr_pages && !w->pattern; page++)
		fill_page(w, w->first_page + page);
	return NULL;
}

/* The first worker is the program's first thread: with one there is no other. */
static void work_all(const char *pattern)
{
	for (unsigned int t = 0; t < nr_workers; t++)
		workers[t].pattern = pattern;
	for (unsigned int t = 1; t < nr_workers; t++)
		if (pthread_create(&workers[t].thread, NULL, work, &workers[t])) {
			fprintf(stderr, "swap_load: no thread to be had\n");
			exit(1);
		}
	work(&workers[0]);
	for (unsigned int t = 1; t < nr_workers; t++)
		pthread_join(workers[t].thread, NULL);
}

static void run_phase(const char *pattern)
{
	bool is_random = pattern && !strstr(pattern, "seq");
	uint64_t start = now_ns();
	double cpu = cpu_s();

	work_all(pattern);
	printf("{\"phase\": \"%s\", \"ops\": %lu, \"wall_s\": %.3f, \"cpu_s\": %.3f, "
	       "\"p50_us\": %.2f, \"p99_us\": %.2f}\n",
	       pattern ? pattern : "fill",
	       (unsigned long)((is_random ? nr_ops : nr_pages) * nr_workers),
	       (double)(now_ns() - start) / 1e9, cpu_s() - cpu, percentile_us(0.5),
	       percentile_us(0.99));
	fflush(stdout);
}

/* Return: false: not a number of threads. */
static bool share_out(uint64_t mib, uint64_t ops, uint64_t threads)
{
	if (threads < 1 || threads > THREADS_MAX)
		return false;
	nr_workers = (unsigned int)threads;
	nr_pages = (mib << 8) / threads;
	nr_ops = ops / threads;
	for (unsigned int t = 0; t < nr_workers; t++) {
		workers[t].first_page = t * nr_pages;
		workers[t].seed = 42 + ((uint64_t)t << 32);
	}
	return true;
}

int main(int argc, char **argv)
{
	uint64_t len;

	if (argc < 4 || !share_out(strtoull(argv[1], NULL, 0), strtoull(argv[2], NULL, 0),
				   strtoull(argv[3], NULL, 0))) {
		fprintf(stderr, "usage: swap_load MIB OPS THREADS PATTERN...\n");
		return 2;
	}
	len = nr_workers * nr_pages * PAGE;
	memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	madvise(memory, len, MADV_NOHUGEPAGE); /* as swap knows pages */
	zipf_init();
	run_phase(NULL);
	for (int i = 4; i < argc; i++)
		run_phase(argv[i]);
	return 0;
}
