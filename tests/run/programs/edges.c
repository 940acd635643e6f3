/* SPDX-License-Identifier: MIT */
/*
 * edges [NAME]...: what the kernel does to a program's memory by itself, without being given
 * its address just then, while that memory is out (cold.h): at the end of a thread, at its
 * start, when a signal comes back; and calls that are made past the C library. Each case prints
 * what it found. `edges refused` is of no use without Ration: it prints what Ration refuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

#include "cold.h"
#include "raw.h"

#define PATIENCE 60 /* seconds: what has not come by then does not come */

static struct timespec deadline(void)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += PATIENCE;
	return at;
}

/* -- The end of a thread -- */

static pthread_mutex_t *new_mutex(char *at, int protocol)
{
	pthread_mutex_t *mutex = (pthread_mutex_t *)(void *)at;
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setprotocol(&attr, protocol);
	pthread_mutex_init(mutex, &attr);
	return mutex;
}

static char *mutexes;
static int waits; /* the futex of those who wait until all is locked */

static void *die_with_mutexes(void *arg)
{
	for (size_t i = 0; i < 4; i++)
		pthread_mutex_lock((pthread_mutex_t *)(void *)(mutexes + i * PAGE));
	__atomic_store_n(&waits, 1, __ATOMIC_RELEASE);
	if (arg)
		usleep(20000); /* let somebody wait for one of them */
	chill(mutexes, 4 * PAGE);
	return NULL;
}

static void *wait_for_one(void *arg)
{
	struct timespec until = deadline();

	while (!__atomic_load_n(&waits, __ATOMIC_ACQUIRE))
		sched_yield();
	return (void *)(intptr_t)pthread_mutex_timedlock(arg, &until);
}

static void robust_round(const char *what, void *(*dies)(void *), int protocol, int with_waiter)
{
	pthread_t thread, waiter;
	void *waited = NULL;

	mutexes = cold(4 * PAGE, 0);
	for (size_t i = 0; i < 4; i++)
		new_mutex(mutexes + i * PAGE, protocol);
	waits = 0;
	pthread_create(&thread, NULL, dies, with_waiter ? mutexes : NULL);
	if (with_waiter)
		pthread_create(&waiter, NULL, wait_for_one, mutexes + 2 * PAGE);
	pthread_join(thread, NULL);
	if (with_waiter)
		pthread_join(waiter, &waited);
	printf("robust, %s:", what);
	for (size_t i = 0; i < 4; i++) {
		struct timespec until = deadline();
		pthread_mutex_t *mutex = (pthread_mutex_t *)(void *)(mutexes + i * PAGE);
		int err = with_waiter && i == 2 ? (int)(intptr_t)waited
						: pthread_mutex_timedlock(mutex, &until);

		printf(" %s", err ? strerrorname_np(err) : "ok");
	}
	putchar('\n');
}

static void *die_by_pthread_exit(void *arg)
{
	die_with_mutexes(arg);
	pthread_exit(NULL);
}

static void robust(void)
{
	robust_round("return", die_with_mutexes, PTHREAD_PRIO_NONE, 0);
	robust_round("pthread_exit", die_by_pthread_exit, PTHREAD_PRIO_NONE, 0);
	robust_round("with a waiter", die_with_mutexes, PTHREAD_PRIO_NONE, 1);
	robust_round("priority inheritance", die_with_mutexes, PTHREAD_PRIO_INHERIT, 0);
	robust_round("and with a waiter", die_with_mutexes, PTHREAD_PRIO_INHERIT, 1);
}

/* The kernel clears *tid and wakes who waits there. */
static int await_clear(int *tid)
{
	struct timespec timeout = {PATIENCE, 0};
	int old;

	while ((old = __atomic_load_n(tid, __ATOMIC_ACQUIRE)) != 0)
		if (syscall(SYS_futex, tid, FUTEX_WAIT, old, &timeout, NULL, 0) &&
		    errno == ETIMEDOUT)
			return 0;
	return 1;
}

