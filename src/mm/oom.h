/* SPDX-License-Identifier: MIT */
/*
 * The OOM killer (mm/oom.c). Context for all: mm_system.lock held; those marked "unlocks" drop
 * and retake it.
 */
#ifndef MM_OOM_H
#define MM_OOM_H

#include "mm/system.h"

enum oom_answer {
	OOM_AGAIN, /* memory has been freed: look anew */
	OOM_WAIT,  /* somebody is dying: RETRY */
	OOM_DIE,   /* the asker has to go */
};

enum oom_answer oom_out_of_memory(struct mm *mm); /* unlocks; mm read-locked by the caller */
void oom_reap_victims(struct mm_system *sys);	  /* unlocks */
void oom_report_fill(struct mm_system *sys, struct mm *invoker, struct mm *victim);

#endif
