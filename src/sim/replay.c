/* SPDX-License-Identifier: MIT */
/*
 * One simulation: a manager on a software machine with a swap device in virtual time, and the
 * accesses of some processes.
 *
 * The clock counts processor cycles. An access to a page that is translated costs a few and
 * never enters the manager: its region is looked up, the entry of its page says yes, and that
 * is all. Otherwise mm_fault() is called as a processor would, until it is resolved. Told
 * RETRY, the program waits: the clock goes on to the next event until the manager says that it
 * is worth asking again.
 *
 * There are two kinds of events. An I/O ends: mm_step() takes it in. kswapd is due: mm_step()
 * lets it work on a batch. kswapd has a processor of its own: what it looks at costs it time,
 * and it does not work again before that is over, but the program goes on meanwhile. So a
 * program that wants frames faster than kswapd frees them is sent to reclaim by itself.
 *
 * While the device's queue is full, nobody enters the manager: a driver would have them sleep
 * until there is room.
 *
 * With a TLB configured, each reference is translated by the processor's MMU (machine/mmu.h):
 * a hit of the first level ends here, what else it does has its cost, and no region is looked
 * up before there is a fault.
 *
 * The first access to a region of 2 MiB maps all of it, as if the program had asked for it
 * before: private anonymous memory that may be read, written and executed.
 *
 * Invariants:
 *  1. The clock never goes back, and the manager and the device see the same one.
 *  2. next_event is not after the first event; so an access that comes before it cannot be
 *     ahead of something that should have happened.
 *  3. After an error nothing more is replayed.
 */
#include "sim/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "machine/mmu.h"
#include "machine/soft_replay.h"
#include "mm/system.h"
#include "mm/vma.h"
#include "policy/two_lists.h"
#include "sim/region.h"

#define NR_PIDS	     65536
#define PAGES_64K    16
#define USER_END     (PGTABLE_VA_MAX - PAGE_SIZE) /* Linux's TASK_SIZE */
#define REGION_BYTES ((uint64_t)1 << SOFT_REPLAY_SHIFT)
#define KSWAPD_BATCH 32		/* SWAP_CLUSTER_MAX */
#define KSWAPD_WORK  2000	/* cycles that a batch takes at least */
#define TRIES_MAX    (1u << 20) /* of one fault; far more than events that it can wait for */
#define SETUP_TRIES  1000	/* of a call that needs a frame for the manager's own use */
#define NEVER	     UINT64_MAX

_Static_assert(TRACE_READ == MM_ACCESS_READ && TRACE_WRITE == MM_ACCESS_WRITE &&
		       TRACE_EXEC == MM_ACCESS_EXEC,
	       "an operation of a trace is an access of the manager");

struct sim_replay {
	struct sim_config cfg;
	struct machine *machine;
	struct swapdev *swap; /* or NULL */
	struct mmu *mmu;      /* NULL: accesses are made without */
	struct mm_system *sys;
	struct sim_region_map regions;

	uint64_t now;	   /* cycles */
	uint64_t clock_ns; /* now, for the device and the manager */
	uint64_t next_event;
	uint64_t kswapd_at;	/* when kswapd is free to work */
	uint64_t khugepaged_at; /* when khugepaged wants to; NEVER: it does not run */
	bool is_kswapd_due;
	bool is_woken; /* who was told RETRY may ask again */

	bool is_out_of_memory;
	uint64_t nr_accesses, nr_references, nr_processes, resident_peak;
	uint64_t fault_cycles, wait_cycles;
	uint64_t tlb_cycles; /* those that are in now */
	struct mm *mms[NR_PIDS];
	const struct mmu_space *spaces[NR_PIDS]; /* of mms, where there is an MMU */
};

static void wake(void *arg)
{
	struct sim_replay *r = arg;

	r->is_woken = true;
}

static void wake_kswapd(void *arg)
{
	struct sim_replay *r = arg;

	r->is_kswapd_due = true;
}

static void set_clock(struct sim_replay *r)
{
	r->clock_ns = r->now / SIM_CYCLES_NS;
}

static bool is_swap_full(const struct sim_replay *r)
{
	return r->swap && swapdev_model_is_full(r->swap);
}

/* When kswapd or khugepaged, of which one works at a time, wants to be called. */
static uint64_t background_due(const struct sim_replay *r)
{
	uint64_t due = r->is_kswapd_due ? r->now : r->khugepaged_at;

	return max_u64(due, max_u64(r->kswapd_at, r->now));
}

