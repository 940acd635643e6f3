/* SPDX-License-Identifier: MIT */
/*
 * Each policy as a textbook has it: arrays, searched from end to end. Slow, and plain enough to
 * be believed. All return the misses of refs in nr_frames frames, at most PAGER_FRAMES_MAX.
 */
#ifndef TESTS_POLICY_TEXTBOOK_H
#define TESTS_POLICY_TEXTBOOK_H

#include "pager.h"

uint64_t textbook_fifo(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed);
uint64_t textbook_clock(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed);
uint64_t textbook_lru(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed);
uint64_t textbook_random(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed);
uint64_t textbook_opt(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed);

#endif
