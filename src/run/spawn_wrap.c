/* SPDX-License-Identifier: MIT */
/*
 * The C library's functions that execute programs, where the signal engine resolves faults.
 *
 * execve() is carried out by trap_special.c, which brings all strings in. In the children that
 * the C library makes for itself (posix_spawn() and what is built on it) all signals are
 * blocked, and the strings are read by the kernel: what the child will need is brought in
 * before, and a call that the kernel refused with EFAULT is made again.
 *
 * A child of vfork that asks to be traced (gdb's, for the program that it debugs) would stop at
 * its next fault, for its parent to see the signal, while the parent waits for the child's
 * exec. So it is traced from its exec on: what it does until then nobody wants to see.
 */
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/next.h"
#include "run/runtime.h"
#include "run/spawn.h"
#include "run/trap.h"

#define TRIES_MAX 100

static long tracee; /* the child's number, from its request to its exec */

EXPORT long ptrace(enum __ptrace_request request, ...)
{
	va_list args;
	void *addr, *data;
	pid_t pid;

	va_start(args, request);
	pid = va_arg(args, pid_t);
	addr = va_arg(args, void *);
	data = va_arg(args, void *);
	va_end(args);
	if (request == PTRACE_TRACEME && rt_is_by_signal() && !rt_is_at_home(&rt_runtime)) {
		tracee = sys_call2(SYS_getpid, 0, 0);
		return 0;
	}
	return NEXT(ptrace)(request, pid, addr, data);
}

void rt_exec_begins(void)
{
	if (tracee == 0 || tracee != sys_call2(SYS_getpid, 0, 0))
		return;
	tracee = 0;
	sys_call4(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	const long args[TRAP_ARGS] = {(long)path, (long)argv, (long)envp};
	long ret;

	if (!rt_is_by_signal())
		return NEXT(execve)(path, argv, envp);
	trap_do_special(SYS_execve, args, &ret);
	errno = (int)-ret;
	return -1;
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

/* The C library looks along PATH by itself, with calls of its own to execve(). */
EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	int ret = -1;

	if (!rt_is_by_signal())
		return NEXT(execvpe)(file, argv, envp);
	for (unsigned int i = 0; i < TRIES_MAX && (i == 0 || errno == EFAULT); i++) {
		trap_touch_strings(file, argv, envp);
		if (!trap_is_inside(argv) && !trap_is_inside(envp))
			rt_exec_begins(); /* else the C library's call is caught first */
		ret = NEXT(execvpe)(file, argv, envp);
	}
	return ret;
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* The words of execl() and its kin: until NULL, as many as the program has written down. */
static size_t count_words(const char *first, va_list *rest)
{
	size_t nr = 0;

	for (; first; first = va_arg(*rest, const char *))
		nr++;
	return nr;
}

static void take_words(char **ret_argv, size_t nr, const char *first, va_list *rest)
{
	ret_argv[0] = (char *)(uintptr_t)first;
	for (size_t i = 1; i <= nr; i++)
		ret_argv[i] = va_arg(*rest, char *);
}

/* The C library's own would give the kernel strings that are out. */
#define EXECL(name, execute, environment)                          \
	EXPORT int name(const char *path, const char *first, ...)  \
	{                                                          \
		char *const *envp;                                 \
		va_list rest;                                      \
		char **argv;                                       \
		size_t nr;                                         \
                                                                   \
		va_start(rest, first);                             \
		nr = count_words(first, &rest);                    \
		va_end(rest);                                      \
		argv = __builtin_alloca((nr + 1) * sizeof(*argv)); \
		va_start(rest, first);                             \
		take_words(argv, nr, first, &rest);                \
		envp = environment;                                \
		va_end(rest);                                      \
		return execute(path, argv, envp);                  \
	}

EXECL(execl, execve, environ)
EXECL(execlp, execvpe, environ)
EXECL(execle, execve, va_arg(rest, char *const *))

#define SPAWN(name)                                                                            \
	EXPORT int name(pid_t *ret_pid, const char *path,                                      \
			const posix_spawn_file_actions_t *actions,                             \
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) \
	{                                                                                      \
		int err = EFAULT;                                                              \
                                                                                               \
		if (!rt_is_by_signal())                                                        \
			return NEXT(name)(ret_pid, path, actions, attr, argv, envp);           \
		for (unsigned int i = 0; i < TRIES_MAX && err == EFAULT; i++) {                \
			trap_touch_strings(path, argv, envp);                                  \
			err = NEXT(name)(ret_pid, path, actions, attr, argv, envp);            \
		}                                                                              \
		return err;                                                                    \
	}

SPAWN(posix_spawn)
SPAWN(posix_spawnp)

EXPORT int system(const char *command)
{
	char *const argv[] = {(char *)(uintptr_t)command, NULL};

	if (rt_is_by_signal() && command)
		trap_touch_strings("", argv, environ);
	return NEXT(system)(command);
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	char *const argv[] = {(char *)(uintptr_t)command, NULL};

	if (rt_is_by_signal())
		trap_touch_strings("", argv, environ);
	return NEXT(popen)(command, mode);
}