static void find_next_event(struct sim_replay *r)
{
	uint64_t device_ns = r->swap ? swapdev_model_next_ns(r->swap) : NEVER;

	r->next_event = device_ns == NEVER ? NEVER : device_ns * SIM_CYCLES_NS;
	if (!is_swap_full(r))
		r->next_event = min_u64(r->next_event, background_due(r));
}

/* A batch of kswapd's, which takes in what has ended, too; or a turn of khugepaged. */
static void run_kswapd(struct sim_replay *r)
{
	uint64_t scanned = r->sys->vmstat[MM_VMSTAT_pgscan_kswapd];
	uint64_t due_ns = mm_step(r->sys, r->clock_ns, KSWAPD_BATCH);

	r->is_kswapd_due = due_ns == 0;
	if (due_ns > 0)
		r->khugepaged_at = due_ns < NEVER / SIM_CYCLES_NS - r->clock_ns
					   ? (r->clock_ns + due_ns) * SIM_CYCLES_NS
					   : NEVER;
	scanned = r->sys->vmstat[MM_VMSTAT_pgscan_kswapd] - scanned;
	r->kswapd_at = r->now + KSWAPD_WORK + scanned * r->cfg.costs.scan;
}

/* All that is due by now. Context: now >= next_event. */
static void run_events(struct sim_replay *r)
{
	set_clock(r);
	if (background_due(r) <= r->now && !is_swap_full(r))
		run_kswapd(r);
	else
		mm_step(r->sys, r->clock_ns, 0);
	find_next_event(r);
}

/* The program has nothing to do until something happens. */
static void wait_for_event(struct sim_replay *r)
{
	if (r->next_event == NEVER)
		r->is_kswapd_due =
			true; /* nothing will call: the manager may find more to do */
	find_next_event(r);
	if (r->next_event > r->now) {
		r->wait_cycles += r->next_event - r->now;
		r->now = r->next_event;
	}
	run_events(r);
}

/* Pages that faults have zeroed beyond one each. */
static uint64_t nr_zeroed(const struct sim_replay *r)
{
	return r->sys->vmstat[MM_VMSTAT_thp_fault_alloc] * (PGTABLE_ENTRIES - 1) +
	       r->sys->vmstat[MM_VMSTAT_anon_64k_fault_alloc] * (PAGES_64K - 1);
}

/* Calls the manager once for a fault, and charges what it did. */
static enum mm_fault_result call_fault(struct sim_replay *r, struct mm *mm,
				       const struct trace_access *access)
{
	uint64_t scanned = r->sys->vmstat[MM_VMSTAT_pgscan_direct], zeroed = nr_zeroed(r);
	enum mm_fault_result result;
	uint64_t cost;

	set_clock(r);
	result = mm_fault(mm, access->va, access->op);
	cost = (r->sys->vmstat[MM_VMSTAT_pgscan_direct] - scanned) * r->cfg.costs.scan +
	       (nr_zeroed(r) - zeroed) * r->cfg.costs.zero;
	if (result == MM_FAULT_MINOR)
		cost += r->cfg.costs.minor_fault;
	else if (result == MM_FAULT_MAJOR)
		cost += r->cfg.costs.major_fault;
	r->fault_cycles += cost;
	r->now += cost;
	find_next_event(r);
	r->resident_peak = max_u64(r->resident_peak, r->sys->vmstat[MM_VMSTAT_nr_anon_pages]);
	return result;
}

/* What the TLB has cost since this was called last. */
static void charge_tlb(struct sim_replay *r)
{
	uint64_t cycles = r->mmu->tlb->slow_cycles;

	r->now += cycles - r->tlb_cycles;
	r->tlb_cycles = cycles;
}

/* The access as the processor makes it. Return: false: a page fault. */
static bool touch(struct sim_replay *r, const struct sim_region *region,
		  const struct trace_access *access)
{
	struct mmu_translation there;
	bool is_done;

	if (!r->mmu)
		return machine_soft_touch(
			&region->entries[machine_soft_entry_index(access->va)], access->op);
	is_done = mmu_translate(r->mmu, r->spaces[access->pid], access->va,
				access->op | MMU_ACCESS_USER, &there) == MMU_OK;
	charge_tlb(r);
	return is_done;
}

