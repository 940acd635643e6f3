/* SPDX-License-Identifier: MIT */
/*
 * The process's arena, for the files that give it its C names.
 */
#ifndef MALLOC_PROCESS_H
#define MALLOC_PROCESS_H

#include "malloc/arena.h"

extern struct arena malloc_process_arena;

#endif
