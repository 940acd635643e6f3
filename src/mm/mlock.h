/* SPDX-License-Identifier: MIT */
/*
 * Memory that stays in RAM (mm/mlock.c).
 *
 * Context for all: mm_system.lock held, unless said.
 */
#ifndef MM_MLOCK_H
#define MM_MLOCK_H

#include "mm/mmap.h"

/* Pages. */
void page_mlock(struct mm_system *sys, struct page *page);
void page_mlock_mapped(struct mm *mm, struct page *page);
void page_mlock_unmapped(struct mm_system *sys, struct page *page);
bool page_is_in_locked_area(struct mm_system *sys, struct page *page);

/* Areas. */
#define VMA_LOCKED_ANY (VMA_LOCKED | VMA_LOCKONFAULT)

void mm_unlock_areas(struct mm *mm);
bool mm_lock_allows(const struct mm *mm, uint64_t pages);
int mm_populate(struct mm *mm, struct mm_range range); /* without sys->lock */

#endif
