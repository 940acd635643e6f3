/* SPDX-License-Identifier: MIT */
/*
 * swap_file_open(): everything a user may name, and what each answer is.
 *
 * Whether the kernel's own swap is recognized is in test_kernel.c.
 */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "swapdev/child.h"
#include "swapdev/devices.h"
#include "swapdev/header.h"

#define KIB    1024u
#define MIB    (1024u * 1024u)
#define GIB    (1024ull * MIB)
#define NOBODY 65534

#define AT_VERSION   1024
#define AT_PADDING   1068
#define AT_SIGNATURE 4086

static char *dir;
static char why[2 * PATH_MAX + 256];

static int make_dir(void **state)
{
	(void)state;
	dir = scratch_dir_make();
	assert_return_code(chdir(dir), errno);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	assert_return_code(chdir("/"), errno);
	scratch_dir_remove(dir);
	return 0;
}

static int open_area(const char *path, uint64_t size, uint64_t standard,
		     struct swap_file *ret_file)
{
	struct swap_file_request req = {
		.path = path, .size_bytes = size, .default_bytes = standard};

	memset(why, 'x', sizeof(why));
	return swap_file_open(&req, ret_file, why, sizeof(why));
}

/* What may stand at the path "it" already. */

static void make_file(const char *name, off_t size, mode_t mode)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_return_code(ftruncate(fd, size), errno);
	assert_return_code(fchmod(fd, mode), errno);
	close(fd);
}

static void make_area(const char *name, uint64_t header_bytes, off_t file_bytes)
{
	const struct swap_header header = {.nr_slots = header_bytes / PAGE_SIZE};
	int fd;

	make_file(name, file_bytes, 0600);
	fd = open(name, O_RDWR | O_CLOEXEC);
	assert_int_equal(swap_header_write(fd, &header), 0);
	close(fd);
}

static void make_spoiled(off_t at, const void *bytes, size_t len)
{
	int fd;

	make_area("it", MIB, MIB);
	fd = open("it", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
	close(fd);
}

static void nothing(void)
{
}

static void directory(void)
{
	assert_return_code(mkdir("it", 0700), errno);
}

static void fifo(void)
{
	assert_return_code(mkfifo("it", 0600), errno);
}

static void socket_file(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "it"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_return_code(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), errno);
	close(fd);
}

static void link_to_null(void)
{
	assert_return_code(symlink("/dev/null", "it"), errno);
}

static void link_to_nothing(void)
{
	assert_return_code(symlink("gone", "it"), errno);
}

static void link_to_area(void)
{
	make_area("target", MIB, MIB);
	assert_return_code(symlink("target", "it"), errno);
}

static void empty(void)
{
	make_file("it", 0, 0600);
}

static void letters(void)
{
	make_file("it", MIB, 0600);
}

static void short_letter(void)
{
	make_file("it", 100, 0600);
}

static void area(void)
{
	make_area("it", MIB, MIB);
}

static void small_area(void)
{
	make_area("it", 9 * PAGE_SIZE, MIB);
}

static void cut_area(void)
{
	make_area("it", 2 * MIB, MIB);
}

static void readable_area(void)
{
	make_area("it", MIB, MIB);
	assert_return_code(chmod("it", 0640), errno);
}

static void hibernated(void)
{
	make_spoiled(AT_SIGNATURE, "S1SUSPEND\0", 10);
}

static void old(void)
{
	make_spoiled(AT_SIGNATURE, "SWAP-SPACE", 10);
}

static void version_two(void)
{
	make_spoiled(AT_VERSION, "\2\0\0\0", 4);
}

static void other_byte_order(void)
{
	make_spoiled(AT_VERSION, "\0\0\0\1", 4);
}

static void damaged(void)
{
	make_spoiled(AT_PADDING, "letter", 6);
}

static void larger_pages(void)
{
	int fd;

	make_file("it", MIB, 0600);
	fd = open("it", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "SWAPSPACE2", 10, 4 * PAGE_SIZE - 10), 10);
	close(fd);
}

