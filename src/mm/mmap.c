/* SPDX-License-Identifier: MIT */
/*
 * mmap, munmap, brk: ranges come and go.
 *
 * Each call has the meaning and the errors of Linux's (man 2 mmap, munmap, brk), except where
 * its description says so. All calls that change an address space follow one pattern:
 *
 *   check     the arguments, then what they meet in the tree;
 *   prepare   take the areas and tables that the change needs. This may fail, and is undone;
 *   machine   take translations away, then tell the machine where areas are. sys->lock is
 *             dropped meanwhile; the mm is write-locked, so nothing else changes the tree or an
 *             entry of the page tables;
 *   commit    change the tree and the tables, in one go under sys->lock. This cannot fail.
 *
 * 1. Whoever takes sys->lock finds tree and tables consistent, also between a writer's steps.
 * 2. -EAGAIN: the call may have taken translations away, but has changed no content, except
 *    content that it was told to throw away: a machine may stop in the middle of that. The call
 *    is then to be made again until it ends.
 * 3. Before an area leaves the tree, none of its pages has an entry.
 */
#include "mm/mmap.h"

#include "base/assert.h"
#include "mm/commit.h"
#include "mm/hugetlb.h"
#include "mm/mlock.h"
#include "mm/reclaim.h"

/* Linux's TASK_SIZE: a page below the end of what four levels translate. */
#define TASK_SIZE (PGTABLE_VA_MAX - PAGE_SIZE)

/* Pages that leave the machine in one op: one leaf table's worth. */
#define ZAP_BATCH PGTABLE_ENTRIES

/* What the manager does not do; the caller asks the kernel for such memory. */
#define MAP_UNSUPPORTED (MM_MAP_32BIT | MM_MAP_GROWSDOWN | MM_MAP_HUGETLB)

/* When an address space ends: how often a machine is asked before its pages are taken. */
#define DESTROY_TRIES 100

int mm_write_begin(struct mm *mm)
{
	sys_lock(mm->sys);
	if (mm_write_trylock(mm))
		return 0;
	sys_unlock(mm->sys);
	return -EAGAIN;
}

int mm_write_end(struct mm *mm, int err)
{
	struct mm_system *sys = mm->sys;

	if (err == -EBUSY)
		err = -EAGAIN;
	if (err == -EAGAIN)
		sys->has_waiters = true; /* nobody else will wake for the machine */
	mm_write_unlock(mm);
	filemap_reap(sys);
	if (err == MM_NO_FRAMES)
		err = mm_reclaim_for_call(mm);
	else if (!err)
		mm->nr_starved = 0;
	sys_unlock(sys);
	return err;
}

bool mm_range_in_window(const struct mm *mm, vaddr_t start, uint64_t len)
{
	return len <= mm->window_end - mm->window_start && start >= mm->window_start &&
	       start <= mm->window_end - len;
}

int mm_reserve(struct mm *mm, struct vma_reserve *reserve, unsigned int nr)
{
	return vma_reserve(mm, reserve, nr) ? MM_NO_FRAMES : 0;
}

unsigned int mm_nr_cuts(struct mm *mm, struct mm_range range)
{
	return (unsigned int)vma_is_cut_by(mm, range.start) +
	       (unsigned int)vma_is_cut_by(mm, range.end);
}

/* Collects the translated pages from *va on; *va becomes where the next batch begins. */
static void collect_present(struct mm *mm, vaddr_t *va, vaddr_t end,
			    struct machine_batch *batch)
{
	pte_t *pte;

	batch->flags = MACHINE_DISCARD;
	for (batch->nr = 0; batch->nr < ZAP_BATCH; *va += PAGE_SIZE) {
		pte = pgtable_next(mm, va, end);
		if (!pte) {
			*va = end;
			return;
		}
		if (!pte_is_present(*pte))
			continue;
		batch->changes[batch->nr++] =
			(struct machine_change){.va = *va, .old_pte = *pte};
		/* Others may have a use for what this mm throws away. */
		if (!anon_page_may_write(mm->sys, page_of(mm->sys, pte_pfn(*pte))))
			batch->flags = 0;
	}
}

static void resident_zap(struct mm *mm, struct page *page)
{
	if (page_has(page, PG_file))
		filemap_unmap(mm, page);
	else
		anon_page_zap(mm, page);
}

