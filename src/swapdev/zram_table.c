/* SPDX-License-Identifier: MIT */
/*
 * The tier's table: where the content of each slot is, and the LRU lists. Context for all here:
 * zram->lock held, unless said.
 */
#include "swapdev/zram_internal.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

static bool slot_is_used(const struct zslot *slot)
{
	return slot->state != ZSLOT_NONE || slot->is_writing;
}

/* -- LRU: objects in the order in which they were stored -- */

/**
 * zram_lru_add() - the object is the newest.
 */
void zram_lru_add(struct zram_front *front, uint32_t key, struct zslot *slot)
{
	slot->older = front->newest;
	slot->newer = ZRAM_KEY_NONE;
	slot->is_on_lru = true;
	if (front->newest)
		zram_slot(front->zram, front->newest)->newer = key;
	else
		front->oldest = key;
	front->newest = key;
}

void zram_lru_remove(struct zram_front *front, struct zslot *slot)
{
	if (slot->older)
		zram_slot(front->zram, slot->older)->newer = slot->newer;
	else
		front->oldest = slot->newer;
	if (slot->newer)
		zram_slot(front->zram, slot->newer)->older = slot->older;
	else
		front->newest = slot->older;
	slot->is_on_lru = false;
}

/* -- Slots -- */

/**
 * zram_slot_ensure() - the entry of a slot, made if need be.
 *
 * Whoever leaves it unused calls zram_slot_settle().
 *
 * Return: 0; -ENOMEM: there is no spare frame.
 */
int zram_slot_ensure(struct zram *z, uint32_t key, struct zslot **ret_slot)
{
	struct zcluster *c = zram_cluster(z, key);

	if (!c->slots) {
		c->slots = zstore_take_frame(&z->store);
		if (!c->slots)
			return -ENOMEM;
		memset(c->slots, 0, PAGE_SIZE);
	}
	*ret_slot = &c->slots[key % SWAP_CLUSTER_SLOTS];
	return 0;
}

/**
 * zram_slot_settle() - the entries of a cluster that has no used one become a spare frame.
 */
void zram_slot_settle(struct zram *z, uint32_t key)
{
	struct zcluster *c = zram_cluster(z, key);

	if (!c->slots || c->nr_used > 0)
		return;
	zstore_give_frame(&z->store, c->slots);
	c->slots = NULL;
}

static void slot_become(struct zram *z, uint32_t key, struct zslot *slot,
			enum zslot_state state)
{
	bool was_used = slot_is_used(slot);

	slot->state = (uint8_t)state;
	zram_cluster(z, key)->nr_used += slot_is_used(slot);
	zram_cluster(z, key)->nr_used -= was_used;
}

/* Does not settle. */
static void slot_forget(struct zram_front *front, uint32_t key, struct zslot *slot)
{
	struct zram *z = front->zram;

	if (slot->state == ZSLOT_NONE)
		return;
	if (slot->state == ZSLOT_OBJECT) {
		if (slot->is_on_lru)
			zram_lru_remove(front, slot);
		zstore_free(&z->store, slot->handle, ZSTORE_KEY_BYTES + slot->size);
	}
	z->stats.nr_same -= slot->state == ZSLOT_SAME;
	z->stats.nr_stored--;
	if (slot->is_writing)
		slot->is_stale = true;
	slot_become(z, key, slot, ZSLOT_NONE);
}

/**
 * zram_drop() - forget what the tier has of a slot.
 */
void zram_drop(struct zram_front *front, uint32_t key)
{
	struct zslot *slot = zram_slot(front->zram, key);

	if (!slot)
		return;
	slot_forget(front, key, slot);
	zram_slot_settle(front->zram, key);
}

static void slot_stored(struct zram *z, uint32_t key, struct zslot *slot,
			enum zslot_state state)
{
	slot_become(z, key, slot, state);
	z->stats.nr_stored++;
	z->stats.nr_same += state == ZSLOT_SAME;
	z->stats.nr_out++;
}

/**
 * zram_put_word() - the slot's content is a word over and over.
 *
 * Return: 0; -ENOMEM: it takes a spare frame, and there is none.
 */
int zram_put_word(struct zram_front *front, uint32_t key, uint64_t word)
{
	struct zslot *slot;
	int err = zram_slot_ensure(front->zram, key, &slot);

	if (err)
		return err;
	slot_forget(front, key, slot);
	slot->word = word;
	slot_stored(front->zram, key, slot, ZSLOT_SAME);
	return 0;
}

/**
 * zram_put_packed() - the slot's content is a packed page.
 *
 * Return: 0; -ENOMEM: it takes up to three spare frames, and there are fewer; the old content
 * is gone all the same.
 */
