/* SPDX-License-Identifier: MIT */
/*
 * Four-level page tables in frames: PGD, PUD, PMD, PTE, 512 entries of 8 bytes each, x86-64
 * bits.
 *
 * What a leaf entry (pte_t) says:
 *   NONE     0                        never touched: the next access gets a zeroed page
 *   PRESENT  PTE_PRESENT, frame       translated: the machine may hold it
 *   IDLE     PTE_IDLE, frame          resident, but not translated: the next access faults,
 *                                     and so tells that the page is in use
 *                                     (Linux's PROT_NONE entry)
 *   SWAP     swap type and offset     its content is in that swap slot
 *
 * Where 2 MiB or 1 GiB are one page, the entry of the PMD or PUD is the leaf: PRESENT or IDLE,
 * with PTE_PS. A page of 64 KiB is sixteen leaf entries with PTE_CONT, which change together.
 * Functions that look for the entry of one page do not see larger pages; mm/huge.h has those
 * that do.
 *
 * Who changes a leaf entry does so through pte_set(), which keeps the count of used entries in
 * the table's struct page: an empty table is found without a scan.
 *
 * Context for all: mm_system.lock held.
 */
#ifndef MM_PGTABLE_H
#define MM_PGTABLE_H

#include "ration/types.h"

#define PTE_PRESENT  ((pte_t)1 << 0)
#define PTE_WRITE    ((pte_t)1 << 1)
#define PTE_USER     ((pte_t)1 << 2)
#define PTE_ACCESSED ((pte_t)1 << 5)
#define PTE_DIRTY    ((pte_t)1 << 6)
#define PTE_PS	     ((pte_t)1 << 7) /* in PMD and PUD: a huge page */
#define PTE_GLOBAL   ((pte_t)1 << 8)
#define PTE_IDLE     ((pte_t)1 << 8)  /* where PTE_PRESENT is clear */
#define PTE_CONT     ((pte_t)1 << 11) /* ours: one of 16 that are one page of 64 KiB */
#define PTE_NX	     ((pte_t)1 << 63)

#define PTE_PFN_SHIFT 12
#define PTE_PFN_MASK  ((((pte_t)1 << 52) - 1) & ~(pte_t)0xfff)

#define PGTABLE_LEVELS	4
#define PGTABLE_ENTRIES 512
#define PGTABLE_VA_MAX	((vaddr_t)1 << 47) /* user addresses of four levels: [0, this) */

/* Addresses that four levels translate: bits 63 to 47 are alike. */
static inline bool pgtable_covers(vaddr_t va)
{
	return (vaddr_t)((int64_t)(va << 16) >> 16) == va;
}

/* A swap entry: type in bits 1..5, slot in bits 12..51; both PTE_PRESENT and PTE_IDLE clear. */
typedef uint64_t swp_entry_t;
#define SWAP_TYPES_MAX 32

static inline swp_entry_t swp_entry(unsigned int type, uint64_t slot)
{
	return (swp_entry_t)type << 1 | slot << PTE_PFN_SHIFT;
}

static inline unsigned int swp_type(swp_entry_t entry)
{
	return entry >> 1 & (SWAP_TYPES_MAX - 1);
}

static inline uint64_t swp_slot(swp_entry_t entry)
{
	return (entry & PTE_PFN_MASK) >> PTE_PFN_SHIFT;
}

static inline bool pte_is_none(pte_t pte)
{
	return pte == 0;
}

static inline bool pte_is_present(pte_t pte)
{
	return (pte & PTE_PRESENT) != 0;
}

static inline bool pte_is_idle(pte_t pte)
{
	return (pte & (PTE_PRESENT | PTE_IDLE)) == PTE_IDLE;
}

static inline bool pte_is_resident(pte_t pte)
{
	return (pte & (PTE_PRESENT | PTE_IDLE)) != 0;
}

static inline bool pte_is_swap(pte_t pte)
{
	return pte != 0 && (pte & (PTE_PRESENT | PTE_IDLE)) == 0;
}

static inline pfn_t pte_pfn(pte_t pte)
{
	return (pfn_t)((pte & PTE_PFN_MASK) >> PTE_PFN_SHIFT);
}

/* The same page, or larger page, resident but not translated. */
static inline pte_t pte_idle(pte_t pte)
{
	return (pte & (PTE_PFN_MASK | PTE_PS | PTE_CONT)) | PTE_IDLE;
}

static inline pte_t pte_make(pfn_t pfn, pte_t bits)
{
	return (pte_t)pfn << PTE_PFN_SHIFT | bits;
}

struct mm;

/* Stores pte in a leaf entry and keeps the table's count: the only way to write one. */
void pte_set(struct mm *mm, pte_t *ptep, pte_t pte);

pte_t *pgtable_lookup(struct mm *mm, vaddr_t va); /* NULL where no table covers va */
int pgtable_ensure(struct mm *mm, vaddr_t va, pte_t **ret_pte);
pte_t *pgtable_next(struct mm *mm, vaddr_t *va, vaddr_t end);
void pgtable_free_range(struct mm *mm, vaddr_t start, vaddr_t end);

/* The leaf of va, of any size: *ret_level 0 a PTE, 1 and 2 with PTE_PS. NULL: no table. */
pte_t *pgtable_leaf(struct mm *mm, vaddr_t va, unsigned int *ret_level);
int pgtable_huge_prepare(struct mm *mm, vaddr_t va, unsigned int level, pte_t **ret_entry);
int pgtable_deposit(struct mm *mm, pte_t *entry);
void pgtable_undeposit(struct mm *mm, pte_t *entry);
pte_t *pgtable_huge_split(struct mm *mm, pte_t *entry);

int pgtable_create(struct mm *mm);   /* the PGD; -ENOMEM */
void pgtable_destroy(struct mm *mm); /* every entry must be NONE */
int pgtable_check(struct mm *mm);

#endif
