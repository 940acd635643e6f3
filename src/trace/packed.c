/* SPDX-License-Identifier: MIT */
/*
 * Reads Ration's own format.
 *
 * A file is a header, blocks and an end record. A block is in the buffer as a whole, and its
 * checksum is right, before its first access is given out; so what is given out is what was
 * written. A record says how an access differs from what was expected: the byte after the last
 * access of that process or file, and kind. A run repeats the last record.
 *
 * 1. While block_bytes > 0, the payload's rest is at the front of the input's buffer.
 * 2. block_nr accesses are still to come in the block; run_left <= block_nr.
 * 3. A run follows an access of the same block and process.
 */
#include "trace/packed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "trace/reader.h"

/* What decoding works on; `bad` is where and why it stopped. */
struct decode {
	const uint8_t *p, *end;
	struct trace_access *out;
	unsigned int nr, max;
	const uint8_t *bad_at; /* NULL: the run's record */
	const char *bad;
};

uint32_t packed_crc(const uint8_t *header, size_t nr_header, const uint8_t *payload,
		    size_t nr_payload)
{
	uLong crc = crc32(0, header, (uInt)nr_header);

	return (uint32_t)crc32(crc, payload, (uInt)nr_payload);
}

static int packed_start(struct trace_reader *r)
{
	r->packed.expected = calloc(PACKED_NR_EXPECTED, sizeof(*r->packed.expected));
	return r->packed.expected ? 0 : -ENOMEM;
}

static void packed_stop(struct trace_reader *r)
{
	free(r->packed.expected);
}

static int need_or_cut(struct trace_reader *r, size_t nr_bytes, struct trace_error *err)
{
	int ret = input_need(&r->in, nr_bytes, err);

	if (ret)
		return ret;
	if (input_bytes(&r->in) < nr_bytes)
		return input_broken(err, input_end_offset(&r->in),
				    "cut off: there is no end record");
	return 0;
}

static int header_read(struct trace_reader *r, struct trace_error *err)
{
	const uint8_t *p;
	int ret = need_or_cut(r, PACKED_VERSION_AT + 2, err);

	if (ret)
		return ret;
	p = input_data(&r->in);
	if (le_get(p + PACKED_VERSION_AT, 2) != PACKED_VERSION)
		return input_broken(err, PACKED_VERSION_AT,
				    "version %u of the format is not known here, only %d",
				    (unsigned int)le_get(p + PACKED_VERSION_AT, 2),
				    PACKED_VERSION);
	ret = need_or_cut(r, PACKED_HEADER_BYTES, err);
	if (ret)
		return ret;
	p = input_data(&r->in);
	if (le_get(p + PACKED_CRC_AT, 4) != packed_crc(p, PACKED_CRC_AT, p, 0))
		return input_broken(err, 0, "the header's checksum is wrong");
	if (le_get(p + PACKED_FLAGS_AT, 2) != 0)
		return input_broken(err, PACKED_FLAGS_AT, "the header has unknown flags");
	input_take(&r->in, PACKED_HEADER_BYTES);
	r->packed.has_header = true;
	return 0;
}

static int end_read(struct trace_reader *r, struct trace_error *err)
{
	uint64_t offset = r->in.offset;
	uint64_t total = le_get(input_data(&r->in), PACKED_END_PAYLOAD);
	int ret;

	if (total != r->packed.nr_accesses)
		return input_broken(
			err, offset, "the end record counts %llu accesses, there were %llu",
			(unsigned long long)total, (unsigned long long)r->packed.nr_accesses);
	input_take(&r->in, PACKED_END_PAYLOAD);
	r->packed.has_end = true;
	ret = input_need(&r->in, 1, err);
	if (ret)
		return ret;
	if (input_bytes(&r->in))
		return input_broken(err, r->in.offset, "garbage after the end record");
	return 0;
}

/* What a block's header may say, before its checksum is known; that comes next. */
static const char *block_header_fault(const uint8_t *p)
{
	uint64_t len = le_get(p + PACKED_BLOCK_LEN_AT, 3),
		 nr = le_get(p + PACKED_BLOCK_NR_AT, 4);

	switch (p[0]) {
	case PACKED_KIND_ACCESSES:
		if (len == 0 || len > PACKED_PAYLOAD_MAX)
			return "the block's length is out of range";
		if (nr == 0 || nr > PACKED_BLOCK_NR_MAX)
			return "the block's number of accesses is out of range";
		return NULL;
	case PACKED_KIND_END:
		return len == PACKED_END_PAYLOAD && nr == 0 ? NULL
							    : "the end record is malformed";
	default:
		return "neither a block nor the end record begins here";
	}
}

