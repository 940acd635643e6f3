/* SPDX-License-Identifier: MIT */
/*
 * The TLB.
 *
 * It is made of arrays, each of sets of ways, and each holding pages of some sizes, for
 * instructions, data or both, in the first or the second level: so it can be put together as
 * processors are, with one array a size or one for all. An entry's key is its page's address
 * with the address-space id in the twelve bits below; its mask says which bits of a key must
 * agree, so that one comparison serves any page size and global pages, whose mask leaves the id
 * out.
 *
 * A lookup asks the first level, then the second; what the second knows is put into the first.
 * What neither knows is walked for (machine/mmu.c) and then put into both. Where a level has no
 * array for the size of a page, it gets the piece of the next smaller size that it can hold, as
 * processors do that break pages down. The walk caches have the address of the next table and
 * the rights so far, by the address bits that lead there.
 *
 * The one that leaves is the one that was not used for the longest time: each use stamps the
 * entry with a clock.
 *
 * The fast path, in the header, guesses where the first level has the page and checks the
 * guess. It changes no answer and no count, only the time that it takes.
 *
 * An entry that matches but does not allow the access is forgotten, and the page is walked for
 * again, which decides whether that is a fault: so a right that was given needs no
 * invalidation, and the walk sets the dirty bit before the first write.
 *
 * Invariants
 * 1. An entry is valid: stamp, rights and mask are not 0; or it is all 0.
 * 2. A valid entry lies in the set that its address and size say, in an array that holds pages
 *    of its size.
 * 3. No two valid entries of an array match one key.
 * 4. ->nr_valid[] counts the valid entries of each size.
 */
#include "machine/tlb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static const char *const size_names[TLB_NR_SIZES] = {"4K", "64K", "2M", "1G"};
static const char *const kind_names[TLB_NR_KINDS] = {"instructions", "data"};
static const char *const walk_names[TLB_NR_WALK_LEVELS] = {"PDE", "PDPTE", "PML4E"};
static const uint8_t walk_shifts[TLB_NR_WALK_LEVELS] = {21, 30, 39};

const char *tlb_size_name(enum tlb_size size)
{
	return size_names[size];
}

static int refuse_count(char *why, size_t why_len, const char *what, uint64_t sets,
			uint64_t ways)
{
	snprintf(why, why_len,
		 "%s: %llu sets of %llu ways; there can be 1 to %d sets of 1 to %d ways", what,
		 (unsigned long long)sets, (unsigned long long)ways, TLB_SETS_MAX,
		 TLB_WAYS_MAX);
	return -EINVAL;
}

static bool is_count(uint32_t sets, uint32_t ways)
{
	return sets >= 1 && sets <= TLB_SETS_MAX && ways >= 1 && ways <= TLB_WAYS_MAX;
}

static int check_array(const struct tlb_array_config *a, unsigned int i, char *why,
		       size_t why_len)
{
	char what[24];

	snprintf(what, sizeof(what), "TLB array %u", i);
	if (!is_count(a->sets, a->ways))
		return refuse_count(why, why_len, what, a->sets, a->ways);
	if (a->level > TLB_NR_LEVELS)
		snprintf(why, why_len, "%s: level %u; there are levels 1 and 2", what,
			 a->level);
	else if (a->kinds == 0 || a->kinds > TLB_KINDS_BOTH)
		snprintf(why, why_len,
			 "%s: it must hold translations of instructions, data or both", what);
	else if (a->sizes == 0 || a->sizes > TLB_SIZES_ALL)
		snprintf(why, why_len, "%s: it must hold pages of 4K, 64K, 2M or 1G", what);
	else
		return 0;
	return -EINVAL;
}

static unsigned int arrays_holding(const struct tlb_config *cfg, unsigned int level,
				   unsigned int kind, unsigned int sizes)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < TLB_ARRAYS_MAX && cfg->arrays[i].level; i++)
		nr += cfg->arrays[i].level == level && (cfg->arrays[i].kinds & TLB_BIT(kind)) &&
		      (cfg->arrays[i].sizes & sizes);
	return nr;
}