/* err 0: opens, with nr_slots. says: what stands in the line; NULL: there is none. */
static const struct {
	void (*make)(void);
	const char *path;
	uint64_t size, standard;
	int err;
	uint64_t nr_slots;
	const char *says;
} table[] = {
	{nothing, "", 0, MIB, -EINVAL, 0, "path is empty"},
	{nothing, "it", MIB, 0, 0, 256, NULL},
	{nothing, "it", MIB + 4095, 0, 0, 256, NULL},
	{nothing, "it", 0, MIB, 0, 256, NULL},
	{nothing, "it", 40 * KIB, 0, 0, 10, NULL},
	{nothing, "it", 40 * KIB - 1, 0, -EINVAL, 0, "too small; the least is 40K"},
	{nothing, "it", 1, 0, -EINVAL, 0, "too small"},
	{nothing, "it", 1ull << 60, 0, -ENOSPC, 0, "is free there; try --swap it:"},
	{nothing, "it", UINT64_MAX, 0, -ENOSPC, 0, "is free there"},
	{nothing, "no/it", MIB, 0, -ENOENT, 0, "directory it should lie in does not exist"},
	{letters, "it/it", MIB, 0, -ENOTDIR, 0, "cannot be reached (Not a directory)"},
	{nothing, "/dev/no-such-disk", MIB, 0, -ENOENT, 0, "no such device; see lsblk"},
	{nothing, "/proc/it", MIB, 0, -ENOENT, 0, "does not exist"},
	{directory, "it", MIB, 0, -EISDIR, 0,
	 "is a directory; name a file in it, as in --swap it/swap"},
	{directory, "it/", 0, MIB, -EISDIR, 0, "as in --swap it/swap"},
	{fifo, "it", MIB, 0, -EINVAL, 0, "is a FIFO; name a file"},
	{socket_file, "it", MIB, 0, -EINVAL, 0, "is a socket; name a file"},
	{nothing, "/dev/null", 0, MIB, -EINVAL, 0, "is a character device; name a file"},
	{link_to_null, "it", 0, MIB, -EINVAL, 0, "is a character device"},
	{link_to_nothing, "it", 0, MIB, -EEXIST, 0, "symbolic link to nothing"},
	{link_to_area, "it", 0, GIB, 0, 256, NULL},
	{empty, "it", 0, MIB, -EEXIST, 0, "exists and is empty"},
	{letters, "it", 0, MIB, -EEXIST, 0, "somebody's data; name a path that does not exist"},
	{letters, "it", MIB, 0, -EEXIST, 0, "mkswap it"},
	{short_letter, "it", 0, MIB, -EEXIST, 0, "no swap signature"},
	{area, "it", 0, GIB, 0, 256, NULL},
	{area, "it", MIB, 0, 0, 256, NULL},
	{area, "it", MIB / 2, 0, 0, 128, NULL},
	{area, "it", MIB + 1, 0, -EINVAL, 0, "has only 1 MiB; leave the size out"},
	{area, "it", 39 * KIB, 0, -EINVAL, 0, "39 KiB is too small"},
	{small_area, "it", 0, MIB, -EINVAL, 0, "36 KiB is too small"},
	{cut_area, "it", 0, MIB, -EINVAL, 0, "says 2 MiB, but it has only 1 MiB"},
	{readable_area, "it", 0, MIB, 0, 256, "others may read it (mode 0640)"},
	{hibernated, "it", 0, MIB, -EBUSY, 0, "a hibernated system sleeps in it"},
	{old, "it", 0, MIB, -EINVAL, 0, "version that is not known"},
	{version_two, "it", 0, MIB, -EINVAL, 0, "version that is not known"},
	{other_byte_order, "it", 0, MIB, -EINVAL, 0, "other byte order"},
	{damaged, "it", 0, MIB, -EINVAL, 0, "header is damaged"},
	{larger_pages, "it", 0, MIB, -EINVAL, 0, "for pages of 16 KiB, here they are 4 KiB"},
};

