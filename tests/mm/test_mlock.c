/* SPDX-License-Identifier: MIT */
/* Memory that stays in RAM: what mlock() and its kin promise, and what they refuse. */
#include <errno.h>
#include <string.h>

#include "mm/vma.h"
#include "support/test.h"
#include "world.h"

#define RW    (MM_PROT_READ | MM_PROT_WRITE)
#define ANON  (MM_MAP_PRIVATE | MM_MAP_ANONYMOUS)
#define TELLS (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)

/* Calls until it is not told to come back. */
#define DONE(w, err, call)                                              \
	do {                                                            \
		unsigned int tries = 0;                                 \
                                                                        \
		while (((err) = (call)) == -EAGAIN && tries++ < 100000) \
			world_step(w);                                  \
	} while (0)

static int lock(struct world *w, unsigned int first, unsigned int nr, int flags)
{
	int err;

	DONE(w, err, mm_mlock(w->mm, world_va(first), nr * PAGE_SIZE, flags));
	world_check(w);
	return err;
}

static int unlock(struct world *w, unsigned int first, unsigned int nr)
{
	int err;

	DONE(w, err, mm_munlock(w->mm, world_va(first), nr * PAGE_SIZE));
	world_check(w);
	return err;
}

static void write_all(struct world *w, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		assert_in_range(world_write(w, i), 0, MM_FAULT_MAJOR);
}

static bool is_resident(struct world *w, unsigned int page)
{
	const pte_t *pte = pgtable_lookup(w->mm, world_va(page));

	return pte && pte_is_resident(*pte);
}

/* Five times the RAM goes through it; what is locked stays. On each kind of machine. */
static void locked_pages_stay(void **state)
{
	static const struct {
		uint32_t caps;
		enum swapdev_mem_mode mode;
	} kinds[] = {{0, SWAPDEV_MEM_SYNC},
		     {0, SWAPDEV_MEM_RANDOM},
		     {TELLS, SWAPDEV_MEM_RANDOM},
		     {MACHINE_FAULTS_COST, SWAPDEV_MEM_SYNC}};

	(void)state;
	for (unsigned int k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;

		cfg.caps = kinds[k].caps;
		cfg.mode = kinds[k].mode;
		world_create(&w, &cfg);
		world_map(&w, 0, WORLD_PAGES, RW);
		write_all(&w, 0, 500);
		assert_int_equal(lock(&w, 0, 64, 0), 0);
		assert_int_equal(WSTAT(&w, nr_mlock), 64);
		assert_int_equal(w.mm->locked_vm, 64);
		for (unsigned int round = 0; round < 5; round++) {
			write_all(&w, 100, 900);
			for (unsigned int i = 0; i < 64; i++)
				assert_true(is_resident(&w, i));
		}
		world_settle(&w);
		world_check(&w);
		assert_int_equal(WSTAT(&w, nr_unevictable), 64);
		assert_int_equal(unlock(&w, 0, 64), 0);
		assert_int_equal(WSTAT(&w, nr_mlock), 0);
		assert_int_equal(WSTAT(&w, nr_unevictable), 0);
		assert_int_equal(WSTAT(&w, unevictable_pgs_rescued), 64);
		write_all(&w, 100, 900);
		assert_false(is_resident(&w, 3));
		for (unsigned int i = 0; i < WORLD_PAGES; i++)
			assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
		world_destroy(&w);
	}
}

