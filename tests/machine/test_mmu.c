/* SPDX-License-Identifier: MIT */
/*
 * Translation: x86's rules, page by page.
 *
 * Tables lie in a small RAM: frame 0 the PGD, 1 the PUD, 2 the PMD, 3 the PTEs of the first
 * 2 MiB, for addresses below 512 GiB.
 */
#include <string.h>

#include "machine/mmu.h"
#include "mm/pgtable.h"
#include "support/test.h"

#define NR_FRAMES 4
#define P	  PTE_PRESENT
#define W	  PTE_WRITE
#define U	  PTE_USER
#define NX	  PTE_NX
#define A	  PTE_ACCESSED
#define D	  PTE_DIRTY
#define READ	  MM_ACCESS_READ
#define WRITE	  MM_ACCESS_WRITE
#define EXEC	  MM_ACCESS_EXEC
#define USER	  MMU_ACCESS_USER
#define FRAME	  0x123 /* that pages are mapped to */

static _Alignas(4096) pte_t ram[NR_FRAMES][PGTABLE_ENTRIES];

static struct mmu_space space_create(struct mmu *ret_mmu, const char *preset)
{
	memset(ram, 0, sizeof(ram));
	for (pfn_t i = 0; i < 3; i++)
		ram[i][0] = pte_make(i + 1, P | W | U);
	*ret_mmu = (struct mmu){.sets_accessed = true, .sets_dirty = true};
	if (preset)
		assert_int_equal(tlb_create(tlb_preset_find(preset), &ret_mmu->tlb), 0);
	return (struct mmu_space){
		.base = (uintptr_t)ram, .pa_end = (uint64_t)1 << 46, .asid = 5};
}

static void mmu_end(struct mmu *mmu)
{
	if (!mmu->tlb)
		return;
	assert_int_equal(tlb_check(mmu->tlb), 0);
	tlb_destroy(mmu->tlb);
}

static const char *const presets[] = {NULL, "skylake", "zen2", "cortex-a76"};
#define NR_PRESETS (sizeof(presets) / sizeof(*presets))

/* code 0x100: no fault. Each is tried twice: what the first leaves in the TLB must not help. */
static void error_codes_are_x86s(void **state)
{
	static const struct {
		pte_t pgd, pte; /* bits */
		unsigned int access;
		uint32_t code;
	} cases[] = {
		{P | W | U, P | W | U, READ | USER, 0x100},
		{P | W | U, P | W | U, WRITE | USER, 0x100},
		{P | W | U, P | W | U, EXEC | USER, 0x100},
		{P | W | U, 0, READ | USER, 0x4},
		{P | W | U, 0, WRITE | USER, 0x6},
		{P | W | U, 0, EXEC | USER, 0x14},
		{P | W | U, 0, READ, 0x0},
		{P | W | U, 0, WRITE, 0x2},
		{P | W | U, W | U, READ | USER, 0x4},
		{P | W | U, P | U, READ | USER, 0x100},
		{P | W | U, P | U, WRITE | USER, 0x7},
		{P | W | U, P | U, WRITE, 0x3},
		{P | W | U, P | W, READ | USER, 0x5},
		{P | W | U, P | W, WRITE | USER, 0x7},
		{P | W | U, P | W, WRITE, 0x100},
		{P | W | U, P | W | U | NX, EXEC | USER, 0x15},
		{P | W | U, P | W | U | NX, READ | USER, 0x100},
		{P | W | U, P | W | U | NX, EXEC, 0x11},
		{0, P | W | U, READ | USER, 0x4},
		{P | U, P | W | U, WRITE | USER, 0x7},
		{P | W, P | W | U, READ | USER, 0x5},
		{P | W | U | NX, P | W | U, EXEC | USER, 0x15},
		{P | W | U | PTE_PS, P | W | U, READ | USER, 0xd},
		{P | W | U, P | W | U | (pte_t)1 << 46, WRITE | USER, 0xf},
		{P | W | U | (pte_t)1 << 51, P | W | U, EXEC | USER, 0x1d},
	};

	(void)state;
	for (size_t i = 0; i < NR_PRESETS * sizeof(cases) / sizeof(*cases); i++) {
		size_t at = i / NR_PRESETS;
		struct mmu_translation there = {0};
		struct mmu mmu;
		struct mmu_space space = space_create(&mmu, presets[i % NR_PRESETS]);

		ram[0][0] = pte_make(1, cases[at].pgd) | (cases[at].pgd & PTE_PFN_MASK);
		ram[3][7] = cases[at].pte | (cases[at].pte & P ? FRAME << PTE_PFN_SHIFT : 0);
		for (unsigned int try = 0; try < 2; try++) {
			enum mmu_result result =
				mmu_translate(&mmu, &space, 0x7abc, cases[at].access, &there);

			if (cases[at].code == 0x100) {
				assert_int_equal(result, MMU_OK);
				assert_int_equal(there.pa, FRAME * PAGE_SIZE + 0xabc);
				continue;
			}
			assert_int_equal(result, MMU_PAGE_FAULT);
			assert_int_equal(there.error_code, cases[at].code);
			assert_false(ram[3][7] & (A | D));
		}
		mmu_end(&mmu);
	}
}

