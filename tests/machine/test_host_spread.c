/* SPDX-License-Identifier: MIT */
/*
 * Several processors run the program by turns: then pages are copied, where that takes fewer
 * interrupts. This program is linked with --wrap=host_cpu and --wrap=uffd_protect.
 */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

#include "machine/host_support.h"
#include "machine/host_uffd.h"

#define PAGES  16
#define ROUNDS 2000
#define CALLS  100 /* enough to be sure of where they come from */

uint32_t __wrap_host_cpu(void);
int __real_uffd_protect(int fd, vaddr_t start, uint64_t len, bool is_protected);
int __wrap_uffd_protect(int fd, vaddr_t start, uint64_t len, bool is_protected);

static uint32_t nr_cpus;	     /* by turns */
static struct machine *device_comes; /* NULL, or just before pages are protected */
static unsigned int nr_protections;

uint32_t __wrap_host_cpu(void)
{
	static uint32_t nr;

	return nr++ % nr_cpus;
}

int __wrap_uffd_protect(int fd, vaddr_t start, uint64_t len, bool is_protected)
{
	if (device_comes)
		machine_host_note_device(device_comes);
	nr_protections++;
	return __real_uffd_protect(fd, start, len, is_protected);
}

static struct host_test host_spread = {.may_copy = true};

