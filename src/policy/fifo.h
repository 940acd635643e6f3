/* SPDX-License-Identifier: MIT */
#ifndef POLICY_FIFO_H
#define POLICY_FIFO_H

#include "mm/policy.h"

/* The frame that has been in memory longest goes. */
extern const struct policy_ops policy_fifo;

#endif
