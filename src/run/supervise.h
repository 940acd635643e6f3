/* SPDX-License-Identifier: MIT */
#ifndef RUN_SUPERVISE_H
#define RUN_SUPERVISE_H

#include <sys/resource.h>
#include <sys/types.h>

#include "run/program.h"

struct supervised {
	pid_t pid;
	int status; /* of wait4(2), at the end */
	struct rusage usage;
};

struct supervise_env {
	const char *name, *value;
};

void supervise_prepare(void);
void supervise_signals_hold(void);
int supervise_signal_pending(void);
int supervise_start(const struct program *program, char **argv, const struct supervise_env *env,
		    unsigned int nr_env, struct supervised *ret_child);
void supervise_wait(struct supervised *child);
_Noreturn void supervise_die_by(int sig);
_Noreturn void supervise_end_like(int status);

#endif
