/* SPDX-License-Identifier: MIT */
/*
 * What the formats and the reader share.
 */
#ifndef TRACE_READER_H
#define TRACE_READER_H

#include "trace/input.h"
#include "trace/packed.h"
#include "trace/trace.h"

#define TEXT_LINE_MAX (64u << 10) /* bytes, with the newline */

struct trace_format {
	const char *name;
	int (*start)(struct trace_reader *r);
	void (*stop)(struct trace_reader *r);
	/*
	 * Puts up to max accesses into out, their number into *ret_nr; none at the end. On
	 * failure, *ret_nr valid ones are there, too.
	 */
	int (*next)(struct trace_reader *r, struct trace_access *out, unsigned int max,
		    unsigned int *ret_nr, struct trace_error *err);
};

/* Of the text formats. */
struct text_state {
	uint64_t line; /* number of the line to come, from 0 */
	bool has_pending;
	struct trace_access
		pending; /* the store of a modify whose load filled the caller's room */
	bool has_banner,
		has_exit; /* lackey: first and last words of valgrind's process `pid` */
	uint64_t pid;
	bool is_started; /* CSV: past the line that may be a header */
};

struct trace_reader {
	struct trace_input in;
	const struct trace_format *format;
	union {
		struct text_state text;
		struct packed_reader packed;
	};
	int failed; /* 0, or what trace_next() answers from now on, with error */
	struct trace_error error;
	bool owns_fd;
	uint64_t file_bytes;
	char format_name[32];
	char name[];
};

extern const struct trace_format format_packed, format_lackey, format_csv;

/* A line in the input's buffer: [p, end), and *end is its newline. */
struct text_line {
	const char *p, *end;
};

/* Where accesses go: as trace_format.next() has it. */
struct text_out {
	struct trace_access *out;
	unsigned int max;
	unsigned int *ret_nr;
};

/* Takes the line unless it is broken. Return: accesses put into out, 0 or 1; -EBADMSG. */
typedef int text_read_line(struct trace_reader *r, const struct text_line *line,
			   struct trace_access *out, struct trace_error *err);

int text_line_next(struct trace_reader *r, struct text_line *ret_line, struct trace_error *err);
int text_next(struct trace_reader *r, text_read_line *read_line, const struct text_out *to,
	      struct trace_error *err);
int text_broken(struct trace_reader *r, const char *at, const char *why,
		struct trace_error *err);
bool text_parse_hex(const char **p, uint64_t *ret_number);
bool text_parse_decimal(const char **p, uint64_t *ret_number);

static inline void text_line_done(struct trace_reader *r, const struct text_line *line)
{
	input_take(&r->in, (size_t)(line->end + 1 - (const char *)input_data(&r->in)));
	r->text.line++;
}

/* The access is a load; the store of the same bytes comes next. */
static inline void text_set_modify(struct trace_reader *r, const struct trace_access *load)
{
	r->text.has_pending = true;
	r->text.pending = *load;
	r->text.pending.op = TRACE_WRITE;
}

enum access_fault { ACCESS_OK, ACCESS_SIZE_ZERO, ACCESS_SIZE_LARGE, ACCESS_VA, ACCESS_LAST };

enum access_fault access_fault_of(uint64_t va, uint64_t size);
const char *access_fault_why(enum access_fault fault);

/* Sizes 1 to the largest; first and last byte in the same canonical half. */
static inline bool access_is_valid(uint64_t va, uint64_t size)
{
	uint64_t last = va + size - 1;
	uint64_t half = (uint64_t)((int64_t)(va << 16) >> 63);

	return size - 1 < TRACE_SIZE_MAX && ((va ^ half) >> 47) == 0 &&
	       ((last ^ half) >> 47) == 0;
}

#endif
