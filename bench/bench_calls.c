/* SPDX-License-Identifier: MIT */
/*
 * What a system call costs a program under `ration run`, in nanoseconds, by engine: side by
 * side without Ration (none), with the thread engine, and with the signal engine.
 *
 *	number	getppid(), no argument
 *	stack	read() of 64 bytes into unmanaged memory
 *	wrapped	read() of 64 bytes into managed memory: our function in the C library's place
 *	caught	the same as a raw system call: by the filter, and the handler of its signal
 *	large	read() of 64 KiB into managed memory
 *
 * The program starts itself under ration (from RATION in the environment, or the build's own).
 * Exit status 77 where programs cannot be managed.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROUNDS	    7
#define CALLS	    20000
#define SMALL	    64
#define LARGE	    65536
#define EXIT_SKIP   77
#define EXIT_RATION 125 /* ration itself failed */

enum kind { NUMBER, STACK, WRAPPED, CAUGHT, BIG, NR_KINDS };

static const char *const kinds[] = {"number", "stack", "wrapped", "caught", "large"};
static const char *const engines[] = {"none", "thread", "signal"};

static void call(enum kind kind, int fd, char *stack, char *managed)
{
	ssize_t n = 0;

	switch (kind) {
	case NUMBER:
		n = syscall(SYS_getppid);
		break;
	case STACK:
		n = read(fd, stack, SMALL);
		break;
	case WRAPPED:
		n = read(fd, managed, SMALL);
		break;
	case CAUGHT:
		n = syscall(SYS_read, fd, managed, SMALL);
		break;
	default:
		n = read(fd, managed, LARGE);
		break;
	}
	if (n < 0)
		exit(1);
}

/* Prints the mean of each kind, a line a round. */
static int run_work(void)
{
	int fd = open("/dev/zero", O_RDONLY);
	char stack[SMALL], *managed = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(managed, 1, LARGE);
	for (enum kind kind = NUMBER; kind < NR_KINDS; kind++)
		for (int round = 0; round < ROUNDS; round++) {
			int nr = kind == BIG ? CALLS / 20 : CALLS;
			uint64_t start = bench_now_ns();

			for (int i = 0; i < nr; i++)
				call(kind, fd, stack, managed);
			printf("%.1f\n", (double)(bench_now_ns() - start) / nr);
		}
	return 0;
}

static void command_for(const char *engine, char *ret_command, size_t size)
{
	char exe[PATH_MAX / 4] = {0};
	const char *ration = getenv("RATION");
	const char *slash;

	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		exit(1);
	slash = strrchr(exe, '/');
	if (strcmp(engine, "none") == 0)
		snprintf(ret_command, size, "'%s' --work", exe);
	else if (ration)
		snprintf(ret_command, size, "'%s' run --ram 64M --fault %s -- '%s' --work",
			 ration, engine, exe);
	else
		snprintf(ret_command, size,
			 "'%.*s/../src/cli/ration' run --ram 64M --fault %s -- '%s' --work",
			 (int)(slash - exe), exe, engine, exe);
}

/* Return: 0, EXIT_SKIP or 1. */
static int run_engine(const char *engine, int as_json)
{
	double values[NR_KINDS][ROUNDS];
	char command[PATH_MAX], name[64];
	int nr = 0, status;
	FILE *out;

	command_for(engine, command, sizeof(command));
	out = popen(command, "r");
	if (!out)
		return 1;
	while (nr < NR_KINDS * ROUNDS && fscanf(out, "%lf", &values[0][0] + nr) == 1)
		nr++;
	status = pclose(out);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_RATION)
		return EXIT_SKIP;
	if (status != 0 || nr < NR_KINDS * ROUNDS)
		return 1;
	for (enum kind kind = NUMBER; kind < NR_KINDS; kind++) {
		snprintf(name, sizeof(name), "call_%s_%s", kinds[kind], engine);
		bench_print(&(struct bench_result){name, "ns", values[kind], ROUNDS}, as_json);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int err = 0;

	if (argc == 2 && strcmp(argv[1], "--work") == 0)
		return run_work();
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--json") != 0)) {
		fprintf(stderr, "usage: %s [--json]\n", argv[0]);
		return 2;
	}
	for (size_t i = 0; i < sizeof(engines) / sizeof(*engines) && !err; i++)
		err = run_engine(engines[i], argc == 2);
	return err;
}
