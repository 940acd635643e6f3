/* SPDX-License-Identifier: MIT */
#include "machine/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/conformance_world.h"

#define NR_ENVS_MAX 8

/*
 *	frames  [ A ][ B ]        [   ][   ]        [ A'][ B']
 *	               map ->             unmap ->
 *	pages   [   ][   ]        [ A ][ B ] write  [   ][   ]
 */
static void content_goes_there_and_back(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 16, 63, 64, 65, 512};
	struct world *w = *state;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		uint32_t nr = sizes[s];

		for (uint32_t i = 0; i < nr; i++)
			world_fill(world_frame(w, 7 + i), i);
		world_set_run(w, 3, nr, 7, PTE_RW);
		for (uint32_t i = 0; i < nr; i++) {
			assert_reads(w, 3 + i, i);
			assert_writes(w, 3 + i, 1000 + i);
			assert_reads(w, 3 + i, 1000 + i);
		}
		world_set_run(w, 3, nr, 7, 0);
		for (uint32_t i = 0; i < nr; i++)
			assert_true(world_is_filled(world_frame(w, 7 + i), 1000 + i));
	}
}

static void a_frame_that_was_never_written_can_be_read(void **state)
{
	struct world *w = *state;
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	world_set_run(w, 0, 3, 10, PTE_RW);
	world_access(w, 1, buf, NULL);
	assert_int_equal(w->nr_faults, 0);
	assert_writes(w, 1, 5);
	world_set_run(w, 0, 3, 10, 0);
	assert_true(world_is_filled(world_frame(w, 11), 5));
	memcpy(buf, world_frame(w, 10), PAGE_SIZE);
}

/* The manager fills the frame between two lives of the page. */
static void the_managers_writes_are_seen(void **state)
{
	struct world *w = *state;

	for (uint64_t i = 0; i < 4; i++) {
		world_fill(world_frame(w, 3), i);
		world_set(w, 9, pte_make(3, i % 2 ? PTE_RO : PTE_RW), 0);
		assert_reads(w, 9, i);
		world_set(w, 9, 0, 0);
	}
}

static void what_is_not_translated_faults(void **state)
{
	struct world *w = *state;

	world_fill(world_frame(w, 1), 1);
	world_fill(world_frame(w, 2), 2);
	assert_read_faults(w, 0, pte_make(1, PTE_RO), 1);
	assert_write_faults(w, 1, pte_make(2, PTE_RW), 20);
	assert_reads(w, 1, 20);
	world_set(w, 0, 0, 0);
	world_set(w, 1, 0, 0);
	assert_read_faults(w, 0, pte_make(1, PTE_RW), 1);
	assert_read_faults(w, 1, pte_make(2, PTE_RO), 20);
}

static void read_only_faults_on_write_only(void **state)
{
	struct world *w = *state;

	world_fill(world_frame(w, 1), 1);
	world_set(w, 0, pte_make(1, PTE_RO), 0);
	assert_reads(w, 0, 1);
	assert_write_faults(w, 0, pte_make(1, PTE_RW), 2);
	assert_reads(w, 0, 2);
	assert_writes(w, 0, 3);
	world_set(w, 0, pte_make(1, PTE_RO), 0);
	assert_reads(w, 0, 3);
	assert_write_faults(w, 0, pte_make(1, PTE_RW), 4);
	world_set(w, 0, 0, 0);
	assert_true(world_is_filled(world_frame(w, 1), 4));
}

/* The first fault maps the page clean, as a manager does that counts on a second one. */
static void a_write_may_fault_twice(void **state)
{
	struct world *w = *state;
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	world_fill(world_frame(w, 1), 1);
	assert_read_faults(w, 0, pte_make(1, PTE_RO), 1);
	assert_write_faults(w, 0, pte_make(1, PTE_RW), 2);
	world_set(w, 0, 0, 0);
	world_fill(buf, 3);
	world_fill(world_frame(w, 1), 1);
	world_set(w, 0, pte_make(1, PTE_RO), 0);
	assert_write_faults(w, 0, pte_make(1, PTE_RW), 3);
	assert_reads(w, 0, 3);
}

