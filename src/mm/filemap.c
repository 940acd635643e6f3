/* SPDX-License-Identifier: MIT */
/*
 * The page cache: which frames hold what of a file.
 *
 * A page is in its mapping's tree from when it is about to be filled until it is evicted or cut
 * off (mm/truncate.c). Page table entries that map it are found through the areas on i_mmap
 * (mm/rmap.c), a plain list: a file is mapped a few times, not thousands of times.
 *
 * A page that leaves the tree while somebody holds it (mapped, in I/O, isolated by reclaim) has
 * no mapping any more, and is freed with the last reference.
 *
 * A mapping lives while it is open or an area maps it. The last area may go in the middle of a
 * change that puts another in its place (mremap), so a mapping is not freed there, but by
 * filemap_reap() when the change has ended, and not before its I/O has.
 *
 * Invariants:
 *  1. A frame with PG_file and a mapping is in that mapping's tree at its index, and only such
 *     frames are in trees.
 *  2. Its references are one for the tree, mapcount, and one for I/O in flight.
 *  3. mapcount is the number of entries that rmap_walk() finds.
 *  4. A page with FILEMAP_DIRTY has PG_dirty, one with FILEMAP_WRITEBACK has PG_writeback, and
 *     the other way round; one with FILEMAP_TOWRITE is dirty or on its way.
 *  5. The counts of a mapping, nr_file_pages, nr_dirty, nr_mapped and nr_shmem are true.
 *  6. Where an entry is writable its page is dirty and not under writeback, and its area is
 *     shared.
 */
#include "mm/filemap.h"
#include "mm/commit.h"
#include "mm/mlock.h"

#include "base/assert.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"
#include "mm/slab.h"
#include "mm/system.h"
#include "mm/vma.h"
#include "mm/workingset.h"

static struct radix_node *node_alloc(void *arg)
{
	struct mm_system *sys = arg;

	return kmem_cache_alloc(sys, sys->files.node_cache);
}

static void node_free(void *arg, struct radix_node *node)
{
	struct mm_system *sys = arg;

	kmem_cache_free(sys, sys->files.node_cache, node);
}

static const struct radix_pool node_pool = {.alloc = node_alloc, .free = node_free};

int filemap_init(struct mm_system *sys)
{
	int err;

	list_init(&sys->files.mappings);
	err = kmem_cache_create(sys, "address_space", sizeof(struct address_space), 8,
				&sys->files.mapping_cache);
	if (!err)
		err = kmem_cache_create(sys, "radix_tree_node", sizeof(struct radix_node), 8,
					&sys->files.node_cache);
	return err;
}

/**
 * filemap_create() - a mapping with nothing in it.
 * @dev: the file, or NULL for shared anonymous memory.
 *
 * Return: 0 or -ENOMEM.
 */
int filemap_create(struct mm_system *sys, struct filedev *dev, uint64_t nr_bytes,
		   struct address_space **ret_mapping)
{
	struct address_space *mapping = kmem_cache_alloc(sys, sys->files.mapping_cache);

	if (!mapping)
		return -ENOMEM;
	*mapping = (struct address_space){
		.sys = sys,
		.dev = dev,
		.nr_bytes = nr_bytes,
		.ra.prev_index = UINT64_MAX,
	};
	radix_init(&mapping->tree, &node_pool, sys);
	list_init(&mapping->i_mmap);
	list_add_tail(&mapping->node, &sys->files.mappings);
	*ret_mapping = mapping;
	return 0;
}

void filemap_area_linked(struct address_space *mapping, struct vma *vma)
{
	list_add_tail(&vma->i_mmap, &mapping->i_mmap);
}

void filemap_area_unlinked(struct address_space *mapping, struct vma *vma)
{
	list_del(&vma->i_mmap);
	if (list_is_empty(&mapping->i_mmap) && !mapping->is_open)
		mapping->sys->files.has_unused = true;
}

struct page *filemap_find(const struct address_space *mapping, uint64_t index)
{
	return filemap_value_page(radix_get(&mapping->tree, index));
}

/* A page leaves or enters the counts. */
static void count_page(struct mm_system *sys, const struct page *page, int n)
{
	STAT(sys, nr_file_pages, n);
	if (page_is_shmem(page))
		STAT(sys, nr_shmem, n);
}

