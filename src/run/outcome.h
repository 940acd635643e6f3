/* SPDX-License-Identifier: MIT */
/*
 * Faults that do not end with a page.
 */
#ifndef RUN_OUTCOME_H
#define RUN_OUTCOME_H

#include "machine/host.h"
#include "ration/mm.h"

struct runtime;

void rt_say_bus(struct runtime *rt, vaddr_t va);
void rt_fault_refused(struct runtime *rt, const struct machine_host_fault *fault,
		      enum mm_fault_result result);

#endif
