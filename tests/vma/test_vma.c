/* SPDX-License-Identifier: MIT */
/*
 * The tree of areas by itself: cutting, merging, growing, and the search for a hole.
 */
#include "vma/space.h"

#include "support/quiet.h"

#define PAGES 256
#define STEPS 20000

static struct space s;

static int setup(void **state)
{
	const struct space_config cfg = {.nr_pages = PAGES, .nr_frames = 512};

	(void)state;
	space_create(&s, &cfg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	/* The tree was changed behind the machine's back: nothing is translated, so it may end.
	 */
	space_destroy(&s);
	return 0;
}

static vaddr_t va(unsigned int page)
{
	return space_va(&s, page);
}

static struct vma *add(unsigned int first, unsigned int end, uint32_t flags)
{
	struct vma_reserve reserve = {0};

	assert_int_equal(vma_reserve(s.mm, &reserve, 1), 0);
	return vma_add(s.mm, va(first), va(end), flags, &reserve);
}

static void cut(unsigned int page)
{
	struct vma_reserve reserve = {0};

	assert_int_equal(vma_reserve(s.mm, &reserve, 2), 0);
	assert_true(vma_is_cut_by(s.mm, va(page)));
	vma_cut(s.mm, va(page), &reserve);
	assert_int_equal(reserve.nr, 1);
	assert_false(vma_is_cut_by(s.mm, va(page)));
	vma_unreserve(s.mm, &reserve);
}

static void expect_area(struct vma *vma, unsigned int first, unsigned int end)
{
	assert_non_null(vma);
	assert_int_equal(vma->start, va(first));
	assert_int_equal(vma->end, va(end));
}

/*
 *	 0         8         16
 *	 |  [ A )  [ B )     |       A: 2..4, B: 8..12
 */
static void find_and_find_first(void **state)
{
	static const struct {
		unsigned int page;
		int found, first; /* where the area starts; -1: none */
	} table[] = {
		{0, -1, 2}, {2, 2, 2},	{3, 2, 2},    {4, -1, 8},
		{8, 8, 8},  {11, 8, 8}, {12, -1, -1}, {255, -1, -1},
	};

	(void)state;
	add(2, 4, VMA_READ);
	add(8, 12, VMA_READ);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct vma *found = vma_find(s.mm, va(table[i].page) + 5);
		struct vma *first = vma_find_first(s.mm, va(table[i].page) + 5);

		assert_int_equal(found ? (int)space_page(&s, found->start) : -1,
				 table[i].found);
		assert_int_equal(first ? (int)space_page(&s, first->start) : -1,
				 table[i].first);
	}
	assert_null(vma_next(vma_find(s.mm, va(8))));
	assert_true(vma_range_is_free(s.mm, va(4), va(8)));
	assert_false(vma_range_is_free(s.mm, va(4), va(9)));
	assert_false(vma_range_is_free(s.mm, va(3), va(8)));
	assert_int_equal(s.mm->nr_vmas, 2);
	assert_int_equal(s.mm->total_vm, 6);
}

/* [RR)[rr) -> one; [RR)[ww) stay two; the one between joins both */
static void alike_neighbours_are_one(void **state)
{
	(void)state;
	expect_area(add(10, 12, VMA_READ), 10, 12);
	expect_area(add(12, 14, VMA_READ), 10, 14);
	expect_area(add(8, 10, VMA_READ), 8, 14);
	expect_area(add(14, 16, VMA_WRITE), 14, 16);
	expect_area(add(18, 20, VMA_WRITE), 18, 20);
	expect_area(add(16, 18, VMA_WRITE), 14, 20);
	expect_area(add(20, 22, VMA_WRITE | VMA_NORESERVE), 20, 22);
	assert_int_equal(s.mm->nr_vmas, 3);
	assert_int_equal(vma_check(s.mm), 0);
}

static void cut_makes_a_bound_and_merge_takes_it_back(void **state)
{
	struct vma_reserve none = {0};
	struct vma *vma;

	(void)state;
	add(10, 20, VMA_READ);
	cut(15);
	expect_area(vma_find(s.mm, va(10)), 10, 15);
	expect_area(vma_find(s.mm, va(15)), 15, 20);
	/* At a bound, and where no area is, nothing is to be cut. */
	vma_cut(s.mm, va(10), &none);
	vma_cut(s.mm, va(15), &none);
	vma_cut(s.mm, va(20), &none);
	vma_cut(s.mm, va(30), &none);
	assert_unclean(vma_check, s.mm); /* alike neighbours */
	vma = vma_merge(s.mm, vma_find(s.mm, va(15)));
	expect_area(vma, 10, 20);
	assert_int_equal(vma_check(s.mm), 0);
	assert_int_equal(s.mm->total_vm, 10);
}

