/* SPDX-License-Identifier: MIT */
/*
 * clone(2) and clone3(2) with an address of the window among their arguments, as programs make
 * them that have threads of their own, without the C library's.
 *
 * A thread whose stack is managed memory must have another one for signals before its first
 * instruction: its stack may be out by then, and the kernel has dropped its creator's alternate
 * one. So the new thread begins on one of ours, in a copy of the frame of the signal that has
 * brought us here, changed to what the thread is to be. It returns from that signal, and has
 * its registers, its mask, its alternate stack, and the stack that the program wants.
 *
 *	our stack for the new thread
 *	  [ restorer | context: rax 0, rsp the program's ... | registers ]
 *	    ^ the new thread's stack pointer: the stub's `ret` goes to the restorer
 *
 * All else makes the call where the program did, with what it points to brought in: a child
 * that does not share memory; vfork, which keeps its creator's alternate stack.
 *
 * Where the kernel writes the new thread's number it does not say so if it could not. The place
 * holds a number that is no thread's meanwhile, so that it shows.
 */
#include <errno.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "base/syscall.h"
#include "run/action.h"
#include "run/altstack.h"
#include "run/thread.h"
#include "run/trap.h"

#define NOBODY	 0x3fffffffu /* no thread's number */
#define SW_BYTES 48 /* at the end of the registers as FXSAVE has them: struct _fpx_sw_bytes */

/* A place for a thread's number. */
struct place {
	vaddr_t at; /* 0: none, or it need not be looked after */
	uint32_t old;
};

static bool fetch(long nr, const long *args, struct clone_args *ret_args)
{
	if (nr == SYS_clone) {
		*ret_args = (struct clone_args){
			.flags = (uint64_t)args[0] & ~(uint64_t)CSIGNAL,
			.stack = (uint64_t)args[1],
			.parent_tid = (uint64_t)args[2],
			.child_tid = (uint64_t)args[3],
			.tls = (uint64_t)args[4],
		};
		return true;
	}
	memset(ret_args, 0, sizeof(*ret_args));
	return trap_copy(ret_args, (void *)args[0],
			 min_u64((uint64_t)args[1], sizeof(*ret_args))) == 0;
}

static struct place place_mark(vaddr_t at)
{
	struct place place = {0};

	if (trap_is_inside((void *)at) &&
	    trap_copy(&place.old, (void *)at, sizeof(place.old)) == 0 &&
	    trap_swap(at, place.old, NOBODY))
		place.at = at;
	return place;
}

/* What the kernel has written, or the thread has cleared since, stays. */
static void place_settle(const struct place *place, long tid)
{
	if (place->at)
		trap_swap(place->at, NOBODY, tid > 0 ? (uint32_t)tid : place->old);
}

/* Bytes of the frame that the kernel has made, up to the end of the registers in it. */
static size_t frame_bytes(const ucontext_t *context)
{
	vaddr_t registers = (vaddr_t)context->uc_mcontext.fpregs;
	struct _fpx_sw_bytes sw;
	size_t bytes = sizeof(*context->uc_mcontext.fpregs);

	memcpy(&sw, (void *)(registers + bytes - SW_BYTES), sizeof(sw));
	if (sw.magic1 == FP_XSTATE_MAGIC1)
		bytes = sw.extended_size;
	return registers + bytes - ((vaddr_t)context - sizeof(void *));
}

/* Return: where the new thread begins. */
static vaddr_t frame_make(const ucontext_t *context, const stack_t *stack, uint64_t sp)
{
	vaddr_t from = (vaddr_t)context - sizeof(void *);
	vaddr_t top = (vaddr_t)stack->ss_sp + stack->ss_size;
	size_t bytes = frame_bytes(context);
	vaddr_t to = rt_frame_place(from, bytes, top);
	ucontext_t *copy = (ucontext_t *)(to + sizeof(void *));

	memcpy((void *)to, (void *)from, bytes);
	copy->uc_mcontext.fpregs = (void *)((vaddr_t)context->uc_mcontext.fpregs + (to - from));
	copy->uc_mcontext.gregs[REG_RAX] = 0;
	copy->uc_mcontext.gregs[REG_RSP] = (greg_t)sp;
	copy->uc_stack = *stack;
	return to;
}

static long call_kernel(long nr, const long *args, struct clone_args *clone, vaddr_t sp,
			const stack_t *stack)
{
	if (nr == SYS_clone)
		return TRAP_KERNEL(nr, args[0], (long)sp, args[2], args[3], args[4], args[5]);
	clone->stack = (uint64_t)stack->ss_sp;
	clone->stack_size = sp - clone->stack;
	return TRAP_KERNEL(nr, (long)clone, (long)min_u64((uint64_t)args[1], sizeof(*clone)));
}

static long make_thread(const ucontext_t *context, long nr, const long *args,
			struct clone_args *clone)
{
	struct place parent = {0}, child = {0};
	uint64_t sp = clone->stack + clone->stack_size, signals;
	stack_t stack = {0};
	long tid;

	if (!rt_altstack_reserve(&stack))
		return -EAGAIN;
	rt_signals_block(&signals);
	if (clone->flags & CLONE_PARENT_SETTID)
		parent = place_mark(clone->parent_tid);
	if ((clone->flags & CLONE_CHILD_SETTID) && clone->child_tid != parent.at)
		child = place_mark(clone->child_tid);
	tid = call_kernel(nr, args, clone, frame_make(context, &stack, sp), &stack);
	place_settle(&child, tid);
	place_settle(&parent, tid);
	rt_altstack_give(&stack, tid > 0 ? (uint32_t)tid : 0);
	rt_signals_restore(signals);
	return tid;
}

static void bring_in(vaddr_t va, size_t len)
{
	if (trap_is_inside((void *)va))
		trap_touch(va, len);
}

static void resume_at_stub(greg_t *regs, long nr)
{
	regs[REG_RAX] = nr;
	regs[REG_R9] = regs[REG_RIP];
	regs[REG_RIP] = (greg_t)TRAP_STUB_RESUME;
}

/**
 * trap_clone() - make the clone that was asked for.
 * @context: of the signal by which the call was caught; says where to go on.
 * @nr: SYS_clone or SYS_clone3.
 *
 * Context: as trap_do().
 */
void trap_clone(ucontext_t *context, long nr, const long *args)
{
	greg_t *regs = context->uc_mcontext.gregs;
	struct clone_args clone;

	if (!fetch(nr, args, &clone)) {
		regs[REG_RAX] = -EFAULT;
		return;
	}
	bring_in(clone.parent_tid, sizeof(uint32_t));
	bring_in(clone.child_tid, sizeof(uint32_t));
	bring_in(clone.pidfd, sizeof(uint32_t));
	bring_in(clone.set_tid, clone.set_tid_size * sizeof(uint32_t));
	bring_in(clone.stack + clone.stack_size - PAGE_SIZE, PAGE_SIZE);
	if ((clone.flags & (CLONE_VM | CLONE_VFORK)) == CLONE_VM && clone.stack)
		regs[REG_RAX] = make_thread(context, nr, args, &clone);
	else
		resume_at_stub(regs, nr);
}
