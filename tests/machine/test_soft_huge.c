/* SPDX-License-Identifier: MIT */
/*
 * Pages of 4 KiB, 64 KiB, 2 MiB and 1 GiB mixed, on two processors with a TLB each and without
 * TLBs: each access does what the last apply() said, and no dirty bit is lost.
 */
#include <errno.h>
#include <string.h>

#include "machine/mmu.h"
#include "machine/soft.h"
#include "machine/soft_replay.h"
#include "support/rng.h"
#include "support/test.h"

#define NR_CPUS	  2
#define START	  0x200000000000u
#define NR_PAGES  1024 /* two of 2 MiB */
#define NR_FRAMES (2 * NR_PAGES)
#define STEPS	  4000
#define RO	  (PTE_PRESENT | PTE_USER | PTE_NX)
#define RW	  (RO | PTE_WRITE)
#define CAPS	  (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY | MACHINE_HUGE)
#define GIB_PAGES (1u << 18)

static unsigned int this_cpu;

static unsigned int cpu(void *arg)
{
	(void)arg;
	return this_cpu;
}

/* A page of the model: the change that made it, or order 0 and nothing. */
struct unit {
	pte_t pte; /* of the first page of the unit */
	unsigned int order;
	bool is_written, is_used;
};

struct world {
	struct machine *m;
	struct machine_space *space;
	struct rng rng;
	struct unit units[NR_PAGES]; /* by first page; pte 0: none begins here */
	uint64_t content[NR_FRAMES];
	uint64_t last;
};

static void world_create(struct world *w, const char *preset)
{
	const struct machine_soft_config cfg = {.nr_frames = NR_FRAMES,
						.caps = CAPS,
						.tlb = preset ? tlb_preset_find(preset) : NULL,
						.nr_cpus = preset ? NR_CPUS : 0,
						.cpu = cpu};

	memset(w, 0, sizeof(*w));
	w->rng = rng_make(test_seed());
	assert_int_equal(machine_soft_create(&cfg, &w->m), 0);
	assert_int_equal(
		w->m->ops->space_create(w->m, START, START + NR_PAGES * PAGE_SIZE, &w->space),
		0);
}

static void world_destroy(struct world *w)
{
	w->m->ops->space_destroy(w->m, w->space);
	for (unsigned int i = 0; machine_soft_tlb(w->m, i); i++)
		assert_int_equal(tlb_check(machine_soft_tlb(w->m, i)), 0);
	machine_soft_destroy(w->m);
}

static uint64_t *frame(struct world *w, pfn_t pfn)
{
	return (uint64_t *)(w->m->ram + pfn * PAGE_SIZE);
}

/* The unit that the page is in, or NULL. */
static struct unit *unit_of(struct world *w, unsigned int page)
{
	static const unsigned int orders[] = {0, 4, 9};

	for (unsigned int i = 0; i < 3; i++) {
		struct unit *u = &w->units[page & ~((1u << orders[i]) - 1)];

		if (u->pte && u->order >= orders[i])
			return u;
	}
	return NULL;
}

static unsigned int first_page(const struct world *w, const struct unit *u)
{
	return (unsigned int)(u - w->units);
}

static pte_t apply_one(struct world *w, unsigned int page, unsigned int order, pte_t old,
		       pte_t new)
{
	struct machine_change c = {START + page * PAGE_SIZE, old, new, order};
	struct machine_batch batch = {.changes = &c, .nr = 1};

	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	return c.old_pte;
}

static void unit_map(struct world *w, unsigned int page)
{
	static const unsigned int orders[] = {9, 9, 4, 4, 0};
	unsigned int order = orders[rng_below(&w->rng, 5)];
	pfn_t pfn;

	page &= ~((1u << order) - 1);
	for (unsigned int i = page; i < page + (1u << order); i++)
		if (unit_of(w, i))
			return;
	pfn = page + (pfn_t)(rng_chance(&w->rng, 50) ? NR_PAGES : 0);
	for (unsigned int i = 0; i < 1u << order; i++)
		*frame(w, pfn + i) = w->content[pfn + i] = ++w->last;
	w->units[page] = (struct unit){.pte = pte_make(pfn, rng_chance(&w->rng, 70) ? RW : RO),
				       .order = order};
	apply_one(w, page, order, 0, w->units[page].pte);
}

static void unit_change(struct world *w, struct unit *u)
{
	pte_t new = rng_chance(&w->rng, 60) ? 0 : u->pte ^ PTE_WRITE;
	pfn_t pfn = pte_pfn(u->pte);
	pte_t seen;

	if (rng_chance(&w->rng, 10))
		new = u->pte;
	seen = apply_one(w, first_page(w, u), u->order, u->pte, new);
	if (new == u->pte)
		return;
	assert_int_equal((seen & PTE_DIRTY) != 0, u->is_written);
	if (u->is_used && !machine_soft_tlb(w->m, 0)) /* else: what harvest() cleared */
		assert_true(seen & PTE_ACCESSED);
	for (unsigned int i = 0; !new &&i < 1u << u->order; i++)
		*frame(w, pfn + i) = UINT64_MAX; /* the next owner's */
	u->pte = new;
	u->is_written = u->is_used = false;
}