static void addresses_are_canonical(void **state)
{
	static const vaddr_t bad[] = {(vaddr_t)1 << 47, 0x7fffffffffffffff, 0xffff000000000000,
				      (vaddr_t)1 << 63};
	struct mmu_translation there;
	struct mmu mmu;
	struct mmu_space space = space_create(&mmu, "skylake");

	(void)state;
	space.asid = 0;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(mmu_translate(&mmu, &space, bad[i], READ, &there),
				 MMU_NOT_CANONICAL);
	/* The kernel's half is canonical: 256 entries up in the PGD. */
	assert_int_equal(mmu_translate(&mmu, &space, 0xffff800000000000, READ, &there),
			 MMU_PAGE_FAULT);
	ram[0][256] = pte_make(1, P | W);
	ram[3][0] = pte_make(FRAME, P | W);
	assert_int_equal(mmu_translate(&mmu, &space, 0xffff800000000000, READ, &there), MMU_OK);
	mmu_end(&mmu);
}

/* The first read sets A, the first write D, also of a page that the TLB has by then. */
static void accessed_and_dirty_are_set(void **state)
{
	struct mmu_translation there;

	(void)state;
	for (size_t i = 0; i < NR_PRESETS; i++) {
		struct mmu mmu;
		struct mmu_space space = space_create(&mmu, presets[i]);

		ram[3][0] = pte_make(FRAME, P | W | U);
		mmu_translate(&mmu, &space, 0, READ | USER, &there);
		assert_int_equal(ram[3][0], pte_make(FRAME, P | W | U | A));
		assert_int_equal(ram[0][0], pte_make(1, P | W | U | A));
		mmu_translate(&mmu, &space, 0, WRITE | USER, &there);
		assert_int_equal(ram[3][0], pte_make(FRAME, P | W | U | A | D));
		mmu_end(&mmu);
	}
}

struct size_case {
	enum tlb_size size;
	vaddr_t va;
	uint64_t pa;
};

static void map_each_size(void)
{
	for (pfn_t i = 0; i < 16; i++) {
		ram[3][16 + i] = pte_make(0x400 + i, P | U | A); /* a block */
		ram[3][32 + i] = pte_make(0x501 + i, P | U | A); /* frames not aligned */
		ram[3][48 + i] = pte_make(0x600 + i, P | U | (i == 9 ? 0 : A)); /* not alike */
	}
	ram[2][1] = pte_make(0x800, P | U | A | PTE_PS);
	ram[1][1] = pte_make(0x40000, P | U | A | PTE_PS);
}

/* Sixteen alike pages in a row are one entry, where the processor has such. */
static void each_page_size_is_one_entry(void **state)
{
	static const struct size_case cases[] = {
		{TLB_64K, 0x13456, 0x403456},	  {TLB_4K, 0x23456, 0x504456},
		{TLB_4K, 0x33456, 0x603456},	  {TLB_2M, 0x2a3456, 0x8a3456},
		{TLB_1G, 0x52345678, 0x52345678},
	};

	(void)state;
	for (size_t i = 0; i < NR_PRESETS * sizeof(cases) / sizeof(*cases); i++) {
		const struct size_case *c = &cases[i / NR_PRESETS];
		enum tlb_size size = c->size;
		struct mmu_translation there = {0};
		struct mmu mmu;
		struct mmu_space space = space_create(&mmu, presets[i % NR_PRESETS]);

		map_each_size();
		for (int try = 0; try < 3; try++) {
			assert_int_equal(
				mmu_translate(&mmu, &space, c->va, READ | USER, &there),
				MMU_OK);
			assert_int_equal(there.pa, c->pa);
		}
		if (mmu.tlb && size == TLB_64K && !tlb_holds_size(mmu.tlb, TLB_DATA, TLB_64K))
			size = TLB_4K;
		if (mmu.tlb)
			assert_int_equal(tlb_stats_get(mmu.tlb).walks[TLB_DATA][size], 1);
		mmu_end(&mmu);
	}
}

