/* SPDX-License-Identifier: MIT */
/*
 * corners [NAME]: what a program may do with signals, system calls and threads while its memory
 * is out (cold.h). Each case prints what it found; edges.c has more of them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "cold.h"
#include "raw.h"

#define HUGE_BYTES (3 * 1024 * 1024 + 12345)

/* -- System calls -- */

static void pipes(void)
{
	char *from = cold(BIG, 'p'), *to = cold(BIG, 0);
	struct iovec out[3] = {{from, 100}, {from + 5 * PAGE, PAGE}, {from + 9 * PAGE, 17}};
	struct iovec in[2] = {{to + 3, 2 * PAGE}, {to + 20 * PAGE, 2 * PAGE}};
	int fds[2];
	long n;

	if (pipe(fds))
		return;
	n = write(fds[1], from, 3000);
	printf("pipe: wrote %ld", n);
	chill(from, BIG);
	n = writev(fds[1], out, 3);
	printf(", vector %ld", n);
	n = read(fds[0], to, 1000);
	printf(", read %ld", n);
	chill(to, BIG);
	n = readv(fds[0], in, 2);
	printf(", vector %ld, sum %u\n", n, sum(to, BIG));
	close(fds[0]);
	close(fds[1]);
}

static void raw_calls(void)
{
	char *at = cold(BIG, 'r');
	struct iovec iov[2] = {{at + PAGE, 5}, {at + 8 * PAGE, 6}};
	int *fds = (int *)(at + 2 * PAGE);
	char got[20] = "";
	long n;

	n = syscall(SYS_pipe2, fds, 0);
	printf("raw: pipe %ld", n);
	n = syscall(SYS_writev, fds[1], iov, 2);
	printf(", writev %ld", n);
	chill(at + 3 * PAGE, BIG - 3 * PAGE);
	n = syscall(SYS_read, fds[0], at + 10 * PAGE, 100);
	memcpy(got, at + 10 * PAGE, 11);
	printf(", read %ld %s", n, got);
	n = syscall(SYS_getrandom, at, PAGE, 0);
	printf(", random %ld", n);
	n = syscall(SYS_madvise, at, PAGE, MADV_DONTNEED);
	printf(", dontneed %ld %d", n, at[0]);
	at[4 * PAGE] = 'i';
	n = syscall(SYS_mprotect, at + 4 * PAGE, PAGE, PROT_NONE);
	printf(", mprotect %ld", n);
	n = write(fds[1], "x", 1) == 1 ? syscall(SYS_read, fds[0], at + 4 * PAGE, 1) : 0;
	printf(", bad read %ld %d", n, n < 0 ? errno : 0);
	n = syscall(SYS_munmap, at + 20 * PAGE, BIG - 20 * PAGE);
	mprotect(at + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	printf(", then %c, munmap %ld", at[4 * PAGE], n);
	n = write(fds[1], at + 20 * PAGE, 1);
	printf(", bad write %ld %d\n", n, n < 0 ? errno : 0);
	close(fds[0]);
	close(fds[1]);
}

static void files(void)
{
	char *at = cold(HUGE_BYTES, 'f'), *path = cold(PAGE, 0), *got;
	struct stat *st = (struct stat *)(void *)(path + 2048);
	FILE *file = tmpfile();
	int fd = fileno(file);
	unsigned int want = sum(at, HUGE_BYTES);
	long n;

	chill(at, HUGE_BYTES);
	n = write(fd, at, HUGE_BYTES);
	printf("file: wrote %ld", n);
	got = cold(HUGE_BYTES, 0);
	n = pread(fd, got, HUGE_BYTES + 1 - 1, 0);
	printf(", read %ld, same %d", n, sum(got, HUGE_BYTES) == want);
	n = pwrite(fd, got + 5000, 10000, 3);
	printf(", pwrite %ld", n);
	strcpy(path, "/dev/null");
	chill(path, PAGE);
	n = open(path, O_RDONLY);
	printf(", open %d", n >= 0);
	close((int)n);
	chill(path, PAGE);
	n = fstat(fd, (struct stat *)(void *)st);
	printf(", stat %ld %ld", n, (long)st->st_size);
	chill(path, PAGE);
	n = readlink("/proc/self/exe", path, 1000);
	printf(", link %d\n", n > 0);
	fclose(file);
}

static void messages(void)
{
	char *data = cold(BIG, 'm'), *back = cold(BIG, 0), *more = cold(PAGE, 0);
	struct iovec *iov = (struct iovec *)more;
	struct msghdr *msg = (struct msghdr *)(more + 256);
	char *control = more + 1024;
	struct cmsghdr *cmsg;
	int fds[2], passed = -1;
	long n;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fds))
		return;
	n = send(fds[0], data, 60000, 0);
	printf("messages: sent %ld", n);
	n = recv(fds[1], back, BIG, 0);
	printf(", got %ld, sum %u", n, sum(back, BIG));
	*iov = (struct iovec){data, 5 * PAGE};
	*msg = (struct msghdr){.msg_iov = iov,
			       .msg_iovlen = 1,
			       .msg_control = control,
			       .msg_controllen = CMSG_SPACE(sizeof(int))};
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fds[0], sizeof(int));
	chill(data, BIG);
	chill(more, PAGE);
	n = sendmsg(fds[0], msg, 0);
	printf(", message %ld", n);
	memset(control, 0, CMSG_SPACE(sizeof(int)));
	iov->iov_base = back;
	iov->iov_len = BIG;
	chill(back, BIG);
	chill(more, PAGE);
	n = recvmsg(fds[1], msg, 0);
	cmsg = CMSG_FIRSTHDR(msg);
	if (cmsg)
		memcpy(&passed, CMSG_DATA(cmsg), sizeof(int));
	printf(", got %ld, flags %d, a descriptor %d, sum %u\n", n, msg->msg_flags, passed >= 0,
	       sum(back, BIG));
	close(passed);
	close(fds[0]);
	close(fds[1]);
}

