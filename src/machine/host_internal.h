/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_HOST_INTERNAL_H
#define MACHINE_HOST_INTERNAL_H

#include "base/lock.h"
#include "machine/host.h"
#include "machine/host_drop.h"

/* A process has one address space, so the machine has one, and all there is to know is this. */
struct machine_space {
	bool is_used; /* atomic */
};

struct machine_host {
	struct machine m;
	int fd; /* (c), but for reattach */
	bool has_move, has_poison;
	bool has_vector_drop; /* atomic: process_madvise() drops ranges of this process */
	bool may_copy;	      /* atomic: nothing writes pages past their protection */
	uint32_t last_cpu, nr_switches;	  /* atomic, each: host_is_spread() */
	vaddr_t window_start, window_end; /* (c) */
	struct machine_space space;
	struct mm_lock later_lock;
	struct drops later;		 /* frames that are mapped; later_lock */
	uint32_t nr_later;		 /* atomic: its pages, as far as they are not dropped */
	struct machine_host_stats stats; /* atomic, each */
};

static inline struct machine_host *host_of(struct machine *m)
{
	return (struct machine_host *)m; /* m is its first member */
}

static inline const struct machine_host *host_of_const(const struct machine *m)
{
	return (const struct machine_host *)m;
}

static inline vaddr_t host_frame_addr(const struct machine_host *host, pfn_t pfn)
{
	return (vaddr_t)host->m.ram + (uint64_t)pfn * PAGE_SIZE;
}

static inline bool host_pool_contains(const struct machine_host *host, vaddr_t addr)
{
	return addr - (vaddr_t)host->m.ram < (uint64_t)host->m.nr_frames * PAGE_SIZE;
}

int host_apply(struct machine *m, struct machine_space *space, struct machine_batch *batch);

/* Gives the pages of a range back to the kernel. Return: 0, or -errno and some are left. */
int host_drop_range(vaddr_t start, uint64_t len);

#endif