static void locking_fills_the_range(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.mode = SWAPDEV_MEM_RANDOM;
	world_create(&w, &cfg);
	world_map(&w, 0, 100, RW);
	world_map(&w, 100, 20, MM_PROT_READ);
	write_all(&w, 0, 50);
	world_advise(&w, 0, 50, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(lock(&w, 10, 110, 0), 0);
	for (unsigned int i = 10; i < 120; i++)
		assert_true(is_resident(&w, i));
	assert_int_equal(WSTAT(&w, nr_mlock), 110);
	for (unsigned int i = 0; i < 120; i++)
		assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	world_destroy(&w);
}

static void onfault_locks_what_is_touched(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	write_all(&w, 0, 5);
	assert_int_equal(lock(&w, 0, 40, MM_MLOCK_ONFAULT), 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 5);
	assert_false(is_resident(&w, 20));
	write_all(&w, 20, 5);
	assert_int_equal(WSTAT(&w, nr_mlock), 10);
	write_all(&w, 40, 900);
	for (unsigned int i = 0; i < 5; i++)
		assert_true(is_resident(&w, i) && is_resident(&w, 20 + i));
	assert_int_equal(mm_mlock(w.mm, world_va(0), PAGE_SIZE, 2), -EINVAL);
	world_destroy(&w);
}

/* The limit counts pages once, however often they are locked. */
static void the_limit_is_kept(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	vaddr_t addr;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	w.sys->cfg.memlock_bytes = 40 * PAGE_SIZE + 100;
	world_map(&w, 0, 200, RW);
	assert_int_equal(lock(&w, 0, 41, 0), -ENOMEM);
	assert_int_equal(w.mm->locked_vm, 0);
	assert_int_equal(lock(&w, 0, 40, 0), 0);
	assert_int_equal(lock(&w, 0, 40, 0), 0);
	assert_int_equal(lock(&w, 40, 1, 0), -ENOMEM);
	assert_int_equal(lock(&w, 10, 31, 0), -ENOMEM);
	assert_int_equal(mm_map(w.mm, world_va(300), PAGE_SIZE, RW,
				ANON | MM_MAP_FIXED | MM_MAP_LOCKED, &addr),
			 -ENOMEM);
	assert_int_equal(mm_remap(w.mm, world_va(0), 40 * PAGE_SIZE, 41 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE, 0, &addr),
			 -ENOMEM);
	assert_int_equal(mm_mlockall(w.mm, MM_MCL_CURRENT), -ENOMEM);
	assert_int_equal(unlock(&w, 0, 1), 0);
	assert_int_equal(lock(&w, 50, 1, 0), 0);
	w.sys->cfg.memlock_bytes = 0;
	assert_int_equal(lock(&w, 0, 1, 0), -EPERM);
	assert_int_equal(mm_mlockall(w.mm, MM_MCL_FUTURE), -EPERM);
	assert_int_equal(mm_map(w.mm, 0, PAGE_SIZE, RW, ANON | MM_MAP_LOCKED, &addr), -EPERM);
	assert_int_equal(unlock(&w, 0, 100), 0);
	world_check(&w);
	world_destroy(&w);
}

static void holes_are_enomem_after_what_lies_before(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 10, RW);
	world_map(&w, 20, 10, RW);
	assert_int_equal(lock(&w, 5, 20, 0), -ENOMEM);
	assert_int_equal(w.mm->locked_vm, 5);
	assert_int_equal(lock(&w, 12, 2, 0), -ENOMEM);
	assert_int_equal(unlock(&w, 5, 20), -ENOMEM);
	assert_int_equal(w.mm->locked_vm, 0);
	/* what forbids access cannot be filled, but is locked (Linux too) */
	world_map(&w, 40, 4, MM_PROT_NONE);
	assert_int_equal(lock(&w, 40, 4, 0), -ENOMEM);
	assert_int_equal(w.mm->locked_vm, 4);
	world_destroy(&w);
}

static void advice_that_throws_out_is_einval(void **state)
{
	static const int refused[] = {MM_MADV_DONTNEED, MM_MADV_FREE, MM_MADV_COLD,
				      MM_MADV_PAGEOUT};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 20, RW);
	write_all(&w, 0, 20);
	assert_int_equal(lock(&w, 5, 5, 0), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(mm_advise(w.mm, world_va(5), PAGE_SIZE, refused[i]), -EINVAL);
	for (unsigned int i = 0; i < 20; i++)
		assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	assert_int_equal(mm_advise(w.mm, world_va(5), PAGE_SIZE, MM_MADV_DONTNEED_LOCKED), 0);
	w.model[5].stamp = 0;
	assert_int_equal(WSTAT(&w, nr_mlock), 4);
	world_read(&w, 5);
	assert_int_equal(WSTAT(&w, nr_mlock), 5);
	world_check(&w);
	world_destroy(&w);
}

