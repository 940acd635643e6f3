/* SPDX-License-Identifier: MIT */
/*
 * The end of a thread. The kernel then reads and writes the thread's memory by itself, and
 * where that is out it gives up without a word: whoever waits for a robust mutex of the thread,
 * or for its number to be cleared, would wait for ever. So both are done here, as
 * Documentation/locking/robust-futexes.rst of Linux has it, and the kernel finds nothing to do.
 *
 * 1. A robust mutex of the thread says that its owner is dead before the thread's number is
 *    cleared; entries of the list that are not its own are left alone.
 * 2. After the number is cleared the program may free the thread's stack and its thread-local
 *    storage. So all of this runs on a stack of ours, with signals blocked.
 * 3. Nothing is written where there is no memory (any more); nobody is told.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "run/altstack.h"
#include "run/thread.h"
#include "run/trap.h"

#define LIST_MAX  2048 /* entries, as the kernel (ROBUST_LIST_LIMIT) */
#define SWAPS_MAX 1000000
#define PI	  1ul /* in an entry's address: of a mutex that inherits priorities */

static void wake_one(vaddr_t futex)
{
	long err;

	do
		err = sys_call3(SYS_futex, (long)futex, FUTEX_WAKE, 1);
	while (err == -EFAULT && trap_touch(futex, sizeof(uint32_t)));
}

/* handle_futex_death() of kernel/futex/core.c. Return: false: there is no such memory. */
static bool say_dead(vaddr_t futex, uint32_t tid, bool is_pi, bool is_pending)
{
	uint32_t old;

	if (futex % sizeof(uint32_t) != 0)
		return false;
	for (unsigned int i = 0; i < SWAPS_MAX; i++) {
		if (trap_copy(&old, (void *)futex, sizeof(old)) != 0)
			return false;
		if (is_pending && !is_pi && (old & FUTEX_TID_MASK) == 0)
			wake_one(futex); /* it was about to */
		if ((old & FUTEX_TID_MASK) != tid)
			return true;
		if (trap_swap(futex, old, (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
			break;
	}
	if (!is_pi && (old & FUTEX_WAITERS))
		wake_one(futex);
	return true;
}

static bool fetch_next(vaddr_t entry, vaddr_t *ret_next)
{
	return trap_copy(ret_next, (void *)(entry & ~PI), sizeof(*ret_next)) == 0;
}

/* exit_robust_list() of the same. */
static void leave_mutexes(uint32_t tid)
{
	struct robust_list_head head, *at = NULL;
	vaddr_t entry, next, pending;
	size_t len;

	if (sys_call3(SYS_get_robust_list, 0, (long)&at, (long)&len) != 0 || !at ||
	    trap_copy(&head, at, sizeof(head)) != 0)
		return;
	pending = (vaddr_t)head.list_op_pending;
	entry = (vaddr_t)head.list.next;
	for (unsigned int i = 0; i < LIST_MAX && (entry & ~PI) != (vaddr_t)at; i++) {
		bool has_next = fetch_next(entry, &next); /* the next owner may change it */

		if (entry != pending && !say_dead((entry & ~PI) + (vaddr_t)head.futex_offset,
						  tid, entry & PI, false))
			break;
		if (!has_next)
			break;
		entry = next;
	}
	if (pending)
		say_dead((pending & ~PI) + (vaddr_t)head.futex_offset, tid, pending & PI, true);
	sys_call2(SYS_set_robust_list, 0, sizeof(head));
}

static void clear_number(void)
{
	const uint32_t zero = 0;
	vaddr_t at = 0;

	if (sys_call6(SYS_prctl, PR_GET_TID_ADDRESS, (long)&at, 0, 0, 0, 0) != 0 ||
	    !trap_is_inside((void *)at))
		return;
	sys_call2(SYS_set_tid_address, 0, 0);
	trap_touch(at, sizeof(zero));
	if (trap_copy((void *)at, &zero, sizeof(zero)) == 0)
		wake_one(at);
}

_Noreturn static void *leave(void *status)
{
	leave_mutexes((uint32_t)sys_call2(SYS_gettid, 0, 0));
	clear_number();
	for (;;)
		sys_call2(SYS_exit, (long)status, 0);
}

/**
 * trap_exit() - exit(2) of a thread of the program.
 *
 * Context: as trap_do(); does not return.
 */
void trap_exit(long status)
{
	vaddr_t here = (vaddr_t)__builtin_frame_address(0);
	uint64_t signals;
	stack_t stack;

	rt_signals_block(&signals);
	if (!rt_altstack_contains(here) && rt_altstack_claim(&stack) &&
	    sys_call2(SYS_sigaltstack, (long)&stack, 0) == 0)
		rt_run_on_stack(leave, (void *)status, (char *)stack.ss_sp + stack.ss_size);
	leave((void *)status);
}
