/* SPDX-License-Identifier: MIT */
/*
 * Faults are resolved by the thread that takes them.
 *
 * The kernel sends SIGBUS for a page of the window that is out (on the machine of a memory file
 * SIGSEGV, machine/memfd.c, and then there is no descriptor); the handler asks the manager as
 * a handler thread would (engine_thread.c), and returns to the instruction. It runs on a stack
 * outside of managed memory, with all signals blocked, and touches neither errno nor anything
 * of the C library. It may interrupt any instruction of the program, so the program may hold
 * any lock of its own, and malloc's; never one of the manager, for manager code runs in this
 * handler and in the runtime's threads only, and neither faults.
 *
 * 1. The descriptor of the machine has the same number in the program's file table and in the
 *    runtime's. A process that shares this memory, but not the files (a vfork child, which may
 *    have closed it) is told by its number; a program that has closed it by the manager's
 *    answer. In both cases the fault is handed over.
 * 2. Handed over is a fault to the service thread as a request (service.c): it has a table of
 *    its own that nobody closes. So it is, too, while a fork is under way, and where the
 *    manager refuses.
 * 3. What needs a descriptor of the runtime other than that is not done here: swap devices take
 *    I/O from this thread through swap_defer.c, which reads by a descriptor that it mistrusts.
 * 4. RETRY is waited for on wake_seq, as the service thread does.
 *
 * Everything that the kernel does for the program would fail with EFAULT on a page that is out;
 * trap_call.c sees to that.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "base/checked.h"
#include "run/action.h"
#include "run/altstack.h"
#include "run/boot.h"
#include "run/dump.h"
#include "run/fork.h"
#include "run/outcome.h"
#include "run/port.h"
#include "run/runtime.h"
#include "run/service.h"
#include "run/thread.h"
#include "run/trap.h"

#define ERR_WRITE 2 /* of a page fault's error code */
#define ERR_FETCH 16
#define BY_FILTER 1 /* SYS_SECCOMP, which older headers do not have */

static bool is_in_window(const struct runtime *rt, vaddr_t va)
{
	return va >= rt->window_start && va < rt->window_end;
}

/* Return: 0: it may try again; -EFAULT, -EIO. */
static long hand_over(vaddr_t va, unsigned int access)
{
	struct rt_request request = {
		.op = RT_OP_FAULT,
		.args = {va, access, (uint64_t)sys_call2(SYS_gettid, 0, 0)},
	};

	return rt_service_call(&request);
}

static bool has_lost_machine(const struct runtime *rt)
{
	return __atomic_load_n(&rt->has_lost_machine, __ATOMIC_RELAXED) && !rt_thread_is_own();
}

/*
 * What the service thread can do and this one cannot is for want of the descriptor. Nothing
 * works without it, reclaim neither, so it is not tried again.
 */
static long hand_over_refused(struct runtime *rt, vaddr_t va, unsigned int access,
			      enum mm_fault_result result)
{
	long err = hand_over(va, access);

	if (!err && result == MM_FAULT_BUS && !rt->is_by_segv)
		__atomic_store_n(&rt->has_lost_machine, true, __ATOMIC_RELAXED);
	return err;
}

/* Return: 0: the access may go on, or be tried again; -EFAULT; -EIO. */
static long resolve(struct runtime *rt, vaddr_t va, unsigned int access)
{
	enum mm_fault_result result;
	uint32_t seq;

	if (!rt_is_at_home(rt) || has_lost_machine(rt))
		return hand_over(va, access);
	do {
		seq = rt_engine_seq(rt);
		if (!rt_gate_try_enter(&rt->gate))
			return hand_over(va, access);
		result = mm_fault(rt->mm, va, access);
		rt_gate_leave(&rt->gate);
		if (result == MM_FAULT_RETRY)
			rt_engine_sleep(rt, seq);
	} while (result == MM_FAULT_RETRY);
	if (result == MM_FAULT_MINOR || result == MM_FAULT_MAJOR)
		return 0;
	if (rt->is_by_segv && result == MM_FAULT_SEGV)
		return -EFAULT;
	return rt_thread_is_own() ? -EIO : hand_over_refused(rt, va, access, result);
}

/**
 * rt_on_bus() - the kernel's handler of SIGBUS.
 */
void rt_on_bus(int sig, siginfo_t *info, void *context)
{
	struct runtime *rt = &rt_runtime;
	ucontext_t *uc = context;
	vaddr_t va = (vaddr_t)info->si_addr;
	bool is_write = (uc->uc_mcontext.gregs[REG_ERR] & ERR_WRITE) != 0;

	rt_altstack_arm(uc);
	if (info->si_code == BUS_ADRERR && is_in_window(rt, va) &&
	    resolve(rt, va & PAGE_MASK, is_write ? MM_ACCESS_WRITE : MM_ACCESS_READ) == 0)
		return;
	if (info->si_code == SI_TKILL && rt_dump_park())
		return;
	if (trap_copy_failed(context))
		return;
	rt_action_deliver(sig, info, context);
}

