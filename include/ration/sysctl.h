/* SPDX-License-Identifier: MIT */
/*
 * The tunables of a manager, by Linux's names (docs/tuning.md): "vm.swappiness" and so on.
 */
#ifndef RATION_SYSCTL_H
#define RATION_SYSCTL_H

#include "ration/types.h"

struct mm_system;

/* The default is worked out when a system is created, from how much memory it has. */
#define MM_SYSCTL_COMPUTED ((int64_t)-1)

struct mm_sysctl_info {
	const char *name;
	int64_t min, max; /* what may be set, both included */
	int64_t def;	  /* Linux's default, or MM_SYSCTL_COMPUTED */
};

int mm_sysctl_get(struct mm_system *sys, const char *name, int64_t *ret_value);
int mm_sysctl_set(struct mm_system *sys, const char *name, int64_t value);
int mm_sysctl_info(unsigned int index, struct mm_sysctl_info *ret_info);

#endif