/* One home for each size, and one for the smallest that everything can be broken down to. */
static int check_level(const struct tlb_config *cfg, unsigned int level, unsigned int kind,
		       char *why, size_t why_len)
{
	for (unsigned int size = 0; size < TLB_NR_SIZES; size++) {
		if (arrays_holding(cfg, level, kind, TLB_BIT(size)) < 2)
			continue;
		snprintf(why, why_len,
			 "TLB level %u holds %s of %s pages in two arrays; let it be one",
			 level, kind_names[kind], size_names[size]);
		return -EINVAL;
	}
	if (level == 2 && !arrays_holding(cfg, level, kind, TLB_SIZES_ALL))
		return 0;
	if (arrays_holding(cfg, level, kind, TLB_BIT(TLB_4K)))
		return 0;
	snprintf(why, why_len, "TLB level %u has no array for %s of 4K pages; add one", level,
		 kind_names[kind]);
	return -EINVAL;
}

/**
 * tlb_config_check() - can a TLB be made like this?
 * @why: out, on error: one line that names what is wrong and what would be right.
 *
 * Return: 0 or -EINVAL.
 */
int tlb_config_check(const struct tlb_config *cfg, char *why, size_t why_len)
{
	int err;

	for (unsigned int i = 0; i < TLB_ARRAYS_MAX && cfg->arrays[i].level; i++) {
		err = check_array(&cfg->arrays[i], i, why, why_len);
		if (err)
			return err;
	}
	for (unsigned int i = 0; i < TLB_NR_LEVELS * TLB_NR_KINDS; i++) {
		err = check_level(cfg, 1 + i / TLB_NR_KINDS, i % TLB_NR_KINDS, why, why_len);
		if (err)
			return err;
	}
	for (unsigned int i = 0; i < TLB_NR_WALK_LEVELS; i++) {
		uint32_t sets = cfg->walk[i].sets, ways = cfg->walk[i].ways;
		char what[24];

		snprintf(what, sizeof(what), "%s cache", walk_names[i]);
		if ((sets || ways) && !is_count(sets, ways))
			return refuse_count(why, why_len, what, sets, ways);
	}
	return 0;
}

const struct tlb_config *tlb_preset_find(const char *name)
{
	for (size_t i = 0; i < tlb_nr_presets; i++)
		if (strcmp(tlb_presets[i].name, name) == 0)
			return &tlb_presets[i];
	return NULL;
}

static int array_init(struct tlb_array *a, uint32_t sets, uint32_t ways, uint8_t sizes)
{
	a->sets = sets;
	a->ways = ways;
	a->sizes = sizes;
	a->entries = sets ? calloc((size_t)sets * ways, sizeof(*a->entries)) : NULL;
	return sets && !a->entries ? -ENOMEM : 0;
}

static void array_announce(struct tlb *t, const struct tlb_array_config *cfg,
			   struct tlb_array *array)
{
	for (unsigned int kind = 0; kind < TLB_NR_KINDS; kind++)
		for (unsigned int size = 0; size < TLB_NR_SIZES; size++)
			if (cfg->kinds & TLB_BIT(kind) && cfg->sizes & TLB_BIT(size))
				t->by_size[cfg->level - 1][kind][size] = array;
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
	for (unsigned int i = 0; !err && i < TLB_ARRAYS_MAX && cfg->arrays[i].level; i++) {
		err = array_init(&t->arrays[i], cfg->arrays[i].sets, cfg->arrays[i].ways,
				 cfg->arrays[i].sizes);
		array_announce(t, &cfg->arrays[i], &t->arrays[i]);
	}
	for (unsigned int i = 0; !err && i < TLB_NR_WALK_LEVELS; i++)
		err = array_init(&t->walk[i], cfg->walk[i].sets, cfg->walk[i].ways,
				 TLB_BIT(TLB_4K));
	for (unsigned int i = 0; i < TLB_NR_KINDS * TLB_HINTS; i++)
		t->hints[i / TLB_HINTS][i % TLB_HINTS] = &t->nothing;
	if (err) {
		tlb_destroy(t);
		return err;
	}
	*ret_tlb = t;
	return 0;
}

void tlb_destroy(struct tlb *t)
{
	for (unsigned int i = 0; i < TLB_ARRAYS_MAX; i++)
		free(t->arrays[i].entries);
	for (unsigned int i = 0; i < TLB_NR_WALK_LEVELS; i++)
		free(t->walk[i].entries);
	free(t);
}

static uint64_t key_of(vaddr_t va, uint16_t asid)
{
	return (va & PAGE_MASK) | asid;
}

