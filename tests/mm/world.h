/* SPDX-License-Identifier: MIT */
/*
 * A whole manager in a test: soft machine, a policy, one swap device, one address space, and a
 * plain model of what a program must see in it.
 */
#ifndef TESTS_MM_WORLD_H
#define TESTS_MM_WORLD_H

#include "machine/soft.h"
#include "mm/system.h"
#include "policy/policy.h"
#include "ration/mm.h"
#include "support/rng.h"
#include "swapdev/faulty.h"
#include "swapdev/mem.h"

#define WORLD_BASE  0x200000000000ull
#define WORLD_PAGES 1024 /* pages of the window that the model knows */

struct world_config {
	const struct policy_ops *policy; /* NULL: two lists */
	pfn_t nr_frames;
	uint32_t caps;	   /* of the machine: enum machine_caps */
	uint64_t nr_slots; /* 0: no swap */
	enum swapdev_mem_mode mode;
	const struct swapdev_fault_rule *rules;
	unsigned int nr_rules;
	unsigned int page_cluster;
	unsigned int overcommit; /* vm.overcommit_memory */
	bool is_linux_reclaim;	 /* mm_config.is_linux_reclaim */
	bool is_reclaim_by_faults;
	uint32_t thp, thp_64k; /* enum mm_thp */
	uint64_t min_free_kbytes;
	bool collapses; /* khugepaged never sleeps, and takes what it can get */
	uint64_t seed;
	const struct tlb_config *tlb; /* of nr_cpus processors; NULL: accesses without */
	unsigned int nr_cpus;
};

#define WORLD_CONFIG_DEFAULT                                                           \
	{                                                                              \
		.nr_frames = 320, .nr_slots = 4096, .page_cluster = 3, .overcommit = 1 \
	}

/* What the program must find in a page. */
struct model_page {
	bool is_mapped;
	bool may_be_zero; /* MADV_FREE since it was last written */
	bool is_lost;	  /* its read failed once: BUS is a legal answer */
	bool is_left_out; /* MADV_DONTFORK */
	bool is_wiped;	  /* MADV_WIPEONFORK */
	int prot;
	uint64_t stamp; /* 0: zeroes */
};

struct world {
	struct world_config cfg;
	struct machine *machine;
	struct swapdev *dev;
	struct mm_system *sys;
	struct mm *mm;
	struct rng rng;
	uint64_t now_ns, next_stamp;
	unsigned int cpu; /* that makes the access */
	struct model_page model[WORLD_PAGES];
};

void world_create(struct world *w, const struct world_config *cfg);
void world_destroy(struct world *w);
void world_step(struct world *w);
void world_map(struct world *w, unsigned int first, unsigned int nr, int prot);
enum mm_fault_result world_access(struct world *w, vaddr_t va, void *buf, bool is_write);
enum mm_fault_result world_write(struct world *w, unsigned int page);
enum mm_fault_result world_read(struct world *w, unsigned int page);
void world_advise(struct world *w, unsigned int first, unsigned int nr, int advice);
void world_settle(struct world *w);
void world_check(struct world *w);

static inline vaddr_t world_va(unsigned int page)
{
	return WORLD_BASE + page * PAGE_SIZE;
}

static inline uint64_t world_stat(const struct world *w, enum mm_vmstat_item item)
{
	return w->sys->vmstat[item];
}

#define WSTAT(w, name) world_stat((w), MM_VMSTAT_##name)

#endif
