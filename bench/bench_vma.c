/* SPDX-License-Identifier: MIT */
/*
 * What the calls on an address space and the walk of its page tables cost the manager itself:
 * the soft machine makes no system call. Around the ranges that change lie 1000 other areas.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "machine/soft.h"
#include "mm/system.h"
#include "policy/two_lists.h"

#define RAM_BYTES ((uint64_t)256 << 20)
#define AREAS	  1000
#define ROW	  512 /* pages, in one go */
#define ANON	  (MM_MAP_PRIVATE | MM_MAP_ANONYMOUS)
#define RW	  (MM_PROT_READ | MM_PROT_WRITE)

struct scene {
	struct mm *mm;
	vaddr_t area; /* ROW pages, with nothing around */
	vaddr_t walked;
};

static void must(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "bench_vma: %s: %d\n", what, err);
		exit(1);
	}
}

/* At its place, so that no area merges with another. */
static void map_unmap(void *arg, uint64_t nr_ops)
{
	struct scene *s = arg;
	vaddr_t addr;

	while (nr_ops--) {
		must(mm_map(s->mm, 0, 16 * PAGE_SIZE, RW, ANON, &addr), "mm_map");
		must(mm_unmap(s->mm, addr, 16 * PAGE_SIZE), "mm_unmap");
	}
}

/* A page in the middle becomes an area of its own, and one with the others again. */
static void protect_pair(void *arg, uint64_t nr_ops)
{
	struct scene *s = arg;
	vaddr_t addr = s->area + 100 * PAGE_SIZE;

	while (nr_ops--) {
		must(mm_protect(s->mm, addr, PAGE_SIZE, MM_PROT_READ), "mm_protect");
		must(mm_protect(s->mm, addr, PAGE_SIZE, RW), "mm_protect");
	}
}

static void remap_pair(void *arg, uint64_t nr_ops)
{
	const int flags = MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED;
	struct scene *s = arg;
	vaddr_t addr, there = s->area + 2 * ROW * PAGE_SIZE;
	const uint64_t len = ROW * PAGE_SIZE;

	while (nr_ops--) {
		must(mm_remap(s->mm, s->area, len, len, flags, there, &addr), "mm_remap");
		must(mm_remap(s->mm, there, len, len, flags, s->area, &addr), "mm_remap");
	}
}

static void walk(void *arg, uint64_t nr_ops)
{
	struct scene *s = arg;

	while (nr_ops--)
		bench_use(pgtable_lookup(s->mm, s->walked + nr_ops % ROW * PAGE_SIZE));
}

static void next(void *arg, uint64_t nr_ops)
{
	struct scene *s = arg;

	while (nr_ops) {
		vaddr_t va = s->walked;

		for (; nr_ops && pgtable_next(s->mm, &va, s->walked + ROW * PAGE_SIZE);
		     va += PAGE_SIZE)
			nr_ops--;
	}
}

static void find(void *arg, uint64_t nr_ops)
{
	struct scene *s = arg;
	struct mm_area area;

	while (nr_ops--) {
		must(mm_query(s->mm, s->walked, &area), "mm_query");
		bench_use(&area);
	}
}

/* Pages that are resident and thrown away again: an operation is one page. */
static void touch_dontneed(void *arg, uint64_t nr_ops)
{
	struct scene *s = arg;

	for (uint64_t done = 0; done < nr_ops; done += ROW) {
		for (vaddr_t va = s->area; va < s->area + ROW * PAGE_SIZE; va += PAGE_SIZE)
			must(mm_fault(s->mm, va, MM_ACCESS_WRITE), "mm_fault");
		must(mm_advise(s->mm, s->area, ROW * PAGE_SIZE, MM_MADV_DONTNEED), "mm_advise");
	}
}

static void touch(struct mm *mm, vaddr_t start)
{
	for (vaddr_t va = start; va < start + ROW * PAGE_SIZE; va += PAGE_SIZE)
		must(mm_fault(mm, va, MM_ACCESS_WRITE), "mm_fault");
}

static void build(struct scene *s)
{
	const struct machine_soft_config soft = {.nr_frames = RAM_BYTES / PAGE_SIZE};
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	struct mm_system *sys;
	vaddr_t addr;

	must(machine_soft_create(&soft, &cfg.machine), "machine_soft_create");
	cfg.policy = &policy_two_lists;
	must(mm_system_create(&cfg, &sys), "mm_system_create");
	must(mm_create(sys, &s->mm), "mm_create");
	for (int i = 0; i < AREAS; i++)
		must(mm_map(s->mm, 0, PAGE_SIZE, i % 2 ? RW : MM_PROT_NONE, ANON, &addr),
		     "mm_map");
	s->area = cfg.window_start + ((uint64_t)1 << 30);
	s->walked = s->area + ((uint64_t)1 << 30);
	must(mm_map(s->mm, s->area, ROW * PAGE_SIZE, RW, ANON, &addr), "mm_map");
	must(mm_map(s->mm, s->walked, ROW * PAGE_SIZE, RW, ANON, &addr), "mm_map");
	touch(s->mm, s->walked);
}

int main(int argc, char **argv)
{
	struct scene scene, full;
	const struct bench benches[] = {
		{"map_unmap_pair", map_unmap, &scene},
		{"protect_split_merge_pair", protect_pair, &scene},
		{"remap_512_pages_pair", remap_pair, &full},
		{"page_table_lookup", walk, &scene},
		{"page_table_next", next, &scene},
		{"vma_query", find, &scene},
		{"touch_dontneed_page", touch_dontneed, &scene},
	};

	build(&scene);
	build(&full);
	touch(full.mm, full.area);
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(*benches));
}
