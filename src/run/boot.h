/* SPDX-License-Identifier: MIT */
/*
 * What making the runtime and making it again in a fork's child share (init.c).
 */
#ifndef RUN_BOOT_H
#define RUN_BOOT_H

struct runtime;

_Noreturn void rt_fatal(const char *what, int err);
int rt_boot(int (*start)(struct runtime *rt, const char *path, const char **ret_what),
	    const char *path);
int rt_start_threads(struct runtime *rt);

#endif
