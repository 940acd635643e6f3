/* SPDX-License-Identifier: MIT */
/*
 * What the service thread does for the program's threads: the calls of Linux, on ranges that
 * touch the window. Such a range may reach beyond the window, and may cover areas that the
 * manager keeps and foreign ones; it is worked on part by part, in ascending order, as Linux
 * does it area by area.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "run/dump.h"
#include "run/foreign.h"
#include "run/fork.h"
#include "run/runtime.h"
#include "run/service.h"

/* Repeats a call of the manager for as long as it answers -EAGAIN. */
#define UNTIL_DONE(rt, call)                         \
	({                                           \
		uint32_t seq_ = rt_engine_seq(rt);   \
		int err_;                            \
                                                     \
		while ((err_ = (call)) == -EAGAIN) { \
			rt_engine_sleep(rt, seq_);   \
			seq_ = rt_engine_seq(rt);    \
		}                                    \
		err_;                                \
	})

int rt_mm_map(struct runtime *rt, vaddr_t hint, uint64_t len, int prot, int flags,
	      vaddr_t *ret_addr)
{
	return UNTIL_DONE(rt, mm_map(rt->mm, hint, len, prot, flags, ret_addr));
}

int rt_mm_unmap(struct runtime *rt, vaddr_t addr, uint64_t len)
{
	return UNTIL_DONE(rt, mm_unmap(rt->mm, addr, len));
}

int rt_mm_protect(struct runtime *rt, vaddr_t addr, uint64_t len, int prot)
{
	return UNTIL_DONE(rt, mm_protect(rt->mm, addr, len, prot));
}

/* The parts of [start, end) before, inside and after the window; each may be empty. */
struct split {
	vaddr_t start, window_start, window_end, end;
};

static struct split split_range(const struct runtime *rt, vaddr_t start, vaddr_t end)
{
	return (struct split){
		.start = start,
		.window_start = min_u64(end, max_u64(start, rt->window_start)),
		.window_end = min_u64(end, max_u64(start, rt->window_end)),
		.end = end,
	};
}

/* A system call (addr, len, arg) on what lies outside of the window. */
static long host_call_outside(long nr, const struct split *s, long arg)
{
	long err = 0;

	if (s->start < s->window_start)
		err = sys_call3(nr, (long)s->start, (long)(s->window_start - s->start), arg);
	if (!err && s->window_end < s->end)
		err = sys_call3(nr, (long)s->window_end, (long)(s->end - s->window_end), arg);
	return err;
}

/* False: Linux says -EINVAL, or -ENOMEM where the end is beyond all addresses. */
static bool range_is_valid(vaddr_t addr, uint64_t len, vaddr_t *ret_end)
{
	uint64_t aligned;

	return (addr & ~PAGE_MASK) == 0 && checked_align_up(len, PAGE_SIZE, &aligned) &&
	       checked_add(addr, aligned, ret_end);
}

static long do_map(struct runtime *rt, const uint64_t *args)
{
	int flags = (int)args[3];
	bool replaces = (flags & MAP_FIXED) && !(flags & MAP_FIXED_NOREPLACE);
	vaddr_t addr, end;
	long err = 0;

	if (replaces && range_is_valid(args[0], args[1], &end))
		err = rt_foreign_clear(rt, args[0], end);
	if (!err)
		err = rt_mm_map(rt, args[0], args[1], (int)args[2], flags, &addr);
	return err ? err : (long)addr;
}

static long do_unmap(struct runtime *rt, const uint64_t *args)
{
	struct split s;
	vaddr_t end;
	long err;

	if (args[1] == 0 || !range_is_valid(args[0], args[1], &end))
		return -EINVAL;
	s = split_range(rt, args[0], end);
	err = host_call_outside(SYS_munmap, &s, 0);
	if (!err)
		err = rt_foreign_clear(rt, s.window_start, s.window_end);
	if (!err)
		err = rt_mm_unmap(rt, s.window_start, s.window_end - s.window_start);
	return err;
}

