/* SPDX-License-Identifier: MIT */
#include "machine/host_support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct host_test host_moving = {.no_move = false}, host_copying = {.no_move = true};

/* ThreadSanitizer knows only parts of the address space: this is one, and free. */
#ifdef __SANITIZE_THREAD__
#define WINDOW_START  0x1000000000
#define IS_UNDER_TSAN true
#else
#define WINDOW_START  0x210000000000
#define IS_UNDER_TSAN false
#endif
#define WINDOW_BYTES ((uint64_t)1 << 36)

void host_skip_under_tsan(void)
{
	if (IS_UNDER_TSAN)
		test_skip("ThreadSanitizer has the address space");
}

void host_config(struct machine_host_config *ret_cfg, uint64_t frames)
{
	*ret_cfg = (struct machine_host_config){
		.ram_bytes = HOST_LEN(frames),
		.window_start = WINDOW_START,
		.window_end = WINDOW_START + WINDOW_BYTES,
	};
}

void host_skip_unless_possible(bool no_move)
{
	struct machine_host_probe probe;

	if (machine_host_probe(&probe) != 0)
		test_skip("userfaultfd is not to be had here");
	if (!no_move && !probe.has_move)
		test_skip("this kernel has no UFFDIO_MOVE");
}

int host_setup(void **state)
{
	struct host_test *t = *state;
	struct machine_host_config cfg;
	vaddr_t end;

	host_skip_unless_possible(t->no_move);
	host_config(&cfg, HOST_FRAMES);
	cfg.no_move = t->no_move;
	cfg.may_copy = t->may_copy;
	assert_int_equal(machine_host_create(&cfg, &t->m), 0);
	assert_int_equal(machine_host_moves(t->m), !t->no_move);
	machine_host_window(t->m, &t->va, &end);
	assert_int_equal(t->m->ops->space_create(t->m, t->va, end, &t->space), 0);
	return 0;
}

int host_teardown(void **state)
{
	struct host_test *t = *state;

	t->m->ops->space_destroy(t->m, t->space);
	machine_host_destroy(t->m);
	return 0;
}

vaddr_t host_va(const struct host_test *t, uint64_t page)
{
	return t->va + HOST_LEN(page);
}

char *host_ptr(const struct host_test *t, uint64_t page)
{
	return (char *)host_va(t, page);
}

char *host_frame(const struct host_test *t, pfn_t pfn)
{
	return t->m->ram + HOST_LEN(pfn);
}

void host_region(const struct host_test *t, uint64_t page, uint64_t nr,
		 enum machine_region_op op, int prot)
{
	assert_int_equal(t->m->ops->region(t->m, t->space, host_va(t, page),
					   host_va(t, page + nr), op, prot),
			 0);
}

int host_change(const struct host_test *t, const struct host_run *run, uint32_t *ret_done)
{
	struct machine_change changes[HOST_FRAMES];
	struct machine_batch batch = {.changes = changes, .nr = run->nr, .flags = run->flags};
	int err;

	assert_in_range(run->nr, 1, HOST_FRAMES);
	for (uint32_t i = 0; i < run->nr; i++)
		changes[i] = (struct machine_change){
			.va = host_va(t, run->page + i),
			.old_pte = pte_make(run->pfn + i,
					    run->old_bits ? run->old_bits : PTE_IDLE),
			.new_pte = pte_make(run->pfn + i,
					    run->new_bits ? run->new_bits : PTE_IDLE),
		};
	err = t->m->ops->apply(t->m, t->space, &batch);
	if (ret_done)
		*ret_done = batch.nr_done;
	else
		assert_true(err || batch.nr_done == run->nr);
	return err;
}

void host_map(const struct host_test *t, uint64_t page, pfn_t pfn, uint32_t nr, pte_t bits)
{
	assert_int_equal(host_change(t, RUN(page, pfn, nr, 0, bits), NULL), 0);
}

void host_unmap(const struct host_test *t, uint64_t page, pfn_t pfn, uint32_t nr, pte_t bits)
{
	assert_int_equal(host_change(t, RUN(page, pfn, nr, bits, 0), NULL), 0);
}

static uint64_t word_at(uint64_t seed, size_t i)
{
	return (seed + 1) * 0x9e3779b97f4a7c15u + i * 0xbf58476d1ce4e5b9u;
}

void page_fill(char *page, uint64_t seed)
{
	for (size_t i = 0; i < PAGE_SIZE / sizeof(uint64_t); i++)
		((uint64_t *)page)[i] = word_at(seed, i);
}

void assert_page(const char *page, uint64_t seed)
{
	for (size_t i = 0; i < PAGE_SIZE / sizeof(uint64_t); i++)
		if (((const uint64_t *)page)[i] != word_at(seed, i))
			fail_msg("page %p differs at byte %zu", (const void *)page, 8 * i);
}

bool is_resident(const void *page)
{
	return nr_resident(page, 1) == 1;
}

uint64_t nr_resident(const void *start, uint64_t pages)
{
	unsigned char *seen = malloc(pages);
	uint64_t nr = 0;

	assert_non_null(seen);
	assert_int_equal(mincore((void *)(uintptr_t)start, HOST_LEN(pages), seen), 0);
	for (uint64_t i = 0; i < pages; i++)
		nr += seen[i] & 1;
	free(seen);
	return nr;
}

bool kernel_can_read(const void *addr)
{
	int fds[2];
	bool can;

	assert_int_equal(pipe(fds), 0);
	can = write(fds[1], addr, 1) == 1;
	if (!can)
		assert_int_equal(errno, EFAULT);
	close(fds[0]);
	close(fds[1]);
	return can;
}
