/* SPDX-License-Identifier: MIT */
/*
 * The reserved pools: what is promised can be had, what is given back goes back, and a random
 * life with every counter and byte compared with a plain model.
 */
#include <errno.h>
#include <string.h>

#include "machine/soft.h"
#include "mm/hugetlb.h"
#include "policy/policy.h"
#include "ration/sysctl.h"
#include "support/rng.h"
#include "support/test.h"

#define BASE	 0x200000000000ull
#define MIB2	 (512 * PAGE_SIZE)
#define GIB	 (512 * MIB2)
#define NR_SLOTS 16u /* of 2 MiB in the window */
#define RW	 (MM_PROT_READ | MM_PROT_WRITE)
#define HUGE	 (MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_HUGETLB)
#define CAPS	 (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY | MACHINE_HUGE)
#define STEPS	 3000

struct space {
	struct machine *machine;
	struct mm_system *sys;
	struct mm *mm;
};

static void create(struct space *s, pfn_t nr_frames, uint32_t nr_hugepages, uint32_t nr_1g)
{
	const struct machine_soft_config soft = {.nr_frames = nr_frames, .caps = CAPS};
	struct mm_config cfg = MM_CONFIG_DEFAULT;

	assert_int_equal(machine_soft_create(&soft, &s->machine), 0);
	cfg.machine = s->machine;
	cfg.policy = policy_at(0);
	cfg.window_start = BASE;
	cfg.window_end = BASE + (nr_1g ? 4 * GIB : NR_SLOTS * MIB2);
	cfg.nr_hugepages = nr_hugepages;
	cfg.nr_hugepages_1g = nr_1g;
	assert_int_equal(mm_system_create(&cfg, &s->sys), 0);
	assert_int_equal(mm_create(s->sys, &s->mm), 0);
	assert_int_equal(mm_check(s->sys), 0);
}

static void destroy(struct space *s)
{
	mm_destroy(s->mm);
	assert_int_equal(mm_check(s->sys), 0);
	mm_system_destroy(s->sys);
	machine_soft_destroy(s->machine);
}

static void expect(struct space *s, uint64_t total, uint64_t free, uint64_t reserved,
		   uint64_t surplus)
{
	struct mm_hugetlb pool;

	assert_int_equal(mm_hugetlb_get(s->sys, HUGE_ORDER_2M, &pool), 0);
	assert_int_equal(pool.total, total);
	assert_int_equal(pool.free, free);
	assert_int_equal(pool.reserved, reserved);
	assert_int_equal(pool.surplus, surplus);
	assert_int_equal(mm_check(s->sys), 0);
}

static int map(struct space *s, uint64_t len, int flags, vaddr_t *addr)
{
	return mm_map(s->mm, 0, len, RW, HUGE | flags, addr);
}

static enum mm_fault_result store(struct space *s, vaddr_t va, uint64_t word)
{
	return machine_soft_mm_store(s->mm, va, &word, sizeof(word));
}

static uint64_t load(struct space *s, vaddr_t va)
{
	uint64_t word = 0;

	assert_in_range(machine_soft_mm_load(s->mm, va, &word, sizeof(word)), 0,
			MM_FAULT_MAJOR);
	return word;
}

static void a_promise_is_kept(void **state)
{
	struct space s;
	vaddr_t a, b;

	(void)state;
	create(&s, 8192, 4, 0);
	expect(&s, 4, 4, 0, 0);
	assert_int_equal(map(&s, 3 * MIB2, 0, &a), 0);
	assert_int_equal(a % MIB2, 0);
	expect(&s, 4, 4, 3, 0);
	assert_int_equal(map(&s, 2 * MIB2, 0, &b), -ENOMEM);
	expect(&s, 4, 4, 3, 0);
	assert_int_equal(store(&s, a + MIB2 + 5000, 7), MM_FAULT_MINOR);
	expect(&s, 4, 3, 2, 0);
	assert_int_equal(load(&s, a + MIB2 + 5000), 7);
	assert_int_equal(load(&s, a + MIB2 + 100000), 0);
	assert_int_equal(s.sys->vmstat[MM_VMSTAT_pgfault], 1);
	assert_int_equal(s.mm->nr_resident, 0); /* not in the RSS, as in Linux */
	assert_int_equal(map(&s, 1, 0, &b), 0); /* rounded up */
	expect(&s, 4, 3, 3, 0);
	assert_int_equal(mm_unmap(s.mm, a, 3 * MIB2), 0);
	expect(&s, 4, 4, 1, 0);
	assert_int_equal(load(&s, b), 0); /* a used page is zeroed for the next */
	destroy(&s);
}

