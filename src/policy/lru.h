/* SPDX-License-Identifier: MIT */
#ifndef POLICY_LRU_H
#define POLICY_LRU_H

#include "mm/policy.h"

/* The frame goes whose last use that the manager knows of is the oldest. */
extern const struct policy_ops policy_lru;

#endif
