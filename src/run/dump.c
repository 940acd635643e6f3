/* SPDX-License-Identifier: MIT */
/*
 * A core dump holds all of the program's memory, also what is out.
 *
 * The kernel dumps what is resident, and cannot wait for a page: a fault while it dumps is a
 * hole. So a thread that is about to end its process by a signal that dumps core first has all
 * managed memory leave the manager (rt_foreign_make()): each piece is read, is put into an
 * ordinary mapping, and that mapping takes its place; the manager frees what it had for it. The
 * budget is exceeded by that, up to all that the program has touched. It is done only where a
 * core was asked for: RLIMIT_CORE is not 0, and the process is dumpable.
 *
 * 1. No other thread of the program runs meanwhile, for it would meet pages that are on their
 *    way. Each is sent SIGBUS, which nobody blocks, and stays in the handler for ever
 *    (rt_dump_park()). One that sleeps in the kernel comes to the handler before it comes back.
 * 2. A thread in the midst of fork() has stopped the manager and must start it again, so it is
 *    not parked until it has.
 * 3. What is left of the window is reserved addresses, terabytes of them, and is told not to be
 *    dumped: where a part of it has the protection of one that was touched the kernel takes
 *    them for one mapping, and looks at each page.
 * 4. Where that cannot be had (no /proc, no memory, no time) there are holes, and the process
 *    ends as without it. A page that swap never gives is waited for as by any other fault.
 *
 * Not where the machine is a memory file, nor with the thread engine: there a dump has holes.
 */
#include "run/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "run/foreign.h"
#include "run/fork.h"
#include "run/futex.h"
#include "run/runtime.h"
#include "run/service.h"
#include "run/thread.h"

#define PIECE_BYTES ((uint64_t)32 << 20) /* what is in RAM twice for a moment */
#define PARK_TRIES  2000		 /* a millisecond each */
#define PARK_NS	    (RT_SECOND / 1000)
#define NAMES_BYTES 2048
#define TAKE_NS	    (120 * RT_SECOND) /* to read all of it from swap */
#define IO_WORKER   "iou-"	      /* the kernel's own threads, which take no signal */

