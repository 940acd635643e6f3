/* SPDX-License-Identifier: MIT */
/*
 * Mappings inside the window that the manager does not manage: files, shared memory, code.
 *
 * The manager only knows that the place is taken (MM_MAP_FOREIGN), the kernel has the mapping.
 * It comes there by mremap(2), which replaces what was there in one step: the window's own
 * reserved memory, or another foreign mapping. When it goes, rt_port_window_restore() puts
 * reserved memory in its place, which replaces it in one step, too. So a program's MAP_FIXED
 * mapping that the kernel chooses elsewhere can never get in between.
 *
 * Memory that becomes executable leaves the manager for good (rt_foreign_make()): the kernel
 * would have to tell us of each instruction fetch. A page of it that another thread touches
 * while it is on its way is a SIGSEGV to that thread; a compiler that turns data into code does
 * so before anybody runs it.
 */
#include "run/foreign.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "mm/system.h"
#include "run/port.h"
#include "run/runtime.h"
#include "run/thread.h"

#define NOTED_PROT (MM_PROT_READ | MM_PROT_WRITE) /* the kernel knows the true one */

/**
 * rt_area_next() - the first part of [at, end) that is one area.
 *
 * Return: false if there is none.
 */
bool rt_area_next(struct runtime *rt, vaddr_t at, vaddr_t end, struct mm_area *ret_part)
{
	struct mm_area area;

	if (mm_query(rt->mm, at, &area) || area.start >= end)
		return false;
	area.start = max_u64(area.start, at);
	area.end = min_u64(area.end, end);
	*ret_part = area;
	return true;
}

/* The range is window again, for the kernel and for the manager. */
static long foreign_drop(struct runtime *rt, vaddr_t start, vaddr_t end)
{
	long err = rt_port_window_restore(rt, start, end);

	return err ? err : rt_mm_unmap(rt, start, end - start);
}

/**
 * rt_foreign_clear() - unmap what is foreign in a range of the window.
 *
 * Return: 0; -ENOMEM, and then some of it may be gone.
 */
long rt_foreign_clear(struct runtime *rt, vaddr_t start, vaddr_t end)
{
	struct mm_area part;

	for (vaddr_t at = start; at < end && rt_area_next(rt, at, end, &part); at = part.end) {
		long err = part.is_foreign ? foreign_drop(rt, part.start, part.end) : 0;

		if (err)
			return err;
	}
	return 0;
}

/**
 * rt_foreign_place() - put a mapping of the kernel into the window.
 * @args: addr, len, prot, flags (MAP_FIXED or MAP_FIXED_NOREPLACE), from: where the mapping is.
 *
 * Return: addr; -EEXIST; -ENOMEM; then the mapping is still at from.
 */
long rt_foreign_place(struct runtime *rt, const uint64_t *args)
{
	int fixed = (int)args[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	uint64_t len = (args[1] + PAGE_SIZE - 1) & PAGE_MASK;
	vaddr_t addr;
	long ret = rt_mm_map(rt, args[0], len, (int)args[2] & 7, MM_MAP_FOREIGN | fixed, &addr);

	if (ret)
		return ret;
	ret = sys_call6(SYS_mremap, (long)args[4], (long)len, (long)len,
			MREMAP_MAYMOVE | MREMAP_FIXED, (long)addr, 0);
	if (sys_is_error(ret))
		foreign_drop(rt, addr, addr + len);
	return ret;
}

/**
 * rt_area_touched() - the first page of [*va, end) that was ever touched; the others read as
 * zeros.
 *
 * Return: false if there is none.
 */
bool rt_area_touched(struct runtime *rt, vaddr_t *va, vaddr_t end)
{
	bool found;

	sys_lock(rt->sys);
	found = pgtable_next(rt->mm, va, end) != NULL;
	sys_unlock(rt->sys);
	return found;
}

/* With the signal engine this thread resolves its own faults, here and nowhere else. */
static void copy_touched(struct runtime *rt, const struct mm_area *part, vaddr_t to)
{
	uint64_t faults = RT_FAULT_SIGNALS;

	if (rt->is_by_signal)
		sys_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&faults, 0, sizeof(faults));
	for (vaddr_t va = part->start; rt_area_touched(rt, &va, part->end); va += PAGE_SIZE)
		memcpy((void *)(to + (va - part->start)), (const void *)va, PAGE_SIZE);
	if (rt->is_by_signal)
		sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&faults, 0, sizeof(faults));
}

