/* SPDX-License-Identifier: MIT */
/*
 * Memory traces: the accesses of one or more programs, in order.
 *
 * A reader takes Ration's own format, the text of `valgrind --tool=lackey --trace-mem=yes`, or
 * CSV, each plain or inside gzip, xz or zstd; it finds out by looking at the content. A writer
 * makes Ration's own format. docs/trace.md describes all three byte by byte.
 */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include <stdint.h>

enum trace_op {
	TRACE_READ,
	TRACE_WRITE,
	TRACE_EXEC,   /* an instruction fetch */
	TRACE_PREAD,  /* a call that reads a file, as pread(2) */
	TRACE_PWRITE, /* a call that writes one */
	NR_TRACE_OPS,
};

#define NR_TRACE_MEMORY_OPS 3 /* up to TRACE_EXEC: by the processor */

/* Bytes of one access: 1 to this. All of them are canonical (x86-64, 48 bits), in one half. */
#define TRACE_SIZE_MAX (4096 * 512)

struct trace_access {
	uint64_t va;   /* of a file: the offset in it */
	uint32_t size; /* bytes */
	uint16_t pid;  /* 0 where the format has none */
	uint8_t op;    /* enum trace_op */
	uint8_t file;  /* 0: memory; others: a file, by a mapping or a call, as op says */
};

_Static_assert(sizeof(struct trace_access) == 16, "traces are streams of these");

struct trace_reader;
struct trace_writer;

struct trace_error {
	uint64_t offset; /* of the first byte that is wrong, in the decompressed input */
	char why[160];	 /* one line, without the offset and without a full stop */
};

int trace_open(const char *path, struct trace_reader **ret_reader, struct trace_error *err);
int trace_open_fd(int fd, const char *name, struct trace_reader **ret_reader,
		  struct trace_error *err);
int trace_next(struct trace_reader *r, struct trace_access *out, unsigned int max,
	       struct trace_error *err);
void trace_close(struct trace_reader *r);
const char *trace_format_name(const struct trace_reader *r);
const char *trace_name(const struct trace_reader *r);
/* For progress: bytes taken from the file so far, and how many it has (0: nobody knows). */
uint64_t trace_input_bytes(const struct trace_reader *r);
uint64_t trace_input_size(const struct trace_reader *r);

int trace_writer_create(int fd, struct trace_writer **ret_writer);
int trace_write(struct trace_writer *w, const struct trace_access *accesses, unsigned int nr);
int trace_writer_finish(struct trace_writer *w);
void trace_writer_discard(struct trace_writer *w);

#endif
