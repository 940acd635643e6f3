/* SPDX-License-Identifier: MIT */
/*
 * The TLB.
 *
 * It is made of arrays, each of sets of ways, and each holding pages of some sizes, for
 * instructions, data or both, in the first or the second level: so it can be put together as
 * processors are, with one array a size or one for all. Entries of all arrays are numbered
 * through: a number is a slot, and what an entry knows lies in arrays by slot.
 *
 * A tag has the page's address, its size, and the address-space id or that the page is global,
 * so a search compares for equality, once for each size of which the array holds any. The
 * first level's fast path does not know the size that it will find: there the entry has a key
 * and a mask that says which bits of it must agree.
 *
 * A search compares four prints at a time, 16 bits of a hash of each tag in one word, and looks
 * only at the tags whose prints agree: no branch depends on where in the set the entry is, for
 * it would be mispredicted.
 *
 * A lookup asks the first level, then the second; what the second knows is put into the first.
 * What neither knows is walked for (machine/mmu.c) and then put into both. Where a level has no
 * array for the size of a page, it gets the piece of the next smaller size that it can hold, as
 * processors do that break pages down. The walk caches have the address of the next table and
 * the rights so far, by the address bits that lead there.
 *
 * The one that leaves is the one that was not used for the longest time: each use stamps the
 * entry with a clock, and with its slot below that, so that the least stamp of a set tells
 * which.
 *
 * The fast path, in the header, guesses where the first level has the page and checks the
 * guess. It changes no answer and no count, only the time that it takes.
 *
 * An entry that matches but does not allow the access is forgotten, and the page is walked for
 * again, which decides whether that is a fault: so a right that was given needs no
 * invalidation, and the walk sets the dirty bit before the first write.
 *
 * Invariants
 * 1. A slot is free: its tag, data and time are 0; or its tag is valid, and its time and rights
 *    are not 0. A stamp has its slot below; a print is the tag's.
 * 2. A valid entry lies in the set that its address and size say, in an array that holds pages
 *    of its size.
 * 3. No two valid entries of an array match one address.
 * 4. ->nr_valid[] counts the valid entries of each size, ->nr_global those that are global;
 *    ->sizes_held says what ->nr_valid[] does.
 * 5. In the first level, a valid entry's key and mask are what its tag says.
 */
#include "machine/tlb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define LINE_SLOTS 8  /* words in a line of the host's cache */
#define LANES	   4  /* prints in a word */
#define GROUP	   64 /* prints whose comparison is one word, a bit each */
#define LANES_LOW  0x0001000100010001u
#define LANES_HIGH 0x8000800080008000u

_Static_assert((uint64_t)(TLB_ARRAYS_MAX + TLB_NR_WALK_LEVELS) * TLB_SETS_MAX * TLB_WAYS_MAX <
		       UINT32_MAX - (TLB_ARRAYS_MAX + TLB_NR_WALK_LEVELS + 1) * LINE_SLOTS,
	       "a slot is 32 bits");

static const uint8_t walk_shifts[TLB_NR_WALK_LEVELS] = {21, 30, 39};

static uint32_t array_slots(const struct tlb_array *a)
{
	return a->sets * a->set_slots;
}

/* Its slots come behind those of the arrays before. */
static void array_init(struct tlb_array *a, uint32_t sets, uint32_t ways, uint32_t *nr_slots)
{
	a->first = *nr_slots;
	a->sets = sets;
	a->ways = ways;
	a->set_slots = (ways + LANES - 1) / LANES * LANES;
	a->set_mask = sets - 1;
	a->set_odd = sets & (sets - 1) ? sets : 0;
	*nr_slots += (array_slots(a) + LINE_SLOTS - 1) / LINE_SLOTS * LINE_SLOTS;
}

static void array_announce(struct tlb *t, const struct tlb_array_config *cfg,
			   struct tlb_array *array)
{
	array->sizes = cfg->sizes;
	array->is_first = cfg->level == 1;
	for (unsigned int kind = 0; kind < TLB_NR_KINDS; kind++)
		for (unsigned int size = 0; size < TLB_NR_SIZES; size++)
			if (cfg->kinds & TLB_BIT(kind) && cfg->sizes & TLB_BIT(size))
				t->by_size[cfg->level - 1][kind][size] = array;
}

