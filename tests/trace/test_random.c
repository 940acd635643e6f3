/* SPDX-License-Identifier: MIT */
/*
 * Random accesses through every format and compression and back, and the shipped trace.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/rng.h"
#include "support/test.h"
#include "traces.h"

#define ROUNDS	     4
#define ACCESSES_MAX 12000

static const uint32_t sizes[] = {1, 2, 4, 8, 16, 30, 31, 32, 33, 64, 4096, TRACE_SIZE_MAX};

/* Scans, strides, hot spots, jumps, and the edges of both halves. */
static uint64_t va_random(struct rng *rng, uint64_t last, uint32_t size)
{
	switch (rng_below(rng, 5)) {
	case 0:
		return 0x10000 + rng_below(rng, 1 << 16);
	case 1:
		return rng_below(rng, (1ull << 47) - TRACE_SIZE_MAX);
	case 2:
		return (1ull << 47) - size;
	case 3:
		return rng_chance(rng, 50) ? -(uint64_t)size : 0xffff800000000000;
	default:
		return last;
	}
}

static bool is_valid(uint64_t va, uint32_t size)
{
	uint64_t last = va + size - 1;

	return (va < 1ull << 47 && last < 1ull << 47) ||
	       (va >= 0xffff800000000000 && last >= va);
}

/* To memory mostly, else to a file, by a mapping or a call. */
static void place_random(struct rng *rng, struct trace_access *a)
{
	a->file = rng_chance(rng, 30) ? (uint8_t)rng_below(rng, rng_chance(rng, 10) ? 256 : 3)
				      : 0;
	a->op = (uint8_t)rng_below(rng, a->file ? NR_TRACE_OPS : NR_TRACE_MEMORY_OPS);
}

static size_t accesses_random(struct rng *rng, struct trace_access *to, bool has_owner)
{
	size_t nr = rng_below(rng, ACCESSES_MAX), i = 0;
	struct trace_access a = {0};

	while (i < nr) {
		uint64_t stride, run = rng_chance(rng, 30) ? rng_below(rng, 500) : 1;

		a.size = rng_chance(rng, 20) ? (uint32_t)rng_between(rng, 1, TRACE_SIZE_MAX)
					     : sizes[rng_below(rng, 12)];
		a.va = va_random(rng, a.va, a.size);
		a.op = (uint8_t)rng_below(rng, NR_TRACE_MEMORY_OPS);
		if (has_owner)
			place_random(rng, &a);
		if (has_owner && rng_chance(rng, 20))
			a.pid = (uint16_t)rng_below(rng, rng_chance(rng, 10) ? 65536 : 4);
		stride = rng_chance(rng, 50) ? a.size : rng_below(rng, 8192) - 4096;
		for (; run && i < nr && is_valid(a.va, a.size); run--) {
			to[i++] = a;
			a.va += stride;
		}
	}
	return nr;
}

static void assert_reads(const struct bytes *plain, const struct trace_access *want, size_t nr,
			 unsigned int step)
{
	for (enum squeeze how = SQUEEZE_NONE; how < NR_SQUEEZES; how++) {
		struct bytes bytes = bytes_squeeze(plain, how);
		struct outcome o = outcome_read(&bytes, how % 2 ? VIA_PIPE : VIA_FILE, step);

		if (o.ret)
			print_error("%" PRIu64 ": %s\n", o.err.offset, o.err.why);
		assert_int_equal(o.ret, 0);
		assert_int_equal(o.nr, nr);
		for (size_t i = 0; i < nr; i++)
			assert_true(o.accesses[i].va == want[i].va &&
				    o.accesses[i].size == want[i].size &&
				    o.accesses[i].pid == want[i].pid &&
				    o.accesses[i].file == want[i].file &&
				    o.accesses[i].op == want[i].op);
		outcome_free(&o);
		bytes_free(&bytes);
	}
}

