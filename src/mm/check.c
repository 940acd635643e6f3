/* SPDX-License-Identifier: MIT */
/*
 * mm_check(): every invariant of the manager, module by module, then those between modules:
 *  1. page->mapcount is the number of resident entries that name the page, and rmap_walk()
 *     finds them. An exclusive page is named by the entry that page->mm and page->index say; a
 *     shared one by entries at page->index, in mms of its family.
 *  2. page->refs is the number of its names: entries, swap cache, I/O in flight.
 *  3. A slot's count is the number of swap entries that name it.
 *  4. A page that is on no list and not isolated has I/O in flight or is being made
 * (PG_locked).
 *  5. The counters of mms and the present values of vmstat are the true numbers.
 *  6. A page that others may read is translated writable nowhere: a shared one, or one whose
 * slot swap entries name.
 */
#include "base/assert.h"
#include "mm/commit.h"
#include "mm/hugetlb.h"
#include "mm/mlock.h"
#include "mm/reclaim.h"
#include "mm/rmap.h"
#include "mm/slab.h"
#include "mm/vma.h"
#include "mm/vmalloc.h"

struct census {
	uint64_t nr_anon, nr_mapped, nr_thp, nr_swapcached, nr_writeback, nr_touched;
	uint64_t nr_file_mapped, nr_file_entries; /* pages, and the entries that name them */
	uint64_t nr_mlock, nr_unevictable;
};

/* mm/mlock.c */
static int check_locked(struct mm_system *sys, struct page *page)
{
	bool is_locked = page_has(page, PG_mlocked);

	CHECK(is_locked || !page_has(page, PG_unevictable));				 /* 1 */
	CHECK(!page_has(page, PG_unevictable) || !page_has(page, PG_lru | PG_isolated)); /* 1 */
	if (page_block_order(page) > 0) {
		CHECK(!is_locked);
		return 0;
	}
	CHECK(is_locked == page_is_in_locked_area(sys, page)); /* 2 */
	return 0;
}

static int check_file_frame(struct mm_system *sys, struct page *page, struct census *census)
{
	census->nr_file_mapped += page_is_mapped(page);
	census->nr_file_entries += page->mapcount;
	census->nr_swapcached += page_has(page, PG_swapcache);
	census->nr_writeback += page_is_shmem(page) && page_has(page, PG_writeback);
	census->nr_mlock += page_has(page, PG_mlocked);
	census->nr_unevictable += page_has(page, PG_unevictable);
	CHECK(check_locked(sys, page) == 0);
	return filemap_check_frame(sys, page);
}

static int check_frame(struct mm_system *sys, pfn_t pfn, struct census *census)
{
	struct page *page = page_of(sys, pfn);
	uint32_t names;

	if (page_has(page, PG_file))
		return check_file_frame(sys, page, census);
	if (!page_has(page, PG_anon))
		return 0;
	names = page->mapcount + page_has(page, PG_swapcache);
	if (!sys->nr_io)
		CHECK(page->refs == names && !page_has(page, PG_writeback)); /* 2 */
	CHECK(page->refs >= names && page->refs <= names + 1);		     /* 2 */
	CHECK(names > 0 || page_has(page, PG_dead));
	CHECK(page_has(page, PG_lru | PG_isolated | PG_locked | PG_writeback |
				     PG_unevictable)); /* 4 */
	CHECK(check_locked(sys, page) == 0);
	CHECK(!(page_has(page, PG_lru) && page_has(page, PG_isolated)));
	CHECK(page_has(page, PG_dirty | PG_swapcache | PG_lazyfree | PG_dead));
	census->nr_anon += page_is_mapped(page) ? page_weight(page) : 0;
	census->nr_mapped += (uint64_t)page->mapcount * page_weight(page);
	census->nr_thp += page_is_mapped(page) && page_block_order(page) == HUGE_ORDER_2M;
	census->nr_swapcached += page_has(page, PG_swapcache);
	census->nr_writeback += page_has(page, PG_writeback);
	census->nr_mlock += page_has(page, PG_mlocked);
	census->nr_unevictable += page_has(page, PG_unevictable);
	return 0;
}

static bool count_mapper(const struct rmap_entry *at, void *nr)
{
	(void)at;
	++*(uint64_t *)nr;
	return true;
}

/* What one entry and its page say of each other. */
static int check_mapping(struct mm *mm, vaddr_t va, pte_t pte, struct page *page)
{
	uint64_t nr = 0;

	CHECK(page_has(page, PG_anon) && page->index == va >> PAGE_SHIFT); /* 1 */
	CHECK(!(pte_is_present(pte) && page_has(page, PG_writeback)));
	if (pte_is_present(pte) && pte & PTE_WRITE)
		CHECK(anon_page_may_write(mm->sys, page)); /* 6 */
	if (page_is_exclusive(page)) {
		CHECK(page->mm == mm && page->mapcount == 1); /* 1 */
		return 0;
	}
	CHECK(page->family && page->family == mm->family); /* 1 */
	rmap_walk(mm->sys, page, count_mapper, &nr);
	CHECK(nr == page->mapcount); /* 1 */
	return 0;
}

