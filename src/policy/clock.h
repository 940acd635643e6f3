/* SPDX-License-Identifier: MIT */
#ifndef POLICY_CLOCK_H
#define POLICY_CLOCK_H

#include "mm/policy.h"

/* Second chance: a frame that was used since the hand was last there is passed over. */
extern const struct policy_ops policy_clock;

#endif
