/* SPDX-License-Identifier: MIT */
/*
 * A radix tree of values.
 *
 * A node stands for an aligned range of indices, and has a slot for each 64th of it: values in
 * a leaf, nodes above. The tree is as high as its largest index needs, so a small file is one
 * node. A word of bits says which slots are used, and a word for each mark says below which
 * slots something has it; so the next value, and the next marked one, are found a node at a
 * time.
 *
 * radix_set() of an index that has a value, and everything else but a first radix_set(), needs
 * no memory and cannot fail.
 *
 * Invariants:
 *  1. A slot's used bit is set if and only if it holds something; no node is empty.
 *  2. Above the leaves a slot's mark is set if and only if its child has that mark anywhere;
 *     in a leaf only used slots have marks.
 *  3. A child's shift is its parent's less RADIX_BITS, its parent and offset lead back.
 *  4. The root is a leaf, or uses a slot above 0: no level stands for nothing.
 */
#include "base/radix.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"

#define INDEX_BITS 64

static unsigned int slot_of(const struct radix_node *node, uint64_t index)
{
	return index >> node->shift & (RADIX_SLOTS - 1);
}

/* Can a tree with this root hold the index? */
static bool reaches(const struct radix_node *node, uint64_t index)
{
	unsigned int bits = node->shift + RADIX_BITS;

	return bits >= INDEX_BITS || index >> bits == 0;
}

void radix_init(struct radix_root *root, const struct radix_pool *pool, void *arg)
{
	*root = (struct radix_root){.pool = pool, .arg = arg};
}

/* The leaf that has a slot for the index; NULL if there is none. */
static struct radix_node *leaf_of(const struct radix_root *root, uint64_t index)
{
	struct radix_node *node = root->node;

	if (!node || !reaches(node, index))
		return NULL;
	while (node && node->shift > 0)
		node = node->nodes[slot_of(node, index)];
	return node;
}

uint64_t radix_get(const struct radix_root *root, uint64_t index)
{
	const struct radix_node *leaf = leaf_of(root, index);

	return leaf ? leaf->values[slot_of(leaf, index)] : 0;
}

static struct radix_node *node_new(struct radix_root *root, unsigned int shift)
{
	struct radix_node *node = root->pool->alloc(root->arg);

	if (!node)
		return NULL;
	memset(node, 0, sizeof(*node));
	node->shift = (uint8_t)shift;
	return node;
}

/* The child gets a place; marks are the caller's. */
static void node_link(struct radix_node *parent, struct radix_node *child, unsigned int slot)
{
	parent->nodes[slot] = child;
	parent->bits[RADIX_USED] |= 1ull << slot;
	child->parent = parent;
	child->offset = (uint8_t)slot;
}

/* Levels that only lead on to slot 0 go (invariant 4). */
static void root_lower(struct radix_root *root)
{
	struct radix_node *node;

	while ((node = root->node) && node->shift > 0 && node->bits[RADIX_USED] == 1) {
		root->node = node->nodes[0];
		root->node->parent = NULL;
		root->pool->free(root->arg, node);
	}
}

/* Frees node and those above it, as far as they are empty. */
static void prune(struct radix_root *root, struct radix_node *node)
{
	while (node && node->bits[RADIX_USED] == 0) {
		struct radix_node *parent = node->parent;

		if (!parent) {
			root->node = NULL;
		} else {
			parent->nodes[node->offset] = NULL;
			for (unsigned int w = 0; w < RADIX_WORDS; w++)
				parent->bits[w] &= ~(1ull << node->offset);
		}
		root->pool->free(root->arg, node);
		node = parent;
	}
	root_lower(root);
}

/* Levels on top until the index fits. False: no memory. */
static bool root_raise(struct radix_root *root, uint64_t index)
{
	while (!reaches(root->node, index)) {
		struct radix_node *old = root->node;
		struct radix_node *top = node_new(root, old->shift + RADIX_BITS);

		if (!top)
			return false;
		node_link(top, old, 0);
		for (unsigned int w = 1; w < RADIX_WORDS; w++)
			top->bits[w] = old->bits[w] != 0;
		root->node = top;
	}
	return true;
}

