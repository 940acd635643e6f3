/* SPDX-License-Identifier: MIT */
/*
 * Faults are resolved by handler threads.
 *
 * The handlers wait on one epoll instance, edge-triggered, so that an event wakes one of them:
 * for faults (the machine's descriptor), for swap I/O that has ended, and for rt_engine_wake().
 * A fault is given to mm_fault(). Where the answer is MINOR or MAJOR the machine has let the
 * waiter go. Where it is RETRY the fault joins the pending ones.
 *
 * When is a pending fault asked again? The manager calls rt_engine_wake() when something has
 * changed that a RETRY may have waited for. A wake must not get lost, and costs next to nothing
 * when nobody waits:
 *
 * 1. A pending fault carries the value that wake_seq had before the manager was asked. It is
 *    due once wake_seq differs.
 * 2. rt_engine_wake() first counts wake_seq up, then looks at nr_pending, and writes wake_fd if
 *    it is not 0.
 * 3. A handler first puts the fault in (nr_pending grows), then looks for due ones, and sleeps
 *    only if there are none.
 * All four accesses are sequentially consistent: if the handler in 3 did not see the new
 * wake_seq, then the waker in 2 comes after it and sees nr_pending, and its write is an edge
 * that one handler gets, which looks for due ones. A fault that a handler holds in its hands
 * meanwhile is put back with the old number, and found due by the same look.
 *
 * The service thread waits in the same way for calls that were told -EAGAIN, on the futex
 * wake_seq, with nr_sleepers in the place of nr_pending.
 *
 * What the kernel holds (a page pinned for a device) is asked again without any event to wait
 * for: a handler that has asked RETRY_BURST times in a row pauses for PAUSE_MS.
 *
 * With the signal engine one of these threads is left, to take in swap I/O that has ended, and
 * nothing is ever pending.
 *
 * When more than RT_PENDING_MAX wait, the fault is dropped and its thread let go: it faults
 * again, which costs time and nothing else.
 */
#include "run/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "run/outcome.h"
#include "run/runtime.h"
#include "run/thread.h"
#include "swapdev/file.h"

#define RETRY_BURST  64
#define FAULTS_BURST 64
#define PAUSE_MS     1
#define BELT_MS	     1000 /* with faults pending: look at them, whatever was or was not heard */
#define EVENTS_MAX   4
#define CPU_MASK_MAX 1024 /* bytes: 8192 processors */

/* What an epoll event is about. */
enum {
	EVENT_FAULT,
	EVENT_WAKE, /* the number in it is not read: each write is an edge */
	EVENT_SWAP,
};

struct handler {
	struct runtime *rt;
	bool has_more;	 /* faults were left unread, and there will be no edge for them */
	bool is_pausing; /* due faults were left, for PAUSE_MS */
};

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void pending_put(struct runtime *rt, const struct machine_host_fault *fault,
			uint32_t seq)
{
	struct rt_engine *engine = &rt->engine;
	bool is_full;

	mm_lock_acquire(&engine->lock);
	is_full = engine->nr_pending == RT_PENDING_MAX;
	if (!is_full) {
		engine->pending[engine->nr_pending] =
			(struct rt_pending){.fault = *fault, .seq = seq};
		__atomic_store_n(&engine->nr_pending, engine->nr_pending + 1, __ATOMIC_SEQ_CST);
	}
	mm_lock_release(&engine->lock);
	if (is_full)
		machine_host_wake(rt->machine, fault->va);
}

/* Takes a pending fault that is due, any of them if is_forced. */
static bool pending_take_due(struct rt_engine *engine, bool is_forced,
			     struct machine_host_fault *ret_fault)
{
	uint32_t seq = load(&engine->wake_seq);
	bool found = false;

	if (load(&engine->nr_pending) == 0)
		return false;
	mm_lock_acquire(&engine->lock);
	for (uint32_t i = 0; i < engine->nr_pending && !found; i++) {
		if (!is_forced && engine->pending[i].seq == seq)
			continue;
		found = true;
		*ret_fault = engine->pending[i].fault;
		engine->pending[i] = engine->pending[engine->nr_pending - 1];
		__atomic_store_n(&engine->nr_pending, engine->nr_pending - 1, __ATOMIC_SEQ_CST);
	}
	mm_lock_release(&engine->lock);
	return found;
}

