/* SPDX-License-Identifier: MIT */
/*
 * A swap device in RAM, for tests.
 *
 * What is submitted stands in one array, the ended I/Os before those in flight; poll() takes
 * from the front. An I/O ends in submit(), or at a poll() drawn from the seed, or when the test
 * says so; when it does not end at once, the seed also says whether its bytes are moved at the
 * start or at the end, as a disk might do either.
 *
 * Invariants:
 *  1. queue[0, nr_ended) have ended, queue[nr_ended, nr) are in flight, nr <= queue_max.
 *  2. With a seed of 0 everything happens in the order of submission, and late.
 */
#include "swapdev/mem.h"

#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/lock.h"
#include "swapdev/common.h"

#define DRY_POLLS_MAX 4 /* a poller with a bounded number of tries must get there */

struct mem_io {
	struct swapdev_io io;
	bool is_moved;
};

/* Locks: d lock, (c) set at create */
struct mem_dev {
	struct swapdev dev; /* (c) */
	struct mm_lock lock;
	size_t bytes;	/* of the whole state, store included (c) */
	uint8_t *store; /* nr_slots pages; I/O on a slot is ordered by the caller */
	struct swap_share *share;
	unsigned int owner;	    /* (c) */
	enum swapdev_mem_mode mode; /* (c) */
	unsigned int queue_max;	    /* (c) */
	uint64_t random;	    /* d; 0: in order */
	unsigned int nr_dry;	    /* d: polls in a row that ended nothing */
	unsigned int nr, nr_ended;  /* d */
	struct mem_io queue[];	    /* d */
};

static struct mem_dev *mem_of(struct swapdev *dev)
{
	return container_of(dev, struct mem_dev, dev);
}

static uint64_t mem_random(struct mem_dev *mem, uint64_t below)
{
	return mem->random == 0 ? 0 : random_next(&mem->random) % below;
}

static void mem_move(struct mem_dev *mem, struct mem_io *entry)
{
	uint8_t *at = mem->store + entry->io.slot * PAGE_SIZE;

	if (entry->is_moved || entry->io.err != 0)
		return;
	if (entry->io.is_write)
		memcpy(at, entry->io.page, PAGE_SIZE);
	else
		memcpy(entry->io.page, at, PAGE_SIZE);
	entry->is_moved = true;
}

static unsigned int mem_end_some(struct mem_dev *mem, unsigned int nr)
{
	unsigned int ended = 0;

	for (; ended < nr && mem->nr_ended < mem->nr; ended++) {
		struct mem_io *front = &mem->queue[mem->nr_ended];
		struct mem_io *pick = front + mem_random(mem, mem->nr - mem->nr_ended);
		struct mem_io entry = *pick;

		*pick = *front;
		*front = entry;
		mem_move(mem, front);
		mem->nr_ended++;
	}
	return ended;
}

static unsigned int mem_submit(struct swapdev *dev, const struct swapdev_io *ios,
			       unsigned int nr)
{
	struct mem_dev *mem = mem_of(dev);
	unsigned int taken = 0;

	mm_lock_acquire(&mem->lock);
	for (; taken < nr && mem->nr < mem->queue_max; taken++) {
		struct mem_io *entry = &mem->queue[mem->nr++];

		entry->io = ios[taken];
		entry->io.err = swapdev_io_refusal(dev, &entry->io);
		entry->is_moved = false;
		if (mem_random(mem, 2) == 1)
			mem_move(mem, entry);
	}
	if (mem->mode == SWAPDEV_MEM_SYNC)
		mem_end_some(mem, taken);
	mm_lock_release(&mem->lock);
	return taken;
}

static void mem_end_by_chance(struct mem_dev *mem)
{
	unsigned int in_flight = mem->nr - mem->nr_ended;
	unsigned int nr = (unsigned int)mem_random(mem, (uint64_t)in_flight + 1);

	if (nr == 0 && ++mem->nr_dry >= DRY_POLLS_MAX)
		nr = 1;
	if (mem_end_some(mem, nr) > 0)
		mem->nr_dry = 0;
}

static unsigned int mem_poll(struct swapdev *dev, struct swapdev_io *ret_done, unsigned int max)
{
	struct mem_dev *mem = mem_of(dev);
	unsigned int nr;

	mm_lock_acquire(&mem->lock);
	if (mem->mode == SWAPDEV_MEM_RANDOM)
		mem_end_by_chance(mem);
	nr = mem->nr_ended < max ? mem->nr_ended : max;
	for (unsigned int i = 0; i < nr; i++)
		ret_done[i] = mem->queue[i].io;
	memmove(mem->queue, mem->queue + nr, (mem->nr - nr) * sizeof(mem->queue[0]));
	mem->nr -= nr;
	mem->nr_ended -= nr;
	mm_lock_release(&mem->lock);
	return nr;
}

