/* SPDX-License-Identifier: MIT */
#include "machine/conformance.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/pgtable.h"
#include "ration/mm.h"
#include "support/rng.h"

#define NR_ENVS_MAX 8
#define RO	    (PTE_PRESENT | PTE_USER | PTE_NX)
#define RW	    (RO | PTE_WRITE)
#define PROT_RW	    (MM_PROT_READ | MM_PROT_WRITE)

/* One case's machine, and what the manager would have in its page table. */
struct world {
	const struct conformance_env *env;
	struct machine *m;
	struct machine_space *space;
	vaddr_t start, end;
	pte_t ptes[CONFORMANCE_PAGES]; /* as the machine was told */
	pte_t plan; /* what the next fault's page gets; 0: no fault may come */
	unsigned int nr_faults;
	unsigned int last_access;
	vaddr_t last_va;
};

static vaddr_t page_va(const struct world *w, uint64_t page)
{
	return w->start + page * PAGE_SIZE;
}

static char *frame(const struct world *w, pfn_t pfn)
{
	return w->m->ram + pfn * PAGE_SIZE;
}

/* A page that no other seed makes. */
static void fill(void *page, uint64_t seed)
{
	uint64_t *words = page;

	for (uint64_t i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		words[i] = (seed + 1) * 0x9e3779b97f4a7c15u + i;
}

static bool is_filled(const void *page, uint64_t seed)
{
	uint64_t expected[PAGE_SIZE / sizeof(uint64_t)];

	fill(expected, seed);
	return memcmp(page, expected, PAGE_SIZE) == 0;
}

static void region(const struct world *w, uint64_t page, uint64_t nr, enum machine_region_op op,
		   int prot)
{
	if (w->m->ops->region)
		assert_int_equal(w->m->ops->region(w->m, w->space, page_va(w, page),
						   page_va(w, page + nr), op, prot),
				 0);
}

/* Tells the machine, and keeps what it was told. Return: what it reports in old_pte. */
static pte_t set(struct world *w, uint64_t page, pte_t pte, uint32_t flags)
{
	struct machine_change change = {
		.va = page_va(w, page), .old_pte = w->ptes[page], .new_pte = pte};
	struct machine_batch batch = {.changes = &change, .nr = 1, .flags = flags};

	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	assert_int_equal(batch.nr_done, 1);
	assert_int_equal(change.old_pte & ~(PTE_ACCESSED | PTE_DIRTY), w->ptes[page]);
	w->ptes[page] = pte;
	return change.old_pte;
}

/* The same for neighbours; frames from pfn on, bits of 0: not present. */
static void set_run(struct world *w, uint64_t page, uint32_t nr, pfn_t pfn, pte_t bits)
{
	struct machine_change changes[CONFORMANCE_PAGES];
	struct machine_batch batch = {.changes = changes, .nr = nr};

	for (uint32_t i = 0; i < nr; i++)
		changes[i] = (struct machine_change){
			.va = page_va(w, page + i),
			.old_pte = w->ptes[page + i],
			.new_pte = pte_make(pfn + i, bits ? bits : PTE_IDLE),
		};
	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	assert_int_equal(batch.nr_done, nr);
	for (uint32_t i = 0; i < nr; i++)
		w->ptes[page + i] = changes[i].new_pte;
}

static void on_fault(void *arg, vaddr_t va, unsigned int access)
{
	struct world *w = arg;
	pte_t plan = w->plan;

	w->nr_faults++;
	w->last_va = va & PAGE_MASK;
	w->last_access = access;
	assert_true(pte_is_present(plan));
	w->plan = 0;
	set(w, (w->last_va - w->start) / PAGE_SIZE, plan, 0);
}

static void access_page(struct world *w, uint64_t page, void *load, const void *store)
{
	const struct conformance_access a = {
		.m = w->m,
		.space = w->space,
		.va = page_va(w, page),
		.load = load,
		.store = store,
		.size = PAGE_SIZE,
		.on_fault = on_fault,
		.arg = w,
	};

	w->nr_faults = 0;
	w->env->access(w->env, &a);
}

static void assert_reads(struct world *w, uint64_t page, uint64_t seed)
{
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	access_page(w, page, buf, NULL);
	assert_int_equal(w->nr_faults, 0);
	assert_true(is_filled(buf, seed));
}

static void store(struct world *w, uint64_t page, uint64_t seed)
{
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	fill(buf, seed);
	access_page(w, page, NULL, buf);
}

static void assert_writes(struct world *w, uint64_t page, uint64_t seed)
{
	store(w, page, seed);
	assert_int_equal(w->nr_faults, 0);
}

static void assert_faulted(const struct world *w, uint64_t page, unsigned int access)
{
	assert_int_equal(w->nr_faults, 1);
	assert_int_equal(w->last_va, page_va(w, page));
	assert_int_equal(w->last_access, access);
}

/* A read faults, and sees the page that it gets. */
static void assert_read_faults(struct world *w, uint64_t page, pte_t plan, uint64_t seed)
{
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	w->plan = plan;
	access_page(w, page, buf, NULL);
	assert_faulted(w, page, MM_ACCESS_READ);
	assert_true(is_filled(buf, seed));
}

static void assert_write_faults(struct world *w, uint64_t page, pte_t plan, uint64_t seed)
{
	w->plan = plan;
	store(w, page, seed);
	assert_faulted(w, page, MM_ACCESS_WRITE);
}

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
			fill(frame(w, 7 + i), i);
		set_run(w, 3, nr, 7, RW);
		for (uint32_t i = 0; i < nr; i++) {
			assert_reads(w, 3 + i, i);
			assert_writes(w, 3 + i, 1000 + i);
			assert_reads(w, 3 + i, 1000 + i);
		}
		set_run(w, 3, nr, 7, 0);
		for (uint32_t i = 0; i < nr; i++)
			assert_true(is_filled(frame(w, 7 + i), 1000 + i));
	}
}

