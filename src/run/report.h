/* SPDX-License-Identifier: MIT */
/*
 * What a run took, as text (report.c).
 */
#ifndef RUN_REPORT_H
#define RUN_REPORT_H

#include <sys/resource.h>

#include "run/share.h"

enum report_form {
	REPORT_NONE,
	REPORT_TABLE, /* for people */
	REPORT_JSON,  /* one line for programs; names do not change, new ones may come */
};

struct report {
	uint64_t ram_bytes;
	uint64_t zram_bytes;	   /* 0: no tier */
	const char *engine_reason; /* why the engine that was to resolve faults was chosen */
	struct run_totals totals;
	struct rusage usage; /* of the program and of its children that it waited for */
	uint64_t wall_ns;
	int exit_status; /* as wait4(2) gave it */
};

#define REPORT_TEXT_MAX 8192

void report_render(const struct report *report, enum report_form form,
		   char ret_text[REPORT_TEXT_MAX]);

#endif
