/* SPDX-License-Identifier: MIT */
#ifndef TRACE_INPUT_H
#define TRACE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/codec.h"
#include "trace/trace.h"

#define INPUT_BUFFER_BYTES (256u << 10)
#define INPUT_RAW_BYTES	   (128u << 10)

struct trace_input {
	uint8_t *buf; /* [start, end) is decompressed and not yet taken */
	size_t start, end;
	uint64_t offset; /* of buf[start], decompressed */
	bool is_whole;	 /* nothing comes after buf[end] */
	uint8_t *raw;	 /* [raw_start, raw_end) is read and not yet decompressed */
	size_t raw_start, raw_end;
	bool is_raw_end;
	uint64_t raw_bytes; /* read from fd */
	struct codec codec;
	int fd;
	int failed; /* 0, or what input_more() answers from now on, with error */
	struct trace_error error;
};

int input_open(struct trace_input *in, int fd, struct trace_error *err);
void input_close(struct trace_input *in);
int input_more(struct trace_input *in, struct trace_error *err);
int input_need(struct trace_input *in, size_t nr_bytes, struct trace_error *err);

/* -EBADMSG, with err filled: where the input is broken and why. */
int input_broken(struct trace_error *err, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static inline size_t input_bytes(const struct trace_input *in)
{
	return in->end - in->start;
}

static inline const uint8_t *input_data(const struct trace_input *in)
{
	return in->buf + in->start;
}

static inline void input_take(struct trace_input *in, size_t nr_bytes)
{
	in->start += nr_bytes;
	in->offset += nr_bytes;
}

/* Of the first byte that is not there: only right once is_whole. */
static inline uint64_t input_end_offset(const struct trace_input *in)
{
	return in->offset + input_bytes(in);
}

#endif