/* Return: 0 when the page is translated as the access wants it; -ENOMEM; -EIO. */
static int resolve(struct sim_replay *r, const struct sim_region *region,
		   const struct trace_access *access, struct sim_error *error)
{
	for (unsigned int i = 0; i < TRIES_MAX; i++) {
		enum mm_fault_result result = MM_FAULT_RETRY;

		r->is_woken = false;
		if (!is_swap_full(r))
			result = call_fault(r, region->mm, access);
		if (result <= MM_FAULT_MAJOR && touch(r, region, access))
			return 0;
		if (result == MM_FAULT_OOM)
			return -ENOMEM;
		if (result > MM_FAULT_RETRY)
			break;
		if (result == MM_FAULT_RETRY && !r->is_woken)
			wait_for_event(r);
	}
	return sim_fail(error, -EIO,
			"access %" PRIu64
			": the manager does not resolve the fault at 0x%" PRIx64
			"; this is a defect of Ration",
			r->nr_accesses, access->va);
}

/* Is a call on address spaces, which answered err, worth making again? Lets time go on. */
static bool should_retry(struct sim_replay *r, int err, unsigned int nr_tries)
{
	if ((err != -EAGAIN && err != -ENOMEM) || nr_tries >= SETUP_TRIES)
		return false;
	find_next_event(r);
	wait_for_event(r);
	return true;
}

static int process_create(struct sim_replay *r, unsigned int pid, struct sim_error *error)
{
	unsigned int tries = 0;
	int err;

	if (r->mmu && r->nr_processes > TLB_ASID_MAX)
		return sim_fail(error, -E2BIG,
				"access %" PRIu64 ": process %u is one more than the %u that "
				"a TLB can tell apart; give it --tlb none",
				r->nr_accesses, pid, TLB_ASID_MAX + 1);
	do
		err = mm_create(r->sys, &r->mms[pid]);
	while (should_retry(r, err, tries++));
	if (err)
		return err;
	r->nr_processes++;
	if (r->mmu)
		r->spaces[pid] = machine_soft_mmu_space(r->mms[pid]->space);
	return 0;
}

static int region_map(struct sim_replay *r, struct mm *mm, vaddr_t start)
{
	uint64_t len = min_u64(REGION_BYTES, USER_END - start);
	unsigned int tries = 0;
	vaddr_t unused;
	int err;

	do
		err = mm_map(mm, start, len, MM_PROT_READ | MM_PROT_WRITE | MM_PROT_EXEC,
			     MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &unused);
	while (should_retry(r, err, tries++));
	return err;
}

/* The first access to a region: it is mapped. */
static int region_create(struct sim_replay *r, const struct trace_access *access,
			 struct sim_region **ret_region, struct sim_error *error)
{
	struct sim_region region = {.key = sim_region_key(access->pid, access->va)};
	int err = 0;

	set_clock(r);
	if (!r->mms[access->pid])
		err = process_create(r, access->pid, error);
	if (err)
		return err;
	region.mm = r->mms[access->pid];
	if (region.mm->nr_vmas >= mm_vmas_max(region.mm))
		return sim_fail(error, -E2BIG,
				"access %" PRIu64
				": process %u has areas in more than %u places",
				r->nr_accesses, (unsigned int)access->pid,
				(unsigned int)mm_vmas_max(region.mm));
	err = region_map(r, region.mm, align_down(access->va, REGION_BYTES));
	find_next_event(r);
	if (err)
		return err;
	if ((!r->mmu && machine_soft_entries(region.mm->space, access->va, &region.entries)) ||
	    sim_region_add(&r->regions, &region, ret_region))
		return sim_fail(error, -ENOBUFS, "access %" PRIu64 ": this host: %s",
				r->nr_accesses, strerror(ENOMEM));
	return 0;
}

static int out_of_memory(struct sim_replay *r, struct sim_error *error)
{
	r->is_out_of_memory = true;
	r->nr_accesses--; /* this one was not made */
	return sim_fail(error, -ENOMEM, "out of memory after %" PRIu64 " accesses",
			r->nr_accesses);
}

/* The slow path: no translation, or a region that was never seen. */
static int reference_slow(struct sim_replay *r, struct sim_region *region,
			  const struct trace_access *access, struct sim_error *error)
{
	int err = 0;

	if (region->key == 0)
		err = region_create(r, access, &region, error);
	if (!err && !touch(r, region, access))
		err = resolve(r, region, access, error);
	return err == -ENOMEM ? out_of_memory(r, error) : err;
}

/* Does the first level of the TLB have it? */
static inline bool tlb_has(struct sim_replay *r, const struct trace_access *access)
{
	const struct mmu_space *space = r->spaces[access->pid];

	return space && tlb_lookup_fast(r->mmu->tlb, access->va, space->asid,
					mmu_access_kind(access->op),
					mmu_access_rights(access->op | MMU_ACCESS_USER));
}

/* One page of an access. */
static inline int reference(struct sim_replay *r, const struct trace_access *access,
			    struct sim_error *error)
{
	struct sim_region *region;