static void *set_tid_and_die(void *arg)
{
	int *tid = arg;

	*tid = 77;
	syscall(SYS_set_tid_address, tid);
	chill(tid, PAGE);
	syscall(SYS_exit, 0);
	return NULL;
}

static void tid_address(void)
{
	int *tid = (int *)(void *)cold(PAGE, 0);
	pthread_attr_t attr;
	pthread_t thread;

	*tid = 77;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_create(&thread, &attr, set_tid_and_die, tid);
	printf("tid address: cleared %d\n", await_clear(tid));
}

/* -- Threads of which the C library knows nothing -- */

#define THREAD_FLAGS                                                                        \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | \
	 CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

struct raw_thread {
	char *data, *stack;
	long answer;
	int *tid;
};

/* It has the thread-local storage of who made it, who waits meanwhile. */
__attribute__((used)) static void raw_thread_main(struct raw_thread *t)
{
	uint64_t all = ~0ull;
	char local[9000];

	raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, sizeof(all));
	memset(local, 3, sizeof(local));
	for (int round = 0; round < 3; round++) {
		raw(SYS_madvise, (long)t->data, BIG, MADV_PAGEOUT, 0);
		raw(SYS_madvise, (long)t->stack, BIG - 8 * PAGE, MADV_PAGEOUT, 0);
		for (size_t i = 0; i < BIG; i += 512)
			t->data[i]++;
		for (size_t i = 0; i < sizeof(local); i++)
			t->answer += local[i];
	}
	raw(SYS_madvise, (long)t->tid & (long)~(PAGE - 1), PAGE, MADV_PAGEOUT, 0);
}

/* clone(2) with the C library's eyes shut. */
__attribute__((noinline)) static long start_raw(struct raw_thread *t, long flags)
{
	register long r10 __asm__("r10") = (long)t->tid;
	register long r8 __asm__("r8") = 0;
	register struct raw_thread *r12 __asm__("r12") = t;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "call raw_thread_main\n\t"
			 "mov $60, %%eax\n\t"
			 "xor %%edi, %%edi\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(ret)
			 : "a"(SYS_clone), "D"(flags), "S"(t->stack + BIG), "d"(t->tid),
			   "r"(r10), "r"(r8), "r"(r12)
			 : "rcx", "r11", "memory");
	return ret;
}

static void raw_round(const char *what, char *stack, char *tid)
{
	struct raw_thread t = {.data = cold(BIG, 1), .stack = stack, .tid = (int *)(void *)tid};
	uint64_t all = ~0ull, old;

	raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, sizeof(all));
	chill(stack, BIG);
	chill(tid, PAGE);
	if (start_raw(&t, THREAD_FLAGS) < 0)
		puts("no raw thread");
	printf("raw thread, %s: ended %d", what, await_clear(t.tid));
	printf(", counted %ld, data %u\n", t.answer, sum(t.data, BIG));
	raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(all));
}

static void raw_threads(void)
{
	static char stack[BIG] __attribute__((aligned(4096)));
	static char tid[4096] __attribute__((aligned(4096)));

	raw_round("its stack not managed", stack, tid);
	raw_round("its stack managed", cold(BIG, 0), tid);
}

/* A thread that was there before any constructor but the first library's. */
static pthread_t early_thread;
static unsigned int early_sum;
static int early_turn; /* 1: go on, 2: end */

static void *early_main(void *arg)
{
	while (!__atomic_load_n(&early_turn, __ATOMIC_ACQUIRE))
		usleep(1000);
	early_sum = sum(cold(BIG, 7), BIG);
	return arg;
}

static void start_early(void)
{
	pthread_create(&early_thread, NULL, early_main, NULL);
}

__attribute__((section(".preinit_array"),
	       used)) static void (*const preinit)(void) = start_early;

static void early(void)
{
	__atomic_store_n(&early_turn, 1, __ATOMIC_RELEASE);
	pthread_join(early_thread, NULL);
	printf("early: %u\n", early_sum);
}

/* -- Signals -- */

static volatile sig_atomic_t nr_signals, last_code;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	nr_signals++;
	last_code = info->si_code;
}