#define NR_ROWS (sizeof(table) / sizeof(table[0]))

/* The whole of a small file, to see that nobody wrote to it. */
struct content {
	bool is_there;
	struct stat st;
	uint8_t bytes[64 * KIB];
};

static void content_take(struct content *content)
{
	int fd;

	memset(content, 0, sizeof(*content));
	content->is_there = lstat("it", &content->st) == 0;
	if (!content->is_there || !S_ISREG(content->st.st_mode))
		return;
	fd = open("it", O_RDONLY | O_CLOEXEC);
	assert_true(pread(fd, content->bytes, sizeof(content->bytes), 0) >= 0);
	close(fd);
}

static void assert_untouched(const struct content *before)
{
	static struct content now;

	content_take(&now);
	assert_int_equal(now.is_there, before->is_there);
	assert_int_equal(now.st.st_ino, before->st.st_ino);
	assert_int_equal(now.st.st_size, before->st.st_size);
	assert_int_equal(now.st.st_mtim.tv_nsec, before->st.st_mtim.tv_nsec);
	assert_memory_equal(now.bytes, before->bytes, sizeof(now.bytes));
}

static void assert_one_line(const char *path)
{
	char start[PATH_MAX + 16];

	snprintf(start, sizeof(start), "--swap %s: ", path);
	assert_memory_equal(why, start, strlen(start));
	assert_null(strchr(why, '\n'));
	assert_in_range(strlen(why), strlen(start) + 10, strlen(start) + 160);
}

static void check_row(size_t i)
{
	struct swap_file file = {.fd = -7};
	static struct content before;
	int err;

	table[i].make();
	content_take(&before);
	err = open_area(table[i].path, table[i].size, table[i].standard, &file);
	if (err != table[i].err)
		fail_msg("row %zu: %d, not %d: %s", i, err, table[i].err, why);
	if (err == 0) {
		assert_int_equal(file.nr_slots, table[i].nr_slots);
		assert_int_equal(file.is_made, !before.is_there);
		swap_file_close(&file);
	} else {
		assert_int_equal(file.fd, -7);
	}
	if (table[i].says && !strstr(why, table[i].says))
		fail_msg("row %zu: \"%s\" does not say \"%s\"", i, why, table[i].says);
	if (table[i].says)
		assert_one_line(table[i].path);
	else
		assert_string_equal(why, "");
	assert_untouched(&before);
}

static void answers_each_path_and_size(void **state)
{
	for (size_t i = 0; i < NR_ROWS; i++) {
		make_dir(state);
		check_row(i);
		remove_dir(state);
	}
}

/* Making a file. */

static void makes_a_private_sparse_file(void **state)
{
	mode_t umasks[] = {0, 022, 0777};
	enum swap_header_state found;
	struct swap_header header;
	struct swap_file file;
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(umasks) / sizeof(umasks[0]); i++) {
		mode_t saved = umask(umasks[i]);

		assert_int_equal(open_area("it", 64 * MIB, 0, &file), 0);
		umask(saved);
		assert_return_code(stat("it", &st), errno);
		assert_int_equal(st.st_mode, S_IFREG | 0600);
		assert_int_equal(st.st_size, 64 * MIB);
		assert_in_range(st.st_blocks, 0, 256);
		assert_int_equal(swap_header_read(file.fd, &found, &header), 0);
		assert_int_equal(found, SWAP_HEADER_OK);
		assert_string_equal(header.label, "ration");
		assert_int_equal(header.uuid[6] >> 4, 4);
		assert_int_equal(header.uuid[8] >> 6, 2);
		swap_file_close(&file);
		assert_int_equal(access("it", F_OK), -1);
	}
}

