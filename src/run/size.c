/* SPDX-License-Identifier: MIT */
/*
 * Sizes as people write them.
 *
 *	number  = digits [ "." digits ]
 *	size    = number [ unit [ "iB" | "B" ] ]  |  number "B"  |  number "%"
 *	unit    = K | M | G | T, in either case: powers of 1024
 *
 * A fraction needs a unit or a percent sign. Nothing else is a size: no sign, no blank, no
 * exponent, no decimal comma; strtod(3) would take all of these, and depend on the locale.
 *
 * 1. Bytes are rounded down. 2. What is not a size is -EINVAL; what is one, but does not fit 64
 * bits, is -ERANGE.
 */
#include "run/size.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

#define FRACTION_DIGITS_MAX 9 /* more change nothing: 10^-9 TiB is a thousand bytes */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char to_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

struct number {
	uint64_t whole;
	uint64_t fraction; /* of scale */
	uint64_t scale;
	bool has_fraction;
	bool is_too_big;
};

static const char *parse_fraction(const char *at, struct number *number)
{
	number->has_fraction = true;
	for (unsigned int digits = 0; is_digit(*at); at++, digits++) {
		if (digits >= FRACTION_DIGITS_MAX)
			continue;
		number->fraction = number->fraction * 10 + (uint64_t)(*at - '0');
		number->scale *= 10;
	}
	return at;
}

/* Return: what follows the number; NULL if there is none. */
static const char *parse_number(const char *at, struct number *ret_number)
{
	struct number number = {.scale = 1};

	if (!is_digit(*at))
		return NULL;
	for (; is_digit(*at); at++)
		if (!checked_mul(number.whole, 10, &number.whole) ||
		    !checked_add(number.whole, (uint64_t)(*at - '0'), &number.whole))
			number.is_too_big = true;
	if (*at == '.') {
		if (!is_digit(at[1]))
			return NULL;
		at = parse_fraction(at + 1, &number);
	}
	*ret_number = number;
	return at;
}

/* Return: the unit's bytes; 0 if it is none. */
static uint64_t parse_unit(const char *text)
{
	static const char letters[] = "KMGT";
	const char *letter;

	if (!strcmp(text, "") || !strcmp(text, "B"))
		return 1;
	letter = strchr(letters, to_upper(text[0]));
	if (!letter)
		return 0;
	if (text[1] && strcmp(text + 1, "B") && strcmp(text + 1, "iB"))
		return 0;
	return (uint64_t)1024 << 10 * (letter - letters);
}

static int scale_number(const struct number *number, uint64_t unit, uint64_t *ret_amount)
{
	unsigned __int128 part = (unsigned __int128)number->fraction * unit / number->scale;
	uint64_t amount;

	if (number->is_too_big || !checked_mul(number->whole, unit, &amount) ||
	    !checked_add(amount, (uint64_t)part, &amount))
		return -ERANGE;
	*ret_amount = amount;
	return 0;
}

/**
 * size_parse() - read a size.
 *
 * Return: 0; -EINVAL if @text is not one; -ERANGE if it is beyond 64 bits.
 */
int size_parse(const char *text, struct size_value *ret_value)
{
	struct size_value value = {.is_percent = false};
	struct number number;
	uint64_t unit;
	const char *rest = parse_number(text, &number);
	int err;

	if (!rest)
		return -EINVAL;
	value.is_percent = !strcmp(rest, "%");
	unit = value.is_percent ? SIZE_PERCENT_ONE : parse_unit(rest);
	if (unit == 0 || (unit == 1 && number.has_fraction))
		return -EINVAL;
	err = scale_number(&number, unit, &value.amount);
	if (err)
		return err;
	*ret_value = value;
	return 0;
}

/**
 * size_share_of() - bytes that @percent_amount millionths of a percent of @whole are; the
 * largest 64-bit number if they are more.
 */
uint64_t size_share_of(uint64_t whole, uint64_t percent_amount)
{
	unsigned __int128 share =
		(unsigned __int128)whole * percent_amount / (100 * (uint64_t)SIZE_PERCENT_ONE);

	return share > UINT64_MAX ? UINT64_MAX : (uint64_t)share;
}

/**
 * size_format() - @bytes for people: "3.1 GiB", "512 B"; cut, not rounded, to one decimal.
 *
 * Return: @ret_text.
 */
char *size_format(uint64_t bytes, char ret_text[SIZE_TEXT_MAX])
{
	static const char letters[] = "KMGTPE";
	unsigned int shift = 10;

	if (bytes < 1024) {
		snprintf(ret_text, SIZE_TEXT_MAX, "%u B", (unsigned int)bytes);
		return ret_text;
	}
	while (bytes >> shift >= 1024 && shift < 60)
		shift += 10;
	snprintf(ret_text, SIZE_TEXT_MAX, "%u.%u %ciB", (unsigned int)(bytes >> shift),
		 (unsigned int)((bytes >> (shift - 10) & 1023) * 10 / 1024),
		 letters[shift / 10 - 1]);
	return ret_text;
}

/**
 * size_suggest() - a size not above @bytes that one would type: "3G", "1945M".
 *
 * Return: @ret_text.
 */
char *size_suggest(uint64_t bytes, char ret_text[SIZE_TEXT_MAX])
{
	static const char letters[] = "KMGT";
	unsigned int shift = 10;

	while (shift < 40 &&
	       bytes >> (shift + 10) >= 2) /* a unit whose floor loses a third at most */
		shift += 10;
	snprintf(ret_text, SIZE_TEXT_MAX, "%llu%c", (unsigned long long)(bytes >> shift),
		 letters[shift / 10 - 1]);
	return ret_text;
}

/**
 * swap_spec_parse() - split PATH[:SIZE].
 * @ret_spec: path to be freed by the caller.
 *
 * A path may hold ':' itself: only a last part that reads as a size is one.
 *
 * Return: 0; -EINVAL if the path or the size is empty or zero; -ERANGE if the size is beyond 64
 * bits; -EDOM if it is a percentage, of nothing in particular; -ENOMEM.
 */
int swap_spec_parse(const char *text, struct swap_spec *ret_spec)
{
	const char *colon = strrchr(text, ':');
	struct size_value size = {.amount = 0};
	size_t len = strlen(text);
	int err = colon ? size_parse(colon + 1, &size) : -EINVAL;
	char *path;

	if (err == -ERANGE)
		return err;
	if (err == 0) {
		if (size.is_percent)
			return -EDOM;
		if (size.amount == 0)
			return -EINVAL;
		len = (size_t)(colon - text);
	}
	if (len == 0)
		return -EINVAL;
	path = strndup(text, len);
	if (!path)
		return -ENOMEM;
	*ret_spec = (struct swap_spec){.path = path, .size_bytes = size.amount};
	return 0;
}
