/* SPDX-License-Identifier: MIT */
#include "machine/host_uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/syscall.h"

struct uffd_move_arg {
	uint64_t dst, src, len, mode;
	int64_t moved;
};

struct uffd_poison_arg {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};

#define UFFD_IOC_MOVE	_IOWR(UFFDIO, 0x05, struct uffd_move_arg)
#define UFFD_IOC_POISON _IOWR(UFFDIO, 0x08, struct uffd_poison_arg)
#define UFFD_DEV_NEW	_IO(0xAA, 0x00) /* USERFAULTFD_IOC_NEW, Linux 6.1 */

#define CPU_SEGMENT 0x7b /* GDT_ENTRY_CPUNODE, for users */
#define CPU_MASK    0xfff

#define USER_MODE_ONLY 1 /* UFFD_USER_MODE_ONLY, Linux 5.11 */

_Static_assert(sizeof(struct uffd_move_arg) == 40, "struct uffdio_move");
_Static_assert(UFFD_HAS_WP == UFFD_FEATURE_PAGEFAULT_FLAG_WP, "the kernel's bit");
_Static_assert(UFFD_HAS_SIGBUS == UFFD_FEATURE_SIGBUS, "the kernel's bit");
_Static_assert(UFFD_HAS_THREAD_ID == UFFD_FEATURE_THREAD_ID, "the kernel's bit");
_Static_assert(UFFD_PROTECTED == UFFDIO_COPY_MODE_WP, "the kernel's bit");
_Static_assert(UFFD_WAKES_NOT == UFFDIO_COPY_MODE_DONTWAKE, "the kernel's bit");

static int uffd_ioctl(int fd, unsigned long request, void *arg)
{
	return (int)sys_call3(SYS_ioctl, fd, (long)request, (long)arg);
}

void uffd_close(int fd)
{
	sys_call3(SYS_close, fd, 0, 0);
}

/* The device's file mode says who may, instead of a capability. */
static int uffd_open_dev(int flags, int *ret_dev_err)
{
	int dev = (int)sys_call4(SYS_openat, AT_FDCWD, (long)"/dev/userfaultfd",
				 O_RDWR | O_CLOEXEC, 0);
	int fd;

	if (dev < 0) {
		*ret_dev_err = dev;
		return dev;
	}
	fd = (int)sys_call3(SYS_ioctl, dev, UFFD_DEV_NEW, flags);
	uffd_close(dev);
	*ret_dev_err = fd < 0 ? fd : 0;
	return fd;
}

static int uffd_open_any(enum uffd_audience audience, int *ret_dev_err)
{
	int flags = O_CLOEXEC | O_NONBLOCK;
	int fd, dev_fd;

	if (audience == UFFD_TELLS_THREAD)
		flags |= USER_MODE_ONLY;
	fd = (int)sys_call2(SYS_userfaultfd, flags, 0);
	*ret_dev_err = 0;
	if (fd != -EPERM && fd != -ENOSYS)
		return fd;
	dev_fd = uffd_open_dev(flags, ret_dev_err);
	return dev_fd < 0 ? fd : dev_fd;
}

static int uffd_handshake(int fd, uint64_t *features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = *features};
	int err = uffd_ioctl(fd, UFFDIO_API, &api);

	if (!err)
		*features = api.features;
	return err;
}

/* A descriptor shakes hands once: one is spent on asking what the kernel has. */
static int uffd_ask_features(enum uffd_audience audience, uint64_t *ret_features,
			     int *ret_dev_err)
{
	uint64_t useful = UFFD_HAS_WP | UFFD_HAS_THREAD_ID | UFFD_HAS_POISON | UFFD_HAS_MOVE;
	uint64_t needed = UFFD_HAS_WP;
	uint64_t features = 0;
	int fd = uffd_open_any(audience, ret_dev_err);
	int err;

	if (fd < 0)
		return fd;
	err = uffd_handshake(fd, &features);
	uffd_close(fd);
	if (err)
		return err;
	if (audience == UFFD_TELLS_THREAD)
		needed |= UFFD_HAS_SIGBUS;
	if ((features & needed) != needed)
		return -EOPNOTSUPP;
	*ret_features = features & (useful | needed);
	return 0;
}

int uffd_open(enum uffd_audience audience, uint64_t *ret_features, int *ret_dev_err)
{
	uint64_t wanted, granted;
	int dev_err, err, fd;

	err = uffd_ask_features(audience, &wanted, &dev_err);
	if (ret_dev_err)
		*ret_dev_err = dev_err;
	if (err)
		return err;
	fd = uffd_open_any(audience, &dev_err);
	if (fd < 0)
		return fd;
	granted = wanted;
	err = uffd_handshake(fd, &granted);
	if (err) {
		uffd_close(fd);
		return err;
	}
	*ret_features = wanted;
	return fd;
}

int uffd_register(int fd, vaddr_t start, uint64_t len, bool is_window)
{
	struct uffdio_register arg = {
		.range = {.start = start, .len = len},
		.mode = UFFDIO_REGISTER_MODE_WP |
			(is_window ? UFFDIO_REGISTER_MODE_MISSING : 0),
	};

	return uffd_ioctl(fd, UFFDIO_REGISTER, &arg);
}

int uffd_protect(int fd, vaddr_t start, uint64_t len, bool is_protected)
{
	struct uffdio_writeprotect arg = {
		.range = {.start = start, .len = len},
		.mode = is_protected ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return uffd_ioctl(fd, UFFDIO_WRITEPROTECT, &arg);
}

int uffd_wake(int fd, vaddr_t start, uint64_t len)
{
	struct uffdio_range arg = {.start = start, .len = len};

	return uffd_ioctl(fd, UFFDIO_WAKE, &arg);
}

int uffd_poison(int fd, vaddr_t start, uint64_t len)
{
	struct uffd_poison_arg arg = {.range = {.start = start, .len = len}};

	return uffd_ioctl(fd, UFFD_IOC_POISON, &arg);
}

/* A call that stops halfway fails with EAGAIN and says in its argument how far it came. */
static int64_t uffd_progress(int err, int64_t done)
{
	if (err == 0 || (err == -EAGAIN && done > 0))
		return done;
	return err;
}

int64_t uffd_move(int fd, vaddr_t dst, vaddr_t src, uint64_t len, unsigned int mode)
{
	struct uffd_move_arg arg = {.dst = dst, .src = src, .len = len, .mode = mode};
	int err = uffd_ioctl(fd, UFFD_IOC_MOVE, &arg);

	return uffd_progress(err, arg.moved);
}

int64_t uffd_copy(int fd, vaddr_t dst, vaddr_t src, uint64_t len, unsigned int mode)
{
	struct uffdio_copy arg = {.dst = dst, .src = src, .len = len, .mode = mode};
	int err = uffd_ioctl(fd, UFFDIO_COPY, &arg);

	return uffd_progress(err, arg.copy);
}

/* The segment limit that Linux keeps for getcpu(2): no system call. */
uint32_t host_cpu(void)
{
	uint32_t number = 0;

	__asm__ volatile("lsl %1, %0" : "+r"(number) : "r"(CPU_SEGMENT) : "cc");
	return number & CPU_MASK;
}
