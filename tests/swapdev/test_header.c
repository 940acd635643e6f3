/* SPDX-License-Identifier: MIT */
/*
 * Swap headers: byte by byte, and against util-linux's own tools where they are there.
 */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "swapdev/devices.h"
#include "swapdev/header.h"

#define AT_VERSION   1024
#define AT_LAST	     1028
#define AT_NR_BAD    1032
#define AT_PADDING   1068
#define AT_BAD	     1536
#define AT_SIGNATURE 4086
#define TOOLS	     "export LC_ALL=C PATH=/sbin:/usr/sbin:/bin:/usr/bin; "

static const struct swap_header sample = {
	.nr_slots = 1000,
	.nr_bad = 3,
	.bad = {5, 77, 999},
	.uuid = {1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16},
	.label = "ration",
};

struct page {
	_Alignas(uint32_t) uint8_t bytes[PAGE_SIZE];
};

static void put32(struct page *page, size_t at, uint32_t value)
{
	memcpy(page->bytes + at, &value, sizeof(value));
}

static void put_signature(struct page *page, const char *signature)
{
	memset(page->bytes + AT_SIGNATURE, 0, 10);
	memcpy(page->bytes + AT_SIGNATURE, signature, strlen(signature));
}

static void reads_what_it_wrote(void **state)
{
	struct swap_header header;
	struct page page;

	(void)state;
	swap_header_format(&sample, page.bytes);
	assert_int_equal(swap_header_parse(page.bytes, &header), SWAP_HEADER_OK);
	assert_int_equal(header.nr_slots, sample.nr_slots);
	assert_int_equal(header.page_size, PAGE_SIZE);
	assert_int_equal(header.nr_bad, 3);
	assert_memory_equal(header.bad, sample.bad, sizeof(header.bad));
	assert_memory_equal(header.uuid, sample.uuid, sizeof(header.uuid));
	assert_string_equal(header.label, "ration");
}

static void lies_where_mkswap_puts_it(void **state)
{
	struct page page;
	uint32_t word;

	(void)state;
	swap_header_format(&sample, page.bytes);
	assert_memory_equal(page.bytes + AT_SIGNATURE, "SWAPSPACE2", 10);
	memcpy(&word, page.bytes + AT_VERSION, 4);
	assert_int_equal(word, 1);
	memcpy(&word, page.bytes + AT_LAST, 4);
	assert_int_equal(word, 999);
	memcpy(&word, page.bytes + AT_NR_BAD, 4);
	assert_int_equal(word, 3);
	assert_memory_equal(page.bytes + 1036, sample.uuid, 16);
	assert_memory_equal(page.bytes + 1052, "ration\0\0", 8);
	memcpy(&word, page.bytes + AT_BAD + 4, 4);
	assert_int_equal(word, 77);
}

static void bad_pages_come_in_order(void **state)
{
	struct swap_header header;
	struct page page;

	(void)state;
	swap_header_format(&sample, page.bytes);
	put32(&page, AT_BAD, 999);
	put32(&page, AT_BAD + 8, 5);
	assert_int_equal(swap_header_parse(page.bytes, &header), SWAP_HEADER_OK);
	assert_memory_equal(header.bad, sample.bad, 3 * sizeof(header.bad[0]));
}

static void signatures_tell_states(void **state)
{
	const struct {
		const char *signature;
		enum swap_header_state state;
	} table[] = {
		{"SWAPSPACE2", SWAP_HEADER_OK},
		{"SWAP-SPACE", SWAP_HEADER_OLD},
		{"S1SUSPEND", SWAP_HEADER_HIBERNATED},
		{"S2SUSPEND", SWAP_HEADER_HIBERNATED},
		{"ULSUSPEND", SWAP_HEADER_HIBERNATED},
		{"LINHIB0001", SWAP_HEADER_HIBERNATED},
		{"\xed\xc3\x02\xe9\x98\x56\xe5\x0c", SWAP_HEADER_HIBERNATED},
		{"SWAPSPACE3", SWAP_HEADER_NONE},
		{"swapspace2", SWAP_HEADER_NONE},
		{"", SWAP_HEADER_NONE},
	};
	struct swap_header header;
	struct page page;

	(void)state;
	swap_header_format(&sample, page.bytes);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		put_signature(&page, table[i].signature);
		assert_int_equal(swap_header_parse(page.bytes, &header), table[i].state);
	}
}

static void numbers_that_cannot_be_are_refused(void **state)
{
	const struct {
		size_t at;
		uint32_t value;
		enum swap_header_state state;
	} table[] = {
		{AT_VERSION, 2, SWAP_HEADER_VERSION},
		{AT_VERSION, 0x01000000, SWAP_HEADER_BYTE_ORDER},
		{AT_LAST, 0, SWAP_HEADER_DAMAGED},
		{AT_LAST, UINT32_MAX, SWAP_HEADER_DAMAGED},
		{AT_LAST, 998, SWAP_HEADER_DAMAGED}, /* a bad page beyond the end */
		{AT_NR_BAD, SWAP_HEADER_BAD_MAX + 1, SWAP_HEADER_DAMAGED},
		{AT_BAD, 0, SWAP_HEADER_DAMAGED},
		{AT_PADDING + 12, 0xef53, SWAP_HEADER_DAMAGED}, /* ext4 has its magic there */
	};
	struct swap_header header;
	struct page page;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		swap_header_format(&sample, page.bytes);
		put32(&page, table[i].at, table[i].value);
		assert_int_equal(swap_header_parse(page.bytes, &header), table[i].state);
	}
}

/* Files. */

static char *dir;