static void a_frame_that_was_never_written_can_be_read(void **state)
{
	struct world *w = *state;
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	set_run(w, 0, 3, 10, RW);
	access_page(w, 1, buf, NULL);
	assert_int_equal(w->nr_faults, 0);
	assert_writes(w, 1, 5);
	set_run(w, 0, 3, 10, 0);
	assert_true(is_filled(frame(w, 11), 5));
	memcpy(buf, frame(w, 10), PAGE_SIZE);
}

/* The manager fills the frame between two lives of the page. */
static void the_managers_writes_are_seen(void **state)
{
	struct world *w = *state;

	for (uint64_t i = 0; i < 4; i++) {
		fill(frame(w, 3), i);
		set(w, 9, pte_make(3, i % 2 ? RO : RW), 0);
		assert_reads(w, 9, i);
		set(w, 9, 0, 0);
	}
}

static void what_is_not_translated_faults(void **state)
{
	struct world *w = *state;

	fill(frame(w, 1), 1);
	fill(frame(w, 2), 2);
	assert_read_faults(w, 0, pte_make(1, RO), 1);
	assert_write_faults(w, 1, pte_make(2, RW), 20);
	assert_reads(w, 1, 20);
	set(w, 0, 0, 0);
	set(w, 1, 0, 0);
	assert_read_faults(w, 0, pte_make(1, RW), 1);
	assert_read_faults(w, 1, pte_make(2, RO), 20);
}

static void read_only_faults_on_write_only(void **state)
{
	struct world *w = *state;

	fill(frame(w, 1), 1);
	set(w, 0, pte_make(1, RO), 0);
	assert_reads(w, 0, 1);
	assert_write_faults(w, 0, pte_make(1, RW), 2);
	assert_reads(w, 0, 2);
	assert_writes(w, 0, 3);
	set(w, 0, pte_make(1, RO), 0);
	assert_reads(w, 0, 3);
	assert_write_faults(w, 0, pte_make(1, RW), 4);
	set(w, 0, 0, 0);
	assert_true(is_filled(frame(w, 1), 4));
}