/* Every entry becomes NONE. The machine holds no translation in the range. */
static void zap_entries(struct mm *mm, struct mm_range range)
{
	pte_t *pte;

	for (vaddr_t va = range.start; (pte = pgtable_next(mm, &va, range.end));
	     va += PAGE_SIZE) {
		pte_t old = *pte;

		pte_set(mm, pte, 0);
		if (pte_is_swap(old))
			anon_swap_zap(mm, old);
		else
			resident_zap(mm, page_of(mm->sys, pte_pfn(old)));
	}
}

/**
 * mm_zap_range() - throw the content of a range away.
 *
 * Entries become NONE, frames and slots are freed now or when their I/O ends. Tables stay.
 *
 * Return: 0, or the machine's -errno; then a part at the front of the range may be done.
 * Context: sys->lock held, dropped and retaken; mm write-locked.
 */
int mm_zap_range(struct mm *mm, struct mm_range range)
{
	struct machine_change changes[ZAP_BATCH];
	struct machine_batch batch = {.changes = changes};
	vaddr_t va = range.start;
	int err = huge_zap_range(mm, range);

	if (err)
		return err;
	while (range.start < range.end) {
		collect_present(mm, &va, range.end, &batch);
		err = mm_machine_apply(mm, &batch);
		if (err) {
			if (batch.nr_done > 0)
				zap_entries(mm, (struct mm_range){range.start,
								  changes[batch.nr_done].va});
			return err;
		}
		zap_entries(mm, (struct mm_range){range.start, va});
		range.start = va;
	}
	return 0;
}

/* Tells the machine, in as few ops as the foreign areas in the range allow. */
void mm_region_unmap(struct mm *mm, struct mm_range range)
{
	struct vma *vma = vma_find_first(mm, range.start);

	while (range.start < range.end && vma && vma->start < range.end) {
		struct mm_range run = range_clip(range, vma);

		if (vma->flags & VMA_FOREIGN) {
			vma = vma_next(vma);
			continue;
		}
		for (vma = vma_next(vma); vma && vma->start == run.end && run.end < range.end &&
					  !(vma->flags & VMA_FOREIGN);
		     vma = vma_next(vma))
			run.end = min_u64(range.end, vma->end);
		mm_machine_region(mm, run.start, run.end, MACHINE_REGION_UNMAP, MM_PROT_NONE);
	}
}

/* @reserve has an area for each cut. The range has no entries any more; it may be empty. */
void mm_remove_areas(struct mm *mm, struct mm_range range, struct vma_reserve *reserve)
{
	struct vma *vma, *next;

	if (range.start >= range.end)
		return;
	vma_cut(mm, range.start, reserve);
	vma_cut(mm, range.end, reserve);
	for (vma = vma_find_first(mm, range.start); vma && vma->start < range.end; vma = next) {
		next = vma_next(vma);
		vma_remove(mm, vma);
	}
}

/**
 * mm_unmap_range() - the range leaves the address space.
 * @start: page aligned, in the window or not, as @end.
 *
 * Return: 0; -ENOMEM where there would be too many areas; MM_NO_FRAMES; the machine's -errno.
 * Context: sys->lock held, dropped and retaken; mm write-locked.
 */
int mm_unmap_range(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct mm_range range = {max_u64(start, mm->window_start),
				 min_u64(end, mm->window_end)};
	struct vma_reserve reserve = {0};
	struct vma *vma;
	int err;

	if (range.start >= range.end || vma_range_is_free(mm, range.start, range.end))
		return 0;
	if (!hugetlb_may_cut(mm, range))
		return -EINVAL;
	vma = vma_find(mm, range.start);
	if (vma && vma->start < range.start && vma->end > range.end &&
	    mm->nr_vmas >= mm_vmas_max(mm))
		return -ENOMEM;
	err = mm_reserve(mm, &reserve, mm_nr_cuts(mm, range));
	if (err)
		return err;
	err = mm_zap_range(mm, range);
	if (!err) {
		mm_region_unmap(mm, range);
		mm_remove_areas(mm, range, &reserve);
		pgtable_free_range(mm, range.start, range.end);
	}
	vma_unreserve(mm, &reserve);
	return err;
}

