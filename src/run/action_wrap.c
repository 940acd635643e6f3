/* SPDX-License-Identifier: MIT */
/*
 * The C library's functions on signal handlers and masks, as the program gets to see them where
 * the signal engine resolves faults: action.c keeps what they say. With the thread engine they
 * are the C library's own.
 */
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "run/action.h"
#include "run/interpose.h"
#include "run/next.h"
#include "run/runtime.h"

/* 32 and 33: the C library's own, for cancellation and set*id(). */
#define BIT(sig)     (1ull << ((sig)-1))
#define LIBC_SIGNALS (BIT(32) | BIT(33))

EXPORT __sighandler_t bsd_signal(int sig, __sighandler_t handler);
EXPORT __sighandler_t sysv_signal(int sig, __sighandler_t handler);
EXPORT __sighandler_t __sysv_signal(int sig, __sighandler_t handler);

static struct rt_action to_kernel(const struct sigaction *action)
{
	struct rt_action kernel = {.flags = (uint64_t)(unsigned int)action->sa_flags};

	memcpy(&kernel.handler, &action->sa_handler, sizeof(kernel.handler));
	memcpy(&kernel.mask, &action->sa_mask, sizeof(kernel.mask));
	kernel.mask &= ~LIBC_SIGNALS;
	return kernel;
}

static void from_kernel(const struct rt_action *kernel, struct sigaction *ret_action)
{
	memset(ret_action, 0, sizeof(*ret_action));
	memcpy(&ret_action->sa_handler, &kernel->handler, sizeof(kernel->handler));
	memcpy(&ret_action->sa_mask, &kernel->mask, sizeof(kernel->mask));
	ret_action->sa_flags = (int)(kernel->flags & ~0x04000000ull); /* SA_RESTORER */
}

EXPORT int sigaction(int sig, const struct sigaction *action, struct sigaction *ret_old)
{
	struct rt_action kernel, old;
	long err;

	if (!rt_is_by_signal())
		return NEXT(sigaction)(sig, action, ret_old);
	if (sig > 0 && sig < _NSIG && (LIBC_SIGNALS & BIT(sig)))
		return (int)rt_answer(-EINVAL);
	if (action)
		kernel = to_kernel(action);
	err = rt_do_sigaction(sig, action ? &kernel : NULL, &old);
	if (!err && ret_old)
		from_kernel(&old, ret_old);
	return (int)rt_answer(err);
}

static __sighandler_t set_handler(int sig, __sighandler_t handler, int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;

	if (!(flags & SA_NODEFER))
		sigaddset(&action.sa_mask, sig);
	if (handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	return sigaction(sig, &action, &old) ? SIG_ERR : old.sa_handler;
}

EXPORT __sighandler_t signal(int sig, __sighandler_t handler)
{
	if (!rt_is_by_signal())
		return NEXT(signal)(sig, handler);
	return set_handler(sig, handler, SA_RESTART);
}

EXPORT __sighandler_t bsd_signal(int sig, __sighandler_t handler)
{
	return signal(sig, handler);
}

EXPORT __sighandler_t ssignal(int sig, __sighandler_t handler)
{
	return signal(sig, handler);
}

EXPORT __sighandler_t sysv_signal(int sig, __sighandler_t handler)
{
	if (!rt_is_by_signal())
		return NEXT(sysv_signal)(sig, handler);
	return set_handler(sig, handler, (int)(SA_RESETHAND | SA_NODEFER));
}

EXPORT __sighandler_t __sysv_signal(int sig, __sighandler_t handler)
{
	return sysv_signal(sig, handler);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *ret_old)
{
	uint64_t mask, old;
	long err;

	if (!rt_is_by_signal())
		return NEXT(sigprocmask)(how, set, ret_old);
	if (set)
		memcpy(&mask, set, sizeof(mask));
	if (set && how != SIG_UNBLOCK)
		mask &= ~LIBC_SIGNALS;
	err = rt_do_sigprocmask(how, set ? &mask : NULL, &old);
	if (!err && ret_old) {
		memset(ret_old, 0, sizeof(*ret_old));
		memcpy(ret_old, &old, sizeof(old));
	}
	return (int)rt_answer(err);
}

/* Returns the error. */
EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *ret_old)
{
	int saved = errno, err;

	if (!rt_is_by_signal())
		return NEXT(pthread_sigmask)(how, set, ret_old);
	err = sigprocmask(how, set, ret_old) ? errno : 0;
	errno = saved;
	return err;
}

EXPORT int sigaltstack(const stack_t *stack, stack_t *ret_old)
{
	if (!rt_is_by_signal())
		return NEXT(sigaltstack)(stack, ret_old);
	return (int)rt_answer(
		rt_do_sigaltstack(stack, ret_old, (vaddr_t)__builtin_frame_address(0)));
}
