/* SPDX-License-Identifier: MIT */
/*
 * Transfers: what becomes of one vectored I/O.
 *
 * Pages of neighbouring slots are asked for in one attempt. A short attempt is continued where
 * it stopped. A failed one is repeated page by page up to the page that fails alone: that page
 * gets the error and the rest goes on together, so that one bad sector or the last free block
 * of a disk costs no neighbour. A file that ends too early, or stops inside a page, is -EIO.
 *
 * No I/O is done here (but for transfer_run()): an engine asks for the next attempt and reports
 * what came of it.
 *
 * Invariants:
 *  1. done <= nr * PAGE_SIZE, and never shrinks.
 *  2. Each attempt moves a byte, ends a page, turns is_single on, or is one of at most
 *     RETRIES_MAX in a row: a transfer ends.
 *  3. iov[i].iov_base lies in page i; with iov_len it ends at that page's end.
 */
#include "swapdev/transfer.h"

#include <errno.h>
#include <sys/syscall.h>

#include "base/assert.h"
#include "base/syscall.h"

#define RETRIES_MAX 16 /* of attempts that were interrupted before they moved anything */

static void page_rewind(struct transfer *t, uint32_t page)
{
	t->iov[page].iov_base = (void *)((uintptr_t)t->iov[page].iov_base & PAGE_MASK);
	t->iov[page].iov_len = PAGE_SIZE;
	t->done = page * (uint32_t)PAGE_SIZE;
}

static void choose_attempt(struct transfer *t)
{
	uint32_t page = t->done / (uint32_t)PAGE_SIZE;
	uint32_t end = t->is_single ? page + 1 : t->nr;

	t->asked = end * (uint32_t)PAGE_SIZE - t->done;
}

static void page_give_up(struct transfer *t, uint32_t page, int err)
{
	page_rewind(t, page);
	t->err[page] = err;
	t->done += PAGE_SIZE;
	t->is_single = false;
	t->nr_retries = 0;
}

/**
 * transfer_init() - begin a transfer with as many I/Os as are neighbours.
 * @t: memory of any content.
 * @ios: the first is taken; those after it while slots ascend by one in the same direction.
 * @nr: how many there are, at least 1.
 *
 * Return: how many were taken, at most TRANSFER_PAGES_MAX.
 */
unsigned int transfer_init(struct transfer *t, const struct swapdev_io *ios, unsigned int nr)
{
	t->slot = ios[0].slot;
	t->is_write = ios[0].is_write;
	t->is_single = false;
	t->nr_retries = 0;
	t->done = 0;
	for (t->nr = 0; t->nr < nr && t->nr < TRANSFER_PAGES_MAX; t->nr++) {
		const struct swapdev_io *io = &ios[t->nr];

		if (io->slot != t->slot + t->nr || io->is_write != t->is_write)
			break;
		t->iov[t->nr] = (struct iovec){.iov_base = io->page, .iov_len = PAGE_SIZE};
		t->cookies[t->nr] = io->cookie;
		t->err[t->nr] = 0;
	}
	choose_attempt(t);
	return t->nr;
}

/**
 * transfer_attempt() - what to ask the system for next.
 * @t: not ended.
 * @ret_attempt: the iovec is @t's and stays until transfer_advance().
 */
void transfer_attempt(const struct transfer *t, struct transfer_attempt *ret_attempt)
{
	uint32_t page = t->done / (uint32_t)PAGE_SIZE;

	MM_DEBUG_ASSERT(page < t->nr);
	*ret_attempt = (struct transfer_attempt){
		.iov = &t->iov[page],
		.nr_iov = t->is_single ? 1 : t->nr - page,
		.offset = t->slot * PAGE_SIZE + t->done,
	};
}

static void bytes_moved(struct transfer *t, uint32_t bytes)
{
	uint32_t page, begun;

	t->nr_retries = 0;
	t->done += bytes;
	page = t->done / (uint32_t)PAGE_SIZE;
	begun = t->done % (uint32_t)PAGE_SIZE;
	if (begun == 0)
		return;
	page_rewind(t, page);
	t->iov[page].iov_base = (char *)t->iov[page].iov_base + begun;
	t->iov[page].iov_len -= begun;
	t->done += begun;
}

static bool is_transient(long result)
{
	/* ECANCELED: the thread that submitted to the ring has ended. */
	return result == -EINTR || result == -EAGAIN || result == -ECANCELED;
}

static void attempt_failed(struct transfer *t, long result)
{
	uint32_t page = t->done / (uint32_t)PAGE_SIZE;
	bool is_begun = t->done % (uint32_t)PAGE_SIZE != 0;

	if (is_transient(result) && t->nr_retries++ < RETRIES_MAX)
		return;
	if (result != 0 && t->asked > PAGE_SIZE) {
		t->is_single = true;
		t->nr_retries = 0;
		return;
	}
	page_give_up(t, page, result == 0 || is_begun ? -EIO : (int)result);
}

/**
 * transfer_advance() - take note of what an attempt came to.
 * @t: with an attempt under way.
 * @result: as preadv(2) and io_uring say it: bytes moved, 0 at the end of the file, -errno.
 *
 * Return: true if the transfer has ended; false if it needs another attempt.
 */
bool transfer_advance(struct transfer *t, long result)
{
	MM_ASSERT(result <= (long)t->asked);
	if (result > 0)
		bytes_moved(t, (uint32_t)result);
	else
		attempt_failed(t, result);
	if (t->done == t->nr * (uint32_t)PAGE_SIZE)
		return true;
	choose_attempt(t);
	return false;
}

/**
 * transfer_result() - an I/O of a transfer that has ended, as swapdev_ops.poll() hands it out.
 * @t: ended.
 * @i: below @t->nr.
 * @ret_io: the I/O with its error.
 */
void transfer_result(const struct transfer *t, unsigned int i, struct swapdev_io *ret_io)
{
	MM_DEBUG_ASSERT(i < t->nr);
	*ret_io = (struct swapdev_io){
		.slot = t->slot + i,
		.page = (void *)((uintptr_t)t->iov[i].iov_base & PAGE_MASK),
		.cookie = t->cookies[i],
		.is_write = t->is_write,
		.err = t->err[i],
	};
}

/**
 * transfer_run() - all attempts of a transfer, in the calling thread.
 * @t: not ended.
 * @fd: the device.
 *
 * Context: waits for the disk; no errno, no allocation.
 */
void transfer_run(struct transfer *t, int fd)
{
	long nr = t->is_write ? SYS_pwritev : SYS_preadv;
	struct transfer_attempt a;

	do {
		transfer_attempt(t, &a);
	} while (!transfer_advance(
		t, sys_call6(nr, fd, (long)a.iov, a.nr_iov, (long)a.offset, 0, 0)));
}