/* Return: how many slots there are. */
static uint32_t arrays_init(struct tlb *t)
{
	const struct tlb_config *cfg = &t->cfg;
	uint32_t nr_slots = LINE_SLOTS; /* slot 0 is none */

	for (unsigned int i = 0; i < TLB_ARRAYS_MAX && cfg->arrays[i].level; i++) {
		array_init(&t->arrays[i], cfg->arrays[i].sets, cfg->arrays[i].ways, &nr_slots);
		array_announce(t, &cfg->arrays[i], &t->arrays[i]);
	}
	for (unsigned int i = 0; i < TLB_NR_WALK_LEVELS; i++) {
		array_init(&t->walk[i], cfg->walk[i].sets, cfg->walk[i].ways, &nr_slots);
		t->walk[i].sizes = TLB_BIT(TLB_4K); /* what its entries are counted as */
	}
	return nr_slots;
}

/* Context: the C library's heap. */
static int slots_create(struct tlb *t)
{
	size_t nr = arrays_init(t), line = LINE_SLOTS * sizeof(*t->tags);

	t->tags = aligned_alloc(line, 2 * nr * sizeof(*t->tags));
	t->prints = aligned_alloc(line, (nr * sizeof(*t->prints) + line - 1) / line * line);
	t->entries = calloc(nr, sizeof(*t->entries));
	if (!t->tags || !t->prints || !t->entries)
		return -ENOMEM;
	memset(t->tags, 0, nr * sizeof(*t->tags));
	memset(t->prints, 0, nr * sizeof(*t->prints));
	t->stamps = t->tags + nr;
	for (size_t slot = 0; slot < nr; slot++)
		t->stamps[slot] = slot & (TLB_TICK - 1);
	return 0;
}

/**
 * tlb_create() - make an empty TLB.
 * @cfg: copied.
 *
 * Return: 0, -EINVAL where tlb_config_check() refuses it, or -ENOMEM.
 * Context: uses the C library's heap.
 */
int tlb_create(const struct tlb_config *cfg, struct tlb **ret_tlb)
{
	char why[160];
	struct tlb *t;
	int err = tlb_config_check(cfg, why, sizeof(why));

	if (err)
		return err;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->cfg = *cfg;
	err = slots_create(t);
	if (err) {
		tlb_destroy(t);
		return err;
	}
	*ret_tlb = t;
	return 0;
}

void tlb_destroy(struct tlb *t)
{
	free(t->tags);
	free(t->prints);
	free(t->entries);
	free(t);
}

static inline uint64_t tag_of(vaddr_t va, uint16_t asid, unsigned int shift, unsigned int size)
{
	return (va & TLB_TAG_VA & ~(((uint64_t)1 << shift) - 1)) | asid | TLB_TAG_VALID |
	       (uint64_t)size << TLB_TAG_SIZE_SHIFT;
}

static uint64_t tag_as_global(uint64_t tag)
{
	return (tag & ~TLB_TAG_ASID) | TLB_TAG_GLOBAL;
}

static inline enum tlb_size tag_size(uint64_t tag)
{
	return (enum tlb_size)(tag >> TLB_TAG_SIZE_SHIFT);
}

/* The address, with its sign bits. */
static inline vaddr_t tag_va(uint64_t tag)
{
	return (vaddr_t)((int64_t)((tag & TLB_TAG_VA) << 16) >> 16);
}

/* Which bits of an address | asid must agree. */
static inline uint64_t tag_mask(uint64_t tag)
{
	uint64_t below = ((uint64_t)1 << tlb_size_shift(tag_size(tag))) - 1;

	return ~below | (tag & TLB_TAG_GLOBAL ? 0 : TLB_TAG_ASID);
}

static inline uint64_t tag_key(uint64_t tag)
{
	return tag_va(tag) | (tag & TLB_TAG_ASID);
}

/* The first slot of the set. */
static inline uint32_t set_of(const struct tlb_array *a, vaddr_t va, unsigned int shift)
{
	uint64_t number = va >> shift;

	number = a->set_odd ? number % a->set_odd : number & a->set_mask;
	return a->first + (uint32_t)number * a->set_slots;
}

static inline uint16_t print_of(uint64_t tag)
{
	return (uint16_t)(tag * 0x9e3779b97f4a7c15u >> 48); /* Fibonacci hashing */
}

/*
 * Which prints of a group are that of the tag: bit 16 * lane + word. Above one that is there
 * may be some that are not, which the tags tell. A word's first lane is its lowest.
 */
