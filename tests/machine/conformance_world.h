/* SPDX-License-Identifier: MIT */
/*
 * The manager that the conformance cases play: one machine, one space, and what each page is.
 */
#ifndef MACHINE_CONFORMANCE_WORLD_H
#define MACHINE_CONFORMANCE_WORLD_H

#include "machine/conformance.h"
#include "mm/pgtable.h"
#include "ration/mm.h"

#define PTE_RO	(PTE_PRESENT | PTE_USER | PTE_NX)
#define PTE_RW	(PTE_RO | PTE_WRITE)
#define PROT_RW (MM_PROT_READ | MM_PROT_WRITE)

/* One case's machine, and what the manager would have in its page table. */
struct world {
	const struct conformance_env *env;
	struct machine *m;
	struct machine_space *space;
	vaddr_t start, end;
	pte_t ptes[CONFORMANCE_PAGES]; /* as the machine was told */
	pte_t plan; /* what the next fault's page gets; 0: no fault may come */
	unsigned int nr_faults;
	unsigned int last_access;
	vaddr_t last_va;
};

vaddr_t world_va(const struct world *w, uint64_t page);
char *world_frame(const struct world *w, pfn_t pfn);

/* A page that no other seed makes. */
void world_fill(void *page, uint64_t seed);
bool world_is_filled(const void *page, uint64_t seed);

void world_region(const struct world *w, uint64_t page, uint64_t nr, enum machine_region_op op,
		  int prot);

/* Tells the machine, and keeps what it was told. Return: what it reports in old_pte. */
pte_t world_set(struct world *w, uint64_t page, pte_t pte, uint32_t flags);

/* The same for neighbours; frames from pfn on, bits of 0: not present. */
void world_set_run(struct world *w, uint64_t page, uint32_t nr, pfn_t pfn, pte_t bits);

/* A page is read to load, or written from store; faults get w->plan and are counted. */
void world_access(struct world *w, uint64_t page, void *load, const void *store);

/* Accesses that fault once, as asserted, or not at all. */
void assert_reads(struct world *w, uint64_t page, uint64_t seed);
void assert_writes(struct world *w, uint64_t page, uint64_t seed);
void assert_read_faults(struct world *w, uint64_t page, pte_t plan, uint64_t seed);
void assert_write_faults(struct world *w, uint64_t page, pte_t plan, uint64_t seed);

/* Cases (conformance_random.c, conformance_threads.c). */
void random_steps_keep_every_byte(void **state);
void threads_work_on_different_pages(void **state);

#endif
