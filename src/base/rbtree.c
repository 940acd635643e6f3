/* SPDX-License-Identifier: MIT */
/*
 * Red-black trees (Guibas, Sedgewick 1978; deletion after Cormen et al., "Introduction to
 * Algorithms", with NULL in the place of their sentinel).
 *
 * 1. The root is black, and no red node has a red child.
 * 2. Every way from the root down to a NULL link meets the same number of black nodes, so that
 *    no leaf is more than twice as deep as another.
 * 3. Every child's parent link names its parent.
 * 4. After each change update() was called on every node whose subtree changed, children
 *    first, up to the first whose value stays: what is above depends on values only. A rotation
 *    leaves the subtree's set of nodes as it was, so only the two nodes that turn are computed
 *    again.
 */
#include "base/rbtree.h"

#include <stddef.h>

#include "base/assert.h"

/* 2 * log2(n + 1) for as many nodes as an address space of bytes could hold. */
#define RB_DEPTH_MAX 120

static bool rb_is_red(const struct rb_node *node)
{
	return node && node->is_red;
}

static void rb_update(const struct rb_root *root, struct rb_node *node)
{
	if (root->update)
		root->update(node);
}

/* The link that points to old points to new now. */
static void rb_replace_child(struct rb_root *root, struct rb_node *parent,
			     const struct rb_node *old, struct rb_node *new)
{
	if (!parent)
		root->node = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
}

/*
 *     node              child
 *    /    \            /     \
 *   a    child  ->   node     c        and back, if !to_left
 *        /   \      /    \
 *       b     c    a      b
 */
static void rb_rotate(struct rb_root *root, struct rb_node *node, bool to_left)
{
	struct rb_node *child = to_left ? node->right : node->left;
	struct rb_node *inner = to_left ? child->left : child->right;

	rb_replace_child(root, node->parent, node, child);
	child->parent = node->parent;
	if (to_left) {
		node->right = inner;
		child->left = node;
	} else {
		node->left = inner;
		child->right = node;
	}
	node->parent = child;
	if (inner)
		inner->parent = node;
	rb_update(root, node);
	rb_update(root, child);
}

/**
 * rb_update_up() - compute again what a node and its ancestors keep of their subtrees.
 * @node: may be NULL; then nothing happens.
 */
void rb_update_up(struct rb_root *root, struct rb_node *node)
{
	if (!root->update)
		return;
	while (node && root->update(node))
		node = node->parent;
}

/* Node's own value is not what its ancestors were computed from: they are looked at anyway. */
static void rb_update_new(struct rb_root *root, struct rb_node *node)
{
	rb_update(root, node);
	rb_update_up(root, node->parent);
}

static void rb_insert_balance(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *parent, *grand, *uncle;
	bool is_left;

	while (rb_is_red(node->parent)) {
		parent = node->parent;
		grand = parent->parent;
		is_left = parent == grand->left;
		uncle = is_left ? grand->right : grand->left;
		if (rb_is_red(uncle)) {
			parent->is_red = uncle->is_red = false;
			grand->is_red = true;
			node = grand;
			continue;
		}
		if (node == (is_left ? parent->right : parent->left)) {
			rb_rotate(root, parent, is_left);
			parent = node;
		}
		parent->is_red = false;
		grand->is_red = true;
		rb_rotate(root, grand, !is_left);
		break;
	}
	root->node->is_red = false;
}

/**
 * rb_insert() - link a node where the caller's search ended, and balance.
 * @node: in no tree.
 * @parent: the last node of the search; NULL in an empty tree.
 * @link: the link the search fell off at: parent's left or right, or root's node. It is NULL.
 */
void rb_insert(struct rb_root *root, struct rb_node *node, struct rb_node *parent,
	       struct rb_node **link)
{
	MM_ASSERT(!*link);
	node->left = node->right = NULL;
	node->parent = parent;
	node->is_red = true;
	*link = node;
	rb_update_new(root, node);
	rb_insert_balance(root, node);
}

