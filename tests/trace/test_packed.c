/* SPDX-License-Identifier: MIT */
/*
 * Ration's own format: its bytes, and each way to be broken with its offset.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "support/test.h"
#include "trace/packed.h"
#include "traces.h"

#define BLOCK_AT   PACKED_HEADER_BYTES
#define PAYLOAD_AT (PACKED_HEADER_BYTES + PACKED_BLOCK_HEADER)

static struct bytes header_make(void)
{
	uint8_t header[PACKED_HEADER_BYTES] = PACKED_MAGIC;

	header[PACKED_VERSION_AT] = PACKED_VERSION;
	le_put(header + PACKED_CRC_AT, crc32(0, header, PACKED_CRC_AT), 4);
	return bytes_of(header, sizeof(header));
}

static void block_append(struct bytes *bytes, unsigned int kind, uint32_t nr,
			 const void *payload, size_t len)
{
	uint8_t header[PACKED_BLOCK_HEADER] = {(uint8_t)kind};
	uLong crc;

	le_put(header + PACKED_BLOCK_LEN_AT, len, 3);
	le_put(header + PACKED_BLOCK_NR_AT, nr, 4);
	crc = crc32(0, header, PACKED_BLOCK_CRC_AT);
	le_put(header + PACKED_BLOCK_CRC_AT, crc32(crc, payload, (uInt)len), 4);
	bytes_append(bytes, header, sizeof(header));
	bytes_append(bytes, payload, len);
}

static void end_append(struct bytes *bytes, uint64_t total)
{
	uint8_t payload[PACKED_END_PAYLOAD];

	le_put(payload, total, sizeof(payload));
	block_append(bytes, PACKED_KIND_END, 0, payload, sizeof(payload));
}

/* As docs/trace.md has its example. */
static void the_bytes_are_those_of_the_document(void **state)
{
	static const struct trace_access accesses[] = {
		{0x1000, 8, 0, TRACE_READ},    {0x1008, 8, 0, TRACE_READ},
		{0x1010, 8, 0, TRACE_READ},    {0x1018, 8, 0, TRACE_READ},
		{0x400000, 33, 7, TRACE_EXEC}, {0xfff, 32, 7, TRACE_WRITE},
	};
	static const uint8_t payload[] = {
		0x3c, 0x80, 0x40,		    /* read 8, zigzag(0x1000) */
		0x38,				    /* read 8, in sequence */
		0x07, 0x02,			    /* twice more */
		0x03, 0x07,			    /* pid 7 */
		0xfe, 0x21, 0x80, 0x80, 0x80, 0x04, /* exec, explicit 33, zigzag(0x400000) */
		0xf5, 0xfe, 0x3f,		    /* write 32, zigzag(0xfff) */
	};
	struct bytes want = header_make(), got = write_packed(accesses, 6);

	(void)state;
	block_append(&want, PACKED_KIND_ACCESSES, 6, payload, sizeof(payload));
	end_append(&want, 6);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	bytes_free(&want);
	bytes_free(&got);
}

/* One block with this payload; the end record counts what its header says. */
struct forged {
	const char *payload;
	size_t len;
	uint32_t nr_said, nr_read;
	size_t at; /* in the payload; BLOCK: the block's header */
	const char *why;
};

#define BLOCK	   SIZE_MAX
#define PAYLOAD(s) (s), sizeof(s) - 1

