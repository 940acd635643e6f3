/* SPDX-License-Identifier: MIT */
/*
 * Small objects: runs of pages cut into objects of one class.
 *
 * Context for all: arena->lock held.
 */
#ifndef MALLOC_OBJECT_H
#define MALLOC_OBJECT_H

#include "base/list.h"
#include "malloc/class.h"
#include "malloc/run.h"

struct object_class {
	struct list_head partial; /* runs with a free object */
	struct class_layout layout;
};

void object_class_init(struct object_class *class, unsigned int number);
void *object_alloc(struct arena *arena, unsigned int class, bool *ret_is_zero);
bool object_is_live(const struct arena *arena, const struct run *run, vaddr_t addr);
void object_free(struct arena *arena, struct run *run, vaddr_t addr);
bool objects_trim(struct arena *arena);

#endif
