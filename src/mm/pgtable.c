/* SPDX-License-Identifier: MIT */
/*
 * Four-level page tables.
 *
 * A table is one zeroed frame. Its struct page names the mm and counts the entries that are not
 * NONE, in leaf tables and in those above alike; so a walk passes over an empty table without
 * reading it, and a table that has become empty is given back at once.
 *
 * An entry of the PMD or PUD may be a page itself (mm/huge.c). So that a PMD entry can always
 * be split, its leaf table is taken beforehand and deposited: it hangs on a list in the struct
 * page of the PMD's table (Linux's pgtable_trans_huge_deposit()).
 *
 * Tables are given back only by pgtable_free_range() and pgtable_destroy(), which run for a
 * writer of the mm: a pte_t pointer that a reader found stays good until it lets the mm go.
 *
 * 1. Every table is a PG_table frame of this mm, and is named by one entry.
 * 2. ->table_used is the number of its entries that are not 0.
 * 3. Entries above the leaves are 0, or TABLE_BITS and a frame, or in PMD and PUD a page:
 * PTE_PS, resident, its frame aligned.
 * 4. A resident leaf entry names a frame of RAM that is nobody else's (no table, slab, or free
 *    frame).
 * 5. mm->nr_tables counts the tables, the PGD and deposited ones among them; these are empty.
 */
#include "mm/pgtable.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "mm/system.h"

#define TABLE_BITS	(PTE_PRESENT | PTE_WRITE | PTE_USER)
#define TABLE_LEVEL_TOP (PGTABLE_LEVELS - 1) /* the PGD; leaf tables are level 0 */
#define TABLE_BITS_VA	9		     /* of an address, for each level */
#define NO_DEPOSIT	0 /* in ->index of a table; frame 0 is the system's own */

/* Bytes of address space under one entry of a table of this level. */
static vaddr_t level_span(unsigned int level)
{
	return PAGE_SIZE << (TABLE_BITS_VA * level);
}

static unsigned int level_index(vaddr_t va, unsigned int level)
{
	return va >> (PAGE_SHIFT + TABLE_BITS_VA * level) & (PGTABLE_ENTRIES - 1);
}

/* Where the next entry of that level begins, but not after end. */
static vaddr_t level_next(vaddr_t va, vaddr_t end, unsigned int level)
{
	vaddr_t span = level_span(level);

	return min_u64(align_down(va, span) + span, end);
}

static pte_t *table_of(const struct mm *mm, pfn_t pfn)
{
	return pfn_addr(mm->sys, pfn);
}

static int table_alloc(struct mm *mm, pfn_t *ret_pfn)
{
	struct mm_system *sys = mm->sys;
	struct page *page;
	int err = page_alloc(sys, 0, GFP_KERNEL, &page);

	if (err)
		return err;
	memset(page_addr(sys, page), 0, PAGE_SIZE);
	page->flags |= PG_table;
	page->mm = mm;
	page->index = NO_DEPOSIT;
	page->table_used = 0;
	mm->nr_tables++;
	STAT(sys, nr_page_table_pages, 1);
	*ret_pfn = page_pfn(sys, page);
	return 0;
}

static void table_free(struct mm *mm, pfn_t pfn)
{
	struct page *page = page_of(mm->sys, pfn);

	MM_ASSERT(page_has(page, PG_table));
	MM_ASSERT(page->table_used == 0 && page->index == NO_DEPOSIT);
	page->flags &= ~(uint32_t)PG_table;
	page->mm = NULL;
	mm->nr_tables--;
	STAT(mm->sys, nr_page_table_pages, -1);
	page_free(mm->sys, page, 0);
}

/**
 * pte_set() - store an entry and keep its table's count of used entries.
 * @ptep: an entry of one of @mm's tables, of any level.
 */
void pte_set(struct mm *mm, pte_t *ptep, pte_t pte)
{
	struct page *table = page_of(mm->sys, addr_pfn(mm->sys, ptep));

	MM_DEBUG_ASSERT(page_has(table, PG_table));
	MM_DEBUG_ASSERT(table->mm == mm);
	table->table_used += (uint32_t)pte_is_none(*ptep) - (uint32_t)pte_is_none(pte);
	__atomic_store_n(ptep, pte, __ATOMIC_RELEASE); /* an MMU may walk the kernel's */
}

