/* SPDX-License-Identifier: MIT */
/*
 * What `ration sim` was asked, as it was written (sim_options.c).
 */
#ifndef CLI_SIM_OPTIONS_H
#define CLI_SIM_OPTIONS_H

#include "sim/sweep.h"

/* NULL: not given. */
struct sim_options {
	const char *ram, *swap, *swappiness, *page_cluster, *policy, *sweep, *seed, *tlb, *thp,
		*save, *files;
	const char *source;
};

/* Return: an exit status; EXIT_USAGE after one line that says why. */
int sim_options_read(const struct sim_options *options, struct sim_request *ret_request);

#define SIM_POLICY_DEFAULT "two-lists"
#define SIM_POLICY_OPT	   "opt" /* request->cfg.policy is NULL */
#define SIM_TLB_DEFAULT	   "skylake"

#endif
