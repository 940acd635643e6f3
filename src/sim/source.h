/* SPDX-License-Identifier: MIT */
/*
 * Where accesses come from: a trace or a pattern (source.c).
 */
#ifndef SIM_SOURCE_H
#define SIM_SOURCE_H

#include <stdbool.h>

#include "sim/error.h"
#include "trace/trace.h"

struct sim_source;

int sim_source_open(const char *text, uint64_t seed, struct sim_source **ret_source,
		    struct sim_error *error);
void sim_source_close(struct sim_source *source);
int sim_source_next(struct sim_source *source, struct trace_access *out, unsigned int max,
		    struct sim_error *error);
uint64_t sim_source_done(const struct sim_source *source);
uint64_t sim_source_size(const struct sim_source *source);

/* Can it be opened several times, and say the same? */
bool sim_source_is_repeatable(const char *text);

#endif