static struct bytes print_lackey(const struct trace_access *accesses, size_t nr)
{
	static const char *const marks[] = {" L ", " S ", "I  "};
	struct bytes bytes = bytes_text("==1== Lackey, an example Valgrind tool\n");
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; i < nr; i++)
		fprintf(f, "%s%08" PRIx64 ",%u\n", marks[accesses[i].op], accesses[i].va,
			accesses[i].size);
	fprintf(f, "==1== Exit code:       0\n");
	fclose(f);
	bytes_append(&bytes, text, len);
	free(text);
	return bytes;
}

static struct bytes print_csv(const struct trace_access *accesses, size_t nr)
{
	static const char *const ops[] = {"R", "W", "X", "pread", "pwrite"};
	struct bytes bytes = bytes_text("op,va,size,pid,file\n");
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; i < nr; i++)
		fprintf(f,
			i % 2 ? "%s,0x%" PRIx64 ",%u,%u,%u\n" : "%s, %" PRIu64 ",%u,%u, 0x%x\n",
			ops[accesses[i].op], accesses[i].va, accesses[i].size, accesses[i].pid,
			(unsigned int)accesses[i].file);
	fclose(f);
	bytes_append(&bytes, text, len);
	free(text);
	return bytes;
}

static void every_format_brings_them_back(void **state)
{
	struct trace_access *accesses = malloc(ACCESSES_MAX * sizeof(*accesses));
	struct rng rng = rng_make(test_seed());

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		bool has_pid = round % 2;
		size_t nr = accesses_random(&rng, accesses, has_pid);
		unsigned int step = (unsigned int)rng_between(&rng, 1, 5000);
		struct bytes bytes = write_packed(accesses, nr);

		assert_reads(&bytes, accesses, nr, step);
		bytes_free(&bytes);
		bytes = print_csv(accesses, nr);
		assert_reads(&bytes, accesses, nr, step);
		bytes_free(&bytes);
		if (has_pid)
			continue;
		bytes = print_lackey(accesses, nr);
		assert_reads(&bytes, accesses, nr, step);
		bytes_free(&bytes);
	}
	free(accesses);
}

static void runs_go_past_blocks(void **state)
{
	static struct trace_access row[65536], got[65536];
	int fd = file_temporary(), nr;
	uint64_t count = 0, total = (1 << 24) + 5;
	struct trace_writer *w;
	struct trace_reader *r;
	struct trace_error err;

	(void)state;
	assert_int_equal(trace_writer_create(fd, &w), 0);
	for (unsigned int i = 0; i < 65536; i++)
		row[i] = (struct trace_access){0x1000, 1, 0, TRACE_READ};
	for (uint64_t left = total; left;) {
		unsigned int n = left < 65536 ? (unsigned int)left : 65536;

		assert_int_equal(trace_write(w, row, n), 0);
		left -= n;
	}
	assert_int_equal(trace_writer_finish(w), 0);
	assert_true(lseek(fd, 0, SEEK_CUR) < 100);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(trace_open_fd(fd, "run", &r, &err), 0);
	while ((nr = trace_next(r, got, 65536, &err)) > 0)
		count += (uint64_t)nr;
	assert_int_equal(nr, 0);
	assert_int_equal(count, total);
	trace_close(r);
	close(fd);
}

static void the_shipped_trace_is_as_described(void **state)
{
	uint64_t count[NR_TRACE_OPS] = {0};
	struct trace_access got[4096];
	struct trace_reader *r;
	struct trace_error err;
	int nr;

	(void)state;
	assert_int_equal(trace_open(TEST_DATA "/lackey.trace.xz", &r, &err), 0);
	assert_string_equal(trace_format_name(r), "lackey, xz");
	while ((nr = trace_next(r, got, 4096, &err)) > 0)
		for (int i = 0; i < nr; i++)
			count[got[i].op]++;
	assert_int_equal(nr, 0);
	assert_int_equal(count[TRACE_EXEC], 733899);
	assert_int_equal(count[TRACE_READ], 127321 + 34);
	assert_int_equal(count[TRACE_WRITE], 90956 + 34);
	assert_int_equal(trace_input_bytes(r), trace_input_size(r));
	trace_close(r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_format_brings_them_back),
	cmocka_unit_test(runs_go_past_blocks),
	cmocka_unit_test(the_shipped_trace_is_as_described),
};
TEST_MAIN(tests)