static const struct forged forgeds[] = {
	{PAYLOAD("\x00\x03"), 1, 1, 1, "a number is malformed"}, /* pid, cut */
	{PAYLOAD("\x00\x03\x80\x80\x04"), 1, 1, 1, "pid above 65535"},
	{PAYLOAD("\x00\x0f\x01"), 2, 1, 1, "unknown record"},
	{PAYLOAD("\x00\x0b\x01"), 2, 1, 1, "a file that is none"},
	{PAYLOAD("\x00\x0b\x80\x04\x00"), 2, 1, 1, "a file that is none"},
	{PAYLOAD("\x00\x0b\x05\x02"), 2, 1, 3, "a call that fetches"},
	{PAYLOAD("\x00\x0b\x05\x07\x01"), 2, 1, 3, "a run without"},
	{PAYLOAD("\x07\x01"), 1, 0, 0, "run without"},
	{PAYLOAD("\x00\x03\x01\x07\x01"), 2, 1, 3, "run without"}, /* of another pid */
	{PAYLOAD("\x00\x07\x00"), 2, 1, 1, "run of a length"},
	{PAYLOAD("\x00\x07\x02"), 2, 1, 1, "run of a length"},
	{PAYLOAD("\x00\x00"), 1, 1, 1, "more accesses"},
	{PAYLOAD("\x00\x00"), 3, 2, BLOCK, "fewer accesses"},
	{PAYLOAD("\x00\xf8"), 2, 1, 1, "a number is malformed"}, /* size, cut */
	{PAYLOAD("\x00\xf8\x80"), 2, 1, 1, "a number is malformed"},
	{PAYLOAD("\x00\xf8\x80\x00"), 2, 1, 1, "a number is malformed"}, /* not the shortest */
	{PAYLOAD("\x00\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), 2, 1, 1,
	 "a number is malformed"}, /* 65 bits */
	{PAYLOAD("\x00\xf8\x00"), 2, 1, 1, "size is 0"},
	{PAYLOAD("\x00\xf8\x81\x80\x80\x01"), 2, 1, 1, "size is above"},
	{PAYLOAD("\x00\x04\x80\x80\x80\x80\x80\x80\x40"), 2, 1, 1, "not canonical"},
	/* 2 MiB at 0x7fffffdfffff and then again: 0x7ffffffffffe, one byte too few */
	{PAYLOAD("\x00\xfc\x80\x80\x80\x01\xfc\xff\xff\xfd\xff\xff\x3f\x07\x01"), 3, 2, 13,
	 "run leaves"},
};

static void checked_blocks_are_not_trusted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(forgeds) / sizeof(forgeds[0]); i++) {
		const struct forged *f = &forgeds[i];
		struct bytes bytes = header_make();
		struct outcome o;

		block_append(&bytes, PACKED_KIND_ACCESSES, f->nr_said, f->payload, f->len);
		end_append(&bytes, f->nr_said);
		for (unsigned int step = 1; step < 4; step++) {
			o = outcome_read(&bytes, VIA_FILE, step);
			if (o.ret != -EBADMSG || !strstr(o.err.why, f->why))
				print_error("forged %zu: %d, %s\n", i, o.ret, o.err.why);
			assert_int_equal(o.ret, -EBADMSG);
			assert_non_null(strstr(o.err.why, f->why));
			assert_int_equal(o.nr, f->nr_read);
			assert_int_equal(o.err.offset,
					 f->at == BLOCK ? BLOCK_AT : PAYLOAD_AT + f->at);
			outcome_free(&o);
		}
		bytes_free(&bytes);
	}
}

static void broken_at(struct bytes *bytes, uint64_t offset, size_t nr, const char *why)
{
	struct outcome o = outcome_read(bytes, VIA_PIPE, 3);

	if (o.ret != -EBADMSG || !strstr(o.err.why, why))
		print_error("%s: %d, %s\n", why, o.ret, o.err.why);
	assert_int_equal(o.ret, -EBADMSG);
	assert_non_null(strstr(o.err.why, why));
	assert_int_equal(o.err.offset, offset);
	assert_int_equal(o.nr, nr);
	outcome_free(&o);
	bytes_free(bytes);
}

static void headers_are_checked(void **state)
{
	struct bytes bytes = header_make();

	(void)state;
	bytes.data[PACKED_VERSION_AT] = 2;
	broken_at(&bytes, PACKED_VERSION_AT, 0, "version 2");
	bytes = header_make();
	bytes.data[PACKED_FLAGS_AT] = 1;
	broken_at(&bytes, 0, 0, "header's checksum");
	bytes = header_make();
	bytes.data[PACKED_FLAGS_AT] = 1;
	le_put(bytes.data + PACKED_CRC_AT, crc32(0, bytes.data, PACKED_CRC_AT), 4);
	broken_at(&bytes, PACKED_FLAGS_AT, 0, "unknown flags");
	bytes = header_make();
	broken_at(&bytes, PACKED_HEADER_BYTES, 0, "no end record");
}

