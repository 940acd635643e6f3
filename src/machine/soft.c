/* SPDX-License-Identifier: MIT */
/*
 * The software machine.
 *
 * RAM is one mapping of zeros. A space keeps the translations that apply() told it in a
 * four-level tree of its own, in the host's memory, and each access walks it as an MMU walks
 * the tables: PGD, PUD, PMD, PTE; it checks the present, write and NX bits, sets accessed and
 * dirty bits if the machine is to have them, and otherwise says what fault it is
 * (soft_access.c). It never loses a translation by itself; a test may make it (forget).
 *
 * The tables have x86-64's layout, with the host's addresses of tables for physical ones, so
 * that an MMU (machine/mmu.c) can walk them: with a TLB configured each processor has one, and
 * accesses go through it (soft_tlb.c).
 *
 * An access holds the lock of its page's stripe from the walk to the last byte, and apply()
 * holds it while it changes the page's entry. So when apply() returns, whoever used the old
 * translation is done: that is the shootdown.
 *
 * Invariants
 * 1. A PTE entry is 0, or present, or forgotten; it has accessed and dirty bits only if the
 *    machine's caps say so.
 * 2. Tables are only ever added while the space lives, so that a walk needs no lock. Where 2
 * MiB or 1 GiB become one page (soft_huge.c), the table that was there is put by until they no
 *    longer are.
 */
#include "machine/soft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "machine/soft_internal.h"

#define JUNK 0xdb /* debug builds: what discarded frames hold */

static struct machine_soft *soft_of(struct machine *m)
{
	return (struct machine_soft *)m;
}