/**
 * rt_foreign_make() - an area, or a part of one, leaves the manager; its content stays.
 *
 * Its protection is to be set by the caller. Its pages are read here, so the fault handlers
 * must run, and nothing is held.
 *
 * Return: 0, or -ENOMEM; then nothing has changed, or in the last step the range is lost.
 */
long rt_foreign_make(struct runtime *rt, const struct mm_area *part)
{
	uint64_t len = part->end - part->start;
	uint64_t args[] = {part->start, len, NOTED_PROT, MAP_FIXED, 0};
	long to = sys_call6(SYS_mmap, 0, (long)len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long err;

	if (sys_is_error(to))
		return to;
	/* Nobody writes it any more; this thread can read it. */
	err = rt_mm_protect(rt, part->start, len, MM_PROT_READ);
	if (err)
		goto unmap;
	copy_touched(rt, part, (vaddr_t)to);
	args[4] = (uint64_t)to;
	err = rt_foreign_place(rt, args);
	if (sys_is_error(err))
		goto unmap;
	return 0;
unmap:
	sys_call2(SYS_munmap, to, (long)len);
	return err;
}

/* Where the mapping is to go inside the window: a place for it. */
static long make_place(struct runtime *rt, vaddr_t addr, uint64_t len)
{
	vaddr_t at;

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	return rt_mm_map(rt, addr, len, NOTED_PROT, MM_MAP_FOREIGN | MM_MAP_FIXED, &at);
}

static uint64_t page_align(uint64_t len)
{
	return (len + PAGE_SIZE - 1) & PAGE_MASK;
}

/* A foreign mapping that stays where it is, and does not grow. */
static long remap_in_place(struct runtime *rt, vaddr_t addr, uint64_t old_len, uint64_t new_len)
{
	long err = 0;

	if (new_len < old_len)
		err = foreign_drop(rt, addr + new_len, addr + old_len);
	return err ? err : (long)addr;
}

/**
 * rt_foreign_remap() - mremap(2) of a mapping of the kernel that is in the window, or goes
 * there.
 * @args: addr, old_len, new_len, flags, new_addr.
 *
 * One that grows leaves the window, unless it is told where to go.
 *
 * Return: the new address, or -errno as Linux.
 */
long rt_foreign_remap(struct runtime *rt, const uint64_t *args)
{
	vaddr_t addr = args[0];
	uint64_t old_len = page_align(args[1]), new_len = page_align(args[2]);
	bool is_fixed = (args[3] & MREMAP_FIXED) != 0;
	bool was_inside = rt_touches_window(rt, addr, 1);
	bool goes_inside = is_fixed && rt_touches_window(rt, args[4], new_len);
	long ret;

	if ((addr & ~PAGE_MASK) || new_len == 0)
		return -EINVAL;
	if (was_inside && !is_fixed && !(args[3] & MREMAP_DONTUNMAP) && new_len <= old_len)
		return remap_in_place(rt, addr, old_len, new_len);
	if (was_inside && !(args[3] & MREMAP_MAYMOVE))
		return -ENOMEM;
	if (goes_inside) {
		ret = make_place(rt, args[4], new_len);
		if (ret)
			return ret;
	}
	ret = sys_call6(SYS_mremap, (long)addr, (long)args[1], (long)args[2], (long)args[3],
			(long)args[4], 0);
	if (sys_is_error(ret) && goes_inside)
		foreign_drop(rt, args[4], args[4] + new_len);
	if (!sys_is_error(ret) && was_inside && !(args[3] & MREMAP_DONTUNMAP))
		foreign_drop(rt, addr, addr + old_len);
	return ret;
}
