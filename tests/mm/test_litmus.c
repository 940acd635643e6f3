/* SPDX-License-Identifier: MIT */
/*
 * Litmus tests: no stale translation is ever used, for each call that takes one away.
 *
 * Two processors with a TLB each run one program. Processor 0 makes a call of the manager.
 * Processor 1 accesses one page: before, so that its TLB has the translation, and again at a
 * point of the call. The points are before and after each op of the machine, where the manager
 * has dropped its lock. All of these orders are run, one after the other, on one thread:
 *
 *	processor 0   |--- call: --- op --- op --- op ---|          reads
 *	processor 1   access       ^    ^    ^    ^      ^  access  reads
 *	                           from this point on, or at it only
 *
 * What a load finds is what the last store put there; what the call has forbidden or thrown
 * away is not to be had after it. A store that succeeds must be seen by both processors in the
 * end, and by a third that has no translation yet, whichever frame it went to.
 */
#include <errno.h>
#include <string.h>

#include "mm/huge.h"
#include "ration/sysctl.h"
#include "support/test.h"
#include "world.h"

#define RW	(MM_PROT_READ | MM_PROT_WRITE)
#define THP	512u /* pages */
#define PROBE	3u   /* the page that processor 1 accesses */
#define TRIES	1000
#define NR_CPUS 3u  /* the last has an empty TLB, to see what is true */
#define MANY	100 /* points: more than any call here has */
#define CAPS	(MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY | MACHINE_MAPS_SHARED)

/* How processor 1 uses the page, and when. */
struct order {
	unsigned int from; /* the first point; MANY: not during the call */
	bool is_every;	   /* at each point from there on */
	bool is_write;
};

static struct {
	struct world w;
	struct order order;
	const struct machine_ops *own;
	struct machine_ops ops;
	unsigned int nr_points;
	bool is_inside;		  /* processor 1 is at work */
	bool can_read, can_write; /* nothing forbids it yet, or any more */
	uint64_t value, stamp;	  /* what is to be found; the last that was written */
	struct mm *child;	  /* of a fork, and what it is to find */
	uint64_t child_value;
} in;

struct litmus {
	uint32_t thp; /* enum mm_thp; the page is part of 2 MiB from the first touch on */
	bool has_all; /* all pages of the 2 MiB are touched, not only the one */
	uint32_t nr_hugepages; /* the page is part of one of a pool of so many */
	void (*call)(void);
	bool loses, forbids_read, forbids_write; /* what the call does to the page */
};

static int raw(bool is_write)
{
	struct machine_soft_fault fault;
	uint64_t value = in.stamp + 1;
	int err;

	if (is_write)
		err = machine_soft_store(in.w.mm->space, world_va(PROBE), &value, 8, &fault);
	else
		err = machine_soft_load(in.w.mm->space, world_va(PROBE), &value, 8, &fault);
	if (err)
		return err;
	assert_true(is_write ? in.can_write : in.can_read);
	if (is_write)
		in.value = ++in.stamp;
	else
		assert_int_equal(value, in.value);
	return 0;
}

/* One access by processor 1, as a program makes it until it is told to wait. */
static void probe(bool is_write)
{
	in.is_inside = true;
	in.w.cpu = 1;
	if (raw(is_write)) {
		mm_fault(in.w.mm, world_va(PROBE), is_write ? MM_ACCESS_WRITE : 0);
		raw(is_write);
	}
	in.w.cpu = 0;
	in.is_inside = false;
}

static void point(void)
{
	unsigned int at = in.nr_points++;

	if (at == in.order.from || (in.order.is_every && at > in.order.from))
		probe(in.order.is_write);
}

static int apply(struct machine *m, struct machine_space *space, struct machine_batch *batch)
{
	int err;

	if (in.is_inside)
		return in.own->apply(m, space, batch);
	point();
	err = in.own->apply(m, space, batch);
	point();
	return err;
}

static void until_done(int (*call)(void))
{
	int err = -EAGAIN;

	for (unsigned int i = 0; err == -EAGAIN && i < TRIES; i++) {
		err = call();
		if (err == -EAGAIN)
			world_step(&in.w);
	}
	assert_int_equal(err, 0);
}

