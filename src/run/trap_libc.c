/* SPDX-License-Identifier: MIT */
/*
 * Calls that the C library makes for itself, and that no argument gives away: it blocks all
 * signals while it starts and ends threads and processes, it sets all handlers back in the
 * children of posix_spawn(), and it gives vectors and messages with addresses in them. A
 * second, small filter catches these calls by where they are made: in the C library's code.
 *
 * It is of this process's addresses, so each process adds one; a chain of some 1500 programs
 * that execute each other comes to the kernel's limit. To a program that is not managed it
 * means nothing unless its code lies at just those addresses, which are drawn at random. Where
 * they are not (personality ADDR_NO_RANDOMIZE) there is no such filter.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/personality.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "run/thread.h"
#include "run/trap.h"

#define RANGES_MAX 2 /* libc, and before glibc 2.34 libpthread */
#define INSNS_MAX  64

struct range {
	vaddr_t start, end;
};

static struct range ranges[RANGES_MAX]; /* set once, before the second thread */
static unsigned int nr_ranges;

/* Caught whatever their arguments are. */
static const uint16_t always[] = {
	SYS_rt_sigprocmask, SYS_readv,	  SYS_writev,	SYS_sendmsg,
	SYS_recvmsg,	    SYS_sendmmsg, SYS_recvmmsg, SYS_pselect6,
};

/* Caught if their first argument is a signal of faults: rt_sigaction. */
static const uint8_t signals[] = {SIGBUS, SIGSEGV, SIGSYS};

#define NR_ALWAYS  (sizeof(always) / sizeof(always[0]))
#define NR_SIGNALS (sizeof(signals) / sizeof(signals[0]))

static bool is_in(const struct range *range, vaddr_t ip)
{
	return ip >= range->start && ip < range->end;
}

/**
 * trap_is_of_libc() - is this a call that the second filter catches?
 * @ip: where it was made.
 */
bool trap_is_of_libc(long nr, vaddr_t ip)
{
	bool is_one = nr == SYS_rt_sigaction;

	for (unsigned int i = 0; i < NR_ALWAYS; i++)
		is_one |= nr == always[i];
	for (unsigned int i = 0; i < nr_ranges && is_one; i++)
		if (is_in(&ranges[i], ip))
			return true;
	return false;
}

/* The code of the object that has the symbol. */
static int range_seen(struct dl_phdr_info *info, size_t size, void *symbol)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		struct range range = {info->dlpi_addr + ph->p_vaddr,
				      info->dlpi_addr + ph->p_vaddr + ph->p_memsz};

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X) ||
		    !is_in(&range, (vaddr_t)symbol))
			continue;
		if (nr_ranges == 0 || ranges[0].start != range.start)
			ranges[nr_ranges++] = range;
		return 1;
	}
	return 0;
}

struct program {
	struct sock_filter insns[INSNS_MAX];
	unsigned short nr;
};

static void put(struct program *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	p->insns[p->nr++] = (struct sock_filter){code, jt, jf, k};
}

static void put_load(struct program *p, size_t offset)
{
	put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

/* Where the range does not match it goes on behind. */
static void put_range(struct program *p, const struct range *range)
{
	put_load(p, offsetof(struct seccomp_data, instruction_pointer) + 4);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, (uint32_t)(range->start >> 32));
	put_load(p, offsetof(struct seccomp_data, instruction_pointer));
	put(p, BPF_JMP | BPF_JGE | BPF_K, 0, 2, (uint32_t)range->start);
	put(p, BPF_JMP | BPF_JGE | BPF_K, 1, 0, (uint32_t)range->end);
	put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP);
}

/* Jumps over the rest of a list of comparisons, and over what follows it. */
static void build(struct program *p)
{
	uint8_t nr_always = NR_ALWAYS, nr_signals = NR_SIGNALS;

	put_load(p, offsetof(struct seccomp_data, nr));
	for (uint8_t i = 0; i < nr_always; i++)
		put(p, BPF_JMP | BPF_JEQ | BPF_K, nr_always - i + 3 + nr_signals, 0, always[i]);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_rt_sigaction);
	put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
	put_load(p, offsetof(struct seccomp_data, args));
	for (uint8_t i = 0; i < nr_signals; i++)
		put(p, BPF_JMP | BPF_JEQ | BPF_K, nr_signals - i, 0, signals[i]);
	put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
	for (unsigned int i = 0; i < nr_ranges; i++)
		put_range(p, &ranges[i]);
	put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
}

/* One load of the upper half has to do for both ends. */
static bool ranges_are_plain(void)
{
	for (unsigned int i = 0; i < nr_ranges; i++)
		if (ranges[i].start >> 32 != ranges[i].end >> 32)
			return false;
	return nr_ranges > 0;
}

/**
 * trap_install_libc() - catch those calls of this thread, and of those that it makes.
 *
 * Return: 0; -ENOTSUP; -errno of seccomp(2).
 * Context: trap_install() has been called, so filters may be installed.
 */
int trap_install_libc(void)
{
	static const char *const names[RANGES_MAX] = {"raise", "pthread_create"};
	static struct program p;
	struct sock_fprog program = {.filter = p.insns};
	long persona = sys_call2(SYS_personality, 0xffffffff, 0);

	if (persona >= 0 && (persona & ADDR_NO_RANDOMIZE))
		return 0;
	for (unsigned int i = 0; i < RANGES_MAX; i++)
		dl_iterate_phdr(range_seen, dlsym(RTLD_NEXT, names[i]));
	if (!ranges_are_plain())
		return -ENOTSUP;
	build(&p);
	program.len = p.nr;
	return (int)sys_call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			      SECCOMP_FILTER_FLAG_SPEC_ALLOW, (long)&program);
}