/* The first fault maps the page clean, as a manager does that counts on a second one. */
static void a_write_may_fault_twice(void **state)
{
	struct world *w = *state;
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	fill(frame(w, 1), 1);
	assert_read_faults(w, 0, pte_make(1, RO), 1);
	assert_write_faults(w, 0, pte_make(1, RW), 2);
	set(w, 0, 0, 0);
	fill(buf, 3);
	fill(frame(w, 1), 1);
	set(w, 0, pte_make(1, RO), 0);
	assert_write_faults(w, 0, pte_make(1, RW), 3);
	assert_reads(w, 0, 3);
}

/* Of a writable translation, from one change to the next. */
static void a_dirty_bit_is_never_lost(void **state)
{
	struct world *w = *state;
	pte_t pte = pte_make(1, RW);

	if (!(w->m->ops->caps & MACHINE_SETS_DIRTY))
		return; /* every page it maps writable counts as written */
	fill(frame(w, 1), 1);
	set(w, 0, pte, 0);
	assert_reads(w, 0, 1);
	assert_false(set(w, 0, 0, 0) & PTE_DIRTY);
	set(w, 0, pte, 0);
	assert_writes(w, 0, 2);
	assert_reads(w, 0, 2);
	assert_true(set(w, 0, pte_make(1, RO), 0) & PTE_DIRTY);
	assert_reads(w, 0, 2);
	assert_false(set(w, 0, pte, 0) & PTE_DIRTY);
	assert_writes(w, 0, 3);
	set(w, 0, pte, 0); /* a refresh drops nothing */
	assert_true(set(w, 0, 0, 0) & PTE_DIRTY);
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

	assert_int_equal(w->m->ops->harvest(w->m, w->space, page_va(w, page),
					    page_va(w, page + nr), seen, &h),
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
		fill(frame(w, pfn), pfn);
	set_run(w, 0, 100, 0, RW);
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
	assert_true(set(w, 33, 0, 0) & PTE_ACCESSED);
	assert_int_equal(harvest(w, 0, 1024).nr, 0);
}

static void a_refresh_changes_nothing(void **state)
{
	struct world *w = *state;

	fill(frame(w, 1), 1);
	fill(frame(w, 2), 2);
	set(w, 0, pte_make(1, RW), 0);
	set(w, 1, pte_make(2, RO), 0);
	assert_writes(w, 0, 10);
	for (int i = 0; i < 3; i++) {
		set(w, 0, w->ptes[0], 0);
		set(w, 1, w->ptes[1], 0);
		assert_reads(w, 0, 10);
		assert_reads(w, 1, 2);
	}
	assert_write_faults(w, 1, pte_make(2, RW), 3);
}

static void another_frame_takes_the_place(void **state)
{
	static const pte_t bits[] = {RO, RW};
	struct world *w = *state;

	for (int i = 0; i < 4; i++) {
		fill(frame(w, 1), 1);
		fill(frame(w, 2), 2);
		set(w, 0, pte_make(1, bits[i / 2]), 0);
		assert_reads(w, 0, 1);
		set(w, 0, pte_make(2, bits[i % 2]), 0);
		assert_reads(w, 0, 2);
		assert_true(is_filled(frame(w, 1), 1));
		set(w, 0, 0, 0);
		assert_true(is_filled(frame(w, 2), 2));
	}
}

static void what_is_discarded_is_not_seen_again(void **state)
{
	struct world *w = *state;

	fill(frame(w, 1), 1);
	fill(frame(w, 2), 2);
	set(w, 0, pte_make(1, RW), 0);
	assert_writes(w, 0, 10);
	set(w, 0, 0, MACHINE_DISCARD);
	assert_read_faults(w, 0, pte_make(2, RW), 2);
	fill(frame(w, 1), 11);
	set(w, 1, pte_make(1, RW), 0);
	assert_reads(w, 1, 11);
	assert_reads(w, 0, 2);
	set(w, 0, 0, MACHINE_DISCARD);
	set(w, 1, 0, 0);
	assert_true(is_filled(frame(w, 1), 11));
}

/*
 *	page    0    1     2     3     4       5       6    7
 *	before  -    1 rw  2 rw  3 ro  4 rw    5 ro    6    -
 *	after   8 ro -     2 ro  3 rw  4 rw    9 rw    6    -
 */
static void one_batch_does_it_all(void **state)
{
	static const pte_t before[8] = {0, RW, RW, RO, RW, RO, RW, 0};
	static const pte_t after[8] = {RO, 0, RO, RW, RW, RW, RW, 0};
	static const pfn_t pfns[8] = {8, 1, 2, 3, 4, 9, 6, 7};
	struct world *w = *state;
	struct machine_change changes[8];
	struct machine_batch batch = {.changes = changes, .nr = 8};

	for (pfn_t i = 0; i < 10; i++)
		fill(frame(w, i), i);
	for (pfn_t i = 0; i < 8; i++) {
		if (before[i])
			set(w, i, pte_make(i, before[i]), 0);
		changes[i] = (struct machine_change){
			.va = page_va(w, i),
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
	assert_true(is_filled(frame(w, 1), 1));
	assert_true(is_filled(frame(w, 5), 5));
	assert_write_faults(w, 0, pte_make(8, RW), 80);
	assert_read_faults(w, 1, pte_make(1, RO), 1);
	assert_write_faults(w, 2, pte_make(2, RW), 20);
	assert_writes(w, 3, 30);
	assert_writes(w, 5, 50);
	assert_read_faults(w, 7, pte_make(7, RO), 7);
}

/* Frames in reverse, every second page: nobody is anybody's neighbour. */
static void scattered_pages_in_one_batch(void **state)
{
	struct world *w = *state;
	struct machine_change changes[100];
	struct machine_batch batch = {.changes = changes, .nr = 100};

	for (pfn_t i = 0; i < 100; i++) {
		fill(frame(w, 99 - i), i);
		changes[i] = (struct machine_change){
			.va = page_va(w, 2 * i), .new_pte = pte_make(99 - i, i % 3 ? RW : RO)};
	}
	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	for (pfn_t i = 0; i < 100; i++) {
		w->ptes[2 * i] = changes[i].new_pte;
		assert_reads(w, 2 * i, i);
		if (i % 3)
			assert_writes(w, 2 * i, 1000 + i);
	}
	fill(frame(w, 100), 100);
	assert_read_faults(w, 1, pte_make(100, RW), 100);
}

static void no_change_is_no_change(void **state)
{
	struct world *w = *state;

	fill(frame(w, 0), 1);
	set_run(w, 0, 8, 0, 0);
	set_run(w, 0, 8, 0, 0);
	assert_true(is_filled(frame(w, 0), 1));
	assert_read_faults(w, 0, pte_make(0, RO), 1);
}

/* A page is not translated while its area's protection changes, and keeps its content. */
static void areas_come_and_go(void **state)
{
	static const struct {
		int prot;
		pte_t bits;
	} table[] = {
		{PROT_RW, RW},
		{PROT_RW, RO},
		{MM_PROT_READ, RO},
		{PROT_RW, RW},
		{MM_PROT_READ | MM_PROT_EXEC, RO & ~PTE_NX},
		{PROT_RW, RW},
		{PROT_RW | MM_PROT_EXEC, RW & ~PTE_NX},
	};
	struct world *w = *state;

	for (pfn_t i = 0; i < 8; i++)
		fill(frame(w, i), i);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		region(w, 0, 8, MACHINE_REGION_PROTECT, table[i].prot);
		set_run(w, 0, 8, 0, table[i].bits);
		for (pfn_t j = 0; j < 8; j++)
			assert_reads(w, j, j);
		set_run(w, 0, 8, 0, 0);
		region(w, 0, 8, MACHINE_REGION_PROTECT, MM_PROT_NONE);
		region(w, 2, 4, MACHINE_REGION_UNMAP, 0);
		region(w, 2, 4, MACHINE_REGION_MAP, table[i].prot);
	}
	for (pfn_t i = 0; i < 8; i++)
		assert_true(is_filled(frame(w, i), i));
}

static void spaces_are_apart(void **state)
{
	struct world *w = *state;
	struct world other = *w;

	if (w->m->ops->space_create(w->m, w->start, w->end, &other.space) != 0)
		return; /* a machine of one space */
	region(&other, 0, CONFORMANCE_PAGES, MACHINE_REGION_MAP, PROT_RW);
	fill(frame(w, 1), 1);
	fill(frame(w, 2), 2);
	set(w, 0, pte_make(1, RW), 0);
	set(&other, 0, pte_make(2, RW), 0);
	assert_reads(w, 0, 1);
	assert_reads(&other, 0, 2);
	set(w, 0, 0, 0);
	assert_reads(&other, 0, 2);
	assert_read_faults(w, 0, pte_make(1, RO), 1);
	set(&other, 0, 0, 0);
	w->m->ops->space_destroy(w->m, other.space);
	assert_reads(w, 0, 1);
}

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
			.va = page_va(&k->w, k->page + i),
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
		.va = page_va(&k->w, page),
		.store = buf,
		.size = PAGE_SIZE,
		.on_fault = worker_fault,
		.arg = k,
	};

	fill(buf, seed);
	k->w.env->access(k->w.env, &a);
}

