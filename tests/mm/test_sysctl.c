/* SPDX-License-Identifier: MIT */
/* Tunables: names, ranges and defaults are Linux's, and a change counts at once. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "ration/sysctl.h"
#include "support/test.h"
#include "world.h"

#define RW (MM_PROT_READ | MM_PROT_WRITE)

static int64_t get(struct world *w, const char *name)
{
	int64_t value = -99;

	assert_int_equal(mm_sysctl_get(w->sys, name, &value), 0);
	return value;
}

/* Linux 6.1, kernel/sysctl.c and the files it names. */
static void ranges_and_defaults_are_linux(void **state)
{
	static const struct mm_sysctl_info linux_has[] = {
		{"vm.admin_reserve_kbytes", 0, INT64_MAX, MM_SYSCTL_COMPUTED},
		{"vm.max_map_count", 0, INT_MAX, 65530},
		{"vm.min_free_kbytes", 0, INT_MAX, MM_SYSCTL_COMPUTED},
		{"vm.oom_dump_tasks", 0, INT_MAX, 1},
		{"vm.oom_kill_allocating_task", 0, INT_MAX, 0},
		{"vm.overcommit_kbytes", 0, INT64_MAX, 0},
		{"vm.overcommit_memory", 0, 2, 0},
		{"vm.overcommit_ratio", 0, INT_MAX, 50},
		{"vm.page-cluster", 0, 31, 3},
		{"vm.swappiness", 0, 200, 60},
		{"vm.user_reserve_kbytes", 0, INT64_MAX, MM_SYSCTL_COMPUTED},
		{"vm.watermark_scale_factor", 1, 3000, 10},
	};
	struct mm_sysctl_info info;
	unsigned int found = 0;

	(void)state;
	for (unsigned int i = 0; mm_sysctl_info(i, &info) == 0; i++)
		for (unsigned int k = 0; k < sizeof(linux_has) / sizeof(linux_has[0]); k++)
			if (strcmp(info.name, linux_has[k].name) == 0) {
				assert_int_equal(info.min, linux_has[k].min);
				assert_int_equal(info.max, linux_has[k].max);
				assert_int_equal(info.def, linux_has[k].def);
				found++;
			}
	assert_int_equal(found, sizeof(linux_has) / sizeof(linux_has[0]));
}

static void names_are_sorted_and_of_linux(void **state)
{
	struct mm_sysctl_info info;
	const char *last = "";

	(void)state;
	for (unsigned int i = 0; mm_sysctl_info(i, &info) == 0; i++) {
		assert_true(strcmp(last, info.name) < 0);
		assert_true(strncmp(info.name, "vm.", 3) == 0 ||
			    strncmp(info.name, "transparent_hugepage.", 21) == 0 ||
			    strncmp(info.name, "hugepages-", 10) == 0);
		last = info.name;
	}
}

/* min - 1, min, max, max + 1 of each row; a refused value changes nothing. */
static void every_bound_is_kept(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm_sysctl_info info;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	for (unsigned int i = 0; mm_sysctl_info(i, &info) == 0; i++) {
		int64_t was = get(&w, info.name);

		assert_int_equal(mm_sysctl_set(w.sys, info.name, info.min - 1), -EINVAL);
		assert_int_equal(get(&w, info.name), was);
		if (info.max < INT64_MAX)
			assert_int_equal(mm_sysctl_set(w.sys, info.name, info.max + 1),
					 -EINVAL);
		assert_int_equal(get(&w, info.name), was);
		assert_int_equal(mm_sysctl_set(w.sys, info.name, info.max), 0);
		if (!strstr(info.name, "nr_hugepages")) /* says what could be had */
			assert_int_equal(get(&w, info.name), info.max);
		world_check(&w);
		assert_int_equal(mm_sysctl_set(w.sys, info.name, info.min), 0);
		assert_int_equal(get(&w, info.name), info.min);
		world_check(&w);
		assert_int_equal(mm_sysctl_set(w.sys, info.name, was), 0);
	}
	world_destroy(&w);
}

static void unknown_names_are_enoent(void **state)
{
	static const char *const names[] = {
		"", "vm.", "swappiness", "vm.swappines", "vm.swappiness ", "vm.panic_on_oom"};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	int64_t value = 7;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(mm_sysctl_set(w.sys, names[i], 1), -ENOENT);
		assert_int_equal(mm_sysctl_get(w.sys, names[i], &value), -ENOENT);
	}
	assert_int_equal(value, 7);
	world_destroy(&w);
}

