/* SPDX-License-Identifier: MIT */
/*
 * Calls that no argument gives away: the C library blocks all signals while it starts and ends
 * threads and processes, it sets all handlers back in the children of posix_spawn(), it gives
 * vectors and messages with addresses in them; and so may other code that makes system calls
 * by itself. A second filter catches these calls by where they are made: in the C library's
 * code, and in the program's own if it lies at an address drawn at random.
 *
 * It is of this process's addresses, so each process adds one; a chain of some 1500 programs
 * that execute each other comes to the kernel's limit. One that is managed carries out what an
 * earlier one's filter has caught, too. To a program that is not managed it
 * means nothing unless its code lies at just those addresses, which are drawn at random. Where
 * they are not (personality ADDR_NO_RANDOMIZE) there is no such filter.
 */
#include <dlfcn.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "base/syscall.h"
#include "run/thread.h"
#include "run/trap.h"

#define RANGES_MAX    6 /* libc, its threads, the program; each may be in two groups */
#define INSNS_MAX     96
#define INSNS_A_RANGE 6
#define GROUP	      ((vaddr_t)1 << 32) /* what a filter's word can tell apart */
#define FIXED_BELOW   GROUP		 /* a program is not loaded there at random */

/* Half-open. */
struct range {
	vaddr_t start, end;
};

static struct range ranges[RANGES_MAX]; /* set once, before the second thread */
static unsigned int nr_ranges, nr_libc; /* the C library's come first */

/* Caught whatever their arguments are. */
static const uint16_t always[] = {
	SYS_rt_sigprocmask,
	SYS_sigaltstack,
	SYS_readv,
	SYS_writev,
	SYS_preadv,
	SYS_pwritev,
	SYS_preadv2,
	SYS_pwritev2,
	SYS_sendmsg,
	SYS_recvmsg,
	SYS_sendmmsg,
	SYS_recvmmsg,
	SYS_pselect6,
	SYS_vmsplice,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_process_madvise,
	SYS_seccomp,
	SYS_prctl,
	SYS_futex_waitv,
	SYS_exit,
};

/*
 * In the C library's code caught if their first argument is a signal of faults: rt_sigaction.
 * In the program's always: its handler may want to run on the stack that it has asked for.
 */
static const uint8_t signals[] = {SIGBUS, SIGSEGV, SIGSYS};

#define NR_ALWAYS  (sizeof(always) / sizeof(always[0]))
#define NR_SIGNALS (sizeof(signals) / sizeof(signals[0]))

static bool is_in(const struct range *range, vaddr_t ip)
{
	return ip >= range->start && ip < range->end;
}

static void add_range(vaddr_t start, vaddr_t end)
{
	while (start < end && nr_ranges < RANGES_MAX) {
		vaddr_t group_end = (start & -GROUP) + GROUP;

		ranges[nr_ranges++] = (struct range){start, (vaddr_t)min_u64(end, group_end)};
		start = group_end;
	}
}

static void include_code(struct range *range, const struct dl_phdr_info *info)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		vaddr_t start = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
			continue;
		range->start = min_u64(range->start, start);
		range->end = max_u64(range->end, start + ph->p_memsz);
	}
}

/* The code of the object that has the address; the first is the program. */
struct wanted {
	vaddr_t addr; /* 0: the program */
	struct range found;
	unsigned int nr_seen;
};

static int object_seen(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct wanted *wanted = arg;
	struct range code = {~0ull, 0};
	bool is_program = wanted->nr_seen++ == 0;

	(void)size;
	include_code(&code, info);
	if (wanted->addr == 0 ? !is_program : !is_in(&code, wanted->addr))
		return 0;
	wanted->found = code;
	return 1;
}

static struct range find_code(const char *symbol)
{
	struct wanted wanted = {.found = {~0ull, 0}};

	if (symbol)
		wanted.addr = (vaddr_t)dlsym(RTLD_NEXT, symbol);
	if (!symbol || wanted.addr)
		dl_iterate_phdr(object_seen, &wanted);
	return wanted.found;
}

/* Notes are three words, a name and what it tells, each padded to words. */
static bool has_go_note(const struct dl_phdr_info *info, const ElfW(Phdr) * ph)
{
	static const char name[] = "Go\0";
	vaddr_t at = info->dlpi_addr + ph->p_vaddr, end = at + ph->p_memsz;
	ElfW(Nhdr) note;

	while (at + sizeof(note) + sizeof(name) <= end) {
		memcpy(&note, (const void *)at, sizeof(note));
		at += sizeof(note);
		if (note.n_namesz == sizeof(name) &&
		    !memcmp((const void *)at, name, sizeof(name)))
			return true;
		at += ((note.n_namesz + 3ull) & ~3ull) + ((note.n_descsz + 3ull) & ~3ull);
	}
	return false;
}

static int program_seen(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_NOTE &&
		    has_go_note(info, &info->dlpi_phdr[i]))
			*(bool *)arg = true;
	return 1; /* the program is the first */
}

/**
 * trap_is_past_libc() - does the program block signals where no filter can see it?
 *
 * Go's runtime makes its system calls itself, and blocks all signals around forks and the ends
 * of threads. In a program that is loaded at an address of its own these calls are caught by
 * where they are made. One at a fixed address lies where unmanaged programs lie, too.
 */
bool trap_is_past_libc(void)
{
	bool is_go = false;

	if (find_code(NULL).start < FIXED_BELOW)
		dl_iterate_phdr(program_seen, &is_go);
	return is_go;
}

static void find_ranges(void)
{
	struct range libc = find_code("raise"), threads = find_code("pthread_create");
	struct range program = find_code(NULL);

	add_range(libc.start, libc.end);
	if (threads.start != libc.start) /* glibc before 2.34 */
		add_range(threads.start, threads.end);
	nr_libc = nr_ranges;
	if (program.start >= FIXED_BELOW)
		add_range(program.start, program.end);
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

/* INSNS_A_RANGE. If it does not match it goes on behind. The last byte is in its group. */
static void put_range(struct program *p, const struct range *range)
{
	put_load(p, offsetof(struct seccomp_data, instruction_pointer) + 4);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, (uint32_t)(range->start >> 32));
	put_load(p, offsetof(struct seccomp_data, instruction_pointer));
	put(p, BPF_JMP | BPF_JGE | BPF_K, 0, 2, (uint32_t)range->start);
	put(p, BPF_JMP | BPF_JGT | BPF_K, 1, 0, (uint32_t)(range->end - 1));
	put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP | TRAP_COOKIE);
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
	put(p, BPF_JMP | BPF_JA, 0, 0, nr_libc * INSNS_A_RANGE);
	for (unsigned int i = 0; i < nr_ranges; i++)
		put_range(p, &ranges[i]);
	put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
}

/**
 * trap_install_libc() - catch those calls of this thread, and of those that it makes.
 *
 * Return: 0; -errno of seccomp(2).
 * Context: trap_install() has been called, so filters may be installed.
 */
int trap_install_libc(void)
{
	static struct program p;
	struct sock_fprog program = {.filter = p.insns};
	long persona = sys_call2(SYS_personality, 0xffffffff, 0);

	if (persona >= 0 && (persona & ADDR_NO_RANDOMIZE))
		return 0;
	find_ranges();
	build(&p);
	program.len = p.nr;
	return (int)sys_call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			      SECCOMP_FILTER_FLAG_SPEC_ALLOW, (long)&program);
}