static void *worker_run(void *arg)
{
	struct worker *k = arg;

	for (uint64_t round = 0; round < WORKER_ROUNDS && !k->failure; round++) {
		if (!worker_change(k, 0, RW))
			k->failure = "map";
		for (uint64_t i = 0; i < WORKER_PAGES && !k->failure; i++)
			worker_store(k, k->page + i, k->page + round + i);
		if (!k->failure && !worker_change(k, RW, RO))
			k->failure = "protect";
		if (!k->failure && !worker_change(k, RO, 0))
			k->failure = "unmap";
		for (pfn_t i = 0; i < WORKER_PAGES && !k->failure; i++)
			if (!is_filled(frame(&k->w, k->pfn + i), k->page + round + i))
				k->failure = "content";
	}
	return NULL;
}

static void threads_work_on_different_pages(void **state)
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

/* The random case: what each page and each frame is. */
#define MODEL_PAGES  64
#define MODEL_FRAMES 80
#define MODEL_STEPS  1500
#define MODEL_BATCH  16

struct model {
	struct world *w;
	struct rng rng;
	uint64_t seeds[MODEL_FRAMES]; /* what each frame holds */
	bool is_used[MODEL_FRAMES];
	bool is_dirty[MODEL_PAGES]; /* written since the translation was made */
	uint64_t last_seed;
};

