/* SPDX-License-Identifier: MIT */
/* Out of memory with several address spaces: who goes, what is said, and that the others go on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ration/oom.h"
#include "ration/sysctl.h"
#include "support/test.h"
#include "world.h"

#define RW   (MM_PROT_READ | MM_PROT_WRITE)
#define ANON (MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED)

static struct mm_oom_report report;
static struct mm *killed[8];
static unsigned int nr_killed;

static void on_kill(void *arg, struct mm *victim)
{
	(void)arg;
	if (nr_killed < 8)
		killed[nr_killed] = victim;
	nr_killed++;
}

static void begin_with(struct world *w, struct world_config *cfg, uint64_t nr_slots)
{
	cfg->nr_slots = nr_slots;
	world_create(w, cfg);
	w->sys->cfg.oom_kill = on_kill;
	w->sys->cfg.oom_report = &report;
	memset(&report, 0, sizeof(report));
	nr_killed = 0;
	world_map(w, 0, WORLD_PAGES, RW);
}

static void begin(struct world *w, uint64_t nr_slots)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	begin_with(w, &cfg, nr_slots);
}

static struct mm *other(struct world *w, uint32_t pid, const char *comm)
{
	struct mm_identity who = {.pid = pid, .uid = 1000};
	struct mm *mm;
	vaddr_t addr;

	assert_int_equal(mm_create(w->sys, &mm), 0);
	snprintf(who.comm, sizeof(who.comm), "%s", comm);
	mm_set_identity(mm, &who);
	assert_int_equal(mm_map(mm, WORLD_BASE, WORLD_PAGES * PAGE_SIZE, RW, ANON, &addr), 0);
	return mm;
}

/* Pages [0, nr) are written. Return: the answer that was no mapping, or MM_FAULT_MINOR. */
static enum mm_fault_result fill(struct world *w, struct mm *mm, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		enum mm_fault_result result = MM_FAULT_RETRY;

		for (unsigned int try = 0; try < 10000 && result == MM_FAULT_RETRY; try++) {
			result = mm_fault(mm, world_va(i), MM_ACCESS_WRITE);
			if (result == MM_FAULT_RETRY)
				world_step(w);
		}
		if (result > MM_FAULT_MAJOR)
			return result;
	}
	return MM_FAULT_MINOR;
}

/* The largest goes, whoever asks; the asker gets its memory. */
static void the_worst_goes(void **state)
{
	struct mm *hog, *small;
	struct world w;

	(void)state;
	begin(&w, 0);
	hog = other(&w, 3, "hog");
	small = other(&w, 4, "small");
	assert_int_equal(fill(&w, hog, 150), MM_FAULT_MINOR);
	assert_int_equal(fill(&w, small, 30), MM_FAULT_MINOR);
	assert_true(mm_oom_score(hog) > mm_oom_score(small));
	for (unsigned int i = 0; i < 120; i++)
		assert_in_range(world_write(&w, i), 0, MM_FAULT_MAJOR);
	assert_int_equal(nr_killed, 1);
	assert_ptr_equal(killed[0], hog);
	assert_int_equal(WSTAT(&w, oom_kill), 1);
	assert_true(mm_is_oom_victim(hog) && !mm_is_oom_victim(small));
	assert_int_equal(mm_oom_score(hog), 0);
	world_check(&w);
	/* it sees nothing any more; the others go on */
	assert_int_equal(mm_fault(hog, world_va(3), MM_ACCESS_READ), MM_FAULT_OOM);
	assert_int_equal(WSTAT(&w, oom_kill), 1);
	assert_int_equal(fill(&w, small, 30), MM_FAULT_MINOR);
	for (unsigned int i = 0; i < 120; i++)
		assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	mm_destroy(hog);
	world_check(&w);
	mm_destroy(small);
	world_destroy(&w);
}

