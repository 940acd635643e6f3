/* SPDX-License-Identifier: MIT */
/*
 * References to pages of the software machine without content, one thread a machine: what the
 * MMU does on an access when its table is at hand. No lock is taken, so the space must be the
 * thread's own, and the manager must run in that thread.
 */
#ifndef MACHINE_SOFT_REPLAY_H
#define MACHINE_SOFT_REPLAY_H

#include "machine/soft.h"
#include "mm/pgtable.h"

#define SOFT_REPLAY_SHIFT 21 /* a table of entries covers 2 MiB */

/* In an entry that is present: its page is a part of a larger one, one entry of a TLB. */
#define SOFT_ENTRY_64K PTE_CONT
#define SOFT_ENTRY_2M  ((pte_t)1 << 10)

static inline unsigned int machine_soft_entry_index(vaddr_t va)
{
	return va >> PAGE_SHIFT & (PGTABLE_ENTRIES - 1);
}

/**
 * machine_soft_touch() - one reference, on a machine that sets accessed and dirty bits.
 * @entry: the page's, from machine_soft_entries().
 * @access: MM_ACCESS_*.
 *
 * Return: false if there is no translation, or it forbids the access: a fault.
 */
static inline bool machine_soft_touch(pte_t *entry, unsigned int access)
{
	pte_t now = *entry;
	pte_t want = PTE_ACCESSED | (access == MM_ACCESS_WRITE ? PTE_DIRTY : 0);

	if (!(now & PTE_PRESENT) || (access == MM_ACCESS_WRITE && !(now & PTE_WRITE)) ||
	    (access == MM_ACCESS_EXEC && (now & PTE_NX)))
		return false;
	if ((now & want) != want) /* a hit leaves the line as it is */
		*entry = now | want;
	return true;
}

#endif
