/* SPDX-License-Identifier: MIT */
/*
 * First in, first out: the list of queue.h in the order of arrival.
 *
 * Uses do not matter. A frame that evict() could not take (POLICY_KEEP) counts as new, as
 * mm/policy.h wants it: it would else be offered again by each scan, ahead of all others.
 * MADV_COLD still makes a frame the next to go.
 *
 * Nothing of FIFO keeps what is used, and more frames can mean more misses (Belady, Nelson,
 * Shedler 1969). It is here to be compared with.
 *
 * Invariants: queue.h's.
 */
#include "policy/fifo.h"

#include "policy/queue.h"

static void fifo_accessed(struct policy *p, struct page *page)
{
	(void)p;
	(void)page;
}

static void fifo_shrink(struct policy *p, struct policy_scan *scan)
{
	queue_shrink(p, scan, false);
}

const struct policy_ops policy_fifo = {
	.name = "fifo",
	.state_size = sizeof(struct policy),
	.init = queue_init,
	.insert = queue_insert,
	.remove = queue_remove,
	.accessed = fifo_accessed,
	.deactivate = queue_deactivate,
	.shrink = fifo_shrink,
	.count = queue_count,
	.check = queue_check,
};