static void waits(void)
{
	char *at = cold(4 * PAGE, 0);
	struct pollfd *polls = (struct pollfd *)(at + PAGE);
	struct epoll_event *events = (struct epoll_event *)(at + 2 * PAGE);
	fd_set *set = (fd_set *)(at + 3 * PAGE);
	struct timespec *time = (struct timespec *)(void *)at;
	struct epoll_event want = {.events = EPOLLIN, .data.u64 = 77};
	int fds[2], epoll = epoll_create1(0);
	long n;

	if (pipe(fds) || write(fds[1], "x", 1) != 1)
		return;
	epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &want);
	polls[0] = (struct pollfd){fds[0], POLLIN, 0};
	polls[1] = (struct pollfd){fds[1], POLLIN | POLLOUT, 0};
	FD_SET(fds[0], set);
	chill(at, 4 * PAGE);
	n = poll(polls, 2, 1000);
	printf("waits: poll %ld %d %d", n, polls[0].revents, polls[1].revents);
	n = epoll_wait(epoll, events, 10, 1000);
	printf(", epoll %ld %lu", n, (unsigned long)events[0].data.u64);
	chill(at, 4 * PAGE);
	n = select(fds[0] + 1, set, NULL, NULL, NULL);
	printf(", select %ld %d", n, FD_ISSET(fds[0], set) != 0);
	chill(at, 4 * PAGE);
	n = pselect(fds[0] + 1, set, NULL, NULL, time, NULL);
	printf(", pselect %ld", n);
	time->tv_nsec = 1000;
	chill(at, 4 * PAGE);
	n = nanosleep(time, NULL);
	printf(", sleep %ld\n", n);
	close(fds[0]);
	close(fds[1]);
	close(epoll);
}

/* -- Signals -- */

static volatile sig_atomic_t nr_signals;
static char *volatile handled_at;
static size_t nr_wrong;

static void on_alarm(int sig)
{
	char local[200];

	(void)sig;
	memset(local, 1, sizeof(local));
	handled_at = local;
	nr_signals++;
}

