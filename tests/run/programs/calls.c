/* SPDX-License-Identifier: MIT */
/*
 * calls: the C library's calls on memory, in cases where a manager could differ from the
 * kernel. Prints what each call answered and what memory held after it, never an address, so
 * that the output is the same with the kernel alone and under the manager.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define RW   (PROT_READ | PROT_WRITE)
#define PA   (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf caught;
static volatile int caught_code;
static void *volatile caught_addr;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	caught_code = info->si_code;
	caught_addr = info->si_addr;
	siglongjmp(caught, sig);
}

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static const char *answer(long ret)
{
	return ret == -1 ? strerrorname_np(errno) : "ok";
}

/* "reads n", "SEGV_MAPERR" or "SEGV_ACCERR", and whether the address is right. */
static void peek(const char *what, char *at)
{
	int sig = sigsetjmp(caught, 1);

	if (sig == 0)
		say("%s: reads %d", what, *(volatile char *)at);
	else
		say("%s: signal %d code %d %s", what, sig, caught_code,
		    caught_addr == at ? "there" : "elsewhere");
}

/* What is not mapped: the code is not shown, for the manager keeps the place (MAPERR, ACCERR).
 */
static void peek_gone(const char *what, char *at)
{
	int sig = sigsetjmp(caught, 1);

	if (sig == 0)
		say("%s: reads %d", what, *(volatile char *)at);
	else
		say("%s: signal %d %s", what, sig, caught_addr == at ? "there" : "elsewhere");
}

static void poke(const char *what, char *at, char value)
{
	int sig = sigsetjmp(caught, 1);

	if (sig == 0) {
		*(volatile char *)at = value;
		say("%s: written", what);
	} else {
		say("%s: signal %d code %d %s", what, sig, caught_code,
		    caught_addr == at ? "there" : "elsewhere");
	}
}

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, RW, PA, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	for (size_t i = 0; i < pages; i++)
		p[i * PAGE] = (char)(i + 1);
	return p;
}

static int file_of(const char *text)
{
	char name[] = "/tmp/calls.XXXXXX";
	int fd = mkstemp(name);

	unlink(name);
	if (ftruncate(fd, 4 * PAGE) || pwrite(fd, text, strlen(text), 0) < 0)
		exit(1);
	return fd;
}

static void errors_of_mmap(void)
{
	char *p = map(2);

	say("len 0: %s", answer((long)mmap(NULL, 0, RW, PA, -1, 0)));
	say("huge: %s", answer((long)mmap(NULL, (size_t)1 << 47, RW, PA, -1, 0)));
	say("too huge: %s", answer((long)mmap(NULL, SIZE_MAX, RW, PA, -1, 0)));
	say("no type: %s", answer((long)mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0)));
	say("both types: %s",
	    answer((long)mmap(NULL, PAGE, RW, MAP_ANONYMOUS | MAP_PRIVATE | MAP_SHARED, -1,
			      0)));
	say("fixed, unaligned: %s", answer((long)mmap(p + 1, PAGE, RW, PA | MAP_FIXED, -1, 0)));
	say("odd offset: %s", answer((long)mmap(NULL, PAGE, RW, PA, -1, 17)));
	say("whole offset: %s", answer((long)mmap(NULL, PAGE, RW, PA, -1, PAGE)));
	say("bad fd: %s", answer((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, 9999, 0)));
	say("bad fd, fixed: %s",
	    answer((long)mmap(p, PAGE, RW, MAP_PRIVATE | MAP_FIXED, 9999, 0)));
	peek("still there", p);
	say("noreplace: %s", answer((long)mmap(p, PAGE, RW, PA | MAP_FIXED_NOREPLACE, -1, 0)));
	say("unmap: %s", answer(munmap(p, PAGE)));
	say("noreplace in the hole: %s",
	    answer((long)mmap(p, PAGE, RW, PA | MAP_FIXED_NOREPLACE, -1, 0)));
	peek("fresh", p);
	peek("neighbour", p + PAGE);
	say("unmap, unaligned: %s", answer(munmap(p + 1, PAGE)));
	say("unmap, nothing: %s", answer(munmap(p, 0)));
	say("unmap, beyond all: %s", answer(munmap(p, SIZE_MAX - PAGE)));
	say("unmap both: %s", answer(munmap(p, 2 * PAGE)));
	say("unmap again: %s", answer(munmap(p, 2 * PAGE)));
	peek_gone("gone", p);
}

