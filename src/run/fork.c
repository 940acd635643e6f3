/* SPDX-License-Identifier: MIT */
/*
 * fork() of a managed process: the child keeps every byte.
 *
 * fork(2) copies the pool, and with it the manager; it does not copy the window, and of the
 * threads only the one that called. So the manager is brought to rest before, with every page
 * in its frame, and each side goes on with its own copy after:
 *
 *	program's thread               service thread
 *	prepare handler (ours last)
 *	  malloc's locks
 *	  an entry for the child, and a file for its frames where fork(2) does not copy them
 *	  FREEZE -------------------->   close the gate, mm_fork_prepare() until it is quiet
 *	fork(2)                          (frozen: nobody runs manager code)
 *	parent handler
 *	  THAW ---------------------->   mm_fork_parent(), open the gate
 *	child handler (ours first)
 *	  new first thread ---------->   window, swap areas, mm_fork_child(), new threads
 *
 * Handlers are called through the C library's list. Ours is its first entry, for the library's
 * constructor runs before any other; so prepare comes last, child and parent come first.
 *
 * In the child code may touch managed memory before our handler has run: when the program has
 * threads, the C library puts its locks in order first, and its FILEs are on the heap. The
 * window is not there, so that is a SIGSEGV, and never a wrong byte. For as long as it may
 * happen SIGSEGV is ours: the handler finds that it is in the child, sets it up, and returns
 * to the instruction. In the parent it hands the signal on to the program's own action.
 *
 * 1. Between prepare and the handlers after, the calling thread blocks all signals but those of
 *    faults, and runs on a stack that is not managed (fork_call.c).
 * 2. The state below belongs to the forking thread, which holds malloc's locks meanwhile; one
 *    thread forks at a time.
 * 3. A child that was not born frozen, or that has no entry, does not run: it says why and ends
 *    with status 125. The parent is not touched by that.
 * 4. What tells the child: its thread has the forking thread's control block, and the window is
 *    not mapped. A vfork child, which shares everything, has the window.
 */
#include "run/fork.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>

#include "malloc/malloc.h"
#include "run/bequest.h"
#include "run/boot.h"
#include "run/port.h"
#include "run/runtime.h"
#include "run/service.h"
#include "run/swap_defer.h"
#include "run/thread.h"
#include "run/trap.h"
#include "swapdev/file.h"

#define SEGV_STACK_SIZE (64 * 1024)

static struct {
	uint32_t is_under_way; /* atomic: the forking thread is between its handlers */
	const void *thread;    /* its control block */
	struct rt_bequest bequest;
	int err;	   /* why there can be no child */
	int copy;	   /* of rt_port_create_copy(); 0: none */
	uint64_t signals;  /* the mask to go back to */
	bool was_threaded; /* the C library's locks are to be taken */
	bool has_altstack; /* old_stack is to be put back */
	stack_t old_stack;
	struct sigaction old_segv;
} fk;

static char segv_stack[SEGV_STACK_SIZE] __attribute__((aligned(16)));

/* glibc's, exported for the like of us; recursive. */
extern void _IO_list_lock(void);
extern void _IO_list_unlock(void);

static const void *current_thread(void)
{
	const void *tcb;

	__asm__("mov %%fs:0, %0" : "=r"(tcb));
	return tcb;
}

/* Are we in the child, with nothing set up yet? */
static bool is_unborn(void)
{
	return __atomic_load_n(&fk.is_under_way, __ATOMIC_ACQUIRE) &&
	       fk.thread == current_thread() && !rt_port_is_inherited(&rt_runtime);
}

/* -- The child -- */

static int reopen_swapdev(struct runtime *rt, unsigned int i)
{
	int fd, err = rt_bequest_open_swap(rt, &fk.bequest, i, &fd);

	if (err)
		return err;
	rt->swap_fds[i] = fd;
	run_share_hold_area(&rt->map, rt->slot, i, fd);
	return swapdev_file_reopen(rt->swapdevs[i], fd, rt->slot);
}

static int reopen_swapdevs(struct runtime *rt)
{
	int err = 0;

	for (unsigned int i = 0; i < rt->nr_swapdevs && !err; i++)
		err = reopen_swapdev(rt, i);
	if (!err)
		rt_tier_after_fork(rt);
	return err;
}

