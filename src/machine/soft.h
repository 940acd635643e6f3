/* SPDX-License-Identifier: MIT */
/*
 * The software machine: an MMU in C. How it works is told in machine/soft.c.
 */
#ifndef MACHINE_SOFT_H
#define MACHINE_SOFT_H

#include "machine/mmu.h"
#include "mm/machine.h"
#include "ration/mm.h"

struct machine_soft_config {
	pfn_t nr_frames;
	uint32_t caps; /* enum machine_caps: which bits it sets */

	/* Processors with a TLB each; tlb NULL: accesses are made without. */
	const struct tlb_config *tlb;
	uint32_t nr_cpus;		/* up to SOFT_CPUS_MAX; 0 means 1 */
	unsigned int (*cpu)(void *arg); /* which one makes the access; NULL: always 0 */
	void *arg;			/* for cpu() */
	bool harvest_invalidates; /* Linux on x86 does not: a use is seen when it is walked for
				   */
};

#define SOFT_CPUS_MAX 64

struct machine_soft_fault {
	vaddr_t va;	     /* the first byte that could not be accessed */
	unsigned int access; /* MM_ACCESS_* */
	uint32_t error_code; /* MMU_PF_* (machine/mmu.h), as x86 says it */
};

int machine_soft_create(const struct machine_soft_config *cfg, struct machine **ret_machine);
void machine_soft_destroy(struct machine *m); /* its spaces are gone */

/* A processor's TLB, to read; NULL where there is none. Context: nothing is accessed meanwhile.
 */
const struct tlb *machine_soft_tlb(const struct machine *m, unsigned int cpu);
uint16_t machine_soft_asid(const struct machine_space *space);

/*
 * For a simulation that makes references itself, by mmu_translate() (machine/mmu.h): a
 * processor's MMU, NULL where there is none, and what it is to walk. One thread alone uses the
 * machine, the manager's included, for no lock is taken.
 */
struct mmu *machine_soft_mmu(struct machine *m, unsigned int cpu);
const struct mmu_space *machine_soft_mmu_space(const struct machine_space *space);
struct mmu_space machine_soft_kernel_space(const struct machine *m, pfn_t root);

/* What a program does. Pages before the one that faults have been read or written. */
int machine_soft_load(struct machine_space *space, vaddr_t va, void *buf, size_t size,
		      struct machine_soft_fault *ret_fault);
int machine_soft_store(struct machine_space *space, vaddr_t va, const void *buf, size_t size,
		       struct machine_soft_fault *ret_fault);
int machine_soft_fetch(struct machine_space *space, vaddr_t va,
		       struct machine_soft_fault *ret_fault);

/*
 * Replay: references without content, for a space that one thread alone uses. The fast path of
 * a simulation is a look at the entry; see machine_soft_touch() in machine/soft_replay.h.
 */
int machine_soft_entries(struct machine_space *space, vaddr_t va, pte_t **ret_entries);

/* The same under a manager that resolves the faults, as a program would see it. */
enum mm_fault_result machine_soft_mm_load(struct mm *mm, vaddr_t va, void *buf, size_t size);
enum mm_fault_result machine_soft_mm_store(struct mm *mm, vaddr_t va, const void *buf,
					   size_t size);
enum mm_fault_result machine_soft_mm_fetch(struct mm *mm, vaddr_t va);

/* For tests. */
enum machine_soft_op { SOFT_SPACE_CREATE, SOFT_APPLY, SOFT_REGION, SOFT_NR_OPS };

struct machine_soft_failure {
	uint32_t nth;	  /* this call from now fails: 1 the next; 0: none */
	int err;	  /* with this -errno */
	uint32_t nr_done; /* apply(): after so many changes, but not all */
};

void machine_soft_fail(struct machine *m, enum machine_soft_op op,
		       const struct machine_soft_failure *failure);
void machine_soft_forget(struct machine_space *space, vaddr_t start, vaddr_t end);

#endif