static struct tlb_entry *set_of(const struct tlb_array *a, vaddr_t va, unsigned int shift)
{
	uint64_t number = va >> shift;
	bool is_power = (a->sets & (a->sets - 1)) == 0;

	return a->entries + (is_power ? number & (a->sets - 1) : number % a->sets) * a->ways;
}

/* Branches that depend on an address are mispredicted: the ways are compared without. */
static struct tlb_entry *set_find(const struct tlb_array *a, struct tlb_entry *set,
				  uint64_t key)
{
	struct tlb_entry *found = NULL;

	for (uint32_t way = 0; way < a->ways; way++) {
		struct tlb_entry *e = &set[way];
		bool matches = (((key ^ e->key) & e->mask) == 0) & (e->rights != 0);

		found = matches ? e : found;
	}
	return found;
}

static struct tlb_entry *set_oldest(const struct tlb_array *a, struct tlb_entry *set)
{
	struct tlb_entry *oldest = set;

	for (uint32_t way = 1; way < a->ways; way++)
		oldest = set[way].stamp < oldest->stamp ? &set[way] : oldest;
	return oldest;
}

static void entry_drop(struct tlb_array *a, struct tlb_entry *e)
{
	a->nr_valid[e->size]--;
	memset(e, 0, sizeof(*e));
}

static struct tlb_entry *level_find(const struct tlb *t, unsigned int level, enum tlb_kind kind,
				    uint64_t key)
{
	for (unsigned int size = 0; size < TLB_NR_SIZES; size++) {
		struct tlb_array *a = t->by_size[level][kind][size];
		struct tlb_entry *e;

		if (!a || a->nr_valid[size] == 0)
			continue;
		e = set_find(a, set_of(a, key, tlb_size_shift(size)), key);
		if (e)
			return e;
	}
	return NULL;
}

static void drop_block(struct tlb_array *a, uint64_t key)
{
	vaddr_t start = key & ~(((uint64_t)1 << tlb_size_shift(TLB_64K)) - 1);
	uint16_t asid = key & (PAGE_SIZE - 1);

	for (unsigned int i = 0; a->nr_valid[TLB_4K] > 0 && i < 16; i++) {
		vaddr_t va = start + i * PAGE_SIZE;
		struct tlb_entry *e = set_find(a, set_of(a, va, PAGE_SHIFT), key_of(va, asid));

		if (e)
			entry_drop(a, e);
	}
}

static void drop_inside(struct tlb_array *a, const struct tlb_entry *page)
{
	for (size_t i = 0; i < (size_t)a->sets * a->ways; i++) {
		struct tlb_entry *e = &a->entries[i];

		if (e->rights && e->size < page->size &&
		    ((e->key ^ page->key) & page->mask & (e->mask | ~(PAGE_SIZE - 1))) == 0)
			entry_drop(a, e);
	}
}

/*
 * Pages inside one that comes in are gone first: a lookup has one answer (invariant 3). They
 * are there because sixteen pages have become one; or, in the first level only, because the
 * second had a piece of a page that it cannot hold whole.
 */
static void drop_pieces(struct tlb *t, unsigned int level, enum tlb_kind kind,
			const struct tlb_entry *page)
{
	if (page->size == TLB_64K)
		drop_block(t->by_size[level][kind][TLB_4K], page->key);
	if (page->size <= TLB_64K || level > 0)
		return;
	for (unsigned int size = 0; size < page->size; size++)
		if (t->by_size[0][kind][size] && t->by_size[0][kind][size]->nr_valid[size])
			drop_inside(t->by_size[0][kind][size], page);
}

static struct tlb_entry *array_insert(struct tlb *t, struct tlb_array *a, unsigned int shift,
				      const struct tlb_entry *e)
{
	struct tlb_entry *at = set_oldest(a, set_of(a, e->key, shift));

	if (at->rights)
		a->nr_valid[at->size]--;
	a->nr_valid[e->size]++;
	*at = *e;
	at->stamp = ++t->clock;
	return at;
}