/* Of a writable translation, from one change to the next. */
static void a_dirty_bit_is_never_lost(void **state)
{
	struct world *w = *state;
	pte_t pte = pte_make(1, PTE_RW);

	if (!(w->m->ops->caps & MACHINE_SETS_DIRTY))
		return; /* every page it maps writable counts as written */
	world_fill(world_frame(w, 1), 1);
	world_set(w, 0, pte, 0);
	assert_reads(w, 0, 1);
	assert_false(world_set(w, 0, 0, 0) & PTE_DIRTY);
	world_set(w, 0, pte, 0);
	assert_writes(w, 0, 2);
	assert_reads(w, 0, 2);
	assert_true(world_set(w, 0, pte_make(1, PTE_RO), 0) & PTE_DIRTY);
	assert_reads(w, 0, 2);
	assert_false(world_set(w, 0, pte, 0) & PTE_DIRTY);
	assert_writes(w, 0, 3);
	world_set(w, 0, pte, 0); /* a refresh drops nothing */
	assert_true(world_set(w, 0, 0, 0) & PTE_DIRTY);
}

struct harvest {
	const struct world *w;
	unsigned int nr;
	bool seen[CONFORMANCE_PAGES];
};

static void seen(void *arg, vaddr_t va, pte_t bits)
{
	struct harvest *h = arg;

	assert_true(bits & PTE_ACCESSED);
	h->nr++;
	h->seen[(va - h->w->start) / PAGE_SIZE] = true;
}

static struct harvest harvest(struct world *w, uint64_t page, uint64_t nr)
{
	struct harvest h = {.w = w};

	assert_int_equal(w->m->ops->harvest(w->m, w->space, world_va(w, page),
					    world_va(w, page + nr), seen, &h),
			 0);
	return h;
}

/* Pages 0..99 are translated; each third is read, 50 is written. */
static void harvest_tells_what_was_accessed(void **state)
{
	struct world *w = *state;
	struct harvest h;

	if (!(w->m->ops->caps & MACHINE_SETS_ACCESSED) || !w->m->ops->harvest)
		return; /* unmapping and faults tell */
	for (pfn_t pfn = 0; pfn < 100; pfn++)
		world_fill(world_frame(w, pfn), pfn);
	world_set_run(w, 0, 100, 0, PTE_RW);
	assert_int_equal(harvest(w, 0, 1024).nr, 0);
	for (uint64_t page = 0; page < 100; page += 3)
		assert_reads(w, page, page);
	assert_writes(w, 50, 50);
	h = harvest(w, 10, 80);
	for (uint64_t page = 0; page < CONFORMANCE_PAGES; page++)
		assert_int_equal(h.seen[page],
				 page >= 10 && page < 90 && (page % 3 == 0 || page == 50));
	assert_int_equal(harvest(w, 10, 80).nr, 0);
	assert_int_equal(harvest(w, 0, 1024).nr, 8);
	assert_reads(w, 33, 33);
	assert_true(world_set(w, 33, 0, 0) & PTE_ACCESSED);
	assert_int_equal(harvest(w, 0, 1024).nr, 0);
}

/* Of what is new only: another protection is no use. */
static void what_is_new_may_begin_as_accessed(void **state)
{
	struct world *w = *state;

	if (!(w->m->ops->caps & MACHINE_SETS_ACCESSED) || !w->m->ops->harvest)
		return;
	for (pfn_t pfn = 0; pfn < 20; pfn++)
		world_fill(world_frame(w, pfn), pfn);
	world_set_run(w, 0, 10, 0, PTE_RO | PTE_ACCESSED);
	world_set_run(w, 10, 10, 10, PTE_RO);
	assert_int_equal(harvest(w, 0, 10).nr, 10);
	assert_int_equal(harvest(w, 0, 20).nr, 0);
	world_set(w, 3, pte_make(3, PTE_RW | PTE_ACCESSED), 0);
	assert_int_equal(harvest(w, 0, 20).nr, 0);
}

