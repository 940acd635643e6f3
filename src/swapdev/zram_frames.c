/* SPDX-License-Identifier: MIT */
/*
 * What the tier takes of the manager's RAM: frames for objects and tables, blocks for
 * compression state and for pages on their way to the device behind. Everything counts against
 * frames_max.
 *
 * The manager's lock comes before ours, so frames are taken and given back with ours free; the
 * store works with what is spare.
 */
#include "swapdev/zram_internal.h"

#include <errno.h>

#include "base/checked.h"

static bool frames_promise(struct zram *z, uint64_t nr, bool is_block)
{
	bool is_free;

	mm_lock_acquire(&z->lock);
	is_free = z->nr_frames + nr <= (is_block ? z->frames_max : z->frames_limit);
	if (is_free) {
		z->nr_frames += nr;
		z->nr_blocks += is_block ? nr : 0;
	}
	mm_lock_release(&z->lock);
	return is_free;
}

static void promise_end(struct zram *z, uint64_t nr, bool is_block)
{
	mm_lock_acquire(&z->lock);
	z->nr_frames -= nr;
	z->nr_blocks -= is_block ? nr : 0;
	mm_lock_release(&z->lock);
}

/**
 * zram_refill() - get a few spare frames.
 *
 * Return: 0; -ENOBUFS: the tier has all that it may have; -ENOMEM: the manager has none.
 * Context: no lock of the tier held.
 */
int zram_refill(struct zram *z)
{
	void *frames[ZRAM_REFILL];
	unsigned int nr = 0;

	if (!z->frames.ram || !frames_promise(z, ZRAM_REFILL, false))
		return -ENOBUFS;
	while (nr < ZRAM_REFILL && z->frames.alloc(z->frames.arg, 0, &frames[nr]) == 0)
		nr++;
	mm_lock_acquire(&z->lock);
	z->nr_frames -= ZRAM_REFILL - nr;
	for (unsigned int i = 0; i < nr; i++)
		zstore_give_frame(&z->store, frames[i]);
	mm_lock_release(&z->lock);
	return nr > 0 ? 0 : -ENOMEM;
}

/**
 * zram_spare_take() - frames beyond those that are kept at hand.
 * @max: at most so many.
 *
 * Return: how many are in ret_frames; they are the caller's, and not counted any more.
 * Context: zram->lock held.
 */
unsigned int zram_spare_take(struct zram *z, void **ret_frames, unsigned int max)
{
	unsigned int nr = 0;

	while (nr < max && z->store.nr_spare > ZRAM_SPARE_MAX)
		ret_frames[nr++] = zstore_take_frame(&z->store);
	z->nr_frames -= nr;
	return nr;
}

/**
 * zram_trim() - give spare frames back to the manager.
 * Context: no lock held.
 */
void zram_trim(struct zram *z)
{
	void *frames[ZRAM_SPARE_MAX];
	unsigned int nr;

	do {
		mm_lock_acquire(&z->lock);
		nr = zram_spare_take(z, frames, ZRAM_SPARE_MAX);
		mm_lock_release(&z->lock);
		for (unsigned int i = 0; i < nr; i++)
			z->frames.free(z->frames.arg, 0, frames[i]);
	} while (nr == ZRAM_SPARE_MAX);
}

/**
 * zram_block_take() - neighbouring frames for the tier's own use.
 *
 * Return: 0, -ENOBUFS, -ENOMEM. Context: no lock held.
 */
int zram_block_take(struct zram *z, unsigned int order, void **ret_block)
{
	int err;

	if (!frames_promise(z, 1ull << order, true))
		return -ENOBUFS;
	err = z->frames.alloc(z->frames.arg, order, ret_block);
	if (err)
		promise_end(z, 1ull << order, true);
	return err;
}

void zram_block_give(struct zram *z, unsigned int order, void *block)
{
	z->frames.free(z->frames.arg, order, block);
	promise_end(z, 1ull << order, true);
}

/* -- Compression state -- */

static unsigned int state_order(const struct zram *z)
{
	size_t bytes = ZRAM_PACKED_BYTES + zcodec_state_bytes(z->codec);
	unsigned int order = 0;

	while (PAGE_SIZE << order < bytes)
		order++;
	return order;
}

/* The state is taken by us. */
static bool state_ensure(struct zram *z, struct zram_state *state)
{
	void *block;

	if (state->memory)
		return true;
	if (zram_block_take(z, state_order(z), &block))
		return false;
	if (zcodec_state_init(z->codec, (char *)block + ZRAM_PACKED_BYTES)) {
		zram_block_give(z, state_order(z), block);
		return false;
	}
	state->memory = block;
	return true;
}

/**
 * zram_state_take() - compression state for this thread.
 *
 * There are as many as were ever needed at the same time, ZRAM_STATES_MAX at most.
 *
 * Return: NULL if all are taken and there can be no other.
 * Context: no lock held.
 */
struct zram_state *zram_state_take(struct zram *z)
{
	for (unsigned int i = 0; i < ZRAM_STATES_MAX; i++) {
		struct zram_state *state = &z->states[i];

		if (__atomic_exchange_n(&state->is_taken, true, __ATOMIC_ACQUIRE))
			continue;
		if (state_ensure(z, state))
			return state;
		zram_state_release(state);
	}
	return NULL;
}

void zram_state_release(struct zram_state *state)
{
	__atomic_store_n(&state->is_taken, false, __ATOMIC_RELEASE);
}
