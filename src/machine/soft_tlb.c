/* SPDX-License-Identifier: MIT */
/*
 * Processors of the software machine, with a TLB each, and the shootdown.
 *
 * A processor's lock is held from the translation of an access to its last byte. Who takes a
 * translation away first changes the entry in the tables, by an atomic exchange that keeps the
 * bits that walks have set, and then takes each processor's lock in turn, to invalidate the
 * page in its TLB. After that, no access is under way that used the old entry, and none that
 * comes can find it: not in the tables, not in a TLB. This is what interrupts between
 * processors do on real ones; the lock stands for the wait for their answer.
 *
 * A batch is one round over the processors. Above SHOOT_PAGES_MAX pages it drops the whole
 * address space, as Linux does (tlb_single_page_flush_ceiling). A translation that is new needs
 * no round: what is not present is in no TLB.
 *
 * harvest() clears accessed bits and leaves TLBs alone, as Linux on x86 does: a page that is
 * used through a TLB all the time is seen again when its entry was walked for again.
 *
 * Tables are only added while a space lives; where a larger page takes the place of one, its
 * address is invalidated, and with it what walk caches know. So these are never wrong.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "machine/soft_internal.h"

#define SHOOT_PAGES_MAX 33

/* INVLPG of a page that is broken down leaves pieces in this model. */
static bool tlb_keeps_2m(const struct tlb *t)
{
	bool keeps = true;

	for (unsigned int level = 0; level < TLB_NR_LEVELS; level++)
		for (unsigned int kind = 0; kind < TLB_NR_KINDS; kind++)
			keeps &= t->by_size[level][kind][TLB_2M] ||
				 (!t->by_size[level][kind][TLB_64K] &&
				  !t->by_size[level][kind][TLB_4K]);
	return keeps;
}

static int cpu_init(struct soft_cpu *cpu, const struct machine_soft_config *cfg)
{
	mm_lock_init(&cpu->lock, LOCK_RANK_MACHINE);
	cpu->mmu.sets_accessed = (cfg->caps & MACHINE_SETS_ACCESSED) != 0;
	cpu->mmu.sets_dirty = (cfg->caps & MACHINE_SETS_DIRTY) != 0;
	return tlb_create(cfg->tlb, &cpu->mmu.tlb);
}

/* Nothing to do where no TLB is asked for. */
int soft_cpus_create(struct machine_soft *soft, const struct machine_soft_config *cfg)
{
	uint32_t nr = cfg->nr_cpus ? cfg->nr_cpus : 1;

	if (!cfg->tlb)
		return cfg->nr_cpus ? -EINVAL : 0;
	if (nr > SOFT_CPUS_MAX)
		return -EINVAL;
	mm_lock_init(&soft->asid_lock, LOCK_RANK_MACHINE);
	soft->asids[SOFT_KERNEL_ASID / 64] |= (uint64_t)1 << SOFT_KERNEL_ASID % 64;
	soft->cpu = cfg->cpu;
	soft->cpu_arg = cfg->arg;
	soft->harvest_invalidates = cfg->harvest_invalidates;
	soft->cpus = aligned_alloc(_Alignof(struct soft_cpu), nr * sizeof(*soft->cpus));
	if (!soft->cpus)
		return -ENOMEM;
	memset(soft->cpus, 0, nr * sizeof(*soft->cpus));
	for (; soft->nr_cpus < nr; soft->nr_cpus++) {
		int err = cpu_init(&soft->cpus[soft->nr_cpus], cfg);

		if (!err)
			continue;
		soft_cpus_destroy(soft);
		return err;
	}
	soft->tlbs_keep_2m = tlb_keeps_2m(soft->cpus[0].mmu.tlb);
	return 0;
}

void soft_cpus_destroy(struct machine_soft *soft)
{
	for (uint32_t i = 0; i < soft->nr_cpus; i++)
		tlb_destroy(soft->cpus[i].mmu.tlb);
	free(soft->cpus);
}

const struct tlb *machine_soft_tlb(const struct machine *m, unsigned int cpu)
{
	const struct machine_soft *soft = (const struct machine_soft *)m;

	return cpu < soft->nr_cpus ? soft->cpus[cpu].mmu.tlb : NULL;
}

struct mmu *machine_soft_mmu(struct machine *m, unsigned int cpu)
{
	struct machine_soft *soft = (struct machine_soft *)m;

	return cpu < soft->nr_cpus ? &soft->cpus[cpu].mmu : NULL;
}

const struct mmu_space *machine_soft_mmu_space(const struct machine_space *space)
{
	return &space->mmu;
}

uint16_t machine_soft_asid(const struct machine_space *space)
{
	return space->mmu.asid;
}

/* The lowest one that no space has. Return: 0, or -ENOMEM: there are TLB_ASID_MAX. */
int soft_asid_get(struct machine_space *space)
{
	struct machine_soft *soft = space->soft;
	int err = -ENOMEM;

	space->mmu.root = (uintptr_t)space->pgd;
	space->mmu.pa_end = PTE_PFN_MASK;
	if (!soft->nr_cpus)
		return 0;
	mm_lock_acquire(&soft->asid_lock);
	for (unsigned int i = 0; err && i <= TLB_ASID_MAX; i++) {
		uint64_t bit = (uint64_t)1 << i % 64;

		if (soft->asids[i / 64] & bit)
			continue;
		soft->asids[i / 64] |= bit;
		space->mmu.asid = (uint16_t)i;
		err = 0;
	}
	mm_lock_release(&soft->asid_lock);
	return err;
}

