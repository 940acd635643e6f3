/* SPDX-License-Identifier: MIT */
/*
 * The preloaded library comes to life in a process of a run.
 *
 * The constructor runs before that of any other object, the C library's too (the library is
 * linked with -z initfirst), so that nothing the program does is missed. It starts the first
 * thread of the runtime, which opens what the runtime needs in its own file table and makes the
 * manager, and waits for it. If anything fails the program does not run at all: half managed
 * would be a budget that is not kept.
 *
 * Without RATION_RUN in the environment the library does nothing but serve malloc() from the
 * kernel's memory. So it is, too, where the launcher has ended: a daemon of the run goes on
 * with what it has, but what it starts is not managed.
 *
 * In the child of a fork the same is done over what the fork copied (run/fork.c).
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "base/log.h"
#include "machine/host.h"
#include "policy/two_lists.h"
#include "run/boot.h"
#include "run/complain.h"
#include "run/fork.h"
#include "run/interpose.h"
#include "run/malloc_backend.h"
#include "run/next.h"
#include "run/port.h"
#include "run/runtime.h"
#include "run/service.h"
#include "run/swap_defer.h"
#include "run/swap_read.h"
#include "run/thread.h"
#include "run/trap.h"
#include "swapdev/file.h"

#define MEMLOCK_PART 8 /* of the RAM, one in so many */
#define RUN_IS_OVER  1 /* no error: the launcher is gone */

struct runtime rt_runtime;

static const char cannot_attach[] = "cannot open what the processes of the run share";

/* The first thread's task, and what came of it. */
static struct {
	int (*start)(struct runtime *rt, const char *path, const char **ret_what);
	const char *path;
	const char *what; /* what failed */
	int err;
	uint32_t is_done; /* futex */
} boot;

/**
 * rt_fatal() - Ration itself has failed: one line, and the process ends with status 125.
 * @what: what failed.
 * @err: -errno.
 *
 * Context: a thread of the program, which has a standard error.
 */
void rt_fatal(const char *what, int err)
{
	const char *why = strerrordesc_np(-err);

	log_line("ration: %s: %s", what, why ? why : "error");
	for (;;)
		sys_call2(SYS_exit_group, EXIT_TROUBLE, 0);
}

static void boot_main(void *arg)
{
	struct runtime *rt = arg;
	int err;

	rt->service_tid = rt_thread_in_proc();
	err = boot.start(rt, boot.path, &boot.what);
	boot.err = err;
	rt_futex_set(&boot.is_done, 1);
	if (!err)
		rt_service_run(rt);
}

/**
 * rt_boot() - start the first thread, have it make the runtime, and wait.
 * @start: what it is to do; it sets *ret_what when it fails.
 * @path: of the run's shared memory.
 *
 * Does not return if it fails. The thread becomes the service thread.
 *
 * Return: 0, or what @start gave if that is positive; then there is no thread.
 */
int rt_boot(int (*start)(struct runtime *rt, const char *path, const char **ret_what),
	    const char *path)
{
	struct rt_thread_config cfg = {
		.name = "ration-service",
		.fn = boot_main,
		.arg = &rt_runtime,
		.flags = RT_THREAD_OWN_FILES,
		.keep_fd = rt_runtime.signal_fd,
	};
	int err;

	boot.start = start;
	boot.path = path;
	boot.what = "cannot start";
	boot.is_done = 0;
	err = rt_thread_start(&cfg);
	if (err)
		rt_fatal("cannot start a thread", err);
	rt_futex_await(&boot.is_done, 1);
	if (boot.err < 0)
		rt_fatal(boot.what, boot.err);
	return boot.err;
}

/* The fault handlers are each other's neighbours on the processors; the rest joins the first.
 */
static unsigned int current_cpu(void *arg)
{
	(void)arg;
	return rt_thread_index() % RT_HANDLERS_MAX;
}

static int spawn_io_thread(void (*fn)(void *), void *arg)
{
	struct rt_thread_config cfg = {.name = "ration-io", .fn = fn, .arg = arg};

	return rt_thread_start(&cfg);
}