static void blocks_are_checked(void **state)
{
	static const struct {
		unsigned int kind;
		uint32_t nr;
		size_t len;
		const char *why;
	} rows[] = {
		{0x42, 1, 1, "neither a block"},
		{PACKED_KIND_ACCESSES, 0, 1, "number of accesses"},
		{PACKED_KIND_ACCESSES, PACKED_BLOCK_NR_MAX + 1, 1, "number of accesses"},
		{PACKED_KIND_ACCESSES, 1, 0, "length is out of range"},
		{PACKED_KIND_ACCESSES, 1, PACKED_PAYLOAD_MAX + 1, "length is out of range"},
		{PACKED_KIND_END, 1, 8, "end record is malformed"},
		{PACKED_KIND_END, 0, 7, "end record is malformed"},
	};
	static uint8_t zeros[PACKED_PAYLOAD_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes bytes = header_make();

		block_append(&bytes, PACKED_KIND_ACCESSES, 1, "", 1);
		block_append(&bytes, rows[i].kind, rows[i].nr, zeros, rows[i].len);
		broken_at(&bytes, PAYLOAD_AT + 1, 1, rows[i].why);
	}
}

static void the_end_is_checked(void **state)
{
	struct bytes bytes = header_make();

	(void)state;
	block_append(&bytes, PACKED_KIND_ACCESSES, 1, "", 1);
	end_append(&bytes, 2);
	broken_at(&bytes, PAYLOAD_AT + 1 + PACKED_BLOCK_HEADER, 1, "counts 2 accesses");
	bytes = header_make();
	end_append(&bytes, 0);
	bytes_append(&bytes, "x", 1);
	broken_at(&bytes, PAYLOAD_AT + PACKED_END_PAYLOAD, 0, "garbage after");
}

static void no_bit_may_flip(void **state)
{
	static const struct trace_access accesses[] = {{0x1000, 8, 0, TRACE_READ},
						       {0x2000, 1, 3, TRACE_WRITE}};
	struct bytes bytes = write_packed(accesses, 2);

	(void)state;
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		struct outcome o;

		bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		o = outcome_read(&bytes, VIA_FILE, 8);
		assert_int_equal(o.ret, -EBADMSG);
		outcome_free(&o);
		bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	bytes_free(&bytes);
}

static void the_writer_takes_valid_accesses_only(void **state)
{
	static const struct trace_access bad[] = {
		{0x1000, 0, 0, TRACE_READ},
		{0x1000, TRACE_SIZE_MAX + 1, 0, TRACE_READ},
		{0x800000000000, 1, 0, TRACE_READ},
		{0x7fffffffffff, 2, 0, TRACE_READ},
		{UINT64_MAX, 2, 0, TRACE_READ},
		{0x1000, 1, 0, NR_TRACE_OPS},
		{0xffff7fffffffffff, 1, 0, TRACE_READ},
	};
	struct trace_access pair[2] = {{0x1000, 1, 0, TRACE_READ}};
	int fd = file_temporary();
	struct trace_writer *w;
	struct outcome o;
	struct bytes bytes;

	(void)state;
	assert_int_equal(trace_writer_create(fd, &w), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pair[1] = bad[i];
		assert_int_equal(trace_write(w, pair, 2), -EINVAL);
	}
	assert_int_equal(trace_writer_finish(w), 0);
	bytes = bytes_of_fd(fd);
	close(fd);
	o = outcome_read(&bytes, VIA_FILE, 8);
	assert_int_equal(o.ret, 0);
	assert_int_equal(o.nr, 0); /* not the good one before it either */
	outcome_free(&o);
	bytes_free(&bytes);
}

static void what_cannot_be_written_is_said(void **state)
{
	struct trace_access far = {0};
	struct trace_writer *w;
	int fds[2], ret = 0;

	(void)state;
	assert_int_equal(trace_writer_create(-1, &w), -EBADF);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(trace_writer_create(fds[1], &w), 0);
	close(fds[1]);
	for (uint64_t i = 0; i < 1000000 && ret == 0; i++) {
		far = (struct trace_access){i % 2 << 40, 1, 0, TRACE_READ};
		ret = trace_write(w, &far, 1);
	}
	assert_int_equal(ret, -EBADF);
	assert_int_equal(trace_write(w, &far, 1), -EBADF);
	assert_int_equal(trace_writer_finish(w), -EBADF);
	close(fds[0]);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_bytes_are_those_of_the_document),
	cmocka_unit_test(checked_blocks_are_not_trusted),
	cmocka_unit_test(headers_are_checked),
	cmocka_unit_test(blocks_are_checked),
	cmocka_unit_test(the_end_is_checked),
	cmocka_unit_test(no_bit_may_flip),
	cmocka_unit_test(the_writer_takes_valid_accesses_only),
	cmocka_unit_test(what_cannot_be_written_is_said),
};
TEST_MAIN(tests)
