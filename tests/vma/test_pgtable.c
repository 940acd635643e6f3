/* SPDX-License-Identifier: MIT */
/*
 * Page tables against a hash map from page number to entry.
 */
#include "support/test.h"

#include <stdlib.h>

#include "base/checked.h"
#include "frames/frames_fixture.h"
#include "mm/pgtable.h"
#include "support/quiet.h"

#define SLOTS	  4096 /* of the hash map; a power of two */
#define PAGES_MAX 1500 /* in it at once */
#define STEPS	  10000

struct map {
	uint64_t vpns[SLOTS]; /* page number + 1; 0: free */
	pte_t ptes[SLOTS];
	size_t nr;
};

struct fixture {
	struct frames *f;
	struct mm mm;
	pte_t resident; /* an entry that names a frame which may be mapped */
	uint64_t free_at_start;
};

static size_t map_slot(const struct map *map, uint64_t vpn)
{
	size_t slot = vpn * 0x9e3779b97f4a7c15u >> 52;

	while (map->vpns[slot] && map->vpns[slot] != vpn + 1)
		slot = (slot + 1) % SLOTS;
	return slot;
}

static pte_t map_get(const struct map *map, uint64_t vpn)
{
	return map->ptes[map_slot(map, vpn)];
}

/* Entries stay when they become NONE: a hash map with open addresses does not erase. */
static void map_set(struct map *map, uint64_t vpn, pte_t pte)
{
	size_t slot = map_slot(map, vpn);

	map->nr += !map->vpns[slot];
	map->vpns[slot] = vpn + 1;
	map->ptes[slot] = pte;
}

static int setup(void **state)
{
	struct frames_config cfg = {.nr_frames = 16384};
	struct fixture *fx = calloc(1, sizeof(*fx));
	struct page *page;

	fx->f = frames_create(&cfg);
	fx->mm.sys = &fx->f->sys;
	assert_int_equal(page_alloc(&fx->f->sys, 0, GFP_USER, &page), 0);
	fx->resident = pte_make(page_pfn(&fx->f->sys, page), PTE_PRESENT | PTE_WRITE);
	fx->free_at_start = zones_free_pages(&fx->f->sys);
	assert_int_equal(pgtable_create(&fx->mm), 0);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	frames_destroy(fx->f);
	free(fx);
	return 0;
}

static void set(struct fixture *fx, vaddr_t va, pte_t pte)
{
	pte_t *ptep;

	assert_int_equal(pgtable_ensure(&fx->mm, va, &ptep), 0);
	pte_set(&fx->mm, ptep, pte);
}

static pte_t get(struct fixture *fx, vaddr_t va)
{
	pte_t *ptep = pgtable_lookup(&fx->mm, va);

	return ptep ? *ptep : 0;
}

static void an_empty_space_has_only_its_pgd(void **state)
{
	struct fixture *fx = *state;
	vaddr_t va = 0;

	assert_int_equal(fx->mm.nr_tables, 1);
	assert_int_equal(fx->f->sys.vmstat[MM_VMSTAT_nr_page_table_pages], 1);
	assert_null(pgtable_lookup(&fx->mm, 0));
	assert_null(pgtable_next(&fx->mm, &va, PGTABLE_VA_MAX));
	assert_int_equal(va, 0);
	pgtable_destroy(&fx->mm);
	assert_int_equal(fx->f->sys.vmstat[MM_VMSTAT_nr_page_table_pages], 0);
	assert_int_equal(zones_free_pages(&fx->f->sys), fx->free_at_start);
}

/*
 * The first and the last page of each table share it with nobody else's:
 *
 *   0 .. 2M .. 1G .. 512G .. 128T     tables of their own: 3 each (PUD, PMD, PTE) where the
 *   |    |     |      |        |      next level up differs
 */
static void tables_are_made_and_given_back_as_needed(void **state)
{
	static const struct {
		vaddr_t va;
		uint64_t nr_tables; /* with all above mapped too */
	} table[] = {
		{0, 4},		 {0x1ff000, 4},	     {0x200000, 5},
		{0x40000000, 7}, {0x8000000000, 10}, {PGTABLE_VA_MAX - PAGE_SIZE, 13},
	};
	const size_t nr = sizeof(table) / sizeof(table[0]);
	struct fixture *fx = *state;

	for (size_t i = 0; i < nr; i++) {
		set(fx, table[i].va, fx->resident);
		assert_int_equal(fx->mm.nr_tables, table[i].nr_tables);
	}
	assert_int_equal(pgtable_check(&fx->mm), 0);
	/* Tables in use stay. */
	pgtable_free_range(&fx->mm, 0, PGTABLE_VA_MAX);
	assert_int_equal(fx->mm.nr_tables, 13);
	for (size_t i = 0; i < nr; i++)
		pte_set(&fx->mm, pgtable_lookup(&fx->mm, table[i].va), 0);
	/* A range that touches a table gives it back, and leaves the others. */
	pgtable_free_range(&fx->mm, 0x200000, 0x201000);
	assert_int_equal(fx->mm.nr_tables, 12);
	assert_non_null(pgtable_lookup(&fx->mm, 0));
	assert_int_equal(pgtable_check(&fx->mm), 0);
	pgtable_destroy(&fx->mm);
	assert_int_equal(zones_free_pages(&fx->f->sys), fx->free_at_start);
}