static void note_paths(struct runtime *rt)
{
	uint32_t paths = rt->is_by_signal ? RUN_PATH_FAULT_SIGNAL : RUN_PATH_FAULT_THREAD;

	if (rt->is_by_segv)
		paths = RUN_PATH_FAULT_SEGV | RUN_PATH_MAP;
	else
		paths |= machine_host_moves(rt->machine) ? RUN_PATH_MOVE : RUN_PATH_COPY;
	for (unsigned int i = 0; i < rt->nr_swapdevs; i++) {
		bool uring = swapdev_file_engine(rt->swapdevs[i])[0] == 'i';

		paths |= uring ? RUN_PATH_URING : RUN_PATH_THREAD;
	}
	__atomic_fetch_or(&rt->map.share->paths, paths, __ATOMIC_RELAXED);
}

static void note_refusal(struct runtime *rt, enum run_refusal why)
{
	__atomic_fetch_or(&rt->map.share->paths, RUN_PATH_REFUSED << why, __ATOMIC_RELAXED);
}

static bool filter_covers(const struct runtime *rt)
{
	return rt->window_start >= TRAP_WINDOW_START && rt->window_end <= TRAP_WINDOW_END;
}

static int make_machine(struct runtime *rt)
{
	int err = rt_port_create(rt);

	if (err)
		return err;
	if (!rt->is_by_signal || filter_covers(rt))
		return 0;
	note_refusal(rt, RUN_REFUSED_WINDOW);
	machine_host_destroy(rt->machine);
	rt_signal_stop(rt);
	return make_machine(rt);
}

static int make_swapdev(struct runtime *rt, unsigned int i)
{
	const struct run_share *share = rt->map.share;
	struct swapdev_file_config cfg = {
		.nr_slots = share->areas[i].nr_slots,
		.name = share->areas[i].name,
		.share = run_share_swap(&rt->map, i),
		.owner = rt->slot,
		.no_uring = (share->flags & RUN_NO_URING) != 0,
		.no_direct = (share->flags & RUN_NO_DIRECT) != 0,
		.spawn = spawn_io_thread,
	};
	int err = run_share_open_area(&rt->map, i, &cfg.fd);

	if (err)
		return err;
	rt->swap_fds[i] = cfg.fd;
	run_share_hold_area(&rt->map, rt->slot, i, cfg.fd);
	err = swapdev_file_create(&cfg, &rt->swapdevs[i]);
	if (err)
		sys_call2(SYS_close, cfg.fd, 0);
	if (!err && rt->is_by_signal)
		err = rt_swap_defer_create(rt->swapdevs[i], &rt->deferred[i]);
	return err;
}

static int make_swapdevs(struct runtime *rt)
{
	int err = 0;

	for (unsigned int i = 0; i < rt->map.share->nr_areas && !err; i++) {
		err = make_swapdev(rt, i);
		rt->nr_swapdevs += !err;
	}
	return err;
}

/*
 * What mlock() may keep, which is what programs lock to hide it from swap: keys. The rest of
 * the budget is there to be shared out. As in Linux root is not bound by the limit.
 */
static uint64_t memlock_bytes(const struct runtime *rt)
{
	uint64_t bytes = rt->map.share->ram_bytes / MEMLOCK_PART;
	struct rlimit64 limit;

	if (sys_call2(SYS_geteuid, 0, 0) != 0 &&
	    sys_call4(SYS_prlimit64, 0, RLIMIT_MEMLOCK, 0, (long)&limit) == 0)
		bytes = min_u64(bytes, limit.rlim_cur);
	return bytes;
}

static int make_manager(struct runtime *rt)
{
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	int err;

	cfg.machine = rt->machine;
	cfg.policy = &policy_two_lists;
	cfg.nr_cpus = RT_HANDLERS_MAX;
	cfg.memlock_bytes = memlock_bytes(rt);
	cfg.swappiness = rt->map.share->swappiness;
	/* What a program is promised is the host's affair: it has its own limit. */
	cfg.overcommit_memory = MM_OVERCOMMIT_ALWAYS;
	cfg.window_start = rt->window_start;
	cfg.window_end = rt->window_end;
	cfg.cpu = current_cpu;
	cfg.wake = rt_engine_wake;
	cfg.wake_kswapd = rt_kswapd_wake;
	cfg.is_reclaim_by_faults = rt->is_by_signal;
	cfg.arg = rt;
	cfg.vmstat = rt->map.share->procs[rt->slot].vmstat;
	err = mm_system_create(&cfg, &rt->sys);
	if (!err)
		err = rt_tier_swapon(rt);
	return err ? err : mm_create(rt->sys, &rt->mm);
}

