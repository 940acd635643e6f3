/* SPDX-License-Identifier: MIT */
/*
 * Two processors with a TLB each on one address space: once apply() has returned, nobody uses a
 * translation that it took away.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "machine/mmu.h"
#include "machine/soft.h"
#include "mm/pgtable.h"
#include "support/rng.h"
#include "support/test.h"

#define NR_CPUS	  2
#define NR_FRAMES 128
#define NR_PAGES  48
#define START	  0x200000000000u
#define STEPS	  20000
#define ROUNDS	  1000
#define SPINS_MAX 1000000
#define BATCH_MAX 40 /* above what is invalidated page by page */
#define RO	  (PTE_PRESENT | PTE_USER | PTE_NX)
#define RW	  (RO | PTE_WRITE)

static _Thread_local unsigned int this_cpu;

static unsigned int cpu(void *arg)
{
	(void)arg;
	return this_cpu;
}

struct world {
	struct machine *m;
	struct machine_space *space;
	struct rng rng;
	pte_t ptes[NR_PAGES];
	bool is_written[NR_PAGES];
	bool is_used[NR_FRAMES];
	uint64_t content[NR_FRAMES];
	uint64_t last;
};

static void world_create(struct world *w, const char *preset, bool harvest_invalidates)
{
	const struct machine_soft_config cfg = {.nr_frames = NR_FRAMES,
						.caps = MACHINE_SETS_ACCESSED |
							MACHINE_SETS_DIRTY,
						.tlb = tlb_preset_find(preset),
						.nr_cpus = NR_CPUS,
						.cpu = cpu,
						.harvest_invalidates = harvest_invalidates};

	memset(w, 0, sizeof(*w));
	w->rng = rng_make(test_seed());
	assert_int_equal(machine_soft_create(&cfg, &w->m), 0);
	assert_int_equal(
		w->m->ops->space_create(w->m, START, START + NR_PAGES * PAGE_SIZE, &w->space),
		0);
}

static void world_destroy(struct world *w)
{
	this_cpu = 0;
	w->m->ops->space_destroy(w->m, w->space);
	for (unsigned int i = 0; i < NR_CPUS; i++)
		assert_int_equal(tlb_check(machine_soft_tlb(w->m, i)), 0);
	machine_soft_destroy(w->m);
}

static uint64_t *frame(struct world *w, pfn_t pfn)
{
	return (uint64_t *)(w->m->ram + pfn * PAGE_SIZE);
}

/* Neighbours often get neighbouring frames, so that blocks of 64K come about. */
static pfn_t take_frame(struct world *w, unsigned int page)
{
	pfn_t pfn = rng_chance(&w->rng, 80) ? 64 + page : (pfn_t)rng_below(&w->rng, NR_FRAMES);

	while (w->is_used[pfn])
		pfn = (pfn + 1) % NR_FRAMES;
	w->is_used[pfn] = true;
	*frame(w, pfn) = w->content[pfn] = ++w->last;
	return pfn;
}

static pte_t next_state(struct world *w, unsigned int page)
{
	pte_t bits = rng_chance(&w->rng, 70) ? RW : RO;

	if (!pte_is_present(w->ptes[page]))
		return pte_make(take_frame(w, page), bits);
	return rng_chance(&w->rng, 50) ? 0 : pte_make(pte_pfn(w->ptes[page]), bits);
}

static void change(struct world *w)
{
	struct machine_change changes[BATCH_MAX];
	unsigned int first = (unsigned int)rng_below(&w->rng, NR_PAGES), nr = 1;
	struct machine_batch batch = {.changes = changes};

	if (rng_chance(&w->rng, 20))
		nr = (unsigned int)rng_between(&w->rng, 1, BATCH_MAX);
	for (unsigned int i = first; i < NR_PAGES && i < first + nr; i++)
		changes[batch.nr++] = (struct machine_change){START + i * PAGE_SIZE, w->ptes[i],
							      next_state(w, i)};
	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	for (unsigned int i = 0; i < batch.nr; i++) {
		unsigned int page = first + i;
		pte_t was = w->ptes[page];

		if (was != changes[i].new_pte) {
			assert_int_equal((changes[i].old_pte & PTE_DIRTY) != 0,
					 w->is_written[page]);
			w->is_written[page] = false;
		}
		if (pte_is_present(was) && !pte_is_present(changes[i].new_pte))
			w->is_used[pte_pfn(was)] = false;
		if (pte_is_present(was) && !pte_is_present(changes[i].new_pte))
			*frame(w, pte_pfn(was)) = 0; /* the next owner's */
		w->ptes[page] = changes[i].new_pte;
	}
}