/* One area: the manager's is changed by it, a foreign one by the kernel, and noted. */
static long protect_part(struct runtime *rt, const struct mm_area *part, int prot)
{
	uint64_t len = part->end - part->start;
	bool is_foreign = part->is_foreign;
	long err = 0;

	if (!is_foreign && (prot & PROT_EXEC)) {
		err = rt_foreign_make(rt, part);
		is_foreign = true;
	}
	if (!err && is_foreign)
		err = sys_call3(SYS_mprotect, (long)part->start, (long)len, prot);
	return err ? err : rt_mm_protect(rt, part->start, len, prot);
}

typedef long (*part_fn)(struct runtime *rt, const struct mm_area *part, int arg);

/* What lies outside by a system call of the same arguments; then area by area, without holes.
 */
static long for_parts(struct runtime *rt, const struct split *s, long outside, int arg,
		      part_fn do_part)
{
	long err = host_call_outside(outside, s, arg);
	struct mm_area part;

	for (vaddr_t at = s->window_start; !err && at < s->window_end; at = part.end) {
		if (!rt_area_next(rt, at, s->window_end, &part) || part.start != at)
			return -ENOMEM;
		err = do_part(rt, &part, arg);
	}
	return err;
}

static long do_protect(struct runtime *rt, const uint64_t *args)
{
	int prot = (int)args[2];
	struct split s;
	vaddr_t end;

	if ((args[0] & ~PAGE_MASK) ||
	    (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | MM_PROT_SEM)))
		return -EINVAL;
	if (args[1] == 0)
		return 0;
	if (!range_is_valid(args[0], args[1], &end))
		return -ENOMEM;
	s = split_range(rt, args[0], end);
	return for_parts(rt, &s, SYS_mprotect, prot, protect_part);
}

static long advise_part(struct runtime *rt, const struct mm_area *part, int advice)
{
	uint64_t len = part->end - part->start;

	if (part->is_foreign)
		return sys_call3(SYS_madvise, (long)part->start, (long)len, advice);
	return UNTIL_DONE(rt, mm_advise(rt->mm, part->start, len, advice));
}

/* As in Linux holes do not end the call, but it answers -ENOMEM. */
static long do_advise(struct runtime *rt, const uint64_t *args)
{
	struct mm_area part;
	bool has_hole = false;
	struct split s;
	vaddr_t end, at;
	long err;

	if (!range_is_valid(args[0], args[1], &end))
		return -EINVAL;
	s = split_range(rt, args[0], end);
	err = host_call_outside(SYS_madvise, &s, (long)args[2]);
	if (err == -ENOMEM) {
		has_hole = true;
		err = 0;
	}
	for (at = s.window_start; !err && at < s.window_end; at = part.end) {
		if (!rt_area_next(rt, at, s.window_end, &part))
			return -ENOMEM;
		has_hole |= part.start != at;
		err = advise_part(rt, &part, (int)args[2]);
	}
	return err ? err : (has_hole ? -ENOMEM : 0);
}

/* One area, or what lies outside: by the kernel or by the manager. */
static long lock_part(struct runtime *rt, const struct mm_area *part, int flags)
{
	uint64_t len = part->end - part->start;

	if (part->is_foreign)
		return sys_call3(SYS_mlock2, (long)part->start, (long)len, flags);
	return UNTIL_DONE(rt, mm_mlock(rt->mm, part->start, len, flags));
}

static long unlock_part(struct runtime *rt, const struct mm_area *part, int flags)
{
	uint64_t len = part->end - part->start;

	(void)flags;
	if (part->is_foreign)
		return sys_call2(SYS_munlock, (long)part->start, (long)len);
	return UNTIL_DONE(rt, mm_munlock(rt->mm, part->start, len));
}

