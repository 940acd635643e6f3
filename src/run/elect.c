/* SPDX-License-Identifier: MIT */
/*
 * Who resolves faults: asked of the machine before anything is made.
 *
 *	           userfaultfd                            else
 *	signal     of user mode: anybody's since 5.11     a seccomp filter, SIGSYS
 *	thread     of the kernel's faults: a right        nothing
 *	segv       none                                   the filter, memfd_create(2)
 *
 * The signal engine is the fastest and needs no privilege. The thread engine serves where the
 * kernel does not answer a fault by a signal, if there is the right to handle the kernel's own
 * faults. That of a memory file needs no userfaultfd at all, and is never chosen where another
 * works. What may be had is the same in the program: it runs as this user, in these filters.
 */
#include "run/elect.h"

#include <errno.h>
#include <linux/memfd.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "machine/host.h"
#include "run/complain.h"

/* What each engine lacks. */
struct ballot {
	struct machine_host_probe by_signal, by_thread;
	int filter_err; /* of seccomp(2): 0, -errno */
	int memfd_err;	/* of memfd_create(2) */
};

static int probe_filter(void)
{
	uint32_t action = SECCOMP_RET_TRAP;

	return (int)sys_call3(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, (long)&action);
}

static int probe_memfd(void)
{
	long fd = sys_call2(SYS_memfd_create, (long)"ration-probe", MFD_CLOEXEC);

	if (fd < 0)
		return (int)fd;
	sys_call2(SYS_close, fd, 0);
	return 0;
}

static void hold_ballot(struct ballot *ret_ballot)
{
	machine_host_probe_signals(&ret_ballot->by_signal);
	machine_host_probe(&ret_ballot->by_thread);
	ret_ballot->filter_err = probe_filter();
	ret_ballot->memfd_err = probe_memfd();
}

static bool can_signal(const struct ballot *of)
{
	return of->by_signal.verdict == MACHINE_HOST_OK && !of->filter_err;
}

static bool can_thread(const struct ballot *of)
{
	return of->by_thread.verdict == MACHINE_HOST_OK;
}

static bool can_segv(const struct ballot *of)
{
	return !of->filter_err && !of->memfd_err;
}

/* -- One line that says what to change -- */

#define SECCOMP_WAY "have the container's or service's filter (seccomp) allow it"

/* Userfaultfd for faults of user mode is everybody's, so it is no right that is missing. */
static void complain_of_signal(const struct ballot *of, const char *engine)
{
	if (of->filter_err)
		complain("--fault %s: seccomp filters cannot be had here (%s): " SECCOMP_WAY
			 ", or use --fault thread as root",
			 engine, strerror(-of->filter_err));
	else if (of->by_signal.verdict == MACHINE_HOST_NO_WP)
		complain(
			"--fault %s: this kernel's userfaultfd cannot write-protect or tell by "
			"signals: Linux 5.11 or newer is needed, or leave out --fault",
			engine);
	else
		complain("--fault %s: userfaultfd is refused here (%s): " SECCOMP_WAY
			 ", or leave out --fault (Linux older than 5.11: run as root)",
			 engine, strerror(-of->by_signal.err));
}

#define THREAD_WAYS                                                                          \
	"run as root (CAP_SYS_PTRACE), or set sysctl vm.unprivileged_userfaultfd=1, or get " \
	"access to /dev/userfaultfd, or leave out --fault"

static void complain_of_thread(const struct machine_host_probe *of)
{
	switch (of->verdict) {
	case MACHINE_HOST_OK:
		break;
	case MACHINE_HOST_NO_SYSCALL:
		complain(
			"this kernel has no userfaultfd, or a filter hides it (%s): Linux with "
			"CONFIG_USERFAULTFD is needed; then " THREAD_WAYS,
			strerror(-of->err));
		break;
	case MACHINE_HOST_NO_RIGHT:
		complain("no right to userfaultfd here (%s): " THREAD_WAYS, strerror(-of->err));
		break;
	case MACHINE_HOST_NO_WP:
		complain(
			"this kernel's userfaultfd cannot write-protect: Linux 5.7 or newer is "
			"needed");
		break;
	case MACHINE_HOST_NO_MEANS:
		complain("userfaultfd: %s", strerror(-of->err));
		break;
	}
}

