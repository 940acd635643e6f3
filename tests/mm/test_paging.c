/* SPDX-License-Identifier: MIT */
/*
 * Demand paging end to end on the soft machine: faults, reclaim, swap, advice, rest before
 * fork.
 */
#include <errno.h>
#include <string.h>

#include "mm/pgtable.h"
#include "mm/rmap.h"
#include "mm/system.h"
#include "support/test.h"
#include "world.h"

#define RW    (MM_PROT_READ | MM_PROT_WRITE)
#define TELLS (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)

static void write_all(struct world *w, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		assert_in_range(world_write(w, i), 0, MM_FAULT_MAJOR);
}

static void read_all(struct world *w, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		assert_in_range(world_read(w, i), 0, MM_FAULT_MAJOR);
}

static void first_touch_finds_zeroes(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 8, RW);
	assert_int_equal(world_read(&w, 3), MM_FAULT_MINOR);
	assert_int_equal(WSTAT(&w, pgfault), 1);
	assert_int_equal(WSTAT(&w, nr_anon_pages), 1);
	assert_int_equal(WSTAT(&w, nr_touched_peak), 1);
	world_check(&w);
	world_destroy(&w);
}

/* prot x access -> answer */
static void protection_is_enforced(void **state)
{
	static const struct {
		int prot;
		unsigned int access;
		enum mm_fault_result want;
	} cases[] = {
		{MM_PROT_NONE, MM_ACCESS_READ, MM_FAULT_SEGV},
		{MM_PROT_NONE, MM_ACCESS_WRITE, MM_FAULT_SEGV},
		{MM_PROT_READ, MM_ACCESS_READ, MM_FAULT_MINOR},
		{MM_PROT_READ, MM_ACCESS_WRITE, MM_FAULT_SEGV},
		{RW, MM_ACCESS_WRITE, MM_FAULT_MINOR},
		{RW, MM_ACCESS_EXEC, MM_FAULT_SEGV},
		{MM_PROT_READ | MM_PROT_EXEC, MM_ACCESS_EXEC, MM_FAULT_MINOR},
		{MM_PROT_WRITE, MM_ACCESS_READ, MM_FAULT_MINOR}, /* as on x86 */
	};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_map(&w, i, 1, cases[i].prot);
		assert_int_equal(mm_fault(w.mm, world_va(i), cases[i].access), cases[i].want);
	}
	assert_int_equal(mm_fault(w.mm, world_va(100), MM_ACCESS_READ), MM_FAULT_SEGV);
	world_destroy(&w);
}

/* Data of four times the RAM, on each kind of machine and device. */
static void data_beyond_ram_keeps_every_byte(void **state)
{
	static const struct {
		uint32_t caps;
		enum swapdev_mem_mode mode;
	} cases[] = {
		{0, SWAPDEV_MEM_SYNC},
		{0, SWAPDEV_MEM_RANDOM},
		{TELLS, SWAPDEV_MEM_SYNC},
		{TELLS, SWAPDEV_MEM_RANDOM},
		{MACHINE_SETS_DIRTY, SWAPDEV_MEM_RANDOM},
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;

		cfg.caps = cases[i].caps;
		cfg.mode = cases[i].mode;
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		write_all(&w, WORLD_PAGES);
		world_check(&w);
		read_all(&w, WORLD_PAGES);
		world_check(&w);
		assert_true(WSTAT(&w, pswpout) > WORLD_PAGES - cfg.nr_frames);
		assert_true(WSTAT(&w, pgmajfault) > 0);
		world_destroy(&w);
	}
}

