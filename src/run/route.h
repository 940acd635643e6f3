/* SPDX-License-Identifier: MIT */
/*
 * Which of the program's mappings the manager manages (route.c).
 */
#ifndef RUN_ROUTE_H
#define RUN_ROUTE_H

#include "ration/types.h"

enum rt_route {
	RT_ROUTE_HOST,	  /* the kernel's */
	RT_ROUTE_MANAGED, /* the manager's */
	RT_ROUTE_FOREIGN, /* the kernel's, at a place inside the window */
	RT_ROUTE_NO_ROOM, /* across the window's bound: -ENOMEM */
};

struct rt_window {
	vaddr_t start, end;
};

enum rt_route rt_route_mmap(const struct rt_window *window, vaddr_t addr, uint64_t len,
			    int prot, int flags);

#endif
