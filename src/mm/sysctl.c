/* SPDX-License-Identifier: MIT */
/*
 * Tunables by name.
 *
 * One const table has a row for each: Linux's name, range and default, and the field of struct
 * mm_system that holds its value. The code that is tuned reads the field; nothing looks a name
 * up on its way. What else has to happen when a value changes is the row's changed(), which
 * runs after the value is stored and cannot fail: watermarks are computed anew, say.
 *
 * To add a tunable: a field in struct mm_tunables, a row here, a line in docs/tuning.md. Where
 * Linux's range ends at the largest value of its type, so does the row's.
 *
 * 1. Each value is in the range of its row.
 */
#include "mm/sysctl.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "mm/hugetlb.h"
#include "mm/reclaim.h"
#include "mm/vma.h"

struct sysctl_row {
	struct mm_sysctl_info info;
	uint32_t offset;			/* of the field in struct mm_system */
	uint32_t size;				/* of the field: 4 or 8 bytes */
	void (*changed)(struct mm_system *sys); /* NULL: the value is all there is */
};

#define FIELD(name)                                 \
	.offset = offsetof(struct mm_system, name), \
	.size = sizeof(((struct mm_system *)NULL)->name)

static void watermarks_changed(struct mm_system *sys)
{
	zones_setup_watermarks(sys, sys->cfg.min_free_kbytes, sys->cfg.watermark_scale_factor);
	kswapd_wake_if_low(sys);
}

/* The commit limit is given in one of two ways; the last word counts, as in Linux. */
static void overcommit_kbytes_changed(struct mm_system *sys)
{
	sys->tune.overcommit_ratio = 0;
}

static void overcommit_ratio_changed(struct mm_system *sys)
{
	sys->tune.overcommit_kbytes = 0;
}

static void thp_changed(struct mm_system *sys)
{
	huge_init(sys);
	watermarks_changed(sys);
}

/* Linux has these in /sys/kernel/mm/. */
#define THP(name) "transparent_hugepage." name

static const struct sysctl_row sysctl_rows[] = {
	{{"hugepages-1048576kB.nr_hugepages", 0, INT_MAX, 0},
	 FIELD(cfg.nr_hugepages_1g),
	 hugetlb_resize},
	{{THP("enabled"), MM_THP_NEVER, MM_THP_ALWAYS, MM_THP_NEVER},
	 FIELD(cfg.thp),
	 thp_changed},
	{{THP("hugepages-64kB"), MM_THP_NEVER, MM_THP_INHERIT, MM_THP_NEVER},
	 FIELD(cfg.thp_64k)},
	{{THP("khugepaged.alloc_sleep_millisecs"), 0, INT_MAX, 60000},
	 FIELD(tune.khugepaged_alloc_sleep_millisecs)},
	{{THP("khugepaged.max_ptes_none"), 0, PGTABLE_ENTRIES - 1, PGTABLE_ENTRIES - 1},
	 FIELD(tune.khugepaged_max_ptes_none)},
	{{THP("khugepaged.max_ptes_shared"), 0, PGTABLE_ENTRIES - 1, PGTABLE_ENTRIES / 2},
	 FIELD(tune.khugepaged_max_ptes_shared)},
	{{THP("khugepaged.max_ptes_swap"), 0, PGTABLE_ENTRIES - 1, PGTABLE_ENTRIES / 8},
	 FIELD(tune.khugepaged_max_ptes_swap)},
	{{THP("khugepaged.pages_to_scan"), 1, INT_MAX, 8 * PGTABLE_ENTRIES},
	 FIELD(tune.khugepaged_pages_to_scan)},
	{{THP("khugepaged.scan_sleep_millisecs"), 0, INT_MAX, 10000},
	 FIELD(tune.khugepaged_scan_sleep_millisecs)},
	{{"vm.admin_reserve_kbytes", 0, INT64_MAX, MM_SYSCTL_COMPUTED},
	 FIELD(tune.admin_reserve_kbytes)},
	{{"vm.dirty_background_ratio", 0, 100, 10}, FIELD(tune.dirty_background_ratio)},
	{{"vm.dirty_expire_centisecs", 0, INT_MAX, 3000}, FIELD(tune.dirty_expire_centisecs)},
	{{"vm.dirty_ratio", 0, 100, 20}, FIELD(tune.dirty_ratio)},
	{{"vm.dirty_writeback_centisecs", 0, INT_MAX, 500},
	 FIELD(tune.dirty_writeback_centisecs)},
	{{"vm.max_map_count", 0, INT_MAX, VMA_COUNT_MAX}, FIELD(tune.max_map_count)},
	{{"vm.min_free_kbytes", 0, INT_MAX, MM_SYSCTL_COMPUTED},
	 FIELD(cfg.min_free_kbytes),
	 watermarks_changed},
	{{"vm.nr_hugepages", 0, INT_MAX, 0}, FIELD(cfg.nr_hugepages), hugetlb_resize},
	{{"vm.nr_overcommit_hugepages", 0, INT_MAX, 0}, FIELD(tune.nr_overcommit_hugepages)},
	{{"vm.oom_dump_tasks", 0, INT_MAX, 1}, FIELD(tune.oom_dump_tasks)},
	{{"vm.oom_kill_allocating_task", 0, INT_MAX, 0}, FIELD(tune.oom_kill_allocating_task)},
	{{"vm.overcommit_kbytes", 0, INT64_MAX, 0},
	 FIELD(tune.overcommit_kbytes),
	 overcommit_kbytes_changed},
	{{"vm.overcommit_memory", 0, 2, 0}, FIELD(cfg.overcommit_memory)},
	{{"vm.overcommit_ratio", 0, INT_MAX, 50},
	 FIELD(tune.overcommit_ratio),
	 overcommit_ratio_changed},
	{{"vm.page-cluster", 0, 31, 3}, FIELD(cfg.page_cluster)},
	{{"vm.swappiness", 0, 200, 60}, FIELD(cfg.swappiness)},
	{{"vm.user_reserve_kbytes", 0, INT64_MAX, MM_SYSCTL_COMPUTED},
	 FIELD(tune.user_reserve_kbytes)},
	{{"vm.watermark_scale_factor", 1, 3000, 10},
	 FIELD(cfg.watermark_scale_factor),
	 watermarks_changed},
};