static void storm(long usec)
{
	struct itimerval timer = {{0, usec}, {0, usec}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

static char *sweep_data;

static void sweep(void)
{
	for (size_t i = 0; i < BIG; i += 64)
		sweep_data[i]++;
}

static ucontext_t outside, inside;

static void coroutine(void)
{
	char ballast[20000];

	for (int round = 0; round < 20; round++) {
		memset(ballast, round, sizeof(ballast));
		chill(ballast, sizeof(ballast));
		nr_wrong += ballast[round * 900] != round;
		raise(SIGUSR1);
		swapcontext(&inside, &outside);
	}
}

/* Signals come while the thread's stack is out. */
static void coroutines(void)
{
	char *stack = cold(BIG, 0), *alternate = cold(BIG, 0);
	stack_t ss = {.ss_sp = alternate, .ss_size = BIG};
	struct sigaction action = {.sa_handler = on_alarm};
	int on_stack = 0;

	nr_signals = 0;
	sigaltstack(&ss, NULL);
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = BIG;
	inside.uc_link = &outside;
	makecontext(&inside, coroutine, 0);
	for (int round = 0; round < 20; round++) {
		action.sa_flags = round % 2 ? SA_ONSTACK : 0;
		sigaction(SIGUSR1, &action, NULL);
		chill(stack, BIG);
		chill(alternate, BIG);
		swapcontext(&outside, &inside);
		on_stack += handled_at >= alternate && handled_at < alternate + BIG;
	}
	printf("coroutines: %d signals, %d on the alternate stack, %zu wrong\n",
	       (int)nr_signals, on_stack, nr_wrong);
	sigaltstack(NULL, &ss);
	printf("coroutines: the stack is still %d\n",
	       ss.ss_sp == alternate && ss.ss_size == BIG);
	ss.ss_flags = SS_DISABLE;
	sigaltstack(&ss, NULL);
}

static stack_t *told;
static int is_on_told;

static void on_asked(int sig)
{
	char *here = __builtin_frame_address(0);

	(void)sig;
	raw(SYS_sigaltstack, 0, (long)told, 0, 0);
	is_on_told = here > (char *)told->ss_sp && here < (char *)told->ss_sp + told->ss_size;
}

/* The handler comes while the call waits; again, if it came before. */
static void ask_in_a_call(void)
{
	struct itimerval soon = {.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000};
	char *buffer = cold(PAGE, 0);
	int fds[2];

	if (pipe(fds))
		return;
	setitimer(ITIMER_REAL, &soon, NULL);
	while (raw(SYS_read, fds[0], (long)buffer, PAGE, 0) != -EINTR)
		;
	soon = (struct itimerval){.it_value.tv_usec = 0};
	setitimer(ITIMER_REAL, &soon, NULL);
	printf("by the instruction: in a call %d, flags %#x\n", is_on_told, told->ss_flags);
	close(fds[0]);
	close(fds[1]);
}

/* As Go does: what it gives the kernel lies elsewhere, what it is told does not. */
static void stacks_by_the_instruction(void)
{
	char *alternate = cold(BIG, 0);
	struct sigaction action = {.sa_handler = on_asked, .sa_flags = SA_ONSTACK};
	static stack_t stack;

	told = (stack_t *)cold(PAGE, 0);
	stack = (stack_t){.ss_sp = alternate, .ss_size = BIG};
	raw(SYS_sigaltstack, (long)&stack, 0, 0, 0);
	sigaction(SIGUSR1, &action, NULL);
	for (int round = 0; round < 3; round++) {
		chill(alternate, BIG);
		chill((char *)told, PAGE);
		raise(SIGUSR1);
		printf("by the instruction: %d, in a handler %#x", told->ss_sp == alternate,
		       told->ss_flags);
		chill((char *)told, PAGE);
		raw(SYS_sigaltstack, 0, (long)told, 0, 0);
		printf(", after it %#x\n", told->ss_flags);
	}
	sigaction(SIGALRM, &action, NULL);
	ask_in_a_call();
	stack.ss_flags = SS_DISABLE;
	raw(SYS_sigaltstack, (long)&stack, 0, 0, 0);
}

static sigjmp_buf back;

static void on_jump(int sig)
{
	nr_signals++;
	siglongjmp(back, sig);
}

/* Handlers that do not return, from the midst of faults and of calls that wait. */
static void jumps(void)
{
	char *buffer = cold(PAGE, 0);
	volatile int rounds = 0;
	int fds[2];

	if (pipe(fds))
		return;
	sweep_data = cold(BIG, 1);
	nr_signals = 0;
	signal(SIGALRM, on_jump);
	storm(2000);
	sigsetjmp(back, 1);
	while (nr_signals < 50) {
		chill(sweep_data, BIG / 4);
		sweep();
	}
	sigsetjmp(back, 1);
	while (rounds++ < 50) {
		chill(buffer, PAGE);
		if (read(fds[0], buffer, PAGE) >= 0)
			nr_wrong++;
	}
	storm(0);
	printf("jumps: %zu wrong\n", nr_wrong);
	signal(SIGALRM, SIG_DFL);
	close(fds[0]);
	close(fds[1]);
}

static void interruptions(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	char *buffer = cold(PAGE, 0);
	int fds[2];
	long n;

	if (pipe(fds))
		return;
	sigaction(SIGALRM, &action, NULL);
	storm(3000);
	n = read(fds[0], buffer, PAGE);
	printf("interruptions: read %ld %s", n, n < 0 ? strerrorname_np(errno) : "");
	storm(0);
	signal(SIGALRM, SIG_DFL);
	printf(", and the handler ran %d\n", nr_signals > 0);
	close(fds[0]);
	close(fds[1]);
}

static volatile sig_atomic_t seen_code;
static void *volatile seen_addr;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	seen_code = info->si_code;
	seen_addr = info->si_addr;
	siglongjmp(back, sig);
}

static void provoke(const char *what, char *at)
{
	int sig = sigsetjmp(back, 1);

	if (sig == 0) {
		*(volatile char *)at = 1;
		printf("%s: no signal\n", what);
		return;
	}
	printf("%s: signal %d, code %d, address %d\n", what, sig, (int)seen_code,
	       seen_addr == at);
}

/* Faults that are the program's own, in managed memory and elsewhere. */
static void faults(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	char *at = cold(4 * PAGE, 1), *file;
	FILE *cut = tmpfile();

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	mprotect(at + PAGE, PAGE, PROT_READ);
	mprotect(at + 2 * PAGE, PAGE, PROT_NONE);
	provoke("faults: read-only", at + PAGE + 5);
	provoke("faults: nothing", at + 2 * PAGE + 7);
	provoke("faults: null", NULL);
	file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(cut), 0);
	provoke("faults: behind the file's end", file);
	file = mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fileno(cut), 0);
	provoke("faults: the same, inside", file + 3);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	fclose(cut);
}

