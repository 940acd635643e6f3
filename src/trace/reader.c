/* SPDX-License-Identifier: MIT */
/*
 * Opens a trace, finds its format by looking at it, and hands out its accesses.
 *
 *	fd ─ read ─► [gzip, xz, zstd] ─► buffer ─► packed | lackey | csv ─► accesses
 *	     input.c       codec.c                 a struct trace_format
 *
 * 1. Every access that is given out is valid: op, size, and canonical addresses.
 * 2. What was wrong once stays wrong: after an error, each trace_next() answers the same.
 * 3. Memory is bounded by the buffers, the decompressor's, and the packed format's table.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "trace/reader.h"

static bool is_text_byte(uint8_t byte)
{
	return (byte >= ' ' && byte < 0x7f) || byte == '\n' || byte == '\r' || byte == '\t';
}

/* A line that says nothing about the format: empty, or a comment of CSV's. */
static bool is_silent(const uint8_t *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\r')
		p++;
	return *p == '\n' || *p == '#';
}

static bool is_lackeys(const uint8_t *p, size_t nr)
{
	if (nr >= 2 && p[0] == p[1] && strchr("=-*", p[0]))
		return true;
	return nr >= 3 && p[2] == ' ' &&
	       ((p[0] == 'I' && p[1] == ' ') || (p[0] == ' ' && strchr("LSM", p[1])));
}

/* Of text: by the first line that is neither empty nor a comment; CSV where there is none. */
static int text_format_find(struct trace_reader *r, struct trace_error *err)
{
	const uint8_t *p, *end, *newline;
	int ret = input_need(&r->in, TEXT_LINE_MAX, err);

	if (ret && input_bytes(&r->in) == 0)
		return ret;
	p = input_data(&r->in);
	end = p + input_bytes(&r->in);
	while ((newline = memchr(p, '\n', (size_t)(end - p))) && is_silent(p))
		p = newline + 1;
	r->format = is_lackeys(p, (size_t)(end - p)) ? &format_lackey : &format_csv;
	return 0;
}

static int format_find(struct trace_reader *r, struct trace_error *err)
{
	const uint8_t *p;
	size_t nr;
	int ret = input_need(&r->in, PACKED_MAGIC_BYTES, err);

	nr = input_bytes(&r->in);
	if (ret && nr == 0)
		return ret;
	if (nr == 0)
		return input_broken(err, 0, "empty: no trace");
	if (nr > PACKED_MAGIC_BYTES)
		nr = PACKED_MAGIC_BYTES;
	p = input_data(&r->in);
	if (memcmp(p, PACKED_MAGIC, nr) == 0) {
		r->format = &format_packed;
		return 0;
	}
	if (codec_find(p, nr))
		return input_broken(err, 0, "compressed twice");
	for (size_t i = 0; i < nr; i++)
		if (!is_text_byte(p[i]))
			return input_broken(err, i,
					    "no trace: neither Ration's format, nor "
					    "lackey's, nor CSV");
	return text_format_find(r, err);
}

static int format_start(struct trace_reader *r, struct trace_error *err)
{
	const char *codec = r->in.codec.ops ? r->in.codec.ops->name : NULL;
	int ret = format_find(r, err);

	if (ret)
		return ret;
	snprintf(r->format_name, sizeof(r->format_name), "%s%s%s", r->format->name,
		 codec ? ", " : "", codec ? codec : "");
	ret = r->format->start ? r->format->start(r) : 0;
	if (ret)
		input_broken(err, 0, "%s", strerror(-ret));
	return ret;
}

static uint64_t file_bytes(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

/**
 * trace_open_fd() - read a trace from a file descriptor.
 * @fd: stays the caller's, and is read from where it stands; need not be seekable.
 * @name: for trace_name().
 * @err: filled on failure.
 *
 * Reads what it takes to know the format: up to 64 KiB of text.
 *
 * Return: 0; -EBADMSG where the beginning is that of no trace, or is broken; -ENOMEM; what
 * read(2) failed with.
 */
int trace_open_fd(int fd, const char *name, struct trace_reader **ret_reader,
		  struct trace_error *err)
{
	size_t name_bytes = strlen(name) + 1;
	struct trace_reader *r = calloc(1, sizeof(*r) + name_bytes);
	int ret;

	if (!r) {
		input_broken(err, 0, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	memcpy(r->name, name, name_bytes);
	r->file_bytes = file_bytes(fd);
	ret = input_open(&r->in, fd, err);
	if (ret)
		goto free_reader;
	ret = format_start(r, err);
	if (ret)
		goto close_input;
	*ret_reader = r;
	return 0;
close_input:
	input_close(&r->in);
free_reader:
	free(r);
	return ret;
}

/**
 * trace_open() - read a trace from a file.
 * @path: "-" is standard input.
 * @err: filled on failure.
 *
 * Return: as trace_open_fd(), and what open(2) fails with.
 */
int trace_open(const char *path, struct trace_reader **ret_reader, struct trace_error *err)
{
	int fd, ret;

	if (strcmp(path, "-") == 0)
		return trace_open_fd(STDIN_FILENO, "standard input", ret_reader, err);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		ret = -errno;
		input_broken(err, 0, "%s", strerror(-ret));
		return ret;
	}
	ret = trace_open_fd(fd, path, ret_reader, err);
	if (ret)
		close(fd);
	else
		(*ret_reader)->owns_fd = true;
	return ret;
}

/**
 * trace_next() - the next accesses.
 * @max: room in @out, above 0.
 * @err: filled on failure.
 *
 * Waits until @max accesses are there, or the end. The accesses before the place that is broken
 * are given out first; the error comes with the call after them, and then always.
 *
 * Return: how many, up to @max; 0 at the end of a trace that is whole; -EBADMSG where it is
 * broken; -ENOMEM; what read(2) failed with.
 */
int trace_next(struct trace_reader *r, struct trace_access *out, unsigned int max,
	       struct trace_error *err)
{
	unsigned int nr = 0;

	MM_ASSERT(max > 0);
	if (max > INT32_MAX)
		max = INT32_MAX;
	if (!r->failed)
		r->failed = r->format->next(r, out, max, &nr, &r->error);
	if (nr > 0)
		return (int)nr;
	if (r->failed)
		*err = r->error;
	return r->failed;
}

void trace_close(struct trace_reader *r)
{
	if (r->format->stop)
		r->format->stop(r);
	input_close(&r->in);
	if (r->owns_fd)
		close(r->in.fd);
	free(r);
}

/* "lackey", or "lackey, xz" where it is compressed. */
const char *trace_format_name(const struct trace_reader *r)
{
	return r->format_name;
}

const char *trace_name(const struct trace_reader *r)
{
	return r->name;
}

uint64_t trace_input_bytes(const struct trace_reader *r)
{
	return r->in.raw_bytes;
}

uint64_t trace_input_size(const struct trace_reader *r)
{
	return r->file_bytes;
}
