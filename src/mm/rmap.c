/* SPDX-License-Identifier: MIT */
/*
 * From a frame back to what names it.
 *
 * page->mapcount page table entries map a page, and rmap_walk() finds them. That of an
 * exclusive anonymous page is said by page->mm and page->index: no list, no memory. A page that
 * fork made common to several address spaces (PG_shared) names their family instead: all mms
 * that descend from one by fork. Nothing moves a shared page to another address (mremap copies
 * it first), so it is mapped by those members whose entry at page->index names the frame. The
 * walk looks at each member's tables, and ends when it has found mapcount of them. Linux keeps
 * a tree of VMAs for each such page instead (anon_vma), which costs memory for each VMA of each
 * process.
 *
 * A shared page becomes exclusive again by the write of its last mapper
 * (page_make_exclusive()), or when nobody maps it.
 *
 * A page of a file is mapped through areas on its mapping's i_mmap (mm/filemap.c).
 *
 * A page is also named by its slot while it is in the swap cache. Each name is a reference, I/O
 * in flight is one more, and the frame is freed with the last.
 *
 * A frame that reclaim has isolated is in somebody's array and cannot go at once: it is marked
 * PG_dead, comes back to a list, and the next scan frees it. So is a frame with I/O in flight,
 * which is freed when that ends.
 */
#include "mm/rmap.h"
#include "base/assert.h"
#include "mm/huge.h"
#include "mm/mlock.h"
#include "mm/reclaim.h"
#include "mm/slab.h"
#include "mm/vma.h"

/* The entry of an exclusive page that is mapped. */
pte_t *anon_page_pte(const struct page *page)
{
	pte_t *pte = page_block_order(page)
			     ? huge_page_entry(page)
			     : pgtable_lookup(page->mm, page->index << PAGE_SHIFT);

	MM_ASSERT(pte && pte_is_resident(*pte));
	return pte;
}

static bool walk_exclusive(struct page *page, rmap_fn fn, void *arg)
{
	return fn(&(const struct rmap_entry){.mm = page->mm,
					     .va = page->index << PAGE_SHIFT,
					     .pte = anon_page_pte(page)},
		  arg);
}

/* Looks up what maps the page at a place. Return: false if nothing does. */
static bool find_entry(struct mm_system *sys, const struct page *page, struct rmap_entry *at)
{
	at->pte = pgtable_lookup(at->mm, at->va);
	return at->pte && pte_is_resident(*at->pte) && pte_pfn(*at->pte) == page_pfn(sys, page);
}

static bool walk_family(struct mm_system *sys, struct page *page, rmap_fn fn, void *arg)
{
	const struct anon_family *family = page->family;
	struct rmap_entry at = {.va = page->index << PAGE_SHIFT};
	uint64_t left = page->mapcount;

	list_for_each_entry (at.mm, &family->mms, family_node) {
		if (!find_entry(sys, page, &at))
			continue;
		if (!fn(&at, arg))
			return false;
		if (--left == 0)
			return true;
	}
	MM_ASSERT(left == 0);
	return true;
}

/* Through the areas that map the page's place in its file. */
static bool walk_file(struct mm_system *sys, struct page *page, rmap_fn fn, void *arg)
{
	const struct address_space *mapping = page->mapping;
	uint64_t left = page->mapcount;
	struct vma *vma;

	list_for_each_entry (vma, &mapping->i_mmap, i_mmap) {
		struct rmap_entry at = {.mm = vma->mm};

		if (page->index < vma->pgoff || page->index >= vma_index(vma, vma->end))
			continue;
		at.va = vma->start + ((page->index - vma->pgoff) << PAGE_SHIFT);
		if (!find_entry(sys, page, &at))
			continue;
		if (!fn(&at, arg))
			return false;
		if (--left == 0)
			return true;
	}
	MM_ASSERT(left == 0);
	return true;
}

/**
 * rmap_walk() - visit the page table entries that map a page.
 * @page: of a program; mapped or not.
 * @fn: is called for each, until it returns false.
 *
 * Return: false if @fn did.
 * Context: sys->lock held.
 */
bool rmap_walk(struct mm_system *sys, struct page *page, rmap_fn fn, void *arg)
{
	MM_DEBUG_ASSERT(page_has(page, PG_anon | PG_file));
	if (!page_is_mapped(page))
		return true;
	if (page_has(page, PG_file))
		return walk_file(sys, page, fn, arg);
	if (page_is_exclusive(page))
		return walk_exclusive(page, fn, arg);
	return walk_family(sys, page, fn, arg);
}

/* In use by somebody who runs without the lock: not to be changed or freed now. */
bool anon_page_is_busy(const struct page *page)
{
	return page_has(page, PG_locked | PG_writeback);
}

/* The entry at va is about to name the page. */
void anon_page_attach(struct mm *mm, struct page *page, vaddr_t va)
{
	MM_ASSERT(!page_is_mapped(page) && !page_has(page, PG_dead | PG_shared));
	page->mm = mm;
	page->index = va >> PAGE_SHIFT;
	page->mapcount = 1;
	page->refs++;
	mm->nr_resident++;
	STAT(mm->sys, nr_anon_pages, 1);
	if (mm->locked_vm > 0)
		page_mlock_mapped(mm, page);
}