#define NR_ROWS (sizeof(sysctl_rows) / sizeof(sysctl_rows[0]))

static const struct sysctl_row *row_find(const char *name)
{
	for (size_t i = 0; i < NR_ROWS; i++)
		if (strcmp(sysctl_rows[i].info.name, name) == 0)
			return &sysctl_rows[i];
	return NULL;
}

static int64_t row_load(const struct mm_system *sys, const struct sysctl_row *row)
{
	const char *field = (const char *)sys + row->offset;
	int64_t wide = 0;
	int32_t narrow;

	if (row->size == sizeof(wide)) {
		memcpy(&wide, field, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, field, sizeof(narrow));
	return narrow;
}

static void row_store(struct mm_system *sys, const struct sysctl_row *row, int64_t value)
{
	char *field = (char *)sys + row->offset;
	int32_t narrow = (int32_t)value;

	if (row->size == sizeof(value))
		memcpy(field, &value, sizeof(value));
	else
		memcpy(field, &narrow, sizeof(narrow));
}

static bool row_allows(const struct sysctl_row *row, int64_t value)
{
	return value >= row->info.min && value <= row->info.max;
}

/**
 * mm_sysctl_get() - the value of a tunable.
 * @name: as Linux's: "vm.swappiness".
 *
 * Return: 0, or -ENOENT: there is no such tunable.
 * Context: takes sys->lock.
 */
int mm_sysctl_get(struct mm_system *sys, const char *name, int64_t *ret_value)
{
	const struct sysctl_row *row = row_find(name);

	if (!row)
		return -ENOENT;
	sys_lock(sys);
	*ret_value = row_load(sys, row);
	sys_unlock(sys);
	return 0;
}

/**
 * mm_sysctl_set() - change a tunable; it counts from now on.
 * @name: as Linux's.
 * @value: in the unit that the name says.
 *
 * Return: 0; -ENOENT: there is no such tunable; -EINVAL: out of its range. An error changes
 * nothing.
 * Context: takes sys->lock.
 */
int mm_sysctl_set(struct mm_system *sys, const char *name, int64_t value)
{
	const struct sysctl_row *row = row_find(name);

	if (!row)
		return -ENOENT;
	if (!row_allows(row, value))
		return -EINVAL;
	sys_lock(sys);
	row_store(sys, row, value);
	if (row->changed)
		row->changed(sys);
	sys_unlock(sys);
	return 0;
}

/**
 * mm_sysctl_info() - name, range and default of a tunable, to list them.
 * @index: 0, 1, 2 … in the order of names.
 *
 * Return: 0, or -ENOENT past the last.
 * Context: any.
 */
int mm_sysctl_info(unsigned int index, struct mm_sysctl_info *ret_info)
{
	if (index >= NR_ROWS)
		return -ENOENT;
	*ret_info = sysctl_rows[index].info;
	return 0;
}

/**
 * sysctl_init() - the defaults of what struct mm_config does not set.
 *
 * Context: boot, after sys->cfg is copied; what is computed is set by whoever can.
 */
void sysctl_init(struct mm_system *sys)
{
	for (size_t i = 0; i < NR_ROWS; i++) {
		const struct sysctl_row *row = &sysctl_rows[i];
		bool is_config = row->offset < offsetof(struct mm_system, tune);

		if (!is_config && row->info.def != MM_SYSCTL_COMPUTED)
			row_store(sys, row, row->info.def);
	}
}

_Static_assert(offsetof(struct mm_system, cfg) < offsetof(struct mm_system, tune),
	       "sysctl_init() tells what mm_config has by its place");

/**
 * sysctl_check() - invariant 1.
 * Return: 0 or -EUCLEAN. Context: sys->lock held.
 */
int sysctl_check(struct mm_system *sys)
{
	for (size_t i = 0; i < NR_ROWS; i++)
		CHECK(row_allows(&sysctl_rows[i], row_load(sys, &sysctl_rows[i])));
	return 0;
}
