/* SPDX-License-Identifier: MIT */
/*
 * The radix tree against a list of what was put in: the same values and marks, in the same
 * order, after every step, with nodes that cannot always be had and that are all given back.
 */
#include "support/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/radix.h"
#include "support/quiet.h"
#include "support/rng.h"

#define ENTRIES_MAX 150
#define STEPS	    20000

struct entry {
	uint64_t index, value; /* value 0: free */
	bool marks[RADIX_MARKS];
};

struct model {
	struct radix_root root;
	struct rng rng;
	struct entry entries[ENTRIES_MAX];
	unsigned int nr_nodes;
	unsigned int fail_percent;
	unsigned int nr_failed;
};

static struct radix_node *node_alloc(void *arg)
{
	struct model *m = arg;

	if (rng_chance(&m->rng, m->fail_percent)) {
		m->nr_failed++;
		return NULL;
	}
	m->nr_nodes++;
	return malloc(sizeof(struct radix_node));
}

static void node_free(void *arg, struct radix_node *node)
{
	struct model *m = arg;

	m->nr_nodes--;
	free(node);
}

static const struct radix_pool pool = {.alloc = node_alloc, .free = node_free};

static void model_init(struct model *m, unsigned int fail_percent)
{
	*m = (struct model){.rng = rng_make(test_seed()), .fail_percent = fail_percent};
	radix_init(&m->root, &pool, m);
}

static struct entry *find(struct model *m, uint64_t index)
{
	for (unsigned int i = 0; i < ENTRIES_MAX; i++)
		if (m->entries[i].value && m->entries[i].index == index)
			return &m->entries[i];
	return NULL;
}

static struct entry *find_free(struct model *m)
{
	for (unsigned int i = 0; i < ENTRIES_MAX; i++)
		if (!m->entries[i].value)
			return &m->entries[i];
	return NULL;
}

/* Crowds of neighbours, at the front, in the middle and at the very end. */
static uint64_t draw_index(struct model *m)
{
	uint64_t near = rng_below(&m->rng, 100);

	switch (rng_below(&m->rng, 5)) {
	case 0:
		return near * 50;
	case 1:
		return near + (1ull << rng_between(&m->rng, 7, 62));
	case 2:
		return UINT64_MAX - near;
	default:
		return near;
	}
}

static void do_set(struct model *m, uint64_t index)
{
	struct entry *e = find(m, index);
	bool was_there = e != NULL;
	uint64_t value = rng_next(&m->rng) | 1;
	int err;

	if (!e)
		e = find_free(m);
	if (!e)
		return;
	err = radix_set(&m->root, index, value);
	if (err) {
		assert_int_equal(err, -ENOMEM);
		assert_false(was_there);
		return;
	}
	if (!was_there)
		*e = (struct entry){.index = index};
	e->value = value;
}

static void do_erase(struct model *m, uint64_t index)
{
	struct entry *e = find(m, index);

	assert_int_equal(radix_erase(&m->root, index), e ? e->value : 0);
	if (e)
		e->value = 0;
}

static void do_mark(struct model *m, uint64_t index, unsigned int mark)
{
	struct entry *e = find(m, index);

	if (e && rng_chance(&m->rng, 60)) {
		radix_mark(&m->root, index, mark);
		e->marks[mark] = true;
	} else {
		radix_unmark(&m->root, index, mark);
		if (e)
			e->marks[mark] = false;
	}
}

/* The first at or above at with the mark (mark RADIX_MARKS: any). */
static struct entry *first_from(struct model *m, uint64_t at, uint64_t end, unsigned int mark)
{
	struct entry *best = NULL;

	for (unsigned int i = 0; i < ENTRIES_MAX; i++) {
		struct entry *e = &m->entries[i];

		if (!e->value || e->index < at || e->index >= end)
			continue;
		if (mark < RADIX_MARKS && !e->marks[mark])
			continue;
		if (!best || e->index < best->index)
			best = e;
	}
	return best;
}

