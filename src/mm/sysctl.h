/* SPDX-License-Identifier: MIT */
/*
 * Tunables that struct mm_config does not have: a system begins with their defaults, and
 * mm_sysctl_set() changes them (mm/sysctl.c has the table). All are guarded by mm_system.lock.
 */
#ifndef MM_SYSCTL_H
#define MM_SYSCTL_H

#include "ration/sysctl.h"

struct mm_tunables {
	int32_t dirty_background_ratio, dirty_ratio; /* percent */
	int32_t dirty_expire_centisecs, dirty_writeback_centisecs;
	int32_t max_map_count; /* areas of one address space */
	int32_t overcommit_ratio;
	int32_t oom_kill_allocating_task, oom_dump_tasks;
	int64_t overcommit_kbytes;
	int32_t khugepaged_pages_to_scan, khugepaged_max_ptes_none, khugepaged_max_ptes_swap;
	int32_t khugepaged_max_ptes_shared, khugepaged_scan_sleep_millisecs;
	int32_t khugepaged_alloc_sleep_millisecs;
	uint32_t nr_overcommit_hugepages;
	int64_t admin_reserve_kbytes, user_reserve_kbytes;
};

void sysctl_init(struct mm_system *sys);
int sysctl_check(struct mm_system *sys);

#endif
