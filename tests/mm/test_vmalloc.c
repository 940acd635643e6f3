/* SPDX-License-Identifier: MIT */
/* Kernel space, seen through an MMU with a TLB, as a kernel would see it. */
#include <errno.h>
#include <string.h>

#include "machine/soft.h"
#include "mm/vmalloc.h"
#include "mm/zone.h"
#include "policy/policy.h"
#include "ration/mm.h"
#include "support/quiet.h"
#include "support/rng.h"
#include "support/test.h"

#define NR_CPUS 2
#define GUARD	1 /* pages of addresses after an area */

struct kernel {
	struct machine *machine;
	struct mm_system *sys;
	struct mmu bare; /* walks each time: what the tables say now */
};

static void begin(struct kernel *k, pfn_t nr_frames)
{
	struct machine_soft_config soft = {.nr_frames = nr_frames,
					   .caps = MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY,
					   .tlb = tlb_preset_find("skylake"),
					   .nr_cpus = NR_CPUS};
	struct mm_config cfg = MM_CONFIG_DEFAULT;

	*k = (struct kernel){.bare = {0}};
	assert_int_equal(machine_soft_create(&soft, &k->machine), 0);
	cfg.machine = k->machine;
	cfg.policy = policy_at(0);
	cfg.nr_cpus = NR_CPUS;
	assert_int_equal(mm_system_create(&cfg, &k->sys), 0);
}

static void end(struct kernel *k)
{
	assert_int_equal(mm_check(k->sys), 0);
	mm_system_destroy(k->sys);
	machine_soft_destroy(k->machine);
}

static vaddr_t get(struct kernel *k, uint64_t pages)
{
	vaddr_t addr = 0;

	assert_int_equal(mm_vmalloc(k->sys, pages * PAGE_SIZE, &addr), 0);
	assert_int_equal(mm_check(k->sys), 0);
	return addr;
}

static void put(struct kernel *k, vaddr_t addr)
{
	assert_int_equal(mm_vfree(k->sys, addr), 0);
	assert_int_equal(mm_check(k->sys), 0);
}

/* What a processor's access finds; cpu NR_CPUS: one without a TLB. */
static enum mmu_result translate(struct kernel *k, unsigned int cpu, vaddr_t va,
				 unsigned int access, struct mmu_translation *ret)
{
	struct mmu_space space = machine_soft_kernel_space(k->machine, mm_vmalloc_root(k->sys));
	struct mmu *mmu = cpu < NR_CPUS ? machine_soft_mmu(k->machine, cpu) : &k->bare;

	*ret = (struct mmu_translation){0};
	return mmu_translate(mmu, &space, va, access, ret);
}

static uint64_t *at(struct kernel *k, unsigned int cpu, vaddr_t va, unsigned int access)
{
	struct mmu_translation there;

	assert_int_equal(translate(k, cpu, va, access, &there), MMU_OK);
	return (uint64_t *)(void *)(k->machine->ram + there.pa);
}

static uint32_t fault_code(struct kernel *k, vaddr_t va, unsigned int access)
{
	struct mmu_translation there;

	assert_int_equal(translate(k, 0, va, access, &there), MMU_PAGE_FAULT);
	return there.error_code;
}

static void pages_in_pieces_are_one_range(void **state)
{
	struct kernel k;
	pfn_t pfn, last = 0;
	vaddr_t addr;
	bool is_in_pieces = false;

	(void)state;
	begin(&k, 1024);
	(void)get(&k, 3); /* tables come between the frames of what follows */
	addr = get(&k, 600);
	assert_int_equal(addr % PAGE_SIZE, 0);
	for (uint64_t i = 0; i < 600; i++)
		*at(&k, i % 2, addr + i * PAGE_SIZE + 8, MM_ACCESS_WRITE) = 1000 + i;
	for (uint64_t i = 0; i < 600; i++) {
		assert_int_equal(*at(&k, 1, addr + i * PAGE_SIZE + 8, MM_ACCESS_READ),
				 1000 + i);
		assert_int_equal(mm_vmalloc_frame(k.sys, addr + i * PAGE_SIZE + 8, &pfn), 0);
		assert_int_equal(*(uint64_t *)(void *)(k.machine->ram + pfn * PAGE_SIZE + 8),
				 1000 + i);
		is_in_pieces |= i > 0 && pfn != last + 1;
		last = pfn;
	}
	assert_true(is_in_pieces);
	assert_int_equal(mm_check(k.sys), 0); /* the walks have set bits in the tables */
	end(&k);
}