/* Return: true if the thread that waited is on its way; false if the fault is pending. */
static bool fault_serve(struct runtime *rt, const struct machine_host_fault *fault)
{
	uint32_t seq = load(&rt->engine.wake_seq);
	enum mm_fault_result result = mm_fault(rt->mm, fault->va, fault->access);

	if (result == MM_FAULT_RETRY) {
		pending_put(rt, fault, seq);
		return false;
	}
	if (result != MM_FAULT_MINOR && result != MM_FAULT_MAJOR)
		rt_fault_refused(rt, fault, result);
	return true;
}

/* Return: false if due faults are left: they get nowhere just now. */
static bool serve_due(struct runtime *rt, bool is_forced)
{
	struct machine_host_fault fault;
	uint32_t nr_forced = is_forced ? load(&rt->engine.nr_pending) : 0;
	unsigned int nr_vain = 0;

	while (nr_vain < RETRY_BURST && pending_take_due(&rt->engine, nr_forced > 0, &fault)) {
		nr_forced -= nr_forced > 0;
		nr_vain = fault_serve(rt, &fault) ? 0 : nr_vain + 1;
	}
	return nr_vain < RETRY_BURST;
}

/*
 * With several handlers one fault at a time, so that they share what there is. Not without end:
 * pending faults and the gate want their turn while other threads fault on and on.
 *
 * Return: false if some may be left.
 */
static bool serve_faults(struct runtime *rt)
{
	struct machine_host_fault faults[8];
	unsigned int max = rt->engine.nr_handlers > 1 ? 1 : 8;
	unsigned int nr_served = 0, nr;

	do {
		nr = machine_host_read_faults(rt->machine, faults, max);
		for (unsigned int i = 0; i < nr; i++)
			fault_serve(rt, &faults[i]);
		nr_served += nr;
	} while (nr > 0 && nr_served < FAULTS_BURST);
	return nr == 0;
}

static void serve_event(struct handler *h, uint32_t what)
{
	if (what == EVENT_FAULT)
		h->has_more = true;
	else if (what == EVENT_SWAP)
		mm_step(h->rt->sys, rt_now_ns(), 0);
}

static int handler_timeout(const struct handler *h)
{
	if (h->has_more)
		return 0;
	if (h->is_pausing)
		return PAUSE_MS;
	return load(&h->rt->engine.nr_pending) > 0 ? BELT_MS : -1;
}

static void handler_round(struct handler *h)
{
	struct runtime *rt = h->rt;
	struct epoll_event events[EVENTS_MAX];
	long nr = sys_call6(SYS_epoll_pwait, rt->engine.epoll_fd, (long)events, EVENTS_MAX,
			    handler_timeout(h), 0, 0);

	rt_gate_enter(&rt->gate);
	for (long i = 0; i < nr; i++)
		serve_event(h, events[i].data.u32);
	h->is_pausing = !serve_due(rt, nr == 0 && !h->has_more);
	if (h->has_more)
		h->has_more = !serve_faults(rt);
	rt_gate_leave(&rt->gate);
}

static void handler_main(void *arg)
{
	struct handler h = {.rt = arg};

	for (;;)
		handler_round(&h);
}

/**
 * rt_engine_serve_frozen() - show each fault that waits to somebody else.
 * @serve: those it does not deal with stay pending.
 *
 * Context: the service thread, with the gate closed.
 */
void rt_engine_serve_frozen(struct runtime *rt, rt_fault_fn serve)
{
	struct rt_engine *engine = &rt->engine;
	struct machine_host_fault fault;
	uint32_t nr = 0;

	while (!rt->is_by_signal && machine_host_read_faults(rt->machine, &fault, 1) > 0)
		pending_put(rt, &fault, load(&engine->wake_seq));
	mm_lock_acquire(&engine->lock);
	for (uint32_t i = 0; i < engine->nr_pending; i++)
		if (!serve(rt, &engine->pending[i].fault))
			engine->pending[nr++] = engine->pending[i];
	__atomic_store_n(&engine->nr_pending, nr, __ATOMIC_SEQ_CST);
	mm_lock_release(&engine->lock);
}

