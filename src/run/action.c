/* SPDX-License-Identifier: MIT */
/*
 * Signals of a program whose page faults are signals, too.
 *
 * 1. SIGBUS, SIGSEGV and SIGSYS are the runtime's in the kernel (engine_signal.c). What the
 *    program wants with them is kept here, and done for those that are not the runtime's.
 * 2. They are never blocked in the kernel: a fault whose signal is blocked kills. The program
 *    sees a mask in which they are as it has set them.
 * 3. Each handler of the program is called by one of ours, which the kernel calls on a stack
 *    outside of managed memory (altstack.c): to put its frame on the program's stack the kernel
 *    would need that to be resident. From there the frame is copied to where the program wants
 *    it, its own stack or the alternate one that it has asked for, and the program's handler is
 *    called on it as the kernel would have called it: the frame is the kernel's own, and
 *    sigreturn(2) reads it where it is then. The copy faults as any access does.
 * 4. A signal that comes while something runs on one of our stacks (a system call that is
 *    carried out for the program) is handled there, below it, and its frame is not copied:
 *    leaving the stack would give its upper end, which is in use, to the next signal.
 *
 * 5. Where a core is asked for when the process begins, what ends it with one by default has a
 *    handler, too, that brings all memory in before it does (dump.c). Not in the init process
 *    of a PID namespace, which the kernel protects from signals that it does not handle.
 *
 * A write to the table is made with signals blocked, under a count that is odd meanwhile;
 * readers read again if it was odd or has changed.
 */
#include "run/action.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "base/syscall.h"
#include "run/altstack.h"
#include "run/dump.h"
#include "run/engine.h"
#include "run/runtime.h"
#include "run/thread.h"
#include "run/trap.h"

#define SA_RESTORER_FLAG 0x04000000u
#define RED_ZONE	 128
#define FRAME_ALIGN	 64
#define BIT(sig)	 (1ull << ((sig)-1))
#define NR_FAULT_SIGNALS 3

/* What dumps core by default, but for the signals of faults. */
#define CORE_SIGNALS                                                              \
	(BIT(SIGABRT) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGQUIT) | BIT(SIGTRAP) | \
	 BIT(SIGXCPU) | BIT(SIGXFSZ))

extern const char rt_restorer[] __attribute__((visibility("hidden")));
_Noreturn void rt_jump(void *handler, int sig, void *info, void *context, void *frame)
	__attribute__((visibility("hidden")));

/* The bytes of the first are what debuggers and unwinders know a signal's frame by. */
__asm__(".pushsection .text\n"
	".globl rt_restorer, rt_jump\n"
	".hidden rt_restorer, rt_jump\n"
	"	nop\n"
	".type rt_restorer, @function\n"
	"rt_restorer:\n"
	"	mov $15, %rax\n"
	"	syscall\n"
	".size rt_restorer, . - rt_restorer\n"
	".type rt_jump, @function\n"
	"rt_jump:\n"
	"	mov %r8, %rsp\n"
	"	mov %rdi, %r11\n"
	"	mov %esi, %edi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	xor %eax, %eax\n"
	"	jmp *%r11\n"
	".size rt_jump, . - rt_jump\n"
	".popsection\n");

static struct rt_action table[_NSIG];
static uint64_t core_signals; /* those of CORE_SIGNALS that have a handler of ours */
static uint32_t table_seq;    /* atomic; odd: being written */

static __thread stack_t own_stack;   /* the alternate stack that the program has asked for */
static __thread uint64_t own_hidden; /* of RT_FAULT_SIGNALS, those that it has blocked */

/* Sent, not caused by a fault, while they are so: one of each kind is kept, as by the kernel.
 */
static __thread struct {
	uint64_t set;
	siginfo_t infos[NR_FAULT_SIGNALS];
} own_pending;

static struct rt_action table_get(int sig)
{
	struct rt_action action;
	uint32_t seq;