/* x86's error codes: the user never, the supervisor not beyond the end nor for code. */
static void protection_is_the_supervisors(void **state)
{
	struct kernel k;
	vaddr_t addr;

	(void)state;
	begin(&k, 1024);
	addr = get(&k, 2);
	(void)get(&k, 1);
	assert_int_equal(fault_code(&k, addr, MMU_ACCESS_USER), MMU_PF_PRESENT | MMU_PF_USER);
	(void)at(&k, 0, addr, MM_ACCESS_WRITE); /* now it is in the TLB */
	assert_int_equal(fault_code(&k, addr, MMU_ACCESS_USER), MMU_PF_PRESENT | MMU_PF_USER);
	assert_int_equal(fault_code(&k, addr, MMU_ACCESS_USER | MM_ACCESS_WRITE),
			 MMU_PF_PRESENT | MMU_PF_USER | MMU_PF_WRITE);
	assert_int_equal(fault_code(&k, addr, MM_ACCESS_EXEC), MMU_PF_PRESENT | MMU_PF_INSTR);
	assert_int_equal(fault_code(&k, addr + 2 * PAGE_SIZE, MM_ACCESS_READ), 0);
	assert_int_equal(fault_code(&k, addr + 2 * PAGE_SIZE, MM_ACCESS_WRITE), MMU_PF_WRITE);
	end(&k);
}

/* A program of the same machine that guesses the address finds nothing there. */
static void programs_do_not_reach_it(void **state)
{
	struct machine_soft_fault fault;
	struct kernel k;
	struct mm *mm;
	uint64_t word;
	vaddr_t addr;

	(void)state;
	begin(&k, 1024);
	assert_int_equal(mm_create(k.sys, &mm), 0);
	addr = get(&k, 1);
	*at(&k, 0, addr, MM_ACCESS_WRITE) = 7;
	assert_int_equal(machine_soft_load(mm->space, addr, &word, 8, &fault), -EFAULT);
	assert_int_equal(mm_fault(mm, addr, MM_ACCESS_READ), MM_FAULT_SEGV);
	mm_destroy(mm);
	end(&k);
}

static void the_lowest_hole_is_taken(void **state)
{
	vaddr_t a, b, c, d;
	struct kernel k;

	(void)state;
	begin(&k, 1024);
	a = get(&k, 1);
	b = get(&k, 5);
	c = get(&k, 2);
	d = get(&k, 1);
	assert_int_equal(a, MM_VMALLOC_START);
	assert_int_equal(b, a + (1 + GUARD) * PAGE_SIZE);
	assert_int_equal(c, b + (5 + GUARD) * PAGE_SIZE);
	assert_int_equal(d, c + (2 + GUARD) * PAGE_SIZE);
	put(&k, a);
	put(&k, b);
	put(&k, c);
	assert_int_equal(mm_vmalloc_purge(k.sys), 1);
	assert_int_equal(get(&k, 9), a); /* 2 + 6 + 3 pages of addresses, less the guard */
	assert_int_equal(get(&k, 1), d + (1 + GUARD) * PAGE_SIZE); /* one page is no hole */
	end(&k);
}