/**
 * rt_engine_wake() - mm_config.wake: whoever was told RETRY or -EAGAIN may ask again.
 * @arg: the runtime.
 *
 * Context: any thread of the runtime, also with the manager's lock held.
 */
void rt_engine_wake(void *arg)
{
	struct rt_engine *engine = &((struct runtime *)arg)->engine;
	uint64_t one = 1;

	__atomic_add_fetch(&engine->wake_seq, 1, __ATOMIC_SEQ_CST);
	if (load(&engine->nr_pending) > 0)
		sys_call3(SYS_write, engine->wake_fd, (long)&one, sizeof(one));
	if (load(&engine->nr_sleepers) > 0)
		rt_futex_wake(&engine->wake_seq, INT32_MAX);
}

/**
 * rt_engine_seq() - to be read before a call that may answer -EAGAIN.
 */
uint32_t rt_engine_seq(struct runtime *rt)
{
	return load(&rt->engine.wake_seq);
}

/**
 * rt_engine_sleep() - after -EAGAIN: until rt_engine_wake() was called since @seq was read.
 *
 * At most PAUSE_MS: for what the kernel holds there is no wake.
 */
void rt_engine_sleep(struct runtime *rt, uint32_t seq)
{
	struct rt_engine *engine = &rt->engine;

	__atomic_add_fetch(&engine->nr_sleepers, 1, __ATOMIC_SEQ_CST);
	rt_futex_wait(&engine->wake_seq, seq, PAUSE_MS * RT_SECOND / 1000);
	__atomic_sub_fetch(&engine->nr_sleepers, 1, __ATOMIC_SEQ_CST);
}

static unsigned int nr_cpus(void)
{
	static unsigned long mask[CPU_MASK_MAX / sizeof(unsigned long)];
	long bytes = sys_call3(SYS_sched_getaffinity, 0, sizeof(mask), (long)mask);
	unsigned int nr = 0;

	for (long i = 0; i < bytes / (long)sizeof(mask[0]); i++)
		nr += (unsigned int)__builtin_popcountl(mask[i]);
	return nr ? nr : 1;
}

static int watch(struct runtime *rt, int fd, uint32_t what)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = what};

	return (int)sys_call4(SYS_epoll_ctl, rt->engine.epoll_fd, EPOLL_CTL_ADD, fd,
			      (long)&event);
}

static int watch_all(struct runtime *rt)
{
	int err = 0;

	if (!rt->is_by_signal)
		err = watch(rt, machine_host_fd(rt->machine), EVENT_FAULT);
	if (!err)
		err = watch(rt, rt->engine.wake_fd, EVENT_WAKE);
	for (uint32_t i = 0; i < rt->nr_swapdevs && !err; i++)
		err = watch(rt, swapdev_file_event_fd(rt->swapdevs[i]), EVENT_SWAP);
	return err;
}

/**
 * rt_engine_start() - open what the handlers wait on, and start them.
 *
 * Return: 0, or -errno; then the process cannot go on.
 * Context: by a thread of the runtime; the machine, the swap devices and the mm are there. Also
 * in the child of a fork, where everything is made anew.
 */
int rt_engine_start(struct runtime *rt)
{
	struct rt_engine *engine = &rt->engine;
	struct rt_thread_config cfg = {.name = "ration-fault", .fn = handler_main, .arg = rt};
	int err = 0;

	engine->nr_pending = 0;
	engine->nr_sleepers = 0;
	mm_lock_init(&engine->lock, LOCK_RANK_RUN);
	engine->epoll_fd = (int)sys_call2(SYS_epoll_create1, EPOLL_CLOEXEC, 0);
	engine->wake_fd = (int)sys_call2(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (engine->epoll_fd < 0)
		return engine->epoll_fd;
	if (engine->wake_fd < 0)
		return engine->wake_fd;
	err = watch_all(rt);
	engine->nr_handlers =
		rt->is_by_signal ? 1 : (unsigned int)min_u64(nr_cpus(), RT_HANDLERS_MAX);
	for (unsigned int i = 0; i < engine->nr_handlers && !err; i++)
		err = rt_thread_start(&cfg);
	return err;
}