	do {
		seq = __atomic_load_n(&table_seq, __ATOMIC_ACQUIRE);
		action = table[sig];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while ((seq & 1) || seq != __atomic_load_n(&table_seq, __ATOMIC_RELAXED));
	return action;
}

static void table_lock(void)
{
	uint32_t seq;

	do
		seq = __atomic_load_n(&table_seq, __ATOMIC_RELAXED) & ~1u;
	while (!__atomic_compare_exchange_n(&table_seq, &seq, seq + 1, true, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED));
}

static void table_unlock(void)
{
	__atomic_add_fetch(&table_seq, 1, __ATOMIC_RELEASE);
}

static bool is_handler(const void *handler)
{
	return handler != (void *)SIG_DFL && handler != (void *)SIG_IGN;
}

static bool dumps_core(int sig, const void *handler)
{
	return handler == (void *)SIG_DFL && (core_signals & BIT(sig)) != 0;
}

static bool is_ours(int sig)
{
	return (RT_FAULT_SIGNALS & BIT(sig)) != 0;
}

static long kernel_sigaction(int sig, const struct rt_action *new_action,
			     struct rt_action *ret_old)
{
	return sys_call4(SYS_rt_sigaction, sig, (long)new_action, (long)ret_old,
			 sizeof(uint64_t));
}

/* -- Signals of faults that are sent while the program blocks them -- */

static const int fault_signals[NR_FAULT_SIGNALS] = {SIGBUS, SIGSEGV, SIGSYS};

static void keep(int sig, const siginfo_t *info)
{
	for (unsigned int i = 0; i < NR_FAULT_SIGNALS; i++)
		if (fault_signals[i] == sig && !(own_pending.set & BIT(sig)))
			own_pending.infos[i] = *info;
	own_pending.set |= BIT(sig);
}

/* They come again, to be handled before this returns. */
static void release(void)
{
	for (unsigned int i = 0; i < NR_FAULT_SIGNALS; i++) {
		int sig = fault_signals[i];

		if (!(own_pending.set & ~own_hidden & BIT(sig)))
			continue;
		own_pending.set &= ~BIT(sig);
		sys_call4(SYS_rt_tgsigqueueinfo, sys_call2(SYS_getpid, 0, 0),
			  sys_call2(SYS_gettid, 0, 0), sig, (long)&own_pending.infos[i]);
	}
}

/* -- Calling the program's handler -- */

static bool is_on(const stack_t *stack, vaddr_t sp)
{
	return stack->ss_sp && sp - (vaddr_t)stack->ss_sp - 1 < stack->ss_size;
}

/* Where the program wants the frame to end. */
static vaddr_t frame_target(const struct rt_action *action, vaddr_t sp)
{
	if ((action->flags & SA_ONSTACK) && own_stack.ss_sp && !is_on(&own_stack, sp))
		return (vaddr_t)own_stack.ss_sp + own_stack.ss_size;
	return sp - RED_ZONE;
}

static void set_default(int sig)
{
	struct rt_action action = {.handler = (void *)SIG_DFL};
	uint64_t mask = BIT(sig);

	kernel_sigaction(sig, &action, NULL);
	sys_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&mask, 0, sizeof(mask));
}

/* A signal that is sent does not end the first process of a namespace; a fault of its does. */
_Noreturn static void die_of(int sig)
{
	rt_dump_gather();
	set_default(sig);
	sys_call3(SYS_tgkill, sys_call2(SYS_getpid, 0, 0), sys_call2(SYS_gettid, 0, 0), sig);
	set_default(SIGSEGV);
	for (;;)
		__asm__ volatile("hlt");
}

/**
 * rt_frame_place() - where a copy of a signal's frame may lie: aligned as the kernel has it.
 * @from: where it lies.
 * @len: bytes of it.
 * @end: at or above the end of the copy.
 */
vaddr_t rt_frame_place(vaddr_t from, size_t len, vaddr_t end)
{
	return ((end - len) & ~(vaddr_t)(FRAME_ALIGN - 1)) - FRAME_ALIGN +
	       (from & (FRAME_ALIGN - 1));
}

/* The kernel's frame: the return address, the context, what it says of the signal, registers.
 */
_Noreturn static void call_elsewhere(const struct rt_action *action, int sig, siginfo_t *info,
				     ucontext_t *context)
{
	vaddr_t from = (vaddr_t)context - sizeof(void *);
	size_t len = rt_altstack_top(from) - from;
	vaddr_t target = frame_target(action, (vaddr_t)context->uc_mcontext.gregs[REG_RSP]);
	vaddr_t to = rt_frame_place(from, len, target);
	ucontext_t *moved = (ucontext_t *)((vaddr_t)context + (to - from));

	if (trap_copy((void *)to, (void *)from, len) != 0)
		die_of(SIGSEGV); /* no room for it: as the kernel */
	if (moved->uc_mcontext.fpregs)
		moved->uc_mcontext.fpregs =
			(void *)((vaddr_t)moved->uc_mcontext.fpregs + (to - from));
	rt_jump(action->handler, sig, (char *)info + (to - from), moved, (void *)to);
}

static void call_handler(const struct rt_action *action, int sig, siginfo_t *info,
			 ucontext_t *context)
{
	void (*handler)(int, siginfo_t *, void *);
	bool is_on_ours = rt_altstack_contains((vaddr_t)context);
	bool was_on_ours = rt_altstack_contains((vaddr_t)context->uc_mcontext.gregs[REG_RSP]);

	if (is_on_ours && !was_on_ours)
		call_elsewhere(action, sig, info, context);
	memcpy(&handler, &action->handler, sizeof(handler));
	handler(sig, info, context);
}

