/* SPDX-License-Identifier: MIT */
/*
 * Which machine it is, is known here and by nobody else of the runtime.
 *
 * The memory file's machine belongs to the program's fork as no other: the file is shared with
 * the child. So the forking thread makes a second file, which the child inherits open; the
 * service thread copies all frames into it, each time that it has brought the manager to rest;
 * and the child puts it in the place of the first before it looks at anything that lies in
 * frames, the manager itself among them.
 */
#include "run/port.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "machine/host.h"
#include "machine/memfd.h"
#include "mm/system.h"
#include "run/runtime.h"
#include "run/thread.h"
#include "run/trap.h"

static int create_memfd(struct runtime *rt)
{
	const struct machine_memfd_config cfg = {
		.ram_bytes = rt->map.share->ram_bytes & PAGE_MASK,
		.window_start = TRAP_WINDOW_START,
		.window_end = TRAP_WINDOW_END,
		.no_move = (rt->map.share->flags & RUN_NO_MOVE) != 0,
	};
	int err = machine_memfd_create(&cfg, &rt->machine);

	if (!err)
		machine_memfd_window(rt->machine, &rt->window_start, &rt->window_end);
	return err;
}

/**
 * rt_port_create() - make the machine of the engine that was chosen.
 *
 * Return: 0 with rt->machine and its window, or -errno.
 */
int rt_port_create(struct runtime *rt)
{
	struct machine_host_config cfg = {
		.ram_bytes = rt->map.share->ram_bytes & PAGE_MASK,
		.no_move = (rt->map.share->flags & RUN_NO_MOVE) != 0,
		.may_copy = rt->is_by_signal, /* calls get copies of managed memory */
		.signal_fd = rt->signal_fd,
	};
	int err;

	if (rt->is_by_segv)
		return create_memfd(rt);
	/* Where an ancestor's filter lets system calls through. */
	if (!rt->is_by_signal)
		cfg.window_start = TRAP_WINDOW_END;
	err = machine_host_create(&cfg, &rt->machine);
	if (!err)
		machine_host_window(rt->machine, &rt->window_start, &rt->window_end);
	return err;
}

/**
 * rt_port_window_restore() - a foreign mapping has gone: the range is window again.
 *
 * Return: 0, or -ENOMEM, and the range is not part of the window.
 */
int rt_port_window_restore(struct runtime *rt, vaddr_t start, vaddr_t end)
{
	return rt->is_by_segv ? machine_memfd_window_restore(rt->machine, start, end)
			      : machine_host_window_restore(rt->machine, start, end);
}

/**
 * rt_port_note_device() - a call of the program's may let a device write managed memory.
 *
 * Context: before the call. A thread of the program, in any handler.
 */
void rt_port_note_device(struct runtime *rt)
{
	if (!rt->is_by_segv)
		machine_host_note_device(rt->machine);
}

/**
 * rt_port_wake() - let whoever waits for a page try again. Of signals nobody waits.
 */
void rt_port_wake(struct runtime *rt, vaddr_t va)
{
	if (!rt->is_by_segv)
		machine_host_wake(rt->machine, va);
}

/**
 * rt_port_poison() - any access to a page that is not mapped is SIGBUS from now on.
 *
 * Return: 0; -ENOSYS where it cannot be had; -EEXIST if a page is mapped there.
 */
int rt_port_poison(struct runtime *rt, vaddr_t va)
{
	return rt->is_by_segv ? -ENOSYS : machine_host_poison(rt->machine, va);
}

/**
 * rt_port_lend() - let threads use a copy of a frame (machine_host_lend()).
 *
 * Return: 0; -EEXIST if a page is there; -errno of the kernel.
 */
int rt_port_lend(struct runtime *rt, vaddr_t va, const void *frame)
{
	if (!rt->is_by_segv)
		return machine_host_lend(rt->machine, va, frame);
	return machine_memfd_lend(rt->machine, va, frame, mm_fork_may_write(rt->mm, va));
}

/**
 * rt_port_take_back() - the frame gets the content of the page that was lent.
 *
 * Return: 0, or -errno of the kernel, and the page is still lent.
 */
int rt_port_take_back(struct runtime *rt, vaddr_t va, void *frame)
{
	if (!rt->is_by_segv)
		return machine_host_take_back(rt->machine, va, frame);
	machine_memfd_take_back(rt->machine, va, frame);
	return 0;
}

static pfn_t used_frames(const void *arg, pfn_t pfn, pfn_t *ret_end)
{
	return mm_fork_used_frames(arg, pfn, ret_end);
}

/**
 * rt_port_create_copy() - before a fork: a place for what fork(2) does not copy.
 *
 * Return: a descriptor for rt_port_copy() and rt_port_adopt(); 0 where fork(2) copies all;
 * -errno. Context: the forking thread.
 */
int rt_port_create_copy(struct runtime *rt)
{
	return rt->is_by_segv ? machine_memfd_create_copy(rt->machine) : 0;
}

/**
 * rt_port_copy() - fill it, in the place of an older copy if there is one.
 * @tid, @copy: who forks, in /proc, and its descriptor; 0: there is nothing to be done.
 *
 * Return: 0 or -errno. Context: the service thread, with the manager at rest. Nothing of the
 * manager may change from here until the fork is over, or it has to be called again: what is
 * not in frames fork(2) copies, and both must be of one moment.
 */
int rt_port_copy(struct runtime *rt, uint32_t tid, int copy)
{
	char path[RT_FD_PATH_BYTES];
	int fd, err;

	if (!copy)
		return 0;
	rt_thread_fd_path(tid, copy, path);
	fd = (int)sys_call3(SYS_open, (long)path, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	err = machine_memfd_copy(rt->machine, fd, used_frames, rt->sys);
	sys_call2(SYS_close, fd, 0);
	return err;
}

/**
 * rt_port_is_inherited() - does this process have what a fork does not give to a child?
 *
 * Return: false in the child of a fork, until it has set itself up.
 */
bool rt_port_is_inherited(const struct runtime *rt)
{
	vaddr_t at = rt->is_by_segv ? (vaddr_t)rt->machine->ram : rt->window_start;

	return sys_call3(SYS_msync, (long)at, (long)PAGE_SIZE, MS_ASYNC) == 0;
}

/**
 * rt_port_adopt() - in the child, before it looks at any frame.
 * @copy: of rt_port_create_copy(); it is closed.
 *
 * Return: 0 or -errno.
 */
int rt_port_adopt(struct runtime *rt, int copy)
{
	int err;

	if (!rt->is_by_segv)
		return 0;
	err = machine_memfd_adopt(rt->machine, copy);
	sys_call2(SYS_close, copy, 0);
	return err;
}

/**
 * rt_port_reattach() - in the child, by the first thread of its runtime.
 *
 * Return: 0 or -errno.
 */
int rt_port_reattach(struct runtime *rt)
{
	return rt->is_by_segv ? 0 : machine_host_reattach(rt->machine, rt->signal_fd);
}