static pfn_t model_take_frame(struct model *m)
{
	pfn_t pfn = (pfn_t)rng_below(&m->rng, MODEL_FRAMES);

	while (m->is_used[pfn])
		pfn = (pfn + 1) % MODEL_FRAMES;
	m->is_used[pfn] = true;
	if (rng_chance(&m->rng, 50)) {
		m->seeds[pfn] = ++m->last_seed;
		fill(frame(m->w, pfn), m->seeds[pfn]);
	}
	return pfn;
}

/* The next state of a page, at random. A frame that leaves is free after the batch. */
static pte_t model_next(struct model *m, pte_t pte)
{
	pte_t bits = rng_chance(&m->rng, 60) ? RW : RO;
	uint64_t dice = rng_below(&m->rng, 100);

	if (!pte_is_present(pte))
		return dice < 70 ? pte_make(model_take_frame(m), bits) : pte;
	if (dice < 50)
		return 0;
	if (dice < 80)
		return pte_make(pte_pfn(pte), bits);
	return pte;
}

static void model_changed(struct model *m, uint64_t page, const struct machine_change *change)
{
	pte_t was = m->w->ptes[page];
	bool tells = (m->w->m->ops->caps & MACHINE_SETS_DIRTY) != 0;

	if (was != change->new_pte) {
		assert_int_equal((change->old_pte & PTE_DIRTY) != 0,
				 tells && m->is_dirty[page]);
		m->is_dirty[page] = false;
	}
	if (pte_is_present(was) && !pte_is_present(change->new_pte)) {
		assert_true(is_filled(frame(m->w, pte_pfn(was)), m->seeds[pte_pfn(was)]));
		m->is_used[pte_pfn(was)] = false;
	}
	m->w->ptes[page] = change->new_pte;
}

