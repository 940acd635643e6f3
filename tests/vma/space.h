/* SPDX-License-Identifier: MIT */
/*
 * One address space on a strict machine, and a model of it, page by page.
 *
 * The machine holds translations and the protection of each page, and fails the test where the
 * manager breaks the contract of mm/machine.h: a change that does not start from what is there,
 * a region op over a page that is translated, a translation outside of what is mapped. Frames
 * that are discarded are scribbled on. It can be told to refuse.
 */
#ifndef VMA_SPACE_H
#define VMA_SPACE_H

#include "mm/system.h"
#include "mm/vma.h"
#include "ration/mm.h"
#include "support/rng.h"
#include "support/test.h"

#define SPACE_PAGES_MAX 1024

struct refusal {
	unsigned int nth;     /* the nth op from here is refused, and once; 0: none */
	unsigned int nr_done; /* apply: so many changes of its batch are made before */
	int err;
};

struct strict_machine {
	struct machine m;
	vaddr_t start, end;
	pte_t translations[SPACE_PAGES_MAX];
	int prots[SPACE_PAGES_MAX]; /* MM_PROT_*, or -1: not mapped */
	struct refusal refuse_apply, refuse_region;
	uint64_t nr_discarded; /* pages */
};

/* What a page is, for the program. */
struct model_page {
	bool is_mapped;
	uint32_t flags; /* enum vma_flags */
	uint64_t stamp; /* its content; 0: zeroes */
};

struct space {
	struct strict_machine machine;
	struct swapdev *dev;
	struct mm_system *sys;
	struct mm *mm;
	unsigned int nr_pages;
	struct model_page model[SPACE_PAGES_MAX];
	uint64_t last_stamp;
	uint64_t now_ns;
};

struct space_config {
	vaddr_t window; /* 0: as the manager has it by default */
	unsigned int nr_pages;
	pfn_t nr_frames;
	uint64_t nr_slots; /* of swap; 0: none */
};

void space_create(struct space *s, const struct space_config *cfg);
void space_destroy(struct space *s);

/* The invariants of everything, and the areas, the machine's regions and the model agree. */
void space_check(struct space *s);

/* The program's accesses, with the faults they take; the model follows a store. */
void space_store(struct space *s, unsigned int page);
void space_load(struct space *s, unsigned int page);
void space_load_all(struct space *s);
void space_settle(struct space *s); /* until no I/O is in flight */

static inline vaddr_t space_va(const struct space *s, unsigned int page)
{
	return s->machine.start + page * PAGE_SIZE;
}

static inline unsigned int space_page(const struct space *s, vaddr_t va)
{
	return (unsigned int)((va - s->machine.start) >> PAGE_SHIFT);
}

#endif
