/* SPDX-License-Identifier: MIT */
/*
 * A system call whose arguments point into the window is carried out here, so that the kernel
 * never meets a page that is out.
 *
 * What the kernel reads is copied to a buffer outside of the window before, what it writes is
 * copied back after. So nothing is held while the call blocks, for hours perhaps; a signal
 * handler may jump out of it; and a call that has taken something from a queue has always where
 * to put it. The buffer is on this stack, or a mapping where that has no room.
 *
 * 1. Reads and writes larger than BUFFER_MAX are done in parts where that cannot be told from
 *    one: regular files and block devices, and whatever is written and is no datagram.
 * Elsewhere the first part is the answer, as the kernel gives it when no more is there.
 * 2. An argument of a size that is not known here is touched, and the call is made on the place
 *    itself, again if it answers EFAULT: TRIES_MAX times, for the address may be wrong, inside.
 * 3. The copies fail where the kernel's would: EFAULT. What was written before stays written.
 * 4. What is aligned to a sector or a page for O_DIRECT, and as long as that, stays so.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "base/syscall.h"
#include "run/altstack.h"
#include "run/port.h"
#include "run/runtime.h"
#include "run/trap.h"

#define BUFFER_MAX   ((size_t)1 << 20)
#define SMALL_BYTES  1024
#define MEDIUM_BYTES (((size_t)64 << 10) + 256) /* and what goes with so much data */
#define SECTOR	     512
#define TRIES_MAX    8
#define ROOM_MIN     ((size_t)96 << 10) /* on a stack of ours, for a medium buffer and more */

/* Where the copies of the arguments lie. */
struct bounce {
	char *at, *end;
	long mapped; /* 0, or where a mapping begins */
	size_t mapped_bytes;
};

struct job {
	long nr;
	const struct trap_call *call;
	long args[TRAP_ARGS];  /* as the program has given them */
	long there[TRAP_ARGS]; /* as the kernel gets them */
	size_t len[TRAP_ARGS]; /* bytes in the buffer; 0: not there */
};

static bool is_inside(long arg)
{
	return trap_is_inside((void *)arg);
}

static bool is_copied(const struct trap_arg *arg)
{
	return arg->kind != TRAP_NONE && arg->kind != TRAP_TOUCH;
}

static bool is_read(const struct trap_arg *arg)
{
	return arg->kind == TRAP_IN || arg->kind == TRAP_INOUT;
}

static bool is_written(const struct trap_arg *arg)
{
	return arg->kind == TRAP_OUT || arg->kind == TRAP_INOUT || arg->kind == TRAP_OUT_LEN;
}

/* Return: bytes of argument i, or -EFAULT. */
static int64_t length_of(const struct job *job, unsigned int i)
{
	const struct trap_arg *arg = &job->call->args[i];
	uint32_t len = 0;

	if (arg->kind == TRAP_OUT_LEN) {
		if (!job->args[arg->len] ||
		    trap_copy(&len, (void *)job->args[arg->len], sizeof(len)) != 0)
			return -EFAULT;
		return (int32_t)len < 0 ? 0 : (int64_t)min_u64(len, BUFFER_MAX);
	}
	if (arg->len == TRAP_FIXED)
		return arg->size;
	if ((uint64_t)job->args[arg->len] <= BUFFER_MAX / arg->size)
		return job->args[arg->len] * arg->size;
	/* The answer to so much may be less; a question must be whole. */
	return arg->kind == TRAP_OUT ? (int64_t)(BUFFER_MAX / arg->size * arg->size) : -ENOMEM;
}

static int measure(struct job *job, size_t *ret_total)
{
	size_t total = 0;

	for (unsigned int i = 0; i < TRAP_ARGS; i++) {
		int64_t len;

		job->there[i] = job->args[i];
		job->len[i] = 0;
		if (!is_inside(job->args[i]) || !is_copied(&job->call->args[i]))
			continue;
		len = length_of(job, i);
		if (len < 0)
			return (int)len;
		job->len[i] = (size_t)len;
		total += job->len[i] + 2 * sizeof(uint64_t);
	}
	for (unsigned int i = 0; i < TRAP_ARGS; i++) {
		const struct trap_arg *arg = &job->call->args[i];

		if (job->len[i] > 0 && arg->kind == TRAP_OUT && arg->len != TRAP_FIXED)
			job->there[arg->len] = (long)(job->len[i] / arg->size);
	}
	*ret_total = total;
	return 0;
}

