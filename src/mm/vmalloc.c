/* SPDX-License-Identifier: MIT */
/*
 * Kernel space: memory at consecutive addresses in frames that are not (Linux mm/vmalloc.c).
 *
 * kmalloc() needs one block of frames, 4 MiB at most and hard to find when RAM is in pieces.
 * Here each page has a frame of order 0 from anywhere, and a page table of the kernel's own, in
 * the upper half of the address space, makes them one range: global pages, writable, not
 * executable, which only the supervisor may touch. There is one such table for all address
 * spaces; a machine that has an MMU walks it in the frames (machine_ops.kernel_flush tells that
 * it can).
 *
 * Areas lie in a red-black tree by address; each keeps the hole before it and the largest such
 * hole in its subtree, so the lowest hole that fits is found in O(log n). After each area one
 * page of addresses stays unmapped: who runs past the end faults.
 *
 * Freeing is lazy. Pages are unmapped and frames go back at once, as in Linux; but the
 * addresses stay taken, for TLBs may know what was there. When lazy_max_pages() of them have
 * come together, or no hole is left, one shootdown serves all, and only then are they free. So
 * a shootdown, which stops every processor, is paid once for 32 MiB of addresses instead of
 * once a call; and an area that is alive is never reached through a translation from before it.
 * Who uses memory after mm_vfree() may see it changed, as with any free.
 *
 * Tables, once made, stay (as Linux's): walk caches that know them are never wrong. sys->lock
 * is let go of every VMALLOC_BATCH pages, for areas may be large.
 *
 * Invariants, walked by vmalloc_check():
 * 1. Areas lie in [start, end), page aligned, not empty, ascending, with their guard pages
 *    disjoint.
 * 2. ->gap and ->max_gap are what they say.
 * 3. The first nr_mapped pages of an area have an entry each: present, writable, global, NX,
 *    not for users; it names a frame of order 0 with one reference, whose ->index is that page.
 *    There is no other entry. BUSY: all pages are mapped; LAZY: none.
 * 4. An area is on a list if and only if it is LAZY; nr_lazy counts their pages, guards too.
 * 5. nr_vmalloc is the number of entries.
 */
#include "mm/vmalloc.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "mm/slab.h"

#define VMALLOC_BITS  (PTE_PRESENT | PTE_WRITE | PTE_GLOBAL | PTE_NX)
#define VMALLOC_BATCH 32 /* pages, between two breaths */

/* Rounds of reclaim in a row for one page (Linux's MAX_RECLAIM_RETRIES). */
#define VMALLOC_RECLAIMS_MAX 16

/* For each doubling of processors, who all are stopped by a shootdown (Linux). */
#define LAZY_PAGES (((uint64_t)32 << 20) / PAGE_SIZE)

static uint64_t max_gap_below(struct rb_node *node)
{
	return node ? vmap_area_of(node)->max_gap : 0;
}

static bool area_update(struct rb_node *node)
{
	struct vmap_area *area = vmap_area_of(node);
	uint64_t old = area->max_gap;

	area->max_gap = max_u64(area->gap,
				max_u64(max_gap_below(node->left), max_gap_below(node->right)));
	return area->max_gap != old;
}

static uint64_t lazy_max_pages(const struct mm_system *sys)
{
	return (32 - (uint64_t)__builtin_clz(sys->cfg.nr_cpus)) * LAZY_PAGES;
}

/* Made by the first mm_vmalloc(): a system that has none pays nothing. */
static int vmalloc_init(struct mm_system *sys)
{
	struct vmalloc *vm;
	int err = -ENOMEM;

	if (sys->vmalloc)
		return 0;
	vm = kzalloc(sys, sizeof(*vm));
	if (!vm)
		return -ENOMEM;
	vm->mm.sys = sys;
	vm->areas = (struct rb_root){.update = area_update};
	vm->start = MM_VMALLOC_START;
	vm->end = MM_VMALLOC_END;
	vm->nr_lazy_max = lazy_max_pages(sys);
	list_init(&vm->lazy);
	if (kmem_cache_create(sys, "vmap_area", sizeof(struct vmap_area), 8, &vm->area_cache))
		goto free_vm;
	err = pgtable_create(&vm->mm);
	if (err)
		goto destroy_cache;
	sys->vmalloc = vm;
	return 0;
destroy_cache:
	kmem_cache_destroy(sys, vm->area_cache);
free_vm:
	kfree(sys, vm);
	return err;
}

