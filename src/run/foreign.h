/* SPDX-License-Identifier: MIT */
/*
 * Mappings inside the window that the manager does not manage (foreign.c).
 */
#ifndef RUN_FOREIGN_H
#define RUN_FOREIGN_H

#include "ration/mm.h"

struct runtime;

bool rt_area_next(struct runtime *rt, vaddr_t at, vaddr_t end, struct mm_area *ret_part);
bool rt_area_touched(struct runtime *rt, vaddr_t *va, vaddr_t end);

long rt_foreign_place(struct runtime *rt, const uint64_t *args);
long rt_foreign_clear(struct runtime *rt, vaddr_t start, vaddr_t end);
long rt_foreign_make(struct runtime *rt, const struct mm_area *part);
long rt_foreign_remap(struct runtime *rt, const uint64_t *args);

/* service_ops.c: each repeats the manager's call until it does not answer -EAGAIN. */
int rt_mm_map(struct runtime *rt, vaddr_t hint, uint64_t len, int prot, int flags,
	      vaddr_t *ret_addr);
int rt_mm_unmap(struct runtime *rt, vaddr_t addr, uint64_t len);
int rt_mm_protect(struct runtime *rt, vaddr_t addr, uint64_t len, int prot);

#endif