static void a_refresh_changes_nothing(void **state)
{
	struct world *w = *state;

	world_fill(world_frame(w, 1), 1);
	world_fill(world_frame(w, 2), 2);
	world_set(w, 0, pte_make(1, PTE_RW), 0);
	world_set(w, 1, pte_make(2, PTE_RO), 0);
	assert_writes(w, 0, 10);
	for (int i = 0; i < 3; i++) {
		world_set(w, 0, w->ptes[0], 0);
		world_set(w, 1, w->ptes[1], 0);
		assert_reads(w, 0, 10);
		assert_reads(w, 1, 2);
	}
	assert_write_faults(w, 1, pte_make(2, PTE_RW), 3);
}

static void another_frame_takes_the_place(void **state)
{
	static const pte_t bits[] = {PTE_RO, PTE_RW};
	struct world *w = *state;

	for (int i = 0; i < 4; i++) {
		world_fill(world_frame(w, 1), 1);
		world_fill(world_frame(w, 2), 2);
		world_set(w, 0, pte_make(1, bits[i / 2]), 0);
		assert_reads(w, 0, 1);
		world_set(w, 0, pte_make(2, bits[i % 2]), 0);
		assert_reads(w, 0, 2);
		assert_true(world_is_filled(world_frame(w, 1), 1));
		world_set(w, 0, 0, 0);
		assert_true(world_is_filled(world_frame(w, 2), 2));
	}
}

static void what_is_discarded_is_not_seen_again(void **state)
{
	struct world *w = *state;

	world_fill(world_frame(w, 1), 1);
	world_fill(world_frame(w, 2), 2);
	world_set(w, 0, pte_make(1, PTE_RW), 0);
	assert_writes(w, 0, 10);
	world_set(w, 0, 0, MACHINE_DISCARD);
	assert_read_faults(w, 0, pte_make(2, PTE_RW), 2);
	world_fill(world_frame(w, 1), 11);
	world_set(w, 1, pte_make(1, PTE_RW), 0);
	assert_reads(w, 1, 11);
	assert_reads(w, 0, 2);
	world_set(w, 0, 0, MACHINE_DISCARD);
	world_set(w, 1, 0, 0);
	assert_true(world_is_filled(world_frame(w, 1), 11));
}

/*
 *	page    0    1     2     3     4       5       6    7
 *	before  -    1 rw  2 rw  3 ro  4 rw    5 ro    6    -
 *	after   8 ro -     2 ro  3 rw  4 rw    9 rw    6    -
 */
static void one_batch_does_it_all(void **state)
{
	static const pte_t before[8] = {0, PTE_RW, PTE_RW, PTE_RO, PTE_RW, PTE_RO, PTE_RW, 0};
	static const pte_t after[8] = {PTE_RO, 0, PTE_RO, PTE_RW, PTE_RW, PTE_RW, PTE_RW, 0};
	static const pfn_t pfns[8] = {8, 1, 2, 3, 4, 9, 6, 7};
	struct world *w = *state;
	struct machine_change changes[8];
	struct machine_batch batch = {.changes = changes, .nr = 8};

	for (pfn_t i = 0; i < 10; i++)
		world_fill(world_frame(w, i), i);
	for (pfn_t i = 0; i < 8; i++) {
		if (before[i])
			world_set(w, i, pte_make(i, before[i]), 0);
		changes[i] = (struct machine_change){
			.va = world_va(w, i),
			.old_pte = w->ptes[i],
			.new_pte = after[i] ? pte_make(pfns[i], after[i]) : 0};
	}
	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	assert_int_equal(batch.nr_done, 8);
	for (pfn_t i = 0; i < 8; i++)
		w->ptes[i] = changes[i].new_pte;
	for (pfn_t i = 0; i < 8; i++)
		if (after[i])
			assert_reads(w, i, pfns[i]);
	assert_true(world_is_filled(world_frame(w, 1), 1));
	assert_true(world_is_filled(world_frame(w, 5), 5));
	assert_write_faults(w, 0, pte_make(8, PTE_RW), 80);
	assert_read_faults(w, 1, pte_make(1, PTE_RO), 1);
	assert_write_faults(w, 2, pte_make(2, PTE_RW), 20);
	assert_writes(w, 3, 30);
	assert_writes(w, 5, 50);
	assert_read_faults(w, 7, pte_make(7, PTE_RO), 7);
}

