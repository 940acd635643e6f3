/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <errno.h>
#include <string.h>

#include "support/test.h"

#define TRIES_MAX \
	100000 /* faults and steps for one access: far above what any legal run needs */

static struct swapdev *device_create(const struct world_config *cfg)
{
	struct swapdev_mem_config mem = {
		.nr_slots = cfg->nr_slots, .mode = cfg->mode, .seed = cfg->seed};
	struct swapdev_faulty_config faulty = {
		.rules = cfg->rules, .nr_rules = cfg->nr_rules, .seed = cfg->seed};
	struct swapdev *dev;

	assert_int_equal(swapdev_mem_create(&mem, &faulty.inner), 0);
	if (cfg->nr_rules == 0)
		return faulty.inner;
	assert_int_equal(swapdev_faulty_create(&faulty, &dev), 0);
	return dev;
}

static unsigned int world_cpu(void *arg)
{
	return ((struct world *)arg)->cpu;
}

/* khugepaged never sleeps, and takes what it can get. */
static void collapse_all(struct mm_system *sys)
{
	sys->tune.khugepaged_scan_sleep_millisecs = 0;
	sys->tune.khugepaged_alloc_sleep_millisecs = 0;
	sys->tune.khugepaged_max_ptes_swap = PGTABLE_ENTRIES - 1;
	sys->tune.khugepaged_max_ptes_shared = PGTABLE_ENTRIES - 1;
}

void world_create(struct world *w, const struct world_config *cfg)
{
	struct machine_soft_config soft = {.nr_frames = cfg->nr_frames,
					   .caps = cfg->caps,
					   .tlb = cfg->tlb,
					   .nr_cpus = cfg->nr_cpus,
					   .cpu = world_cpu,
					   .arg = w};
	struct mm_config mm_cfg = MM_CONFIG_DEFAULT;

	memset(w, 0, sizeof(*w));
	w->cfg = *cfg;
	w->rng = rng_make(cfg->seed);
	assert_int_equal(machine_soft_create(&soft, &w->machine), 0);
	mm_cfg.machine = w->machine;
	mm_cfg.policy = cfg->policy ? cfg->policy : policy_at(0);
	mm_cfg.policy_seed = cfg->seed;
	mm_cfg.page_cluster = cfg->page_cluster;
	mm_cfg.overcommit_memory = cfg->overcommit;
	mm_cfg.is_linux_reclaim = cfg->is_linux_reclaim;
	mm_cfg.is_reclaim_by_faults = cfg->is_reclaim_by_faults;
	mm_cfg.min_free_kbytes = cfg->min_free_kbytes;
	mm_cfg.thp = cfg->thp;
	mm_cfg.thp_64k = cfg->thp_64k;
	mm_cfg.window_start = WORLD_BASE;
	mm_cfg.window_end = WORLD_BASE + WORLD_PAGES * PAGE_SIZE;
	assert_int_equal(mm_system_create(&mm_cfg, &w->sys), 0);
	if (cfg->collapses)
		collapse_all(w->sys);
	if (cfg->nr_slots) {
		w->dev = device_create(cfg);
		assert_int_equal(mm_swapon(w->sys, w->dev, 0), 0);
	}
	assert_int_equal(mm_create(w->sys, &w->mm), 0);
	world_check(w);
}

void world_step(struct world *w)
{
	w->now_ns += 1000;
	mm_step(w->sys, w->now_ns, 64);
}

/* Until no I/O is in flight and kswapd is content. */
void world_settle(struct world *w)
{
	for (unsigned int i = 0; i < TRIES_MAX && (w->sys->nr_io || w->sys->kswapd_awake); i++)
		world_step(w);
	assert_int_equal(w->sys->nr_io, 0);
}

void world_destroy(struct world *w)
{
	world_settle(w);
	mm_destroy(w->mm);
	assert_int_equal(mm_check(w->sys), 0);
	assert_int_equal(WSTAT(w, nr_anon_pages), 0);
	assert_int_equal(WSTAT(w, nr_page_table_pages), 0);
	if (w->dev)
		assert_int_equal(WSTAT(w, nr_swap_slots_used), w->sys->swap_areas[0]->nr_bad);
	mm_system_destroy(w->sys);
	if (w->dev)
		w->dev->ops->close(w->dev);
	machine_soft_destroy(w->machine);
}

