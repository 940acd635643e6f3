/* SPDX-License-Identifier: MIT */
/*
 * Traces that end too early or go on too long, in each format and each compression.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"
#include "traces.h"

static const char lackey[] = "==7== Lackey, an example Valgrind tool\n==7== \n"
			     "I  04001000,3\n L 1ffeffe7e0,8\n S 1ffeffe7e0,16\n M 0025747C,1\n"
			     "==7== Exit code:       0\n";
static const char csv[] = "op,va,size,pid\nR,0x1000,8,1\nW,0x2000,16,2\nX,0xfff,1,1\n";

static const struct trace_access accesses[] = {
	{0x1000, 8, 0, TRACE_READ},	 {0x1008, 8, 0, TRACE_READ},
	{0x1010, 8, 0, TRACE_READ},	 {0x5000, 70, 9, TRACE_EXEC},
	{1ull << 40, 1, 9, TRACE_WRITE},
};

static struct bytes plain_make(const char *format)
{
	if (strcmp(format, "lackey") == 0)
		return bytes_text(lackey);
	if (strcmp(format, "csv") == 0)
		return bytes_text(csv);
	return write_packed(accesses, sizeof(accesses) / sizeof(accesses[0]));
}

/* The first bytes of whole, and what they must be: a beginning of all accesses, then an error.
 */
static void cut_is_noticed(const struct bytes *whole, size_t len, enum squeeze how,
			   const struct outcome *all)
{
	const struct bytes cut = {.data = whole->data, .len = len};
	struct outcome o = outcome_read(&cut, VIA_FILE, 2);

	if (o.ret == 0)
		print_error("cut at %zu of %zu: not noticed\n", len, whole->len);
	assert_int_equal(o.ret, -EBADMSG);
	assert_true(o.nr <= all->nr);
	for (size_t i = 0; i < o.nr; i++)
		assert_true(o.accesses[i].va == all->accesses[i].va &&
			    o.accesses[i].size == all->accesses[i].size);
	if (how == SQUEEZE_NONE && o.format[0])
		assert_int_equal(o.err.offset, len);
	outcome_free(&o);
}

/* Text that says nothing of its end may end with each line. */
static bool is_whole_text(const char *format, const struct bytes *bytes, size_t len)
{
	return strcmp(format, "csv") == 0 && len > 0 && bytes->data[len - 1] == '\n';
}

static void every_cut_is_noticed(void **state)
{
	static const char *const formats[] = {"ration", "lackey", "csv"};

	(void)state;
	for (size_t f = 0; f < 3; f++) {
		struct bytes plain = plain_make(formats[f]);

		for (enum squeeze how = SQUEEZE_NONE; how < NR_SQUEEZES; how++) {
			struct bytes whole = bytes_squeeze(&plain, how);
			struct outcome all = outcome_read(&whole, VIA_FILE, 100);

			assert_int_equal(all.ret, 0);
			assert_memory_equal(all.format, formats[f], strlen(formats[f]));
			for (size_t len = 0; len < whole.len; len++)
				if (how != SQUEEZE_NONE ||
				    !is_whole_text(formats[f], &whole, len))
					cut_is_noticed(&whole, len, how, &all);
			outcome_free(&all);
			bytes_free(&whole);
		}
		bytes_free(&plain);
	}
}

static void squeezed(enum squeeze how, struct bytes *ret_first, struct bytes *ret_second)
{
	struct bytes first = bytes_text("R,1,1\nR,2"), second = bytes_text(",1\nR,3,1\n");

	*ret_first = bytes_squeeze(&first, how);
	*ret_second = bytes_squeeze(&second, how);
	bytes_free(&first);
	bytes_free(&second);
}

static void members_in_a_row_are_one_trace(void **state)
{
	(void)state;
	for (enum squeeze how = SQUEEZE_GZIP; how < NR_SQUEEZES; how++) {
		struct bytes bytes, second;
		struct outcome o;

		squeezed(how, &bytes, &second);
		if (how == SQUEEZE_XZ)
			bytes_append(&bytes, "\0\0\0\0", 4); /* padding */
		if (how == SQUEEZE_ZSTD)
			bytes_append(&bytes, "\x53\x2a\x4d\x18\x02\0\0\0xx", 10); /* skipped */
		bytes_append(&bytes, second.data, second.len);
		o = outcome_read(&bytes, VIA_PIPE, 2);
		assert_int_equal(o.ret, 0);
		assert_int_equal(o.nr, 3);
		assert_true(o.accesses[1].va == 2);
		outcome_free(&o);
		bytes_free(&bytes);
		bytes_free(&second);
	}
}

