/* SPDX-License-Identifier: MIT */
/*
 * The host machine, one thread: where pages lie, and that each byte comes through.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/host_support.h"

static void probe_agrees_with_create(void **state)
{
	struct machine_host_probe probe;
	struct machine_host_config cfg;
	struct machine *m = NULL;
	int err = machine_host_probe(&probe);

	(void)state;
	host_config(&cfg, 1);
	assert_int_equal(machine_host_create(&cfg, &m), err);
	assert_int_equal(probe.err, err);
	assert_int_equal(probe.verdict == MACHINE_HOST_OK, err == 0);
	if (err)
		return;
	assert_int_equal(machine_host_moves(m), probe.has_move);
	assert_true(m->nr_frames == 1);
	machine_host_destroy(m);
}

static void create_refuses_what_breaks_the_rules(void **state)
{
	static const struct machine_host_config table[] = {
		{.ram_bytes = 0},
		{.ram_bytes = 4095},
		{.ram_bytes = (uint64_t)1 << 60},
		{.ram_bytes = 4096, .window_start = 0x210000000001},
		{.ram_bytes = 4096, .window_end = 0x210000000000},
		{.ram_bytes = 4096,
		 .window_start = 0x210000001000,
		 .window_end = 0x210000001000},
		{.ram_bytes = 4096,
		 .window_start = 0x210000000000,
		 .window_end = 0x210000001001},
	};
	struct machine *m = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		assert_int_equal(machine_host_create(&table[i], &m), -EINVAL);
	assert_null(m);
}

static void a_window_that_is_taken_is_refused(void **state)
{
	const struct host_test *t = *state;
	struct machine_host_config cfg;
	struct machine *m = NULL;

	host_config(&cfg, 1);
	assert_int_equal(machine_host_create(&cfg, &m), -EEXIST);
	assert_null(m);
	assert_true(machine_host_contains(t->m, t->va));
	assert_false(machine_host_contains(t->m, t->va - 1));
	assert_false(machine_host_contains(t->m, cfg.window_end));
}

static void one_space_at_a_time(void **state)
{
	const struct host_test *t = *state;
	struct machine_space *second = NULL;
	int (*create)(struct machine *, vaddr_t, vaddr_t, struct machine_space **) =
		t->m->ops->space_create;

	assert_int_equal(create(t->m, t->va, t->va + PAGE_SIZE, &second), -EBUSY);
	assert_int_equal(create(t->m, t->va - PAGE_SIZE, t->va, &second), -EINVAL);
	assert_null(second);
}

/*
 *	pool    [ A ][ B ][ C ]        [   ][   ][   ]        [ A'][ B'][ C']
 *	                         map ->                unmap ->
 *	window  [   ][   ][   ]        [ A ][ B ][ C ]        [   ][   ][   ]
 */
static void every_byte_goes_there_and_back(void **state)
{
	static const uint32_t sizes[] = {1, 2, 16, 63, 64, 65, 200, 512};
	const struct host_test *t = *state;

	host_region(t, 0, HOST_FRAMES, MACHINE_REGION_MAP, PROT_RW);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		uint32_t nr = sizes[s];

		for (uint32_t i = 0; i < nr; i++)
			page_fill(host_frame(t, 7 + i), i);
		host_map(t, 3, 7, nr, PTE_RW);
		assert_int_equal(nr_resident(host_frame(t, 7), nr), 0);
		for (uint32_t i = 0; i < nr; i++) {
			assert_page(host_ptr(t, 3 + i), i);
			page_fill(host_ptr(t, 3 + i), 1000 + i);
		}
		host_unmap(t, 3, 7, nr, PTE_RW);
		assert_int_equal(nr_resident(host_ptr(t, 3), nr), 0);
		for (uint32_t i = 0; i < nr; i++)
			assert_page(host_frame(t, 7 + i), 1000 + i);
	}
}

