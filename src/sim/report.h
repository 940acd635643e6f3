/* SPDX-License-Identifier: MIT */
/*
 * Results as text (report.c).
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include <stdio.h>

#include "sim/sweep.h"

struct sim_report {
	const struct sim_request *request;
	const char *policy_name;
	const struct sim_result *results; /* request->nr_rows */
};

void sim_report_table(const struct sim_report *report, FILE *out);
void sim_report_json(const struct sim_report *report, FILE *out);
void sim_report_string(FILE *out, const char *text);
void sim_tlb_help(FILE *out);

#endif
