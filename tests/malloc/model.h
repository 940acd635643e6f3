/* SPDX-License-Identifier: MIT */
/*
 * Random calls on an arena, beside a model that knows what each object must hold.
 */
#ifndef TESTS_MALLOC_MODEL_H
#define TESTS_MALLOC_MODEL_H

#include "malloc/arena.h"
#include "support/rng.h"

#define MODEL_SLOTS 256

struct model_object {
	unsigned char *bytes; /* NULL: the slot is empty */
	uint64_t size;
	uint64_t align;
	unsigned char key; /* byte i is key + 7 * i */
};

struct model {
	struct arena *arena;
	struct rng rng;
	uint64_t size_max; /* of most objects */
	bool may_fail;	   /* a call may answer that there is no memory */
	struct model_object objects[MODEL_SLOTS];
};

void model_init(struct model *model, struct arena *arena, uint64_t seed);
void model_step(struct model *model);
void model_free_all(struct model *model);
void model_verify(const struct model *model);

#endif
