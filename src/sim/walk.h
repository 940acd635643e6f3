/* SPDX-License-Identifier: MIT */
/*
 * One access, step by step: `ration walk`. How it works is told in sim/walk.c.
 */
#ifndef SIM_WALK_H
#define SIM_WALK_H

#include <stddef.h>

struct walk_options {
	const char *address; /* as given */
	const char *access;  /* read, write, exec; NULL: read */
	const char *tlb;     /* a preset's name; NULL: the first */
	const char *space;   /* a file of `ration sim --save`; NULL: the small world */
	const char *pid;     /* of a process in it; NULL: the lowest */
};

/*
 * ret_text: the steps, for free(). Return: 0; -EINVAL for what the user got wrong, -ENOMEM;
 * then why is one line.
 */
int walk_describe(const struct walk_options *options, char **ret_text, char *why,
		  size_t why_len);

#endif
