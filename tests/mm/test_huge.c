/* SPDX-License-Identifier: MIT */
/*
 * Larger pages of programs, case by case: who gets one, what splits one, what is counted.
 */
#include <errno.h>

#include "mm/huge.h"
#include "support/test.h"
#include "world.h"

#define RW   (MM_PROT_READ | MM_PROT_WRITE)
#define BITS (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)
#define THP  512 /* pages */

static struct world_config config(uint32_t thp, uint32_t thp_64k)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	cfg.caps = BITS | MACHINE_HUGE;
	cfg.nr_frames = 2048;
	cfg.thp = thp;
	cfg.thp_64k = thp_64k;
	cfg.seed = test_seed();
	return cfg;
}

static void create(struct world *w, uint32_t thp, uint32_t thp_64k)
{
	struct world_config cfg = config(thp, thp_64k);

	world_create(w, &cfg);
}

/* The order of the page that is mapped there; -1: none is. */
static int order_at(struct world *w, unsigned int page)
{
	struct huge_leaf leaf;
	const pte_t *pte;

	if (huge_find(w->mm, world_va(page), &leaf))
		return (int)leaf.order;
	pte = pgtable_lookup(w->mm, world_va(page));
	return pte && pte_is_resident(*pte) ? 0 : -1;
}

static void fill(struct world *w, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		assert_in_range(world_write(w, i), 0, MM_FAULT_MAJOR);
}

static void read_all(struct world *w, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		assert_in_range(world_read(w, i), 0, MM_FAULT_MAJOR);
	world_check(w);
}

/* 512 pages with one fault; a second area that is too short gets single ones. */
static void one_fault_for_2_mib(void **state)
{
	struct world w;

	(void)state;
	create(&w, MM_THP_ALWAYS, MM_THP_NEVER);
	world_map(&w, 0, THP + 100, RW);
	fill(&w, 0, THP);
	assert_int_equal(WSTAT(&w, pgfault), 1);
	assert_int_equal(WSTAT(&w, thp_fault_alloc), 1);
	assert_int_equal(WSTAT(&w, nr_anon_transparent_hugepages), 1);
	assert_int_equal(WSTAT(&w, nr_anon_pages), THP);
	assert_int_equal(w.mm->nr_resident, THP);
	assert_int_equal(order_at(&w, 77), 9);
	fill(&w, THP, 100);
	assert_int_equal(WSTAT(&w, pgfault), 101);
	assert_int_equal(order_at(&w, THP), 0);
	assert_int_equal(WSTAT(&w, thp_fault_fallback), 0);
	read_all(&w, 0, THP + 100);
	world_destroy(&w);
}

static void sixteen_pages_for_64_kib(void **state)
{
	struct world w;

	(void)state;
	create(&w, MM_THP_NEVER, MM_THP_ALWAYS);
	world_map(&w, 3, 60, RW);
	fill(&w, 3, 60);
	/* [3, 16) single, [16, 48) two of 64 KiB, [48, 63) single */
	assert_int_equal(WSTAT(&w, anon_64k_fault_alloc), 2);
	assert_int_equal(WSTAT(&w, pgfault), 13 + 2 + 15);
	assert_int_equal(order_at(&w, 15), 0);
	assert_int_equal(order_at(&w, 16), 4);
	assert_int_equal(order_at(&w, 47), 4);
	assert_int_equal(order_at(&w, 48), 0);
	assert_int_equal(w.mm->nr_huge, 2);
	read_all(&w, 3, 60);
	world_destroy(&w);
}

