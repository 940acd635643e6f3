/* SPDX-License-Identifier: MIT */
#ifndef PROGRAMS_RAW_H
#define PROGRAMS_RAW_H

/* A system call made here, not in the C library. */
static long raw(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

#endif
