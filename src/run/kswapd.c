/* SPDX-License-Identifier: MIT */
/*
 * The thread behind mm_step(): keeps free frames ahead of need.
 *
 * It sleeps on kswapd_seq, which rt_kswapd_wake() counts up. The number is read before
 * mm_step() is asked, so a wake that comes while it looks makes the futex return at once.
 * rt_kswapd_wake() makes the system call only if kswapd may be asleep: it counts first and
 * looks then, kswapd says that it sleeps first and looks at the number then (in the kernel), so
 * one of them sees the other. I/O that ends is taken in by the fault handlers, and the manager
 * wakes kswapd if it has waited for that.
 *
 * A process of the run that has ended gives its swap back when somebody looks. Nobody has more
 * reason to than who needs frames: kswapd, now and then while it works.
 */
#include "base/checked.h"
#include "run/runtime.h"
#include "run/thread.h"

#define BUDGET_PAGES  256 /* 1 MiB, then the gate may close */
#define BURY_EVERY_NS (RT_SECOND / 10)

static void kswapd_sleep(struct runtime *rt, uint32_t seq, uint64_t timeout_ns)
{
	__atomic_store_n(&rt->kswapd_is_asleep, 1, __ATOMIC_SEQ_CST);
	rt_futex_wait(&rt->kswapd_seq, seq, timeout_ns);
	__atomic_store_n(&rt->kswapd_is_asleep, 0, __ATOMIC_SEQ_CST);
}

static void bury_the_dead(struct runtime *rt, uint64_t *last_ns)
{
	uint64_t now_ns = rt_now_ns();

	if (now_ns - *last_ns < BURY_EVERY_NS)
		return;
	*last_ns = now_ns;
	run_share_reclaim(&rt->map);
}

static void kswapd_main(void *arg)
{
	struct runtime *rt = arg;
	uint64_t last_burial_ns = 0;

	for (;;) {
		uint32_t seq = __atomic_load_n(&rt->kswapd_seq, __ATOMIC_SEQ_CST);
		uint64_t due_ns;

		rt_gate_enter(&rt->gate);
		due_ns = mm_step(rt->sys, rt_now_ns(), BUDGET_PAGES);
		bury_the_dead(rt, &last_burial_ns);
		rt_gate_leave(&rt->gate);
		if (due_ns > 0)
			kswapd_sleep(rt, seq, due_ns);
	}
}

/**
 * rt_kswapd_wake() - mm_config.wake_kswapd.
 * @arg: the runtime.
 *
 * Context: any thread of the runtime, also with the manager's lock held.
 */
void rt_kswapd_wake(void *arg)
{
	struct runtime *rt = arg;

	__atomic_add_fetch(&rt->kswapd_seq, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&rt->kswapd_is_asleep, __ATOMIC_SEQ_CST))
		rt_futex_wake(&rt->kswapd_seq, 1);
}

/**
 * rt_kswapd_start() - Return: 0, or -errno of rt_thread_start().
 */
int rt_kswapd_start(struct runtime *rt)
{
	struct rt_thread_config cfg = {.name = "ration-kswapd", .fn = kswapd_main, .arg = rt};

	rt->kswapd_is_asleep = 0;
	return rt_thread_start(&cfg);
}
