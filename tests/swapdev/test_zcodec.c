/* SPDX-License-Identifier: MIT */
/*
 * Pages to few bytes and back: every kind of content, every kind of damage.
 */
#include "swapdev/zcodec.h"

#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "support/rng.h"

static uint64_t page[512], back[512];
static struct zcodec_packed packed;

/* The first part of the page is noise, the rest one word. */
static void fill(struct rng *rng, unsigned int noise_words)
{
	for (unsigned int i = 0; i < 512; i++)
		page[i] = i < noise_words ? rng_next(rng) : 0x1122334455667788;
}

static void *state_make(enum zcodec_kind kind)
{
	size_t bytes = (zcodec_state_bytes(kind) + 63) & ~(size_t)63;
	void *state = aligned_alloc(64, bytes);

	assert_non_null(state);
	memset(state, 0xa5, bytes); /* frames come as they are */
	assert_int_equal(zcodec_state_init(kind, state), 0);
	return state;
}

/* From nothing to all noise: small enough and the same again, or refused. */
static void packs_what_can_be_packed(void **unused)
{
	struct rng rng = rng_make(test_seed());

	(void)unused;
	for (unsigned int kind = 0; kind < NR_ZCODECS; kind++) {
		void *state = state_make(kind);

		for (unsigned int noise = 0; noise <= 512; noise += 4) {
			unsigned int size;

			fill(&rng, noise);
			size = zcodec_pack(kind, state, page, &packed);
			if (noise <= 360)
				assert_true(size > 0 && size <= sizeof(packed));
			if (noise >= 400)
				assert_int_equal(size, 0);
			memset(back, 0x5a, sizeof(back));
			if (size > 0)
				assert_true(zcodec_unpack(kind, state, &packed, size, back));
			if (size > 0)
				assert_memory_equal(page, back, sizeof(page));
		}
		free(state);
	}
}

/* A bit that is wrong anywhere, or a length, is seen, and nothing but the page is written. */
static void sees_damage(void **unused)
{
	struct rng rng = rng_make(test_seed());
	struct zcodec_packed good;

	(void)unused;
	for (unsigned int kind = 0; kind < NR_ZCODECS; kind++) {
		void *state = state_make(kind);
		unsigned int size;

		fill(&rng, 200);
		size = zcodec_pack(kind, state, page, &good);
		assert_true(size > 0);
		for (unsigned int i = 0; i < 4000; i++) {
			unsigned int bit = (unsigned int)rng_below(&rng, 8ul * size);

			packed = good;
			((uint8_t *)&packed)[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(zcodec_unpack(kind, state, &packed, size, back));
		}
		for (unsigned int i = 0; i <= sizeof(packed) + 8; i++)
			if (i != size)
				assert_false(zcodec_unpack(kind, state, &good, i, back));
		assert_true(zcodec_unpack(kind, state, &good, size, back));
		free(state);
	}
}

static void knows_filled_pages(void **unused)
{
	static const uint64_t words[] = {0, ~0ull, 0x0102030405060708};
	uint64_t word;

	(void)unused;
	for (unsigned int i = 0; i < 3; i++) {
		page_fill_with(page, words[i]);
		assert_true(page_is_filled(page, &word));
		assert_int_equal(word, words[i]);
		for (unsigned int at = 0; at < 512; at++) {
			page[at] ^= 1ull << (at % 64);
			assert_false(page_is_filled(page, &word));
			page[at] ^= 1ull << (at % 64);
		}
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(packs_what_can_be_packed),
	cmocka_unit_test(sees_damage),
	cmocka_unit_test(knows_filled_pages),
};

TEST_MAIN(tests)
