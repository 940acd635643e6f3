/* SPDX-License-Identifier: MIT */
/*
 * Two threads change one address space and use it, each its own half, while a third reclaims;
 * not all of it fits in memory. Each thread checks what it reads. For
 * ThreadSanitizer.
 */
#include "support/test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "machine/soft.h"
#include "mm/system.h"
#include "policy/two_lists.h"
#include "support/rng.h"
#include "swapdev/mem.h"

#define BASE	0x200000000000ul
#define HALF	1024 /* pages */
#define FRAMES	320
#define SLOTS	4096
#define STEPS	4000
#define THREADS 2

#define FIXED (MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED)
#define RW    (MM_PROT_READ | MM_PROT_WRITE)

struct page_model {
	bool is_mapped;
	int prot;
	uint64_t stamp;
};

struct worker {
	struct mm *mm;
	vaddr_t start;
	struct rng rng;
	struct page_model pages[HALF];
	unsigned int nr_wrong;
};

struct range {
	unsigned int first, nr; /* pages */
};

static struct mm_system *sys;
static bool is_stopped;

static struct range random_range(struct worker *w)
{
	struct range r = {.nr = (unsigned int)rng_between(&w->rng, 1, 24)};

	r.first = (unsigned int)rng_below(&w->rng, HALF - r.nr + 1);
	return r;
}

static vaddr_t va(const struct worker *w, unsigned int page)
{
	return w->start + page * PAGE_SIZE;
}

/* The call, until it ends; then its answer must be the expected one. */
#define CALL(w, expected, call)                      \
	do {                                         \
		int err_;                            \
                                                     \
		while ((err_ = (call)) == -EAGAIN)   \
			sched_yield();               \
		(w)->nr_wrong += err_ != (expected); \
	} while (0)

static void do_map(struct worker *w, struct range r)
{
	int prot = rng_chance(&w->rng, 80) ? RW : MM_PROT_READ;
	vaddr_t addr;

	CALL(w, 0, mm_map(w->mm, va(w, r.first), r.nr * PAGE_SIZE, prot, FIXED, &addr));
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		w->pages[i] = (struct page_model){true, prot, 0};
}

static void do_unmap(struct worker *w, struct range r)
{
	CALL(w, 0, mm_unmap(w->mm, va(w, r.first), r.nr * PAGE_SIZE));
	memset(&w->pages[r.first], 0, r.nr * sizeof(w->pages[0]));
}

static void do_protect(struct worker *w, struct range r)
{
	int prot = rng_chance(&w->rng, 50) ? RW : MM_PROT_READ, expected = 0;

	for (unsigned int i = r.first; i < r.first + r.nr && !expected; i++) {
		if (w->pages[i].is_mapped)
			w->pages[i].prot = prot;
		else
			expected = -ENOMEM;
	}
	CALL(w, expected, mm_protect(w->mm, va(w, r.first), r.nr * PAGE_SIZE, prot));
}

static void do_dontneed(struct worker *w, struct range r)
{
	int expected = 0;

	for (unsigned int i = r.first; i < r.first + r.nr; i++) {
		w->pages[i].stamp = 0;
		if (!w->pages[i].is_mapped)
			expected = -ENOMEM;
	}
	CALL(w, expected, mm_advise(w->mm, va(w, r.first), r.nr * PAGE_SIZE, MM_MADV_DONTNEED));
}

/* A page at a time: whatever area it lies in. */
static void do_remap(struct worker *w, struct range r)
{
	unsigned int to = (unsigned int)rng_below(&w->rng, HALF);
	vaddr_t addr;

	if (to == r.first || !w->pages[r.first].is_mapped)
		return;
	CALL(w, 0,
	     mm_remap(w->mm, va(w, r.first), PAGE_SIZE, PAGE_SIZE,
		      MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, va(w, to), &addr));
	w->pages[to] = w->pages[r.first];
	w->pages[r.first] = (struct page_model){0};
}

