/* SPDX-License-Identifier: MIT */
/*
 * The tree against a sorted array: same content in the same order after every step, balanced,
 * and each node's sum of its subtree right.
 */
#include "support/test.h"

#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/rbtree.h"
#include "support/quiet.h"
#include "support/rng.h"

#define NODES_MAX 200
#define STEPS	  20000

struct item {
	struct rb_node node;
	uint64_t key, weight;
	uint64_t sum; /* of the weights in this subtree */
	bool is_in;
};

struct model {
	struct rb_root tree;
	struct item items[NODES_MAX];
	struct item *sorted[NODES_MAX];
	size_t nr;
};

static struct item *item_of(struct rb_node *node)
{
	return node ? container_of(node, struct item, node) : NULL;
}

static uint64_t sum_below(struct rb_node *node)
{
	return node ? item_of(node)->sum : 0;
}

static bool update_sum(struct rb_node *node)
{
	struct item *item = item_of(node);
	uint64_t old = item->sum;

	item->sum = item->weight + sum_below(node->left) + sum_below(node->right);
	return item->sum != old;
}

static void insert(struct model *m, struct item *item, uint64_t key)
{
	struct rb_node **link = &m->tree.node, *parent = NULL;
	size_t at = 0;

	item->key = key;
	item->weight = key % 3; /* many sums stay as they are */
	item->is_in = true;
	while (*link) {
		parent = *link;
		link = key < item_of(parent)->key ? &parent->left : &parent->right;
	}
	rb_insert(&m->tree, &item->node, parent, link);
	while (at < m->nr && m->sorted[at]->key <= key)
		at++;
	memmove(&m->sorted[at + 1], &m->sorted[at], (m->nr - at) * sizeof(m->sorted[0]));
	m->sorted[at] = item;
	m->nr++;
}

static void erase(struct model *m, struct item *item)
{
	size_t at = 0;

	rb_erase(&m->tree, &item->node);
	memset(&item->node, 0xa5, sizeof(item->node));
	item->is_in = false;
	while (m->sorted[at] != item)
		at++;
	m->nr--;
	memmove(&m->sorted[at], &m->sorted[at + 1], (m->nr - at) * sizeof(m->sorted[0]));
}

static void check(struct model *m)
{
	struct rb_node *up = rb_first(&m->tree), *down = rb_last(&m->tree);

	assert_int_equal(rb_check(&m->tree), 0);
	for (size_t i = 0; i < m->nr; i++) {
		struct item *item = m->sorted[i];

		assert_ptr_equal(item_of(up), item);
		assert_ptr_equal(item_of(down), m->sorted[m->nr - 1 - i]);
		assert_true(item->sum == item->weight + sum_below(item->node.left) +
						 sum_below(item->node.right));
		up = rb_next(up);
		down = rb_prev(down);
	}
	assert_null(up);
	assert_null(down);
}

static void equals_a_sorted_array(void **state)
{
	static struct model m;
	struct rng rng = rng_make(test_seed());
	unsigned int grows = 50;

	(void)state;
	m.tree.update = update_sum;
	for (int step = 0; step < STEPS; step++) {
		struct item *item = &m.items[rng_below(&rng, NODES_MAX)];

		if (step % 500 == 0)
			grows = (unsigned int)rng_between(&rng, 20, 80);
		if (!item->is_in && rng_chance(&rng, grows))
			insert(&m, item, rng_below(&rng, NODES_MAX));
		else if (item->is_in && !rng_chance(&rng, grows))
			erase(&m, item);
		else if (item->is_in) {
			item->weight = rng_below(&rng, 3);
			rb_update_up(&m.tree, &item->node);
		}
		check(&m);
	}
}

static void stays_balanced_in_ascending_and_descending_order(void **state)
{
	static struct model up, down;

	(void)state;
	for (uint64_t i = 0; i < NODES_MAX; i++) {
		insert(&up, &up.items[i], i);
		insert(&down, &down.items[i], NODES_MAX - i);
		assert_int_equal(rb_check(&up.tree), 0);
		assert_int_equal(rb_check(&down.tree), 0);
	}
	for (uint64_t i = 0; i < NODES_MAX; i++) {
		erase(&up, &up.items[i]);
		erase(&down, &down.items[i]);
		assert_int_equal(rb_check(&up.tree), 0);
		assert_int_equal(rb_check(&down.tree), 0);
	}
	assert_null(rb_first(&up.tree));
	assert_null(rb_last(&down.tree));
}

/* Each case is one defect that rb_check() names. */
static void check_sees_each_defect(void **state)
{
	static struct model m;
	struct rb_node *root, *leaf;

	(void)state;
	for (uint64_t i = 0; i < 20; i++)
		insert(&m, &m.items[i], i);
	root = m.tree.node;
	leaf = rb_first(&m.tree);

	root->is_red = true;
	assert_unclean(rb_check, &m.tree);
	root->is_red = false;

	leaf->is_red = !leaf->is_red;
	assert_unclean(rb_check, &m.tree);
	leaf->is_red = !leaf->is_red;

	root->left->parent = leaf;
	assert_unclean(rb_check, &m.tree);
	root->left->parent = root;

	assert_int_equal(rb_check(&m.tree), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(equals_a_sorted_array),
	cmocka_unit_test(stays_balanced_in_ascending_and_descending_order),
	cmocka_unit_test(check_sees_each_defect),
};
TEST_MAIN(tests)