static void reserve_is_all_or_nothing(void **state)
{
	struct vma_reserve reserve = {0};
	unsigned int nr;

	(void)state;
	assert_int_equal(vma_reserve(s.mm, &reserve, 1), 0);
	/* More than a slab has: the second slab is refused. */
	s.sys->fail_alloc = 1;
	nr = 2000;
	assert_int_equal(vma_reserve(s.mm, &reserve, nr), -ENOMEM);
	assert_int_equal(reserve.nr, 1);
	s.sys->fail_alloc = 0;
	vma_unreserve(s.mm, &reserve);
	assert_int_equal(reserve.nr, 0);
}

/* The highest hole that is large enough, by looking at every page. */
static unsigned int highest_hole(unsigned int nr)
{
	for (unsigned int first = PAGES - nr + 1; first-- > 0;)
		if (vma_range_is_free(s.mm, va(first), va(first + nr)))
			return first;
	return PAGES;
}

static void change_something(struct rng *rng)
{
	unsigned int nr = (unsigned int)rng_between(rng, 1, 6);
	unsigned int first = (unsigned int)rng_below(rng, PAGES - nr + 1);
	struct vma *vma = vma_find_first(s.mm, va(first));

	if (vma_range_is_free(s.mm, va(first), va(first + nr)))
		add(first, first + nr, (uint32_t)rng_between(rng, 1, 3));
	else if (rng_chance(rng, 60))
		vma_remove(s.mm, vma);
	else if (vma_next(vma))
		vma_grow(s.mm, vma, vma_next(vma)->start);
}

/* Growing may have made neighbours touch that are alike. */
static void merge_all(void)
{
	for (struct vma *vma = vma_find_first(s.mm, 0); vma; vma = vma_next(vma))
		vma = vma_merge(s.mm, vma);
}

static void gap_is_the_highest_that_fits(void **state)
{
	struct rng rng = rng_make(test_seed());

	(void)state;
	for (int step = 0; step < STEPS; step++) {
		unsigned int nr = (unsigned int)rng_between(&rng, 1, 40), expected;
		vaddr_t addr = 0;
		int err;

		change_something(&rng);
		merge_all();
		assert_int_equal(vma_check(s.mm), 0);
		expected = highest_hole(nr);
		err = vma_find_gap(s.mm, nr * PAGE_SIZE, &addr);
		assert_int_equal(err, expected == PAGES ? -ENOMEM : 0);
		if (!err)
			assert_int_equal(space_page(&s, addr), expected);
	}
}

static void check_sees_each_defect(void **state)
{
	struct vma *vma;
	pte_t *pte;

	(void)state;
	add(4, 8, VMA_READ);
	vma = add(10, 12, VMA_READ);

	vma->gap += PAGE_SIZE;
	assert_unclean(vma_check, s.mm);
	vma->gap -= PAGE_SIZE;
	vma->max_gap += PAGE_SIZE;
	assert_unclean(vma_check, s.mm);
	rb_update_up(&s.mm->vmas, &vma->node);
	vma->end += 1;
	assert_unclean(vma_check, s.mm);
	vma->end -= 1;
	s.mm->nr_vmas++;
	assert_unclean(vma_check, s.mm);
	s.mm->nr_vmas--;
	s.mm->total_vm++;
	assert_unclean(vma_check, s.mm);
	s.mm->total_vm--;
	/* An entry in no area. */
	assert_int_equal(pgtable_ensure(s.mm, va(8), &pte), 0);
	pte_set(s.mm, pte, swp_entry(0, 1));
	assert_unclean(vma_check, s.mm);
	pte_set(s.mm, pte, 0);
	assert_int_equal(vma_check(s.mm), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	CASE(find_and_find_first),
	CASE(alike_neighbours_are_one),
	CASE(cut_makes_a_bound_and_merge_takes_it_back),
	CASE(reserve_is_all_or_nothing),
	CASE(gap_is_the_highest_that_fits),
	CASE(check_sees_each_defect),
};
TEST_MAIN(tests)
