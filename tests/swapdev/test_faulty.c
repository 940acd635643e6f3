/* SPDX-License-Identifier: MIT */
/*
 * swapdev/faulty: each rule fails what it says, and nothing else.
 */
#include "support/test.h"

#include <errno.h>
#include <string.h>

#include "swapdev/devices.h"

#define NR    40
#define SLOTS 64

static struct swapdev *wrap(struct swapdev *inner, const struct swapdev_fault_rule *rules,
			    unsigned int nr_rules, uint64_t seed)
{
	struct swapdev_faulty_config cfg = {
		.inner = inner, .rules = rules, .nr_rules = nr_rules, .seed = seed};
	struct swapdev *dev;

	assert_int_equal(swapdev_faulty_create(&cfg, &dev), 0);
	return dev;
}

static struct swapdev *make_inner(unsigned int queue_max)
{
	struct swapdev_mem_config cfg = {.nr_slots = SLOTS, .queue_max = queue_max};
	struct swapdev *inner;

	assert_int_equal(swapdev_mem_create(&cfg, &inner), 0);
	return inner;
}

/* NR I/Os one after the other; ret_err by number, from 1. */
static void run(struct swapdev *dev, bool is_write, int *ret_err)
{
	struct test_device t = {.dev = dev, .event_fd = -1};
	void *page = pages_make(1);

	for (unsigned int i = 1; i <= NR; i++)
		ret_err[i] = is_write ? write_page(&t, i, 1) : read_page(&t, i, page);
	pages_free(page, 1);
}

static void fails_the_nth_and_every_so_many_after(void **state)
{
	const struct {
		uint64_t nth, every;
	} table[] = {{1, 0}, {3, 0}, {NR, 0}, {1, 1}, {2, 3}, {NR + 1, 1}};
	int err[NR + 1];

	(void)state;
	for (size_t c = 0; c < sizeof(table) / sizeof(table[0]); c++) {
		uint64_t nth = table[c].nth, every = table[c].every, nr_hits = 0;
		struct swapdev_fault_rule rule = {
			.is_write = true, .err = -ENOSPC, .nth = nth, .every = every};
		struct swapdev *dev = wrap(make_inner(0), &rule, 1, 0);

		run(dev, true, err);
		for (unsigned int i = 1; i <= NR; i++) {
			bool hit =
				i == nth || (every != 0 && i > nth && (i - nth) % every == 0);

			assert_int_equal(err[i], hit ? -ENOSPC : 0);
			nr_hits += hit;
		}
		assert_int_equal(swapdev_faulty_hits(dev), nr_hits);
		run(dev, false, err); /* reads are counted apart */
		for (unsigned int i = 1; i <= NR; i++)
			assert_int_equal(err[i], 0);
		dev->ops->close(dev);
	}
}

static void a_failed_io_moves_nothing(void **state)
{
	const struct swapdev_fault_rule rules[] = {
		{.is_write = true, .err = -EIO, .nth = 2},
		{.err = -EIO, .nth = 1},
	};
	struct swapdev *inner = make_inner(0), *dev = wrap(inner, rules, 2, 0);
	struct test_device t = {.dev = dev, .event_fd = -1};
	void *page = pages_make(1);

	(void)state;
	assert_int_equal(write_page(&t, 7, 1), 0);
	assert_int_equal(write_page(&t, 7, 2), -EIO);
	assert_true(page_holds(swapdev_mem_page(inner, 7), 7, 1));
	page_fill(page, 9, 9);
	assert_int_equal(read_page(&t, 7, page), -EIO);
	assert_true(page_holds(page, 9, 9));
	assert_int_equal(read_page(&t, 7, page), 0);
	assert_true(page_holds(page, 7, 1));
	dev->ops->close(dev);
	pages_free(page, 1);
}

/*
 *	write of BBBB over AAAA		read of BBBB
 *	BB..  half of it and junk	BB..  half of it and junk
 */
static void a_short_io_moves_half_a_page(void **state)
{
	const struct swapdev_fault_rule rules[] = {
		{.fault = SWAPDEV_FAULT_SHORT, .is_write = true, .nth = 2},
		{.fault = SWAPDEV_FAULT_SHORT, .nth = 2},
	};
	struct swapdev *inner = make_inner(0), *dev = wrap(inner, rules, 2, 0);
	struct test_device t = {.dev = dev, .event_fd = -1};
	void *want = pages_make(2), *page = page_at(want, 1);

	(void)state;
	assert_int_equal(write_page(&t, 7, 1), 0);
	assert_int_equal(write_page(&t, 7, 2), -EIO);
	page_fill(want, 7, 2);
	assert_memory_equal(swapdev_mem_page(inner, 7), want, PAGE_SIZE / 2);
	page_fill(page, 7, 1);
	assert_memory_not_equal((char *)swapdev_mem_page(inner, 7) + PAGE_SIZE / 2,
				(char *)page + PAGE_SIZE / 2, 64);

	assert_int_equal(write_page(&t, 7, 2), 0);
	assert_int_equal(read_page(&t, 7, page), 0);
	assert_true(page_holds(page, 7, 2));
	assert_int_equal(read_page(&t, 7, page), -EIO);
	assert_memory_equal(page, want, PAGE_SIZE / 2);
	assert_memory_not_equal((char *)page + PAGE_SIZE / 2, (char *)want + PAGE_SIZE / 2, 64);
	dev->ops->close(dev);
	pages_free(want, 2);
}

