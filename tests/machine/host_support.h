/* SPDX-License-Identifier: MIT */
/*
 * One host machine a case, and short words for what the cases do with it.
 */
#ifndef MACHINE_HOST_SUPPORT_H
#define MACHINE_HOST_SUPPORT_H

#include "machine/host.h"
#include "mm/pgtable.h"
#include "ration/mm.h"
#include "support/test.h"

#define HOST_FRAMES 1024
#define PTE_RO	    (PTE_PRESENT | PTE_USER)
#define PTE_RW	    (PTE_PRESENT | PTE_USER | PTE_WRITE)
#define PROT_RW	    (MM_PROT_READ | MM_PROT_WRITE)
#define HOST_LEN(n) ((uint64_t)(n)*PAGE_SIZE)

struct host_test {
	bool no_move, may_copy;
	struct machine *m;
	struct machine_space *space;
	vaddr_t va; /* the window's first address */
};

extern struct host_test host_moving, host_copying;

int host_setup(void **state);
int host_teardown(void **state);

/* Each case runs on both ways that pages can go. */
#define HOST_CASE(f)                                                      \
	{#f " (move)", f, host_setup, host_teardown, &host_moving},       \
	{                                                                 \
#f " (copy)", f, host_setup, host_teardown, &host_copying \
	}

/* Ends the case where this kernel or this user cannot have it. */
void host_skip_unless_possible(bool no_move);

/* ThreadSanitizer has its shadow where a machine would choose its window. */
void host_skip_under_tsan(void);

/* A window that is free, for machines that a case makes itself. */
void host_config(struct machine_host_config *ret_cfg, uint64_t frames);

vaddr_t host_va(const struct host_test *t, uint64_t page);
char *host_ptr(const struct host_test *t, uint64_t page); /* the same, to be looked at */
char *host_frame(const struct host_test *t, pfn_t pfn);

/* Asserts that it succeeds. */
void host_region(const struct host_test *t, uint64_t page, uint64_t nr,
		 enum machine_region_op op, int prot);

/* Neighbouring pages, and neighbouring frames for them; bits of 0: not present. */
struct host_run {
	uint64_t page;
	pfn_t pfn;
	uint32_t nr;
	pte_t old_bits, new_bits;
	uint32_t flags;
};
#define RUN(...) (&(const struct host_run){__VA_ARGS__})

/* Return: apply()'s. ret_done: its nr_done; NULL: which must be all, unless it fails. */
int host_change(const struct host_test *t, const struct host_run *run, uint32_t *ret_done);
void host_map(const struct host_test *t, uint64_t page, pfn_t pfn, uint32_t nr, pte_t bits);
void host_unmap(const struct host_test *t, uint64_t page, pfn_t pfn, uint32_t nr, pte_t bits);

/* A page whose every byte tells the page and the seed. */
void page_fill(char *page, uint64_t seed);
void assert_page(const char *page, uint64_t seed);

bool is_resident(const void *page);
uint64_t nr_resident(const void *start, uint64_t pages);
bool kernel_can_read(const void *addr); /* false: EFAULT, what would be a signal */

#endif
