/* SPDX-License-Identifier: MIT */
/*
 * CLOCK, also called second chance (Corbato 1968, "A paging experiment with the Multics
 * system").
 *
 * The frames form a ring with a hand. The frame under the hand goes, unless it was used since
 * the hand was last there: then it has to be used again before the hand comes back. The ring is
 * the list of queue.h: the hand is at the tail, and passing over a frame moves it to the head.
 * A new frame comes just behind the hand, so that it is looked at last.
 *
 * A use is what harvest() finds, or what accessed() has told and PG_referenced remembers.
 * Telling a use costs one flag; that is CLOCK's point against LRU.
 *
 * Invariants: queue.h's, and
 *  1. PG_referenced: a use was told since the hand was last there.
 */
#include "policy/clock.h"

#include "policy/queue.h"

static void clock_accessed(struct policy *p, struct page *page)
{
	(void)p;
	page->flags |= PG_referenced;
}

static void clock_shrink(struct policy *p, struct policy_scan *scan)
{
	queue_shrink(p, scan, true);
}

const struct policy_ops policy_clock = {
	.name = "clock",
	.state_size = sizeof(struct policy),
	.init = queue_init,
	.insert = queue_insert,
	.remove = queue_remove,
	.accessed = clock_accessed,
	.deactivate = queue_deactivate,
	.shrink = clock_shrink,
	.count = queue_count,
	.check = queue_check,
};
