/* SPDX-License-Identifier: MIT */
/*
 * What an evicted page leaves behind, and what it says when the page is read again
 * (mm/workingset.c). Context: mm_system.lock held.
 */
#ifndef MM_WORKINGSET_H
#define MM_WORKINGSET_H

#include "mm/page.h"

#define WORKINGSET_SHADOW_BITS 30 /* a shadow entry is above 0 and below 1 << this */

/* In struct mm_system. */
struct workingset {
	uint64_t nonresident_age; /* frames evicted or activated since boot */
	uint64_t nr_evicted;	  /* of these, evicted */
	uint64_t activated[2]; /* refaults of anonymous, file pages that were, as reclaim last
				  saw them */
};

uint64_t workingset_eviction(struct mm_system *sys, const struct page *page);
uint64_t workingset_evictions(const struct mm_system *sys, uint64_t shadow);
void workingset_refault(struct mm_system *sys, struct page *page, uint64_t shadow);
void workingset_age(struct mm_system *sys, uint64_t nr_activated);
bool workingset_has_refaulted(const struct mm_system *sys, bool is_file);
void workingset_snapshot(struct mm_system *sys);

#endif
