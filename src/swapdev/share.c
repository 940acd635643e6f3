/* SPDX-License-Identifier: MIT */
/*
 * Cluster ownership.
 *
 * Each cluster has one word in memory that all processes of the run map, with a bit for each
 * process (its owner number) that holds the cluster. A process takes a free cluster by turning
 * the word from 0 into its own bit, so of several that try, one gets it. A fork adds the
 * child's bit beside the parent's: from then on both may read the cluster and neither may write
 * it, until one of them has let go. No lock: a process may be killed at any instruction, and
 * then only its own bits are left, which swap_share_release() clears.
 *
 * Invariants:
 *  1. A bit is set by its owner alone (get), or by the parent on behalf of a child that does
 * not run yet (fork), and cleared by its owner or, once it is dead, by who buries it (release).
 *  2. From 0 the word becomes one single bit. So while a word is one bit, no other process
 *     reads or writes the cluster, and none can start to, save by that owner's own fork.
 */
#include "swapdev/share.h"

#include "base/assert.h"
#include "mm/swapdev.h"

static uint64_t owner_bit(unsigned int owner)
{
	MM_ASSERT(owner < SWAP_SHARE_OWNERS_MAX);
	return (uint64_t)1 << owner;
}

/**
 * swap_share_clusters() - how many clusters a device has.
 * @nr_slots: with the header's slot; at most 2^40.
 *
 * Return: the number; the last cluster may be a part of one.
 */
uint64_t swap_share_clusters(uint64_t nr_slots)
{
	return (nr_slots + SWAP_CLUSTER_SLOTS - 1) / SWAP_CLUSTER_SLOTS;
}

/**
 * swap_share_bytes() - how much shared memory the share of a device takes.
 * @nr_clusters: at most 2^32.
 *
 * Return: bytes, a multiple of 8.
 */
size_t swap_share_bytes(uint64_t nr_clusters)
{
	return sizeof(struct swap_share) + nr_clusters * sizeof(uint64_t);
}

/**
 * swap_share_init() - a share where nobody owns anything.
 * @share: swap_share_bytes() of zeroed memory, as a fresh memfd is. It is not cleared here, so
 *	that the share of a huge, hardly used device costs no memory.
 * @nr_clusters: as for swap_share_bytes().
 */
void swap_share_init(struct swap_share *share, uint64_t nr_clusters)
{
	share->nr_clusters = nr_clusters;
}

/**
 * swap_share_get() - take a cluster that nobody holds.
 * @share: of the run.
 * @cluster: its number; one beyond the end is not to be had.
 * @owner: who asks, 0..63.
 *
 * Return: true if it is @owner's now.
 * Context: any process, any thread.
 */
bool swap_share_get(struct swap_share *share, uint64_t cluster, unsigned int owner)
{
	uint64_t expected = 0;

	if (cluster >= share->nr_clusters)
		return false;
	return __atomic_compare_exchange_n(&share->owners[cluster], &expected, owner_bit(owner),
					   false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/**
 * swap_share_put() - let go of a cluster.
 * @share: of the run.
 * @cluster: one that @owner holds, alone or with others.
 * @owner: who lets go; none of its I/O on the cluster is in flight.
 *
 * Context: any process, any thread.
 */
void swap_share_put(struct swap_share *share, uint64_t cluster, unsigned int owner)
{
	uint64_t bit = owner_bit(owner), old;

	MM_ASSERT(cluster < share->nr_clusters);
	old = __atomic_fetch_and(&share->owners[cluster], ~bit, __ATOMIC_RELEASE);
	MM_ASSERT((old & bit) != 0);
}

/**
 * swap_share_is_exclusive() - may @owner write the cluster?
 * @share: of the run.
 * @cluster: any.
 * @owner: who asks.
 *
 * Return: true if @owner holds it and nobody else does. A true answer stays true until @owner
 * forks or lets go; a false one may become true at any time.
 * Context: any process, any thread.
 */
bool swap_share_is_exclusive(const struct swap_share *share, uint64_t cluster,
			     unsigned int owner)
{
	if (cluster >= share->nr_clusters)
		return false;
	return __atomic_load_n(&share->owners[cluster], __ATOMIC_ACQUIRE) == owner_bit(owner);
}

/**
 * swap_share_fork() - give a child what its parent holds, and nothing else.
 * @share: of the run.
 * @parent: the process that is about to fork.
 * @child: a free owner number, claimed for the child.
 *
 * May be called again before the fork, when what the parent holds has changed.
 *
 * Context: in the parent, before the fork, while no thread of it takes clusters or submits
 * writes; a fork that fails is undone by swap_share_release(@child).
 */
void swap_share_fork(struct swap_share *share, unsigned int parent, unsigned int child)
{
	uint64_t from = owner_bit(parent), to = owner_bit(child);

	MM_ASSERT(from != to);
	for (uint64_t i = 0; i < share->nr_clusters; i++) {
		uint64_t owners = __atomic_load_n(&share->owners[i], __ATOMIC_RELAXED);

		if (owners & from)
			__atomic_fetch_or(&share->owners[i], to, __ATOMIC_ACQ_REL);
		else if (owners & to)
			__atomic_fetch_and(&share->owners[i], ~to, __ATOMIC_RELEASE);
	}
}

/**
 * swap_share_release() - let go of everything that an owner holds.
 * @share: of the run.
 * @owner: a process that has ended, whose number is not given to another before this returns;
 *	or the caller itself at its end.
 *
 * Context: any process.
 */
void swap_share_release(struct swap_share *share, unsigned int owner)
{
	uint64_t bit = owner_bit(owner);

	for (uint64_t i = 0; i < share->nr_clusters; i++)
		if (__atomic_load_n(&share->owners[i], __ATOMIC_RELAXED) & bit)
			__atomic_fetch_and(&share->owners[i], ~bit, __ATOMIC_RELEASE);
}

/**
 * swap_share_count() - how many clusters an owner holds, alone or with others.
 * @share: of the run.
 * @owner: 0..63.
 *
 * Return: clusters; a momentary figure.
 */
uint64_t swap_share_count(const struct swap_share *share, unsigned int owner)
{
	uint64_t bit = owner_bit(owner), count = 0;

	for (uint64_t i = 0; i < share->nr_clusters; i++)
		count += (__atomic_load_n(&share->owners[i], __ATOMIC_RELAXED) & bit) != 0;
	return count;
}
