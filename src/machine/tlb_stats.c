/* SPDX-License-Identifier: MIT */
/*
 * What a TLB has counted, and what that costs. Hits of the fast path are counted apart, in few
 * words; here they become a part of the whole.
 */
#include <string.h>

#include "machine/tlb.h"

/**
 * tlb_stats_get() - what was counted since it was made or reset.
 */
struct tlb_stats tlb_stats_get(const struct tlb *t)
{
	struct tlb_stats stats = t->stats;

	for (unsigned int kind = 0; kind < TLB_NR_KINDS; kind++) {
		stats.hits[0][kind][TLB_4K] += t->fast_hits[kind];
		for (unsigned int size = TLB_4K + 1; size < TLB_NR_SIZES; size++) {
			stats.hits[0][kind][size] += t->fast_hits_big[kind][size];
			stats.hits[0][kind][TLB_4K] -= t->fast_hits_big[kind][size];
		}
	}
	return stats;
}

void tlb_stats_reset(struct tlb *t)
{
	memset(&t->stats, 0, sizeof(t->stats));
	t->slow_cycles = 0;
	memset(t->fast_hits, 0, sizeof(t->fast_hits));
	memset(t->fast_hits_big, 0, sizeof(t->fast_hits_big));
}

static uint64_t sum(const uint64_t *counts, size_t nr)
{
	uint64_t total = 0;

	for (size_t i = 0; i < nr; i++)
		total += counts[i];
	return total;
}

#define SUM(counts) sum(&(counts)[0][0], sizeof(counts) / sizeof(uint64_t))

/**
 * tlb_walks() - walks that were made, also those that ended in a fault.
 */
uint64_t tlb_walks(const struct tlb_stats *stats)
{
	return SUM(stats->walks) + stats->walks_faulted[TLB_INSTR] +
	       stats->walks_faulted[TLB_DATA];
}

/**
 * tlb_walk_hits() - walks that did not begin at the root.
 */
uint64_t tlb_walk_hits(const struct tlb_stats *stats)
{
	return sum(stats->walk_hits, TLB_NR_WALK_LEVELS);
}

/**
 * tlb_accesses() - what it was asked so far: each is a hit of a level, or a walk.
 */
uint64_t tlb_accesses(const struct tlb *t)
{
	const struct tlb_stats stats = tlb_stats_get(t);

	return SUM(stats.hits[0]) + SUM(stats.hits[1]) + tlb_walks(&stats);
}

/**
 * tlb_cycles() - an estimate of the time that translation took, by the costs of the config.
 *
 * Costs are added up as if nothing went on beside them. Processors hide some of it, so this is
 * an upper bound for a program that has other work to do.
 */
uint64_t tlb_cycles(const struct tlb *t)
{
	const struct tlb_stats stats = tlb_stats_get(t);

	return SUM(stats.hits[0]) * t->cfg.cycles.l1_hit +
	       SUM(stats.hits[1]) * t->cfg.cycles.l2_hit +
	       tlb_walks(&stats) * t->cfg.cycles.walk +
	       stats.walk_steps * t->cfg.cycles.walk_step;
}