/* A page whose copy in swap is good is never written again. */
static void clean_pages_are_not_written_again(void **state)
{
	static const uint32_t caps[] = {0, TELLS};

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		uint64_t written;
		struct world w;

		cfg.caps = caps[i];
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		write_all(&w, WORLD_PAGES);
		world_advise(&w, 0, WORLD_PAGES, MM_MADV_PAGEOUT);
		world_settle(&w);
		read_all(&w, WORLD_PAGES);
		written = WSTAT(&w, pswpout);
		assert_true(written >= WORLD_PAGES);
		for (unsigned int round = 0; round < 3; round++)
			read_all(&w, WORLD_PAGES);
		assert_int_equal(WSTAT(&w, pswpout), written);
		/* and one that is written is */
		assert_in_range(world_write(&w, 5), 0, MM_FAULT_MAJOR);
		read_all(&w, WORLD_PAGES);
		read_all(&w, WORLD_PAGES);
		world_settle(&w);
		assert_in_range(WSTAT(&w, pswpout), written + 1, written + 1);
		world_destroy(&w);
	}
}

/* Wanted again while its write is in flight: it stays, clean, and its copy is good. */
static void a_page_touched_in_writeback_stays(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.mode = SWAPDEV_MEM_HELD;
	world_create(&w, &cfg);
	world_map(&w, 0, 2, RW);
	write_all(&w, 2);
	world_advise(&w, 0, 2, MM_MADV_PAGEOUT);
	assert_int_equal(WSTAT(&w, nr_writeback), 2);
	assert_int_equal(mm_fault(w.mm, world_va(0), MM_ACCESS_READ), MM_FAULT_RETRY);
	assert_int_equal(swapdev_mem_deliver(w.dev, 2), 2);
	world_step(&w);
	assert_int_equal(WSTAT(&w, pgreuse), 1);
	assert_int_equal(WSTAT(&w, nr_anon_pages), 1);
	assert_int_equal(world_read(&w, 0), MM_FAULT_MINOR);
	world_check(&w);
	world_advise(&w, 0, 2, MM_MADV_PAGEOUT);
	assert_int_equal(WSTAT(&w, nr_anon_pages), 0);
	assert_int_equal(WSTAT(&w, pswpout), 2);
	world_destroy(&w);
}

/* Unmapped while its write is in flight: the frame goes when the device lets go, not before. */
static void a_page_unmapped_in_writeback_is_freed_after(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	uint64_t nr_free;
	struct world w;

	(void)state;
	cfg.mode = SWAPDEV_MEM_HELD;
	world_create(&w, &cfg);
	world_map(&w, 0, 4, RW);
	write_all(&w, 4);
	world_advise(&w, 0, 4, MM_MADV_PAGEOUT);
	assert_int_equal(mm_unmap(w.mm, world_va(0), 4 * PAGE_SIZE), 0);
	pcp_drain(w.sys);
	nr_free = w.sys->zones[0].nr_free;
	world_check(&w);
	assert_int_equal(swapdev_mem_deliver(w.dev, 4), 4);
	world_step(&w);
	pcp_drain(w.sys);
	assert_in_range(w.sys->zones[0].nr_free, nr_free + 4, nr_free + 8);
	assert_int_equal(WSTAT(&w, nr_swap_slots_used), 0);
	world_destroy(&w);
}

static void without_swap_it_ends_in_oom(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	enum mm_fault_result result = MM_FAULT_MINOR;
	unsigned int nr = 0;
	struct world w;

	(void)state;
	cfg.nr_slots = 0;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	while (nr < WORLD_PAGES && result <= MM_FAULT_MAJOR)
		result = world_write(&w, nr++);
	assert_int_equal(result, MM_FAULT_OOM);
	assert_in_range(nr, cfg.nr_frames / 2, cfg.nr_frames);
	assert_int_equal(WSTAT(&w, oom_kill), 1);
	world_check(&w);
	read_all(&w, nr - 1);
	/* what is given back can be used again */
	assert_int_equal(mm_unmap(w.mm, world_va(0), 64 * PAGE_SIZE), 0);
	assert_int_equal(world_write(&w, nr), MM_FAULT_MINOR);
	world_destroy(&w);
}

