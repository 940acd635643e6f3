/* SPDX-License-Identifier: MIT */
/*
 * A program on the software machine, and the manager that resolves its faults.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "machine/soft.h"
#include "mm/system.h"
#include "policy/two_lists.h"
#include "support/test.h"
#include "swapdev/mem.h"

#define NR_FRAMES 1024
#define NR_SLOTS  4096

#define SETTLE_STEPS_MAX 10000 /* until all I/O has ended */

struct guest {
	struct machine *m;
	struct swapdev *dev;
	struct mm_system *sys;
	struct mm *mm;
};

static struct guest guest_create(enum swapdev_mem_mode mode)
{
	const struct machine_soft_config soft = {
		.nr_frames = NR_FRAMES, .caps = MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY};
	const struct swapdev_mem_config mem = {.nr_slots = NR_SLOTS, .mode = mode};
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	struct guest g;

	assert_int_equal(machine_soft_create(&soft, &g.m), 0);
	assert_int_equal(swapdev_mem_create(&mem, &g.dev), 0);
	cfg.machine = g.m;
	cfg.policy = &policy_two_lists;
	cfg.overcommit_memory = MM_OVERCOMMIT_ALWAYS;
	assert_int_equal(mm_system_create(&cfg, &g.sys), 0);
	assert_int_equal(mm_swapon(g.sys, g.dev, 0), 0);
	assert_int_equal(mm_create(g.sys, &g.mm), 0);
	return g;
}

static void guest_destroy(struct guest *g)
{
	for (int i = 0; i < SETTLE_STEPS_MAX && g->sys->nr_io > 0; i++)
		mm_step(g->sys, g->sys->now_ns + 1000000, 0);
	assert_int_equal(mm_check(g->sys), 0);
	mm_system_destroy(g->sys);
	g->dev->ops->close(g->dev);
	machine_soft_destroy(g->m);
}

static vaddr_t map(struct guest *g, uint64_t nr_pages, int prot)
{
	vaddr_t va = 0;

	assert_int_equal(mm_map(g->mm, 0, nr_pages * PAGE_SIZE, prot,
				MM_MAP_PRIVATE | MM_MAP_ANONYMOUS, &va),
			 0);
	return va;
}

static void an_access_goes_over_many_pages(void **state)
{
	struct guest g = guest_create(SWAPDEV_MEM_SYNC);
	vaddr_t va = map(&g, 8, MM_PROT_READ | MM_PROT_WRITE);
	char out[5 * PAGE_SIZE], in[5 * PAGE_SIZE];

	(void)state;
	memset(out, 'x', sizeof(out));
	assert_int_equal(machine_soft_mm_store(g.mm, va + 100, out, sizeof(out)),
			 MM_FAULT_MINOR);
	assert_int_equal(g.sys->vmstat[MM_VMSTAT_pgfault], 6);
	assert_int_equal(machine_soft_mm_load(g.mm, va + 100, in, sizeof(in)), MM_FAULT_MINOR);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(g.sys->vmstat[MM_VMSTAT_pgfault], 6);
	guest_destroy(&g);
}

/* Where the area ends or forbids it; the bytes before that are there. */
static void what_is_not_allowed_is_an_answer(void **state)
{
	struct guest g = guest_create(SWAPDEV_MEM_SYNC);
	vaddr_t rw = map(&g, 2, MM_PROT_READ | MM_PROT_WRITE);
	vaddr_t rx = map(&g, 1, MM_PROT_READ | MM_PROT_EXEC);
	char buf[2 * PAGE_SIZE] = "abc";
	char c = 1;

	(void)state;
	assert_int_equal(mm_unmap(g.mm, rw + PAGE_SIZE, PAGE_SIZE), 0);
	assert_int_equal(machine_soft_mm_store(g.mm, rw, buf, sizeof(buf)), MM_FAULT_SEGV);
	assert_int_equal(machine_soft_mm_load(g.mm, rw + 2, &c, 1), MM_FAULT_MINOR);
	assert_int_equal(c, 'c');
	assert_int_equal(machine_soft_mm_fetch(g.mm, rw), MM_FAULT_SEGV);
	assert_int_equal(machine_soft_mm_fetch(g.mm, rx), MM_FAULT_MINOR);
	assert_int_equal(machine_soft_mm_load(g.mm, rx, &c, 1), MM_FAULT_MINOR);
	assert_int_equal(c, 0);
	assert_int_equal(machine_soft_mm_store(g.mm, rx, &c, 1), MM_FAULT_SEGV);
	assert_int_equal(machine_soft_mm_load(g.mm, UINT64_MAX, &c, 1), MM_FAULT_SEGV);
	guest_destroy(&g);
}

