/* SPDX-License-Identifier: MIT */
/*
 * A source that can be read once only, kept for several readers (spool.c).
 */
#ifndef SIM_SPOOL_H
#define SIM_SPOOL_H

#include "sim/error.h"
#include "sim/progress.h"

#define SIM_SPOOL_PATH 32

struct sim_spool {
	int fd;
	char path[SIM_SPOOL_PATH]; /* a source for sim_source_open() while fd is open */
};

int sim_spool_create(const char *text, struct progress_part *part, struct sim_spool *ret_spool,
		     struct sim_error *error);
void sim_spool_destroy(struct sim_spool *spool);

#endif
