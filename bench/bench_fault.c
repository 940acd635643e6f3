/* SPDX-License-Identifier: MIT */
/*
 * What the manager's own part of a fault costs, on the software machine: an operation is one
 * fault that ends MINOR or MAJOR, with the reclaim that it causes, the machine's op and the
 * copies in it. No operating system has a part in it.
 *
 *   fault_zero     first touch of a page; memory is not short (the program's end is in it: each
 *                  page is unmapped again)
 *   fault_idle     a resident page that reclaim has looked at is touched again
 *   fault_swap_seq, fault_swap_random
 *                  data of four times the RAM is read, in order and at random; pages come from
 * a swap device in memory, and those that leave are clean fault_swap_write_random the same,
 * written: each page that leaves is written to swap
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "machine/soft.h"
#include "mm/system.h"
#include "policy/two_lists.h"
#include "swapdev/mem.h"

#define RAM_BYTES  ((uint64_t)64 << 20)
#define RAM_PAGES  (RAM_BYTES >> PAGE_SHIFT)
#define FIT_PAGES  (RAM_PAGES / 2)
#define DATA_PAGES (RAM_PAGES * 4)

struct world {
	struct mm *mm;
	struct mm_system *sys;
	vaddr_t data;
	uint64_t next, random;
};

static void must(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "bench_fault: %s: %d\n", what, err);
		exit(1);
	}
}

static void world_create(struct world *w, uint64_t nr_pages)
{
	struct machine_soft_config soft = {.nr_frames = RAM_PAGES,
					   .caps = MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY};
	struct swapdev_mem_config mem = {.nr_slots = DATA_PAGES * 2, .mode = SWAPDEV_MEM_SYNC};
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	struct swapdev *dev;

	must(machine_soft_create(&soft, &cfg.machine), "machine_soft_create");
	must(swapdev_mem_create(&mem, &dev), "swapdev_mem_create");
	cfg.policy = &policy_two_lists;
	must(mm_system_create(&cfg, &w->sys), "mm_system_create");
	must(mm_swapon(w->sys, dev, 0), "mm_swapon");
	must(mm_create(w->sys, &w->mm), "mm_create");
	must(mm_map(w->mm, 0, nr_pages * PAGE_SIZE, MM_PROT_READ | MM_PROT_WRITE,
		    MM_MAP_PRIVATE | MM_MAP_ANONYMOUS, &w->data),
	     "mm_map");
	w->random = 1;
}

static void fault(struct world *w, uint64_t page, unsigned int access)
{
	for (unsigned int i = 0; i < 1000; i++) {
		enum mm_fault_result result =
			mm_fault(w->mm, w->data + page * PAGE_SIZE, access);

		if (result <= MM_FAULT_MAJOR)
			return;
		if (result != MM_FAULT_RETRY)
			break;
		mm_step(w->sys, 0, 0);
	}
	must(1, "mm_fault");
}

/* A load or store, and the fault if there is one. */
static void touch(struct world *w, uint64_t page, unsigned int access)
{
	struct machine_soft_fault unused;
	vaddr_t va = w->data + page * PAGE_SIZE;
	uint64_t value = page;

	if (access == MM_ACCESS_READ)
		must(machine_soft_load(w->mm->space, va, &value, 8, &unused), "load");
	else
		must(machine_soft_store(w->mm->space, va, &value, 8, &unused), "store");
}

static uint64_t is_translated(struct world *w, uint64_t page)
{
	pte_t *pte = pgtable_lookup(w->mm, w->data + page * PAGE_SIZE);

	return pte && pte_is_present(*pte);
}

static void run_zero(void *arg, uint64_t nr_ops)
{
	struct world *w = arg;

	while (nr_ops > 0) {
		uint64_t nr = nr_ops < FIT_PAGES ? nr_ops : FIT_PAGES;

		for (uint64_t i = 0; i < nr; i++)
			fault(w, i, MM_ACCESS_WRITE);
		must(mm_advise(w->mm, w->data, nr * PAGE_SIZE, MM_MADV_DONTNEED), "DONTNEED");
		nr_ops -= nr;
	}
}

static void run_idle(void *arg, uint64_t nr_ops)
{
	struct world *w = arg;

	while (nr_ops > 0) {
		uint64_t nr = nr_ops < FIT_PAGES ? nr_ops : FIT_PAGES;

		must(mm_advise(w->mm, w->data, nr * PAGE_SIZE, MM_MADV_COLD), "COLD");
		for (uint64_t i = 0; i < nr; i++)
			fault(w, i, MM_ACCESS_READ);
		nr_ops -= nr;
	}
}

static uint64_t next_random(struct world *w)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (w->random >> 33) % DATA_PAGES;
}

static void run_swap(struct world *w, uint64_t nr_ops, bool is_random, unsigned int access)
{
	while (nr_ops > 0) {
		uint64_t page = is_random ? next_random(w) : w->next++ % DATA_PAGES;

		if (!is_translated(w, page)) {
			fault(w, page, access);
			nr_ops--;
		}
		if (is_translated(w, page))
			touch(w, page, MM_ACCESS_READ);
		while (w->sys->kswapd_awake)
			mm_step(w->sys, 0, 256);
	}
}

static void run_swap_seq(void *arg, uint64_t nr_ops)
{
	run_swap(arg, nr_ops, false, MM_ACCESS_READ);
}

static void run_swap_random(void *arg, uint64_t nr_ops)
{
	run_swap(arg, nr_ops, true, MM_ACCESS_READ);
}

static void run_swap_write_random(void *arg, uint64_t nr_ops)
{
	run_swap(arg, nr_ops, true, MM_ACCESS_WRITE);
}

int main(int argc, char **argv)
{
	static struct world fit, data;
	const struct bench benches[] = {
		{"fault_zero", run_zero, &fit},
		{"fault_idle", run_idle, &fit},
		{"fault_swap_seq", run_swap_seq, &data},
		{"fault_swap_random", run_swap_random, &data},
		{"fault_swap_write_random", run_swap_write_random, &data},
	};

	world_create(&fit, FIT_PAGES);
	world_create(&data, DATA_PAGES);
	for (uint64_t i = 0; i < FIT_PAGES; i++)
		fault(&fit, i, MM_ACCESS_WRITE);
	for (uint64_t i = 0; i < DATA_PAGES; i++)
		fault(&data, i, MM_ACCESS_WRITE);
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
