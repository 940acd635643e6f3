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
struct machine_batch;

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

/*
 * For frames whose pages are mapped, as copies: some time, but before they are unmapped.
 * host_drop_due() is for that: before a batch, and with all true it makes all drops. Context:
 * both take a lock.
 */
void host_drop_later(struct machine_host *host, vaddr_t frame, uint64_t bytes);
void host_drop_due(struct machine_host *host, const struct machine_batch *batch, bool all);

#endif