/* All blocked, in every way there is; then memory that is out. */
static void blocked(void)
{
	uint64_t all = ~0ull, old, now = 0;
	volatile int rounds = 0;
	ucontext_t context;
	sigset_t set;

	raw(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&old, sizeof(all));
	printf("blocked: raw %u", sum(cold(BIG, 1), BIG));
	raw(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&now, sizeof(all));
	printf(" %d", (int)(now >> (SIGBUS - 1) & 1));
	raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(all));
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, sizeof(all));
	printf(", by syscall() %u", sum(cold(BIG, 2), BIG));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(all));
	getcontext(&context);
	if (rounds++ == 0) {
		sigfillset(&context.uc_sigmask);
		setcontext(&context);
	}
	printf(", by setcontext() %u", sum(cold(BIG, 3), BIG));
	sigprocmask(SIG_SETMASK, NULL, &set);
	printf(" %d", sigismember(&set, SIGSEGV));
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	printf(", then %u\n", sum(cold(BIG, 4), BIG));
}

struct raw_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

/* The signals of faults set to be ignored, or back, past the C library. */
static void actions(void)
{
	static const int signals[] = {SIGBUS, SIGSEGV, SIGSYS};
	struct raw_action none = {.handler = (void *)SIG_DFL}, old;
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	sigaction(SIGBUS, &action, NULL);
	for (size_t i = 0; i < 3; i++)
		raw(SYS_rt_sigaction, signals[i], (long)&none, (long)&old, sizeof(uint64_t));
	printf("actions: raw %u", sum(cold(BIG, 5), BIG));
	raw(SYS_rt_sigaction, SIGBUS, 0, (long)&old, sizeof(uint64_t));
	printf(", now %d", old.handler != (void *)SIG_DFL);
	for (size_t i = 0; i < 3; i++)
		syscall(SYS_rt_sigaction, signals[i], &none, NULL, sizeof(uint64_t));
	printf(", by syscall() %u\n", sum(cold(BIG, 6), BIG));
}

/* Sent while they are blocked: kept until they are not. */
static void pending(void)
{
	static const int signals[] = {SIGBUS, SIGSEGV, SIGSYS};
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	sigset_t set, old;

	for (size_t i = 0; i < 3; i++) {
		sigemptyset(&set);
		sigaddset(&set, signals[i]);
		sigaction(signals[i], &action, NULL);
		nr_signals = 0;
		pthread_sigmask(SIG_BLOCK, &set, &old);
		raise(signals[i]);
		raise(signals[i]);
		printf("pending: %d, data %u", (int)nr_signals, sum(cold(BIG, 1), BIG));
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		printf(", then %d with code %d\n", (int)nr_signals, (int)last_code);
		signal(signals[i], SIG_DFL);
	}
}

/* -- Calls with addresses inside of structures, past the C library -- */

static void structures(void)
{
	char *at = cold(BIG, 's'), *to = cold(BIG, 0);
	struct iovec out[2] = {{at + PAGE, 3000}, {at + 7 * PAGE, 1000}};
	struct iovec in[2] = {{to + 9 * PAGE - 7, 1500}, {to + 20 * PAGE, 5000}};
	struct msghdr msg = {.msg_iov = out, .msg_iovlen = 2};
	int fds[2];
	long n;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return;
	n = raw(SYS_writev, fds[0], (long)out, 2, 0);
	printf("structures: writev %ld", n);
	chill(at, BIG);
	n = raw(SYS_sendmsg, fds[0], (long)&msg, 0, 0);
	printf(", sendmsg %ld", n);
	n = raw(SYS_readv, fds[1], (long)in, 2, 0);
	printf(", readv %ld %u\n", n, sum(to, BIG));
	close(fds[0]);
	close(fds[1]);
}

