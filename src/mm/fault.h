/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the fault path share: mm/fault.c decides by the entry, and each kind of
 * page has its own file.
 *
 * Context for all: mm_system.lock held, the mm read-locked; those marked "unlocks" drop and
 * retake sys->lock.
 */
#ifndef MM_FAULT_H
#define MM_FAULT_H

#include "mm/reclaim.h"
#include "mm/system.h"
#include "mm/vma.h"

/*
 * Pages that one fault translates at most: Linux's fault_around_bytes, 64 KiB; twice as many
 * where it waits for a device, for which one transfer is little more than its start.
 */
#define FAULT_WINDOW	 16
#define FAULT_WINDOW_MAX 32

#define FAULT_AGAIN ((enum mm_fault_result) - 1) /* inside the fault path: look anew */

struct fault {
	struct mm *mm;
	struct mm_system *sys;
	const struct vma *vma;
	pte_t *pte;
	vaddr_t va;
	bool is_write;
	bool is_fresh;	/* first touch: the content is to be zeroed */
	bool is_ahead;	/* first touch of a page that was read ahead */
	bool is_around; /* of a file: pages that are cached beside it are mapped too */
	bool is_fetch;	/* MM_ACCESS_FETCH: the machine is not told */
	unsigned int
		window; /* pages that it does at once, the one at va first; 0: not yet known */
	int32_t step;	/* from one to the next, in pages */
};

/* The page that the fault does nth, and its entry: in the table of the first. */
static inline vaddr_t fault_nth_va(const struct fault *f, unsigned int nth)
{
	return f->va + ((uint64_t)((int64_t)nth * f->step) << PAGE_SHIFT);
}

static inline pte_t *fault_nth_pte(const struct fault *f, unsigned int nth)
{
	return f->pte + (int64_t)nth * f->step;
}

/* stream.c */
void stream_enter(struct fault *f);
void stream_leave(struct fault *f, unsigned int nr);
void stream_break(struct fault *f);
void stream_note_ahead(struct fault *f, unsigned int nr);
enum swapin_result stream_read(struct fault *f); /* unlocks */

/* There are frames to do more than is asked for. */
bool fault_has_frames(const struct mm_system *sys);

/* Somebody has what the fault needs; the caller of mm_fault() asks again after a wake. */
enum mm_fault_result fault_retry(struct fault *f);

/* No frame is to be had: reclaims. FAULT_AGAIN, RETRY or OOM. Unlocks. */
enum mm_fault_result fault_no_memory(struct fault *f);

/* The entry is IDLE or PRESENT and names the page, which is not busy: has the machine translate
 * it as this access needs it. Unlocks. */
enum mm_fault_result fault_translate(struct fault *f, struct page *page);

/* The bits of a translation for this access, as the area and the page allow it. */
pte_t fault_present_bits(const struct fault *f, const struct page *page);

/* What the machine's refusal is for the program: RETRY, OOM or BUS. */
enum mm_fault_result fault_machine_error(struct fault *f, int err);

/* cow.c: the entry gets a copy of the page that it names. Unlocks. */
enum mm_fault_result fault_cow(struct fault *f, struct page *old);

/* filefault.c: the area maps a file. Unlock. */
pte_t fault_file_write_bit(const struct fault *f, const struct page *page);
bool fault_file_around(struct fault *f, pte_t *pte, vaddr_t va);
enum mm_fault_result fault_file(struct fault *f); /* the entry is NONE */
enum mm_fault_result fault_file_mapped(struct fault *f, struct page *page); /* it names page */

#endif