static long change_action(int sig, const struct rt_action *action);

/* The kernel has done so. */
static void forget_action(int sig)
{
	struct rt_action none = {.handler = (void *)SIG_DFL};

	change_action(sig, &none);
}

/* What the kernel calls for signals that the program handles. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
	struct rt_action action = table_get(sig);
	uint64_t faults = RT_FAULT_SIGNALS;

	/* sigsuspend(), ppoll() and their like may have blocked them. */
	sys_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&faults, 0, sizeof(faults));
	rt_altstack_arm(context);
	if (dumps_core(sig, action.handler))
		die_of(sig);
	if (!is_handler(action.handler))
		return; /* it has been taken away just now */
	if (action.flags & (uint64_t)SA_RESETHAND)
		forget_action(sig);
	call_handler(&action, sig, info, context);
}

/**
 * rt_action_deliver() - SIGBUS, SIGSEGV or SIGSYS is the program's.
 * @context: of the signal.
 *
 * As the kernel: a fault that is ignored or has no handler ends the process.
 *
 * Context: the handler of the signal, with all signals blocked; may not return.
 */
void rt_action_deliver(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct rt_action action = table_get(sig);
	bool is_fault = info->si_code > 0;
	uint64_t mask;

	if (action.handler == (void *)SIG_IGN && !is_fault)
		return;
	if (!is_fault && (own_hidden & BIT(sig)) && rt_is_at_home(&rt_runtime)) {
		keep(sig, info);
		return;
	}
	if (!is_handler(action.handler) || (is_fault && (own_hidden & BIT(sig))))
		die_of(sig);
	if (action.flags & (uint64_t)SA_RESETHAND)
		forget_action(sig);
	memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	mask = (mask | action.mask) & ~RT_FAULT_SIGNALS;
	rt_signals_restore(mask);
	call_handler(&action, sig, info, uc);
}

/* -- What the program asks for -- */

static struct rt_action kernel_action(int sig, const struct rt_action *action)
{
	struct rt_action kernel = *action;

	if (!is_handler(action->handler) && !dumps_core(sig, action->handler))
		return kernel;
	kernel.handler = (void *)on_signal;
	kernel.flags |= SA_ONSTACK | SA_SIGINFO | SA_RESTORER_FLAG;
	kernel.restorer = (void *)(uintptr_t)rt_restorer;
	kernel.mask &= ~RT_FAULT_SIGNALS;
	return kernel;
}

/* Table and kernel change together: a handler is found in the one before the other calls it. */
static long change_action(int sig, const struct rt_action *action)
{
	struct rt_action kernel = kernel_action(sig, action), before = table_get(sig);
	uint64_t signals;
	long err = 0;

	rt_signals_block(&signals);
	table_lock();
	table[sig] = *action;
	table_unlock();
	if (!is_ours(sig))
		err = kernel_sigaction(sig, &kernel, NULL);
	if (err) {
		table_lock();
		table[sig] = before;
		table_unlock();
	}
	rt_signals_restore(signals);
	return err;
}

/*
 * A vfork child shares the table, but not the kernel's handlers, and its own are gone when it
 * executes a program. Those of faults it still needs until then.
 */
static long guest_sigaction(int sig, const struct rt_action *new_action,
			    struct rt_action *ret_old)
{
	struct rt_action action;

	if (is_ours(sig)) {
		if (ret_old)
			*ret_old = table_get(sig);
		return 0;
	}
	if (!new_action)
		return kernel_sigaction(sig, NULL, ret_old);
	action = *new_action;
	action.flags |= SA_RESTORER_FLAG;
	action.restorer = (void *)(uintptr_t)rt_restorer;
	return kernel_sigaction(sig, &action, ret_old);
}

/**
 * rt_do_sigaction() - rt_sigaction(2).
 */
long rt_do_sigaction(int sig, const struct rt_action *new_action, struct rt_action *ret_old)
{
	struct rt_action old;
	long err = 0;

	if (sig <= 0 || sig >= _NSIG || (new_action && (sig == SIGKILL || sig == SIGSTOP)))
		return -EINVAL;
	if (!rt_is_at_home(&rt_runtime))
		return guest_sigaction(sig, new_action, ret_old);
	old = table_get(sig);
	if (new_action)
		err = change_action(sig, new_action);
	if (!err && ret_old)
		*ret_old = old;
	return err;
}

static void hide(int how, uint64_t set)
{
	set &= RT_FAULT_SIGNALS;
	if (how == SIG_BLOCK)
		own_hidden |= set;
	else if (how == SIG_UNBLOCK)
		own_hidden &= ~set;
	else
		own_hidden = set;
}

