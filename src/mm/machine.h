/* SPDX-License-Identifier: MIT */
/*
 * The machine under the manager: a cache of translations, and the RAM.
 *
 * 1. A machine may forget any translation that is not wired; the manager rebuilds it by taking
 * a fault.
 * 2. When apply() returns 0, no access can use a translation in its old state (the TLB is shot
 *    down). Another frame for a page is used by none before the old one is used by none.
 * 3. A machine may report a page accessed too late or never; it must never lose a dirty bit.
 * 4. A machine never calls back into the manager from inside an op.
 * 5. While a frame is mapped, the manager does not touch its content: it unmaps first. (On the
 *    host a mapped page has left the pool of frames.) A machine with MACHINE_MAPS_SHARED keeps
 *    the content where it is: the manager may read and write it as one more processor would,
 * which it does to pages of files, and to others only while all their translations are
 * read-only.
 * 6. RAM is contiguous for the manager: frame n lies at ram + n * PAGE_SIZE. The content of a
 *    frame that was never written is undefined, but readable.
 * 7. The manager never runs two ops on one address at the same time; on different addresses it
 *    does.
 */
#ifndef MM_MACHINE_H
#define MM_MACHINE_H

#include "ration/types.h"

enum machine_caps {
	MACHINE_SETS_ACCESSED = 1 << 0, /* harvest() reports PTE_ACCESSED */
	MACHINE_SETS_DIRTY = 1 << 1,  /* a writable translation tells whether it was written */
	MACHINE_FAULTS_COST = 1 << 2, /* a fault costs far more than a translation in a batch */
	MACHINE_MAPS_SHARED = 1 << 3, /* one frame may be translated at several addresses */
	MACHINE_HUGE_64K = 1 << 8,    /* takes changes of order 4 */
	MACHINE_HUGE_2M = 1 << 9,     /* of order 9 */
	MACHINE_HUGE_1G = 1 << 10,    /* of order 18 */
};

#define MACHINE_HUGE (MACHINE_HUGE_64K | MACHINE_HUGE_2M | MACHINE_HUGE_1G)

/*
 * One page's translation goes from old_pte to new_pte (x86-64 bits, mm/pgtable.h). Only
 * PTE_PRESENT, PTE_WRITE, PTE_NX, PTE_ACCESSED and the frame number matter to a machine. On
 * return, a machine with MACHINE_SETS_DIRTY has set PTE_DIRTY (and PTE_ACCESSED) in old_pte
 * where it saw the page written (accessed) through the translation it has dropped.
 *
 * A translation that is new begins as accessed on a machine with MACHINE_SETS_ACCESSED if
 * new_pte has PTE_ACCESSED: so reclaim spares for one round what was mapped before its first
 * touch.
 *
 * old_pte == new_pte, present: a fault came although the manager holds the page as translated.
 * The machine makes the translation again if it has forgotten it, and lets waiters go on; where
 * it never forgets, it only lets them go on.
 *
 * order: the change is of 1 << order pages, of one translation: 0, or one that the machine's
 * caps name. Address and frame are multiples of its size. What is translated as one leaves as
 * one, and while it is, no page of it is translated by itself. Accessed and dirty are those of
 * the whole.
 */
struct machine_change {
	vaddr_t va;
	pte_t old_pte, new_pte;
	uint32_t order;
};

enum machine_batch_flags {
	MACHINE_DISCARD = 1 << 0, /* nobody needs the content of the frames that are unmapped */
};

struct machine_batch {
	struct machine_change *changes; /* ascending by va */
	uint32_t nr;
	uint32_t flags;	  /* enum machine_batch_flags */
	uint32_t nr_done; /* out: on error, changes [0, nr_done) were made, the others not */
};

enum machine_region_op {
	MACHINE_REGION_MAP,	/* the range is now part of a VMA with this protection */
	MACHINE_REGION_PROTECT, /* its protection changes; none of its pages is translated */
	MACHINE_REGION_UNMAP, /* it leaves the address space; none of its pages is translated */
};

struct machine;
struct machine_space;

struct machine_ops {
	const char *name;
	uint32_t caps; /* enum machine_caps */

	int (*space_create)(struct machine *m, vaddr_t start, vaddr_t end,
			    struct machine_space **ret_space);
	void (*space_destroy)(struct machine *m, struct machine_space *space);

	/*
	 * Return: 0; -EAGAIN or -EBUSY where the page at changes[nr_done] cannot be had just
	 * now (held by the kernel, say); other -errno for good. Context: mm_system.lock not
	 * held.
	 */
	int (*apply)(struct machine *m, struct machine_space *space,
		     struct machine_batch *batch);

	/* Calls seen() for each page of [start, end) accessed since the last harvest; once for
	 * a translation of several, with the address where it begins. May be NULL. */
	int (*harvest)(struct machine *m, struct machine_space *space, vaddr_t start,
		       vaddr_t end, void (*seen)(void *arg, vaddr_t va, pte_t bits), void *arg);

	/*
	 * Tells where VMAs are, for a machine that enforces protection itself. May be NULL.
	 * prot: MM_PROT_*. MAP and PROTECT may fail and then change nothing; UNMAP cannot fail.
	 * Context: mm_system.lock not held.
	 */
	int (*region)(struct machine *m, struct machine_space *space, vaddr_t start,
		      vaddr_t end, enum machine_region_op op, int prot);

	/*
	 * Kernel space (mm/vmalloc.c). The supervisor's accesses to the upper half are
	 * translated by tables that lie in frames, which the machine walks. When this returns,
	 * no processor knows a page of [start, end). NULL: the machine has no such MMU.
	 * Context: mm_system.lock not held.
	 */
	void (*kernel_flush)(struct machine *m, vaddr_t start, vaddr_t end);
};

struct machine {
	const struct machine_ops *ops;
	char *ram;	 /* frame 0 (c) */
	pfn_t nr_frames; /* (c) */
};

#endif
