/* SPDX-License-Identifier: MIT */
/*
 * Random calls on an address space against a sorted array of pages: the same areas, the same
 * contents, the same answers, and every invariant after each step. Pages are resident,
 * untranslated, on their way to swap and in swap; the machine refuses now and then.
 */
#include "vma/space.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGES  192
#define WINDOW 0x2000001a0000ul /* half of the pages are under another leaf table */
#define FRAMES 2048
#define SLOTS  512
#define STEPS  15000

#define ANON (MM_MAP_PRIVATE | MM_MAP_ANONYMOUS)

/* Every call is made again until it ends; the program does not see that. */
#define AGAIN(err, call)                                       \
	do {                                                   \
		for (int tries = 0; tries < 100; tries++) {    \
			err = (call);                          \
			if (err != -EAGAIN)                    \
				break;                         \
			assert_int_equal(mm_check(s->sys), 0); \
		}                                              \
	} while (0)

struct range {
	unsigned int first, nr; /* pages */
};

static struct space space;

static struct range random_range(struct rng *rng, unsigned int max)
{
	struct range r = {.nr = (unsigned int)rng_between(rng, 1, max)};

	r.first = (unsigned int)rng_below(rng, PAGES - r.nr + 1);
	return r;
}

static void model_clear(struct space *s, struct range r)
{
	memset(&s->model[r.first], 0, r.nr * sizeof(s->model[0]));
}

static bool model_is_free(const struct space *s, struct range r)
{
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		if (s->model[i].is_mapped)
			return false;
	return true;
}

/* The highest free run, or PAGES. */
static unsigned int model_find_gap(const struct space *s, unsigned int nr)
{
	for (unsigned int first = PAGES - nr + 1; first-- > 0;)
		if (model_is_free(s, (struct range){first, nr}))
			return first;
	return PAGES;
}

static void do_map(struct space *s, struct rng *rng)
{
	static const int kinds[] = {0,
				    0,
				    MM_MAP_FIXED,
				    MM_MAP_FIXED_NOREPLACE,
				    MM_MAP_NORESERVE,
				    MM_MAP_FOREIGN | MM_MAP_FIXED};
	struct range r = random_range(rng, 24);
	int flags = ANON | kinds[rng_below(rng, 6)], prot = (int)rng_below(rng, 8), err;
	bool is_hint = rng_chance(rng, 50), is_free = model_is_free(s, r);
	vaddr_t addr = 0, hint = space_va(s, r.first);

	if (!(flags & (MM_MAP_FIXED | MM_MAP_FIXED_NOREPLACE)) && !is_hint)
		hint = 0;
	AGAIN(err, mm_map(s->mm, hint, r.nr * PAGE_SIZE, prot, flags, &addr));
	if (flags & MM_MAP_FIXED_NOREPLACE && !is_free) {
		assert_int_equal(err, -EEXIST);
		return;
	}
	if (!(flags & (MM_MAP_FIXED | MM_MAP_FIXED_NOREPLACE)) && !(is_hint && is_free))
		r.first = model_find_gap(s, r.nr);
	if (r.first == PAGES) {
		assert_int_equal(err, -ENOMEM);
		return;
	}
	assert_int_equal(err, 0);
	assert_int_equal(addr, space_va(s, r.first));
	model_clear(s, r);
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		s->model[i] = (struct model_page){
			.is_mapped = true,
			.flags = (uint32_t)prot |
				 (flags & MM_MAP_NORESERVE ? (uint32_t)VMA_NORESERVE : 0) |
				 (flags & MM_MAP_FOREIGN ? (uint32_t)VMA_FOREIGN : 0)};
}

static void do_unmap(struct space *s, struct rng *rng)
{
	struct range r = random_range(rng, 16);
	int err;

	AGAIN(err, mm_unmap(s->mm, space_va(s, r.first), r.nr * PAGE_SIZE));
	assert_int_equal(err, 0);
	model_clear(s, r);
}