static int attach_child(struct runtime *rt, const char *path, const char **ret_what)
{
	int err;

	(void)path;
	*ret_what = "the child of a fork cannot join the run";
	err = rt_bequest_adopt(rt, &fk.bequest);
	if (err)
		return err;
	*ret_what = "the child of a fork cannot set up memory (userfaultfd)";
	err = rt_port_reattach(rt);
	if (err)
		return err;
	*ret_what = "the child of a fork cannot open the swap area";
	err = reopen_swapdevs(rt);
	if (err)
		return err;
	*ret_what = "the child of a fork cannot map its memory";
	err = mm_fork_child(rt->mm, rt->map.share->procs[rt->slot].vmstat);
	if (err)
		return err;
	*ret_what = "the child of a fork cannot start threads";
	return rt_start_threads(rt);
}

/* What the parent's threads left behind. */
static void forget_parent(struct runtime *rt)
{
	rt_threads_forget();
	rt_service_reset();
	rt->gate = (struct rt_gate){0};
	rt->engine.nr_pending = 0;
	rt->engine.nr_sleepers = 0;
	rt->kswapd_is_asleep = 0;
	rt->is_frozen = false;
	rt->has_said_bus = false;
	rt_swap_defer_forked();
}

static void child_set_up(struct runtime *rt)
{
	int err;

	if (fk.err)
		rt_fatal("this process could not fork", fk.err);
	if (!rt->is_frozen)
		rt_fatal("this process was born of a fork that took too long", -ETIMEDOUT);
	err = rt_port_adopt(rt, fk.copy);
	forget_parent(rt);
	if (!err && rt->is_by_signal)
		err = rt_signal_forked(rt);
	if (err)
		rt_fatal("the child of a fork cannot set up memory", err);
	rt_boot(attach_child, NULL);
	rt_bequest_close(&fk.bequest);
}

/**
 * rt_fork_child_on_demand() - in the child of a fork, where it is not set up yet: do that.
 *
 * Return: true if it has been done now.
 */
bool rt_fork_child_on_demand(void)
{
	if (!__atomic_load_n(&fk.is_under_way, __ATOMIC_ACQUIRE) || !is_unborn())
		return false;
	child_set_up(&rt_runtime);
	return true;
}

/* -- SIGSEGV while a fork is under way -- */

static void segv_hand_on(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *old = &fk.old_segv;

	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(sig, info, context);
	} else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
		old->sa_handler(sig);
	} else {
		sigaction(SIGSEGV, old, NULL);
		if (info->si_code <= 0) /* sent, not a fault: it will not come by itself */
			raise(SIGSEGV);
	}
}

static void segv_handler(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	if (is_unborn())
		child_set_up(&rt_runtime);
	else
		segv_hand_on(sig, info, context);
	errno = saved;
}

static void segv_take(void)
{
	stack_t stack = {.ss_sp = segv_stack, .ss_size = sizeof(segv_stack)};
	struct sigaction action;

	fk.has_altstack = sigaltstack(&stack, &fk.old_stack) == 0;
	sigaction(SIGSEGV, NULL, &fk.old_segv);
	action = fk.old_segv;
	action.sa_sigaction = segv_handler;
	action.sa_flags = (fk.old_segv.sa_flags & SA_NODEFER) | SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGSEGV, &action, NULL);
}

/* Another thread may have set an action of its own meanwhile: that one stays. */
static void segv_give_back(void)
{
	struct sigaction now;

	if (sigaction(SIGSEGV, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
	    now.sa_sigaction == segv_handler)
		sigaction(SIGSEGV, &fk.old_segv, NULL);
	if (fk.has_altstack)
		sigaltstack(&fk.old_stack, NULL);
}

/* -- The handlers -- */

static __thread bool is_forking;

/**
 * rt_fork_is_own() - is this thread in the midst of a fork?
 */
bool rt_fork_is_own(void)
{
	return is_forking;
}

/* Return: the mask to go back to. A SIGSEGV that may come must not be blocked: it would kill.
 */
static uint64_t block_signals(void)
{
	uint64_t faults = 1ull << (SIGBUS - 1) | 1ull << (SIGFPE - 1) | 1ull << (SIGILL - 1) |
			  1ull << (SIGTRAP - 1) | 1ull << (SIGSYS - 1);
	uint64_t segv = 1ull << (SIGSEGV - 1);
	uint64_t old, mask = ~(faults | segv);

	sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&mask, (long)&old, sizeof(old));
	sys_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&segv, 0, sizeof(segv));
	return old;
}

