/* SPDX-License-Identifier: MIT */
/*
 * Address translation as x86-64 does it. How it works is told in machine/mmu.c.
 */
#ifndef MACHINE_MMU_H
#define MACHINE_MMU_H

#include "machine/tlb.h"
#include "ration/mm.h"

/* Of an access, beside MM_ACCESS_*: made in user mode. */
#define MMU_ACCESS_USER 0x4u

/* x86's page-fault error code. */
#define MMU_PF_PRESENT 0x1u  /* a translation was there and forbids it; else: none was */
#define MMU_PF_WRITE   0x2u  /* the access wrote */
#define MMU_PF_USER    0x4u  /* it was made in user mode */
#define MMU_PF_RSVD    0x8u  /* an entry has a bit set that must not be */
#define MMU_PF_INSTR   0x10u /* it fetched an instruction */

enum mmu_result {
	MMU_OK,
	MMU_PAGE_FAULT,
	MMU_NOT_CANONICAL, /* x86: a general protection fault */
};

struct mmu {
	struct tlb *tlb; /* or NULL: each access walks */
	bool sets_accessed, sets_dirty;
};

/* What CR3 says, and where physical memory is. */
struct mmu_space {
	uint64_t base;	 /* the host's address of physical address 0 */
	uint64_t root;	 /* physical address of the PGD */
	uint64_t pa_end; /* physical addresses from here on do not exist: reserved bits */
	uint16_t asid;	 /* 0..TLB_ASID_MAX */
};

struct mmu_translation {
	uint64_t pa;	     /* on MMU_OK */
	uint32_t error_code; /* on MMU_PAGE_FAULT: MMU_PF_* */
};

enum mmu_result mmu_translate_slow(struct mmu *mmu, const struct mmu_space *space, vaddr_t va,
				   unsigned int access, struct mmu_translation *ret);

/* Four levels: bits 63 to 47 are alike. */
static inline bool mmu_is_canonical(vaddr_t va)
{
	return (vaddr_t)((int64_t)(va << 16) >> 16) == va;
}

static inline enum tlb_kind mmu_access_kind(unsigned int access)
{
	return access & MM_ACCESS_EXEC ? TLB_INSTR : TLB_DATA;
}

/* MM_ACCESS_WRITE, MM_ACCESS_EXEC and MMU_ACCESS_USER are the rights' bits, one lower. */
static inline unsigned int mmu_access_rights(unsigned int access)
{
	_Static_assert(TLB_WRITE == MM_ACCESS_WRITE << 1, "shift");
	_Static_assert(TLB_EXEC == MM_ACCESS_EXEC << 1, "shift");
	_Static_assert(TLB_USER == MMU_ACCESS_USER << 1, "shift");
	return TLB_READ | access << 1;
}

/**
 * mmu_translate() - one access of a processor.
 * @access: MM_ACCESS_*, and MMU_ACCESS_USER.
 *
 * Return: MMU_OK with ret->pa; MMU_PAGE_FAULT with ret->error_code, nothing marked but entries
 * that lead to tables; MMU_NOT_CANONICAL.
 * Context: one thread at a time for each struct mmu. Tables may change at the same time by
 * atomic operations; who takes a translation away invalidates it afterwards in each TLB.
 */
static inline enum mmu_result mmu_translate(struct mmu *mmu, const struct mmu_space *space,
					    vaddr_t va, unsigned int access,
					    struct mmu_translation *ret)
{
	const struct tlb_entry *e = NULL;

	if (mmu->tlb)
		e = tlb_lookup_fast(mmu->tlb, va, space->asid, mmu_access_kind(access),
				    mmu_access_rights(access));
	if (!e)
		return mmu_translate_slow(mmu, space, va, access, ret);
	ret->pa = tlb_entry_translate(e, va);
	return MMU_OK;
}

#endif
