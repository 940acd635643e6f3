/* SPDX-License-Identifier: MIT */
/*
 * The kernel's calls that the host machine lives on, each as one function that answers -errno.
 * The newer parts of the interface are spelled out here, because the headers of the oldest
 * system that we build on do not have them.
 */
#ifndef MACHINE_HOST_UFFD_H
#define MACHINE_HOST_UFFD_H

#include "ration/types.h"

#define UFFD_HAS_WP	   ((uint64_t)1 << 0) /* UFFD_FEATURE_PAGEFAULT_FLAG_WP, Linux 5.7 */
#define UFFD_HAS_THREAD_ID ((uint64_t)1 << 8)
#define UFFD_HAS_SIGBUS	   ((uint64_t)1 << 7)  /* UFFD_FEATURE_SIGBUS, Linux 4.14 */
#define UFFD_HAS_POISON	   ((uint64_t)1 << 14) /* Linux 6.6 */
#define UFFD_HAS_MOVE	   ((uint64_t)1 << 16) /* Linux 6.8 */

enum uffd_mode {
	UFFD_WAKES = 0,		/* waiters in the destination go on */
	UFFD_WAKES_NOT = 1,	/* nobody can wait there */
	UFFD_PROTECTED = 2,	/* copy: the new pages are write-protected */
	UFFD_HOLES_ALLOWED = 2, /* move: a page that is missing leaves a hole */
};

/* Whom a fault is told. */
enum uffd_audience {
	UFFD_TELLS_READER, /* whoever reads the descriptor; faults of the kernel too */
	UFFD_TELLS_THREAD, /* the faulting thread, by SIGBUS; the kernel gets EFAULT */
};

/*
 * Opens a userfaultfd, non-blocking and close-on-exec, with those of the features above that
 * the kernel has and that go with the audience. UFFD_TELLS_THREAD needs no privilege since
 * Linux 5.11. ret_dev_err: why /dev/userfaultfd was of no use, 0 if not needed; may be
 * NULL. Return: the descriptor, or -errno: -ENOSYS, -EPERM, -EOPNOTSUPP (no UFFD_HAS_WP),
 * -EMFILE, -ENFILE, -ENOMEM.
 */
int uffd_open(enum uffd_audience audience, uint64_t *ret_features, int *ret_dev_err);
void uffd_close(int fd);

/* Return: 0 or -errno. is_window: missing pages fault too, not only protected ones. */
int uffd_register(int fd, vaddr_t start, uint64_t len, bool is_window);
int uffd_protect(int fd, vaddr_t start, uint64_t len, bool is_protected);
int uffd_wake(int fd, vaddr_t start, uint64_t len);
int uffd_poison(int fd, vaddr_t start, uint64_t len);

/* Return: bytes done, at least a page and maybe fewer than len; or -errno, nothing was done. */
int64_t uffd_move(int fd, vaddr_t dst, vaddr_t src, uint64_t len, unsigned int mode);
int64_t uffd_copy(int fd, vaddr_t dst, vaddr_t src, uint64_t len, unsigned int mode);

/* The processor that the caller runs on; 0 where it cannot be told. */
uint32_t host_cpu(void);

#endif
