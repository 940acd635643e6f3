/* SPDX-License-Identifier: MIT */
/*
 * Swap areas and the kernel: it takes the header that is written here, what it swaps to is left
 * alone, and block devices are swap areas, too. Needs root and loop devices; a teardown takes
 * everything away again, and the loop device goes with its last descriptor.
 */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/spawn.h"
#include "swapdev/child.h"
#include "swapdev/devices.h"
#include "swapdev/header.h"

#define MIB   (1024u * 1024u)
#define BYTES (4 * MIB)
#define SLOTS (BYTES / PAGE_SIZE)
#define TRIES 20
#define ENV   "export LC_ALL=C PATH=/sbin:/usr/sbin:/bin:/usr/bin; "

static struct {
	char *dir;
	char loop[64];
	int loop_fd; /* -1: none */
	char why[2 * PATH_MAX];
} f;

static int set_up(void **state)
{
	(void)state;
	f.dir = scratch_dir_make();
	f.loop_fd = -1;
	assert_return_code(chdir(f.dir), errno);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	swapoff("it with blanks");
	swapoff("it");
	if (f.loop_fd >= 0) {
		swapoff(f.loop);
		close(f.loop_fd);
	}
	assert_return_code(chdir("/"), errno);
	scratch_dir_remove(f.dir);
	return 0;
}

static void need_root(void)
{
	if (getuid() != 0)
		test_skip("needs root");
}

static int shell(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), ENV "%s >/dev/null 2>&1", command);
	return WEXITSTATUS(system(line));
}

static int open_area(const char *path, uint64_t size, struct swap_file *ret_file)
{
	struct swap_file_request req = {.path = path, .size_bytes = size, .default_bytes = MIB};

	return swap_file_open(&req, ret_file, f.why, sizeof(f.why));
}

/* No holes: the kernel wants every block of a swap file in its place. */
static void make_solid(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	static const char zeros[MIB];

	assert_true(fd >= 0);
	for (int i = 0; i < (int)(BYTES / MIB); i++)
		assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	assert_return_code(fsync(fd), errno);
	close(fd);
}

static void write_header(const char *path)
{
	const struct swap_header header = {.nr_slots = SLOTS, .label = "ration"};
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(swap_header_write(fd, &header), 0);
	assert_return_code(fsync(fd), errno);
	close(fd);
}

static void need_kernel_swap(const char *path)
{
	if (shell("command -v mkswap") != 0)
		test_skip("needs mkswap");
	make_solid("control");
	assert_int_equal(shell("mkswap control"), 0);
	if (swapon("control", 0) != 0)
		test_skip("the kernel swaps to no file here");
	assert_return_code(swapoff("control"), errno);
	make_solid(path);
}

static void the_kernel_takes_our_header(void **state)
{
	(void)state;
	need_root();
	need_kernel_swap("it");
	write_header("it");
	assert_return_code(swapon("it", 0), errno);
	assert_return_code(swapoff("it"), errno);
}

/* By its name, by another name, and by what the file itself says. */
static void what_the_kernel_swaps_to_is_refused(void **state)
{
	const char *names[] = {"it with blanks", "link", "hard"};
	struct swap_file file;

	(void)state;
	need_root();
	need_kernel_swap("it with blanks");
	write_header("it with blanks");
	assert_return_code(symlink("it with blanks", "link"), errno);
	assert_return_code(link("it with blanks", "hard"), errno);
	assert_return_code(swapon("it with blanks", 0), errno);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(open_area(names[i], 0, &file), -EBUSY);
		assert_non_null(strstr(f.why, "in use by the kernel as swap (see /proc/swaps); "
					      "name another path, or run first: swapoff "));
	}
	assert_return_code(swapoff("it with blanks"), errno);
	assert_int_equal(open_area("it with blanks", 0, &file), 0);
	swap_file_close(&file);
}

static int writes_are_forbidden(void)
{
	struct swap_file file;

	if (child_forbid_syscall(SYS_pwrite64, EPERM) != 0)
		return CHILD_CANNOT;
	CHILD_EXPECT(open_area("it with blanks", 0, &file) == -EBUSY);
	return 0;
}

static void kernel_swap_is_known_by_proc_alone(void **state)
{
	(void)state;
	need_root();
	need_kernel_swap("it with blanks");
	write_header("it with blanks");
	assert_return_code(swapon("it with blanks", 0), errno);
	assert_in_child(writes_are_forbidden);
}

static int proc_is_hidden(void)
{
	struct swap_file file;

	if (child_mount_tmpfs("/proc", "size=64K") != 0)
		return CHILD_CANNOT;
	CHILD_EXPECT(open_area("it", 0, &file) == -EBUSY);
	CHILD_EXPECT(strstr(f.why, "in use by the kernel as swap"));
	return 0;
}

static void kernel_swap_is_known_without_proc(void **state)
{
	(void)state;
	need_root();
	need_kernel_swap("it");
	write_header("it");
	assert_return_code(swapon("it", 0), errno);
	assert_in_child(proc_is_hidden);
}

