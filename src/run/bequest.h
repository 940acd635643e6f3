/* SPDX-License-Identifier: MIT */
/*
 * What a process opens for its child to inherit (bequest.c).
 */
#ifndef RUN_BEQUEST_H
#define RUN_BEQUEST_H

#include "run/share.h"

struct runtime;

struct rt_bequest {
	struct run_map map;	     /* holds the child's entry until the child does */
	unsigned int slot;	     /* the child's entry */
	int swap_fds[RUN_AREAS_MAX]; /* -1: to be opened through the launcher */
	unsigned int nr_swap_fds;
};

int rt_bequest_make(const struct runtime *rt, struct rt_bequest *ret_bequest);
void rt_bequest_close(struct rt_bequest *bequest);
int rt_bequest_adopt(struct runtime *rt, const struct rt_bequest *bequest);
int rt_bequest_open_swap(const struct runtime *rt, const struct rt_bequest *bequest,
			 unsigned int area, int *ret_fd);

#endif