static inline uint64_t group_match(const uint16_t *prints, uint32_t nr, uint64_t tag)
{
	uint64_t pattern = print_of(tag) * LANES_LOW, match = 0;

	for (uint32_t word = 0; word < nr / LANES; word++) {
		uint64_t lanes;

		memcpy(&lanes, &prints[word * LANES], sizeof(lanes));
		lanes ^= pattern;
		match |= ((lanes - LANES_LOW) & ~lanes & LANES_HIGH) >> (15 - word);
	}
	return match;
}

/* 0: it is not there. */
static inline uint32_t set_find(const struct tlb *t, const struct tlb_array *a, uint32_t set,
				uint64_t tag)
{
	for (uint32_t at = 0; at < a->set_slots; at += GROUP) {
		uint32_t nr = a->set_slots - at < GROUP ? a->set_slots - at : GROUP;
		uint64_t match = group_match(&t->prints[set + at], nr, tag);

		for (; match; match &= match - 1) {
			uint32_t bit = (uint32_t)__builtin_ctzll(match);
			uint32_t slot = set + at + bit % 16 * LANES + bit / 16;

			if (t->tags[slot] == tag)
				return slot;
		}
	}
	return 0;
}

static inline uint32_t set_oldest(const struct tlb *t, const struct tlb_array *a, uint32_t set)
{
	const uint64_t *stamps = &t->stamps[set];
	uint64_t oldest = stamps[0];

	for (uint32_t way = 1; way < a->ways; way++)
		oldest = stamps[way] < oldest ? stamps[way] : oldest;
	return set + (uint32_t)((oldest - set) & (TLB_TICK - 1));
}

/* 0: it is not there. */
static inline uint32_t array_find(const struct tlb *t, const struct tlb_array *a, vaddr_t va,
				  uint16_t asid, enum tlb_size size)
{
	unsigned int shift = tlb_size_shift(size);
	uint32_t set = set_of(a, va, shift);
	uint64_t tag = tag_of(va, asid, shift, size);
	uint32_t slot = set_find(t, a, set, tag);

	if (slot == 0 && a->nr_global > 0)
		slot = set_find(t, a, set, tag_as_global(tag));
	return slot;
}

static inline uint32_t walk_find(const struct tlb *t, unsigned int level, vaddr_t va,
				 uint16_t asid)
{
	const struct tlb_array *a = &t->walk[level];
	unsigned int shift = walk_shifts[level];

	if (a->nr_valid[0] == 0)
		return 0;
	return set_find(t, a, set_of(a, va, shift), tag_of(va, asid, shift, 0));
}

/* An entry of that size has come or gone, and was or is the only one. */
static void note_sizes(struct tlb *t)
{
	for (unsigned int i = 0; i < TLB_NR_LEVELS * TLB_NR_KINDS; i++) {
		unsigned int level = i / TLB_NR_KINDS, kind = i % TLB_NR_KINDS, held = 0;

		for (unsigned int size = 0; size < TLB_NR_SIZES; size++) {
			const struct tlb_array *a = t->by_size[level][kind][size];

			held |= a && a->nr_valid[size] ? TLB_BIT(size) : 0;
		}
		t->sizes_held[level][kind] = (uint8_t)held;
	}
}

/* @change: 1, or UINT32_MAX for one less. */
static void count_entry(struct tlb *t, struct tlb_array *a, uint64_t tag, uint32_t change)
{
	uint32_t *nr_valid = &a->nr_valid[tag_size(tag)];

	*nr_valid += change;
	a->nr_global += tag & TLB_TAG_GLOBAL ? change : 0;
	if (*nr_valid == 0 || *nr_valid == change)
		note_sizes(t);
}

static void slot_drop(struct tlb *t, struct tlb_array *a, uint32_t slot)
{
	count_entry(t, a, t->tags[slot], UINT32_MAX);
	t->tags[slot] = 0;
	t->stamps[slot] &= TLB_TICK - 1;
	t->entries[slot].data = 0;
}

static uint32_t level_find_large(const struct tlb *t, unsigned int level, enum tlb_kind kind,
				 vaddr_t va, uint16_t asid)
{
	unsigned int held = t->sizes_held[level][kind] & ~TLB_BIT(TLB_4K);

	for (; held; held &= held - 1) {
		enum tlb_size size = (enum tlb_size)__builtin_ctz(held);
		uint32_t slot = array_find(t, t->by_size[level][kind][size], va, asid, size);

		if (slot)
			return slot;
	}
	return 0;
}

