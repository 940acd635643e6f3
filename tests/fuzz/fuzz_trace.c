/* SPDX-License-Identifier: MIT */
/*
 * Any bytes, read as a trace. Whatever they are: each access is valid, an error says why and
 * stays; and what was read, written and read again is the same.
 * The bytes are tried as a file, and as what a block of Ration's own format holds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "fuzz.h"
#include "trace/packed.h"
#include "trace/trace.h"

#define STEP	     97
#define ACCESSES_MAX (1 << 16) /* a few bytes can be a run of millions */

static struct trace_access accesses[ACCESSES_MAX + STEP];

static bool is_valid(const struct trace_access *a)
{
	uint64_t last = a->va + a->size - 1;

	if (a->op >= NR_TRACE_OPS || a->size == 0 || a->size > TRACE_SIZE_MAX)
		return false;
	return (a->va < 1ull << 47 && last < 1ull << 47) ||
	       (a->va >= 0xffff800000000000 && last >= a->va);
}

static void broken_check(const struct trace_error *err)
{
	MM_ASSERT(err->why[0] != '\0');
	MM_ASSERT(memchr(err->why, '\0', sizeof(err->why)));
}

/* Return: how many accesses; *ret_ended: 0 at the end, 1 where there were more, or -errno. */
static unsigned int accesses_read(int fd, int *ret_ended)
{
	struct trace_error err = {0}, again = {0};
	struct trace_reader *r;
	unsigned int nr = 0;
	int ret = trace_open_fd(fd, "fuzz", &r, &err);

	*ret_ended = ret;
	if (ret) {
		broken_check(&err);
		return 0;
	}
	do {
		ret = trace_next(r, accesses + nr, STEP, &err);
		for (int i = 0; i < ret; i++)
			MM_ASSERT(is_valid(&accesses[nr + (unsigned int)i]));
		nr += ret > 0 ? (unsigned int)ret : 0;
	} while (ret > 0 && nr < ACCESSES_MAX);
	if (ret < 0) {
		broken_check(&err);
		MM_ASSERT(trace_next(r, accesses + nr, 1, &again) == ret);
		MM_ASSERT(again.offset == err.offset);
	}
	trace_close(r);
	*ret_ended = ret;
	return nr;
}

static void write_and_compare(unsigned int nr)
{
	struct trace_access *before = malloc((nr + 1) * sizeof(*before));
	int fd = memfd_create("fuzz", MFD_CLOEXEC), ended;
	struct trace_writer *w;

	MM_ASSERT(before && fd >= 0);
	memcpy(before, accesses, nr * sizeof(*before));
	MM_ASSERT(trace_writer_create(fd, &w) == 0);
	MM_ASSERT(trace_write(w, before, nr) == 0);
	MM_ASSERT(trace_writer_finish(w) == 0);
	lseek(fd, 0, SEEK_SET);
	MM_ASSERT(accesses_read(fd, &ended) == nr);
	for (unsigned int i = 0; i < nr; i++)
		MM_ASSERT(accesses[i].va == before[i].va && accesses[i].op == before[i].op &&
			  accesses[i].size == before[i].size &&
			  accesses[i].pid == before[i].pid &&
			  accesses[i].file == before[i].file);
	close(fd);
	free(before);
}

static void put(int fd, const void *data, size_t size)
{
	MM_ASSERT(write(fd, data, size) == (ssize_t)size);
}

static void read_and_compare(int fd)
{
	unsigned int nr;
	int ended;

	lseek(fd, 0, SEEK_SET);
	nr = accesses_read(fd, &ended);
	close(fd);
	if (nr && nr < ACCESSES_MAX)
		write_and_compare(nr);
}

/* As the payload of a block whose checksum is right, which mutations hardly ever make. */
static void try_payload(const uint8_t *data, size_t size)
{
	uint8_t header[PACKED_HEADER_BYTES] = PACKED_MAGIC, block[PACKED_BLOCK_HEADER] = {0};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	MM_ASSERT(fd >= 0);
	le_put(header + PACKED_VERSION_AT, PACKED_VERSION, 2);
	le_put(header + PACKED_CRC_AT, packed_crc(header, PACKED_CRC_AT, header, 0), 4);
	put(fd, header, sizeof(header));
	block[0] = PACKED_KIND_ACCESSES;
	le_put(block + PACKED_BLOCK_LEN_AT, size - 2, 3);
	le_put(block + PACKED_BLOCK_NR_AT, le_get(data, 2), 4);
	le_put(block + PACKED_BLOCK_CRC_AT,
	       packed_crc(block, PACKED_BLOCK_CRC_AT, data + 2, size - 2), 4);
	put(fd, block, sizeof(block));
	put(fd, data + 2, size - 2);
	read_and_compare(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	MM_ASSERT(fd >= 0);
	put(fd, data, size);
	read_and_compare(fd);
	if (size > 2)
		try_payload(data, size);
	return 0;
}
