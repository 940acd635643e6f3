/* SPDX-License-Identifier: MIT */
/*
 * Two threads at once, on pages of their own.
 */
#include <pthread.h>

#include "machine/conformance_world.h"

/* One of the threads that work on pages of their own at the same time. */
struct worker {
	struct world w;
	uint64_t page;
	pfn_t pfn;
	const char *failure; /* cmocka's assertions are for the main thread */
	pthread_t thread;
};

#define WORKER_PAGES  8
#define WORKER_ROUNDS 100

static bool worker_change(struct worker *k, pte_t old_bits, pte_t new_bits)
{
	struct machine_change changes[WORKER_PAGES];
	struct machine_batch batch = {.changes = changes, .nr = WORKER_PAGES};

	for (pfn_t i = 0; i < WORKER_PAGES; i++)
		changes[i] = (struct machine_change){
			.va = world_va(&k->w, k->page + i),
			.old_pte = old_bits ? pte_make(k->pfn + i, old_bits) : 0,
			.new_pte = new_bits ? pte_make(k->pfn + i, new_bits) : 0};
	return k->w.m->ops->apply(k->w.m, k->w.space, &batch) == 0 &&
	       batch.nr_done == WORKER_PAGES;
}

static void worker_fault(void *arg, vaddr_t va, unsigned int access)
{
	(void)va;
	(void)access;
	((struct worker *)arg)->failure = "a page faults that is translated";
}

static void worker_store(struct worker *k, uint64_t page, uint64_t seed)
{
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];
	const struct conformance_access a = {
		.m = k->w.m,
		.space = k->w.space,
		.va = world_va(&k->w, page),
		.store = buf,
		.size = PAGE_SIZE,
		.on_fault = worker_fault,
		.arg = k,
	};

	world_fill(buf, seed);
	k->w.env->access(k->w.env, &a);
}

static void *worker_run(void *arg)
{
	struct worker *k = arg;

	for (uint64_t round = 0; round < WORKER_ROUNDS && !k->failure; round++) {
		if (!worker_change(k, 0, PTE_RW))
			k->failure = "map";
		for (uint64_t i = 0; i < WORKER_PAGES && !k->failure; i++)
			worker_store(k, k->page + i, k->page + round + i);
		if (!k->failure && !worker_change(k, PTE_RW, PTE_RO))
			k->failure = "protect";
		if (!k->failure && !worker_change(k, PTE_RO, 0))
			k->failure = "unmap";
		for (pfn_t i = 0; i < WORKER_PAGES && !k->failure; i++)
			if (!world_is_filled(world_frame(&k->w, k->pfn + i),
					     k->page + round + i))
				k->failure = "content";
	}
	return NULL;
}

void threads_work_on_different_pages(void **state)
{
	struct worker workers[2];

	for (uint64_t i = 0; i < 2; i++) {
		workers[i] = (struct worker){
			.w = *(struct world *)*state, .page = 8 * i, .pfn = (pfn_t)(100 * i)};
		assert_int_equal(
			pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].failure)
			fail_msg("thread %d: %s", i, workers[i].failure);
	}
}