int zram_put_packed(struct zram_front *front, uint32_t key, const struct zcodec_packed *packed,
		    unsigned int size)
{
	struct zram *z = front->zram;
	struct zslot *slot;
	int err = zram_slot_ensure(z, key, &slot);

	if (err)
		return err;
	slot_forget(front, key, slot);
	err = zstore_alloc(&z->store, key, ZSTORE_KEY_BYTES + size, &slot->handle);
	if (err) {
		zram_slot_settle(z, key);
		return err;
	}
	zstore_write(&z->store, slot->handle, packed, size);
	slot->size = (uint16_t)size;
	slot_stored(z, key, slot, ZSLOT_OBJECT);
	zram_lru_add(front, key, slot);
	return 0;
}

/**
 * zram_writing_begin() - the content of a slot is about to be written to the device behind.
 */
void zram_writing_begin(struct zram_front *front, uint32_t key, struct zslot *slot)
{
	if (slot->is_on_lru)
		zram_lru_remove(front, slot);
	slot->is_writing = true;
	slot->is_stale = false;
	zram_cluster(front->zram, key)->nr_writing++;
}

/**
 * zram_writing_end() - it was, or it could not be.
 * @is_written: the device behind has it: ours goes, unless the slot has changed meanwhile.
 */
void zram_writing_end(struct zram_front *front, uint32_t key, bool is_written)
{
	struct zram *z = front->zram;
	struct zslot *slot = zram_slot(z, key);

	MM_ASSERT(slot && slot->is_writing);
	if (is_written && !slot->is_stale) {
		slot_forget(front, key, slot);
		z->stats.nr_written_back++;
	}
	if (slot->state == ZSLOT_OBJECT && !slot->is_on_lru)
		zram_lru_add(front, key, slot);
	slot->is_writing = false;
	slot->is_stale = false;
	zram_cluster(z, key)->nr_writing--;
	zram_cluster(z, key)->nr_used -= !slot_is_used(slot);
	zram_slot_settle(z, key);
}

/* zstore's callback. */
void zram_moved(void *arg, uint32_t key, uint32_t handle)
{
	zram_slot(arg, key)->handle = handle;
}

/* -- Check -- */

struct census {
	uint64_t nr_stored, nr_same, nr_objects, nr_bytes, nr_on_lru, nr_writing, nr_tables;
};

static int check_slot(const struct zslot *slot, struct census *census)
{
	CHECK(slot->state <= ZSLOT_OBJECT);
	CHECK(!slot->is_stale || slot->is_writing);
	census->nr_stored += slot->state != ZSLOT_NONE;
	census->nr_same += slot->state == ZSLOT_SAME;
	census->nr_writing += slot->is_writing;
	if (slot->state != ZSLOT_OBJECT) {
		CHECK(!slot->is_on_lru);
		return 0;
	}
	CHECK(slot->is_on_lru || slot->is_writing);
	census->nr_on_lru += slot->is_on_lru;
	census->nr_objects++;
	census->nr_bytes += ZSTORE_KEY_BYTES + slot->size;
	return 0;
}

static int check_cluster(const struct zcluster *c, struct census *census)
{
	uint64_t was_writing = census->nr_writing;
	unsigned int nr_used = 0;

	for (unsigned int i = 0; c->slots && i < SWAP_CLUSTER_SLOTS; i++) {
		CHECK(check_slot(&c->slots[i], census) == 0);
		nr_used += slot_is_used(&c->slots[i]);
	}
	CHECK(c->nr_used == nr_used && (c->slots != NULL) == (nr_used > 0));
	CHECK(c->nr_writing == census->nr_writing - was_writing);
	CHECK(!c->is_put || c->nr_writing > 0);
	census->nr_tables += c->slots != NULL;
	return 0;
}

static int check_lru(const struct zram *z, const struct zram_front *front, uint64_t *ret_nr)
{
	uint32_t older = ZRAM_KEY_NONE;

	for (uint32_t key = front->oldest; key; key = zram_slot(z, key)->newer) {
		const struct zslot *slot = zram_slot(z, key);

		CHECK(slot && slot->is_on_lru && slot->older == older);
		CHECK(key > front->base && key < front->base + front->dev.nr_slots);
		CHECK(++*ret_nr <= z->store.nr_objects);
		older = key;
	}
	CHECK(front->newest == older);
	return 0;
}

/**
 * zram_table_check() - entries, lists and sums agree with each other and with the store.
 * Return: 0 or -EUCLEAN.
 */
int zram_table_check(const struct zram *z)
{
	struct census census = {0};
	uint64_t nr_on_lru = 0;

	for (uint64_t i = 0; i < z->nr_clusters; i++)
		CHECK(check_cluster(&z->clusters[i], &census) == 0);
	for (unsigned int i = 0; i < z->nr_fronts; i++)
		CHECK(check_lru(z, z->fronts[i], &nr_on_lru) == 0);
	CHECK(census.nr_on_lru == nr_on_lru);
	CHECK(census.nr_stored == z->stats.nr_stored && census.nr_same == z->stats.nr_same);
	CHECK(census.nr_objects == z->store.nr_objects);
	CHECK(census.nr_bytes == z->store.nr_bytes);
	CHECK(z->nr_frames ==
	      z->nr_blocks + z->store.nr_frames + z->store.nr_spare + census.nr_tables);
	return 0;
}