/* Of 64K, one page is written: the others' dirty bits stay clear, and each page is seen. */
static void a_write_into_a_block_marks_one_page(void **state)
{
	struct mmu_translation there;
	struct mmu mmu;
	struct mmu_space space = space_create(&mmu, "cortex-a76");

	(void)state;
	for (pfn_t i = 0; i < 16; i++)
		ram[3][i] = pte_make(0x400 + i, P | W | U | A);
	mmu_translate(&mmu, &space, 0x0000, READ | USER, &there);
	for (unsigned int i = 3; i < 5; i++)
		assert_int_equal(
			mmu_translate(&mmu, &space, i * PAGE_SIZE, WRITE | USER, &there),
			MMU_OK);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal((ram[3][i] & D) != 0, i == 3 || i == 4);
	assert_int_equal(tlb_stats_get(mmu.tlb).walks[TLB_DATA][TLB_64K], 1);
	assert_int_equal(tlb_stats_get(mmu.tlb).walks[TLB_DATA][TLB_4K], 2);
	mmu_end(&mmu);
}

/* Four entries the first time; then only the PTE; after INVLPG four again. */
static void walk_caches_save_steps(void **state)
{
	struct mmu_translation there;
	struct mmu mmu;
	struct mmu_space space = space_create(&mmu, "skylake");

	(void)state;
	for (pfn_t i = 0; i < 4; i++)
		ram[3][i] = pte_make(FRAME + i, P | U);
	mmu_translate(&mmu, &space, 0x0000, READ | USER, &there);
	assert_int_equal(mmu.tlb->stats.walk_steps, 4);
	mmu_translate(&mmu, &space, 0x1000, READ | USER, &there);
	assert_int_equal(mmu.tlb->stats.walk_steps, 5);
	assert_int_equal(mmu.tlb->stats.walk_steps_saved, 3);
	tlb_invalidate_page(mmu.tlb, 0x1000, 5);
	mmu_translate(&mmu, &space, 0x1000, READ | USER, &there);
	assert_int_equal(mmu.tlb->stats.walk_steps, 9);
	mmu_end(&mmu);
}

/* Until it is told, the TLB answers as before: what shootdown is for. Global pages stay. */
static void invalidation_ends_what_is_cached(void **state)
{
	struct mmu_translation there;
	struct mmu mmu;
	struct mmu_space space = space_create(&mmu, "zen2");

	(void)state;
	ram[3][0] = pte_make(FRAME, P | U);
	ram[3][1] = pte_make(FRAME, P | U | PTE_GLOBAL);
	for (vaddr_t va = 0; va < 2 * PAGE_SIZE; va += PAGE_SIZE)
		mmu_translate(&mmu, &space, va, READ | USER, &there);
	ram[3][0] = ram[3][1] = 0;
	assert_int_equal(mmu_translate(&mmu, &space, 0, READ | USER, &there), MMU_OK);
	space.asid = 6;
	assert_int_equal(mmu_translate(&mmu, &space, 0, READ | USER, &there), MMU_PAGE_FAULT);
	assert_int_equal(mmu_translate(&mmu, &space, 4096, READ | USER, &there), MMU_OK);
	space.asid = 5;
	tlb_invalidate_asid(mmu.tlb, 5);
	assert_int_equal(mmu_translate(&mmu, &space, 0, READ | USER, &there), MMU_PAGE_FAULT);
	assert_int_equal(mmu_translate(&mmu, &space, 4096, READ | USER, &there), MMU_OK);
	tlb_invalidate_all(mmu.tlb, true);
	assert_int_equal(mmu_translate(&mmu, &space, 4096, READ | USER, &there),
			 MMU_PAGE_FAULT);
	mmu_end(&mmu);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(error_codes_are_x86s),
	cmocka_unit_test(addresses_are_canonical),
	cmocka_unit_test(accessed_and_dirty_are_set),
	cmocka_unit_test(each_page_size_is_one_entry),
	cmocka_unit_test(a_write_into_a_block_marks_one_page),
	cmocka_unit_test(walk_caches_save_steps),
	cmocka_unit_test(invalidation_ends_what_is_cached),
};

TEST_MAIN(tests)