/* The only frames are gone and there is no swap to speak of. */
static void too_much_is_an_answer(void **state)
{
	struct guest g = guest_create(SWAPDEV_MEM_SYNC);
	uint64_t nr_pages = NR_FRAMES + NR_SLOTS + 1000;
	vaddr_t va = map(&g, nr_pages, MM_PROT_READ | MM_PROT_WRITE);
	enum mm_fault_result result = MM_FAULT_MINOR;

	(void)state;
	for (uint64_t i = 0; i < nr_pages && result <= MM_FAULT_MAJOR; i++)
		result = machine_soft_mm_store(g.mm, va + i * PAGE_SIZE, &i, sizeof(i));
	assert_int_equal(result, MM_FAULT_OOM);
	guest_destroy(&g);
}

/* Data of twice the RAM: each word comes back, some of them from swap. */
static void what_does_not_fit_comes_from_swap(void **state)
{
	struct guest g = guest_create(SWAPDEV_MEM_RANDOM);
	uint64_t nr_pages = 2 * NR_FRAMES, nr_major = 0;
	vaddr_t va = map(&g, nr_pages, MM_PROT_READ | MM_PROT_WRITE);

	(void)state;
	for (uint64_t i = 0; i < nr_pages; i++)
		assert_int_equal(machine_soft_mm_store(g.mm, va + i * PAGE_SIZE, &i, sizeof(i)),
				 MM_FAULT_MINOR);
	for (uint64_t i = 0; i < nr_pages; i++) {
		uint64_t word = 0;

		nr_major += machine_soft_mm_load(g.mm, va + i * PAGE_SIZE, &word,
						 sizeof(word)) == MM_FAULT_MAJOR;
		assert_int_equal(word, i);
	}
	assert_true(nr_major > 0);
	assert_int_equal(nr_major, g.sys->vmstat[MM_VMSTAT_pgmajfault]);
	guest_destroy(&g);
}

/*
 * Two threads, each on pages of its own, on one manager. Each alone has more than the RAM, so
 * that there is swapping however the threads are scheduled.
 */
struct program {
	struct guest *g;
	vaddr_t va;
	uint64_t seed;
	bool is_wrong; /* cmocka's assertions are for the main thread */
	pthread_t thread;
};

#define PROGRAM_PAGES (NR_FRAMES + 100)

static void *program_run(void *arg)
{
	struct program *p = arg;

	for (uint64_t i = 0; i < 3 * PROGRAM_PAGES; i++) {
		vaddr_t va = p->va + i % PROGRAM_PAGES * PAGE_SIZE;
		uint64_t word = 0,
			 expected = i < PROGRAM_PAGES ? 0 : i - PROGRAM_PAGES + p->seed;
		uint64_t next = i + p->seed;

		if (machine_soft_mm_load(p->g->mm, va, &word, 8) > MM_FAULT_MAJOR ||
		    machine_soft_mm_store(p->g->mm, va, &next, 8) > MM_FAULT_MAJOR)
			p->is_wrong = true;
		if (word != expected)
			p->is_wrong = true;
	}
	return NULL;
}

static void threads_fault_on_different_pages(void **state)
{
	struct guest g = guest_create(SWAPDEV_MEM_RANDOM);
	struct program programs[2];

	(void)state;
	for (uint64_t i = 0; i < 2; i++)
		programs[i] = (struct program){
			.g = &g,
			.va = map(&g, PROGRAM_PAGES, MM_PROT_READ | MM_PROT_WRITE),
			.seed = i << 32};
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&programs[i].thread, NULL, program_run, &programs[i]),
			0);
	for (int i = 0; i < 2; i++)
		pthread_join(programs[i].thread, NULL);
	assert_false(programs[0].is_wrong || programs[1].is_wrong);
	assert_true(g.sys->vmstat[MM_VMSTAT_pswpin] > 0);
	guest_destroy(&g);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_access_goes_over_many_pages),
	cmocka_unit_test(what_is_not_allowed_is_an_answer),
	cmocka_unit_test(too_much_is_an_answer),
	cmocka_unit_test(what_does_not_fit_comes_from_swap),
	cmocka_unit_test(threads_fault_on_different_pages),
};

TEST_MAIN(tests)
