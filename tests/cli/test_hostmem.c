/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "run/hostmem.h"
#include "tree.h"

#define MIB ((uint64_t)1 << 20)

#define MEMINFO                         \
	"MemTotal:       16000000 kB\n" \
	"MemFree:         1000000 kB\n" \
	"MemAvailable:    8388608 kB\n" \
	"Buffers:           10000 kB\n"

#define MOUNT_V1 "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
#define MOUNT_V1_PART \
	"35 31 0:32 /docker/f00 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
#define MOUNT_V2 "41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
#define MOUNT_OTHER                                               \
	"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n" \
	"33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"

/* A machine with MEMINFO and these control groups. */
struct machine_case {
	const char *what;
	const char *mountinfo; /* NULL: no such files */
	const char *cgroup;    /* /proc/self/cgroup */
	const char *files[12]; /* below /sys/fs/cgroup, name and content by turns, to a NULL */
	uint64_t available;
};

static const struct machine_case cases[] = {
	{.what = "no groups", .available = 8192 * MIB},
	{.what = "v2, no limit",
	 .mountinfo = MOUNT_OTHER MOUNT_V2,
	 .cgroup = "0::/user.slice/a\n",
	 .files = {"user.slice/a/memory.max", "max\n", "user.slice/a/memory.current", "4096\n"},
	 .available = 8192 * MIB},
	{.what = "v2, 300 of 1024 MiB used, 100 of these are inactive file pages",
	 .mountinfo = MOUNT_OTHER MOUNT_V2,
	 .cgroup = "0::/user.slice/a\n",
	 .files = {"user.slice/a/memory.max", "1073741824\n", "user.slice/a/memory.current",
		   "314572800\n", "user.slice/a/memory.stat",
		   "anon 200000\nactive_file 1\ninactive_file 104857600\n"},
	 .available = 824 * MIB},
	{.what = "v2, the parent's limit is the tighter one",
	 .mountinfo = MOUNT_V2,
	 .cgroup = "0::/user.slice/a\n",
	 .files = {"user.slice/a/memory.max", "1073741824\n", "user.slice/a/memory.current",
		   "0\n", "user.slice/memory.max", "536870912\n", "user.slice/memory.current",
		   "268435456\n"},
	 .available = 256 * MIB},
	{.what = "v2, more used than allowed",
	 .mountinfo = MOUNT_V2,
	 .cgroup = "0::/a\n",
	 .files = {"a/memory.max", "1000\n", "a/memory.current", "2000\n"},
	 .available = 0},
	{.what = "v1 beside v2",
	 .mountinfo = MOUNT_OTHER MOUNT_V1 MOUNT_V2,
	 .cgroup = "4:cpu,cpuacct:/\n3:memory:/job\n0::/\n",
	 .files = {"memory/job/memory.limit_in_bytes", "2147483648\n",
		   "memory/job/memory.usage_in_bytes", "1073741824\n", "memory/job/memory.stat",
		   "inactive_file 1\ntotal_inactive_file 536870912\n"},
	 .available = 1536 * MIB},
	{.what = "v1, no limit as the kernel writes it",
	 .mountinfo = MOUNT_V1,
	 .cgroup = "3:memory:/job\n",
	 .files = {"memory/job/memory.limit_in_bytes", "9223372036854771712\n",
		   "memory/job/memory.usage_in_bytes", "5\n"},
	 .available = 8192 * MIB},
	{.what = "v1 in a container that sees its own part of the tree only",
	 .mountinfo = MOUNT_V1_PART,
	 .cgroup = "3:memory:/docker/f00\n",
	 .files = {"memory/memory.limit_in_bytes", "134217728\n",
		   "memory/memory.usage_in_bytes", "0\n"},
	 .available = 128 * MIB},
	{.what = "the same, in a group of the container",
	 .mountinfo = MOUNT_V1_PART,
	 .cgroup = "3:memory:/docker/f00/job\n",
	 .files = {"memory/job/memory.limit_in_bytes", "67108864\n",
		   "memory/job/memory.usage_in_bytes", "0\n", "memory/memory.limit_in_bytes",
		   "134217728\n", "memory/memory.usage_in_bytes", "0\n"},
	 .available = 64 * MIB},
};

static void write_text(const char *folder, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	tree_write(path, text, strlen(text), 0644);
}

static void a_machine_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *root = tree_make();
		uint64_t available = 0;
		int err;

		write_text("proc", "meminfo", MEMINFO);
		if (cases[i].mountinfo) {
			write_text("proc/self", "mountinfo", cases[i].mountinfo);
			write_text("proc/self", "cgroup", cases[i].cgroup);
		}
		for (const char *const *file = cases[i].files; *file; file += 2)
			write_text("sys/fs/cgroup", file[0], file[1]);
		err = hostmem_available(root, &available);
		tree_remove();
		if (err || available != cases[i].available)
			fail_msg("%s: %d, %" PRIu64 " MiB", cases[i].what, err,
				 available / MIB);
	}
}

static void a_machine_without_proc_is_an_error(void **state)
{
	uint64_t available = 42;
	int err;

	(void)state;
	err = hostmem_available(tree_make(), &available);
	tree_remove();
	assert_int_equal(err, -ENOENT);
	assert_int_equal(available, 42);
}

static void this_machine_has_some(void **state)
{
	uint64_t available;

	(void)state;
	assert_int_equal(hostmem_available("", &available), 0);
	assert_true(available > MIB);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_machine_is_read),
	cmocka_unit_test(a_machine_without_proc_is_an_error),
	cmocka_unit_test(this_machine_has_some),
};
TEST_MAIN(tests)
