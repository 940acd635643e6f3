/* SPDX-License-Identifier: MIT */
/*
 * What pages of files cost the manager, on the software machine; the file's device is memory.
 *
 *   file_fault_cached  a fault on a page that is cached, in a shared mapping (the program's end
 *                      is in it: each page is unmapped again)
 *   fault_zero_beside  for comparison: a first touch of private memory, measured the same way
 *   file_fault_seq     a file of four times the RAM is read through a mapping, in order: an
 *                      operation is a page, with readahead and reclaim
 *   file_read_seq      the same by calls of 4 KiB
 *   file_fault_random  a page of that file anywhere, through the mapping, with MADV_RANDOM
 *   file_write_seq     it is written by calls of 4 KiB, with the writeback that this causes
 *   radix_get          a look at the tree of that file, for a page anywhere
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "filedev/slots.h"
#include "machine/soft.h"
#include "mm/system.h"
#include "policy/two_lists.h"
#include "swapdev/mem.h"

#define RAM_PAGES  ((uint64_t)64 << (20 - PAGE_SHIFT))
#define FIT_PAGES  (RAM_PAGES / 4)
#define DATA_PAGES (RAM_PAGES * 4)

struct world {
	struct mm_system *sys;
	struct mm *mm;
	struct address_space *file;
	vaddr_t data, memory; /* the file's mapping; private memory */
	uint64_t nr_pages, next, random, now_ns;
	char page[4096];
};

static void must(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "bench_files: %s: %d\n", what, err);
		exit(1);
	}
}

static void open_file(struct world *w)
{
	struct swapdev_mem_config mem = {.nr_slots = w->nr_pages + 1, .mode = SWAPDEV_MEM_SYNC};
	struct filedev_slots_config slots = {
		.nr_bytes = w->nr_pages * PAGE_SIZE, .has_content = true, .name = "RAM"};
	struct mm_map_file_args args = {.len = slots.nr_bytes,
					.prot = MM_PROT_READ | MM_PROT_WRITE,
					.flags = MM_MAP_SHARED};
	struct filedev *dev;

	must(swapdev_mem_create(&mem, &slots.store), "swapdev_mem_create");
	must(filedev_slots_create(&slots, &dev), "filedev_slots_create");
	must(mm_file_open(w->sys, dev, &w->file), "mm_file_open");
	must(mm_map_file(w->mm, w->file, &args, &w->data), "mm_map_file");
}

static void world_create(struct world *w, uint64_t nr_pages)
{
	struct machine_soft_config soft = {.nr_frames = RAM_PAGES,
					   .caps = MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY};
	struct mm_config cfg = MM_CONFIG_DEFAULT;

	must(machine_soft_create(&soft, &cfg.machine), "machine_soft_create");
	cfg.policy = &policy_two_lists;
	must(mm_system_create(&cfg, &w->sys), "mm_system_create");
	must(mm_create(w->sys, &w->mm), "mm_create");
	must(mm_map(w->mm, 0, FIT_PAGES * PAGE_SIZE, MM_PROT_READ | MM_PROT_WRITE,
		    MM_MAP_PRIVATE | MM_MAP_ANONYMOUS, &w->memory),
	     "mm_map");
	w->nr_pages = nr_pages;
	w->random = 1;
	open_file(w);
}

static void step(struct world *w)
{
	mm_step(w->sys, w->now_ns += 1000, 256);
}

static void fault(struct world *w, vaddr_t va, unsigned int access)
{
	for (unsigned int i = 0; i < 10000; i++) {
		enum mm_fault_result result = mm_fault(w->mm, va, access);

		if (result <= MM_FAULT_MAJOR)
			return;
		if (result != MM_FAULT_RETRY)
			break;
		step(w);
	}
	must(1, "mm_fault");
}

static void fault_range(struct world *w, vaddr_t start, uint64_t nr_ops)
{
	while (nr_ops > 0) {
		uint64_t nr = nr_ops < FIT_PAGES ? nr_ops : FIT_PAGES;

		for (uint64_t i = 0; i < nr; i++)
			fault(w, start + i * PAGE_SIZE, MM_ACCESS_READ);
		must(mm_advise(w->mm, start, nr * PAGE_SIZE, MM_MADV_DONTNEED), "DONTNEED");
		nr_ops -= nr;
	}
}

static void run_cached(void *arg, uint64_t nr_ops)
{
	struct world *w = arg;

	fault_range(w, w->data, nr_ops);
}

static void run_zero(void *arg, uint64_t nr_ops)
{
	struct world *w = arg;

	fault_range(w, w->memory, nr_ops);
}

static bool is_translated(struct world *w, vaddr_t va)
{
	pte_t *pte = pgtable_lookup(w->mm, va);

	return pte && pte_is_present(*pte);
}

static void touch(struct world *w, uint64_t page)
{
	vaddr_t va = w->data + page * PAGE_SIZE;

	if (!is_translated(w, va))
		fault(w, va, MM_ACCESS_READ);
	while (w->sys->kswapd_awake)
		step(w);
}

static void run_seq(void *arg, uint64_t nr_ops)
{
	struct world *w = arg;

	for (; nr_ops > 0; nr_ops--)
		touch(w, w->next++ % w->nr_pages);
}

static uint64_t next_random(struct world *w)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (w->random >> 33) % w->nr_pages;
}

static void run_random(void *arg, uint64_t nr_ops)
{
	struct world *w = arg;

	must(mm_advise(w->mm, w->data, w->nr_pages * PAGE_SIZE, MM_MADV_RANDOM), "RANDOM");
	for (; nr_ops > 0; nr_ops--)
		touch(w, next_random(w));
	must(mm_advise(w->mm, w->data, w->nr_pages * PAGE_SIZE, MM_MADV_NORMAL), "NORMAL");
}

static void run_calls(struct world *w, uint64_t nr_ops, bool is_write)
{
	while (nr_ops > 0) {
		uint64_t offset = w->next % w->nr_pages * PAGE_SIZE;
		int64_t n = is_write ? mm_file_write(w->file, offset, w->page, PAGE_SIZE)
				     : mm_file_read(w->file, offset, w->page, PAGE_SIZE);

		if (n == (int64_t)PAGE_SIZE) {
			w->next++;
			nr_ops--;
		}
		if (n < 0 || w->sys->kswapd_awake || nr_ops % 64 == 0)
			step(w);
	}
}

static void run_read(void *arg, uint64_t nr_ops)
{
	run_calls(arg, nr_ops, false);
}

static void run_write(void *arg, uint64_t nr_ops)
{
	run_calls(arg, nr_ops, true);
}

static void run_radix(void *arg, uint64_t nr_ops)
{
	struct world *w = arg;
	uint64_t sum = 0;

	for (; nr_ops > 0; nr_ops--)
		sum += radix_get(&w->file->tree, next_random(w));
	bench_use(&sum);
}

int main(int argc, char **argv)
{
	static struct world fit, data;
	const struct bench benches[] = {
		{"file_fault_cached", run_cached, &fit},  {"fault_zero_beside", run_zero, &fit},
		{"file_fault_seq", run_seq, &data},	  {"file_read_seq", run_read, &data},
		{"file_fault_random", run_random, &data}, {"file_write_seq", run_write, &data},
		{"radix_get", run_radix, &data},
	};

	world_create(&fit, FIT_PAGES);
	world_create(&data, DATA_PAGES);
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