/* The page, or the piece of it that the level can hold and va lies in. NULL: no such level. */
static struct tlb_entry *level_insert(struct tlb *t, unsigned int level,
				      const struct tlb_page *page)
{
	enum tlb_size size = page->size;
	struct tlb_entry e = {.rights = (uint8_t)page->rights};
	uint64_t big = ((uint64_t)1 << tlb_size_shift(size)) - 1, small;
	struct tlb_array *a;

	while (size > TLB_4K && !t->by_size[level][page->kind][size])
		size--;
	a = t->by_size[level][page->kind][size];
	if (!a)
		return NULL;
	small = ((uint64_t)1 << tlb_size_shift(size)) - 1;
	e.size = (uint8_t)size;
	e.key = (page->va & ~small) | page->asid;
	e.mask = ~small | (page->is_global ? 0 : PAGE_SIZE - 1);
	e.pa = (page->pa & ~big) | (page->va & big & ~small);
	drop_pieces(t, level, page->kind, &e);
	return array_insert(t, a, tlb_size_shift(size), &e);
}

static struct tlb_entry *first_level_fill(struct tlb *t, const struct tlb_page *page)
{
	struct tlb_entry *e = level_insert(t, 0, page);

	t->hints[page->kind][page->va >> PAGE_SHIFT & (TLB_HINTS - 1)] = e;
	return e;
}

static struct tlb_page page_of(const struct tlb_entry *e, vaddr_t va, uint16_t asid,
			       enum tlb_kind kind)
{
	return (struct tlb_page){
		.va = va,
		.pa = e->pa,
		.asid = asid,
		.kind = (uint8_t)kind,
		.size = e->size,
		.rights = e->rights,
		.is_global = (e->mask & (PAGE_SIZE - 1)) == 0,
	};
}

static struct tlb_entry *level_lookup(struct tlb *t, unsigned int level, vaddr_t va,
				      uint16_t asid, enum tlb_kind kind)
{
	struct tlb_entry *e = level_find(t, level, kind, key_of(va, asid));

	if (e)
		e->stamp = ++t->clock;
	return e;
}

static void forget_page(struct tlb *t, uint64_t key);

/**
 * tlb_lookup() - the translation of an address, if the TLB has it and it allows the access.
 * @va: canonical.
 * @asid: 0..TLB_ASID_MAX.
 * @need: TLB_READ and the like, all of which the translation must allow.
 *
 * A hit of the second level goes into the first. Hits are counted.
 *
 * Return: an entry that is good until the next call, or NULL: walk, and tell the outcome by
 * tlb_fill().
 */
const struct tlb_entry *tlb_lookup(struct tlb *t, vaddr_t va, uint16_t asid, enum tlb_kind kind,
				   unsigned int need)
{
	for (unsigned int level = 0; level < TLB_NR_LEVELS; level++) {
		struct tlb_entry *e = level_lookup(t, level, va, asid, kind);
		struct tlb_page page;

		if (!e)
			continue;
		if ((e->rights & need) != need) {
			forget_page(t, key_of(va, asid));
			return NULL;
		}
		t->stats.hits[level][kind][e->size]++;
		t->slow_cycles += level ? t->cfg.cycles.l2_hit : t->cfg.cycles.l1_hit;
		if (level == 0) {
			t->hints[kind][va >> PAGE_SHIFT & (TLB_HINTS - 1)] = e;
			return e;
		}
		page = page_of(e, va, asid, kind);
		return first_level_fill(t, &page);
	}
	return NULL;
}

/**
 * tlb_peek() - what tlb_lookup() would find; nothing is counted or changed.
 * @ret_level: 1 or 2.
 */
const struct tlb_entry *tlb_peek(const struct tlb *t, vaddr_t va, uint16_t asid,
				 enum tlb_kind kind, unsigned int *ret_level)
{
	for (unsigned int level = 0; level < TLB_NR_LEVELS; level++) {
		const struct tlb_entry *e = level_find(t, level, kind, key_of(va, asid));

		if (!e)
			continue;
		*ret_level = level + 1;
		return e;
	}
	return NULL;
}

/**
 * tlb_fill() - what a walk found goes into both levels.
 *
 * Return: the first level's entry.
 */
const struct tlb_entry *tlb_fill(struct tlb *t, const struct tlb_page *page)
{
	t->stats.walks[page->kind][page->size]++;
	t->slow_cycles += t->cfg.cycles.walk;
	level_insert(t, 1, page);
	return first_level_fill(t, page);
}

bool tlb_holds_size(const struct tlb *t, enum tlb_kind kind, enum tlb_size size)
{
	return t->by_size[0][kind][size] || t->by_size[1][kind][size];
}

