/* SPDX-License-Identifier: MIT */
/*
 * I/O on the tier: it ends in submit(), or is passed on to the device behind.
 *
 * No lock is held while a page is compressed or decompressed. A packed page is copied out of
 * the store under the lock: so compaction, write-back and frees need not know about readers, at
 * the price of a tenth of a microsecond.
 *
 * A place of done[] is promised to each I/O before it is begun, so that one that has ended can
 * always be put there. What is with the device behind has an entry of passed[] instead.
 */
#include "swapdev/zram_internal.h"

#include <errno.h>

#include "base/assert.h"
#include "base/checked.h"
#include "base/list.h"
#include "swapdev/common.h"

#define BATCH 32
/* Tries to store a page while others take the frames that were got for it. */
#define PUTS_MAX 4

#define PASS_ON 1 /* in place of an error: the device behind is to do it */

/* I/Os for the device behind, to be submitted together. */
struct passing {
	struct zram_front *front;
	struct swapdev_io ios[BATCH];
	unsigned int nr;
};

/* -- done[] -- */

/* Of limit in all. A poller has its own share: who is told of an end shall not miss it. */
static unsigned int promise_places(struct zram_front *front, unsigned int max,
				   unsigned int limit)
{
	unsigned int nr, used;

	mm_lock_acquire(&front->zram->lock);
	used = front->nr_done + front->nr_promised;
	nr = used < limit ? (unsigned int)min_u64(max, limit - used) : 0;
	front->nr_promised += nr;
	mm_lock_release(&front->zram->lock);
	return nr;
}

/* Context: zram->lock held. */
static void done_put_locked(struct zram_front *front, const struct swapdev_io *io, int err)
{
	unsigned int at = (front->done_first + front->nr_done) % ZRAM_DONE_MAX;

	front->done[at] = *io;
	front->done[at].err = err;
	front->nr_done++;
	front->nr_promised--;
}

static void done_put(struct zram_front *front, const struct swapdev_io *io, int err)
{
	mm_lock_acquire(&front->zram->lock);
	done_put_locked(front, io, err);
	mm_lock_release(&front->zram->lock);
}

/* -- The device behind -- */

/* Context: zram->lock held. Return: the caller's I/O; its entry is free. */
static struct swapdev_io passed_take_locked(struct zram_front *front, uint64_t i)
{
	struct swapdev_io io = front->passed[i];

	front->passed[i].slot = front->passed_free;
	front->passed_free = (uint32_t)i;
	front->nr_passed--;
	return io;
}

static void passing_flush(struct passing *p)
{
	struct zram_front *front = p->front;
	unsigned int taken;

	if (p->nr == 0)
		return;
	taken = front->behind->ops->submit(front->behind, p->ios, p->nr);
	mm_lock_acquire(&front->zram->lock);
	front->nr_promised -= taken;
	for (unsigned int i = taken; i < p->nr; i++) {
		struct swapdev_io io = passed_take_locked(front, p->ios[i].cookie);

		done_put_locked(front, &io, -EAGAIN);
	}
	mm_lock_release(&front->zram->lock);
	p->nr = 0;
}

static bool passed_put(struct zram_front *front, const struct swapdev_io *io, uint64_t *ret_i)
{
	uint32_t i;

	mm_lock_acquire(&front->zram->lock);
	i = front->passed_free;
	if (i < ZRAM_PASSED_MAX) {
		front->passed_free = (uint32_t)front->passed[i].slot;
		front->passed[i] = *io;
		front->nr_passed++;
	}
	mm_lock_release(&front->zram->lock);
	*ret_i = i;
	return i < ZRAM_PASSED_MAX;
}

static void pass_on(struct passing *p, const struct swapdev_io *io)
{
	uint64_t i;

	if (!passed_put(p->front, io, &i)) {
		done_put(p->front, io, -EAGAIN);
		return;
	}
	p->ios[p->nr] = *io;
	p->ios[p->nr++].cookie = i;
	if (p->nr == BATCH)
		passing_flush(p);
}

static void behind_ended(struct zram_front *front, const struct swapdev_io *io)
{
	struct swapdev_io own;

	if (io->cookie & ZRAM_WRITE_COOKIE) {
		zram_written_back(front, io);
		return;
	}
	mm_lock_acquire(&front->zram->lock);
	own = passed_take_locked(front, io->cookie);
	done_put_locked(front, &own, io->err);
	mm_lock_release(&front->zram->lock);
}

