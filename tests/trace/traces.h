/* SPDX-License-Identifier: MIT */
/*
 * Traces in memory: made, packed, read.
 */
#ifndef TRACES_H
#define TRACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/trace.h"

struct bytes {
	uint8_t *data;
	size_t len;
};

/* What reading came to. ret: 0, or the error that ended it. */
struct outcome {
	int ret;
	struct trace_error err;
	struct trace_access *accesses;
	size_t nr;
	char format[32];
};

enum via { VIA_FILE, VIA_PIPE };

struct bytes bytes_of(const void *data, size_t len);
struct bytes bytes_text(const char *text);
void bytes_append(struct bytes *bytes, const void *data, size_t len);
void bytes_free(struct bytes *bytes);

enum squeeze { SQUEEZE_NONE, SQUEEZE_GZIP, SQUEEZE_XZ, SQUEEZE_ZSTD, NR_SQUEEZES };
struct bytes bytes_squeeze(const struct bytes *plain, enum squeeze how);

/* Reads to the end, at most `step` accesses a call. */
struct outcome outcome_read(const struct bytes *bytes, enum via via, unsigned int step);
void outcome_free(struct outcome *outcome);

struct bytes write_packed(const struct trace_access *accesses, size_t nr);

/* A new temporary file that has no name any more. */
int file_temporary(void);
struct bytes bytes_of_fd(int fd);

#endif