/* The asker itself is the worst. */
static void the_asker_may_be_the_worst(void **state)
{
	struct mm *hog, *small;
	struct world w;

	(void)state;
	begin(&w, 0);
	hog = other(&w, 3, "hog");
	small = other(&w, 4, "small");
	assert_int_equal(fill(&w, small, 30), MM_FAULT_MINOR);
	assert_int_equal(fill(&w, hog, WORLD_PAGES), MM_FAULT_OOM);
	assert_ptr_equal(killed[0], hog);
	assert_int_equal(nr_killed, 1);
	assert_int_equal(WSTAT(&w, oom_kill), 1);
	world_step(&w); /* reaps */
	world_check(&w);
	assert_int_equal(hog->nr_resident, 0);
	assert_int_equal(fill(&w, small, 120), MM_FAULT_MINOR);
	mm_destroy(hog);
	mm_destroy(small);
	world_destroy(&w);
}

/* What is in swap counts as what is in RAM does. */
static void swap_entries_count(void **state)
{
	struct mm *swapped, *resident;
	struct world w;

	(void)state;
	begin(&w, 300);
	swapped = other(&w, 3, "swapped");
	resident = other(&w, 4, "resident");
	assert_int_equal(fill(&w, swapped, 200), MM_FAULT_MINOR);
	assert_int_equal(mm_advise(swapped, WORLD_BASE, 200 * PAGE_SIZE, MM_MADV_PAGEOUT), 0);
	world_settle(&w);
	assert_int_equal(fill(&w, resident, 190), MM_FAULT_MINOR);
	for (unsigned int i = 0; i < 200; i++)
		assert_in_range(world_write(&w, i), 0, MM_FAULT_MAJOR);
	assert_int_equal(nr_killed, 1);
	assert_ptr_equal(killed[0], swapped);
	world_check(&w);
	mm_destroy(swapped);
	mm_destroy(resident);
	world_destroy(&w);
}

static void the_adjustment_decides(void **state)
{
	struct mm *hog, *small;
	struct world w;

	(void)state;
	begin(&w, 0);
	hog = other(&w, 3, "hog");
	small = other(&w, 4, "small");
	assert_int_equal(mm_set_oom_score_adj(hog, -1001), -EINVAL);
	assert_int_equal(mm_set_oom_score_adj(hog, 1001), -EINVAL);
	assert_int_equal(mm_set_oom_score_adj(hog, -1000), 0);
	assert_int_equal(mm_set_oom_score_adj(w.mm, -1000), 0);
	assert_int_equal(fill(&w, small, 20), MM_FAULT_MINOR);
	assert_int_equal(fill(&w, hog, WORLD_PAGES), MM_FAULT_OOM);
	assert_int_equal(nr_killed, 1); /* the small one, and then there is nobody left */
	assert_ptr_equal(killed[0], small);
	assert_false(mm_is_oom_victim(hog));
	assert_int_equal(mm_unmap(hog, WORLD_BASE, WORLD_PAGES * PAGE_SIZE), 0);
	mm_destroy(small);
	mm_destroy(hog);
	world_destroy(&w);
}

/* With oom_score_adj 1000 all memory is added, in whole 1000ths of it. */
static void the_first_to_go_is_small(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm *small;
	struct world w;

	(void)state;
	cfg.nr_frames = 1100;
	begin_with(&w, &cfg, 0);
	small = other(&w, 5, "first");
	assert_int_equal(mm_set_oom_score_adj(small, 1000), 0);
	assert_int_equal(fill(&w, small, 20), MM_FAULT_MINOR);
	for (unsigned int i = 0; i < WORLD_PAGES && nr_killed == 0; i++)
		world_write(&w, i);
	assert_ptr_equal(killed[0], small);
	mm_destroy(small);
	world_destroy(&w);
}

static void the_asker_goes_where_it_is_told(void **state)
{
	struct mm *hog;
	struct world w;

	(void)state;
	begin(&w, 0);
	hog = other(&w, 3, "hog");
	assert_int_equal(mm_sysctl_set(w.sys, "vm.oom_kill_allocating_task", 1), 0);
	assert_int_equal(fill(&w, hog, 200), MM_FAULT_MINOR);
	for (unsigned int i = 0; i < WORLD_PAGES && nr_killed == 0; i++)
		world_write(&w, i);
	assert_ptr_equal(killed[0], w.mm);
	assert_true(report.is_allocating_task);
	w.mm->is_oom_victim = false; /* the world's checks go on with it */
	w.mm->is_oom_reaped = false;
	w.sys->nr_oom_dying = 0;
	mm_destroy(hog);
	world_destroy(&w);
}