/* call -> locked pages after it */
static void areas_keep_their_lock(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	vaddr_t addr, brk;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 100, 20, RW);
	write_all(&w, 100, 20);
	assert_int_equal(lock(&w, 100, 20, 0), 0);
	assert_int_equal(mm_protect(w.mm, world_va(105), 5 * PAGE_SIZE, MM_PROT_READ), 0);
	assert_int_equal(mm_protect(w.mm, world_va(105), 5 * PAGE_SIZE, RW), 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 20);
	assert_int_equal(mm_unmap(w.mm, world_va(118), 2 * PAGE_SIZE), 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 18);
	world_check(&w);
	/* moves and grows: what is new is filled */
	assert_int_equal(mm_remap(w.mm, world_va(100), 18 * PAGE_SIZE, 25 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(200), &addr),
			 0);
	world_check(&w);
	assert_int_equal(WSTAT(&w, nr_mlock), 25);
	assert_int_equal(w.mm->locked_vm, 25);
	/* the lock goes with the pages */
	assert_int_equal(mm_remap(w.mm, world_va(202), 10 * PAGE_SIZE, 10 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED | MM_MREMAP_DONTUNMAP,
				  world_va(300), &addr),
			 0);
	world_check(&w);
	assert_int_equal(w.mm->locked_vm, 25);
	assert_int_equal(WSTAT(&w, nr_mlock), 25);
	assert_int_equal(vma_find(w.mm, world_va(205))->flags & VMA_LOCKED, 0);
	assert_true(vma_find(w.mm, world_va(305))->flags & VMA_LOCKED);
	/* areas to come */
	assert_int_equal(mm_mlockall(w.mm, MM_MCL_FUTURE), 0);
	assert_int_equal(mm_brk(w.mm, WORLD_BASE + 4 * PAGE_SIZE, &brk), 0);
	assert_int_equal(
		mm_map(w.mm, world_va(400), 3 * PAGE_SIZE, RW, ANON | MM_MAP_FIXED, &addr), 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 25 + 4 + 3);
	assert_int_equal(mm_munlockall(w.mm), 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 0);
	assert_int_equal(
		mm_map(w.mm, world_va(410), 3 * PAGE_SIZE, RW, ANON | MM_MAP_FIXED, &addr), 0);
	assert_int_equal(w.mm->locked_vm, 0);
	world_check(&w);
	world_destroy(&w);
}

static void all_of_it_is_locked(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	int err;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 60, RW);
	world_map(&w, 70, 20, MM_PROT_READ);
	world_map(&w, 100, 3, MM_PROT_NONE);
	write_all(&w, 0, 10);
	assert_int_equal(mm_mlockall(w.mm, 0), -EINVAL);
	assert_int_equal(mm_mlockall(w.mm, MM_MCL_ONFAULT), -EINVAL);
	assert_int_equal(mm_mlockall(w.mm, 8 | MM_MCL_CURRENT), -EINVAL);
	DONE(&w, err, mm_mlockall(w.mm, MM_MCL_CURRENT | MM_MCL_ONFAULT));
	assert_int_equal(err, 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 10);
	DONE(&w, err, mm_mlockall(w.mm, MM_MCL_CURRENT));
	assert_int_equal(err, 0); /* that a page cannot be had is no error */
	assert_int_equal(w.mm->locked_vm, 83);
	assert_in_range(WSTAT(&w, nr_mlock), 60, 80);
	world_check(&w);
	world_destroy(&w);
}