/* Frames are free at once, addresses only after a shootdown, and one serves many. */
static void freeing_is_lazy(void **state)
{
	struct mm_vmalloc_usage usage;
	struct mmu_translation there;
	uint64_t free_before;
	vaddr_t a, b;
	struct kernel k;

	(void)state;
	begin(&k, 2048);
	put(&k, get(&k, 64)); /* tables and caches are there */
	mm_vmalloc_purge(k.sys);
	sys_lock(k.sys);
	pcp_drain(k.sys);
	sys_unlock(k.sys);
	free_before = zones_free_pages(k.sys);
	a = get(&k, 64);
	*at(&k, 0, a, MM_ACCESS_WRITE) = 1;
	put(&k, a);
	sys_lock(k.sys);
	pcp_drain(k.sys);
	sys_unlock(k.sys);
	assert_int_equal(zones_free_pages(k.sys), free_before);
	/* the tables do not know it any more; a TLB does */
	assert_int_equal(translate(&k, NR_CPUS, a, MM_ACCESS_READ, &there), MMU_PAGE_FAULT);
	assert_int_equal(translate(&k, 0, a, MM_ACCESS_READ, &there), MMU_OK);
	b = get(&k, 64);
	assert_true(b != a);
	put(&k, b);
	mm_vmalloc_usage(k.sys, &usage);
	assert_int_equal(usage.lazy_pages, 2 * (64 + GUARD));
	assert_int_equal(k.sys->vmalloc->nr_purges, 1);
	assert_int_equal(mm_vmalloc_purge(k.sys), 1);
	assert_int_equal(mm_vmalloc_purge(k.sys), 0);
	assert_int_equal(k.sys->vmalloc->nr_purges, 2);
	assert_int_equal(translate(&k, 0, a, MM_ACCESS_READ, &there), MMU_PAGE_FAULT);
	assert_int_equal(get(&k, 64), a);
	end(&k);
}

/* lazy_max_pages(): 32 MiB of addresses, twice that for two processors. */
static void purges_come_in_batches(void **state)
{
	struct kernel k;
	uint64_t nr = 0;

	(void)state;
	begin(&k, 2048);
	(void)get(&k, 1);
	assert_int_equal(k.sys->vmalloc->nr_lazy_max, 2 * 8192);
	for (; k.sys->vmalloc->nr_purges == 0 && nr < 1000; nr++) {
		vaddr_t addr = 0;

		assert_int_equal(mm_vmalloc(k.sys, 127 * PAGE_SIZE, &addr), 0);
		assert_int_equal(mm_vfree(k.sys, addr), 0);
	}
	assert_int_equal(nr, 2 * 8192 / 128 + 1);
	assert_int_equal(k.sys->vmalloc->nr_lazy, 0);
	end(&k);
}

/* Where addresses run out, those that are lazy are purged, and then it is over. */
static void addresses_may_run_out(void **state)
{
	struct kernel k;
	vaddr_t a, none = 1;

	(void)state;
	begin(&k, 1024);
	a = get(&k, 10);
	k.sys->vmalloc->end = k.sys->vmalloc->start + 16 * PAGE_SIZE;
	assert_int_equal(mm_vmalloc(k.sys, 5 * PAGE_SIZE, &none), -ENOMEM);
	assert_int_equal(none, 1);
	put(&k, a);
	assert_int_equal(get(&k, 15), a);
	assert_int_equal(k.sys->vmalloc->nr_purges, 1);
	end(&k);
}

static void nonsense_is_refused(void **state)
{
	struct kernel k;
	vaddr_t addr = 1;

	(void)state;
	begin(&k, 1024);
	assert_int_equal(mm_vmalloc_root(k.sys), PFN_NONE);
	assert_int_equal(mm_vfree(k.sys, MM_VMALLOC_START), -EINVAL);
	assert_int_equal(mm_vmalloc(k.sys, 0, &addr), -EINVAL);
	assert_int_equal(mm_vmalloc(k.sys, UINT64_MAX, &addr), -ENOMEM);
	assert_int_equal(mm_vmalloc(k.sys, 1025 * PAGE_SIZE, &addr), -ENOMEM);
	assert_int_equal(addr, 1);
	addr = get(&k, 2);
	assert_int_equal(mm_vfree(k.sys, addr + PAGE_SIZE), -EINVAL);
	assert_int_equal(mm_vfree(k.sys, addr - PAGE_SIZE), -EINVAL);
	assert_int_equal(mm_vfree(k.sys, 0), 0);
	put(&k, addr);
	assert_int_equal(mm_vfree(k.sys, addr), -EINVAL);
	end(&k);
}

