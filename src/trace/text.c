/* SPDX-License-Identifier: MIT */
/*
 * Lines and numbers, for the formats that people can read.
 *
 * A line is parsed in place: its newline is in the buffer and stops every scan. A line that no
 * newline ends is one that was cut, since both formats end each line with one.
 */
#include <inttypes.h>
#include <string.h>

#include "trace/reader.h"

/**
 * text_line_next() - the next line, which text_line_done() takes.
 *
 * Return: 1; 0 at the end; -EBADMSG for a line that is too long or has no newline, or as
 * input_more(), with @err filled.
 */
int text_line_next(struct trace_reader *r, struct text_line *ret_line, struct trace_error *err)
{
	for (;;) { /* each round has more bytes, up to TEXT_LINE_MAX */
		size_t nr = input_bytes(&r->in);
		int ret;

		ret_line->p = (const char *)input_data(&r->in);
		ret_line->end = memchr(ret_line->p, '\n', nr);
		if (ret_line->end && (size_t)(ret_line->end - ret_line->p) < TEXT_LINE_MAX)
			return 1;
		if (r->in.is_whole && nr == 0)
			return 0;
		if (nr >= TEXT_LINE_MAX)
			return input_broken(err, r->in.offset,
					    "line %" PRIu64 " is longer than %u bytes",
					    r->text.line + 1, TEXT_LINE_MAX);
		if (r->in.is_whole)
			return input_broken(err, input_end_offset(&r->in),
					    "cut off: line %" PRIu64 " does not end",
					    r->text.line + 1);
		ret = input_more(&r->in, err);
		if (ret)
			return ret;
	}
}

/**
 * text_next() - trace_format.next() of a format that has an access a line.
 */
int text_next(struct trace_reader *r, text_read_line *read_line, const struct text_out *to,
	      struct trace_error *err)
{
	unsigned int nr = 0;
	int ret = 1;

	while (nr < to->max) {
		struct text_line line;

		if (r->text.has_pending) {
			to->out[nr++] = r->text.pending;
			r->text.has_pending = false;
			continue;
		}
		ret = text_line_next(r, &line, err);
		if (ret <= 0)
			break;
		ret = read_line(r, &line, &to->out[nr], err);
		if (ret < 0)
			break;
		nr += (unsigned int)ret;
	}
	*to->ret_nr = nr;
	return ret < 0 ? ret : 0;
}

/* at: in the current line. */
int text_broken(struct trace_reader *r, const char *at, const char *why,
		struct trace_error *err)
{
	size_t column = (size_t)(at - (const char *)input_data(&r->in));

	return input_broken(err, r->in.offset + column, "line %" PRIu64 ": %s",
			    r->text.line + 1, why);
}

/* Of hexadecimal digits their value and 1; 0 of all else. */
static const uint8_t hex_values[256] = {
	['0'] = 1,  ['1'] = 2,	['2'] = 3,  ['3'] = 4,	['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

/**
 * text_parse_hex() - hexadecimal digits, and nothing but digits.
 * @p: moved past them; stays where it is on failure.
 *
 * Return: false where there is none, or they make more than 64 bits.
 */
bool text_parse_hex(const char **p, uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *s = *p;

	for (unsigned int digit; (digit = hex_values[(uint8_t)*s]); s++) {
		if (number >> 60)
			return false;
		number = number << 4 | (digit - 1);
	}
	if (s == *p)
		return false;
	*p = s;
	*ret_number = number;
	return true;
}

/* As text_parse_hex(), of decimal digits. */
bool text_parse_decimal(const char **p, uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *s = *p;

	for (unsigned int digit; (digit = (unsigned int)(*s - '0')) < 10; s++)
		if (__builtin_mul_overflow(number, (uint64_t)10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)digit, &number))
			return false;
	if (s == *p)
		return false;
	*p = s;
	*ret_number = number;
	return true;
}

enum access_fault access_fault_of(uint64_t va, uint64_t size)
{
	if (size == 0)
		return ACCESS_SIZE_ZERO;
	if (size > TRACE_SIZE_MAX)
		return ACCESS_SIZE_LARGE;
	if (!access_is_valid(va, 1))
		return ACCESS_VA;
	return access_is_valid(va, size) ? ACCESS_OK : ACCESS_LAST;
}

const char *access_fault_why(enum access_fault fault)
{
	static const char *const why[] = {
		[ACCESS_OK] = "",
		[ACCESS_SIZE_ZERO] = "the size is 0",
		[ACCESS_SIZE_LARGE] = "the size is above 2097152",
		[ACCESS_VA] = "the address is not canonical",
		[ACCESS_LAST] = "the last byte's address is not canonical",
	};

	return why[fault];
}