/* Frames in reverse, every second page: nobody is anybody's neighbour. */
static void scattered_pages_in_one_batch(void **state)
{
	struct world *w = *state;
	struct machine_change changes[100];
	struct machine_batch batch = {.changes = changes, .nr = 100};

	for (pfn_t i = 0; i < 100; i++) {
		world_fill(world_frame(w, 99 - i), i);
		changes[i] = (struct machine_change){
			.va = world_va(w, 2 * i),
			.new_pte = pte_make(99 - i, i % 3 ? PTE_RW : PTE_RO)};
	}
	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	for (pfn_t i = 0; i < 100; i++) {
		w->ptes[2 * i] = changes[i].new_pte;
		assert_reads(w, 2 * i, i);
		if (i % 3)
			assert_writes(w, 2 * i, 1000 + i);
	}
	world_fill(world_frame(w, 100), 100);
	assert_read_faults(w, 1, pte_make(100, PTE_RW), 100);
}

static void no_change_is_no_change(void **state)
{
	struct world *w = *state;

	world_fill(world_frame(w, 0), 1);
	world_set_run(w, 0, 8, 0, 0);
	world_set_run(w, 0, 8, 0, 0);
	assert_true(world_is_filled(world_frame(w, 0), 1));
	assert_read_faults(w, 0, pte_make(0, PTE_RO), 1);
}

/* A page is not translated while its area's protection changes, and keeps its content. */
static void areas_come_and_go(void **state)
{
	static const struct {
		int prot;
		pte_t bits;
	} table[] = {
		{PROT_RW, PTE_RW},
		{PROT_RW, PTE_RO},
		{MM_PROT_READ, PTE_RO},
		{PROT_RW, PTE_RW},
		{MM_PROT_READ | MM_PROT_EXEC, PTE_RO & ~PTE_NX},
		{PROT_RW, PTE_RW},
		{PROT_RW | MM_PROT_EXEC, PTE_RW & ~PTE_NX},
	};
	struct world *w = *state;

	for (pfn_t i = 0; i < 8; i++)
		world_fill(world_frame(w, i), i);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		world_region(w, 0, 8, MACHINE_REGION_PROTECT, table[i].prot);
		world_set_run(w, 0, 8, 0, table[i].bits);
		for (pfn_t j = 0; j < 8; j++)
			assert_reads(w, j, j);
		world_set_run(w, 0, 8, 0, 0);
		world_region(w, 0, 8, MACHINE_REGION_PROTECT, MM_PROT_NONE);
		world_region(w, 2, 4, MACHINE_REGION_UNMAP, 0);
		world_region(w, 2, 4, MACHINE_REGION_MAP, table[i].prot);
	}
	for (pfn_t i = 0; i < 8; i++)
		assert_true(world_is_filled(world_frame(w, i), i));
}

