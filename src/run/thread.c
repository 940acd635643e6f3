/* SPDX-License-Identifier: MIT */
/*
 * Threads that the program does not know of.
 *
 * The C library must go on believing what it believed of the program: a single-threaded program
 * stays single-threaded for it, its locks, its fork() and its exit. So these threads are made
 * by clone(2) alone. They share the program's memory and its signal handlers, and nothing else:
 *
 * 1. Files. The first one (RT_THREAD_OWN_FILES) starts with a copy of the program's file table,
 *    closes all of it, and shares its own table with the ones it starts. So the runtime's
 *    descriptors are never in the program's way, a daemon that closes everything does not close
 *    them, and a pipe whose last writer in the program goes away reads its end of file. POSIX
 *    record locks belong to the table, those of the program are not dropped by that.
 * 2. Working directory and root: a copy, then "/", so that no file system is kept busy.
 * 3. Thread-local storage. Each has its own, laid out as the program's static one: a header
 * that the compiler knows (the stack protector's canary at %fs:0x28), the runtime's own
 * variables (initial-exec, zero), errno, and libc's other variables as they were before main().
 * What libc keeps in the rest of its thread descriptor is zero. They call no libc function that
 *    needs more than that; memcpy() and its like are fine.
 * 4. Signals: all are blocked, from its first instruction on. A fault that the thread itself
 * makes kills the process.
 * 5. A stack of RT_STACK_BYTES above a guard page, outside of anything managed.
 *
 * After fork() none of them exists in the child; rt_threads_forget() gives back their stacks.
 */
#include "run/thread.h"

#include <asm/prctl.h>
#include <errno.h>
#include <link.h>
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "base/syscall.h"
#include "ration/types.h"
#include "run/futex.h"

#define RT_STACK_BYTES	 (256 * 1024) /* address space; a few pages of it are touched */
#define TCB_HEADER_BYTES 704	      /* sizeof(tcbhead_t) on x86-64 */
#define TCB_BYTES	 8192	      /* room for struct pthread, about 2.3 KiB in glibc 2.36 */
#define TLS_ALIGN	 4096
#define LIBC_TLS_MAX	 1024 /* it is 0x90 in glibc 2.36 */

/* The first words of a thread's control block (glibc's tcbhead_t). */
struct tcb_header {
	void *tcb;
	void *dtv;
	void *self;
};

static struct rt_thread {
	uint32_t is_used; /* atomic */
	uint32_t tid;	  /* the kernel clears it when the thread has ended */
	char *base;	  /* guard page, stack, thread-local storage */
	struct rt_thread_config cfg;
} threads[RT_THREADS_MAX];

/* What a thread's storage is made from. Set once, before the first thread. */
static struct {
	size_t tls_bytes;	      /* of static storage below the control block */
	ptrdiff_t libc_offset;	      /* of libc's part, from the control block */
	size_t libc_bytes;	      /* 0: not found */
	char libc_data[LIBC_TLS_MAX]; /* as it was at init */
	char header[TCB_HEADER_BYTES];
} model;

static __thread unsigned int own_index;
static __thread bool is_own; /* a thread of the runtime */

static char *current_tcb(void)
{
	char *tcb;

	__asm__("mov %%fs:0, %0" : "=r"(tcb));
	return tcb;
}

/* Only static storage lies below the control block; that of a dlopen()ed object is elsewhere.
 */
static int tls_segment_seen(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *tcb = current_tcb();
	const char *data = info->dlpi_tls_data;
	const char *libc_errno = (const char *)&errno;
	size_t bytes = 0;

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_TLS)
			bytes = info->dlpi_phdr[i].p_memsz;
	}
	if (bytes == 0 || !data || data >= tcb)
		return 0;
	model.tls_bytes = max_u64(model.tls_bytes, (uint64_t)(tcb - data));
	if (libc_errno >= data && libc_errno < data + bytes && bytes <= LIBC_TLS_MAX) {
		model.libc_offset = data - tcb;
		model.libc_bytes = bytes;
		memcpy(model.libc_data, data, bytes);
	}
	return 0;
}

/**
 * rt_threads_init() - learn how thread-local storage is laid out.
 *
 * Return: 0, or -ENOTSUP where the C library is not laid out as expected.
 * Context: once, in the program's first thread, before main().
 */
