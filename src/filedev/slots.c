/* SPDX-License-Identifier: MIT */
/*
 * A file in the slots of a swap device.
 *
 * Page n of the file is slot n + 1. How many bytes of each page have content is kept beside it,
 * since a store does not know of sizes: a read is completed with zeros, a truncation only
 * changes the numbers. A page without content is not read at all, like a hole. A number is kept
 * as how it differs from what the file began with, so that a large file costs nothing at first.
 *
 * Syncs and truncations have nothing to wait for and end at the next poll().
 *
 * Invariants:
 *  1. An entry is free, with the store, or ready; an I/O that the store did not take is none.
 *  2. valid_of() <= PAGE_SIZE; beyond the file's size it is 0.
 */
#include "filedev/slots.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/lock.h"
#include "swapdev/common.h"

#include <string.h>

#define ENTRIES_MAX 512
#define POLL_BATCH  32
#define STORE_BATCH 32

struct entry {
	struct list_head link; /* free or ready */
	struct filedev_io io;  /* the caller's */
};

/* Locks: d lock, (c) set at create */
struct slots_dev {
	struct filedev dev;    /* (c) */
	struct swapdev *store; /* (c) */
	uint64_t nr_pages_max; /* (c) */
	size_t bytes;	       /* of this state (c) */
	struct mm_lock lock;
	uint64_t size;		      /* d: the file's, in bytes */
	unsigned int sync_fails_in;   /* d: 0: no sync fails */
	int sync_err;		      /* d */
	struct list_head free, ready; /* d */
	struct entry entries[ENTRIES_MAX];
	uint16_t whole;	    /* (c) bytes with content of an entry of changes that is 0 */
	uint16_t changes[]; /* d: a page of the file each: see valid_of() */
};

static struct slots_dev *slots_of(struct filedev *dev)
{
	return container_of(dev, struct slots_dev, dev);
}

static uint64_t page_of_io(const struct filedev_io *io)
{
	return io->offset >> PAGE_SHIFT;
}

