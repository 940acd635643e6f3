/* SPDX-License-Identifier: MIT */
/* Overcommit: what is promised, what is refused, and that a refusal changes nothing. */
#include <errno.h>
#include <string.h>

#include "mm/commit.h"
#include "mm/vma.h"
#include "ration/sysctl.h"
#include "support/test.h"
#include "world.h"

#define RW   (MM_PROT_READ | MM_PROT_WRITE)
#define ANON (MM_MAP_PRIVATE | MM_MAP_ANONYMOUS)

static uint64_t committed(const struct world *w)
{
	struct mm_commit commit;

	mm_commit_get(w->sys, &commit);
	return commit.committed_pages;
}

static void set(struct world *w, const char *name, int64_t value)
{
	assert_int_equal(mm_sysctl_set(w->sys, name, value), 0);
}

static int64_t get(struct world *w, const char *name)
{
	int64_t value;

	assert_int_equal(mm_sysctl_get(w->sys, name, &value), 0);
	return value;
}

static int map_at(struct world *w, unsigned int first, unsigned int nr, int prot, int flags)
{
	vaddr_t addr;

	return mm_map(w->mm, world_va(first), nr * PAGE_SIZE, prot, ANON | MM_MAP_FIXED | flags,
		      &addr);
}

static int remap(struct world *w, unsigned int from, unsigned int old_nr, unsigned int to,
		 unsigned int new_nr, int flags)
{
	vaddr_t addr;

	return mm_remap(w->mm, world_va(from), old_nr * PAGE_SIZE, new_nr * PAGE_SIZE, flags,
			world_va(to), &addr);
}

/* A system whose limit is this many pages, without reserves. */
static void world_with_limit(struct world *w, unsigned int mode, unsigned int pages)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	cfg.overcommit = mode;
	cfg.nr_slots = 0;
	world_create(w, &cfg);
	set(w, "vm.overcommit_kbytes", pages * 4);
	set(w, "vm.admin_reserve_kbytes", 0);
	set(w, "vm.user_reserve_kbytes", 0);
}

/* call -> Committed_AS after it */
static void private_writable_pages_count(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	vaddr_t brk;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	assert_int_equal(committed(&w), 0);
	assert_int_equal(map_at(&w, 100, 10, RW, 0), 0);
	assert_int_equal(committed(&w), 10);
	assert_int_equal(map_at(&w, 120, 10, MM_PROT_READ, 0), 0);
	assert_int_equal(map_at(&w, 140, 10, MM_PROT_NONE, 0), 0);
	assert_int_equal(map_at(&w, 160, 10, RW, MM_MAP_NORESERVE), 0);
	assert_int_equal(map_at(&w, 180, 10, RW, MM_MAP_FOREIGN), 0);
	assert_int_equal(committed(&w), 10);
	/* a part becomes writable */
	assert_int_equal(mm_protect(w.mm, world_va(122), 3 * PAGE_SIZE, RW), 0);
	assert_int_equal(committed(&w), 13);
	assert_int_equal(mm_protect(w.mm, world_va(160), 10 * PAGE_SIZE, MM_PROT_READ), 0);
	assert_int_equal(mm_protect(w.mm, world_va(160), 10 * PAGE_SIZE, RW), 0);
	assert_int_equal(committed(&w), 13);
	/* an area is cut, replaced, grows, shrinks */
	assert_int_equal(mm_unmap(w.mm, world_va(104), 2 * PAGE_SIZE), 0);
	assert_int_equal(committed(&w), 11);
	assert_int_equal(map_at(&w, 100, 6, RW, 0), 0);
	assert_int_equal(committed(&w), 13);
	assert_int_equal(mm_brk(w.mm, WORLD_BASE + 5 * PAGE_SIZE, &brk), 0);
	assert_int_equal(committed(&w), 18);
	assert_int_equal(mm_brk(w.mm, WORLD_BASE + 1 * PAGE_SIZE, &brk), 0);
	assert_int_equal(committed(&w), 14);
	assert_int_equal(remap(&w, 100, 10, 300, 12, MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED), 0);
	assert_int_equal(committed(&w), 16);
	world_check(&w);
	world_destroy(&w);
}

