/* SPDX-License-Identifier: MIT */
/*
 * The machine that is this process, without userfaultfd.
 *
 *	pool: the memory file, mapped whole          window: address space, reserved
 *	ram ->[ 0 | 1 | 2 | 3 | 4 | 5 | ... ]        [ none | 2, rw | 3, rw | none | 5, r | none
 *]
 *
 * Frame n is page n of a memory file (memfd_create(2)). The pool shows all of it to the
 * manager; a translation is one more mapping of the same page, at its virtual address in the
 * window. What is not translated is reserved without any access, so that touching it, or
 * writing what was mapped for reading, is SIGSEGV, for the program's own faults too: who
 * handles the signal asks the manager which it was.
 *
 * Mappings are made by mremap(2) of old size 0, which maps the pages of a shared mapping a
 * second time, with its protection, in one step. So there is a mapping of the whole file for
 * each protection (alias), and no file needs to be open: whatever the program closes, and in
 * whichever thread a fault is resolved. Several neighbours move from the pool to the window
 * instead (MREMAP_DONTUNMAP, which a shared mapping can since Linux 5.13) with the kernel's
 * entries for them, so the program's first touch of each is no fault.
 *
 * RSS counts mappings, not pages, so a frame is mapped in the window or in the pool, not in
 * both: it must not look as if the program took more than it was given.
 *
 * Neighbours in the window whose frames are neighbours in the file are one call, and one
 * mapping of the kernel's (it joins them by itself); other pages have a mapping each, and so
 * has each hole between them. The kernel allows vm.max_map_count of them (65530). When it
 * refuses one more the machine forgets translations, which it may (mm/machine.h, 1), with a
 * clock hand over the frames: FORGET_PAGES of them, so that the next refusals are far.
 *
 * What the kernel holds of a page (I/O under way) it holds of the file's page, which no mapping
 * or unmapping moves: nothing is lost between frame and window. But when the manager writes a
 * frame to swap while a device still writes it, that goes unseen, so whoever lets the kernel
 * write managed memory must keep it resident meanwhile.
 *
 * A file is shared with the child of a fork, who may not see it: no mapping of it is inherited
 * (MADV_DONTFORK, which mremap() keeps). A second file is made for the child
 * (machine_memfd_create_copy()), filled with all frames at rest (machine_memfd_copy()), and put
 * in the place of the first by the child (machine_memfd_adopt()).
 *
 * Invariants
 * 1. va_of[n] is where frame n is mapped in the window, 0 if nowhere.
 * 2. What is not mapped from the file in the window is reserved, or not the machine's.
 *
 * Locks: each op holds lock, over its system calls: they take the kernel's lock of the address
 * space for writing, so there is nothing to be had from running two at a time.
 */
#include "machine/memfd.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/assert.h"
#include "base/checked.h"
#include "base/lock.h"
#include "base/syscall.h"
#include "mm/pgtable.h"
#include "ration/mm.h"

#define FORGET_PAGES	 4096 /* an eighth of the translations that the default limit allows */
#define COPY_BYTES	 ((uint64_t)1 << 20)
#define WINDOW_BYTES_MIN ((uint64_t)1 << 30) /* less would not hold a useful program */

enum alias { ALIAS_R, ALIAS_RW, ALIAS_RX, ALIAS_RWX, NR_ALIASES };

static const int alias_prot[NR_ALIASES] = {
	[ALIAS_R] = PROT_READ,
	[ALIAS_RW] = PROT_READ | PROT_WRITE,
	[ALIAS_RX] = PROT_READ | PROT_EXEC,
	[ALIAS_RWX] = PROT_READ | PROT_WRITE | PROT_EXEC,
};

struct machine_space {
	bool is_used; /* lock */
};

struct machine_memfd {
	struct machine m;
	vaddr_t alias[NR_ALIASES];	  /* (c) the file, mapped whole; ALIAS_RW is the pool */
	vaddr_t window_start, window_end; /* (c) */
	uint64_t state_bytes;		  /* (c) of this and va_of */
	struct mm_lock lock;
	struct machine_space space;
	bool has_move;			  /* (c) MREMAP_DONTUNMAP */
	pfn_t hand;			  /* lock; the frame whose turn it is to be forgotten */
	struct machine_memfd_stats stats; /* lock */
	vaddr_t va_of[];		  /* lock; by frame */
};

