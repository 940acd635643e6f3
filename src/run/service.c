/* SPDX-License-Identifier: MIT */
/*
 * How a thread of the program has the service thread do something.
 *
 * It claims one of SLOTS_MAX slots, writes what it wants, posts it, and sleeps until it is
 * done. One thread serves all slots, one after the other.
 *
 *	FREE --claim (CAS)--> CLAIMED --post--> POSTED --serve--> DONE --take the answer--> FREE
 *
 * 1. A slot belongs to the caller in CLAIMED and DONE, to the service thread in POSTED.
 * 2. The caller blocks all signals from before the claim until the slot is free again: no
 *    handler runs in between, so none can jump out and leave the slot behind, and a handler
 *    that calls mmap() finds the caller in no particular state. Where the program's own calls
 *    would not have been interrupted, these are not either.
 * 3. Nothing here is a lock that one caller could hold against another; with all slots taken a
 *    caller waits until one is free.
 * 4. Slots are ordinary private memory: a vfork child, which shares it, calls as any thread.
 *
 * No wake is lost. The caller stores POSTED, counts posted_seq up, and looks at is_asleep; the
 * service thread sets is_asleep, and then sleeps only if posted_seq is still what it was before
 * it looked through the slots. All sequentially consistent, so one of the two sees the other.
 */
#include "run/service.h"

#include <errno.h>

#include "base/checked.h"
#include "run/fork.h"
#include "run/runtime.h"
#include "run/thread.h"

#define SLOTS_MAX 64
#define FAULTS_NS (RT_SECOND / 2000) /* until faults that were told RETRY are asked again */

enum slot_state { SLOT_FREE, SLOT_CLAIMED, SLOT_POSTED, SLOT_DONE };

static struct slot {
	uint32_t state; /* atomic: enum slot_state */
	struct rt_request request;
	long answer;
} slots[SLOTS_MAX];

static uint32_t posted_seq; /* atomic: requests ever posted */
static uint32_t freed_seq;  /* atomic: slots ever freed */
static uint32_t nr_waiting; /* atomic: callers that found no slot */
static uint32_t is_asleep;  /* atomic: the service thread */

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* While a fork is under way all but THAW may wait for it, so it needs a slot of its own. */
static uint32_t first_slot(enum rt_op op)
{
	return op == RT_OP_FORK_THAW ? 0 : 1;
}

static struct slot *slot_try_claim(enum rt_op op)
{
	static uint32_t next;
	uint32_t start = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
	uint32_t first = first_slot(op), nr = SLOTS_MAX - first;

	for (uint32_t i = 0; i < nr; i++) {
		struct slot *slot = &slots[first + (start + i) % nr];
		uint32_t expected = SLOT_FREE;

		if (__atomic_compare_exchange_n(&slot->state, &expected, SLOT_CLAIMED, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return slot;
	}
	return NULL;
}

static struct slot *slot_claim(enum rt_op op)
{
	struct slot *slot = slot_try_claim(op);

	if (slot)
		return slot;
	__atomic_add_fetch(&nr_waiting, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t seq = load(&freed_seq);

		slot = slot_try_claim(op);
		if (slot)
			break;
		rt_futex_wait(&freed_seq, seq, RT_FOREVER);
	}
	__atomic_sub_fetch(&nr_waiting, 1, __ATOMIC_SEQ_CST);
	return slot;
}

static void slot_free(struct slot *slot)
{
	__atomic_store_n(&slot->state, SLOT_FREE, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&freed_seq, 1, __ATOMIC_SEQ_CST);
	if (load(&nr_waiting) > 0)
		rt_futex_wake(&freed_seq, INT32_MAX); /* not each may take each slot */
}

static void slot_post(struct slot *slot)
{
	__atomic_store_n(&slot->state, SLOT_POSTED, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&posted_seq, 1, __ATOMIC_SEQ_CST);
	if (load(&is_asleep))
		rt_futex_wake(&posted_seq, 1);
}

/**
 * rt_service_call() - have the service thread do something, and wait for it.
 *
 * Return: what the operation says; a value, or -errno.
 * Context: a thread of the program, also in a signal handler or a vfork child; any of the
 * malloc's locks may be held. Keeps errno.
 */
long rt_service_call(const struct rt_request *request)
{
	struct slot *slot;
	uint64_t signals;
	long answer;

	rt_fork_child_on_demand();
	rt_signals_block(&signals);
	slot = slot_claim(request->op);
	slot->request = *request;
	slot_post(slot);
	rt_futex_await(&slot->state, SLOT_DONE);
	answer = slot->answer;
	slot_free(slot);
	rt_signals_restore(signals);
	return answer;
}

/**
 * rt_service_reset() - in the child of a fork: nobody's request is under way.
 */
void rt_service_reset(void)
{
	for (unsigned int i = 0; i < SLOTS_MAX; i++)
		slots[i].state = SLOT_FREE;
	nr_waiting = 0;
	is_asleep = 0;
}

/* Return: true if it is done. While a fork is under way all else waits. */
static bool slot_serve(struct runtime *rt, struct slot *slot, bool *ret_faults_wait)
{
	const struct rt_request *request = &slot->request;

	if (request->op == RT_OP_FAULT) {
		if (!rt_signal_serve(rt, request->args, &slot->answer)) {
			*ret_faults_wait = true;
			return false;
		}
	} else if (!rt->is_frozen || request->op == RT_OP_FORK_THAW) {
		slot->answer = rt_service_do(rt, request);
	} else {
		return false;
	}
	rt_futex_set(&slot->state, SLOT_DONE);
	return true;
}

/* Return: true if anything was done. */
static bool serve_posted(struct runtime *rt, bool *ret_faults_wait)
{
	bool any = false;

	*ret_faults_wait = false;
	for (unsigned int i = 0; i < SLOTS_MAX; i++)
		if (load(&slots[i].state) == SLOT_POSTED)
			any |= slot_serve(rt, &slots[i], ret_faults_wait);
	return any;
}

static void service_sleep(uint32_t seq, uint64_t timeout_ns)
{
	__atomic_store_n(&is_asleep, 1, __ATOMIC_SEQ_CST);
	rt_futex_wait(&posted_seq, seq, timeout_ns);
	__atomic_store_n(&is_asleep, 0, __ATOMIC_SEQ_CST);
}

/**
 * rt_service_run() - the service thread's life.
 */
void rt_service_run(struct runtime *rt)
{
	for (;;) {
		uint32_t seq = load(&posted_seq);
		uint64_t sleep_ns;
		bool faults_wait;

		if (serve_posted(rt, &faults_wait))
			continue;
		sleep_ns = rt_frozen_work(rt);
		service_sleep(seq, faults_wait ? min_u64(sleep_ns, FAULTS_NS) : sleep_ns);
	}
}
