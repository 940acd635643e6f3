/* SPDX-License-Identifier: MIT */
/*
 * A trace's bytes, from a file descriptor and through a decompressor, in one buffer that a
 * format reads in place.
 *
 * What is not compressed is read into the buffer directly. Reads are large and the buffers do
 * not grow; nothing is sought, so pipes are as good as files.
 *
 * 1. start <= end <= INPUT_BUFFER_BYTES; offset counts the bytes that were taken.
 * 2. What was decompressed before an error is in the buffer, and an error is only met by who
 *    asks for more than that; it stays.
 */
#include "trace/input.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int input_broken(struct trace_error *err, uint64_t offset, const char *format, ...)
{
	va_list args;

	err->offset = offset;
	va_start(args, format);
	vsnprintf(err->why, sizeof(err->why), format, args);
	va_end(args);
	return -EBADMSG;
}

static int input_failed(const struct trace_input *in, struct trace_error *err, int error)
{
	input_broken(err, input_end_offset(in), "%s", strerror(-error));
	return error;
}

/* Return: bytes read, at most max; 0 at the end; -errno. */
static ssize_t read_some(struct trace_input *in, uint8_t *to, size_t max)
{
	ssize_t got;

	do
		got = read(in->fd, to, max);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	in->raw_bytes += (uint64_t)got;
	return got;
}

static int raw_more(struct trace_input *in)
{
	ssize_t got;

	if (in->raw_start == in->raw_end)
		in->raw_start = in->raw_end = 0;
	got = read_some(in, in->raw + in->raw_end, INPUT_RAW_BYTES - in->raw_end);
	if (got < 0)
		return (int)got;
	in->raw_end += (size_t)got;
	in->is_raw_end = got == 0;
	return 0;
}

static int more_plain(struct trace_input *in, struct trace_error *err)
{
	size_t nr = in->raw_end - in->raw_start;
	ssize_t got;

	if (nr) { /* what was read to look at it */
		if (nr > INPUT_BUFFER_BYTES - in->end)
			nr = INPUT_BUFFER_BYTES - in->end;
		memcpy(in->buf + in->end, in->raw + in->raw_start, nr);
		in->raw_start += nr;
		in->end += nr;
		return 0;
	}
	got = read_some(in, in->buf + in->end, INPUT_BUFFER_BYTES - in->end);
	if (got < 0)
		return input_failed(in, err, (int)got);
	in->end += (size_t)got;
	in->is_whole = got == 0;
	return 0;
}

/* Return: 1 if bytes came out, 0 if more must be read for that. */
static int codec_run(struct trace_input *in, struct trace_error *err)
{
	struct codec_room room = {
		.in = in->raw + in->raw_start,
		.in_bytes = in->raw_end - in->raw_start,
		.out = in->buf + in->end,
		.out_bytes = INPUT_BUFFER_BYTES - in->end,
	};
	size_t out_bytes = room.out_bytes;
	const char *why;
	int ret = in->codec.ops->step(&in->codec, &room, &why);

	in->raw_start = in->raw_end - room.in_bytes;
	in->end = INPUT_BUFFER_BYTES - room.out_bytes;
	if (ret == -EBADMSG)
		return input_broken(err, input_end_offset(in), "%s", why);
	if (ret)
		return input_failed(in, err, ret);
	return out_bytes > room.out_bytes;
}

static int more_compressed(struct trace_input *in, struct trace_error *err)
{
	for (;;) { /* each round takes bytes of the file, or is the last */
		bool had_input = in->raw_start < in->raw_end;
		int ret = codec_run(in, err);

		if (ret)
			return ret < 0 ? ret : 0;
		if (had_input)
			continue;
		if (in->is_raw_end)
			break;
		ret = raw_more(in);
		if (ret)
			return input_failed(in, err, ret);
	}
	if (in->codec.in_member)
		return input_broken(err, input_end_offset(in),
				    "cut off: the %s data do not end", in->codec.ops->name);
	in->is_whole = true;
	return 0;
}

/**
 * input_more() - have more bytes in the buffer, or know that there are none.
 *
 * Moves what is there to the buffer's front, which must not be full then. On return there is at
 * least one more byte, or is_whole.
 *
 * Return: 0; -EBADMSG if the compressed data are broken, -ENOMEM, or what read(2) failed with,
 * each with @err filled.
 */
int input_more(struct trace_input *in, struct trace_error *err)
{
	size_t nr_before = input_bytes(in);

	if (in->is_whole)
		return 0;
	if (!in->failed) {
		memmove(in->buf, in->buf + in->start, input_bytes(in));
		in->end = input_bytes(in);
		in->start = 0;
		in->failed = in->codec.ops ? more_compressed(in, &in->error)
					   : more_plain(in, &in->error);
	}
	if (in->failed && input_bytes(in) > nr_before)
		return 0; /* what came before the error first */
	if (in->failed)
		*err = in->error;
	return in->failed;
}

/**
 * input_need() - have at least @nr_bytes in the buffer, or all that there are.
 * @nr_bytes: at most INPUT_BUFFER_BYTES.
 *
 * Return: as input_more().
 */
int input_need(struct trace_input *in, size_t nr_bytes, struct trace_error *err)
{
	while (input_bytes(in) < nr_bytes && !in->is_whole) {
		int ret = input_more(in, err);

		if (ret)
			return ret;
	}
	return 0;
}

/**
 * input_open() - begin to read @fd, and find out whether it is compressed.
 * @fd: stays the caller's.
 *
 * Return: 0; -ENOMEM, or what read(2) failed with, with @err filled.
 */
int input_open(struct trace_input *in, int fd, struct trace_error *err)
{
	int ret = -ENOMEM;

	memset(in, 0, sizeof(*in));
	in->fd = fd;
	in->buf = malloc(INPUT_BUFFER_BYTES);
	in->raw = malloc(INPUT_RAW_BYTES);
	if (!in->buf || !in->raw)
		goto free_buffers;
	while (in->raw_end < CODEC_MAGIC_BYTES && !in->is_raw_end) {
		ret = raw_more(in);
		if (ret)
			goto free_buffers;
	}
	in->codec.ops = codec_find(in->raw, in->raw_end);
	if (!in->codec.ops)
		return 0;
	ret = in->codec.ops->start(&in->codec);
	if (ret == 0)
		return 0;
free_buffers:
	free(in->raw);
	free(in->buf);
	return input_failed(in, err, ret);
}

void input_close(struct trace_input *in)
{
	if (in->codec.ops)
		in->codec.ops->stop(&in->codec);
	free(in->raw);
	free(in->buf);
}