static struct machine_memfd *memfd_of(struct machine *m)
{
	return (struct machine_memfd *)m; /* its first member */
}

static uint64_t ram_bytes(const struct machine_memfd *mf)
{
	return (uint64_t)mf->m.nr_frames * PAGE_SIZE;
}

static int reserve(vaddr_t start, uint64_t len, int fixed)
{
	long got = sys_call6(SYS_mmap, (long)start, (long)len, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);

	return sys_is_error(got) ? (int)got : 0;
}

/* Neighbouring changes that are one call: to be mapped from the file, or to be reserved. */
struct stretch {
	vaddr_t va;
	pfn_t pfn;
	pte_t bits; /* of the translations to be made; 0: they end */
	uint32_t nr;
};

#define STRETCH_BITS (PTE_PRESENT | PTE_WRITE | PTE_NX)

static pte_t bits_of(pte_t pte)
{
	return pte_is_present(pte) ? pte & STRETCH_BITS : 0;
}

static bool stretch_goes_on(const struct stretch *s, const struct machine_change *c)
{
	if (c->va != s->va + s->nr * PAGE_SIZE || bits_of(c->new_pte) != s->bits)
		return false;
	return s->bits == 0 ? pte_is_present(c->old_pte)
			    : pte_pfn(c->new_pte) == s->pfn + s->nr;
}

static struct stretch stretch_cut(const struct machine_batch *batch, uint32_t from)
{
	const struct machine_change *first = &batch->changes[from];
	struct stretch s = {
		.va = first->va,
		.pfn = pte_pfn(first->new_pte),
		.bits = bits_of(first->new_pte),
		.nr = 1,
	};

	while (from + s.nr < batch->nr && stretch_goes_on(&s, &batch->changes[from + s.nr]))
		s.nr++;
	return s;
}

static enum alias stretch_alias(const struct stretch *s)
{
	enum alias alias = s->bits & PTE_WRITE ? ALIAS_RW : ALIAS_R;

	return s->bits & PTE_NX ? alias : alias + ALIAS_RX - ALIAS_R;
}

static char *pool_of(const struct machine_memfd *mf, pfn_t pfn)
{
	return (char *)mf->alias[ALIAS_RW] + (uint64_t)pfn * PAGE_SIZE;
}

/*
 * A frame that leaves the window is read or filled next, through the pool. Reading it first
 * would make the kernel map those around it, too (fault-around). A write maps one page; this
 * one changes nothing. (A compiler may turn an atomic operation of C into a read.)
 */
static void pool_take(struct machine_memfd *mf, pfn_t pfn)
{
	__asm__ volatile("lock orb $0, %0" : "+m"(*pool_of(mf, pfn)) : : "cc");
}

static void frame_leaves_window(struct machine_memfd *mf, pfn_t pfn)
{
	mf->va_of[pfn] = 0;
	pool_take(mf, pfn);
}

static void pool_let_go(struct machine_memfd *mf, pfn_t pfn, uint32_t nr)
{
	sys_call3(SYS_madvise, (long)pool_of(mf, pfn), (long)(nr * PAGE_SIZE), MADV_DONTNEED);
}

/*
 * Where a system forbids executable mappings of such files there is no alias for them. A single
 * page is not moved: other processors are told with the address space locked, while all faults
 * of other threads wait.
 */
static int stretch_map(struct machine_memfd *mf, const struct stretch *s)
{
	enum alias alias = stretch_alias(s);
	uint64_t bytes = s->nr * PAGE_SIZE;
	bool is_move = mf->has_move && s->nr > 1 && alias == ALIAS_RW;
	long got;

	if (!mf->alias[alias])
		return -EACCES;
	got = sys_call6(SYS_mremap, (long)(mf->alias[alias] + (uint64_t)s->pfn * PAGE_SIZE),
			is_move ? (long)bytes : 0, (long)bytes,
			MREMAP_MAYMOVE | MREMAP_FIXED | (is_move ? MREMAP_DONTUNMAP : 0),
			(long)s->va, 0);
	mf->stats.nr_calls++;
	if (sys_is_error(got))
		return (int)got;
	if (!is_move)
		pool_let_go(mf, s->pfn, s->nr);
	return 0;
}

