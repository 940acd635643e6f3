/* SPDX-License-Identifier: MIT */
/*
 * The machine that is this process.
 *
 *         pool: --ram bytes, readable and writable           window: 16 TiB of address space
 *   ram ->[ 0 | 1 |   | 3 |   | 5 | ... ]              [ none ][ rw: VMA ][ r: VMA ][ none ]
 *                 ^hole     ^hole                                 |2|       |4|
 *
 * A frame is a name. The content of frame n lies in the pool at ram + n * PAGE_SIZE; while the
 * frame is mapped it lies at its virtual address in the window instead, and its place in the
 * pool is a hole that takes no memory. Mapping moves the page from one to the other, so pool
 * and window together never hold more than the RAM, but for what a call under way has copied
 * and not yet dropped (DROP_PAGES_MAX in host_drop.h).
 *
 * The window is registered with userfaultfd: touching a page that is not there, or writing one
 * that is write-protected, puts the thread to sleep and a message in the descriptor. The host's
 * protection of each part of the window is the program's own, so that a real SIGSEGV comes from
 * the kernel. The pool is registered too, for write protection that is never set, because
 * UFFDIO_MOVE and UFFDIO_COPY want their destination registered.
 *
 * What the kernel's calls do and what they refuse, as of Linux 6.18:
 *   UFFDIO_MOVE   moves page table entries between two writable mappings of equal protection
 *                 and wakes waiters. The page becomes writable at once.
 *                 EINVAL: the two differ or are not writable. ENOENT: the source is a hole.
 *                 EEXIST: the destination is not. EBUSY: the page is pinned (below), or not
 *                 this process's alone since a fork.
 *   UFFDIO_COPY   puts a copy anywhere, also in a mapping that is read-only; it can be born
 *                 write-protected. The source must be dropped afterwards (MADV_DONTNEED).
 * Hence: a page mapped for writing is moved; one mapped clean, whose first write must fault, is
 * copied, because between a move and its write protection a write would be lost; whatever is in
 * a mapping that is not readable and writable exactly is copied; and everything is copied where
 * there is no UFFDIO_MOVE (before Linux 6.8). Either way a page is in or out by one call for a
 * run of neighbours.
 *
 * EBUSY, and pages that devices write. O_DIRECT and io_uring pin a page and let a device write
 * it later. Copying such a page and dropping the original would lose what the device writes.
 *  - From window to pool EBUSY means pinned. The other reason, a page shared after a fork,
 *    cannot be: a page is not shared when it comes in (a move demands it, a copy is new), the
 *    window is not given to children (MADV_DONTFORK), and it is kept from being merged with
 *    equal pages (MADV_UNMERGEABLE). (The kernel's own swapping may leave a page in that state
 *    until it is written again; then EBUSY is a false alarm, and harmless.) So the answer is
 *    -EBUSY and the page stays mapped.
 *  - From pool to window EBUSY means shared after a fork, since nobody maps a frame under I/O.
 *    A write to each frame makes the kernel break the sharing (no copy is made if the child is
 *    gone), and the move goes on. If it is still refused the page is copied.
 *  - Where pages are copied out, a pin cannot be seen. In a read-only mapping there is none
 *    for writing: the page was copied in clean, and pinning it for writing is a write fault.
 *    In mappings that can be executed and written, and on all before Linux 6.8, a device that
 *    writes memory which the manager evicts meanwhile writes into the void; run/ must keep
 *    such I/O away from managed memory there.
 *
 * Several processors. A move of pages that are no neighbours costs an interrupt for each to
 * every processor that runs the program (10 us on a virtual machine), with locks held. So while
 * calls come from several by turns, everything is copied, if the configuration says that there
 * are no such devices (may_copy): what leaves is protected first, neighbours in one call
 * whatever their frames, and all drops of a batch are one. Frames of what came in so are
 * dropped 32 at a time, later: until then they are stale, not holes, and one whose page is to
 * be unmapped is dropped first (host_drop_due()). machine_host_note_device() ends
 * that: it comes before the device, so a device that is not announced once the pages are
 * protected meets the protection.
 *
 * fork: the pool is copied by the kernel, page by page as it is written; the window is not in
 * the child at all. Nothing may be mapped while the process forks, or its content is not in the
 * child. machine_host_reattach() makes the child's own descriptor and window.
 *
 * Invariants
 * 1. A translation that apply() has made stays until apply() takes it back. If the program
 * makes the kernel drop it all the same (a raw system call), the page reads as zeros
 * afterwards, as it would without us; a refresh brings it back so.
 * 2. A page in the window is write-protected if and only if it was mapped without PTE_WRITE.
 * 3. All of the window that is not foreign is registered, is not inherited, and has no huge
 *    pages. All of the pool is registered and has no huge pages.
 * 4. No state changes after create, but statistics, where calls come from, and flags that only
 *    ever go false, so ops on different addresses run in parallel, without a lock but for the
 *    list of stale frames.
 * 5. A frame that is not mapped is not on that list: what it holds counts.
 */