static void full_swap_ends_in_oom(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	enum mm_fault_result result = MM_FAULT_MINOR;
	unsigned int nr = 0;
	struct world w;

	(void)state;
	cfg.nr_slots = 200;
	cfg.mode = SWAPDEV_MEM_RANDOM;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	while (nr < WORLD_PAGES && result <= MM_FAULT_MAJOR)
		result = world_write(&w, nr++);
	assert_int_equal(result, MM_FAULT_OOM);
	assert_in_range(nr, cfg.nr_frames / 2 + 199, cfg.nr_frames + 199);
	world_check(&w);
	/* with room to swap one page against another, all that is left can be read */
	assert_int_equal(mm_unmap(w.mm, world_va(nr - 1), 1 * PAGE_SIZE), 0);
	assert_int_equal(mm_unmap(w.mm, world_va(nr - 60), 59 * PAGE_SIZE), 0);
	read_all(&w, nr - 60);
	world_destroy(&w);
}

static void a_failed_read_is_a_bus_error_once(void **state)
{
	static const struct swapdev_fault_rule rule = {
		.fault = SWAPDEV_FAULT_ERROR, .err = -EIO, .nth = 1};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	uint64_t value;
	struct world w;

	(void)state;
	cfg.rules = &rule;
	cfg.nr_rules = 1;
	cfg.page_cluster = 0;
	world_create(&w, &cfg);
	world_map(&w, 0, 4, RW);
	write_all(&w, 4);
	world_advise(&w, 0, 4, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(WSTAT(&w, nr_anon_pages), 0);
	assert_int_equal(world_access(&w, world_va(2), &value, false), MM_FAULT_BUS);
	assert_int_equal(WSTAT(&w, swap_read_errors), 1);
	world_check(&w);
	read_all(&w, 4); /* the device has recovered, and no byte was lost */
	world_destroy(&w);
}

/* What a full disk refuses stays in RAM, and goes to the same slots when there is room again.
 */
static void a_full_disk_spoils_no_slot(void **state)
{
	static const struct swapdev_fault_rule rule = {.fault = SWAPDEV_FAULT_ERROR,
						       .is_write = true,
						       .err = -ENOSPC,
						       .nth = 1,
						       .every = 1};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.rules = &rule;
	cfg.nr_rules = 1;
	world_create(&w, &cfg);
	world_map(&w, 0, 64, RW);
	write_all(&w, 64);
	world_advise(&w, 0, 64, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_in_range(WSTAT(&w, swap_write_nospace), 1, 64);
	assert_int_equal(WSTAT(&w, swap_write_errors), 0);
	assert_int_equal(WSTAT(&w, nr_anon_pages), 64);
	assert_int_equal(w.sys->swap_areas[0]->nr_bad, 0);
	assert_int_equal(w.sys->swap_areas[0]->nr_used, 0);
	world_check(&w);
	swapdev_faulty_set_rules(w.sys->swap_areas[0]->dev, NULL, 0);
	swap_look_again(w.sys);
	world_advise(&w, 0, 64, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(WSTAT(&w, nr_anon_pages), 0);
	assert_int_equal(w.sys->swap_areas[0]->nr_nospace, 0);
	read_all(&w, 64);
	world_check(&w);
	world_destroy(&w);
}

/* No room for long: memory has run out, and that is said. */
static void a_disk_that_stays_full_is_out_of_memory(void **state)
{
	static const struct swapdev_fault_rule rule = {.fault = SWAPDEV_FAULT_ERROR,
						       .is_write = true,
						       .err = -ENOSPC,
						       .nth = 100,
						       .every = 1};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	enum mm_fault_result result = MM_FAULT_MINOR;
	struct world w;
	unsigned int i;

	(void)state;
	cfg.rules = &rule;
	cfg.nr_rules = 1;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	for (i = 0; i < WORLD_PAGES && result != MM_FAULT_OOM; i++) {
		uint64_t value = i;

		result = world_access(&w, world_va(i), &value, true);
	}
	assert_int_equal(result, MM_FAULT_OOM);
	assert_true(i > 100); /* RAM, and what the disk had room for */
	assert_int_equal(w.sys->swap_areas[0]->nr_bad, 0);
	world_check(&w);
	world_destroy(&w);
}

static void a_failed_write_keeps_the_page_in_ram(void **state)
{
	static const struct swapdev_fault_rule rule = {.fault = SWAPDEV_FAULT_ERROR,
						       .is_write = true,
						       .err = -EIO,
						       .nth = 1,
						       .every = 3};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.rules = &rule;
	cfg.nr_rules = 1;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	write_all(&w, WORLD_PAGES);
	world_check(&w);
	read_all(&w, WORLD_PAGES);
	assert_true(WSTAT(&w, swap_write_errors) > 10);
	assert_int_equal(w.sys->swap_areas[0]->nr_bad, WSTAT(&w, swap_write_errors));
	world_check(&w);
	world_destroy(&w);
}

/* Linux's window: 1, then up with hits, an aligned block. */
static void sequential_reading_is_read_ahead(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 128, RW);
	write_all(&w, 128);
	world_advise(&w, 0, 128, MM_MADV_PAGEOUT);
	world_settle(&w);
	read_all(&w, 128);
	assert_in_range(WSTAT(&w, pgmajfault), 128 / 8, 128 / 8 + 8);
	assert_true(WSTAT(&w, swap_ra_hit) >= 100);
	assert_int_equal(WSTAT(&w, pswpin), 128);
	world_destroy(&w);
}

static void random_advice_is_not_read_ahead(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 128, RW);
	world_advise(&w, 0, 128, MM_MADV_RANDOM);
	write_all(&w, 128);
	world_advise(&w, 0, 128, MM_MADV_PAGEOUT);
	world_settle(&w);
	read_all(&w, 128);
	assert_int_equal(WSTAT(&w, pgmajfault), 128);
	assert_int_equal(WSTAT(&w, swap_ra), 0);
	world_destroy(&w);
}

static void kswapd_keeps_frames_free_ahead_of_need(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	const struct zone *zone;

	(void)state;
	world_create(&w, &cfg);
	zone = &w.sys->zones[0];
	world_map(&w, 0, WORLD_PAGES, RW);
	for (unsigned int i = 0; i < WORLD_PAGES; i++) {
		world_write(&w, i);
		while (w.sys->kswapd_awake)
			world_step(&w);
	}
	assert_int_equal(WSTAT(&w, allocstall), 0);
	assert_int_equal(WSTAT(&w, pgscan_direct), 0);
	assert_true(WSTAT(&w, pgsteal_kswapd) > 0);
	assert_true(zone->nr_free >= zone->watermark[WMARK_LOW] - 1);
	world_destroy(&w);
}

/* Nobody calls mm_step(): each fault frees what it uses up, and nearly always in time. */
static void faults_keep_frames_free_where_they_are_told_to(void **state)
{
	static const uint32_t caps[] = {0, TELLS, MACHINE_FAULTS_COST};

	(void)state;
	for (unsigned int c = 0; c < 3; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;

		cfg.caps = caps[c];
		cfg.is_reclaim_by_faults = true;
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		write_all(&w, WORLD_PAGES);
		read_all(&w, WORLD_PAGES);
		assert_true(WSTAT(&w, pgsteal_direct) > 2 * WORLD_PAGES - 320);
		assert_in_range(WSTAT(&w, allocstall), 0, 8); /* else 40 and more */
		assert_int_equal(WSTAT(&w, pgscan_kswapd), 0);
		world_check(&w);
		world_destroy(&w);
	}
}

static void hot_pages_stay(void **state)
{
	static const uint32_t caps[] = {0, TELLS};

	(void)state;
	for (unsigned int c = 0; c < 2; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		uint64_t hot_major = 0;
		struct world w;

		cfg.caps = caps[c];
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		for (unsigned int i = 32; i < WORLD_PAGES; i++) {
			world_write(&w, i); /* a scan that is never repeated */
			for (unsigned int hot = 0; hot < 32; hot++)
				hot_major += world_read(&w, hot) == MM_FAULT_MAJOR;
		}
		assert_true(WSTAT(&w, pgactivate) > 0);
		assert_in_range(hot_major, 0, 64); /* FIFO would have had about 2000 */
		world_destroy(&w);
	}
}

/* Where asking takes a translation away: not from what was used and need not be asked again. */
static void what_may_be_left_stays_translated(void **state)
{
	struct page *pages[8];
	bool may_leave[8], young[8];
	struct mapper_scan scan;
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 8, RW);
	scan = (struct mapper_scan){.sys = w.sys};
	for (unsigned int i = 0; i < 8; i++) {
		world_write(&w, i);
		pages[i] = page_of(w.sys, pte_pfn(*pgtable_lookup(w.mm, world_va(i))));
		may_leave[i] = i % 2;
	}
	for (unsigned int round = 0; round < 3; round++) {
		sys_lock(w.sys);
		mappers_harvest(&scan, pages, 8, may_leave, young);
		for (unsigned int i = 0; i < 8; i++) {
			bool is_left = pte_is_present(*pgtable_lookup(w.mm, world_va(i)));

			assert_int_equal(is_left, may_leave[i]);
			assert_int_equal(young[i], round == 0 || may_leave[i]);
		}
		sys_unlock(w.sys);
	}
	world_check(&w);
	world_destroy(&w);
}

