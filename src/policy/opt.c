/* SPDX-License-Identifier: MIT */
/*
 * OPT: the fewest misses that demand paging can have (Belady 1966; Mattson and others 1970).
 *
 * The page goes whose next use is furthest away. That needs the future, so OPT is no
 * policy_ops: it is a function over a whole trace, as the measure of those that are.
 *
 * Two passes. opt_next_uses() sorts the references by page, stably; then neighbours of one page
 * are a use and the next one. opt_misses() replays: a resident page is represented by the time
 * of its next use, which no two share, except those never used again, between which it makes no
 * difference. A max-heap of these times says who goes. A hit leaves the time that has just come
 * true in the heap. It needs no deletion: the times of resident pages lie all in the future,
 * and one of them is at the top whenever somebody has to go.
 *
 * Both are O(n log n) in the worst case and allocate nothing.
 *
 * Invariants of the replay, before reference i:
 *  1. The resident bit of time t > i is set if and only if the page used at t is resident and
 *     not used between.
 *  2. The heap holds the next use of each resident page, and else only times before i.
 */
#include "policy/opt.h"

#include <stdbool.h>
#include <string.h>

#include "base/assert.h"

struct time_heap {
	uint64_t *times;
	size_t nr;
};

static void heap_push(struct time_heap *h, uint64_t time)
{
	size_t at = h->nr++;

	for (; at > 0 && h->times[(at - 1) / 2] < time; at = (at - 1) / 2)
		h->times[at] = h->times[(at - 1) / 2];
	h->times[at] = time;
}

static uint64_t heap_pop(struct time_heap *h)
{
	uint64_t top = h->times[0], last = h->times[--h->nr];
	size_t at = 0;

	for (size_t child = 1; child < h->nr; child = 2 * at + 1) {
		if (child + 1 < h->nr && h->times[child + 1] > h->times[child])
			child++;
		if (h->times[child] <= last)
			break;
		h->times[at] = h->times[child];
		at = child;
	}
	h->times[at] = last;
	return top;
}

/* Merges the runs [start, middle) and [middle, end) of times, each in order of page. */
static void merge(const uint64_t *pages, const uint64_t *from, uint64_t *to,
		  const size_t bounds[3])
{
	size_t left = bounds[0], right = bounds[1];

	for (size_t out = bounds[0]; out < bounds[2]; out++) {
		bool takes_left = left < bounds[1] && (right == bounds[2] ||
						       pages[from[left]] <= pages[from[right]]);

		to[out] = takes_left ? from[left++] : from[right++];
	}
}

/* Times in order of page, then of time. Return: which of a and b has them. */
static uint64_t *sort_times(const uint64_t *pages, size_t nr, uint64_t *a, uint64_t *b)
{
	for (size_t i = 0; i < nr; i++)
		a[i] = i;
	for (size_t run = 1; run < nr; run *= 2) {
		uint64_t *swap = a;

		for (size_t start = 0; start < nr; start += 2 * run) {
			size_t bounds[3] = {start, start + run, start + 2 * run};

			for (unsigned int i = 1; i < 3; i++)
				bounds[i] = bounds[i] < nr ? bounds[i] : nr;
			merge(pages, a, b, bounds);
		}
		a = b;
		b = swap;
	}
	return a;
}

/**
 * opt_next_uses() - when is each reference's page referenced again?
 * @pages: page numbers in the order of reference.
 * @nr: references.
 * @ret_next: nr words: the index of the next reference to the same page; nr: there is none.
 * @scratch: OPT_SCRATCH_WORDS(nr) words.
 *
 * Context: any.
 */
void opt_next_uses(const uint64_t *pages, size_t nr, uint64_t *ret_next, uint64_t *scratch)
{
	const uint64_t *times = sort_times(pages, nr, scratch, ret_next);

	if (times == ret_next)
		times = memcpy(scratch, ret_next, nr * sizeof(*scratch));
	for (size_t i = 0; i < nr; i++) {
		bool is_last = i + 1 == nr || pages[times[i]] != pages[times[i + 1]];

		ret_next[times[i]] = is_last ? nr : times[i + 1];
	}
}

/**
 * opt_misses() - how often would OPT have to fetch a page?
 * @next: of opt_next_uses(); left as it is, so one serves any number of sizes.
 * @nr: references.
 * @nr_frames: at least 1; they are empty at first.
 * @scratch: OPT_SCRATCH_WORDS(nr) words.
 *
 * Return: misses, the first use of each page included.
 * Context: any.
 */
uint64_t opt_misses(const uint64_t *next, size_t nr, uint64_t nr_frames, uint64_t *scratch)
{
	struct time_heap heap = {.times = scratch};
	uint64_t *resident = scratch + nr;
	uint64_t misses = 0;

	MM_ASSERT(nr_frames > 0);
	memset(resident, 0, (nr + 63) / 64 * sizeof(*resident));
	for (size_t i = 0; i < nr; i++) {
		if (!(resident[i / 64] >> i % 64 & 1) && misses++ >= nr_frames) {
			uint64_t gone = heap_pop(&heap);

			if (gone < nr)
				resident[gone / 64] &= ~(1ull << gone % 64);
		}
		heap_push(&heap, next[i]);
		if (next[i] < nr)
			resident[next[i] / 64] |= 1ull << next[i] % 64;
	}
	return misses;
}
