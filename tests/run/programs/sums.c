/* SPDX-License-Identifier: MIT */
/*
 * sums PAGES THREADS ROUNDS: no write of any thread is lost.
 *
 * Threads add to words of pages that they share, in runs of neighbours and at random places, so
 * that pages leave while others write them. What all words hold together is what all threads
 * have added. Prints "done", or both sums.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS	    512 /* of a page */
#define RUN_MAX	    24	/* pages */
#define THREADS_MAX 16

static _Atomic uint64_t *memory;
static uint64_t nr_pages, nr_rounds;

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static void *add(void *arg)
{
	uint64_t *sum = arg, state = *sum;

	*sum = 0;
	for (uint64_t i = 0; i < nr_rounds; i++) {
		uint64_t page = next_random(&state) % nr_pages;
		uint64_t nr = i % 8 ? 1 : next_random(&state) % RUN_MAX;

		for (uint64_t n = 0; n < nr && page + n < nr_pages; n++) {
			uint64_t part = next_random(&state);

			atomic_fetch_add(&memory[(page + n) * WORDS + part % WORDS], part);
			*sum += part;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	uint64_t sums[THREADS_MAX], want = 0, got = 0;
	unsigned int nr_threads = argc > 3 ? (unsigned int)atoi(argv[2]) : 0;

	if (nr_threads < 1 || nr_threads > THREADS_MAX)
		return 2;
	nr_pages = strtoull(argv[1], NULL, 0);
	nr_rounds = strtoull(argv[3], NULL, 0);
	memory = aligned_alloc(4096, nr_pages * WORDS * sizeof(*memory));
	if (!memory)
		return 1;
	for (uint64_t i = 0; i < nr_pages * WORDS; i++)
		memory[i] = 0;
	for (unsigned int t = 0; t < nr_threads; t++) {
		sums[t] = t + 1;
		if (pthread_create(&threads[t], NULL, add, &sums[t]))
			return 1;
	}
	for (unsigned int t = 0; t < nr_threads; t++) {
		pthread_join(threads[t], NULL);
		want += sums[t];
	}
	for (uint64_t i = 0; i < nr_pages * WORDS; i++)
		got += memory[i];
	if (got != want)
		printf("added %lu, there is %lu\n", (unsigned long)want, (unsigned long)got);
	puts("done");
	return 0;
}