static struct anon_family *family_of(const struct page *page)
{
	return page_has(page, PG_shared) ? page->family : page->mm->family;
}

/**
 * rmap_can_share() - can an mm be one more mapper of a page, at this address?
 * @page: anonymous, mapped.
 *
 * Return: true if the page's family is its, and will find it there.
 * Context: sys->lock held.
 */
bool rmap_can_share(const struct mm *mm, const struct page *page, vaddr_t va)
{
	return mm->family && family_of(page) == mm->family && page->index == va >> PAGE_SHIFT &&
	       page->mapcount < PAGE_MAPCOUNT_MAX;
}

/* One more mapper. It may be written no more, where it is translated. */
void rmap_share(struct mm *mm, struct page *page)
{
	MM_ASSERT(page_is_mapped(page) && page->mapcount < PAGE_MAPCOUNT_MAX);
	MM_ASSERT(mm->family && family_of(page) == mm->family);
	if (!page_has(page, PG_shared)) {
		page->family = mm->family;
		page->flags |= PG_shared;
	}
	page->mapcount++;
	page->refs++;
	mm->nr_resident++;
	if (mm->locked_vm > 0)
		page_mlock_mapped(mm, page);
}

/* mm is the one mapper that is left. */
void rmap_make_exclusive(struct mm *mm, struct page *page)
{
	MM_ASSERT(page_has(page, PG_shared) && page->mapcount == 1);
	MM_ASSERT(page->family == mm->family);
	page->flags &= ~(uint32_t)PG_shared;
	page->mm = mm;
}

/* An entry of mm that named the page does so no more. Its content may have no other. */
void rmap_detach(struct mm *mm, struct page *page)
{
	MM_ASSERT(page->refs > 0 && page->mapcount > 0);
	mm->nr_resident--;
	page->refs--;
	page->mapcount--;
	if (page_has(page, PG_mlocked))
		page_mlock_unmapped(mm->sys, page);
	if (page->mapcount > 0)
		return;
	STAT(mm->sys, nr_anon_pages, -1);
	page->mm = NULL;
	page->flags &= ~(uint32_t)PG_shared;
}

/**
 * family_ensure() - an mm that will fork has a family.
 *
 * Return: 0, or -ENOMEM. Context: sys->lock held.
 */
int family_ensure(struct mm *mm)
{
	struct anon_family *family = mm->family;

	if (family)
		return 0;
	family = kzalloc(mm->sys, sizeof(*family));
	if (!family)
		return -ENOMEM;
	list_init(&family->mms);
	family_join(family, mm);
	return 0;
}

void family_join(struct anon_family *family, struct mm *mm)
{
	MM_ASSERT(!mm->family);
	mm->family = family;
	list_add_tail(&mm->family_node, &family->mms);
	family->nr_mms++;
}

/* The mm ends, and has no pages any more. With the last its family goes. */
void family_leave(struct mm *mm)
{
	struct anon_family *family = mm->family;

	MM_ASSERT(mm->nr_resident == 0);
	if (!family)
		return;
	mm->family = NULL;
	list_del(&mm->family_node);
	if (--family->nr_mms == 0)
		kfree(mm->sys, family);
}

/* Can the entry name the frame that caches its slot? Otherwise it gets a copy. */
bool anon_page_can_attach(const struct mm *mm, const struct page *page, vaddr_t va)
{
	return !page_is_mapped(page) || rmap_can_share(mm, page, va);
}

/**
 * anon_swap_attach() - the slot's frame is in the cache: let the entry name it.
 * @pte: the swap entry; it becomes IDLE.
 * @page: not busy; anon_page_can_attach().
 */
void anon_swap_attach(struct mm *mm, pte_t *pte, struct page *page, vaddr_t va)
{
	swp_entry_t entry = *pte;

	if (page_is_mapped(page))
		rmap_share(mm, page);
	else
		anon_page_attach(mm, page, va);
	pte_set(mm, pte, pte_make(page_pfn(mm->sys, page), PTE_IDLE));
	mm->nr_swapped--;
	swap_entry_put(mm->sys, entry);
}

/* Lets the entry name the slot instead of the frame. */
static void anon_page_to_swap(struct mm *mm, struct page *page, pte_t *pte)
{
	swp_entry_t entry = page_swap(page);

	MM_ASSERT(pte_is_idle(*pte) && page_has(page, PG_swapcache));
	pte_set(mm, pte, entry);
	swap_entry_dup(mm->sys, entry);
	mm->nr_swapped++;
	rmap_detach(mm, page);
}

/* May this entry be changed now? */
static enum unmap_result entry_state(const struct mm *mm, pte_t pte, const struct mm *locked)
{
	if (pte_is_present(pte))
		return UNMAP_BUSY; /* used again */
	return mm->users < 0 && mm != locked ? UNMAP_REFUSED : UNMAP_DONE;
}

