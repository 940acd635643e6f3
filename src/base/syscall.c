/* SPDX-License-Identifier: MIT */
#include "base/syscall.h"

extern const char sys_entry_here[] __attribute__((visibility("hidden")));

__asm__(".pushsection .text\n"
	".globl sys_entry_here\n"
	".hidden sys_entry_here\n"
	".type sys_entry_here, @function\n"
	"sys_entry_here:\n"
	"	syscall\n"
	"	ret\n"
	".size sys_entry_here, . - sys_entry_here\n"
	".popsection\n");

const void *sys_entry = sys_entry_here;
