/* SPDX-License-Identifier: MIT */
/*
 * The loop of access and fault that a processor makes with a manager.
 */
#include <sched.h>

#include "machine/soft_internal.h"
#include "mm/system.h"

#define STEP_NS		  10000 /* what one mm_step() takes on this machine's clock */
#define STEP_BUDGET_PAGES 256
#define FAULTS_MAX	  (1u << 20) /* of one page in a row, about a second: it is stuck */
#define FAULTS_A_YIELD	  64	     /* whoever does the I/O may need the processor */

struct mm_access {
	struct mm *mm;
	vaddr_t va;
	char *load;	   /* or NULL */
	const char *store; /* or NULL */
	size_t size;	   /* bytes left */
};

/* Goes on to the end, or to a fault, and remembers where that is. */
static bool access_ends(struct mm_access *a, struct machine_soft_fault *ret_fault)
{
	struct machine_space *space = a->mm->space;
	size_t done;
	int err;

	if (a->load)
		err = machine_soft_load(space, a->va, a->load, a->size, ret_fault);
	else if (a->store)
		err = machine_soft_store(space, a->va, a->store, a->size, ret_fault);
	else
		err = machine_soft_fetch(space, a->va, ret_fault);
	if (!err)
		return true;
	done = ret_fault->va - a->va;
	a->va += done;
	a->size -= done;
	a->load += a->load ? done : 0;
	a->store += a->store ? done : 0;
	return false;
}

/* Let the manager get on, and time with it. */
static void step(struct mm *mm, unsigned int nr_faults)
{
	uint64_t *clock = &mm->space->soft->now_ns;
	uint64_t now = __atomic_add_fetch(clock, STEP_NS, __ATOMIC_RELAXED);

	mm_step(mm->sys, now, STEP_BUDGET_PAGES);
	if (nr_faults % FAULTS_A_YIELD == 0)
		sched_yield();
}

static enum mm_fault_result access_run(struct mm_access *a)
{
	enum mm_fault_result worst = MM_FAULT_MINOR;
	struct machine_soft_fault fault;
	unsigned int nr_faults = 0;
	vaddr_t last = a->va;

	while (!access_ends(a, &fault)) {
		enum mm_fault_result result;

		nr_faults = fault.va == last ? nr_faults + 1 : 1;
		last = fault.va;
		if (nr_faults > FAULTS_MAX)
			return MM_FAULT_RETRY;
		result = mm_fault(a->mm, fault.va, fault.access);
		if (result > MM_FAULT_RETRY)
			return result;
		if (result == MM_FAULT_RETRY)
			step(a->mm, nr_faults);
		else if (result > worst)
			worst = result;
	}
	return worst;
}

/**
 * machine_soft_mm_load() - read memory of an address space whose manager resolves the faults.
 *
 * The thread that is told RETRY does the manager's work itself, by mm_step(), and asks again.
 *
 * Return: MM_FAULT_MINOR if all was read without I/O, even without a fault; MM_FAULT_MAJOR if
 * some page came from swap; SEGV, BUS or OOM as the first fault that cannot be resolved says;
 * RETRY if it is not resolved in about a second.
 * Context: any thread, holding none of the manager's locks.
 */
enum mm_fault_result machine_soft_mm_load(struct mm *mm, vaddr_t va, void *buf, size_t size)
{
	struct mm_access a = {.mm = mm, .va = va, .load = buf, .size = size};

	return access_run(&a);
}

/**
 * machine_soft_mm_store() - write memory; see machine_soft_mm_load().
 */
enum mm_fault_result machine_soft_mm_store(struct mm *mm, vaddr_t va, const void *buf,
					   size_t size)
{
	struct mm_access a = {.mm = mm, .va = va, .store = buf, .size = size};

	return access_run(&a);
}

/**
 * machine_soft_mm_fetch() - execute the byte at @va; see machine_soft_mm_load().
 */
enum mm_fault_result machine_soft_mm_fetch(struct mm *mm, vaddr_t va)
{
	struct mm_access a = {.mm = mm, .va = va, .size = 1};

	return access_run(&a);
}
