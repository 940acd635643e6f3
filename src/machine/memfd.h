/* SPDX-License-Identifier: MIT */
/*
 * The machine that is this process, where userfaultfd is not to be had: a memory file and
 * mmap(). How it works is told in machine/memfd.c.
 *
 * As machine/host.h, nothing here touches errno, malloc, stdio or thread-local storage. No file
 * stays open, so any thread of the process may call all of it.
 */
#ifndef MACHINE_MEMFD_H
#define MACHINE_MEMFD_H

#include "mm/machine.h"

struct machine_memfd_config {
	uint64_t ram_bytes;		  /* whole pages, at least one */
	vaddr_t window_start, window_end; /* page aligned, free; start < end */
	bool no_move; /* do without MREMAP_DONTUNMAP, as before Linux 5.13 */
};

/* Since create; for tests and benchmarks. */
struct machine_memfd_stats {
	uint64_t nr_mapped, nr_unmapped; /* pages */
	uint64_t nr_calls;		 /* mmap(), mremap() */
	uint64_t nr_forgotten;		 /* pages, because the kernel had no mapping left */
};

int machine_memfd_create(const struct machine_memfd_config *cfg, struct machine **ret_machine);
void machine_memfd_destroy(struct machine *m);

int machine_memfd_create_copy(const struct machine *m);
int machine_memfd_copy(struct machine *m, int fd,
		       pfn_t (*used)(const void *arg, pfn_t pfn, pfn_t *ret_end),
		       const void *arg);
int machine_memfd_adopt(struct machine *m, int fd);
int machine_memfd_window_restore(struct machine *m, vaddr_t start, vaddr_t end);

int machine_memfd_lend(struct machine *m, vaddr_t va, const void *frame, bool is_writable);
void machine_memfd_take_back(struct machine *m, vaddr_t va, void *frame);

void machine_memfd_window(struct machine *m, vaddr_t *ret_start, vaddr_t *ret_end);
void machine_memfd_stats(struct machine *m, struct machine_memfd_stats *ret_stats);

#endif
