/* SPDX-License-Identifier: MIT */
/*
 * What a translation by the model of a processor costs: mmu_translate() with a TLB, over page
 * tables in memory. An operation is one access, so 1000 / ns are millions a second.
 *
 * tlb_gzip_NAME: a mix as of a program like gzip. Of 8 accesses, 5 fetch instructions from 12
 * pages and 3 are data; of these 60% are the stack and tables (4 pages), 39% two streams and a
 * window of 64 KiB, 1% anywhere in 4 MiB.
 *
 * tlb_lackey: a real program's accesses, tests/data/lackey.trace.xz, with the Skylake preset.
 *
 * tlb_hit: one page. tlb_random_l2: at random in 4 MiB, mostly hits of the second level.
 * tlb_random_walk: at random in 1 GiB, nearly all walk.
 *
 * Addresses are drawn before, so that only translation is timed. The hit rates of each go to
 * standard error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "machine/mmu.h"
#include "mm/pgtable.h"
#include "trace/trace.h"

#define NR_ACCESSES  ((uint64_t)1 << 20)
#define NR_PAGES     ((uint64_t)1 << 18) /* 1 GiB mapped */
#define TABLES	     (3 + NR_PAGES / PGTABLE_ENTRIES)
#define TRACE_TABLES ((uint64_t)256)
#define NR_WORLDS    7
#define BASE_VA	     0x555500000000u

struct world {
	struct mmu mmu;
	struct mmu_space space;
	vaddr_t *vas;	   /* NR_ACCESSES */
	uint8_t *accesses; /* MM_ACCESS_* */
	uint64_t nr;
};

static uint64_t random_state = 1;

static uint64_t below(uint64_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (random_state >> 33) % n;
}

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "bench_tlb: out of memory\n");
		exit(1);
	}
	return p;
}

/* Tables 0, 1, 2 are PGD, PUD and PMD, the others PTEs, page by page. */
static void map(struct world *w, pte_t *tables)
{
	const pte_t bits = PTE_PRESENT | PTE_WRITE | PTE_USER;

	w->space = (struct mmu_space){
		.base = (uintptr_t)tables, .pa_end = PTE_PFN_MASK, .asid = 1};
	for (unsigned int level = 3; level > 1; level--)
		tables[(3 - level) * PGTABLE_ENTRIES +
		       (BASE_VA >> (PAGE_SHIFT + 9 * level) & (PGTABLE_ENTRIES - 1))] =
			pte_make(4 - level, bits);
	for (uint64_t i = 0; i < NR_PAGES / PGTABLE_ENTRIES; i++)
		tables[2 * PGTABLE_ENTRIES + i] = pte_make((pfn_t)(3 + i), bits);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		tables[3 * PGTABLE_ENTRIES + i] = pte_make((pfn_t)(i * 2654435761u >> 8), bits);
}

static void world_create(struct world *w, const char *preset)
{
	pte_t *tables = must(aligned_alloc(PAGE_SIZE, TABLES * PAGE_SIZE));

	memset(tables, 0, TABLES * PAGE_SIZE);
	map(w, tables);
	w->mmu = (struct mmu){.sets_accessed = true, .sets_dirty = true};
	if (tlb_create(tlb_preset_find(preset), &w->mmu.tlb))
		must(NULL);
	w->vas = must(malloc(NR_ACCESSES * sizeof(*w->vas)));
	w->accesses = must(malloc(NR_ACCESSES));
	w->nr = NR_ACCESSES;
}

static vaddr_t gzip_data(uint64_t i)
{
	uint64_t dice = below(100);

	if (dice < 60) /* the stack, and the tables of codes */
		return BASE_VA + 0x100000 + below(4) * PAGE_SIZE + below(PAGE_SIZE);
	if (dice < 75) /* input, in order */
		return BASE_VA + 0x1000000 + i * 3 % 0x400000;
	if (dice < 85) /* output, in order */
		return BASE_VA + 0x2000000 + i % 0x400000;
	if (dice < 99) /* the window that matches are looked for in */
		return BASE_VA + 0x1000000 + i * 3 % 0x400000 / 0x8000 * 0x8000 +
		       below(0x10000);
	return BASE_VA + 0x3000000 + below(0x400000);
}

static void draw_gzip(struct world *w)
{
	uint64_t code = 0;

	for (uint64_t i = 0; i < NR_ACCESSES; i++) {
		bool is_fetch = i % 8 < 5;

		if (below(40) == 0)
			code = below(12) * PAGE_SIZE + below(PAGE_SIZE);
		code = (code + 4) % (12 * PAGE_SIZE);
		w->vas[i] = is_fetch ? BASE_VA + code : gzip_data(i);
		w->accesses[i] = is_fetch	 ? MM_ACCESS_EXEC
				 : below(3) == 0 ? MM_ACCESS_WRITE
						 : MM_ACCESS_READ;
	}
}

