/* SPDX-License-Identifier: MIT */
/*
 * The process's arena.
 */
#include "malloc/malloc.h"

#include "malloc/process.h"

/*
 * Enough for what the dynamic linker and constructors take before the backend is set: 128 KiB
 * of bookkeeping, of which four pages are touched, and 128 KiB of heap. In .bss: what is not
 * touched costs nothing.
 */
#define BOOT_BYTES (256 << 10)

static char boot_memory[BOOT_BYTES] __attribute__((aligned(4096)));

struct arena malloc_process_arena = ARENA_INIT(boot_memory, BOOT_BYTES);

/**
 * malloc_set_backend() - take memory from somewhere else than the host from now on.
 * @backend: copied. All but sbrk are set.
 *
 * What was allocated before stays where it is.
 *
 * Return: 0, or -EBUSY if there is a backend.
 * Context: takes the arena's lock; calls no op.
 */
int malloc_set_backend(const struct malloc_backend *backend)
{
	return arena_set_backend(&malloc_process_arena, backend);
}

/**
 * malloc_fork_prepare() - before the process forks: nobody is inside the arena.
 *
 * Until malloc_fork_parent() or malloc_fork_child() is called, other threads wait in malloc and
 * free, and this one must not call them.
 *
 * Context: takes the arena's lock and keeps it.
 */
void malloc_fork_prepare(void)
{
	mm_lock_acquire(&malloc_process_arena.lock);
}

/**
 * malloc_fork_parent() - the fork is done, or was not to be had: go on.
 *
 * Context: in the thread of malloc_fork_prepare(). Releases the arena's lock.
 */
void malloc_fork_parent(void)
{
	mm_lock_release(&malloc_process_arena.lock);
}

/**
 * malloc_fork_child() - the same in the child, when its memory is there.
 *
 * A large object that another thread was making, giving back or moving at the moment of the
 * fork is nobody's in the child, and lost.
 *
 * Context: in the child's only thread. Releases the arena's lock, for which nobody waits here.
 */
void malloc_fork_child(void)
{
	mm_lock_release(&malloc_process_arena.lock);
}

/**
 * malloc_get_usage() - what malloc has, and what of it is in use.
 * @ret_usage: all of one moment.
 *
 * Context: takes the arena's lock.
 */
void malloc_get_usage(struct malloc_usage *ret_usage)
{
	arena_get_usage(&malloc_process_arena, ret_usage);
}

/**
 * malloc_check() - walk every invariant of the process's arena.
 *
 * Return: 0, or -EUCLEAN after a line on the log.
 * Context: takes the arena's lock.
 */
int malloc_check(void)
{
	return arena_check(&malloc_process_arena);
}