/* The next space that gets it must not find anything of this one. */
void soft_asid_put(struct machine_space *space)
{
	struct machine_soft *soft = space->soft;
	unsigned int asid = space->mmu.asid;

	if (!soft->nr_cpus)
		return;
	for (uint32_t i = 0; i < soft->nr_cpus; i++) {
		mm_lock_acquire(&soft->cpus[i].lock);
		tlb_invalidate_asid(soft->cpus[i].mmu.tlb, space->mmu.asid);
		mm_lock_release(&soft->cpus[i].lock);
	}
	mm_lock_acquire(&soft->asid_lock);
	soft->asids[asid / 64] &= ~((uint64_t)1 << asid % 64);
	mm_lock_release(&soft->asid_lock);
}

static bool needs_shot(const struct machine_change *change)
{
	pte_t old = change->old_pte & ~(PTE_ACCESSED | PTE_DIRTY);

	return pte_is_present(old) && old != (change->new_pte & ~(PTE_ACCESSED | PTE_DIRTY));
}

/*
 * Single pages to invalidate for a change: SHOOT_PAGES_MAX + 1 stands for all. A larger page
 * takes the place of a table, which walk caches may know.
 */
static uint32_t nr_shots(const struct machine_soft *soft, const struct machine_change *change)
{
	if (change->order >= 9 && change->old_pte == change->new_pte)
		return 0;
	if (change->order == 9)
		return soft->tlbs_keep_2m ? 1 : SHOOT_PAGES_MAX + 1;
	if (change->order > 9)
		return SHOOT_PAGES_MAX + 1;
	return needs_shot(change) ? 1u << change->order : 0;
}

/* Context: the processor's lock held. */
static void cpu_shoot(struct soft_cpu *cpu, const struct machine_space *space,
		      const struct machine_change *changes, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		for (uint32_t page = 0; page < nr_shots(space->soft, &changes[i]); page++)
			tlb_invalidate_page(cpu->mmu.tlb, changes[i].va + page * PAGE_SIZE,
					    space->mmu.asid);
}

/* The old state of changes [0, nr) leaves each TLB. */
void soft_shoot_changes(struct machine_space *space, const struct machine_change *changes,
			uint32_t nr)
{
	struct machine_soft *soft = space->soft;
	uint32_t nr_pages = 0;

	if (!soft->nr_cpus)
		return;
	for (uint32_t i = 0; i < nr; i++)
		nr_pages += nr_shots(soft, &changes[i]);
	for (uint32_t i = 0; nr_pages > 0 && i < soft->nr_cpus; i++) {
		struct soft_cpu *cpu = &soft->cpus[i];

		mm_lock_acquire(&cpu->lock);
		if (nr_pages > SHOOT_PAGES_MAX)
			tlb_invalidate_asid(cpu->mmu.tlb, space->mmu.asid);
		else
			cpu_shoot(cpu, space, changes, nr);
		mm_lock_release(&cpu->lock);
	}
}

void soft_shoot_page(struct machine_space *space, vaddr_t va, unsigned int order)
{
	const struct machine_change change = {.va = va, .old_pte = PTE_PRESENT, .order = order};

	soft_shoot_changes(space, &change, 1);
}

/* machine_ops.kernel_flush: kernel pages are global, so dropping an address space is not
 * enough. */
void soft_kernel_flush(struct machine *m, vaddr_t start, vaddr_t end)
{
	struct machine_soft *soft = (struct machine_soft *)m;

	for (uint32_t i = 0; i < soft->nr_cpus; i++) {
		struct tlb *tlb = soft->cpus[i].mmu.tlb;

		mm_lock_acquire(&soft->cpus[i].lock);
		if ((end - start) >> PAGE_SHIFT > SHOOT_PAGES_MAX)
			tlb_invalidate_all(tlb, true);
		else
			for (vaddr_t va = start; va < end; va += PAGE_SIZE)
				tlb_invalidate_page(tlb, va, SOFT_KERNEL_ASID);
		mm_lock_release(&soft->cpus[i].lock);
	}
}

/**
 * machine_soft_kernel_space() - what a processor walks for the supervisor's upper half.
 * @root: the frame of the kernel's PGD (mm_vmalloc_root()).
 *
 * For mmu_translate() without MMU_ACCESS_USER; the physical address is an offset in RAM.
 */
struct mmu_space machine_soft_kernel_space(const struct machine *m, pfn_t root)
{
	return (struct mmu_space){.base = (uintptr_t)m->ram,
				  .root = root * PAGE_SIZE,
				  .pa_end = m->nr_frames * PAGE_SIZE,
				  .asid = SOFT_KERNEL_ASID};
}

/* An access that lies in one page, by the processor that runs. Return: false on a fault. */
bool soft_cpu_access(const struct soft_cpu_access *a, uint32_t *ret_error_code)
{
	struct machine_soft *soft = a->space->soft;
	unsigned int i = soft->cpu ? soft->cpu(soft->cpu_arg) : 0;
	struct soft_cpu *cpu = &soft->cpus[i];
	struct mmu_translation there = {0};
	enum mmu_result result;

	MM_ASSERT(i < soft->nr_cpus);
	mm_lock_acquire(&cpu->lock);
	result = mmu_translate(&cpu->mmu, &a->space->mmu, a->va, a->kind | MMU_ACCESS_USER,
			       &there);
	if (result == MMU_OK && a->load)
		memcpy(a->load, soft->machine.ram + there.pa, a->len);
	if (result == MMU_OK && a->store)
		memcpy(soft->machine.ram + there.pa, a->store, a->len);
	mm_lock_release(&cpu->lock);
	*ret_error_code = there.error_code;
	return result == MMU_OK;
}
