/* SPDX-License-Identifier: MIT */
#include "machine/memfd_support.h"

#include <signal.h>
#include <ucontext.h>

#include "ration/mm.h"

#ifdef __SANITIZE_THREAD__
#define WINDOW_START 0x1000000000
#else
#define WINDOW_START 0x210000000000
#endif
#define WINDOW_BYTES	((uint64_t)1 << 34)
#define FAULT_WAS_WRITE 2 /* x86's error code */

static __thread struct segv_resolver *volatile resolver; /* the handler reads it */

void memfd_config(struct machine_memfd_config *ret_cfg, uint64_t frames)
{
	*ret_cfg = (struct machine_memfd_config){
		.ram_bytes = frames * PAGE_SIZE,
		.window_start = WINDOW_START,
		.window_end = WINDOW_START + WINDOW_BYTES,
	};
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	bool is_write = (uc->uc_mcontext.gregs[REG_ERR] & FAULT_WAS_WRITE) != 0;

	if (!resolver || resolver->nr_left == 0) {
		signal(sig, SIG_DFL); /* the access is made again, and ends the process */
		return;
	}
	resolver->nr_left--;
	resolver->on_fault(resolver->arg, (vaddr_t)info->si_addr,
			   is_write ? MM_ACCESS_WRITE : MM_ACCESS_READ);
}

/* A sanitizer's memcpy() would look at its shadow of the window; this is a plain loop. */
__attribute__((no_sanitize("address", "thread"),
	       optimize("no-tree-loop-distribute-patterns"))) static void
copy_words(volatile uint64_t *to, const volatile uint64_t *from, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		to[i] = from[i];
}

void segv_copy(struct segv_resolver *r, void *to, const void *from, size_t size)
{
	struct sigaction action = {.sa_sigaction = on_segv,
				   .sa_flags = SA_SIGINFO | SA_NODEFER};

	/* Each time: cmocka has a handler of its own around each case. */
	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
	resolver = r;
	copy_words(to, from, size / sizeof(uint64_t));
	resolver = NULL;
}