static void without_a_promise_there_may_be_none(void **state)
{
	struct space s;
	vaddr_t a, b;

	(void)state;
	create(&s, 8192, 2, 0);
	assert_int_equal(map(&s, 4 * MIB2, MM_MAP_NORESERVE, &a), 0);
	assert_int_equal(map(&s, MIB2, 0, &b), 0);
	expect(&s, 2, 2, 1, 0);
	assert_int_equal(store(&s, a, 1), MM_FAULT_MINOR);
	assert_int_equal(store(&s, a + MIB2, 1), MM_FAULT_BUS); /* the last is promised */
	assert_int_equal(store(&s, b, 1), MM_FAULT_MINOR);
	expect(&s, 2, 0, 0, 0);
	destroy(&s);
}

static void surplus_comes_and_goes(void **state)
{
	struct space s;
	vaddr_t a, b;

	(void)state;
	create(&s, 8192, 1, 0);
	assert_int_equal(mm_sysctl_set(s.sys, "vm.nr_overcommit_hugepages", 2), 0);
	assert_int_equal(map(&s, 4 * MIB2, 0, &a), -ENOMEM);
	expect(&s, 1, 1, 0, 0);
	assert_int_equal(map(&s, 2 * MIB2, 0, &a), 0);
	expect(&s, 2, 2, 2, 1);
	assert_int_equal(store(&s, a, 1), MM_FAULT_MINOR);
	assert_int_equal(map(&s, 2 * MIB2, MM_MAP_NORESERVE, &b), 0);
	assert_int_equal(store(&s, b, 1), MM_FAULT_MINOR);
	expect(&s, 3, 1, 1, 2);
	assert_int_equal(store(&s, b + MIB2, 1), MM_FAULT_BUS);
	assert_int_equal(mm_unmap(s.mm, b, 2 * MIB2), 0);
	expect(&s, 2, 1, 1, 1);
	assert_int_equal(mm_unmap(s.mm, a, 2 * MIB2), 0);
	expect(&s, 1, 1, 0, 0);
	destroy(&s);
}

/* vm.nr_hugepages goes as far as it can; a smaller pool keeps pages in use as surplus. */
static void the_pool_is_resized(void **state)
{
	struct space s;
	int64_t value;
	vaddr_t a;

	(void)state;
	create(&s, 8192, 0, 0);
	assert_int_equal(mm_sysctl_set(s.sys, "vm.nr_hugepages", 1000), 0);
	assert_int_equal(mm_sysctl_get(s.sys, "vm.nr_hugepages", &value), 0);
	assert_in_range(value, 10, 15); /* of 32 MiB */
	assert_int_equal(mm_sysctl_set(s.sys, "vm.nr_hugepages", 3), 0);
	expect(&s, 3, 3, 0, 0);
	assert_int_equal(map(&s, 3 * MIB2, 0, &a), 0);
	assert_int_equal(store(&s, a, 1), MM_FAULT_MINOR);
	assert_int_equal(mm_sysctl_set(s.sys, "vm.nr_hugepages", 0), 0);
	expect(&s, 3, 2, 2, 3);
	assert_int_equal(mm_sysctl_set(s.sys, "vm.nr_hugepages", 2), 0);
	expect(&s, 3, 2, 2, 1);
	assert_int_equal(mm_unmap(s.mm, a, 3 * MIB2), 0);
	expect(&s, 2, 2, 0, 0);
	destroy(&s);
}