static int stretch_do(struct machine_memfd *mf, const struct stretch *s)
{
	if (s->bits)
		return stretch_map(mf, s);
	mf->stats.nr_calls++;
	return reserve(s->va, s->nr * PAGE_SIZE, MAP_FIXED);
}

/*
 * At its limit the kernel refuses mmap() whatever it would do, so the page is first unmapped,
 * which takes a mapping less, and then reserved, which joins the reserved pages beside it. In
 * the middle of a stretch unmapping needs one more: that frame is passed over.
 */
static bool forget_frame(struct machine_memfd *mf, pfn_t pfn)
{
	vaddr_t va = mf->va_of[pfn];

	if (!va || sys_call2(SYS_munmap, (long)va, PAGE_SIZE))
		return false;
	reserve(va, PAGE_SIZE, MAP_FIXED_NOREPLACE);
	frame_leaves_window(mf, pfn);
	mf->stats.nr_forgotten++;
	return true;
}

static bool forget_some(struct machine_memfd *mf)
{
	uint32_t nr = 0;

	for (pfn_t i = 0; i < mf->m.nr_frames && nr < FORGET_PAGES; i++) {
		nr += forget_frame(mf, mf->hand);
		mf->hand = (mf->hand + 1) % mf->m.nr_frames;
	}
	return nr > 0;
}

/* A call that is refused has changed nothing: the kernel counts its mappings first. */
static int stretch_insist(struct machine_memfd *mf, const struct stretch *s)
{
	int err = stretch_do(mf, s);

	if (err == -ENOMEM && forget_some(mf))
		err = stretch_do(mf, s);
	return err;
}

static void note_change(struct machine_memfd *mf, const struct machine_change *c)
{
	if (pte_is_present(c->old_pte)) {
		pfn_t pfn = pte_pfn(c->old_pte);

		MM_ASSERT(pfn < mf->m.nr_frames);
		if (mf->va_of[pfn] == c->va) {
			mf->va_of[pfn] = 0;
			pool_take(mf, pfn);
		}
		mf->stats.nr_unmapped++;
	}
	if (pte_is_present(c->new_pte)) {
		mf->va_of[pte_pfn(c->new_pte)] = c->va;
		mf->stats.nr_mapped++;
	}
}

/* Return: 0, or -errno and batch->nr_done tells how far it came. */
static int apply_locked(struct machine_memfd *mf, struct machine_batch *batch)
{
	while (batch->nr_done < batch->nr) {
		const struct machine_change *c = &batch->changes[batch->nr_done];
		struct stretch s = stretch_cut(batch, batch->nr_done);
		int err;

		if (!s.bits && !pte_is_present(c->old_pte)) {
			batch->nr_done++;
			continue;
		}
		MM_ASSERT(!s.bits || s.pfn + s.nr <= mf->m.nr_frames);
		err = stretch_insist(mf, &s);
		if (err)
			return err;
		for (uint32_t i = 0; i < s.nr; i++)
			note_change(mf, &c[i]);
		batch->nr_done += s.nr;
	}
	return 0;
}

/* -ENOMEM where forgetting has not helped: RLIMIT_AS was set below what there is already. */
static int memfd_apply(struct machine *m, struct machine_space *space,
		       struct machine_batch *batch)
{
	struct machine_memfd *mf = memfd_of(m);
	int err;

	(void)space;
	batch->nr_done = 0;
	mm_lock_acquire(&mf->lock);
	err = apply_locked(mf, batch);
	mm_lock_release(&mf->lock);
	return err;
}

static int memfd_space_create(struct machine *m, vaddr_t start, vaddr_t end,
			      struct machine_space **ret_space)
{
	struct machine_memfd *mf = memfd_of(m);
	bool was_used;

	if (start < mf->window_start || end > mf->window_end || start >= end)
		return -EINVAL;
	mm_lock_acquire(&mf->lock);
	was_used = mf->space.is_used;
	mf->space.is_used = true;
	mm_lock_release(&mf->lock);
	if (was_used)
		return -EBUSY;
	*ret_space = &mf->space;
	return 0;
}

