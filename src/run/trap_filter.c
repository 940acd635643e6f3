/* SPDX-License-Identifier: MIT */
/*
 * The filter that catches system calls by their arguments.
 *
 *	architecture? not ours: let through
 *	number: a binary search over ranges of equal treatment
 *	  no argument is an address: let through (the kernel remembers that, and does not ask)
 *	  io_uring_setup, io_setup: ENOSYS, unless from the stub
 *	  setsockopt of SO_ZEROCOPY: EOPNOTSUPP, whoever asks
 *	  otherwise: those arguments that are addresses, each: in the window? caught
 *	caught: from the stub? let through; otherwise SIGSYS
 *
 * Arguments that a call does not have must not be looked at: their registers hold what was left
 * there, addresses of the window among them.
 *
 * The filter stays through exec. So nothing in it depends on where this process has its
 * libraries: window and stub are at fixed addresses. In a process that does not have them
 * nothing is ever caught, for nobody gets addresses there: the kernel gives them out from the
 * upper end of the address space, or next to the program's break. A process that finds the
 * filter in force (a call is caught) does not install it again.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/assert.h"
#include "base/chaos.h"
#include "base/syscall.h"
#include "run/trap.h"

#define NR_KNOWN  512 /* numbers from here on: any argument may be an address */
#define ALL_ARGS  0x3f
#define NR_MASKS  64
#define INSNS_MAX 2048

/* No masks of arguments. */
#define RULE_ABSENT   0x80 /* not there for the program */
#define RULE_SOCKOPT  0x81
#define RULE_CAUGHT   0xff
#define SOCKOPT_VALUE 3 /* the argument that is an address */

#define PREFIX_MASK 0xfffff000u
#define PREFIX	    ((uint32_t)(TRAP_WINDOW_START >> 32))

_Static_assert(TRAP_WINDOW_END - TRAP_WINDOW_START == 1ull << 44, "one prefix");
_Static_assert((PREFIX & ~PREFIX_MASK) == 0, "one prefix");

struct builder {
	struct sock_filter insns[INSNS_MAX];
	uint32_t nr;
	uint8_t rules[NR_KNOWN];
	uint32_t leaf[256]; /* where a rule begins; 0: not yet */
	uint32_t caught;    /* where what is caught goes */
};

static uint32_t put(struct builder *b, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	MM_ASSERT(b->nr < INSNS_MAX);
	b->insns[b->nr] = (struct sock_filter){code, jt, jf, k};
	return b->nr++;
}

