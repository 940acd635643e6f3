/* SPDX-License-Identifier: MIT */
/*
 * Ranges that go back to the kernel, in one call: each call costs a flush of the TLB.
 */
#ifndef MACHINE_HOST_DROP_H
#define MACHINE_HOST_DROP_H

#include <sys/uio.h>

#include "ration/types.h"

#define DROP_RANGES    32 /* 512 bytes of a small stack; reclaim's batch */
#define DROP_PAGES_MAX 64 /* copied and not yet dropped, at most: 256 KiB */

struct machine_host;

struct drops {
	struct machine_host *host;
	struct iovec ranges[DROP_RANGES];
	uint32_t nr;
	uint64_t bytes;
	int err; /* a range of the window could not be dropped */
};

void drops_init(struct drops *drops, struct machine_host *host);

/* Goes with the others, or makes all go if there is no more room. */
void drops_add(struct drops *drops, vaddr_t start, uint64_t bytes);
void drops_flush(struct drops *drops);

#endif