static void lazily_freed_pages_go_without_a_write(void **state)
{
	static const uint32_t caps[] = {0, TELLS};

	(void)state;
	for (unsigned int c = 0; c < 2; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;

		cfg.caps = caps[c];
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		write_all(&w, 100);
		world_advise(&w, 0, 100, MM_MADV_FREE);
		world_write(&w, 7); /* in use again */
		world_read(&w, 9);
		for (unsigned int i = 200; i < 500; i++)
			world_write(&w, i);
		read_all(&w, 100);
		assert_true(WSTAT(&w, pglazyfreed) >= 50);
		world_check(&w);
		world_destroy(&w);
	}
}

static void willneed_brings_pages_in(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 64, RW);
	write_all(&w, 64);
	world_advise(&w, 0, 64, MM_MADV_PAGEOUT);
	world_settle(&w);
	world_advise(&w, 0, 64, MM_MADV_WILLNEED);
	world_settle(&w);
	assert_int_equal(WSTAT(&w, pswpin), 64);
	read_all(&w, 64);
	assert_int_equal(WSTAT(&w, pgmajfault), 0);
	world_destroy(&w);
}

/* After a fork no slot that the other half may read is written. */
static void a_fork_seals_what_both_may_read(void **state)
{
	static uint64_t before[WORLD_PAGES * 4];
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	uint64_t nr_slots = cfg.nr_slots, nr_sealed;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	write_all(&w, WORLD_PAGES);
	for (unsigned int i = 0; mm_fork_prepare(w.mm) != 0; i++) {
		assert_true(i < 1000);
		world_step(&w);
	}
	assert_int_equal(mm_fault(w.mm, world_va(0), MM_ACCESS_READ), MM_FAULT_RETRY);
	assert_int_equal(w.sys->nr_io, 0);
	for (uint64_t s = 1; s < nr_slots; s++)
		before[s] = *(uint64_t *)swapdev_mem_page(w.dev, s);
	mm_fork_parent(w.mm, true);
	nr_sealed = w.sys->swap_areas[0]->nr_sealed;
	assert_in_range(nr_sealed, 2, 4096 / SWAP_CLUSTER_SLOTS - 4);
	for (unsigned int i = 0; i < WORLD_PAGES; i += 2)
		world_write(&w, i);
	read_all(&w, WORLD_PAGES);
	for (uint64_t s = 1; s < nr_sealed * SWAP_CLUSTER_SLOTS; s++)
		if (before[s])
			assert_int_equal(*(uint64_t *)swapdev_mem_page(w.dev, s), before[s]);
	world_check(&w);
	world_destroy(&w);
}