/**
 * filemap_add() - a new frame for a page of a file, not filled yet.
 * @index: nothing but a shadow entry is there.
 * @flags: of the page, besides PG_file.
 *
 * It goes on the policy's lists at once, as in Linux: active, if it left too recently.
 *
 * Return: 0; -ENOMEM, with nothing changed.
 */
int filemap_add(struct address_space *mapping, uint64_t index, uint32_t flags,
		struct page **ret_page)
{
	uint64_t old = radix_get(&mapping->tree, index);
	struct mm_system *sys = mapping->sys;
	struct page *page;

	MM_ASSERT(!old || filemap_value_is_shadow(old));
	if (page_alloc(sys, 0, GFP_USER, &page))
		return -ENOMEM;
	if (radix_set(&mapping->tree, index, (uint64_t)(uintptr_t)page)) {
		page_free(sys, page, 0);
		return -ENOMEM;
	}
	page->flags = PG_file | flags;
	page->mapping = mapping;
	page->index = index;
	mapping->nr_pages++;
	count_page(sys, page, 1);
	if (old)
		workingset_refault(sys, page, filemap_value_content(old));
	sys->policy_ops->insert(sys->policy, page);
	*ret_page = page;
	return 0;
}

/**
 * filemap_remove() - a page leaves its tree.
 * @page: not mapped, not in I/O.
 * @value: what takes its place; 0: nothing.
 *
 * The frame is freed, or will be with its last reference.
 */
void filemap_remove(struct mm_system *sys, struct page *page, uint64_t value)
{
	struct address_space *mapping = page->mapping;

	MM_ASSERT(!page_is_mapped(page) && !page_has(page, PG_writeback | PG_locked));
	if (page_is_cache(page))
		filemap_clear_dirty(sys, page);
	if (value)
		radix_set(&mapping->tree, page->index, value);
	else
		radix_erase(&mapping->tree, page->index);
	mapping->nr_pages--;
	count_page(sys, page, -1);
	page->mapping = NULL;
	page->refs--;
	filemap_put(sys, page);
}

/**
 * filemap_put() - free the frame if nothing names it any more.
 */
void filemap_put(struct mm_system *sys, struct page *page)
{
	if (page->mapping || page->refs > 0)
		return;
	if (page_has(page, PG_isolated)) {
		page->flags |= PG_dead;
		return;
	}
	MM_ASSERT(!page_is_mapped(page) && !page_has(page, PG_swapcache));
	if (page_has(page, PG_lru))
		sys->policy_ops->remove(sys->policy, page);
	page->flags = 0;
	page->refs = 1;
	page_free(sys, page, 0);
	sys_wake(sys);
}

/**
 * filemap_map() - let an entry that is NONE name the page; it becomes IDLE.
 */
void filemap_map(struct mm *mm, struct page *page, pte_t *pte)
{
	MM_ASSERT(page->mapping && pte_is_none(*pte));
	MM_ASSERT(page->mapcount < PAGE_MAPCOUNT_MAX);
	page->refs++;
	if (page->mapcount++ == 0)
		STAT(mm->sys, nr_mapped, 1);
	mm->nr_file++;
	pte_set(mm, pte, pte_make(page_pfn(mm->sys, page), PTE_IDLE));
}

/**
 * filemap_unmap() - an entry of mm that named the page does so no more.
 */
void filemap_unmap(struct mm *mm, struct page *page)
{
	MM_ASSERT(page->refs > 0 && page->mapcount > 0);
	mm->nr_file--;
	page->refs--;
	if (--page->mapcount == 0)
		STAT(mm->sys, nr_mapped, -1);
	if (page_has(page, PG_mlocked))
		page_mlock_unmapped(mm->sys, page);
	filemap_put(mm->sys, page);
}

/**
 * filemap_mark_dirty() - the content changes now: the file's copy is older.
 * @page: in a tree.
 */
void filemap_mark_dirty(struct mm_system *sys, struct page *page)
{
	struct address_space *mapping = page->mapping;

	if (page_is_shmem(page)) {
		anon_page_mark_dirty(sys, page);
		return;
	}
	if (page_has(page, PG_dirty))
		return;
	if (!page_has(page, PG_writeback))
		page->flags &= ~(uint32_t)PG_reclaim;
	page->flags |= PG_dirty;
	radix_mark(&mapping->tree, page->index, FILEMAP_DIRTY);
	if (mapping->nr_dirty++ == 0)
		mapping->dirtied_ns = sys->now_ns;
	if (sys->files.nr_dirty++ == 0)
		sys->files.flush_due_ns =
			sys->now_ns +
			(uint64_t)sys->tune.dirty_writeback_centisecs * NS_PER_CENTISEC;
	STAT(sys, nr_dirty, 1);
	STAT(sys, nr_dirtied, 1);
}

