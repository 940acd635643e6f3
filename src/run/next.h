/* SPDX-License-Identifier: MIT */
/*
 * Functions that the program finds here in place of the C library's, and the C library's own of
 * such a name (next.c).
 */
#ifndef RUN_NEXT_H
#define RUN_NEXT_H

#include <stddef.h>

#define EXPORT __attribute__((visibility("default"))) /* preload.map names it, too */

struct rt_next {
	const char *name;
	void *function; /* NULL before the constructor */
};

/*
 * All are looked up by the constructor. dlsym(3) takes locks, and frees what an earlier failure
 * has left: not for a signal handler, nor for the midst of a fork.
 */
#define NEXT(name)                                                                 \
	({                                                                         \
		static struct rt_next next_                                        \
			__attribute__((section("rt_next"), used)) = {#name, NULL}; \
                                                                                   \
		(__typeof__(&name))rt_next_of(&next_);                             \
	})

void *rt_next_of(struct rt_next *next);
void rt_next_init(void);

#endif