static void what_would_cut_a_page_is_refused(void **state)
{
	struct space s;
	vaddr_t a, addr;

	(void)state;
	create(&s, 8192, 4, 0);
	assert_int_equal(map(&s, 4 * MIB2, 0, &a), 0);
	assert_int_equal(store(&s, a, 42), MM_FAULT_MINOR);
	assert_int_equal(mm_unmap(s.mm, a, PAGE_SIZE), -EINVAL);
	assert_int_equal(mm_unmap(s.mm, a + PAGE_SIZE, MIB2 - PAGE_SIZE), -EINVAL);
	assert_int_equal(mm_protect(s.mm, a, PAGE_SIZE, MM_PROT_READ), -EINVAL);
	assert_int_equal(mm_map(s.mm, a, PAGE_SIZE, RW,
				MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr),
			 -EINVAL);
	assert_int_equal(mm_map(s.mm, a + PAGE_SIZE, MIB2, RW, HUGE | MM_MAP_FIXED, &addr),
			 -EINVAL);
	assert_int_equal(mm_map(s.mm, 0, MIB2, RW, HUGE | (16 << MM_MAP_HUGE_SHIFT), &addr),
			 -EINVAL);
	assert_int_equal(mm_map(s.mm, 0, MIB2, RW,
				MM_MAP_SHARED | MM_MAP_ANONYMOUS | MM_MAP_HUGETLB, &addr),
			 -EOPNOTSUPP);
	assert_int_equal(mm_advise(s.mm, a, 4 * MIB2, MM_MADV_PAGEOUT), -EINVAL);
	assert_int_equal(mm_advise(s.mm, a, 4 * MIB2, MM_MADV_NOHUGEPAGE), -EINVAL);
	assert_int_equal(mm_advise(s.mm, a + PAGE_SIZE, MIB2, MM_MADV_DONTNEED), -EINVAL);
	assert_int_equal(mm_remap(s.mm, a, MIB2, 2 * MIB2, MM_MREMAP_MAYMOVE, 0, &addr),
			 -EINVAL);
	assert_int_equal(load(&s, a), 42);
	expect(&s, 4, 3, 3, 0);
	/* Whole pages are fine. */
	assert_int_equal(mm_protect(s.mm, a, MIB2, MM_PROT_READ), 0);
	assert_int_equal(load(&s, a), 42);
	assert_int_equal(store(&s, a, 1), MM_FAULT_SEGV);
	assert_int_equal(mm_advise(s.mm, a, MIB2 + PAGE_SIZE, MM_MADV_DONTNEED), 0);
	expect(&s, 4, 4, 4, 0);
	assert_int_equal(load(&s, a), 0);
	assert_int_equal(mm_unmap(s.mm, a + MIB2, 2 * MIB2), 0);
	expect(&s, 4, 3, 1, 0);
	destroy(&s);
}

static void pages_of_1_gib(void **state)
{
	struct mm_hugetlb pool;
	struct space s;
	vaddr_t a;

	(void)state;
	create(&s, (3 * GIB >> PAGE_SHIFT), 1, 1);
	assert_int_equal(mm_hugetlb_get(s.sys, HUGE_ORDER_1G, &pool), 0);
	assert_int_equal(pool.total, 1);
	assert_int_equal(map(&s, GIB + 1, MM_MAP_HUGE_1GB, &a), -ENOMEM);
	assert_int_equal(map(&s, GIB, MM_MAP_HUGE_1GB, &a), 0);
	assert_int_equal(a % GIB, 0);
	assert_int_equal(store(&s, a + GIB - 8, 9), MM_FAULT_MINOR);
	assert_int_equal(load(&s, a + GIB - 8), 9);
	assert_int_equal(s.sys->vmstat[MM_VMSTAT_pgfault], 1);
	assert_int_equal(mm_check(s.sys), 0);
	assert_int_equal(mm_unmap(s.mm, a, MIB2), -EINVAL);
	assert_int_equal(mm_unmap(s.mm, a, GIB), 0);
	assert_int_equal(mm_sysctl_set(s.sys, "hugepages-1048576kB.nr_hugepages", 0), 0);
	assert_int_equal(mm_hugetlb_get(s.sys, HUGE_ORDER_1G, &pool), 0);
	assert_int_equal(pool.total, 0);
	assert_int_equal(mm_hugetlb_get(s.sys, 4, &pool), -EINVAL);
	assert_int_equal(mm_check(s.sys), 0);
	destroy(&s);
}

/* The commit limit leaves the pool out (Linux: vm_commit_limit()), and areas are not counted.
 */
static void the_pool_is_not_promised_twice(void **state)
{
	struct mm_commit commit, with_pool;
	struct space s;
	vaddr_t a;

	(void)state;
	create(&s, 8192, 0, 0);
	mm_commit_get(s.sys, &commit);
	assert_int_equal(mm_sysctl_set(s.sys, "vm.nr_hugepages", 2), 0);
	assert_int_equal(map(&s, 2 * MIB2, 0, &a), 0);
	mm_commit_get(s.sys, &with_pool);
	assert_in_range(commit.limit_pages - with_pool.limit_pages, 511, 513);
	assert_int_equal(with_pool.committed_pages, 0);
	destroy(&s);
}

/* What the model knows of a slot. */
struct slot {
	bool is_mapped, is_reserved, has_page;
	uint64_t word;
};

struct life {
	struct space s;
	struct slot slots[NR_SLOTS];
	struct rng rng;
	uint64_t last;
};

