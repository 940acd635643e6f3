/* SPDX-License-Identifier: MIT */
/*
 * The memory that the processes of one run share.
 *
 * The launcher makes it (a sealed memfd) and says where it is through the environment:
 * RATION_RUN=/proc/<launcher pid>/fd/<n>. Each process opens it anew and takes one of 64
 * entries of its process table, whose number is also its owner number on the swap areas.
 *
 * An entry is alive exactly while somebody holds a lock on byte <slot> of the memfd (fcntl(2),
 * F_OFD_SETLK). The kernel drops the lock when the last file that holds it is closed: at exit,
 * at exec and at SIGKILL. So nothing has to be trusted about process numbers, which are used
 * again and differ between namespaces. Whoever needs an entry, or swap space, takes back those
 * that are no longer alive.
 *
 * I/O outlives its process: what io_uring has sent to a device is still written there, for as
 * long as the device takes, when the process is long reaped. But each request holds the file
 * that it is for. So a process locks byte <slot> of each swap area, too, through the file that
 * its I/O goes through, and a dead process's entry is taken back only when that lock is gone.
 *
 * 1. What an entry owns is given back by one who holds its write lock, and by nobody else.
 * 2. A claimed entry's own process is the only one that writes its counters.
 * 3. The swap of an entry is released before the entry is free, and after its last I/O.
 *
 * A fork. The child needs the parent's swapped pages from its first instruction on, so its
 * entry must be alive before it is. In the parent: attach a second map in the thread that will
 * fork (run_share_attach(): its descriptor is what the child inherits), run_share_claim() on
 * that map, run_share_fork(parent slot, child slot), then fork. In the child: attach in the new
 * runtime thread, run_share_adopt() the slot, then close the inherited map. In the parent:
 * close its copy of that map (run_share_detach()); if the fork failed, run_share_release()
 * first.
 *
 * The launcher holds each swap area's flock(2) shared, and so does each process: while any of
 * them lives, also after the launcher was killed, no other run can take the area.
 *
 * Everything here but run_share_create() and run_share_totals() may be called by the runtime's
 * own threads: no errno, no malloc, no stdio, no thread-local storage.
 */
#ifndef RUN_SHARE_H
#define RUN_SHARE_H

#include "mm/pgtable.h"
#include "ration/mm.h"

#define RUN_SHARE_ENV	  "RATION_RUN"
#define RUN_SHARE_MAGIC	  0x6e757220746172ull /* "rat run" */
#define RUN_SHARE_VERSION 2
#define RUN_PROCS_MAX	  64 /* the swap areas' owner masks have 64 bits */
#define RUN_AREAS_MAX	  SWAP_TYPES_MAX
#define RUN_NAME_MAX	  232
#define RUN_WORDS_MAX	  16
#define RUN_LINE_MAX	  248

struct swap_share;

/* What the launcher was told; they never change. */
enum run_flags {
	RUN_NO_MOVE = 1 << 0,	/* test switch: as on a kernel without UFFDIO_MOVE */
	RUN_NO_URING = 1 << 1,	/* test switch: as on a kernel without io_uring */
	RUN_NO_DIRECT = 1 << 2, /* test switch: swap through the page cache */
};

/* Ways that were really taken, for the report. */
enum run_paths {
	RUN_PATH_MOVE = 1 << 0,
	RUN_PATH_COPY = 1 << 1,
	RUN_PATH_URING = 1 << 2,  /* swap I/O by io_uring */
	RUN_PATH_THREAD = 1 << 3, /* swap I/O by a thread */
	RUN_PATH_FAULT_THREAD = 1 << 4,
	RUN_PATH_FAULT_SIGNAL = 1 << 5,
	RUN_PATH_FAULT_SEGV = 1 << 6,
	RUN_PATH_MAP = 1 << 7,	   /* pages are mapped from a memory file */
	RUN_PATH_REFUSED = 1 << 8, /* shifted by enum run_refusal */
};

enum run_fault_engine {
	RUN_FAULT_THREAD, /* a handler thread resolves faults */
	RUN_FAULT_SIGNAL, /* the faulting thread does, in a signal handler */
	RUN_FAULT_SEGV,	  /* the same without userfaultfd, on mappings of a memory file */
};

/* Why a process did not get the signal engine. */
enum run_refusal {
	RUN_REFUSED_USERFAULTFD, /* no userfaultfd that tells faults by signals */
	RUN_REFUSED_FILTER,	 /* no seccomp filter, or no place for what goes with it */
	RUN_REFUSED_PROGRAM,	 /* it blocks signals behind the C library's back */
	RUN_REFUSED_WINDOW,	 /* the window is not where the filter wants it */
};

