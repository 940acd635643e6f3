/* SPDX-License-Identifier: MIT */
#include "vma/space.h"

#include <stdlib.h>
#include <string.h>

#include "policy/two_lists.h"
#include "swapdev/mem.h"

#define TRIES_MAX 1000

static struct strict_machine *strict_of(struct machine *m)
{
	return (struct strict_machine *)m;
}

static pte_t *translation(struct strict_machine *sm, vaddr_t va)
{
	assert_true(va >= sm->start && va < sm->end);
	assert_int_equal(va & ~PAGE_MASK, 0);
	return &sm->translations[(va - sm->start) >> PAGE_SHIFT];
}

static bool is_refused(struct refusal *refusal)
{
	return refusal->nth > 0 && --refusal->nth == 0;
}

static void change(struct strict_machine *sm, const struct machine_change *c, bool discards)
{
	pte_t *now = translation(sm, c->va);
	char *frame = sm->m.ram + (uint64_t)pte_pfn(c->old_pte) * PAGE_SIZE;

	assert_true(*now == (pte_is_present(c->old_pte) ? c->old_pte : 0));
	*now = pte_is_present(c->new_pte) ? c->new_pte : 0;
	if (*now)
		assert_true(sm->prots[(c->va - sm->start) >> PAGE_SHIFT] > MM_PROT_NONE);
	if (*now || !discards)
		return;
	memset(frame, 0xdd, PAGE_SIZE);
	sm->nr_discarded++;
}

static int strict_apply(struct machine *m, struct machine_space *space,
			struct machine_batch *batch)
{
	struct strict_machine *sm = strict_of(m);
	bool refuses = is_refused(&sm->refuse_apply);

	(void)space;
	assert_true(batch->nr > 0);
	for (uint32_t i = 0; i < batch->nr; i++) {
		if (refuses && (i == sm->refuse_apply.nr_done || i == batch->nr - 1)) {
			batch->nr_done = i;
			return sm->refuse_apply.err;
		}
		assert_true(i == 0 || batch->changes[i].va > batch->changes[i - 1].va);
		change(sm, &batch->changes[i], (batch->flags & MACHINE_DISCARD) != 0);
	}
	return 0;
}

static int strict_region(struct machine *m, struct machine_space *space, vaddr_t start,
			 vaddr_t end, enum machine_region_op op, int prot)
{
	struct strict_machine *sm = strict_of(m);

	(void)space;
	assert_true(start < end);
	if (op != MACHINE_REGION_UNMAP && is_refused(&sm->refuse_region))
		return sm->refuse_region.err;
	for (vaddr_t va = start; va < end; va += PAGE_SIZE) {
		int *now = &sm->prots[(va - sm->start) >> PAGE_SHIFT];

		assert_int_equal(*translation(sm, va), 0);
		/* A MAP meets nothing but what was never mapped, or has been unmapped. */
		if (op != MACHINE_REGION_UNMAP)
			assert_int_equal(*now >= 0, op == MACHINE_REGION_PROTECT);
		*now = op == MACHINE_REGION_UNMAP ? -1 : prot;
	}
	return 0;
}

static int strict_space_create(struct machine *m, vaddr_t start, vaddr_t end,
			       struct machine_space **ret_space)
{
	struct strict_machine *sm = strict_of(m);

	sm->start = start;
	sm->end = end;
	memset(sm->prots, 0xff, sizeof(sm->prots));
	*ret_space = (struct machine_space *)m;
	return 0;
}

static void strict_space_destroy(struct machine *m, struct machine_space *space)
{
	struct strict_machine *sm = strict_of(m);

	(void)space;
	for (unsigned int i = 0; i < SPACE_PAGES_MAX; i++) {
		assert_int_equal(sm->translations[i], 0);
		assert_int_equal(sm->prots[i], -1);
	}
}

static const struct machine_ops strict_ops = {
	.name = "strict",
	.space_create = strict_space_create,
	.space_destroy = strict_space_destroy,
	.apply = strict_apply,
	.region = strict_region,
};

void space_create(struct space *s, const struct space_config *cfg)
{
	struct mm_config mm_cfg = MM_CONFIG_DEFAULT;
	struct swapdev_mem_config dev_cfg = {.nr_slots = cfg->nr_slots};

	memset(s, 0, sizeof(*s));
	s->nr_pages = cfg->nr_pages;
	s->machine.m = (struct machine){
		.ops = &strict_ops,
		.ram = aligned_alloc(PAGE_SIZE, cfg->nr_frames * PAGE_SIZE),
		.nr_frames = cfg->nr_frames,
	};
	memset(s->machine.m.ram, 0xcc, cfg->nr_frames * PAGE_SIZE);
	mm_cfg.machine = &s->machine.m;
	mm_cfg.policy = &policy_two_lists;
	mm_cfg.overcommit_memory = MM_OVERCOMMIT_ALWAYS;
	if (cfg->window)
		mm_cfg.window_start = cfg->window;
	mm_cfg.window_end = mm_cfg.window_start + cfg->nr_pages * PAGE_SIZE;
	assert_int_equal(mm_system_create(&mm_cfg, &s->sys), 0);
	if (cfg->nr_slots) {
		assert_int_equal(swapdev_mem_create(&dev_cfg, &s->dev), 0);
		assert_int_equal(mm_swapon(s->sys, s->dev, 0), 0);
	}
	assert_int_equal(mm_create(s->sys, &s->mm), 0);
	space_check(s);
}