/* Somebody is at work on the victim: who asks waits, and mm_step() reaps. */
static void a_victim_in_use_is_reaped_later(void **state)
{
	enum mm_fault_result result = MM_FAULT_MINOR;
	unsigned int nr = 0;
	struct mm *hog;
	struct world w;

	(void)state;
	begin(&w, 0);
	hog = other(&w, 3, "hog");
	assert_int_equal(fill(&w, hog, 180), MM_FAULT_MINOR);
	sys_lock(w.sys);
	assert_true(mm_read_trylock(hog));
	sys_unlock(w.sys);
	while (nr < WORLD_PAGES && result <= MM_FAULT_MAJOR)
		result = mm_fault(w.mm, world_va(nr++), MM_ACCESS_WRITE);
	assert_int_equal(result, MM_FAULT_RETRY);
	assert_int_equal(nr_killed, 1);
	assert_int_equal(mm_fault(w.mm, world_va(nr), MM_ACCESS_WRITE), MM_FAULT_RETRY);
	assert_int_equal(nr_killed, 1);
	mm_destroy(hog); /* its owner is fast */
	sys_lock(w.sys);
	mm_read_unlock(hog);
	sys_unlock(w.sys);
	world_step(&w);
	world_check(&w);
	assert_int_equal(mm_fault(w.mm, world_va(nr), MM_ACCESS_WRITE), MM_FAULT_MINOR);
	world_destroy(&w);
}

/* The frame of a copy on write comes from reclaim; where there is none, the writer goes. */
static void a_copy_that_cannot_be_had(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm *child;
	struct world w;

	(void)state;
	cfg.caps = MACHINE_MAPS_SHARED;
	begin_with(&w, &cfg, 0);
	for (unsigned int i = 0; i < 200; i++)
		assert_in_range(world_write(&w, i), 0, MM_FAULT_MAJOR);
	assert_int_equal(mm_set_oom_score_adj(w.mm, MM_OOM_SCORE_ADJ_MIN), 0);
	assert_int_equal(mm_fork(w.mm, &child), 0);
	assert_int_equal(fill(&w, child, 200), MM_FAULT_OOM);
	assert_ptr_equal(killed[0], child);
	world_check(&w);
	for (unsigned int i = 0; i < 200; i++)
		assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	mm_destroy(child);
	world_destroy(&w);
}

/* A system with one address space says so to whoever asks, as ever. */
static void alone_nobody_is_chosen(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 0);
	assert_int_equal(fill(&w, w.mm, WORLD_PAGES), MM_FAULT_OOM);
	assert_int_equal(nr_killed, 0);
	assert_false(mm_is_oom_victim(w.mm));
	assert_int_equal(WSTAT(&w, oom_kill), 1);
	world_destroy(&w);
}

