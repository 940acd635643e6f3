/* SPDX-License-Identifier: MIT */
/*
 * What fork and copy on write cost in the manager, on the software machine without a TLB. The
 * parent has 64 MiB of resident pages.
 *
 *   fork_page       mm_fork() and the child's exit, for each page of the parent: all of them
 *                   writable and translated before each fork
 *   fork_page_ro    the same, where the parent has written nothing since the last fork
 *   cow_copy        a write to a page that parent and child share: a frame, a copy, a
 * translation cow_take_back   a write to a page whose other mapper is gone: a translation
 *   fault_zero      beside them: the first touch of a page
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "machine/soft.h"
#include "mm/system.h"
#include "policy/two_lists.h"

#define DATA_PAGES 16384
#define RAM_PAGES  (DATA_PAGES * 3)

struct world {
	struct mm_system *sys;
	struct mm *mm, *child;
	vaddr_t data;
};

static void must(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "bench_fork: %s: %d\n", what, err);
		exit(1);
	}
}

static void write_page(struct world *w, uint64_t page)
{
	must(mm_fault(w->mm, w->data + page * PAGE_SIZE, MM_ACCESS_WRITE) > MM_FAULT_MAJOR,
	     "mm_fault");
}

static void write_all(struct world *w)
{
	for (uint64_t i = 0; i < DATA_PAGES; i++)
		write_page(w, i);
}

static void world_create(struct world *w)
{
	struct machine_soft_config soft = {.nr_frames = RAM_PAGES,
					   .caps = MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY};
	struct mm_config cfg = MM_CONFIG_DEFAULT;

	must(machine_soft_create(&soft, &cfg.machine), "machine_soft_create");
	memset(cfg.machine->ram, 1, RAM_PAGES * PAGE_SIZE); /* the host's own first touch */
	cfg.policy = &policy_two_lists;
	must(mm_system_create(&cfg, &w->sys), "mm_system_create");
	must(mm_create(w->sys, &w->mm), "mm_create");
	must(mm_map(w->mm, 0, DATA_PAGES * PAGE_SIZE, MM_PROT_READ | MM_PROT_WRITE,
		    MM_MAP_PRIVATE | MM_MAP_ANONYMOUS, &w->data),
	     "mm_map");
	write_all(w);
}

static double fork_ns(struct world *w)
{
	uint64_t start = bench_now_ns();

	must(mm_fork(w->mm, &w->child), "mm_fork");
	mm_destroy(w->child);
	return (double)(bench_now_ns() - start) / DATA_PAGES;
}

static double writes_ns(struct world *w)
{
	uint64_t start = bench_now_ns();

	write_all(w);
	return (double)(bench_now_ns() - start) / DATA_PAGES;
}

#define ROUNDS 7

static void measure(struct world *w, int as_json)
{
	static const char *const names[] = {"fork_page", "fork_page_ro", "cow_take_back",
					    "cow_copy", "fault_zero"};
	double values[5][ROUNDS];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		values[0][i] = fork_ns(w);
		values[1][i] = fork_ns(w);
		values[2][i] = writes_ns(w);
		must(mm_fork(w->mm, &w->child), "mm_fork");
		values[3][i] = writes_ns(w);
		mm_destroy(w->child);
		must(mm_advise(w->mm, w->data, DATA_PAGES * PAGE_SIZE, MM_MADV_DONTNEED),
		     "DONTNEED");
		values[4][i] = writes_ns(w);
	}
	for (unsigned int b = 0; b < 5; b++)
		bench_print(&(struct bench_result){names[b], "ns", values[b], ROUNDS}, as_json);
}

int main(int argc, char **argv)
{
	static struct world w;

	world_create(&w);
	measure(&w, argc > 1 && argv[1][2] == 'j');
	return 0;
}