static void protection(void)
{
	char *p = map(8);

	say("read only: %s", answer(mprotect(p + PAGE, 2 * PAGE, PROT_READ)));
	peek("1", p + PAGE);
	poke("1", p + PAGE, 9);
	poke("3", p + 3 * PAGE, 9);
	say("none: %s", answer(mprotect(p + 2 * PAGE, 3 * PAGE, PROT_NONE)));
	peek("2", p + 2 * PAGE);
	peek("4", p + 4 * PAGE + 77);
	say("back: %s", answer(mprotect(p, 8 * PAGE, RW)));
	for (int i = 0; i < 8; i++)
		peek("back", p + i * PAGE);
	say("write only: %s", answer(mprotect(p, PAGE, PROT_WRITE)));
	peek("write only", p);
	munmap(p + 4 * PAGE, PAGE);
	say("over a hole: %s", answer(mprotect(p + 2 * PAGE, 4 * PAGE, PROT_READ)));
	poke("before the hole", p + 3 * PAGE, 1);
	poke("after the hole", p + 5 * PAGE, 1);
	say("unaligned: %s", answer(mprotect(p + 1, PAGE, RW)));
	say("odd protection: %s", answer(mprotect(p, PAGE, 0x40)));
	say("nothing: %s", answer(mprotect(p, 0, RW)));
	say("of a hole: %s", answer(mprotect(p + 4 * PAGE, PAGE, RW)));
	munmap(p, 8 * PAGE);
}

/* A collector's write barrier: each first write is a fault that its handler allows. */
static char *barrier;
static volatile int nr_barrier;

static void on_barrier(int sig, siginfo_t *info, void *context)
{
	uintptr_t page = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1);

	(void)sig;
	(void)context;
	nr_barrier++;
	mprotect((void *)page, PAGE, RW);
}

static void write_barrier(void)
{
	struct sigaction action = {.sa_sigaction = on_barrier, .sa_flags = SA_SIGINFO}, old;
	int sum = 0;

	barrier = map(64);
	mprotect(barrier, 64 * PAGE, PROT_READ);
	sigaction(SIGSEGV, &action, &old);
	for (int i = 0; i < 64; i += 3)
		barrier[i * PAGE + i] = 1;
	sigaction(SIGSEGV, &old, NULL);
	for (int i = 0; i < 64; i++)
		sum += barrier[i * PAGE] + barrier[i * PAGE + i];
	say("write barrier: %d faults, sum %d", nr_barrier, sum);
	munmap(barrier, 64 * PAGE);
}

static void moves(void)
{
	char *p = map(4), *q, *hole;

	q = mremap(p, 4 * PAGE, 2 * PAGE, 0);
	say("shrink: %s, in place %d", answer((long)q), q == p);
	peek_gone("tail", p + 2 * PAGE);
	q = mremap(p, 2 * PAGE, 300 * PAGE, MREMAP_MAYMOVE);
	say("grow: %s", answer((long)q));
	peek("0", q);
	peek("1", q + PAGE);
	peek("new", q + 299 * PAGE);
	poke("new", q + 299 * PAGE, 3);
	hole = map(302);
	munmap(hole + PAGE, 300 * PAGE);
	p = mremap(q, 300 * PAGE, 300 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, hole + PAGE);
	say("to a place: %d", p == hole + PAGE);
	peek("first", p);
	peek("last", p + 299 * PAGE);
	peek_gone("old place", q);
	say("no room: %s", answer((long)mremap(p, 300 * PAGE, 400 * PAGE, 0)));
	say("of nothing: %s", answer((long)mremap(q, PAGE, 2 * PAGE, MREMAP_MAYMOVE)));
	say("unaligned: %s", answer((long)mremap(p + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE)));
	say("to 0: %s", answer((long)mremap(p, PAGE, 0, MREMAP_MAYMOVE)));
	say("onto itself: %s", answer((long)mremap(p, 2 * PAGE, 2 * PAGE,
						   MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE)));
	say("odd flags: %s", answer((long)mremap(p, PAGE, PAGE, 64)));
	q = mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	say("leave it: %s", answer((long)q));
	peek("moved", q);
	peek("left behind", p);
}

static void advice(void)
{
	static const struct {
		int advice;
		const char *name;
	} all[] = {{MADV_NORMAL, "normal"},
		   {MADV_RANDOM, "random"},
		   {MADV_SEQUENTIAL, "sequential"},
		   {MADV_WILLNEED, "willneed"},
		   {MADV_COLD, "cold"},
		   {MADV_PAGEOUT, "pageout"},
		   {MADV_DONTDUMP, "dontdump"},
		   {MADV_HUGEPAGE, "hugepage"},
		   {MADV_NOHUGEPAGE, "nohugepage"},
		   {MADV_DONTNEED, "dontneed"}};
	char *p = map(8);

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		say("%s: %s", all[i].name, answer(madvise(p, 4 * PAGE, all[i].advice)));
		peek(all[i].name, p + PAGE);
		peek("kept", p + 5 * PAGE);
	}
	munmap(p + 2 * PAGE, PAGE);
	say("over a hole: %s", answer(madvise(p, 8 * PAGE, MADV_DONTNEED)));
	peek("after the hole", p + 5 * PAGE);
	say("unaligned: %s", answer(madvise(p + 1, PAGE, MADV_DONTNEED)));
	say("unknown: %s", answer(madvise(p, PAGE, 12345)));
	say("nothing: %s", answer(madvise(p, 0, MADV_DONTNEED)));
	p[0] = 5;
	say("posix dontneed: %d", posix_madvise(p, PAGE, POSIX_MADV_DONTNEED));
	peek("posix dontneed", p);
	say("posix, unknown: %d", posix_madvise(p, PAGE, 77));
	munmap(p, 8 * PAGE);
}

