/* SPDX-License-Identifier: MIT */
#include "machine/host_drop.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "machine/host_internal.h"
#include "mm/pgtable.h"

#define ADVISE_SELF (-10000) /* PIDFD_SELF_THREAD, Linux 6.14 */

/* Not an initializer: the ranges need none. */
void drops_init(struct drops *drops, struct machine_host *host)
{
	drops->host = host;
	drops->nr = 0;
	drops->bytes = 0;
	drops->err = 0;
}

/* All ranges in one call, where this kernel can. */
static bool flush_vector(struct drops *drops)
{
	bool *has_vector = &drops->host->has_vector_drop;
	long bytes;

	if (drops->nr < 2 || !__atomic_load_n(has_vector, __ATOMIC_RELAXED))
		return false;
	bytes = sys_call6(SYS_process_madvise, ADVISE_SELF, (long)drops->ranges, drops->nr,
			  MADV_DONTNEED, 0, 0);
	if (bytes < 0)
		__atomic_store_n(has_vector, false, __ATOMIC_RELAXED);
	return bytes == (long)drops->bytes;
}

/*
 * Dropping twice is harmless: nobody else works on these addresses. What cannot be dropped of
 * the pool costs memory, not correctness.
 */
void drops_flush(struct drops *drops)
{
	bool is_done = flush_vector(drops);

	for (uint32_t i = 0; i < drops->nr && !is_done; i++) {
		vaddr_t start = (vaddr_t)drops->ranges[i].iov_base;
		int err = host_drop_range(start, drops->ranges[i].iov_len);

		if (err && !host_pool_contains(drops->host, start))
			drops->err = err;
	}
	drops->nr = 0;
	drops->bytes = 0;
}

void drops_add(struct drops *drops, vaddr_t start, uint64_t bytes)
{
	struct iovec *last = drops->nr > 0 ? &drops->ranges[drops->nr - 1] : NULL;

	if (last && (vaddr_t)last->iov_base + last->iov_len == start)
		last->iov_len += bytes;
	else
		drops->ranges[drops->nr++] = (struct iovec){(void *)start, bytes};
	drops->bytes += bytes;
	if (drops->nr == DROP_RANGES || drops->bytes >= DROP_PAGES_MAX * PAGE_SIZE)
		drops_flush(drops);
}

/* Context: later_lock held, so that who meets it finds the drops made. */
static void flush_later(struct machine_host *host)
{
	drops_flush(&host->later);
	__atomic_store_n(&host->nr_later, 0, __ATOMIC_RELEASE);
}

void host_drop_later(struct machine_host *host, vaddr_t frame, uint64_t bytes)
{
	mm_lock_acquire(&host->later_lock);
	drops_add(&host->later, frame, bytes);
	__atomic_store_n(&host->nr_later, (uint32_t)(host->later.bytes / PAGE_SIZE),
			 __ATOMIC_RELEASE);
	mm_lock_release(&host->later_lock);
}

static bool is_later(const struct machine_host *host, vaddr_t frame)
{
	for (uint32_t i = 0; i < host->later.nr; i++) {
		const struct iovec *range = &host->later.ranges[i];

		if (frame - (vaddr_t)range->iov_base < range->iov_len)
			return true;
	}
	return false;
}

/* The page gives up its frame: that gets content again, or another owner. */
static bool is_unmapped(const struct machine_change *change)
{
	return pte_is_present(change->old_pte) &&
	       (!pte_is_present(change->new_pte) ||
		pte_pfn(change->new_pte) != pte_pfn(change->old_pte));
}

void host_drop_due(struct machine_host *host, const struct machine_batch *batch, bool all)
{
	if (__atomic_load_n(&host->nr_later, __ATOMIC_ACQUIRE) == 0)
		return;
	mm_lock_acquire(&host->later_lock);
	for (uint32_t i = 0; i < batch->nr && !all; i++)
		all = is_unmapped(&batch->changes[i]) &&
		      is_later(host, host_frame_addr(host, pte_pfn(batch->changes[i].old_pte)));
	if (all)
		flush_later(host);
	mm_lock_release(&host->later_lock);
}
