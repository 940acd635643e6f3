/* SPDX-License-Identifier: MIT */
/*
 * What a page costs on the host machine, in microseconds: mapped, unmapped, discarded, made
 * writable, in batches of neighbours (1, 16, 512) and of 32 that have no neighbours, by
 * UFFDIO_MOVE and by copies. "clean" is a page that is mapped write-protected.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "machine/host.h"
#include "mm/pgtable.h"
#include "ration/mm.h"

#define PAGES  8192 /* 32 MiB */
#define ROUNDS 7

#define PTE_RO (PTE_PRESENT | PTE_USER)
#define PTE_RW (PTE_RO | PTE_WRITE)

struct world {
	struct machine *m;
	struct machine_space *space;
	vaddr_t start;
	const char *way;
	int as_json;
};

/* One way to cut the pages into batches. */
struct shape {
	const char *name;
	uint32_t nr;	 /* changes in a batch */
	uint32_t stride; /* pages from one to the next; the frames follow the pages */
};

/* What happens to all pages, and what undoes it. */
struct step {
	const char *name;
	pte_t old_bits, new_bits;
	uint32_t flags;
};

static void must(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "bench_host: %s: %s\n", what, strerror(-err));
		exit(1);
	}
}

static pte_t pte_of(uint32_t page, pte_t bits)
{
	return bits ? pte_make(page, bits) : 0;
}

static void apply_batch(const struct world *w, const struct shape *shape,
			const struct step *step, uint32_t first)
{
	struct machine_change changes[512];
	struct machine_batch batch = {
		.changes = changes, .nr = shape->nr, .flags = step->flags};

	for (uint32_t i = 0; i < shape->nr; i++) {
		uint32_t page = first + i * shape->stride;

		changes[i] = (struct machine_change){
			.va = w->start + page * PAGE_SIZE,
			.old_pte = pte_of(page, step->old_bits),
			.new_pte = pte_of(page, step->new_bits),
		};
	}
	must(w->m->ops->apply(w->m, w->space, &batch), step->name);
}

/* Return: us a page. */
static double time_step(const struct world *w, const struct shape *shape,
			const struct step *step)
{
	uint64_t start = bench_now_ns();
	uint32_t span = shape->nr * shape->stride;

	for (uint32_t first = 0; first < PAGES; first += span)
		for (uint32_t i = 0; i < shape->stride; i++)
			apply_batch(w, shape, step, first + i);
	return (double)(bench_now_ns() - start) / 1000 / PAGES;
}

/* Each round goes through all steps, which together change nothing. */
static void measure(const struct world *w, const struct shape *shape, const struct step *steps,
		    size_t nr)
{
	double values[4][ROUNDS];
	char name[80];

	for (int round = 0; round < ROUNDS; round++) {
		memset(w->m->ram, round, PAGES * PAGE_SIZE); /* discarded frames are holes */
		for (size_t i = 0; i < nr; i++)
			values[i][round] = time_step(w, shape, &steps[i]);
	}
	for (size_t i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "host_%s_%s_%s", w->way, steps[i].name,
			 shape->name);
		bench_print(&(struct bench_result){name, "us/page", values[i], ROUNDS},
			    w->as_json);
	}
}

static void measure_all(const struct world *w)
{
	static const struct shape shapes[] = {
		{"1", 1, 1}, {"16", 16, 1}, {"512", 512, 1}, {"32_scattered", 32, 2}};
	static const struct step dirty[] = {{"map", 0, PTE_RW, 0}, {"unmap", PTE_RW, 0, 0}};
	static const struct step clean[] = {{"map_clean", 0, PTE_RO, 0},
					    {"unmap_clean", PTE_RO, 0, 0}};
	static const struct step written[] = {{"map_clean_again", 0, PTE_RO, 0},
					      {"make_writable", PTE_RO, PTE_RW, 0},
					      {"refresh", PTE_RW, PTE_RW, 0},
					      {"discard", PTE_RW, 0, MACHINE_DISCARD}};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		measure(w, &shapes[i], dirty, 2);
		measure(w, &shapes[i], clean, 2);
		measure(w, &shapes[i], written, 4);
	}
}

static void run(bool no_move, int as_json)
{
	const struct machine_host_config cfg = {
		.ram_bytes = PAGES * PAGE_SIZE,
		.no_move = no_move,
	};
	struct world w = {.way = no_move ? "copy" : "move", .as_json = as_json};
	vaddr_t end;

	must(machine_host_create(&cfg, &w.m), "machine_host_create");
	if (machine_host_moves(w.m) != !no_move) {
		machine_host_destroy(w.m);
		return; /* this kernel only copies */
	}
	machine_host_window(w.m, &w.start, &end);
	must(w.m->ops->space_create(w.m, w.start, end, &w.space), "space_create");
	must(w.m->ops->region(w.m, w.space, w.start, w.start + PAGES * PAGE_SIZE,
			      MACHINE_REGION_MAP, MM_PROT_READ | MM_PROT_WRITE),
	     "region");
	measure_all(&w);
	w.m->ops->space_destroy(w.m, w.space);
	machine_host_destroy(w.m);
}

int main(int argc, char **argv)
{
	int as_json = argc == 2 && strcmp(argv[1], "--json") == 0;
	struct machine_host_probe probe;

	if (argc > 1 && !as_json) {
		fprintf(stderr, "usage: %s [--json]\n", argv[0]);
		return 2;
	}
	if (machine_host_probe(&probe) != 0) {
		fprintf(stderr, "bench_host: userfaultfd is not to be had here\n");
		return 0;
	}
	run(false, as_json);
	run(true, as_json);
	return 0;
}