/* As getdents64(2) writes it. */
struct entry {
	uint64_t ino, off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static uint32_t dumper;	   /* atomic: the thread that dies; 0: none does */
static uint32_t nr_parked; /* atomic */

static uint32_t own_tid(void)
{
	return (uint32_t)sys_call2(SYS_gettid, 0, 0);
}

/**
 * rt_dump_is_wanted() - is a core to be written, and can it be made whole?
 */
bool rt_dump_is_wanted(void)
{
	struct rlimit limit = {0};

	if (rt_runtime.is_by_segv)
		return false;
	sys_call2(SYS_getrlimit, RLIMIT_CORE, (long)&limit);
	return limit.rlim_cur > 0 && sys_call6(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0, 0) == 1;
}

_Noreturn static void stay(void)
{
	static const uint32_t never;

	__atomic_add_fetch(&nr_parked, 1, __ATOMIC_SEQ_CST);
	rt_futex_wake(&nr_parked, 1);
	for (;;)
		rt_futex_wait(&never, 0, RT_FOREVER);
}

/**
 * rt_dump_park() - SIGBUS was sent to this thread, by tgkill(2).
 *
 * Return: false: it is the program's. If a dump is under way it does not return, or, in the
 * midst of a fork, true.
 * Context: the handler of SIGBUS, with all signals blocked.
 */
bool rt_dump_park(void)
{
	uint32_t who = __atomic_load_n(&dumper, __ATOMIC_SEQ_CST);

	if (!who || who == own_tid() || rt_thread_is_own() || !rt_is_at_home(&rt_runtime))
		return false;
	if (!rt_fork_is_own())
		stay();
	return true;
}

static bool is_io_worker(int folder, const char *tid)
{
	char name[sizeof(IO_WORKER) - 1] = "", path[32];
	int fd;

	snprintf(path, sizeof(path), "%s/comm", tid);
	fd = (int)sys_call4(SYS_openat, folder, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	sys_call3(SYS_read, fd, (long)name, sizeof(name));
	sys_call2(SYS_close, fd, 0);
	return memcmp(name, IO_WORKER, sizeof(name)) == 0;
}

/* Return: how many they are. */
static uint32_t signal_others(int folder)
{
	char names[NAMES_BYTES] __attribute__((aligned(8)));
	uint32_t self = own_tid(), nr = 0;
	long len;

	sys_call3(SYS_lseek, folder, 0, 0);
	while ((len = sys_call3(SYS_getdents64, folder, (long)names, sizeof(names))) > 0) {
		for (long at = 0; at < len; at += ((struct entry *)(names + at))->len) {
			const char *name = ((struct entry *)(names + at))->name;
			uint32_t tid = (uint32_t)atoi(name);

			if (tid == 0 || tid == self || rt_thread_has_tid(tid) ||
			    is_io_worker(folder, name))
				continue;
			sys_call3(SYS_tgkill, rt_runtime.pid, tid, SIGBUS);
			nr++;
		}
	}
	return nr;
}

/* Those that are not parked in the end sleep in the kernel, or have ended, or had no processor.
 */
static bool park_others(void)
{
	int folder = (int)sys_call4(SYS_openat, AT_FDCWD, (long)"/proc/self/task",
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (folder < 0)
		return false;
	for (unsigned int i = 0; i < PARK_TRIES; i++) {
		uint32_t seen = __atomic_load_n(&nr_parked, __ATOMIC_SEQ_CST);

		if (seen >= signal_others(folder))
			break;
		rt_futex_wait(&nr_parked, seen, PARK_NS);
	}
	sys_call2(SYS_close, folder, 0);
	return !rt_runtime.is_frozen;
}

/**
 * rt_dump_gather() - the process is about to end by a signal that dumps core.
 *
 * Context: a thread of the program, in a signal handler on a stack outside of managed memory.
 * Where another thread does the same already it does not return.
 */
void rt_dump_gather(void)
{
	uint64_t signals;
	uint32_t nobody = 0;

	if (!rt_is_managed() || rt_thread_is_own() || !rt_is_at_home(&rt_runtime) ||
	    !rt_dump_is_wanted())
		return;
	rt_signals_block(&signals); /* a second one would find the first at work */
	if (!__atomic_compare_exchange_n(&dumper, &nobody, own_tid(), false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		stay();
	if (park_others())
		rt_service_call(&(struct rt_request){.op = RT_OP_DUMP});
}

static void advise(vaddr_t start, vaddr_t end, int advice)
{
	sys_call3(SYS_madvise, (long)start, (long)(end - start), advice);
}

/* Return: false: only what of it is resident will be in the dump. */
static bool take_piece(struct runtime *rt, const struct mm_area *part)
{
	long len = (long)(part->end - part->start);

	if (rt_foreign_make(rt, part) == 0) {
		sys_call3(SYS_mprotect, (long)part->start, len, part->prot & 7);
		return true;
	}
	advise(part->start, part->end, MADV_DODUMP);
	return false;
}

/* What of an area was ever touched. */
static bool take_area(struct runtime *rt, const struct mm_area *area, uint64_t give_up_ns)
{
	struct mm_area part = *area;
	bool is_whole = true;

	for (vaddr_t va = area->start; rt_area_touched(rt, &va, area->end); va = part.end) {
		if (rt_now_ns() > give_up_ns)
			return false;
		part.start = va;
		part.end = min_u64(area->end, va + PIECE_BYTES);
		is_whole &= take_piece(rt, &part);
	}
	return is_whole;
}

/**
 * rt_dump_take() - all managed memory leaves the manager.
 *
 * Return: 0.
 * Context: the service thread; no thread of the program runs.
 */
long rt_dump_take(struct runtime *rt, const uint64_t *args)
{
	uint64_t give_up_ns = rt_now_ns() + TAKE_NS;
	bool is_whole = true;
	struct mm_area area;

	(void)args;
	advise(rt->window_start, rt->window_end, MADV_DONTDUMP);
	for (vaddr_t at = rt->window_start; rt_area_next(rt, at, rt->window_end, &area);
	     at = area.end)
		if (area.is_foreign)
			advise(area.start, area.end, MADV_DODUMP);
		else
			is_whole &= take_area(rt, &area, give_up_ns);
	if (!is_whole)
		rt_say(rt, "the core dump of process %ld has holes: not enough memory, or time",
		       sys_call2(SYS_getpid, 0, 0));
	return 0;
}

/**
 * rt_dump_forked() - in the child of a fork: nobody dumps here, whoever did in the parent.
 */
void rt_dump_forked(void)
{
	dumper = nr_parked = 0;
}
