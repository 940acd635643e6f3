/* SPDX-License-Identifier: MIT */
/*
 * Numbers drawn from a seed: SplitMix64 (Steele, Lea, Flood 2014), the same on every machine.
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdint.h>

static inline uint64_t sim_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Below n, which is not 0: by multiplication (Lemire 2019). */
static inline uint64_t sim_random_below(uint64_t *state, uint64_t n)
{
	return (uint64_t)((unsigned __int128)sim_random(state) * n >> 64);
}

#endif
