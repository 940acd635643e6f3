/* SPDX-License-Identifier: MIT */
/*
 * System calls without the C library: no errno, no cancellation point, no thread-local storage,
 * so that the runtime's own threads, which share the program's, may make them.
 * Return: the kernel's: a value, or -errno in [-4095, -1] (sys_is_error()).
 *
 * The instruction itself is in one place, so that a filter on system calls can tell who makes
 * them by their address: sys_entry, which a runtime under such a filter may set to a copy at an
 * address that the filter knows.
 */
#ifndef BASE_SYSCALL_H
#define BASE_SYSCALL_H

#include <stdbool.h>

#include "base/chaos.h"

/* Executes `syscall; ret`. Set before any second thread. */
extern const void *sys_entry __attribute__((visibility("hidden")));

#ifdef __clang_analyzer__
/* May write anything. */
long sys_call_from(const void *entry, long nr, long a, long b, long c, long d, long e, long f);
long sys_call6(long nr, long a, long b, long c, long d, long e, long f);
#else
/* By the `syscall; ret` at entry. */
static inline long sys_call_from(const void *entry, long nr, long a, long b, long c, long d,
				 long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	register const void *r11 __asm__("r11") = entry; /* the kernel's to clobber */
	long ret;

	/* The return address must not go where a leaf function keeps its variables. */
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "call *%[entry]\n\t"
			 "lea 128(%%rsp), %%rsp"
			 : "=a"(ret), [entry] "+r"(r11)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "cc", "memory");
	return ret;
}

static inline long sys_call_now(long nr, long a, long b, long c, long d, long e, long f)
{
	return sys_call_from(sys_entry, nr, a, b, c, d, e, f);
}

static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;

	chaos_point();
	ret = sys_call_now(nr, a, b, c, d, e, f);
	chaos_point();
	return ret;
}
#endif

static inline bool sys_is_error(long ret)
{
	return (unsigned long)ret >= (unsigned long)-4095;
}

static inline long sys_call4(long nr, long a, long b, long c, long d)
{
	return sys_call6(nr, a, b, c, d, 0, 0);
}

static inline long sys_call3(long nr, long a, long b, long c)
{
	return sys_call6(nr, a, b, c, 0, 0, 0);
}

static inline long sys_call2(long nr, long a, long b)
{
	return sys_call6(nr, a, b, 0, 0, 0, 0);
}

#endif