static inline uint32_t level_find(const struct tlb *t, unsigned int level, enum tlb_kind kind,
				  vaddr_t va, uint16_t asid)
{
	unsigned int held = t->sizes_held[level][kind];
	uint32_t slot = 0;

	if (held & TLB_BIT(TLB_4K))
		slot = array_find(t, t->by_size[level][kind][TLB_4K], va, asid, TLB_4K);
	if (!slot && held & ~TLB_BIT(TLB_4K))
		slot = level_find_large(t, level, kind, va, asid);
	return slot;
}

/* Of the sixteen pages of 4K in a page of 64K. */
static void drop_block(struct tlb *t, struct tlb_array *a, vaddr_t start, uint16_t asid)
{
	for (unsigned int i = 0; a->nr_valid[TLB_4K] > 0 && i < 16; i++) {
		uint32_t slot = array_find(t, a, start + i * PAGE_SIZE, asid, TLB_4K);

		if (slot)
			slot_drop(t, a, slot);
	}
}

/* Smaller pages in the page, of its address space or global; of any, if it is global. */
static void drop_inside(struct tlb *t, struct tlb_array *a, uint64_t page)
{
	for (uint32_t slot = a->first; slot < a->first + array_slots(a); slot++) {
		uint64_t tag = t->tags[slot];

		if (tag && tag_size(tag) < tag_size(page) &&
		    ((tag_key(tag) ^ tag_key(page)) & tag_mask(page) & tag_mask(tag)) == 0)
			slot_drop(t, a, slot);
	}
}

/*
 * Pages inside one that comes in are gone first: a lookup has one answer (invariant 3). They
 * are there because sixteen pages have become one; or, in the first level only, because the
 * second had a piece of a page that it cannot hold whole.
 */
static void drop_pieces(struct tlb *t, unsigned int level, enum tlb_kind kind, uint64_t tag,
			uint16_t asid)
{
	enum tlb_size size = tag_size(tag);

	if (size == TLB_64K)
		drop_block(t, t->by_size[level][kind][TLB_4K], tag_va(tag), asid);
	if (size <= TLB_64K || level > 0)
		return;
	for (unsigned int small = 0; small < size; small++)
		if (t->by_size[0][kind][small] && t->by_size[0][kind][small]->nr_valid[small])
			drop_inside(t, t->by_size[0][kind][small], tag);
}

/* In the place of the set's oldest. One entry for another like it changes no count. */
static inline uint32_t array_insert(struct tlb *t, struct tlb_array *a, uint32_t set,
				    uint64_t tag, uint64_t data)
{
	uint32_t slot = set_oldest(t, a, set);
	uint64_t old = t->tags[slot];

	t->tags[slot] = tag;
	t->prints[slot] = print_of(tag);
	t->entries[slot].data = data;
	tlb_slot_stamp(t, slot);
	if ((old ^ tag) & ~(TLB_TAG_VA | TLB_TAG_ASID)) {
		if (old)
			count_entry(t, a, old, UINT32_MAX);
		count_entry(t, a, tag, 1);
	}
	return slot;
}

/* The piece of the page that the level can hold and va lies in. */
static struct tlb_page piece_of(const struct tlb *t, unsigned int level,
				const struct tlb_page *page)
{
	struct tlb_page piece = *page;
	uint64_t big = ((uint64_t)1 << tlb_size_shift(page->size)) - 1, small;

	while (piece.size > TLB_4K && !t->by_size[level][page->kind][piece.size])
		piece.size--;
	small = ((uint64_t)1 << tlb_size_shift(piece.size)) - 1;
	piece.pa = (page->pa & ~big) | (page->va & big & ~small);
	return piece;
}

static inline uint64_t page_tag(const struct tlb_page *page)
{
	uint64_t tag = tag_of(page->va, page->asid, tlb_size_shift(page->size), page->size);

	return page->is_global ? tag_as_global(tag) : tag;
}

static inline uint64_t page_data(const struct tlb_page *page)
{
	return page->pa | (uint64_t)page->size << TLB_DATA_SIZE_SHIFT | page->rights;
}

