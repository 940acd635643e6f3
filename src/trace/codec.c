/* SPDX-License-Identifier: MIT */
/*
 * gzip, xz and zstd behind one face: some bytes in, some bytes out.
 *
 * Compressed data are members in a row (gzip's word; xz calls them streams, zstd frames), as
 * `cat a.gz b.gz` and parallel compressors make them. Between two members the data may end,
 * inside one they are cut.
 *
 * 1. in_member is true from a member's first byte until all of its content was handed out.
 * 2. A step that has room on both sides makes progress or fails.
 */
#include "trace/codec.h"

#include <errno.h>
#include <string.h>

#define GZIP_WINDOW_BITS (15 + 16) /* the largest window; the gzip wrapper and no other */

#define GARBAGE "garbage after the compressed data"

static void room_advance(struct codec_room *room, size_t in_left, size_t out_left)
{
	room->in += room->in_bytes - in_left;
	room->out += room->out_bytes - out_left;
	room->in_bytes = in_left;
	room->out_bytes = out_left;
}

static void member_ended(struct codec *codec)
{
	codec->in_member = false;
	codec->has_member = true;
}

/* Where the next member should begin, is there something else? magic: a member's first byte. */
static bool is_garbage(const struct codec *codec, const struct codec_room *room, uint8_t magic)
{
	return codec->has_member && !codec->in_member && room->in_bytes && *room->in != magic;
}

static int gzip_start(struct codec *codec)
{
	memset(&codec->gzip, 0, sizeof(codec->gzip));
	return inflateInit2(&codec->gzip, GZIP_WINDOW_BITS) == Z_OK ? 0 : -ENOMEM;
}

static void gzip_stop(struct codec *codec)
{
	inflateEnd(&codec->gzip);
}

static int gzip_step(struct codec *codec, struct codec_room *room, const char **ret_why)
{
	z_stream *z = &codec->gzip;
	int ret;

	if (is_garbage(codec, room, 0x1f)) {
		*ret_why = GARBAGE;
		return -EBADMSG;
	}
	if (!codec->in_member)
		inflateReset(z);
	if (room->in_bytes)
		codec->in_member = true;
	z->next_in = room->in;
	z->avail_in = (uInt)room->in_bytes;
	z->next_out = room->out;
	z->avail_out = (uInt)room->out_bytes;
	ret = inflate(z, Z_NO_FLUSH);
	room_advance(room, z->avail_in, z->avail_out);
	switch (ret) {
	case Z_STREAM_END:
		member_ended(codec);
		return 0;
	case Z_OK:
	case Z_BUF_ERROR: /* not an error: one side has no room */
		return 0;
	case Z_MEM_ERROR:
		return -ENOMEM;
	default:
		*ret_why = "the gzip data are corrupt";
		return -EBADMSG;
	}
}

static int xz_start(struct codec *codec)
{
	codec->xz = (lzma_stream)LZMA_STREAM_INIT;
	return lzma_stream_decoder(&codec->xz, CODEC_MEMORY_MAX, 0) == LZMA_OK ? 0 : -ENOMEM;
}

static void xz_stop(struct codec *codec)
{
	lzma_end(&codec->xz);
}

static int xz_error(const struct codec *codec, lzma_ret ret, const char **ret_why)
{
	switch (ret) {
	case LZMA_MEM_ERROR:
		return -ENOMEM;
	case LZMA_MEMLIMIT_ERROR:
		*ret_why = "the xz data need more than 128 MiB of memory";
		break;
	case LZMA_FORMAT_ERROR:
		*ret_why = codec->has_member ? GARBAGE : "the xz data are corrupt";
		break;
	case LZMA_OPTIONS_ERROR:
		*ret_why = "the xz data use what this liblzma does not know";
		break;
	default:
		*ret_why = "the xz data are corrupt";
	}
	return -EBADMSG;
}

/* Zeros between and after streams are padding (the .xz file format, 2.2). */
static void xz_skip_padding(struct codec_room *room)
{
	while (room->in_bytes && *room->in == 0)
		room_advance(room, room->in_bytes - 1, room->out_bytes);
}

