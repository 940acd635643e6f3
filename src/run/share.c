/* SPDX-License-Identifier: MIT */
#include "run/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/checked.h"
#include "base/syscall.h"
#include "swapdev/share.h"

#define NR_GAUGES                                                                   \
	((unsigned int)MM_VMSTAT_pgalloc) /* the items before it are present values \
					   */

#define NOEXEC_SEAL \
	0x8U /* MFD_NOEXEC_SEAL of Linux 6.3: asked for where vm.memfd_noexec is 2 */

enum run_words_state {
	WORDS_EMPTY,
	WORDS_READY,
	WORDS_TAKEN,
};

static int share_map(int fd, uint64_t bytes, struct run_share **ret_share)
{
	long addr =
		sys_call6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (addr < 0 && addr >= -4095)
		return (int)addr;
	*ret_share = (struct run_share *)addr;
	return 0;
}

/* Return: the descriptor, or -errno. */
static int share_memfd(uint64_t bytes)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	long fd = sys_call2(SYS_memfd_create, (long)"ration-run",
			    MFD_CLOEXEC | MFD_ALLOW_SEALING | NOEXEC_SEAL);
	long err;

	if (fd == -EINVAL)
		fd = sys_call2(SYS_memfd_create, (long)"ration-run",
			       MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return (int)fd;
	err = sys_call2(SYS_ftruncate, fd, (long)bytes);
	if (!err) /* nobody may cut it short under the others (SIGBUS) */
		err = sys_call3(SYS_fcntl, fd, F_ADD_SEALS, seals);
	if (err) {
		sys_call2(SYS_close, fd, 0);
		return (int)err;
	}
	return (int)fd;
}

static void share_fill_area(struct run_share *share, unsigned int i,
			    const struct run_area_config *cfg, uint64_t offset)
{
	struct run_area *area = &share->areas[i];
	size_t len = min_u64(strlen(cfg->name), RUN_NAME_MAX - 1);

	area->fd = cfg->fd;
	area->prio = cfg->prio;
	area->nr_slots = cfg->nr_slots;
	area->swap_share = offset;
	memcpy(area->name, cfg->name, len);
	swap_share_init((struct swap_share *)((char *)share + offset),
			swap_share_clusters(cfg->nr_slots));
}

static uint64_t share_area_bytes(const struct run_area_config *cfg)
{
	uint64_t bytes = swap_share_bytes(swap_share_clusters(cfg->nr_slots));

	return (bytes + 63) & ~(uint64_t)63;
}

/**
 * run_share_create() - make the memory of a run, in the launcher.
 * @cfg: what the processes are to know; at most RUN_AREAS_MAX areas.
 * @ret_map: the launcher's view; its fd is close-on-exec.
 *
 * Return: 0; -EINVAL for too many areas; -errno of memfd_create, ftruncate or mmap.
 */
int run_share_create(const struct run_share_config *cfg, struct run_map *ret_map)
{
	uint64_t bytes = sizeof(struct run_share);
	struct run_share *share;
	int err, fd;

	if (cfg->nr_areas > RUN_AREAS_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < cfg->nr_areas; i++)
		bytes += share_area_bytes(&cfg->areas[i]);
	fd = share_memfd(bytes);
	if (fd < 0)
		return fd;
	err = share_map(fd, bytes, &share);
	if (err) {
		sys_call2(SYS_close, fd, 0);
		return err;
	}
	bytes = sizeof(*share);
	for (unsigned int i = 0; i < cfg->nr_areas; i++) {
		share_fill_area(share, i, &cfg->areas[i], bytes);
		bytes += share_area_bytes(&cfg->areas[i]);
	}
	share->version = RUN_SHARE_VERSION;
	share->nr_vmstat = NR_MM_VMSTAT;
	share->bytes = bytes;
	share->ram_bytes = cfg->ram_bytes;
	share->zram_bytes = cfg->zram_bytes;
	share->zram_codec = cfg->zram_codec;
	share->swappiness = cfg->swappiness;
	share->flags = cfg->flags;
	share->fault_engine = cfg->fault_engine;
	share->launcher_pid = (int32_t)getpid();
	share->nr_areas = cfg->nr_areas;
	share->magic = RUN_SHARE_MAGIC;
	*ret_map = (struct run_map){.share = share, .bytes = bytes, .fd = fd};
	for (unsigned int i = 0; i < RUN_AREAS_MAX; i++)
		ret_map->area_fds[i] = i < cfg->nr_areas ? cfg->areas[i].fd : -1;
	return 0;
}