/* Above a limit that went down: no use to compress. */
static bool is_over(struct zram *z)
{
	bool is;

	mm_lock_acquire(&z->lock);
	is = z->nr_frames > z->frames_limit;
	mm_lock_release(&z->lock);
	return is;
}

static bool is_waiting(struct zram_front *front)
{
	bool is;

	mm_lock_acquire(&front->zram->lock);
	is = front->nr_passed + front->nr_writes > 0;
	mm_lock_release(&front->zram->lock);
	return is;
}

static void poll_behind(struct zram_front *front)
{
	struct swapdev_io ended[BATCH];
	unsigned int places, nr, nr_passed = 0;

	if (!front->behind || !is_waiting(front))
		return;
	places = promise_places(front, BATCH, ZRAM_DONE_MAX);
	nr = places > 0 ? front->behind->ops->poll(front->behind, ended, places) : 0;
	for (unsigned int i = 0; i < nr; i++) {
		nr_passed += (ended[i].cookie & ZRAM_WRITE_COOKIE) == 0;
		behind_ended(front, &ended[i]);
	}
	if (nr > nr_passed && is_over(front->zram)) {
		zram_trim(front->zram);
		zram_write_back(front);
	}
	mm_lock_acquire(&front->zram->lock);
	front->nr_promised -= places - nr_passed;
	mm_lock_release(&front->zram->lock);
}

/* -- Reading -- */

static int fetch_packed(struct zram *z, const struct zcodec_packed *packed, unsigned int size,
			void *page)
{
	struct zram_state *state = NULL;
	bool is_good;

	if (!zcodec_reads_alone(z->codec)) {
		state = zram_state_take(z);
		if (!state)
			return -EAGAIN;
	}
	is_good = zcodec_unpack(z->codec, state ? zram_state_codec(state) : NULL, packed, size,
				page);
	if (state)
		zram_state_release(state);
	return is_good ? 0 : -EIO;
}

/**
 * zram_fetch() - the content of a slot.
 *
 * Return: 0; -ENOENT: it is not in the tier; -EIO: it is not what was stored, and @page is
 * worth nothing; -EAGAIN: no compression state just now. Context: takes zram->lock, does not
 * hold it while it decompresses.
 */
int zram_fetch(struct zram *z, uint32_t key, void *page)
{
	struct zcodec_packed packed;
	struct zslot slot = {.state = ZSLOT_NONE};
	const struct zslot *found;
	bool is_ours = true;

	mm_lock_acquire(&z->lock);
	found = zram_slot(z, key);
	if (found)
		slot = *found;
	if (slot.state == ZSLOT_OBJECT) {
		is_ours = zstore_key(&z->store, slot.handle) == key;
		zstore_read(&z->store, slot.handle, &packed, slot.size);
	}
	mm_lock_release(&z->lock);
	if (slot.state == ZSLOT_NONE)
		return -ENOENT;
	if (!is_ours)
		return -EIO;
	if (slot.state == ZSLOT_OBJECT)
		return fetch_packed(z, &packed, slot.size, page);
	page_fill_with(page, slot.word);
	return 0;
}

static int read_page(struct zram_front *front, const struct swapdev_io *io)
{
	struct zram *z = front->zram;
	int err = zram_fetch(z, front_key(front, io->slot), io->page);

	if (err == -ENOENT)
		return front->behind ? PASS_ON : -EIO;
	mm_lock_acquire(&z->lock);
	z->stats.nr_in += err == 0;
	z->stats.nr_corrupt += err == -EIO;
	mm_lock_release(&z->lock);
	return err;
}

/* -- Writing -- */

/* size 0: the page is word over and over. */
static int put_once(struct zram_front *front, uint32_t key, const struct zcodec_packed *packed,
		    unsigned int size, uint64_t word)
{
	int err;

	mm_lock_acquire(&front->zram->lock);
	if (size > 0)
		err = zram_put_packed(front, key, packed, size);
	else
		err = zram_put_word(front, key, word);
	mm_lock_release(&front->zram->lock);
	return err;
}