/* The frame of each page: neighbours, and none is the next one's. */
static const pfn_t in_order[PAGES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const pfn_t scattered[PAGES] = {9, 2, 5, 0, 13, 1, 11, 4, 15, 3, 8, 12, 6, 10, 14, 7};

static int setup(void **state)
{
	const struct host_test *t = *state;

	host_setup(state);
	host_region(t, 0, HOST_FRAMES, MACHINE_REGION_MAP, PROT_RW);
	nr_cpus = 1;
	device_comes = NULL;
	return 0;
}

static void calls_come_from(const struct host_test *t, uint32_t cpus)
{
	struct machine_batch none = {.nr = 0};

	nr_cpus = cpus;
	for (unsigned int i = 0; i < CALLS; i++)
		assert_int_equal(t->m->ops->apply(t->m, t->space, &none), 0);
}

/* Every pages_apart'th page of the window. */
static int change(const struct host_test *t, const pfn_t *pfns, uint64_t pages_apart,
		  pte_t old_bits, pte_t new_bits)
{
	struct machine_change changes[PAGES];
	struct machine_batch batch = {.changes = changes, .nr = PAGES};

	for (uint32_t i = 0; i < PAGES; i++)
		changes[i] = (struct machine_change){
			.va = host_va(t, i * pages_apart),
			.old_pte = pte_make(pfns[i], old_bits),
			.new_pte = pte_make(pfns[i], new_bits),
		};
	return t->m->ops->apply(t->m, t->space, &batch);
}

static void bring_in(const struct host_test *t, const pfn_t *pfns, uint64_t pages_apart,
		     pte_t bits)
{
	for (uint32_t i = 0; i < PAGES; i++)
		page_fill(host_frame(t, pfns[i]), i);
	assert_int_equal(change(t, pfns, pages_apart, PTE_IDLE, bits), 0);
	for (uint32_t i = 0; i < PAGES; i++)
		assert_page(host_ptr(t, i * pages_apart), i);
}

/* Return: how many pages were copied in and out, not moved. Each byte goes there and back. */
static uint64_t go_around(const struct host_test *t, const pfn_t *pfns, uint64_t pages_apart)
{
	struct machine_host_stats before, after;

	machine_host_stats(t->m, &before);
	bring_in(t, pfns, pages_apart, PTE_RW);
	for (uint32_t i = 0; i < PAGES; i++)
		page_fill(host_ptr(t, i * pages_apart), 100 + i);
	nr_protections = 0;
	assert_int_equal(change(t, pfns, pages_apart, PTE_RW, PTE_IDLE), 0);
	assert_int_equal(nr_resident(host_ptr(t, 0), PAGES * pages_apart), 0);
	for (uint32_t i = 0; i < PAGES; i++)
		assert_page(host_frame(t, pfns[i]), 100 + i);
	machine_host_stats(t->m, &after);
	assert_int_equal(after.nr_moved_in + after.nr_copied_in - before.nr_moved_in -
				 before.nr_copied_in,
			 PAGES);
	return after.nr_copied_in - before.nr_copied_in + after.nr_copied_out -
	       before.nr_copied_out;
}

static void copies_are_for_several_processors(void **state)
{
	const struct host_test *t = *state;

	calls_come_from(t, 1);
	assert_int_equal(go_around(t, scattered, 1), 0);
	calls_come_from(t, 2);
	assert_int_equal(go_around(t, scattered, 1), 2 * PAGES);
	assert_int_equal(nr_protections, 1); /* whatever the frames */
	calls_come_from(t, 1);
	assert_int_equal(go_around(t, scattered, 1), 0);
}

/* One move of neighbours is one interrupt; pages far apart are protected one by one. */
static void what_a_copy_makes_no_better_is_moved(void **state)
{
	const struct host_test *t = *state;

	calls_come_from(t, 2);
	assert_int_equal(go_around(t, in_order, 1), 0);
	assert_int_equal(go_around(t, scattered, 2), PAGES); /* in: no protection */
}

/* What is not writable needs no protection: all of it is one interrupt. */
static void clean_pages_are_copied_out(void **state)
{
	const struct host_test *t = *state;
	struct machine_host_stats stats;

	calls_come_from(t, 2);
	bring_in(t, scattered, 2, PTE_RO);
	nr_protections = 0;
	assert_int_equal(change(t, scattered, 2, PTE_RO, PTE_IDLE), 0);
	machine_host_stats(t->m, &stats);
	assert_int_equal(stats.nr_copied_out, PAGES);
	assert_int_equal(nr_protections, 0);
	for (uint32_t i = 0; i < PAGES; i++)
		assert_page(host_frame(t, scattered[i]), i);
}

/*
 * What is brought in by copy leaves a stale frame behind. It is gone before the frame has
 * content again, by whatever way the page leaves; and there are never many.
 */
static void stale_frames_go_in_time(void **state)
{
	const struct host_test *t = *state;
	struct machine_change replaced = {
		.va = host_va(t, 2),
		.old_pte = pte_make(2, PTE_RW),
		.new_pte = pte_make(200, PTE_RW),
	};
	struct machine_batch batch = {.changes = &replaced, .nr = 1};

	calls_come_from(t, 2);
	for (pfn_t i = 0; i < 3; i++) {
		page_fill(host_frame(t, i), i);
		host_map(t, i, i, 1, PTE_RW);
		assert_true(is_resident(host_frame(t, i)));
		page_fill(host_ptr(t, i), 10 + i);
	}
	page_fill(host_frame(t, 200), 200);
	host_unmap(t, 0, 0, 1, PTE_RW);
	assert_int_equal(host_change(t, RUN(1, 1, 1, PTE_RW, 0, MACHINE_DISCARD), NULL), 0);
	page_fill(host_frame(t, 1), 21); /* the next owner's */
	assert_int_equal(t->m->ops->apply(t->m, t->space, &batch), 0);
	page_fill(host_frame(t, 2), 22);

	for (pfn_t i = 0; i < 150; i++) {
		page_fill(host_frame(t, 300 + 2 * i), i);
		host_map(t, 300 + i, 300 + 2 * i, 1, PTE_RW);
		assert_in_range(nr_resident(host_frame(t, 300), 300), 0, 64);
	}
	assert_page(host_frame(t, 0), 10);
	assert_page(host_frame(t, 1), 21);
	assert_page(host_frame(t, 2), 22);
	assert_page(host_ptr(t, 2), 200);
	calls_come_from(t, 1);
	assert_int_equal(nr_resident(host_frame(t, 300), 300), 0);
}

static void devices_end_it(void **state)
{
	const struct host_test *t = *state;

	calls_come_from(t, 2);
	assert_int_equal(go_around(t, scattered, 1), 2 * PAGES);
	machine_host_note_device(t->m);
	assert_int_equal(go_around(t, scattered, 1), 0);
}

/* It is announced, and has the page, while the batch is on its way: the page stays. */
static void a_device_in_between_is_not_lost(void **state)
{
	const struct host_test *t = *state;
	struct iovec pinned = {host_ptr(t, 4), PAGE_SIZE};
	struct io_uring ring;

	if (io_uring_queue_init(2, &ring, 0) != 0)
		test_skip("io_uring is not to be had here");
	calls_come_from(t, 2);
	bring_in(t, scattered, 1, PTE_RW);
	assert_int_equal(io_uring_register_buffers(&ring, &pinned, 1), 0);
	device_comes = t->m;
	assert_int_equal(change(t, scattered, 1, PTE_RW, PTE_IDLE), -EBUSY);
	assert_true(is_resident(pinned.iov_base));
	assert_page(pinned.iov_base, 4);
	io_uring_queue_exit(&ring);
}

static atomic_bool is_over;

/* Counts in every page, and for itself. Sleeps in its faults until the page is there. */
static void *count(void *arg)
{
	const struct host_test *t = arg;
	static uint64_t own[PAGES];

	while (!is_over)
		for (uint32_t i = 0; i < PAGES; i++) {
			++*(volatile uint64_t *)host_ptr(t, i);
			own[i]++;
		}
	return own;
}

static void no_write_is_lost(void **state)
{
	const struct host_test *t = *state;
	pthread_t thread;
	void *result;

	bring_in(t, scattered, 1, PTE_RW);
	for (uint32_t i = 0; i < PAGES; i++)
		*(uint64_t *)(void *)host_ptr(t, i) = 0;
	is_over = false;
	nr_cpus = 2;
	assert_int_equal(pthread_create(&thread, NULL, count, *state), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		assert_int_equal(change(t, scattered, 1, PTE_RW, PTE_IDLE), 0);
		assert_int_equal(change(t, scattered, 1, PTE_IDLE, PTE_RW), 0);
	}
	is_over = true;
	pthread_join(thread, &result);
	for (uint32_t i = 0; i < PAGES; i++)
		assert_int_equal(*(uint64_t *)(void *)host_ptr(t, i), ((uint64_t *)result)[i]);
}

#define CASE(f)                                           \
	{                                                 \
#f, f, setup, host_teardown, &host_spread \
	}

static const struct CMUnitTest tests[] = {
	CASE(copies_are_for_several_processors),
	CASE(what_a_copy_makes_no_better_is_moved),
	CASE(clean_pages_are_copied_out),
	CASE(stale_frames_go_in_time),
	CASE(devices_end_it),
	CASE(a_device_in_between_is_not_lost),
	CASE(no_write_is_lost),
};
TEST_MAIN(tests)