/* The first area that does not end before addr. */
static struct vmap_area *area_at_or_after(struct vmalloc *vm, vaddr_t addr)
{
	struct vmap_area *found = NULL, *area;

	for (struct rb_node *node = vm->areas.node; node;) {
		area = vmap_area_of(node);
		if (addr < vmap_area_end(area)) {
			found = area;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return found;
}

/* Of the hole after the last area, which is not in the tree. */
static vaddr_t tail_start(const struct vmalloc *vm)
{
	struct vmap_area *last = vmap_area_of(rb_last(&vm->areas));

	return last ? vmap_area_end(last) : vm->start;
}

/* The lowest hole that has len bytes: 0, or -ENOSPC. */
static int find_hole(const struct vmalloc *vm, uint64_t len, vaddr_t *ret_start)
{
	struct rb_node *node = vm->areas.node;
	vaddr_t tail = tail_start(vm);

	if (max_gap_below(node) < len) {
		*ret_start = tail;
		return vm->end - tail >= len ? 0 : -ENOSPC;
	}
	for (;;) { /* at most the depth of the tree */
		struct vmap_area *area = vmap_area_of(node);

		if (max_gap_below(node->left) >= len) {
			node = node->left;
		} else if (area->gap >= len) {
			*ret_start = area->start - area->gap;
			return 0;
		} else {
			node = node->right;
		}
	}
}

/* What lies before area has changed. NULL: the hole after the last is not kept. */
static void gap_changed(struct vmalloc *vm, struct vmap_area *area)
{
	struct vmap_area *prev;

	if (!area)
		return;
	prev = vmap_area_of(rb_prev(&area->node));
	area->gap = area->start - (prev ? vmap_area_end(prev) : vm->start);
	rb_update_up(&vm->areas, &area->node);
}

static void area_insert(struct vmalloc *vm, struct vmap_area *area)
{
	struct rb_node **link = &vm->areas.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = area->start < vmap_area_of(parent)->start ? &parent->left
								 : &parent->right;
	}
	rb_insert(&vm->areas, &area->node, parent, link);
	gap_changed(vm, area);
	gap_changed(vm, vmap_area_of(rb_next(&area->node)));
}

static void area_erase(struct vmalloc *vm, struct vmap_area *area)
{
	struct vmap_area *next = vmap_area_of(rb_next(&area->node));

	rb_erase(&vm->areas, &area->node);
	gap_changed(vm, next);
	kmem_cache_free(vm->mm.sys, vm->area_cache, area);
}

static void list_move_all(struct list_head *from, struct list_head *to)
{
	while (!list_is_empty(from)) {
		struct list_head *node = from->next;

		list_del(node);
		list_add_tail(node, to);
	}
}

/*
 * One shootdown for all that is lazy, over the hull of their addresses; then these are free.
 * Return: was there anything? Context: sys->lock held, dropped and retaken.
 */
static bool purge(struct mm_system *sys, struct vmalloc *vm)
{
	vaddr_t start = vm->end, end = vm->start;
	struct vmap_area *area, *tmp;
	struct list_head gone;

	if (list_is_empty(&vm->lazy))
		return false;
	list_init(&gone);
	list_move_all(&vm->lazy, &gone);
	list_for_each_entry (area, &gone, lazy) {
		start = min_u64(start, area->start);
		end = max_u64(end, vmap_area_end(area));
	}
	vm->nr_purges++;
	vm->nr_purging++;
	sys_unlock(sys);
	sys->machine->ops->kernel_flush(sys->machine, start, end);
	sys_lock(sys);
	vm->nr_purging--;
	list_for_each_entry_safe (area, tmp, &gone, lazy) {
		vm->nr_lazy -= area->nr_pages + 1;
		area_erase(vm, area);
	}
	sys_wake(sys);
	return true;
}

/* Addresses for so many pages and a guard. 0, -ENOMEM; -EAGAIN: another thread frees some. */
static int area_create(struct mm_system *sys, struct vmalloc *vm, uint64_t nr_pages,
		       struct vmap_area **ret_area)
{
	struct vmap_area *area = kmem_cache_alloc(sys, vm->area_cache);
	uint64_t len = (nr_pages + 1) * PAGE_SIZE;
	int err;