int pgtable_create(struct mm *mm)
{
	return table_alloc(mm, &mm->pgd);
}

/**
 * pgtable_lookup() - the leaf entry of an address.
 * @va: pgtable_covers() it.
 *
 * Return: NULL where no table covers it.
 * Context: sys->lock held. The pointer is good until a writer of the mm frees tables.
 */
pte_t *pgtable_lookup(struct mm *mm, vaddr_t va)
{
	pte_t *table = table_of(mm, mm->pgd);
	pte_t entry;

	MM_DEBUG_ASSERT(pgtable_covers(va));
	for (unsigned int level = TABLE_LEVEL_TOP; level > 0; level--) {
		entry = table[level_index(va, level)];
		if (pte_is_none(entry) || entry & PTE_PS)
			return NULL;
		table = table_of(mm, pte_pfn(entry));
	}
	return &table[level_index(va, 0)];
}

/**
 * pgtable_leaf() - the leaf entry of an address, of a page of any size.
 * @ret_level: 0: a PTE; 1, 2: with PTE_PS, in PMD and PUD. Where there is none, the level whose
 * entry leads nowhere.
 *
 * Return, Context: as pgtable_lookup().
 */
pte_t *pgtable_leaf(struct mm *mm, vaddr_t va, unsigned int *ret_level)
{
	pte_t *table = table_of(mm, mm->pgd), *entry;

	for (unsigned int level = TABLE_LEVEL_TOP; level > 0; level--) {
		entry = &table[level_index(va, level)];
		*ret_level = level;
		if (pte_is_none(*entry))
			return NULL;
		if (*entry & PTE_PS)
			return entry;
		table = table_of(mm, pte_pfn(*entry));
	}
	*ret_level = 0;
	return &table[level_index(va, 0)];
}

/* The entry of that level, with the tables above it made where missing. */
static int ensure_level(struct mm *mm, vaddr_t va, unsigned int to, pte_t **ret_entry)
{
	pte_t *table = table_of(mm, mm->pgd), *entry;
	pfn_t pfn;
	int err;

	MM_ASSERT(pgtable_covers(va));
	for (unsigned int level = TABLE_LEVEL_TOP; level > to; level--) {
		entry = &table[level_index(va, level)];
		if (pte_is_none(*entry)) {
			err = table_alloc(mm, &pfn);
			if (err)
				return err;
			pte_set(mm, entry, pte_make(pfn, TABLE_BITS));
		}
		MM_ASSERT(!(*entry & PTE_PS));
		table = table_of(mm, pte_pfn(*entry));
	}
	*ret_entry = &table[level_index(va, to)];
	return 0;
}

/**
 * pgtable_ensure() - the leaf entry of an address, with the tables above it made where missing.
 * @va: pgtable_covers() it.
 *
 * Return: 0, or -ENOMEM; then nothing but empty tables was added.
 * Context: sys->lock held.
 */
int pgtable_ensure(struct mm *mm, vaddr_t va, pte_t **ret_pte)
{
	return ensure_level(mm, va, 0, ret_pte);
}

static struct page *table_page(const struct mm *mm, const pte_t *entry)
{
	return page_of(mm->sys, addr_pfn(mm->sys, entry));
}

/**
 * pgtable_huge_prepare() - an entry of PMD or PUD that a page may be put in.
 * @level: 1: 2 MiB; 2: 1 GiB.
 * @ret_entry: is NONE; what tables were below were empty.
 *
 * An empty leaf table that is there becomes a deposit; for others see pgtable_deposit().
 *
 * Return: 0; -ENOMEM; -EEXIST where some smaller page has an entry.
 * Context: sys->lock held, not dropped since anybody looked for entries below: readers keep
 * pointers into tables with entries only.
 */
int pgtable_huge_prepare(struct mm *mm, vaddr_t va, unsigned int level, pte_t **ret_entry)
{
	int err = ensure_level(mm, va, level, ret_entry);
	struct page *below, *table;
	pte_t entry;

	if (err)
		return err;
	entry = **ret_entry;
	if (pte_is_none(entry))
		return 0;
	below = page_of(mm->sys, pte_pfn(entry));
	if (entry & PTE_PS || below->table_used)
		return -EEXIST;
	pte_set(mm, *ret_entry, 0);
	if (level > 1) {
		table_free(mm, pte_pfn(entry));
		return 0;
	}
	table = table_page(mm, *ret_entry);
	below->next = (pfn_t)table->index;
	table->index = pte_pfn(entry);
	return 0;
}