/* A root that is just high enough, in an empty tree. */
static bool root_make(struct radix_root *root, uint64_t index)
{
	unsigned int shift = 0;

	while (shift + RADIX_BITS < INDEX_BITS && index >> (shift + RADIX_BITS) != 0)
		shift += RADIX_BITS;
	root->node = node_new(root, shift);
	return root->node != NULL;
}

/* The leaf of the index, with what is missing above it. NULL: no memory, nothing changed. */
static struct radix_node *leaf_ensure(struct radix_root *root, uint64_t index)
{
	struct radix_node *node;

	if (!root->node && !root_make(root, index))
		return NULL;
	if (!root_raise(root, index)) {
		root_lower(root);
		return NULL;
	}
	node = root->node;
	while (node->shift > 0) {
		struct radix_node *child = node->nodes[slot_of(node, index)];

		if (!child) {
			child = node_new(root, node->shift - RADIX_BITS);
			if (!child) {
				prune(root, node);
				return NULL;
			}
			node_link(node, child, slot_of(node, index));
		}
		node = child;
	}
	return node;
}

/**
 * radix_set() - put a value at an index, in place of what is there.
 * @value: not 0.
 *
 * Marks of the index stay as they are: none where nothing was.
 *
 * Return: 0, or -ENOMEM with nothing changed; always 0 where the index has a value.
 */
int radix_set(struct radix_root *root, uint64_t index, uint64_t value)
{
	struct radix_node *leaf = leaf_ensure(root, index);
	unsigned int slot;

	MM_DEBUG_ASSERT(value != 0);
	if (!leaf)
		return -ENOMEM;
	slot = slot_of(leaf, index);
	leaf->values[slot] = value;
	leaf->bits[RADIX_USED] |= 1ull << slot;
	return 0;
}

/* Below node nothing has the mark any more: its ancestors learn it, as far as it concerns them.
 */
static void unmark_up(struct radix_node *node, unsigned int word)
{
	while (node->parent && node->bits[word] == 0) {
		node->parent->bits[word] &= ~(1ull << node->offset);
		node = node->parent;
	}
}

/**
 * radix_erase() - take the value at an index away, with its marks.
 *
 * Return: the value, or 0 if there was none.
 */
uint64_t radix_erase(struct radix_root *root, uint64_t index)
{
	struct radix_node *leaf = leaf_of(root, index);
	unsigned int slot;
	uint64_t value;

	if (!leaf)
		return 0;
	slot = slot_of(leaf, index);
	value = leaf->values[slot];
	if (!value)
		return 0;
	leaf->values[slot] = 0;
	for (unsigned int w = 0; w < RADIX_WORDS; w++) {
		leaf->bits[w] &= ~(1ull << slot);
		if (w != RADIX_USED)
			unmark_up(leaf, w);
	}
	prune(root, leaf);
	return value;
}

/* Frees all nodes. What the values stand for is the caller's. */
void radix_clear(struct radix_root *root)
{
	struct radix_node *node = root->node;

	while (node) { /* as often as there are nodes, twice */
		struct radix_node *parent = node->parent;

		if (node->shift > 0 && node->bits[RADIX_USED]) {
			unsigned int slot =
				(unsigned int)__builtin_ctzll(node->bits[RADIX_USED]);

			node->bits[RADIX_USED] &= node->bits[RADIX_USED] - 1;
			node = node->nodes[slot];
			continue;
		}
		root->pool->free(root->arg, node);
		node = parent;
	}
	root->node = NULL;
}