/**
 * rt_do_sigprocmask() - rt_sigprocmask(2).
 */
long rt_do_sigprocmask(int how, const uint64_t *set, uint64_t *ret_old)
{
	uint64_t mask = set ? *set & ~RT_FAULT_SIGNALS : 0;
	uint64_t hidden = own_hidden, old = 0;
	long err;

	do
		err = sys_call4(SYS_rt_sigprocmask, how, set ? (long)&mask : 0, (long)&old,
				sizeof(mask));
	while (err == -EFAULT); /* only where this stack is managed, and was out just now */
	if (err)
		return err;
	if (set && rt_is_at_home(&rt_runtime)) /* a vfork child's would be its parent's */
		hide(how, *set);
	if (ret_old)
		*ret_old = old | hidden;
	if (own_pending.set & ~own_hidden)
		release();
	return 0;
}

/* A handler that came in the midst of a system call runs on ours. */
static stack_t ours_at(vaddr_t sp)
{
	return (stack_t){
		.ss_sp = (void *)(rt_altstack_top(sp) - ALTSTACK_BYTES),
		.ss_size = ALTSTACK_BYTES,
		.ss_flags = SS_ONSTACK,
	};
}

/**
 * rt_do_sigaltstack() - sigaltstack(2).
 * @sp: the stack pointer of who asks. Some handlers ask whether they are on the stack that
 *	they wanted (Go's), and go on with the one that they are told of.
 */
long rt_do_sigaltstack(const stack_t *stack, stack_t *ret_old, vaddr_t sp)
{
	bool is_in_use = is_on(&own_stack, sp);
	stack_t old = own_stack;

	if (!stack && rt_altstack_contains(sp))
		old = ours_at(sp);
	else if (!old.ss_sp)
		old.ss_flags = SS_DISABLE;
	else if (is_in_use)
		old.ss_flags |= SS_ONSTACK;
	if (stack && is_in_use)
		return -EPERM;
	if (stack && (stack->ss_flags & ~(SS_DISABLE | SS_ONSTACK)) != 0)
		return -EINVAL;
	if (stack && !(stack->ss_flags & SS_DISABLE) && stack->ss_size < 2048)
		return -ENOMEM;
	if (stack) {
		rt_altstack_install();
		own_stack = stack->ss_flags & SS_DISABLE ? (stack_t){.ss_sp = NULL} : *stack;
		own_stack.ss_flags = 0;
	}
	if (ret_old)
		*ret_old = old;
	return 0;
}

/**
 * rt_actions_undo() - the signals of faults are the program's after all.
 *
 * Context: as rt_actions_init().
 */
void rt_actions_undo(void)
{
	for (unsigned int i = 0; i < NR_FAULT_SIGNALS; i++)
		kernel_sigaction(fault_signals[i], &table[fault_signals[i]], NULL);
}

/**
 * rt_actions_forked() - in the child of a fork: what was sent to the parent is the parent's.
 */
void rt_actions_forked(void)
{
	own_pending.set = 0;
}

static int take_signal(int sig, void (*handler)(int, siginfo_t *, void *), uint64_t flags,
		       uint64_t mask)
{
	struct rt_action action = {
		.handler = (void *)handler,
		.flags = flags | SA_SIGINFO | SA_ONSTACK | SA_RESTORER_FLAG,
		.restorer = (void *)(uintptr_t)rt_restorer,
		.mask = mask,
	};

	return (int)kernel_sigaction(sig, &action, NULL);
}

/**
 * rt_actions_init() - take over the signals of faults, and learn what is ignored.
 *
 * Return: 0 or -errno. Context: before there is another thread.
 */
int rt_actions_init(void)
{
	uint64_t faults = RT_FAULT_SIGNALS, all = ~faults;
	int err;

	if (rt_dump_is_wanted() && rt_runtime.pid != 1)
		core_signals = CORE_SIGNALS;
	for (int sig = 1; sig < _NSIG; sig++) {
		kernel_sigaction(sig, NULL, &table[sig]);
		if (dumps_core(sig, table[sig].handler)) {
			struct rt_action kernel = kernel_action(sig, &table[sig]);

			kernel_sigaction(sig, &kernel, NULL);
		}
	}
	/* What touches managed memory with all else blocked is itself ready to fault. */
	err = take_signal(SIGBUS, rt_on_bus, 0, ~0ull);
	if (!err)
		err = take_signal(SIGSEGV, rt_on_segv, 0, all);
	if (!err)
		err = take_signal(SIGSYS, rt_on_sys, SA_NODEFER, 0);
	sys_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&faults, 0, sizeof(faults));
	return err;
}
