/* SPDX-License-Identifier: MIT */
/*
 * lackey's text and CSV, line by line: what is read, and each way to be broken with its offset.
 */
#include <errno.h>
#include <string.h>

#include "support/test.h"
#include "traces.h"

#define ACCESSES_MAX 6

struct good {
	const char *text, *format;
	size_t nr;
	struct trace_access accesses[ACCESSES_MAX];
};

static const struct good goods[] = {
	{"I  04001000,3\n L 1ffeffe7e0,8\n S 1ffeffe7e0,16\n M 0025747C,1\n",
	 "lackey",
	 5,
	 {{0x4001000, 3, 0, TRACE_EXEC},
	  {0x1ffeffe7e0, 8, 0, TRACE_READ},
	  {0x1ffeffe7e0, 16, 0, TRACE_WRITE},
	  {0x25747c, 1, 0, TRACE_READ},
	  {0x25747c, 1, 0, TRACE_WRITE}}},
	{"==7== Lackey, an example Valgrind tool\n==7== \n--7-- more\n**7** said\n L 10,4\n"
	 "==7== Exit code:       0\n",
	 "lackey",
	 1,
	 {{0x10, 4, 0, TRACE_READ}}},
	{" S 7fffffffffff,1\n S ffff800000000000,2097152\n",
	 "lackey",
	 2,
	 {{0x7fffffffffff, 1, 0, TRACE_WRITE}, {0xffff800000000000, 2097152, 0, TRACE_WRITE}}},
	{"op,va,size\nR,4096,8\nw,0x2000,16\nX,0xfff,1\n",
	 "csv",
	 3,
	 {{4096, 8, 0, TRACE_READ}, {0x2000, 16, 0, TRACE_WRITE}, {0xfff, 1, 0, TRACE_EXEC}}},
	{"# two processes\n\nop,va,size,pid\r\n R , 0x1000 , 8 , 1 \r\n# more\nM,1,0x2,65535\n",
	 "csv",
	 3,
	 {{0x1000, 8, 1, TRACE_READ}, {1, 2, 65535, TRACE_READ}, {1, 2, 65535, TRACE_WRITE}}},
	{"R,18446744073709551615,1\nR,0,1\n",
	 "csv",
	 2,
	 {{UINT64_MAX, 1, 0, TRACE_READ}, {0, 1, 0, TRACE_READ}}},
	{"op,va,size,pid,file\nr,0x1000,8,3,255\nPread,0,65536,0,1\npwrite,5,1,7,0x2\nM,8,8,1,"
	 "1\n",
	 "csv",
	 5,
	 {{0x1000, 8, 3, TRACE_READ, 255},
	  {0, 65536, 0, TRACE_PREAD, 1},
	  {5, 1, 7, TRACE_PWRITE, 2},
	  {8, 8, 1, TRACE_READ, 1},
	  {8, 8, 1, TRACE_WRITE, 1}}},
	{"op,va,size\n", "csv", 0, {{0}}},
	{"#\n", "csv", 0, {{0}}},
};

static void assert_same(const struct trace_access *got, const struct trace_access *want)
{
	assert_true(got->va == want->va);
	assert_int_equal(got->size, want->size);
	assert_int_equal(got->pid, want->pid);
	assert_int_equal(got->op, want->op);
	assert_int_equal(got->file, want->file);
}

static void good_read(const struct good *good, const struct bytes *bytes, enum via via,
		      unsigned int step)
{
	struct outcome o = outcome_read(bytes, via, step);

	assert_int_equal(o.ret, 0);
	assert_memory_equal(o.format, good->format, strlen(good->format));
	assert_int_equal(o.nr, good->nr);
	for (size_t i = 0; i < o.nr; i++)
		assert_same(&o.accesses[i], &good->accesses[i]);
	outcome_free(&o);
}