/* What has content stays promised when it cannot be written any more; what has none does not.
 */
static void read_only_pages_with_content_stay_promised(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 8, RW);
	world_map(&w, 20, 8, RW);
	world_write(&w, 3);
	assert_int_equal(mm_protect(w.mm, world_va(0), 8 * PAGE_SIZE, MM_PROT_READ), 0);
	assert_int_equal(mm_protect(w.mm, world_va(20), 8 * PAGE_SIZE, MM_PROT_READ), 0);
	assert_int_equal(committed(&w), 8);
	assert_int_equal(mm_protect(w.mm, world_va(0), 8 * PAGE_SIZE, RW), 0);
	assert_int_equal(committed(&w), 8);
	world_check(&w);
	world_destroy(&w);
}

/*
 *	pages       0   5      10         20
 *	before     [ w, touched |  r, once w ]
 *	protect         [  read-only         ]   two cuts at most, however areas merge meanwhile
 */
static void protecting_over_what_merges_needs_no_more_cuts(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 20, RW);
	world_write(&w, 3);
	assert_int_equal(mm_protect(w.mm, world_va(10), 10 * PAGE_SIZE, MM_PROT_READ), 0);
	assert_int_equal(mm_protect(w.mm, world_va(5), 10 * PAGE_SIZE, MM_PROT_READ), 0);
	assert_int_equal(committed(&w), 20);
	world_check(&w);
	world_destroy(&w);
}

/* One request above all RAM and swap, and only that. */
static void guess_refuses_only_what_can_never_be(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm_commit commit;
	unsigned int total;
	struct world w;

	(void)state;
	cfg.overcommit = MM_OVERCOMMIT_GUESS;
	cfg.nr_slots = 101;
	world_create(&w, &cfg);
	mm_commit_get(w.sys, &commit);
	assert_int_equal(commit.swap_pages, 100);
	assert_int_equal(commit.ram_pages, w.sys->zones[0].managed);
	total = (unsigned int)(commit.ram_pages + commit.swap_pages);
	assert_int_equal(map_at(&w, 0, total + 1, RW, 0), -ENOMEM);
	assert_int_equal(map_at(&w, 0, total + 1, RW, MM_MAP_NORESERVE), 0);
	assert_int_equal(map_at(&w, 0, total + 1, MM_PROT_READ, 0), 0);
	assert_int_equal(mm_protect(w.mm, world_va(0), (total + 1) * PAGE_SIZE, RW), -ENOMEM);
	assert_int_equal(mm_protect(w.mm, world_va(0), total * PAGE_SIZE, RW), 0);
	assert_int_equal(map_at(&w, total + 1, total, RW, 0), 0); /* twice as much in two */
	assert_int_equal(committed(&w), 2 * total);
	world_check(&w);
	world_destroy(&w);
}

static void always_refuses_nothing(void **state)
{
	struct world w;

	(void)state;
	world_with_limit(&w, MM_OVERCOMMIT_ALWAYS, 10);
	assert_int_equal(map_at(&w, 0, WORLD_PAGES, RW, 0), 0);
	assert_int_equal(committed(&w), WORLD_PAGES);
	world_destroy(&w);
}