/**
 * pgtable_deposit() - put a leaf table by, for the day when a page of 2 MiB is split.
 * @entry: of a PMD.
 *
 * Return: 0 or -ENOMEM.
 * Context: sys->lock held.
 */
int pgtable_deposit(struct mm *mm, pte_t *entry)
{
	struct page *table = table_page(mm, entry);
	pfn_t pfn;
	int err = table_alloc(mm, &pfn);

	if (err)
		return err;
	page_of(mm->sys, pfn)->next = (pfn_t)table->index;
	table->index = pfn;
	return 0;
}

static pfn_t withdraw(struct mm *mm, pte_t *entry)
{
	struct page *table = table_page(mm, entry);
	pfn_t pfn = (pfn_t)table->index;

	MM_ASSERT(pfn != NO_DEPOSIT);
	table->index = page_of(mm->sys, pfn)->next;
	return pfn;
}

/**
 * pgtable_undeposit() - give a deposited table back.
 * @entry: of the PMD it was deposited for.
 *
 * Context: sys->lock held.
 */
void pgtable_undeposit(struct mm *mm, pte_t *entry)
{
	table_free(mm, withdraw(mm, entry));
}

/**
 * pgtable_huge_split() - a page of 2 MiB gives way to its deposited table.
 * @entry: of a PMD, with PTE_PS.
 *
 * Return: the table's first entry; all are NONE.
 * Context: sys->lock held.
 */
pte_t *pgtable_huge_split(struct mm *mm, pte_t *entry)
{
	pfn_t pfn = withdraw(mm, entry);

	MM_ASSERT(*entry & PTE_PS);
	pte_set(mm, entry, pte_make(pfn, TABLE_BITS));
	return table_of(mm, pfn);
}

/*
 * The leaf table of va. NULL where there is none, or an empty one; *ret_level is then the level
 * whose entry leads nowhere.
 */
static pte_t *leaf_table(const struct mm *mm, vaddr_t va, unsigned int *ret_level)
{
	pte_t *table = table_of(mm, mm->pgd), entry;
	pfn_t pfn;

	for (unsigned int level = TABLE_LEVEL_TOP; level > 0; level--) {
		entry = table[level_index(va, level)];
		pfn = pte_pfn(entry);
		*ret_level = level;
		if (pte_is_none(entry) || entry & PTE_PS ||
		    page_of(mm->sys, pfn)->table_used == 0)
			return NULL;
		table = table_of(mm, pfn);
	}
	return table;
}

/**
 * pgtable_next() - the next leaf entry that is not NONE.
 * @va: in: where to begin; out: the entry's address. Untouched where there is none.
 * @end: in the same half of the address space.
 *
 * Absent and empty tables are passed over whole.
 *
 * Return: the entry, or NULL where [*va, end) has none.
 * Context: sys->lock held.
 */
pte_t *pgtable_next(struct mm *mm, vaddr_t *va, vaddr_t end)
{
	vaddr_t at = align_down(*va, PAGE_SIZE), table_end;
	unsigned int level;
	pte_t *table;

	MM_DEBUG_ASSERT(end == *va || (pgtable_covers(*va) && pgtable_covers(end - 1)));
	while (at < end) {
		table = leaf_table(mm, at, &level);
		table_end = level_next(at, end, level);
		for (; table && at < table_end; at += PAGE_SIZE) {
			pte_t *ptep = &table[level_index(at, 0)];

			if (pte_is_none(*ptep))
				continue;
			*va = at;
			return ptep;
		}
		at = table_end;
	}
	return NULL;
}

/* Recursive, at most PGTABLE_LEVELS deep. */
static void free_empty_below(struct mm *mm, pfn_t pfn, unsigned int level, vaddr_t start,
			     vaddr_t end)
{
	pte_t *table = table_of(mm, pfn);

	for (vaddr_t va = start; va < end; va = level_next(va, end, level)) {
		pte_t *entry = &table[level_index(va, level)];
		pfn_t child;

		if (pte_is_none(*entry) || *entry & PTE_PS)
			continue;
		child = pte_pfn(*entry);
		if (level > 1)
			free_empty_below(mm, child, level - 1, va, level_next(va, end, level));
		if (page_of(mm->sys, child)->table_used)
			continue;
		pte_set(mm, entry, 0);
		table_free(mm, child);
	}
}