	if (!area)
		return -ENOMEM;
	*area = (struct vmap_area){.nr_pages = nr_pages, .state = VMAP_FILLING};
	list_init(&area->lazy);
	err = find_hole(vm, len, &area->start);
	if (err && purge(sys, vm))
		err = find_hole(vm, len, &area->start);
	if (err) {
		kmem_cache_free(sys, vm->area_cache, area);
		sys->has_waiters |= vm->nr_purging > 0;
		return vm->nr_purging > 0 ? -EAGAIN : -ENOMEM;
	}
	area_insert(vm, area);
	*ret_area = area;
	return 0;
}

/* A call on a large area: others want the lock too. */
static void breathe(struct mm_system *sys, const struct vmap_area *area)
{
	if (area->nr_mapped % VMALLOC_BATCH)
		return;
	sys_unlock(sys);
	sys_lock(sys);
}

static int page_map(struct mm_system *sys, struct vmalloc *vm, struct vmap_area *area)
{
	vaddr_t va = area->start + area->nr_mapped * PAGE_SIZE;
	struct page *page;
	pte_t *ptep;
	int err = page_alloc(sys, 0, GFP_KERNEL, &page);

	if (err)
		return err;
	err = pgtable_ensure(&vm->mm, va, &ptep);
	if (err) {
		page_free(sys, page, 0);
		return err;
	}
	MM_ASSERT(pte_is_none(*ptep));
	page->index = va >> PAGE_SHIFT;
	pte_set(&vm->mm, ptep, pte_make(page_pfn(sys, page), VMALLOC_BITS));
	area->nr_mapped++;
	STAT(sys, nr_vmalloc, 1);
	return 0;
}

static void page_unmap(struct mm_system *sys, struct vmalloc *vm, struct vmap_area *area)
{
	vaddr_t va = area->start + --area->nr_mapped * PAGE_SIZE;
	pte_t *ptep = pgtable_lookup(&vm->mm, va);
	struct page *page = page_of(sys, pte_pfn(*ptep));

	MM_ASSERT(page->index == va >> PAGE_SHIFT);
	pte_set(&vm->mm, ptep, 0);
	page_free(sys, page, 0);
	STAT(sys, nr_vmalloc, -1);
}

/* 0, -ENOMEM; -EAGAIN: memory will be free when I/O has ended. */
static int page_map_reclaim(struct mm_system *sys, struct vmalloc *vm, struct vmap_area *area)
{
	int err = page_map(sys, vm, area);

	for (unsigned int i = 0; err && i < VMALLOC_RECLAIMS_MAX; i++) {
		err = mm_reclaim_for_kernel(sys);
		if (err != -EAGAIN)
			return err;
		if (page_map(sys, vm, area) == 0)
			return 0;
	}
	return err;
}

static int area_fill(struct mm_system *sys, struct vmalloc *vm, struct vmap_area *area,
		     bool is_zeroed)
{
	while (area->nr_mapped < area->nr_pages) {
		vaddr_t va = area->start + area->nr_mapped * PAGE_SIZE;
		int err = page_map_reclaim(sys, vm, area);

		if (err)
			return err;
		if (is_zeroed)
			memset(pfn_addr(sys, pte_pfn(*pgtable_lookup(&vm->mm, va))), 0,
			       PAGE_SIZE);
		breathe(sys, area);
	}
	area->state = VMAP_BUSY;
	return 0;
}

static void area_drain(struct mm_system *sys, struct vmalloc *vm, struct vmap_area *area)
{
	while (area->nr_mapped > 0) {
		page_unmap(sys, vm, area);
		breathe(sys, area);
	}
}

static int vmalloc_locked(struct mm_system *sys, uint64_t nr_pages, bool is_zeroed,
			  vaddr_t *ret_addr)
{
	struct vmap_area *area;
	int err = vmalloc_init(sys);

	if (!err)
		err = area_create(sys, sys->vmalloc, nr_pages, &area);
	if (err)
		return err;
	err = area_fill(sys, sys->vmalloc, area, is_zeroed);
	if (err) { /* nobody knew the address, so no TLB does */
		area_drain(sys, sys->vmalloc, area);
		area_erase(sys->vmalloc, area);
		return err;
	}
	*ret_addr = area->start;
	return 0;
}

static int vmalloc(struct mm_system *sys, uint64_t size, bool is_zeroed, vaddr_t *ret_addr)
{
	uint64_t aligned;
	int err;

	if (!sys->machine->ops->kernel_flush)
		return -EOPNOTSUPP;
	if (size == 0)
		return -EINVAL;
	if (!checked_align_up(size, PAGE_SIZE, &aligned) ||
	    aligned >> PAGE_SHIFT > zones_managed_pages(sys))
		return -ENOMEM;
	sys_lock(sys);
	err = vmalloc_locked(sys, aligned >> PAGE_SHIFT, is_zeroed, ret_addr);
	sys_unlock(sys);
	return err;
}

/**
 * mm_vmalloc() - memory at consecutive addresses of kernel space; its content is undefined.
 * @size: bytes, rounded up to pages.
 * @ret_addr: page aligned, in [MM_VMALLOC_START, MM_VMALLOC_END).
 *
 * Return: 0; -EINVAL for 0 bytes; -ENOMEM: more than all RAM, or reclaim finds no more;
 * -EAGAIN: memory or addresses are on their way, ask again after mm_config.wake; -EOPNOTSUPP on
 * a machine without an MMU that walks tables in frames. A call that fails leaves nothing but
 * empty tables.
 * Context: takes sys->lock, drops it for reclaim, for a shootdown and every few pages.
 */
int mm_vmalloc(struct mm_system *sys, uint64_t size, vaddr_t *ret_addr)
{
	return vmalloc(sys, size, false, ret_addr);
}

/**
 * mm_vzalloc() - as mm_vmalloc(), filled with 0.
 */
int mm_vzalloc(struct mm_system *sys, uint64_t size, vaddr_t *ret_addr)
{
	return vmalloc(sys, size, true, ret_addr);
}

static struct vmap_area *busy_area(struct vmalloc *vm, vaddr_t addr)
{
	struct vmap_area *area = vm ? area_at_or_after(vm, addr) : NULL;