static void a_failed_ensure_adds_nothing_but_empty_tables(void **state)
{
	struct fixture *fx = *state;
	pte_t *ptep = NULL;

	for (uint64_t nth = 1; nth <= 3; nth++) {
		fx->f->sys.fail_alloc = nth;
		assert_int_equal(pgtable_ensure(&fx->mm, PAGE_SIZE, &ptep), -ENOMEM);
		assert_null(ptep);
		assert_int_equal(fx->mm.nr_tables, nth);
		assert_int_equal(pgtable_check(&fx->mm), 0);
		pgtable_free_range(&fx->mm, 0, PAGE_SIZE * 2);
		assert_int_equal(fx->mm.nr_tables, 1);
	}
	fx->f->sys.fail_alloc = 0;
	pgtable_destroy(&fx->mm);
}

/* Everything that pgtable_next() finds in [start, end) is what the map has there. */
static void compare(struct fixture *fx, const struct map *map, vaddr_t start, vaddr_t end)
{
	size_t nr_found = 0, nr_expected = 0;
	vaddr_t va = start, last = 0;
	pte_t *ptep;

	for (; (ptep = pgtable_next(&fx->mm, &va, end)); va += PAGE_SIZE) {
		assert_true(va >= start && va < end);
		assert_true(nr_found == 0 || va > last);
		assert_true(*ptep && *ptep == map_get(map, va >> PAGE_SHIFT));
		last = va;
		nr_found++;
	}
	for (size_t slot = 0; slot < SLOTS; slot++) {
		uint64_t vpn = map->vpns[slot] - 1;

		if (map->vpns[slot] && map->ptes[slot] && vpn >= start >> PAGE_SHIFT &&
		    vpn < end >> PAGE_SHIFT)
			nr_expected++;
	}
	assert_int_equal(nr_found, nr_expected);
}

/* Near to one another, at all distances: a few bits of the page number vary. */
static uint64_t random_vpn(struct rng *rng)
{
	unsigned int shift = (unsigned int)rng_below(rng, 4) * 9;

	return rng_below(rng, 1u << 8) << shift;
}

static void equals_a_hash_map(void **state)
{
	static struct map map;
	struct fixture *fx = *state;
	struct rng rng = rng_make(test_seed());
	const pte_t ptes[] = {0, fx->resident, (fx->resident & PTE_PFN_MASK) | PTE_IDLE,
			      swp_entry(3, 77)};

	for (int step = 0; step < STEPS; step++) {
		uint64_t vpn = random_vpn(&rng);
		pte_t pte = ptes[rng_below(&rng, 4)];

		if (map.nr < PAGES_MAX || map.vpns[map_slot(&map, vpn)]) {
			map_set(&map, vpn, pte);
			set(fx, vpn << PAGE_SHIFT, pte);
		}
		vpn = random_vpn(&rng);
		assert_true(get(fx, vpn << PAGE_SHIFT) == map_get(&map, vpn));
		if (step % 16 == 0)
			assert_int_equal(pgtable_check(&fx->mm), 0);
		if (step % 64 == 0) {
			vaddr_t start = random_vpn(&rng) << PAGE_SHIFT;
			vaddr_t end = min_u64(start + (random_vpn(&rng) << PAGE_SHIFT),
					      PGTABLE_VA_MAX);

			pgtable_free_range(&fx->mm, start, end);
			compare(fx, &map, start, end);
			compare(fx, &map, 0, PGTABLE_VA_MAX);
		}
	}
	for (size_t slot = 0; slot < SLOTS; slot++)
		if (map.vpns[slot])
			set(fx, (map.vpns[slot] - 1) << PAGE_SHIFT, 0);
	pgtable_destroy(&fx->mm);
	assert_int_equal(zones_free_pages(&fx->f->sys), fx->free_at_start);
}

static void check_sees_each_defect(void **state)
{
	struct fixture *fx = *state;
	struct mm_system *sys = &fx->f->sys;
	struct page *table;
	pte_t *ptep, *pgd;

	set(fx, 0, fx->resident);
	ptep = pgtable_lookup(&fx->mm, 0);
	pgd = pfn_addr(sys, fx->mm.pgd);
	table = page_of(sys, addr_pfn(sys, ptep));

	*ptep = 0; /* not by pte_set() */
	assert_unclean(pgtable_check, &fx->mm);
	*ptep = pte_make(fx->mm.pgd, PTE_PRESENT); /* a table is not a page */
	assert_unclean(pgtable_check, &fx->mm);
	*ptep = pte_make(sys->nr_frames, PTE_IDLE);
	assert_unclean(pgtable_check, &fx->mm);
	*ptep = fx->resident;

	pgd[0] ^= PTE_USER;
	assert_unclean(pgtable_check, &fx->mm);
	pgd[0] ^= PTE_USER;
	table->mm = NULL;
	assert_unclean(pgtable_check, &fx->mm);
	table->mm = &fx->mm;
	fx->mm.nr_tables++;
	assert_unclean(pgtable_check, &fx->mm);
	fx->mm.nr_tables--;

	assert_int_equal(pgtable_check(&fx->mm), 0);
	pte_set(&fx->mm, ptep, 0);
	pgtable_destroy(&fx->mm);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	CASE(an_empty_space_has_only_its_pgd),
	CASE(tables_are_made_and_given_back_as_needed),
	CASE(a_failed_ensure_adds_nothing_but_empty_tables),
	CASE(equals_a_hash_map),
	CASE(check_sees_each_defect),
};
TEST_MAIN(tests)
