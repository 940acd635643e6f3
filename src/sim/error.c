/* SPDX-License-Identifier: MIT */
#include "sim/error.h"

#include <stdarg.h>
#include <stdio.h>

int sim_fail(struct sim_error *error, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->why, sizeof(error->why), format, args);
	va_end(args);
	return err;
}