static void the_report_reads_as_linuxs(void **state)
{
	static const char *const lines[] = {
		"small invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|"
		"__GFP_ZERO), order=0, oom_score_adj=7\nMem-Info:\nactive_anon:0 "
		"inactive_anon:2",
		"\nNode 0 active_anon:",
		"\nNode 0 Normal free:",
		"\nlowmem_reserve[]: 0\nNode 0 Normal: ",
		" total pagecache pages\n0 pages in swap cache\nFree swap  = 0kB\nTotal swap = "
		"0kB\n"
		"320 pages RAM\n0 pages HighMem/MovableOnly\n",
		" pages reserved\nTasks state (memory values in pages):\n"
		"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj "
		"name\n",
		"\n[      3]  1000     3     1024      180    16384        0             0 "
		"hog\n",
		"\noom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,"
		"global_oom,task_memcg=/,task=hog,pid=3,uid=1000\n"
		"Out of memory: Killed process 3 (hog) total-vm:4096kB, anon-rss:720kB, "
		"file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:16kB oom_score_adj:0\n",
	};
	static char text[8192], part[8192];
	struct mm *hog, *small;
	const char *at = text;
	struct world w;
	size_t len;

	(void)state;
	begin(&w, 0);
	hog = other(&w, 3, "hog");
	small = other(&w, 4, "small");
	assert_int_equal(mm_set_oom_score_adj(small, 7), 0);
	assert_int_equal(fill(&w, hog, 180), MM_FAULT_MINOR);
	fill(&w, small, 120);
	assert_int_equal(nr_killed, 1);
	len = mm_oom_describe(&report, text, sizeof(text));
	assert_int_equal(len, strlen(text));
	for (unsigned int i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		at = strstr(at, lines[i]);
		if (!at)
			print_message("not found: %s\nin: %s\n", lines[i], text);
		assert_non_null(at);
	}
	/* a buffer that is too small has the beginning */
	for (size_t size = 0; size <= len + 1; size += 97) {
		memset(part, 'x', sizeof(part));
		assert_int_equal(mm_oom_describe(&report, part, size), len);
		if (size == 0)
			continue;
		assert_int_equal(strlen(part), size - 1);
		assert_memory_equal(part, text, size - 1);
	}
	report.has_tasks = false;
	mm_oom_describe(&report, text, sizeof(text));
	assert_null(strstr(text, "Tasks state"));
	mm_destroy(hog);
	mm_destroy(small);
	world_destroy(&w);
}

/* Else what the killer frees would live on in the child. */
static void a_victim_does_not_fork(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm *hog, *small, *child = NULL;
	struct world w;

	(void)state;
	cfg.caps = MACHINE_MAPS_SHARED;
	begin_with(&w, &cfg, 0);
	hog = other(&w, 3, "hog");
	small = other(&w, 4, "small");
	assert_int_equal(fill(&w, hog, 180), MM_FAULT_MINOR);
	assert_int_equal(fill(&w, small, 120), MM_FAULT_MINOR);
	assert_true(mm_is_oom_victim(hog));
	assert_int_equal(mm_fork(hog, &child), -EINTR);
	assert_null(child);
	world_check(&w);
	assert_int_equal(mm_fork(small, &child), 0);
	mm_destroy(child);
	mm_destroy(hog);
	mm_destroy(small);
	world_destroy(&w);
}

static struct mm *dying;
static const struct machine_ops *real_ops;

/* While the fork is at the machine, without the lock, another thread runs out of memory. */
static int apply_and_choose(struct machine *m, struct machine_space *space,
			    struct machine_batch *batch)
{
	if (!dying->is_oom_victim) {
		dying->is_oom_victim = true;
		dying->sys->nr_oom_dying++;
	}
	return real_ops->apply(m, space, batch);
}

static void a_victim_of_that_moment_has_no_child(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct machine_ops ops;
	struct mm *child = NULL;
	struct world w;

	(void)state;
	cfg.caps = MACHINE_MAPS_SHARED;
	begin_with(&w, &cfg, 0);
	dying = other(&w, 3, "dying");
	assert_int_equal(fill(&w, dying, 20), MM_FAULT_MINOR);
	real_ops = w.machine->ops;
	ops = *real_ops;
	ops.apply = apply_and_choose;
	w.machine->ops = &ops;
	assert_int_equal(mm_fork(dying, &child), -EINTR);
	w.machine->ops = real_ops;
	assert_true(dying->is_oom_victim);
	assert_null(child);
	world_check(&w);
	mm_destroy(dying);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_worst_goes),
	cmocka_unit_test(the_asker_may_be_the_worst),
	cmocka_unit_test(swap_entries_count),
	cmocka_unit_test(the_adjustment_decides),
	cmocka_unit_test(the_first_to_go_is_small),
	cmocka_unit_test(the_asker_goes_where_it_is_told),
	cmocka_unit_test(a_victim_in_use_is_reaped_later),
	cmocka_unit_test(a_copy_that_cannot_be_had),
	cmocka_unit_test(alone_nobody_is_chosen),
	cmocka_unit_test(a_victim_does_not_fork),
	cmocka_unit_test(a_victim_of_that_moment_has_no_child),
	cmocka_unit_test(the_report_reads_as_linuxs),
};
TEST_MAIN(tests)
