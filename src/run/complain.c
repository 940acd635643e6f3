/* SPDX-License-Identifier: MIT */
#include "run/complain.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

void complain(const char *format, ...)
{
	char line[480];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (unsigned char *at = (unsigned char *)line; *at; at++)
		if (*at < ' ' || *at == 0x7f)
			*at = '?';
	log_line("ration: %s", line);
}
