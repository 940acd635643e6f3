/* SPDX-License-Identifier: MIT */
/*
 * The backend before there is one: the host's own mmap. There is no break here, because the
 * program's break may become the manager's later.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "malloc/arena.h"

static int host_mmap(void *arg, uint64_t len, vaddr_t *ret_addr)
{
	long ret;

	(void)arg;
	ret = sys_call6(SYS_mmap, 0, (long)len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_error(ret))
		return (int)ret;
	*ret_addr = (vaddr_t)ret;
	return 0;
}

static int host_munmap(void *arg, vaddr_t addr, uint64_t len)
{
	(void)arg;
	return (int)sys_call2(SYS_munmap, (long)addr, (long)len);
}

static int host_mremap(void *arg, vaddr_t addr, uint64_t old_len, uint64_t new_len,
		       vaddr_t *ret_addr)
{
	long ret;

	(void)arg;
	ret = sys_call4(SYS_mremap, (long)addr, (long)old_len, (long)new_len, MREMAP_MAYMOVE);
	if (sys_is_error(ret))
		return (int)ret;
	*ret_addr = (vaddr_t)ret;
	return 0;
}

static int host_dontneed(void *arg, vaddr_t addr, uint64_t len)
{
	(void)arg;
	return (int)sys_call3(SYS_madvise, (long)addr, (long)len, MADV_DONTNEED);
}

const struct malloc_backend malloc_host_backend = {
	.mmap = host_mmap,
	.munmap = host_munmap,
	.mremap = host_mremap,
	.dontneed = host_dontneed,
};
