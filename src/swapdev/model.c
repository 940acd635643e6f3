/* SPDX-License-Identifier: MIT */
/*
 * A swap device in virtual time: it moves no bytes, it only says when an I/O would have ended.
 *
 * There is one channel. An I/O waits until the channel is free, then for the seek if its slot
 * does not follow the one before it, then for its transfer; after that the channel is free for
 * the next one, and the answer arrives a latency later. So a single page costs latency and
 * transfer, and a full queue costs transfers only, as on a disk with a deep queue; a device
 * with a seek is slow where slots are far apart, whatever the queue.
 *
 * Devices may share a channel, as the files of one disk do.
 *
 * A driver sleeps when the device's queue is full; here nobody sleeps. swapdev_model_is_full()
 * says that it would, and the caller lets time go on before it starts more. The model itself
 * takes far more than that.
 *
 * Neighbours of one direction that are submitted together are one request, as behind a plug of
 * Linux's block layer (blk_attempt_plug_merge()): they are transferred one by one and answered
 * together.
 *
 * The clock is the caller's. poll() hands out what has ended by now, and
 * swapdev_model_next_ns() says when there will be more.
 *
 * Invariants:
 *  1. queue[first, first + nr) is sorted by the time at which its I/Os end; those that end at
 *     the same time stand in the order of submission.
 *  2. channel->free_ns never goes back.
 */
#include "swapdev/model.h"

#include <string.h>

#include "base/checked.h"
#include "base/list.h"
#include "base/lock.h"
#include "swapdev/common.h"

#define QUEUE_MAX	  4096 /* I/Os in flight: depth, and what a full one is given at once */
#define NS_PER_SECOND	  1000000000u
#define MIB		  ((uint64_t)1 << 20)
#define SPINNING_TURN_NS  8330000 /* 7200 turns a minute */
#define AVERAGE_ACCESS_NS (8500000 + SPINNING_TURN_NS / 2)

struct model_io {
	struct swapdev_io io;
	uint64_t end_ns;
};

/* Locks: d lock, (c) set at create */
struct model_dev {
	struct swapdev dev;		    /* (c) */
	struct swapdev_model_params params; /* (c) */
	const uint64_t *clock_ns;	    /* (c) */
	struct mm_lock lock;
	struct swapdev_model_channel *channel, own; /* d */
	unsigned int first, nr;			    /* d */
	struct model_io queue[2 * QUEUE_MAX];	    /* d */
};

/*
 * Figures of a class of device, not of a product: 4 KiB reads at queue depth 1, and what a
 * device carries when its queue is full. nvme: a data centre drive with flash (80 us, 2 GiB/s);
 * ssd: SATA; hdd: 7200/min, seek 8.5 ms and half a turn; zram: lz4 on one core.
 */
static const struct swapdev_model_params presets[] = {
	{"nvme", 80000, 20000, 2048 * MIB, 0, 256},
	{"ssd", 120000, 60000, 500 * MIB, 0, 32},
	{"hdd", 100000, 100000, 150 * MIB, AVERAGE_ACCESS_NS, 32},
	{"zram", 500, 500, 1500 * MIB, 0, 32},
};

/**
 * swapdev_model_preset() - the figures of a class of device.
 *
 * Return: for ever; NULL if there is no such name.
 */
const struct swapdev_model_params *swapdev_model_preset(const char *name)
{
	for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
		if (!strcmp(presets[i].name, name))
			return &presets[i];
	return NULL;
}

/**
 * swapdev_model_preset_at() - all of them, for a list.
 *
 * Return: NULL from the first index that there is not.
 */
const struct swapdev_model_params *swapdev_model_preset_at(unsigned int index)
{
	return index < sizeof(presets) / sizeof(presets[0]) ? &presets[index] : NULL;
}

static struct model_dev *model_of(struct swapdev *dev)
{
	return container_of(dev, struct model_dev, dev);
}

static uint64_t transfer_ns(const struct model_dev *model)
{
	uint64_t bytes_per_second = model->params.bytes_per_second;

	return (PAGE_SIZE * (uint64_t)NS_PER_SECOND + bytes_per_second - 1) / bytes_per_second;
}

/* When this I/O ends, given those before it. */
static uint64_t schedule(struct model_dev *model, const struct swapdev_io *io)
{
	struct swapdev_model_channel *channel = model->channel;
	uint64_t start = max_u64(*model->clock_ns, channel->free_ns);

	if (channel->last != model || io->slot != channel->slot_next)
		start += model->params.seek_ns;
	channel->last = model;
	channel->slot_next = io->slot + 1;
	channel->free_ns = start + transfer_ns(model);
	return channel->free_ns +
	       (io->is_write ? model->params.write_latency_ns : model->params.read_latency_ns);
}

/* From the back: latencies differ little, so the place is near. */
static void insert(struct model_dev *model, const struct model_io *entry)
{
	struct model_io *queue = model->queue + model->first;
	unsigned int at = model->nr++;

	for (; at > 0 && queue[at - 1].end_ns > entry->end_ns; at--)
		queue[at] = queue[at - 1];
	queue[at] = *entry;
}

