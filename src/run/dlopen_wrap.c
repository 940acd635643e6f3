/* SPDX-License-Identifier: MIT */
/*
 * dlopen() without RTLD_DEEPBIND. A library that is opened with it looks for names in its own
 * dependencies first, finds the C library's malloc() and free() there, and gives the one an
 * object of the other: PHP opens its extensions so. Every program with a malloc of its own has
 * that difficulty; here the program is not asked whether it wants one.
 *
 * 1. The C library goes by who called dlopen() ($ORIGIN, RUNPATH, the namespace), so the
 * wrapper leaves no frame: it changes the flags and jumps.
 */
#include <dlfcn.h>

#include "run/interpose.h"

_Static_assert(RTLD_DEEPBIND == 8, "the assembly below clears this bit");

/* The C library's own. Hidden, so that the assembly finds it without a table. */
void *rt_next_dlopen __attribute__((visibility("hidden")));

__asm__(".pushsection .text\n"
	".globl dlopen\n"
	".type dlopen, @function\n"
	"dlopen:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	and $~8, %esi\n"
	"	jmp *rt_next_dlopen(%rip)\n"
	"	.cfi_endproc\n"
	".size dlopen, . - dlopen\n"
	".popsection\n");

/**
 * rt_dlopen_init() - find the C library's dlopen().
 *
 * Context: the constructor, which runs before those of all other libraries.
 */
void rt_dlopen_init(void)
{
	rt_next_dlopen = dlsym(RTLD_NEXT, "dlopen");
}
