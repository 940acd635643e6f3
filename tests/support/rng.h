/* SPDX-License-Identifier: MIT */
/*
 * SplitMix64 (Steele, Lea, Flood 2014, "Fast Splittable Pseudorandom Number Generators"): 64
 * bits of state, every seed is a good one, the same numbers on every machine.
 */
#ifndef SUPPORT_RNG_H
#define SUPPORT_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline struct rng rng_make(uint64_t seed)
{
	return (struct rng){.state = seed};
}

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* In [0, n); n is not 0. By multiplication (Lemire 2019); its bias, n / 2^64, is none here. */
static inline uint64_t rng_below(struct rng *rng, uint64_t n)
{
	return (uint64_t)((unsigned __int128)rng_next(rng) * n >> 64);
}

/* In [first, last], both included. */
static inline uint64_t rng_between(struct rng *rng, uint64_t first, uint64_t last)
{
	return first + rng_below(rng, last - first + 1);
}

/* True in percent of 100 calls. */
static inline bool rng_chance(struct rng *rng, unsigned int percent)
{
	return rng_below(rng, 100) < percent;
}

#endif
