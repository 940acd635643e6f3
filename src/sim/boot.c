/* SPDX-License-Identifier: MIT */
/*
 * How the machine of a simulation is made, and how it ends: RAM, swap, the manager; then the
 * I/O that is in flight, the manager, the devices.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "policy/two_lists.h"
#include "sim/replay_internal.h"

#define MIB 1048576.0

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
	cfg.wake = sim_wake;
	cfg.wake_kswapd = sim_wake_kswapd;
	cfg.arg = r;
	return mm_system_create(&cfg, &r->sys);
}

/* Why there is no machine; the larger the swap, the more RAM its books take. */
static int fail_boot(const struct sim_replay *r, int err, struct sim_error *error)
{
	if (r->sys)
		return sim_fail(
			error, err,
			"%.1f MiB of RAM have no room for the books of %.1f MiB of swap; "
			"give it less with --swap, or more RAM",
			(double)r->cfg.ram_bytes / MIB, (double)r->cfg.swap_bytes / MIB);
	return sim_fail(error, err, "%.1f MiB of RAM cannot be simulated: %s",
			(double)r->cfg.ram_bytes / MIB, strerror(-err));
}

static void unmake(struct sim_replay *r)
{
	for (unsigned int i = 0; i < r->files.nr; i++)
		sim_file_destroy(&r->files.open[i]);
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
	r->files.disk = (struct sim_disk){.params = cfg->file_disk, .clock_ns = &r->clock_ns};
	r->next_event = SIM_NEVER;
	r->khugepaged_at = cfg->thp == MM_THP_ALWAYS ? 0 : SIM_NEVER;
	err = sim_region_map_init(&r->regions);
	if (!err)
		err = machine_soft_create(&soft, &r->machine);
	if (!err)
		r->mmu = machine_soft_mmu(r->machine, 0);
	if (!err)
		err = swap_create(r);
	if (!err)
		err = system_create(r);
	if (!err && r->swap)
		err = mm_swapon(r->sys, r->swap, 0);
	if (!err)
		sim_find_next_event(r);
	if (err) {
		fail_boot(r, err, error);
		unmake(r);
		return err;
	}
	*ret_replay = r;
	return 0;
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
		.nr_files = r->files.nr,
		.resident_peak = r->resident_peak,
		.time_ns = r->now / SIM_CYCLES_NS,
		.fault_ns = r->fault_cycles / SIM_CYCLES_NS,
		.wait_ns = r->wait_cycles / SIM_CYCLES_NS,
		.call_ns = r->call_cycles / SIM_CYCLES_NS,
	};
	if (r->mmu) {
		ret_result->tlb = tlb_stats_get(r->mmu->tlb);
		ret_result->tlb_ns = tlb_cycles(r->mmu->tlb) / SIM_CYCLES_NS;
	}
	sim_drain(r);
	memcpy(ret_result->vmstat, r->sys->vmstat, sizeof(ret_result->vmstat));
}

void sim_replay_destroy(struct sim_replay *r)
{
	sim_drain(r);
	mm_system_destroy(r->sys);
	unmake(r);
}