/**
 * filemap_clear_dirty() - the page is written now, or thrown away.
 */
void filemap_clear_dirty(struct mm_system *sys, struct page *page)
{
	struct address_space *mapping = page->mapping;

	if (!page_has(page, PG_dirty))
		return;
	page->flags &= ~(uint32_t)PG_dirty;
	radix_unmark(&mapping->tree, page->index, FILEMAP_DIRTY);
	radix_unmark(&mapping->tree, page->index, FILEMAP_TOWRITE);
	mapping->nr_dirty--;
	sys->files.nr_dirty--;
	STAT(sys, nr_dirty, -1);
}

/* Throws a page away that nobody maps; its content is lost. */
static void page_drop(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_swapcache))
		swap_cache_del(sys, page);
	filemap_remove(sys, page, 0);
}

/* ... and what a tree has in place of a page. */
static void value_drop(struct address_space *mapping, uint64_t index, uint64_t value)
{
	if (filemap_value_is_swap(value))
		shmem_swap_zap(mapping, filemap_value_content(value));
	radix_erase(&mapping->tree, index);
}

/* Frees what a mapping has that nobody maps. Return: is it empty? */
static bool mapping_empty(struct mm_system *sys, struct address_space *mapping)
{
	uint64_t index = 0, value;

	while ((value = radix_next(&mapping->tree, &index, UINT64_MAX))) {
		struct page *page = filemap_value_page(value);

		if (page && page_has(page, PG_locked | PG_writeback))
			return false;
		if (page)
			page_drop(sys, page);
		else
			value_drop(mapping, index, value);
	}
	return true;
}

/**
 * filemap_reap() - free the mappings that nobody has any more.
 *
 * One whose I/O has not ended stays until the next call.
 */
void filemap_reap(struct mm_system *sys)
{
	struct address_space *mapping, *next;

	if (!sys->files.has_unused || sys->files.nr_pins > 0)
		return;
	sys->files.has_unused = false;
	list_for_each_entry_safe (mapping, next, &sys->files.mappings, node) {
		if (mapping->is_open || !list_is_empty(&mapping->i_mmap))
			continue;
		if (mapping->nr_io > 0 || mapping->nr_pins > 0 ||
		    !mapping_empty(sys, mapping)) {
			sys->files.has_unused = true;
			continue;
		}
		list_del(&mapping->node);
		commit_uncharge(sys, mapping->nr_committed);
		kmem_cache_free(sys, sys->files.mapping_cache, mapping);
	}
}

struct file_census {
	uint64_t nr_pages, nr_dirty, nr_writeback, nr_swapped;
};

static bool has_mark(const struct address_space *mapping, uint64_t index,
		     enum filemap_mark mark)
{
	return radix_is_marked(&mapping->tree, index, mark);
}

static int check_page(const struct address_space *mapping, uint64_t index,
		      const struct page *page)
{
	bool is_dirty = mapping->dev && page_has(page, PG_dirty);
	bool is_written = mapping->dev && page_has(page, PG_writeback);

	CHECK(page_has(page, PG_file) && !page_has(page, PG_anon)); /* 1 */
	CHECK(page->mapping == mapping && page->index == index);    /* 1 */
	CHECK(page_is_shmem(page) == (mapping->dev == NULL));
	CHECK(has_mark(mapping, index, FILEMAP_DIRTY) == is_dirty);	  /* 4 */
	CHECK(has_mark(mapping, index, FILEMAP_WRITEBACK) == is_written); /* 4 */
	CHECK(is_dirty || !has_mark(mapping, index, FILEMAP_TOWRITE));	  /* 4 */
	return 0;
}

static int check_value(const struct address_space *mapping, uint64_t index, uint64_t value,
		       struct file_census *census)
{
	const struct page *page = filemap_value_page(value);

