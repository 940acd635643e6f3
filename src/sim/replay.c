/* SPDX-License-Identifier: MIT */
/*
 * One simulation: a manager on a software machine with devices in virtual time, and the
 * accesses of some processes.
 *
 * The clock counts processor cycles. An access to a page that is translated costs a few and
 * never enters the manager: its region is looked up, the entry of its page says yes, and that
 * is all. Otherwise mm_fault() is called as a processor would, until it is resolved. Told
 * RETRY, the program waits: the clock goes on to the next event until the manager says that it
 * is worth asking again.
 *
 * The time and its events are in clock.c, files in files.c.
 *
 * With a TLB configured, each reference is translated by the processor's MMU (machine/mmu.h):
 * a hit of the first level ends here, what else it does has its cost, and no region is looked
 * up before there is a fault.
 *
 * The first access to a region of 2 MiB maps all of it, as if the program had asked for it
 * before: private anonymous memory that may be read, written and executed; where the access is
 * to a mapped file, that part of the file.
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
#include "sim/replay_internal.h"

#define PAGES_64K    16
#define REGION_BYTES ((uint64_t)1 << SOFT_REPLAY_SHIFT)

_Static_assert(TRACE_READ == MM_ACCESS_READ && TRACE_WRITE == MM_ACCESS_WRITE &&
		       TRACE_EXEC == MM_ACCESS_EXEC,
	       "an operation of a trace is an access of the manager");

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

	sim_set_clock(r);
	result = mm_fault(mm, access->va, access->op);
	cost = (r->sys->vmstat[MM_VMSTAT_pgscan_direct] - scanned) * r->cfg.costs.scan +
	       (nr_zeroed(r) - zeroed) * r->cfg.costs.zero;
	if (result == MM_FAULT_MINOR)
		cost += r->cfg.costs.minor_fault;
	else if (result == MM_FAULT_MAJOR)
		cost += r->cfg.costs.major_fault;
	r->fault_cycles += cost;
	r->now += cost;
	sim_find_next_event(r);
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

/*
 * The access as the processor makes it; with a TLB, one that its fast path did not answer.
 * Return: false: a page fault.
 */
static bool touch(struct sim_replay *r, const struct sim_region *region,
		  const struct trace_access *access)
{
	struct mmu_translation there;
	bool is_done;

	if (!r->mmu)
		return machine_soft_touch(
			&region->entries[machine_soft_entry_index(access->va)], access->op);
	is_done = mmu_translate_slow(r->mmu, r->spaces[access->pid], access->va,
				     access->op | MMU_ACCESS_USER, &there) == MMU_OK;
	charge_tlb(r);
	return is_done;
}

/* Return: 0 when the page is translated as the access wants it; -ENOMEM; -EIO. */
static int resolve(struct sim_replay *r, const struct sim_region *region,
		   const struct trace_access *access, struct sim_error *error)
{
	for (unsigned int i = 0; i < SIM_TRIES_MAX; i++) {
		enum mm_fault_result result = MM_FAULT_RETRY;

		r->is_woken = false;
		if (!sim_is_swap_full(r))
			result = call_fault(r, region->mm, access);
		if (result <= MM_FAULT_MAJOR && touch(r, region, access))
			return 0;
		if (result == MM_FAULT_OOM)
			return -ENOMEM;
		if (result > MM_FAULT_RETRY)
			break;
		if (result == MM_FAULT_RETRY && !r->is_woken)
			sim_wait(r, i);
	}
	return sim_fail(error, -EIO,
			"access %" PRIu64
			": the manager does not resolve the fault at 0x%" PRIx64
			"; this is a defect of Ration",
			r->nr_accesses, access->va);
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
	while (sim_should_retry(r, err, tries++));
	if (err)
		return err;
	r->nr_processes++;
	if (r->mmu)
		r->spaces[pid] = machine_soft_mmu_space(r->mms[pid]->space);
	return 0;
}

static int region_map_anon(struct sim_replay *r, struct mm *mm, vaddr_t start)
{
	uint64_t len = min_u64(REGION_BYTES, SIM_USER_END - start);
	unsigned int tries = 0;
	vaddr_t unused;
	int err;

	do
		err = mm_map(mm, start, len, MM_PROT_READ | MM_PROT_WRITE | MM_PROT_EXEC,
			     MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &unused);
	while (sim_should_retry(r, err, tries++));
	return err;
}

/* The first access to a region: it is mapped. */
static int region_create(struct sim_replay *r, const struct trace_access *access,
			 struct sim_region **ret_region, struct sim_error *error)
{
	struct sim_region region = {.key = sim_region_key(access->pid, access->va)};
	vaddr_t start = align_down(access->va, REGION_BYTES);
	int err = 0;