/* The link below parent where node was is short of one black node. node may be NULL. */
static void rb_erase_balance(struct rb_root *root, struct rb_node *node, struct rb_node *parent)
{
	struct rb_node *sibling, *near, *far;
	bool is_left;

	while (parent && !rb_is_red(node)) {
		is_left = parent->left == node;
		sibling = is_left ? parent->right : parent->left;
		MM_DEBUG_ASSERT(sibling); /* that side is one black node higher */
		if (sibling->is_red) {
			sibling->is_red = false;
			parent->is_red = true;
			rb_rotate(root, parent, is_left);
			sibling = is_left ? parent->right : parent->left;
		}
		near = is_left ? sibling->left : sibling->right;
		far = is_left ? sibling->right : sibling->left;
		if (!rb_is_red(near) && !rb_is_red(far)) {
			sibling->is_red = true;
			node = parent;
			parent = node->parent;
			continue;
		}
		if (!rb_is_red(far)) {
			near->is_red = false;
			sibling->is_red = true;
			rb_rotate(root, sibling, !is_left);
			far = sibling;
			sibling = near;
		}
		sibling->is_red = parent->is_red;
		parent->is_red = far->is_red = false;
		rb_rotate(root, parent, is_left);
		return;
	}
	if (node)
		node->is_red = false;
}

/* next, the leftmost node right of node, takes node's place, colour and children. */
static void rb_take_place(struct rb_root *root, struct rb_node *node, struct rb_node *next)
{
	next->left = node->left;
	next->left->parent = next;
	next->right = node->right;
	if (next->right)
		next->right->parent = next;
	next->parent = node->parent;
	next->is_red = node->is_red;
	rb_replace_child(root, node->parent, node, next);
}

/**
 * rb_erase() - take a node out of its tree, and balance.
 * @node: its links are undefined afterwards.
 */
void rb_erase(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *gone = node; /* whose place closes up: it has at most one child */
	struct rb_node *child, *parent;
	bool was_red;

	if (node->left && node->right)
		gone = rb_next(node);
	child = gone->left ? gone->left : gone->right;
	parent = gone->parent;
	was_red = gone->is_red;
	rb_replace_child(root, parent, gone, child);
	if (child)
		child->parent = parent;
	if (gone != node) {
		rb_take_place(root, node, gone);
		if (parent == node)
			parent = gone;
	}
	rb_update_up(root, parent);
	if (gone != node)
		rb_update_new(root, gone);
	if (!was_red)
		rb_erase_balance(root, child, parent);
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *node = root->node;

	while (node && node->left)
		node = node->left;
	return node;
}

struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *node = root->node;

	while (node && node->right)
		node = node->right;
	return node;
}

struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *parent;

	if (node->right) {
		const struct rb_root below = {.node = node->right};

		return rb_first(&below);
	}
	for (parent = node->parent; parent && parent->right == node; parent = node->parent)
		node = parent;
	return parent;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	struct rb_node *parent;

	if (node->left) {
		const struct rb_root below = {.node = node->left};

		return rb_last(&below);
	}
	for (parent = node->parent; parent && parent->left == node; parent = node->parent)
		node = parent;
	return parent;
}

/* Recursive: the depth is bounded, and checked first. */
static int rb_check_subtree(const struct rb_node *node, const struct rb_node *parent,
			    unsigned int depth, unsigned int *ret_blacks)
{
	unsigned int left = 0, right = 0;
	int err;

	*ret_blacks = 0;
	if (!node)
		return 0;
	CHECK(depth < RB_DEPTH_MAX);
	CHECK(node->parent == parent);
	CHECK(!node->is_red || !rb_is_red(parent));
	err = rb_check_subtree(node->left, node, depth + 1, &left);
	if (!err)
		err = rb_check_subtree(node->right, node, depth + 1, &right);
	if (err)
		return err;
	CHECK(left == right);
	*ret_blacks = left + !node->is_red;
	return 0;
}

/**
 * rb_check() - invariants 1 to 3. What update() keeps is checked by who keeps it.
 *
 * Return: 0, or -EUCLEAN.
 */
int rb_check(const struct rb_root *root)
{
	unsigned int blacks;

	CHECK(!rb_is_red(root->node));
	return rb_check_subtree(root->node, NULL, 0, &blacks);
}