/**
 * tlb_walk_lookup() - where a walk can begin.
 * @ret_level: the deepest table entry that is known, and need not be read.
 *
 * Return: ->pa is the next table, ->rights what the entries above it allow; NULL: begin at the
 * root.
 */
const struct tlb_entry *tlb_walk_lookup(struct tlb *t, vaddr_t va, uint16_t asid,
					enum tlb_walk_level *ret_level)
{
	for (unsigned int level = 0; level < TLB_NR_WALK_LEVELS; level++) {
		struct tlb_array *a = &t->walk[level];
		struct tlb_entry *e;

		if (a->nr_valid[0] == 0)
			continue;
		e = set_find(a, set_of(a, va, walk_shifts[level]), key_of(va, asid));
		if (!e)
			continue;
		e->stamp = ++t->clock;
		t->stats.walk_hits[level]++;
		*ret_level = level;
		return e;
	}
	return NULL;
}

/**
 * tlb_walk_fill() - a walk has read a table entry.
 * @table: pa: the table that it leads to; rights: of all entries on the way.
 */
void tlb_walk_fill(struct tlb *t, const struct tlb_page *table, enum tlb_walk_level level)
{
	uint64_t below = ((uint64_t)1 << walk_shifts[level]) - 1;
	const struct tlb_entry e = {
		.key = (table->va & ~below) | table->asid,
		.mask = ~below | (PAGE_SIZE - 1),
		.pa = table->pa,
		.rights = (uint8_t)(table->rights | TLB_READ),
	};

	if (t->walk[level].sets)
		array_insert(t, &t->walk[level], walk_shifts[level], &e);
}

static void array_forget(struct tlb_array *a, unsigned int shift, uint64_t key)
{
	struct tlb_entry *e = a->entries ? set_find(a, set_of(a, key, shift), key) : NULL;

	if (e)
		entry_drop(a, e);
}

/* From all arrays, of any size; the walk caches keep what led there. */
static void forget_page(struct tlb *t, uint64_t key)
{
	for (unsigned int i = 0; i < TLB_ARRAYS_MAX && t->arrays[i].entries; i++)
		for (unsigned int size = 0; size < TLB_NR_SIZES; size++)
			if (t->arrays[i].nr_valid[size])
				array_forget(&t->arrays[i], tlb_size_shift(size), key);
}

/**
 * tlb_invalidate_page() - as x86's INVLPG: no translation of va is kept.
 *
 * Nor is what the walk caches know of the way there; and an entry for a larger page goes whole.
 * Global pages are no exception.
 */
void tlb_invalidate_page(struct tlb *t, vaddr_t va, uint16_t asid)
{
	uint64_t key = key_of(va, asid);

	t->stats.page_invalidations++;
	forget_page(t, key);
	for (unsigned int level = 0; level < TLB_NR_WALK_LEVELS; level++)
		array_forget(&t->walk[level], walk_shifts[level], key);
}

enum drop { DROP_ASID, DROP_LOCAL, DROP_ALL };

static void array_drop(struct tlb_array *a, enum drop what, uint16_t asid)
{
	for (size_t i = 0; a->entries && i < (size_t)a->sets * a->ways; i++) {
		struct tlb_entry *e = &a->entries[i];
		bool is_global = (e->mask & (PAGE_SIZE - 1)) == 0;
		bool is_asid = (e->key & (PAGE_SIZE - 1)) == asid;

		if (!e->rights || (what != DROP_ALL && is_global) ||
		    (what == DROP_ASID && !is_asid))
			continue;
		entry_drop(a, e);
	}
}

