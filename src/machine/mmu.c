/* SPDX-License-Identifier: MIT */
/*
 * The MMU: from a virtual address to a physical one, or to a page fault.
 *
 * It asks the TLB. What the TLB does not know it walks for: PGD, PUD, PMD, PTE, 512 entries
 * each, in x86-64's layout (mm/pgtable.h); an entry of the PUD or PMD with the PS bit is a page
 * of 1 GiB or 2 MiB. The walk begins where the walk caches end. Each entry on the way narrows
 * what is allowed: write and user must be set in all of them, NX in none. The access is checked
 * before anything is marked; then accessed bits are set, and the dirty bit for a write, each by
 * an atomic operation on the entry as it was seen, so that what takes the entry away at the
 * same time sees either no bit and no access, or both.
 *
 * Sixteen neighbouring pages in one aligned block become one entry of 64 KiB, where the TLB
 * holds such, if their frames are one aligned block too and their entries are alike otherwise,
 * accessed and dirty bits included: so no bit is ever missed because of it. Where the entries
 * say that they are one page (PTE_CONT) nothing is compared: bits are set in the one that is
 * walked to, and whoever reads them reads all sixteen.
 *
 * CR0.WP is set (the kernel cannot write what is read-only), NX is on, SMEP and SMAP are off.
 *
 * Sources: Intel SDM volume 3A, 4.5 (four-level paging), 4.7 (page-fault exceptions), 4.10
 * (caching translation information); Barr, Cox, Rixner 2010, "Translation Caching: Skip, Don't
 * Walk (the Page Table)".
 */
#include "machine/mmu.h"

#include "mm/pgtable.h"

#define LEVEL_TOP   (PGTABLE_LEVELS - 1)
#define BLOCK_PAGES 16 /* of 4K in a page of 64K */

struct walk {
	struct mmu *mmu;
	const struct mmu_space *space;
	vaddr_t va;
	unsigned int access;
	unsigned int rights; /* TLB_*: what the entries so far allow */
	unsigned int level;
	uint64_t table; /* physical address */
	pte_t *slot;	/* of the leaf */
	pte_t leaf;
	uint32_t error_code;
	bool has_faulted;
};

static unsigned int rights_of(pte_t entry)
{
	unsigned int rights = TLB_READ;

	rights |= entry & PTE_WRITE ? TLB_WRITE : 0;
	rights |= entry & PTE_USER ? TLB_USER : 0;
	rights |= entry & PTE_NX ? 0 : TLB_EXEC;
	return rights;
}

static uint64_t level_span(unsigned int level)
{
	return PAGE_SIZE << (9 * level);
}

static bool walk_faults(struct walk *w, uint32_t why)
{
	w->has_faulted = true;
	w->error_code = why;
	w->error_code |= w->access & MM_ACCESS_WRITE ? MMU_PF_WRITE : 0;
	w->error_code |= w->access & MMU_ACCESS_USER ? MMU_PF_USER : 0;
	w->error_code |= w->access & MM_ACCESS_EXEC ? MMU_PF_INSTR : 0;
	return false;
}

static bool is_leaf(pte_t entry, unsigned int level)
{
	return level == 0 || (level < LEVEL_TOP && (entry & PTE_PS));
}

/* Physical addresses that do not exist, PS in the PGD, and low bits of a huge page's frame. */
static bool has_reserved_bits(const struct walk *w, pte_t entry)
{
	uint64_t pa = entry & PTE_PFN_MASK;

	if (pa >= w->space->pa_end)
		return true;
	if (!(entry & PTE_PS) || w->level == 0)
		return false;
	/* Bit 12 of a huge page is its PAT bit. */
	return w->level == LEVEL_TOP || (pa & (level_span(w->level) - 1) & ~PAGE_SIZE);
}

static pte_t *slot_of(const struct walk *w)
{
	uint64_t index = w->va >> (PAGE_SHIFT + 9 * w->level) & (PGTABLE_ENTRIES - 1);
	uint64_t at = w->space->base + w->table + index * sizeof(pte_t);

	return (pte_t *)(uintptr_t)at;
}

static void remember_table(struct walk *w)
{
	const struct tlb_page table = {.va = w->va,
				       .pa = w->table,
				       .asid = w->space->asid,
				       .rights = (uint8_t)w->rights};

	if (w->mmu->tlb)
		tlb_walk_fill(w->mmu->tlb, &table, w->level - 1);
}

static void walk_begin(struct walk *w)
{
	const struct tlb *t = w->mmu->tlb;
	enum tlb_walk_level level;
	uint32_t known = 0;

	w->table = w->space->root;
	w->rights = TLB_READ | TLB_WRITE | TLB_EXEC | TLB_USER;
	w->level = LEVEL_TOP;
	if (t)
		known = tlb_walk_lookup(w->mmu->tlb, w->va, w->space->asid, &level);
	if (!known)
		return;
	w->table = tlb_slot_pa(t, known);
	w->rights = tlb_slot_rights(t, known);
	w->level = level;
	w->mmu->tlb->stats.walk_steps_saved += LEVEL_TOP - level;
}