static void life_map(struct life *l, unsigned int first, unsigned int nr)
{
	bool is_reserved = rng_chance(&l->rng, 60);
	vaddr_t addr = BASE + first * MIB2;
	int err = mm_map(l->s.mm, addr, nr * MIB2, RW,
			 HUGE | MM_MAP_FIXED | (is_reserved ? 0 : MM_MAP_NORESERVE), &addr);

	if (err) {
		assert_true(err == -ENOMEM || err == -EAGAIN);
		return;
	}
	for (unsigned int i = first; i < first + nr; i++)
		l->slots[i] = (struct slot){.is_mapped = true, .is_reserved = is_reserved};
}

static void life_drop(struct life *l, unsigned int first, unsigned int nr, bool is_unmap)
{
	vaddr_t addr = BASE + first * MIB2;

	l->s.sys->fail_alloc = 0;
	if (is_unmap)
		assert_int_equal(mm_unmap(l->s.mm, addr, nr * MIB2), 0);
	else
		mm_advise(l->s.mm, addr, nr * MIB2, MM_MADV_DONTNEED); /* holes: -ENOMEM */
	for (unsigned int i = first; i < first + nr; i++) {
		l->slots[i].has_page = false;
		l->slots[i].word = 0;
		l->slots[i].is_mapped &= !is_unmap;
	}
}

static void life_touch(struct life *l, unsigned int i)
{
	struct slot *slot = &l->slots[i];
	uint64_t word = ++l->last;
	enum mm_fault_result result = store(&l->s, BASE + i * MIB2 + 8, word);

	if (!slot->is_mapped) {
		assert_int_equal(result, MM_FAULT_SEGV);
		return;
	}
	if (slot->is_reserved || slot->has_page)
		assert_int_equal(result, MM_FAULT_MINOR);
	if (result == MM_FAULT_BUS)
		return;
	slot->has_page = true;
	slot->word = word;
}

static void life_check(struct life *l)
{
	struct mm_hugetlb pool;
	uint64_t in_use = 0, reserved = 0;

	for (unsigned int i = 0; i < NR_SLOTS; i++) {
		const struct slot *slot = &l->slots[i];

		in_use += slot->has_page;
		reserved += slot->is_mapped && slot->is_reserved && !slot->has_page;
		if (slot->has_page)
			assert_int_equal(load(&l->s, BASE + i * MIB2 + 8), slot->word);
	}
	mm_hugetlb_get(l->s.sys, HUGE_ORDER_2M, &pool);
	assert_int_equal(pool.total - pool.free, in_use);
	assert_int_equal(pool.reserved, reserved);
	assert_int_equal(mm_check(l->s.sys), 0);
}

static void any_life_keeps_the_counters(void **state)
{
	struct life l = {.rng = rng_make(test_seed())};

	(void)state;
	create(&l.s, 6000, 5, 0);
	for (unsigned int i = 0; i < STEPS; i++) {
		unsigned int first = (unsigned int)rng_below(&l.rng, NR_SLOTS);
		unsigned int nr = (unsigned int)rng_between(&l.rng, 1, 4);
		uint64_t dice = rng_below(&l.rng, 100);

		nr = nr > NR_SLOTS - first ? NR_SLOTS - first : nr;
		l.s.sys->fail_alloc = rng_chance(&l.rng, 10) ? rng_between(&l.rng, 1, 5) : 0;
		if (dice < 20)
			life_map(&l, first, nr);
		else if (dice < 35)
			life_drop(&l, first, nr, dice < 28);
		else if (dice < 40)
			mm_sysctl_set(l.s.sys, "vm.nr_hugepages",
				      (int64_t)rng_below(&l.rng, 8));
		else if (dice < 43)
			mm_sysctl_set(l.s.sys, "vm.nr_overcommit_hugepages",
				      (int64_t)rng_below(&l.rng, 4));
		else
			life_touch(&l, first);
		l.s.sys->fail_alloc = 0;
		life_check(&l);
	}
	destroy(&l.s);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_promise_is_kept),
	cmocka_unit_test(without_a_promise_there_may_be_none),
	cmocka_unit_test(surplus_comes_and_goes),
	cmocka_unit_test(the_pool_is_resized),
	cmocka_unit_test(what_would_cut_a_page_is_refused),
	cmocka_unit_test(pages_of_1_gib),
	cmocka_unit_test(the_pool_is_not_promised_twice),
	cmocka_unit_test(any_life_keeps_the_counters),
};
TEST_MAIN(tests)
