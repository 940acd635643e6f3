/* SPDX-License-Identifier: MIT */
/*
 * Starts the program and stands in for it until it ends, so that whoever started the launcher
 * sees the program's own behaviour.
 *
 * The launcher blocks all signals and takes them one by one (sigwaitinfo). What a process sent
 * to the launcher is sent on to the program. What the terminal sent went to the whole
 * foreground process group, to which the program belongs, so it is dropped here: forwarded, the
 * program would get it twice. (A hangup is the exception: it goes to the session's leader
 * alone.) Blocked signals need no handlers, so the dispositions that the program inherits are
 * those that the launcher got; but SIGCHLD, which must not be ignored by one who waits.
 *
 * When the program stops, the launcher stops by the same signal, so that a shell sees its job
 * stop; the shell's SIGCONT goes to the group, one that was sent to the launcher is sent on.
 *
 * 1. Between supervise_signals_hold() and the end, no signal but SIGKILL and SIGSTOP ends or
 * stops the launcher behind our back: what was made is removed again.
 * 2. If the launcher is killed, the kernel kills the program (PR_SET_PDEATHSIG), as it would be
 *    if that SIGKILL had been its own.
 * 3. After the program's end the launcher ends in the same way, by the same signal, without a
 * core.
 */
#include "run/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	sigset_t inherited_mask;
	struct sigaction inherited_chld;
} held;

/**
 * supervise_prepare() - see that descriptors 0 to 2 are taken, so that no file of ours becomes
 * somebody's standard error. They stay closed for the program (O_CLOEXEC).
 */
void supervise_prepare(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/**
 * supervise_signals_hold() - from here on signals wait until supervise_wait() asks for them.
 */
void supervise_signals_hold(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &held.inherited_mask);
	sigaction(SIGCHLD, &dfl, &held.inherited_chld);
}

static bool is_ignored(int sig)
{
	struct sigaction sa;

	return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

/**
 * supervise_signal_pending() - a signal that came before there was a program and that would
 * have ended the launcher; 0: none.
 */
int supervise_signal_pending(void)
{
	static const int enders[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM};
	sigset_t pending;

	sigpending(&pending);
	for (unsigned int i = 0; i < sizeof(enders) / sizeof(*enders); i++)
		if (sigismember(&pending, enders[i]) && !is_ignored(enders[i]) &&
		    !sigismember(&held.inherited_mask, enders[i]))
			return enders[i];
	return 0;
}

/* execvp(3)'s second half: a file without "#!" is for the shell. Return: the errno. */
static int exec_program(const struct program *program, char **argv)
{
	size_t nr = 0;
	char **shell_argv;

	execv(program->path, argv);
	if (errno != ENOEXEC || !program->is_text)
		return errno;
	while (argv[nr])
		nr++;
	shell_argv = calloc(nr + 2, sizeof(*shell_argv));
	if (!shell_argv)
		return ENOMEM;
	memcpy(shell_argv + 1, argv, nr * sizeof(*argv));
	shell_argv[0] = (char[]){"/bin/sh"};
	shell_argv[1] = strdup(program->path);
	execv("/bin/sh", shell_argv);
	return errno;
}

struct start {
	const struct program *program;
	char **argv;
	const struct supervise_env *env;
	unsigned int nr_env;
	pid_t launcher;
	int err_fd; /* gets exec's errno; closed by an exec that works */
};

static _Noreturn void child_run(const struct start *start)
{
	int err = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != start->launcher)
		_exit(1); /* it died before the kernel knew what to do then */
	for (unsigned int i = 0; i < start->nr_env && !err; i++)
		if (setenv(start->env[i].name, start->env[i].value, 1))
			err = errno;
	if (!err) {
		sigaction(SIGCHLD, &held.inherited_chld, NULL);
		sigprocmask(SIG_SETMASK, &held.inherited_mask, NULL);
		err = exec_program(start->program, start->argv);
	}
	if (write(start->err_fd, &err, sizeof(err)) < 0)
		_exit(2);
	_exit(1);
}

/**
 * supervise_start() - fork, and execute the program in the child.
 * @program: as checked.
 * @argv: NULL-terminated; argv[0] is the name as typed.
 * @env: set in the program's environment.
 *
 * Return: 0; -errno of pipe or fork; the positive errno of execve.
 * Context: after supervise_signals_hold().
 */