static unsigned int access_of(const ucontext_t *uc)
{
	greg_t error = uc->uc_mcontext.gregs[REG_ERR];

	if (error & ERR_WRITE)
		return MM_ACCESS_WRITE;
	return error & ERR_FETCH ? MM_ACCESS_EXEC : MM_ACCESS_READ;
}

/*
 * The window is reserved memory where nothing is mapped, so the kernel says that the access is
 * forbidden also where it should say that there is nothing.
 */
static void set_code(struct runtime *rt, siginfo_t *info)
{
	struct mm_area area;

	if (rt_gate_try_enter(&rt->gate)) {
		if (mm_query(rt->mm, (vaddr_t)info->si_addr, &area) ||
		    area.start > (vaddr_t)info->si_addr)
			info->si_code = SEGV_MAPERR;
		rt_gate_leave(&rt->gate);
	}
}

/* Return: 0: the access may go on; -EFAULT: it is the program's; -EIO: its page is lost. */
static long resolve_segv(struct runtime *rt, const siginfo_t *info, const ucontext_t *uc)
{
	vaddr_t va = (vaddr_t)info->si_addr;

	if (!rt->is_by_segv || info->si_code <= 0 || !is_in_window(rt, va))
		return -EFAULT;
	if (!rt_is_at_home(rt) && !rt_port_is_inherited(rt))
		return -EFAULT; /* the child of a fork that we were not told of */
	return resolve(rt, va & PAGE_MASK, access_of(uc));
}

/**
 * rt_on_segv() - the kernel's handler of SIGSEGV.
 */
void rt_on_segv(int sig, siginfo_t *info, void *context)
{
	struct runtime *rt = &rt_runtime;
	long err;

	rt_altstack_arm(context);
	if (info->si_code > 0 && rt_fork_child_on_demand())
		return;
	err = resolve_segv(rt, info, context);
	if (!err || trap_copy_failed(context))
		return;
	if (err == -EIO) {
		info->si_signo = sig = SIGBUS;
		info->si_code = BUS_ADRERR;
	} else if (rt->is_by_segv && is_in_window(rt, (vaddr_t)info->si_addr)) {
		set_code(rt, info);
	}
	rt_action_deliver(sig, info, context);
}

/**
 * rt_on_sys() - the kernel's handler of SIGSYS: a system call was caught.
 *
 * Signals are as the program has set them, so that one may interrupt the call.
 */
void rt_on_sys(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;
	long args[TRAP_ARGS] = {regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
				regs[REG_R10], regs[REG_R8],  regs[REG_R9]};

	rt_altstack_arm(uc);
	/* Another filter, of the program's, may send the same signal. */
	if (info->si_code != BY_FILTER || info->si_errno != TRAP_COOKIE) {
		rt_action_deliver(sig, info, context);
		return;
	}
	if (__atomic_exchange_n(&rt_runtime.is_asking, false, __ATOMIC_RELAXED))
		return; /* is_filtered() */
	if (info->si_syscall == SYS_clone || info->si_syscall == SYS_clone3) {
		trap_clone(uc, info->si_syscall, args);
		return;
	}
	if (info->si_syscall == SYS_exit)
		trap_exit(args[0]);
	if (info->si_syscall == SYS_sigaltstack)
		regs[REG_RAX] = trap_sigaltstack(args, (vaddr_t)regs[REG_RSP]);
	else
		regs[REG_RAX] = trap_do(info->si_syscall, args);
	if (info->si_syscall == SYS_rt_sigprocmask) /* it shall last */
		sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&uc->uc_sigmask,
			  sizeof(uint64_t));
}

static bool answer_of(struct runtime *rt, const struct machine_host_fault *fault,
		      enum mm_fault_result result, long *ret_answer)
{
	struct mm_area area;

	*ret_answer = 0;
	if (result == MM_FAULT_RETRY)
		return false;
	if (result == MM_FAULT_MINOR || result == MM_FAULT_MAJOR)
		return true;
	if (result == MM_FAULT_BUS) {
		rt_say_bus(rt, fault->va);
		*ret_answer = -EIO;
	} else if (result == MM_FAULT_SEGV && mm_query(rt->mm, fault->va, &area) == 0 &&
		   area.start <= fault->va && area.is_foreign) {
		*ret_answer = -EIO; /* of a file that ends before: the program's */
	} else {
		rt_fault_refused(rt, fault, result);
	}
	return true;
}

/**
 * rt_signal_serve() - a fault that was handed over.
 * @args: address, MM_ACCESS_*, thread.
 *
 * Return: false if it is to be asked again later; then nothing is answered.
 * Context: the service thread.
 */