/* The limit itself is not reached: what is committed stays below it (Linux's "<"). */
static void never_keeps_to_the_limit(void **state)
{
	vaddr_t brk;
	struct world w;

	(void)state;
	world_with_limit(&w, MM_OVERCOMMIT_NEVER, 100);
	assert_int_equal(map_at(&w, 100, 100, RW, 0), -ENOMEM);
	assert_int_equal(map_at(&w, 100, 99, RW, 0), 0);
	assert_int_equal(map_at(&w, 300, 1, RW, 0), -ENOMEM);
	assert_int_equal(map_at(&w, 300, 1, RW, MM_MAP_NORESERVE), -ENOMEM);
	assert_int_equal(map_at(&w, 300, 9, MM_PROT_READ, 0), 0);
	assert_int_equal(mm_protect(w.mm, world_va(300), PAGE_SIZE, RW), -ENOMEM);
	assert_int_equal(mm_brk(w.mm, WORLD_BASE + PAGE_SIZE, &brk), -ENOMEM);
	assert_int_equal(remap(&w, 100, 99, 0, 100, MM_MREMAP_MAYMOVE), -ENOMEM);
	assert_int_equal(remap(&w, 100, 99, 400, 99,
			       MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED | MM_MREMAP_DONTUNMAP),
			 -ENOMEM);
	assert_int_equal(committed(&w), 99);
	world_check(&w);
	/* what replaces, moves or shrinks needs nothing new */
	assert_int_equal(map_at(&w, 100, 99, RW, 0), 0);
	assert_int_equal(remap(&w, 100, 99, 400, 99, MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED), 0);
	assert_int_equal(remap(&w, 400, 99, 0, 90, 0), 0);
	assert_int_equal(mm_protect(w.mm, world_va(300), 9 * PAGE_SIZE, RW), 0);
	assert_int_equal(committed(&w), 99);
	world_check(&w);
	world_destroy(&w);
}

static void the_limit_is_ratio_or_kbytes(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm_commit commit;
	struct world w;

	(void)state;
	cfg.nr_slots = 1001;
	world_create(&w, &cfg);
	mm_commit_get(w.sys, &commit);
	assert_int_equal(commit.limit_pages, commit.ram_pages / 2 + 1000);
	set(&w, "vm.overcommit_kbytes", 403);
	mm_commit_get(w.sys, &commit);
	assert_int_equal(commit.limit_pages, 100 + 1000);
	assert_int_equal(get(&w, "vm.overcommit_ratio"), 0);
	set(&w, "vm.overcommit_ratio", 200);
	mm_commit_get(w.sys, &commit);
	assert_int_equal(commit.limit_pages, 2 * commit.ram_pages + 1000);
	assert_int_equal(get(&w, "vm.overcommit_kbytes"), 0);
	world_destroy(&w);
}

/* min(1/32 of a program, user_reserve) and admin_reserve are kept. */
static void reserves_are_kept(void **state)
{
	struct world w;

	(void)state;
	world_with_limit(&w, MM_OVERCOMMIT_NEVER, 200);
	set(&w, "vm.admin_reserve_kbytes", 40);
	assert_int_equal(map_at(&w, 0, 190, RW, 0), -ENOMEM);
	assert_int_equal(map_at(&w, 0, 189, RW, 0), 0);
	assert_int_equal(mm_unmap(w.mm, world_va(0), WORLD_PAGES * PAGE_SIZE), 0);
	set(&w, "vm.user_reserve_kbytes", 8);
	assert_int_equal(map_at(&w, 0, 64, MM_PROT_READ, 0), 0); /* total_vm 64: 2 pages */
	assert_int_equal(map_at(&w, 64, 188, RW, 0), -ENOMEM);
	assert_int_equal(map_at(&w, 64, 187, RW, 0), 0);
	world_destroy(&w);
}

/* Which areas are refused has nothing to do with what the machine says afterwards. */
static void a_refusal_after_the_grant_gives_it_back(void **state)
{
	struct world w;

	(void)state;
	world_with_limit(&w, MM_OVERCOMMIT_NEVER, 100);
	world_map(&w, 0, 50, RW);
	for (unsigned int i = 0; i < 50; i++)
		world_write(&w, i);
	for (unsigned int nth = 1; nth <= 6; nth++) {
		w.sys->fail_alloc = nth;
		map_at(&w, 200 + nth, 3, RW, 0);
		remap(&w, 0, 50, 300, 60, MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED);
		remap(&w, 300, 60, 0, 50, MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED);
		w.sys->fail_alloc = 0;
		assert_int_equal(w.sys->nr_commit_loose, 0);
		world_check(&w);
	}
	assert_int_equal(mm_unmap(w.mm, WORLD_BASE, WORLD_PAGES * PAGE_SIZE), 0);
	assert_int_equal(committed(&w), 0);
	world_destroy(&w);
}

