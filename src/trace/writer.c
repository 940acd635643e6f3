/* SPDX-License-Identifier: MIT */
/*
 * Writes Ration's own format.
 *
 * Records collect in a block, which goes out when it is full. An access like the one before it
 * (same process, op and size, as far from where it was expected) is only counted, and the count
 * becomes a run when something else comes.
 *
 * 1. The payload has room for a run and for the largest record with changes of pid and place.
 * 2. nr_block counts the accesses of the block, those of the open run with them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace/packed.h"
#include "trace/reader.h"

/* A run, changes of pid and place, an access. */
#define ROOM (4 * PACKED_RECORD_MAX)

struct trace_writer {
	int fd;
	int failed; /* 0, or -errno of the write that failed */
	struct packed_expected *expected;
	struct packed_last last;
	uint16_t pid, place;
	uint32_t nr_run; /* repeats of the last access, not yet in the payload */
	uint32_t nr_block;
	uint64_t nr_accesses;
	size_t len; /* of the payload */
	uint8_t block[PACKED_BLOCK_HEADER + PACKED_PAYLOAD_MAX];
};

static int write_all(struct trace_writer *w, const uint8_t *from, size_t nr_bytes)
{
	while (nr_bytes && !w->failed) { /* each round writes some */
		ssize_t done = write(w->fd, from, nr_bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			w->failed = done < 0 ? -errno : -EIO;
			break;
		}
		from += done;
		nr_bytes -= (size_t)done;
	}
	return w->failed;
}

static void put_byte(struct trace_writer *w, unsigned int byte)
{
	w->block[PACKED_BLOCK_HEADER + w->len++] = (uint8_t)byte;
}

static void put_varint(struct trace_writer *w, uint64_t value)
{
	while (value >= 0x80) {
		put_byte(w, (value & 0x7f) | 0x80);
		value >>= 7;
	}
	put_byte(w, (unsigned int)value);
}

static void put_access(struct trace_writer *w)
{
	const struct packed_last *last = &w->last;
	unsigned int code = last->size - 1, jump = last->delta ? PACKED_JUMP : 0;

	if (last->size == 32)
		code = PACKED_SIZE_32;
	else if (last->size > PACKED_SIZE_32)
		code = PACKED_SIZE_EXPLICIT;
	put_byte(w, last->op | jump | code << PACKED_SIZE_SHIFT);
	if (code == PACKED_SIZE_EXPLICIT)
		put_varint(w, last->size);
	if (jump)
		put_varint(w, zigzag_encode(last->delta));
}

static void run_end(struct trace_writer *w)
{
	if (w->nr_run == 1) { /* not longer than a run, and quicker to read */
		put_access(w);
	} else if (w->nr_run) {
		put_byte(w, PACKED_LEAD_RUN);
		put_varint(w, w->nr_run);
	}
	w->nr_run = 0;
}

static int block_write(struct trace_writer *w, unsigned int kind)
{
	uint8_t *block = w->block;

	block[0] = (uint8_t)kind;
	le_put(block + PACKED_BLOCK_LEN_AT, w->len, 3);
	le_put(block + PACKED_BLOCK_NR_AT, w->nr_block, 4);
	le_put(block + PACKED_BLOCK_CRC_AT,
	       packed_crc(block, PACKED_BLOCK_CRC_AT, block + PACKED_BLOCK_HEADER, w->len), 4);
	return write_all(w, block, PACKED_BLOCK_HEADER + w->len);
}

static int block_end(struct trace_writer *w)
{
	int ret;

	run_end(w);
	if (w->nr_block == 0)
		return w->failed;
	ret = block_write(w, PACKED_KIND_ACCESSES);
	w->len = 0;
	w->nr_block = 0;
	w->last.is_set = false;
	return ret;
}

/* What all accesses have from now on. */
static void put_change(struct trace_writer *w, unsigned int lead, uint16_t *was, uint16_t now)
{
	if (*was == now)
		return;
	put_byte(w, lead);
	put_varint(w, now);
	*was = now;
}

