/* SPDX-License-Identifier: MIT */
#ifndef TRACE_CODEC_H
#define TRACE_CODEC_H

#define ZLIB_CONST /* next_in points to const */
#include <lzma.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>
#include <zstd.h>

struct codec;

/* What one step may read and write; it moves both starts. */
struct codec_room {
	const uint8_t *in;
	size_t in_bytes;
	uint8_t *out;
	size_t out_bytes;
};

struct codec_ops {
	const char *name;
	/*
	 * Decompresses some of room. Sets in_member while inside compressed data that must go
	 * on. Return: 0; -ENOMEM; -EBADMSG with *ret_why if the data are no such data.
	 */
	int (*step)(struct codec *codec, struct codec_room *room, const char **ret_why);
	int (*start)(struct codec *codec);
	void (*stop)(struct codec *codec);
};

struct codec {
	const struct codec_ops *ops; /* NULL: not compressed */
	bool in_member;
	bool has_member; /* one has ended */
	union {
		z_stream gzip;
		lzma_stream xz;
		ZSTD_DStream *zstd;
	};
};

/* What a decompressor may keep in memory at most; `xz -9` wants 65 MiB, `zstd -19` 8. */
#define CODEC_MEMORY_MAX     ((uint64_t)128 << 20)
#define CODEC_WINDOW_LOG_MAX 27
#define CODEC_MAGIC_BYTES    6

const struct codec_ops *codec_find(const uint8_t *magic, size_t nr_bytes);

#endif
