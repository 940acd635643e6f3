/* SPDX-License-Identifier: MIT */
/*
 * Silence on standard error while a check is made to fail on purpose.
 */
#ifndef SUPPORT_QUIET_H
#define SUPPORT_QUIET_H

#include <fcntl.h>
#include <unistd.h>

/* Return: what quiet_end() wants. */
static inline int quiet_begin(void)
{
	int saved = dup(STDERR_FILENO);
	int null = open("/dev/null", O_WRONLY);

	dup2(null, STDERR_FILENO);
	close(null);
	return saved;
}

static inline void quiet_end(int saved)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
}

/* check(arg) answers -EUCLEAN, as it should; what it says about it is not for the output. */
#define assert_unclean(check, arg)                     \
	do {                                           \
		int quiet_saved = quiet_begin();       \
		int quiet_err = check(arg);            \
                                                       \
		quiet_end(quiet_saved);                \
		assert_int_equal(quiet_err, -EUCLEAN); \
	} while (0)

#endif