/* mlock2() and munlock(): unlike madvise(), they begin at any byte of a page. */
static long for_pages(struct runtime *rt, const uint64_t *args, long outside, part_fn do_part)
{
	vaddr_t start = args[0] & PAGE_MASK, end;
	struct split s;

	if (!range_is_valid(start, args[1] + (args[0] - start), &end))
		return -EINVAL;
	s = split_range(rt, start, end);
	return for_parts(rt, &s, outside, (int)args[2], do_part);
}

static long do_lock(struct runtime *rt, const uint64_t *args)
{
	if (args[2] & ~(uint64_t)MLOCK_ONFAULT)
		return -EINVAL;
	return for_pages(rt, args, SYS_mlock2, lock_part);
}

static long do_unlock(struct runtime *rt, const uint64_t *args)
{
	return for_pages(rt, args, SYS_munlock, unlock_part);
}

static long do_unlock_all(struct runtime *rt, const uint64_t *args)
{
	(void)args;
	return UNTIL_DONE(rt, mm_munlockall(rt->mm));
}

static long do_remap(struct runtime *rt, const uint64_t *args)
{
	struct mm_area area;
	vaddr_t addr, end;
	long err = 0;

	if (!rt_touches_window(rt, args[0], 1) ||
	    (rt_area_next(rt, args[0], args[0] + 1, &area) && area.is_foreign))
		return rt_foreign_remap(rt, args);
	if ((args[3] & MREMAP_FIXED) && range_is_valid(args[4], args[2], &end)) {
		if (!rt_touches_window(rt, args[4], 1))
			return -ENOMEM; /* what is managed stays in the window */
		err = rt_foreign_clear(rt, args[4], end);
	}
	if (!err)
		err = UNTIL_DONE(rt, mm_remap(rt->mm, args[0], args[1], args[2], (int)args[3],
					      args[4], &addr));
	return err ? err : (long)addr;
}

static long do_brk(struct runtime *rt, const uint64_t *args)
{
	vaddr_t brk = 0;

	if (UNTIL_DONE(rt, mm_brk(rt->mm, args[0], &brk)))
		UNTIL_DONE(rt, mm_brk(rt->mm, 0, &brk));
	return (long)brk;
}

static long do_sbrk(struct runtime *rt, const uint64_t *args)
{
	int64_t delta = (int64_t)args[0];
	vaddr_t old = 0, now = 0, want;
	int err = UNTIL_DONE(rt, mm_brk(rt->mm, 0, &old));

	if (err || delta == 0)
		return err ? err : (long)old;
	want = old + (uint64_t)delta;
	if ((delta > 0) != (want > old))
		return -ENOMEM;
	err = UNTIL_DONE(rt, mm_brk(rt->mm, want, &now));
	if (!err && now != want)
		err = -ENOMEM;
	return err ? err : (long)old;
}

/**
 * rt_service_do() - carry out a request.
 *
 * Return: what the operation answers; -errno is Linux's.
 * Context: the service thread.
 */
long rt_service_do(struct runtime *rt, const struct rt_request *request)
{
	static long (*const ops[RT_NR_OPS])(struct runtime *, const uint64_t *) = {
		[RT_OP_MAP] = do_map,
		[RT_OP_PLACE] = rt_foreign_place,
		[RT_OP_UNMAP] = do_unmap,
		[RT_OP_PROTECT] = do_protect,
		[RT_OP_REMAP] = do_remap,
		[RT_OP_ADVISE] = do_advise,
		[RT_OP_LOCK] = do_lock,
		[RT_OP_UNLOCK] = do_unlock,
		[RT_OP_UNLOCK_ALL] = do_unlock_all,
		[RT_OP_BRK] = do_brk,
		[RT_OP_SBRK] = do_sbrk,
		[RT_OP_FORK_FREEZE] = rt_fork_freeze,
		[RT_OP_FORK_THAW] = rt_fork_thaw,
		[RT_OP_DUMP] = rt_dump_take,
	};

	return ops[request->op](rt, request->args);
}
