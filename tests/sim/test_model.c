/* SPDX-License-Identifier: MIT */
/*
 * The swap device in virtual time: when I/Os end.
 *
 *	channel   |--seek--|transfer|        |transfer|
 *	answers                     |--latency--|*    |--latency--|*
 */
#include "support/test.h"

#include <errno.h>

#include "sim/replay.h"

#define PAGE_NS 4096 /* a transfer, at this bandwidth */

static _Alignas(PAGE_SIZE) char frame[PAGE_SIZE];

struct bench {
	uint64_t clock_ns;
	struct swapdev *dev;
};

static void setup_on(struct bench *b, uint64_t seek_ns, struct swapdev_model_channel *channel)
{
	struct swapdev_model_config cfg = {
		.channel = channel,
		.nr_slots = 1000,
		.params = {.name = "test",
			   .read_latency_ns = 1000,
			   .write_latency_ns = 300,
			   .bytes_per_second = 1000000000,
			   .seek_ns = seek_ns,
			   .depth = 4},
		.clock_ns = &b->clock_ns,
	};

	b->clock_ns = 50;
	assert_int_equal(swapdev_model_create(&cfg, &b->dev), 0);
}

static void setup(struct bench *b, uint64_t seek_ns)
{
	setup_on(b, seek_ns, NULL);
}

static void start(struct bench *b, uint64_t slot, bool is_write)
{
	struct swapdev_io io = {
		.slot = slot, .page = frame, .cookie = slot, .is_write = is_write};

	assert_int_equal(b->dev->ops->submit(b->dev, &io, 1), 1);
}

/* The next one to end, and not a nanosecond before. */
static void ends(struct bench *b, uint64_t slot, uint64_t at_ns)
{
	struct swapdev_io io;

	assert_int_equal(swapdev_model_next_ns(b->dev), at_ns);
	b->clock_ns = at_ns - 1;
	assert_int_equal(b->dev->ops->poll(b->dev, &io, 1), 0);
	b->clock_ns = at_ns;
	assert_int_equal(b->dev->ops->poll(b->dev, &io, 1), 1);
	assert_int_equal(io.cookie, slot);
	assert_int_equal(io.err, 0);
}

static void teardown(struct bench *b)
{
	assert_int_equal(swapdev_model_next_ns(b->dev), UINT64_MAX);
	b->dev->ops->close(b->dev);
}

static void one_takes_transfer_and_latency(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, 0);
	start(&b, 7, false);
	ends(&b, 7, 50 + PAGE_NS + 1000);
	teardown(&b);
}

static void transfers_queue_and_latencies_overlap(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, 0);
	start(&b, 7, false);
	start(&b, 9, false);
	start(&b, 3, true);
	ends(&b, 7, 50 + PAGE_NS + 1000);
	ends(&b, 9, 50 + 2 * PAGE_NS + 1000);
	ends(&b, 3, 50 + 3 * PAGE_NS + 300);
	teardown(&b);
}

static void a_seek_comes_where_slots_do_not_follow(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, 10000);
	start(&b, 7, false);
	start(&b, 8, false);
	start(&b, 8, false);
	ends(&b, 7, 50 + 10000 + PAGE_NS + 1000);
	ends(&b, 8, 50 + 10000 + 2 * PAGE_NS + 1000);
	ends(&b, 8, 50 + 20000 + 3 * PAGE_NS + 1000);
	teardown(&b);
}

/*
 *	submitted together   [7 8 9][11 12](12)[13]     (writes)
 *	answered                   *      *   *    *
 */
static void neighbours_are_answered_together(void **state)
{
	static const uint64_t slots[] = {7, 8, 9, 11, 12, 12, 13};
	static const unsigned int transfers[] = {3, 3, 3, 5, 5, 6, 7};
	struct swapdev_io ios[7];
	struct bench b;

	(void)state;
	setup(&b, 0);
	for (unsigned int i = 0; i < 7; i++)
		ios[i] = (struct swapdev_io){
			.slot = slots[i], .page = frame, .cookie = i, .is_write = i >= 5};
	ios[6].is_write = false;
	assert_int_equal(b.dev->ops->submit(b.dev, ios, 7), 7);
	b.clock_ns = 50 + 2 * PAGE_NS + 1000;
	assert_int_equal(b.dev->ops->poll(b.dev, ios, 7), 0);
	for (unsigned int i = 0, n; i < 7; i += n) {
		uint64_t end_ns =
			50 + transfers[i] * PAGE_NS + (slots[i] == 12 && i == 5 ? 300 : 1000);

		assert_int_equal(swapdev_model_next_ns(b.dev), end_ns);
		b.clock_ns = end_ns;
		n = b.dev->ops->poll(b.dev, ios, 7);
		for (unsigned int j = 0; j < n; j++) {
			assert_int_equal(ios[j].cookie, i + j);
			assert_int_equal(transfers[i + j], transfers[i]);
		}
		assert_true(i + n == 7 || transfers[i + n] > transfers[i]);
	}
	teardown(&b);
}