/* Is this the call that a test wants to fail? */
static int op_error(struct machine_soft *soft, enum machine_soft_op op)
{
	struct machine_soft_failure *failure = &soft->failures[op];
	uint32_t nth = __atomic_load_n(&failure->nth, __ATOMIC_ACQUIRE);

	while (nth > 0)
		if (__atomic_compare_exchange_n(&failure->nth, &nth, nth - 1, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return nth == 1 ? failure->err : 0;
	return 0;
}

static pte_t load(const pte_t *entry)
{
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static struct soft_table *table_create(unsigned int level)
{
	bool keeps = level == 1 || level == 2; /* its entries may be pages */
	size_t size = sizeof(struct soft_table) << keeps;
	struct soft_table *table = aligned_alloc(_Alignof(struct soft_table), size);

	if (table)
		memset(table, 0, size);
	return table;
}

/* The table below an entry, in it or put by; NULL: there is none. */
static struct soft_table *table_below(pte_t *entry)
{
	pte_t there = load(entry);

	return soft_table_at(soft_is_huge(there) ? load(soft_put_by(entry)) : there);
}

/*
 * Somebody else may make the same table at the same time: one of the two stays.
 * level: of the table that the entry is in.
 */
static struct soft_table *table_ensure(pte_t *entry, unsigned int level)
{
	struct soft_table *made, *there = table_below(entry);
	pte_t *at = soft_is_huge(load(entry)) ? soft_put_by(entry) : entry, none = 0;

	if (there)
		return there;
	made = table_create(level - 1);
	if (!made)
		return NULL;
	if (__atomic_compare_exchange_n(at, &none, (pte_t)(uintptr_t)made | SOFT_TABLE_BITS,
					false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return made;
	free(made);
	return soft_table_at(none);
}

static void table_destroy(struct soft_table *table, unsigned int level)
{
	for (unsigned int i = 0; level > 0 && i < PGTABLE_ENTRIES; i++) {
		struct soft_table *below = table_below(&table->entries[i]);

		if (below)
			table_destroy(below, level - 1);
	}
	free(table);
}

/*
 * The entry of the page that va lies in; *ret_level 0: of one page, or the table of it. NULL
 * where there is no PTE table; *ret_level is then the level whose entry leads nowhere.
 */
pte_t *soft_leaf_lookup(struct machine_space *space, vaddr_t va, unsigned int *ret_level)
{
	struct soft_table *table = space->pgd;

	for (unsigned int level = PGTABLE_LEVELS - 1; level > 0; level--) {
		pte_t *at = &table->entries[soft_index(va, level)], entry = load(at);

		*ret_level = level;
		if (soft_is_huge(entry))
			return at;
		if (!entry)
			return NULL;
		table = soft_table_at(entry);
	}
	*ret_level = 0;
	return &table->entries[soft_index(va, 0)];
}

/* The entry of that level, below larger pages too. NULL: no memory. */
pte_t *soft_entry_ensure(struct machine_space *space, vaddr_t va, unsigned int level)
{
	struct soft_table *table = space->pgd;

	for (unsigned int at = PGTABLE_LEVELS - 1; at > level; at--) {
		table = table_ensure(&table->entries[soft_index(va, at)], at);
		if (!table)
			return NULL;
	}
	return &table->entries[soft_index(va, level)];
}

/**
 * machine_soft_entries() - the entries of the 512 pages around an address, for a replay.
 * @space: used by one thread only, the manager's included.
 * @ret_entries: of the pages from va rounded down to 2 MiB; they stay where they are while the
 * space lives (invariant 2). Where the manager translates all 2 MiB as one page, each entry is
 * as if its page were translated by itself, with SOFT_ENTRY_2M; in a page of 64 KiB, with
 * SOFT_ENTRY_64K: the bits that the program's accesses set there count for the whole.
 *
 * Return: 0; -EINVAL beyond what four levels translate; -ENOMEM.
 * Context: any thread; uses the C library's heap.
 */
int machine_soft_entries(struct machine_space *space, vaddr_t va, pte_t **ret_entries)
{
	vaddr_t start = va & ~(soft_span(1) - 1);
	unsigned int level;
	pte_t *entries, *leaf;

	if (va >= PGTABLE_VA_MAX)
		return -EINVAL;
	entries = soft_entry_ensure(space, start, 0);
	if (!entries)
		return -ENOMEM;
	space->is_replayed = true;
	leaf = soft_leaf_lookup(space, start, &level);
	if (level == 1)
		soft_huge_mirror(*leaf, entries);
	*ret_entries = entries;
	return 0;
}

static int soft_space_create(struct machine *m, vaddr_t start, vaddr_t end,
			     struct machine_space **ret_space)
{
	int err = op_error(soft_of(m), SOFT_SPACE_CREATE);
	struct machine_space *space;

	MM_ASSERT(start < end && end <= PGTABLE_VA_MAX);
	if (err)
		return err;
	space = calloc(1, sizeof(*space));
	if (!space)
		return -ENOMEM;
	space->soft = soft_of(m);
	space->start = start;
	space->end = end;
	space->pgd = table_create(PGTABLE_LEVELS - 1);
	if (!space->pgd || soft_asid_get(space)) {
		free(space->pgd);
		free(space);
		return -ENOMEM;
	}
	*ret_space = space;
	return 0;
}

static void soft_space_destroy(struct machine *m, struct machine_space *space)
{
	MM_ASSERT(space->soft == soft_of(m));
	soft_asid_put(space);
	table_destroy(space->pgd, PGTABLE_LEVELS - 1);
	free(space);
}

/* The manager and this machine agree on what is translated now. */
static void assert_change(const struct machine_space *space,
			  const struct machine_change *change)
{
	pfn_t nr = (pfn_t)1 << change->order;

	MM_ASSERT(change->va >= space->start && change->va < space->end);
	MM_ASSERT((change->va & (nr * PAGE_SIZE - 1)) == 0);
	if (!pte_is_present(change->new_pte))
		return;
	MM_ASSERT(pte_pfn(change->new_pte) + nr <= space->soft->machine.nr_frames);
	MM_ASSERT((pte_pfn(change->new_pte) & (nr - 1)) == 0);
}

static bool frame_leaves(const struct machine_change *change)
{
	return pte_is_present(change->old_pte) &&
	       (!pte_is_present(change->new_pte) ||
		pte_pfn(change->new_pte) != pte_pfn(change->old_pte));
}

static void discard(struct machine_soft *soft, const struct machine_change *change)
{
	memset(soft->machine.ram + pte_pfn(change->old_pte) * PAGE_SIZE, JUNK,
	       PAGE_SIZE << change->order);
}

/* Return: the entry as it was, with the bits that walks have set until now. */
pte_t soft_entry_swap(struct machine_soft *soft, pte_t *entry, pte_t pte)
{
	pte_t was;

	if (soft->nr_cpus)
		return __atomic_exchange_n(entry, pte, __ATOMIC_ACQ_REL);
	was = *entry;
	*entry = pte;
	return was;
}

/* Context: the page's stripe held. */
static int entry_change(struct machine_soft *soft, pte_t *entry, struct machine_change *change)
{
	pte_t now = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

	if (pte_is_present(change->old_pte))
		MM_ASSERT(soft_is_translated(now) && pte_pfn(now) == pte_pfn(change->old_pte));
	else if (soft_is_translated(now))
		return -EEXIST;
	if (change->old_pte == change->new_pte) {
		if (now & SOFT_FORGOTTEN) /* then no walk touches it */
			soft_entry_swap(soft, entry, (now & ~SOFT_FORGOTTEN) | PTE_PRESENT);
		return 0;
	}
	now = pte_is_present(change->new_pte) ? (change->new_pte & SOFT_ENTRY_BITS) | PTE_USER
					      : 0;
	if (soft->ops.caps & MACHINE_SETS_ACCESSED && !pte_is_present(change->old_pte))
		now |= change->new_pte & PTE_ACCESSED;
	change->old_pte |= soft_entry_swap(soft, entry, now) & (PTE_ACCESSED | PTE_DIRTY);
	return 0;
}

/*
 * Another frame for the same page goes by way of no translation: were the new one there while a
 * processor still has the old one, what one thread writes another would not read (Linux's
 * ptep_clear_flush() in wp_page_copy()).
 */
static int page_change_frame(struct machine_space *space, struct machine_change *change)
{
	struct machine_change in = {.va = change->va, .new_pte = change->new_pte};
	struct machine_change out = {.va = change->va, .old_pte = change->old_pte};
	int err = soft_page_change(space, &out);

	change->old_pte = out.old_pte;
	if (err)
		return err;
	soft_shoot_page(space, change->va, 0);
	return soft_page_change(space, &in);
}

/* Of one page, or of one of the sixteen in a block. */
int soft_page_change(struct machine_space *space, struct machine_change *change)
{
	bool is_present = pte_is_present(change->new_pte);
	struct mm_lock *stripe = soft_stripe(space, change->va, 0);
	unsigned int level = 0;
	pte_t *entry;
	int err;

	if (!is_present && !pte_is_present(change->old_pte))
		return 0;
	if (space->soft->nr_cpus && is_present && frame_leaves(change))
		return page_change_frame(space, change);
	entry = is_present ? soft_entry_ensure(space, change->va, 0)
			   : soft_leaf_lookup(space, change->va, &level);
	if (!entry) {
		MM_ASSERT(is_present);
		return -ENOMEM;
	}
	MM_ASSERT(level == 0);
	mm_lock_acquire(stripe);
	err = entry_change(space->soft, entry, change);
	mm_lock_release(stripe);
	return err;
}

static int change_apply(struct machine_space *space, struct machine_change *change)
{
	assert_change(space, change);
	return change->order ? soft_huge_change(space, change)
			     : soft_page_change(space, change);
}

/* The old translations are gone from the tables; when this returns, from everywhere. */
static void changes_end(struct machine_space *space, const struct machine_batch *batch)
{
	if (space->soft->nr_cpus)
		soft_shoot_changes(space, batch->changes, batch->nr_done);
	for (uint32_t i = 0; MM_DEBUG && (batch->flags & MACHINE_DISCARD) && i < batch->nr_done;
	     i++)
		if (frame_leaves(&batch->changes[i]))
			discard(space->soft, &batch->changes[i]);
}

static int soft_apply(struct machine *m, struct machine_space *space,
		      struct machine_batch *batch)
{
	int failure = op_error(soft_of(m), SOFT_APPLY);
	uint32_t nr = batch->nr;
	int err = 0;

	MM_ASSERT(nr > 0);
	if (failure && nr > soft_of(m)->failures[SOFT_APPLY].nr_done)
		nr = soft_of(m)->failures[SOFT_APPLY].nr_done;
	else if (failure)
		nr--;
	for (batch->nr_done = 0; batch->nr_done < nr; batch->nr_done++) {
		struct machine_change *change = &batch->changes[batch->nr_done];

		MM_ASSERT(batch->nr_done == 0 || change[-1].va < change->va);
		err = change_apply(space, change);
		if (err)
			break;
	}
	changes_end(space, batch);
	return err ? err : failure;
}

/* An entry of pages that a walk over a range has come to. */
struct leaf {
	pte_t *entry;
	vaddr_t va;
	unsigned int level;
};

/* The first entry at or after va, and before end, that is a page's. False: there is none. */
static bool leaf_find(struct machine_space *space, vaddr_t va, vaddr_t end, struct leaf *leaf)
{
	while (va < end) {
		leaf->entry = soft_leaf_lookup(space, va, &leaf->level);
		leaf->va = va & ~(soft_span(leaf->level) - 1);
		if (leaf->entry)
			return true;
		va = leaf->va + soft_span(leaf->level);
	}
	return false;
}

static bool leaf_next(struct machine_space *space, vaddr_t end, struct leaf *leaf)
{
	return leaf_find(space, leaf->va + soft_span(leaf->level), end, leaf);
}

#define for_each_leaf(space, start, end, leaf)                                   \
	for (bool has_leaf = leaf_find((space), (start), (end), leaf); has_leaf; \
	     has_leaf = leaf_next((space), (end), leaf))

/* Clears bits in the page's entry. Return: the entry as it was. */
static pte_t entry_clear(struct machine_space *space, const struct leaf *leaf, pte_t bits)
{
	struct mm_lock *stripe = soft_stripe(space, leaf->va, leaf->level);
	pte_t was;

	mm_lock_acquire(stripe);
	if (leaf->level > 0) {
		was = soft_huge_clear(space, leaf->va, leaf->entry, bits);
	} else if (space->soft->nr_cpus) {
		was = __atomic_fetch_and(leaf->entry, ~bits, __ATOMIC_ACQ_REL);
	} else {
		was = *leaf->entry;
		*leaf->entry = was & ~bits;
	}
	mm_lock_release(stripe);
	return was;
}

static int soft_harvest(struct machine *m, struct machine_space *space, vaddr_t start,
			vaddr_t end, void (*seen)(void *arg, vaddr_t va, pte_t bits), void *arg)
{
	struct leaf leaf;

	MM_ASSERT(space->soft == soft_of(m));
	for_each_leaf(space, start, end, &leaf)
	{
		pte_t was = entry_clear(space, &leaf, PTE_ACCESSED);

		if (!(was & PTE_ACCESSED))
			continue;
		if (soft_of(m)->harvest_invalidates)
			soft_shoot_page(space, leaf.va, 9 * leaf.level);
		seen(arg, leaf.va, was & (PTE_ACCESSED | PTE_DIRTY));
	}
	return 0;
}

/* An MMU knows no areas; but what the manager promises about them is looked at. */
static int soft_region(struct machine *m, struct machine_space *space, vaddr_t start,
		       vaddr_t end, enum machine_region_op op, int prot)
{
	struct leaf leaf;
	int err = 0;

	(void)prot;
	MM_ASSERT(start < end && start >= space->start && end <= space->end);
	for_each_leaf(space, start, end, &leaf)
		MM_ASSERT(!soft_is_translated(entry_clear(space, &leaf, 0)));
	if (op != MACHINE_REGION_UNMAP)
		err = op_error(soft_of(m), SOFT_REGION);
	return err;
}

/**
 * machine_soft_create() - make a machine.
 * @cfg: copied.
 *
 * Return: 0, -EINVAL where there are no frames, too many processors, or a TLB that
 * tlb_config_check() refuses, or -ENOMEM.
 * Context: any thread; uses the C library's heap.
 */
int machine_soft_create(const struct machine_soft_config *cfg, struct machine **ret_machine)
{
	uint64_t bytes = cfg->nr_frames * PAGE_SIZE;
	struct machine_soft *soft;
	void *ram;
	int err;

	if (cfg->nr_frames == 0)
		return -EINVAL;
	soft = aligned_alloc(_Alignof(struct machine_soft), sizeof(*soft));
	if (!soft)
		return -ENOMEM;
	ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED) {
		free(soft);
		return -ENOMEM;
	}
	memset(soft, 0, sizeof(*soft));
	err = soft_cpus_create(soft, cfg);
	if (err) {
		munmap(ram, bytes);
		free(soft);
		return err;
	}
	soft->ops = (struct machine_ops){
		.name = "soft",
		.caps = cfg->caps | MACHINE_MAPS_SHARED,
		.space_create = soft_space_create,
		.space_destroy = soft_space_destroy,
		.apply = soft_apply,
		.harvest = cfg->caps & MACHINE_SETS_ACCESSED ? soft_harvest : NULL,
		.region = soft_region,
		.kernel_flush = soft_kernel_flush,
	};
	soft->machine =
		(struct machine){.ops = &soft->ops, .ram = ram, .nr_frames = cfg->nr_frames};
	for (unsigned int i = 0; i < SOFT_NR_STRIPES; i++)
		mm_lock_init(&soft->stripes[i].lock, LOCK_RANK_MACHINE);
	*ret_machine = &soft->machine;
	return 0;
}

void machine_soft_destroy(struct machine *m)
{
	soft_cpus_destroy(soft_of(m));
	munmap(m->ram, m->nr_frames * PAGE_SIZE);
	free(soft_of(m));
}

/**
 * machine_soft_fail() - the nth call of an op from now fails, once.
 *
 * Of an apply() that fails so, the first nr_done changes are made (all but the last if it has
 * not more).
 *
 * Context: no such op runs.
 */
void machine_soft_fail(struct machine *m, enum machine_soft_op op,
		       const struct machine_soft_failure *failure)
{
	soft_of(m)->failures[op] = *failure;
}

/* A walk may set a bit in the entry at the same time. */
static void entry_forget(pte_t *entry)
{
	pte_t was = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

	while (pte_is_present(was))
		if (__atomic_compare_exchange_n(entry, &was,
						(was & ~PTE_PRESENT) | SOFT_FORGOTTEN, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			break;
}

/**
 * machine_soft_forget() - drop the translations of [start, end), as a small TLB would.
 *
 * What was seen accessed and written is remembered, and reported when the manager takes the
 * translation away.
 *
 * Context: any thread.
 */
void machine_soft_forget(struct machine_space *space, vaddr_t start, vaddr_t end)
{
	struct leaf leaf;

	for_each_leaf(space, start, end, &leaf)
	{
		struct mm_lock *stripe = soft_stripe(space, leaf.va, leaf.level);

		mm_lock_acquire(stripe);
		entry_forget(leaf.entry);
		mm_lock_release(stripe);
		soft_shoot_page(space, leaf.va, 9 * leaf.level);
	}
}