static void access_one(struct world *w)
{
	unsigned int page = (unsigned int)rng_below(&w->rng, NR_PAGES);
	struct unit *u = unit_of(w, page);
	bool is_write = rng_chance(&w->rng, 30);
	vaddr_t va = START + page * PAGE_SIZE;
	struct machine_soft_fault fault;
	uint64_t word = ++w->last;
	pfn_t pfn;
	int err;

	this_cpu = (unsigned int)rng_below(&w->rng, NR_CPUS);
	err = is_write ? machine_soft_store(w->space, va, &word, 8, &fault)
		       : machine_soft_load(w->space, va, &word, 8, &fault);
	if (!u || (is_write && !(u->pte & PTE_WRITE))) {
		assert_int_equal(err, -EFAULT);
		assert_int_equal(fault.error_code, MMU_PF_USER | (is_write ? MMU_PF_WRITE : 0) |
							   (u ? MMU_PF_PRESENT : 0));
		return;
	}
	assert_int_equal(err, 0);
	pfn = pte_pfn(u->pte) + (page - first_page(w, u));
	u->is_used = true;
	if (!is_write) {
		assert_int_equal(word, w->content[pfn]);
		return;
	}
	w->content[pfn] = word;
	u->is_written = true;
	assert_int_equal(*frame(w, pfn), word);
}

struct harvest {
	struct world *w;
	unsigned int page; /* the unit's first */
	bool is_seen;
};

static void seen(void *arg, vaddr_t va, pte_t bits)
{
	struct harvest *h = arg;
	unsigned int page = (unsigned int)((va - START) / PAGE_SIZE);

	assert_true(bits & PTE_ACCESSED);
	assert_ptr_equal(unit_of(h->w, page), &h->w->units[h->page]);
	if (h->w->units[h->page].order == 9)
		assert_int_equal(page, h->page); /* once, where it begins */
	h->is_seen = true;
}

static void harvest(struct world *w, struct unit *u)
{
	vaddr_t va = START + first_page(w, u) * PAGE_SIZE;
	struct harvest h = {.w = w, .page = first_page(w, u)};

	w->m->ops->harvest(w->m, w->space, va, va + (PAGE_SIZE << u->order), seen, &h);
	if (u->is_used)
		assert_true(h.is_seen || machine_soft_tlb(w->m, 0));
	u->is_used = false;
}

static void run(const char *preset)
{
	struct world w;

	world_create(&w, preset);
	for (unsigned int i = 0; i < STEPS; i++) {
		unsigned int page = (unsigned int)rng_below(&w.rng, NR_PAGES);
		struct unit *u = unit_of(&w, page);
		uint64_t dice = rng_below(&w.rng, 100);

		if (dice >= 20)
			access_one(&w);
		else if (dice < 8 && u)
			unit_change(&w, u);
		else if (dice < 17)
			unit_map(&w, page);
		else if (dice < 18 && u)
			harvest(&w, u);
	}
	world_destroy(&w);
}

static void sizes_mixed_without_tlbs(void **state)
{
	(void)state;
	run(NULL);
}

static void sizes_mixed_on_every_preset(void **state)
{
	(void)state;
	for (size_t i = 0; i < tlb_nr_presets; i++)
		run(tlb_presets[i].name);
}

/* 64 KiB: one walk for sixteen pages. 2 MiB: one for 512. */
static void one_tlb_entry_for_each(void **state)
{
	static const struct {
		const char *preset;
		unsigned int order;
		enum tlb_size size;
	} cases[] = {{"cortex-a76", 4, TLB_64K}, {"skylake", 9, TLB_2M}};

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		struct machine_soft_fault fault;
		struct tlb_stats stats;
		struct world w;
		uint64_t word;

		world_create(&w, cases[i].preset);
		this_cpu = 0;
		apply_one(&w, 0, cases[i].order, 0, pte_make(0, RW));
		for (unsigned int page = 0; page < 1u << cases[i].order; page++)
			assert_int_equal(machine_soft_load(w.space, START + page * PAGE_SIZE,
							   &word, 8, &fault),
					 0);
		stats = tlb_stats_get(machine_soft_tlb(w.m, 0));
		assert_int_equal(stats.walks[TLB_DATA][cases[i].size], 1);
		assert_int_equal(stats.walks[TLB_DATA][TLB_4K], 0);
		world_destroy(&w);
	}
}