static void reads_what_is_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
		struct bytes plain = bytes_text(goods[i].text);

		for (enum squeeze how = SQUEEZE_NONE; how < NR_SQUEEZES; how++) {
			struct bytes bytes = bytes_squeeze(&plain, how);

			good_read(&goods[i], &bytes, VIA_FILE, 1);
			good_read(&goods[i], &bytes, VIA_FILE, 100);
			good_read(&goods[i], &bytes, VIA_PIPE, 2);
			bytes_free(&bytes);
		}
		bytes_free(&plain);
	}
}

/* broken: the accesses before it, where, and a word of why. */
struct broken {
	const char *text;
	size_t nr;
	uint64_t offset;
	const char *why;
};

static const struct broken brokens[] = {
	{"", 0, 0, "empty"},
	{"\x01\n", 0, 0, "no trace"},
	{"R,1\x80\n", 0, 3, "no trace"},
	/* lackey */
	{" L 10,4\nhello\n", 1, 8, "line 2: no line of lackey's"},
	{" L 10,4\n\n", 1, 8, "no line of lackey's"},
	{" L 10,4\nL  10,4\n", 1, 8, "no line of lackey's"},
	{" L 10,4\n=x= \n", 1, 8, "no line of lackey's"},
	{" L 10,4\n==x== \n", 1, 8, "no line of lackey's"},
	{" L 10,4\n S ,4\n", 1, 11, "no hexadecimal address"},
	{" L 10,4\n S 0x10,4\n", 1, 12, "no comma"},
	{" L 10,4\n S 10000000000000000,4\n", 1, 11, "no hexadecimal address"},
	{" L 10,4\n S 10\n", 1, 13, "no comma"},
	{" L 10,4\n S 10,\n", 1, 14, "no decimal size"},
	{" L 10,4\n S 10,a\n", 1, 14, "no decimal size"},
	{" L 10,4\n S 10,4 \n", 1, 15, "garbage after the size"},
	{" L 10,4\n S 10,4\r\n", 1, 15, "garbage after the size"},
	{" L 10,4\n S 10,0\n", 1, 14, "size is 0"},
	{" L 10,4\n S 10,2097153\n", 1, 14, "size is above 2097152"},
	{" L 10,4\n S 800000000000,4\n", 1, 11, "address is not canonical"},
	{" L 10,4\n S ffff7fffffffffff,4\n", 1, 11, "address is not canonical"},
	{" L 10,4\n S 7fffffffffff,2\n", 1, 11, "last byte"},
	{" L 10,4\n S ffffffffffffffff,2\n", 1, 11, "last byte"},
	{" L 10,4\n S 10,4", 1, 15, "cut off: line 2"},
	{"==7== Lackey, an example Valgrind tool\n L 10,4\n", 1, 47, "exit code"},
	{"==7== Lackey, an example Valgrind tool\n==8== Exit code:       0\n", 0, 64,
	 "exit code"},
	/* CSV */
	{"R,16,4\nR,16\n", 1, 7, "line 2: not op,va,size"},
	{"R,16,4\nR\n", 1, 7, "not op,va,size"},
	{"R,16,4\nR,16,4,1,1,1\n", 1, 7, "not op,va,size"},
	{"R,16,4\nR,16,4,1,256\n", 1, 16, "file is above 255"},
	{"R,16,4\nR,16,4,1,\n", 1, 16, "file is no number"},
	{"R,16,4\npread,16,4,1\n", 1, 7, "want a file"},
	{"R,16,4\npwrite,16,4,1,0\n", 1, 7, "want a file"},
	{"R,16,4\npreadv,16,4,1,1\n", 1, 7, "op is none of"},
	{"R,16,4\nop,va,size\n", 1, 7, "op is none of"},
	{"op,va,size\nop,va,size\n", 0, 11, "op is none of"},
	{"R,16,4\n Q,16,4\n", 1, 8, "op is none of"},
	{"R,16,4\n,16,4\n", 1, 7, "op is none of"},
	{"R,16,4\nRR,16,4\n", 1, 7, "op is none of"},
	{"R,16,4\nR,ff,4\n", 1, 9, "va is no number"},
	{"R,16,4\nR,0x,4\n", 1, 9, "va is no number"},
	{"R,16,4\nR,-1,4\n", 1, 9, "va is no number"},
	{"R,16,4\nR,18446744073709551616,4\n", 1, 9, "va is no number"},
	{"R,16,4\nR,1 6,4\n", 1, 9, "va is no number"},
	{"R,16,4\nR,16,\n", 1, 12, "size is no number"},
	{"R,16,4\nR,16,0\n", 1, 12, "size is 0"},
	{"R,16,4\nR,16,2097153\n", 1, 12, "size is above"},
	{"R,16,4\nR,16,4,x\n", 1, 14, "pid is no number"},
	{"R,16,4\nR,16,4,65536\n", 1, 14, "pid is above 65535"},
	{"R,16,4\nR,16,4,\n", 1, 14, "pid is no number"},
	{"R,16,4\nR, 0x800000000000,4\n", 1, 10, "address is not canonical"},
	{"R,16,4\nR,0x7fffffffffff,2\n", 1, 9, "last byte"},
	{"R,16,4\nR,16,4", 1, 13, "cut off: line 2"},
	{"R,16,4\nR,16,4\n# no newline", 2, 26, "cut off: line 3"},
};

