/* SPDX-License-Identifier: MIT */
/*
 * Shrinkers: the manager's own caches give frames back in proportion to the pressure (Linux's
 * shrink_slab(), do_shrink_slab()).
 *
 * Each pass of reclaim asks each shrinker how much it could free, and for a part of that, which
 * grows as the priority falls. What would be less than a batch is put off and added to a later
 * pass, where the priority lets more of it through: so a small cache is left alone until memory
 * is really tight, and is then taken whole.
 *
 * Priority 0 is the last word before somebody is killed: there all goes, also what a half
 * rounds to nothing (Linux leaves that).
 *
 * There is one now: the free slabs that the caches keep for their next objects. Making one
 * again costs no I/O, so its part is half of it at any priority (seeks 0).
 */
#include "base/checked.h"
#include "mm/reclaim.h"
#include "mm/slab.h"

#define SHRINK_BATCH 128 /* frames, in Linux objects */

struct shrinker {
	unsigned int seeks; /* I/Os to make one again, 2 for a disk's; 0: none */
	uint64_t (*count)(struct mm_system *sys);
	uint64_t (*scan)(struct mm_system *sys, uint64_t nr);
};

static const struct shrinker shrinkers[NR_SHRINKERS] = {
	{.seeks = 0, .count = slab_count_free, .scan = slab_shrink_frames},
};

static uint64_t share(const struct shrinker *s, uint64_t freeable, unsigned int priority)
{
	return s->seeks ? (freeable >> priority) * 4 / s->seeks : freeable / 2;
}

static uint64_t shrink_one(struct mm_system *sys, const struct shrinker *s,
			   unsigned int priority, uint64_t *deferred)
{
	uint64_t freeable = s->count(sys), freed = 0, scanned = 0;
	uint64_t delta = share(s, freeable, priority);
	uint64_t left = min_u64((*deferred >> priority) + delta, 2 * freeable);

	if (priority == 0)
		left = max_u64(left, freeable);
	while (freeable > 0 && left > 0 && (left >= SHRINK_BATCH || left >= freeable)) {
		uint64_t nr = min_u64(left, SHRINK_BATCH);

		freed += s->scan(sys, nr);
		scanned += nr;
		left -= nr;
	}
	STAT(sys, slabs_scanned, (int64_t)scanned);
	delta += *deferred;
	*deferred = min_u64(delta > scanned ? delta - scanned : 0, 2 * freeable);
	return freed;
}

/**
 * shrink_slab() - ask all shrinkers, for one pass of reclaim.
 * @priority: POLICY_PRIORITY_MAX..0.
 *
 * Return: frames given back.
 * Context: sys->lock held.
 */
uint64_t shrink_slab(struct mm_system *sys, unsigned int priority)
{
	uint64_t freed = 0;

	for (unsigned int i = 0; i < NR_SHRINKERS; i++)
		freed += shrink_one(sys, &shrinkers[i], priority, &sys->shrink_deferred[i]);
	return freed;
}
