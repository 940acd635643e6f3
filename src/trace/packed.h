/* SPDX-License-Identifier: MIT */
/*
 * Ration's own trace format, version 1; docs/trace.md has it byte by byte.
 */
#ifndef TRACE_PACKED_H
#define TRACE_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/trace.h"

#define PACKED_MAGIC	     "\x89RATION\n"
#define PACKED_MAGIC_BYTES   8
#define PACKED_VERSION	     1
#define PACKED_VERSION_AT    8
#define PACKED_FLAGS_AT	     10
#define PACKED_CRC_AT	     12
#define PACKED_HEADER_BYTES  16
#define PACKED_BLOCK_HEADER  12
#define PACKED_BLOCK_LEN_AT  1
#define PACKED_BLOCK_NR_AT   4
#define PACKED_BLOCK_CRC_AT  8
#define PACKED_PAYLOAD_MAX   (64u << 10)
#define PACKED_BLOCK_NR_MAX  (1u << 24)
#define PACKED_END_PAYLOAD   8
#define PACKED_KIND_ACCESSES 0xb1
#define PACKED_KIND_END	     0xe0

/* The lead byte: op in bits 0 and 1, PACKED_JUMP, the size's code in bits 3 to 7. */
#define PACKED_OP_MASK	     3u
#define PACKED_JUMP	     4u
#define PACKED_SIZE_SHIFT    3
#define PACKED_SIZE_32	     30u /* codes 0 to 29 are sizes 1 to 30 */
#define PACKED_SIZE_EXPLICIT 31u
#define PACKED_LEAD_PID	     3u /* op 3: no access */
#define PACKED_LEAD_RUN	     7u
#define PACKED_LEAD_PLACE    11u
#define PACKED_VARINT_MAX    10
#define PACKED_RECORD_MAX    (1 + 2 * PACKED_VARINT_MAX)
#define PACKED_PIDS	     65536

/*
 * Where the next access of a kind is expected, of a process in memory, or of anybody in a file:
 * right after the last one.
 */
struct packed_expected {
	uint64_t va[NR_TRACE_MEMORY_OPS];
};

/*
 * What is accessed, as PACKED_LEAD_PLACE has it: 0 memory, 2n file n by a mapping, 2n + 1 by
 * calls.
 */
#define PACKED_NR_PLACES 512

/* The table of what is expected has processes first, then places. */
#define PACKED_NR_EXPECTED (PACKED_PIDS + PACKED_NR_PLACES)

static inline unsigned int packed_expected_index(uint16_t pid, uint16_t place)
{
	return place ? PACKED_PIDS + place : pid;
}

static inline uint16_t packed_place(const struct trace_access *a)
{
	return (uint16_t)(a->file << 1 | (a->op >= NR_TRACE_MEMORY_OPS));
}

/* The last access, for runs. is_set: in this block, of this pid and place. */
struct packed_last {
	uint64_t delta;
	uint32_t size;
	uint8_t op; /* as in the lead byte: of a call 0 or 1 */
	bool is_set;
};

struct packed_reader {
	struct packed_expected *expected; /* PACKED_NR_EXPECTED of them */
	struct packed_last last;
	uint16_t pid, place;
	bool has_header, has_end;
	size_t block_bytes;    /* of the payload, to be read */
	uint32_t block_nr;     /* accesses to come in this block */
	uint32_t run_left;     /* of which so many repeat the last one */
	uint64_t run_offset;   /* of the run's record */
	uint64_t block_offset; /* of the block's header */
	uint64_t nr_accesses;
};

static inline uint64_t zigzag_encode(uint64_t delta)
{
	return delta << 1 ^ (uint64_t)((int64_t)delta >> 63);
}

static inline uint64_t zigzag_decode(uint64_t code)
{
	return code >> 1 ^ -(code & 1);
}

uint32_t packed_crc(const uint8_t *header, size_t nr_header, const uint8_t *payload,
		    size_t nr_payload);

static inline void le_put(uint8_t *to, uint64_t value, unsigned int nr_bytes)
{
	for (unsigned int i = 0; i < nr_bytes; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static inline uint64_t le_get(const uint8_t *from, unsigned int nr_bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < nr_bytes; i++)
		value |= (uint64_t)from[i] << 8 * i;
	return value;
}

#endif