static bool share_is_sound(const struct run_share *share, uint64_t bytes)
{
	if (share->magic != RUN_SHARE_MAGIC || share->version != RUN_SHARE_VERSION)
		return false;
	if (share->bytes != bytes || share->nr_vmstat != NR_MM_VMSTAT)
		return false;
	if (share->nr_areas > RUN_AREAS_MAX)
		return false;
	for (unsigned int i = 0; i < share->nr_areas; i++)
		if (share->areas[i].swap_share >= bytes)
			return false;
	return true;
}

static char *put_uint(char *at, uint32_t n)
{
	char digits[10];
	unsigned int nr = 0;

	do {
		digits[nr++] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	while (nr > 0)
		*at++ = digits[--nr];
	return at;
}

/* Context: at has room for the prefix, ten digits and the end. */
static void put_path(char *at, const char *prefix, uint32_t fd)
{
	size_t len = strlen(prefix);

	memcpy(at, prefix, len);
	at = put_uint(at + len, fd);
	*at = '\0';
}

/* Maps it, if it is a run's. fd is closed after that: the mapping keeps its file. */
static int share_attach_fd(int fd, struct run_map *ret_map)
{
	struct run_share *share;
	struct stat st;
	int err;

	err = (int)sys_call2(SYS_fstat, fd, (long)&st);
	if (err)
		return err;
	if ((uint64_t)st.st_size < sizeof(*share))
		return -EPROTO;
	err = share_map(fd, (uint64_t)st.st_size, &share);
	if (err)
		return err;
	if (!share_is_sound(share, (uint64_t)st.st_size)) {
		sys_call2(SYS_munmap, (long)share, st.st_size);
		return -EPROTO;
	}
	*ret_map = (struct run_map){.share = share, .bytes = (uint64_t)st.st_size, .fd = -1};
	for (unsigned int i = 0; i < RUN_AREAS_MAX; i++)
		ret_map->area_fds[i] = -1;
	return 0;
}

/**
 * run_share_attach() - a process's own view of the run it belongs to.
 * @path: of the memfd: the value of RUN_SHARE_ENV, or /proc/thread-self/fd/<n>, an inherited
 * one's.
 * @ret_map: a new open file (close-on-exec, in the calling thread's file table) and a mapping.
 *
 * The mapping is of another open file than the locks: a fork child inherits it, and would keep
 * the parent's entry alive.
 *
 * Return: 0; -EPROTO if it is not the share of a run of this version; -errno of open or mmap.
 */
int run_share_attach(const char *path, struct run_map *ret_map)
{
	long fd = sys_call3(SYS_open, (long)path, O_RDWR | O_CLOEXEC, 0);
	struct run_map map = {.share = NULL};
	char again[40];
	long lock_fd;
	int err;

	if (fd < 0)
		return (int)fd;
	err = share_attach_fd((int)fd, &map);
	put_path(again, "/proc/thread-self/fd/", (uint32_t)fd);
	lock_fd = err ? err : sys_call3(SYS_open, (long)again, O_RDWR | O_CLOEXEC, 0);
	sys_call2(SYS_close, fd, 0);
	if (lock_fd < 0) {
		if (map.share)
			sys_call2(SYS_munmap, (long)map.share, (long)map.bytes);
		return (int)lock_fd;
	}
	map.fd = (int)lock_fd;
	*ret_map = map;
	return 0;
}

/**
 * run_share_detach() - close the view; the entries that it alone held are dead from here on.
 */
void run_share_detach(struct run_map *map)
{
	sys_call2(SYS_munmap, (long)map->share, (long)map->bytes);
	sys_call2(SYS_close, map->fd, 0);
	*map = (struct run_map){.fd = -1};
}

static int slot_lock(const struct run_map *map, unsigned int slot, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};

	return (int)sys_call3(SYS_fcntl, map->fd, F_OFD_SETLK, (long)&lock);
}

/* Keeps the threads that share map->fd apart, whom the file lock takes for one. */
static bool slot_reserve(struct run_map *map, unsigned int slot)
{
	uint64_t bit = (uint64_t)1 << slot;

	return !(__atomic_fetch_or(&map->held, bit, __ATOMIC_ACQUIRE) & bit);
}

