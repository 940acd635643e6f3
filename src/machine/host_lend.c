/* SPDX-License-Identifier: MIT */
/*
 * Pages that are lent while the process forks.
 *
 * All content is in the pool then, for the child to inherit, and the manager does nothing. A
 * thread that must go on all the same gets a copy of its page in the window; the frame keeps
 * what the child is to see. After the fork the copy is taken back into the frame, where the
 * manager believes it to be.
 */
#include <errno.h>

#include "base/assert.h"
#include "machine/host_internal.h"
#include "machine/host_uffd.h"

#define TAKE_BACK_TRIES 100

/**
 * machine_host_lend() - let threads use a copy of an unmapped frame.
 * @va: where the frame was mapped.
 * @frame: its address in the pool; it stays as it is.
 *
 * Waiters at @va go on.
 *
 * Return: 0; -EEXIST if a page is there, -errno of the kernel.
 * Context: between mm_fork_prepare() and mm_fork_parent(), in the parent.
 */
int machine_host_lend(struct machine *m, vaddr_t va, const void *frame)
{
	int64_t ret = uffd_copy(host_of(m)->fd, va, (vaddr_t)frame, PAGE_SIZE, UFFD_WAKES);

	return ret < 0 ? (int)ret : 0;
}

/* Writers wait from the protection on; whoever touches the page after the drop waits too. */
static int64_t take_back_copy(struct machine_host *host, vaddr_t va, vaddr_t frame)
{
	int64_t ret = uffd_protect(host->fd, va, PAGE_SIZE, true);

	if (ret == 0)
		ret = uffd_copy(host->fd, frame, va, PAGE_SIZE, UFFD_WAKES_NOT);
	if (ret > 0)
		ret = host_drop_range(va, PAGE_SIZE);
	return ret;
}

/**
 * machine_host_take_back() - the frame gets the content of the page that was lent.
 *
 * A page that a device is writing loses what the device has not yet written.
 *
 * Return: 0, or -errno of the kernel, and the page is still lent.
 * Context: as machine_host_lend().
 */
int machine_host_take_back(struct machine *m, vaddr_t va, void *frame)
{
	struct machine_host *host = host_of(m);
	int64_t ret = -EAGAIN;

	for (unsigned int i = 0; i < TAKE_BACK_TRIES && ret < 0; i++) {
		host_drop_range((vaddr_t)frame, PAGE_SIZE);
		ret = host->has_move && i < TAKE_BACK_TRIES / 2
			      ? uffd_move(host->fd, (vaddr_t)frame, va, PAGE_SIZE,
					  UFFD_WAKES_NOT)
			      : take_back_copy(host, va, (vaddr_t)frame);
	}
	return ret < 0 ? (int)ret : 0;
}