static void do_protect(struct space *s, struct rng *rng)
{
	struct range r = random_range(rng, 24);
	uint32_t prot = (uint32_t)rng_below(rng, 8);
	int err, expected = 0;

	AGAIN(err, mm_protect(s->mm, space_va(s, r.first), r.nr * PAGE_SIZE, (int)prot));
	for (unsigned int i = r.first; i < r.first + r.nr && !expected; i++) {
		if (s->model[i].is_mapped)
			s->model[i].flags = (s->model[i].flags & ~(uint32_t)VMA_PROT) | prot;
		else
			expected = -ENOMEM;
	}
	assert_int_equal(err, expected);
}

static void model_advise(struct model_page *m, int advice)
{
	if (!m->is_mapped || m->flags & VMA_FOREIGN)
		return;
	switch (advice) {
	case MM_MADV_DONTNEED:
		m->stamp = 0;
		break;
	case MM_MADV_NORMAL:
		m->flags &= ~(uint32_t)(VMA_RAND_READ | VMA_SEQ_READ);
		break;
	case MM_MADV_RANDOM:
		m->flags &= ~(uint32_t)VMA_SEQ_READ;
		m->flags |= VMA_RAND_READ;
		break;
	case MM_MADV_SEQUENTIAL:
		m->flags &= ~(uint32_t)VMA_RAND_READ;
		m->flags |= VMA_SEQ_READ;
		break;
	default:
		break;
	}
}

static void do_advise(struct space *s, struct rng *rng)
{
	static const int advices[] = {MM_MADV_NORMAL,	MM_MADV_RANDOM,	 MM_MADV_SEQUENTIAL,
				      MM_MADV_DONTNEED, MM_MADV_COLD,	 MM_MADV_PAGEOUT,
				      MM_MADV_PAGEOUT,	MM_MADV_WILLNEED};
	int advice = advices[rng_below(rng, 8)], err, expected = 0;
	struct range r = random_range(rng, 24);

	AGAIN(err, mm_advise(s->mm, space_va(s, r.first), r.nr * PAGE_SIZE, advice));
	for (unsigned int i = r.first; i < r.first + r.nr; i++) {
		if (!s->model[i].is_mapped)
			expected = -ENOMEM;
		model_advise(&s->model[i], advice);
	}
	assert_int_equal(err, expected);
}

/*
 * The pages from first on that one area holds. The model knows where they are alike, the area
 * itself whether all are promised.
 */
static unsigned int area_pages(const struct space *s, unsigned int first)
{
	struct mm_area area;
	unsigned int nr = 1, nr_promised;

	while (first + nr < PAGES && s->model[first + nr].is_mapped &&
	       s->model[first + nr].flags == s->model[first].flags)
		nr++;
	assert_int_equal(mm_query(s->mm, space_va(s, first), &area), 0);
	nr_promised = (unsigned int)((area.end - space_va(s, first)) / PAGE_SIZE);
	return nr < nr_promised ? nr : nr_promised;
}

static void model_move(struct space *s, struct range from, struct range to, bool stays)
{
	static struct model_page moved[PAGES];
	unsigned int nr = from.nr < to.nr ? from.nr : to.nr;

	memcpy(moved, &s->model[from.first], nr * sizeof(moved[0]));
	for (unsigned int i = nr; i < to.nr; i++)
		moved[i] = (struct model_page){true, moved[0].flags, 0};
	if (stays)
		for (unsigned int i = from.first; i < from.first + from.nr; i++)
			s->model[i].stamp = 0;
	else
		model_clear(s, from);
	memcpy(&s->model[to.first], moved, to.nr * sizeof(moved[0]));
}

struct remap {
	struct range from, to;
	int flags;
	bool is_at_end; /* from ends where its area does */
};

/* Where the pages are afterwards; PAGES: nowhere, it fails. */
static unsigned int model_remap_place(const struct space *s, const struct remap *r)
{
	unsigned int end = r->from.first + r->from.nr;

	if (r->flags & MM_MREMAP_FIXED)
		return r->to.first;
	if (r->flags & MM_MREMAP_DONTUNMAP) /* it is a hint */
		return model_is_free(s, r->to) ? r->to.first : model_find_gap(s, r->to.nr);
	if (r->to.nr <= r->from.nr)
		return r->from.first;
	if (r->is_at_end && r->from.first + r->to.nr <= PAGES &&
	    model_is_free(s, (struct range){end, r->to.nr - r->from.nr}))
		return r->from.first;
	return r->flags & MM_MREMAP_MAYMOVE ? model_find_gap(s, r->to.nr) : PAGES;
}