static void put_load(struct builder *b, size_t offset)
{
	put(b, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void put_return(struct builder *b, uint32_t what)
{
	put(b, BPF_RET | BPF_K, 0, 0, what);
}

static uint8_t rule_of(long nr)
{
	const struct trap_call *call = trap_lookup(nr);
	uint8_t mask = 0;

	if (nr == SYS_io_uring_setup || nr == SYS_io_setup)
		return RULE_ABSENT;
	if (nr == SYS_setsockopt)
		return RULE_SOCKOPT;
	if (trap_is_innocent(nr))
		return 0;
	if (!call)
		return ALL_ARGS;
	for (unsigned int i = 0; i < TRAP_ARGS; i++)
		mask |= (uint8_t)((call->args[i].kind != TRAP_NONE) << i);
	return mask;
}

/* The end of the range of equal rules that starts at nr. */
static uint32_t range_end(const struct builder *b, uint32_t nr)
{
	uint32_t end = nr + 1;

	while (end < NR_KNOWN && b->rules[end] == b->rules[nr])
		end++;
	return end;
}

/* Where a range begins, at or before the middle of [low, high) and after low; 0: none does. */
static uint32_t split_of(const struct builder *b, uint32_t low, uint32_t high)
{
	uint32_t best = 0, middle = (low + high) / 2;

	for (uint32_t at = range_end(b, low); at < high; at = range_end(b, at))
		if (best == 0 || at <= middle)
			best = at;
	return best;
}

/* The leaves' places are filled in by a second pass: each jump to one holds its rule. */
#define TO_LEAF 0x80000000u

static void put_search(struct builder *b, uint32_t low, uint32_t high)
{
	uint32_t split = split_of(b, low, high);
	uint32_t jump;

	if (split == 0) {
		put(b, BPF_JMP | BPF_JA, 0, 0, TO_LEAF | b->rules[low]);
		return;
	}
	put(b, BPF_JMP | BPF_JGE | BPF_K, 0, 1, split);
	jump = put(b, BPF_JMP | BPF_JA, 0, 0, 0);
	put_search(b, low, split);
	b->insns[jump].k = b->nr - jump - 1;
	put_search(b, split, high);
}

static void put_arguments(struct builder *b, uint8_t mask)
{
	for (unsigned int i = 0; i < TRAP_ARGS; i++) {
		if (!(mask & 1u << i))
			continue;
		put_load(b, offsetof(struct seccomp_data, args) + i * 8 + 4);
		put(b, BPF_ALU | BPF_AND | BPF_K, 0, 0, PREFIX_MASK);
		put(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PREFIX);
		put(b, BPF_JMP | BPF_JA, 0, 0, TO_LEAF | RULE_CAUGHT);
	}
	put_return(b, SECCOMP_RET_ALLOW);
}

/* The network would keep the pages themselves, and send what they are when it comes to that. */
static void put_sockopt(struct builder *b)
{
	put_load(b, offsetof(struct seccomp_data, args) + 1 * 8);
	put(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SOL_SOCKET);
	put_load(b, offsetof(struct seccomp_data, args) + 2 * 8);
	put(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SO_ZEROCOPY);
	put_return(b, SECCOMP_RET_ERRNO | EOPNOTSUPP);
	put_arguments(b, 1 << SOCKOPT_VALUE);
}

/* Lets the stub through; for others what follows is the answer. */
static void put_stub_check(struct builder *b)
{
	put_load(b, offsetof(struct seccomp_data, instruction_pointer) + 4);
	put(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, (uint32_t)(TRAP_STUB >> 32));
	put_load(b, offsetof(struct seccomp_data, instruction_pointer));
	put(b, BPF_ALU | BPF_AND | BPF_K, 0, 0, (uint32_t)PAGE_MASK);
	put(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)TRAP_STUB);
	put_return(b, SECCOMP_RET_ALLOW);
}

static void put_leaves(struct builder *b)
{
	for (uint32_t mask = 0; mask < NR_MASKS; mask++) {
		b->leaf[mask] = b->nr;
		if (memchr(b->rules, (int)mask, NR_KNOWN) || mask == ALL_ARGS)
			put_arguments(b, (uint8_t)mask);
	}
	b->leaf[RULE_SOCKOPT] = b->nr;
	put_sockopt(b);
	b->leaf[RULE_ABSENT] = b->nr;
	put_stub_check(b);
	put_return(b, SECCOMP_RET_ERRNO | ENOSYS);
	b->leaf[RULE_CAUGHT] = b->nr;
	put_stub_check(b);
	put_return(b, SECCOMP_RET_TRAP | TRAP_COOKIE);
}

static void aim_jumps(struct builder *b)
{
	for (uint32_t i = 0; i < b->nr; i++) {
		struct sock_filter *insn = &b->insns[i];

		if (insn->code == (BPF_JMP | BPF_JA) && (insn->k & TO_LEAF))
			insn->k = b->leaf[insn->k & 0xff] - i - 1;
	}
}

static void build(struct builder *b)
{
	uint32_t nr = offsetof(struct seccomp_data, nr);

	memset(b, 0, sizeof(*b));
	for (uint32_t i = 0; i < NR_KNOWN; i++)
		b->rules[i] = rule_of(i);
	put_load(b, offsetof(struct seccomp_data, arch));
	put(b, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64);
	put_return(b, SECCOMP_RET_ALLOW);
	put_load(b, nr);
	put(b, BPF_JMP | BPF_JGE | BPF_K, 0, 1, NR_KNOWN);
	put(b, BPF_JMP | BPF_JA, 0, 0, TO_LEAF | ALL_ARGS);
	put_search(b, 0, NR_KNOWN);
	put_leaves(b);
	aim_jumps(b);
}

/* Who has CAP_SYS_ADMIN keeps the right to gain privileges by exec. */
static int attach(const struct sock_fprog *program)
{
	long err = sys_call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			     SECCOMP_FILTER_FLAG_SPEC_ALLOW, (long)program);

	if (err != -EACCES)
		return (int)err;
	err = sys_call6(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
	if (err)
		return (int)err;
	return (int)sys_call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			      SECCOMP_FILTER_FLAG_SPEC_ALLOW, (long)program);
}

/**
 * trap_install() - from now on this thread, and those that it makes, are caught.
 *
 * Return: 0; -EPERM, -EINVAL, -ENOSYS where there are no filters to be had.
 */
int trap_install(void)
{
	static struct builder b;
	struct sock_fprog program;

	build(&b);
	program = (struct sock_fprog){.len = (unsigned short)b.nr, .filter = b.insns};
	return attach(&program);
}

static const unsigned char stub[] = {
	0x0f, 0x05,					/* syscall */
	0xc3,						/* ret */
	0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, /* int3 */
	0xcc, 0xcc, 0xcc, 0xcc, 0xcc,			/* int3 */
	0x0f, 0x05,					/* syscall */
	0x41, 0xff, 0xe1,				/* jmp *%r9 */
	0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, /* int3 */
	0xcc, 0xcc, 0xcc,				/* int3 */
	0x0f, 0x05,					/* syscall */
	0xc3,						/* ret */
};

static const void *program_entry; /* NULL: the stub is not there */

long trap_kernel(long nr, const long *a)
{
	const void *entry = program_entry ? program_entry : sys_entry;

	long ret;

	chaos_point();
	ret = sys_call_from(entry, nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	chaos_point();
	return ret;
}

/**
 * trap_map_stub() - make the place that the filter lets through, and use it.
 *
 * Return: 0; -EEXIST if the place is taken; -errno of mmap.
 * Context: before there is another thread.
 */
int trap_map_stub(void)
{
	long at = sys_call6(SYS_mmap, (long)TRAP_STUB, PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	long err;

	if (at != (long)TRAP_STUB)
		return at < 0 ? (int)at : -EEXIST;
	memcpy((void *)at, stub, sizeof(stub));
	err = sys_call3(SYS_mprotect, at, (long)PAGE_SIZE, PROT_READ | PROT_EXEC);
	if (err) {
		sys_call2(SYS_munmap, at, (long)PAGE_SIZE);
		return (int)err;
	}
	sys_entry = (const void *)at;
	program_entry = (const void *)TRAP_STUB_PROGRAM;
	return 0;
}