static void rest_for_fork(struct world *w)
{
	for (unsigned int i = 0; mm_fork_prepare(w->mm) != 0; i++) {
		assert_true(i < 1000);
		world_step(w);
	}
}

/* The parent's counters lie in shared memory, and it goes on before the child has looked. */
static void a_child_counts_from_the_moment_of_the_fork(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	uint64_t parent[NR_MM_VMSTAT], child[NR_MM_VMSTAT];
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	memcpy(parent, w.sys->vmstat, sizeof(parent));
	w.sys->vmstat = parent;
	world_map(&w, 0, WORLD_PAGES, RW);
	write_all(&w, WORLD_PAGES);
	rest_for_fork(&w);
	memset(parent, 0x5a, sizeof(parent));
	assert_int_equal(mm_fork_child(w.mm, child), 0);
	assert_int_equal(child[MM_VMSTAT_pgfault], 0);
	world_check(&w);
	read_all(&w, WORLD_PAGES);
	world_check(&w);
	world_destroy(&w);
}

/* Another thread may be at work on the mm: its lock is not the fork's to open. */
static void a_fork_given_up_leaves_a_writer_alone(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	sys_lock(w.sys);
	assert_true(mm_write_trylock(w.mm));
	sys_unlock(w.sys);
	assert_int_equal(mm_fork_prepare(w.mm), -EAGAIN);
	mm_fork_parent(w.mm, false);
	assert_int_equal(w.mm->users, -1);
	sys_lock(w.sys);
	mm_write_unlock(w.mm);
	sys_unlock(w.sys);
	world_destroy(&w);
}

