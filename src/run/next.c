/* SPDX-License-Identifier: MIT */
#include "run/next.h"

#include <dlfcn.h>

/* The linker's: where the section begins and ends. */
extern struct rt_next __start_rt_next[] __attribute__((visibility("hidden")));
extern struct rt_next __stop_rt_next[] __attribute__((visibility("hidden")));

void *rt_next_of(struct rt_next *next)
{
	return next->function ? next->function : dlsym(RTLD_NEXT, next->name);
}

/**
 * rt_next_init() - look all functions up.
 *
 * Context: the constructor, which runs before those of all other libraries.
 */
void rt_next_init(void)
{
	for (struct rt_next *next = __start_rt_next; next < __stop_rt_next; next++)
		next->function = dlsym(RTLD_NEXT, next->name);
	dlerror(); /* is the program's to ask for */
}
