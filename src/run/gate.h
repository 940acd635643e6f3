/* SPDX-License-Identifier: MIT */
/*
 * A gate before the manager. Threads that run manager code are inside; closing
 * the gate waits until nobody is, and keeps them out until it opens. A thread never sleeps for
 * an event while it is inside but for the disk (swap_read.c), so closing takes as long as one
 * call of the manager.
 *
 * One thread closes and opens; it may go on inside by itself meanwhile.
 */
#ifndef RUN_GATE_H
#define RUN_GATE_H

#include <stdbool.h>

#include "run/futex.h"

struct rt_gate {
	uint32_t is_closed; /* atomic */
	uint32_t nr_inside; /* atomic */
};

static inline void rt_gate_leave(struct rt_gate *gate)
{
	if (__atomic_sub_fetch(&gate->nr_inside, 1, __ATOMIC_SEQ_CST) == 0 &&
	    __atomic_load_n(&gate->is_closed, __ATOMIC_SEQ_CST))
		rt_futex_wake(&gate->nr_inside, 1);
}

/* Either this sees is_closed, or rt_gate_close() sees it inside: both are in one total order.
 */
static inline void rt_gate_enter(struct rt_gate *gate)
{
	for (;;) {
		__atomic_add_fetch(&gate->nr_inside, 1, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&gate->is_closed, __ATOMIC_SEQ_CST))
			return;
		rt_gate_leave(gate);
		rt_futex_await(&gate->is_closed, 0);
	}
}

/* Return: false if it is closed. */
static inline bool rt_gate_try_enter(struct rt_gate *gate)
{
	__atomic_add_fetch(&gate->nr_inside, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&gate->is_closed, __ATOMIC_SEQ_CST))
		return true;
	rt_gate_leave(gate);
	return false;
}

static inline void rt_gate_close(struct rt_gate *gate)
{
	__atomic_store_n(&gate->is_closed, 1, __ATOMIC_SEQ_CST);
	rt_futex_await(&gate->nr_inside, 0);
}

static inline void rt_gate_open(struct rt_gate *gate)
{
	rt_futex_set(&gate->is_closed, 0);
}

#endif