static int check_entry(struct mm *mm, vaddr_t va, pte_t pte, uint64_t *nr_resident,
		       uint64_t *nr_swapped)
{
	struct mm_system *sys = mm->sys;
	struct page *page;

	if (pte_is_swap(pte)) {
		CHECK(swp_type(pte) < sys->nr_swap_areas && sys->swap_areas[swp_type(pte)]);
		CHECK(swap_entry_count(sys, pte) >= 1); /* 3 */
		(*nr_swapped)++;
		return 0;
	}
	CHECK(pte_pfn(pte) < sys->nr_frames);
	page = page_of(sys, pte_pfn(pte));
	CHECK(check_mapping(mm, va, pte, page) == 0);
	(*nr_resident)++;
	return 0;
}

static int check_mm(struct mm *mm, struct census *census)
{
	uint64_t nr_resident = 0, nr_swapped = 0, nr_file = 0;
	pte_t *pte;

	CHECK(vma_check(mm) == 0);
	CHECK(pgtable_check(mm) == 0);
	for (vaddr_t va = mm->window_start; (pte = pgtable_next(mm, &va, mm->window_end));
	     va += PAGE_SIZE) {
		const struct vma *vma = vma_find(mm, va);

		CHECK(vma != NULL);
		if (pte_is_resident(*pte) && *pte & PTE_CONT)
			continue; /* huge_check() */
		if (pte_is_resident(*pte) &&
		    page_has(page_of(mm->sys, pte_pfn(*pte)), PG_file)) {
			CHECK(filemap_check_entry(vma, va, *pte) == 0);
			nr_file++;
			continue;
		}
		CHECK(!(vma->flags & VMA_SHARED));
		CHECK(check_entry(mm, va, *pte, &nr_resident, &nr_swapped) == 0);
	}
	CHECK(mm->nr_file == nr_file); /* 5 */
	CHECK(huge_check(mm, &nr_resident) == 0);
	CHECK(mm->nr_resident == nr_resident && mm->nr_swapped == nr_swapped); /* 5 */
	census->nr_touched += nr_resident + nr_swapped;
	return 0;
}

static int check_swap_counts(struct mm_system *sys)
{
	uint64_t named = 0, counted = 0;
	const struct address_space *mapping;
	struct mm *mm;

	list_for_each_entry (mm, &sys->mms, node)
		named += mm->nr_swapped;
	list_for_each_entry (mapping, &sys->files.mappings, node)
		named += mapping->nr_swapped;
	for (unsigned int t = 0; t < sys->nr_swap_areas; t++)
		for (uint64_t s = 1;
		     sys->swap_areas[t] && s < sys->swap_areas[t]->dev->nr_slots; s++)
			counted += swap_entry_count(sys, swp_entry(t, s));
	CHECK(named == counted); /* 3 */
	return 0;
}

static int check_all(struct mm_system *sys)
{
	struct census census = {0};
	uint64_t nr_resident = 0, nr_file = 0, nr_dying = 0;
	struct mm *mm;

	CHECK(zone_check(sys) == 0);
	CHECK(slab_check(sys) == 0);
	CHECK(vmalloc_check(sys) == 0);
	CHECK(hugetlb_check(sys) == 0);
	CHECK(balloon_check(sys) == 0);
	CHECK(sysctl_check(sys) == 0);
	CHECK(commit_check(sys) == 0);
	CHECK(swap_check(sys) == 0);
	CHECK(filemap_check(sys) == 0);
	CHECK(sys->policy_ops->check(sys->policy) == 0);
	for (pfn_t pfn = 0; pfn < sys->nr_frames; pfn++)
		CHECK(check_frame(sys, pfn, &census) == 0);
	list_for_each_entry (mm, &sys->mms, node) {
		CHECK(!mm->is_oom_reaped || mm->is_oom_victim);
		nr_dying += mm->is_oom_victim && !mm->is_oom_reaped;
		CHECK(check_mm(mm, &census) == 0);
		nr_resident += mm->nr_resident;
		nr_file += mm->nr_file;
	}
	CHECK(sys->nr_oom_dying == nr_dying); /* oom.c */
	CHECK(check_swap_counts(sys) == 0);
	CHECK(census.nr_mapped == nr_resident);					      /* 1, 5 */
	CHECK(census.nr_anon == sys->vmstat[MM_VMSTAT_nr_anon_pages]);		      /* 5 */
	CHECK(census.nr_thp == sys->vmstat[MM_VMSTAT_nr_anon_transparent_hugepages]); /* 5 */
	CHECK(census.nr_swapcached == sys->vmstat[MM_VMSTAT_nr_swapcached]);	      /* 5 */
	CHECK(census.nr_file_entries == nr_file);				      /* 5 */
	CHECK(census.nr_file_mapped == sys->vmstat[MM_VMSTAT_nr_mapped]);	      /* 5 */
	CHECK(census.nr_writeback + sys->files.nr_writeback ==
	      sys->vmstat[MM_VMSTAT_nr_writeback]);	  /* 5 */
	CHECK(census.nr_writeback == sys->nr_reclaiming); /* 5 */
	CHECK(census.nr_touched == sys->nr_touched);	  /* 5 */
	CHECK(census.nr_mlock == sys->vmstat[MM_VMSTAT_nr_mlock]);
	CHECK(census.nr_unevictable == sys->vmstat[MM_VMSTAT_nr_unevictable]);
	return 0;
}

/**
 * mm_check() - walk every invariant of the system.
 *
 * Return: 0, or -EUCLEAN after a line on the log for each level that found it broken.
 * Context: takes sys->lock for the whole walk. Other threads may run; what they have under way
 * (PG_locked, isolated) is a legal state.
 */
int mm_check(struct mm_system *sys)
{
	int err;

	sys_lock(sys);
	err = check_all(sys);
	sys_unlock(sys);
	return err;
}