/* The page, or the piece of it that the level can hold. 0: there is no such level. */
static uint32_t large_insert(struct tlb *t, unsigned int level, const struct tlb_page *page)
{
	const struct tlb_page piece = piece_of(t, level, page);
	struct tlb_array *a = t->by_size[level][piece.kind][piece.size];
	uint64_t tag = page_tag(&piece);

	if (!a)
		return 0;
	drop_pieces(t, level, piece.kind, tag, piece.asid);
	return array_insert(t, a, set_of(a, piece.va, tlb_size_shift(piece.size)), tag,
			    page_data(&piece));
}

static inline uint32_t small_insert(struct tlb *t, struct tlb_array *a, vaddr_t va,
				    uint64_t tag, uint64_t data)
{
	return array_insert(t, a, set_of(a, va, PAGE_SHIFT), tag, data);
}

/* What the fast path looks at. */
static inline void first_level_filled(struct tlb *t, uint32_t slot, vaddr_t va,
				      enum tlb_kind kind)
{
	t->entries[slot].key = tag_key(t->tags[slot]);
	t->entries[slot].mask = tag_mask(t->tags[slot]);
	t->hints[kind][va >> PAGE_SHIFT & (TLB_HINTS - 1)] = slot;
}

static uint32_t promote_large(struct tlb *t, uint32_t from, vaddr_t va, uint16_t asid,
			      enum tlb_kind kind)
{
	const struct tlb_page page = {
		.va = va,
		.pa = tlb_slot_pa(t, from),
		.asid = asid,
		.kind = (uint8_t)kind,
		.size = (uint8_t)tlb_slot_size(t, from),
		.rights = (uint8_t)tlb_slot_rights(t, from),
		.is_global = (t->tags[from] & TLB_TAG_GLOBAL) != 0,
	};

	return large_insert(t, 0, &page);
}

/* An entry of the second level, found for an address of kind and asid, goes into the first. */
static inline uint32_t promote(struct tlb *t, uint32_t from, vaddr_t va, uint16_t asid,
			       enum tlb_kind kind)
{
	uint64_t tag = t->tags[from];
	uint32_t slot;

	if (tag_size(tag) == TLB_4K)
		slot = small_insert(t, t->by_size[0][kind][TLB_4K], va, tag,
				    t->entries[from].data);
	else
		slot = promote_large(t, from, va, asid, kind);
	first_level_filled(t, slot, va, kind);
	return slot;
}

static void forget_page(struct tlb *t, vaddr_t va, uint16_t asid);

/**
 * tlb_lookup() - the translation of an address, if the TLB has it and it allows the access.
 * @va: canonical.
 * @asid: 0..TLB_ASID_MAX.
 * @need: TLB_READ and the like, all of which the translation must allow.
 *
 * A hit of the second level goes into the first. Hits are counted.
 *
 * Return: a slot of the first level, good until the next call; or 0: walk, and tell the outcome
 * by tlb_fill().
 */
uint32_t tlb_lookup(struct tlb *t, vaddr_t va, uint16_t asid, enum tlb_kind kind,
		    unsigned int need)
{
	unsigned int level = 0;
	uint32_t slot = level_find(t, 0, kind, va, asid);

	if (!slot) {
		level = 1;
		slot = level_find(t, 1, kind, va, asid);
	}
	if (!slot)
		return 0;
	if (need & ~tlb_slot_rights(t, slot)) {
		forget_page(t, va, asid);
		return 0;
	}
	tlb_slot_stamp(t, slot);
	t->stats.hits[level][kind][tlb_slot_size(t, slot)]++;
	t->slow_cycles += level ? t->cfg.cycles.l2_hit : t->cfg.cycles.l1_hit;
	if (level)
		return promote(t, slot, va, asid, kind);
	t->hints[kind][va >> PAGE_SHIFT & (TLB_HINTS - 1)] = slot;
	return slot;
}

/**
 * tlb_peek() - what tlb_lookup() would find; nothing is counted or changed.
 * @ret_level: 1 or 2.
 *
 * Return: a slot, or 0.
 */
uint32_t tlb_peek(const struct tlb *t, vaddr_t va, uint16_t asid, enum tlb_kind kind,
		  unsigned int *ret_level)
{
	for (unsigned int level = 0; level < TLB_NR_LEVELS; level++) {
		uint32_t slot = level_find(t, level, kind, va, asid);

		if (!slot)
			continue;
		*ret_level = level + 1;
		return slot;
	}
	return 0;
}

