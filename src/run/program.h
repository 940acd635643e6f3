/* SPDX-License-Identifier: MIT */
#ifndef RUN_PROGRAM_H
#define RUN_PROGRAM_H

#include <limits.h>

#include "ration/types.h"

#define PROGRAM_WHY_MAX 256

struct program {
	char path[PATH_MAX];	   /* what execve(2) gets */
	bool is_text;		   /* without "#!": for the shell, as execvp(3) does it */
	char why[PROGRAM_WHY_MAX]; /* what is wrong, and the way out */
};

int program_find(const char *name, const char *search, struct program *ret_program);
int program_check(struct program *program);

#endif