static int block_read(struct trace_reader *r, struct trace_error *err)
{
	struct packed_reader *packed = &r->packed;
	const uint8_t *p;
	const char *why;
	size_t len;
	int ret = need_or_cut(r, PACKED_BLOCK_HEADER, err);

	if (ret)
		return ret;
	why = block_header_fault(input_data(&r->in));
	if (why)
		return input_broken(err, r->in.offset, "%s", why);
	len = le_get(input_data(&r->in) + PACKED_BLOCK_LEN_AT, 3);
	ret = need_or_cut(r, PACKED_BLOCK_HEADER + len, err);
	if (ret)
		return ret;
	p = input_data(&r->in);
	if (le_get(p + PACKED_BLOCK_CRC_AT, 4) !=
	    packed_crc(p, PACKED_BLOCK_CRC_AT, p + PACKED_BLOCK_HEADER, len))
		return input_broken(err, r->in.offset, "the block's checksum is wrong");
	packed->block_offset = r->in.offset;
	packed->last.is_set = false;
	input_take(&r->in, PACKED_BLOCK_HEADER);
	if (p[0] == PACKED_KIND_END)
		return end_read(r, err);
	packed->block_bytes = len;
	packed->block_nr = (uint32_t)le_get(p + PACKED_BLOCK_NR_AT, 4);
	return 0;
}

/* LEB128, shortest form only. */
static bool varint_get_long(struct decode *d, uint64_t *ret_value)
{
	uint64_t value = 0;
	const uint8_t *p = d->p;

	for (unsigned int i = 0; i < PACKED_VARINT_MAX && p < d->end; i++) {
		uint8_t byte = *p++;

		value |= (uint64_t)(byte & 0x7f) << 7 * i;
		if (byte & 0x80)
			continue;
		if ((byte == 0 && i > 0) || (i == PACKED_VARINT_MAX - 1 && byte > 1))
			return false;
		d->p = p;
		*ret_value = value;
		return true;
	}
	return false;
}

static inline bool varint_get(struct decode *d, uint64_t *ret_value)
{
	if (d->p < d->end && *d->p < 0x80) {
		*ret_value = *d->p++;
		return true;
	}
	return varint_get_long(d, ret_value);
}

static bool bad(struct decode *d, const uint8_t *at, const char *why)
{
	d->bad_at = at;
	d->bad = why;
	return false;
}

static inline uint64_t *expected_of(struct packed_reader *packed)
{
	return &packed->expected[packed_expected_index(packed->pid, packed->place)]
			.va[packed->last.op];
}

/* One access by `last`: checks it, gives it out, remembers where the next is expected. */
static inline bool access_emit(struct packed_reader *packed, struct decode *d)
{
	uint64_t *expected = expected_of(packed);
	uint64_t va = *expected + packed->last.delta;

	if (!access_is_valid(va, packed->last.size))
		return false;
	*expected = va + packed->last.size;
	packed->block_nr--;
	d->out[d->nr++] = (struct trace_access){
		.va = va,
		.size = packed->last.size,
		.pid = packed->pid,
		.op = (uint8_t)(packed->last.op +
				(packed->place & 1 ? (unsigned int)TRACE_PREAD : 0)),
		.file = (uint8_t)(packed->place >> 1),
	};
	return true;
}

static bool control_read(struct packed_reader *packed, struct decode *d, const uint8_t *at)
{
	uint64_t value;

	if (!varint_get(d, &value))
		return bad(d, at, "a number is malformed");
	switch (*at) {
	case PACKED_LEAD_PID:
		if (value >= PACKED_PIDS)
			return bad(d, at, "a pid above 65535");
		packed->pid = (uint16_t)value;
		packed->last.is_set = false;
		return true;
	case PACKED_LEAD_PLACE:
		if (value >= PACKED_NR_PLACES || value == 1)
			return bad(d, at, "a file that is none of 1 to 255");
		packed->place = (uint16_t)value;
		packed->last.is_set = false;
		return true;
	case PACKED_LEAD_RUN:
		if (!packed->last.is_set)
			return bad(d, at, "a run without an access before it");
		if (value == 0 || value > packed->block_nr)
			return bad(d, at, "a run of a length out of range");
		packed->run_left = (uint32_t)value;
		return true;
	default:
		return bad(d, at, "an unknown record");
	}
}

