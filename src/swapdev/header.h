/* SPDX-License-Identifier: MIT */
/*
 * The header of a swap area, as mkswap writes it (header.c).
 */
#ifndef SWAPDEV_HEADER_H
#define SWAPDEV_HEADER_H

#include "ration/types.h"

#define SWAP_HEADER_BAD_MAX   637 /* what fits between the padding and the signature */
#define SWAP_HEADER_UUID_LEN  16
#define SWAP_HEADER_LABEL_LEN 16
#define SWAP_SLOTS_MIN	      10 /* mkswap's: 40 KiB */
#define SWAP_SLOTS_MAX	      UINT32_MAX

enum swap_header_state {
	SWAP_HEADER_OK,
	SWAP_HEADER_NONE,	/* no signature: somebody's data */
	SWAP_HEADER_HIBERNATED, /* a suspended system sleeps in it */
	SWAP_HEADER_OLD,	/* SWAP-SPACE, version 0, gone since Linux 2.5 */
	SWAP_HEADER_VERSION,	/* not 1 */
	SWAP_HEADER_BYTE_ORDER, /* written on a machine of the other byte order */
	SWAP_HEADER_PAGE_SIZE,	/* written for larger pages */
	SWAP_HEADER_DAMAGED,	/* the numbers in it cannot be */
};

struct swap_header {
	uint64_t nr_slots;  /* the header's own included */
	uint32_t page_size; /* valid with PAGE_SIZE too */
	uint32_t nr_bad;
	uint32_t bad[SWAP_HEADER_BAD_MAX]; /* slots, ascending */
	uint8_t uuid[SWAP_HEADER_UUID_LEN];
	char label[SWAP_HEADER_LABEL_LEN + 1]; /* ends with 0 */
};

enum swap_header_state swap_header_parse(const void *page, struct swap_header *ret_header);
void swap_header_format(const struct swap_header *header, void *page);
int swap_header_read(int fd, enum swap_header_state *ret_state, struct swap_header *ret_header);
int swap_header_write(int fd, const struct swap_header *header);

#endif
