/* SPDX-License-Identifier: MIT */
/*
 * Large objects: each in a mapping of its own.
 */
#ifndef MALLOC_LARGE_H
#define MALLOC_LARGE_H

#include "malloc/run.h"

void *large_alloc(struct arena *arena, uint64_t size, uint64_t align);
void large_free_unlock(struct arena *arena, struct run *run);
int large_realloc_unlock(struct arena *arena, struct run *run, uint64_t size,
			 void **ret_object);
uint64_t large_usable_size(const struct run *run);

#endif