static uint32_t fill_small(struct tlb *t, const struct tlb_page *page)
{
	uint64_t tag = page_tag(page), data = page_data(page);
	struct tlb_array *second = t->by_size[1][page->kind][TLB_4K];

	if (second)
		small_insert(t, second, page->va, tag, data);
	return small_insert(t, t->by_size[0][page->kind][TLB_4K], page->va, tag, data);
}

static uint32_t fill_large(struct tlb *t, const struct tlb_page *page)
{
	large_insert(t, 1, page);
	return large_insert(t, 0, page);
}

/**
 * tlb_fill() - what a walk found goes into both levels.
 */
void tlb_fill(struct tlb *t, const struct tlb_page *page)
{
	uint32_t slot = page->size == TLB_4K ? fill_small(t, page) : fill_large(t, page);

	t->stats.walks[page->kind][page->size]++;
	t->slow_cycles += t->cfg.cycles.walk;
	first_level_filled(t, slot, page->va, page->kind);
}

bool tlb_holds_size(const struct tlb *t, enum tlb_kind kind, enum tlb_size size)
{
	return t->by_size[0][kind][size] || t->by_size[1][kind][size];
}

/**
 * tlb_walk_lookup() - where a walk can begin.
 * @ret_level: the deepest table entry that is known, and need not be read.
 *
 * Return: a slot with the address of the next table, and what the entries above it allow; 0:
 * begin at the root.
 */
uint32_t tlb_walk_lookup(struct tlb *t, vaddr_t va, uint16_t asid,
			 enum tlb_walk_level *ret_level)
{
	for (unsigned int level = 0; level < TLB_NR_WALK_LEVELS; level++) {
		uint32_t slot = walk_find(t, level, va, asid);

		if (!slot)
			continue;
		tlb_slot_stamp(t, slot);
		t->stats.walk_hits[level]++;
		*ret_level = level;
		return slot;
	}
	return 0;
}

/**
 * tlb_walk_fill() - a walk has read a table entry.
 * @table: pa: the table that it leads to; rights: of all entries on the way.
 */
void tlb_walk_fill(struct tlb *t, const struct tlb_page *table, enum tlb_walk_level level)
{
	struct tlb_array *a = &t->walk[level];
	unsigned int shift = walk_shifts[level];

	if (a->sets)
		array_insert(t, a, set_of(a, table->va, shift),
			     tag_of(table->va, table->asid, shift, 0),
			     table->pa | table->rights | TLB_READ);
}

/* From all arrays, of any size; the walk caches keep what led there. */
static void forget_page(struct tlb *t, vaddr_t va, uint16_t asid)
{
	for (unsigned int i = 0; i < TLB_ARRAYS_MAX && t->arrays[i].sets; i++)
		for (unsigned int size = 0; size < TLB_NR_SIZES; size++) {
			struct tlb_array *a = &t->arrays[i];
			uint32_t slot =
				a->nr_valid[size] ? array_find(t, a, va, asid, size) : 0;

			if (slot)
				slot_drop(t, a, slot);
		}
}

/**
 * tlb_invalidate_page() - as x86's INVLPG: no translation of va is kept.
 *
 * Nor is what the walk caches know of the way there; and an entry for a larger page goes whole.
 * Global pages are no exception.
 */
void tlb_invalidate_page(struct tlb *t, vaddr_t va, uint16_t asid)
{
	t->stats.page_invalidations++;
	forget_page(t, va, asid);
	for (unsigned int level = 0; level < TLB_NR_WALK_LEVELS; level++) {
		uint32_t slot = walk_find(t, level, va, asid);

		if (slot)
			slot_drop(t, &t->walk[level], slot);
	}
}

enum drop { DROP_ASID, DROP_LOCAL, DROP_ALL };

static void array_drop(struct tlb *t, struct tlb_array *a, enum drop what, uint16_t asid)
{
	for (uint32_t slot = a->first; slot < a->first + array_slots(a); slot++) {
		uint64_t tag = t->tags[slot];
		bool is_kept = (what != DROP_ALL && tag & TLB_TAG_GLOBAL) ||
			       (what == DROP_ASID && (tag & TLB_TAG_ASID) != asid);

		if (tag && !is_kept)
			slot_drop(t, a, slot);
	}
}

