/* SPDX-License-Identifier: MIT */
/*
 * The accesses of a fidelity workload, the same for the program that runs in the guest and for
 * the software machine: integers only, one page touched at a time, decided by the pattern, the
 * sizes and the number of the access.
 *
 * Each workload first writes all anonymous pages in order (a read of a page never written would
 * map Linux's zero page), and then goes on as its pattern says, three writes in ten accesses of
 * anonymous memory. A file is only read.
 */
#ifndef FIDELITY_ACCESS_H
#define FIDELITY_ACCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FIDELITY_SEED	    UINT64_C(0x9e3779b97f4a7c15)
#define FIDELITY_HOT_EVERY  4			 /* scan: the hot set is one page in four */
#define FIDELITY_HOT_ROUND  5			 /* and of five accesses four go to it */
#define FIDELITY_SCATTER    UINT64_C(2654435761) /* a prime: hot pages do not lie together */
#define FIDELITY_WRITES_PCT 30

enum fidelity_pattern { FID_SEQ, FID_UNIFORM, FID_SKEWED, FID_SCAN, FID_MIXED, NR_FID };

static const char *const fidelity_names[NR_FID] = {"seq", "uniform", "skewed", "scan", "mixed"};

struct fidelity_stream {
	enum fidelity_pattern pattern;
	uint64_t nr_anon, nr_file; /* pages */
	uint64_t nr_accesses;	   /* after the first writing */
	uint64_t at, random;
};

struct fidelity_access {
	uint64_t page;
	bool is_file, is_write;
};

/* Return: NR_FID if there is none of that name. */
static inline enum fidelity_pattern fidelity_find(const char *name)
{
	enum fidelity_pattern p = 0;

	while (p < NR_FID && strcmp(fidelity_names[p], name) != 0)
		p++;
	return p;
}

static inline void fidelity_init(struct fidelity_stream *s, enum fidelity_pattern pattern,
				 uint64_t nr_pages, uint64_t nr_accesses)
{
	*s = (struct fidelity_stream){.pattern = pattern,
				      .nr_anon = nr_pages,
				      .nr_accesses = nr_accesses,
				      .random = FIDELITY_SEED};
	if (pattern == FID_MIXED) {
		s->nr_file = nr_pages / 2;
		s->nr_anon = nr_pages - s->nr_file;
	}
}

/* xorshift64* (Vigna 2016), its upper half. */
static inline uint64_t fidelity_random(struct fidelity_stream *s)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return s->random * UINT64_C(2685821657736338717) >> 32;
}

/* Below nr, as the fifth power of a uniform number: Zipf's law with an exponent of 0.8. */
static inline uint64_t fidelity_skewed(struct fidelity_stream *s, uint64_t nr)
{
	uint64_t u = fidelity_random(s), u2 = u * u >> 32, u4 = u2 * u2 >> 32;

	return ((u4 * u >> 32) * nr >> 32) * FIDELITY_SCATTER % nr;
}

static inline uint64_t fidelity_uniform(struct fidelity_stream *s, uint64_t nr)
{
	return fidelity_random(s) * nr >> 32;
}

/* Hot pages first, the scanned ones behind them. */
static inline uint64_t fidelity_scan(struct fidelity_stream *s, uint64_t nr, uint64_t i)
{
	uint64_t hot = nr / FIDELITY_HOT_EVERY;

	if (i % FIDELITY_HOT_ROUND == 0)
		return hot + i / FIDELITY_HOT_ROUND % (nr - hot);
	return fidelity_uniform(s, hot);
}

static inline void fidelity_choose(struct fidelity_stream *s, uint64_t i,
				   struct fidelity_access *a)
{
	switch (s->pattern) {
	case FID_SEQ:
		a->page = i % s->nr_anon;
		break;
	case FID_UNIFORM:
		a->page = fidelity_uniform(s, s->nr_anon);
		break;
	case FID_SKEWED:
		a->page = fidelity_skewed(s, s->nr_anon);
		break;
	case FID_SCAN:
		a->page = fidelity_scan(s, s->nr_anon, i);
		break;
	default:
		a->is_file = i % 2 == 1;
		a->page = fidelity_skewed(s, a->is_file ? s->nr_file : s->nr_anon);
	}
}

/* false: that was all. */
static inline bool fidelity_next(struct fidelity_stream *s, struct fidelity_access *ret)
{
	uint64_t i = s->at++;

	*ret = (struct fidelity_access){.is_write = true, .page = i};
	if (i < s->nr_anon)
		return true;
	i -= s->nr_anon;
	if (i >= s->nr_accesses)
		return false;
	fidelity_choose(s, i, ret);
	ret->is_write = fidelity_random(s) % 100 < FIDELITY_WRITES_PCT && !ret->is_file;
	return true;
}

#endif