static void write_here(void)
{
	in.w.cpu = 0;
	in.stamp++;
	assert_in_range(machine_soft_mm_store(in.w.mm, world_va(PROBE), &in.stamp, 8), 0,
			MM_FAULT_MAJOR);
	in.value = in.stamp;
}

static int fork_once(void)
{
	return mm_fork(in.w.mm, &in.child);
}

/* What was there at the end of the fork is the child's for ever. */
static void call_fork(void)
{
	until_done(fork_once);
	in.child_value = in.value;
}

static void call_fork_and_write(void)
{
	call_fork();
	write_here();
}

/* The probe is in the first half. */
static int unmap_once(void)
{
	return mm_unmap(in.w.mm, world_va(0), THP / 2 * PAGE_SIZE);
}

static void call_unmap(void)
{
	until_done(unmap_once);
}

static int unmap_other_once(void)
{
	return mm_unmap(in.w.mm, world_va(THP / 2), THP / 2 * PAGE_SIZE);
}

static void call_unmap_other(void)
{
	until_done(unmap_other_once);
}

static int drop_once(void)
{
	return mm_advise(in.w.mm, world_va(PROBE), PAGE_SIZE, MM_MADV_DONTNEED);
}

static void call_drop(void)
{
	until_done(drop_once);
}

static int protect_once(void)
{
	return mm_protect(in.w.mm, world_va(PROBE), PAGE_SIZE, MM_PROT_READ);
}

static void call_protect(void)
{
	until_done(protect_once);
}

static int pageout_once(void)
{
	return mm_advise(in.w.mm, world_va(0), THP * PAGE_SIZE, MM_MADV_PAGEOUT);
}

/* Other pages take the frames: what still writes to the old one is lost. */
static void call_pageout(void)
{
	until_done(pageout_once);
	world_settle(&in.w);
	in.is_inside = true;
	for (unsigned int i = THP; i < WORLD_PAGES; i++)
		assert_in_range(world_write(&in.w, i), 0, MM_FAULT_MAJOR);
	in.is_inside = false;
	in.w.cpu = 0;
}

/* khugepaged, until it has looked. */
static void call_collapse(void)
{
	assert_int_equal(mm_sysctl_set(in.w.sys, "transparent_hugepage.enabled", MM_THP_ALWAYS),
			 0);
	for (unsigned int i = 0; i < 4; i++)
		world_step(&in.w);
	assert_int_equal(WSTAT(&in.w, thp_collapse_alloc), 1);
}

/* In the place of the first 2 MiB. */
static void map_from_pool(uint32_t nr_hugepages)
{
	vaddr_t addr;

	assert_int_equal(mm_sysctl_set(in.w.sys, "vm.nr_hugepages", nr_hugepages), 0);
	assert_int_equal(
		mm_map(in.w.mm, world_va(0), THP * PAGE_SIZE, RW,
		       MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_HUGETLB | MM_MAP_FIXED,
		       &addr),
		0);
}

static void begin(const struct litmus *l, struct order order)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	memset(&in, 0, sizeof(in));
	cfg.caps = CAPS | MACHINE_HUGE;
	cfg.nr_frames = 1800;
	cfg.thp = l->thp;
	cfg.thp_64k = MM_THP_NEVER;
	cfg.seed = 1;
	cfg.tlb = &tlb_presets[0];
	cfg.nr_cpus = NR_CPUS;
	in.order = order;
	in.can_read = in.can_write = true;
	world_create(&in.w, &cfg);
	in.w.cfg.nr_cpus = 1; /* who makes an access is said here */
	world_map(&in.w, 0, WORLD_PAGES, RW);
	if (l->nr_hugepages)
		map_from_pool(l->nr_hugepages);
	for (unsigned int i = 0; i < (l->has_all ? THP : 1); i++)
		assert_in_range(world_write(&in.w, i), 0, MM_FAULT_MAJOR);
	write_here();
	in.own = in.w.machine->ops;
	in.ops = *in.own;
	in.ops.apply = apply;
	in.w.machine->ops = &in.ops;
}

/* Where no page was left for a copy, the parent has taken the child's. */
static void end_child(bool has_lost)
{
	uint64_t value;
	enum mm_fault_result result =
		machine_soft_mm_load(in.child, world_va(PROBE), &value, 8);

	if (has_lost) {
		assert_int_equal(result, MM_FAULT_BUS);
	} else {
		assert_in_range(result, 0, MM_FAULT_MAJOR);
		assert_int_equal(value, in.child_value);
	}
	mm_destroy(in.child);
}