	return area && area->state == VMAP_BUSY && area->start <= addr ? area : NULL;
}

/**
 * mm_vfree() - give back what mm_vmalloc() or mm_vzalloc() returned.
 * @addr: its first byte; 0 is no area and no mistake.
 *
 * The frames are free at once; the addresses after the next shootdown.
 *
 * Return: 0, or -EINVAL where no area begins.
 * Context: takes sys->lock, drops it for a shootdown and every few pages.
 */
int mm_vfree(struct mm_system *sys, vaddr_t addr)
{
	struct vmap_area *area;
	struct vmalloc *vm;
	int err = -EINVAL;

	if (addr == 0)
		return 0;
	sys_lock(sys);
	vm = sys->vmalloc;
	area = busy_area(vm, addr);
	if (!area || area->start != addr)
		goto unlock;
	area->state = VMAP_DRAINING;
	area_drain(sys, vm, area);
	area->state = VMAP_LAZY;
	list_add_tail(&area->lazy, &vm->lazy);
	vm->nr_lazy += area->nr_pages + 1;
	if (vm->nr_lazy > vm->nr_lazy_max)
		purge(sys, vm);
	sys_wake(sys);
	err = 0;
unlock:
	sys_unlock(sys);
	return err;
}

/**
 * mm_vmalloc_purge() - the shootdown for all that is lazy, now (Linux's vm_unmap_aliases()).
 *
 * Return: areas were purged (1) or there was none (0).
 * Context: takes sys->lock, drops it for the machine.
 */
int mm_vmalloc_purge(struct mm_system *sys)
{
	int did;

	sys_lock(sys);
	did = sys->vmalloc && purge(sys, sys->vmalloc);
	sys_unlock(sys);
	return did;
}

/**
 * mm_vmalloc_usage() - the rows of /proc/meminfo.
 *
 * All 0 on a machine that has no kernel space. Context: takes sys->lock.
 */
void mm_vmalloc_usage(struct mm_system *sys, struct mm_vmalloc_usage *ret_usage)
{
	uint64_t total =
		sys->machine->ops->kernel_flush ? MM_VMALLOC_END - MM_VMALLOC_START : 0;
	uint64_t chunk = total;
	const struct vmalloc *vm;

	sys_lock(sys);
	vm = sys->vmalloc;
	if (vm) {
		total = vm->end - vm->start;
		chunk = max_u64(max_gap_below(vm->areas.node), vm->end - tail_start(vm));
	}
	*ret_usage = (struct mm_vmalloc_usage){
		.total_kbytes = total >> 10,
		.used_kbytes = sys->vmstat[MM_VMSTAT_nr_vmalloc] * (PAGE_SIZE >> 10),
		.chunk_kbytes = chunk >> 10,
		.lazy_pages = vm ? vm->nr_lazy : 0,
	};
	sys_unlock(sys);
}

/**
 * mm_vmalloc_next() - the areas one by one, as /proc/vmallocinfo lists them.
 * @from: 0 at first, then the end of the one before.
 *
 * Return: 0, or -ENOENT: no area is left.
 * Context: takes sys->lock.
 */
int mm_vmalloc_next(struct mm_system *sys, vaddr_t from, struct mm_vmalloc_area *ret_area)
{
	const struct vmap_area *area;

	sys_lock(sys);
	area = sys->vmalloc ? area_at_or_after(sys->vmalloc, from) : NULL;
	if (area)
		*ret_area = (struct mm_vmalloc_area){.start = area->start,
						     .end = vmap_area_end(area),
						     .nr_pages = area->nr_mapped,
						     .is_free = area->state > VMAP_BUSY};
	sys_unlock(sys);
	return area ? 0 : -ENOENT;
}

/**
 * mm_vmalloc_root() - the frame of the PGD that translates kernel space.
 *
 * Return: PFN_NONE before the first mm_vmalloc(); it never changes afterwards.
 * Context: takes sys->lock.
 */
pfn_t mm_vmalloc_root(struct mm_system *sys)
{
	pfn_t root;

	sys_lock(sys);
	root = sys->vmalloc ? sys->vmalloc->mm.pgd : PFN_NONE;
	sys_unlock(sys);
	return root;
}

/**
 * mm_vmalloc_frame() - the frame of a page (Linux's vmalloc_to_pfn()).
 *
 * Return: 0, or -EFAULT where no area has a page.
 * Context: takes sys->lock.
 */
int mm_vmalloc_frame(struct mm_system *sys, vaddr_t addr, pfn_t *ret_pfn)
{
	const struct vmap_area *area;
	int err = -EFAULT;

	sys_lock(sys);
	area = busy_area(sys->vmalloc, addr);
	if (area && addr < area->start + area->nr_pages * PAGE_SIZE) {
		*ret_pfn = pte_pfn(*pgtable_lookup(&sys->vmalloc->mm, addr));
		err = 0;
	}
	sys_unlock(sys);
	return err;
}
