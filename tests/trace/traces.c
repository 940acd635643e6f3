/* SPDX-License-Identifier: MIT */
#include "traces.h"

#include <lzma.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "support/test.h"

struct bytes bytes_of(const void *data, size_t len)
{
	struct bytes bytes = {0};

	bytes_append(&bytes, data, len);
	return bytes;
}

struct bytes bytes_text(const char *text)
{
	return bytes_of(text, strlen(text));
}

void bytes_append(struct bytes *bytes, const void *data, size_t len)
{
	bytes->data = realloc(bytes->data, bytes->len + len + 1);
	assert_non_null(bytes->data);
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){0};
}

static size_t squeeze_gzip(const struct bytes *plain, uint8_t *to, size_t room)
{
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = plain->data;
	z.avail_in = (uInt)plain->len;
	z.next_out = to;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

struct bytes bytes_squeeze(const struct bytes *plain, enum squeeze how)
{
	size_t room = plain->len * 2 + 4096, len = 0;
	struct bytes out = {.data = malloc(room)};

	assert_non_null(out.data);
	switch (how) {
	case SQUEEZE_GZIP:
		len = squeeze_gzip(plain, out.data, room);
		break;
	case SQUEEZE_XZ:
		assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, plain->data,
							 plain->len, out.data, &len, room),
				 LZMA_OK);
		break;
	case SQUEEZE_ZSTD: {
		ZSTD_CCtx *zstd = ZSTD_createCCtx();

		ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
		len = ZSTD_compress2(zstd, out.data, room, plain->data, plain->len);
		assert_false(ZSTD_isError(len));
		ZSTD_freeCCtx(zstd);
		break;
	}
	default:
		memcpy(out.data, plain->data, plain->len);
		len = plain->len;
	}
	out.len = len;
	return out;
}

int file_temporary(void)
{
	int fd = memfd_create("trace", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

struct bytes bytes_of_fd(int fd)
{
	struct bytes bytes = {.len = (size_t)lseek(fd, 0, SEEK_END)};

	bytes.data = malloc(bytes.len + 1);
	assert_non_null(bytes.data);
	assert_int_equal(pread(fd, bytes.data, bytes.len, 0), bytes.len);
	return bytes;
}

static void write_whole(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t done = write(fd, data, len);

		if (done <= 0)
			return; /* the reader has seen enough */
		data += done;
		len -= (size_t)done;
	}
}

struct feed {
	const struct bytes *bytes;
	int fd;
};

static void *feed_run(void *arg)
{
	struct feed *feed = arg;

	/* Small pieces first, so that everything is met in two reads. */
	for (size_t i = 0; i < feed->bytes->len && i < 64; i++)
		write_whole(feed->fd, feed->bytes->data + i, 1);
	if (feed->bytes->len > 64)
		write_whole(feed->fd, feed->bytes->data + 64, feed->bytes->len - 64);
	close(feed->fd);
	return NULL;
}

static void read_accesses(struct trace_reader *r, unsigned int step, struct outcome *o)
{
	size_t room = 0;

	for (;;) {
		if (room - o->nr < step) {
			room = room * 2 + step;
			o->accesses = realloc(o->accesses, room * sizeof(*o->accesses));
			assert_non_null(o->accesses);
		}
		o->ret = trace_next(r, o->accesses + o->nr, step, &o->err);
		if (o->ret <= 0)
			break;
		assert_true((unsigned int)o->ret <= step);
		o->nr += (size_t)o->ret;
	}
}

static void read_fd(int fd, unsigned int step, struct outcome *o)
{
	struct trace_reader *r;
	struct trace_error again;

	o->ret = trace_open_fd(fd, "a test's", &r, &o->err);
	if (o->ret)
		return;
	snprintf(o->format, sizeof(o->format), "%s", trace_format_name(r));
	read_accesses(r, step, o);
	if (o->ret) { /* what is broken stays broken */
		struct trace_access access;

		assert_int_equal(trace_next(r, &access, 1, &again), o->ret);
		assert_true(again.offset == o->err.offset);
		assert_string_equal(again.why, o->err.why);
	}
	trace_close(r);
}

struct outcome outcome_read(const struct bytes *bytes, enum via via, unsigned int step)
{
	struct outcome outcome = {0};
	struct feed feed = {.bytes = bytes};
	pthread_t thread;
	int fds[2];

	if (via == VIA_FILE) {
		fds[0] = file_temporary();
		write_whole(fds[0], bytes->data, bytes->len);
		lseek(fds[0], 0, SEEK_SET);
		read_fd(fds[0], step, &outcome);
		close(fds[0]);
		return outcome;
	}
	signal(SIGPIPE, SIG_IGN); /* the reader of a broken trace goes away before the end */
	assert_int_equal(pipe(fds), 0);
	feed.fd = fds[1];
	assert_int_equal(pthread_create(&thread, NULL, feed_run, &feed), 0);
	read_fd(fds[0], step, &outcome);
	close(fds[0]);
	pthread_join(thread, NULL);
	return outcome;
}

void outcome_free(struct outcome *outcome)
{
	free(outcome->accesses);
}

struct bytes write_packed(const struct trace_access *accesses, size_t nr)
{
	struct trace_writer *w;
	struct bytes bytes;
	int fd = file_temporary();

	assert_int_equal(trace_writer_create(fd, &w), 0);
	assert_int_equal(trace_write(w, accesses, (unsigned int)nr), 0);
	assert_int_equal(trace_writer_finish(w), 0);
	bytes = bytes_of_fd(fd);
	close(fd);
	return bytes;
}
