/* SPDX-License-Identifier: MIT */
/*
 * The machine as the runtime uses it beyond mm/machine.h: userfaultfd's (machine/host.h), or
 * the memory file's where a fault is SIGSEGV (machine/memfd.h).
 */
#ifndef RUN_PORT_H
#define RUN_PORT_H

#include "ration/types.h"

struct runtime;

int rt_port_create(struct runtime *rt);
int rt_port_window_restore(struct runtime *rt, vaddr_t start, vaddr_t end);
void rt_port_wake(struct runtime *rt, vaddr_t va);
int rt_port_poison(struct runtime *rt, vaddr_t va);
void rt_port_note_device(struct runtime *rt);

/* While the process forks. */
int rt_port_lend(struct runtime *rt, vaddr_t va, const void *frame);
int rt_port_take_back(struct runtime *rt, vaddr_t va, void *frame);
int rt_port_create_copy(struct runtime *rt);
int rt_port_copy(struct runtime *rt, uint32_t tid, int copy);
bool rt_port_is_inherited(const struct runtime *rt);
int rt_port_adopt(struct runtime *rt, int copy);
int rt_port_reattach(struct runtime *rt);

#endif