static void pages_go_the_way_they_should(void **state)
{
	const struct host_test *t = *state;
	struct machine_host_stats stats;

	host_region(t, 0, 16, MACHINE_REGION_MAP, PROT_RW);
	memset(host_frame(t, 0), 1, HOST_LEN(16));
	host_map(t, 0, 0, 16, PTE_RW);
	host_unmap(t, 0, 0, 16, PTE_RW);
	host_map(t, 0, 0, 4, PTE_RO);
	host_unmap(t, 0, 0, 4, PTE_RO);
	machine_host_stats(t->m, &stats);
	assert_int_equal(stats.nr_moved_in, t->no_move ? 0 : 16);
	assert_int_equal(stats.nr_copied_in, t->no_move ? 20 : 4);
	assert_int_equal(stats.nr_moved_out, t->no_move ? 0 : 20);
	assert_int_equal(stats.nr_copied_out, t->no_move ? 20 : 0);

	/* What can only be written can be read, on x86, and so is like the pool. */
	host_region(t, 0, 16, MACHINE_REGION_PROTECT, MM_PROT_WRITE);
	host_map(t, 0, 0, 16, PTE_RW);
	machine_host_stats(t->m, &stats);
	assert_int_equal(stats.nr_moved_in, t->no_move ? 0 : 32);
}

static void frames_that_were_never_written_read_as_something(void **state)
{
	const struct host_test *t = *state;

	host_region(t, 0, 4, MACHINE_REGION_MAP, PROT_RW);
	page_fill(host_frame(t, 1), 1);
	host_map(t, 0, 0, 4, PTE_RW); /* frames 0, 2, 3 are holes */
	assert_page(host_ptr(t, 1), 1);
	page_fill(host_ptr(t, 2), 2);
	host_unmap(t, 0, 0, 4, PTE_RW);
	assert_page(host_frame(t, 1), 1);
	assert_page(host_frame(t, 2), 2);
}

/* Somebody read frame 0 while it was mapped: the kernel has put a page of zeros there. */
static void a_look_at_a_mapped_frame_does_no_harm(void **state)
{
	const struct host_test *t = *state;

	host_region(t, 0, 2, MACHINE_REGION_MAP, PROT_RW);
	page_fill(host_frame(t, 0), 5);
	page_fill(host_frame(t, 1), 6);
	host_map(t, 0, 0, 2, PTE_RW);
	assert_int_equal(*(volatile char *)host_frame(t, 1), 0);
	host_unmap(t, 0, 0, 2, PTE_RW);
	assert_page(host_frame(t, 0), 5);
	assert_page(host_frame(t, 1), 6);
}

/* Frames in reverse, so that no two are a run. */
static void scattered_pages_in_one_batch(void **state)
{
	const struct host_test *t = *state;
	struct machine_change changes[100];
	struct machine_batch batch = {.changes = changes, .nr = 100};

	host_region(t, 0, 200, MACHINE_REGION_MAP, PROT_RW);
	for (uint32_t i = 0; i < 100; i++) {
		page_fill(host_frame(t, 99 - i), i);
		changes[i] = (struct machine_change){
			.va = host_va(t, 2 * i),
			.new_pte = pte_make(99 - i, i % 3 ? PTE_RW : PTE_RO),
		};
	}
	assert_int_equal(t->m->ops->apply(t->m, t->space, &batch), 0);
	assert_int_equal(batch.nr_done, 100);
	assert_int_equal(nr_resident(host_frame(t, 0), 100), 0);
	for (uint32_t i = 0; i < 100; i++) {
		assert_page(host_ptr(t, 2 * i), i);
		changes[i].old_pte = changes[i].new_pte;
		changes[i].new_pte = 0;
	}
	batch.flags = MACHINE_DISCARD;
	assert_int_equal(t->m->ops->apply(t->m, t->space, &batch), 0);
	assert_int_equal(nr_resident(host_ptr(t, 0), 200), 0);
	assert_int_equal(nr_resident(host_frame(t, 0), 100), 0);
}

static void what_is_not_translated_is_nothing_to_do(void **state)
{
	const struct host_test *t = *state;

	host_region(t, 0, 8, MACHINE_REGION_MAP, PROT_RW);
	page_fill(host_frame(t, 0), 1);
	assert_int_equal(host_change(t, RUN(0, 0, 8, 0, 0), NULL), 0);
	assert_page(host_frame(t, 0), 1);
	assert_int_equal(nr_resident(host_ptr(t, 0), 8), 0);
}