static bool access_read(struct packed_reader *packed, struct decode *d, const uint8_t *at)
{
	uint64_t size = (*at >> PACKED_SIZE_SHIFT) + 1u, delta = 0;

	if (size == PACKED_SIZE_32 + 1)
		size = 32;
	else if (size == PACKED_SIZE_EXPLICIT + 1 && !varint_get(d, &size))
		return bad(d, at, "a number is malformed");
	if ((*at & PACKED_JUMP) && !varint_get(d, &delta))
		return bad(d, at, "a number is malformed");
	if (size > TRACE_SIZE_MAX)
		return bad(d, at, access_fault_why(ACCESS_SIZE_LARGE));
	packed->last = (struct packed_last){
		.delta = zigzag_decode(delta),
		.size = (uint32_t)size,
		.op = *at & PACKED_OP_MASK,
		.is_set = true,
	};
	if (packed->last.op == TRACE_EXEC && packed->place & 1)
		return bad(d, at, "a call that fetches instructions");
	if (packed->block_nr == 0)
		return bad(d, at, "more accesses than the block's header says");
	if (!access_emit(packed, d)) {
		uint64_t va = *expected_of(packed) + packed->last.delta;

		return bad(d, at, access_fault_why(access_fault_of(va, size)));
	}
	return true;
}

static bool run_emit(struct packed_reader *packed, struct decode *d)
{
	while (packed->run_left && d->nr < d->max) {
		if (!access_emit(packed, d))
			return bad(d, NULL, "a run leaves the canonical addresses");
		packed->run_left--;
	}
	return true;
}

static bool block_decode(struct packed_reader *packed, struct decode *d, uint64_t offset)
{
	const uint8_t *first = d->p;

	while (d->nr < d->max) {
		const uint8_t *at = d->p;

		if (packed->run_left) {
			if (!run_emit(packed, d))
				return false;
			continue;
		}
		if (at == d->end)
			break;
		d->p++;
		if ((*at & PACKED_OP_MASK) != PACKED_LEAD_PID) {
			if (!access_read(packed, d, at))
				return false;
		} else {
			packed->run_offset = offset + (uint64_t)(at - first);
			if (!control_read(packed, d, at))
				return false;
		}
	}
	return true;
}

/* Decodes as much of the block as there is room for. */
static int block_next(struct trace_reader *r, struct decode *d, struct trace_error *err)
{
	struct packed_reader *packed = &r->packed;
	const uint8_t *first = input_data(&r->in);
	unsigned int nr_before = d->nr;
	bool is_good;

	d->p = first;
	d->end = first + packed->block_bytes;
	is_good = block_decode(packed, d, r->in.offset);
	packed->nr_accesses += d->nr - nr_before;
	if (!is_good)
		return input_broken(err,
				    d->bad_at ? r->in.offset + (uint64_t)(d->bad_at - first)
					      : packed->run_offset,
				    "%s", d->bad);
	packed->block_bytes -= (size_t)(d->p - first);
	input_take(&r->in, (size_t)(d->p - first));
	if (packed->block_bytes == 0 && !packed->run_left && packed->block_nr)
		return input_broken(err, packed->block_offset,
				    "fewer accesses than the block's header says");
	return 0;
}

static int packed_next(struct trace_reader *r, struct trace_access *out, unsigned int max,
		       unsigned int *ret_nr, struct trace_error *err)
{
	struct decode d = {.out = out, .max = max};
	int ret = r->packed.has_header ? 0 : header_read(r, err);

	while (ret == 0 && d.nr < max && !r->packed.has_end)
		ret = r->packed.block_bytes || r->packed.run_left ? block_next(r, &d, err)
								  : block_read(r, err);
	*ret_nr = d.nr;
	return ret;
}

const struct trace_format format_packed = {
	.name = "ration",
	.start = packed_start,
	.stop = packed_stop,
	.next = packed_next,
};