static void drop(struct tlb *t, enum drop what, uint16_t asid)
{
	for (unsigned int i = 0; i < TLB_ARRAYS_MAX; i++)
		array_drop(t, &t->arrays[i], what, asid);
	for (unsigned int i = 0; i < TLB_NR_WALK_LEVELS; i++)
		array_drop(t, &t->walk[i], what, asid);
}

/**
 * tlb_invalidate_asid() - nothing of one address space is kept, but for global pages.
 */
void tlb_invalidate_asid(struct tlb *t, uint16_t asid)
{
	t->stats.asid_invalidations++;
	drop(t, DROP_ASID, asid);
}

/**
 * tlb_invalidate_all() - nothing is kept, but for global pages if they are to stay.
 */
void tlb_invalidate_all(struct tlb *t, bool with_globals)
{
	t->stats.full_invalidations++;
	drop(t, with_globals ? DROP_ALL : DROP_LOCAL, 0);
}

/* What one lookup could find both of. */
static bool tags_overlap(uint64_t tag, uint64_t other)
{
	return other &&
	       ((tag_key(tag) ^ tag_key(other)) & tag_mask(tag) & tag_mask(other)) == 0;
}

static int check_entry(const struct tlb *t, const struct tlb_array *a, uint32_t slot,
		       unsigned int shift)
{
	uint64_t tag = t->tags[slot];
	uint32_t set = set_of(a, tag_va(tag), shift);

	CHECK(tag & TLB_TAG_VALID && t->stamps[slot] >= TLB_TICK && tlb_slot_rights(t, slot));
	CHECK(t->prints[slot] == print_of(tag));
	CHECK(a->sizes & TLB_BIT(tag_size(tag)) && tag_size(tag) == tlb_slot_size(t, slot));
	CHECK(slot >= set && slot < set + a->ways);
	CHECK(!a->is_first ||
	      (t->entries[slot].key == tag_key(tag) && t->entries[slot].mask == tag_mask(tag)));
	for (uint32_t other = a->first; other < a->first + array_slots(a); other++)
		CHECK(other == slot || !tags_overlap(tag, t->tags[other]));
	return 0;
}

static int check_entries(const struct tlb *t, const struct tlb_array *a, const uint8_t *walk)
{
	uint32_t nr_valid[TLB_NR_SIZES] = {0}, nr_global = 0;

	for (uint32_t slot = a->first; slot < a->first + array_slots(a); slot++) {
		uint64_t tag = t->tags[slot];

		CHECK(((t->stamps[slot] ^ slot) & (TLB_TICK - 1)) == 0);
		if (!tag) {
			CHECK(t->stamps[slot] < TLB_TICK && t->entries[slot].data == 0);
			continue;
		}
		nr_valid[tag_size(tag)]++;
		nr_global += (tag & TLB_TAG_GLOBAL) != 0;
		if (check_entry(t, a, slot, walk ? *walk : tlb_size_shift(tag_size(tag))))
			return -EUCLEAN;
	}
	CHECK(memcmp(nr_valid, a->nr_valid, sizeof(nr_valid)) == 0 &&
	      nr_global == a->nr_global);
	return 0;
}

static int check_sizes(const struct tlb *t)
{
	for (unsigned int i = 0; i < TLB_NR_LEVELS * TLB_NR_KINDS * TLB_NR_SIZES; i++) {
		unsigned int level = i / (TLB_NR_KINDS * TLB_NR_SIZES), size = i % TLB_NR_SIZES;
		unsigned int kind = i / TLB_NR_SIZES % TLB_NR_KINDS;
		const struct tlb_array *a = t->by_size[level][kind][size];

		CHECK((a && a->nr_valid[size]) ==
		      ((t->sizes_held[level][kind] & TLB_BIT(size)) != 0));
	}
	return 0;
}

/**
 * tlb_check() - invariants 1 to 5.
 *
 * Return: 0 or -EUCLEAN.
 */
int tlb_check(const struct tlb *t)
{
	for (unsigned int i = 0; i < TLB_ARRAYS_MAX; i++)
		if (check_entries(t, &t->arrays[i], NULL))
			return -EUCLEAN;
	for (unsigned int i = 0; i < TLB_NR_WALK_LEVELS; i++)
		if (check_entries(t, &t->walk[i], &walk_shifts[i]))
			return -EUCLEAN;
	return check_sizes(t);
}