	if (filemap_value_is_swap(value)) {
		CHECK(!mapping->dev);
		census->nr_swapped++;
		return 0;
	}
	if (!page)
		return 0;
	CHECK(check_page(mapping, index, page) == 0);
	census->nr_pages++;
	census->nr_dirty += mapping->dev && page_has(page, PG_dirty);
	census->nr_writeback += mapping->dev && page_has(page, PG_writeback);
	return 0;
}

static int check_mapping(const struct address_space *mapping)
{
	struct file_census census = {0};
	uint64_t index = 0, value;
	const struct vma *vma;

	CHECK(radix_check(&mapping->tree) == 0);
	for (; (value = radix_next(&mapping->tree, &index, UINT64_MAX)); index++)
		CHECK(check_value(mapping, index, value, &census) == 0);
	CHECK(census.nr_pages == mapping->nr_pages); /* 5 */
	CHECK(census.nr_dirty == mapping->nr_dirty); /* 5 */
	CHECK(census.nr_writeback == mapping->nr_writeback);
	CHECK(census.nr_swapped == mapping->nr_swapped);
	list_for_each_entry (vma, &mapping->i_mmap, i_mmap)
		CHECK(vma->mapping == mapping);
	return 0;
}

static bool count_entry(const struct rmap_entry *at, void *nr)
{
	(void)at;
	(*(uint64_t *)nr)++;
	return true;
}

/**
 * filemap_check_frame() - invariants 1 to 3 of one frame.
 * @page: PG_file.
 *
 * Return: 0, or -EUCLEAN.
 */
int filemap_check_frame(struct mm_system *sys, struct page *page)
{
	uint32_t names =
		(page->mapping != NULL) + page->mapcount + page_has(page, PG_swapcache);
	uint64_t nr_mappers = 0;

	CHECK(page->refs >= names && page->refs <= names + 2); /* 2 */
	if (!sys->nr_io && !sys->files.nr_pins)
		CHECK(page->refs == names || !page->mapping || page->mapping->nr_pins); /* 2 */
	CHECK(page->mapping || (page_has(page, PG_dead) && !page_is_mapped(page)));
	CHECK(page_has(page, PG_lru | PG_isolated | PG_locked | PG_writeback | PG_unevictable));
	CHECK(!(page_has(page, PG_lru) && page_has(page, PG_isolated)));
	if (!page->mapping)
		return 0;
	CHECK(filemap_find(page->mapping, page->index) == page); /* 1 */
	rmap_walk(sys, page, count_entry, &nr_mappers);
	CHECK(nr_mappers == page->mapcount); /* 3 */
	return 0;
}

/**
 * filemap_check_entry() - a page table entry that names a page of a file.
 *
 * Return: 0, or -EUCLEAN.
 */
int filemap_check_entry(const struct vma *vma, vaddr_t va, pte_t pte)
{
	const struct page *page = page_of(vma->mm->sys, pte_pfn(pte));

	CHECK(vma->mapping == page->mapping && page->mapping);
	CHECK(page->index == vma_index(vma, va));
	if (!pte_is_present(pte) || !(pte & PTE_WRITE))
		return 0;
	CHECK(vma->flags & VMA_SHARED && page_has(page, PG_dirty)); /* 6 */
	CHECK(!page_has(page, PG_writeback));			    /* 6 */
	return 0;
}

/**
 * filemap_check() - invariants 1, 4 and 5 of all mappings.
 *
 * Return: 0, or -EUCLEAN.
 */
int filemap_check(struct mm_system *sys)
{
	uint64_t nr_pages = 0, nr_shmem = 0, nr_dirty = 0, nr_writeback = 0;
	const struct address_space *mapping;

	list_for_each_entry (mapping, &sys->files.mappings, node) {
		CHECK(check_mapping(mapping) == 0);
		nr_pages += mapping->nr_pages;
		nr_shmem += mapping->dev ? 0 : mapping->nr_pages;
		nr_dirty += mapping->nr_dirty;
		nr_writeback += mapping->nr_writeback;
	}
	CHECK(nr_pages == sys->vmstat[MM_VMSTAT_nr_file_pages]); /* 5 */
	CHECK(nr_shmem == sys->vmstat[MM_VMSTAT_nr_shmem]);	 /* 5 */
	CHECK(nr_dirty == sys->vmstat[MM_VMSTAT_nr_dirty]);	 /* 5 */
	CHECK(nr_dirty == sys->files.nr_dirty);
	CHECK(nr_writeback == sys->files.nr_writeback);
	return 0;
}
