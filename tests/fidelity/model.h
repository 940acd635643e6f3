/* SPDX-License-Identifier: MIT */
/*
 * The software machine as the guest was: model.c.
 */
#ifndef FIDELITY_MODEL_H
#define FIDELITY_MODEL_H

#include "access.h"

enum fidelity_figure {
	FIG_PGMAJFAULT,
	FIG_PSWPIN,
	FIG_PSWPOUT,
	FIG_PGSCAN,
	FIG_PGSTEAL,
	FIG_PGACTIVATE,
	NR_FIGURES
};

/* A zone of the guest as the workload began: pages. */
struct fidelity_zone {
	uint64_t nr_free, min, low, high, reserve;
};

struct fidelity_guest {
	enum fidelity_pattern pattern;
	uint64_t nr_pages, nr_accesses, swappiness;
	struct fidelity_zone dma, dma32;
	uint64_t nr_inactive_anon, nr_active_anon; /* pages of others, not used meanwhile */
};

int fidelity_model_run(const struct fidelity_guest *guest, uint64_t ret_figures[NR_FIGURES]);

#endif