/* What goes into a pipe is what was there then, whatever becomes of the memory. */
static void splices(void)
{
	char *at = cold(8 * PAGE, 'v');
	struct iovec iov = {at, 8 * PAGE};
	char back[8 * PAGE];
	size_t wrong = 0;
	int fds[2];
	long n;

	if (pipe(fds))
		return;
	n = syscall(SYS_vmsplice, fds[1], &iov, 1, 0);
	printf("splices: %ld", n);
	chill(at, 8 * PAGE);
	cold(4 * BIG, 'w');
	n = read(fds[0], back, sizeof(back));
	for (long i = 0; i < n; i++)
		wrong += back[i] != 'v';
	printf(", read %ld, %zu wrong\n", n, wrong);
	close(fds[0]);
	close(fds[1]);
}

/* Past the page cache the kernel asks for addresses and lengths in whole sectors. */
static void direct(void)
{
	char name[] = "/tmp/edges.XXXXXX", *at = cold(BIG, 'd'), *to = cold(BIG, 0);
	struct iovec out[2] = {{at + PAGE, 2 * PAGE}, {at + 9 * PAGE + 512, 3 * PAGE}};
	struct iovec in[2] = {{to + 512, PAGE}, {to + 30 * PAGE, 4 * PAGE}};
	int fd = mkostemp(name, O_DIRECT);

	unlink(name);
	printf("direct: writev %zd", writev(fd, out, 2));
	chill(at, BIG);
	printf(", pwritev %zd", pwritev(fd, out, 2, 5 * PAGE));
	printf(", preadv %zd", preadv(fd, in, 2, 0));
	printf(" %u", sum(to, BIG));
	chill(to, BIG);
	printf(", pread %zd %u", pread(fd, to + 3 * PAGE, 8 * PAGE, 0), sum(to, BIG));
	in[0].iov_base = to + 3;
	printf(", odd %s\n", preadv(fd, in, 1, 0) < 0 ? strerrorname_np(errno) : "ok");
	close(fd);
}

/* Structures on the stack that hold addresses of memory that is out. */
static void inner(void)
{
	char *at = cold(BIG, 0);
	struct sock_filter *code = (struct sock_filter *)(void *)(at + 4 * PAGE - 8);
	struct sock_fprog program = {.len = 3, .filter = code};
	struct ifconf conf = {.ifc_len = 2 * PAGE, .ifc_buf = at + 8 * PAGE - 40};
	struct winsize *size = (struct winsize *)(void *)at;
	char *name = at + 12 * PAGE;
	int fds[2];
	long n;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fds))
		return;
	for (size_t i = 0; i < 3; i++) /* the last 5 bytes of each are what gets through */
		code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 5);
	chill(at, BIG);
	n = setsockopt(fds[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	printf("inner: filter %ld, sent %zd", n, send(fds[0], "0123456789", 10, 0));
	printf(", got %zd", recv(fds[1], at, 100, 0));
	n = ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCGIFCONF, &conf);
	printf(", interfaces %ld %d", n,
	       conf.ifc_len > 0 && !strcmp(conf.ifc_req->ifr_name, "lo"));
	n = ioctl(fds[0], TIOCGWINSZ, size);
	printf(", window size %s", n < 0 ? strerrorname_np(errno) : "ok");
	strcpy(name, "a name");
	chill(at, BIG);
	n = prctl(PR_SET_NAME, name);
	chill(at, BIG);
	printf(", name %ld", n);
	n = prctl(PR_GET_NAME, name + 100);
	printf(" %ld %s\n", n, name + 100);
	close(fds[0]);
	close(fds[1]);
}

/* -- Descriptors -- */

#define FDS 1100

/* Each number is the program's own now, whatever was there. */
static void take_all(const char *what, char *at, int (*take)(int fd))
{
	for (int fd = 3; fd < FDS; fd++)
		take(fd);
	chill(at, BIG);
	printf(" %s %u", what, sum(at, BIG));
}

static int take_raw(int fd)
{
	return (int)raw(SYS_dup2, 1, fd, 0, 0);
}

static int take(int fd)
{
	return dup2(1, fd);
}

static int give_back(int fd)
{
	return (int)raw(SYS_close, fd, 0, 0, 0);
}

