/* SPDX-License-Identifier: MIT */
#ifndef POLICY_RANDOM_H
#define POLICY_RANDOM_H

#include "mm/policy.h"

/* Any frame, each as likely as any other. */
extern const struct policy_ops policy_random;

#endif
