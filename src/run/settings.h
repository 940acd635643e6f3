/* SPDX-License-Identifier: MIT */
/*
 * What `ration run` is asked to do: the options as typed, and what they come to (settings.c).
 */
#ifndef RUN_SETTINGS_H
#define RUN_SETTINGS_H

#include "run/report.h"
#include "run/share.h"
#include "run/size.h"

#define RUN_RAM_MIN ((uint64_t)4 << 20) /* mem_map, tables, slabs and a few working pages */

struct run_options {
	const char *ram;	/* NULL: missing */
	const char *zram;	/* NULL: the default */
	const char *swappiness; /* NULL: the default */
	const char *fault;	/* NULL: the default */
	const char *stats;	/* NULL: none; "": a table */
	const char *swaps[RUN_AREAS_MAX];
	unsigned int nr_swaps; /* may pass RUN_AREAS_MAX; the rest was dropped */
	char **argv;	       /* of the program; argv[0] is NULL if there is none */
};

struct run_settings {
	uint64_t ram_bytes;
	uint64_t zram_bytes; /* 0: off */
	uint32_t zram_codec; /* enum zcodec_kind */
	uint32_t swappiness;
	uint32_t flags;	       /* enum run_flags */
	uint32_t fault_engine; /* enum run_fault_engine */
	bool is_fault_given;   /* by --fault: no other will do */
	enum report_form stats;
	struct swap_spec swaps[RUN_AREAS_MAX]; /* each path malloc'ed */
	unsigned int nr_swaps;
	char **argv;
};

int settings_read(const struct run_options *options, uint64_t available,
		  struct run_settings *ret_settings);
void settings_free(struct run_settings *settings);

#endif