void space_settle(struct space *s)
{
	for (int i = 0; i < TRIES_MAX && (s->sys->nr_io || s->sys->kswapd_awake); i++)
		mm_step(s->sys, s->now_ns += 1000, 64);
	assert_int_equal(s->sys->nr_io, 0);
}

void space_destroy(struct space *s)
{
	space_settle(s);
	mm_destroy(s->mm);
	assert_int_equal(mm_check(s->sys), 0);
	assert_int_equal(s->sys->vmstat[MM_VMSTAT_nr_anon_pages], 0);
	assert_int_equal(s->sys->vmstat[MM_VMSTAT_nr_page_table_pages], 0);
	assert_int_equal(s->sys->vmstat[MM_VMSTAT_nr_swap_slots_used], 0);
	mm_system_destroy(s->sys);
	if (s->dev)
		s->dev->ops->close(s->dev);
	free(s->machine.m.ram);
}

static bool can_be_one_area(const struct model_page *a, const struct model_page *b)
{
	return a->is_mapped && b->is_mapped && a->flags == b->flags;
}

/*
 * The run [start, end) is one area, or several that differ in what is not modelled: whether
 * their pages are promised, which mprotect() decides. Return: the area that comes after.
 */
static struct vma *check_run(struct vma *vma, vaddr_t start, vaddr_t end, uint32_t flags)
{
	assert_non_null(vma);
	assert_int_equal(vma->start, start);
	for (; start < end; vma = vma_next(vma)) {
		assert_non_null(vma);
		assert_int_equal(vma->start, start);
		assert_true(vma->end <= end);
		assert_int_equal(vma->flags & ~(uint32_t)(VMA_ACCOUNT | VMA_TOUCHED), flags);
		start = vma->end;
	}
	return vma;
}

void space_check(struct space *s)
{
	struct vma *vma = vma_find_first(s->mm, 0);
	unsigned int page = 0;

	assert_int_equal(mm_check(s->sys), 0);
	while (page < s->nr_pages) {
		struct model_page *m = &s->model[page];
		unsigned int first = page;

		if (!m->is_mapped) {
			assert_int_equal(s->machine.prots[page++], -1);
			continue;
		}
		for (; page == first || (page < s->nr_pages && can_be_one_area(m, m + 1));
		     page++)
			m = &s->model[page];
		vma = check_run(vma, space_va(s, first), space_va(s, page), m->flags);
		for (; first < page; first++)
			assert_int_equal(s->machine.prots[first],
					 m->flags & VMA_FOREIGN ? -1
								: (int)(m->flags & VMA_PROT));
	}
	assert_null(vma);
}

/* The page's content as the program sees it. NULL where it must not. */
static uint64_t *space_access(struct space *s, unsigned int page, unsigned int access)
{
	pte_t *pte = &s->machine.translations[page];

	for (int i = 0; i < TRIES_MAX; i++) {
		enum mm_fault_result result;

		if (pte_is_present(*pte) && (access == MM_ACCESS_READ || *pte & PTE_WRITE))
			return pfn_addr(s->sys, pte_pfn(*pte));
		result = mm_fault(s->mm, space_va(s, page), access);
		if (result == MM_FAULT_SEGV)
			return NULL;
		assert_true(result <= MM_FAULT_RETRY);
		if (result == MM_FAULT_RETRY)
			mm_step(s->sys, s->now_ns += 1000, 64);
	}
	fail_msg("an access to page %u never ended", page);
	return NULL;
}

void space_store(struct space *s, unsigned int page)
{
	struct model_page *m = &s->model[page];
	bool may = m->is_mapped && m->flags & VMA_WRITE && !(m->flags & VMA_FOREIGN);
	uint64_t *content = space_access(s, page, MM_ACCESS_WRITE);

	assert_int_equal(content != NULL, may);
	if (content)
		*content = m->stamp = ++s->last_stamp;
}

void space_load(struct space *s, unsigned int page)
{
	struct model_page *m = &s->model[page];
	bool may = m->is_mapped && m->flags & VMA_PROT && !(m->flags & VMA_FOREIGN);
	uint64_t *content = space_access(s, page, MM_ACCESS_READ);

	assert_int_equal(content != NULL, may);
	if (content)
		assert_int_equal(*content, m->stamp);
}

void space_load_all(struct space *s)
{
	for (unsigned int page = 0; page < s->nr_pages; page++)
		space_load(s, page);
}