static void a_machine_without_an_mmu_has_none(void **state)
{
	struct mm_vmalloc_usage usage;
	struct machine_ops ops;
	struct kernel k;
	vaddr_t addr;

	(void)state;
	begin(&k, 1024);
	ops = *k.machine->ops;
	ops.kernel_flush = NULL;
	k.machine->ops = &ops;
	assert_int_equal(mm_vmalloc(k.sys, 1, &addr), -EOPNOTSUPP);
	assert_int_equal(mm_vzalloc(k.sys, 1, &addr), -EOPNOTSUPP);
	mm_vmalloc_usage(k.sys, &usage);
	assert_int_equal(usage.total_kbytes, 0);
	end(&k);
}

static void it_can_be_listed(void **state)
{
	struct mm_vmalloc_usage usage;
	struct mm_vmalloc_area area;
	struct kernel k;
	vaddr_t a, b;

	(void)state;
	begin(&k, 1024);
	mm_vmalloc_usage(k.sys, &usage);
	assert_int_equal(usage.total_kbytes, 32ull << 30);
	assert_int_equal(usage.chunk_kbytes, 32ull << 30);
	assert_int_equal(mm_vmalloc_next(k.sys, 0, &area), -ENOENT);
	a = get(&k, 3);
	b = get(&k, 1);
	put(&k, a);
	assert_int_equal(mm_vmalloc_next(k.sys, 0, &area), 0);
	assert_true(area.start == a && area.end == b && area.is_free && area.nr_pages == 0);
	assert_int_equal(mm_vmalloc_next(k.sys, area.end, &area), 0);
	assert_true(area.start == b && area.end == b + 2 * PAGE_SIZE && !area.is_free);
	assert_int_equal(area.nr_pages, 1);
	assert_int_equal(mm_vmalloc_next(k.sys, area.end, &area), -ENOENT);
	mm_vmalloc_usage(k.sys, &usage);
	assert_int_equal(usage.used_kbytes, 4);
	assert_int_equal(usage.chunk_kbytes, (32ull << 30) - 6 * 4);
	end(&k);
}

/* Each allocation on the way fails once. A frame is asked for again; without an object there
 * is no area, and then nothing but tables has changed. */
static void any_allocation_may_fail(void **state)
{
	unsigned int nr_failed = 0;
	bool was_reached = true;

	(void)state;
	for (unsigned int nth = 1; was_reached; nth++) {
		vaddr_t addr = 1;
		struct kernel k;
		int err;

		assert_true(nth < 200);
		begin(&k, 1024);
		k.sys->fail_alloc = nth;
		err = mm_vmalloc(k.sys, 70 * PAGE_SIZE, &addr);
		was_reached = k.sys->fail_alloc == 0;
		k.sys->fail_alloc = 0;
		assert_int_equal(mm_check(k.sys), 0);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(addr, 1);
			assert_int_equal(k.sys->vmstat[MM_VMSTAT_nr_vmalloc], 0);
			addr = get(&k, 70);
			nr_failed++;
		}
		assert_int_equal(addr, MM_VMALLOC_START);
		end(&k);
	}
	assert_true(nr_failed > 0);
}

/* More than is free: programs' pages make room, and what cannot be had leaves no trace. */
static void all_ram_cannot_be_had(void **state)
{
	struct kernel k;
	vaddr_t addr = 1;
	int err;

	(void)state;
	begin(&k, 1024);
	err = mm_vmalloc(k.sys, (uint64_t)k.sys->zones[0].managed * PAGE_SIZE, &addr);
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(k.sys->vmstat[MM_VMSTAT_nr_vmalloc], 0);
	assert_int_equal(mm_check(k.sys), 0);
	(void)get(&k, 512);
	end(&k);
}

