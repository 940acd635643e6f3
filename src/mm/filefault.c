/* SPDX-License-Identifier: MIT */
/*
 * Faults on pages of files and of shared anonymous memory.
 *
 * An entry that is NONE is pointed at the page of the mapping, which is read if it is not
 * cached; beyond the end of the file there is no page, and the fault is a bus error. A write to
 * a private mapping gets a copy of the page, which is anonymous memory from then on.
 *
 * A read also maps what is cached in the 64 KiB around the page (Linux's fault_around_bytes):
 * it costs no I/O, and saves a fault for each. After a major fault that is what was read with
 * it. All begin as accessed, as on x86 (arch_wants_old_prefaulted_pte()), so reclaim spares
 * them once.
 *
 * A shared mapping is translated writable only while the page is dirty and not being written
 * to the file (Linux's page_mkwrite() with stable pages): so the write that makes a page dirty
 * is a fault, which marks it, and while it is being written its content stands still.
 */
#include <string.h>

#include "base/assert.h"
#include "mm/fault.h"
#include "mm/filemap.h"
#include "mm/mlock.h"
#include "mm/reclaim.h"

static bool area_is_shared(const struct fault *f)
{
	return (f->vma->flags & VMA_SHARED) != 0;
}

/* Where the page comes from. 0 with the page, -EAGAIN: look anew, -ENOMEM: no frame. */
static int find_page(struct fault *f, uint64_t index, struct page **ret_page)
{
	struct address_space *mapping = f->vma->mapping;
	int err;

	if (!mapping->dev)
		return shmem_find(mapping, index, ret_page);
	*ret_page = filemap_find(mapping, index);
	if (*ret_page)
		return 0;
	err = readahead_mmap(mapping, index, f->vma->flags);
	if (err)
		return err;
	reclaim_ahead(f->sys, 1);
	swap_complete(f->sys);
	return -EAGAIN;
}

static enum mm_fault_result find_failed(struct fault *f, int err)
{
	switch (err) {
	case -EAGAIN:
		return FAULT_AGAIN;
	case -EBUSY:
		return fault_retry(f);
	case -ENOMEM:
		return fault_no_memory(f);
	default:
		return MM_FAULT_BUS;
	}
}

/**
 * fault_file_write_bit() - PTE_WRITE if a page of a file may be translated writable.
 */
pte_t fault_file_write_bit(const struct fault *f, const struct page *page)
{
	bool may_write = area_is_shared(f) && (f->vma->flags & VMA_WRITE) &&
			 page_has(page, PG_dirty) && !page_has(page, PG_writeback);

	return may_write ? PTE_WRITE : 0;
}

/**
 * fault_file_around() - let the entry of a neighbour name its page, if that is at hand.
 * @pte: in the area of the fault.
 *
 * As Linux's filemap_map_pages(): what is locked, or carries the mark of readahead, is left to
 * a fault of its own.
 *
 * Return: true if the entry is IDLE now, and to be translated.
 * Context: see mm/fault.h; does not unlock.
 */
bool fault_file_around(struct fault *f, pte_t *pte, vaddr_t va)
{
	const uint32_t not_now = PG_locked | PG_error | PG_readahead | PG_demand;
	struct address_space *mapping = f->vma->mapping;
	uint64_t index = vma_index(f->vma, va);
	struct page *page;

	if (index >= mapping_nr_pages(mapping))
		return false;
	page = filemap_find(mapping, index);
	if (!page || page_has(page, not_now) ||
	    (page_is_shmem(page) && page_has(page, PG_writeback)))
		return false;
	if (mapping->ra.mmap_miss > 0)
		mapping->ra.mmap_miss--;
	if (!pte_is_none(*pte))
		return false;
	filemap_map(f->mm, page, pte);
	if (f->vma->flags & VMA_LOCKED)
		page_mlock(f->sys, page);
	return true;
}

/* Unlocks. */
static void copy_page(struct mm_system *sys, struct page *to, struct page *from)
{
	MM_ASSERT(!page_has(from, PG_locked));
	from->flags |= PG_locked;
	to->flags |= PG_locked;
	sys_unlock(sys);
	memcpy(page_addr(sys, to), page_addr(sys, from), PAGE_SIZE);
	sys_lock(sys);
	from->flags &= ~(uint32_t)PG_locked;
	to->flags &= ~(uint32_t)PG_locked;
	sys_wake(sys);
}

/* The write gets a page of its own. The entry is NONE. */
static enum mm_fault_result fault_copy(struct fault *f, struct page *page)
{
	struct page *copy;

	if (page_alloc(f->sys, 0, GFP_USER, &copy))
		return fault_no_memory(f);
	copy->flags = PG_anon | PG_dirty;
	copy->refs = 0;
	anon_page_attach(f->mm, copy, f->va);
	pte_set(f->mm, f->pte, pte_make(page_pfn(f->sys, copy), PTE_IDLE));
	f->sys->nr_touched++;
	copy_page(f->sys, copy, page);
	return fault_translate(f, copy);
}