/* A page in writeback is locked when that ends, without leaving. */
static void a_page_in_writeback_stays(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.mode = SWAPDEV_MEM_HELD;
	world_create(&w, &cfg);
	world_map(&w, 0, 4, RW);
	write_all(&w, 0, 4);
	world_advise(&w, 0, 4, MM_MADV_PAGEOUT);
	assert_int_equal(WSTAT(&w, nr_writeback), 4);
	assert_int_equal(lock(&w, 0, 4, MM_MLOCK_ONFAULT), 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 4);
	assert_int_equal(WSTAT(&w, nr_unevictable), 0);
	assert_int_equal(swapdev_mem_deliver(w.dev, 4), 4);
	world_step(&w);
	world_check(&w);
	assert_int_equal(WSTAT(&w, nr_unevictable), 4);
	assert_int_equal(WSTAT(&w, nr_anon_pages), 4);
	world_destroy(&w);
}

/* More than there is: it says so, and what can be had can be used. */
static void too_much_is_enomem(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	assert_int_equal(lock(&w, 0, WORLD_PAGES, 0), -ENOMEM);
	assert_int_equal(unlock(&w, 0, WORLD_PAGES), 0);
	write_all(&w, 0, WORLD_PAGES);
	for (unsigned int i = 0; i < WORLD_PAGES; i++)
		assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	world_destroy(&w);
}

/* The child has no lock; a page stays while the parent has it, and so does the parent's copy.
 */
static void a_fork_does_not_inherit(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm *child;
	struct world w;
	int err;

	(void)state;
	cfg.caps = MACHINE_MAPS_SHARED;
	world_create(&w, &cfg);
	world_map(&w, 0, WORLD_PAGES, RW);
	assert_int_equal(lock(&w, 0, 30, 0), 0);
	DONE(&w, err, mm_mlockall(w.mm, MM_MCL_FUTURE));
	assert_int_equal(err, 0);
	DONE(&w, err, mm_fork(w.mm, &child));
	assert_int_equal(err, 0);
	world_check(&w);
	assert_int_equal(child->locked_vm, 0);
	assert_int_equal(child->def_flags, 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 30);
	write_all(&w, 0, 10); /* copies, which are locked; the old pages are not */
	world_check(&w);
	assert_int_equal(WSTAT(&w, nr_mlock), 30);
	write_all(&w, 40, 900);
	for (unsigned int i = 0; i < 30; i++)
		assert_true(is_resident(&w, i));
	assert_int_equal(unlock(&w, 20, 10), 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 20);
	DONE(&w, err, mm_mlock(child, world_va(20), 5 * PAGE_SIZE, MM_MLOCK_ONFAULT));
	assert_int_equal(err, 0);
	world_check(&w);
	mm_destroy(child);
	world_check(&w);
	assert_int_equal(WSTAT(&w, nr_mlock), 20);
	world_destroy(&w);
}

/* What is read back for a swapoff is locked where its area is. */
static void swapoff_locks_what_it_brings_back(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	int err;

	(void)state;
	world_create(&w, &cfg);
	world_map(&w, 0, 50, RW);
	write_all(&w, 0, 50);
	world_advise(&w, 0, 50, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(lock(&w, 0, 20, MM_MLOCK_ONFAULT), 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 0);
	DONE(&w, err, mm_swapoff(w.sys, w.dev));
	assert_int_equal(err, 0);
	world_check(&w);
	assert_int_equal(WSTAT(&w, nr_mlock), 20);
	assert_int_equal(mm_swapon(w.sys, w.dev, 0), 0);
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(locked_pages_stay),
	cmocka_unit_test(locking_fills_the_range),
	cmocka_unit_test(onfault_locks_what_is_touched),
	cmocka_unit_test(the_limit_is_kept),
	cmocka_unit_test(holes_are_enomem_after_what_lies_before),
	cmocka_unit_test(advice_that_throws_out_is_einval),
	cmocka_unit_test(areas_keep_their_lock),
	cmocka_unit_test(all_of_it_is_locked),
	cmocka_unit_test(a_page_in_writeback_stays),
	cmocka_unit_test(too_much_is_enomem),
	cmocka_unit_test(a_fork_does_not_inherit),
	cmocka_unit_test(swapoff_locks_what_it_brings_back),
};
TEST_MAIN(tests)
