/* SPDX-License-Identifier: MIT */
/*
 * The inside of the software machine, shared by soft.c and soft_access.c.
 */
#ifndef MACHINE_SOFT_INTERNAL_H
#define MACHINE_SOFT_INTERNAL_H

#include "base/lock.h"
#include "machine/soft.h"
#include "mm/pgtable.h"

#define SOFT_NR_STRIPES 64 /* more than threads that fault at a time */

/* In an entry that is not present: the translation was forgotten, its other bits hold. */
#define SOFT_FORGOTTEN ((pte_t)1 << 9)

/* One level. The upper three hold pointers to the next, PTE tables hold entries. */
struct soft_table {
	union {
		struct soft_table *tables[PGTABLE_ENTRIES]; /* atomic; only ever set */
		pte_t entries[PGTABLE_ENTRIES];		    /* its page's stripe */
	};
};

struct machine_space {
	struct machine_soft *soft; /* (c) */
	vaddr_t start, end;	   /* (c) */
	struct soft_table pgd;
};

struct soft_stripe {
	_Alignas(64) struct mm_lock lock;
};

struct machine_soft {
	struct machine machine;
	struct machine_ops ops;
	struct soft_stripe stripes[SOFT_NR_STRIPES];
	struct machine_soft_failure failures[SOFT_NR_OPS]; /* nth: atomic */
	uint64_t now_ns; /* atomic: time of machine_soft_mm_*() */
};

pte_t *soft_entry_lookup(struct machine_space *space, vaddr_t va);

static inline struct mm_lock *soft_stripe(struct machine_space *space, vaddr_t va)
{
	return &space->soft->stripes[(va >> PAGE_SHIFT) % SOFT_NR_STRIPES].lock;
}

static inline unsigned int soft_index(vaddr_t va, unsigned int level)
{
	return va >> (PAGE_SHIFT + 9 * level) & (PGTABLE_ENTRIES - 1);
}

#endif