static void masks(void)
{
	sigset_t all, old, now;
	char *at = cold(BIG, 3);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	printf("masks: sum %u", sum(at, BIG));
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	printf(", blocked %d %d %d %d\n", sigismember(&now, SIGBUS), sigismember(&now, SIGSEGV),
	       sigismember(&now, SIGSYS), sigismember(&now, SIGUSR1));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	printf("masks: then %d\n", sigismember(&now, SIGBUS));
}

/* -- Threads -- */

static int thread_fds[2];

static void *reader(void *arg)
{
	char *buffer = arg;

	if (read(thread_fds[0], buffer, PAGE) < 0)
		return NULL;
	return buffer;
}

static void *worker(void *arg)
{
	char *at = arg;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		for (size_t i = 0; i < 8 * PAGE; i += PAGE)
			at[i]++;
	return NULL;
}

/* Cancelled while it waits in a call on cold memory, and in the midst of faults. */
static void cancellations(void)
{
	char *at = cold(BIG, 0);
	pthread_t thread;
	void *result;
	int nr = 0;

	if (pipe(thread_fds))
		return;
	for (int i = 0; i < 10; i++) {
		chill(at, 8 * PAGE);
		pthread_create(&thread, NULL, i % 2 ? reader : worker, at);
		usleep(2000);
		chill(at, 8 * PAGE);
		pthread_cancel(thread);
		pthread_join(thread, &result);
		nr += result == PTHREAD_CANCELED;
	}
	printf("cancellations: %d\n", nr);
	close(thread_fds[0]);
	close(thread_fds[1]);
}

