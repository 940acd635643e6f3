/* SPDX-License-Identifier: MIT */
/*
 * pthread_create(), where the signal engine resolves faults and the program gives a thread a
 * stack in managed memory. The C library's code runs on a thread's stack before there can be an
 * alternate one for signals, so no page of it may be out. Such a thread starts on a stack that
 * the C library makes, and changes to the program's when it calls what the program has asked
 * for.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "ration/types.h"
#include "run/altstack.h"
#include "run/next.h"
#include "run/runtime.h"
#include "run/trap.h"

typedef __typeof__(&pthread_create) create_fn;

struct start {
	void *(*fn)(void *arg);
	void *arg;
	void *top; /* of the program's stack */
};

__asm__(".pushsection .text\n"
	".globl rt_run_on_stack\n"
	".hidden rt_run_on_stack\n"
	".type rt_run_on_stack, @function\n"
	"rt_run_on_stack:\n"
	"	.cfi_startproc\n"
	"	push %rbp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	mov %rsp, %rbp\n"
	"	.cfi_def_cfa_register %rbp\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsp\n"
	"	call *%rax\n"
	"	mov %rbp, %rsp\n"
	"	pop %rbp\n"
	"	.cfi_def_cfa %rsp, 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size rt_run_on_stack, . - rt_run_on_stack\n"
	".popsection\n");

/* The start lies in a mapping of its own: the program's memory may be freed by then. */
static void *thread_main(void *arg)
{
	struct start start = *(struct start *)arg;

	sys_call2(SYS_munmap, (long)arg, (long)PAGE_SIZE);
	rt_altstack_install();
	return rt_run_on_stack(start.fn, start.arg, start.top);
}

/* The program's attributes, but for the stack. Return: 0 or an error. */
static int copy_attributes(const pthread_attr_t *from, pthread_attr_t *ret_to)
{
	struct sched_param param;
	int detach, policy, inherit;
	int err = pthread_attr_init(ret_to);

	if (err)
		return err;
	pthread_attr_getdetachstate(from, &detach);
	pthread_attr_setdetachstate(ret_to, detach);
	pthread_attr_getinheritsched(from, &inherit);
	pthread_attr_setinheritsched(ret_to, inherit);
	pthread_attr_getschedpolicy(from, &policy);
	pthread_attr_setschedpolicy(ret_to, policy);
	pthread_attr_getschedparam(from, &param);
	pthread_attr_setschedparam(ret_to, &param);
	return 0;
}

static int create_elsewhere(create_fn create, pthread_t *ret_thread, const pthread_attr_t *attr,
			    const struct start *start)
{
	pthread_attr_t own;
	long at = sys_call6(SYS_mmap, 0, (long)PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	if ((unsigned long)at >= (unsigned long)-4095)
		return EAGAIN;
	*(struct start *)at = *start;
	err = copy_attributes(attr, &own);
	if (!err) {
		err = create(ret_thread, &own, thread_main, (void *)at);
		pthread_attr_destroy(&own);
	}
	if (err)
		sys_call2(SYS_munmap, at, (long)PAGE_SIZE);
	return err;
}

EXPORT int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attr,
			  void *(*fn)(void *arg), void *arg)
{
	create_fn create = NEXT(pthread_create);
	void *stack = NULL;
	size_t bytes = 0;
	struct start start;

	if (!rt_is_by_signal() || !attr || pthread_attr_getstack(attr, &stack, &bytes) ||
	    !trap_is_inside((void *)((uintptr_t)stack + bytes - 1)))
		return create(ret_thread, attr, fn, arg);
	start = (struct start){
		.fn = fn,
		.arg = arg,
		.top = (void *)(((uintptr_t)stack + bytes) & ~(uintptr_t)15),
	};
	return create_elsewhere(create, ret_thread, attr, &start);
}
