/* SPDX-License-Identifier: MIT */
#ifndef POLICY_TWO_LISTS_H
#define POLICY_TWO_LISTS_H

#include "mm/policy.h"

/* Linux's classic LRU: an active and an inactive list each for anonymous and file pages. */
extern const struct policy_ops policy_two_lists;

#endif
