/* SPDX-License-Identifier: MIT */
#include "textbook.h"

#include "support/rng.h"

struct frame {
	uint64_t page;
	size_t loaded, used; /* index of the reference */
	bool is_referenced;
};

struct memory {
	const struct page_refs *refs;
	struct frame frames[PAGER_FRAMES_MAX];
	pfn_t nr_frames, nr_used;
	pfn_t hand;
	struct rng rng;
};

typedef pfn_t victim_fn(struct memory *m, size_t now);

static pfn_t find(const struct memory *m, uint64_t page)
{
	for (pfn_t i = 0; i < m->nr_used; i++)
		if (m->frames[i].page == page)
			return i;
	return PFN_NONE;
}

static uint64_t misses(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed,
		       victim_fn *victim)
{
	struct memory m = {.refs = refs, .nr_frames = nr_frames, .rng = rng_make(seed)};
	uint64_t nr = 0;

	for (size_t now = 0; now < refs->nr; now++) {
		pfn_t at = find(&m, refs->pages[now]);

		if (at == PFN_NONE) {
			at = m.nr_used < nr_frames ? m.nr_used++ : victim(&m, now);
			m.frames[at] = (struct frame){.page = refs->pages[now], .loaded = now};
			nr++;
		}
		m.frames[at].used = now;
		m.frames[at].is_referenced = true;
	}
	return nr;
}

static pfn_t fifo_victim(struct memory *m, size_t now)
{
	pfn_t oldest = 0;

	(void)now;
	for (pfn_t i = 1; i < m->nr_frames; i++)
		if (m->frames[i].loaded < m->frames[oldest].loaded)
			oldest = i;
	return oldest;
}

static pfn_t lru_victim(struct memory *m, size_t now)
{
	pfn_t oldest = 0;

	(void)now;
	for (pfn_t i = 1; i < m->nr_frames; i++)
		if (m->frames[i].used < m->frames[oldest].used)
			oldest = i;
	return oldest;
}

static pfn_t clock_victim(struct memory *m, size_t now)
{
	pfn_t victim;

	(void)now;
	while (m->frames[m->hand].is_referenced) {
		m->frames[m->hand].is_referenced = false;
		m->hand = (m->hand + 1) % m->nr_frames;
	}
	victim = m->hand;
	m->hand = (m->hand + 1) % m->nr_frames;
	return victim;
}

static pfn_t random_victim(struct memory *m, size_t now)
{
	(void)now;
	return (pfn_t)rng_below(&m->rng, m->nr_frames);
}

static size_t next_use(const struct page_refs *refs, uint64_t page, size_t now)
{
	while (now < refs->nr && refs->pages[now] != page)
		now++;
	return now;
}

static pfn_t opt_victim(struct memory *m, size_t now)
{
	size_t furthest = 0;
	pfn_t victim = 0;

	for (pfn_t i = 0; i < m->nr_frames; i++) {
		size_t next = next_use(m->refs, m->frames[i].page, now);

		if (next > furthest) {
			furthest = next;
			victim = i;
		}
	}
	return victim;
}

uint64_t textbook_fifo(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed)
{
	return misses(refs, nr_frames, seed, fifo_victim);
}

uint64_t textbook_clock(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed)
{
	return misses(refs, nr_frames, seed, clock_victim);
}

uint64_t textbook_lru(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed)
{
	return misses(refs, nr_frames, seed, lru_victim);
}

uint64_t textbook_random(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed)
{
	return misses(refs, nr_frames, seed, random_victim);
}

uint64_t textbook_opt(const struct page_refs *refs, pfn_t nr_frames, uint64_t seed)
{
	return misses(refs, nr_frames, seed, opt_victim);
}
