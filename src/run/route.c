/* SPDX-License-Identifier: MIT */
/*
 * Managed is what Linux would swap and nothing else: private anonymous memory. Not managed are,
 * besides files and shared memory,
 *	code		each fetch would have to be seen;
 *	MAP_STACK, MAP_GROWSDOWN
 *			stacks: the kernel writes signal frames there, and fork runs on one;
 *	MAP_LOCKED	asks that it is not swapped;
 *	MAP_HUGETLB	comes from another pool;
 *	MAP_32BIT	asks for addresses below the window.
 * At a fixed address managed memory is what lies in the window, all else stays where the kernel
 * puts it.
 */
#include "run/route.h"

#include <sys/mman.h>

#define UNMANAGED_FLAGS (MAP_HUGETLB | MAP_GROWSDOWN | MAP_STACK | MAP_LOCKED | MAP_32BIT)
#define MANAGED_PROT	(PROT_READ | PROT_WRITE)
#define FIXED_FLAGS	(MAP_FIXED | MAP_FIXED_NOREPLACE)

static bool is_manageable(int prot, int flags)
{
	return (flags & MAP_TYPE) == MAP_PRIVATE && (flags & MAP_ANONYMOUS) &&
	       !(flags & UNMANAGED_FLAGS) && !(prot & ~MANAGED_PROT);
}

/**
 * rt_route_mmap() - who is to do an mmap().
 */
enum rt_route rt_route_mmap(const struct rt_window *window, vaddr_t addr, uint64_t len,
			    int prot, int flags)
{
	vaddr_t end;

	if (!(flags & FIXED_FLAGS))
		return is_manageable(prot, flags) && len > 0 ? RT_ROUTE_MANAGED : RT_ROUTE_HOST;
	if (__builtin_add_overflow(addr, len, &end) || len == 0)
		return RT_ROUTE_HOST; /* the kernel's error */
	if (end <= window->start || addr >= window->end)
		return RT_ROUTE_HOST;
	if (addr < window->start || end > window->end)
		return RT_ROUTE_NO_ROOM;
	return is_manageable(prot, flags) ? RT_ROUTE_MANAGED : RT_ROUTE_FOREIGN;
}
