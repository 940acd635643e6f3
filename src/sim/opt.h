/* SPDX-License-Identifier: MIT */
/*
 * The fewest misses that there can be: `ration sim --policy opt` (opt.c).
 */
#ifndef SIM_OPT_H
#define SIM_OPT_H

#include <stdio.h>

#include "sim/sweep.h"

struct sim_opt_row {
	uint64_t ram_bytes;
	uint64_t nr_frames; /* of them that a program can have */
	uint64_t nr_misses; /* each page's first use among them */
};

struct sim_opt_result {
	uint64_t nr_accesses, nr_references, nr_processes;
	uint64_t nr_pages; /* that were touched */
	struct sim_opt_row rows[SIM_ROWS_MAX];
};

int sim_opt(const struct sim_request *request, struct sim_opt_result *ret_result,
	    struct sim_error *error);
void sim_opt_table(const struct sim_request *request, const struct sim_opt_result *result,
		   FILE *out);
void sim_opt_json(const struct sim_request *request, const struct sim_opt_result *result,
		  FILE *out);

#endif