static int xz_step(struct codec *codec, struct codec_room *room, const char **ret_why)
{
	lzma_stream *xz = &codec->xz;
	lzma_ret ret;

	if (!codec->in_member && codec->has_member) {
		xz_skip_padding(room);
		if (room->in_bytes == 0)
			return 0;
		if (is_garbage(codec, room, 0xfd)) {
			*ret_why = GARBAGE;
			return -EBADMSG;
		}
		if (lzma_stream_decoder(xz, CODEC_MEMORY_MAX, 0) != LZMA_OK)
			return -ENOMEM;
	}
	if (room->in_bytes)
		codec->in_member = true;
	xz->next_in = room->in;
	xz->avail_in = room->in_bytes;
	xz->next_out = room->out;
	xz->avail_out = room->out_bytes;
	ret = lzma_code(xz, LZMA_RUN);
	room_advance(room, xz->avail_in, xz->avail_out);
	if (ret == LZMA_STREAM_END)
		member_ended(codec);
	if (ret == LZMA_OK || ret == LZMA_STREAM_END || ret == LZMA_BUF_ERROR)
		return 0;
	return xz_error(codec, ret, ret_why);
}

static int zstd_start(struct codec *codec)
{
	codec->zstd = ZSTD_createDStream();
	if (!codec->zstd)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(codec->zstd, ZSTD_d_windowLogMax, CODEC_WINDOW_LOG_MAX);
	return 0;
}

static void zstd_stop(struct codec *codec)
{
	ZSTD_freeDStream(codec->zstd);
}

/* The library's stable error codes are behind a header of their own; its names are enough. */
static int zstd_error(const struct codec *codec, size_t ret, bool is_first,
		      const char **ret_why)
{
	const char *name = ZSTD_getErrorName(ret);

	if (strstr(name, "not enough memory"))
		return -ENOMEM;
	if (strstr(name, "too much memory"))
		*ret_why = "the zstd data need more than 128 MiB of memory";
	else if (is_first && codec->has_member)
		*ret_why = GARBAGE;
	else
		*ret_why = "the zstd data are corrupt";
	return -EBADMSG;
}

static int zstd_step(struct codec *codec, struct codec_room *room, const char **ret_why)
{
	ZSTD_inBuffer in = {.src = room->in, .size = room->in_bytes};
	ZSTD_outBuffer out = {.dst = room->out, .size = room->out_bytes};
	bool is_first = !codec->in_member;
	size_t ret;

	if (is_first && room->in_bytes == 0)
		return 0;
	if (is_garbage(codec, room, 0x28) && (*room->in & 0xf0) != 0x50) {
		*ret_why = GARBAGE;
		return -EBADMSG;
	}
	codec->in_member = true;
	ret = ZSTD_decompressStream(codec->zstd, &out, &in);
	room_advance(room, in.size - in.pos, out.size - out.pos);
	if (ZSTD_isError(ret))
		return zstd_error(codec, ret, is_first, ret_why);
	if (ret == 0)
		member_ended(codec);
	return 0;
}

static const struct codec_ops gzip_ops = {
	.name = "gzip", .start = gzip_start, .step = gzip_step, .stop = gzip_stop};
static const struct codec_ops xz_ops = {
	.name = "xz", .start = xz_start, .step = xz_step, .stop = xz_stop};
static const struct codec_ops zstd_ops = {
	.name = "zstd", .start = zstd_start, .step = zstd_step, .stop = zstd_stop};

/* mask: of the first byte; a skippable frame of zstd begins with 0x50 to 0x5f. */
static const struct {
	const struct codec_ops *ops;
	uint8_t len, mask;
	uint8_t bytes[CODEC_MAGIC_BYTES];
} magics[] = {
	{&gzip_ops, 2, 0xff, {0x1f, 0x8b}},
	{&xz_ops, 6, 0xff, {0xfd, '7', 'z', 'X', 'Z', 0}},
	{&zstd_ops, 4, 0xff, {0x28, 0xb5, 0x2f, 0xfd}},
	{&zstd_ops, 4, 0xf0, {0x50, 0x2a, 0x4d, 0x18}},
};

/**
 * codec_find() - which compression do these bytes begin?
 * @magic: the input's first bytes.
 * @nr_bytes: CODEC_MAGIC_BYTES, or less if the input has no more; then a beginning of a magic
 * is enough, except one that could be text.
 *
 * Return: its table, or NULL if they are not compressed.
 */
const struct codec_ops *codec_find(const uint8_t *magic, size_t nr_bytes)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		size_t len = nr_bytes < magics[i].len ? nr_bytes : magics[i].len;
		bool could_be_text =
			nr_bytes == 1 && magics[i].bytes[0] >= ' ' && magics[i].bytes[0] < 0x7f;

		if (len == 0 || could_be_text)
			continue;
		if ((magic[0] & magics[i].mask) == magics[i].bytes[0] &&
		    memcmp(magic + 1, magics[i].bytes + 1, len - 1) == 0)
			return magics[i].ops;
	}
	return NULL;
}