int rt_threads_init(void)
{
	dl_iterate_phdr(tls_segment_seen, NULL);
	if (model.libc_bytes == 0)
		return -ENOTSUP;
	model.tls_bytes = align_down(model.tls_bytes + TLS_ALIGN - 1, TLS_ALIGN);
	memcpy(model.header, current_tcb(), TCB_HEADER_BYTES);
	return 0;
}

/* Makes the storage of a thread at its stack's upper end. */
static char *tls_make(char *base)
{
	char *tcb = base + PAGE_SIZE + RT_STACK_BYTES + model.tls_bytes;
	struct tcb_header *header = (struct tcb_header *)tcb;

	memcpy(tcb, model.header, TCB_HEADER_BYTES);
	header->tcb = tcb;
	header->self = tcb;
	memcpy(tcb + model.libc_offset, model.libc_data, model.libc_bytes);
	memset(tcb + ((const char *)&errno - current_tcb()), 0, sizeof(errno));
	memset(tcb + ((const char *)&own_index - current_tcb()), 0, sizeof(own_index));
	return tcb;
}

static size_t thread_bytes(void)
{
	return PAGE_SIZE + RT_STACK_BYTES + model.tls_bytes + TCB_BYTES;
}

static int thread_map(struct rt_thread *thread)
{
	long base = sys_call6(SYS_mmap, 0, (long)thread_bytes(), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (sys_is_error(base))
		return (int)base;
	sys_call3(SYS_mprotect, base, (long)PAGE_SIZE, PROT_NONE);
	thread->base = (char *)base;
	return 0;
}

/*
 * thread_clone(flags, stack, parent_tid, child_tid, tls, thread): as clone(2); the new thread
 * calls thread_main(thread) on its stack. The kernel leaves it the registers of the caller.
 */
long thread_clone(unsigned long flags, void *stack, uint32_t *parent_tid, uint32_t *child_tid,
		  void *tls, struct rt_thread *thread) __attribute__((visibility("hidden")));
_Noreturn void thread_main(struct rt_thread *thread)
	__attribute__((visibility("hidden"), used));

__asm__(".pushsection .text\n"
	".globl thread_clone\n"
	".hidden thread_clone\n"
	".type thread_clone, @function\n"
	"thread_clone:\n"
	"	mov %rcx, %r10\n"
	"	mov $56, %eax\n"
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jz 1f\n"
	"	ret\n"
	"1:	xor %ebp, %ebp\n"
	"	mov %r9, %rdi\n"
	"	call thread_main\n"
	"	hlt\n"
	".size thread_clone, . - thread_clone\n"
	".popsection\n");

static void close_all_but(int keep_fd)
{
	if (keep_fd > 0)
		sys_call3(SYS_close_range, 0, keep_fd - 1, 0);
	sys_call3(SYS_close_range, keep_fd > 0 ? keep_fd + 1 : 0, ~0u, 0);
}

_Noreturn void thread_main(struct rt_thread *thread)
{
	uint64_t all = ~(uint64_t)0;

	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, sizeof(all));
	own_index = (unsigned int)(thread - threads);
	is_own = true;
	if (thread->cfg.flags & RT_THREAD_OWN_FILES) {
		close_all_but(thread->cfg.keep_fd);
		sys_call2(SYS_chdir, (long)"/", 0);
	}
	sys_call2(SYS_prctl, PR_SET_NAME, (long)thread->cfg.name);
	thread->cfg.fn(thread->cfg.arg);
	for (;;)
		sys_call2(SYS_exit, 0, 0);
}

static struct rt_thread *thread_claim(void)
{
	for (unsigned int i = 0; i < RT_THREADS_MAX; i++) {
		if (__atomic_exchange_n(&threads[i].is_used, 1, __ATOMIC_ACQUIRE) == 0)
			return &threads[i];
	}
	return NULL;
}

static void thread_unclaim(struct rt_thread *thread)
{
	if (thread->base)
		sys_call2(SYS_munmap, (long)thread->base, (long)thread_bytes());
	thread->base = NULL;
	thread->tid = 0;
	__atomic_store_n(&thread->is_used, 0, __ATOMIC_RELEASE);
}