/* One whole cluster: there is no slot in it to look for. */
static void a_cluster_of_bad_slots_is_passed_over(void **state)
{
	static uint32_t bad[SWAP_CLUSTER_SLOTS];
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	for (uint32_t i = 0; i < SWAP_CLUSTER_SLOTS; i++)
		bad[i] = SWAP_CLUSTER_SLOTS + i;
	world_create(&w, &cfg);
	w.dev->bad_slots = bad;
	w.dev->nr_bad_slots = SWAP_CLUSTER_SLOTS;
	world_map(&w, 0, WORLD_PAGES, RW);
	write_all(&w, WORLD_PAGES);
	world_advise(&w, 0, WORLD_PAGES, MM_MADV_PAGEOUT);
	world_settle(&w);
	world_check(&w);
	assert_int_equal(*(uint64_t *)swapdev_mem_page(w.dev, SWAP_CLUSTER_SLOTS), 0);
	read_all(&w, WORLD_PAGES);
	world_destroy(&w);
}

/* 1, 2, 4, 8, 16, 16 … pages a fault where first touches come in order. */
static void touches_in_order_are_met_ahead(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.caps = MACHINE_FAULTS_COST;
	world_create(&w, &cfg);
	world_map(&w, 0, 127, RW);
	write_all(&w, 127);
	assert_int_equal(WSTAT(&w, pgfault), 5 + (127 - 31) / 16);
	assert_int_equal(WSTAT(&w, nr_anon_pages), 127); /* not beyond the area */
	world_check(&w);
	read_all(&w, 127);
	/* out of order: one page a fault */
	world_map(&w, 200, 100, RW);
	for (unsigned int i = 0; i < 100; i += 3)
		world_read(&w, 200 + i);
	assert_int_equal(WSTAT(&w, pgfault), 11 + 34);
	assert_int_equal(WSTAT(&w, nr_anon_pages), 127 + 34);
	world_destroy(&w);
}

static void pages_made_ahead_are_zero(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.caps = MACHINE_FAULTS_COST;
	world_create(&w, &cfg);
	world_map(&w, 0, 600, RW);
	write_all(&w, 600); /* every frame has been dirty */
	assert_int_equal(mm_unmap(w.mm, world_va(0), 600 * PAGE_SIZE), 0);
	world_map(&w, 0, 600, RW);
	read_all(&w, 600);
	world_check(&w);
	world_destroy(&w);
}