/* One entry is read. Return: false at the leaf, in w->leaf, and at a fault. */
static bool walk_step(struct walk *w)
{
	pte_t entry;

	w->slot = slot_of(w);
	entry = __atomic_load_n(w->slot, __ATOMIC_ACQUIRE);
	if (w->mmu->tlb) {
		w->mmu->tlb->stats.walk_steps++;
		w->mmu->tlb->slow_cycles += w->mmu->tlb->cfg.cycles.walk_step;
	}
	if (!(entry & PTE_PRESENT))
		return walk_faults(w, 0);
	if (has_reserved_bits(w, entry))
		return walk_faults(w, MMU_PF_PRESENT | MMU_PF_RSVD);
	w->leaf = entry;
	if (is_leaf(entry, w->level))
		return false;
	if (w->mmu->sets_accessed && !(entry & PTE_ACCESSED))
		__atomic_fetch_or(w->slot, PTE_ACCESSED, __ATOMIC_ACQ_REL);
	w->rights &= rights_of(entry);
	w->table = entry & PTE_PFN_MASK;
	remember_table(w);
	w->level--;
	return true;
}

static pte_t marked(const struct walk *w, pte_t leaf)
{
	if (w->mmu->sets_accessed)
		leaf |= PTE_ACCESSED;
	if (w->mmu->sets_dirty && (w->access & MM_ACCESS_WRITE))
		leaf |= PTE_DIRTY;
	return leaf;
}

/* Checks the access and marks it. Whoever changes the entry meanwhile decides: look again. */
static bool leaf_use(struct walk *w)
{
	unsigned int need = mmu_access_rights(w->access);

	for (;;) {
		pte_t want = marked(w, w->leaf);

		if (!(w->leaf & PTE_PRESENT))
			return walk_faults(w, 0);
		if ((w->rights & rights_of(w->leaf) & need) != need)
			return walk_faults(w, MMU_PF_PRESENT);
		if (want == w->leaf)
			return true;
		if (__atomic_compare_exchange_n(w->slot, &w->leaf, want, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			w->leaf = want;
			return true;
		}
	}
}

static bool walk(struct walk *w)
{
	walk_begin(w);
	while (walk_step(w)) /* at most PGTABLE_LEVELS */
		;
	return !w->has_faulted && leaf_use(w);
}

static uint64_t leaf_pa(const struct walk *w)
{
	return w->leaf & PTE_PFN_MASK & ~(level_span(w->level) - 1);
}

/* Are the sixteen entries around the leaf one block of frames, and alike? */
static bool is_block(const struct walk *w)
{
	uint64_t page = w->va >> PAGE_SHIFT & (BLOCK_PAGES - 1);
	pte_t *first = w->slot - page;
	pte_t want = w->leaf - (page << PTE_PFN_SHIFT);

	if (pte_pfn(want) & (BLOCK_PAGES - 1))
		return false;
	for (uint64_t i = 0; i < BLOCK_PAGES; i++) {
		pte_t entry = __atomic_load_n(&first[i], __ATOMIC_ACQUIRE);

		if (entry != want + (i << PTE_PFN_SHIFT))
			return false;
	}
	return true;
}

static enum tlb_size page_size(const struct walk *w, enum tlb_kind kind)
{
	if (w->level > 0)
		return w->level == 1 ? TLB_2M : TLB_1G;
	if (!tlb_holds_size(w->mmu->tlb, kind, TLB_64K))
		return TLB_4K;
	return (w->leaf & PTE_CONT) || is_block(w) ? TLB_64K : TLB_4K;
}

static void remember_page(const struct walk *w)
{
	enum tlb_kind kind = mmu_access_kind(w->access);
	struct tlb_page page = {
		.va = w->va,
		.asid = w->space->asid,
		.kind = (uint8_t)kind,
		.size = (uint8_t)page_size(w, kind),
		.rights = (uint8_t)(w->rights & rights_of(w->leaf)),
		.is_global = (w->leaf & PTE_GLOBAL) != 0,
	};
	uint64_t below = ((uint64_t)1 << tlb_size_shift(page.size)) - 1;

	/* The first write must come back here, to set the bit. */
	if (w->mmu->sets_dirty && !(w->leaf & PTE_DIRTY))
		page.rights &= (uint8_t)~TLB_WRITE;
	page.pa = (leaf_pa(w) | (w->va & (level_span(w->level) - 1))) & ~below;
	tlb_fill(w->mmu->tlb, &page);
}

/**
 * mmu_translate_slow() - mmu_translate() where the first guess was wrong.
 */
enum mmu_result mmu_translate_slow(struct mmu *mmu, const struct mmu_space *space, vaddr_t va,
				   unsigned int access, struct mmu_translation *ret)
{
	struct walk w = {.mmu = mmu, .space = space, .va = va, .access = access};
	enum tlb_kind kind = mmu_access_kind(access);
	struct tlb *t = mmu->tlb;
	uint32_t slot = 0;

	if (!mmu_is_canonical(va))
		return MMU_NOT_CANONICAL;
	if (t)
		slot = tlb_lookup(t, va, space->asid, kind, mmu_access_rights(access));
	if (slot) {
		ret->pa = tlb_entry_translate(&t->entries[slot], va);
		return MMU_OK;
	}
	if (!walk(&w)) {
		if (t) {
			t->stats.walks_faulted[kind]++;
			t->slow_cycles += t->cfg.cycles.walk;
		}
		ret->error_code = w.error_code;
		return MMU_PAGE_FAULT;
	}
	if (t)
		remember_page(&w);
	ret->pa = leaf_pa(&w) | (va & (level_span(w.level) - 1));
	return MMU_OK;
}
