/* SPDX-License-Identifier: MIT */
/*
 * A pager in a few lines: replays page references in so many frames with a policy, and counts
 * the misses. All that a policy sees of the manager is here.
 */
#ifndef TESTS_POLICY_PAGER_H
#define TESTS_POLICY_PAGER_H

#include "mm/policy.h"

#define PAGER_FRAMES_MAX 256
#define PAGER_PAGES_MAX	 4096 /* page numbers are below */

struct page_refs {
	const uint64_t *pages;
	size_t nr;
};

enum pager_tells {
	PAGER_TELLS_EACH, /* each use, by accessed() */
	PAGER_ANSWERS,	  /* only when it is asked, by harvest() */
};

struct pager_config {
	const struct policy_ops *ops;
	pfn_t nr_frames;
	uint64_t seed;
	enum pager_tells tells;
};

/* Checks the policy after each eviction. */
uint64_t pager_misses(const struct pager_config *cfg, const struct page_refs *refs);

#endif