/* A computed default is what is in force. */
static void min_free_kbytes_tells_what_was_computed(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	int64_t kbytes;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	kbytes = (int64_t)zone_default_min_free_kbytes(w.sys->zones[0].managed * 4);
	assert_in_range(kbytes, 128, 150);
	assert_int_equal(get(&w, "vm.min_free_kbytes"), kbytes);
	assert_int_equal(w.sys->zones[0].watermark[WMARK_MIN], kbytes / 4);
	world_destroy(&w);
}

static void watermarks_follow_at_once(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	const struct zone *zone;

	(void)state;
	world_create(&w, &cfg);
	zone = &w.sys->zones[0];
	assert_int_equal(mm_sysctl_set(w.sys, "vm.min_free_kbytes", 256), 0);
	assert_int_equal(zone->watermark[WMARK_MIN], 64);
	assert_int_equal(zone->watermark[WMARK_LOW], 80);
	assert_int_equal(mm_sysctl_set(w.sys, "vm.watermark_scale_factor", 1000), 0);
	assert_int_equal(zone->watermark[WMARK_LOW], 64 + zone->managed / 10);
	assert_int_equal(zone->watermark[WMARK_HIGH], 64 + 2 * (zone->managed / 10));
	assert_int_equal(mm_sysctl_set(w.sys, "vm.min_free_kbytes", 0), 0);
	assert_int_equal(zone->watermark[WMARK_MIN], 0);
	world_destroy(&w);
}

/* Higher marks are work for kswapd, without an allocation that would wake it. */
static void a_higher_mark_wakes_kswapd(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	for (unsigned int i = 0; i < WORLD_PAGES; i++)
		assert_in_range(world_write(&w, i), 0, MM_FAULT_MAJOR);
	world_settle(&w);
	assert_false(w.sys->kswapd_awake);
	assert_int_equal(mm_sysctl_set(w.sys, "vm.min_free_kbytes", 400), 0);
	assert_true(w.sys->kswapd_awake);
	world_settle(&w);
	assert_true(w.sys->zones[0].nr_free >= 125);
	for (unsigned int i = 0; i < WORLD_PAGES; i++)
		assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	world_check(&w);
	world_destroy(&w);
}

static void max_map_count_counts_at_once(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	vaddr_t addr;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 8, RW);
	assert_int_equal(mm_sysctl_set(w.sys, "vm.max_map_count", 1), 0);
	assert_int_equal(mm_unmap(w.mm, world_va(4), PAGE_SIZE), -ENOMEM);
	assert_int_equal(mm_protect(w.mm, world_va(4), PAGE_SIZE, MM_PROT_READ), -ENOMEM);
	assert_int_equal(mm_remap(w.mm, world_va(0), PAGE_SIZE, PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(20), &addr),
			 -ENOMEM);
	assert_int_equal(mm_sysctl_set(w.sys, "vm.max_map_count", 3), 0);
	assert_int_equal(mm_unmap(w.mm, world_va(4), PAGE_SIZE), 0);
	world_check(&w);
	world_destroy(&w);
}

/* A window of more than one I/O batch does not exist. */
static void page_cluster_above_a_batch_reads_a_batch(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	assert_int_equal(mm_sysctl_set(w.sys, "vm.page-cluster", 31), 0);
	world_map(&w, 0, 192, RW);
	for (unsigned int i = 0; i < 192; i++)
		assert_in_range(world_write(&w, i), 0, MM_FAULT_MAJOR);
	world_advise(&w, 0, 192, MM_MADV_PAGEOUT);
	world_settle(&w);
	for (unsigned int i = 0; i < 192; i++)
		assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	assert_in_range(WSTAT(&w, pgmajfault), 192 / 32, 192 / 8 - 1);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(ranges_and_defaults_are_linux),
	cmocka_unit_test(names_are_sorted_and_of_linux),
	cmocka_unit_test(every_bound_is_kept),
	cmocka_unit_test(unknown_names_are_enoent),
	cmocka_unit_test(min_free_kbytes_tells_what_was_computed),
	cmocka_unit_test(watermarks_follow_at_once),
	cmocka_unit_test(a_higher_mark_wakes_kswapd),
	cmocka_unit_test(max_map_count_counts_at_once),
	cmocka_unit_test(page_cluster_above_a_batch_reads_a_batch),
};
TEST_MAIN(tests)