static void modes_and_advice(void **state)
{
	static const struct {
		uint32_t thp, thp_64k;
		int advice, order;
	} cases[] = {
		{MM_THP_ALWAYS, MM_THP_ALWAYS, MM_MADV_NORMAL, 9},
		{MM_THP_ALWAYS, MM_THP_ALWAYS, MM_MADV_NOHUGEPAGE, 0},
		{MM_THP_MADVISE, MM_THP_NEVER, MM_MADV_NORMAL, 0},
		{MM_THP_MADVISE, MM_THP_NEVER, MM_MADV_HUGEPAGE, 9},
		{MM_THP_NEVER, MM_THP_NEVER, MM_MADV_HUGEPAGE, 0},
		{MM_THP_NEVER, MM_THP_ALWAYS, MM_MADV_NORMAL, 4},
		{MM_THP_NEVER, MM_THP_MADVISE, MM_MADV_NORMAL, 0},
		{MM_THP_NEVER, MM_THP_MADVISE, MM_MADV_HUGEPAGE, 4},
		{MM_THP_MADVISE, MM_THP_INHERIT, MM_MADV_NORMAL, 0},
		{MM_THP_NEVER, MM_THP_INHERIT, MM_MADV_HUGEPAGE, 0},
		{MM_THP_DEFAULT, MM_THP_NEVER, MM_MADV_NORMAL, 0}, /* 8 MiB of RAM */
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;

		create(&w, cases[i].thp, cases[i].thp_64k);
		world_map(&w, 0, THP, RW);
		world_advise(&w, 0, THP, cases[i].advice);
		fill(&w, 100, 1);
		assert_int_equal(order_at(&w, 100), cases[i].order);
		world_destroy(&w);
	}
}

/* A block of order 9 cannot be had: 64 KiB can; and then not even that. */
static void falls_back_to_smaller_pages(void **state)
{
	struct world w;

	(void)state;
	create(&w, MM_THP_ALWAYS, MM_THP_ALWAYS);
	world_map(&w, 0, WORLD_PAGES, RW);
	w.sys->fail_alloc = 4; /* PUD, PMD and deposit come first */
	fill(&w, 5, 1);
	assert_int_equal(w.sys->fail_alloc, 0);
	assert_int_equal(WSTAT(&w, thp_fault_fallback), 1);
	assert_int_equal(order_at(&w, 5), 4);
	w.sys->fail_alloc = 1; /* a small page is there: 2 MiB are not tried again */
	fill(&w, 40, 1);
	assert_int_equal(WSTAT(&w, anon_64k_fault_fallback), 1);
	assert_int_equal(WSTAT(&w, thp_fault_fallback), 1);
	assert_int_equal(order_at(&w, 40), 0);
	world_check(&w);
	world_destroy(&w);
}

struct change {
	int (*call)(struct world *w, unsigned int first, unsigned int nr);
	bool splits_whole; /* also where it takes the page whole */
	bool unmaps;
};

static int protect(struct world *w, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		w->model[i].prot = MM_PROT_READ;
	return mm_protect(w->mm, world_va(first), nr * PAGE_SIZE, MM_PROT_READ);
}

static int unmap(struct world *w, unsigned int first, unsigned int nr)
{
	return mm_unmap(w->mm, world_va(first), nr * PAGE_SIZE);
}

static int dontneed(struct world *w, unsigned int first, unsigned int nr)
{
	world_advise(w, first, nr, MM_MADV_DONTNEED);
	return 0;
}

static int nohuge(struct world *w, unsigned int first, unsigned int nr)
{
	world_advise(w, first, nr, MM_MADV_NOHUGEPAGE);
	return 0;
}

static int pageout(struct world *w, unsigned int first, unsigned int nr)
{
	world_advise(w, first, nr, MM_MADV_PAGEOUT);
	return 0;
}

static int lock(struct world *w, unsigned int first, unsigned int nr)
{
	return mm_mlock(w->mm, world_va(first), nr * PAGE_SIZE, 0);
}

static int sequential(struct world *w, unsigned int first, unsigned int nr)
{
	world_advise(w, first, nr, MM_MADV_SEQUENTIAL);
	return 0;
}

static const struct change changes[] = {
	{.call = protect},
	{.call = unmap, .unmaps = true},
	{.call = dontneed, .unmaps = true},
	{.call = nohuge},
	{.call = pageout, .splits_whole = true},
	{.call = lock, .splits_whole = true},
	{.call = sequential},
};