/**
 * rt_start_threads() - the fault handlers and kswapd.
 *
 * Return: 0, or -errno.
 */
int rt_start_threads(struct runtime *rt)
{
	int err = rt_engine_start(rt);

	if (!err && rt->is_by_signal)
		err = rt_swap_defer_start();
	return err ? err : rt_kswapd_start(rt);
}

static int attach(struct runtime *rt, const char *path, const char **ret_what)
{
	int err;

	*ret_what = cannot_attach;
	err = run_share_attach(path, &rt->map);
	if (err == -ENOENT)
		return RUN_IS_OVER;
	if (err)
		return err;
	*ret_what = "cannot join the run: 64 processes are in it already";
	err = run_share_claim(&rt->map, &rt->slot);
	if (err)
		return err;
	*ret_what = "cannot set up memory (userfaultfd)";
	if (rt->is_past_libc)
		*ret_what = "a Go program needs the thread engine, or to be built with "
			    "-buildmode=pie; cannot set up memory (userfaultfd)";
	err = make_machine(rt);
	if (err)
		return err;
	*ret_what = "cannot open the swap area";
	err = make_swapdevs(rt);
	if (err)
		return err;
	*ret_what = "cannot start the memory manager";
	err = make_manager(rt);
	if (err)
		return err;
	note_paths(rt);
	*ret_what = "cannot start threads";
	return rt_start_threads(rt);
}

/*
 * What the signal engine needs must be there before the runtime's first thread, so the run is
 * looked at from here. Without it the thread engine serves; if it cannot, it says why.
 *
 * Return: false: this process is not managed. The run is over, or not for it to see: it was
 * executed by another user (su), or in a user namespace of its own (sandboxes).
 */
static bool choose_engine(struct runtime *rt, const char *path)
{
	enum run_refusal why = RUN_REFUSED_PROGRAM;
	struct run_map map;
	int err = run_share_attach(path, &map);

	if (err == -ENOENT)
		return false;
	if (err == -EACCES) {
		log_line(
			"ration: process %d runs unmanaged: as another user than ration, or in "
			"a namespace of its own, it may not join the run; start ration there",
			(int)getpid());
		return false;
	}
	if (err)
		rt_fatal(cannot_attach, err);
	rt->is_past_libc = trap_is_past_libc();
	rt->is_by_segv = map.share->fault_engine == RUN_FAULT_SEGV && !rt->is_past_libc;
	if (map.share->fault_engine != RUN_FAULT_THREAD &&
	    (rt->is_past_libc || rt_signal_start(rt, &why) != 0))
		__atomic_fetch_or(&map.share->paths, RUN_PATH_REFUSED << why, __ATOMIC_RELAXED);
	run_share_detach(&map);
	return true;
}

/* Return: where the environment says it; NULL if it does not. */
static char **find_run(char **envp)
{
	for (; envp && *envp; envp++)
		if (strncmp(*envp, RUN_SHARE_ENV "=", sizeof(RUN_SHARE_ENV)) == 0)
			return envp;
	return NULL;
}

/* The C library has not looked at the environment yet: it is what the kernel gave. */
static void forget_run(char **entry)
{
	for (; *entry; entry++)
		entry[0] = entry[1];
}

/* glibc gives constructors what main() gets. */
__attribute__((constructor(101))) static void init(int argc, char **argv, char **envp)
{
	char **entry = find_run(envp);
	const char *path;
	int err;

	(void)argc;
	(void)argv;
	rt_dlopen_init();
	rt_next_init();
	if (!entry)
		return;
	path = *entry + sizeof(RUN_SHARE_ENV);
	err = rt_threads_init();
	if (err)
		rt_fatal("this C library is not supported", err);
	if (!choose_engine(&rt_runtime, path) || rt_boot(attach, path) == RUN_IS_OVER) {
		forget_run(entry); /* what it executes need not find out again */
		return;
	}
	err = rt_fork_init();
	if (err)
		rt_fatal("cannot prepare for fork()", err);
	if (rt_runtime.is_by_signal)
		rt_swap_read_open(&rt_runtime);
	__atomic_store_n(&rt_runtime.state, RT_MANAGED, __ATOMIC_RELEASE);
	rt_malloc_backend_set();
}