static void memfd_space_destroy(struct machine *m, struct machine_space *space)
{
	struct machine_memfd *mf = memfd_of(m);

	mm_lock_acquire(&mf->lock);
	space->is_used = false;
	mm_lock_release(&mf->lock);
}

/*
 * Protection is the translations' affair. What a fork's child replays at first is reserved
 * again: a page that was lent to a thread of the parent may be there.
 */
static int memfd_region(struct machine *m, struct machine_space *space, vaddr_t start,
			vaddr_t end, enum machine_region_op op, int prot)
{
	(void)m;
	(void)space;
	(void)prot;
	return op == MACHINE_REGION_MAP ? reserve(start, end - start, MAP_FIXED) : 0;
}

static const struct machine_ops memfd_ops = {
	.name = "memfd",
	.caps = MACHINE_FAULTS_COST,
	.space_create = memfd_space_create,
	.space_destroy = memfd_space_destroy,
	.apply = memfd_apply,
	.region = memfd_region,
};

/* Return: the descriptor, or -errno. */
static int file_create(uint64_t bytes)
{
	int fd = (int)sys_call2(SYS_memfd_create, (long)"ration-ram", MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return fd;
	err = (int)sys_call2(SYS_ftruncate, fd, (long)bytes);
	if (!err)
		return fd;
	sys_call2(SYS_close, fd, 0);
	return err;
}

/* Maps the file whole, at the aliases that there are already or where there is room. */
static int aliases_map(int fd, uint64_t bytes, vaddr_t alias[NR_ALIASES])
{
	for (unsigned int i = 0; i < NR_ALIASES; i++) {
		int fixed = alias[i] ? MAP_FIXED : 0;
		long got = sys_call6(SYS_mmap, (long)alias[i], (long)bytes, alias_prot[i],
				     MAP_SHARED | MAP_NORESERVE | fixed, fd, 0);

		if (sys_is_error(got) && (fixed || !(alias_prot[i] & PROT_EXEC)))
			return (int)got;
		if (sys_is_error(got))
			continue;
		alias[i] = (vaddr_t)got;
		got = sys_call3(SYS_madvise, got, (long)bytes, MADV_DONTFORK);
		if (sys_is_error(got))
			return (int)got;
	}
	return 0;
}

static void aliases_unmap(const vaddr_t alias[NR_ALIASES], uint64_t bytes)
{
	for (unsigned int i = 0; i < NR_ALIASES; i++)
		if (alias[i])
			sys_call2(SYS_munmap, (long)alias[i], (long)bytes);
}

static bool config_is_valid(const struct machine_memfd_config *cfg)
{
	if (cfg->ram_bytes == 0 || cfg->ram_bytes / PAGE_SIZE >= PFN_NONE)
		return false;
	if ((cfg->ram_bytes | cfg->window_start | cfg->window_end) & ~PAGE_MASK)
		return false;
	return cfg->window_start > 0 && cfg->window_start < cfg->window_end;
}

/* Less than asked for where RLIMIT_AS allows less. */
static int window_reserve(struct machine_memfd *mf, const struct machine_memfd_config *cfg)
{
	uint64_t len = cfg->window_end - cfg->window_start;
	int err = reserve(cfg->window_start, len, MAP_FIXED_NOREPLACE);

	while (err == -ENOMEM && len / 2 >= WINDOW_BYTES_MIN) {
		len = len / 2 & PAGE_MASK;
		err = reserve(cfg->window_start, len, MAP_FIXED_NOREPLACE);
	}
	mf->window_start = cfg->window_start;
	mf->window_end = cfg->window_start + len;
	return err;
}

/* Whether a page of the pool, in which nothing is yet, can be moved to the window. */
static bool probe_move(const struct machine_memfd *mf)
{
	long got = sys_call6(SYS_mremap, (long)mf->alias[ALIAS_RW], PAGE_SIZE, PAGE_SIZE,
			     MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
			     (long)mf->window_start, 0);

	/* Linux 5.7 to 5.12 have unmapped the page before they say no. */
	return !reserve(mf->window_start, PAGE_SIZE, MAP_FIXED) && !sys_is_error(got);
}

/* The rest of machine_memfd_create(): file, pool and window. */
static int memfd_init(struct machine_memfd *mf, const struct machine_memfd_config *cfg)
{
	int fd = file_create(cfg->ram_bytes);
	int err;

	if (fd < 0)
		return fd;
	err = aliases_map(fd, cfg->ram_bytes, mf->alias);
	sys_call2(SYS_close, fd, 0);
	if (!err)
		err = window_reserve(mf, cfg);
	if (err) {
		aliases_unmap(mf->alias, cfg->ram_bytes);
		return err;
	}
	mf->has_move = !cfg->no_move && probe_move(mf);
	mf->m = (struct machine){
		.ops = &memfd_ops,
		.ram = (char *)mf->alias[ALIAS_RW],
		.nr_frames = (pfn_t)(cfg->ram_bytes / PAGE_SIZE),
	};
	mm_lock_init(&mf->lock, LOCK_RANK_MACHINE);
	return 0;
}

/**
 * machine_memfd_create() - make the machine: file, pool and window.
 * @cfg: ram_bytes whole pages; the window must be free, and becomes smaller where RLIMIT_AS
 *	forbids so much.
 * @ret_machine: to be given to mm_system_create(), and to machine_memfd_destroy().
 *
 * The file takes memory as frames are written. The machine's own state is 8 bytes a frame.
 *
 * Return: 0; -EINVAL for a @cfg that breaks the rules; -EEXIST if the window is taken; -ENOSYS
 * without memfd_create(2) (before Linux 3.17, or filtered); -EMFILE, -ENFILE; -ENOMEM.
 */
int machine_memfd_create(const struct machine_memfd_config *cfg, struct machine **ret_machine)
{
	struct machine_memfd *mf;
	uint64_t bytes;
	long state;
	int err;

	if (!config_is_valid(cfg))
		return -EINVAL;
	bytes = sizeof(*mf) + cfg->ram_bytes / PAGE_SIZE * sizeof(mf->va_of[0]);
	bytes = (bytes + PAGE_SIZE - 1) & PAGE_MASK;
	state = sys_call6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_error(state))
		return (int)state;
	mf = (struct machine_memfd *)state;
	err = memfd_init(mf, cfg);
	if (err) {
		sys_call2(SYS_munmap, state, (long)bytes);
		return err;
	}
	mf->state_bytes = bytes;
	*ret_machine = &mf->m;
	return 0;
}

