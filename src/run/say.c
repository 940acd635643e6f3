/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "run/runtime.h"

/**
 * rt_say() - a line for the person who started the run; the launcher prints it at the end.
 *
 * Not on the program's standard error: the program may have closed it, or may have put
 * something else there.
 *
 * Context: any thread.
 */
void rt_say(struct runtime *rt, const char *format, ...)
{
	char line[RUN_LINE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	run_share_say(rt->map.share, line);
}
