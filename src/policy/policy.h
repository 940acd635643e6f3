/* SPDX-License-Identifier: MIT */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "mm/policy.h"

const struct policy_ops *policy_find(const char *name);
const struct policy_ops *policy_at(unsigned int index);

/* The names, for a --policy's help and its complaints. A test holds it to the table. */
#define POLICY_NAMES "two-lists, clock, fifo, lru, random"

#endif