/* What the manager lets the program do, in every protection that a VMA can have. */
static void every_protection_keeps_the_bytes(void **state)
{
	static const struct {
		int prot;
		pte_t bits;
	} table[] = {
		{MM_PROT_READ, PTE_RO},
		{MM_PROT_READ | MM_PROT_EXEC, PTE_RO},
		{MM_PROT_EXEC, PTE_RO},
		{MM_PROT_WRITE, PTE_RW},
		{PROT_RW, PTE_RO},
		{PROT_RW | MM_PROT_EXEC, PTE_RO},
		{PROT_RW | MM_PROT_EXEC, PTE_RW},
	};
	const struct host_test *t = *state;

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		host_region(t, 0, 80, MACHINE_REGION_MAP, table[i].prot);
		for (uint32_t p = 0; p < 80; p++)
			page_fill(host_frame(t, p), i + p);
		host_map(t, 0, 0, 80, table[i].bits);
		assert_int_equal(nr_resident(host_frame(t, 0), 80), 0);
		for (uint32_t p = 0; p < 80; p++)
			assert_page(host_ptr(t, p), i + p);
		host_unmap(t, 0, 0, 80, table[i].bits);
		assert_int_equal(nr_resident(host_ptr(t, 0), 80), 0);
		for (uint32_t p = 0; p < 80; p++)
			assert_page(host_frame(t, p), i + p);
		host_region(t, 0, 80, MACHINE_REGION_UNMAP, 0);
	}
}

static void the_kernel_guards_the_window(void **state)
{
	const struct host_test *t = *state;

	assert_false(kernel_can_read(host_ptr(t, 0)));
	host_region(t, 0, 3, MACHINE_REGION_MAP, PROT_RW);
	page_fill(host_frame(t, 0), 0);
	host_map(t, 1, 0, 1, PTE_RW);
	assert_true(kernel_can_read(host_ptr(t, 1)));
	host_unmap(t, 1, 0, 1, PTE_RW);
	host_region(t, 1, 1, MACHINE_REGION_PROTECT, MM_PROT_NONE);
	assert_false(kernel_can_read(host_ptr(t, 1)));
	host_region(t, 1, 1, MACHINE_REGION_PROTECT, MM_PROT_READ);
	host_map(t, 1, 0, 1, PTE_RO);
	assert_true(kernel_can_read(host_ptr(t, 1)));
	host_unmap(t, 1, 0, 1, PTE_RO);
	host_region(t, 0, 3, MACHINE_REGION_UNMAP, 0);
	assert_false(kernel_can_read(host_ptr(t, 1)));
}

static void a_region_the_kernel_refuses_is_not_made(void **state)
{
	const struct host_test *t = *state;
	struct rlimit old, none;

	host_region(t, 0, 1, MACHINE_REGION_MAP, PROT_RW);
	assert_int_equal(getrlimit(RLIMIT_DATA, &old), 0);
	none = (struct rlimit){.rlim_cur = PAGE_SIZE, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_DATA, &none), 0);
	assert_int_equal(t->m->ops->region(t->m, t->space, host_va(t, 1), host_va(t, 9),
					   MACHINE_REGION_MAP, PROT_RW),
			 -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_DATA, &old), 0);
	assert_false(kernel_can_read(host_ptr(t, 1)));
	host_region(t, 1, 8, MACHINE_REGION_MAP, PROT_RW);
}

static void another_frame_takes_the_place(void **state)
{
	const struct host_test *t = *state;
	struct machine_change changes[2];
	struct machine_batch batch = {.changes = changes, .nr = 2};

	host_region(t, 0, 2, MACHINE_REGION_MAP, PROT_RW);
	for (pfn_t i = 0; i < 4; i++)
		page_fill(host_frame(t, i), i);
	host_map(t, 0, 0, 2, PTE_RW);
	for (pfn_t i = 0; i < 2; i++)
		changes[i] = (struct machine_change){
			.va = host_va(t, i),
			.old_pte = pte_make(i, PTE_RW),
			.new_pte = pte_make(2 + i, i ? PTE_RW : PTE_RO),
		};
	assert_int_equal(t->m->ops->apply(t->m, t->space, &batch), 0);
	assert_int_equal(batch.nr_done, 2);
	for (pfn_t i = 0; i < 2; i++) {
		assert_page(host_frame(t, i), i);
		assert_page(host_ptr(t, i), 2 + i);
	}
}

