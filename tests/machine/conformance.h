/* SPDX-License-Identifier: MIT */
/*
 * What every machine must do, as mm/machine.h says it, in cases that any machine can be put
 * through. The cases play the manager: they tell the machine what is translated, resolve the
 * faults of accesses, and look at frames while they are not mapped.
 */
#ifndef MACHINE_CONFORMANCE_H
#define MACHINE_CONFORMANCE_H

#include "mm/machine.h"
#include "support/test.h"

#define CONFORMANCE_FRAMES 1024
#define CONFORMANCE_PAGES  1024

/* size bytes of one page at va are read to load, or written from store. */
struct conformance_access {
	struct machine *m;
	struct machine_space *space;
	vaddr_t va;
	void *load;
	const void *store;
	size_t size;

	/* va may be any byte of the page; access: MM_ACCESS_READ or MM_ACCESS_WRITE. */
	void (*on_fault)(void *arg, vaddr_t va, unsigned int access);
	void *arg;
};

struct conformance_env {
	const char *name;

	/*
	 * A machine with CONFORMANCE_FRAMES frames at least, and a range that a space may have,
	 * CONFORMANCE_PAGES pages at least. test_skip() where there is none.
	 */
	struct machine *(*create)(const struct conformance_env *env, vaddr_t *ret_start,
				  vaddr_t *ret_end);
	void (*destroy)(const struct conformance_env *env, struct machine *m);

	/*
	 * Makes the access as a program does. For each fault it calls on_fault(), in the thread
	 * that called it; that resolves the fault by apply(), and then the access goes on.
	 * Returns when the access is through. Called from several threads at a time, but then
	 * only for pages whose translation allows the access.
	 */
	void (*access)(const struct conformance_env *env, const struct conformance_access *a);
	const void *arg; /* the environment's own */
};

/* Each case in each environment. Return: main()'s, as test_run(). */
int conformance_run(const struct conformance_env *const *envs, size_t nr);

#endif