/* The first slot in the order of indices, from *index on, whose bit in that word is set. */
static uint64_t next_with(const struct radix_root *root, uint64_t *index, uint64_t end,
			  unsigned int word)
{
	const struct radix_node *node = root->node;
	uint64_t at = *index;

	while (node && at < end && reaches(root->node, at)) {
		unsigned int slot = slot_of(node, at);
		uint64_t bits = node->bits[word] & ~0ull << slot;
		unsigned int found;

		if (!bits) { /* nothing more in this node: what comes after it */
			uint64_t span = node->shift + RADIX_BITS < INDEX_BITS
						? 1ull << (node->shift + RADIX_BITS)
						: 0;

			at = span ? (at & ~(span - 1)) + span : 0;
			if (at == 0)
				return 0;
			node = root->node;
			continue;
		}
		found = (unsigned int)__builtin_ctzll(bits);
		if (found != slot) {
			at &= ~((1ull << node->shift) - 1);
			at += (uint64_t)(found - slot) << node->shift;
		}
		if (node->shift > 0) {
			node = node->nodes[found];
			continue;
		}
		if (at >= end)
			return 0;
		*index = at;
		return node->values[found];
	}
	return 0;
}

uint64_t radix_next(const struct radix_root *root, uint64_t *index, uint64_t end)
{
	return next_with(root, index, end, RADIX_USED);
}

uint64_t radix_next_marked(const struct radix_root *root, uint64_t *index, uint64_t end,
			   unsigned int mark)
{
	return next_with(root, index, end, 1 + mark);
}

/**
 * radix_mark() - set a mark of an index that has a value.
 */
void radix_mark(struct radix_root *root, uint64_t index, unsigned int mark)
{
	struct radix_node *node = leaf_of(root, index);
	unsigned int word = 1 + mark, slot;

	MM_ASSERT(node && node->values[slot_of(node, index)]);
	slot = slot_of(node, index);
	while (node) {
		bool had = node->bits[word] != 0;

		node->bits[word] |= 1ull << slot;
		if (had)
			return;
		slot = node->offset;
		node = node->parent;
	}
}

void radix_unmark(struct radix_root *root, uint64_t index, unsigned int mark)
{
	struct radix_node *leaf = leaf_of(root, index);

	if (!leaf)
		return;
	leaf->bits[1 + mark] &= ~(1ull << slot_of(leaf, index));
	unmark_up(leaf, 1 + mark);
}

bool radix_is_marked(const struct radix_root *root, uint64_t index, unsigned int mark)
{
	const struct radix_node *leaf = leaf_of(root, index);

	return leaf && leaf->bits[1 + mark] >> slot_of(leaf, index) & 1;
}

bool radix_has_mark(const struct radix_root *root, unsigned int mark)
{
	return root->node && root->node->bits[1 + mark] != 0;
}

static int check_leaf(const struct radix_node *leaf)
{
	for (unsigned int i = 0; i < RADIX_SLOTS; i++)
		CHECK((leaf->values[i] != 0) == (leaf->bits[RADIX_USED] >> i & 1)); /* 1 */
	for (unsigned int w = 1; w < RADIX_WORDS; w++)
		CHECK((leaf->bits[w] & ~leaf->bits[RADIX_USED]) == 0); /* 2 */
	return 0;
}

/* Recursive, at most 11 levels deep. */
static int check_node(const struct radix_node *node)
{
	CHECK(node->bits[RADIX_USED] != 0); /* 1 */
	if (node->shift == 0)
		return check_leaf(node);
	for (unsigned int i = 0; i < RADIX_SLOTS; i++) {
		const struct radix_node *child = node->nodes[i];

		CHECK((child != NULL) == (node->bits[RADIX_USED] >> i & 1)); /* 1 */
		if (!child)
			continue;
		CHECK(child->parent == node && child->offset == i); /* 3 */
		CHECK(child->shift + RADIX_BITS == node->shift);    /* 3 */
		for (unsigned int w = 1; w < RADIX_WORDS; w++)	    /* 2 */
			CHECK((node->bits[w] >> i & 1) == (child->bits[w] != 0));
		CHECK(check_node(child) == 0);
	}
	return 0;
}

/**
 * radix_check() - invariants 1 to 4.
 *
 * Return: 0, or -EUCLEAN.
 */
int radix_check(const struct radix_root *root)
{
	if (!root->node)
		return 0;
	CHECK(root->node->parent == NULL);
	CHECK(root->node->shift == 0 || root->node->bits[RADIX_USED] != 1); /* 4 */
	return check_node(root->node);
}
