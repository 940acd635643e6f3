/* SPDX-License-Identifier: MIT */
/*
 * Memory that has been promised: overcommit and the commit limit (mm/commit.c).
 *
 * Context for all: mm_system.lock held.
 */
#ifndef MM_COMMIT_H
#define MM_COMMIT_H

#include "mm/vma.h"

struct mm_system;

int commit_charge(struct mm_system *sys, const struct mm *mm, uint64_t pages, uint64_t credit);
void commit_uncharge(struct mm_system *sys, uint64_t pages);
int mm_charge(struct mm *mm, struct vma_reserve *reserve, uint64_t pages, uint64_t credit);
uint64_t mm_accounted_in(struct mm *mm, vaddr_t start, vaddr_t end);

bool vma_flags_account(uint32_t flags);
uint32_t mm_noreserve_flag(const struct mm *mm);

uint64_t sys_ram_pages(const struct mm_system *sys);
uint64_t sys_commit_limit(const struct mm_system *sys);
void commit_init(struct mm_system *sys);
int commit_check(struct mm_system *sys);

#endif