/* Nobody is told of what was forbidden by an access that is made; then all are asked. */
static void end(const struct litmus *l)
{
	uint64_t value;

	in.is_inside = true;
	if (l->loses)
		in.value = 0;
	in.can_read = !l->forbids_read;
	in.can_write = !l->forbids_write;
	probe(in.order.is_write);
	in.is_inside = true;
	for (in.w.cpu = NR_CPUS; in.can_read && in.w.cpu-- > 0;) {
		assert_in_range(machine_soft_mm_load(in.w.mm, world_va(PROBE), &value, 8), 0,
				MM_FAULT_MAJOR);
		assert_int_equal(value, in.value);
	}
	in.w.cpu = 0;
	if (in.child)
		end_child(l->nr_hugepages == 1);
	world_check(&in.w);
	in.w.machine->ops = in.own;
	world_destroy(&in.w);
}

/* Return: how many points there were. */
static unsigned int run(const struct litmus *l, struct order order)
{
	unsigned int nr;

	begin(l, order);
	probe(order.is_write); /* its TLB has it now */
	l->call();
	nr = in.nr_points;
	end(l);
	return nr;
}

static void run_all(const struct litmus *l)
{
	unsigned int nr = run(l, (struct order){.from = MANY});

	assert_in_range(nr, 2, MANY - 1);
	for (unsigned int from = 0; from <= nr; from++)
		for (unsigned int bits = 0; bits < 4; bits++)
			run(l, (struct order){.from = from < nr ? from : MANY,
					      .is_every = bits & 1,
					      .is_write = bits & 2});
}

static void copy_after_fork(void **state)
{
	(void)state;
	run_all(&(const struct litmus){.thp = MM_THP_NEVER, .call = call_fork});
	run_all(&(const struct litmus){.thp = MM_THP_NEVER, .call = call_fork_and_write});
	run_all(&(const struct litmus){.thp = MM_THP_ALWAYS, .call = call_fork_and_write});
}

static void split_of_a_large_page(void **state)
{
	static const struct litmus cases[] = {
		{.call = call_unmap, .forbids_read = true, .forbids_write = true},
		{.call = call_unmap_other},
		{.call = call_drop, .loses = true},
		{.call = call_protect, .forbids_write = true},
		{.call = call_pageout},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct litmus l = cases[i];

		l.thp = MM_THP_ALWAYS;
		run_all(&l);
	}
}

static void copy_of_a_page_of_a_pool(void **state)
{
	(void)state;
	run_all(&(const struct litmus){.nr_hugepages = 3, .call = call_fork});
	run_all(&(const struct litmus){.nr_hugepages = 2, .call = call_fork_and_write});
	run_all(&(const struct litmus){.nr_hugepages = 1, .call = call_fork_and_write});
}

static void collapse_by_khugepaged(void **state)
{
	(void)state;
	run_all(&(const struct litmus){
		.thp = MM_THP_NEVER, .has_all = true, .call = call_collapse});
}

static void mprotect_revokes_writing(void **state)
{
	(void)state;
	run_all(&(const struct litmus){
		.thp = MM_THP_NEVER, .call = call_protect, .forbids_write = true});
}

static void munmap_revokes_all(void **state)
{
	(void)state;
	run_all(&(const struct litmus){.thp = MM_THP_NEVER,
				       .call = call_unmap,
				       .forbids_read = true,
				       .forbids_write = true});
	run_all(&(const struct litmus){.thp = MM_THP_NEVER, .call = call_drop, .loses = true});
}

static void reclaim_unmaps(void **state)
{
	(void)state;
	run_all(&(const struct litmus){.thp = MM_THP_NEVER, .call = call_pageout});
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(copy_after_fork),	    cmocka_unit_test(split_of_a_large_page),
	cmocka_unit_test(copy_of_a_page_of_a_pool), cmocka_unit_test(collapse_by_khugepaged),
	cmocka_unit_test(mprotect_revokes_writing), cmocka_unit_test(munmap_revokes_all),
	cmocka_unit_test(reclaim_unmaps),
};
TEST_MAIN(tests)