static void the_break(void)
{
	char *old = sbrk(0), *p = sbrk(3 * PAGE + 5);

	say("sbrk: %s, at the end %d", answer((long)p), p == old);
	say("moved: %td", (char *)sbrk(0) - old);
	p[0] = 1;
	p[3 * PAGE + 4] = 2;
	say("back: %s", answer((long)sbrk(-(3 * PAGE + 5))));
	say("at the old end: %d", sbrk(0) == (void *)old);
	p = sbrk(2 * PAGE);
	say("zeros after it: %d", p[PAGE + (PAGE - ((uintptr_t)p & (PAGE - 1))) % PAGE]);
	say("brk: %s", answer(brk(old)));
	say("brk, too far: %s", answer(brk((void *)((uintptr_t)1 << 50))));
	say("sbrk, too far: %s", answer((long)sbrk((intptr_t)1 << 50)));
	say("unchanged: %d", sbrk(0) == (void *)old);
}

/* Files and shared memory at fixed places inside private memory. */
static void inside(void)
{
	char *p = map(8);
	int fd = file_of("file");
	char *q = mmap(p + 2 * PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	char text[5] = "";

	say("a file inside: %s, there %d", answer((long)q), q == p + 2 * PAGE);
	peek("before", p + PAGE);
	say("it reads %.4s", q);
	peek("after", p + 4 * PAGE);
	q[1] = 'o';
	say("the file: %zd", pread(fd, text, 4, 0));
	say("it has %.4s", text);
	say("protect all: %s", answer(mprotect(p, 8 * PAGE, PROT_READ)));
	poke("in the file", q, 1);
	poke("beside it", p + PAGE, 1);
	say("back: %s", answer(mprotect(p, 8 * PAGE, RW)));
	say("discard all: %s", answer(madvise(p, 8 * PAGE, MADV_DONTNEED)));
	say("it reads %.4s", q);
	peek("beside it", p + PAGE);
	q = mremap(q, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
	say("grown: %s, reads %.4s", answer((long)q), q);
	peek_gone("its old place", p + 2 * PAGE);
	say("moved back: %d", mremap(q, 3 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				     p + 3 * PAGE) == p + 3 * PAGE);
	say("it reads %.4s", p + 3 * PAGE);
	say("anonymous over it: %d",
	    mmap(p + 2 * PAGE, 3 * PAGE, RW, PA | MAP_FIXED, -1, 0) == p + 2 * PAGE);
	peek("fresh", p + 3 * PAGE);
	q = mmap(p, 8 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
	say("a private file over all: %.4s", q);
	q[0] = 'X';
	say("the file: %zd", pread(fd, text, 4, 0));
	say("it keeps %.4s", text);
	say("in one: %s", answer(munmap(p + PAGE, 6 * PAGE)));
	say("%.4s", p);
	peek_gone("gone", p + 3 * PAGE);
	munmap(p, 8 * PAGE);
	close(fd);
}

static void code(void)
{
	static const unsigned char forty_two[] = {0xb8, 42, 0, 0, 0, 0xc3};
	char *p = map(16);
	int (*fn)(void) = (int (*)(void))(uintptr_t)(p + 4 * PAGE);

	memcpy(p + 4 * PAGE, forty_two, sizeof(forty_two));
	say("to code: %s", answer(mprotect(p + 4 * PAGE, 2 * PAGE, PROT_READ | PROT_EXEC)));
	say("runs: %d", fn());
	poke("code", p + 4 * PAGE, 1);
	peek("the page after", p + 5 * PAGE);
	peek("before", p + 3 * PAGE);
	peek("after", p + 6 * PAGE);
	say("writable again: %s", answer(mprotect(p, 16 * PAGE, RW)));
	p[4 * PAGE + 1] = 43;
	say("to code: %s", answer(mprotect(p, 16 * PAGE, PROT_READ | PROT_EXEC)));
	say("runs: %d", fn());
	say("discard: %s", answer(madvise(p, 16 * PAGE, MADV_DONTNEED)));
	peek("zero", p + 4 * PAGE);
	say("unmap: %s", answer(munmap(p, 16 * PAGE)));
}

static void of_the_kernel(void)
{
	char *p = map(4);
	int fds[2];

	if (pipe(fds))
		exit(1);
	memset(p, 'a', PAGE);
	say("write: %zd", write(fds[1], p, 100));
	say("read: %zd", read(fds[0], p + 2 * PAGE, 100));
	say("it reads %c", p[2 * PAGE + 99]);
	mprotect(p, PAGE, PROT_NONE);
	say("write of nothing: %s", answer(write(fds[1], p, 100)));
	munmap(p + 2 * PAGE, PAGE);
	if (write(fds[1], "b", 1) != 1)
		exit(1);
	say("read into nothing: %s", answer(read(fds[0], p + 2 * PAGE, 1)));
	munmap(p, 4 * PAGE);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	errors_of_mmap();
	protection();
	write_barrier();
	moves();
	advice();
	the_break();
	inside();
	code();
	of_the_kernel();
	return 0;
}
