/* SPDX-License-Identifier: MIT */
/*
 * Random steps of a life: a program's calls and accesses, made on the world and on its model.
 */
#ifndef TESTS_MM_STEPS_H
#define TESTS_MM_STEPS_H

#include "world.h"

/* Pages of the model. */
struct range {
	unsigned int first, nr;
};

/* Calls until it is not told to come back. */
#define UNTIL_DONE(w, err, call)                                        \
	do {                                                            \
		unsigned int tries = 0;                                 \
                                                                        \
		while (((err) = (call)) == -EAGAIN && tries++ < 100000) \
			world_step(w);                                  \
	} while (0)

struct range random_range(struct world *w);
bool is_all_mapped(const struct world *w, struct range r);
void step_any(struct world *w);

#endif
