/* SPDX-License-Identifier: MIT */
/*
 * What the manager keeps for itself (mem_map, page tables, slabs), in percent of the data it
 * manages, which is four times the RAM, and in percent of the RAM. On the soft machine, with a
 * swap device that moves nothing; by the manager's own counters.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "machine/soft.h"
#include "policy/two_lists.h"
#include "swapdev/mem.h"

#define RAM_PAGES  65536u /* 256 MiB */
#define DATA_PAGES (4u * RAM_PAGES)
#define SWAP_SLOTS (5u * RAM_PAGES)

static void must(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "bench_bookkeeping: %s: %s\n", what, strerror(-err));
		exit(1);
	}
}

/* Touches all data once. vmstat: of the manager. */
static void run(uint64_t *vmstat)
{
	const struct machine_soft_config machine = {
		.nr_frames = RAM_PAGES, .caps = MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY};
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	struct swapdev *dev;
	struct mm_system *sys;
	struct mm *mm;
	vaddr_t data;

	must(machine_soft_create(&machine, &cfg.machine), "machine");
	must(swapdev_null_create(SWAP_SLOTS, &dev), "swap device");
	cfg.policy = &policy_two_lists;
	cfg.vmstat = vmstat;
	must(mm_system_create(&cfg, &sys), "system");
	must(mm_swapon(sys, dev, 0), "swapon");
	must(mm_create(sys, &mm), "address space");
	must(mm_map(mm, 0, DATA_PAGES * PAGE_SIZE, MM_PROT_READ | MM_PROT_WRITE,
		    MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_NORESERVE, &data),
	     "map");
	for (uint64_t i = 0; i < DATA_PAGES; i++)
		if (machine_soft_mm_store(mm, data + i * PAGE_SIZE, "x", 1) > MM_FAULT_MAJOR)
			must(-EFAULT, "store");
}

static void print_percent(const char *name, uint64_t part, uint64_t whole, int as_json)
{
	double value = 100.0 * (double)part / (double)whole;

	bench_print(&(struct bench_result){name, "%", &value, 1}, as_json);
}

int main(int argc, char **argv)
{
	int as_json = argc == 2 && strcmp(argv[1], "--json") == 0;
	uint64_t vmstat[NR_MM_VMSTAT], own;

	if (argc > 2 || (argc == 2 && !as_json)) {
		fprintf(stderr, "usage: %s [--json]\n", argv[0]);
		return 2;
	}
	run(vmstat);
	own = vmstat[MM_VMSTAT_nr_reserved] + vmstat[MM_VMSTAT_nr_page_table_pages] +
	      vmstat[MM_VMSTAT_nr_slab];
	print_percent("bookkeeping_per_managed_byte", own, vmstat[MM_VMSTAT_nr_touched_peak],
		      as_json);
	print_percent("bookkeeping_of_ram", own, RAM_PAGES, as_json);
	return 0;
}
