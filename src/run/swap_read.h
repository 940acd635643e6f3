/* SPDX-License-Identifier: MIT */
/*
 * Swap that threads of the program read by themselves (swap_read.c).
 */
#ifndef RUN_SWAP_READ_H
#define RUN_SWAP_READ_H

#include "mm/swapdev.h"

struct runtime;

void rt_swap_read_open(struct runtime *rt);
bool rt_swap_read(unsigned int area, const struct swapdev_io *ios, unsigned int nr,
		  struct swapdev_io *ret_done);
uint64_t rt_swap_read_next(uint64_t from);

#endif