/**
 * mm_unmap() - munmap(2).
 * @addr: page aligned.
 * @len: bytes; rounded up to pages.
 *
 * Whatever of the range is mapped goes; holes are no error. Foreign areas only leave the tree:
 * their mapping is the caller's to take away.
 *
 * Return: 0; -EINVAL as Linux; -ENOMEM where an area would be cut in two and there are too many
 * already, or no memory can be had for it; -EAGAIN (see the top).
 * Context: takes sys->lock and write-locks mm.
 */
int mm_unmap(struct mm *mm, vaddr_t addr, uint64_t len)
{
	uint64_t aligned;
	int err;

	if (addr & ~PAGE_MASK || addr > TASK_SIZE || len > TASK_SIZE - addr)
		return -EINVAL;
	if (!checked_align_up(len, PAGE_SIZE, &aligned) || aligned == 0)
		return -EINVAL;
	err = mm_write_begin(mm);
	if (err)
		return err;
	return mm_write_end(mm, mm_unmap_range(mm, addr, addr + aligned));
}

struct map_request {
	vaddr_t addr; /* in: hint; then: where */
	uint64_t len; /* page aligned */
	uint32_t vma_flags;
	int prot;  /* MM_PROT_* */
	int flags; /* MM_MAP_* */
	struct address_space *mapping;
	uint64_t pgoff; /* pages */
};

/* A hint is honoured where the range is free, as long as it lies in the window. */
static int map_place(struct mm *mm, struct map_request *req)
{
	if (req->flags & MM_MAP_FIXED) {
		if (!mm_range_in_window(mm, req->addr, req->len))
			return -ENOMEM;
		if (req->addr & ~PAGE_MASK)
			return -EINVAL;
		if (req->flags & MM_MAP_FIXED_NOREPLACE &&
		    !vma_range_is_free(mm, req->addr, req->addr + req->len))
			return -EEXIST;
		return 0;
	}
	req->addr &= PAGE_MASK;
	if (mm_range_in_window(mm, req->addr, req->len) &&
	    vma_range_is_free(mm, req->addr, req->addr + req->len))
		return 0;
	return vma_find_gap(mm, req->len, &req->addr);
}

static uint32_t map_vma_flags(const struct mm *mm, int prot, int flags)
{
	uint32_t vma_flags = (uint32_t)prot & VMA_PROT;

	if (flags & MM_MAP_NORESERVE)
		vma_flags |= mm_noreserve_flag(mm);
	if (flags & MM_MAP_FOREIGN)
		return vma_flags | VMA_FOREIGN;
	if (flags & MM_MAP_SHARED)
		vma_flags |= VMA_SHARED;
	if (!(flags & MM_MAP_HUGETLB)) /* those stay anyway */
		vma_flags |= mm->def_flags | (flags & MM_MAP_LOCKED ? (uint32_t)VMA_LOCKED : 0);
	if (vma_flags_account(vma_flags))
		vma_flags |= VMA_ACCOUNT;
	return vma_flags;
}

/* May so much be locked, and promised? What goes where the new area comes is given back. */
static int map_charge(struct mm *mm, const struct map_request *req, struct vma_reserve *reserve)
{
	if (req->vma_flags & VMA_LOCKED && !mm_lock_allows(mm, req->len >> PAGE_SHIFT))
		return -ENOMEM;
	if (!(req->vma_flags & VMA_ACCOUNT))
		return 0;
	return mm_charge(mm, reserve, req->len >> PAGE_SHIFT,
			 mm_accounted_in(mm, req->addr, req->addr + req->len));
}

/*
 * The new area takes its place. What was there leaves the machine first: it is gone if the
 * machine then refuses the new one.
 */