	r->nr_references++;
	r->now += r->cfg.costs.access;
	if (r->now >= r->next_event)
		run_events(r);
	if (r->mmu && tlb_has(r, access))
		return 0;
	region = sim_region_slot(&r->regions, sim_region_key(access->pid, access->va));
	if (!r->mmu && region->key != 0 &&
	    machine_soft_touch(&region->entries[machine_soft_entry_index(access->va)],
			       access->op))
		return 0;
	return reference_slow(r, region, access, error);
}

/**
 * sim_check_access() - can a user make it?
 * @nr: which access it is, from 1.
 *
 * Return: 0, or -ERANGE with error set.
 */
int sim_check_access(const struct trace_access *access, uint64_t nr, struct sim_error *error)
{
	if (access->size > 0 && access->va < USER_END && access->size <= USER_END - access->va)
		return 0;
	return sim_fail(error, -ERANGE,
			"access %" PRIu64 ": %" PRIu32 " bytes at 0x%" PRIx64
			" are not in the range of user addresses, which ends at 0x%" PRIx64,
			nr, access->size, access->va, (uint64_t)USER_END);
}

/* An access that crosses into other pages is a reference to each of them. */
static int access_pages(struct sim_replay *r, const struct trace_access *access,
			struct sim_error *error)
{
	struct trace_access page = *access;
	vaddr_t last = access->va + access->size - 1;

	for (; page.va <= last; page.va = (page.va & PAGE_MASK) + PAGE_SIZE) {
		int err = reference(r, &page, error);

		if (err)
			return err;
	}
	return 0;
}

/**
 * sim_replay_run() - go on with these accesses.
 *
 * Return: 0; with error set: -ENOMEM if the simulated machine is out of memory, -ERANGE for an
 * address that no user has (accesses are counted from 1), -E2BIG for more areas than Linux
 * allows, -ENOBUFS where the host has no memory, -EIO for a defect.
 */
int sim_replay_run(struct sim_replay *r, const struct trace_access *accesses, unsigned int nr,
		   struct sim_error *error)
{
	for (unsigned int i = 0; i < nr; i++) {
		const struct trace_access *access = &accesses[i];
		int err;

		r->nr_accesses++;
		if (access->size == 0 || access->va >= USER_END ||
		    access->size > USER_END - access->va)
			return sim_check_access(access, r->nr_accesses, error);
		if ((access->va & ~PAGE_MASK) + access->size <= PAGE_SIZE)
			err = reference(r, access, error);
		else
			err = access_pages(r, access, error);
		if (err)
			return err;
	}
	return 0;
}

static int swap_create(struct sim_replay *r)
{
	struct swapdev_model_config model = {
		.nr_slots = r->cfg.swap_bytes / PAGE_SIZE + 1, /* the header's */
		.params = r->cfg.swap,
		.clock_ns = &r->clock_ns,
	};

	if (r->cfg.swap_bytes == 0)
		return 0;
	return swapdev_model_create(&model, &r->swap);
}

static int system_create(struct sim_replay *r)
{
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	int err;

	cfg.machine = r->machine;
	cfg.policy = r->cfg.policy;
	cfg.policy_seed = r->cfg.seed;
	cfg.swappiness = r->cfg.swappiness;
	cfg.page_cluster = r->cfg.page_cluster;
	cfg.thp = r->cfg.thp;
	cfg.thp_64k = r->cfg.thp_64k;
	cfg.overcommit_memory = MM_OVERCOMMIT_ALWAYS; /* what was traced was granted */
	cfg.is_linux_reclaim = cfg.policy == &policy_two_lists; /* the others are not Linux's */
	cfg.window_start = 0;
	cfg.window_end = PGTABLE_VA_MAX;
	cfg.wake = wake;
	cfg.wake_kswapd = wake_kswapd;
	cfg.arg = r;
	err = mm_system_create(&cfg, &r->sys);
	if (!err && r->swap)
		err = mm_swapon(r->sys, r->swap, 0);
	return err;
}

static void unmake(struct sim_replay *r)
{
	if (r->swap)
		r->swap->ops->close(r->swap);
	if (r->machine)
		machine_soft_destroy(r->machine);
	sim_region_map_destroy(&r->regions);
	free(r);
}

/**
 * sim_replay_create() - a machine that has just booted.
 * @cfg: copied.
 *
 * Return: 0; -EINVAL for a field out of range; -ENOMEM where the host has no memory for it, or
 * the simulated RAM does not hold what the manager itself needs. error is set.
 */