/* [0, 512) of 2 MiB, or [0, 16) of 64 KiB: part of it, then all of it. */
static void run_change(const struct change *change, unsigned int order, bool is_part)
{
	unsigned int nr = 1u << order, first = is_part ? nr / 4 : 0;
	unsigned int nr_changed = is_part ? nr / 2 : nr;
	struct world w;
	bool is_split = is_part || change->splits_whole;

	create(&w, order == 9 ? MM_THP_ALWAYS : MM_THP_NEVER,
	       order == 4 ? MM_THP_ALWAYS : MM_THP_NEVER);
	world_map(&w, 0, nr, RW);
	fill(&w, 0, nr);
	assert_int_equal(order_at(&w, 0), order);
	assert_int_equal(change->call(&w, first, nr_changed), 0);
	world_check(&w);
	if (!is_part && change->unmaps)
		assert_int_equal(order_at(&w, 0), -1);
	else if (!change->splits_whole)
		assert_int_equal(order_at(&w, 0), is_split ? 0 : order);
	if (change->unmaps)
		assert_int_equal(w.mm->nr_resident, nr - nr_changed);
	assert_int_equal(WSTAT(&w, thp_split_pmd), order == 9 && is_split);
	assert_int_equal(WSTAT(&w, thp_split_page), order == 9 && is_split);
	world_settle(&w);
	for (unsigned int i = 0; i < nr; i++)
		if (change->call != unmap || i < first || i >= first + nr_changed)
			assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	world_destroy(&w);
}

static void what_splits_and_what_does_not(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		for (unsigned int part = 0; part < 2; part++) {
			run_change(&changes[i], 9, part);
			run_change(&changes[i], 4, part);
		}
	}
}

static void moves_go_as_single_pages(void **state)
{
	struct world w;
	vaddr_t addr;

	(void)state;
	create(&w, MM_THP_ALWAYS, MM_THP_ALWAYS);
	world_map(&w, 0, THP, RW);
	world_map(&w, THP, THP, RW);
	fill(&w, 0, WORLD_PAGES);
	assert_int_equal(mm_remap(w.mm, world_va(100), 200 * PAGE_SIZE, 200 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(700), &addr),
			 0);
	world_check(&w);
	assert_int_equal(WSTAT(&w, thp_split_page), 2); /* the one it leaves, the one it cuts */
	assert_int_equal(WSTAT(&w, thp_split_pmd), 2);
	assert_int_equal(WSTAT(&w, nr_anon_transparent_hugepages), 0);
	for (unsigned int i = 0; i < 200; i++)
		w.model[700 + i] = w.model[100 + i];
	read_all(&w, 0, 100);
	read_all(&w, 300, WORLD_PAGES - 300);
	world_destroy(&w);
}

/* RAM for one and a half: the least used one is split and swapped, and comes back. */
static void reclaim_splits_and_swaps(void **state)
{
	(void)state;
	for (unsigned int order = 4; order <= 9; order += 5) {
		struct world_config cfg = config(order == 9 ? MM_THP_ALWAYS : MM_THP_NEVER,
						 order == 4 ? MM_THP_ALWAYS : MM_THP_NEVER);
		struct world w;

		cfg.nr_frames = 1100;
		cfg.min_free_kbytes = 1600;
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		for (unsigned int round = 0; round < 3; round++) {
			fill(&w, 0, WORLD_PAGES);
			read_all(&w, 0, WORLD_PAGES);
		}
		assert_true(WSTAT(&w, pswpout) > 0);
		assert_int_equal(WSTAT(&w, thp_split_page) > 0, order == 9);
		world_destroy(&w);
	}
}