/* A child in the parent's memory closes all that there is, and goes on with that memory. */
static void close_in_vfork(char *at)
{
	int status = -1;
	pid_t pid = vfork();

	if (pid == 0) {
		for (int fd = 3; fd < FDS; fd++)
			close(fd);
		closefrom(3);
		raw(SYS_close_range, 3, ~0u, 0, 0);
		for (size_t i = 0; i < BIG; i += PAGE)
			at[i] = 'v';
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	printf(", vfork %#x %u", status, sum(at, BIG));
}

static void descriptors(void)
{
	char *at = cold(BIG, 'o');
	struct rlimit old, few = {.rlim_cur = 3};
	int status = -1;
	pid_t pid;

	printf("descriptors:");
	close_in_vfork(at);
	take_all(", dup2", at, take);
	take_all("and raw", at, take_raw);
	take_all(", closed", at, give_back);
	getrlimit(RLIMIT_NOFILE, &old);
	few.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	chill(at, BIG);
	printf(", at most three %u", sum(at, BIG));
	setrlimit(RLIMIT_NOFILE, &old);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(sum(at, BIG) % 100);
	waitpid(pid, &status, 0);
	printf(", a child %#x\n", status);
}

/* -- What is refused -- */

static const char *name_of(long ret)
{
	return ret < 0 ? strerrorname_np(errno) : "ok";
}

static void refused(void)
{
	char *at = cold(BIG, 'x');
	struct iovec iov = {at, PAGE};
	aio_context_t aio = 0;
	int one = 1, self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);

	printf("io_setup %s", name_of(syscall(SYS_io_setup, 8, &aio)));
	printf(", raw %s", name_of(raw(SYS_io_setup, 8, (long)&aio, 0, 0) < 0 ? -1 : 0));
	printf(", io_uring_setup %s", name_of(syscall(SYS_io_uring_setup, 8, at)));
	printf(", SO_ZEROCOPY %s",
	       name_of(setsockopt(tcp, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one))));
	printf(", raw %s", name_of(syscall(SYS_setsockopt, tcp, SOL_SOCKET, SO_ZEROCOPY, &one,
					   sizeof(one))));
	printf(", rseq %s", name_of(syscall(SYS_rseq, at, 32, 0, 0x53053053)));
	printf(", process_madvise %s, %d\n",
	       name_of(syscall(SYS_process_madvise, self, &iov, 1, MADV_DONTNEED, 0)), at[0]);
}

static int is_named(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc < 2;
}

/* Calls on memory that are made here, not in the C library. */
static void behind(void)
{
	char *at = cold(BIG, 'r');
	int fds[2];
	long n;

	if (pipe(fds))
		return;
	n = raw(SYS_madvise, (long)at, PAGE, MADV_DONTNEED, 0);
	printf("behind: dontneed %ld %d", n, at[0]);
	at[4 * PAGE] = 'i';
	n = raw(SYS_mprotect, (long)at + 4 * PAGE, PAGE, PROT_NONE, 0);
	printf(", mprotect %ld", n);
	n = write(fds[1], at + 4 * PAGE, 1);
	printf(", bad write %ld %d", n, n < 0 ? errno : 0);
	mprotect(at + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	n = raw(SYS_munmap, (long)at + 20 * PAGE, BIG - 20 * PAGE, 0, 0);
	printf(", then %c, munmap %ld", at[4 * PAGE], n);
	n = write(fds[1], at + 20 * PAGE, 1);
	printf(", bad write %ld %d\n", n, n < 0 ? errno : 0);
	close(fds[0]);
	close(fds[1]);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{"early", early},
		{"robust", robust},
		{"tid_address", tid_address},
		{"raw_threads", raw_threads},
		{"blocked", blocked},
		{"actions", actions},
		{"pending", pending},
		{"structures", structures},
		{"splices", splices},
		{"direct", direct},
		{"inner", inner},
		{"behind", behind},
		{"descriptors", descriptors},
	};

	setvbuf(stdout, NULL, _IOFBF, 65536);
	if (argc > 1 && !strcmp(argv[1], "refused"))
		refused();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (is_named(cases[i].name, argc, argv)) {
			cases[i].run();
			fflush(stdout);
		}
	return 0;
}
