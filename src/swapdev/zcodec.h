/* SPDX-License-Identifier: MIT */
/*
 * A page to few bytes and back (zcodec.c).
 */
#ifndef SWAPDEV_ZCODEC_H
#define SWAPDEV_ZCODEC_H

#include "ration/types.h"

enum zcodec_kind { ZCODEC_LZ4, ZCODEC_ZSTD, NR_ZCODECS };

/* What a page may take compressed: 3/4 of it. See zcodec.c. */
#define ZCODEC_SIZE_MAX 3072

/* A packed page: this, then the compressed bytes. */
struct zcodec_packed {
	uint32_t hash;
	uint8_t bytes[ZCODEC_SIZE_MAX];
};

extern const char *const zcodec_names[NR_ZCODECS];

size_t zcodec_state_bytes(enum zcodec_kind kind);
int zcodec_state_init(enum zcodec_kind kind, void *state);
bool zcodec_reads_alone(enum zcodec_kind kind); /* unpacking needs no state */

unsigned int zcodec_pack(enum zcodec_kind kind, void *state, const void *page,
			 struct zcodec_packed *ret_packed);
bool zcodec_unpack(enum zcodec_kind kind, void *state, const struct zcodec_packed *packed,
		   unsigned int size, void *page);

bool page_is_filled(const void *page, uint64_t *ret_word);
void page_fill_with(void *page, uint64_t word);

#endif