/* What was read because somebody said so is mapped by blocks of 16, in whatever order. */
static void a_hit_takes_along_what_was_read_with_it(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	uint64_t before;
	struct world w;

	(void)state;
	cfg.caps = MACHINE_FAULTS_COST;
	world_create(&w, &cfg);
	world_map(&w, 0, 128, RW);
	write_all(&w, 128);
	world_advise(&w, 0, 128, MM_MADV_PAGEOUT);
	world_settle(&w);
	world_advise(&w, 0, 128, MM_MADV_RANDOM);
	world_advise(&w, 0, 128, MM_MADV_WILLNEED);
	world_settle(&w);
	before = WSTAT(&w, pgfault);
	for (unsigned int i = 0; i < 128; i++)
		world_read(&w, i * 37 % 128);
	assert_int_equal(WSTAT(&w, pgfault) - before, 128 / 16);
	assert_int_equal(WSTAT(&w, pswpin), 128);
	/* what was only read is clean */
	world_advise(&w, 0, 128, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(WSTAT(&w, pswpout), 128);
	read_all(&w, 128);
	world_check(&w);
	world_destroy(&w);
}

/* What mkswap -c found broken is never written. */
static void bad_slots_are_left_out(void **state)
{
	static const uint32_t bad[] = {1, 2, 7, 300};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	w.dev->bad_slots = bad;
	w.dev->nr_bad_slots = 4;
	world_map(&w, 0, WORLD_PAGES, RW);
	write_all(&w, WORLD_PAGES);
	world_advise(&w, 0, WORLD_PAGES, MM_MADV_PAGEOUT);
	world_settle(&w);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(*(uint64_t *)swapdev_mem_page(w.dev, bad[i]), 0);
	assert_true(*(uint64_t *)swapdev_mem_page(w.dev, 3) != 0);
	read_all(&w, WORLD_PAGES);
	world_check(&w);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(bad_slots_are_left_out),
	cmocka_unit_test(touches_in_order_are_met_ahead),
	cmocka_unit_test(pages_made_ahead_are_zero),
	cmocka_unit_test(a_hit_takes_along_what_was_read_with_it),
	cmocka_unit_test(first_touch_finds_zeroes),
	cmocka_unit_test(protection_is_enforced),
	cmocka_unit_test(data_beyond_ram_keeps_every_byte),
	cmocka_unit_test(clean_pages_are_not_written_again),
	cmocka_unit_test(a_page_touched_in_writeback_stays),
	cmocka_unit_test(a_page_unmapped_in_writeback_is_freed_after),
	cmocka_unit_test(without_swap_it_ends_in_oom),
	cmocka_unit_test(full_swap_ends_in_oom),
	cmocka_unit_test(a_failed_read_is_a_bus_error_once),
	cmocka_unit_test(a_failed_write_keeps_the_page_in_ram),
	cmocka_unit_test(a_full_disk_spoils_no_slot),
	cmocka_unit_test(a_disk_that_stays_full_is_out_of_memory),
	cmocka_unit_test(sequential_reading_is_read_ahead),
	cmocka_unit_test(random_advice_is_not_read_ahead),
	cmocka_unit_test(kswapd_keeps_frames_free_ahead_of_need),
	cmocka_unit_test(faults_keep_frames_free_where_they_are_told_to),
	cmocka_unit_test(hot_pages_stay),
	cmocka_unit_test(what_may_be_left_stays_translated),
	cmocka_unit_test(lazily_freed_pages_go_without_a_write),
	cmocka_unit_test(willneed_brings_pages_in),
	cmocka_unit_test(a_fork_seals_what_both_may_read),
	cmocka_unit_test(a_child_counts_from_the_moment_of_the_fork),
	cmocka_unit_test(a_fork_given_up_leaves_a_writer_alone),
	cmocka_unit_test(a_cluster_of_bad_slots_is_passed_over),
};
TEST_MAIN(tests)
