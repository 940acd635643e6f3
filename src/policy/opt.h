/* SPDX-License-Identifier: MIT */
#ifndef POLICY_OPT_H
#define POLICY_OPT_H

#include <stddef.h>
#include <stdint.h>

/* Words of scratch that either function wants for nr references. */
#define OPT_SCRATCH_WORDS(nr) ((nr) + ((nr) + 63) / 64)

void opt_next_uses(const uint64_t *pages, size_t nr, uint64_t *ret_next, uint64_t *scratch);
uint64_t opt_misses(const uint64_t *next, size_t nr, uint64_t nr_frames, uint64_t *scratch);

#endif
