/* SPDX-License-Identifier: MIT */
/*
 * Accesses to a machine that tells faults by SIGSEGV: the handler resolves them, in the thread
 * that made the access, and the access goes on.
 */
#ifndef MACHINE_MEMFD_SUPPORT_H
#define MACHINE_MEMFD_SUPPORT_H

#include "machine/memfd.h"
#include "support/test.h"

typedef void (*segv_fault_fn)(void *arg, vaddr_t va, unsigned int access);

/* One access of a thread: what resolves its faults. */
struct segv_resolver {
	segv_fault_fn on_fault;
	void *arg;
	unsigned int nr_left; /* faults that may still come */
};

/* A window that is free, also where a sanitizer has most of the address space. */
void memfd_config(struct machine_memfd_config *ret_cfg, uint64_t frames);

/* memcpy() by a program; a fault that is not expected ends the process with the signal. */
void segv_copy(struct segv_resolver *r, void *to, const void *from, size_t size);

#endif