static int map_commit(struct mm *mm, const struct map_request *req, struct vma_reserve *reserve)
{
	struct mm_range range = {req->addr, req->addr + req->len};
	bool is_free = vma_range_is_free(mm, range.start, range.end);
	int err = 0;

	if (!is_free) {
		err = mm_zap_range(mm, range);
		if (err)
			return err;
		mm_region_unmap(mm, range);
	}
	if (!(req->vma_flags & VMA_FOREIGN))
		err = mm_machine_region(mm, range.start, range.end, MACHINE_REGION_MAP,
					(int)(req->vma_flags & VMA_PROT));
	if (!is_free) {
		mm_remove_areas(mm, range, reserve);
		pgtable_free_range(mm, range.start, range.end);
	}
	if (!err)
		vma_add_like(mm,
			     &(const struct vma){.start = range.start,
						 .end = range.end,
						 .flags = req->vma_flags,
						 .mapping = req->mapping,
						 .pgoff = req->pgoff},
			     reserve);
	return err;
}

static bool type_is_known(const struct map_request *req)
{
	int type = req->flags & MM_MAP_TYPE;

	return req->flags & MM_MAP_FOREIGN || type == MM_MAP_PRIVATE || type == MM_MAP_SHARED ||
	       (type == MM_MAP_SHARED_VALIDATE && req->mapping);
}

/* Shared anonymous memory is charged whole, for as long as somebody maps it (Linux's shmem). */
static int map_shmem(struct mm *mm, struct map_request *req)
{
	uint64_t pages = req->vma_flags & VMA_NORESERVE ? 0 : req->len >> PAGE_SHIFT;
	int err = commit_charge(mm->sys, mm, pages, 0);

	if (err)
		return err;
	if (filemap_create(mm->sys, NULL, req->len, &req->mapping)) {
		commit_uncharge(mm->sys, pages);
		return MM_NO_FRAMES;
	}
	req->mapping->nr_committed = pages;
	return 0;
}

static int map_locked(struct mm *mm, struct map_request *req)
{
	struct vma_reserve reserve = {0};
	int err;

	req->vma_flags = map_vma_flags(mm, req->prot, req->flags);
	if (mm->nr_vmas > mm_vmas_max(mm))
		return -ENOMEM;
	err = map_place(mm, req);
	if (err)
		return err;
	if (!type_is_known(req))
		return -EINVAL;
	if (!hugetlb_may_cut(mm, (struct mm_range){req->addr, req->addr + req->len}))
		return -EINVAL;
	err = mm_reserve(
		mm, &reserve,
		1 + mm_nr_cuts(mm, (struct mm_range){req->addr, req->addr + req->len}));
	if (err)
		return err;
	err = map_charge(mm, req, &reserve);
	if (!err && req->vma_flags & VMA_SHARED && !req->mapping)
		err = map_shmem(mm, req);
	if (!err)
		err = map_commit(mm, req, &reserve);
	if (err && req->mapping)
		mm->sys->files.has_unused = true;
	vma_unreserve(mm, &reserve);
	return err;
}

/* Pages of files are mapped wherever somebody wants them. */
static bool machine_maps_shared(const struct mm *mm)
{
	return (mm->sys->machine->ops->caps & MACHINE_MAPS_SHARED) != 0;
}

/* Does the manager do this kind of mapping? */
static bool map_is_supported(const struct mm *mm, int flags)
{
	if (flags & MM_MAP_FOREIGN)
		return true;
	if ((flags & MM_MAP_TYPE) == MM_MAP_SHARED && !machine_maps_shared(mm))
		return false;
	return flags & MM_MAP_ANONYMOUS && !(flags & MAP_UNSUPPORTED);
}

/* What mm_map() and mm_map_file() do alike. */
static int map_request(struct mm *mm, struct map_request *req, uint64_t len, vaddr_t *ret_addr)
{
	int err;

	if (len == 0)
		return -EINVAL;
	if (!checked_align_up(len, PAGE_SIZE, &req->len))
		return -ENOMEM;
	if (req->flags & MM_MAP_LOCKED && mm->sys->cfg.memlock_bytes == 0)
		return -EPERM;
	if (req->flags & MM_MAP_FIXED_NOREPLACE)
		req->flags |= MM_MAP_FIXED;
	err = mm_write_begin(mm);
	if (err)
		return err;
	err = mm_write_end(mm, map_locked(mm, req));
	if (err)
		return err;
	*ret_addr = req->addr;
	if (req->vma_flags & VMA_LOCKED)
		mm_populate(mm, (struct mm_range){req->addr, req->addr + req->len});
	return 0;
}

