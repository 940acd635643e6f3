/* SPDX-License-Identifier: MIT */
/*
 * Transfers against a system that moves as much as the case says, or fails.
 */
#include "support/test.h"

#include <errno.h>
#include <string.h>

#include "support/rng.h"
#include "swapdev/devices.h"
#include "swapdev/transfer.h"

#define P	     ((long)PAGE_SIZE)
#define ATTEMPTS_MAX 24

static unsigned int start(struct transfer *t, void *pages, unsigned int nr, bool is_write)
{
	struct swapdev_io ios[2 * TRANSFER_PAGES_MAX];

	for (unsigned int i = 0; i < nr; i++)
		ios[i] = (struct swapdev_io){.slot = 100 + i,
					     .page = page_at(pages, i),
					     .cookie = 1000 + i,
					     .is_write = is_write};
	return transfer_init(t, ios, nr);
}

static void takes_neighbours_in_one_direction(void **state)
{
	const struct {
		uint64_t slots[4];
		bool writes[4];
		unsigned int taken;
	} table[] = {
		{{5, 6, 7, 8}, {true, true, true, true}, 4},
		{{5, 6, 8, 9}, {true, true, true, true}, 2},
		{{5, 4, 3, 2}, {true, true, true, true}, 1},
		{{5, 5, 6, 7}, {true, true, true, true}, 1},
		{{5, 6, 7, 8}, {false, false, true, true}, 2},
	};
	struct swapdev_io ios[4];
	struct transfer t;

	(void)state;
	for (size_t c = 0; c < sizeof(table) / sizeof(table[0]); c++) {
		for (int i = 0; i < 4; i++)
			ios[i] = (struct swapdev_io){.slot = table[c].slots[i],
						     .page = (void *)PAGE_SIZE,
						     .is_write = table[c].writes[i]};
		assert_int_equal(transfer_init(&t, ios, 4), table[c].taken);
	}
}

static void takes_no_more_than_fits(void **state)
{
	void *pages = pages_make(2 * TRANSFER_PAGES_MAX);
	struct transfer t;

	(void)state;
	assert_int_equal(start(&t, pages, 2 * TRANSFER_PAGES_MAX, true), TRANSFER_PAGES_MAX);
	pages_free(pages, 2 * TRANSFER_PAGES_MAX);
}

/* What is asked for, what comes of it; then each page's error. Offsets count from the start. */
struct attempt {
	long offset, bytes, result;
};

static const struct {
	const char *what;
	unsigned int nr;
	struct attempt attempts[ATTEMPTS_MAX];
	int err[4];
} scripts[] = {
	{"all at once", 4, {{0, 4 * P, 4 * P}}, {0}},
	{"short at a page", 4, {{0, 4 * P, P}, {P, 3 * P, 3 * P}}, {0}},
	{"short in a page",
	 3,
	 {{0, 3 * P, P + 512},
	  {P + 512, 2 * P - 512, 100},
	  {P + 612, 2 * P - 612, 2 * P - 612}},
	 {0}},
	{"the file ends", 3, {{0, 3 * P, P}, {P, 2 * P, 0}, {2 * P, P, 0}}, {0, -EIO, -EIO}},
	{"the file ends in a page",
	 2,
	 {{0, 2 * P, 700}, {700, 2 * P - 700, 0}, {P, P, 0}},
	 {-EIO, -EIO}},
	{"interrupted", 2, {{0, 2 * P, -EINTR}, {0, 2 * P, -EAGAIN}, {0, 2 * P, 2 * P}}, {0}},
	{"its thread is gone", 1, {{0, P, -ECANCELED}, {0, P, P}}, {0}},
	{"one page alone fails", 1, {{0, P, -EIO}}, {-EIO}},
	{"the second of four is bad",
	 4,
	 {{0, 4 * P, -EIO}, {0, P, P}, {P, P, -EIO}, {2 * P, 2 * P, 2 * P}},
	 {0, -EIO, 0, 0}},
	{"the disk is full after two",
	 4,
	 {{0, 4 * P, 2 * P}, {2 * P, 2 * P, -ENOSPC}, {2 * P, P, -ENOSPC}, {3 * P, P, -ENOSPC}},
	 {0, 0, -ENOSPC, -ENOSPC}},
	{"fails once a page is begun", 1, {{0, P, 512}, {512, P - 512, -EINVAL}}, {-EIO}},
};

