/* SPDX-License-Identifier: MIT */
#include "machine/conformance_world.h"

#include <string.h>

vaddr_t world_va(const struct world *w, uint64_t page)
{
	return w->start + page * PAGE_SIZE;
}

char *world_frame(const struct world *w, pfn_t pfn)
{
	return w->m->ram + pfn * PAGE_SIZE;
}

void world_fill(void *page, uint64_t seed)
{
	uint64_t *words = page;

	for (uint64_t i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		words[i] = (seed + 1) * 0x9e3779b97f4a7c15u + i;
}

bool world_is_filled(const void *page, uint64_t seed)
{
	uint64_t expected[PAGE_SIZE / sizeof(uint64_t)];

	world_fill(expected, seed);
	return memcmp(page, expected, PAGE_SIZE) == 0;
}

void world_region(const struct world *w, uint64_t page, uint64_t nr, enum machine_region_op op,
		  int prot)
{
	if (w->m->ops->region)
		assert_int_equal(w->m->ops->region(w->m, w->space, world_va(w, page),
						   world_va(w, page + nr), op, prot),
				 0);
}

pte_t world_set(struct world *w, uint64_t page, pte_t pte, uint32_t flags)
{
	struct machine_change change = {
		.va = world_va(w, page), .old_pte = w->ptes[page], .new_pte = pte};
	struct machine_batch batch = {.changes = &change, .nr = 1, .flags = flags};

	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	assert_int_equal(batch.nr_done, 1);
	assert_int_equal((change.old_pte ^ w->ptes[page]) & ~(PTE_ACCESSED | PTE_DIRTY), 0);
	w->ptes[page] = pte;
	return change.old_pte;
}

void world_set_run(struct world *w, uint64_t page, uint32_t nr, pfn_t pfn, pte_t bits)
{
	struct machine_change changes[CONFORMANCE_PAGES];
	struct machine_batch batch = {.changes = changes, .nr = nr};

	for (uint32_t i = 0; i < nr; i++)
		changes[i] = (struct machine_change){
			.va = world_va(w, page + i),
			.old_pte = w->ptes[page + i],
			.new_pte = pte_make(pfn + i, bits ? bits : PTE_IDLE),
		};
	assert_int_equal(w->m->ops->apply(w->m, w->space, &batch), 0);
	assert_int_equal(batch.nr_done, nr);
	for (uint32_t i = 0; i < nr; i++)
		w->ptes[page + i] = changes[i].new_pte;
}

static void on_fault(void *arg, vaddr_t va, unsigned int access)
{
	struct world *w = arg;
	pte_t plan = w->plan;

	w->nr_faults++;
	w->last_va = va & PAGE_MASK;
	w->last_access = access;
	assert_true(pte_is_present(plan));
	w->plan = 0;
	world_set(w, (w->last_va - w->start) / PAGE_SIZE, plan, 0);
}

void world_access(struct world *w, uint64_t page, void *load, const void *store)
{
	const struct conformance_access a = {
		.m = w->m,
		.space = w->space,
		.va = world_va(w, page),
		.load = load,
		.store = store,
		.size = PAGE_SIZE,
		.on_fault = on_fault,
		.arg = w,
	};

	w->nr_faults = 0;
	w->env->access(w->env, &a);
}

void assert_reads(struct world *w, uint64_t page, uint64_t seed)
{
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	world_access(w, page, buf, NULL);
	assert_int_equal(w->nr_faults, 0);
	assert_true(world_is_filled(buf, seed));
}

static void world_store(struct world *w, uint64_t page, uint64_t seed)
{
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	world_fill(buf, seed);
	world_access(w, page, NULL, buf);
}

void assert_writes(struct world *w, uint64_t page, uint64_t seed)
{
	world_store(w, page, seed);
	assert_int_equal(w->nr_faults, 0);
}

static void assert_faulted(const struct world *w, uint64_t page, unsigned int access)
{
	assert_int_equal(w->nr_faults, 1);
	assert_int_equal(w->last_va, world_va(w, page));
	assert_int_equal(w->last_access, access);
}

/* A read faults, and sees the page that it gets. */
void assert_read_faults(struct world *w, uint64_t page, pte_t plan, uint64_t seed)
{
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];

	w->plan = plan;
	world_access(w, page, buf, NULL);
	assert_faulted(w, page, MM_ACCESS_READ);
	assert_true(world_is_filled(buf, seed));
}

void assert_write_faults(struct world *w, uint64_t page, pte_t plan, uint64_t seed)
{
	w->plan = plan;
	world_store(w, page, seed);
	assert_faulted(w, page, MM_ACCESS_WRITE);
}
