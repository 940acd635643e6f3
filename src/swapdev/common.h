/* SPDX-License-Identifier: MIT */
/*
 * What all devices of this folder do alike: memory for their state without malloc, and the
 * check of what they are asked to move.
 */
#ifndef SWAPDEV_COMMON_H
#define SWAPDEV_COMMON_H

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "mm/swapdev.h"

static inline int state_map(size_t bytes, void **ret_state)
{
	long addr = sys_call6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (sys_is_error(addr))
		return (int)addr;
	*ret_state = (void *)addr;
	return 0;
}

static inline void state_unmap(void *state, size_t bytes)
{
	sys_call2(SYS_munmap, (long)state, (long)bytes);
}

/* What an I/O ends with before anything is moved; 0: it may be moved. */
static inline int swapdev_io_refusal(const struct swapdev *dev, const struct swapdev_io *io)
{
	if (io->slot == 0 || io->slot >= dev->nr_slots ||
	    ((uintptr_t)io->page & (PAGE_SIZE - 1)) != 0)
		return -EINVAL;
	for (unsigned int i = 0; i < dev->nr_bad_slots; i++)
		if (dev->bad_slots[i] == io->slot)
			return -EIO;
	return 0;
}

/* splitmix64 (Steele, Lea, Flood 2014): good enough to shuffle by, and the same everywhere. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

#endif
