/* SPDX-License-Identifier: MIT */
/*
 * The inside of the software machine, shared by soft.c, soft_access.c, soft_huge.c and
 * soft_tlb.c.
 */
#ifndef MACHINE_SOFT_INTERNAL_H
#define MACHINE_SOFT_INTERNAL_H

#include "base/lock.h"
#include "machine/mmu.h"
#include "machine/soft.h"
#include "mm/pgtable.h"

/* Of kernel space: no address space gets it, so that walk caches cannot mistake the tables. */
#define SOFT_KERNEL_ASID TLB_ASID_MAX

#define SOFT_NR_STRIPES 64 /* more than threads that fault at a time */

/* In an entry that is not present: the translation was forgotten, its other bits hold. */
#define SOFT_FORGOTTEN ((pte_t)1 << 9)

/* In a table that is put by: the page is a part of a larger one (machine_soft_entries()). */
#define SOFT_MIRROR ((pte_t)1 << 10)

/* What of an entry a machine_change says. */
#define SOFT_ENTRY_BITS (PTE_PRESENT | PTE_WRITE | PTE_CONT | PTE_NX | PTE_PFN_MASK)

/* What an entry of the upper levels has beside the next table's address in the host. */
#define SOFT_TABLE_BITS (PTE_PRESENT | PTE_WRITE | PTE_USER)

/*
 * One level. In the upper three, entries are atomic; in PTE tables, and where they are pages,
 * the page's stripe guards them, and with TLBs they are atomic besides, for walks set bits in
 * them. Behind a table of level 1 or 2 lies another that keeps what is put by.
 */
struct soft_table {
	_Alignas(4096) pte_t entries[PGTABLE_ENTRIES];
};

struct machine_space {
	struct machine_soft *soft; /* (c) */
	vaddr_t start, end;	   /* (c) */
	struct soft_table *pgd;	   /* (c) */
	struct mmu_space mmu;	   /* (c) for processors with TLBs */
	bool is_replayed;	   /* machine_soft_entries() was called */
};

struct soft_stripe {
	_Alignas(64) struct mm_lock lock;
};

/* A processor. Its lock is held from the translation of an access to its last byte. */
struct soft_cpu {
	_Alignas(64) struct mm_lock lock;
	struct mmu mmu;
};

struct machine_soft {
	struct machine machine;
	struct machine_ops ops;
	struct soft_stripe stripes[SOFT_NR_STRIPES];
	struct machine_soft_failure failures[SOFT_NR_OPS]; /* nth: atomic */
	uint64_t now_ns; /* atomic: time of machine_soft_mm_*() */

	/* soft_tlb.c */
	struct soft_cpu *cpus;		/* (c) */
	uint32_t nr_cpus;		/* (c) 0: no TLBs */
	unsigned int (*cpu)(void *arg); /* (c) */
	void *cpu_arg;			/* (c) */
	bool harvest_invalidates;	/* (c) */
	bool tlbs_keep_2m;		/* (c) no TLB breaks pages of 2 MiB down */
	struct mm_lock asid_lock;
	uint64_t asids[(TLB_ASID_MAX + 1) / 64]; /* asid_lock: in use */
};

struct soft_cpu_access {
	struct machine_space *space;
	vaddr_t va;
	char *load;	   /* or NULL */
	const char *store; /* or NULL */
	size_t len;	   /* in one page */
	unsigned int kind; /* MM_ACCESS_* */
};

int soft_cpus_create(struct machine_soft *soft, const struct machine_soft_config *cfg);
void soft_cpus_destroy(struct machine_soft *soft);
int soft_asid_get(struct machine_space *space);
void soft_asid_put(struct machine_space *space);
void soft_shoot_changes(struct machine_space *space, const struct machine_change *changes,
			uint32_t nr);
void soft_shoot_page(struct machine_space *space, vaddr_t va, unsigned int order);
void soft_kernel_flush(struct machine *m, vaddr_t start, vaddr_t end);
bool soft_cpu_access(const struct soft_cpu_access *a, uint32_t *ret_error_code);

/* soft.c */
pte_t *soft_leaf_lookup(struct machine_space *space, vaddr_t va, unsigned int *ret_level);
pte_t *soft_entry_ensure(struct machine_space *space, vaddr_t va, unsigned int level);
pte_t soft_entry_swap(struct machine_soft *soft, pte_t *entry, pte_t pte);
int soft_page_change(struct machine_space *space, struct machine_change *change);

/* soft_huge.c */
int soft_huge_change(struct machine_space *space, struct machine_change *change);
pte_t soft_huge_clear(struct machine_space *space, vaddr_t va, pte_t *entry, pte_t bits);
void soft_huge_mirror(pte_t leaf, pte_t *entries);

static inline struct soft_table *soft_table_at(pte_t entry)
{
	return (struct soft_table *)(uintptr_t)(entry & PTE_PFN_MASK);
}

/* Where a table of level 1 or 2 keeps what was in one of its entries before that was a page. */
static inline pte_t *soft_put_by(pte_t *entry)
{
	return entry + PGTABLE_ENTRIES;
}

/* In level 1 and 2: a page, translated or forgotten, and not a table. */
static inline bool soft_is_huge(pte_t entry)
{
	return (entry & PTE_PS) != 0;
}

static inline bool soft_is_translated(pte_t entry)
{
	return (entry & (PTE_PRESENT | SOFT_FORGOTTEN)) != 0;
}

static inline vaddr_t soft_span(unsigned int level)
{
	return PAGE_SIZE << (9 * level);
}

/* Of the page of that level which va lies in. */
static inline struct mm_lock *soft_stripe(struct machine_space *space, vaddr_t va,
					  unsigned int level)
{
	return &space->soft->stripes[(va >> (PAGE_SHIFT + 9 * level)) % SOFT_NR_STRIPES].lock;
}

static inline unsigned int soft_index(vaddr_t va, unsigned int level)
{
	return va >> (PAGE_SHIFT + 9 * level) & (PGTABLE_ENTRIES - 1);
}

#endif