static int make_dir(void **state)
{
	(void)state;
	dir = scratch_dir_make();
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	scratch_dir_remove(dir);
	return 0;
}

static int file_of(const char *name, off_t size)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_return_code(ftruncate(fd, size), errno);
	return fd;
}

static void short_and_empty_files_have_none(void **state)
{
	const off_t sizes[] = {0, 10, 4095, 4096, 8192};
	enum swap_header_state found;
	struct swap_header header;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = file_of("short", sizes[i]);

		assert_int_equal(swap_header_read(fd, &found, &header), 0);
		assert_int_equal(found, SWAP_HEADER_NONE);
		close(fd);
	}
	assert_int_equal(swap_header_read(-1, &found, &header), -EBADF);
}

static void larger_pages_are_recognized(void **state)
{
	enum swap_header_state found;
	struct swap_header header;

	(void)state;
	for (uint32_t size = 8192; size <= 65536; size *= 2) {
		int fd = file_of("large", 1 << 20);

		assert_int_equal(pwrite(fd, "SWAPSPACE2", 10, size - 10), 10);
		assert_int_equal(swap_header_read(fd, &found, &header), 0);
		assert_int_equal(found, SWAP_HEADER_PAGE_SIZE);
		assert_int_equal(header.page_size, size);
		close(fd);
	}
}

static void errors_of_the_disk_come_back(void **state)
{
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(swap_header_write(fd, &sample), -ENOSPC);
	close(fd);
}

/* util-linux. */

/* Return: the exit status of a shell command in dir; its first line of output in ret_line. */
static int run(const char *command, char *ret_line, size_t len)
{
	char line[PATH_MAX + 512];
	FILE *out;

	snprintf(line, sizeof(line), "cd '%s' && { " TOOLS "%s; } 2>&1", dir, command);
	out = popen(line, "r");
	assert_non_null(out);
	ret_line[0] = '\0';
	if (fgets(ret_line, (int)len, out))
		ret_line[strcspn(ret_line, "\n")] = '\0';
	while (fgets(line, sizeof(line), out))
		;
	return WEXITSTATUS(pclose(out));
}

static void need_tool(const char *name)
{
	char command[64], line[256], why[64];

	snprintf(command, sizeof(command), "command -v %s", name);
	snprintf(why, sizeof(why), "needs %s", name);
	if (run(command, line, sizeof(line)) != 0)
		test_skip(why);
}

static void reads_what_mkswap_wrote(void **state)
{
	enum swap_header_state found;
	struct swap_header header;
	int fd = file_of("theirs", 3 << 20);
	char line[256];

	(void)state;
	need_tool("mkswap");
	assert_int_equal(run("mkswap -L theirs "
			     "-U 01234567-89ab-4def-8123-456789abcdef theirs",
			     line, sizeof(line)),
			 0);
	assert_int_equal(swap_header_read(fd, &found, &header), 0);
	assert_int_equal(found, SWAP_HEADER_OK);
	assert_int_equal(header.nr_slots, 768);
	assert_int_equal(header.nr_bad, 0);
	assert_string_equal(header.label, "theirs");
	assert_memory_equal(header.uuid,
			    "\x01\x23\x45\x67\x89\xab\x4d\xef\x81\x23\x45\x67\x89\xab", 14);
	close(fd);
}

static void refuses_mkswap_for_larger_pages(void **state)
{
	enum swap_header_state found;
	struct swap_header header;
	int fd = file_of("theirs", 3 << 20);
	char line[256];

	(void)state;
	need_tool("mkswap");
	assert_int_equal(run("mkswap -p 16384 theirs", line, sizeof(line)), 0);
	assert_int_equal(swap_header_read(fd, &found, &header), 0);
	assert_int_equal(found, SWAP_HEADER_PAGE_SIZE);
	assert_int_equal(header.page_size, 16384);
	close(fd);
}

static void others_read_what_it_wrote(void **state)
{
	const char *uuid = "01020304-0506-4708-890a-0b0c0d0e0f10";
	int fd = file_of("ours", 4000 * 1024);
	char line[256];

	(void)state;
	assert_int_equal(swap_header_write(fd, &sample), 0);
	close(fd);
	need_tool("blkid");
	assert_int_equal(run("blkid -p -o value -s TYPE ours", line, sizeof(line)), 0);
	assert_string_equal(line, "swap");
	assert_int_equal(run("blkid -p -o value -s UUID ours", line, sizeof(line)), 0);
	assert_string_equal(line, uuid);
	assert_int_equal(run("blkid -p -o value -s LABEL ours", line, sizeof(line)), 0);
	assert_string_equal(line, "ration");
	need_tool("swaplabel");
	assert_int_equal(run("swaplabel ours", line, sizeof(line)), 0);
	assert_non_null(strstr(line, "ration"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(reads_what_it_wrote),
	cmocka_unit_test(lies_where_mkswap_puts_it),
	cmocka_unit_test(bad_pages_come_in_order),
	cmocka_unit_test(signatures_tell_states),
	cmocka_unit_test(numbers_that_cannot_be_are_refused),
	cmocka_unit_test_setup_teardown(short_and_empty_files_have_none, make_dir, remove_dir),
	cmocka_unit_test_setup_teardown(larger_pages_are_recognized, make_dir, remove_dir),
	cmocka_unit_test(errors_of_the_disk_come_back),
	cmocka_unit_test_setup_teardown(reads_what_mkswap_wrote, make_dir, remove_dir),
	cmocka_unit_test_setup_teardown(refuses_mkswap_for_larger_pages, make_dir, remove_dir),
	cmocka_unit_test_setup_teardown(others_read_what_it_wrote, make_dir, remove_dir),
};
TEST_MAIN(tests)
