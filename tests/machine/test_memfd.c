/* SPDX-License-Identifier: MIT */
/*
 * The machine of a memory file: what it is beyond the conformance cases. The kernel's limit of
 * mappings, neighbours in one call, fork, and what create refuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/memfd_support.h"
#include "mm/pgtable.h"
#include "ration/mm.h"

#define RW	   (PTE_PRESENT | PTE_USER | PTE_NX | PTE_WRITE)
#define RO	   (PTE_PRESENT | PTE_USER | PTE_NX)
#define FEW_FRAMES 64
#define LIMIT_MAX  70000 /* mappings; a machine that allows more is not pushed to its limit */

struct fixture {
	struct machine *m;
	struct machine_space *space;
	vaddr_t start;
};

static struct fixture fixture_create_without(uint64_t frames, bool no_move)
{
	struct machine_memfd_config cfg;
	struct fixture f;

	memfd_config(&cfg, frames);
	cfg.no_move = no_move;
	assert_int_equal(machine_memfd_create(&cfg, &f.m), 0);
	assert_int_equal(
		f.m->ops->space_create(f.m, cfg.window_start, cfg.window_end, &f.space), 0);
	f.start = cfg.window_start;
	return f;
}

static struct fixture fixture_create(uint64_t frames)
{
	return fixture_create_without(frames, false);
}

static void fixture_destroy(struct fixture *f)
{
	f->m->ops->space_destroy(f->m, f->space);
	machine_memfd_destroy(f->m);
}

static uint64_t *frame(const struct fixture *f, pfn_t pfn)
{
	return (uint64_t *)(void *)(f->m->ram + pfn * PAGE_SIZE);
}

static vaddr_t va(const struct fixture *f, uint64_t page)
{
	return f->start + page * PAGE_SIZE;
}

/* nr neighbours from page on get the frames from pfn on; bits of 0: from those to nothing. */
static int change(const struct fixture *f, uint64_t page, pfn_t pfn, uint32_t nr, pte_t bits)
{
	struct machine_change changes[FEW_FRAMES];
	struct machine_batch batch = {.changes = changes, .nr = nr};
	int err;

	for (uint32_t i = 0; i < nr; i++)
		changes[i] = (struct machine_change){
			.va = va(f, page + i),
			.old_pte = bits ? 0 : pte_make(pfn + i, RW),
			.new_pte = bits ? pte_make(pfn + i, bits) : 0,
		};
	err = f->m->ops->apply(f->m, f->space, &batch);
	if (!err)
		assert_int_equal(batch.nr_done, nr);
	return err;
}

static void neighbours_are_one_call(void **state)
{
	struct fixture f = fixture_create(FEW_FRAMES);
	struct machine_memfd_stats stats;

	(void)state;
	assert_int_equal(change(&f, 3, 8, 32, RW), 0);
	machine_memfd_stats(f.m, &stats);
	assert_int_equal(stats.nr_calls, 1);
	assert_int_equal(stats.nr_mapped, 32);
	assert_int_equal(change(&f, 3, 8, 32, 0), 0);
	machine_memfd_stats(f.m, &stats);
	assert_int_equal(stats.nr_calls, 2);
	assert_int_equal(stats.nr_unmapped, 32);
	fixture_destroy(&f);
}

/* Whether the kernel has the page of an address at hand (Documentation/admin-guide/mm/pagemap).
 */
static bool is_mapped(const void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &entry, sizeof(entry),
			       (off_t)((uintptr_t)at / PAGE_SIZE * sizeof(entry))),
			 sizeof(entry));
	close(fd);
	return entry >> 63;
}

/* Where a frame is mapped RSS counts it. */
static void no_frame_is_mapped_twice(void **state)
{
	(void)state;
	for (int no_move = 0; no_move < 2; no_move++) {
		struct fixture f = fixture_create_without(FEW_FRAMES, no_move);

		for (pfn_t pfn = 0; pfn < 32; pfn++)
			frame(&f, pfn)[0] = pfn;
		assert_int_equal(change(&f, 0, 0, 32, RW), 0);
		for (pfn_t pfn = 0; pfn < 32; pfn++)
			assert_int_equal(is_mapped((const void *)va(&f, pfn)), !no_move);
		for (pfn_t pfn = 0; pfn < 32; pfn++)
			assert_int_equal(*(uint64_t *)va(&f, pfn), pfn);
		assert_int_equal(change(&f, 12, 12, 1, 0), 0);
		assert_int_equal(frame(&f, 12)[0], 12);
		for (pfn_t pfn = 0; pfn < 32; pfn++)
			assert_int_equal(is_mapped(frame(&f, pfn)), pfn == 12);
		fixture_destroy(&f);
	}
}

static long mappings_allowed(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	long max = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &max) != 1)
		max = -1;
	fclose(file);
	return max;
}

struct refault {
	const struct fixture *f;
	uint64_t nr_pages;
	unsigned int nr;
};

/* What the manager does when it holds a page as translated: the same translation again. */
static void make_again(void *arg, vaddr_t at, unsigned int access)
{
	struct refault *r = arg;
	uint64_t page = (at - r->f->start) / PAGE_SIZE;
	pte_t pte = pte_make((pfn_t)(r->nr_pages - 1 - page / 2), RW);
	struct machine_change c = {.va = at & PAGE_MASK, .old_pte = pte, .new_pte = pte};
	struct machine_batch batch = {.changes = &c, .nr = 1};

	(void)access;
	r->nr++;
	assert_int_equal(r->f->m->ops->apply(r->f->m, r->f->space, &batch), 0);
}

