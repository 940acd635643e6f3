/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a thread whose fault the manager refused.
 *
 * SEGV. The host's mappings carry the program's own protection, so a bad access is a SIGSEGV of
 *	the kernel and never gets here. What does is a race: the access met the old mapping, the
 *	manager has already removed it. The thread is let go, faults again, and by then the
 *	kernel has the new protection. Should it come back SEGV_REPEATS times, it gets a SIGSEGV
 *	that says what the kernel's would say.
 * BUS. The page's only copy could not be read, or the machine cannot map it. The page is
 *	poisoned, so that this and every further access is a SIGBUS of the kernel, in system
 *	calls too. Before Linux 6.6 the thread gets a queued SIGBUS; one that blocks or ignores
 *	it would be killed by a real one, so after BUS_REPEATS faults it is.
 * OOM. First the swap of processes that have ended is taken back, and the thread let go; so
 *	it is as long as there are any, for the I/O of some may not have ended. Should it come
 *	back OOM_REPEATS times: as Linux's OOM killer, SIGKILL to the process. The launcher says
 *	why.
 */
#include "run/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "mm/swapdev.h"
#include "run/port.h"
#include "run/runtime.h"

#define SEGV_REPEATS 1000 /* some ms of faulting: a racing munmap is long over */
#define BUS_REPEATS  3
#define OOM_REPEATS  3
#define MIB	     ((uint64_t)1 << 20)

static struct rt_repeat *repeat_of(struct rt_engine *engine,
				   const struct machine_host_fault *fault)
{
	uint64_t key = (fault->va >> PAGE_SHIFT) * 31 + (uint64_t)fault->tid;

	return &engine->repeats[key % RT_REPEATS_MAX];
}

/* How often this thread's access was refused in a row; roughly, two threads may share a place.
 */
static unsigned int count_repeat(struct rt_engine *engine,
				 const struct machine_host_fault *fault)
{
	struct rt_repeat *repeat = repeat_of(engine, fault);
	unsigned int times;

	mm_lock_acquire(&engine->lock);
	if (repeat->va != fault->va || repeat->tid != fault->tid)
		*repeat = (struct rt_repeat){.va = fault->va, .tid = fault->tid};
	times = ++repeat->times;
	mm_lock_release(&engine->lock);
	return times;
}

static long own_pid(void)
{
	return sys_call2(SYS_getpid, 0, 0);
}

static void kill_process(int sig)
{
	sys_call2(SYS_kill, own_pid(), sig);
}

static void queue_signal(const struct machine_host_fault *fault, int sig, int code)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = code;
	info.si_addr = (void *)fault->va;
	if (fault->tid == 0 ||
	    sys_call4(SYS_rt_tgsigqueueinfo, own_pid(), fault->tid, sig, (long)&info) < 0)
		kill_process(sig);
}

static void refuse_segv(struct runtime *rt, const struct machine_host_fault *fault)
{
	if (count_repeat(&rt->engine, fault) % SEGV_REPEATS == 0)
		queue_signal(fault, SIGSEGV, SEGV_MAPERR);
	rt_port_wake(rt, fault->va);
}