/**
 * mm_map() - mmap(2) of anonymous memory, private or shared.
 * @hint: where, with MM_MAP_FIXED and MM_MAP_FIXED_NOREPLACE; otherwise a wish.
 * @len: bytes; rounded up to pages.
 * @prot: MM_PROT_*; bits that Linux does not know are ignored, as there.
 * @flags: MM_MAP_*, so too.
 *
 * Without a fixed address the highest free range of the window is taken. With MM_MAP_FOREIGN
 * the range only gets a place in the tree, so that nothing else is put there; its kind does not
 * matter then. A foreign mapping that a fixed one replaces is the caller's to take away, before
 * the call.
 *
 * With MM_MAP_LOCKED, and after mm_mlockall(MM_MCL_FUTURE), the area is locked and filled, as
 * far as memory is at hand (as in Linux, that it is not is no error; a fault locks the page
 * later).
 *
 * MM_MAP_POPULATE does nothing here. No other limit of the process is looked at. What can be
 * written is promised, unless MM_MAP_NORESERVE says otherwise (mm/commit.c):
 * vm.overcommit_memory decides whether it is too much.
 *
 * Return: 0; -EINVAL, -EEXIST as Linux; -EPERM where nothing may be locked; -ENOMEM as Linux
 * (above the limit of locked memory too, where Linux has -EAGAIN), where a fixed range does not
 * lie in the window, and where the overcommit mode forbids it; -EOPNOTSUPP for what the manager
 * does not do (a file: mm_map_file(); shared memory, where the machine cannot map a frame
 * twice; MM_MAP_32BIT, MM_MAP_GROWSDOWN; MM_MAP_HUGETLB where the machine has no larger pages,
 * see hugetlb_map()); -EINVAL also where a page of the pool would be cut; -EAGAIN (see the
 * top); the machine's -errno. If a machine refuses a range that replaces another, the other is
 * gone, as POSIX allows. Context: takes sys->lock and write-locks mm.
 */
int mm_map(struct mm *mm, vaddr_t hint, uint64_t len, int prot, int flags, vaddr_t *ret_addr)
{
	struct map_request req = {.addr = hint, .prot = prot, .flags = flags};

	if ((flags & MM_MAP_HUGETLB) && (mm->sys->machine->ops->caps & MACHINE_HUGE))
		return hugetlb_map(mm, hint, len, prot, flags, ret_addr);
	if (!map_is_supported(mm, flags))
		return -EOPNOTSUPP;
	return map_request(mm, &req, len, ret_addr);
}

/**
 * mm_map_file() - mmap(2) of a file.
 * @file: from mm_file_open(), of the same system.
 * @args: as mm_map()'s, and where in the file the range begins. MM_MAP_ANONYMOUS is not among
 *        its flags.
 *
 * Return: as mm_map(); -EINVAL for an offset that is not page aligned; -EOVERFLOW where the
 * range goes beyond what an offset can say; -EOPNOTSUPP where the machine cannot map a frame
 * twice, or for what mm_map() does not do either.
 * Context: takes sys->lock and write-locks mm.
 */
int mm_map_file(struct mm *mm, struct address_space *file, const struct mm_map_file_args *args,
		vaddr_t *ret_addr)
{
	struct map_request req = {.addr = args->hint,
				  .prot = args->prot,
				  .flags = args->flags,
				  .mapping = file,
				  .pgoff = args->offset >> PAGE_SHIFT};
	uint64_t end;

	if (!machine_maps_shared(mm) || args->flags & (MAP_UNSUPPORTED | MM_MAP_FOREIGN))
		return -EOPNOTSUPP;
	if (args->offset & ~PAGE_MASK || args->flags & MM_MAP_ANONYMOUS)
		return -EINVAL;
	if (!checked_add(args->offset, args->len, &end) || end > INT64_MAX)
		return -EOVERFLOW;
	return map_request(mm, &req, args->len, ret_addr);
}