/*
 * Every second page, frames in reverse: each a mapping and a hole, more than there may be. All
 * can be had, and each has its content, but some are forgotten meanwhile.
 */
static void past_the_kernels_limit_translations_are_forgotten(void **state)
{
	long max = mappings_allowed();
	struct machine_memfd_stats stats;
	struct refault again;
	struct fixture f;
	uint64_t nr;

	(void)state;
	if (max < 0 || max > LIMIT_MAX)
		test_skip("vm.max_map_count is not to be read, or too large to be reached");
	nr = (uint64_t)max / 2 + 1000;
	f = fixture_create(nr);
	again = (struct refault){.f = &f, .nr_pages = nr};
	for (uint64_t i = 0; i < nr; i++) {
		pfn_t pfn = (pfn_t)(nr - 1 - i);

		*frame(&f, pfn) = i;
		assert_int_equal(change(&f, 2 * i, pfn, 1, RW), 0);
	}
	machine_memfd_stats(f.m, &stats);
	assert_true(stats.nr_forgotten > 0);
	for (uint64_t i = 0; i < nr; i++) {
		struct segv_resolver r = {.on_fault = make_again, .arg = &again, .nr_left = 1};
		uint64_t word;

		segv_copy(&r, &word, (const void *)va(&f, 2 * i), sizeof(word));
		assert_int_equal(word, i);
	}
	assert_true(again.nr >= stats.nr_forgotten);
	assert_true(again.nr < nr);
	fixture_destroy(&f);
}

/* Every second frame is in use. */
static pfn_t used_frames(const void *arg, pfn_t pfn, pfn_t *ret_end)
{
	(void)arg;
	pfn = (pfn + 1) & ~(pfn_t)1;
	*ret_end = pfn + 1;
	return pfn;
}

/* In the child, where cmocka's jumps would lead astray: the exit status tells the place. */
static int child_run(struct fixture *f, int copy, int from_parent)
{
	char c;

	if (read(from_parent, &c, 1) != 1) /* the parent has written its own by now */
		return 1;
	if (machine_memfd_adopt(f->m, copy) != 0)
		return 2;
	for (pfn_t i = 0; i < FEW_FRAMES; i += 2)
		if (*frame(f, i) != i + 100 || *frame(f, i + 1) != 0)
			return 3;
	if (change(f, 5, 6, 1, RW) != 0 || *(volatile uint64_t *)va(f, 5) != 106)
		return 4;
	*(volatile uint64_t *)va(f, 5) = 7;
	return *frame(f, 6) == 7 ? 0 : 5;
}

/* The child keeps what was there; what either writes later is its own. */
static void after_a_fork_each_has_its_own(void **state)
{
	struct fixture f = fixture_create(FEW_FRAMES);
	int copy, down[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(down), 0);
	for (pfn_t i = 0; i < FEW_FRAMES; i++)
		*frame(&f, i) = i;
	copy = machine_memfd_create_copy(f.m);
	assert_true(copy >= 0);
	assert_int_equal(machine_memfd_copy(f.m, copy, used_frames, NULL), 0);
	for (pfn_t i = 0; i < FEW_FRAMES; i++)
		*frame(&f, i) = i + 100;
	assert_int_equal(machine_memfd_copy(f.m, copy, used_frames, NULL), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child_run(&f, copy, down[0]));
	for (pfn_t i = 0; i < FEW_FRAMES; i++)
		*frame(&f, i) = 1;
	assert_int_equal(write(down[1], "w", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(*frame(&f, 6), 1);
	close(copy);
	close(down[0]);
	close(down[1]);
	fixture_destroy(&f);
}

static void what_cannot_be_is_refused(void **state)
{
	const struct {
		uint64_t ram, start, end;
		int err;
	} table[] = {
		{0, 0x210000000000, 0x210000100000, -EINVAL},
		{PAGE_SIZE + 1, 0x210000000000, 0x210000100000, -EINVAL},
		{PAGE_SIZE, 0, 0x210000100000, -EINVAL},
		{PAGE_SIZE, 0x210000100000, 0x210000000000, -EINVAL},
		{PAGE_SIZE, 0x210000000100, 0x210000100000, -EINVAL},
	};
	struct machine *m = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const struct machine_memfd_config cfg = {.ram_bytes = table[i].ram,
							 .window_start = table[i].start,
							 .window_end = table[i].end};

		assert_int_equal(machine_memfd_create(&cfg, &m), table[i].err);
		assert_null(m);
	}
}

static void a_window_that_is_taken_is_refused(void **state)
{
	struct fixture f = fixture_create(FEW_FRAMES);
	struct machine_memfd_config cfg;
	struct machine *m = NULL;

	(void)state;
	memfd_config(&cfg, FEW_FRAMES);
	assert_int_equal(machine_memfd_create(&cfg, &m), -EEXIST);
	assert_null(m);
	fixture_destroy(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(neighbours_are_one_call),
	cmocka_unit_test(no_frame_is_mapped_twice),
	cmocka_unit_test(past_the_kernels_limit_translations_are_forgotten),
	cmocka_unit_test(after_a_fork_each_has_its_own),
	cmocka_unit_test(what_cannot_be_is_refused),
	cmocka_unit_test(a_window_that_is_taken_is_refused),
};
TEST_MAIN(tests)
