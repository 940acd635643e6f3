/* SPDX-License-Identifier: MIT */
/*
 * Which page leaves next: the replacement policy.
 *
 * A policy sees frames and two callbacks, nothing else of the manager, so that the same object
 * file runs here, in a simulator and in a short test. It keeps its frames on page_lists, uses
 * next, prev and the flags PG_lru, PG_isolated, PG_active, PG_referenced, PG_workingset of
 * struct page, and reads the others.
 *
 * Both callbacks take frames that the policy has isolated (PG_isolated, on no list), at most
 * POLICY_BATCH, and may drop and retake the manager's lock: the policy holds no pointer into
 * its lists across them.
 */
#ifndef MM_POLICY_H
#define MM_POLICY_H

#include "mm/page.h"

#define POLICY_BATCH	    32 /* Linux's SWAP_CLUSTER_MAX */
#define POLICY_PRIORITY_MAX 12 /* Linux's DEF_PRIORITY: scan list >> 12 first */

enum policy_verdict {
	POLICY_GONE, /* freed, or on its way (PG_isolated is clear): the policy forgets it */
	POLICY_KEEP, /* could not go now: back to where it was, at the head */
	POLICY_ACTIVATE, /* cannot go for good reason: treat it as in use */
	POLICY_WRITTEN,	 /* its write has begun: back to where it was, at the head */
};

/* One call of shrink(): what is asked, and what was done. */
struct policy_scan {
	/* asked */
	unsigned int priority;	 /* POLICY_PRIORITY_MAX .. 0 */
	unsigned int nr_reclaim; /* stop when so many frames are gone */
	uint32_t swappiness;	 /* 0..200 */
	bool may_swap;		 /* there is a slot for an anonymous page */
	bool is_kswapd;		 /* not somebody who needs a frame */
	bool is_exact; /* as Linux also where it makes no sense: mm_config.is_linux_reclaim */
	bool has_refaulted[2];	   /* anonymous, file: workingset_has_refaulted() */
	uint64_t nr_free, nr_high; /* frames free; the high watermark of all zones */

	/* callbacks */
	void *arg;
	/*
	 * Was each frame accessed since it was last asked? Clears it (a machine without
	 * accessed bits drops the translation, so that the next access faults). Where may_leave
	 * says so (NULL: nowhere), what was accessed may be left as it is, for the next answer
	 * about it is of no interest, and such a fault would be for nothing.
	 */
	void (*harvest)(void *arg, struct page **pages, unsigned int nr, const bool *may_leave,
			bool *ret_young);
	void (*evict)(void *arg, struct page **pages, unsigned int nr,
		      enum policy_verdict *ret_verdicts);

	/* done: frames */
	unsigned int nr_scanned, nr_gone, nr_activated, nr_deactivated, nr_refill, nr_rotated;
	unsigned int nr_scanned_file; /* of nr_scanned: page_is_file_lru() */
};

/* A policy is about to ask whether these may go. */
static inline void policy_scan_count(struct policy_scan *scan, struct page *const *pages,
				     unsigned int nr)
{
	scan->nr_scanned += nr;
	for (unsigned int i = 0; i < nr; i++)
		scan->nr_scanned_file += page_is_file_lru(pages[i]);
}

struct policy;

struct policy_ops {
	const char *name;
	size_t state_size; /* bytes of struct policy, for the manager to allocate, zeroed */

	void (*init)(struct policy *p, struct page *mem_map, pfn_t nr_frames);
	void (*seed)(struct policy *p,
		     uint64_t seed); /* after init(); NULL: leaves nothing to chance */
	void (*insert)(struct policy *p, struct page *page);   /* a frame becomes reclaimable */
	void (*remove)(struct policy *p, struct page *page);   /* it is freed */
	void (*accessed)(struct policy *p, struct page *page); /* used without a translation */
	void (*deactivate)(struct policy *p, struct page *page); /* MADV_COLD: next to go */
	/* Pages that were active before came back: reclaiming their kind costs. NULL: all
	 * kinds are alike to this policy, and it has no active list. */
	void (*note_cost)(struct policy *p, bool is_file, unsigned int nr);
	void (*shrink)(struct policy *p, struct policy_scan *scan);
	void (*count)(const struct policy *p,
		      uint64_t ret_nr[4]); /* inactive, active anon; file */
	int (*check)(const struct policy *p);
};

#endif