static int brk_grow(struct mm *mm, vaddr_t start, vaddr_t end)
{
	struct map_request req = {.addr = start,
				  .len = end - start,
				  .vma_flags =
					  VMA_READ | VMA_WRITE | VMA_ACCOUNT | mm->def_flags};
	struct vma_reserve reserve = {0};
	struct vma *next = vma_find_first(mm, start);
	int err;

	/* A page stays free above the heap (Linux: find_vma_prev() in brk()). */
	if (!mm_range_in_window(mm, start, req.len) ||
	    (next && next->start < end + PAGE_SIZE) || mm->nr_vmas > mm_vmas_max(mm))
		return -ENOMEM;
	err = mm_reserve(mm, &reserve, 1);
	if (err)
		return err;
	err = map_charge(mm, &req, &reserve);
	if (!err)
		err = map_commit(mm, &req, &reserve);
	vma_unreserve(mm, &reserve);
	return err;
}

static int brk_locked(struct mm *mm, vaddr_t brk)
{
	vaddr_t old_end = (mm->brk + PAGE_SIZE - 1) & PAGE_MASK, end;
	int err = 0;

	if (brk < mm->start_brk)
		return 0; /* asks where it is */
	if (!checked_align_up(brk, PAGE_SIZE, &end))
		return -ENOMEM;
	if (end < old_end)
		err = mm_unmap_range(mm, end, old_end);
	else if (end > old_end)
		err = brk_grow(mm, old_end, end);
	if (!err)
		mm->brk = brk;
	return err;
}

/**
 * mm_brk() - brk(2): move the end of the heap.
 * @brk: any byte; below the heap's start (0, say): only tells where it ends.
 * @ret_brk: where it ends now; in Linux the system call's value.
 *
 * Return: 0; -ENOMEM where it cannot grow so far, where Linux's system call answers with the
 * old end; -EAGAIN (see the top); the machine's -errno.
 * Context: takes sys->lock and write-locks mm.
 */
int mm_brk(struct mm *mm, vaddr_t brk, vaddr_t *ret_brk)
{
	struct mm_range grown;
	bool is_locked;
	int err = mm_write_begin(mm);

	if (err)
		return err;
	grown.start = mm->brk & PAGE_MASK;
	err = brk_locked(mm, brk);
	grown.end = mm->brk;
	is_locked = mm->def_flags != 0;
	err = mm_write_end(mm, err);
	if (err)
		return err;
	*ret_brk = grown.end;
	if (is_locked && grown.end > grown.start)
		mm_populate(mm, grown);
	return 0;
}

/**
 * mm_query() - the first area that ends after an address.
 *
 * Return: 0, or -ENOENT where there is none.
 * Context: takes sys->lock.
 */
int mm_query(struct mm *mm, vaddr_t addr, struct mm_area *ret_area)
{
	struct vma *vma;

	sys_lock(mm->sys);
	vma = vma_find_first(mm, addr);
	if (vma)
		*ret_area = (struct mm_area){
			.start = vma->start,
			.end = vma->end,
			.prot = (int)(vma->flags & VMA_PROT),
			.is_foreign = (vma->flags & VMA_FOREIGN) != 0,
		};
	sys_unlock(mm->sys);
	return vma ? 0 : -ENOENT;
}

/**
 * mm_replay_regions() - tell the machine where every managed area is.
 *
 * Return: 0, or the machine's -errno.
 * Context: sys->lock held, dropped and retaken; mm write-locked.
 */
int mm_replay_regions(struct mm *mm)
{
	struct vma *vma;
	int err = 0;

	for (vma = vma_find_first(mm, 0); vma && !err; vma = vma_next(vma))
		if (!(vma->flags & VMA_FOREIGN))
			err = mm_machine_region(mm, vma->start, vma->end, MACHINE_REGION_MAP,
						(int)(vma->flags & VMA_PROT));
	return err;
}

/**
 * mm_unmap_all() - everything leaves the address space.
 *
 * A machine that does not let a page go by then loses it with its space.
 *
 * Context: sys->lock held, dropped and retaken; nobody else uses mm.
 */
void mm_unmap_all(struct mm *mm)
{
	struct mm_range all = {mm->window_start, mm->window_end};
	struct vma_reserve none = {0};

	mm->users = -1;
	for (int i = 0; i < DESTROY_TRIES && mm_zap_range(mm, all); i++)
		;
	huge_zap_all(mm);
	zap_entries(mm, all);
	mm_region_unmap(mm, all);
	mm_remove_areas(mm, all, &none);
	mm->brk = mm->start_brk;
	mm->users = 0;
}