static void model_batch(struct model *m)
{
	uint32_t nr = (uint32_t)rng_between(&m->rng, 1, MODEL_BATCH);
	uint64_t first = rng_below(&m->rng, MODEL_PAGES - nr + 1);
	struct machine_change changes[MODEL_BATCH];
	struct machine_batch batch = {.changes = changes, .nr = nr};

	for (uint32_t i = 0; i < nr; i++)
		changes[i] = (struct machine_change){
			.va = page_va(m->w, first + i),
			.old_pte = m->w->ptes[first + i],
			.new_pte = model_next(m, m->w->ptes[first + i]),
		};
	assert_int_equal(m->w->m->ops->apply(m->w->m, m->w->space, &batch), 0);
	assert_int_equal(batch.nr_done, nr);
	for (uint32_t i = 0; i < nr; i++)
		model_changed(m, first + i, &changes[i]);
}

/* A read of any page; where it is not translated it faults. */
static void model_load(struct model *m, uint64_t page)
{
	pfn_t pfn;

	if (pte_is_present(m->w->ptes[page])) {
		assert_reads(m->w, page, m->seeds[pte_pfn(m->w->ptes[page])]);
		return;
	}
	pfn = model_take_frame(m);
	assert_read_faults(m->w, page, pte_make(pfn, RO), m->seeds[pfn]);
}

static void model_store(struct model *m, uint64_t page)
{
	pte_t pte = m->w->ptes[page];
	pfn_t pfn = pte_is_present(pte) ? pte_pfn(pte) : model_take_frame(m);

	m->seeds[pfn] = ++m->last_seed;
	if (pte_is_present(pte) && (pte & PTE_WRITE))
		assert_writes(m->w, page, m->seeds[pfn]);
	else
		assert_write_faults(m->w, page, pte_make(pfn, RW), m->seeds[pfn]);
	m->is_dirty[page] = true;
}

static void random_steps_keep_every_byte(void **state)
{
	struct model m = {.w = *state, .rng = rng_make(test_seed())};

	for (pfn_t pfn = 0; pfn < MODEL_FRAMES; pfn++) {
		m.seeds[pfn] = ++m.last_seed;
		fill(frame(m.w, pfn), m.seeds[pfn]);
	}
	for (int i = 0; i < MODEL_STEPS; i++) {
		uint64_t page = rng_below(&m.rng, MODEL_PAGES);

		if (rng_chance(&m.rng, 40))
			model_batch(&m);
		else if (rng_chance(&m.rng, 50))
			model_load(&m, page);
		else
			model_store(&m, page);
	}
	for (uint64_t page = 0; page < MODEL_PAGES; page++)
		model_load(&m, page);
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
	region(w, 0, CONFORMANCE_PAGES, MACHINE_REGION_MAP, PROT_RW);
	*state = w;
	return 0;
}

static int world_teardown(void **state)
{
	struct world *w = *state;

	set_run(w, 0, CONFORMANCE_PAGES, 0, 0);
	region(w, 0, CONFORMANCE_PAGES, MACHINE_REGION_UNMAP, 0);
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
