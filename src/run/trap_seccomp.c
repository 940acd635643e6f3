/* SPDX-License-Identifier: MIT */
/*
 * Filters on system calls that the program installs (sandboxes).
 *
 * The runtime shares the program's threads, so such a filter would judge its calls, too: it
 * resolves faults by calls that a sandbox does not know, and their being refused would end the
 * process at its next fault. Each filter therefore gets a beginning of ours: what comes from
 * the runtime's own instruction is let through, and the rest is for the program to judge.
 *
 * What the runtime calls in the program's place, because it had an address of the window among
 * its arguments, is made by another instruction (trap_kernel()), so the filter's answer is what
 * the program gets: an error, an end, or a SIGSYS to its own handler, whose context then holds
 * the addresses of the copies.
 *
 * What this gives away: code that has been taken over can jump to the runtime's instruction.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "run/trap.h"

#define AFTER (TRAP_STUB + 2) /* a filter sees the address behind the instruction */

/* The last one leaves the accumulator as a program finds it. */
static const struct sock_filter beginning[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		 offsetof(struct seccomp_data, instruction_pointer) + 4),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(AFTER >> 32), 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)AFTER, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 0),
};

#define NR_BEGINNING (sizeof(beginning) / sizeof(beginning[0]))
#define BYTES	     (BPF_MAXINSNS * sizeof(struct sock_filter))

static bool is_install(long nr, const long *args)
{
	if (nr == SYS_seccomp)
		return args[0] == SECCOMP_SET_MODE_FILTER;
	return nr == SYS_prctl && args[0] == PR_SET_SECCOMP && args[1] == SECCOMP_MODE_FILTER;
}

static long install(long nr, const long *args, const struct sock_fprog *theirs,
		    struct sock_filter *insns)
{
	size_t bytes = theirs->len * sizeof(*insns);
	struct sock_fprog ours = {.len = (unsigned short)(theirs->len + NR_BEGINNING),
				  .filter = insns};

	memcpy(insns, beginning, sizeof(beginning));
	if (trap_copy(insns + NR_BEGINNING, theirs->filter, bytes) != 0)
		return -EFAULT;
	return TRAP_KERNEL(nr, args[0], args[1], (long)&ours);
}

/**
 * trap_do_seccomp() - carry out a call that installs a filter.
 *
 * One of more than BPF_MAXINSNS less six instructions has no room for the beginning: -EINVAL,
 * as for one that is longer than the kernel takes.
 *
 * Return: false if it installs none.
 * Context: as trap_do().
 */
bool trap_do_seccomp(long nr, const long *args, long *ret_ret)
{
	struct sock_fprog theirs;
	long at;

	if (!is_install(nr, args))
		return false;
	*ret_ret = -EFAULT;
	if (trap_copy(&theirs, (const void *)args[2], sizeof(theirs)) != 0)
		return true;
	*ret_ret = -EINVAL;
	if (theirs.len == 0 || theirs.len > BPF_MAXINSNS - NR_BEGINNING)
		return true;
	at = sys_call6(SYS_mmap, 0, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	*ret_ret = -ENOMEM;
	if (sys_is_error(at))
		return true;
	*ret_ret = install(nr, args, &theirs, (struct sock_filter *)at);
	sys_call2(SYS_munmap, at, (long)BYTES);
	return true;
}
