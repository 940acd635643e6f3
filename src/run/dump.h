/* SPDX-License-Identifier: MIT */
#ifndef RUN_DUMP_H
#define RUN_DUMP_H

#include <stdbool.h>
#include <stdint.h>

struct runtime;

bool rt_dump_is_wanted(void);
void rt_dump_gather(void);
bool rt_dump_park(void);
void rt_dump_forked(void);
long rt_dump_take(struct runtime *rt, const uint64_t *args);

#endif