static void default_is_cut_to_what_is_free(void **state)
{
	struct swap_file file;
	struct statvfs fs;
	uint64_t usable, bytes;

	(void)state;
	assert_return_code(statvfs(".", &fs), errno);
	usable = (uint64_t)fs.f_bavail * fs.f_frsize / 100 * 90;
	assert_int_equal(open_area("it", 0, UINT64_MAX, &file), 0);
	bytes = file.nr_slots * PAGE_SIZE;
	/* Others use the disk, too. */
	assert_in_range(bytes, usable / 100 * 80, usable / 100 * 120);
	swap_file_close(&file);
}

static void removes_only_what_it_made(void **state)
{
	struct swap_file file;

	(void)state;
	assert_int_equal(open_area("it", MIB, 0, &file), 0);
	assert_return_code(rename("it", "moved"), errno);
	make_file("it", 3, 0600);
	swap_file_close(&file);
	assert_int_equal(access("it", F_OK), 0);
	assert_int_equal(access("moved", F_OK), 0);

	assert_int_equal(open_area("moved", 0, MIB, &file), 0);
	assert_false(file.is_made);
	swap_file_close(&file);
	assert_int_equal(access("moved", F_OK), 0);
}

static void one_run_at_a_time(void **state)
{
	struct swap_file first, second = {.fd = -7};

	(void)state;
	assert_int_equal(open_area("it", MIB, 0, &first), 0);
	assert_int_equal(open_area("it", 0, MIB, &second), -EBUSY);
	assert_one_line("it");
	assert_non_null(strstr(why, "in use by another run; name another path"));
	assert_int_equal(access("it", F_OK), 0);
	swap_file_close(&first);
	make_area("it", MIB, MIB);
	assert_int_equal(open_area("it", 0, MIB, &first), 0);
	assert_int_equal(open_area("it", 0, MIB, &second), -EBUSY);
	swap_file_close(&first);
	assert_int_equal(open_area("it", 0, MIB, &second), 0);
	swap_file_close(&second);
}

static void a_line_that_does_not_fit_is_cut(void **state)
{
	struct swap_file_request req = {.path = "it"};
	struct swap_file file;
	char small[16];

	(void)state;
	directory();
	assert_int_equal(swap_file_open(&req, &file, small, sizeof(small)), -EISDIR);
	assert_string_equal(small, "--swap it: is a");
}

/* As another user, under a limit, in a mount namespace: what cannot be undone. */

static int as_nobody(void)
{
	struct swap_file file;

	if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
		return CHILD_CANNOT;
	CHILD_EXPECT(open_area("it", 0, MIB, &file) == -EACCES);
	CHILD_EXPECT(
		strstr(why, "you may not read and write it (Permission denied); name another"));
	CHILD_EXPECT(open_area("new", MIB, 0, &file) == -EACCES);
	CHILD_EXPECT(strstr(why, "you may not make a file there; name another path"));
	CHILD_EXPECT(open_area("locked/it", MIB, 0, &file) == -EACCES);
	CHILD_EXPECT(strstr(why, "cannot be reached (Permission denied)"));
	CHILD_EXPECT(open_area("readable", 0, MIB, &file) == -EACCES);
	CHILD_EXPECT(open_area("open/it", MIB, 0, &file) == 0);
	swap_file_close(&file);
	CHILD_EXPECT(access("open/it", F_OK) != 0);
	return 0;
}

static void permissions_are_said(void **state)
{
	(void)state;
	if (getuid() != 0)
		test_skip("needs root, to become somebody else");
	make_area("it", MIB, MIB);
	make_area("readable", MIB, MIB);
	assert_return_code(chmod("readable", 0644), errno);
	assert_return_code(mkdir("locked", 0700), errno);
	assert_return_code(mkdir("open", 0700), errno);
	assert_return_code(chmod("open", 0777), errno);
	assert_return_code(chmod(".", 0755), errno);
	assert_in_child(as_nobody);
}