bool rt_signal_serve(struct runtime *rt, const uint64_t *args, long *ret_answer)
{
	struct machine_host_fault fault = {args[0], (unsigned int)args[1], (int)args[2]};

	*ret_answer = 0;
	if (rt->is_frozen && rt->is_by_segv && (fault.access & MM_ACCESS_WRITE) &&
	    !mm_fork_may_write(rt->mm, fault.va))
		*ret_answer = -EFAULT;
	else if (rt->is_frozen)
		return rt_frozen_serve(rt, &fault);
	if (*ret_answer)
		return true;
	return answer_of(rt, &fault, mm_fault(rt->mm, fault.va, fault.access), ret_answer);
}

/* High, so that it is in nobody's way, below what the program may have. */
static int fd_min(void)
{
	struct rlimit limit = {.rlim_cur = RT_FD_MIN + RT_FDS_LEFT};

	sys_call2(SYS_getrlimit, RLIMIT_NOFILE, (long)&limit);
	if (limit.rlim_cur >= RT_FD_MIN + RT_FDS_LEFT)
		return RT_FD_MIN;
	return (int)(limit.rlim_cur * 3 / 4);
}

/* A filter of the process that has executed this one may be in force. */
static bool is_filtered(struct runtime *rt)
{
	long nr = SYS_uname;

	__atomic_store_n(&rt->is_asking, true, __ATOMIC_RELAXED);
	__asm__ volatile("syscall"
			 : "+a"(nr)
			 : "D"(TRAP_WINDOW_START)
			 : "rcx", "r11", "memory");
	return !__atomic_exchange_n(&rt->is_asking, false, __ATOMIC_RELAXED);
}

static int take_signals(void)
{
	int err = trap_map_stub();

	if (!err)
		err = rt_altstack_init();
	if (err)
		return err;
	rt_altstack_install();
	return rt_actions_init();
}

static int set_up(struct runtime *rt)
{
	int err = take_signals();

	if (!err && !is_filtered(rt))
		err = trap_install();
	return err ? err : trap_install_libc();
}

/* What the filter catches is to be carried out, whoever resolves faults. */
static void serve_filter(struct runtime *rt)
{
	if (take_signals() == 0 && !is_filtered(rt))
		rt_actions_undo();
}

/**
 * rt_signal_start() - make ready to resolve faults in the program's threads.
 * @ret_what: what failed.
 *
 * Return: 0, or -errno: the thread engine has to serve.
 * Context: the program's first thread, before the runtime's.
 */
int rt_signal_start(struct runtime *rt, enum run_refusal *ret_why)
{
	int err;

	rt->pid = (uint32_t)sys_call2(SYS_getpid, 0, 0);
	*ret_why = RUN_REFUSED_USERFAULTFD;
	if (!rt->is_by_segv)
		rt->signal_fd = machine_host_open_signals(fd_min());
	if (rt->signal_fd < 0) {
		serve_filter(rt);
		return rt->signal_fd;
	}
	*ret_why = RUN_REFUSED_FILTER;
	err = set_up(rt);
	if (err)
		rt_signal_stop(rt);
	else
		rt->is_by_signal = true;
	return err;
}

/**
 * rt_signal_stop() - the thread engine serves after all.
 *
 * Context: before anything is managed. The filter and the handlers stay, and do nothing.
 */
void rt_signal_stop(struct runtime *rt)
{
	if (!rt->is_by_segv)
		sys_call2(SYS_close, rt->signal_fd, 0);
	rt->signal_fd = 0;
	rt->is_by_signal = rt->is_by_segv = false;
}

static int reopen_signals(struct runtime *rt)
{
	int fd = machine_host_open_signals(fd_min());
	long err;

	if (fd < 0)
		return fd;
	if (fd == rt->signal_fd) /* the program has closed the parent's */
		return 0;
	err = sys_call3(SYS_dup3, fd, rt->signal_fd, 02000000 /* O_CLOEXEC */);
	sys_call2(SYS_close, fd, 0);
	return err < 0 ? (int)err : 0;
}

/**
 * rt_signal_forked() - in the child of a fork: a descriptor for this address space.
 *
 * Return: 0 or -errno.
 * Context: the child's only thread. Until then the number is the parent's descriptor, and
 * nobody may use it: it would change the parent's memory.
 */
int rt_signal_forked(struct runtime *rt)
{
	int err = rt->is_by_segv ? 0 : reopen_signals(rt);

	if (err)
		return err;
	rt->pid = (uint32_t)sys_call2(SYS_getpid, 0, 0);
	rt->has_lost_machine = false;
	rt_altstack_forked();
	rt_actions_forked();
	rt_dump_forked();
	return 0;
}
