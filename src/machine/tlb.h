/* SPDX-License-Identifier: MIT */
/*
 * A model of a processor's TLB. How it works is told in machine/tlb.c.
 */
#ifndef MACHINE_TLB_H
#define MACHINE_TLB_H

#include "ration/types.h"

enum tlb_size { TLB_4K, TLB_64K, TLB_2M, TLB_1G, TLB_NR_SIZES };
enum tlb_kind { TLB_INSTR, TLB_DATA, TLB_NR_KINDS };
enum tlb_walk_level { TLB_WALK_PDE, TLB_WALK_PDPTE, TLB_WALK_PML4E, TLB_NR_WALK_LEVELS };

#define TLB_NR_LEVELS  2
#define TLB_ARRAYS_MAX 12
#define TLB_SETS_MAX   65536
#define TLB_WAYS_MAX   4096
#define TLB_ASID_MAX   4095 /* 12 bits, as x86's PCID */

/* For tlb_array_config.kinds and .sizes. */
#define TLB_BIT(n)	(1u << (n))
#define TLB_KINDS_BOTH	(TLB_BIT(TLB_INSTR) | TLB_BIT(TLB_DATA))
#define TLB_SIZES_4K_2M (TLB_BIT(TLB_4K) | TLB_BIT(TLB_2M))
#define TLB_SIZES_ALL	(TLB_BIT(TLB_NR_SIZES) - 1)

/* One array of entries: which translations it holds, and how many. */
struct tlb_array_config {
	uint8_t level; /* 1 or 2; 0: the list's end */
	uint8_t kinds; /* TLB_BIT(enum tlb_kind) */
	uint8_t sizes; /* TLB_BIT(enum tlb_size) */
	uint32_t sets; /* any number from 1 */
	uint32_t ways; /* sets 1: fully associative */
};

struct tlb_config {
	const char *name;   /* what it is asked for by */
	const char *title;  /* for people */
	const char *source; /* where its maker says so */
	struct tlb_array_config arrays[TLB_ARRAYS_MAX];
	struct {
		uint32_t sets, ways; /* 0, 0: the processor has none */
	} walk[TLB_NR_WALK_LEVELS];
	struct {
		uint32_t l1_hit, l2_hit; /* added to an access that is answered there */
		uint32_t walk;		 /* of each walk, beside its steps */
		uint32_t walk_step;	 /* of each entry that is read */
	} cycles;
};

struct tlb_stats {
	uint64_t hits[TLB_NR_LEVELS][TLB_NR_KINDS][TLB_NR_SIZES];
	uint64_t walks[TLB_NR_KINDS][TLB_NR_SIZES]; /* by the page that was found */
	uint64_t walks_faulted[TLB_NR_KINDS];	    /* no translation was found */
	uint64_t walk_steps, walk_steps_saved;	    /* entries read; passed over */
	uint64_t walk_hits[TLB_NR_WALK_LEVELS];	    /* walks that began behind such an entry */
	uint64_t page_invalidations, asid_invalidations, full_invalidations;
};

/* What a translation allows. */
#define TLB_READ  0x1u
#define TLB_WRITE 0x2u /* and the dirty bit is set, where there is one to set */
#define TLB_EXEC  0x4u
#define TLB_USER  0x8u

/*
 * An entry is a slot, a number: slot 0 is none. What is known of it lies in arrays by slot, so
 * that a search reads little else than what it compares.
 *
 * A tag says what is translated: the page's address without its sign bits, the address-space id
 * in the bits below (0 for global pages), and the flags above. 0: the slot is free.
 */
#define TLB_TAG_ASID	   ((uint64_t)TLB_ASID_MAX)
#define TLB_TAG_VA	   0x0000fffffffff000u
#define TLB_TAG_VALID	   ((uint64_t)1 << 48)
#define TLB_TAG_GLOBAL	   ((uint64_t)1 << 49)
#define TLB_TAG_SIZE_SHIFT 50 /* enum tlb_size, two bits */

/* Data is the page's physical address and, below, the rights and the size again. */
#define TLB_DATA_RIGHTS	    0xfu
#define TLB_DATA_SIZE_SHIFT 4
#define TLB_DATA_SIZE	    0x30u

struct tlb_entry {
	uint64_t key;  /* first level: page address | asid */
	uint64_t mask; /* first level: bits of key that must be equal */
	uint64_t data; /* in a walk cache: of the next table; 0: the slot is free */
};

struct tlb_array {
	uint32_t first; /* slot; set by set from there */
	uint32_t sets, ways;
	uint32_t set_slots; /* ways, rounded up: the rest is never used */
	uint32_t set_mask;  /* sets - 1 */
	uint32_t set_odd;   /* sets where that is no power of two, else 0 */
	uint32_t nr_valid[TLB_NR_SIZES];
	uint32_t nr_global; /* of these */
	uint8_t sizes;
	bool is_first; /* level */
};

#define TLB_HINTS 1024
#define TLB_TICK  ((uint64_t)TLB_WAYS_MAX) /* a stamp has the slot's low bits below the time */

