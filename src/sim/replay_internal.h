/* SPDX-License-Identifier: MIT */
/*
 * One simulation from inside: replay.c makes accesses, boot.c makes and ends the machine,
 * clock.c has the time and what happens in it, files.c the files.
 */
#ifndef SIM_REPLAY_INTERNAL_H
#define SIM_REPLAY_INTERNAL_H

#include "machine/mmu.h"
#include "machine/soft_replay.h"
#include "mm/system.h"
#include "mm/vma.h"
#include "sim/disk.h"
#include "sim/region.h"
#include "sim/replay.h"

#define SIM_NR_PIDS  65536
#define SIM_USER_END (PGTABLE_VA_MAX - PAGE_SIZE) /* Linux's TASK_SIZE */
#define SIM_TRIES_MAX                                                          \
	(1u << 20) /* of one access; far more than events that it can wait for \
		    */
#define SIM_NEVER UINT64_MAX

/* Where each process has file f: at SIM_FILES_START + f * SIM_FILE_BYTES_MAX. */
#define SIM_FILES_START ((uint64_t)0x300000000000)
#define SIM_FILES_END	(SIM_FILES_START + (SIM_FILES_MAX + 1) * SIM_FILE_BYTES_MAX)

_Static_assert(SIM_FILES_END <= SIM_USER_END, "files are mapped where a user has addresses");

struct sim_files {
	struct sim_disk disk;
	unsigned int nr; /* open[0, nr) */
	struct sim_file open[SIM_FILES_MAX];
	uint8_t place[SIM_FILES_MAX + 1]; /* by number: 1 + the index in open; 0: not open */
};

struct sim_replay {
	struct sim_config cfg;
	struct machine *machine;
	struct swapdev *swap; /* or NULL */
	struct mmu *mmu;      /* NULL: accesses are made without */
	struct mm_system *sys;
	struct sim_region_map regions;
	struct sim_files files;

	uint64_t now;	   /* cycles */
	uint64_t clock_ns; /* now, for the devices and the manager */
	uint64_t next_event;
	uint64_t kswapd_at;	/* when kswapd is free to work */
	uint64_t khugepaged_at; /* when khugepaged wants to; SIM_NEVER: it does not run */
	bool is_kswapd_due;
	bool is_woken; /* who was told RETRY may ask again */

	bool is_out_of_memory;
	uint64_t nr_accesses, nr_references, nr_processes, resident_peak;
	uint64_t fault_cycles, wait_cycles, call_cycles;
	uint64_t tlb_cycles; /* those that are in now */
	struct mm *mms[SIM_NR_PIDS];
	const struct mmu_space *spaces[SIM_NR_PIDS]; /* of mms, where there is an MMU */
};

/* clock.c */
void sim_wake(void *arg);
void sim_wake_kswapd(void *arg);
bool sim_is_swap_full(const struct sim_replay *r);
void sim_set_clock(struct sim_replay *r);
void sim_find_next_event(struct sim_replay *r);
void sim_run_events(struct sim_replay *r);
void sim_wait(struct sim_replay *r, unsigned int nr_tries);
bool sim_should_retry(struct sim_replay *r, int err, unsigned int nr_tries);
void sim_drain(struct sim_replay *r);

/* files.c */
int sim_file_find(struct sim_replay *r, unsigned int number, struct sim_file **ret_file,
		  struct sim_error *error);
int sim_file_map(struct sim_replay *r, struct mm *mm, vaddr_t start, struct sim_error *error);
int sim_file_call(struct sim_replay *r, const struct trace_access *access,
		  struct sim_error *error);

static inline vaddr_t sim_file_va(const struct trace_access *access)
{
	return SIM_FILES_START + access->file * SIM_FILE_BYTES_MAX + access->va;
}

#endif