static void a_delayed_io_comes_after_so_many_polls(void **state)
{
	const struct swapdev_fault_rule rule = {
		.fault = SWAPDEV_FAULT_DELAY, .is_write = true, .delay_polls = 3, .nth = 1};
	struct swapdev *dev = wrap(make_inner(0), &rule, 1, 0);
	void *pages = pages_make(2);
	struct swapdev_io done[2],
		ios[2] = {
			{.slot = 1, .page = pages, .cookie = 1, .is_write = true},
			{.slot = 2, .page = page_at(pages, 1), .cookie = 2, .is_write = true},
		};

	(void)state;
	assert_int_equal(dev->ops->submit(dev, ios, 2), 2);
	assert_int_equal(dev->ops->poll(dev, done, 2), 1);
	assert_int_equal(done[0].cookie, 2);
	assert_int_equal(dev->ops->poll(dev, done, 2), 0);
	assert_int_equal(dev->ops->poll(dev, done, 2), 0);
	assert_int_equal(dev->ops->poll(dev, done, 2), 1);
	assert_int_equal(done[0].cookie, 1);
	assert_int_equal(done[0].err, 0);
	dev->ops->close(dev);
	pages_free(pages, 2);
}

static void chance_comes_from_the_seed(void **state)
{
	const struct swapdev_fault_rule rule = {
		.is_write = true, .err = -EIO, .per_mille = 300};
	int first[NR + 1] = {0}, again[NR + 1] = {0}, other[NR + 1] = {0};
	uint64_t seed = test_seed();
	int *err[] = {first, again, other};

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		struct swapdev *dev = wrap(make_inner(0), &rule, 1, i == 2 ? seed + 1 : seed);

		run(dev, true, err[i]);
		assert_in_range(swapdev_faulty_hits(dev), 1, NR - 1);
		dev->ops->close(dev);
	}
	assert_memory_equal(first, again, sizeof(first));
	assert_memory_not_equal(first, other, sizeof(first));
}

/* Each refusal of a full inner device would otherwise use up a number. */
static void counts_only_what_was_taken(void **state)
{
	const struct swapdev_fault_rule rule = {.is_write = true, .err = -EIO, .nth = 4};
	struct swapdev *dev = wrap(make_inner(2), &rule, 1, 0);
	struct swapdev_io ios[8], done;
	unsigned int taken = 0, ended = 0;
	void *page = pages_make(1);

	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		ios[i] = (struct swapdev_io){
			.slot = 1 + i, .page = page, .cookie = 1 + i, .is_write = true};
	while (ended < 8) {
		taken += dev->ops->submit(dev, ios + taken, 8 - taken);
		if (dev->ops->poll(dev, &done, 1) == 0)
			continue;
		assert_int_equal(done.err, done.cookie == 4 ? -EIO : 0);
		ended++;
	}
	assert_int_equal(swapdev_faulty_hits(dev), 1);
	dev->ops->close(dev);
	pages_free(page, 1);
}

static void new_rules_count_anew(void **state)
{
	const struct swapdev_fault_rule rule = {.is_write = true, .err = -EIO, .nth = 2};
	const struct swapdev_fault_rule many[SWAPDEV_FAULTY_RULES_MAX + 1] = {{.nth = 1}};
	struct swapdev *dev = wrap(make_inner(0), NULL, 0, 0);
	struct test_device t = {.dev = dev, .event_fd = -1};

	(void)state;
	assert_int_equal(write_page(&t, 1, 1), 0);
	assert_int_equal(write_page(&t, 1, 1), 0);
	assert_int_equal(swapdev_faulty_set_rules(dev, &rule, 1), 0);
	assert_int_equal(swapdev_faulty_set_rules(dev, many, SWAPDEV_FAULTY_RULES_MAX + 1),
			 -EINVAL);
	assert_int_equal(write_page(&t, 1, 1), 0);
	assert_int_equal(write_page(&t, 1, 1), -EIO);
	assert_int_equal(swapdev_faulty_hits(dev), 1);
	assert_int_equal(swapdev_faulty_set_rules(dev, NULL, 0), 0);
	assert_int_equal(swapdev_faulty_hits(dev), 0);
	dev->ops->close(dev);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(fails_the_nth_and_every_so_many_after),
	cmocka_unit_test(a_failed_io_moves_nothing),
	cmocka_unit_test(a_short_io_moves_half_a_page),
	cmocka_unit_test(a_delayed_io_comes_after_so_many_polls),
	cmocka_unit_test(chance_comes_from_the_seed),
	cmocka_unit_test(counts_only_what_was_taken),
	cmocka_unit_test(new_rules_count_anew),
};
TEST_MAIN(tests)
