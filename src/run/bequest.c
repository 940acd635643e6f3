/* SPDX-License-Identifier: MIT */
/*
 * The child of a fork gets a copy of the program's file table, not of the runtime's. So for the
 * time of the fork the forking thread holds, in the program's table, descriptors of the share
 * and of the swap areas, close-on-exec. The child's runtime opens them anew from there; then
 * both sides close them. They come from the service thread's table: the launcher may be gone,
 * or out of reach of what the program has become by then.
 *
 * The child's entry in the share lives as long as the descriptor of the share is open
 * somewhere, so it is given back by itself if there never is a child.
 */
#include "run/bequest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "run/runtime.h"
#include "run/thread.h"

static void service_fd_path(const struct runtime *rt, int fd, char ret_path[RT_FD_PATH_BYTES])
{
	rt_thread_fd_path(rt->service_tid, fd, ret_path);
}

/* From a thread of the runtime: the process is its first thread, which has the program's table.
 */
static void program_fd_path(int fd, char ret_path[RT_FD_PATH_BYTES])
{
	snprintf(ret_path, RT_FD_PATH_BYTES, "/proc/self/fd/%d", fd);
}

/**
 * rt_bequest_make() - in the parent, before the fork.
 *
 * Return: 0; -EUSERS if the run has no room for a process; -errno of open.
 * Context: the thread that will fork.
 */
int rt_bequest_make(const struct runtime *rt, struct rt_bequest *ret_bequest)
{
	struct rt_bequest bequest = {.nr_swap_fds = rt->nr_swapdevs};
	char path[RT_FD_PATH_BYTES];
	int err;

	service_fd_path(rt, rt->map.fd, path);
	err = run_share_attach(path, &bequest.map);
	if (err)
		return err;
	err = run_share_claim(&bequest.map, &bequest.slot);
	if (err) {
		run_share_detach(&bequest.map);
		return err;
	}
	for (unsigned int i = 0; i < rt->nr_swapdevs; i++) {
		service_fd_path(rt, rt->swap_fds[i], path);
		bequest.swap_fds[i] =
			(int)sys_call3(SYS_open, (long)path, O_RDWR | O_CLOEXEC, 0);
	}
	*ret_bequest = bequest;
	return 0;
}

/**
 * rt_bequest_close() - in parent and child, after the fork. Closed already: nothing.
 */
void rt_bequest_close(struct rt_bequest *bequest)
{
	if (!bequest->map.share)
		return;
	for (unsigned int i = 0; i < bequest->nr_swap_fds; i++)
		if (bequest->swap_fds[i] >= 0)
			sys_call2(SYS_close, bequest->swap_fds[i], 0);
	run_share_detach(&bequest->map);
}

/**
 * rt_bequest_adopt() - in the child: the runtime holds its own entry.
 *
 * The mapping of the share that the fork copied stays in use, for the swap devices point into
 * it; only its descriptor is new.
 *
 * Return: 0, or -errno. Context: the child's first thread of the runtime.
 */
int rt_bequest_adopt(struct runtime *rt, const struct rt_bequest *bequest)
{
	char path[RT_FD_PATH_BYTES];
	struct run_map map;
	int err;

	program_fd_path(bequest->map.fd, path);
	err = run_share_attach(path, &map);
	if (err)
		return err;
	err = run_share_adopt(&map, bequest->slot);
	if (err)
		return err;
	sys_call2(SYS_munmap, (long)map.share, (long)map.bytes);
	rt->map.fd = map.fd;
	rt->map.held = map.held;
	rt->slot = bequest->slot;
	return 0;
}

/**
 * rt_bequest_open_swap() - in the child: open swap area @area anew.
 *
 * Return: 0, or -errno. Context: a thread of the runtime.
 */
int rt_bequest_open_swap(const struct runtime *rt, const struct rt_bequest *bequest,
			 unsigned int area, int *ret_fd)
{
	char path[RT_FD_PATH_BYTES];

	program_fd_path(bequest->swap_fds[area], path);
	if (bequest->swap_fds[area] >= 0 && run_share_open_swap(path, ret_fd) == 0)
		return 0;
	return run_share_open_area(&rt->map, area, ret_fd);
}
