/* SPDX-License-Identifier: MIT */
/*
 * One simulation, or the same one with several sizes of RAM (sweep.c).
 */
#ifndef SIM_SWEEP_H
#define SIM_SWEEP_H

#include "sim/replay.h"

#define SIM_ROWS_MAX 256

struct sim_request {
	const char *source; /* as for sim_source_open() */
	uint64_t seed;
	struct sim_config cfg; /* ram_bytes: of the first row */
	uint64_t ram_last;     /* of the last row, if there are several */
	unsigned int nr_rows;  /* 1..SIM_ROWS_MAX */
	bool shows_progress;
	const char *save; /* a file that the space of the only row is saved to; NULL: none */
};

uint64_t sim_row_ram(const struct sim_request *request, unsigned int index);
int sim_sweep(const struct sim_request *request, struct sim_result *ret_results,
	      struct sim_error *error);

#endif
