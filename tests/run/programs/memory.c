/* SPDX-License-Identifier: MIT */
/*
 * memory MIB THREADS: fills memory, reads it again in another order, changes a part, and checks
 * every byte of what it finds. Each thread has its share, half of it from mmap, half in objects
 * of 16 bytes to 64 KiB from malloc. Prints one sum, the same on each run.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "support/rng.h"

#define THREADS_MAX 64
#define OBJECTS_MAX 65536

struct object {
	uint64_t *words;
	size_t nr;
	uint64_t tag;
};

struct worker {
	pthread_t thread;
	uint64_t seed;
	size_t bytes;
	uint64_t sum;
};

static void fill(struct object *o, uint64_t tag)
{
	o->tag = tag;
	for (size_t i = 0; i < o->nr; i++)
		o->words[i] = tag * 0x9e3779b97f4a7c15u + i;
}

static void verify(const struct object *o)
{
	for (size_t i = 0; i < o->nr; i++) {
		if (o->words[i] != o->tag * 0x9e3779b97f4a7c15u + i) {
			printf("wrong: object %p word %zu is %lx\n", (void *)o->words, i,
			       o->words[i]);
			abort();
		}
	}
}

static struct object object_make(struct rng *rng, bool is_mapped)
{
	size_t bytes = is_mapped ? 4096 * rng_between(rng, 1, 64) : rng_between(rng, 16, 65536);
	struct object o = {.nr = bytes / 8};

	if (is_mapped)
		o.words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	else
		o.words = malloc(bytes);
	if (!o.words || o.words == MAP_FAILED) {
		perror("memory");
		exit(1);
	}
	return o;
}

static void object_free(struct object *o, bool is_mapped)
{
	verify(o);
	if (is_mapped)
		munmap(o->words, o->nr * 8);
	else
		free(o->words);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct rng rng = rng_make(w->seed);
	struct object *objects = calloc(OBJECTS_MAX, sizeof(*objects));
	size_t nr = 0, bytes = 0;

	for (; nr < OBJECTS_MAX && bytes < w->bytes; nr++) {
		objects[nr] = object_make(&rng, nr % 2);
		fill(&objects[nr], rng_next(&rng));
		bytes += objects[nr].nr * 8;
	}
	for (size_t i = 0; i < nr; i++) {
		size_t at = rng_below(&rng, nr);

		verify(&objects[at]);
		if (rng_chance(&rng, 30))
			fill(&objects[at], rng_next(&rng));
		if (rng_chance(&rng, 10)) {
			object_free(&objects[at], at % 2);
			objects[at] = object_make(&rng, at % 2);
			fill(&objects[at], rng_next(&rng));
		}
	}
	for (size_t i = 0; i < nr; i++) {
		w->sum = w->sum * 31 + objects[i].tag;
		object_free(&objects[i], i % 2);
	}
	free(objects);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 0) : 16;
	size_t nr = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	uint64_t sum = 0;

	for (size_t i = 0; i < nr; i++) {
		workers[i].seed = 1000 + i;
		workers[i].bytes = (mib << 20) / nr;
		if (nr == 1)
			work(&workers[i]);
		else if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	}
	for (size_t i = 0; i < nr; i++) {
		if (nr > 1)
			pthread_join(workers[i].thread, NULL);
		sum ^= workers[i].sum;
	}
	printf("%016lx\n", sum);
	return 0;
}