static void run_script(size_t c)
{
	void *pages = pages_make(4);
	struct transfer_attempt a;
	struct swapdev_io io;
	struct transfer t;
	bool has_ended = false;
	unsigned int i = 0;

	start(&t, pages, scripts[c].nr, true);
	for (; !has_ended; i++) {
		const struct attempt *want = &scripts[c].attempts[i];
		long bytes = 0;

		transfer_attempt(&t, &a);
		for (unsigned int v = 0; v < a.nr_iov; v++)
			bytes += (long)a.iov[v].iov_len;
		assert_int_equal(a.offset, 100 * P + want->offset);
		assert_int_equal(bytes, want->bytes);
		assert_ptr_equal(a.iov[0].iov_base, (char *)pages + want->offset);
		has_ended = transfer_advance(&t, want->result);
	}
	assert_int_equal(scripts[c].attempts[i].bytes, 0);
	for (i = 0; i < scripts[c].nr; i++) {
		transfer_result(&t, i, &io);
		assert_int_equal(io.err, scripts[c].err[i]);
		assert_int_equal(io.slot, 100 + i);
		assert_int_equal(io.cookie, 1000 + i);
		assert_ptr_equal(io.page, page_at(pages, i));
		assert_true(io.is_write);
	}
	pages_free(pages, 4);
}

static void follows_the_script(void **state)
{
	(void)state;
	for (size_t c = 0; c < sizeof(scripts) / sizeof(scripts[0]); c++)
		run_script(c);
}

static void gives_up_on_endless_interruption(void **state)
{
	void *pages = pages_make(2);
	struct transfer t;
	int attempts = 1;

	(void)state;
	start(&t, pages, 2, false);
	while (!transfer_advance(&t, -EAGAIN) && attempts < 1000)
		attempts++;
	assert_in_range(attempts, 2, 999);
	assert_int_equal(t.err[0], -EAGAIN);
	assert_int_equal(t.err[1], -EAGAIN);
	pages_free(pages, 2);
}

/* A disk with bad pages that moves what it likes; only the bad ones may come back with errors.
 */
struct disk {
	struct rng rng;
	bool is_bad[TRANSFER_PAGES_MAX];
	uint8_t *bytes;
};

static long disk_write(struct disk *disk, const struct transfer_attempt *a)
{
	uint64_t at = a->offset - 100 * PAGE_SIZE, done = 0, limit = 0;

	for (unsigned int v = 0; v < a->nr_iov; v++)
		limit += a->iov[v].iov_len;
	if (rng_chance(&disk->rng, 10))
		return -EINTR;
	if (rng_chance(&disk->rng, 30))
		limit = rng_between(&disk->rng, 1, limit);
	for (unsigned int v = 0; v < a->nr_iov && done < limit; v++) {
		uint64_t len =
			a->iov[v].iov_len < limit - done ? a->iov[v].iov_len : limit - done;

		if (disk->is_bad[(at + done) / PAGE_SIZE])
			return done > 0 && rng_chance(&disk->rng, 50) ? (long)done : -EIO;
		memcpy(disk->bytes + at + done, a->iov[v].iov_base, len);
		done += len;
	}
	return (long)done;
}

static void one_random_transfer(struct disk *disk, void *pages, unsigned int nr)
{
	struct transfer_attempt a;
	struct transfer t;

	memset(disk->bytes, 0, TRANSFER_PAGES_MAX * PAGE_SIZE);
	for (unsigned int i = 0; i < nr; i++) {
		disk->is_bad[i] = rng_chance(&disk->rng, 15);
		page_fill(page_at(pages, i), 100 + i, rng_next(&disk->rng));
	}
	start(&t, pages, nr, true);
	do {
		transfer_attempt(&t, &a);
	} while (!transfer_advance(&t, disk_write(disk, &a)));
	for (unsigned int i = 0; i < nr; i++) {
		assert_int_equal(t.err[i], disk->is_bad[i] ? -EIO : 0);
		if (!disk->is_bad[i])
			assert_memory_equal(disk->bytes + i * PAGE_SIZE, page_at(pages, i),
					    PAGE_SIZE);
	}
}

static void blames_only_bad_pages(void **state)
{
	struct disk disk = {.rng = rng_make(test_seed())};
	void *pages = pages_make(TRANSFER_PAGES_MAX);

	(void)state;
	disk.bytes = pages_make(TRANSFER_PAGES_MAX);
	for (int i = 0; i < 500; i++)
		one_random_transfer(
			&disk, pages,
			(unsigned int)rng_between(&disk.rng, 1, TRANSFER_PAGES_MAX));
	pages_free(disk.bytes, TRANSFER_PAGES_MAX);
	pages_free(pages, TRANSFER_PAGES_MAX);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(takes_neighbours_in_one_direction),
	cmocka_unit_test(takes_no_more_than_fits),
	cmocka_unit_test(follows_the_script),
	cmocka_unit_test(gives_up_on_endless_interruption),
	cmocka_unit_test(blames_only_bad_pages),
};
TEST_MAIN(tests)