/* A loop device over the file "disk"; another may take the free number first. */
static void make_loop(void)
{
	struct loop_config config = {.info.lo_flags = LO_FLAGS_AUTOCLEAR};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), disk;

	need_root();
	if (control < 0)
		test_skip("needs loop devices");
	make_solid("disk");
	disk = open("disk", O_RDWR | O_CLOEXEC);
	config.fd = (uint32_t)disk;
	for (int i = 0; i < TRIES && f.loop_fd < 0; i++) {
		snprintf(f.loop, sizeof(f.loop), "/dev/loop%d",
			 ioctl(control, LOOP_CTL_GET_FREE));
		f.loop_fd = open(f.loop, O_RDWR | O_CLOEXEC);
		if (f.loop_fd >= 0 && ioctl(f.loop_fd, LOOP_CONFIGURE, &config) != 0) {
			close(f.loop_fd);
			f.loop_fd = -1;
		}
	}
	close(disk);
	close(control);
	if (f.loop_fd < 0)
		test_skip("needs a free loop device");
}

static void move_pages(const struct swap_file *area, bool no_uring)
{
	struct swapdev_file_config cfg = {
		.nr_slots = area->nr_slots, .no_uring = no_uring, .spawn = spawn_thread};
	struct test_device t = {.event_fd = -1};
	void *page = pages_make(1);
	char path[64];

	/* As the processes of a run open it. */
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), area->fd);
	cfg.fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(cfg.fd >= 0);
	assert_int_equal(swapdev_file_create(&cfg, &t.dev), 0);
	t.event_fd = swapdev_file_event_fd(t.dev);
	for (uint64_t slot = 1; slot < SLOTS; slot += SLOTS / 8)
		assert_int_equal(write_page(&t, slot, 3), 0);
	assert_int_equal(write_page(&t, SLOTS - 1, 3), 0);
	for (uint64_t slot = 1; slot < SLOTS; slot += SLOTS / 8) {
		assert_int_equal(read_page(&t, slot, page), 0);
		assert_true(page_holds(page, slot, 3));
	}
	t.dev->ops->close(t.dev);
	pages_free(page, 1);
}

static void a_block_device_is_an_area(void **state)
{
	char command[128];
	struct swap_file area;

	(void)state;
	make_loop();
	assert_int_equal(open_area(f.loop, 0, &area), -EEXIST);
	assert_non_null(strstr(f.why, "no swap signature"));
	snprintf(command, sizeof(command), "mkswap %s", f.loop);
	if (shell("command -v mkswap") != 0)
		write_header(f.loop);
	else
		assert_int_equal(shell(command), 0);
	assert_int_equal(open_area(f.loop, BYTES + 4096, &area), -EINVAL);
	assert_non_null(strstr(f.why, "has only 4 MiB"));
	assert_int_equal(open_area(f.loop, 0, &area), 0);
	assert_int_equal(area.nr_slots, SLOTS);
	assert_false(area.is_made);
	move_pages(&area, false);
	move_pages(&area, true);
	swap_file_close(&area);
	assert_int_equal(access(f.loop, F_OK), 0);
}

static void a_device_smaller_than_its_header_is_refused(void **state)
{
	const struct swap_header header = {.nr_slots = SLOTS + 1};
	struct swap_file area;

	(void)state;
	make_loop();
	assert_int_equal(swap_header_write(f.loop_fd, &header), 0);
	assert_int_equal(open_area(f.loop, 0, &area), -EINVAL);
	assert_non_null(strstr(f.why, "but it has only 4 MiB"));
}

static void a_device_in_use_is_refused(void **state)
{
	struct swap_file first, second;

	(void)state;
	make_loop();
	write_header(f.loop);
	assert_int_equal(open_area(f.loop, 0, &first), 0);
	assert_int_equal(open_area(f.loop, 0, &second), -EBUSY);
	swap_file_close(&first);

	assert_return_code(swapon(f.loop, 0), errno);
	assert_int_equal(open_area(f.loop, 0, &second), -EBUSY);
	assert_non_null(strstr(f.why, "in use by the kernel as swap"));
	assert_return_code(swapoff(f.loop), errno);
	assert_int_equal(open_area(f.loop, 0, &first), 0);
	swap_file_close(&first);
}

static int device_is_mounted(void)
{
	struct swap_file area;

	if (child_mount_tmpfs("mnt", "size=64K") != 0 ||
	    mount(f.loop, "mnt", "ext4", 0, NULL) != 0)
		return CHILD_CANNOT;
	CHILD_EXPECT(open_area(f.loop, 0, &area) == -EBUSY);
	CHILD_EXPECT(strstr(f.why, "the device is mounted or otherwise in use; name another"));
	return 0;
}

static void a_mounted_device_is_refused(void **state)
{
	char command[128];

	(void)state;
	make_loop();
	assert_return_code(mkdir("mnt", 0700), errno);
	snprintf(command, sizeof(command), "mkfs.ext4 -q %s", f.loop);
	if (shell(command) != 0)
		test_skip("needs mkfs.ext4");
	assert_in_child(device_is_mounted);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	IN_DIR(the_kernel_takes_our_header),
	IN_DIR(what_the_kernel_swaps_to_is_refused),
	IN_DIR(kernel_swap_is_known_by_proc_alone),
	IN_DIR(kernel_swap_is_known_without_proc),
	IN_DIR(a_block_device_is_an_area),
	IN_DIR(a_device_smaller_than_its_header_is_refused),
	IN_DIR(a_device_in_use_is_refused),
	IN_DIR(a_mounted_device_is_refused),
};
TEST_MAIN(tests)
