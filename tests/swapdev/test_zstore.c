/* SPDX-License-Identifier: MIT */
/*
 * The store of compressed pages: content, packing, compaction.
 */
#include "swapdev/zstore.h"

#include "support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/rng.h"

#define NR_FRAMES  4096
#define NR_OBJECTS 8192
#define STEPS	   40000

struct object {
	uint32_t handle;
	unsigned int size; /* 0: there is none */
	uint8_t mark;
};

static struct {
	struct zstore store;
	char *ram;
	struct object objects[NR_OBJECTS];
	uint64_t nr_out; /* frames that the store has */
	uint32_t next_frame;
	uint32_t free[NR_FRAMES];
	unsigned int nr_free;
} t;

static void moved(void *arg, uint32_t key, uint32_t handle)
{
	assert_ptr_equal(arg, &t);
	t.objects[key].handle = handle;
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.ram = aligned_alloc(PAGE_SIZE, NR_FRAMES * PAGE_SIZE);
	assert_non_null(t.ram);
	for (uint32_t i = NR_FRAMES - 1; i > 0; i--)
		t.free[t.nr_free++] = i;
	zstore_init(&t.store, t.ram, 1 << 18, moved, &t);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(t.ram);
	return 0;
}

static void give_spare(unsigned int nr)
{
	while (nr-- > 0 && t.nr_free > 0)
		zstore_give_frame(&t.store, t.ram + t.free[--t.nr_free] * PAGE_SIZE);
}

static void take_spare(void)
{
	void *frame;

	while ((frame = zstore_take_frame(&t.store)))
		t.free[t.nr_free++] = (uint32_t)(((char *)frame - t.ram) / (long)PAGE_SIZE);
}

static void put(uint32_t key, unsigned int size, uint8_t mark)
{
	uint8_t bytes[ZSTORE_SIZE_MAX];
	struct object *o = &t.objects[key];

	memset(bytes, mark, sizeof(bytes));
	if (zstore_alloc(&t.store, key, size, &o->handle) == -ENOMEM) {
		give_spare(2);
		assert_int_equal(zstore_alloc(&t.store, key, size, &o->handle), 0);
	}
	o->size = size;
	o->mark = mark;
	zstore_write(&t.store, o->handle, bytes, size - ZSTORE_KEY_BYTES);
}

static void check_object(const struct object *o)
{
	uint8_t bytes[ZSTORE_SIZE_MAX];
	unsigned int len = o->size - ZSTORE_KEY_BYTES;

	if (o->size == 0)
		return;
	zstore_read(&t.store, o->handle, bytes, len);
	for (unsigned int i = 0; i < len; i++)
		assert_int_equal(bytes[i], o->mark);
}

static void drop(uint32_t key)
{
	struct object *o = &t.objects[key];

	check_object(o);
	zstore_free(&t.store, o->handle, o->size);
	o->size = 0;
}

static double lost(void)
{
	double room = (double)t.store.nr_frames * (double)PAGE_SIZE;

	return (room - (double)t.store.nr_bytes) / room;
}

static void check_all(void)
{
	assert_int_equal(zstore_check(&t.store), 0);
	assert_int_equal(t.store.nr_frames + t.store.nr_spare + t.nr_free, NR_FRAMES - 1);
}

/* Each size alone: what is put in comes out, and one object never takes more than two frames.
 */
static void keeps_objects_of_every_size(void **state)
{
	(void)state;
	for (unsigned int size = ZSTORE_KEY_BYTES + 1; size <= ZSTORE_SIZE_MAX; size++) {
		put(1, size, (uint8_t)size);
		assert_true(t.store.nr_frames <= 2);
		check_object(&t.objects[1]);
		drop(1);
		check_all();
		assert_int_equal(t.store.nr_frames, 0);
	}
}

