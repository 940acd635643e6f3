/* SPDX-License-Identifier: MIT */
/*
 * Accesses replayed on the manager, on a software machine, in virtual time (replay.c,
 * boot.c, clock.c).
 */
#ifndef SIM_REPLAY_H
#define SIM_REPLAY_H

#include "machine/tlb.h"
#include "mm/policy.h"
#include "ration/mm.h"
#include "sim/error.h"
#include "swapdev/model.h"
#include "trace/trace.h"

#define SIM_RAM_MIN   ((uint64_t)1 << 20)
#define SIM_CYCLES_NS 4 /* processor cycles in a nanosecond: 4 GHz */

/* What things cost, in cycles (docs/sim.md has the reasons). */
struct sim_costs {
	uint32_t access;      /* of a page that is translated */
	uint32_t minor_fault; /* without I/O */
	uint32_t major_fault; /* beside the wait for its I/O */
	uint32_t scan;	      /* a page that reclaim looks at */
	uint32_t zero;	      /* a page of a larger one, beyond its first */
	uint32_t call;	      /* a call that reads or writes a file */
	uint32_t copy;	      /* ... and a page of its bytes */
};

#define SIM_COSTS_DEFAULT                                                           \
	{                                                                           \
		.access = 4, .minor_fault = 2000, .major_fault = 8000, .scan = 400, \
		.zero = 400, .call = 800, .copy = 400                               \
	}

struct sim_config {
	uint64_t ram_bytes;
	uint64_t swap_bytes; /* 0: none */
	struct swapdev_model_params swap;
	struct swapdev_model_params file_disk; /* that files lie on */
	uint32_t swappiness, page_cluster;
	enum mm_thp thp, thp_64k; /* MM_THP_ALWAYS or MM_THP_NEVER: nobody gives advice */
	const struct policy_ops *policy;
	uint64_t seed; /* of a policy that draws lots */
	struct sim_costs costs;
	const struct tlb_config *tlb; /* of the processor; NULL: translation costs nothing */
};

struct sim_result {
	uint64_t ram_bytes;
	bool is_out_of_memory;	/* and the figures are those until then */
	uint64_t nr_accesses;	/* of the source */
	uint64_t nr_references; /* to pages: an access may cross into the next */
	uint64_t nr_processes;
	uint64_t nr_files;	/* that were used */
	uint64_t resident_peak; /* pages */
	uint64_t time_ns;	/* of it: */
	uint64_t fault_ns;	/* in faults, direct reclaim included */
	uint64_t call_ns;	/* in calls that read and write files, likewise */
	uint64_t wait_ns;	/* for swap and files */
	uint64_t tlb_ns;	/* in translation, beyond hits of the first level */
	struct tlb_stats tlb;	/* 0 where there is none */
	uint64_t vmstat[NR_MM_VMSTAT];
};

struct sim_replay;

int sim_replay_create(const struct sim_config *cfg, struct sim_replay **ret_replay,
		      struct sim_error *error);
void sim_replay_destroy(struct sim_replay *r);
int sim_replay_run(struct sim_replay *r, const struct trace_access *accesses, unsigned int nr,
		   struct sim_error *error);
int sim_check_access(const struct trace_access *access, uint64_t nr, struct sim_error *error);
void sim_replay_finish(struct sim_replay *r, struct sim_result *ret_result);
int sim_replay_check(struct sim_replay *r);

/* To look into it, and go on by hand (sim/walk.c). */
struct machine *sim_replay_machine(struct sim_replay *r);
struct mm_system *sim_replay_system(struct sim_replay *r);
struct mm *sim_replay_mm(struct sim_replay *r, unsigned int pid);
bool sim_replay_file_at(vaddr_t va, unsigned int *ret_number, uint64_t *ret_offset);
enum mm_fault_result sim_replay_fault(struct sim_replay *r, struct mm *mm,
				      const struct trace_access *access);

/* The policies that are linked. NULL: no such name; from the first index that there is not. */
const struct policy_ops *sim_policy(const char *name);
const char *sim_policy_name_at(unsigned int index);

#endif