/* Linux: (2 + 9) blocks a zone, but 5% of RAM at most; only where they are on. */
static void min_free_kbytes_is_raised(void **state)
{
	struct world never, always;

	(void)state;
	create(&never, MM_THP_NEVER, MM_THP_NEVER);
	create(&always, MM_THP_ALWAYS, MM_THP_NEVER);
	assert_int_equal(never.sys->cfg.min_free_kbytes,
			 zone_default_min_free_kbytes(never.sys->zones[0].managed * 4));
	assert_in_range(always.sys->cfg.min_free_kbytes,
			always.sys->zones[0].managed / 20 * 4 - 4,
			always.sys->zones[0].managed / 20 * 4);
	world_destroy(&never);
	world_destroy(&always);
}

static void bad_modes_are_refused(void **state)
{
	const uint32_t bad[][2] = {
		{MM_THP_DEFAULT + 1, 0}, {MM_THP_INHERIT, 0}, {0, MM_THP_INHERIT + 1}};
	const struct machine_soft_config soft = {.nr_frames = 1024};
	struct machine *machine;
	struct mm_system *sys;

	(void)state;
	assert_int_equal(machine_soft_create(&soft, &machine), 0);
	for (unsigned int i = 0; i < 3; i++) {
		struct mm_config cfg = MM_CONFIG_DEFAULT;

		cfg.machine = machine;
		cfg.policy = policy_at(0);
		cfg.thp = bad[i][0];
		cfg.thp_64k = bad[i][1];
		assert_int_equal(mm_system_create(&cfg, &sys), -EINVAL);
	}
	machine_soft_destroy(machine);
}

/* A machine without them has none, whatever is configured. */
static void a_machine_without_has_none(void **state)
{
	struct world_config cfg = config(MM_THP_ALWAYS, MM_THP_ALWAYS);
	struct world w;

	(void)state;
	cfg.caps = BITS;
	world_create(&w, &cfg);
	world_map(&w, 0, THP, RW);
	fill(&w, 0, 20);
	assert_int_equal(order_at(&w, 0), 0);
	assert_int_equal(w.sys->cfg.min_free_kbytes,
			 zone_default_min_free_kbytes(w.sys->zones[0].managed * 4));
	world_destroy(&w);
}

/* Both sides go on with single pages, and their own content. */
static void fork_splits(void **state)
{
	struct world_config cfg = config(MM_THP_ALWAYS, MM_THP_ALWAYS);
	uint64_t word = 4711, seen;
	struct mm *child;
	struct world w;

	(void)state;
	cfg.caps |= MACHINE_MAPS_SHARED;
	world_create(&w, &cfg);
	world_map(&w, 0, THP + 16, RW);
	fill(&w, 0, THP + 16);
	assert_int_equal(order_at(&w, 0), 9);
	assert_int_equal(order_at(&w, THP), 4);
	assert_int_equal(mm_fork(w.mm, &child), 0);
	world_check(&w);
	assert_int_equal(order_at(&w, 0), 0);
	assert_int_equal(order_at(&w, THP), 0);
	assert_int_equal(WSTAT(&w, thp_split_page), 1);
	assert_int_equal(machine_soft_mm_store(child, world_va(3), &word, 8), MM_FAULT_MINOR);
	fill(&w, 4, 1);
	assert_in_range(machine_soft_mm_load(child, world_va(4), &seen, 8), 0, MM_FAULT_MAJOR);
	assert_int_not_equal(seen, w.model[4].stamp);
	read_all(&w, 0, THP + 16);
	mm_destroy(child);
	read_all(&w, 0, THP + 16);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(one_fault_for_2_mib),
	cmocka_unit_test(sixteen_pages_for_64_kib),
	cmocka_unit_test(modes_and_advice),
	cmocka_unit_test(falls_back_to_smaller_pages),
	cmocka_unit_test(what_splits_and_what_does_not),
	cmocka_unit_test(moves_go_as_single_pages),
	cmocka_unit_test(reclaim_splits_and_swaps),
	cmocka_unit_test(min_free_kbytes_is_raised),
	cmocka_unit_test(bad_modes_are_refused),
	cmocka_unit_test(a_machine_without_has_none),
	cmocka_unit_test(fork_splits),
};
TEST_MAIN(tests)
