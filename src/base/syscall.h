/* SPDX-License-Identifier: MIT */
/*
 * System calls without the C library: no errno, no cancellation point, no thread-local storage,
 * so that the runtime's own threads, which share the program's, may make them.
 * Return: the kernel's: a value, or -errno in [-4095, -1].
 */
#ifndef BASE_SYSCALL_H
#define BASE_SYSCALL_H

#ifdef __clang_analyzer__
long sys_call6(long nr, long a, long b, long c, long d, long e,
	       long f); /* may write anything */
#else
static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#endif

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
