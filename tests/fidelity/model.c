/* SPDX-License-Identifier: MIT */
/*
 * The workload on the software machine, given what the guest had.
 *
 * The guest has one processor. A page fault that wakes kswapd is followed by kswapd until that
 * sleeps again, and so is a wait for I/O; the program goes on afterwards. What things cost was
 * read off the guest's clock and matters little: it decides how many writes are still under way
 * when reclaim comes round again.
 *
 * Zones get exactly the guest's free pages and watermarks: frames beyond that are taken away at
 * the start. What others had in memory is a second address space whose pages are never used
 * again.
 */
#include "model.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "machine/soft_replay.h"
#include "mm/buddy.h"
#include "mm/system.h"
#include "policy/two_lists.h"
#include "sim/disk.h"
#include "swapdev/model.h"

#define ACCESS_NS      200 /* of a page that is translated */
#define FAULT_NS       12000
#define MAJOR_NS       30000 /* beside its I/O */
#define SCAN_NS	       2500  /* a page that reclaim looks at */
#define KSWAPD_TURN_NS 4000
#define SWAP_SLOTS     131072
#define TRIES_MAX      100000
#define OVERHEAD_FRAMES                                                      \
	4096 /* for mem_map and the manager's own; what is not used is taken \
	      */
#define ANON_BASE  0x200000000000ull
#define FILE_BASE  0x210000000000ull
#define OTHER_BASE 0x200000000000ull
#define NEVER	   UINT64_MAX

static const struct swapdev_model_params disk = {
	.name = "virtio",
	.read_latency_ns = 120000,
	.write_latency_ns = 120000,
	.bytes_per_second = 400000000,
	.depth = 256,
};

struct model {
	const struct fidelity_guest *guest;
	struct machine *machine;
	struct swapdev *swap;
	struct sim_disk disk;
	struct sim_file file;
	struct mm_system *sys;
	struct mm *mm, *other;
	pte_t **tables[2]; /* anonymous, file: by table */
	uint64_t clock_ns;
	bool is_kswapd_due, is_woken;
};

static void wake(void *arg)
{
	((struct model *)arg)->is_woken = true;
}

static void wake_kswapd(void *arg)
{
	((struct model *)arg)->is_kswapd_due = true;
}

static uint64_t scanned(const struct model *m)
{
	return m->sys->vmstat[MM_VMSTAT_pgscan_kswapd] +
	       m->sys->vmstat[MM_VMSTAT_pgscan_direct];
}

/* kswapd has the processor until it sleeps or waits. */
static void run_kswapd(struct model *m)
{
	for (unsigned int i = 0; m->is_kswapd_due && i < TRIES_MAX; i++) {
		uint64_t before = scanned(m);

		m->is_kswapd_due = mm_step(m->sys, m->clock_ns, 32) == 0;
		m->clock_ns += KSWAPD_TURN_NS + (scanned(m) - before) * SCAN_NS;
	}
}

static uint64_t next_io_ns(const struct model *m)
{
	return min_u64(swapdev_model_next_ns(m->swap), sim_file_next_ns(&m->file));
}

static void wait_for_io(struct model *m)
{
	uint64_t next = next_io_ns(m);

	run_kswapd(m);
	if (m->is_woken)
		return;
	if (next == NEVER)
		m->is_kswapd_due = true;
	else
		m->clock_ns = max_u64(m->clock_ns, next);
	if (mm_step(m->sys, m->clock_ns, 0) == 0)
		m->is_kswapd_due = true;
}

static int resolve(struct model *m, struct mm *mm, vaddr_t va, unsigned int access)
{
	for (unsigned int i = 0; i < TRIES_MAX; i++) {
		uint64_t before = scanned(m);
		enum mm_fault_result result;

		m->is_woken = false;
		result = mm_fault(mm, va, access);
		m->clock_ns += (scanned(m) - before) * SCAN_NS;
		if (result <= MM_FAULT_MAJOR) {
			m->clock_ns += result == MM_FAULT_MAJOR ? MAJOR_NS : FAULT_NS;
			run_kswapd(m);
			return 0;
		}
		if (result != MM_FAULT_RETRY)
			return result == MM_FAULT_OOM ? -ENOMEM : -EIO;
		if (!m->is_woken)
			wait_for_io(m);
	}
	return -EDEADLK;
}