/**
 * rt_thread_start() - start a thread of the runtime.
 * @cfg: copied.
 *
 * Without RT_THREAD_OWN_FILES the new thread shares the caller's file table.
 *
 * Return: 0; -EAGAIN (too many threads, or RLIMIT_NPROC), -ENOMEM.
 * Context: any thread, any time after rt_threads_init().
 */
int rt_thread_start(const struct rt_thread_config *cfg)
{
	unsigned long flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
			      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	struct rt_thread *thread = thread_claim();
	uint64_t old_signals;
	char *tcb;
	long ret;

	if (!thread)
		return -EAGAIN;
	ret = thread_map(thread);
	if (ret)
		goto unclaim;
	thread->cfg = *cfg;
	tcb = tls_make(thread->base);
	if (!(cfg->flags & RT_THREAD_OWN_FILES))
		flags |= CLONE_FILES | CLONE_FS;
	rt_signals_block(&old_signals);
	ret = thread_clone(flags, thread->base + PAGE_SIZE + RT_STACK_BYTES, &thread->tid,
			   &thread->tid, tcb, thread);
	rt_signals_restore(old_signals);
	if (ret < 0)
		goto unclaim;
	return 0;
unclaim:
	thread_unclaim(thread);
	return (int)ret;
}

/**
 * rt_threads_forget() - in the child of a fork: none of the threads came along.
 *
 * Context: the child's only thread.
 */
void rt_threads_forget(void)
{
	for (unsigned int i = 0; i < RT_THREADS_MAX; i++) {
		if (threads[i].is_used)
			thread_unclaim(&threads[i]);
	}
}

/**
 * rt_thread_index() - a small number for each thread of the runtime.
 *
 * Return: below RT_THREADS_MAX; 0 also in the program's threads.
 */
unsigned int rt_thread_index(void)
{
	return own_index;
}

/**
 * rt_thread_count() - how many threads of the runtime there are.
 */
unsigned int rt_thread_count(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < RT_THREADS_MAX; i++)
		nr += threads[i].is_used && __atomic_load_n(&threads[i].tid, __ATOMIC_RELAXED);
	return nr;
}

/**
 * rt_thread_has_tid() - is it the number of a thread of the runtime?
 */
bool rt_thread_has_tid(uint32_t tid)
{
	for (unsigned int i = 0; i < RT_THREADS_MAX; i++)
		if (threads[i].is_used &&
		    __atomic_load_n(&threads[i].tid, __ATOMIC_RELAXED) == tid)
			return true;
	return false;
}

/**
 * rt_thread_in_proc() - the calling thread's number in /proc.
 *
 * In a pid namespace of its own a process has other numbers there, as long as its /proc is not.
 */
uint32_t rt_thread_in_proc(void)
{
	char link[64];
	long len = sys_call3(SYS_readlink, (long)"/proc/thread-self", (long)link, sizeof(link));
	uint32_t number = 0;

	for (long i = 0; i < len; i++) /* PID/task/TID */
		number = link[i] >= '0' && link[i] <= '9'
				 ? number * 10 + (uint32_t)(link[i] - '0')
				 : 0;
	return number ? number : (uint32_t)sys_call2(SYS_gettid, 0, 0);
}

/**
 * rt_thread_fd_path() - by which a thread with another file table may open a descriptor.
 * @tid: in whose table @fd is (rt_thread_in_proc()).
 */
void rt_thread_fd_path(uint32_t tid, int fd, char ret_path[RT_FD_PATH_BYTES])
{
	snprintf(ret_path, RT_FD_PATH_BYTES, "/proc/self/task/%u/fd/%d", tid, fd);
}

/**
 * rt_thread_is_own() - is this a thread of the runtime?
 */
bool rt_thread_is_own(void)
{
	return is_own;
}

void rt_signals_block(uint64_t *ret_old)
{
	uint64_t others = ~RT_FAULT_SIGNALS;

	/* Where the stack is managed memory the kernel may find it out: the touch brings it. */
	do
		*(volatile uint64_t *)ret_old = 0;
	while (sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&others, (long)ret_old,
			 sizeof(others)) == -EFAULT);
}

void rt_signals_restore(uint64_t old)
{
	while (sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old)) ==
	       -EFAULT)
		*(volatile uint64_t *)&old = old;
}