static void slot_drop(struct run_map *map, unsigned int slot)
{
	slot_lock(map, slot, F_UNLCK);
	__atomic_fetch_and(&map->held, ~((uint64_t)1 << slot), __ATOMIC_RELEASE);
}

static bool slot_take(struct run_map *map, unsigned int slot)
{
	if (!slot_reserve(map, slot))
		return false;
	if (slot_lock(map, slot, F_WRLCK) == 0)
		return true;
	__atomic_fetch_and(&map->held, ~((uint64_t)1 << slot), __ATOMIC_RELEASE);
	return false;
}

/* Does the file that a dead process's requests hold still keep its lock? */
static bool area_is_quiet(const struct run_map *map, unsigned int area, unsigned int slot)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};
	int fd = map->area_fds[area];
	long err;

	if (fd < 0 && run_share_open_area(map, area, &fd))
		return false; /* it is left to those who have it open */
	err = sys_call3(SYS_fcntl, fd, F_OFD_GETLK, (long)&lock);
	if (map->area_fds[area] < 0)
		sys_call2(SYS_close, fd, 0);
	return err || lock.l_type == F_UNLCK; /* an error: locks are not to be had there */
}

/* Context: the entry's write lock held, so that nobody begins I/O in its name. */
static bool slot_is_quiet(const struct run_map *map, unsigned int slot)
{
	if (__atomic_load_n(&map->share->procs[slot].state, __ATOMIC_ACQUIRE) == RUN_PROC_FREE)
		return true;
	for (unsigned int i = 0; i < map->share->nr_areas; i++)
		if (!area_is_quiet(map, i, slot))
			return false;
	return true;
}