static int under_file_limit(void)
{
	struct rlimit limit = {.rlim_cur = MIB, .rlim_max = MIB};
	struct swap_file file;

	CHILD_EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHILD_EXPECT(open_area("it", MIB + 4096, 0, &file) == -EFBIG);
	CHILD_EXPECT(strstr(
		why, "files may not exceed 1 MiB here; raise that with ulimit -f, or try "
		     "--swap it:1024K"));
	CHILD_EXPECT(access("it", F_OK) != 0);
	CHILD_EXPECT(open_area("it", 0, GIB, &file) == 0);
	CHILD_EXPECT(file.nr_slots == 256);
	swap_file_close(&file);
	return 0;
}

static void file_size_limits_are_said(void **state)
{
	(void)state;
	assert_in_child(under_file_limit);
}

static int on_small_tmpfs(void)
{
	struct swap_file file;

	if (child_mount_tmpfs("mnt", "size=1M") != 0)
		return CHILD_CANNOT;
	CHILD_EXPECT(open_area("mnt/it", 2 * MIB, 0, &file) == -ENOSPC);
	CHILD_EXPECT(strstr(
		why, "size 2 MiB: only 1 MiB is free there; try --swap mnt/it:921K, or a"));
	CHILD_EXPECT(access("mnt/it", F_OK) != 0);
	CHILD_EXPECT(open_area("mnt/it", 0, GIB, &file) == 0);
	CHILD_EXPECT(file.nr_slots == 230); /* 90% of 256 */
	CHILD_EXPECT(
		strstr(why, "lies in memory (tmpfs), so it saves none; name a path on a disk"));
	swap_file_close(&file);
	return 0;
}

static int on_full_tmpfs(void)
{
	struct swap_file file;

	if (child_mount_tmpfs("mnt", "size=32K") != 0)
		return CHILD_CANNOT;
	CHILD_EXPECT(open_area("mnt/it", 0, GIB, &file) == -ENOSPC);
	CHILD_EXPECT(strstr(why, "can be had there; name a path on another file system"));
	CHILD_EXPECT(access("mnt/it", F_OK) != 0);
	return 0;
}

static int on_read_only_tmpfs(void)
{
	struct swap_file file;

	if (child_mount_tmpfs("mnt", "size=1M") != 0)
		return CHILD_CANNOT;
	make_area("mnt/it", MIB / 2, MIB / 2);
	if (mount(NULL, "mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0)
		return CHILD_CANNOT;
	CHILD_EXPECT(open_area("mnt/it", 0, MIB, &file) == -EROFS);
	CHILD_EXPECT(strstr(why, "is read-only; name a path that can be written"));
	CHILD_EXPECT(open_area("mnt/new", MIB, 0, &file) == -EROFS);
	CHILD_EXPECT(strstr(why, "its file system is read-only; name another path"));
	return 0;
}

static void too_little_space_is_said(void **state)
{
	(void)state;
	assert_return_code(mkdir("mnt", 0700), errno);
	assert_in_child(on_small_tmpfs);
}

static void no_space_for_a_default_is_said(void **state)
{
	(void)state;
	assert_return_code(mkdir("mnt", 0700), errno);
	assert_in_child(on_full_tmpfs);
}

static void read_only_file_systems_are_said(void **state)
{
	(void)state;
	assert_return_code(mkdir("mnt", 0700), errno);
	assert_in_child(on_read_only_tmpfs);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(answers_each_path_and_size),
	IN_DIR(makes_a_private_sparse_file),
	IN_DIR(default_is_cut_to_what_is_free),
	IN_DIR(removes_only_what_it_made),
	IN_DIR(one_run_at_a_time),
	IN_DIR(a_line_that_does_not_fit_is_cut),
	IN_DIR(permissions_are_said),
	IN_DIR(file_size_limits_are_said),
	IN_DIR(too_little_space_is_said),
	IN_DIR(no_space_for_a_default_is_said),
	IN_DIR(read_only_file_systems_are_said),
};
TEST_MAIN(tests)
