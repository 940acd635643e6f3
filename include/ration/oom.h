/* SPDX-License-Identifier: MIT */
/*
 * Out of memory: who is killed, and what is said about it (docs/oom.md).
 */
#ifndef RATION_OOM_H
#define RATION_OOM_H

#include "ration/mm.h"

#define MM_OOM_SCORE_ADJ_MIN (-1000) /* never killed */
#define MM_OOM_SCORE_ADJ_MAX 1000
#define MM_OOM_TASKS_MAX     32 /* of the table in a report */
#define MM_OOM_ORDERS	     11

/* An address space in a report. In pages. */
struct mm_oom_task {
	struct mm_identity who;
	int32_t oom_score_adj;
	uint64_t total_vm, anon, file, tables, swapents;
};

/* In pages. */
struct mm_oom_zone {
	char name[12];
	uint64_t free, min, low, high, present, managed, free_pcp, lowmem_reserve;
	uint64_t nr_free[MM_OOM_ORDERS]; /* blocks, by order */
};

/* The state of the system when somebody was killed. */
struct mm_oom_report {
	struct mm_oom_task invoker, victim;
	bool is_allocating_task; /* vm.oom_kill_allocating_task had the victim chosen */
	bool has_tasks;		 /* vm.oom_dump_tasks */
	uint64_t vmstat[NR_MM_VMSTAT];
	uint64_t swap_total, swap_free; /* pages */
	uint32_t nr_zones, nr_tasks;	/* tasks: also those that the table has no room for */
	struct mm_oom_zone zones[3];
	struct mm_oom_task tasks[MM_OOM_TASKS_MAX];
};

void mm_set_identity(struct mm *mm, const struct mm_identity *who);
int mm_set_oom_score_adj(struct mm *mm, int adj);
int mm_oom_score(struct mm *mm);
bool mm_is_oom_victim(struct mm *mm);
size_t mm_oom_describe(const struct mm_oom_report *report, char *ret_text, size_t size);

#endif