static int random_remap_flags(struct rng *rng)
{
	static const int flags[] = {0, MM_MREMAP_MAYMOVE, MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED,
				    MM_MREMAP_MAYMOVE | MM_MREMAP_DONTUNMAP,
				    MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED | MM_MREMAP_DONTUNMAP};

	return flags[rng_below(rng, 5)];
}

/* What moves is all that one area has from a random page on, or less. */
static void do_remap(struct space *s, struct rng *rng)
{
	struct remap r = {random_range(rng, 16), random_range(rng, 24), random_remap_flags(rng),
			  false};
	const struct model_page *m = &s->model[r.from.first];
	unsigned int nr_area;
	vaddr_t addr = 0;
	bool overlaps;
	int err;

	if (!m->is_mapped || m->flags & VMA_FOREIGN)
		return;
	nr_area = area_pages(s, r.from.first);
	if (r.from.nr > nr_area)
		r.from.nr = nr_area;
	r.is_at_end = r.from.nr == nr_area;
	if (r.flags & MM_MREMAP_DONTUNMAP)
		r.to.nr = r.from.nr;
	if (r.to.first + r.to.nr > PAGES)
		return;
	overlaps = r.from.first < r.to.first + r.to.nr && r.to.first < r.from.first + r.from.nr;
	AGAIN(err, mm_remap(s->mm, space_va(s, r.from.first), r.from.nr * PAGE_SIZE,
			    r.to.nr * PAGE_SIZE, r.flags, space_va(s, r.to.first), &addr));
	if (r.flags & (MM_MREMAP_FIXED | MM_MREMAP_DONTUNMAP) && overlaps) {
		assert_int_equal(err, -EINVAL);
		return;
	}
	r.to.first = model_remap_place(s, &r);
	if (r.to.first == PAGES) {
		assert_int_equal(err, -ENOMEM);
		return;
	}
	assert_int_equal(err, 0);
	assert_int_equal(addr, space_va(s, r.to.first));
	model_move(s, r.from, r.to, (r.flags & MM_MREMAP_DONTUNMAP) != 0);
}

static void do_touch(struct space *s, struct rng *rng)
{
	struct range r = random_range(rng, 16);

	for (unsigned int i = r.first; i < r.first + r.nr; i++) {
		if (rng_chance(rng, 70))
			space_store(s, i);
		else
			space_load(s, i);
	}
}

static void do_step(struct space *s, struct rng *rng)
{
	if (rng_chance(rng, 50))
		mm_step(s->sys, s->now_ns += 1000, 64);
	else
		space_settle(s);
}

static void refuse_something(struct space *s, struct rng *rng)
{
	s->machine.refuse_apply = (struct refusal){
		.nth = (unsigned int)rng_between(rng, 1, 3),
		.nr_done = (unsigned int)rng_below(rng, 6),
		.err = rng_chance(rng, 50) ? -EAGAIN : -EBUSY,
	};
}

static void equals_a_sorted_array(void **state)
{
	static void (*const ops[])(struct space * s, struct rng * rng) = {
		do_map,	   do_map,   do_map,   do_unmap, do_protect, do_protect, do_advise,
		do_advise, do_remap, do_remap, do_touch, do_touch,   do_touch,	 do_step,
	};
	const struct space_config cfg = {
		.window = WINDOW, .nr_pages = PAGES, .nr_frames = FRAMES, .nr_slots = SLOTS};
	struct rng rng = rng_make(test_seed());

	(void)state;
	space_create(&space, &cfg);
	for (int step = 0; step < STEPS; step++) {
		if (rng_chance(&rng, 20))
			refuse_something(&space, &rng);
		ops[rng_below(&rng, sizeof(ops) / sizeof(ops[0]))](&space, &rng);
		space.machine.refuse_apply.nth = 0;
		space_check(&space);
		if (step % 100 == 0)
			space_load_all(&space);
	}
	space_load_all(&space);
	space_destroy(&space);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(equals_a_sorted_array),
};
TEST_MAIN(tests)