/* A write to a shared page: may it be dirty now? MINOR: it is. */
static enum mm_fault_result make_dirty(struct fault *f, struct page *page)
{
	if (page_is_cache(page) && page_has(page, PG_writeback))
		return fault_retry(f);
	if (page_is_cache(page) && !page_has(page, PG_dirty) && writeback_must_wait(f->sys))
		return fault_retry(f);
	filemap_mark_dirty(f->sys, page);
	return MM_FAULT_MINOR;
}

static enum mm_fault_result account(struct page *page)
{
	bool is_major = page_has(page, PG_demand);

	page->flags &= ~(uint32_t)PG_demand;
	return is_major ? MM_FAULT_MAJOR : MM_FAULT_MINOR;
}

static enum mm_fault_result map_page(struct fault *f, struct page *page)
{
	enum mm_fault_result kind, result;

	if (f->is_write && area_is_shared(f)) {
		result = make_dirty(f, page);
		if (result != MM_FAULT_MINOR)
			return result;
	}
	kind = account(page);
	f->is_around = !f->is_write;
	if (f->is_write && !area_is_shared(f)) {
		result = fault_copy(f, page);
	} else {
		filemap_map(f->mm, page, f->pte);
		if (f->vma->flags & VMA_LOCKED)
			page_mlock(f->sys, page);
		result = fault_translate(f, page);
	}
	reclaim_ahead(f->sys, 1);
	return result == MM_FAULT_MINOR ? kind : result;
}

/**
 * fault_file() - the first touch of a page in an area that maps a file.
 *
 * Context: see mm/fault.h.
 */
enum mm_fault_result fault_file(struct fault *f)
{
	struct address_space *mapping = f->vma->mapping;
	uint64_t index = vma_index(f->vma, f->va);
	struct page *page;
	int err;

	if (index >= mapping_nr_pages(mapping))
		return MM_FAULT_BUS;
	if (truncate_blocks_io(mapping))
		return fault_retry(f);
	err = find_page(f, index, &page);
	if (err)
		return find_failed(f, err);
	if (page_has(page, PG_locked) || (page_is_shmem(page) && page_has(page, PG_writeback)))
		return fault_retry(f);
	if (page_has(page, PG_error)) {
		filemap_remove(f->sys, page, 0); /* the next touch reads again */
		return MM_FAULT_BUS;
	}
	if (page_is_cache(page) && readahead_mmap_hit(mapping, page, f->vma->flags))
		return FAULT_AGAIN;
	return map_page(f, page);
}

/* Its entry names the file's page, and it wants its own: the entry is NONE first. */
static enum mm_fault_result unmap_for_copy(struct fault *f, struct page *page)
{
	struct machine_change change = {.va = f->va, .old_pte = *f->pte};
	struct machine_batch batch = {.changes = &change, .nr = 1};
	int err = 0;

	if (pte_is_present(*f->pte)) {
		page->flags |= PG_locked;
		err = mm_machine_apply(f->mm, &batch);
		page->flags &= ~(uint32_t)PG_locked;
		sys_wake(f->sys);
	}
	if (err)
		return fault_retry(f);
	pte_set(f->mm, f->pte, 0);
	filemap_unmap(f->mm, page);
	return FAULT_AGAIN;
}

/* A translation that the manager holds for made, and the machine does not have. */
static enum mm_fault_result translate_again(struct fault *f, struct page *page)
{
	struct machine_change change = {.va = f->va, .old_pte = *f->pte, .new_pte = *f->pte};
	struct machine_batch batch = {.changes = &change, .nr = 1};
	int err;

	page->flags |= PG_locked;
	err = mm_machine_apply(f->mm, &batch);
	page->flags &= ~(uint32_t)PG_locked;
	sys_wake(f->sys);
	return err ? FAULT_AGAIN : MM_FAULT_MINOR;
}

/**
 * fault_file_mapped() - a fault where the entry names a page of a file.
 *
 * Context: see mm/fault.h.
 */
enum mm_fault_result fault_file_mapped(struct fault *f, struct page *page)
{
	enum mm_fault_result result;

	if (page_has(page, PG_locked) ||
	    (page_is_shmem(page) && page_has(page, PG_writeback))) {
		page->flags &= ~(uint32_t)(page_is_shmem(page) ? PG_reclaim : 0);
		return fault_retry(f);
	}
	if (f->is_write && !area_is_shared(f))
		return unmap_for_copy(f, page);
	if (pte_is_present(*f->pte) && (!f->is_write || *f->pte & PTE_WRITE))
		return translate_again(f, page);
	if (f->is_write) {
		result = make_dirty(f, page);
		if (result != MM_FAULT_MINOR)
			return result;
	}
	return fault_translate(f, page);
}
