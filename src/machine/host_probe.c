/* SPDX-License-Identifier: MIT */
/*
 * May this process use userfaultfd, and if not, why: for the launcher's one line.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "machine/host.h"
#include "machine/host_uffd.h"

#define SYSCTL_PATH "/proc/sys/vm/unprivileged_userfaultfd" /* since Linux 5.2 */

static int read_sysctl(void)
{
	char digit = 0;
	long nr;
	int fd = (int)sys_call4(SYS_openat, AT_FDCWD, (long)SYSCTL_PATH, O_RDONLY | O_CLOEXEC,
				0);

	if (fd < 0)
		return -1;
	nr = sys_call3(SYS_read, fd, (long)&digit, 1);
	uffd_close(fd);
	return nr == 1 && digit >= '0' && digit <= '9' ? digit - '0' : -1;
}

/* What a kernel says that it has, and what it does with anonymous memory, can differ. */
static int try_register(int fd)
{
	long page = sys_call6(SYS_mmap, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	if (sys_is_error(page))
		return (int)page;
	err = uffd_register(fd, (vaddr_t)page, PAGE_SIZE, true);
	sys_call2(SYS_munmap, page, PAGE_SIZE);
	return err == -EINVAL ? -EOPNOTSUPP : err;
}

static enum machine_host_verdict verdict_of(int err)
{
	switch (err) {
	case 0:
		return MACHINE_HOST_OK;
	case -ENOSYS:
		return MACHINE_HOST_NO_SYSCALL;
	case -EPERM:
	case -EACCES:
		return MACHINE_HOST_NO_RIGHT;
	case -EOPNOTSUPP:
		return MACHINE_HOST_NO_WP;
	default:
		return MACHINE_HOST_NO_MEANS;
	}
}

static int probe_audience(enum uffd_audience audience, struct machine_host_probe *ret_probe)
{
	struct machine_host_probe probe = {.sysctl = read_sysctl()};
	uint64_t features = 0;
	int fd = uffd_open(audience, &features, &probe.dev_err);

	probe.err = fd < 0 ? fd : try_register(fd);
	if (fd >= 0)
		uffd_close(fd);
	probe.verdict = verdict_of(probe.err);
	probe.has_move = (features & UFFD_HAS_MOVE) != 0;
	probe.has_poison = (features & UFFD_HAS_POISON) != 0;
	*ret_probe = probe;
	return probe.err;
}

/**
 * machine_host_probe() - may this process use userfaultfd, also for faults of system calls?
 * @ret_probe: always filled in: the answer, and what a message needs to name the way out.
 *
 * Return: 0, or the -errno behind the verdict, as machine_host_create() would return it.
 */
int machine_host_probe(struct machine_host_probe *ret_probe)
{
	return probe_audience(UFFD_TELLS_READER, ret_probe);
}

/**
 * machine_host_probe_signals() - may it use userfaultfd by signals
 * (machine_host_open_signals())?
 * @ret_probe: as machine_host_probe().
 *
 * Return: as machine_host_probe().
 */
int machine_host_probe_signals(struct machine_host_probe *ret_probe)
{
	return probe_audience(UFFD_TELLS_THREAD, ret_probe);
}
