/* SPDX-License-Identifier: MIT */
/*
 * From a frame to the page table entries that map it (mm/rmap.c).
 */
#ifndef MM_RMAP_H
#define MM_RMAP_H

#include "mm/system.h"

/*
 * The mms that descend from one another by fork. A page that fork made common to some of them
 * has PG_shared and names the family: its mappers are the members whose entry at page->index
 * names the frame.
 */
struct anon_family {
	struct list_head mms; /* mm->family_node, in the order in which they joined */
	uint64_t nr_mms;
};

/* One mapper of a page. */
struct rmap_entry {
	struct mm *mm;
	vaddr_t va;
	pte_t *pte; /* resident, names the page */
};

/*
 * Return: true to go on to the next mapper. It may take away the mapping that it is given, and
 * no other; it does not drop sys->lock.
 */
typedef bool (*rmap_fn)(const struct rmap_entry *at, void *arg);

bool rmap_walk(struct mm_system *sys, struct page *page, rmap_fn fn, void *arg);

/* More mappers, and fewer. The entry is the caller's to set. */
bool rmap_can_share(const struct mm *mm, const struct page *page, vaddr_t va);
void rmap_share(struct mm *mm, struct page *page);
void rmap_make_exclusive(struct mm *mm, struct page *page);
void rmap_detach(struct mm *mm, struct page *page);

int family_ensure(struct mm *mm);
void family_join(struct anon_family *family, struct mm *mm);
void family_leave(struct mm *mm);

enum unmap_result {
	UNMAP_DONE,    /* no entry names the frame any more */
	UNMAP_BUSY,    /* an entry is PRESENT: in use */
	UNMAP_REFUSED, /* a writer has one of the mms */
};
enum unmap_result rmap_can_unmap(struct mm_system *sys, struct page *page,
				 const struct mm *locked);
enum unmap_result try_to_unmap(struct mm_system *sys, struct page *page,
			       const struct mm *locked);
void rmap_unmap_lazyfree(struct mm_system *sys, struct page *page);

/* Asking and dropping translations for reclaim (mm/unmap.c). */
struct mapper_scan {
	struct mm_system *sys;
	struct mm *locked; /* write-locked by the caller, who reclaims from it; or NULL */
	bool was_refused;  /* pages were passed over because somebody holds an mm of theirs */
	unsigned int nr_scanned;   /* frames looked at by reclaim */
	bool only_writes;	   /* take only the right to write away */
	unsigned int nr_dirty;	   /* pages of files that the flusher is to write */
	unsigned int nr_gone_file; /* in one scan: page_is_file_lru() */
	/* Frames that may have been of locked pages on a list, for which that is no place. */
	pfn_t culled[8];
	unsigned int nr_culled;
};

void mappers_idle(struct mapper_scan *scan, struct page **pages, unsigned int nr,
		  bool *ret_had); /* unlocks */
/* filereclaim.c */
bool filemap_evict(struct mapper_scan *rc, struct page *page, enum policy_verdict *ret_verdict);

void mappers_harvest(struct mapper_scan *scan, struct page **pages, unsigned int nr,
		     const bool *may_leave, bool *ret_young); /* unlocks */

#endif
