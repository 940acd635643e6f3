/* SPDX-License-Identifier: MIT */
/*
 * Pages of 64 KiB, 2 MiB and 1 GiB of the software machine.
 *
 * 64 KiB are sixteen entries with PTE_CONT, one after the other under the stripe of its page.
 * Walks set bits in the one that they meet, so what is true of the page is what any of them
 * says (as with the contiguous bit of ARMv8, D8.7.1).
 *
 * 2 MiB and 1 GiB are an entry of a PMD or PUD with the PS bit. A table that is there already
 * is put by, for tables are only ever added while a space lives (soft.c): when the page goes it
 * comes back. Nothing in it is translated meanwhile, with one exception: where a simulation
 * holds the table's address (machine_soft_entries()) it mirrors the page, so that the fast path
 * of a replay need not know of larger pages.
 */
#include <errno.h>

#include "base/assert.h"
#include "machine/soft_internal.h"

#define BLOCK_PAGES 16

#define USED (PTE_ACCESSED | PTE_DIRTY)

static int block_change(struct machine_space *space, struct machine_change *change)
{
	pte_t seen = 0;

	for (pte_t i = 0; i < BLOCK_PAGES; i++) {
		pte_t frame = i << PTE_PFN_SHIFT;
		struct machine_change one = {.va = change->va + i * PAGE_SIZE};
		int err;

		if (pte_is_present(change->old_pte))
			one.old_pte = (change->old_pte + frame) | PTE_CONT;
		if (pte_is_present(change->new_pte))
			one.new_pte = (change->new_pte + frame) | PTE_CONT;
		err = soft_page_change(space, &one);
		if (err && i == 0)
			return err;
		MM_ASSERT(!err); /* the sixteen are in one table */
		seen |= one.old_pte & USED;
	}
	if (change->old_pte != change->new_pte)
		change->old_pte |= seen;
	return 0;
}

/* Each entry as if its page were translated by itself; 0 where the large one is not. */
void soft_huge_mirror(pte_t leaf, pte_t *entries)
{
	pte_t base = pte_is_present(leaf) ? (leaf & ~(PTE_PS | USED)) | SOFT_MIRROR : 0;

	for (pte_t i = 0; i < PGTABLE_ENTRIES; i++)
		entries[i] = base ? base + (i << PTE_PFN_SHIFT) : 0;
}

/* Clears bits in the mirror of a page of 2 MiB. Return: those that were set. */
static pte_t mirror_clear(pte_t *entries, pte_t bits)
{
	pte_t seen = 0;

	for (unsigned int i = 0; i < PGTABLE_ENTRIES; i++) {
		seen |= entries[i] & bits;
		entries[i] &= ~bits;
	}
	return seen;
}

static pte_t *mirror_of(const struct machine_space *space, pte_t *entry, unsigned int level)
{
	pte_t table = *soft_put_by(entry);

	return space->is_replayed && level == 1 && table ? soft_table_at(table)->entries : NULL;
}

/**
 * soft_huge_clear() - clear bits in the entry of a page of 2 MiB or 1 GiB.
 *
 * Return: the entry as it was.
 * Context: the page's stripe held.
 */
pte_t soft_huge_clear(struct machine_space *space, vaddr_t va, pte_t *entry, pte_t bits)
{
	unsigned int level;
	pte_t was = __atomic_fetch_and(entry, ~bits, __ATOMIC_ACQ_REL), *mirror;

	soft_leaf_lookup(space, va, &level);
	mirror = mirror_of(space, entry, level);
	return mirror ? was | mirror_clear(mirror, bits) : was;
}

/* Context: the page's stripe held. */
static int leaf_change(struct machine_space *space, pte_t *entry, struct machine_change *change)
{
	pte_t *put_by = soft_put_by(entry), *mirror;
	pte_t now = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
	pte_t want = (change->new_pte & SOFT_ENTRY_BITS) | PTE_USER | PTE_PS;

	if (pte_is_present(change->old_pte))
		MM_ASSERT(soft_is_huge(now) && pte_pfn(now) == pte_pfn(change->old_pte));
	else if (soft_is_huge(now))
		return -EEXIST;
	else
		*put_by = now;
	if (change->old_pte == change->new_pte)
		want = (now & ~SOFT_FORGOTTEN) | PTE_PRESENT;
	else if (!pte_is_present(change->new_pte))
		want = *put_by;
	mirror = mirror_of(space, entry, change->order / 9);
	now = __atomic_exchange_n(entry, want, __ATOMIC_ACQ_REL); /* lookups take no lock */
	if (mirror && change->old_pte != change->new_pte) {
		now |= mirror_clear(mirror, USED);
		soft_huge_mirror(pte_is_present(change->new_pte) ? want : 0, mirror);
	}
	if (!pte_is_present(change->new_pte))
		*put_by = 0;
	if (change->old_pte != change->new_pte && pte_is_present(change->old_pte))
		change->old_pte |= now & USED;
	return 0;
}

/**
 * soft_huge_change() - a change of an order above 0.
 *
 * Return: 0; -ENOMEM; -EEXIST where something is translated there already.
 * Context: any thread; the manager runs no other op on these addresses.
 */
int soft_huge_change(struct machine_space *space, struct machine_change *change)
{
	unsigned int level = change->order / 9;
	struct mm_lock *stripe = soft_stripe(space, change->va, level);
	pte_t *entry;
	int err;

	if (!pte_is_present(change->new_pte) && !pte_is_present(change->old_pte))
		return 0;
	if (change->order == 4) {
		MM_ASSERT(space->soft->ops.caps & MACHINE_HUGE_64K);
		return block_change(space, change);
	}
	MM_ASSERT(change->order == 9 || change->order == 18);
	MM_ASSERT(space->soft->ops.caps & (level == 1 ? MACHINE_HUGE_2M : MACHINE_HUGE_1G));
	entry = soft_entry_ensure(space, change->va, level);
	if (!entry)
		return -ENOMEM;
	mm_lock_acquire(stripe);
	err = leaf_change(space, entry, change);
	mm_lock_release(stripe);
	return err;
}
