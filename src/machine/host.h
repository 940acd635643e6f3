/* SPDX-License-Identifier: MIT */
/*
 * The machine that is this process: userfaultfd. How it works is told in machine/host.c.
 *
 * Nothing here touches errno, malloc, stdio or thread-local storage, so that the runtime's raw
 * threads may call all of it. The file descriptor belongs to the file table of the thread that
 * created (or reattached) the machine; only threads that share that table may call apply(),
 * region() and the functions that take a machine.
 */
#ifndef MACHINE_HOST_H
#define MACHINE_HOST_H

#include "mm/machine.h"

struct machine_host_config {
	uint64_t ram_bytes;		  /* whole pages, at least one */
	vaddr_t window_start, window_end; /* page aligned; end 0: chosen, from start on */
	bool no_move;			  /* do without UFFDIO_MOVE, as before Linux 6.8 */
	bool may_copy; /* no device writes pages of the window, until machine_host_note_device()
			*/
	int signal_fd; /* of machine_host_open_signals(); 0: faults are read from a descriptor
			*/
};

enum machine_host_verdict {
	MACHINE_HOST_OK,
	MACHINE_HOST_NO_SYSCALL, /* a kernel without userfaultfd, or a filter hides it */
	MACHINE_HOST_NO_RIGHT,	 /* see sysctl and dev_err */
	MACHINE_HOST_NO_WP,	 /* a kernel that cannot write-protect anonymous memory so */
	MACHINE_HOST_NO_MEANS,	 /* out of file descriptors or memory: err says which */
};

struct machine_host_probe {
	enum machine_host_verdict verdict;
	int err;     /* 0, or the -errno behind the verdict */
	int sysctl;  /* vm.unprivileged_userfaultfd; -1: cannot be read */
	int dev_err; /* why /dev/userfaultfd was of no use; 0 if it was not needed or opened */
	bool has_move;	 /* UFFDIO_MOVE: Linux 6.8 */
	bool has_poison; /* UFFDIO_POISON: Linux 6.6 */
};

struct machine_host_fault {
	vaddr_t va;	     /* page aligned */
	unsigned int access; /* MM_ACCESS_*; executing counts as reading */
	int tid;	     /* who waits, in the thread's own pid namespace; 0: unknown */
};

/* Pages since create, by the way they went; for tests and benchmarks. */
struct machine_host_stats {
	uint64_t nr_moved_in, nr_copied_in;   /* pool to window */
	uint64_t nr_moved_out, nr_copied_out; /* window to pool */
	uint64_t nr_discarded, nr_protected, nr_unprotected, nr_refreshed;
};

int machine_host_probe(struct machine_host_probe *ret_probe);
int machine_host_probe_signals(struct machine_host_probe *ret_probe);
int machine_host_open_signals(int fd_min);

int machine_host_create(const struct machine_host_config *cfg, struct machine **ret_machine);
void machine_host_destroy(struct machine *m);
int machine_host_reattach(struct machine *m, int signal_fd);
int machine_host_window_restore(struct machine *m, vaddr_t start, vaddr_t end);

int machine_host_lend(struct machine *m, vaddr_t va, const void *frame);
int machine_host_take_back(struct machine *m, vaddr_t va, void *frame);

int machine_host_fd(const struct machine *m);
unsigned int machine_host_read_faults(struct machine *m, struct machine_host_fault *faults,
				      unsigned int max);
void machine_host_wake(struct machine *m, vaddr_t va);
int machine_host_poison(struct machine *m, vaddr_t va);

void machine_host_note_device(struct machine *m);

void machine_host_window(const struct machine *m, vaddr_t *ret_start, vaddr_t *ret_end);
bool machine_host_contains(const struct machine *m, vaddr_t va);
bool machine_host_moves(const struct machine *m); /* by UFFDIO_MOVE? */
void machine_host_stats(const struct machine *m, struct machine_host_stats *ret_stats);

#endif