/* Puts argument i into the buffer. */
static int copy_in(struct job *job, unsigned int i, struct bounce *b)
{
	const struct trap_arg *arg = &job->call->args[i];

	if (job->len[i] == 0)
		return 0;
	b->at = (char *)(((uintptr_t)b->at + sizeof(uint64_t) - 1) & -sizeof(uint64_t));
	if (is_read(arg) && trap_copy(b->at, (void *)job->args[i], job->len[i]) != 0)
		return -EFAULT;
	/* There must be memory where the answer goes, before there is an answer. */
	if (is_written(arg) && !trap_touch((vaddr_t)job->args[i], 1))
		return -EFAULT;
	job->there[i] = (long)b->at;
	b->at += job->len[i];
	return 0;
}

static size_t written_bytes(const struct job *job, unsigned int i, long ret)
{
	const struct trap_arg *arg = &job->call->args[i];
	uint32_t len;

	if (arg->kind == TRAP_OUT_LEN) {
		memcpy(&len, (void *)job->there[arg->len], sizeof(len));
		return min_u64(len, job->len[i]);
	}
	if (arg->kind == TRAP_OUT && arg->len != TRAP_FIXED)
		return min_u64((uint64_t)ret * arg->size, job->len[i]);
	return job->len[i];
}

/* With an error most calls have written nothing; an interrupted sleep has, and its like. */
static bool writes_on_error(const struct job *job, long ret)
{
	return ret == -EINTR &&
	       (job->nr == SYS_nanosleep || job->nr == SYS_clock_nanosleep ||
		job->nr == SYS_select || job->nr == SYS_pselect6 || job->nr == SYS_ppoll);
}

static long copy_out(const struct job *job, long ret)
{
	if (ret < 0 && !writes_on_error(job, ret))
		return ret;
	for (unsigned int i = 0; i < TRAP_ARGS; i++) {
		size_t len = job->len[i] && is_written(&job->call->args[i])
				     ? written_bytes(job, i, ret < 0 ? 0 : ret)
				     : 0;

		if (len > 0 && trap_copy((void *)job->args[i], (void *)job->there[i], len) != 0)
			return -EFAULT;
	}
	return ret;
}

/* Strings and structures may go on in the next page; that shows when the call fails. */
static bool touch_rest(const struct job *job, bool is_again)
{
	bool any = false;

	for (unsigned int i = 0; i < TRAP_ARGS; i++) {
		vaddr_t va = (vaddr_t)job->there[i];
		size_t size = job->call->args[i].size;

		if (!is_inside(job->there[i]) || !trap_touch(va, size))
			continue;
		any = true;
		if (is_again && size == 0)
			trap_touch((va & PAGE_MASK) + PAGE_SIZE, 1);
	}
	return any;
}

static long call_kernel(const struct job *job)
{
	long ret = -EFAULT;

	for (unsigned int i = 0; i < TRIES_MAX && ret == -EFAULT; i++) {
		bool has_touched = touch_rest(job, i > 0);

		ret = trap_kernel(job->nr, job->there);
		if (!has_touched)
			break;
	}
	return ret;
}

static long do_in(struct job *job, struct bounce *b)
{
	for (unsigned int i = 0; i < TRAP_ARGS; i++) {
		int err = copy_in(job, i, b);

		if (err)
			return err;
	}
	return copy_out(job, call_kernel(job));
}

__attribute__((noinline)) static long do_in_small(struct job *job)
{
	char buffer[SMALL_BYTES] __attribute__((aligned(SECTOR)));
	struct bounce b = {.at = buffer, .end = buffer + sizeof(buffer)};

	return do_in(job, &b);
}

