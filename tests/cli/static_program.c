/* SPDX-License-Identifier: MIT */
/* A statically linked program: without a C library, so that none has to be installed for it. */
_Noreturn void _start(void);

_Noreturn void _start(void)
{
	for (;;)
		__asm__ volatile("syscall" ::"a"(60), "D"(0)
				 : "rcx", "r11", "memory"); /* exit */
}