struct run_area {
	int32_t fd; /* in the launcher: /proc/<launcher>/fd/<fd> */
	int32_t prio;
	uint64_t nr_slots;
	uint64_t swap_share; /* offset of its struct swap_share */
	char name[RUN_NAME_MAX];
};

/* A line that outlives its process; the launcher prints it at the end. */
struct run_words {
	uint32_t state; /* atomic: enum run_words_state */
	int32_t pid;
	char line[RUN_LINE_MAX];
};

enum run_proc_state {
	RUN_PROC_FREE,
	RUN_PROC_USED, /* ever since it was claimed; alive only while its byte is locked */
};

/* Locks: w the entry's write lock   o its own process   (a) atomic */
struct run_proc {
	uint32_t state;		       /* w (a) */
	int32_t pid;		       /* w: in its own pid namespace */
	uint64_t start_ticks;	       /* w: field 22 of /proc/<pid>/stat */
	uint64_t vmstat[NR_MM_VMSTAT]; /* o (a): mm_config.vmstat points here */
} __attribute__((aligned(64)));

struct run_share {
	uint64_t magic;
	uint32_t version;
	uint32_t nr_vmstat;
	uint64_t bytes; /* of the whole memfd */

	uint64_t ram_bytes;
	uint64_t zram_bytes; /* of it, for compressed pages; 0: no tier */
	uint32_t zram_codec; /* enum zcodec_kind */
	uint32_t swappiness;
	uint32_t flags;	       /* enum run_flags */
	uint32_t fault_engine; /* enum run_fault_engine */
	int32_t launcher_pid;
	uint32_t nr_areas;
	uint32_t paths; /* (a) enum run_paths, or-ed together by the processes */
	struct run_area areas[RUN_AREAS_MAX];

	uint32_t nr_claims; /* (a) processes that were ever managed */
	uint32_t nr_words;  /* (a) entries of words[] given out; may pass RUN_WORDS_MAX */
	struct run_words words[RUN_WORDS_MAX];

	/* (a) what the entries that were taken back had counted: sums, and peaks of gauges */
	uint64_t retired[NR_MM_VMSTAT];
	struct run_proc procs[RUN_PROCS_MAX];
};

_Static_assert(sizeof(struct run_area) == 256, "fixed layout");
_Static_assert(sizeof(struct run_words) == 256, "fixed layout");

/* One process's view of it. The locks belong to fd: an entry lives as long as fd is open. */
struct run_map {
	struct run_share *share;
	uint64_t bytes;
	int fd;
	uint64_t held;		     /* (a) slots that this map holds or is taking back */
	int area_fds[RUN_AREAS_MAX]; /* (c) the swap areas, if they are open here; or -1 */
};

struct run_area_config {
	int fd;
	int prio;
	uint64_t nr_slots;
	const char *name; /* cut to RUN_NAME_MAX */
};

struct run_share_config {
	uint64_t ram_bytes;
	uint64_t zram_bytes;
	uint32_t zram_codec;
	uint32_t swappiness;
	uint32_t flags;
	uint32_t fault_engine;
	const struct run_area_config *areas;
	uint32_t nr_areas;
};

struct run_totals {
	uint64_t vmstat[NR_MM_VMSTAT]; /* counters: sums; gauges: the largest of one process */
	uint32_t nr_processes;
	uint32_t paths;
};

int run_share_create(const struct run_share_config *cfg, struct run_map *ret_map);
int run_share_attach(const char *path, struct run_map *ret_map);
void run_share_detach(struct run_map *map);

int run_share_claim(struct run_map *map, unsigned int *ret_slot);
int run_share_adopt(struct run_map *map, unsigned int slot);
void run_share_fork(struct run_map *map, unsigned int parent, unsigned int child);
void run_share_release(struct run_map *map, unsigned int slot);
unsigned int run_share_reclaim(struct run_map *map);

void run_share_hold_area(struct run_map *map, unsigned int slot, unsigned int area, int fd);
struct swap_share *run_share_swap(const struct run_map *map, unsigned int area);
int run_share_open_swap(const char *path, int *ret_fd);
int run_share_open_area(const struct run_map *map, unsigned int area, int *ret_fd);
void run_share_say(struct run_share *share, const char *line);
const char *run_share_next_words(struct run_share *share);
void run_share_totals(const struct run_share *share, struct run_totals *ret_totals);

#endif
