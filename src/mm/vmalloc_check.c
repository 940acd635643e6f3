/* SPDX-License-Identifier: MIT */
/*
 * vmalloc_check(): the invariants of vmalloc.c, by their numbers there.
 */
#include "base/assert.h"
#include "base/checked.h"
#include "mm/vmalloc.h"

static uint64_t max_gap_of(struct rb_node *node)
{
	return node ? vmap_area_of(node)->max_gap : 0;
}

/* 1, 2. at: where the area before it ends. */
static int check_place(const struct vmalloc *vm, const struct vmap_area *area, vaddr_t at)
{
	uint64_t below = max_u64(max_gap_of(area->node.left), max_gap_of(area->node.right));

	CHECK((area->start & ~PAGE_MASK) == 0 && area->nr_pages > 0); /* 1 */
	CHECK(area->start >= at && vmap_area_end(area) <= vm->end);   /* 1 */
	CHECK(area->gap == area->start - at);			      /* 2 */
	CHECK(area->max_gap == max_u64(area->gap, below));	      /* 2 */
	return 0;
}

/* 3: one page that is mapped. */
static int check_page(const struct mm_system *sys, vaddr_t va)
{
	const pte_t *ptep = pgtable_lookup(&sys->vmalloc->mm, va);
	const pte_t seen = PTE_ACCESSED | PTE_DIRTY;
	const struct page *page;

	CHECK(ptep != NULL);
	CHECK((*ptep & ~PTE_PFN_MASK & ~seen) ==
	      (PTE_PRESENT | PTE_WRITE | PTE_GLOBAL | PTE_NX)); /* 3 */
	CHECK(pte_pfn(*ptep) < sys->nr_frames);
	page = page_of(sys, pte_pfn(*ptep));
	CHECK(page->flags == 0 && page->refs == 1); /* 3 */
	CHECK(page->index == va >> PAGE_SHIFT);	    /* 3 */
	return 0;
}

static int check_area(const struct mm_system *sys, const struct vmap_area *area)
{
	CHECK(area->nr_mapped <= area->nr_pages);			      /* 3 */
	CHECK(area->state != VMAP_BUSY || area->nr_mapped == area->nr_pages); /* 3 */
	CHECK(area->state != VMAP_LAZY || area->nr_mapped == 0);	      /* 3 */
	CHECK((area->state == VMAP_LAZY) == !list_is_empty(&area->lazy));     /* 4 */
	for (uint64_t i = 0; i < area->nr_mapped; i++)
		CHECK(check_page(sys, area->start + i * PAGE_SIZE) == 0);
	return 0;
}

static uint64_t count_entries(struct vmalloc *vm)
{
	uint64_t nr = 0;

	for (vaddr_t va = vm->start; pgtable_next(&vm->mm, &va, vm->end); va += PAGE_SIZE)
		nr++;
	return nr;
}

/**
 * vmalloc_check() - invariants 1 to 5 of vmalloc.c, and those of the kernel's tables.
 *
 * Return: 0, or -EUCLEAN.
 * Context: sys->lock held.
 */
int vmalloc_check(struct mm_system *sys)
{
	uint64_t nr_mapped = 0, nr_lazy = 0;
	struct vmalloc *vm = sys->vmalloc;
	struct rb_node *node;
	vaddr_t at;

	CHECK(vm || sys->vmstat[MM_VMSTAT_nr_vmalloc] == 0);
	if (!vm)
		return 0;
	CHECK(rb_check(&vm->areas) == 0);
	CHECK(pgtable_check(&vm->mm) == 0);
	at = vm->start;
	for (node = rb_first(&vm->areas); node; node = rb_next(node)) {
		const struct vmap_area *area = vmap_area_of(node);

		CHECK(check_place(vm, area, at) == 0);
		CHECK(check_area(sys, area) == 0);
		at = vmap_area_end(area);
		nr_mapped += area->nr_mapped;
		nr_lazy += area->state == VMAP_LAZY ? area->nr_pages + 1 : 0;
	}
	CHECK(vm->nr_lazy == nr_lazy);			       /* 4 */
	CHECK(count_entries(vm) == nr_mapped);		       /* 3 */
	CHECK(sys->vmstat[MM_VMSTAT_nr_vmalloc] == nr_mapped); /* 5 */
	return 0;
}