int supervise_start(const struct program *program, char **argv, const struct supervise_env *env,
		    unsigned int nr_env, struct supervised *ret_child)
{
	struct start start = {.program = program,
			      .argv = argv,
			      .env = env,
			      .nr_env = nr_env,
			      .launcher = getpid()};
	struct supervised child = {.pid = -1};
	int ends[2], err = 0;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	start.err_fd = ends[1];
	child.pid = fork();
	if (child.pid == 0)
		child_run(&start);
	if (child.pid < 0)
		err = -errno;
	close(ends[1]);
	if (!err && read(ends[0], &err, sizeof(err)) == (ssize_t)sizeof(err))
		waitpid(child.pid, NULL, 0);
	close(ends[0]);
	if (!err)
		*ret_child = child;
	return err;
}

/* By its default action. Returns if that is not to end, once SIGCONT has come. */
static void signal_self(int sig)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL}, old;
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, sig);
	sigaction(sig, &dfl, &old); /* fails for SIGSTOP, which needs it least */
	kill(getpid(), sig); /* while blocked: joins the one that the terminal may have sent */
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	sigprocmask(SIG_BLOCK, &one, NULL);
	if (sig != SIGSTOP)
		sigaction(sig, &old, NULL);
}

struct watch {
	struct supervised *child;
	bool is_stopped;
	bool has_ended;
};

/* One state change of the child. Return: false if there is none to be had now. */
static bool watch_child(struct watch *watch, int *ret_stop_sig)
{
	int status;
	pid_t pid = wait4(watch->child->pid, &status, WNOHANG | WUNTRACED | WCONTINUED,
			  &watch->child->usage);

	if (pid == 0 || (pid < 0 && errno == EINTR))
		return false;
	if (pid < 0) { /* cannot be: nobody else waits for it */
		watch->has_ended = true;
		watch->child->status = 0;
		return false;
	}
	watch->is_stopped = WIFSTOPPED(status);
	watch->has_ended = WIFEXITED(status) || WIFSIGNALED(status);
	watch->child->status = status;
	*ret_stop_sig = watch->is_stopped ? WSTOPSIG(status) : 0;
	return !watch->has_ended;
}

static void follow_child(struct watch *watch)
{
	int stop_sig = 0;

	while (watch_child(watch, &stop_sig))
		;
	if (!watch->has_ended && watch->is_stopped && stop_sig)
		signal_self(stop_sig);
}

/* Did the terminal driver send it to the whole foreground group, the program included? */
static bool is_from_terminal(const siginfo_t *info)
{
	if (info->si_code != SI_KERNEL)
		return false;
	switch (info->si_signo) {
	case SIGINT:
	case SIGQUIT:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGWINCH:
	case SIGCONT:
		return true;
	case SIGHUP:
		return getsid(0) != getpid();
	default:
		return false;
	}
}

static void forward(struct watch *watch, const siginfo_t *info)
{
	follow_child(watch);
	if (watch->has_ended || is_from_terminal(info))
		return;
	/* A shell continues the group: the program runs already, and may have stopped anew. */
	if (info->si_signo == SIGCONT && !watch->is_stopped)
		return;
	if (info->si_code == SI_QUEUE)
		sigqueue(watch->child->pid, info->si_signo, info->si_value);
	else
		kill(watch->child->pid, info->si_signo);
}

/**
 * supervise_wait() - pass signals on and follow stops until the program has ended.
 * @child: ->status and ->usage are set.
 */
void supervise_wait(struct supervised *child)
{
	struct watch watch = {.child = child};
	sigset_t all;

	sigfillset(&all);
	follow_child(&watch);
	while (!watch.has_ended) {
		siginfo_t info;
		int sig = sigwaitinfo(&all, &info);

		if (sig == SIGCHLD)
			follow_child(&watch);
		else if (sig > 0)
			forward(&watch, &info);
	}
}

/**
 * supervise_die_by() - end by a signal, without a core file.
 */
_Noreturn void supervise_die_by(int sig)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* for a core_pattern with a pipe, too */
	signal_self(sig);
	_exit(128 + sig); /* not reached by a signal that ends */
}

/**
 * supervise_end_like() - end as the program did.
 * @status: as wait4(2) gave it.
 */
_Noreturn void supervise_end_like(int status)
{
	if (WIFSIGNALED(status))
		supervise_die_by(WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}