static void *on_managed(void *arg)
{
	char local[3000];

	memset(local, 5, sizeof(local));
	chill(local, sizeof(local));
	for (size_t i = 0; i < sizeof(local); i++)
		nr_wrong += local[i] != 5;
	raise(SIGUSR2);
	return arg;
}

/* Threads whose stacks are managed memory. */
static void stacks(void)
{
	char *stack = cold(4 * BIG, 0);
	pthread_attr_t attr;
	pthread_t thread;
	int ends = 0;

	signal(SIGUSR2, on_alarm);
	pthread_attr_init(&attr);
	for (int i = 0; i < 5; i++) {
		void *result = NULL;

		pthread_attr_setstack(&attr, stack, 4 * BIG);
		chill(stack, 4 * BIG);
		if (pthread_create(&thread, &attr, on_managed, &result) == 0)
			pthread_join(thread, &result);
		ends += result == &result;
	}
	printf("stacks: %d threads, %zu wrong\n", ends, nr_wrong);
	signal(SIGUSR2, SIG_DFL);
}

struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	int turn;
};

static void *other_turn(void *arg)
{
	struct shared *s = arg;

	pthread_mutex_lock(&s->mutex);
	for (int i = 0; i < 200; i++) {
		while (s->turn == 0)
			pthread_cond_wait(&s->cond, &s->mutex);
		s->turn = 0;
		pthread_cond_signal(&s->cond);
		if (i % 20 == 0)
			chill(s, PAGE);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

static void futexes(void)
{
	struct shared *s = (struct shared *)(void *)cold(PAGE, 0);
	pthread_t thread;

	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->cond, NULL);
	pthread_create(&thread, NULL, other_turn, s);
	pthread_mutex_lock(&s->mutex);
	for (int i = 0; i < 200; i++) {
		while (s->turn == 1)
			pthread_cond_wait(&s->cond, &s->mutex);
		s->turn = 1;
		pthread_cond_signal(&s->cond);
	}
	pthread_mutex_unlock(&s->mutex);
	pthread_join(thread, NULL);
	printf("futexes: turn %d\n", s->turn);
}

/* -- Descriptors and children -- */

static void closed(void)
{
	char *at = cold(BIG, 9);
	unsigned int want = sum(at, BIG);

	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	chill(at, BIG);
	printf("closed: one by one %d", sum(at, BIG) == want);
	close_range(3, ~0u, 0);
	chill(at, BIG);
	printf(", a range %d", sum(at, BIG) == want);
	syscall(SYS_close_range, 3, ~0u, 0);
	chill(at, BIG);
	printf(", past the C library %d\n", sum(at, BIG) == want);
}

/* words[0]: the program; words[3 * PAGE]: what the shell is told. Return: argv. */
static char **cold_command(char *words)
{
	char **argv = (char **)(words + PAGE);

	strcpy(words, "/bin/sh");
	strcpy(words + 2 * PAGE, "-c");
	strcpy(words + 3 * PAGE, "exit 7");
	argv[0] = words;
	argv[1] = words + 2 * PAGE;
	argv[2] = words + 3 * PAGE;
	chill(words, BIG);
	return argv;
}

static void vforks(void)
{
	char *words = cold(BIG, 0), **argv = cold_command(words);
	int status = -1;
	pid_t pid;

	pid = vfork();
	if (pid == 0) {
		signal(SIGUSR1, SIG_IGN);
		syscall(SYS_close_range, 3, ~0u, 0);
		words[10 * PAGE] = 42;
		execve(words, argv, environ);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	printf("vforks: status %#x, wrote %d\n", status, words[10 * PAGE]);
	chill(words, BIG);
	status = system(words + 3 * PAGE);
	printf("vforks: system %#x\n", status);
}

/* As a debugger begins: its child is traced, and touches what is out before its exec. */
static void traced(void)
{
	char *words = cold(BIG, 0), **argv = cold_command(words);
	int status = -1, first;
	pid_t pid;

	pid = vfork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		words[10 * PAGE] = 42;
		execv(words, argv);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	first = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
	while (WIFSTOPPED(status)) {
		int sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);

		if (ptrace(PTRACE_CONT, pid, NULL, (long)sig) ||
		    waitpid(pid, &status, 0) != pid)
			break;
	}
	printf("traced: first signal %d, status %#x, wrote %d\n", first, status,
	       words[10 * PAGE]);
}

/* What is locked stays in, and is the parent's alone. */
static void locks(void)
{
	char *at = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret, status = -1;
	pid_t pid;

	ret = mlock(at + 100, PAGE);
	printf("locks: two pages %d, in %zu, sent out %d", ret, pages_in(at, 2 * PAGE),
	       madvise(at, BIG, MADV_PAGEOUT) ? errno : 0);
	printf(", dropped %d\n", madvise(at, PAGE, MADV_DONTNEED) ? errno : 0);
	pid = fork();
	if (pid == 0)
		_exit(madvise(at, BIG, MADV_DONTNEED) ? errno : 0);
	waitpid(pid, &status, 0);
	printf("locks: a child may drop them %#x", status);
	ret = munlock(at, PAGE);
	printf(", unlocked %d, dropped %d", ret, madvise(at, PAGE, MADV_DONTNEED) ? errno : 0);
	printf(" and %d", madvise(at + PAGE, PAGE, MADV_DONTNEED) ? errno : 0);
	ret = munlockall();
	printf(", all %d and %d\n", ret, madvise(at, BIG, MADV_DONTNEED) ? errno : 0);
	ret = mlock(at + BIG, 1 << 30) ? errno : 0;
	printf("locks: a hole %d\n", ret);
}

/* -- Libraries -- */

/*
 * Opened so, a library would find the C library's free() and not the program's. It is found by
 * the RUNPATH of the caller, $ORIGIN.
 */
static void deep(void)
{
	void *library = dlopen("libplugin.so", RTLD_NOW | RTLD_DEEPBIND);
	void (*plugin_free)(void *) = NULL;

	printf("deep: opened %d", library != NULL);
	if (library)
		plugin_free = (void (*)(void *))dlsym(library, "plugin_free");
	for (size_t i = 1; plugin_free && i < 300; i++)
		plugin_free(malloc(i * i));
	/* Its message stays with the C library, which frees it at the next call. */
	printf(", freed %d, no such thing %d\n", plugin_free != NULL,
	       dlopen("libnosuch.so", RTLD_NOW) == NULL);
}

/* Words that are out, as they are in the child of a fork. */
static void words(void)
{
	char *at = cold(BIG, 0), *const envp[] = {at + 3 * PAGE, NULL};
	int status;

	strcpy(at + PAGE, "sh");
	strcpy(at + 2 * PAGE, "echo \"words: $0 $HERE\"");
	strcpy(at + 3 * PAGE, "HERE=here");
	for (int i = 0; i < 3; i++) {
		fflush(stdout);
		if (fork() == 0) {
			if (i == 0)
				execl("/bin/sh", "sh", "-c", at + 2 * PAGE, at + PAGE, NULL);
			if (i == 1)
				execlp("sh", "sh", "-c", at + 2 * PAGE, NULL);
			execle("/bin/sh", "sh", "-c", at + 2 * PAGE, NULL, envp);
			_exit(errno);
		}
		wait(&status);
		printf("words: status %#x\n", status);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{"pipes", pipes},
		{"raw_calls", raw_calls},
		{"files", files},
		{"messages", messages},
		{"waits", waits},
		{"coroutines", coroutines},
		{"stacks_by_the_instruction", stacks_by_the_instruction},
		{"jumps", jumps},
		{"interruptions", interruptions},
		{"faults", faults},
		{"masks", masks},
		{"cancellations", cancellations},
		{"stacks", stacks},
		{"futexes", futexes},
		{"vforks", vforks},
		{"traced", traced},
		{"locks", locks},
		{"deep", deep},
		{"words", words},
		{"closed", closed},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (argc < 2 || !strcmp(argv[1], cases[i].name)) {
			cases[i].run();
			fflush(stdout);
		}
	return 0;
}