struct tlb {
	/* Where the first level had the page last, by its low bits: a guess, always checked. */
	uint32_t hints[TLB_NR_KINDS][TLB_HINTS];
	uint64_t *tags;		   /* by slot, as all four */
	uint16_t *prints;	   /* of the tag: what a search looks at first */
	uint64_t *stamps;	   /* when it was used last, and the slot's low bits below */
	struct tlb_entry *entries; /* what it translates to */
	uint64_t clock;		   /* ticks at each use of an entry */
	uint64_t fast_hits[TLB_NR_KINDS]; /* of the first level, of all sizes */
	uint64_t fast_hits_big[TLB_NR_KINDS][TLB_NR_SIZES]; /* of these, above 4K */
	struct tlb_stats stats; /* without the above: tlb_stats_get() */
	uint64_t slow_cycles;	/* of tlb_cycles(), those beside the fast hits */
	struct tlb_array arrays[TLB_ARRAYS_MAX];
	/* The array of a level that holds pages of a size, or NULL. */
	struct tlb_array *by_size[TLB_NR_LEVELS][TLB_NR_KINDS][TLB_NR_SIZES];
	/* TLB_BIT() of the sizes of which the level has an entry. */
	uint8_t sizes_held[TLB_NR_LEVELS][TLB_NR_KINDS];
	struct tlb_array walk[TLB_NR_WALK_LEVELS];
	struct tlb_config cfg; /* (c) */
};

/* A translation that was walked for. */
struct tlb_page {
	vaddr_t va;
	uint64_t pa;
	uint16_t asid;
	uint8_t kind, size;
	uint8_t rights;
	bool is_global;
};

extern const struct tlb_config tlb_presets[];
extern const size_t tlb_nr_presets;
const struct tlb_config *tlb_preset_find(const char *name);

int tlb_config_check(const struct tlb_config *cfg, char *why, size_t why_len);
int tlb_create(const struct tlb_config *cfg, struct tlb **ret_tlb);
void tlb_destroy(struct tlb *t);

uint32_t tlb_lookup(struct tlb *t, vaddr_t va, uint16_t asid, enum tlb_kind kind,
		    unsigned int need);
uint32_t tlb_peek(const struct tlb *t, vaddr_t va, uint16_t asid, enum tlb_kind kind,
		  unsigned int *ret_level);
void tlb_fill(struct tlb *t, const struct tlb_page *page);
bool tlb_holds_size(const struct tlb *t, enum tlb_kind kind, enum tlb_size size);

uint32_t tlb_walk_lookup(struct tlb *t, vaddr_t va, uint16_t asid,
			 enum tlb_walk_level *ret_level);
void tlb_walk_fill(struct tlb *t, const struct tlb_page *table, enum tlb_walk_level level);

void tlb_invalidate_page(struct tlb *t, vaddr_t va, uint16_t asid);
void tlb_invalidate_asid(struct tlb *t, uint16_t asid);
void tlb_invalidate_all(struct tlb *t, bool with_globals);

struct tlb_stats tlb_stats_get(const struct tlb *t);
void tlb_stats_reset(struct tlb *t);
uint64_t tlb_accesses(const struct tlb *t);
uint64_t tlb_walks(const struct tlb_stats *stats);
uint64_t tlb_walk_hits(const struct tlb_stats *stats);
uint64_t tlb_cycles(const struct tlb *t);
int tlb_check(const struct tlb *t);

const char *tlb_size_name(enum tlb_size size); /* "4K" */

static inline unsigned int tlb_size_shift(enum tlb_size size)
{
	static const uint8_t shifts[TLB_NR_SIZES] = {12, 16, 21, 30};

	return shifts[size];
}

static inline unsigned int tlb_slot_rights(const struct tlb *t, uint32_t slot)
{
	return t->entries[slot].data & TLB_DATA_RIGHTS;
}

static inline enum tlb_size tlb_slot_size(const struct tlb *t, uint32_t slot)
{
	return (enum tlb_size)((t->entries[slot].data & TLB_DATA_SIZE) >> TLB_DATA_SIZE_SHIFT);
}

/* Of the page; in a walk cache: of the next table. */
static inline uint64_t tlb_slot_pa(const struct tlb *t, uint32_t slot)
{
	return t->entries[slot].data & PAGE_MASK;
}

/* Of an address in the page, by an entry of the first level. */
static inline uint64_t tlb_entry_translate(const struct tlb_entry *e, vaddr_t va)
{
	return (e->data & PAGE_MASK) | (va & (~e->mask | (PAGE_SIZE - 1)));
}

static inline void tlb_slot_stamp(struct tlb *t, uint32_t slot)
{
	t->clock += TLB_TICK;
	t->stamps[slot] = t->clock | (slot & (TLB_TICK - 1));
}

/*
 * The first level's answer where the hint is right, which is nearly always; NULL says nothing.
 */
static inline const struct tlb_entry *tlb_lookup_fast(struct tlb *t, vaddr_t va, uint16_t asid,
						      enum tlb_kind kind, unsigned int need)
{
	uint32_t slot = t->hints[kind][va >> PAGE_SHIFT & (TLB_HINTS - 1)];
	const struct tlb_entry *e = &t->entries[slot];
	uint64_t data = e->data;

	if (((((va & PAGE_MASK) | asid) ^ e->key) & e->mask) || (need & ~data))
		return NULL;
	tlb_slot_stamp(t, slot);
	t->fast_hits[kind]++;
	if (data & TLB_DATA_SIZE)
		t->fast_hits_big[kind][tlb_slot_size(t, slot)]++;
	return e;
}

#endif
