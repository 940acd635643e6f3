/* SPDX-License-Identifier: MIT */
/*
 * Sizes as people write them (size.c).
 */
#ifndef RUN_SIZE_H
#define RUN_SIZE_H

#include "ration/types.h"

#define SIZE_TEXT_MAX	 32
#define SIZE_PERCENT_ONE 1000000 /* size_value.amount of 1% */

struct size_value {
	bool is_percent;
	uint64_t amount; /* bytes, or millionths of a percent */
};

int size_parse(const char *text, struct size_value *ret_value);
uint64_t size_share_of(uint64_t whole, uint64_t percent_amount);
char *size_format(uint64_t bytes, char ret_text[SIZE_TEXT_MAX]);
char *size_suggest(uint64_t bytes, char ret_text[SIZE_TEXT_MAX]);

struct swap_spec {
	char *path;	     /* malloc'ed */
	uint64_t size_bytes; /* 0: none was given */
};

int swap_spec_parse(const char *text, struct swap_spec *ret_spec);

#endif