static int put(struct zram_front *front, uint32_t key, const struct zcodec_packed *packed,
	       unsigned int size, uint64_t word)
{
	int err = -ENOMEM;

	for (unsigned int i = 0; i < PUTS_MAX && err == -ENOMEM; i++) {
		err = put_once(front, key, packed, size, word);
		if (err != -ENOMEM)
			return err;
		err = zram_refill(front->zram);
		if (err)
			return err;
		err = -ENOMEM;
	}
	return err;
}

/* Return: 0, -E2BIG: not worth its room, -ENOBUFS: no room, -ENOMEM, -EAGAIN: not just now. */
static int store_page(struct zram_front *front, uint32_t key, const void *page)
{
	struct zram *z = front->zram;
	struct zram_state *state;
	unsigned int size;
	uint64_t word;
	int err;

	if (!z->frames.ram)
		return -ENOBUFS;
	if (page_is_filled(page, &word))
		return put(front, key, NULL, 0, word);
	if (is_over(z))
		return -ENOBUFS;
	state = zram_state_take(z);
	if (!state)
		return -EAGAIN;
	size = zcodec_pack(z->codec, zram_state_codec(state), page, zram_state_packed(state));
	err = size > 0 ? put(front, key, zram_state_packed(state), size, 0) : -E2BIG;
	zram_state_release(state);
	return err;
}

/*
 * The page does not go into the tier. Not behind either while old content of the slot is on its
 * way there: which of the two would be written last?
 */
static int write_elsewhere(struct zram_front *front, uint32_t key, int err)
{
	struct zram *z = front->zram;
	const struct zslot *slot;
	bool is_writing;

	mm_lock_acquire(&z->lock);
	z->stats.nr_incompressible += err == -E2BIG;
	z->stats.nr_refused += err == -ENOBUFS || err == -ENOMEM;
	zram_drop(front, key);
	slot = zram_slot(z, key);
	is_writing = slot && slot->is_writing;
	mm_lock_release(&z->lock);
	if (!front->behind)
		return err == -ENOMEM ? -ENOBUFS : err;
	return is_writing ? -EAGAIN : PASS_ON;
}

static int write_page(struct zram_front *front, const struct swapdev_io *io)
{
	uint32_t key = front_key(front, io->slot);
	int err = store_page(front, key, io->page);

	return err ? write_elsewhere(front, key, err) : 0;
}

/* -- Ops -- */

static void submit_one(struct passing *p, const struct swapdev_io *io)
{
	struct zram_front *front = p->front;
	int err = swapdev_io_refusal(&front->dev, io);

	if (!err)
		err = io->is_write ? write_page(front, io) : read_page(front, io);
	if (err == PASS_ON)
		pass_on(p, io);
	else
		done_put(front, io, err);
}

/* What is due after writes: frames that are too many, holes, and room for the next. */
static void after_writes(struct zram_front *front, unsigned int nr)
{
	struct zram *z = front->zram;

	mm_lock_acquire(&z->lock);
	if (zstore_is_loose(&z->store))
		zstore_compact(&z->store, nr);
	mm_lock_release(&z->lock);
	zram_trim(z);
	zram_write_back(front);
}

/* The submit() of struct swapdev_ops. */
unsigned int zram_submit(struct swapdev *dev, const struct swapdev_io *ios, unsigned int nr)
{
	struct passing p = {.front = container_of(dev, struct zram_front, dev)};
	unsigned int places = promise_places(p.front, nr, ZRAM_SUBMITTED_MAX);
	unsigned int nr_writes = 0;

	for (unsigned int i = 0; i < places; i++) {
		submit_one(&p, &ios[i]);
		nr_writes += ios[i].is_write;
	}
	passing_flush(&p);
	if (nr_writes > 0)
		after_writes(p.front, nr_writes);
	return places;
}

/* The poll() of struct swapdev_ops. */
unsigned int zram_poll(struct swapdev *dev, struct swapdev_io *ret_done, unsigned int max)
{
	struct zram_front *front = container_of(dev, struct zram_front, dev);
	unsigned int nr;

	poll_behind(front);
	mm_lock_acquire(&front->zram->lock);
	nr = (unsigned int)min_u64(max, front->nr_done);
	for (unsigned int i = 0; i < nr; i++)
		ret_done[i] = front->done[(front->done_first + i) % ZRAM_DONE_MAX];
	front->done_first = (front->done_first + nr) % ZRAM_DONE_MAX;
	front->nr_done -= nr;
	mm_lock_release(&front->zram->lock);
	return nr;
}
