/* SPDX-License-Identifier: MIT */
#include "base/assert.h"

#include "base/log.h"

_Noreturn void base_assert_failed(const char *what, const char *file, int line)
{
	log_line("ration: bug: %s is false, %s:%d", what, file, line);
	__builtin_trap();
}

void base_check_failed(const char *what, const char *file, int line)
{
	log_line("ration: check: %s is false, %s:%d", what, file, line);
}
