/* SPDX-License-Identifier: MIT */
/*
 * A page to few bytes and back: lz4 or zstd, and a hash over the compressed bytes.
 *
 * No state is kept from page to page, nothing is allocated, and errno is not touched: the
 * callers are threads that must not (run/thread.c) and signal handlers. lz4 needs 16 KiB to
 * compress and nothing to decompress; zstd, at level 1 and with what a page needs, 170 KiB in
 * all.
 *
 * A page is packed if that makes at most 3/4 of it. What is larger saves less than a frame in
 * four, for the same work at each end; four objects of exactly that size are three frames.
 *
 * The hash is looked at before the bytes are decompressed. It tells a store that has mixed up
 * or overwritten objects, which is what can be wrong here: RAM that loses bits would lose those
 * of pages, too. Four lanes of 8 bytes are multiplied and rotated, as xxHash does it (Collet
 * 2014), so that a processor works on all of them at once: 1600 bytes take about a tenth of a
 * microsecond. Decompression is the safe kind: it stays within its bounds for any input, and
 * what comes out must be a page exactly.
 */
#define ZSTD_STATIC_LINKING_ONLY /* contexts in memory of ours */
#include "swapdev/zcodec.h"

#include <errno.h>
#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "base/assert.h"

#define ZSTD_LEVEL 1

#define HASH_MULTIPLY 0x9e3779b97f4a7c15ull /* 2^64 over the golden ratio, odd */
#define HASH_FINISH   0xc2b2ae3d27d4eb4full

const char *const zcodec_names[NR_ZCODECS] = {"lz4", "zstd"};

static uint64_t load64(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

static uint64_t mix(uint64_t lane, uint64_t word)
{
	lane = (lane ^ word) * HASH_MULTIPLY;
	return lane << 29 | lane >> 35;
}

static uint32_t hash_bytes(const uint8_t *bytes, size_t len)
{
	uint64_t lanes[4] = {len, 1, 2, 3}, last = 0;
	size_t at = 0;

	for (; at + 32 <= len; at += 32)
		for (unsigned int i = 0; i < 4; i++)
			lanes[i] = mix(lanes[i], load64(bytes + at + 8ul * i));
	for (; at + 8 <= len; at += 8)
		lanes[0] = mix(lanes[0], load64(bytes + at));
	memcpy(&last, bytes + at, len - at);
	lanes[1] = mix(lanes[1], last);
	for (unsigned int i = 1; i < 4; i++)
		lanes[0] = mix(lanes[0], lanes[i]);
	lanes[0] ^= lanes[0] >> 32;
	return (uint32_t)((lanes[0] * HASH_FINISH) >> 32);
}

/* -- zstd, which wants two contexts -- */

static ZSTD_compressionParameters zstd_params(void)
{
	return ZSTD_getCParams(ZSTD_LEVEL, PAGE_SIZE, 0);
}

static size_t zstd_cctx_bytes(void)
{
	return (ZSTD_estimateCCtxSize_usingCParams(zstd_params()) + 63) & ~(size_t)63;
}

static size_t zstd_dctx_bytes(void)
{
	return (ZSTD_estimateDCtxSize() + 63) & ~(size_t)63;
}

static int zstd_init(void *state)
{
	ZSTD_CCtx *cctx = ZSTD_initStaticCCtx(state, zstd_cctx_bytes());

	if (!cctx || !ZSTD_initStaticDCtx((char *)state + zstd_cctx_bytes(), zstd_dctx_bytes()))
		return -ENOMEM;
	/* Not held: a page's own checksum and length, which we know. */
	if (ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, ZSTD_LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_contentSizeFlag, 0)))
		return -EINVAL;
	return 0;
}

static unsigned int zstd_compress(void *state, const void *page, uint8_t *ret_bytes)
{
	size_t len = ZSTD_compress2(state, ret_bytes, ZCODEC_SIZE_MAX, page, PAGE_SIZE);

	return ZSTD_isError(len) ? 0 : (unsigned int)len;
}

static bool zstd_decompress(void *state, const uint8_t *bytes, unsigned int size, void *page)
{
	return ZSTD_decompressDCtx((void *)((char *)state + zstd_cctx_bytes()), page, PAGE_SIZE,
				   bytes, size) == PAGE_SIZE;
}

/* -- */

/**
 * zcodec_state_bytes() - memory that a thread needs while it packs or unpacks.
 */
size_t zcodec_state_bytes(enum zcodec_kind kind)
{
	if (kind == ZCODEC_ZSTD)
		return zstd_cctx_bytes() + zstd_dctx_bytes();
	return (size_t)LZ4_sizeofState();
}

/**
 * zcodec_state_init() - once for each state.
 * @state: zcodec_state_bytes(), aligned to 64.
 *
 * Return: 0; -ENOMEM if the library says that it is too small.
 */
int zcodec_state_init(enum zcodec_kind kind, void *state)
{
	return kind == ZCODEC_ZSTD ? zstd_init(state) : 0;
}

bool zcodec_reads_alone(enum zcodec_kind kind)
{
	return kind == ZCODEC_LZ4;
}

/**
 * zcodec_pack() - compress a page.
 * @state: this thread's meanwhile.
 *
 * Return: bytes of *@ret_packed, the hash included; 0 if the page cannot be made small enough.
 */
unsigned int zcodec_pack(enum zcodec_kind kind, void *state, const void *page,
			 struct zcodec_packed *ret_packed)
{
	unsigned int len;

	if (kind == ZCODEC_ZSTD)
		len = zstd_compress(state, page, ret_packed->bytes);
	else
		len = (unsigned int)LZ4_compress_fast_extState(
			state, page, (char *)ret_packed->bytes, PAGE_SIZE, ZCODEC_SIZE_MAX, 1);
	if (len == 0)
		return 0;
	ret_packed->hash = hash_bytes(ret_packed->bytes, len);
	return len + (unsigned int)sizeof(ret_packed->hash);
}

/**
 * zcodec_unpack() - the page again.
 * @state: needed unless zcodec_reads_alone().
 * @size: as zcodec_pack() said.
 *
 * Return: false if these are not the bytes that were packed; the page is worth nothing then.
 */
bool zcodec_unpack(enum zcodec_kind kind, void *state, const struct zcodec_packed *packed,
		   unsigned int size, void *page)
{
	unsigned int len = size - (unsigned int)sizeof(packed->hash);

	if (size <= sizeof(packed->hash) || len > ZCODEC_SIZE_MAX ||
	    hash_bytes(packed->bytes, len) != packed->hash)
		return false;
	if (kind == ZCODEC_ZSTD)
		return zstd_decompress(state, packed->bytes, len, page);
	return LZ4_decompress_safe((const char *)packed->bytes, page, (int)len, PAGE_SIZE) ==
	       (int)PAGE_SIZE;
}

/**
 * page_is_filled() - is the page one 8-byte word over and over?
 *
 * The last word is looked at first: most pages that are not, differ there.
 */
bool page_is_filled(const void *page, uint64_t *ret_word)
{
	const uint64_t *words = page;
	unsigned int nr = PAGE_SIZE / sizeof(*words);

	if (words[nr - 1] != words[0])
		return false;
	for (unsigned int i = 1; i < nr; i++)
		if (words[i] != words[0])
			return false;
	*ret_word = words[0];
	return true;
}

void page_fill_with(void *page, uint64_t word)
{
	uint64_t *words = page;

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		words[i] = word;
}