/* False: SEGV. */
static bool access_page(struct worker *w, vaddr_t addr, uint64_t *value, bool is_write)
{
	struct machine_soft_fault fault;

	for (;;) {
		enum mm_fault_result result;
		int err = is_write ? machine_soft_store(w->mm->space, addr, value, 8, &fault)
				   : machine_soft_load(w->mm->space, addr, value, 8, &fault);

		if (!err)
			return true;
		result = mm_fault(w->mm, addr, is_write ? MM_ACCESS_WRITE : MM_ACCESS_READ);
		if (result == MM_FAULT_SEGV)
			return false;
		w->nr_wrong += result > MM_FAULT_RETRY;
		if (result > MM_FAULT_RETRY)
			return false;
		if (result == MM_FAULT_RETRY)
			sched_yield();
	}
}

static void do_access(struct worker *w, struct range r)
{
	for (unsigned int i = r.first; i < r.first + r.nr; i++) {
		struct page_model *m = &w->pages[i];
		bool is_write = rng_chance(&w->rng, 60), was_let;
		uint64_t value = rng_next(&w->rng);

		was_let = access_page(w, va(w, i), &value, is_write);
		w->nr_wrong += was_let != (m->is_mapped && (!is_write || m->prot == RW));
		if (was_let && is_write)
			m->stamp = value;
		else if (was_let)
			w->nr_wrong += value != m->stamp;
	}
}

static void *work(void *arg)
{
	static void (*const ops[])(struct worker * w, struct range r) = {
		do_map,	   do_map,    do_unmap,	 do_protect, do_dontneed, do_remap,  do_remap,
		do_access, do_access, do_access, do_access,  do_access,	  do_access, do_access,
	};
	struct worker *w = arg;

	for (int step = 0; step < STEPS; step++)
		ops[rng_below(&w->rng, sizeof(ops) / sizeof(ops[0]))](w, random_range(w));
	return NULL;
}

static void *reclaim(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&is_stopped, __ATOMIC_RELAXED)) {
		mm_step(sys, 0, 64);
		sched_yield();
	}
	return NULL;
}

static void halves_do_not_disturb_each_other(void **state)
{
	static struct worker workers[THREADS];
	const struct machine_soft_config soft = {.nr_frames = FRAMES};
	const struct swapdev_mem_config mem = {.nr_slots = SLOTS, .mode = SWAPDEV_MEM_RANDOM};
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	pthread_t threads[THREADS], kswapd;
	struct swapdev *dev;
	struct mm *mm;

	(void)state;
	assert_int_equal(machine_soft_create(&soft, &cfg.machine), 0);
	assert_int_equal(swapdev_mem_create(&mem, &dev), 0);
	cfg.policy = &policy_two_lists;
	assert_int_equal(mm_system_create(&cfg, &sys), 0);
	assert_int_equal(mm_swapon(sys, dev, 0), 0);
	assert_int_equal(mm_create(sys, &mm), 0);
	pthread_create(&kswapd, NULL, reclaim, NULL);
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.mm = mm,
					     .start = BASE + (vaddr_t)i * HALF * PAGE_SIZE,
					     .rng = rng_make(test_seed() + (uint64_t)i)};
		pthread_create(&threads[i], NULL, work, &workers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&is_stopped, true, __ATOMIC_RELAXED);
	pthread_join(kswapd, NULL);
	assert_int_equal(mm_check(sys), 0);
	assert_int_equal(workers[0].nr_wrong + workers[1].nr_wrong, 0);
	assert_true(sys->vmstat[MM_VMSTAT_pswpout] > 0);
	while (sys->nr_io)
		mm_step(sys, 0, 64);
	mm_destroy(mm);
	assert_int_equal(mm_check(sys), 0);
	mm_system_destroy(sys);
	dev->ops->close(dev);
	machine_soft_destroy(cfg.machine);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(halves_do_not_disturb_each_other),
};
TEST_MAIN(tests)