struct can_unmap {
	const struct mm *locked;
	enum unmap_result result;
};

static bool entry_can_unmap(const struct rmap_entry *at, void *arg)
{
	struct can_unmap *can = arg;

	can->result = entry_state(at->mm, *at->pte, can->locked);
	return can->result == UNMAP_DONE;
}

/**
 * rmap_can_unmap() - may all entries that map the page be changed now?
 * @locked: an mm that the caller has write-locked, or NULL.
 *
 * Return: UNMAP_DONE: yes, while sys->lock is held; else why not.
 * Context: sys->lock held.
 */
enum unmap_result rmap_can_unmap(struct mm_system *sys, struct page *page,
				 const struct mm *locked)
{
	struct can_unmap can = {.locked = locked, .result = UNMAP_DONE};

	if (page_is_exclusive(page) && page_is_mapped(page))
		return entry_state(page->mm, *anon_page_pte(page), locked);
	rmap_walk(sys, page, entry_can_unmap, &can);
	return can.result;
}

static bool entry_to_swap(const struct rmap_entry *at, void *page)
{
	anon_page_to_swap(at->mm, page, at->pte);
	return true;
}

/**
 * try_to_unmap() - let all entries name the page's slot instead of the frame.
 * @page: mapped, clean, in the swap cache.
 * @locked: an mm that the caller has write-locked, or NULL.
 *
 * The frame stays in the swap cache; it is the caller's to drop.
 *
 * Return: enum unmap_result; if not UNMAP_DONE, nothing has changed.
 * Context: sys->lock held.
 */
enum unmap_result try_to_unmap(struct mm_system *sys, struct page *page,
			       const struct mm *locked)
{
	enum unmap_result result;
	pte_t *pte;

	if (page_is_exclusive(page)) {
		pte = anon_page_pte(page);
		result = entry_state(page->mm, *pte, locked);
		if (result == UNMAP_DONE)
			anon_page_to_swap(page->mm, page, pte);
		return result;
	}
	result = rmap_can_unmap(sys, page, locked);
	if (result != UNMAP_DONE)
		return result;
	if (swap_count_reserve(sys, page_swap(page), page->mapcount))
		return UNMAP_BUSY; /* later */
	rmap_walk(sys, page, entry_to_swap, page);
	return UNMAP_DONE;
}

static bool entry_to_none(const struct rmap_entry *at, void *page)
{
	pte_set(at->mm, at->pte, 0);
	anon_page_zap(at->mm, page);
	return true;
}

/**
 * rmap_unmap_lazyfree() - throw a page away that nobody wrote since MADV_FREE.
 * @page: clean, rmap_can_unmap(); it is freed.
 */
void rmap_unmap_lazyfree(struct mm_system *sys, struct page *page)
{
	rmap_walk(sys, page, entry_to_none, page);
}

/* The content changes now: a copy in swap is worth nothing any more. */
void anon_page_mark_dirty(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_swapcache) && !page_has(page, PG_writeback))
		swap_cache_del(sys, page);
	page->flags |= PG_dirty;
	page->flags &= ~(uint32_t)PG_lazyfree;
}

void page_mark_dirty(struct mm_system *sys, struct page *page)
{
	if (page_has(page, PG_file))
		filemap_mark_dirty(sys, page);
	else
		anon_page_mark_dirty(sys, page);
}

/**
 * anon_page_put() - free the frame if nothing names it any more.
 *
 * A swap cache entry that nobody else needs goes with it.
 */
void anon_page_put(struct mm_system *sys, struct page *page)
{
	unsigned int order = page_block_order(page);

	if (page_is_mapped(page) || anon_page_is_busy(page)) {
		if (!page_is_mapped(page))
			page->flags |= PG_dead;
		return;
	}
	if (page_has(page, PG_swapcache))
		swap_cache_del(sys, page);
	if (page_has(page, PG_isolated)) {
		page->flags |= PG_dead;
		return;
	}
	MM_ASSERT(page->refs == 0);
	if (page_has(page, PG_lru))
		sys->policy_ops->remove(sys->policy, page);
	page->flags = order << PAGE_ORDER_SHIFT;
	page->refs = 1;
	page->owner = 0;
	page_free(sys, page, order);
	sys_wake(sys);
}

void anon_page_zap(struct mm *mm, struct page *page)
{
	MM_DEBUG_ASSERT(page_has(page, PG_shared) ? page->family == mm->family
						  : page->mm == mm);
	mm->sys->nr_touched--;
	rmap_detach(mm, page);
	if (page_is_mapped(page))
		return;
	page->flags &= ~(uint32_t)PG_reclaim;
	anon_page_put(mm->sys, page);
}

void anon_swap_zap(struct mm *mm, swp_entry_t entry)
{
	struct mm_system *sys = mm->sys;
	struct page *page = swap_cache_lookup(sys, entry);

	mm->nr_swapped--;
	sys->nr_touched--;
	swap_entry_put(sys, entry);
	if (page && !page_is_mapped(page) && swap_entry_count(sys, entry) == 0)
		anon_page_put(sys, page);
}