int sim_replay_create(const struct sim_config *cfg, struct sim_replay **ret_replay,
		      struct sim_error *error)
{
	struct machine_soft_config soft = {
		.nr_frames = cfg->ram_bytes / PAGE_SIZE,
		.caps = MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY,
		.tlb = cfg->tlb,
	};
	struct sim_replay *r = calloc(1, sizeof(*r));
	int err;

	if (cfg->thp == MM_THP_ALWAYS)
		soft.caps |= MACHINE_HUGE_2M;
	if (cfg->thp_64k == MM_THP_ALWAYS)
		soft.caps |= MACHINE_HUGE_64K;
	if (!r)
		return sim_fail(error, -ENOMEM, "%s", strerror(ENOMEM));
	r->cfg = *cfg;
	r->next_event = NEVER;
	r->khugepaged_at = cfg->thp == MM_THP_ALWAYS ? 0 : NEVER;
	err = sim_region_map_init(&r->regions);
	if (!err)
		err = machine_soft_create(&soft, &r->machine);
	if (!err)
		r->mmu = machine_soft_mmu(r->machine, 0);
	if (!err)
		err = swap_create(r);
	if (!err)
		err = system_create(r);
	if (!err)
		find_next_event(r);
	if (err) {
		unmake(r);
		return sim_fail(error, err, "%" PRIu64 " bytes of RAM cannot be simulated: %s",
				cfg->ram_bytes, strerror(-err));
	}
	*ret_replay = r;
	return 0;
}

/* What was written last is still on its way. Each turn ends an I/O, so it comes to an end. */
static void drain(struct sim_replay *r)
{
	while (r->swap && swapdev_model_next_ns(r->swap) != NEVER) {
		r->clock_ns = max_u64(r->clock_ns, swapdev_model_next_ns(r->swap));
		mm_step(r->sys, r->clock_ns, 0);
	}
	r->now = max_u64(r->now, r->clock_ns * SIM_CYCLES_NS);
	mm_step(r->sys, r->clock_ns, 0);
	find_next_event(r);
}

/**
 * sim_replay_finish() - the figures.
 *
 * I/O that is still in flight ends first, so that it is counted; its time is not.
 */
void sim_replay_finish(struct sim_replay *r, struct sim_result *ret_result)
{
	if (r->mmu) /* fast hits are charged at the end */
		r->now += tlb_cycles(r->mmu->tlb) - r->tlb_cycles;
	*ret_result = (struct sim_result){
		.ram_bytes = r->cfg.ram_bytes,
		.is_out_of_memory = r->is_out_of_memory,
		.nr_accesses = r->nr_accesses,
		.nr_references = r->nr_references,
		.nr_processes = r->nr_processes,
		.resident_peak = r->resident_peak,
		.time_ns = r->now / SIM_CYCLES_NS,
		.fault_ns = r->fault_cycles / SIM_CYCLES_NS,
		.wait_ns = r->wait_cycles / SIM_CYCLES_NS,
	};
	if (r->mmu) {
		ret_result->tlb = tlb_stats_get(r->mmu->tlb);
		ret_result->tlb_ns = tlb_cycles(r->mmu->tlb) / SIM_CYCLES_NS;
	}
	drain(r);
	memcpy(ret_result->vmstat, r->sys->vmstat, sizeof(ret_result->vmstat));
}

void sim_replay_destroy(struct sim_replay *r)
{
	drain(r);
	mm_system_destroy(r->sys);
	unmake(r);
}

struct machine *sim_replay_machine(struct sim_replay *r)
{
	return r->machine;
}

struct mm_system *sim_replay_system(struct sim_replay *r)
{
	return r->sys;
}

/* NULL: no such process. */
struct mm *sim_replay_mm(struct sim_replay *r, unsigned int pid)
{
	return pid < NR_PIDS ? r->mms[pid] : NULL;
}

/**
 * sim_replay_fault() - a page fault, resolved as time goes on.
 *
 * Return: what the manager says at last; RETRY where it never comes to an end.
 */
enum mm_fault_result sim_replay_fault(struct sim_replay *r, struct mm *mm,
				      const struct trace_access *access)
{
	enum mm_fault_result result = MM_FAULT_RETRY;

	for (unsigned int i = 0; i < TRIES_MAX && result == MM_FAULT_RETRY; i++) {
		r->is_woken = false;
		if (!is_swap_full(r))
			result = call_fault(r, mm, access);
		if (result == MM_FAULT_RETRY && !r->is_woken)
			wait_for_event(r);
	}
	return result;
}

/**
 * sim_replay_check() - every invariant of the manager, for tests.
 *
 * Return: 0 or -EUCLEAN.
 */
int sim_replay_check(struct sim_replay *r)
{
	return mm_check(r->sys);
}