static void broken_read(const struct broken *broken, const struct bytes *bytes, enum via via,
			unsigned int step)
{
	struct outcome o = outcome_read(bytes, via, step);

	if (o.ret != -EBADMSG || !strstr(o.err.why, broken->why))
		print_error("%s: %d, %s\n", broken->text, o.ret, o.err.why);
	assert_int_equal(o.ret, -EBADMSG);
	assert_non_null(strstr(o.err.why, broken->why));
	assert_int_equal(o.err.offset, broken->offset);
	assert_int_equal(o.nr, broken->nr);
	outcome_free(&o);
}

static void says_what_is_broken_and_where(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(brokens) / sizeof(brokens[0]); i++) {
		struct bytes plain = bytes_text(brokens[i].text);

		for (enum squeeze how = SQUEEZE_NONE; how < NR_SQUEEZES; how++) {
			struct bytes bytes = bytes_squeeze(&plain, how);

			broken_read(&brokens[i], &bytes, VIA_FILE, 100);
			broken_read(&brokens[i], &bytes, VIA_PIPE, 1);
			bytes_free(&bytes);
		}
		bytes_free(&plain);
	}
}

/* ......\n with a comment of nr bytes, the newline among them; then one access. */
static struct bytes comment_of(size_t nr)
{
	static char line[70000];
	struct bytes bytes;

	memset(line, '.', sizeof(line));
	line[0] = '#';
	line[nr - 1] = '\n';
	bytes = bytes_of(line, nr);
	bytes_append(&bytes, "R,1,1\n", 6);
	return bytes;
}

static void a_line_may_have_64_kib(void **state)
{
	struct bytes fits = comment_of(65536), long_one = comment_of(69000);
	struct outcome o = outcome_read(&fits, VIA_FILE, 10);

	(void)state;
	assert_int_equal(o.ret, 0);
	assert_int_equal(o.nr, 1);
	outcome_free(&o);
	bytes_append(&fits, long_one.data, long_one.len);
	o = outcome_read(&fits, VIA_PIPE, 10);
	assert_int_equal(o.ret, -EBADMSG);
	assert_int_equal(o.nr, 1);
	outcome_free(&o);
	bytes_free(&fits);
	bytes_free(&long_one);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(reads_what_is_there),
	cmocka_unit_test(says_what_is_broken_and_where),
	cmocka_unit_test(a_line_may_have_64_kib),
};
TEST_MAIN(tests)