static int touch(struct model *m, const struct fidelity_access *a)
{
	vaddr_t va = (a->is_file ? FILE_BASE : ANON_BASE) + a->page * PAGE_SIZE;
	unsigned int access = a->is_write ? MM_ACCESS_WRITE : MM_ACCESS_READ;
	pte_t **table = &m->tables[a->is_file][a->page / PGTABLE_ENTRIES];
	int err = 0;

	m->clock_ns += ACCESS_NS;
	if (next_io_ns(m) <= m->clock_ns)
		mm_step(m->sys, m->clock_ns, 0);
	run_kswapd(m);
	if (!*table)
		err = machine_soft_entries(m->mm->space, va, table);
	for (unsigned int i = 0; !err && i < TRIES_MAX; i++) {
		if (machine_soft_touch(*table + machine_soft_entry_index(va), access))
			return 0;
		err = resolve(m, m->mm, va, access);
	}
	return err ? err : -EDEADLK;
}

/* Takes frames from the zone until it has as many free as the guest had. */
static void zone_as_guest(struct model *m, struct zone *zone, const struct fidelity_zone *z)
{
	uint32_t marks[NR_WMARK] = {[WMARK_MIN] = (uint32_t)z->min,
				    [WMARK_LOW] = (uint32_t)z->low,
				    [WMARK_HIGH] = (uint32_t)z->high};
	struct page *page;

	zone_use_watermarks(m->sys, zone, marks, (uint32_t)z->reserve);
	while (zone->nr_free > z->nr_free && buddy_alloc(m->sys, zone, 0, &page) == 0)
		;
}

static int map_anon(struct mm *mm, vaddr_t va, uint64_t nr)
{
	return mm_map(mm, va, nr * PAGE_SIZE, MM_PROT_READ | MM_PROT_WRITE,
		      MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &va);
}

static void seen(void *arg, vaddr_t va, pte_t bits)
{
	(void)arg;
	(void)va;
	(void)bits;
}

/* What the rest of the guest has in memory: first the inactive pages, then the active ones. */
static int others(struct model *m)
{
	uint64_t nr_inactive = m->guest->nr_inactive_anon;
	uint64_t nr = nr_inactive + m->guest->nr_active_anon;
	int err = mm_create(m->sys, &m->other);

	if (!err)
		err = map_anon(m->other, OTHER_BASE, nr);
	for (uint64_t i = 0; !err && i < nr; i++) {
		vaddr_t va = OTHER_BASE + i * PAGE_SIZE;
		struct page *page;

		err = resolve(m, m->other, va, MM_ACCESS_WRITE);
		if (err || i < nr_inactive)
			continue;
		page = page_of(m->sys, pte_pfn(*pgtable_lookup(m->other, va)));
		m->sys->policy_ops->accessed(m->sys->policy, page);
		m->sys->policy_ops->accessed(m->sys->policy, page);
	}
	if (!err)
		m->machine->ops->harvest(m->machine, m->other->space, OTHER_BASE,
					 OTHER_BASE + nr * PAGE_SIZE, seen, NULL);
	return err;
}

static int create_file(struct model *m, uint64_t nr_pages)
{
	struct mm_map_file_args args = {.hint = FILE_BASE,
					.len = nr_pages * PAGE_SIZE,
					.prot = MM_PROT_READ,
					.flags = MM_MAP_SHARED | MM_MAP_FIXED};
	vaddr_t va;
	int err;

	if (nr_pages == 0)
		return 0;
	m->disk = (struct sim_disk){.params = disk, .clock_ns = &m->clock_ns};
	err = sim_file_create(&m->disk, nr_pages * PAGE_SIZE, &m->file);
	if (!err)
		err = mm_file_open(m->sys, m->file.dev, &m->file.cached);
	if (!err)
		err = mm_map_file(m->mm, m->file.cached, &args, &va);
	return err;
}