static void a_dying_address_space_gives_back(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm *other;
	struct world w;
	vaddr_t addr;

	(void)state;
	world_create(&w, &cfg);
	assert_int_equal(mm_create(w.sys, &other), 0);
	assert_int_equal(mm_map(other, 0, 7 * PAGE_SIZE, RW, ANON, &addr), 0);
	assert_int_equal(committed(&w), 7);
	mm_destroy(other);
	assert_int_equal(committed(&w), 0);
	world_destroy(&w);
}

static int map_shared(struct world *w, unsigned int nr, int flags, vaddr_t *ret_addr)
{
	return mm_map(w->mm, 0, nr * PAGE_SIZE, RW, MM_MAP_SHARED | MM_MAP_ANONYMOUS | flags,
		      ret_addr);
}

/* The object is charged, once, as long as an area maps a part of it. */
static void shared_memory_counts_as_an_object(void **state)
{
	static const struct {
		unsigned int mode;
		int err, err_noreserve; /* of more than the limit, less than RAM */
	} cases[] = {{MM_OVERCOMMIT_GUESS, 0, 0},
		     {MM_OVERCOMMIT_ALWAYS, 0, 0},
		     {MM_OVERCOMMIT_NEVER, -ENOMEM, -ENOMEM}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		vaddr_t addr, none;
		struct world w;

		cfg.caps = MACHINE_MAPS_SHARED;
		cfg.nr_slots = 0;
		world_create(&w, &cfg);
		set(&w, "vm.overcommit_memory", cases[i].mode);
		set(&w, "vm.overcommit_kbytes", 100 * 4);
		set(&w, "vm.admin_reserve_kbytes", 0);
		set(&w, "vm.user_reserve_kbytes", 0);
		assert_int_equal(map_shared(&w, 60, 0, &addr), 0);
		assert_int_equal(committed(&w), 60);
		assert_int_equal(map_shared(&w, 50, 0, &none), cases[i].err);
		assert_int_equal(committed(&w), cases[i].err ? 60 : 110);
		assert_int_equal(map_shared(&w, 50, MM_MAP_NORESERVE, &none),
				 cases[i].err_noreserve);
		assert_int_equal(committed(&w), cases[i].err ? 60 : 110);
		world_check(&w);
		assert_int_equal(mm_unmap(w.mm, addr, 20 * PAGE_SIZE), 0);
		assert_int_equal(committed(&w), cases[i].err ? 60 : 110);
		assert_int_equal(mm_unmap(w.mm, addr + 20 * PAGE_SIZE, 40 * PAGE_SIZE), 0);
		assert_int_equal(committed(&w), cases[i].err ? 0 : 50);
		world_destroy(&w);
	}
}

/* For what has no area. */
static void charges_without_an_area_count(void **state)
{
	struct world w;

	(void)state;
	world_with_limit(&w, MM_OVERCOMMIT_NEVER, 100);
	sys_lock(w.sys);
	assert_int_equal(commit_charge(w.sys, NULL, 100, 0), -ENOMEM);
	assert_int_equal(commit_charge(w.sys, NULL, 60, 0), 0);
	sys_unlock(w.sys);
	world_check(&w);
	assert_int_equal(map_at(&w, 0, 40, RW, 0), -ENOMEM);
	sys_lock(w.sys);
	commit_uncharge(w.sys, 60);
	sys_unlock(w.sys);
	assert_int_equal(map_at(&w, 0, 40, RW, 0), 0);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(private_writable_pages_count),
	cmocka_unit_test(read_only_pages_with_content_stay_promised),
	cmocka_unit_test(protecting_over_what_merges_needs_no_more_cuts),
	cmocka_unit_test(guess_refuses_only_what_can_never_be),
	cmocka_unit_test(always_refuses_nothing),
	cmocka_unit_test(never_keeps_to_the_limit),
	cmocka_unit_test(the_limit_is_ratio_or_kbytes),
	cmocka_unit_test(reserves_are_kept),
	cmocka_unit_test(a_refusal_after_the_grant_gives_it_back),
	cmocka_unit_test(a_dying_address_space_gives_back),
	cmocka_unit_test(charges_without_an_area_count),
	cmocka_unit_test(shared_memory_counts_as_an_object),
};
TEST_MAIN(tests)
