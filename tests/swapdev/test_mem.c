/* SPDX-License-Identifier: MIT */
/*
 * swapdev/mem and null beyond what every device does: when I/O ends, in which order, and when
 * the bytes are moved.
 */
#include "support/test.h"

#include <errno.h>
#include <string.h>

#include "support/rng.h"
#include "swapdev/devices.h"

#define NR 16

static struct swapdev *make(enum swapdev_mem_mode mode, uint64_t seed)
{
	struct swapdev_mem_config cfg = {
		.nr_slots = 64, .mode = mode, .seed = seed, .queue_max = NR};
	struct swapdev *dev;

	assert_int_equal(swapdev_mem_create(&cfg, &dev), 0);
	return dev;
}

static void fill(struct swapdev_io *ios, void *pages, bool is_write)
{
	for (unsigned int i = 0; i < NR; i++) {
		ios[i] = (struct swapdev_io){.slot = 1 + i,
					     .page = page_at(pages, i),
					     .cookie = i,
					     .is_write = is_write};
		if (is_write)
			page_fill(ios[i].page, 1 + i, 1);
	}
}

static void refuses_sizes_that_cannot_be(void **state)
{
	struct swapdev_mem_config cfg = {.nr_slots = 1};
	struct swapdev *dev;

	(void)state;
	assert_int_equal(swapdev_mem_create(&cfg, &dev), -EINVAL);
	cfg.nr_slots = 1ull << 40;
	assert_int_equal(swapdev_mem_create(&cfg, &dev), -EINVAL);
	assert_int_equal(swapdev_null_create(1, &dev), -EINVAL);
}

static void synchronous_ends_in_order(void **state)
{
	struct swapdev *dev = make(SWAPDEV_MEM_SYNC, 0);
	struct swapdev_io ios[NR], done[NR];
	void *pages = pages_make(NR);

	(void)state;
	fill(ios, pages, true);
	assert_int_equal(dev->ops->submit(dev, ios, NR), NR);
	assert_int_equal(swapdev_mem_in_flight(dev), 0);
	assert_int_equal(dev->ops->submit(dev, ios, 1), 0); /* full until it is polled */
	assert_true(page_holds(swapdev_mem_page(dev, 5), 5, 1));
	assert_int_equal(dev->ops->poll(dev, done, NR), NR);
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(done[i].cookie, i);
	dev->ops->close(dev);
	pages_free(pages, NR);
}

static void held_ends_when_told(void **state)
{
	struct swapdev *dev = make(SWAPDEV_MEM_HELD, 0);
	struct swapdev_io ios[NR], done[NR];
	void *pages = pages_make(NR);

	(void)state;
	fill(ios, pages, true);
	assert_int_equal(dev->ops->submit(dev, ios, NR), NR);
	assert_int_equal(dev->ops->poll(dev, done, NR), 0);
	assert_int_equal(swapdev_mem_in_flight(dev), NR);
	assert_false(page_holds(swapdev_mem_page(dev, 1), 1, 1));
	assert_int_equal(swapdev_mem_deliver(dev, 3), 3);
	assert_true(page_holds(swapdev_mem_page(dev, 3), 3, 1));
	assert_false(page_holds(swapdev_mem_page(dev, 4), 4, 1));
	assert_int_equal(dev->ops->poll(dev, done, NR), 3);
	assert_int_equal(done[2].cookie, 2);
	assert_int_equal(swapdev_mem_deliver(dev, 100), NR - 3);
	assert_int_equal(dev->ops->poll(dev, done, NR), NR - 3);
	dev->ops->close(dev);
	pages_free(pages, NR);
}

/* The cookies in the order in which they ended, and after which poll. */
static void record(uint64_t seed, unsigned int *ret_order)
{
	struct swapdev *dev = make(SWAPDEV_MEM_RANDOM, seed);
	struct swapdev_io ios[NR], done[NR];
	void *pages = pages_make(NR);
	unsigned int ended = 0;

	fill(ios, pages, true);
	assert_int_equal(dev->ops->submit(dev, ios, NR), NR);
	for (unsigned int polls = 0; ended < NR; polls++) {
		unsigned int n = dev->ops->poll(dev, done, NR);

		assert_in_range(polls, 0, 5 * NR);
		for (unsigned int i = 0; i < n; i++)
			ret_order[ended++] = (unsigned int)done[i].cookie + 100 * polls;
	}
	dev->ops->close(dev);
	pages_free(pages, NR);
}

static void a_seed_is_an_order(void **state)
{
	unsigned int first[NR], again[NR], other[NR], in_order[NR];
	uint64_t seed = test_seed() | 1;

	(void)state;
	record(seed, first);
	record(seed, again);
	record(seed + 1, other);
	assert_memory_equal(first, again, sizeof(first));
	assert_memory_not_equal(first, other, sizeof(first));
	record(0, in_order);
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(in_order[i] % 100, i);
}

/* Who writes to a page that is being read or written is found out with some seed. */
static void bytes_move_early_or_late(void **state)
{
	struct swapdev *dev = make(SWAPDEV_MEM_HELD, 7);
	struct swapdev_io ios[NR];
	void *pages = pages_make(NR);
	unsigned int early = 0;

	(void)state;
	fill(ios, pages, true);
	assert_int_equal(dev->ops->submit(dev, ios, NR), NR);
	for (unsigned int i = 0; i < NR; i++)
		early += page_holds(swapdev_mem_page(dev, 1 + i), 1 + i, 1);
	assert_in_range(early, 1, NR - 1);
	dev->ops->close(dev);
	pages_free(pages, NR);
}

static void null_reads_zeros(void **state)
{
	struct swapdev_io io = {.slot = 3}, done;
	struct swapdev *dev;

	(void)state;
	assert_int_equal(swapdev_null_create(16, &dev), 0);
	io.page = pages_make(2);
	memset(io.page, 0xff, PAGE_SIZE);
	assert_int_equal(dev->ops->submit(dev, &io, 1), 1);
	assert_int_equal(dev->ops->poll(dev, &done, 1), 1);
	assert_memory_equal(io.page, page_at(io.page, 1), PAGE_SIZE);
	dev->ops->close(dev);
	pages_free(io.page, 2);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(refuses_sizes_that_cannot_be),
	cmocka_unit_test(synchronous_ends_in_order),
	cmocka_unit_test(held_ends_when_told),
	cmocka_unit_test(a_seed_is_an_order),
	cmocka_unit_test(bytes_move_early_or_late),
	cmocka_unit_test(null_reads_zeros),
};
TEST_MAIN(tests)
