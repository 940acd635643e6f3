/* SPDX-License-Identifier: MIT */
/*
 * Copies from and to memory of the program that may not be there, as the kernel does it.
 *
 * The instructions that touch it stand between labels. A SIGSEGV or SIGBUS on one of them goes
 * on behind it (trap_copy_failed()), with the rest of the count still in rcx. A page that is
 * only out comes in by the SIGBUS handler, and the instruction goes on where it was.
 */
#include <signal.h>
#include <ucontext.h>

#include "base/checked.h"
#include "run/trap.h"

extern const char trap_copy_start[] __attribute__((visibility("hidden")));
extern const char trap_copy_end[] __attribute__((visibility("hidden")));
extern const char trap_touch_start[] __attribute__((visibility("hidden")));
extern const char trap_touch_end[] __attribute__((visibility("hidden")));
extern const char trap_swap_start[] __attribute__((visibility("hidden")));
extern const char trap_swap_end[] __attribute__((visibility("hidden")));

size_t trap_copy_bytes(void *to, const void *from, size_t len)
	__attribute__((visibility("hidden")));
size_t trap_touch_byte(vaddr_t va, int is_write) __attribute__((visibility("hidden")));
size_t trap_swap_word(vaddr_t va, uint32_t from, uint32_t to)
	__attribute__((visibility("hidden")));

__asm__(".pushsection .text\n"
	".globl trap_copy_bytes, trap_touch_byte, trap_swap_word\n"
	".globl trap_copy_start, trap_copy_end, trap_touch_start, trap_touch_end\n"
	".globl trap_swap_start, trap_swap_end\n"
	".hidden trap_copy_bytes, trap_touch_byte, trap_swap_word\n"
	".hidden trap_copy_start, trap_copy_end, trap_touch_start, trap_touch_end\n"
	".hidden trap_swap_start, trap_swap_end\n"
	".type trap_copy_bytes, @function\n"
	"trap_copy_bytes:\n"
	"	mov %rdx, %rcx\n"
	"trap_copy_start:\n"
	"	rep movsb\n"
	"trap_copy_end:\n"
	"	mov %rcx, %rax\n"
	"	ret\n"
	".size trap_copy_bytes, . - trap_copy_bytes\n"
	".type trap_touch_byte, @function\n"
	"trap_touch_byte:\n"
	"	mov $1, %ecx\n"
	"	test %esi, %esi\n"
	"trap_touch_start:\n"
	"	jz 1f\n"
	"	lock addb $0, (%rdi)\n"
	"	jmp 2f\n"
	"1:	movb (%rdi), %al\n"
	"2:	xor %ecx, %ecx\n"
	"trap_touch_end:\n"
	"	mov %rcx, %rax\n"
	"	ret\n"
	".size trap_touch_byte, . - trap_touch_byte\n"
	".type trap_swap_word, @function\n"
	"trap_swap_word:\n"
	"	mov $1, %ecx\n"
	"	mov %esi, %eax\n"
	"trap_swap_start:\n"
	"	lock cmpxchg %edx, (%rdi)\n"
	"	setne %cl\n"
	"trap_swap_end:\n"
	"	mov %rcx, %rax\n"
	"	ret\n"
	".size trap_swap_word, . - trap_swap_word\n"
	".popsection\n");

/**
 * trap_copy() - copy @len bytes, as far as there is memory on both sides.
 *
 * Return: how many were not copied.
 * Context: a thread of the program, with the signals of faults not blocked.
 */
size_t trap_copy(void *to, const void *from, size_t len)
{
	return trap_copy_bytes(to, from, len);
}

/**
 * trap_touch() - bring pages in, for writing where they may be written.
 *
 * Return: false if there is no memory at one of them.
 * Context: as trap_copy().
 */
bool trap_touch(vaddr_t va, size_t len)
{
	vaddr_t end = va + (len ? len : 1);

	for (vaddr_t at = va; at < end; at = (at & PAGE_MASK) + PAGE_SIZE)
		if (trap_touch_byte(at, 1) != 0 && trap_touch_byte(at, 0) != 0)
			return false;
	return true;
}

/**
 * trap_swap() - a word becomes @to, if it is @from.
 *
 * Return: false if it is not, or there is no memory.
 * Context: as trap_copy().
 */
bool trap_swap(vaddr_t va, uint32_t from, uint32_t to)
{
	return trap_swap_word(va, from, to) == 0;
}

static bool is_within(greg_t rip, const char *start, const char *end)
{
	return rip >= (greg_t)start && rip < (greg_t)end;
}

/**
 * trap_copy_failed() - a signal of a bad access has come: was it one of these?
 *
 * Return: true if it was; it ends when the signal handler returns.
 */
bool trap_copy_failed(void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	if (is_within(*rip, trap_copy_start, trap_copy_end))
		*rip = (greg_t)trap_copy_end;
	else if (is_within(*rip, trap_touch_start, trap_touch_end))
		*rip = (greg_t)trap_touch_end;
	else if (is_within(*rip, trap_swap_start, trap_swap_end))
		*rip = (greg_t)trap_swap_end;
	else
		return false;
	return true;
}