static void a_refused_one_holds_no_other_up(void **state)
{
	struct swapdev_io ios[3] = {{.slot = 998, .page = frame, .cookie = 1},
				    {.slot = 999, .page = frame, .cookie = 2},
				    {.slot = 1000, .page = frame, .cookie = 3}};
	struct swapdev_io done[3];
	struct bench b;

	(void)state;
	setup(&b, 0);
	assert_int_equal(b.dev->ops->submit(b.dev, ios, 3), 3);
	assert_int_equal(b.dev->ops->poll(b.dev, done, 3), 1);
	assert_int_equal(done[0].cookie, 3);
	assert_int_equal(done[0].err, -EINVAL);
	b.clock_ns = 50 + 2 * PAGE_NS + 1000;
	assert_int_equal(b.dev->ops->poll(b.dev, done, 3), 2);
	assert_int_equal(done[0].err, 0);
	teardown(&b);
}

static void a_later_short_one_overtakes(void **state)
{
	struct swapdev_model_config cfg = {
		.nr_slots = 10,
		.params = {.name = "test",
			   .read_latency_ns = 1000000,
			   .bytes_per_second = 1000000000,
			   .depth = 4},
	};
	struct bench b = {.clock_ns = 0};

	(void)state;
	cfg.clock_ns = &b.clock_ns;
	assert_int_equal(swapdev_model_create(&cfg, &b.dev), 0);
	start(&b, 1, false);
	start(&b, 2, true);
	ends(&b, 2, 2 * PAGE_NS);
	ends(&b, 1, PAGE_NS + 1000000);
	teardown(&b);
}

static void is_full_at_its_depth(void **state)
{
	struct bench b;

	(void)state;
	setup(&b, 0);
	for (uint64_t slot = 1; slot <= 4; slot++) {
		assert_false(swapdev_model_is_full(b.dev));
		start(&b, slot, true);
	}
	assert_true(swapdev_model_is_full(b.dev));
	ends(&b, 1, 50 + PAGE_NS + 300);
	assert_false(swapdev_model_is_full(b.dev));
	for (uint64_t slot = 2; slot <= 4; slot++)
		ends(&b, slot, 50 + slot * PAGE_NS + 300);
	teardown(&b);
}

static void a_wrong_slot_ends_at_once_with_its_error(void **state)
{
	struct swapdev_io io = {.slot = 1000, .page = frame};
	struct bench b;

	(void)state;
	setup(&b, 0);
	assert_int_equal(b.dev->ops->submit(b.dev, &io, 1), 1);
	assert_int_equal(b.dev->ops->poll(b.dev, &io, 1), 1);
	assert_int_equal(io.err, -EINVAL);
	teardown(&b);
}

/* Many more than fit in flight, handed out while others come. */
static void a_long_queue_keeps_its_order(void **state)
{
	struct swapdev_io io;
	uint64_t next = 0;
	struct bench b;

	(void)state;
	setup(&b, 0);
	for (uint64_t i = 0; i < 20000; i++) {
		start(&b, 1 + i % 999, false);
		if (i < 3000)
			continue;
		b.clock_ns = swapdev_model_next_ns(b.dev);
		assert_int_equal(b.dev->ops->poll(b.dev, &io, 1), 1);
		assert_int_equal(io.cookie, 1 + next++ % 999);
	}
	while (swapdev_model_next_ns(b.dev) != UINT64_MAX) {
		b.clock_ns = swapdev_model_next_ns(b.dev);
		assert_int_equal(b.dev->ops->poll(b.dev, &io, 1), 1);
		assert_int_equal(io.cookie, 1 + next++ % 999);
	}
	assert_int_equal(next, 20000);
	teardown(&b);
}

static void refuses_what_cannot_be(void **state)
{
	uint64_t clock_ns = 0;
	struct swapdev_model_config cfg = {
		.nr_slots = 1, .params = *swapdev_model_preset("ssd"), .clock_ns = &clock_ns};
	struct swapdev *dev;

	(void)state;
	assert_int_equal(swapdev_model_create(&cfg, &dev), -EINVAL);
	cfg.nr_slots = 2;
	cfg.params.bytes_per_second = 0;
	assert_int_equal(swapdev_model_create(&cfg, &dev), -EINVAL);
	assert_null(swapdev_model_preset("tape"));
}

/* One transfers after the other, and to another device's slots the disk has to seek. */
static void devices_share_a_channel(void **state)
{
	struct swapdev_model_channel channel = {0};
	struct bench a, b;

	(void)state;
	setup_on(&a, 100, &channel);
	setup_on(&b, 100, &channel);
	start(&a, 1, false); /* seek: 50..150, transfer */
	start(&b, 2, false); /* seek, transfer */
	start(&b, 3, false); /* transfer */
	ends(&a, 1, 150 + PAGE_NS + 1000);
	ends(&b, 2, 250 + 2 * PAGE_NS + 1000);
	ends(&b, 3, 250 + 3 * PAGE_NS + 1000);
	a.dev->ops->close(a.dev);
	b.dev->ops->close(b.dev);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(one_takes_transfer_and_latency),
	cmocka_unit_test(transfers_queue_and_latencies_overlap),
	cmocka_unit_test(a_seek_comes_where_slots_do_not_follow),
	cmocka_unit_test(neighbours_are_answered_together),
	cmocka_unit_test(a_refused_one_holds_no_other_up),
	cmocka_unit_test(a_later_short_one_overtakes),
	cmocka_unit_test(is_full_at_its_depth),
	cmocka_unit_test(a_wrong_slot_ends_at_once_with_its_error),
	cmocka_unit_test(a_long_queue_keeps_its_order),
	cmocka_unit_test(refuses_what_cannot_be),
	cmocka_unit_test(devices_share_a_channel),
};
TEST_MAIN(tests)
