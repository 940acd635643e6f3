/* SPDX-License-Identifier: MIT */
/*
 * Least recently used, exact in what the manager knows.
 *
 * Let K be the last time at which the manager learned of a use of a frame: it came in,
 * accessed() told of a use, or harvest() found one. The list of queue.h is ordered by K,
 * without exception. The victim is the frame with the oldest K, if harvest() says that there
 * was no later use that nobody told of; if there was one, its K is now.
 *
 * What this means depends on who tells:
 *  - Where each use is told through accessed(), as by a replay of page references, K is the
 *    time of the last use, and this is LRU to the letter: it has the stack property, and its
 *    misses are those of Mattson's stack.
 *  - Where uses are only found by harvest(), K is when the frame was asked. The order of two
 * uses between two questions is not known to anybody; then this decides as CLOCK does. To ask
 * all frames before each batch would sharpen K to the interval between batches, at the price of
 *    asking every frame for each few that go: on a machine without accessed bits, a fault for
 *    each page in use.
 *
 * Invariants: queue.h's, and
 *  1. PG_referenced: a use that the frame's place on the list does not say: told while it was
 *     isolated, or a refusal to let it go.
 */
#include "policy/lru.h"

#include "policy/queue.h"

static void lru_accessed(struct policy *p, struct page *page)
{
	if (page_has(page, PG_lru))
		queue_move_to_head(p, page);
	else
		page->flags |= PG_referenced;
}

static void lru_shrink(struct policy *p, struct policy_scan *scan)
{
	queue_shrink(p, scan, true);
}

const struct policy_ops policy_lru = {
	.name = "lru",
	.state_size = sizeof(struct policy),
	.init = queue_init,
	.insert = queue_insert,
	.remove = queue_remove,
	.accessed = lru_accessed,
	.deactivate = queue_deactivate,
	.shrink = lru_shrink,
	.count = queue_count,
	.check = queue_check,
};