/* The access must do just what the last apply() said, whatever the TLBs hold. */
static void access_one(struct world *w)
{
	unsigned int page = (unsigned int)rng_below(&w->rng, NR_PAGES);
	bool is_write = rng_chance(&w->rng, 30);
	pte_t pte = w->ptes[page];
	struct machine_soft_fault fault;
	uint64_t word = ++w->last;
	vaddr_t va = START + page * PAGE_SIZE;
	int err;

	this_cpu = (unsigned int)rng_below(&w->rng, NR_CPUS);
	err = is_write ? machine_soft_store(w->space, va, &word, 8, &fault)
		       : machine_soft_load(w->space, va, &word, 8, &fault);
	if (!pte_is_present(pte) || (is_write && !(pte & PTE_WRITE))) {
		assert_int_equal(err, -EFAULT);
		assert_int_equal(fault.error_code, MMU_PF_USER | (is_write ? MMU_PF_WRITE : 0) |
							   (pte ? MMU_PF_PRESENT : 0));
		return;
	}
	assert_int_equal(err, 0);
	if (!is_write) {
		assert_int_equal(word, w->content[pte_pfn(pte)]);
		return;
	}
	w->content[pte_pfn(pte)] = word;
	w->is_written[page] = true;
	assert_int_equal(*frame(w, pte_pfn(pte)), word);
}

static void seen(void *arg, vaddr_t va, pte_t bits)
{
	struct world *w = arg;

	assert_true(pte_is_present(w->ptes[(va - START) / PAGE_SIZE]));
	assert_true(bits & PTE_ACCESSED);
}

static void run_litmus(const char *preset, bool harvest_invalidates)
{
	struct world w;

	world_create(&w, preset, harvest_invalidates);
	for (unsigned int i = 0; i < STEPS; i++) {
		uint64_t dice = rng_below(&w.rng, 100);

		if (dice < 8)
			change(&w);
		else if (dice < 9)
			w.m->ops->harvest(w.m, w.space, START, START + NR_PAGES * PAGE_SIZE,
					  seen, &w);
		else
			access_one(&w);
	}
	assert_true(tlb_accesses(machine_soft_tlb(w.m, 0)) > STEPS / 4);
	assert_true(tlb_accesses(machine_soft_tlb(w.m, 1)) > STEPS / 4);
	world_destroy(&w);
}

static void no_stale_translation_is_used(void **state)
{
	(void)state;
	for (size_t i = 0; i < tlb_nr_presets; i++) {
		run_litmus(tlb_presets[i].name, false);
		run_litmus(tlb_presets[i].name, true);
	}
}

static void count_seen(void *arg, vaddr_t va, pte_t bits)
{
	(void)va;
	(void)bits;
	++*(unsigned int *)arg;
}

/* A page that stays in a TLB is seen once, or each time if harvest invalidates. */
static void harvest_invalidates_if_asked(void **state)
{
	(void)state;
	for (int invalidates = 0; invalidates < 2; invalidates++) {
		struct machine_soft_fault fault;
		unsigned int nr_seen = 0;
		struct world w;
		uint64_t word;

		world_create(&w, "skylake", invalidates);
		this_cpu = 1;
		while (!pte_is_present(w.ptes[0]))
			change(&w);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(machine_soft_load(w.space, START, &word, 8, &fault),
					 0);
			w.m->ops->harvest(w.m, w.space, START, START + PAGE_SIZE, count_seen,
					  &nr_seen);
		}
		assert_int_equal(nr_seen, invalidates ? 3 : 1);
		world_destroy(&w);
	}
}

