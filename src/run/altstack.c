/* SPDX-License-Identifier: MIT */
/*
 * Stacks for signal handlers.
 *
 * A thread's own stack may be managed memory, and out, and then the kernel cannot put a
 * signal's frame there. So the runtime's handlers run on stacks of their own, in one range of
 * address space that takes memory as it is touched.
 *
 * A thread gets one when its first signal comes, or when it asks for one (sigaltstack()), and
 * keeps it until it ends. Nobody says when a thread ends: a stack whose owner is found dead is
 * given to the next thread that wants one. With ALTSTACKS_MAX threads alive the others do
 * without, on their own stacks.
 */
#include "run/altstack.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/syscall.h"

#define ALTSTACKS_MAX 1024
#define REGION_BYTES  (ALTSTACKS_MAX * ALTSTACK_BYTES)
#define LOOKS_MAX     8 /* owners looked at before a stack that was never used is taken */
#define RESERVED      0x80000000u /* with a thread's number: for one that it is about to make */

static struct {
	vaddr_t start;
	uint32_t owner[ALTSTACKS_MAX]; /* atomic: thread number; 0: nobody's */
	uint32_t nr_used;	       /* atomic: those that ever had an owner */
	uint32_t turn;		       /* atomic: whose owner is looked at next */
} region;

/**
 * rt_altstack_init() - reserve their addresses.
 *
 * Return: 0 or -errno.
 */
int rt_altstack_init(void)
{
	long at = sys_call6(SYS_mmap, 0, REGION_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if ((unsigned long)at >= (unsigned long)-4095)
		return (int)at;
	sys_call3(SYS_madvise, at, REGION_BYTES, MADV_NOHUGEPAGE);
	region.start = (vaddr_t)at;
	return 0;
}

bool rt_altstack_contains(vaddr_t sp)
{
	return region.start != 0 && sp - region.start - 1 < REGION_BYTES;
}

/* The end of the stack that sp is on. */
vaddr_t rt_altstack_top(vaddr_t sp)
{
	uint64_t nr = (sp - region.start - 1) / ALTSTACK_BYTES;

	return region.start + (nr + 1) * ALTSTACK_BYTES;
}

/* A thread of another process may share this memory, so it is not asked by this one's number.
 */
static bool is_dead(uint32_t owner)
{
	return sys_call2(SYS_tkill, owner & ~RESERVED, 0) == -ESRCH;
}

static bool try_take(uint32_t i, uint32_t tid)
{
	uint32_t owner = __atomic_load_n(&region.owner[i], __ATOMIC_RELAXED);

	if (owner != 0 && owner != tid && !is_dead(owner))
		return false;
	return __atomic_compare_exchange_n(&region.owner[i], &owner, tid, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool take_used(uint32_t tid, uint32_t looks, uint32_t *ret_i)
{
	uint32_t used = __atomic_load_n(&region.nr_used, __ATOMIC_ACQUIRE);
	uint32_t nr = used < ALTSTACKS_MAX ? used : ALTSTACKS_MAX;

	for (uint32_t n = 0; n < looks && n < nr; n++) {
		uint32_t i = __atomic_fetch_add(&region.turn, 1, __ATOMIC_RELAXED) % nr;

		if (try_take(i, tid)) {
			*ret_i = i;
			return true;
		}
	}
	return false;
}

static bool take_new(uint32_t tid, uint32_t *ret_i)
{
	uint32_t i = __atomic_fetch_add(&region.nr_used, 1, __ATOMIC_ACQ_REL);

	if (i >= ALTSTACKS_MAX) {
		__atomic_fetch_sub(&region.nr_used, 1, __ATOMIC_ACQ_REL);
		return false;
	}
	*ret_i = i;
	return try_take(i, tid);
}

static bool claim(uint32_t owner, stack_t *ret_stack)
{
	uint32_t i = 0;

	if (region.start == 0)
		return false;
	if (!take_used(owner, LOOKS_MAX, &i) && !take_new(owner, &i) &&
	    !take_used(owner, ALTSTACKS_MAX, &i))
		return false;
	*ret_stack = (stack_t){
		.ss_sp = (void *)(region.start + i * ALTSTACK_BYTES),
		.ss_size = ALTSTACK_BYTES,
	};
	return true;
}

/**
 * rt_altstack_claim() - a stack for this thread.
 *
 * Return: false if there is none left.
 */
bool rt_altstack_claim(stack_t *ret_stack)
{
	return claim((uint32_t)sys_call2(SYS_gettid, 0, 0), ret_stack);
}

/**
 * rt_altstack_reserve() - a stack for a thread that this one is about to make.
 *
 * rt_altstack_give() says which it has become.
 *
 * Return: false if there is none left.
 */
bool rt_altstack_reserve(stack_t *ret_stack)
{
	return claim((uint32_t)sys_call2(SYS_gettid, 0, 0) | RESERVED, ret_stack);
}

/**
 * rt_altstack_give() - a reserved stack is a thread's.
 * @tid: 0: nobody's.
 */
void rt_altstack_give(const stack_t *stack, uint32_t tid)
{
	uint64_t i = ((vaddr_t)stack->ss_sp - region.start) / ALTSTACK_BYTES;

	__atomic_store_n(&region.owner[i], tid, __ATOMIC_RELEASE);
}

/**
 * rt_altstack_install() - this thread's signals run on one of ours, if they do not yet.
 */
void rt_altstack_install(void)
{
	stack_t stack;

	if (sys_call2(SYS_sigaltstack, 0, (long)&stack) != 0)
		return;
	if (!(stack.ss_flags & SS_DISABLE) && rt_altstack_contains((vaddr_t)stack.ss_sp + 1))
		return;
	if (rt_altstack_claim(&stack))
		sys_call2(SYS_sigaltstack, (long)&stack, 0);
}

/**
 * rt_altstack_arm() - a thread that has no such stack gets one when the handler of this signal
 * returns: the kernel sets what the signal's frame says.
 */
void rt_altstack_arm(ucontext_t *context)
{
	if (context->uc_stack.ss_flags & SS_DISABLE)
		rt_altstack_claim(&context->uc_stack);
}

/**
 * rt_altstack_forked() - in the child of a fork: this thread keeps the one it has, the others'
 * owners are not here.
 */
void rt_altstack_forked(void)
{
	uint32_t tid = (uint32_t)sys_call2(SYS_gettid, 0, 0);
	stack_t stack = {.ss_flags = SS_DISABLE};
	vaddr_t own;

	sys_call2(SYS_sigaltstack, 0, (long)&stack);
	own = stack.ss_flags & SS_DISABLE ? 0 : (vaddr_t)stack.ss_sp;
	for (uint32_t i = 0; i < ALTSTACKS_MAX; i++)
		region.owner[i] = region.start + i * ALTSTACK_BYTES == own ? tid : 0;
}