static void broken_with(const struct bytes *bytes, size_t nr, uint64_t offset, const char *why)
{
	struct outcome o = outcome_read(bytes, VIA_FILE, 2);

	if (o.ret != -EBADMSG || !strstr(o.err.why, why))
		print_error("%s: %d, %s\n", why, o.ret, o.err.why);
	assert_int_equal(o.ret, -EBADMSG);
	assert_non_null(strstr(o.err.why, why));
	assert_int_equal(o.nr, nr);
	assert_int_equal(o.err.offset, offset);
	outcome_free(&o);
}

static void garbage_after_compressed_data(void **state)
{
	static const char *const garbages[] = {"x", "garbage, and more of it"};

	(void)state;
	for (enum squeeze how = SQUEEZE_GZIP; how < NR_SQUEEZES; how++)
		for (size_t i = 0; i < 2; i++) {
			struct bytes plain = bytes_text("R,1,1\nR,2,1\n");
			struct bytes bytes = bytes_squeeze(&plain, how);

			bytes_append(&bytes, garbages[i], strlen(garbages[i]));
			broken_with(&bytes, 2, 12, "garbage after the compressed data");
			bytes_free(&bytes);
			bytes_free(&plain);
		}
}

static void corrupt_compressed_data(void **state)
{
	static const char *const whys[] = {"", "gzip data are", "xz data are", "zstd data are"};

	(void)state;
	for (enum squeeze how = SQUEEZE_GZIP; how < NR_SQUEEZES; how++) {
		struct bytes plain = bytes_text("R,1,1\nR,2,1\n");
		struct bytes bytes = bytes_squeeze(&plain, how);
		/* gzip's checksum, the last byte of xz's magic, zstd's checksum */
		static const size_t from_end[] = {0, 8, 1, 4};

		bytes.data[bytes.len - from_end[how]] ^= 1;
		/* libzstd keeps what it has of a block whose end is wrong */
		broken_with(&bytes, how == SQUEEZE_ZSTD ? 0 : 2, how == SQUEEZE_ZSTD ? 0 : 12,
			    whys[how]);
		bytes_free(&bytes);
		bytes_free(&plain);
	}
}

/* The data's last part comes out of the decompressor together with the bad news. */
static void what_came_before_corruption_is_read(void **state)
{
	struct bytes plain = {0}, bytes;

	(void)state;
	for (int i = 0; i < 50000; i++)
		bytes_append(&plain, "R,1,1\n", 6);
	bytes = bytes_squeeze(&plain, SQUEEZE_GZIP);
	bytes.data[bytes.len - 8] ^= 1;
	broken_with(&bytes, 50000, 300000, "the gzip data are corrupt");
	bytes_free(&bytes);
	bytes_free(&plain);
}

static void compressed_twice(void **state)
{
	struct bytes plain = bytes_text("R,1,1\n"), once = bytes_squeeze(&plain, SQUEEZE_ZSTD);
	struct bytes twice = bytes_squeeze(&once, SQUEEZE_GZIP);

	(void)state;
	broken_with(&twice, 0, 0, "compressed twice");
	bytes_free(&twice);
	bytes_free(&once);
	bytes_free(&plain);
}

static void what_cannot_be_opened(void **state)
{
	struct trace_reader *r;
	struct trace_error err;

	(void)state;
	assert_int_equal(trace_open("/nonexistent/trace", &r, &err), -ENOENT);
	assert_string_equal(err.why, "No such file or directory");
	assert_int_equal(trace_open("/", &r, &err), -EISDIR);
	assert_string_equal(err.why, "Is a directory");
	assert_int_equal(trace_open_fd(-1, "none", &r, &err), -EBADF);
}

static void standard_input_stays_open(void **state)
{
	int saved = dup(STDIN_FILENO), fds[2];
	struct trace_reader *r;
	struct trace_error err;
	struct trace_access access;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "R,1,1\n", 6), 6);
	close(fds[1]);
	dup2(fds[0], STDIN_FILENO);
	assert_int_equal(trace_open("-", &r, &err), 0);
	assert_string_equal(trace_name(r), "standard input");
	assert_int_equal(trace_next(r, &access, 1, &err), 1);
	assert_int_equal(trace_input_bytes(r), 6);
	assert_int_equal(trace_input_size(r), 0);
	trace_close(r);
	assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_CUR), -1);
	assert_int_equal(errno, ESPIPE); /* not EBADF */
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(fds[0]);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_cut_is_noticed),
	cmocka_unit_test(members_in_a_row_are_one_trace),
	cmocka_unit_test(garbage_after_compressed_data),
	cmocka_unit_test(corrupt_compressed_data),
	cmocka_unit_test(what_came_before_corruption_is_read),
	cmocka_unit_test(compressed_twice),
	cmocka_unit_test(what_cannot_be_opened),
	cmocka_unit_test(standard_input_stays_open),
};
TEST_MAIN(tests)