static bool mem_cluster_get(struct swapdev *dev, uint64_t cluster)
{
	return swap_share_get(mem_of(dev)->share, cluster, mem_of(dev)->owner);
}

static void mem_cluster_put(struct swapdev *dev, uint64_t cluster)
{
	swap_share_put(mem_of(dev)->share, cluster, mem_of(dev)->owner);
}

static bool mem_cluster_is_exclusive(struct swapdev *dev, uint64_t cluster)
{
	return swap_share_is_exclusive(mem_of(dev)->share, cluster, mem_of(dev)->owner);
}

static void mem_close(struct swapdev *dev)
{
	state_unmap(mem_of(dev), mem_of(dev)->bytes);
}

static const struct swapdev_ops mem_ops = {
	.name = "mem",
	.submit = mem_submit,
	.poll = mem_poll,
	.close = mem_close,
};

static const struct swapdev_ops mem_shared_ops = {
	.name = "mem",
	.submit = mem_submit,
	.poll = mem_poll,
	.cluster_get = mem_cluster_get,
	.cluster_put = mem_cluster_put,
	.cluster_is_exclusive = mem_cluster_is_exclusive,
	.close = mem_close,
};

/**
 * swapdev_mem_create() - a swap device in RAM.
 * @cfg: see mem.h; the device takes memory only for slots that are written.
 * @ret_dev: the device.
 *
 * Return: 0, -EINVAL (no slot beside the header's), -ENOMEM.
 */
int swapdev_mem_create(const struct swapdev_mem_config *cfg, struct swapdev **ret_dev)
{
	unsigned int queue_max = cfg->queue_max == 0 ? SWAPDEV_MEM_QUEUE_MAX : cfg->queue_max;
	size_t state = sizeof(struct mem_dev) + queue_max * sizeof(struct mem_io);
	struct mem_dev *mem;
	void *mapped;
	int err;

	if (cfg->nr_slots < 2 || cfg->nr_slots > UINT32_MAX)
		return -EINVAL;
	state = (state + PAGE_SIZE - 1) & PAGE_MASK;
	err = state_map(state + cfg->nr_slots * PAGE_SIZE, &mapped);
	if (err)
		return err;
	mem = mapped;
	mem->dev = (struct swapdev){.ops = cfg->share ? &mem_shared_ops : &mem_ops,
				    .nr_slots = cfg->nr_slots,
				    .name = "RAM"};
	mm_lock_init(&mem->lock, LOCK_RANK_SWAPDEV);
	mem->bytes = state + cfg->nr_slots * PAGE_SIZE;
	mem->store = (uint8_t *)mapped + state;
	mem->share = cfg->share;
	mem->owner = cfg->owner;
	mem->mode = cfg->mode;
	mem->dev.is_synchronous = cfg->mode == SWAPDEV_MEM_SYNC;
	mem->queue_max = queue_max;
	mem->random = cfg->seed;
	*ret_dev = &mem->dev;
	return 0;
}

/**
 * swapdev_mem_deliver() - end I/Os of a held device.
 * @dev: from swapdev_mem_create().
 * @nr: at most so many; the next poll() hands them out.
 *
 * Return: how many were ended.
 */
unsigned int swapdev_mem_deliver(struct swapdev *dev, unsigned int nr)
{
	struct mem_dev *mem = mem_of(dev);
	unsigned int ended;

	mm_lock_acquire(&mem->lock);
	ended = mem_end_some(mem, nr);
	mm_lock_release(&mem->lock);
	return ended;
}

/**
 * swapdev_mem_in_flight() - how many I/Os have not ended.
 * @dev: from swapdev_mem_create().
 *
 * Return: a momentary figure.
 */
unsigned int swapdev_mem_in_flight(struct swapdev *dev)
{
	struct mem_dev *mem = mem_of(dev);
	unsigned int nr;

	mm_lock_acquire(&mem->lock);
	nr = mem->nr - mem->nr_ended;
	mm_lock_release(&mem->lock);
	return nr;
}

/**
 * swapdev_mem_page() - what a slot holds, for a test to look at or spoil.
 * @dev: from swapdev_mem_create().
 * @slot: below nr_slots.
 *
 * Return: PAGE_SIZE bytes; zeros if it was never written.
 */
void *swapdev_mem_page(struct swapdev *dev, uint64_t slot)
{
	MM_ASSERT(slot < dev->nr_slots);
	return mem_of(dev)->store + slot * PAGE_SIZE;
}
