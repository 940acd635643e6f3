/* SPDX-License-Identifier: MIT */
/*
 * Spaces that a simulation saved (save.c): `ration sim --save`, `ration walk --space`.
 */
#ifndef SIM_SAVE_H
#define SIM_SAVE_H

#include "sim/replay.h"

#define SIM_SAVED_HEADER 256 /* bytes */
#define SIM_SAVED_SOURCE 88  /* of them, with a NUL at the end */

struct sim_save;

int sim_save_create(const char *path, struct sim_save **ret_save, struct sim_error *error);
int sim_save_add(struct sim_save *save, const struct trace_access *accesses, unsigned int nr,
		 struct sim_error *error);
int sim_save_finish(struct sim_save *save, const struct sim_config *cfg, const char *source,
		    const struct sim_result *result, struct sim_error *error);
void sim_save_discard(struct sim_save *save);

/* What a saved space's header says. */
struct sim_saved {
	struct sim_config cfg;
	uint64_t nr_accesses;
	uint64_t state; /* of the machine after them, as one number */
	char source[SIM_SAVED_SOURCE];
};

int sim_saved_parse(const uint8_t header[SIM_SAVED_HEADER], struct sim_saved *ret_saved,
		    struct sim_error *error);
uint32_t sim_saved_crc(const uint8_t header[SIM_SAVED_HEADER]);
int sim_saved_load(const char *path, struct sim_saved *ret_saved,
		   struct sim_replay **ret_replay, struct sim_error *error);

#endif