	sim_set_clock(r);
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
	if (access->file)
		err = sim_file_map(r, region.mm, start, error);
	else
		err = region_map_anon(r, region.mm, start);
	sim_find_next_event(r);
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
static inline __attribute__((always_inline)) int reference(struct sim_replay *r,
							   const struct trace_access *access,
							   struct sim_error *error)
{
	struct sim_region *region;

	r->nr_references++;
	r->now += r->cfg.costs.access;
	if (r->now >= r->next_event)
		sim_run_events(r);
	if (r->mmu && tlb_has(r, access))
		return 0;
	region = sim_region_slot(&r->regions, sim_region_key(access->pid, access->va));
	if (!r->mmu && region->key != 0 &&
	    machine_soft_touch(&region->entries[machine_soft_entry_index(access->va)],
			       access->op))
		return 0;
	return reference_slow(r, region, access, error);
}

static int check_memory(const struct trace_access *access, uint64_t nr, struct sim_error *error)
{
	vaddr_t end = access->va + access->size;

	if (access->va >= SIM_USER_END || access->size > SIM_USER_END - access->va)
		return sim_fail(error, -ERANGE,
				"access %" PRIu64 ": %" PRIu32 " bytes at 0x%" PRIx64
				" are not in the range of user addresses, which ends at "
				"0x%" PRIx64,
				nr, access->size, access->va, (uint64_t)SIM_USER_END);
	if (access->va < SIM_FILES_END && end > SIM_FILES_START)
		return sim_fail(error, -ERANGE,
				"access %" PRIu64 ": %" PRIu32 " bytes at 0x%" PRIx64
				" are where files are mapped, from 0x%" PRIx64 " to 0x%" PRIx64,
				nr, access->size, access->va, SIM_FILES_START, SIM_FILES_END);
	return 0;
}

static int check_file(const struct trace_access *access, uint64_t nr, struct sim_error *error)
{
	if (access->va < SIM_FILE_BYTES_MAX && access->size <= SIM_FILE_BYTES_MAX - access->va)
		return 0;
	return sim_fail(error, -ERANGE,
			"access %" PRIu64 ": %" PRIu32 " bytes at offset 0x%" PRIx64
			" of file %u: a file has 64 GiB here",
			nr, access->size, access->va, (unsigned int)access->file);
}

/**
 * sim_check_access() - can a user make it?
 * @nr: which access it is, from 1.
 *
 * Return: 0, or -ERANGE with error set.
 */
int sim_check_access(const struct trace_access *access, uint64_t nr, struct sim_error *error)
{
	if (access->size == 0 || (access->op > TRACE_EXEC && !access->file))
		return sim_fail(error, -ERANGE,
				"access %" PRIu64
				": a call without a file, or an access without bytes",
				nr);
	return (access->file ? check_file : check_memory)(access, nr, error);
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

static int access_file(struct sim_replay *r, const struct trace_access *access,
		       struct sim_error *error)
{
	struct trace_access mapped = *access;
	int err;

	if (access->op <= TRACE_EXEC) {
		mapped.va = sim_file_va(access);
		return access_pages(r, &mapped, error);
	}
	err = sim_file_call(r, access, error);
	return err == -ENOMEM ? out_of_memory(r, error) : err;
}

/* What access_one() does not see at a glance. */
static int access_other(struct sim_replay *r, const struct trace_access *access,
			struct sim_error *error)
{
	int err = sim_check_access(access, r->nr_accesses, error);

	if (err)
		return err;
	return (access->file ? access_file : access_pages)(r, access, error);
}

static inline int access_one(struct sim_replay *r, const struct trace_access *access,
			     struct sim_error *error)
{
	if (access->file || access->op > TRACE_EXEC || access->size == 0 ||
	    access->va >= SIM_FILES_START || access->size > SIM_FILES_START - access->va)
		return access_other(r, access, error);
	if ((access->va & ~PAGE_MASK) + access->size <= PAGE_SIZE)
		return reference(r, access, error);
	return access_pages(r, access, error);
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
		int err;

		r->nr_accesses++;
		err = access_one(r, &accesses[i], error);
		if (err)
			return err;
	}
	return 0;
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
	return pid < SIM_NR_PIDS ? r->mms[pid] : NULL;
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

	for (unsigned int i = 0; i < SIM_TRIES_MAX && result == MM_FAULT_RETRY; i++) {
		r->is_woken = false;
		if (!sim_is_swap_full(r))
			result = call_fault(r, mm, access);
		if (result == MM_FAULT_RETRY && !r->is_woken)
			sim_wait(r, i);
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
