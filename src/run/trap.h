/* SPDX-License-Identifier: MIT */
/*
 * System calls of the program that have an address of the window among their arguments: how
 * they are caught (trap_filter.c), known (trap_table.c) and carried out (trap_call.c).
 */
#ifndef RUN_TRAP_H
#define RUN_TRAP_H

#include <ucontext.h>

#include "ration/types.h"

/*
 * What the filter lets through, and what it catches. The same in each process of each run, for
 * the filter stays when a program executes another: one filter serves them all, and to a
 * program that is not managed it does nothing, for it has no memory there.
 */
#define TRAP_WINDOW_START ((vaddr_t)0x200000000000)
#define TRAP_WINDOW_END	  ((vaddr_t)0x300000000000)
#define TRAP_STUB	  ((vaddr_t)0x1fffffff0000)
#define TRAP_STUB_RESUME  (TRAP_STUB + 16) /* the system call, then a jump to where r9 says */
#define TRAP_STUB_PROGRAM (TRAP_STUB + 32) /* for calls of the program's: trap_kernel() */

#define TRAP_COOKIE 0x5261 /* si_errno of what our filters have caught: no other's */

#define TRAP_ARGS 6

/* What an argument is to the kernel. */
enum trap_kind {
	TRAP_NONE,  /* no address */
	TRAP_TOUCH, /* made resident, and tried again; size: 0 if it is not known */
	TRAP_IN,    /* read: size bytes, or as many as args[len] says, times size */
	TRAP_OUT,   /* written */
	TRAP_INOUT,
	TRAP_OUT_LEN, /* written: as many as the 32-bit number at args[len] says */
};

struct trap_arg {
	uint8_t kind; /* enum trap_kind */
	uint8_t len;  /* index of the argument that counts; TRAP_FIXED: none does */
	uint16_t size;
};

#define TRAP_FIXED 7

enum trap_flags {
	TRAP_STREAM = 1 << 0, /* args[1] may be done in parts: read, write and their kin */
	TRAP_OFFSET = 1 << 1, /* and args[3] is where in the file */
};

struct trap_call {
	uint16_t nr;
	uint8_t flags; /* enum trap_flags */
	struct trap_arg args[TRAP_ARGS];
};

/* trap_table.c: NULL if the call is not known; then any argument may be an address. */
const struct trap_call *trap_lookup(long nr);
bool trap_is_innocent(long nr); /* no argument is ever an address */

/* trap_filter.c: Return: 0 or -errno. */
int trap_map_stub(void);
int trap_install(void);
int trap_install_libc(void);
bool trap_is_past_libc(void); /* trap_libc.c */

/*
 * trap_filter.c: the system call itself, in the program's place. Filters of the program's see
 * it, as they do not see the runtime's own (trap_seccomp.c).
 */
long trap_kernel(long nr, const long *args);
#define TRAP_KERNEL(nr, ...) trap_kernel((nr), (const long[TRAP_ARGS]){__VA_ARGS__})

/* trap_seccomp.c: prctl(2) or seccomp(2). Return: false: it installs no filter. */
bool trap_do_seccomp(long nr, const long *args, long *ret_ret);

/* trap_call.c: as the system call. */
long trap_do(long nr, const long *args);
long trap_do_as(const struct trap_call *call, long nr, const long *args);

static inline bool trap_is_inside(const void *addr)
{
	return (vaddr_t)addr >= TRAP_WINDOW_START && (vaddr_t)addr < TRAP_WINDOW_END;
}

/* trap_vector.c: calls on vectors of buffers, and messages. Return: false if not one of them.
 */
bool trap_do_vector(long nr, const long *args, long *ret_ret);

/* trap_inner.c: calls on structures that hold addresses. Return: false if not one of them. */
bool trap_do_inner(long nr, const long *args, long *ret_ret);

/* trap_special.c: Return: false if it is not one of them. */
bool trap_do_special(long nr, const long *args, long *ret_ret);
long trap_sigaltstack(const long *args, vaddr_t sp);
void trap_touch_strings(const char *path, char *const *argv, char *const *envp);

/* trap_exit.c: exit(2) of a thread. */
_Noreturn void trap_exit(long status);

/* trap_clone.c: the thread that returns to the context makes a clone. */
void trap_clone(ucontext_t *context, long nr, const long *args);

/* thread_wrap.c: fn(arg) on the stack that ends at top. */
void *rt_run_on_stack(void *(*fn)(void *arg), void *arg, void *top)
	__attribute__((visibility("hidden")));

/* trap_copy.c. Return: bytes that could not be copied. */
size_t trap_copy(void *to, const void *from, size_t len);
bool trap_touch(vaddr_t va, size_t len);
bool trap_swap(vaddr_t va, uint32_t from, uint32_t to);
bool trap_copy_failed(void *context); /* a signal in the middle of it: it ends */

#endif