static void drop(struct tlb *t, enum drop what, uint16_t asid)
{
	for (unsigned int i = 0; i < TLB_ARRAYS_MAX; i++)
		array_drop(&t->arrays[i], what, asid);
	for (unsigned int i = 0; i < TLB_NR_WALK_LEVELS; i++)
		array_drop(&t->walk[i], what, asid);
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

/**
 * tlb_stats_get() - what was counted since it was made or reset.
 */
struct tlb_stats tlb_stats_get(const struct tlb *t)
{
	struct tlb_stats stats = t->stats;

	for (unsigned int kind = 0; kind < TLB_NR_KINDS; kind++) {
		stats.hits[0][kind][TLB_4K] += t->fast_hits[kind];
		for (unsigned int size = TLB_4K + 1; size < TLB_NR_SIZES; size++) {
			stats.hits[0][kind][size] += t->fast_hits_big[kind][size];
			stats.hits[0][kind][TLB_4K] -= t->fast_hits_big[kind][size];
		}
	}
	return stats;
}

void tlb_stats_reset(struct tlb *t)
{
	memset(&t->stats, 0, sizeof(t->stats));
	t->slow_cycles = 0;
	memset(t->fast_hits, 0, sizeof(t->fast_hits));
	memset(t->fast_hits_big, 0, sizeof(t->fast_hits_big));
}

static uint64_t sum(const uint64_t *counts, size_t nr)
{
	uint64_t total = 0;

	for (size_t i = 0; i < nr; i++)
		total += counts[i];
	return total;
}

#define SUM(counts) sum(&(counts)[0][0], sizeof(counts) / sizeof(uint64_t))

/**
 * tlb_walks() - walks that were made, also those that ended in a fault.
 */
uint64_t tlb_walks(const struct tlb_stats *stats)
{
	return SUM(stats->walks) + stats->walks_faulted[TLB_INSTR] +
	       stats->walks_faulted[TLB_DATA];
}

/**
 * tlb_walk_hits() - walks that did not begin at the root.
 */
uint64_t tlb_walk_hits(const struct tlb_stats *stats)
{
	return sum(stats->walk_hits, TLB_NR_WALK_LEVELS);
}

/**
 * tlb_accesses() - what it was asked so far: each is a hit of a level, or a walk.
 */
uint64_t tlb_accesses(const struct tlb *t)
{
	const struct tlb_stats stats = tlb_stats_get(t);

	return SUM(stats.hits[0]) + SUM(stats.hits[1]) + tlb_walks(&stats);
}

/**
 * tlb_cycles() - an estimate of the time that translation took, by the costs of the config.
 *
 * Costs are added up as if nothing went on beside them. Processors hide some of it, so this is
 * an upper bound for a program that has other work to do.
 */
uint64_t tlb_cycles(const struct tlb *t)
{
	const struct tlb_stats stats = tlb_stats_get(t);

	return SUM(stats.hits[0]) * t->cfg.cycles.l1_hit +
	       SUM(stats.hits[1]) * t->cfg.cycles.l2_hit +
	       tlb_walks(&stats) * t->cfg.cycles.walk +
	       stats.walk_steps * t->cfg.cycles.walk_step;
}

static int check_entry(const struct tlb_array *a, const struct tlb_entry *e, unsigned int shift)
{
	struct tlb_entry *set = set_of(a, e->key, shift);

	CHECK(e->stamp && e->mask);
	CHECK(a->sizes & TLB_BIT(e->size));
	CHECK(e >= set && e < set + a->ways);
	for (size_t i = 0; i < (size_t)a->sets * a->ways; i++) {
		const struct tlb_entry *other = &a->entries[i];

		CHECK(other == e || !other->rights ||
		      ((other->key ^ e->key) & other->mask & e->mask));
	}
	return 0;
}

static int check_entries(const struct tlb_array *a, const uint8_t *shift)
{
	static const struct tlb_entry nothing;
	uint32_t nr_valid[TLB_NR_SIZES] = {0};

	for (size_t i = 0; a->entries && i < (size_t)a->sets * a->ways; i++) {
		const struct tlb_entry *e = &a->entries[i];

		if (!e->rights) {
			CHECK(memcmp(e, &nothing, sizeof(*e)) == 0);
			continue;
		}
		nr_valid[e->size]++;
		if (check_entry(a, e, shift ? *shift : tlb_size_shift(e->size)))
			return -EUCLEAN;
	}
	CHECK(memcmp(nr_valid, a->nr_valid, sizeof(nr_valid)) == 0);
	return 0;
}

/**
 * tlb_check() - invariants 1 to 4.
 *
 * Return: 0 or -EUCLEAN.
 */
int tlb_check(const struct tlb *t)
{
	for (unsigned int i = 0; i < TLB_ARRAYS_MAX; i++)
		if (check_entries(&t->arrays[i], NULL))
			return -EUCLEAN;
	for (unsigned int i = 0; i < TLB_NR_WALK_LEVELS; i++)
		if (check_entries(&t->walk[i], &walk_shifts[i]))
			return -EUCLEAN;
	return 0;
}