/* Objects of one size, put in one after the other, lose at most a tenth. */
static void packs_each_size_tightly(void **state)
{
	unsigned int worst_size = 0;
	double worst = 0;

	(void)state;
	for (unsigned int size = 128; size <= ZSTORE_SIZE_MAX; size += 13) {
		for (uint32_t key = 0; key < 1000; key++)
			put(key, size, 1);
		if (lost() > worst) {
			worst = lost();
			worst_size = size;
		}
		for (uint32_t key = 0; key < 1000; key++)
			drop(key);
	}
	print_message("packing: at worst %.1f%% of the frames lost, to objects of %u bytes\n",
		      worst * 100, worst_size);
	assert_true(worst < 0.10);
	check_all();
}

/* A refusal changes nothing. */
static void refuses_without_frames(void **state)
{
	uint32_t handle = 77;

	(void)state;
	assert_int_equal(zstore_alloc(&t.store, 1, 1000, &handle), -ENOMEM);
	assert_int_equal(handle, 77);
	give_spare(1);
	assert_int_equal(zstore_alloc(&t.store, 1, 1000, &handle), 0);
	for (uint32_t key = 2; key < 5; key++)
		assert_int_equal(zstore_alloc(&t.store, key, 1000, &handle), 0);
	assert_int_equal(zstore_alloc(&t.store, 5, 1000, &handle), -ENOMEM);
	assert_int_equal(t.store.nr_objects, 4);
	check_all();
}

/* Nine of ten objects go at random: what is left is moved together, and frames come back. */
static void compaction_gives_frames_back(void **state)
{
	struct rng rng = rng_make(test_seed());
	uint64_t nr_before;

	(void)state;
	for (uint32_t key = 0; key < 4000; key++)
		put(key, 1500 + (unsigned int)rng_below(&rng, 200), (uint8_t)key);
	nr_before = t.store.nr_frames;
	for (uint32_t key = 0; key < 4000; key++)
		if (rng_below(&rng, 10) > 0)
			drop(key);
	assert_true(zstore_is_loose(&t.store));
	give_spare(2);
	while (zstore_compact(&t.store, 16) == 16) {
		check_all();
		take_spare();
		give_spare(2);
	}
	print_message("compaction: %lu frames, then %lu; %.1f%% lost\n", nr_before,
		      t.store.nr_frames, lost() * 100);
	assert_true(t.store.nr_frames * 6 < nr_before);
	for (uint32_t key = 0; key < 4000; key++)
		check_object(&t.objects[key]);
}

static unsigned int random_size(struct rng *rng)
{
	unsigned int max = rng_below(rng, 3) ? 1700 : ZSTORE_SIZE_MAX;

	return ZSTORE_KEY_BYTES + 1 + (unsigned int)rng_below(rng, max - ZSTORE_KEY_BYTES);
}

/* Puts, drops and compaction in any order; check() after every one. */
static void holds_under_random_use(void **state)
{
	struct rng rng = rng_make(test_seed());
	double worst = 0;

	(void)state;
	zstore_init(&t.store, t.ram, NR_FRAMES, moved, &t);
	for (unsigned int step = 0; step < STEPS; step++) {
		uint32_t key = (uint32_t)rng_below(&rng, NR_OBJECTS);

		if (t.objects[key].size)
			drop(key);
		else
			put(key, random_size(&rng), (uint8_t)rng_next(&rng));
		if (zstore_is_loose(&t.store))
			zstore_compact(&t.store, 2);
		if (step % 256 == 0) {
			take_spare();
			check_all();
		}
		if (step > STEPS / 2 && lost() > worst)
			worst = lost();
	}
	print_message("random use: at worst %.1f%% lost\n", worst * 100);
	assert_true(worst < 0.10);
	for (uint32_t key = 0; key < NR_OBJECTS; key++)
		if (t.objects[key].size)
			drop(key);
	check_all();
	assert_int_equal(t.store.nr_frames, 0);
	assert_int_equal(t.store.nr_bytes, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
	CASE(keeps_objects_of_every_size), CASE(packs_each_size_tightly),
	CASE(refuses_without_frames),	   CASE(compaction_gives_frames_back),
	CASE(holds_under_random_use),
};

TEST_MAIN(tests)