static void make_room_behind(struct model_dev *model)
{
	if (model->first + model->nr < 2 * QUEUE_MAX)
		return;
	memmove(model->queue, model->queue + model->first, model->nr * sizeof(model->queue[0]));
	model->first = 0;
}

static void enqueue(struct model_dev *model, const struct swapdev_io *io, int err,
		    uint64_t end_ns)
{
	struct model_io entry = {.io = *io, .end_ns = end_ns};

	entry.io.err = err;
	make_room_behind(model);
	insert(model, &entry);
}

/* Return: how many I/Os from the first on are one request; 0 if that one is refused. */
static unsigned int request_length(const struct swapdev *dev, const struct swapdev_io *ios,
				   unsigned int nr)
{
	unsigned int len = 0;

	while (len < nr && swapdev_io_refusal(dev, &ios[len]) == 0 &&
	       (len == 0 || (ios[len].slot == ios[len - 1].slot + 1 &&
			     ios[len].is_write == ios[0].is_write)))
		len++;
	return len;
}

static void request_start(struct model_dev *model, const struct swapdev_io *ios,
			  unsigned int nr)
{
	uint64_t end_ns = 0;

	for (unsigned int i = 0; i < nr; i++)
		end_ns = schedule(model, &ios[i]);
	for (unsigned int i = 0; i < nr; i++)
		enqueue(model, &ios[i], 0, end_ns);
}

static unsigned int model_submit(struct swapdev *dev, const struct swapdev_io *ios,
				 unsigned int nr)
{
	struct model_dev *model = model_of(dev);
	unsigned int taken = 0;

	mm_lock_acquire(&model->lock);
	while (taken < nr && model->nr < QUEUE_MAX) {
		unsigned int room = QUEUE_MAX - model->nr, left = nr - taken;
		unsigned int len = request_length(dev, ios + taken, left < room ? left : room);

		request_start(model, ios + taken, len);
		if (len == 0)
			enqueue(model, &ios[taken], swapdev_io_refusal(dev, &ios[taken]),
				*model->clock_ns);
		taken += len ? len : 1;
	}
	mm_lock_release(&model->lock);
	return taken;
}

static unsigned int model_poll(struct swapdev *dev, struct swapdev_io *ret_done,
			       unsigned int max)
{
	struct model_dev *model = model_of(dev);
	unsigned int nr = 0;

	mm_lock_acquire(&model->lock);
	while (nr < max && model->nr > 0 &&
	       model->queue[model->first].end_ns <= *model->clock_ns) {
		ret_done[nr++] = model->queue[model->first].io;
		model->first++;
		model->nr--;
	}
	mm_lock_release(&model->lock);
	return nr;
}

static void model_close(struct swapdev *dev)
{
	state_unmap(model_of(dev), sizeof(struct model_dev));
}

static const struct swapdev_ops model_ops = {
	.name = "model",
	.submit = model_submit,
	.poll = model_poll,
	.close = model_close,
};

/**
 * swapdev_model_create() - a swap device in virtual time.
 * @cfg: see model.h.
 * @ret_dev: the device; pages that are "read" from it keep what their frame held.
 *
 * Return: 0; -EINVAL (no slot beside the header's, no bandwidth or depth); -ENOMEM.
 */
int swapdev_model_create(const struct swapdev_model_config *cfg, struct swapdev **ret_dev)
{
	struct model_dev *model;
	void *mapped;
	int err;

	if (cfg->nr_slots < 2 || cfg->nr_slots > UINT32_MAX ||
	    cfg->params.bytes_per_second == 0 || cfg->params.depth == 0)
		return -EINVAL;
	err = state_map(sizeof(*model), &mapped);
	if (err)
		return err;
	model = mapped;
	model->dev = (struct swapdev){
		.ops = &model_ops, .nr_slots = cfg->nr_slots, .name = cfg->params.name};
	model->params = cfg->params;
	model->clock_ns = cfg->clock_ns;
	model->channel = cfg->channel ? cfg->channel : &model->own;
	mm_lock_init(&model->lock, LOCK_RANK_SWAPDEV);
	*ret_dev = &model->dev;
	return 0;
}

static const struct model_dev *model_of_const(const struct swapdev *dev)
{
	return (const struct model_dev *)((const char *)dev - offsetof(struct model_dev, dev));
}

/**
 * swapdev_model_is_full() - would a driver sleep before it gave the device more?
 * @dev: from swapdev_model_create().
 *
 * Context: no other call on this device runs.
 */
bool swapdev_model_is_full(const struct swapdev *dev)
{
	const struct model_dev *model = model_of_const(dev);

	return model->nr >= model->params.depth;
}

/**
 * swapdev_model_next_ns() - when the next I/O ends.
 * @dev: from swapdev_model_create().
 *
 * Return: virtual time, maybe past; UINT64_MAX if nothing is in flight.
 * Context: no other call on this device runs.
 */
uint64_t swapdev_model_next_ns(const struct swapdev *dev)
{
	const struct model_dev *model = model_of_const(dev);

	return model->nr > 0 ? model->queue[model->first].end_ns : UINT64_MAX;
}