static int access_write(struct trace_writer *w, const struct trace_access *a)
{
	uint16_t place = packed_place(a);
	uint8_t op = (uint8_t)(place & 1 ? a->op - TRACE_PREAD : a->op);
	uint64_t *expected = &w->expected[packed_expected_index(a->pid, place)].va[op];
	struct packed_last now = {
		.delta = a->va - *expected, .size = a->size, .op = op, .is_set = true};
	const struct packed_last *last = &w->last;

	*expected = a->va + a->size;
	w->nr_accesses++;
	w->nr_block++;
	if (last->is_set && w->pid == a->pid && w->place == place && last->op == now.op &&
	    last->size == now.size && last->delta == now.delta) {
		w->nr_run++;
	} else {
		run_end(w);
		put_change(w, PACKED_LEAD_PID, &w->pid, a->pid);
		put_change(w, PACKED_LEAD_PLACE, &w->place, place);
		w->last = now;
		put_access(w);
	}
	if (w->len + ROOM > PACKED_PAYLOAD_MAX || w->nr_block == PACKED_BLOCK_NR_MAX)
		return block_end(w);
	return 0;
}

/**
 * trace_writer_create() - begin a trace.
 * @fd: stays the caller's; written from where it stands, and not sought.
 *
 * Return: 0; -ENOMEM; what write(2) failed with.
 */
int trace_writer_create(int fd, struct trace_writer **ret_writer)
{
	struct trace_writer *w = calloc(1, sizeof(*w));
	uint8_t header[PACKED_HEADER_BYTES] = PACKED_MAGIC;
	int ret = -ENOMEM;

	if (!w)
		return -ENOMEM;
	w->expected = calloc(PACKED_NR_EXPECTED, sizeof(*w->expected));
	if (!w->expected)
		goto discard;
	w->fd = fd;
	le_put(header + PACKED_VERSION_AT, PACKED_VERSION, 2);
	le_put(header + PACKED_FLAGS_AT, 0, 2);
	le_put(header + PACKED_CRC_AT, packed_crc(header, PACKED_CRC_AT, header, 0), 4);
	ret = write_all(w, header, sizeof(header));
	if (ret)
		goto discard;
	*ret_writer = w;
	return 0;
discard:
	trace_writer_discard(w);
	return ret;
}

/**
 * trace_write() - add accesses.
 * @accesses: @nr of them, each of a known op, 1 to TRACE_SIZE_MAX bytes, canonical.
 *
 * Return: 0; -EINVAL if one of them is not valid, and then none is added; what write(2) failed
 * with, now or before: the trace cannot become whole any more.
 */
int trace_write(struct trace_writer *w, const struct trace_access *accesses, unsigned int nr)
{
	if (w->failed)
		return w->failed;
	for (unsigned int i = 0; i < nr; i++)
		if (accesses[i].op >= NR_TRACE_OPS ||
		    (accesses[i].op >= NR_TRACE_MEMORY_OPS && accesses[i].file == 0) ||
		    !access_is_valid(accesses[i].va, accesses[i].size))
			return -EINVAL;
	for (unsigned int i = 0; i < nr; i++) {
		int ret = access_write(w, &accesses[i]);

		if (ret)
			return ret;
	}
	return 0;
}

/**
 * trace_writer_finish() - write what is left and the end record.
 *
 * The writer is gone afterwards, whatever the answer.
 *
 * Return: 0: the trace is whole; what write(2) failed with, now or before.
 */
int trace_writer_finish(struct trace_writer *w)
{
	int ret = block_end(w);

	if (!ret) {
		le_put(w->block + PACKED_BLOCK_HEADER, w->nr_accesses, PACKED_END_PAYLOAD);
		w->len = PACKED_END_PAYLOAD;
		ret = block_write(w, PACKED_KIND_END);
	}
	trace_writer_discard(w);
	return ret;
}

/* Without an end record: what was written is a trace that was cut off. */
void trace_writer_discard(struct trace_writer *w)
{
	free(w->expected);
	free(w);
}
