/* SPDX-License-Identifier: MIT */
/*
 * What CLOCK, FIFO and LRU share: all frames of both kinds on one list.
 *
 * They differ in two questions only: does a use that the manager tells of (accessed()) move a
 * frame, and does a use that the scan finds spare it. The rest is here.
 *
 * The scan takes a batch from the tail, never more frames than are still wanted, asks about all
 * of them and offers those that are not spared to evict(). What is spared or could not go is
 * put in again at the head, in the order in which it was taken. So a batch does what the same
 * frames taken one at a time would have done, and no frame is asked in vain.
 *
 * While an anonymous page has no slot to go to (may_swap is false), anonymous frames are
 * stepped over and keep their places. Otherwise a frame's kind does not matter, nor does
 * swappiness: the order of use alone decides, which is what these policies are for. No list is
 * an active one: count() gives all frames as inactive.
 *
 * Invariants:
 *  1. A frame has PG_lru if and only if it is on the list.
 *  2. A frame on the list has PG_isolated and PG_active clear.
 *  3. nr_anon is the number of frames on the list that have PG_anon.
 */
#ifndef POLICY_QUEUE_H
#define POLICY_QUEUE_H

#include "mm/policy.h"

struct policy {
	struct page *mem_map;
	struct page_list list; /* arrivals at the head, the scan at the tail */
	uint32_t nr_anon;      /* frames */
};

/* As the members of policy_ops of the same name. */
void queue_init(struct policy *p, struct page *mem_map, pfn_t nr_frames);
void queue_insert(struct policy *p, struct page *page);
void queue_remove(struct policy *p, struct page *page);
void queue_deactivate(struct policy *p, struct page *page);
void queue_count(const struct policy *p, uint64_t ret_nr[4]);
int queue_check(const struct policy *p);

void queue_move_to_head(struct policy *p, struct page *page);
void queue_shrink(struct policy *p, struct policy_scan *scan, bool spares_used);

#endif