/**
 * machine_memfd_destroy() - undo machine_memfd_create().
 *
 * Context: nobody uses the machine or the addresses of pool and window any more.
 */
void machine_memfd_destroy(struct machine *m)
{
	struct machine_memfd *mf = memfd_of(m);

	sys_call2(SYS_munmap, (long)mf->window_start,
		  (long)(mf->window_end - mf->window_start));
	aliases_unmap(mf->alias, ram_bytes(mf));
	sys_call2(SYS_munmap, (long)mf, (long)mf->state_bytes);
}

static int copy_range(const struct machine_memfd *mf, int fd, uint64_t at, uint64_t end)
{
	while (at < end) {
		long done = sys_call4(SYS_pwrite64, fd, (long)(mf->m.ram + at),
				      (long)min_u64(end - at, COPY_BYTES), (long)at);

		if (done <= 0)
			return done ? (int)done : -ENOSPC;
		at += (uint64_t)done;
	}
	return 0;
}

/**
 * machine_memfd_create_copy() - an empty file, for the child of a fork.
 *
 * Return: a descriptor of it, close-on-exec, the caller's; -ENOMEM, -EMFILE, -ENFILE.
 */
int machine_memfd_create_copy(const struct machine *m)
{
	return file_create((uint64_t)m->nr_frames * PAGE_SIZE);
}

/**
 * machine_memfd_copy() - copy the frames into the child's file.
 * @fd: a descriptor of machine_memfd_create_copy()'s file. May hold an older copy: what that
 *	has in frames that are not wanted now, stays.
 * @used: the first frame at @pfn or after it whose content is wanted, and in *@ret_end where
 *	the frames after it are not wanted any more; @pfn past the last frame if there is none.
 *	Frames that are not wanted are not looked at, for that would give them memory.
 *
 * Return: 0; -ENOMEM, -ENOSPC. Context: nobody writes a frame meanwhile.
 */
