/* SPDX-License-Identifier: MIT */
/*
 * A TLB as one would write it without a thought for speed: a list of entries with the time of
 * their last use, searched from front to end. What machine/tlb.c answers is held against it.
 */
#ifndef MACHINE_TLB_MODEL_H
#define MACHINE_TLB_MODEL_H

#include "machine/tlb.h"

#define MODEL_ENTRIES_MAX 4096

struct model_entry {
	bool is_valid, is_global;
	unsigned int array; /* index in the config */
	enum tlb_size size;
	uint64_t number; /* of the page, counted in pages of its size */
	uint64_t pa;
	uint16_t asid;
	unsigned int rights;
	uint64_t used;
};

struct tlb_model {
	const struct tlb_config *cfg;
	struct model_entry entries[MODEL_ENTRIES_MAX];
	uint64_t now;
	struct tlb_stats stats;
};

/* Return: the level that has it, 0 where none does; *ret_pa is the address va translates to. */
unsigned int tlb_model_lookup(struct tlb_model *m, vaddr_t va, uint16_t asid,
			      enum tlb_kind kind, unsigned int need, uint64_t *ret_pa);
void tlb_model_fill(struct tlb_model *m, const struct tlb_page *page);
void tlb_model_invalidate_page(struct tlb_model *m, vaddr_t va, uint16_t asid);
void tlb_model_invalidate_asid(struct tlb_model *m, uint16_t asid);
void tlb_model_invalidate_all(struct tlb_model *m, bool with_globals);

#endif