static void a_forgotten_huge_page_comes_back(void **state)
{
	struct machine_soft_fault fault;
	uint64_t word = 1;
	struct world w;

	(void)state;
	world_create(&w, "skylake");
	apply_one(&w, 512, 9, 0, pte_make(512, RW));
	assert_int_equal(machine_soft_store(w.space, START + (5 << 20) / 2, &word, 8, &fault),
			 0);
	machine_soft_forget(w.space, START, START + NR_PAGES * PAGE_SIZE);
	assert_int_equal(machine_soft_load(w.space, START + (2 << 20), &word, 8, &fault),
			 -EFAULT);
	apply_one(&w, 512, 9, pte_make(512, RW), pte_make(512, RW));
	assert_int_equal(machine_soft_load(w.space, START + (2 << 20), &word, 8, &fault), 0);
	assert_true(apply_one(&w, 512, 9, pte_make(512, RW), 0) & PTE_DIRTY);
	world_destroy(&w);
}

/* What a replay holds the address of goes on to tell the truth, and its bits count. */
static void a_replay_sees_each_page_of_a_huge_one(void **state)
{
	struct world w;
	pte_t *entries;

	(void)state;
	world_create(&w, NULL);
	assert_int_equal(machine_soft_entries(w.space, START + PAGE_SIZE, &entries), 0);
	assert_false(machine_soft_touch(&entries[7], MM_ACCESS_READ));
	apply_one(&w, 0, 9, 0, pte_make(0, RW));
	assert_true(machine_soft_touch(&entries[7], MM_ACCESS_READ));
	assert_true(entries[7] & SOFT_ENTRY_2M);
	assert_true(machine_soft_touch(&entries[511], MM_ACCESS_WRITE));
	assert_int_equal(apply_one(&w, 0, 9, pte_make(0, RW), 0) & (PTE_DIRTY | PTE_ACCESSED),
			 PTE_DIRTY | PTE_ACCESSED);
	assert_false(machine_soft_touch(&entries[7], MM_ACCESS_READ));
	apply_one(&w, 16, 4, 0, pte_make(16, RW));
	assert_true(machine_soft_touch(&entries[17], MM_ACCESS_WRITE));
	assert_true(entries[17] & SOFT_ENTRY_64K);
	assert_true(apply_one(&w, 16, 4, pte_make(16, RW), 0) & PTE_DIRTY);
	world_destroy(&w);
}

static void a_gigabyte_is_one_page(void **state)
{
	const struct machine_soft_config cfg = {.nr_frames = GIB_PAGES,
						.caps = CAPS,
						.tlb = tlb_preset_find("skylake"),
						.nr_cpus = 1};
	struct machine_soft_fault fault;
	struct world w = {0};
	uint64_t word = 77;

	(void)state;
	assert_int_equal(machine_soft_create(&cfg, &w.m), 0);
	assert_int_equal(
		w.m->ops->space_create(w.m, START, START + GIB_PAGES * PAGE_SIZE, &w.space), 0);
	/* A table that is there is put by, and comes back. */
	apply_one(&w, 3, 0, 0, pte_make(3, RW));
	assert_int_equal(machine_soft_load(w.space, START + 3 * PAGE_SIZE, &word, 8, &fault),
			 0);
	apply_one(&w, 3, 0, pte_make(3, RW), 0);
	apply_one(&w, 0, 18, 0, pte_make(0, RW));
	word = 78;
	assert_int_equal(machine_soft_store(w.space, START + (GIB_PAGES - 1) * PAGE_SIZE, &word,
					    8, &fault),
			 0);
	assert_int_equal(*frame(&w, GIB_PAGES - 1), 78);
	assert_int_equal(machine_soft_load(w.space, START + 3 * PAGE_SIZE, &word, 8, &fault),
			 0);
	assert_int_equal(tlb_stats_get(machine_soft_tlb(w.m, 0)).walks[TLB_DATA][TLB_1G] > 0,
			 true);
	assert_true(apply_one(&w, 0, 18, pte_make(0, RW), 0) & PTE_DIRTY);
	assert_int_equal(machine_soft_load(w.space, START + 3 * PAGE_SIZE, &word, 8, &fault),
			 -EFAULT);
	apply_one(&w, 3, 0, 0, pte_make(3, RW));
	assert_int_equal(machine_soft_load(w.space, START + 3 * PAGE_SIZE, &word, 8, &fault),
			 0);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(sizes_mixed_without_tlbs),
	cmocka_unit_test(sizes_mixed_on_every_preset),
	cmocka_unit_test(one_tlb_entry_for_each),
	cmocka_unit_test(a_forgotten_huge_page_comes_back),
	cmocka_unit_test(a_replay_sees_each_page_of_a_huge_one),
	cmocka_unit_test(a_gigabyte_is_one_page),
};
TEST_MAIN(tests)