static void compare_from(struct model *m, uint64_t at, uint64_t end, unsigned int mark)
{
	struct entry *e = first_from(m, at, end, mark);
	uint64_t index = at, value;

	if (mark < RADIX_MARKS)
		value = radix_next_marked(&m->root, &index, end, mark);
	else
		value = radix_next(&m->root, &index, end);
	assert_int_equal(value, e ? e->value : 0);
	assert_int_equal(index, e ? e->index : at);
}

static void compare(struct model *m)
{
	uint64_t a = draw_index(m), b = draw_index(m);

	assert_int_equal(radix_check(&m->root), 0);
	for (unsigned int i = 0; i < ENTRIES_MAX; i++) {
		const struct entry *e = &m->entries[i];

		if (!e->value)
			continue;
		assert_int_equal(radix_get(&m->root, e->index), e->value);
		for (unsigned int k = 0; k < RADIX_MARKS; k++)
			assert_int_equal(radix_is_marked(&m->root, e->index, k), e->marks[k]);
	}
	for (unsigned int mark = 0; mark <= RADIX_MARKS; mark++) {
		compare_from(m, a, b, mark);
		compare_from(m, a, UINT64_MAX, mark);
	}
	for (unsigned int k = 0; k < RADIX_MARKS; k++)
		assert_int_equal(radix_has_mark(&m->root, k),
				 first_from(m, 0, UINT64_MAX, k) != NULL ||
					 radix_is_marked(&m->root, UINT64_MAX, k));
}

static void run_random(unsigned int fail_percent)
{
	struct model m;

	model_init(&m, fail_percent);
	for (unsigned int step = 0; step < STEPS; step++) {
		uint64_t index = draw_index(&m);
		uint64_t op = rng_below(&m.rng, 10);

		if (op < 4)
			do_set(&m, index);
		else if (op < 7)
			do_erase(&m, index);
		else
			do_mark(&m, index, (unsigned int)rng_below(&m.rng, RADIX_MARKS));
		compare(&m);
	}
	assert_true(fail_percent == 0 || m.nr_failed > 0);
	radix_clear(&m.root);
	assert_int_equal(m.nr_nodes, 0);
}

static void is_what_was_put_in(void **state)
{
	(void)state;
	run_random(0);
}

static void a_set_that_fails_changes_nothing(void **state)
{
	(void)state;
	run_random(40);
}

/* One node up to 64, two levels up to 4096; back to nothing. */
static void is_as_high_as_its_largest_index_needs(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 0);
	assert_int_equal(radix_set(&m.root, 63, 7), 0);
	assert_int_equal(m.nr_nodes, 1);
	assert_int_equal(radix_set(&m.root, 64, 8), 0);
	assert_int_equal(m.nr_nodes, 3);
	assert_int_equal(radix_set(&m.root, 4095, 9), 0);
	assert_int_equal(m.nr_nodes, 4);
	radix_erase(&m.root, 64);
	radix_erase(&m.root, 4095);
	assert_int_equal(m.nr_nodes, 1);
	radix_erase(&m.root, 63);
	assert_int_equal(m.nr_nodes, 0);
	assert_null(m.root.node);
}

static void a_broken_tree_is_found(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 0);
	for (uint64_t i = 0; i < 200; i++)
		radix_set(&m.root, i, i + 1);
	radix_mark(&m.root, 130, 1);
	assert_int_equal(radix_check(&m.root), 0);
	m.root.node->bits[2] = 0; /* the mark below is not told */
	assert_unclean(radix_check, &m.root);
	m.root.node->bits[2] = 1ull << 2;
	assert_int_equal(radix_check(&m.root), 0);
	m.root.node->nodes[1]->offset = 3;
	assert_unclean(radix_check, &m.root);
	m.root.node->nodes[1]->offset = 1;
	radix_clear(&m.root);
	assert_int_equal(m.nr_nodes, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(is_what_was_put_in),
	cmocka_unit_test(a_set_that_fails_changes_nothing),
	cmocka_unit_test(is_as_high_as_its_largest_index_needs),
	cmocka_unit_test(a_broken_tree_is_found),
};
TEST_MAIN(tests)