static uint64_t end_page(const struct slots_dev *s)
{
	return (s->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* Bytes of the page with content. */
static uint16_t valid_of(const struct slots_dev *s, uint64_t n)
{
	return n < end_page(s) ? s->changes[n] ^ s->whole : 0;
}

static void set_valid(struct slots_dev *s, uint64_t n, uint16_t bytes)
{
	s->changes[n] = bytes ^ s->whole;
}

/* What is added has no content. */
static void grow_to(struct slots_dev *s, uint64_t size)
{
	uint64_t n = end_page(s);

	s->size = size;
	for (; n < end_page(s); n++)
		set_valid(s, n, 0);
}

static void end_now(struct slots_dev *s, struct entry *entry, int err)
{
	entry->io.err = err;
	list_add_tail(&entry->link, &s->ready);
}

static void truncate_to(struct slots_dev *s, uint64_t size)
{
	uint64_t last = size >> PAGE_SHIFT;
	uint16_t tail = (uint16_t)(size & ~PAGE_MASK);

	if (size >= s->size) {
		grow_to(s, size);
		return;
	}
	if (valid_of(s, last) > tail)
		set_valid(s, last, tail);
	s->size = size;
}

static int sync_result(struct slots_dev *s)
{
	if (s->sync_fails_in == 0 || --s->sync_fails_in > 0)
		return 0;
	return s->sync_err;
}

static bool io_is_good(const struct slots_dev *s, const struct filedev_io *io)
{
	if (io->op == FILEDEV_TRUNCATE)
		return io->offset <= s->nr_pages_max << PAGE_SHIFT;
	return page_of_io(io) < s->nr_pages_max && (io->offset & ~PAGE_MASK) == 0 &&
	       io->bytes <= PAGE_SIZE;
}

/* Else it has ended when it is begun. */
static bool needs_store(const struct slots_dev *s, const struct filedev_io *io)
{
	if (io->op == FILEDEV_SYNC || io->op == FILEDEV_TRUNCATE || !io_is_good(s, io))
		return false;
	return io->op == FILEDEV_WRITE || valid_of(s, page_of_io(io)) > 0;
}

/* What does not need the store. */
static void do_at_once(struct slots_dev *s, struct entry *entry)
{
	struct filedev_io *io = &entry->io;

	if (io->op == FILEDEV_SYNC) {
		end_now(s, entry, sync_result(s));
	} else if (!io_is_good(s, io)) {
		end_now(s, entry, -EFBIG);
	} else if (io->op == FILEDEV_TRUNCATE) {
		truncate_to(s, io->offset);
		end_now(s, entry, 0);
	} else {
		memset(io->page, 0, PAGE_SIZE);
		end_now(s, entry, 0);
	}
}

static struct entry *entry_get(struct slots_dev *s, const struct filedev_io *io)
{
	struct entry *entry;

	if (list_is_empty(&s->free))
		return NULL;
	entry = list_entry(s->free.next, struct entry, link);
	list_del(&entry->link);
	entry->io = *io;
	return entry;
}

static bool submit_at_once(struct slots_dev *s, const struct filedev_io *io)
{
	struct entry *entry = NULL;

	mm_lock_acquire(&s->lock);
	if (!needs_store(s, io))
		entry = entry_get(s, io);
	if (entry)
		do_at_once(s, entry);
	mm_lock_release(&s->lock);
	return entry != NULL;
}

/* The I/Os from the first on that the store is to do, until there is one that it is not. */
static unsigned int gather(struct slots_dev *s, const struct filedev_io *ios, unsigned int nr,
			   struct swapdev_io *ret_ios)
{
	unsigned int len = 0;

	mm_lock_acquire(&s->lock);
	while (len < nr && len < STORE_BATCH && needs_store(s, &ios[len])) {
		struct entry *entry = entry_get(s, &ios[len]);

		if (!entry)
			break;
		ret_ios[len++] = (struct swapdev_io){
			.slot = page_of_io(&entry->io) + 1,
			.page = entry->io.page,
			.cookie = (uint64_t)(entry - s->entries),
			.is_write = entry->io.op == FILEDEV_WRITE,
		};
	}
	mm_lock_release(&s->lock);
	return len;
}

/* Together, so that neighbours are one request. Return: how many it took. */
static unsigned int submit_to_store(struct slots_dev *s, const struct filedev_io *ios,
				    unsigned int nr)
{
	struct swapdev_io store_ios[STORE_BATCH];
	unsigned int len = gather(s, ios, nr, store_ios), taken = 0;

	if (len > 0)
		taken = s->store->ops->submit(s->store, store_ios, len);
	mm_lock_acquire(&s->lock);
	for (unsigned int i = taken; i < len; i++)
		list_add(&s->entries[store_ios[i].cookie].link, &s->free);
	mm_lock_release(&s->lock);
	return taken;
}

static unsigned int slots_submit(struct filedev *dev, const struct filedev_io *ios,
				 unsigned int nr)
{
	struct slots_dev *s = slots_of(dev);
	unsigned int taken = 0, step = 1;

	for (; taken < nr && step > 0; taken += step)
		step = submit_at_once(s, &ios[taken])
			       ? 1
			       : submit_to_store(s, ios + taken, nr - taken);
	return taken;
}

/* The store is through with an entry. */
static void came_back(struct slots_dev *s, struct entry *entry, int err)
{
	const struct filedev_io *io = &entry->io;
	uint16_t valid = valid_of(s, page_of_io(io));

	if (err == 0 && io->op == FILEDEV_WRITE) {
		if (s->size < io->offset + io->bytes)
			grow_to(s, io->offset + io->bytes);
		set_valid(s, page_of_io(io), (uint16_t)io->bytes);
	} else if (err == 0 && valid < PAGE_SIZE) {
		memset((char *)io->page + valid, 0, PAGE_SIZE - valid);
	}
	end_now(s, entry, err);
}

static void poll_store(struct slots_dev *s)
{
	struct swapdev_io done[POLL_BATCH];
	unsigned int nr = POLL_BATCH;

	for (int i = 0; i < ENTRIES_MAX / POLL_BATCH && nr == POLL_BATCH; i++) {
		nr = s->store->ops->poll(s->store, done, POLL_BATCH);
		mm_lock_acquire(&s->lock);
		for (unsigned int j = 0; j < nr; j++) {
			MM_ASSERT(done[j].cookie < ENTRIES_MAX);
			came_back(s, &s->entries[done[j].cookie], done[j].err);
		}
		mm_lock_release(&s->lock);
	}
}

static unsigned int slots_poll(struct filedev *dev, struct filedev_io *ret_done,
			       unsigned int max)
{
	struct slots_dev *s = slots_of(dev);
	struct entry *entry, *next;
	unsigned int nr = 0;

	poll_store(s);
	mm_lock_acquire(&s->lock);
	list_for_each_entry_safe (entry, next, &s->ready, link) {
		if (nr == max)
			break;
		ret_done[nr++] = entry->io;
		list_del(&entry->link);
		list_add_tail(&entry->link, &s->free);
	}
	mm_lock_release(&s->lock);
	return nr;
}

static void slots_close(struct filedev *dev)
{
	struct slots_dev *s = slots_of(dev);

	s->store->ops->close(s->store);
	state_unmap(s, s->bytes);
}

static const struct filedev_ops slots_ops = {
	.name = "slots",
	.submit = slots_submit,
	.poll = slots_poll,
	.close = slots_close,
};

/**
 * filedev_slots_create() - a file in the slots of a swap device.
 * @cfg: see slots.h.
 * @ret_dev: the device; it closes the store at its own close.
 *
 * Return: 0, -EFBIG (the store is too small for nr_bytes), -ENOMEM; on failure the store is the
 * caller's.
 */
int filedev_slots_create(const struct filedev_slots_config *cfg, struct filedev **ret_dev)
{
	uint64_t nr_pages_max = cfg->store->nr_slots - 1;
	size_t bytes = sizeof(struct slots_dev) + nr_pages_max * sizeof(uint16_t);
	struct slots_dev *s;
	void *mapped;
	int err;

	if (cfg->nr_bytes > nr_pages_max << PAGE_SHIFT)
		return -EFBIG;
	err = state_map(bytes, &mapped);
	if (err)
		return err;
	s = mapped;
	s->dev = (struct filedev){
		.ops = &slots_ops, .nr_bytes = cfg->nr_bytes, .name = cfg->name};
	s->store = cfg->store;
	s->nr_pages_max = nr_pages_max;
	s->bytes = bytes;
	s->size = cfg->nr_bytes;
	mm_lock_init(&s->lock, LOCK_RANK_SWAPDEV);
	list_init(&s->free);
	list_init(&s->ready);
	for (int i = 0; i < ENTRIES_MAX; i++)
		list_add_tail(&s->entries[i].link, &s->free);
	s->whole = cfg->has_content ? PAGE_SIZE : 0;
	if (cfg->has_content && cfg->nr_bytes & ~PAGE_MASK)
		set_valid(s, cfg->nr_bytes >> PAGE_SHIFT,
			  (uint16_t)(cfg->nr_bytes & ~PAGE_MASK));
	*ret_dev = &s->dev;
	return 0;
}

/**
 * filedev_slots_size() - the file's size as the device has it.
 * @dev: from filedev_slots_create().
 *
 * Return: bytes, a momentary figure.
 */
uint64_t filedev_slots_size(struct filedev *dev)
{
	struct slots_dev *s = slots_of(dev);
	uint64_t size;

	mm_lock_acquire(&s->lock);
	size = s->size;
	mm_lock_release(&s->lock);
	return size;
}

/**
 * filedev_slots_fail_sync() - one sync is to fail.
 * @nth: from now on, from 1; 0: none.
 * @err: -errno.
 */
void filedev_slots_fail_sync(struct filedev *dev, unsigned int nth, int err)
{
	struct slots_dev *s = slots_of(dev);

	mm_lock_acquire(&s->lock);
	s->sync_fails_in = nth;
	s->sync_err = err;
	mm_lock_release(&s->lock);
}