__attribute__((noinline)) static long do_in_medium(struct job *job)
{
	char buffer[MEDIUM_BYTES] __attribute__((aligned(4096)));
	struct bounce b = {.at = buffer, .end = buffer + sizeof(buffer)};

	return do_in(job, &b);
}

static long do_in_mapping(struct job *job, size_t total)
{
	size_t offset = (size_t)(job->args[1] & (long)~PAGE_MASK);
	size_t bytes = (total + 2 * PAGE_SIZE) & PAGE_MASK;
	long at = sys_call6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct bounce b = {.at = (char *)at + (offset & ~7u), .end = (char *)at + bytes};
	long ret;

	if (sys_is_error(at))
		return -ENOMEM;
	ret = do_in(job, &b);
	sys_call2(SYS_munmap, at, (long)bytes);
	return ret;
}

static bool has_room(void)
{
	vaddr_t here = (vaddr_t)__builtin_frame_address(0);

	return rt_altstack_contains(here) &&
	       here - (rt_altstack_top(here) - ALTSTACK_BYTES) > ROOM_MIN;
}

/* The network goes on with the pages; those of a mapping stay what they are when it has gone.
 */
static bool outlives_call(const struct job *job)
{
	return job->nr == SYS_sendto && (job->args[3] & MSG_ZEROCOPY);
}

static long do_once(struct job *job)
{
	size_t total;
	int err = measure(job, &total);

	if (err)
		return err;
	if (outlives_call(job))
		return do_in_mapping(job, total);
	if (total <= SMALL_BYTES)
		return do_in_small(job);
	if (total <= MEDIUM_BYTES && has_room())
		return do_in_medium(job);
	return do_in_mapping(job, total);
}

/* May the rest be asked for, when a part was done in full? */
static bool goes_on(const struct job *job)
{
	struct stat st;

	if (job->call->args[1].kind == TRAP_IN)
		return true;
	return job->nr != SYS_recvfrom && sys_call2(SYS_fstat, job->args[0], (long)&st) == 0 &&
	       (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

static long do_stream(struct job *job)
{
	size_t left = (size_t)job->args[2], done = 0;
	long ret;

	if (left <= BUFFER_MAX || !is_inside(job->args[1]))
		return do_once(job);
	do {
		size_t part = min_u64(left, BUFFER_MAX);

		job->args[2] = (long)part;
		ret = do_once(job);
		if (ret <= 0)
			break;
		done += (size_t)ret;
		left -= (size_t)ret;
		job->args[1] += ret;
		if (job->call->flags & TRAP_OFFSET)
			job->args[3] += ret;
		if ((size_t)ret < part)
			break;
	} while (left > 0 && goes_on(job));
	return done > 0 ? (long)done : ret;
}

static const struct trap_call unknown = {
	.args = {{TRAP_TOUCH, TRAP_FIXED, 0},
		 {TRAP_TOUCH, TRAP_FIXED, 0},
		 {TRAP_TOUCH, TRAP_FIXED, 0},
		 {TRAP_TOUCH, TRAP_FIXED, 0},
		 {TRAP_TOUCH, TRAP_FIXED, 0},
		 {TRAP_TOUCH, TRAP_FIXED, 0}},
};

/**
 * trap_do_as() - carry out a system call whose arguments are what @call says.
 *
 * Return, Context: as trap_do().
 */
long trap_do_as(const struct trap_call *call, long nr, const long *args)
{
	struct job job = {.nr = nr, .call = call};

	memcpy(job.args, args, sizeof(job.args));
	return call->flags & TRAP_STREAM ? do_stream(&job) : do_once(&job);
}

/**
 * trap_do() - carry out a system call for the program.
 *
 * Return: as the system call.
 * Context: a thread of the program, in any handler of its own or outside of any; SIGBUS,
 * SIGSEGV and SIGSYS are not blocked. A signal may interrupt it, and its handler may jump out.
 */
long trap_do(long nr, const long *args)
{
	const struct trap_call *call = trap_lookup(nr);
	long ret;

	if (trap_do_special(nr, args, &ret))
		return ret;
	if (!call)
		rt_port_note_device(&rt_runtime);
	return trap_do_as(call ? call : &unknown, nr, args);
}