/* What the kernel has at an address: bit 63 a page, bit 57 write-protected (proc(5)). */
static uint64_t kernel_entry(vaddr_t va)
{
	long fd = sys_call3(SYS_open, (long)"/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
	uint64_t entry = 0;

	if (fd < 0)
		return 0;
	sys_call4(SYS_pread64, fd, (long)&entry, sizeof(entry),
		  (long)(va / PAGE_SIZE * sizeof(entry)));
	sys_call2(SYS_close, fd, 0);
	return entry;
}

/**
 * rt_say_bus() - why a fault was answered MM_FAULT_BUS; once in the life of a process.
 */
void rt_say_bus(struct runtime *rt, vaddr_t va)
{
	uint64_t entry = 0;
	int err = mm_fault_error(rt->mm, va, &entry);

	if (__atomic_exchange_n(&rt->has_said_bus, true, __ATOMIC_RELAXED))
		return;
	if (err)
		rt_say(rt,
		       "a page could not be mapped (error %d, entry %#lx, the kernel's %#lx): "
		       "SIGBUS to process %ld at %#lx; please report this",
		       -err, entry, kernel_entry(va), own_pid(), va);
	else
		rt_say(rt, "swap could not be read: SIGBUS to process %ld at %#lx", own_pid(),
		       va);
}

static void refuse_bus(struct runtime *rt, const struct machine_host_fault *fault)
{
	unsigned int times = count_repeat(&rt->engine, fault);

	rt_say_bus(rt, fault->va);
	if (rt_port_poison(rt, fault->va) == 0)
		return;
	if (times > BUS_REPEATS)
		kill_process(SIGKILL);
	queue_signal(fault, SIGBUS, BUS_ADRERR);
	rt_port_wake(rt, fault->va);
}

static uint64_t swap_pages(const struct runtime *rt)
{
	uint64_t pages = 0;

	for (unsigned int i = 0; i < rt->nr_swapdevs; i++)
		pages += rt->swapdevs[i]->nr_slots - 1;
	return pages;
}

/* Where bringing a page in needs a mapping, the program's own limit may forbid it. */
static bool is_out_of_addresses(const struct runtime *rt)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

	sys_call2(SYS_getrlimit, RLIMIT_AS, (long)&limit);
	return rt->is_by_segv && limit.rlim_cur < rt->window_end - rt->window_start;
}

static void kill_for_memory(struct runtime *rt)
{
	const uint64_t *vmstat = rt->map.share->procs[rt->slot].vmstat;
	uint64_t ram = rt->map.share->ram_bytes / MIB;
	uint64_t touched = (vmstat[MM_VMSTAT_nr_touched_peak] * PAGE_SIZE + MIB - 1) / MIB;
	uint64_t used = vmstat[MM_VMSTAT_nr_swap_slots_used] * PAGE_SIZE / MIB;
	uint64_t swap = swap_pages(rt) * PAGE_SIZE / MIB;

	if (is_out_of_addresses(rt))
		rt_say(rt,
		       "process %ld has limited its address space (RLIMIT_AS) to less than it "
		       "has; killed; raise the limit, or use --fault signal",
		       own_pid());
	else if (swap == 0)
		rt_say(rt,
		       "out of memory: process %ld has touched %lu MiB, has %lu MiB of RAM and "
		       "no swap; killed; raise --ram or add --swap",
		       own_pid(), touched, ram);
	else if (vmstat[MM_VMSTAT_swap_write_nospace] > 0)
		rt_say(rt,
		       "out of memory: process %ld has touched %lu MiB, has %lu MiB of RAM and "
		       "the disk with the swap file was full at %lu MiB; killed; make room "
		       "there, or "
		       "use --swap elsewhere",
		       own_pid(), touched, ram, used);
	else
		rt_say(rt,
		       "out of memory: process %ld has touched %lu MiB, has %lu MiB of RAM and "
		       "uses %lu of %lu MiB of swap; killed; raise --ram or --swap",
		       own_pid(), touched, ram, used, swap);
	kill_process(SIGKILL);
}

static void refuse_oom(struct runtime *rt, const struct machine_host_fault *fault)
{
	unsigned int nr_dead = run_share_reclaim(&rt->map);

	if (nr_dead == 0 && count_repeat(&rt->engine, fault) % OOM_REPEATS == 0)
		kill_for_memory(rt);
	else
		rt_port_wake(rt, fault->va);
}

/**
 * rt_fault_refused() - deal with a fault that the manager answered SEGV, BUS or OOM.
 * @fault: its thread waits.
 *
 * Context: any thread of the runtime, the manager's lock not held.
 */
void rt_fault_refused(struct runtime *rt, const struct machine_host_fault *fault,
		      enum mm_fault_result result)
{
	if (result == MM_FAULT_OOM)
		refuse_oom(rt, fault);
	else if (result == MM_FAULT_BUS)
		refuse_bus(rt, fault);
	else
		refuse_segv(rt, fault);
}
