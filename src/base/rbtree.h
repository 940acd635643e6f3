/* SPDX-License-Identifier: MIT */
/*
 * Red-black trees with an augmentation hook, intrusive: the caller searches and links, the tree
 * balances.
 */
#ifndef BASE_RBTREE_H
#define BASE_RBTREE_H

#include <stdbool.h>
#include <stdint.h>

struct rb_node {
	struct rb_node *parent, *left, *right;
	bool is_red;
};

struct rb_root {
	struct rb_node *node;
	/* Computes again what node keeps of its subtree. Return: did it change? May be NULL. */
	bool (*update)(struct rb_node *node);
};

/* Links node below parent at *link (NULL until now), rebalances, updates its ancestors. */
void rb_insert(struct rb_root *root, struct rb_node *node, struct rb_node *parent,
	       struct rb_node **link);
void rb_erase(struct rb_root *root, struct rb_node *node);
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);
/* What node keeps may have changed: calls update() upwards from node, while it does. */
void rb_update_up(struct rb_root *root, struct rb_node *node);
int rb_check(const struct rb_root *root); /* colours, heights, parent links; 0 or -EUCLEAN */

#endif