/* vmalloc_check() sees each of its invariants broken. */
static void damage_is_seen(void **state)
{
	struct vmap_area *area;
	struct kernel k;
	struct page *page;
	vaddr_t a, b;
	pte_t *ptep;
	pfn_t pfn;

	(void)state;
	begin(&k, 1024);
	a = get(&k, 3);
	b = get(&k, 1);
	area = vmap_area_of(rb_first(&k.sys->vmalloc->areas));
	area->nr_pages--; /* 2: the hole after it grows */
	assert_unclean(mm_check, k.sys);
	area->nr_pages++;
	area->max_gap++; /* 2 */
	assert_unclean(mm_check, k.sys);
	area->max_gap--;
	area->nr_mapped--; /* 3 */
	assert_unclean(mm_check, k.sys);
	area->nr_mapped++;
	sys_lock(k.sys);
	ptep = pgtable_lookup(&k.sys->vmalloc->mm, b);
	sys_unlock(k.sys);
	*ptep |= PTE_USER; /* 3 */
	assert_unclean(mm_check, k.sys);
	*ptep &= ~PTE_USER;
	assert_int_equal(mm_vmalloc_frame(k.sys, a, &pfn), 0);
	page = page_of(k.sys, pfn);
	page->index++; /* 3 */
	assert_unclean(mm_check, k.sys);
	page->index--;
	put(&k, a);
	k.sys->vmalloc->nr_lazy++; /* 4 */
	assert_unclean(mm_check, k.sys);
	k.sys->vmalloc->nr_lazy--;
	k.sys->vmstat[MM_VMSTAT_nr_vmalloc]++; /* 5 */
	assert_unclean(mm_check, k.sys);
	k.sys->vmstat[MM_VMSTAT_nr_vmalloc]--;
	end(&k);
}

#define SLOTS 24

/* Each word of each live area is what was written last, on any processor, whatever came before
 * at its address. */
static void random_areas_keep_their_words(void **state)
{
	struct {
		vaddr_t addr;
		uint64_t nr_pages, stamp;
	} areas[SLOTS] = {0};
	struct rng rng = rng_make(test_seed());
	uint64_t stamp = 1;
	struct kernel k;

	(void)state;
	begin(&k, 2048);
	(void)get(&k, 1);
	k.sys->vmalloc->nr_lazy_max = rng_between(&rng, 1, 200);
	k.sys->vmalloc->end = k.sys->vmalloc->start + rng_between(&rng, 400, 2000) * PAGE_SIZE;
	for (unsigned int step = 0; step < 1500; step++) {
		unsigned int i = (unsigned int)rng_below(&rng, SLOTS);
		unsigned int cpu = (unsigned int)rng_below(&rng, NR_CPUS);

		if (areas[i].nr_pages && rng_chance(&rng, 40)) {
			assert_int_equal(mm_vfree(k.sys, areas[i].addr), 0);
			areas[i].nr_pages = 0;
		} else if (areas[i].nr_pages) {
			uint64_t page = rng_below(&rng, areas[i].nr_pages);
			vaddr_t va = areas[i].addr + page * PAGE_SIZE;

			assert_int_equal(*at(&k, cpu, va, MM_ACCESS_READ),
					 areas[i].stamp + page);
		} else {
			uint64_t nr = rng_between(&rng, 1, rng_chance(&rng, 10) ? 300 : 20);
			int err = mm_vzalloc(k.sys, nr * PAGE_SIZE, &areas[i].addr);

			assert_true(err == 0 || err == -ENOMEM);
			for (uint64_t page = 0; !err && page < nr; page++) {
				uint64_t *word = at(&k, cpu, areas[i].addr + page * PAGE_SIZE,
						    MM_ACCESS_WRITE);

				assert_int_equal(*word, 0);
				*word = stamp + page;
			}
			areas[i].nr_pages = err ? 0 : nr;
			areas[i].stamp = stamp;
			stamp += nr;
		}
		assert_int_equal(mm_check(k.sys), 0);
	}
	assert_true(k.sys->vmalloc->nr_purges > 0);
	end(&k);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(pages_in_pieces_are_one_range),
	cmocka_unit_test(protection_is_the_supervisors),
	cmocka_unit_test(programs_do_not_reach_it),
	cmocka_unit_test(the_lowest_hole_is_taken),
	cmocka_unit_test(freeing_is_lazy),
	cmocka_unit_test(purges_come_in_batches),
	cmocka_unit_test(addresses_may_run_out),
	cmocka_unit_test(nonsense_is_refused),
	cmocka_unit_test(a_machine_without_an_mmu_has_none),
	cmocka_unit_test(it_can_be_listed),
	cmocka_unit_test(any_allocation_may_fail),
	cmocka_unit_test(all_ram_cannot_be_had),
	cmocka_unit_test(damage_is_seen),
	cmocka_unit_test(random_areas_keep_their_words),
};
TEST_MAIN(tests)