static void spaces_are_apart(void **state)
{
	struct world *w = *state;
	struct world other = *w;

	if (w->m->ops->space_create(w->m, w->start, w->end, &other.space) != 0)
		return; /* a machine of one space */
	world_region(&other, 0, CONFORMANCE_PAGES, MACHINE_REGION_MAP, PROT_RW);
	world_fill(world_frame(w, 1), 1);
	world_fill(world_frame(w, 2), 2);
	world_set(w, 0, pte_make(1, PTE_RW), 0);
	world_set(&other, 0, pte_make(2, PTE_RW), 0);
	assert_reads(w, 0, 1);
	assert_reads(&other, 0, 2);
	world_set(w, 0, 0, 0);
	assert_reads(&other, 0, 2);
	assert_read_faults(w, 0, pte_make(1, PTE_RO), 1);
	world_set(&other, 0, 0, 0);
	w->m->ops->space_destroy(w->m, other.space);
	assert_reads(w, 0, 1);
}

static int world_setup(void **state)
{
	const struct conformance_env *env = *state;
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->env = env;
	w->m = env->create(env, &w->start, &w->end);
	assert_true(w->m->nr_frames >= CONFORMANCE_FRAMES);
	assert_true(w->end - w->start >= CONFORMANCE_PAGES * PAGE_SIZE);
	assert_int_equal(w->m->ops->space_create(w->m, w->start, w->end, &w->space), 0);
	world_region(w, 0, CONFORMANCE_PAGES, MACHINE_REGION_MAP, PROT_RW);
	*state = w;
	return 0;
}

static int world_teardown(void **state)
{
	struct world *w = *state;

	world_set_run(w, 0, CONFORMANCE_PAGES, 0, 0);
	world_region(w, 0, CONFORMANCE_PAGES, MACHINE_REGION_UNMAP, 0);
	w->m->ops->space_destroy(w->m, w->space);
	w->env->destroy(w->env, w->m);
	free(w);
	return 0;
}

static const struct {
	const char *name;
	CMUnitTestFunction run;
} cases[] = {
#define CASE(f)       \
	{             \
#f, f \
	}
	CASE(content_goes_there_and_back),
	CASE(a_frame_that_was_never_written_can_be_read),
	CASE(the_managers_writes_are_seen),
	CASE(what_is_not_translated_faults),
	CASE(read_only_faults_on_write_only),
	CASE(a_write_may_fault_twice),
	CASE(a_dirty_bit_is_never_lost),
	CASE(harvest_tells_what_was_accessed),
	CASE(what_is_new_may_begin_as_accessed),
	CASE(a_refresh_changes_nothing),
	CASE(another_frame_takes_the_place),
	CASE(what_is_discarded_is_not_seen_again),
	CASE(one_batch_does_it_all),
	CASE(scattered_pages_in_one_batch),
	CASE(no_change_is_no_change),
	CASE(areas_come_and_go),
	CASE(spaces_are_apart),
	CASE(threads_work_on_different_pages),
	CASE(random_steps_keep_every_byte),
#undef CASE
};

#define NR_CASES (sizeof(cases) / sizeof(*cases))

int conformance_run(const struct conformance_env *const *envs, size_t nr)
{
	static char names[NR_ENVS_MAX][NR_CASES][80];
	struct CMUnitTest tests[NR_ENVS_MAX * NR_CASES];

	if (nr > NR_ENVS_MAX)
		abort();
	for (size_t i = 0; i < nr * NR_CASES; i++) {
		const struct conformance_env *env = envs[i / NR_CASES];
		char *name = names[i / NR_CASES][i % NR_CASES];

		snprintf(name, sizeof(names[0][0]), "%s (%s)", cases[i % NR_CASES].name,
			 env->name);
		tests[i] = (struct CMUnitTest){
			.name = name,
			.test_func = cases[i % NR_CASES].run,
			.setup_func = world_setup,
			.teardown_func = world_teardown,
			.initial_state = (void *)(uintptr_t)env,
		};
	}
	test_seed();
	return test_run(tests, nr * NR_CASES, NULL, NULL);
}
