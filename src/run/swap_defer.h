/* SPDX-License-Identifier: MIT */
/*
 * A swap device that threads of the program may use (swap_defer.c).
 */
#ifndef RUN_SWAP_DEFER_H
#define RUN_SWAP_DEFER_H

#include "mm/swapdev.h"

int rt_swap_defer_create(struct swapdev *inner, struct swapdev **ret_dev);
int rt_swap_defer_start(void);
bool rt_swap_defer_drain(void);
void rt_swap_defer_forked(void);

#endif
