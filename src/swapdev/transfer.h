/* SPDX-License-Identifier: MIT */
/*
 * One vectored read or write of neighbouring slots, from its start to its end (transfer.c).
 */
#ifndef SWAPDEV_TRANSFER_H
#define SWAPDEV_TRANSFER_H

#include <sys/uio.h>

#include "mm/swapdev.h"

#define TRANSFER_PAGES_MAX 32 /* what reclaim writes in one go: SWAP_CLUSTER_MAX */

struct transfer {
	uint64_t slot;	     /* of the first page (c) */
	uint32_t nr;	     /* pages (c) */
	uint32_t done;	     /* bytes from the start that are moved or given up */
	uint32_t asked;	     /* bytes that the attempt under way, or the next, asks for */
	uint16_t nr_retries; /* attempts in a row that came to nothing */
	bool is_write;	     /* (c) */
	bool is_single;	     /* an attempt failed: page by page, to find whose error it is */
	struct iovec
		iov[TRANSFER_PAGES_MAX]; /* an entry a page; the current one may be begun */
	uint64_t cookies[TRANSFER_PAGES_MAX]; /* (c) */
	int err[TRANSFER_PAGES_MAX];
};

struct transfer_attempt {
	const struct iovec *iov;
	unsigned int nr_iov;
	uint64_t offset; /* bytes from the start of the device */
};

unsigned int transfer_init(struct transfer *t, const struct swapdev_io *ios, unsigned int nr);
void transfer_attempt(const struct transfer *t, struct transfer_attempt *ret_attempt);
bool transfer_advance(struct transfer *t, long result);
void transfer_result(const struct transfer *t, unsigned int i, struct swapdev_io *ret_io);
void transfer_run(struct transfer *t, int fd);

#endif