int machine_memfd_copy(struct machine *m, int fd,
		       pfn_t (*used)(const void *arg, pfn_t pfn, pfn_t *ret_end),
		       const void *arg)
{
	struct machine_memfd *mf = memfd_of(m);
	int err = 0;

	for (pfn_t pfn = 0, end; !err; pfn = end) {
		pfn = used(arg, pfn, &end);
		if (pfn >= m->nr_frames)
			break;
		err = copy_range(mf, fd, pfn * PAGE_SIZE, end * PAGE_SIZE);
	}
	return err;
}

/**
 * machine_memfd_adopt() - the child of a fork goes on with the copy.
 * @fd: of machine_memfd_create_copy(), filled; it stays the caller's.
 *
 * Frames keep their addresses. The window is as the fork left it: nothing of it is mapped but
 * what was lent, and what is not the machine's.
 *
 * Return: 0, or -ENOMEM: the child must not go on.
 * Context: in the child, before any other call.
 */
int machine_memfd_adopt(struct machine *m, int fd)
{
	struct machine_memfd *mf = memfd_of(m);

	mm_lock_init(&mf->lock, LOCK_RANK_MACHINE);
	return aliases_map(fd, ram_bytes(mf), mf->alias);
}

/**
 * machine_memfd_window_restore() - a foreign mapping has gone: the range is window again.
 * @start, @end: within the window, page aligned; whatever is mapped there is replaced.
 *
 * Return: 0, or -ENOMEM, and the range is not part of the window.
 */
int machine_memfd_window_restore(struct machine *m, vaddr_t start, vaddr_t end)
{
	(void)m;
	return reserve(start, end - start, MAP_FIXED);
}

/**
 * machine_memfd_lend() - let threads use a copy of an unmapped frame (see machine_host_lend()).
 * @va: where the frame was mapped.
 * @frame: its address in the pool; it stays as it is.
 *
 * The copy comes to its address whole, in one step.
 *
 * Return: 0, or -ENOMEM. Context: between mm_fork_prepare() and mm_fork_parent(), in the
 * parent.
 */
int machine_memfd_lend(struct machine *m, vaddr_t va, const void *frame, bool is_writable)
{
	long copy = sys_call6(SYS_mmap, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long got;

	(void)m;
	if (sys_is_error(copy))
		return (int)copy;
	memcpy((void *)copy, frame, PAGE_SIZE);
	if (!is_writable)
		sys_call3(SYS_mprotect, copy, PAGE_SIZE, PROT_READ);
	got = sys_call6(SYS_mremap, copy, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			(long)va, 0);
	if (!sys_is_error(got))
		return 0;
	sys_call2(SYS_munmap, copy, PAGE_SIZE);
	return (int)got;
}

/**
 * machine_memfd_take_back() - the frame gets the content of the page that was lent.
 *
 * Writers fault from the protection on; whoever touches the page later faults too.
 *
 * Context: as machine_memfd_lend().
 */
void machine_memfd_take_back(struct machine *m, vaddr_t va, void *frame)
{
	(void)m;
	sys_call3(SYS_mprotect, (long)va, PAGE_SIZE, PROT_READ);
	memcpy(frame, (const void *)va, PAGE_SIZE);
	reserve(va, PAGE_SIZE, MAP_FIXED);
}

/**
 * machine_memfd_window() - where managed memory lies.
 */
void machine_memfd_window(struct machine *m, vaddr_t *ret_start, vaddr_t *ret_end)
{
	*ret_start = memfd_of(m)->window_start;
	*ret_end = memfd_of(m)->window_end;
}

/**
 * machine_memfd_stats() - how many pages went which way.
 *
 * Context: takes the machine's lock.
 */
void machine_memfd_stats(struct machine *m, struct machine_memfd_stats *ret_stats)
{
	struct machine_memfd *mf = memfd_of(m);

	mm_lock_acquire(&mf->lock);
	*ret_stats = mf->stats;
	mm_lock_release(&mf->lock);
}