/**
 * pgtable_free_range() - give back the tables that [start, end) touches and that are empty.
 *
 * Context: sys->lock held, mm write-locked: nobody keeps a pointer into a table.
 */
void pgtable_free_range(struct mm *mm, vaddr_t start, vaddr_t end)
{
	MM_ASSERT(end <= PGTABLE_VA_MAX);
	free_empty_below(mm, mm->pgd, TABLE_LEVEL_TOP, start, end);
}

/**
 * pgtable_destroy() - give back all tables.
 *
 * Context: sys->lock held; every leaf entry is NONE, and the mm is used no more.
 */
void pgtable_destroy(struct mm *mm)
{
	pgtable_free_range(mm, 0, PGTABLE_VA_MAX);
	table_free(mm, mm->pgd);
	MM_ASSERT(mm->nr_tables == 0);
	mm->pgd = PFN_NONE;
}

static int check_leaf_entry(const struct mm *mm, pte_t pte)
{
	const uint32_t others = PG_reserved | PG_buddy | PG_pcp | PG_slab | PG_table;
	const struct page *page;

	if (!pte_is_resident(pte))
		return 0;
	CHECK(pte_pfn(pte) < mm->sys->nr_frames);
	page = page_of(mm->sys, pte_pfn(pte));
	CHECK(!page_has(page, others));
	CHECK(page->refs > 0 || pte & PTE_CONT); /* whose first frame has the references */
	return 0;
}

/* 3: a page of 2 MiB or 1 GiB. */
static int check_huge_entry(const struct mm *mm, pte_t entry, unsigned int level)
{
	CHECK(level == 1 || level == 2);
	CHECK(pte_is_resident(entry));
	CHECK((pte_pfn(entry) & ((1u << (TABLE_BITS_VA * level)) - 1)) == 0);
	return check_leaf_entry(mm, entry);
}

/* 5 */
static int check_deposits(const struct mm *mm, const struct page *table, unsigned int level,
			  uint64_t *nr_tables)
{
	pfn_t pfn = (pfn_t)table->index;

	for (unsigned int nr = 0; pfn != NO_DEPOSIT; nr++) {
		const struct page *page = page_of(mm->sys, pfn);

		CHECK(level == 1 && nr < PGTABLE_ENTRIES);
		CHECK(page_has(page, PG_table) && page->mm == mm && page->table_used == 0);
		(*nr_tables)++;
		pfn = page->next;
	}
	return 0;
}

static int check_table(const struct mm *mm, pfn_t pfn, unsigned int level, uint64_t *nr_tables)
{
	const struct page *page = page_of(mm->sys, pfn);
	const pte_t *table = table_of(mm, pfn);
	uint32_t used = 0;
	int err;

	CHECK(page_has(page, PG_table));
	CHECK(page->mm == mm);
	(*nr_tables)++;
	CHECK(check_deposits(mm, page, level, nr_tables) == 0);
	for (unsigned int i = 0; i < PGTABLE_ENTRIES; i++) {
		if (pte_is_none(table[i]))
			continue;
		used++;
		if (level == 0) {
			err = check_leaf_entry(mm, table[i]);
		} else if (table[i] & PTE_PS) {
			err = check_huge_entry(mm, table[i], level);
		} else {
			CHECK((table[i] & ~PTE_PFN_MASK & ~PTE_ACCESSED) == TABLE_BITS);
			CHECK(pte_pfn(table[i]) < mm->sys->nr_frames);
			err = check_table(mm, pte_pfn(table[i]), level - 1, nr_tables);
		}
		if (err)
			return err;
	}
	CHECK(page->table_used == used);
	return 0;
}

/**
 * pgtable_check() - invariants 1 to 5.
 *
 * Return: 0, or -EUCLEAN.
 * Context: sys->lock held.
 */
int pgtable_check(struct mm *mm)
{
	uint64_t nr_tables = 0;
	int err = check_table(mm, mm->pgd, TABLE_LEVEL_TOP, &nr_tables);

	if (err)
		return err;
	CHECK(nr_tables == mm->nr_tables);
	return 0;
}