static int freeze(struct runtime *rt)
{
	struct rt_request request = {.op = RT_OP_FORK_FREEZE};
	int err = 0;

	if (!rt_fork_take_bequest(&fk.bequest))
		err = rt_bequest_make(rt, &fk.bequest);
	if (err)
		return err;
	fk.copy = rt_port_create_copy(rt);
	if (fk.copy < 0)
		return fk.copy;
	request.args[0] = (uint64_t)sys_call2(SYS_gettid, 0, 0);
	request.args[1] = fk.bequest.slot;
	request.args[2] = (uint64_t)fk.copy;
	request.args[3] = rt_thread_in_proc();
	return (int)rt_service_call(&request);
}

static void fork_prepare(void)
{
	bool was_threaded = !__libc_single_threaded;
	uint64_t signals;

	if (!rt_is_managed())
		return;
	signals = block_signals();
	is_forking = true;
	if (was_threaded)
		_IO_list_lock(); /* fork() takes it next, and its holder must not be frozen */
	malloc_fork_prepare();
	fk.signals = signals;
	fk.was_threaded = was_threaded;
	fk.copy = 0;
	fk.err = freeze(&rt_runtime);
	fk.thread = current_thread();
	if (was_threaded)
		segv_take();
	__atomic_store_n(&fk.is_under_way, 1, __ATOMIC_RELEASE);
}

static void fork_parent(void)
{
	bool was_threaded = fk.was_threaded;
	uint64_t signals = fk.signals;

	if (!rt_is_managed())
		return;
	__atomic_store_n(&fk.is_under_way, 0, __ATOMIC_RELEASE);
	if (was_threaded)
		segv_give_back();
	rt_service_call(&(struct rt_request){.op = RT_OP_FORK_THAW});
	if (fk.copy > 0)
		sys_call2(SYS_close, fk.copy, 0);
	rt_bequest_close(&fk.bequest);
	malloc_fork_parent();
	if (was_threaded)
		_IO_list_unlock();
	is_forking = false;
	rt_signals_restore(signals);
}

/* In the child, when it has been set up. */
static void go_on_as_child(void)
{
	__atomic_store_n(&fk.is_under_way, 0, __ATOMIC_RELEASE);
	if (fk.was_threaded)
		segv_give_back();
	malloc_fork_child();
	is_forking = false;
	rt_signals_restore(fk.signals);
}

/* With threads the C library has set its list's lock free already. */
static void fork_child(void)
{
	if (!rt_is_managed())
		return;
	rt_fork_child_on_demand();
	go_on_as_child();
}

/**
 * rt_fork_by() - fork by a system call of the program's, of which the C library knows nothing.
 * @nr: SYS_fork, SYS_clone or SYS_clone3.
 * @args: its arguments: no CLONE_VM, and no stack. They are read while memory is frozen, so
 *	they lie outside of the window, and so does the stack that this is called on.
 *
 * Return: as the system call, in the child, too; -EAGAIN if the child would not be managed.
 */
long rt_fork_by(long nr, const long *args)
{
	long pid = -EAGAIN;

	fork_prepare();
	if (!fk.err)
		pid = trap_kernel(nr, args);
	if (pid) {
		fork_parent();
		return pid;
	}
	child_set_up(&rt_runtime);
	if (fk.was_threaded)
		_IO_list_unlock();
	go_on_as_child();
	return 0;
}

/**
 * rt_fork_init() - be told of forks, before and after everybody else.
 *
 * Return: 0, or -errno. Context: the constructor.
 */
int rt_fork_init(void)
{
	return -pthread_atfork(fork_prepare, fork_parent, fork_child);
}
