/* SPDX-License-Identifier: MIT */
#ifndef RUN_SPAWN_H
#define RUN_SPAWN_H

/*
 * spawn_wrap.c: all that the call needs is at hand. A child that is to be traced from here on
 * must not fault any more.
 */
void rt_exec_begins(void);

#endif