static int create_system(struct model *m)
{
	const struct fidelity_guest *g = m->guest;
	struct swapdev_model_config swap = {
		.nr_slots = SWAP_SLOTS, .params = disk, .clock_ns = &m->clock_ns};
	struct machine_soft_config soft = {
		.nr_frames = (pfn_t)(g->dma.nr_free + g->dma32.nr_free + g->nr_inactive_anon +
				     g->nr_active_anon + OVERHEAD_FRAMES),
		.caps = MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY | MACHINE_MAPS_SHARED,
	};
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	int err;

	err = machine_soft_create(&soft, &m->machine);
	if (!err)
		err = swapdev_model_create(&swap, &m->swap);
	if (err)
		return err;
	cfg.machine = m->machine;
	cfg.policy = &policy_two_lists;
	cfg.swappiness = (uint32_t)g->swappiness;
	cfg.nr_dma_frames = (uint32_t)g->dma.nr_free + 64;
	cfg.is_linux_reclaim = true;
	cfg.overcommit_memory = MM_OVERCOMMIT_ALWAYS;
	cfg.wake = wake;
	cfg.wake_kswapd = wake_kswapd;
	cfg.arg = m;
	err = mm_system_create(&cfg, &m->sys);
	if (!err)
		err = mm_swapon(m->sys, m->swap, 0);
	return err;
}

static int create_space(struct model *m, const struct fidelity_stream *s)
{
	int err = others(m);

	if (!err)
		err = mm_create(m->sys, &m->mm);
	if (!err)
		err = map_anon(m->mm, ANON_BASE, s->nr_anon);
	if (!err)
		err = create_file(m, s->nr_file);
	m->tables[0] = calloc(s->nr_anon / PGTABLE_ENTRIES + 1, sizeof(pte_t *));
	m->tables[1] = calloc(s->nr_file / PGTABLE_ENTRIES + 1, sizeof(pte_t *));
	if (!m->tables[0] || !m->tables[1])
		return -ENOMEM;
	zone_as_guest(m, &m->sys->zones[0], &m->guest->dma);
	zone_as_guest(m, &m->sys->zones[1], &m->guest->dma32);
	return err;
}

/* In an order in which nothing is used after its end. */
static void destroy(struct model *m)
{
	while (m->sys && next_io_ns(m) != NEVER) {
		m->clock_ns = max_u64(m->clock_ns, next_io_ns(m));
		mm_step(m->sys, m->clock_ns, 0);
	}
	if (m->file.cached)
		mm_file_close(m->file.cached);
	if (m->sys)
		mm_system_destroy(m->sys);
	sim_file_destroy(&m->file);
	if (m->swap)
		m->swap->ops->close(m->swap);
	if (m->machine)
		machine_soft_destroy(m->machine);
	free(m->tables[0]);
	free(m->tables[1]);
	free(m);
}

static void take_figures(const struct model *m, uint64_t figures[NR_FIGURES])
{
	const uint64_t *v = m->sys->vmstat;

	figures[FIG_PGMAJFAULT] = v[MM_VMSTAT_pgmajfault];
	figures[FIG_PSWPIN] = v[MM_VMSTAT_pswpin];
	figures[FIG_PSWPOUT] = v[MM_VMSTAT_pswpout];
	figures[FIG_PGSCAN] = scanned(m);
	figures[FIG_PGSTEAL] = v[MM_VMSTAT_pgsteal_kswapd] + v[MM_VMSTAT_pgsteal_direct];
	figures[FIG_PGACTIVATE] = v[MM_VMSTAT_pgactivate];
}

/**
 * fidelity_model_run() - one workload from start to end.
 *
 * Return: 0; -ENOMEM; -EDEADLK or -EIO for a defect of the manager's.
 */
int fidelity_model_run(const struct fidelity_guest *guest, uint64_t ret_figures[NR_FIGURES])
{
	struct model *m = calloc(1, sizeof(*m));
	struct fidelity_access access;
	struct fidelity_stream s;
	int err;

	if (!m)
		return -ENOMEM;
	m->guest = guest;
	fidelity_init(&s, guest->pattern, guest->nr_pages, guest->nr_accesses);
	err = create_system(m);
	if (!err)
		err = create_space(m, &s);
	while (!err && fidelity_next(&s, &access))
		err = touch(m, &access);
	if (!err)
		take_figures(m, ret_figures);
	destroy(m);
	return err;
}