/* Page 5 of 10 is a foreign mapping: the batch stops there, and says so. */
static void an_error_tells_how_far_it_came(void **state)
{
	static const pte_t bits[] = {PTE_RW, PTE_RO};
	const struct host_test *t = *state;
	char *foreign = host_ptr(t, 5);
	uint32_t done;

	host_region(t, 0, 10, MACHINE_REGION_MAP, PROT_RW);
	assert_ptr_equal(mmap(foreign, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 foreign);
	*foreign = 'f';
	for (int way = 0; way < 2; way++) {
		for (pfn_t i = 0; i < 10; i++)
			page_fill(host_frame(t, i), i);
		assert_int_not_equal(host_change(t, RUN(0, 0, 10, 0, bits[way]), &done), 0);
		assert_int_equal(done, 5);
		assert_int_equal(nr_resident(host_ptr(t, 0), 5), 5);
		assert_int_equal(nr_resident(host_ptr(t, 6), 4), 0);
		for (pfn_t i = 5; i < 10; i++)
			assert_page(host_frame(t, i), i);
		host_unmap(t, 0, 0, 5, bits[way]);
		for (pfn_t i = 0; i < 5; i++)
			assert_page(host_frame(t, i), i);
	}
	assert_int_equal(*foreign, 'f');
}

static void what_is_mapped_already_is_an_error(void **state)
{
	const struct host_test *t = *state;
	uint32_t done = 9;

	host_region(t, 0, 2, MACHINE_REGION_MAP, PROT_RW);
	page_fill(host_frame(t, 0), 0);
	page_fill(host_frame(t, 1), 1);
	host_map(t, 0, 0, 1, PTE_RW);
	assert_int_equal(host_change(t, RUN(0, 1, 1, 0, PTE_RW), &done), -EEXIST);
	assert_int_equal(done, 0);
	assert_page(host_ptr(t, 0), 0);
	assert_page(host_frame(t, 1), 1);
}

/* The program has made the kernel drop a page, behind the manager's back: Linux's meaning. */
static void what_the_program_drops_is_zeros(void **state)
{
	static const pte_t bits[] = {PTE_RW, PTE_RO};
	const struct host_test *t = *state;
	static const char zeros[4096];

	host_region(t, 0, 4, MACHINE_REGION_MAP, PROT_RW);
	for (int way = 0; way < 2; way++) {
		for (pfn_t i = 0; i < 4; i++)
			page_fill(host_frame(t, i), i);
		host_map(t, 0, 0, 4, bits[way]);
		assert_int_equal(madvise(host_ptr(t, 1), PAGE_SIZE, MADV_DONTNEED), 0);
		assert_int_equal(host_change(t, RUN(0, 0, 4, bits[way], bits[way]), NULL), 0);
		assert_memory_equal(host_ptr(t, 1), zeros, sizeof(zeros));
		assert_page(host_ptr(t, 2), 2);
		host_unmap(t, 0, 0, 4, bits[way]);
		assert_memory_equal(host_frame(t, 1), zeros, sizeof(zeros));
		assert_page(host_frame(t, 3), 3);
	}
}

static void a_hole_in_the_window_is_a_frame_of_zeros(void **state)
{
	const struct host_test *t = *state;
	static const char zeros[4096];

	if (t->no_move)
		test_skip("a copy out would wait for the page");
	host_region(t, 0, 3, MACHINE_REGION_MAP, PROT_RW);
	memset(host_frame(t, 0), 1, HOST_LEN(3));
	host_map(t, 0, 0, 3, PTE_RW);
	assert_int_equal(madvise(host_ptr(t, 1), PAGE_SIZE, MADV_DONTNEED), 0);
	host_unmap(t, 0, 0, 3, PTE_RW);
	assert_memory_equal(host_frame(t, 1), zeros, sizeof(zeros));
	assert_int_equal(host_frame(t, 2)[0], 1);
}

static void mlocked_pages_come_out(void **state)
{
	const struct host_test *t = *state;

	host_region(t, 0, 100, MACHINE_REGION_MAP, PROT_RW);
	for (pfn_t i = 0; i < 100; i++)
		page_fill(host_frame(t, i), i);
	host_map(t, 0, 0, 100, PTE_RW);
	if (mlock(host_ptr(t, 0), HOST_LEN(100)) != 0)
		test_skip("RLIMIT_MEMLOCK");
	host_unmap(t, 0, 0, 100, PTE_RW);
	assert_int_equal(nr_resident(host_ptr(t, 0), 100), 0);
	for (pfn_t i = 0; i < 100; i++)
		assert_page(host_frame(t, i), i);
}

/*
 * A buffer registered with io_uring is pinned: the device writes to that page, whatever the
 * page tables say. It stays, and what the device writes is seen.
 */
static void a_pinned_page_stays(void **state)
{
	const struct host_test *t = *state;
	struct iovec pinned = {host_ptr(t, 4), PAGE_SIZE};
	struct io_uring ring;
	uint32_t done = 99;

	if (t->no_move)
		test_skip("pins can be seen by UFFDIO_MOVE only");
	if (io_uring_queue_init(2, &ring, 0) != 0)
		test_skip("io_uring is not to be had here");
	host_region(t, 0, 16, MACHINE_REGION_MAP, PROT_RW);
	for (pfn_t i = 0; i < 16; i++)
		page_fill(host_frame(t, i), i);
	host_map(t, 0, 0, 16, PTE_RW);
	assert_int_equal(io_uring_register_buffers(&ring, &pinned, 1), 0);
	assert_int_equal(host_change(t, RUN(0, 0, 16, PTE_RW, 0), &done), -EBUSY);
	assert_int_equal(done, 4);
	assert_page(host_frame(t, 3), 3);
	assert_page(host_ptr(t, 4), 4);
	assert_page(host_ptr(t, 5), 5);
	page_fill(host_ptr(t, 4), 44); /* and the program can write it */
	assert_int_equal(host_change(t, RUN(5, 5, 11, PTE_RW, 0), NULL), 0);

	assert_int_equal(io_uring_unregister_buffers(&ring), 0);
	io_uring_queue_exit(&ring);
	host_unmap(t, 4, 4, 1, PTE_RW);
	assert_page(host_frame(t, 4), 44);
}

/*
 *	page     0      1     2       3
 *	      [ rwx ][ rw  ][ rw  ][ rw  ]    one run: what cannot be moved is copied,
 *	                     pinned           but not what is pinned behind it
 */
static void a_pinned_page_stays_beside_one_that_is_copied(void **state)
{
	const struct host_test *t = *state;
	struct iovec pinned = {host_ptr(t, 2), PAGE_SIZE};
	struct io_uring ring;
	uint32_t done = 99;

	if (t->no_move)
		test_skip("pins can be seen by UFFDIO_MOVE only");
	if (io_uring_queue_init(2, &ring, 0) != 0)
		test_skip("io_uring is not to be had here");
	host_region(t, 0, 1, MACHINE_REGION_MAP, PROT_RW | MM_PROT_EXEC);
	host_region(t, 1, 3, MACHINE_REGION_MAP, PROT_RW);
	for (pfn_t i = 0; i < 4; i++)
		page_fill(host_frame(t, i), i);
	host_map(t, 0, 0, 4, PTE_RW);
	assert_int_equal(io_uring_register_buffers(&ring, &pinned, 1), 0);
	assert_int_equal(host_change(t, RUN(0, 0, 4, PTE_RW, 0), &done), -EBUSY);
	assert_int_equal(done, 2);
	io_uring_queue_exit(&ring);
	assert_page(host_frame(t, 0), 0);
	assert_page(host_frame(t, 1), 1);
	assert_page(host_ptr(t, 2), 2);
	assert_page(host_ptr(t, 3), 3);
}

/* A run that spans mappings which the kernel keeps apart. */
static void a_run_across_mappings(void **state)
{
	static const pte_t bits[] = {PTE_RW, PTE_RO};
	const struct host_test *t = *state;
	struct machine_host_stats stats;

	host_region(t, 0, 100, MACHINE_REGION_MAP, PROT_RW);
	assert_int_equal(madvise(host_ptr(t, 37), HOST_LEN(20), MADV_DONTDUMP), 0);
	for (int way = 0; way < 2; way++) {
		for (pfn_t i = 0; i < 100; i++)
			page_fill(host_frame(t, i), i);
		host_map(t, 0, 0, 100, bits[way]);
		for (uint32_t i = 0; i < 100; i++)
			assert_page(host_ptr(t, i), i);
		assert_int_equal(host_change(t, RUN(0, 0, 100, bits[way], bits[!way]), NULL),
				 0);
		host_unmap(t, 0, 0, 100, bits[!way]);
		for (pfn_t i = 0; i < 100; i++)
			assert_page(host_frame(t, i), i);
	}
	machine_host_stats(t->m, &stats);
	assert_int_equal(stats.nr_moved_in, t->no_move ? 0 : 100);
}

/* The device's data goes into the page while it is asked to leave, and comes with it later. */
static void what_a_device_writes_is_not_lost(void **state)
{
	const struct host_test *t = *state;
	struct iovec pinned = {host_ptr(t, 0), PAGE_SIZE};
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int fds[2];

	if (t->no_move)
		test_skip("pins can be seen by UFFDIO_MOVE only");
	if (io_uring_queue_init(2, &ring, 0) != 0)
		test_skip("io_uring is not to be had here");
	assert_int_equal(pipe(fds), 0);
	host_region(t, 0, 1, MACHINE_REGION_MAP, PROT_RW);
	page_fill(host_frame(t, 0), 0);
	host_map(t, 0, 0, 1, PTE_RW);
	assert_int_equal(io_uring_register_buffers(&ring, &pinned, 1), 0);
	io_uring_prep_read_fixed(io_uring_get_sqe(&ring), fds[0], pinned.iov_base, 6, 0, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(host_change(t, RUN(0, 0, 1, PTE_RW, 0), NULL), -EBUSY);
	assert_int_equal(write(fds[1], "device", 6), 6);
	assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
	assert_int_equal(cqe->res, 6);
	assert_memory_equal(host_ptr(t, 0), "device", 6);
	io_uring_queue_exit(&ring);
	close(fds[0]);
	close(fds[1]);

	for (int i = 0; i < 100; i++) { /* the ring lets go of the page in its own time */
		if (host_change(t, RUN(0, 0, 1, PTE_RW, 0), NULL) != -EBUSY)
			break;
		usleep(10000);
	}
	assert_memory_equal(host_frame(t, 0), "device", 6);
}

static void poison_is_an_error_until_it_is_mapped(void **state)
{
	const struct host_test *t = *state;
	int err;

	host_region(t, 0, 2, MACHINE_REGION_MAP, PROT_RW);
	err = machine_host_poison(t->m, host_va(t, 0) + 17);
	if (err == -ENOSYS)
		test_skip("this kernel has no UFFDIO_POISON");
	assert_int_equal(err, 0);
	assert_false(kernel_can_read(host_ptr(t, 0)));
	page_fill(host_frame(t, 0), 1);
	page_fill(host_frame(t, 1), 2);
	assert_int_equal(host_change(t, RUN(0, 0, 1, 0, PTE_RO), NULL), 0);
	assert_page(host_ptr(t, 0), 1);
	assert_int_equal(machine_host_poison(t->m, host_va(t, 0)), -EEXIST);

	assert_int_equal(machine_host_poison(t->m, host_va(t, 1)), 0);
	assert_int_equal(host_change(t, RUN(1, 1, 1, 0, PTE_RW), NULL), 0);
	assert_page(host_ptr(t, 1), 2);
}

static void a_foreign_mapping_comes_and_goes(void **state)
{
	const struct host_test *t = *state;
	char *foreign = host_ptr(t, 2);

	host_region(t, 0, 2, MACHINE_REGION_MAP, PROT_RW);
	assert_ptr_equal(mmap(foreign, PAGE_SIZE, PROT_READ,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 foreign);
	assert_true(kernel_can_read(foreign));
	assert_int_equal(munmap(foreign, PAGE_SIZE), 0);
	assert_int_equal(machine_host_window_restore(t->m, host_va(t, 2), host_va(t, 3)), 0);
	assert_false(kernel_can_read(foreign));
	host_region(t, 2, 1, MACHINE_REGION_MAP, PROT_RW);
	page_fill(host_frame(t, 0), 3);
	page_fill(host_frame(t, 1), 4);
	page_fill(host_frame(t, 2), 5);
	host_map(t, 0, 0, 3, PTE_RW);
	assert_page(foreign, 5);
}

static rlim_t address_space_in_use(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	assert_non_null(statm);
	assert_int_equal(fscanf(statm, "%lu", &pages), 1);
	fclose(statm);
	return HOST_LEN(pages);
}

/* Return: the exit status: 0, or what went wrong. */
static int small_window(uint64_t room)
{
	const struct machine_host_config cfg = {.ram_bytes = 4096};
	struct rlimit limit = {.rlim_cur = address_space_in_use() + room};
	struct machine *m;
	vaddr_t start, end;

	limit.rlim_max = limit.rlim_cur;
	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return 2;
	if (machine_host_create(&cfg, &m) != 0)
		return 3;
	machine_host_window(m, &start, &end);
	return end - start == room / 2 ? 0 : 4;
}

/* Where RLIMIT_AS leaves less than 16 TiB. In a child, which the limit does not outlive. */
static void a_small_address_space_gets_a_small_window(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	host_skip_under_tsan();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(small_window((uint64_t)1 << 40));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void without_a_wish_the_window_is_chosen(void **state)
{
	const struct machine_host_config cfg = {.ram_bytes = 4096};
	struct machine *m, *second;
	vaddr_t start, end, second_start, second_end;

	(void)state;
	host_skip_under_tsan();
	assert_int_equal(machine_host_create(&cfg, &m), 0);
	machine_host_window(m, &start, &end);
	assert_int_equal(end - start, (uint64_t)1 << 44);
	assert_int_equal(machine_host_create(&cfg, &second), 0);
	machine_host_window(second, &second_start, &second_end);
	assert_true(second_start >= end || second_end <= start);
	machine_host_destroy(second);
	machine_host_destroy(m);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(probe_agrees_with_create),
	cmocka_unit_test(create_refuses_what_breaks_the_rules),
	HOST_CASE(a_window_that_is_taken_is_refused),
	HOST_CASE(one_space_at_a_time),
	HOST_CASE(every_byte_goes_there_and_back),
	HOST_CASE(pages_go_the_way_they_should),
	HOST_CASE(frames_that_were_never_written_read_as_something),
	HOST_CASE(a_look_at_a_mapped_frame_does_no_harm),
	HOST_CASE(scattered_pages_in_one_batch),
	HOST_CASE(what_is_not_translated_is_nothing_to_do),
	HOST_CASE(every_protection_keeps_the_bytes),
	HOST_CASE(the_kernel_guards_the_window),
	HOST_CASE(a_region_the_kernel_refuses_is_not_made),
	HOST_CASE(another_frame_takes_the_place),
	HOST_CASE(an_error_tells_how_far_it_came),
	HOST_CASE(what_is_mapped_already_is_an_error),
	HOST_CASE(what_the_program_drops_is_zeros),
	HOST_CASE(a_hole_in_the_window_is_a_frame_of_zeros),
	HOST_CASE(mlocked_pages_come_out),
	HOST_CASE(a_pinned_page_stays),
	HOST_CASE(a_pinned_page_stays_beside_one_that_is_copied),
	HOST_CASE(a_run_across_mappings),
	HOST_CASE(what_a_device_writes_is_not_lost),
	HOST_CASE(poison_is_an_error_until_it_is_mapped),
	HOST_CASE(a_foreign_mapping_comes_and_goes),
	HOST_CASE(a_small_address_space_gets_a_small_window),
	HOST_CASE(without_a_wish_the_window_is_chosen),
};
TEST_MAIN(tests)