static void complain_of_segv(const struct ballot *of)
{
	if (of->filter_err)
		complain_of_signal(of, "segv");
	else
		complain("--fault segv: memfd_create is refused here (%s): " SECCOMP_WAY,
			 strerror(-of->memfd_err));
}

static void complain_of_all(const struct ballot *of)
{
	complain("no way to resolve faults here: userfaultfd %s, seccomp filters %s, "
		 "memfd_create "
		 "%s: " SECCOMP_WAY ", or run as root",
		 of->by_thread.err ? strerror(-of->by_thread.err) : "ok",
		 of->filter_err ? strerror(-of->filter_err) : "ok",
		 of->memfd_err ? strerror(-of->memfd_err) : "ok");
}

/* -- The choice -- */

static const char *why_not_signal(const struct ballot *of)
{
	return of->by_signal.verdict == MACHINE_HOST_OK ? "no seccomp filter"
							: "no userfaultfd by signals";
}

static int elect(struct run_settings *settings, enum run_fault_engine engine)
{
	settings->fault_engine = engine;
	return EXIT_OK;
}

/* --fault signal: the thread engine takes over where that cannot serve. */
static int elect_signal(struct run_settings *settings, const struct ballot *of,
			const char **ret_reason)
{
	*ret_reason = can_signal(of) ? "--fault signal" : why_not_signal(of);
	if (can_signal(of))
		return elect(settings, RUN_FAULT_SIGNAL);
	if (can_thread(of))
		return elect(settings, RUN_FAULT_THREAD);
	complain_of_signal(of, "signal");
	return EXIT_TROUBLE;
}

static int elect_thread(struct run_settings *settings, const struct ballot *of,
			const char **ret_reason)
{
	*ret_reason = "--fault thread";
	if (can_thread(of))
		return elect(settings, RUN_FAULT_THREAD);
	complain_of_thread(&of->by_thread);
	return EXIT_TROUBLE;
}

static int elect_segv(struct run_settings *settings, const struct ballot *of,
		      const char **ret_reason)
{
	*ret_reason = "--fault segv";
	if (can_segv(of))
		return elect(settings, RUN_FAULT_SEGV);
	complain_of_segv(of);
	return EXIT_TROUBLE;
}

static int elect_any(struct run_settings *settings, const struct ballot *of,
		     const char **ret_reason)
{
	*ret_reason = "the default";
	if (can_signal(of))
		return elect(settings, RUN_FAULT_SIGNAL);
	*ret_reason = why_not_signal(of);
	if (can_thread(of))
		return elect(settings, RUN_FAULT_THREAD);
	*ret_reason = "no userfaultfd";
	if (can_segv(of))
		return elect(settings, RUN_FAULT_SEGV);
	complain_of_all(of);
	return EXIT_TROUBLE;
}

/**
 * elect_engine() - which engine is to resolve faults.
 * @settings: what was asked for; its fault_engine is set.
 * @ret_reason: why it is that one, for the report.
 *
 * Return: EXIT_OK; EXIT_TROUBLE after a line that says what to change.
 */
int elect_engine(struct run_settings *settings, const char **ret_reason)
{
	struct ballot ballot;

	hold_ballot(&ballot);
	if (!settings->is_fault_given)
		return elect_any(settings, &ballot, ret_reason);
	if (settings->fault_engine == RUN_FAULT_SIGNAL)
		return elect_signal(settings, &ballot, ret_reason);
	if (settings->fault_engine == RUN_FAULT_THREAD)
		return elect_thread(settings, &ballot, ret_reason);
	return elect_segv(settings, &ballot, ret_reason);
}