static void draw_random(struct world *w, uint64_t bytes)
{
	for (uint64_t i = 0; i < NR_ACCESSES; i++) {
		w->vas[i] = BASE_VA + below(bytes);
		w->accesses[i] = MM_ACCESS_READ;
	}
}

/* Any page, in tables that are taken from the front of w->space.base. */
static void map_page(struct world *w, vaddr_t va, uint64_t *nr_tables)
{
	const pte_t bits = PTE_PRESENT | PTE_WRITE | PTE_USER;
	pte_t *tables = (pte_t *)(uintptr_t)w->space.base;
	uint64_t table = 0;

	for (unsigned int level = PGTABLE_LEVELS; level-- > 0;) {
		uint64_t index = va >> (PAGE_SHIFT + 9 * level) & (PGTABLE_ENTRIES - 1);
		pte_t *entry = &tables[table * PGTABLE_ENTRIES + index];
		pfn_t next = level ? (pfn_t)*nr_tables : (pfn_t)(va >> PAGE_SHIFT);

		must(*nr_tables < TRACE_TABLES ? tables : NULL);
		if (*entry == 0) {
			*entry = pte_make(next, bits);
			*nr_tables += level > 0;
		}
		table = pte_pfn(*entry);
	}
}

static const unsigned int trace_accesses[] = {
	[TRACE_READ] = MM_ACCESS_READ,
	[TRACE_WRITE] = MM_ACCESS_WRITE,
	[TRACE_EXEC] = MM_ACCESS_EXEC,
};

static void draw_trace(struct world *w)
{
	pte_t *tables = must(aligned_alloc(PAGE_SIZE, TRACE_TABLES * PAGE_SIZE));
	struct trace_reader *reader;
	struct trace_access access;
	struct trace_error err;
	uint64_t nr_tables = 1;

	memset(tables, 0, TRACE_TABLES * PAGE_SIZE);
	free((void *)(uintptr_t)w->space.base);
	w->space.base = (uintptr_t)tables;
	must(trace_open(LACKEY_TRACE, &reader, &err) ? NULL : reader);
	for (w->nr = 0; w->nr < NR_ACCESSES && trace_next(reader, &access, 1, &err) > 0;
	     w->nr++) {
		w->vas[w->nr] = access.va;
		w->accesses[w->nr] = (uint8_t)trace_accesses[access.op];
		map_page(w, access.va, &nr_tables);
	}
	trace_close(reader);
	must(w->nr ? tables : NULL);
}

static void run(void *arg, uint64_t nr_ops)
{
	struct world *w = arg;
	struct mmu_translation there = {0};
	uint64_t sum = 0;

	for (uint64_t i = 0, at = 0; i < nr_ops; i++, at = at + 1 < w->nr ? at + 1 : 0) {
		mmu_translate(&w->mmu, &w->space, w->vas[at], w->accesses[at] | MMU_ACCESS_USER,
			      &there);
		sum += there.pa;
	}
	bench_use(&sum);
}

static void print_rates(const char *name, struct world *w)
{
	struct tlb_stats s;
	double all;

	run(w, w->nr);
	tlb_stats_reset(w->mmu.tlb);
	run(w, w->nr);
	s = tlb_stats_get(w->mmu.tlb);
	all = (double)tlb_accesses(w->mmu.tlb) / 100;
	fprintf(stderr, "%s: %.2f%% first level, %.2f%% second, %.2f%% walks\n", name,
		(double)(s.hits[0][TLB_INSTR][TLB_4K] + s.hits[0][TLB_DATA][TLB_4K]) / all,
		(double)(s.hits[1][TLB_INSTR][TLB_4K] + s.hits[1][TLB_DATA][TLB_4K]) / all,
		(double)(s.walks[TLB_INSTR][TLB_4K] + s.walks[TLB_DATA][TLB_4K]) / all);
}

int main(int argc, char **argv)
{
	static struct world worlds[NR_WORLDS];
	const struct bench benches[] = {
		{"tlb_gzip_skylake", run, &worlds[0]},	  {"tlb_gzip_zen2", run, &worlds[1]},
		{"tlb_gzip_cortex-a76", run, &worlds[2]}, {"tlb_hit", run, &worlds[3]},
		{"tlb_random_l2", run, &worlds[4]},	  {"tlb_random_walk", run, &worlds[5]},
		{"tlb_lackey", run, &worlds[6]},
	};

	for (unsigned int i = 0; i < NR_WORLDS; i++)
		world_create(&worlds[i], i < 3 ? benches[i].name + 9 : "skylake");
	for (unsigned int i = 0; i < 3; i++)
		draw_gzip(&worlds[i]);
	draw_random(&worlds[3], PAGE_SIZE);
	draw_random(&worlds[4], 4 << 20);
	draw_random(&worlds[5], NR_PAGES * PAGE_SIZE);
	draw_trace(&worlds[6]);
	for (unsigned int i = 0; i < NR_WORLDS; i++)
		print_rates(benches[i].name, &worlds[i]);
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
