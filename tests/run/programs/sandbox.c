/* SPDX-License-Identifier: MIT */
/*
 * sandbox [NAME]: filters on system calls that a program installs, while its memory is out
 * (cold.h). Each case is a child's, for a filter stays. It prints what it found.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "cold.h"

#define NR(nr, action) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET | BPF_K, (action))
#define LOAD_NR	     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ELSE(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define FILTER(name, ...)                                           \
	struct sock_filter name##_insns[] = {LOAD_NR, __VA_ARGS__}; \
	struct sock_fprog name = {sizeof(name##_insns) / sizeof(name##_insns[0]), name##_insns}

static int install(const struct sock_fprog *program)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program) ? errno : 0;
}

/* What came out of memory is what went in, and the data reaches a pipe. */
static void sums(const char *name, const char *memory)
{
	char line[80];

	write(1, line,
	      (size_t)snprintf(line, sizeof(line), "%s: %x\n", name, sum(memory, BIG)));
}

/* It can write, and end; anything else kills. The filter itself is out when it is installed. */
static void tight(void)
{
	FILTER(filter, NR(SYS_write, SECCOMP_RET_ALLOW), NR(SYS_exit_group, SECCOMP_RET_ALLOW),
	       NR(SYS_rt_sigreturn, SECCOMP_RET_ALLOW), ELSE(SECCOMP_RET_KILL_PROCESS));
	char *insns, *memory = cold(BIG, 't');
	struct sock_fprog *program;

	insns = cold(BIG, 0);
	program = (struct sock_fprog *)(void *)(insns + 8 * PAGE);
	memcpy(insns, filter_insns, sizeof(filter_insns));
	*program = (struct sock_fprog){filter.len, (struct sock_filter *)(void *)insns};
	chill(insns, BIG);
	if (install(program))
		_exit(1);
	for (int i = 0; i < 4; i++) {
		memset(memory + (size_t)i * 16 * PAGE, 'a' + i, 16 * PAGE);
		sums("tight", memory);
	}
	write(1, memory + 20 * PAGE, 1);
	write(1, "\n", 1);
	syscall(SYS_exit_group, 0);
}

/* An answer of the filter's is the program's, also where Ration makes the call. */
static void refusing(void)
{
	FILTER(filter, NR(SYS_openat, SECCOMP_RET_ERRNO | 77),
	       NR(SYS_getppid, SECCOMP_RET_ERRNO | 78), NR(SYS_readv, SECCOMP_RET_ERRNO | 79),
	       NR(SYS_mlockall, SECCOMP_RET_ERRNO | 80), ELSE(SECCOMP_RET_ALLOW));
	char *path = cold(BIG, '/');
	struct iovec iov = {path, 10};
	int fds[2];
	long n;

	strcpy(path + PAGE, "/dev/null");
	chill(path, BIG);
	if (pipe(fds) || install(&filter))
		_exit(1);
	n = open(path + PAGE, O_RDONLY);
	printf("refusing: open %ld %d", n, errno);
	n = syscall(SYS_getppid);
	printf(", getppid %ld %d", n, errno);
	n = readv(fds[0], &iov, 1);
	printf(", readv %ld %d", n, errno);
	n = write(fds[1], path + 3 * PAGE, 5);
	printf(", write %ld", n);
	n = read(fds[0], path + 9 * PAGE, 5);
	printf(", read %ld %c\n", n, path[9 * PAGE]);
	sums("refusing", path);
}

static volatile sig_atomic_t nr_trapped, trapped_data, path_was_right;

/* As a sandbox does that asks another process: the answer goes where the kernel's would. */
static void on_sys(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)sig;
	nr_trapped++;
	trapped_data = info->si_errno;
	path_was_right = strcmp((const char *)regs[REG_RSI], "/no/such/file") == 0;
	regs[REG_RAX] = info->si_syscall == SYS_openat ? 4321 : -ENOSYS;
}

static void trapping(void)
{
	FILTER(filter, NR(SYS_openat, SECCOMP_RET_TRAP | 55), ELSE(SECCOMP_RET_ALLOW));
	struct sigaction action = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};
	char *path = cold(BIG, 'o');
	int fd;

	strcpy(path + PAGE, "/no/such/file");
	chill(path, BIG);
	sigaction(SIGSYS, &action, NULL);
	if (install(&filter))
		_exit(1);
	for (int i = 0; i < 3; i++) {
		fd = open(i == 0 ? "/no/such/file" : path + PAGE, O_RDONLY);
		chill(path, BIG);
		printf("trapping: fd %d, data %d, path %d, %d times\n", fd, (int)trapped_data,
		       (int)path_was_right, (int)nr_trapped);
	}
	sums("trapping", path);
}

static void *toucher(void *memory)
{
	sums("thread", memory);
	return NULL;
}

/* By seccomp(2), for all threads; threads made after it have it, too. */
static void threads(void)
{
	FILTER(filter, NR(SYS_madvise, SECCOMP_RET_ERRNO | 81),
	       NR(SYS_ioctl, SECCOMP_RET_ERRNO | 82),
	       NR(SYS_io_uring_enter, SECCOMP_RET_KILL_PROCESS), ELSE(SECCOMP_RET_ALLOW));
	char *memory = cold(BIG, 'T');
	pthread_t thread;
	long n;

	n = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
	printf("threads: seccomp %ld\n", n);
	fflush(stdout);
	pthread_create(&thread, NULL, toucher, memory);
	pthread_join(thread, NULL);
	memset(memory, 'U', BIG); /* so that it has to be written again */
	chill(memory, BIG);
	sums("threads", memory);
}

static void wrong(void)
{
	FILTER(filter, ELSE(SECCOMP_RET_ALLOW));
	struct sock_filter bad[] = {{BPF_JMP | BPF_JA, 0, 0, 100}};
	struct sock_fprog none = {0, filter_insns}, jump = {1, bad};
	struct sock_fprog nowhere = {1, (struct sock_filter *)8};

	printf("wrong: none %d, ", install(&none));
	printf("jump %d, ", install(&jump));
	printf("nowhere %d, ", install(&nowhere));
	printf("null %d, ", install(NULL));
	printf("right %d\n", install(&filter));
}

/* What a filter kills it kills, and a child of it has the filter. */
static void killing(void)
{
	FILTER(filter, NR(SYS_getppid, SECCOMP_RET_KILL_PROCESS), ELSE(SECCOMP_RET_ALLOW));
	char *memory = cold(BIG, 'k');
	int status;

	if (install(&filter))
		_exit(1);
	if (fork() == 0) {
		sums("killing", memory);
		syscall(SYS_getppid);
		_exit(0);
	}
	wait(&status);
	printf("killing: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{"tight", tight},     {"refusing", refusing}, {"trapping", trapping},
		{"threads", threads}, {"wrong", wrong},	      {"killing", killing},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status;

		if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
			continue;
		fflush(stdout);
		if (fork() == 0) {
			cases[i].run();
			fflush(stdout);
			_exit(0);
		}
		wait(&status);
		printf("%s: status %d\n", cases[i].name, status);
	}
	return 0;
}