void world_check(struct world *w)
{
	assert_int_equal(mm_check(w->sys), 0);
}

void world_map(struct world *w, unsigned int first, unsigned int nr, int prot)
{
	vaddr_t addr;

	assert_int_equal(mm_map(w->mm, world_va(first), nr * PAGE_SIZE, prot,
				MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr),
			 0);
	for (unsigned int i = first; i < first + nr; i++)
		w->model[i] = (struct model_page){.is_mapped = true, .prot = prot};
}

/* One load or store of 8 bytes with everything that a port does around it. */
enum mm_fault_result world_access(struct world *w, vaddr_t va, void *buf, bool is_write)
{
	enum mm_fault_result worst = MM_FAULT_MINOR;
	struct machine_soft_fault fault;

	if (w->cfg.nr_cpus > 1)
		w->cpu = (unsigned int)rng_below(&w->rng, w->cfg.nr_cpus);
	for (unsigned int i = 0; i < TRIES_MAX; i++) {
		enum mm_fault_result result;
		int err = is_write ? machine_soft_store(w->mm->space, va, buf, 8, &fault)
				   : machine_soft_load(w->mm->space, va, buf, 8, &fault);

		if (err == 0)
			return worst;
		result = mm_fault(w->mm, va, is_write ? MM_ACCESS_WRITE : MM_ACCESS_READ);
		if (result == MM_FAULT_RETRY)
			world_step(w);
		else if (result == MM_FAULT_MAJOR)
			worst = result;
		else if (result != MM_FAULT_MINOR)
			return result;
	}
	fail_msg("an access at page %lu never ended", (unsigned long)((va - WORLD_BASE) >> 12));
	return MM_FAULT_OOM;
}

/* A stamp at either end of the page, so that half a page shows. */
enum mm_fault_result world_write(struct world *w, unsigned int page)
{
	struct model_page *m = &w->model[page];
	uint64_t stamp = ++w->next_stamp;
	enum mm_fault_result result;

	if (w->mm->is_oom_victim)
		return MM_FAULT_OOM; /* killed: it makes no access any more */
	result = world_access(w, world_va(page), &stamp, true);

	if (result > MM_FAULT_MAJOR)
		return result;
	m->stamp = stamp;
	m->may_be_zero = m->is_lost = false;
	stamp = ~stamp;
	assert_in_range(world_access(w, world_va(page) + PAGE_SIZE - 8, &stamp, true), 0,
			MM_FAULT_MAJOR);
	return result;
}

enum mm_fault_result world_read(struct world *w, unsigned int page)
{
	struct model_page *m = &w->model[page];
	uint64_t head, tail;
	enum mm_fault_result result;

	if (w->mm->is_oom_victim)
		return MM_FAULT_OOM;
	result = world_access(w, world_va(page), &head, false);

	if (result > MM_FAULT_MAJOR)
		return result;
	assert_in_range(world_access(w, world_va(page) + PAGE_SIZE - 8, &tail, false), 0,
			MM_FAULT_MAJOR);
	if (m->may_be_zero && head == 0) {
		assert_int_equal(tail, 0);
		m->stamp = 0;
		m->may_be_zero = false;
		return result;
	}
	assert_int_equal(head, m->stamp);
	assert_int_equal(tail, m->stamp ? ~m->stamp : 0);
	return result;
}

void world_advise(struct world *w, unsigned int first, unsigned int nr, int advice)
{
	int err = -EAGAIN;

	for (unsigned int i = 0; i < TRIES_MAX && err == -EAGAIN; i++) {
		err = mm_advise(w->mm, world_va(first), nr * PAGE_SIZE, advice);
		world_step(w);
	}
	assert_int_equal(err, 0);
	for (unsigned int i = first; i < first + nr; i++) {
		if (advice == MM_MADV_DONTNEED)
			w->model[i].stamp = 0;
		if (advice == MM_MADV_DONTNEED)
			w->model[i].may_be_zero = false;
		if (advice == MM_MADV_FREE && w->model[i].stamp)
			w->model[i].may_be_zero = true;
	}
}