#include "machine/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/assert.h"
#include "base/syscall.h"
#include "machine/host_internal.h"
#include "machine/host_uffd.h"
#include "ration/mm.h"

#define WINDOW_BASE	 ((vaddr_t)0x200000000000)
#define WINDOW_BASES	 8 /* places tried, WINDOW_BASE_STEP apart */
#define WINDOW_BASE_STEP ((vaddr_t)0x080000000000)
#define WINDOW_BYTES_MAX ((uint64_t)1 << 44)
#define WINDOW_BYTES_MIN ((uint64_t)1 << 30) /* less would not hold a useful program */

#define STATE_BYTES PAGE_SIZE
_Static_assert(sizeof(struct machine_host) <= STATE_BYTES, "the state is one mapping");

static long map_anonymous(vaddr_t addr, uint64_t len, int prot, int flags)
{
	return sys_call6(SYS_mmap, (long)addr, (long)len, prot,
			 MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void unmap(vaddr_t start, uint64_t len)
{
	sys_call2(SYS_munmap, (long)start, (long)len);
}

static int advise(vaddr_t start, uint64_t len, int advice)
{
	return (int)sys_call3(SYS_madvise, (long)start, (long)len, advice);
}

int host_drop_range(vaddr_t start, uint64_t len)
{
	int err = advise(start, len, MADV_DONTNEED);

	if (err == -EINVAL) /* mlocked; advised so since Linux 5.18 */
		err = advise(start, len, MADV_DONTNEED_LOCKED);
	return err == -ENOMEM ? 0 : err; /* not mapped: nothing is there */
}

/* Huge and merged pages cannot be moved; kernels built without either refuse the advice. */
static void keep_pages_plain(vaddr_t start, uint64_t len)
{
	advise(start, len, MADV_NOHUGEPAGE);
	advise(start, len, MADV_UNMERGEABLE);
}

/* Makes a mapped, empty range part of the window (invariant 3). */
static int window_adopt(int fd, vaddr_t start, uint64_t len)
{
	int err = advise(start, len, MADV_DONTFORK);

	if (err)
		return err;
	keep_pages_plain(start, len);
	return uffd_register(fd, start, len, true);
}

/* Return: 0, -EEXIST if something is mapped in the range, other -errno. */
static int window_claim(int fd, vaddr_t start, uint64_t len, int fixed)
{
	long got = map_anonymous(start, len, PROT_NONE, MAP_NORESERVE | fixed);
	int err;

	if (sys_is_error(got))
		return (int)got;
	err = window_adopt(fd, start, len);
	if (err)
		unmap(start, len);
	return err;
}

/* The largest window that the process's address space limit allows, at the first free place. */
static int window_choose(int fd, vaddr_t base, vaddr_t *ret_start, vaddr_t *ret_end)
{
	int err = -ENOMEM;

	for (uint64_t len = WINDOW_BYTES_MAX; len >= WINDOW_BYTES_MIN; len /= 2) {
		for (unsigned int i = 0; i < WINDOW_BASES; i++) {
			vaddr_t start = base + i * WINDOW_BASE_STEP;

			err = window_claim(fd, start, len, MAP_FIXED_NOREPLACE);
			if (!err) {
				*ret_start = start;
				*ret_end = start + len;
				return 0;
			}
			if (err != -EEXIST)
				break;
		}
	}
	return err;
}

/* msync() of a range with a hole answers -ENOMEM; MS_ASYNC does nothing else. */
static bool is_wholly_mapped(vaddr_t start, uint64_t len)
{
	return sys_call3(SYS_msync, (long)start, (long)len, MS_ASYNC) == 0;
}

/* The largest power of two that pos is aligned to and that fits before end. */
static uint64_t chunk_at(vaddr_t pos, vaddr_t end)
{
	uint64_t len = pos & -pos;

	while (len > end - pos)
		len /= 2;
	return len;
}

/*
 * Claims all that is free of [start, end), around what is mapped there: by trying, in aligned
 * chunks that are halved where something is in the way. Needs no /proc, and about 100 calls for
 * each mapping met.
 */
static int window_claim_gaps(int fd, vaddr_t start, vaddr_t end)
{
	vaddr_t pos = start;

	while (pos < end) {
		uint64_t len = chunk_at(pos, end);
		int err = window_claim(fd, pos, len, MAP_FIXED_NOREPLACE);

		while (err == -EEXIST && len > PAGE_SIZE && !is_wholly_mapped(pos, len)) {
			len /= 2;
			err = window_claim(fd, pos, len, MAP_FIXED_NOREPLACE);
		}
		if (err && err != -EEXIST)
			return err;
		pos += len;
	}
	return 0;
}

static int host_space_create(struct machine *m, vaddr_t start, vaddr_t end,
			     struct machine_space **ret_space)
{
	struct machine_host *host = host_of(m);

	if (start < host->window_start || end > host->window_end || start >= end)
		return -EINVAL;
	if (__atomic_exchange_n(&host->space.is_used, true, __ATOMIC_ACQUIRE))
		return -EBUSY;
	*ret_space = &host->space;
	return 0;
}

static void host_space_destroy(struct machine *m, struct machine_space *space)
{
	(void)m;
	__atomic_store_n(&space->is_used, false, __ATOMIC_RELEASE);
}

/*
 * On x86 what can be written or executed can be read, but for mappings that can only be
 * executed where the processor has protection keys: those must be readable, to be copied out.
 */
static int host_prot(int prot)
{
	return prot == MM_PROT_NONE ? PROT_NONE : prot | PROT_READ;
}

static int region_protect(vaddr_t start, vaddr_t end, int prot)
{
	return (int)sys_call3(SYS_mprotect, (long)start, (long)(end - start), prot);
}

/*
 * mprotect() of a range that has one protection so far either does it or changes nothing
 * (-ENOMEM: vm.max_map_count, the commit limit or RLIMIT_DATA). If it fails for an unmap, the
 * range stays accessible and empty: an access is a fault, and the manager says SEGV to it.
 */
static int host_region(struct machine *m, struct machine_space *space, vaddr_t start,
		       vaddr_t end, enum machine_region_op op, int prot)
{
	(void)m;
	(void)space;
	if (op != MACHINE_REGION_UNMAP)
		return region_protect(start, end, host_prot(prot));
	host_drop_range(start, end - start); /* poison, if any */
	region_protect(start, end, PROT_NONE);
	return 0;
}

/* The bits of pages are not to be seen from outside the kernel, so there are no capabilities.
 */
static const struct machine_ops host_ops = {
	.name = "host",
	.caps = MACHINE_FAULTS_COST,
	.space_create = host_space_create,
	.space_destroy = host_space_destroy,
	.apply = host_apply,
	.region = host_region,
};

static int pool_map(uint64_t bytes, vaddr_t *ret_start)
{
	long got = map_anonymous(0, bytes, PROT_READ | PROT_WRITE, 0);

	if (sys_is_error(got))
		return (int)got;
	keep_pages_plain((vaddr_t)got, bytes);
	*ret_start = (vaddr_t)got;
	return 0;
}

static int window_make(struct machine_host *host, const struct machine_host_config *cfg)
{
	int err;

	if (cfg->window_end == 0)
		return window_choose(host->fd,
				     cfg->window_start ? cfg->window_start : WINDOW_BASE,
				     &host->window_start, &host->window_end);
	err = window_claim(host->fd, cfg->window_start, cfg->window_end - cfg->window_start,
			   MAP_FIXED_NOREPLACE);
	if (err)
		return err;
	host->window_start = cfg->window_start;
	host->window_end = cfg->window_end;
	return 0;
}

static bool config_is_valid(const struct machine_host_config *cfg)
{
	if (cfg->ram_bytes == 0 || cfg->ram_bytes / PAGE_SIZE >= PFN_NONE)
		return false;
	if ((cfg->ram_bytes | cfg->window_start | cfg->window_end) & ~PAGE_MASK)
		return false;
	if (cfg->window_end == 0)
		return true;
	return cfg->window_start > 0 && cfg->window_start < cfg->window_end;
}

/* The features of a descriptor that somebody else has opened are those that one like it has. */
static int host_open(int signal_fd, uint64_t *ret_features)
{
	int fd = uffd_open(signal_fd ? UFFD_TELLS_THREAD : UFFD_TELLS_READER, ret_features,
			   NULL);

	if (!signal_fd || fd < 0)
		return fd;
	uffd_close(fd);
	return signal_fd;
}

/**
 * machine_host_open_signals() - a descriptor for a machine that tells faults by SIGBUS.
 * @fd_min: its number is this or higher.
 *
 * The faulting thread gets SIGBUS (BUS_ADRERR) at the address, and maps the page in its
 * handler; nothing is to be read from the descriptor. A system call that meets a page which is
 * not mapped fails with EFAULT. No privilege is needed (Linux 5.11).
 *
 * Each file table whose threads call the machine must have the descriptor under this number.
 * The others may be shared or copied tables: the descriptor serves this address space.
 *
 * Return: the descriptor; -errno as machine_host_create().
 */
int machine_host_open_signals(int fd_min)
{
	uint64_t features;
	int fd = uffd_open(UFFD_TELLS_THREAD, &features, NULL);
	int high;

	if (fd < 0)
		return fd;
	high = (int)sys_call3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fd_min);
	uffd_close(fd);
	return high;
}

/**
 * machine_host_create() - make the machine: descriptor, pool and window.
 * @cfg: ram_bytes whole pages. The window asked for must be free; if none is, 16 TiB from
 *	its window_start, or else 0x200000000000, are taken: less where RLIMIT_AS allows
 *	less, elsewhere where others lie there.
 * @ret_machine: to be given to mm_system_create(), and to machine_host_destroy().
 *
 * The pool is not touched: it takes memory as it is written.
 *
 * Return: 0; -EINVAL for a @cfg that breaks the rules; -ENOSYS, -EPERM, -EOPNOTSUPP as
 * machine_host_probe() explains; -EEXIST if the window asked for is taken; -EMFILE, -ENFILE;
 * -ENOMEM.
 */
int machine_host_create(const struct machine_host_config *cfg, struct machine **ret_machine)
{
	struct machine_host *host;
	uint64_t features;
	vaddr_t ram = 0;
	long state;
	int err;

	if (!config_is_valid(cfg))
		return -EINVAL;
	state = map_anonymous(0, STATE_BYTES, PROT_READ | PROT_WRITE, 0);
	if (sys_is_error(state))
		return (int)state;
	host = (struct machine_host *)state;
	host->fd = host_open(cfg->signal_fd, &features);
	err = host->fd;
	if (err < 0)
		goto unmap_state;
	err = pool_map(cfg->ram_bytes, &ram);
	if (err)
		goto close_fd;
	err = uffd_register(host->fd, ram, cfg->ram_bytes, false);
	if (err)
		goto unmap_pool;
	err = window_make(host, cfg);
	if (err)
		goto unmap_pool;
	host->m = (struct machine){
		.ops = &host_ops,
		.ram = (char *)ram,
		.nr_frames = (pfn_t)(cfg->ram_bytes / PAGE_SIZE),
	};
	host->has_move = (features & UFFD_HAS_MOVE) && !cfg->no_move;
	host->has_poison = (features & UFFD_HAS_POISON) != 0;
	host->may_copy = cfg->may_copy;
	mm_lock_init(&host->later_lock, LOCK_RANK_MACHINE);
	drops_init(&host->later, host);
	host->has_vector_drop = !cfg->no_move; /* a kernel without the one lacks the other */
	*ret_machine = &host->m;
	return 0;
unmap_pool:
	unmap(ram, cfg->ram_bytes);
close_fd:
	uffd_close(host->fd);
unmap_state:
	unmap((vaddr_t)state, STATE_BYTES);
	return err;
}

/**
 * machine_host_destroy() - undo machine_host_create().
 *
 * All that is in the window goes, foreign mappings too.
 *
 * Context: nobody uses the machine or the addresses of pool and window any more.
 */
void machine_host_destroy(struct machine *m)
{
	struct machine_host *host = host_of(m);

	unmap(host->window_start, host->window_end - host->window_start);
	unmap((vaddr_t)m->ram, (uint64_t)m->nr_frames * PAGE_SIZE);
	uffd_close(host->fd);
	unmap((vaddr_t)host, STATE_BYTES);
}

/**
 * machine_host_reattach() - give the child of a fork its own descriptor and window.
 *
 * The window is made around what is mapped in it: foreign mappings came through the fork. The
 * whole window is unmapped for the manager, which replays its VMAs through region(MAP). The
 * parent's descriptor is left alone: in this process its number means nothing, or another file.
 *
 * @signal_fd: of machine_host_open_signals(), called in the child; 0 where there was none.
 *
 * Return: 0, or -errno as machine_host_create(); after an error the machine is of no use.
 * Context: in the child, by a thread of the file table that will use the machine, before any
 * other call.
 */
int machine_host_reattach(struct machine *m, int signal_fd)
{
	struct machine_host *host = host_of(m);
	uint64_t features;
	int fd = host_open(signal_fd, &features);
	int err;

	if (fd < 0)
		return fd;
	err = uffd_register(fd, (vaddr_t)m->ram, (uint64_t)m->nr_frames * PAGE_SIZE, false);
	if (!err)
		err = window_claim_gaps(fd, host->window_start, host->window_end);
	if (err) {
		uffd_close(fd);
		return err;
	}
	host->fd = fd;
	return 0;
}

/**
 * machine_host_window_restore() - a foreign mapping has gone: the range is window again.
 * @start, @end: within the window, page aligned; whatever is mapped there is replaced.
 *
 * Return: 0, or -ENOMEM, and the range is not part of the window.
 */
int machine_host_window_restore(struct machine *m, vaddr_t start, vaddr_t end)
{
	struct machine_host *host = host_of(m);

	MM_ASSERT(start < end && start >= host->window_start && end <= host->window_end);
	return window_claim(host->fd, start, end - start, MAP_FIXED);
}

/**
 * machine_host_fd() - the descriptor, to wait until machine_host_read_faults() has something.
 */
int machine_host_fd(const struct machine *m)
{
	return host_of_const(m)->fd;
}

static unsigned int fault_access(uint64_t flags)
{
	uint64_t writes = UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP;

	return flags & writes ? MM_ACCESS_WRITE : MM_ACCESS_READ;
}

#define FAULTS_AT_ONCE 16 /* 512 bytes of a small stack */

/**
 * machine_host_read_faults() - which accesses wait.
 * @faults: filled from the front.
 * @max: how many it holds; at most 16 are read at once.
 *
 * Each access is told once to one caller; it sleeps until its page is mapped, made writable,
 * refreshed or poisoned, or until machine_host_wake().
 *
 * Return: how many were read; 0 if none waits. Does not block.
 */
unsigned int machine_host_read_faults(struct machine *m, struct machine_host_fault *faults,
				      unsigned int max)
{
	struct uffd_msg msgs[FAULTS_AT_ONCE];
	unsigned int nr = 0;
	long bytes;

	if (max > FAULTS_AT_ONCE)
		max = FAULTS_AT_ONCE;
	bytes = sys_call3(SYS_read, host_of(m)->fd, (long)msgs, (long)(max * sizeof(msgs[0])));
	for (long i = 0; (i + 1) * (long)sizeof(msgs[0]) <= bytes; i++) {
		if (msgs[i].event != UFFD_EVENT_PAGEFAULT)
			continue;
		faults[nr++] = (struct machine_host_fault){
			.va = msgs[i].arg.pagefault.address & PAGE_MASK,
			.access = fault_access(msgs[i].arg.pagefault.flags),
			.tid = (int)msgs[i].arg.pagefault.feat.ptid,
		};
	}
	return nr;
}

/**
 * machine_host_wake() - let whoever waits for a page try again.
 */
void machine_host_wake(struct machine *m, vaddr_t va)
{
	uffd_wake(host_of(m)->fd, va & PAGE_MASK, PAGE_SIZE);
}

/**
 * machine_host_poison() - any access to a page that is not mapped is SIGBUS from now on.
 *
 * Waiters go on, to meet it. Mapping a page there, or unmapping the region, ends it.
 *
 * Return: 0; -ENOSYS before Linux 6.6; -EEXIST if a page is mapped there.
 */
int machine_host_poison(struct machine *m, vaddr_t va)
{
	struct machine_host *host = host_of(m);

	if (!host->has_poison)
		return -ENOSYS;
	return uffd_poison(host->fd, va & PAGE_MASK, PAGE_SIZE);
}

/**
 * machine_host_window() - where managed memory lies.
 */
void machine_host_window(const struct machine *m, vaddr_t *ret_start, vaddr_t *ret_end)
{
	*ret_start = host_of_const(m)->window_start;
	*ret_end = host_of_const(m)->window_end;
}

/**
 * machine_host_contains() - is an address in the window?
 */
bool machine_host_contains(const struct machine *m, vaddr_t va)
{
	const struct machine_host *host = host_of_const(m);

	return va >= host->window_start && va < host->window_end;
}

/**
 * machine_host_moves() - does it use UFFDIO_MOVE?
 */
bool machine_host_moves(const struct machine *m)
{
	return host_of_const(m)->has_move;
}

/**
 * machine_host_note_device() - from now on a device may write pages of the window.
 *
 * Context: before whatever lets it. Any thread, any signal handler.
 */
void machine_host_note_device(struct machine *m)
{
	__atomic_store_n(&host_of(m)->may_copy, false, __ATOMIC_SEQ_CST);
}
