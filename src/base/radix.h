/* SPDX-License-Identifier: MIT */
/*
 * A radix tree: 64-bit values by 64-bit index, 64 to a node, with marks that are found without
 * a walk over what does not have them. It takes its nodes from the caller.
 *
 * A value is any number but 0, which means nothing is there. What kinds of values there are is
 * the caller's.
 */
#ifndef BASE_RADIX_H
#define BASE_RADIX_H

#include <stdbool.h>
#include <stdint.h>

#define RADIX_BITS  6
#define RADIX_SLOTS (1u << RADIX_BITS)
#define RADIX_MARKS 3 /* marks 0 .. RADIX_MARKS - 1 */

/* Which slots: bit i is slot i. RADIX_USED comes first, then a word a mark. */
#define RADIX_USED  0
#define RADIX_WORDS (1 + RADIX_MARKS)

struct radix_node {
	uint64_t bits[RADIX_WORDS];
	struct radix_node *parent;
	uint8_t shift;	/* index bits below this node: 0 in a leaf */
	uint8_t offset; /* its slot in parent */
	union {
		uint64_t values[RADIX_SLOTS];	       /* leaf */
		struct radix_node *nodes[RADIX_SLOTS]; /* above */
	};
};

/* Where nodes come from. alloc() may answer NULL; its memory may have any content. */
struct radix_pool {
	struct radix_node *(*alloc)(void *arg);
	void (*free)(void *arg, struct radix_node *node);
};

struct radix_root {
	struct radix_node *node; /* NULL: empty */
	const struct radix_pool *pool;
	void *arg; /* for the pool */
};

void radix_init(struct radix_root *root, const struct radix_pool *pool, void *arg);
uint64_t radix_get(const struct radix_root *root, uint64_t index); /* 0: nothing */
int radix_set(struct radix_root *root, uint64_t index, uint64_t value);
uint64_t radix_erase(struct radix_root *root, uint64_t index);
void radix_clear(struct radix_root *root);

/* The first at or above *index and below end, which becomes *index; 0: none. */
uint64_t radix_next(const struct radix_root *root, uint64_t *index, uint64_t end);
uint64_t radix_next_marked(const struct radix_root *root, uint64_t *index, uint64_t end,
			   unsigned int mark);

void radix_mark(struct radix_root *root, uint64_t index, unsigned int mark);
void radix_unmark(struct radix_root *root, uint64_t index, unsigned int mark);
bool radix_is_marked(const struct radix_root *root, uint64_t index, unsigned int mark);
bool radix_has_mark(const struct radix_root *root, unsigned int mark); /* anything has it */

int radix_check(const struct radix_root *root); /* 0 or -EUCLEAN */

#endif
