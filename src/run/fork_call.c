/* SPDX-License-Identifier: MIT */
/*
 * fork(), as the program calls it.
 *
 * What matters is done by the handlers in fork.c, which the C library calls also where it forks
 * by itself (daemon(), forkpty()). Here is what they cannot do:
 *
 * - fail. A run has room for so many processes; fork() says EAGAIN then, as at RLIMIT_NPROC.
 * - leave the stack. A program may run on memory that it got from mmap() or malloc()
 *   (coroutines), which is managed, and managed memory is frozen from the handler before the
 *   fork to the one after it. So the C library's fork() is called on another stack then.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/bequest.h"
#include "run/fork.h"
#include "run/runtime.h"

#define STACK_BYTES ((size_t)256 * 1024) /* the program's own handlers run on it, too */

extern pid_t __fork(void); /* glibc's, by its other name */

static __thread struct rt_bequest *own_bequest;

/* rt_call_on_stack(fn, top): calls fn() with the stack that ends at top, aligned to 16. */
long rt_call_on_stack(long (*fn)(void), void *top) __attribute__((visibility("hidden")));

__asm__(".pushsection .text\n"
	".globl rt_call_on_stack\n"
	".hidden rt_call_on_stack\n"
	".type rt_call_on_stack, @function\n"
	"rt_call_on_stack:\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	mov %rsi, %rsp\n"
	"	call *%rdi\n"
	"	mov %rbp, %rsp\n"
	"	pop %rbp\n"
	"	ret\n"
	".size rt_call_on_stack, . - rt_call_on_stack\n"
	".popsection\n");

static long fork_here(void)
{
	return __fork();
}

static pid_t fork_elsewhere(void)
{
	long stack = sys_call6(SYS_mmap, 0, STACK_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long pid;

	if (sys_is_error(stack)) {
		errno = ENOMEM;
		return -1;
	}
	pid = rt_call_on_stack(fork_here, (char *)stack + STACK_BYTES);
	sys_call2(SYS_munmap, stack, STACK_BYTES);
	return (pid_t)pid;
}

/**
 * rt_fork_take_bequest() - what fork() has made already for the child of this thread's fork.
 *
 * Return: false where fork() was not called by the program.
 */
bool rt_fork_take_bequest(struct rt_bequest *ret_bequest)
{
	if (!own_bequest)
		return false;
	*ret_bequest = *own_bequest;
	own_bequest = NULL;
	return true;
}

__attribute__((visibility("default"))) pid_t fork(void)
{
	char *here = __builtin_frame_address(0);
	struct rt_bequest bequest;

	if (!rt_is_managed())
		return __fork();
	if (rt_bequest_make(&rt_runtime, &bequest)) {
		errno = EAGAIN;
		return -1;
	}
	own_bequest = &bequest;
	return rt_touches_window(&rt_runtime, (vaddr_t)here, 1) ? fork_elsewhere() : __fork();
}
