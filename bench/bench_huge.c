/* SPDX-License-Identifier: MIT */
/*
 * What larger pages save, counted and not timed: the same accesses to 256 MiB on the software
 * machine with a model of Arm's Cortex-A76, which holds all three sizes, in pages of 4 KiB, 64
 * KiB and 2 MiB.
 *
 *	_faults		faults to touch all memory once, a MiB
 *	_walks		page walks an access: 90% of the accesses go to a tenth of the memory
 *	_cycles		estimate of the time that translation takes, cycles an access
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "machine/soft.h"
#include "mm/system.h"
#include "policy/two_lists.h"

#define DATA_PAGES  ((uint64_t)(256 << 20) >> PAGE_SHIFT)
#define NR_ACCESSES 1000000u

struct size {
	const char *name;
	uint32_t thp, thp_64k;
};

static const struct size sizes[] = {
	{"huge_4k", MM_THP_NEVER, MM_THP_NEVER},
	{"huge_64k", MM_THP_NEVER, MM_THP_ALWAYS},
	{"huge_2m", MM_THP_ALWAYS, MM_THP_NEVER},
};

static void must(bool is_fine, const char *what)
{
	if (is_fine)
		return;
	fprintf(stderr, "bench_huge: %s\n", what);
	exit(1);
}

static void touch(struct mm *mm, vaddr_t va, bool is_write)
{
	uint64_t word = va;

	if (is_write)
		must(machine_soft_mm_store(mm, va, &word, 8) <= MM_FAULT_MAJOR, "store");
	else
		must(machine_soft_mm_load(mm, va, &word, 8) <= MM_FAULT_MAJOR, "load");
}

/* Knuth's MMIX. */
static uint64_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* 90% of the accesses to a tenth of the memory, which lies scattered: every tenth 256 KiB. */
static uint64_t random_page(uint64_t *state)
{
	uint64_t page = random_next(state) % DATA_PAGES;

	if (random_next(state) % 10 < 9)
		page -= page / 64 % 10 * 64;
	return page % DATA_PAGES;
}

static void print(const struct size *size, const char *what, double value, bool as_json)
{
	char name[32];
	const struct bench_result result = {
		.name = name, .unit = "count", .values = &value, .nr = 1};

	snprintf(name, sizeof(name), "%s_%s", size->name, what);
	bench_print(&result, as_json);
}

static void measure_accesses(const struct size *size, struct mm *mm, vaddr_t data, bool as_json)
{
	/* Its owner is at rest. */
	struct tlb *tlb = (struct tlb *)(uintptr_t)machine_soft_tlb(mm->sys->machine, 0);
	struct tlb_stats stats;
	uint64_t state = 1;
	double walks = 0;

	tlb_stats_reset(tlb);
	for (uint64_t i = 0; i < NR_ACCESSES; i++)
		touch(mm, data + random_page(&state) * PAGE_SIZE, false);
	stats = tlb_stats_get(tlb);
	for (unsigned int i = 0; i < TLB_NR_SIZES; i++)
		walks += (double)stats.walks[TLB_DATA][i];
	print(size, "walks", walks / NR_ACCESSES, as_json);
	print(size, "cycles", (double)tlb_cycles(tlb) / NR_ACCESSES, as_json);
}

static void measure(const struct size *size, bool as_json)
{
	const struct machine_soft_config soft = {.nr_frames = 2 * (pfn_t)DATA_PAGES,
						 .caps = MACHINE_SETS_ACCESSED |
							 MACHINE_SETS_DIRTY | MACHINE_HUGE,
						 .tlb = tlb_preset_find("cortex-a76"),
						 .nr_cpus = 1};
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	struct mm_system *sys;
	struct mm *mm;
	vaddr_t data;

	must(machine_soft_create(&soft, &cfg.machine) == 0, "machine");
	cfg.policy = &policy_two_lists;
	cfg.thp = size->thp;
	cfg.thp_64k = size->thp_64k;
	must(mm_system_create(&cfg, &sys) == 0 && mm_create(sys, &mm) == 0, "system");
	must(mm_map(mm, 0, DATA_PAGES * PAGE_SIZE, MM_PROT_READ | MM_PROT_WRITE,
		    MM_MAP_PRIVATE | MM_MAP_ANONYMOUS, &data) == 0,
	     "map");
	for (uint64_t page = 0; page < DATA_PAGES; page++)
		touch(mm, data + page * PAGE_SIZE, true);
	print(size, "faults", (double)sys->vmstat[MM_VMSTAT_pgfault] / 256, as_json);
	measure_accesses(size, mm, data, as_json);
	mm_destroy(mm);
	mm_system_destroy(sys);
	machine_soft_destroy(cfg.machine);
}

int main(int argc, char **argv)
{
	bool as_json = argc > 1 && strcmp(argv[1], "--json") == 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		measure(&sizes[i], as_json);
	return 0;
}