/* An id that a dead space had is the next one's: nothing of the dead one may be left. */
static void a_new_space_finds_nothing_of_a_dead_one(void **state)
{
	struct machine_soft_fault fault;
	uint16_t asid;
	struct world w;
	uint64_t word;

	(void)state;
	world_create(&w, "zen2", false);
	while (!pte_is_present(w.ptes[0]))
		change(&w);
	this_cpu = 0;
	assert_int_equal(machine_soft_load(w.space, START, &word, 8, &fault), 0);
	asid = machine_soft_asid(w.space);
	w.m->ops->space_destroy(w.m, w.space);
	assert_int_equal(
		w.m->ops->space_create(w.m, START, START + NR_PAGES * PAGE_SIZE, &w.space), 0);
	assert_int_equal(machine_soft_asid(w.space), asid);
	assert_int_equal(machine_soft_load(w.space, START, &word, 8, &fault), -EFAULT);
	world_destroy(&w);
}

static void bad_configs_are_refused(void **state)
{
	static const struct tlb_config none;
	const struct machine_soft_config bad[] = {
		{.nr_frames = 1, .nr_cpus = 1},
		{.nr_frames = 1, .tlb = &none},
		{.nr_frames = 1, .tlb = &tlb_presets[0], .nr_cpus = SOFT_CPUS_MAX + 1},
	};
	struct machine *m;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(machine_soft_create(&bad[i], &m), -EINVAL);
}

/*
 * Threads: processor 1 reads page 0 all the time, while processor 0 moves it from frame to
 * frame, and writes each frame only while it is not mapped. A reader that used a translation
 * too long would see the number of a later round, or race with the writer, which
 * ThreadSanitizer sees.
 */
struct reader {
	struct world *w;
	uint64_t round; /* atomic: the round whose apply() has returned */
	bool is_over;	/* atomic */
	uint64_t nr_read;
	bool is_wrong; /* cmocka's assertions are for the main thread */
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;

	this_cpu = 1;
	while (!__atomic_load_n(&r->is_over, __ATOMIC_ACQUIRE)) {
		uint64_t before = __atomic_load_n(&r->round, __ATOMIC_ACQUIRE), word;
		struct machine_soft_fault fault;

		if (machine_soft_load(r->w->space, START, &word, 8, &fault))
			continue;
		/* Not older than what was true before, and never what a free frame holds. */
		if (word < before || word == UINT64_MAX)
			r->is_wrong = true;
		__atomic_fetch_add(&r->nr_read, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void move_page(struct world *w, pte_t pte)
{
	struct machine_change c = {.va = START, .old_pte = w->ptes[0], .new_pte = pte};
	struct machine_batch batch = {.changes = &c, .nr = 1};

	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	w->ptes[0] = pte;
}

/* So that both get to run, on one processor too. */
static void wait_for_reads(struct reader *r)
{
	uint64_t before = __atomic_load_n(&r->nr_read, __ATOMIC_RELAXED);

	for (uint64_t spins = 0; spins < SPINS_MAX; spins++) {
		if (__atomic_load_n(&r->nr_read, __ATOMIC_RELAXED) != before)
			return;
		sched_yield();
	}
}

static void a_reader_never_sees_a_frame_that_left(void **state)
{
	struct reader r = {.round = 0};
	pthread_t thread;
	struct world w;

	(void)state;
	world_create(&w, "skylake", false);
	r.w = &w;
	assert_int_equal(pthread_create(&thread, NULL, reader_run, &r), 0);
	this_cpu = 0;
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		pfn_t pfn = (pfn_t)(round % 2);

		*frame(&w, pfn) = round;
		move_page(&w, pte_make(pfn, RO));
		*frame(&w, !pfn) = UINT64_MAX; /* nobody's now */
		__atomic_store_n(&r.round, round, __ATOMIC_RELEASE);
		if (round % 8 == 0)
			wait_for_reads(&r);
	}
	__atomic_store_n(&r.is_over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_false(r.is_wrong);
	assert_true(r.nr_read > 0);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(no_stale_translation_is_used),
	cmocka_unit_test(harvest_invalidates_if_asked),
	cmocka_unit_test(a_new_space_finds_nothing_of_a_dead_one),
	cmocka_unit_test(bad_configs_are_refused),
	cmocka_unit_test(a_reader_never_sees_a_frame_that_left),
};

TEST_MAIN(tests)
