/* SPDX-License-Identifier: MIT */
/*
 * Built-in reference patterns: `pattern:NAME,parameter=value,...` (pattern.c).
 */
#ifndef SIM_PATTERN_H
#define SIM_PATTERN_H

#include <stdbool.h>

#include "sim/error.h"
#include "trace/trace.h"

#define PATTERN_PREFIX	  "pattern:"
#define PATTERN_HELP_MAX  4096
#define PATTERN_BASE	  ((uint64_t)1 << 32) /* where the pages of each process begin */
#define PATTERN_FIRST_PID 1
#define PATTERN_FILE_NR	  1

enum pattern_param {
	PATTERN_PAGES,
	PATTERN_PASSES,
	PATTERN_ACCESSES,
	PATTERN_HOT,
	PATTERN_TOUCHES,
	PATTERN_PROCESSES,
	PATTERN_QUANTUM,
	PATTERN_S, /* in millionths */
	PATTERN_WRITES,
	PATTERN_FILE,
	PATTERN_MAPPED,
	PATTERN_CALLS,
	PATTERN_STREAMED,
	PATTERN_FILE_WRITES,
	PATTERN_SEED,
	NR_PATTERN_PARAMS,
};

struct pattern_kind;

struct pattern_spec {
	const struct pattern_kind *kind;
	uint64_t values[NR_PATTERN_PARAMS];
};

struct pattern;

int pattern_parse(const char *text, uint64_t seed, struct pattern_spec *ret_spec,
		  struct sim_error *error);
bool pattern_is_name(const char *text);
void pattern_help(char ret_text[PATTERN_HELP_MAX]);

int pattern_create(const struct pattern_spec *spec, struct pattern **ret_pattern);
void pattern_destroy(struct pattern *p);
unsigned int pattern_next(struct pattern *p, struct trace_access *out, unsigned int max);
uint64_t pattern_total(const struct pattern *p); /* accesses, from the first to the last */

#endif
