/* SPDX-License-Identifier: MIT */
/*
 * Calls of the program's threads, carried out by the service thread (service.c).
 */
#ifndef RUN_SERVICE_H
#define RUN_SERVICE_H

#include "ration/types.h"

struct runtime;

/* What is asked, with its arguments. */
enum rt_op {
	RT_OP_MAP,   /* addr, len, prot, flags: mmap() of what the manager manages */
	RT_OP_PLACE, /* addr, len, prot, flags, from: the host's mapping at from moves there */
	RT_OP_UNMAP, /* addr, len */
	RT_OP_PROTECT, /* addr, len, prot */
	RT_OP_REMAP,   /* addr, old_len, new_len, flags, new_addr */
	RT_OP_ADVISE,  /* addr, len, advice */
	RT_OP_LOCK,    /* addr, len, flags of mlock2() */
	RT_OP_UNLOCK,  /* addr, len */
	RT_OP_UNLOCK_ALL,
	RT_OP_BRK,	   /* brk; answers as the system call does: where the break is then */
	RT_OP_SBRK,	   /* delta; answers where the break was */
	RT_OP_FORK_FREEZE, /* tid, slot, descriptor of rt_port_create_copy() */
	RT_OP_FORK_THAW,
	RT_OP_FAULT, /* address, MM_ACCESS_*, thread: of the signal engine */
	RT_OP_DUMP,  /* run/dump.c */
	RT_NR_OPS,
};

#define RT_ARGS_MAX 5

struct rt_request {
	enum rt_op op;
	uint64_t args[RT_ARGS_MAX];
};

long rt_service_call(const struct rt_request *request);
void rt_service_reset(void);
_Noreturn void rt_service_run(struct runtime *rt);

/* service_ops.c */
long rt_service_do(struct runtime *rt, const struct rt_request *request);

#endif