static void max_atomic(uint64_t *value, uint64_t candidate)
{
	uint64_t seen = __atomic_load_n(value, __ATOMIC_RELAXED);

	while (seen < candidate)
		if (__atomic_compare_exchange_n(value, &seen, candidate, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
}

/*
 * Gives back what a dead process held. May be cut short by a SIGKILL at any point and begun
 * again by another process: each counter moves in one exchange, and a mask is cleared twice
 * without harm. Context: the entry's write lock held.
 */
static void slot_scrub(struct run_map *map, unsigned int slot)
{
	struct run_share *share = map->share;
	struct run_proc *proc = &share->procs[slot];

	if (__atomic_load_n(&proc->state, __ATOMIC_ACQUIRE) == RUN_PROC_FREE)
		return;
	for (unsigned int i = 0; i < share->nr_areas; i++)
		swap_share_release(run_share_swap(map, i), slot);
	for (unsigned int i = 0; i < NR_MM_VMSTAT; i++) {
		uint64_t n = __atomic_exchange_n(&proc->vmstat[i], 0, __ATOMIC_RELAXED);

		if (i < NR_GAUGES)
			max_atomic(&share->retired[i], n);
		else
			__atomic_fetch_add(&share->retired[i], n, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&proc->state, RUN_PROC_FREE, __ATOMIC_RELEASE);
}

/* Field 22 of /proc/self/stat, counted after the last ')': a name may hold blanks. 0: unknown.
 */
static uint64_t own_start_ticks(void)
{
	char text[512];
	long fd = sys_call3(SYS_open, (long)"/proc/self/stat", O_RDONLY | O_CLOEXEC, 0);
	long len = fd < 0 ? 0 : sys_call3(SYS_read, fd, (long)text, sizeof(text) - 1);
	unsigned int field = 2;
	uint64_t ticks = 0;
	long at = len - 1;

	if (fd >= 0)
		sys_call2(SYS_close, fd, 0);
	while (at > 0 && text[at] != ')')
		at--;
	for (; at >= 0 && at < len && field <= 22; at++) {
		if (text[at] == ' ')
			field++;
		else if (field == 22 && text[at] >= '0' && text[at] <= '9')
			ticks = ticks * 10 + (uint64_t)(text[at] - '0');
	}
	return ticks;
}

static void slot_sign(struct run_map *map, unsigned int slot)
{
	struct run_proc *proc = &map->share->procs[slot];

	proc->pid = (int32_t)sys_call2(SYS_getpid, 0, 0);
	proc->start_ticks = own_start_ticks();
}

/* Context: the entry's write lock held; the read lock after it. */
static int slot_occupy(struct run_map *map, unsigned int slot)
{
	slot_scrub(map, slot);
	slot_sign(map, slot);
	__atomic_store_n(&map->share->procs[slot].state, RUN_PROC_USED, __ATOMIC_RELEASE);
	__atomic_fetch_add(&map->share->nr_claims, 1, __ATOMIC_RELAXED);
	return slot_lock(map, slot, F_RDLCK);
}

/**
 * run_share_claim() - take an entry of the process table: a free one, or a dead process's.
 * @map: holds the entry until run_share_release() or run_share_detach().
 * @ret_slot: its number, below RUN_PROCS_MAX; owner number on the swap areas; owns nothing
 * yet. procs[slot].vmstat is zeroed.
 *
 * Return: 0; -EUSERS if all are alive, or their last I/O is; -errno of fcntl.
 * Context: any thread; never waits.
 */
int run_share_claim(struct run_map *map, unsigned int *ret_slot)
{
	for (unsigned int i = 0; i < 2 * RUN_PROCS_MAX; i++) {
		unsigned int slot = i % RUN_PROCS_MAX;
		uint32_t state =
			__atomic_load_n(&map->share->procs[slot].state, __ATOMIC_RELAXED);
		int err;

		if (i < RUN_PROCS_MAX && state != RUN_PROC_FREE) /* those in the second turn */
			continue;
		if (!slot_take(map, slot))
			continue;
		if (!slot_is_quiet(map, slot)) {
			slot_drop(map, slot);
			continue;
		}
		err = slot_occupy(map, slot);
		if (err) {
			slot_drop(map, slot);
			return err;
		}
		*ret_slot = slot;
		return 0;
	}
	return -EUSERS;
}

/**
 * run_share_adopt() - hold, in a fork child, the entry that the parent claimed for it.
 * @map: the child's own, attached after the fork.
 * @slot: still held by the map that was inherited, which may be closed after this.
 *
 * Return: 0; -EBUSY if the map holds it already; -errno of fcntl.
 */
int run_share_adopt(struct run_map *map, unsigned int slot)
{
	int err;

	if (!slot_reserve(map, slot))
		return -EBUSY;
	err = slot_lock(map, slot, F_RDLCK);
	if (err) {
		slot_drop(map, slot);
		return err;
	}
	MM_ASSERT(map->share->procs[slot].state == RUN_PROC_USED);
	slot_sign(map, slot);
	return 0;
}

/**
 * run_share_hold_area() - what a process sends to a swap area keeps its entry from being taken
 * back, also when the process is dead.
 * @slot: held by @map.
 * @fd: the open file that all its I/O on the area goes through. It stays open.
 *
 * Where the file system has no locks the entry is taken back as soon as the process is dead.
 *
 * Context: before the first I/O, and before other threads use @map.
 */
void run_share_hold_area(struct run_map *map, unsigned int slot, unsigned int area, int fd)
{
	struct flock lock = {
		.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};

	sys_call3(SYS_fcntl, fd, F_OFD_SETLK, (long)&lock);
	map->area_fds[area] = fd;
}

/**
 * run_share_fork() - let the child's entry own, too, the swap clusters that the parent's owns.
 * Context: before the fork, and the parent's manager takes no cluster until it is done.
 */
void run_share_fork(struct run_map *map, unsigned int parent, unsigned int child)
{
	for (unsigned int i = 0; i < map->share->nr_areas; i++)
		swap_share_fork(run_share_swap(map, i), parent, child);
}

/**
 * run_share_release() - give an entry back: the process wants no memory of the run any more.
 * @slot: held by @map, with no I/O under way. If another map holds it too, it lives on there.
 */
void run_share_release(struct run_map *map, unsigned int slot)
{
	if (slot_lock(map, slot, F_WRLCK) == 0)
		slot_scrub(map, slot);
	slot_drop(map, slot);
}

/**
 * run_share_reclaim() - take back the entries of processes that have died.
 *
 * Return: how many there were. Their swap clusters are free; those of one whose I/O is still
 * under way stay, and it is found again by the next call.
 * Context: any thread; never waits. Bounded by RUN_PROCS_MAX entries.
 */
unsigned int run_share_reclaim(struct run_map *map)
{
	unsigned int nr = 0;

	for (unsigned int slot = 0; slot < RUN_PROCS_MAX; slot++) {
		struct run_proc *proc = &map->share->procs[slot];

		if (__atomic_load_n(&proc->state, __ATOMIC_RELAXED) == RUN_PROC_FREE)
			continue;
		if (!slot_take(map, slot))
			continue;
		if (slot_is_quiet(map, slot))
			slot_scrub(map, slot);
		slot_drop(map, slot);
		nr++;
	}
	return nr;
}

/**
 * run_share_swap() - the cluster owners of swap area @area, below share->nr_areas.
 */
struct swap_share *run_share_swap(const struct run_map *map, unsigned int area)
{
	return (struct swap_share *)((char *)map->share + map->share->areas[area].swap_share);
}

/**
 * run_share_open_swap() - open a swap area anew, and keep other runs off it.
 * @path: of the area, or of a descriptor of it in /proc.
 * @ret_fd: for reading and writing, close-on-exec, in the calling thread's file table.
 *
 * Return: 0; -EAGAIN if another run has the area; -errno.
 */
int run_share_open_swap(const char *path, int *ret_fd)
{
	long fd = sys_call3(SYS_open, (long)path, O_RDWR | O_CLOEXEC, 0);
	long err;

	if (fd < 0)
		return (int)fd;
	err = sys_call2(SYS_flock, fd, LOCK_SH | LOCK_NB);
	if (err) {
		sys_call2(SYS_close, fd, 0);
		return (int)err;
	}
	*ret_fd = (int)fd;
	return 0;
}

/**
 * run_share_open_area() - run_share_open_swap() of area @area, through the launcher.
 *
 * Return: as that; -ENOENT if the launcher is gone.
 */
int run_share_open_area(const struct run_map *map, unsigned int area, int *ret_fd)
{
	char folder[32] = "/proc/", path[48];

	memcpy(put_uint(folder + 6, (uint32_t)map->share->launcher_pid), "/fd/", 5);
	put_path(path, folder, (uint32_t)map->share->areas[area].fd);
	return run_share_open_swap(path, ret_fd);
}

/**
 * run_share_say() - leave a line that the launcher prints when the program has ended.
 * @line: without newline; cut to RUN_LINE_MAX - 1. Lines after RUN_WORDS_MAX are lost.
 */
void run_share_say(struct run_share *share, const char *line)
{
	uint32_t at = __atomic_fetch_add(&share->nr_words, 1, __ATOMIC_RELAXED);
	size_t len = 0;

	if (at >= RUN_WORDS_MAX)
		return;
	while (len < RUN_LINE_MAX - 1 && line[len])
		len++;
	memcpy(share->words[at].line, line, len);
	share->words[at].pid = (int32_t)sys_call2(SYS_getpid, 0, 0);
	__atomic_store_n(&share->words[at].state, WORDS_READY, __ATOMIC_RELEASE);
}

/**
 * run_share_next_words() - a line that was left and not yet handed out.
 *
 * Return: it, valid as long as the map; NULL if there is none.
 */
const char *run_share_next_words(struct run_share *share)
{
	for (unsigned int i = 0; i < RUN_WORDS_MAX; i++) {
		uint32_t ready = WORDS_READY;

		if (__atomic_compare_exchange_n(&share->words[i].state, &ready, WORDS_TAKEN,
						false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return share->words[i].line;
	}
	return NULL;
}

/**
 * run_share_totals() - what all processes of the run have counted, dead or alive.
 */
void run_share_totals(const struct run_share *share, struct run_totals *ret_totals)
{
	struct run_totals totals = {
		.nr_processes = __atomic_load_n(&share->nr_claims, __ATOMIC_RELAXED),
		.paths = __atomic_load_n(&share->paths, __ATOMIC_RELAXED),
	};

	for (unsigned int i = 0; i < NR_MM_VMSTAT; i++) {
		totals.vmstat[i] = __atomic_load_n(&share->retired[i], __ATOMIC_RELAXED);
		for (unsigned int slot = 0; slot < RUN_PROCS_MAX; slot++) {
			uint64_t n = __atomic_load_n(&share->procs[slot].vmstat[i],
						     __ATOMIC_RELAXED);

			if (i < NR_GAUGES)
				totals.vmstat[i] = max_u64(totals.vmstat[i], n);
			else
				totals.vmstat[i] += n;
		}
	}
	*ret_totals = totals;
}
