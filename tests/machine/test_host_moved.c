/* SPDX-License-Identifier: MIT */
/*
 * A kernel that moves pages and says EEXIST, as Linux 6.18 does now and then of a move that had
 * to wait for another. This program is linked with --wrap=uffd_move.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "machine/host_support.h"
#include "machine/host_uffd.h"

#define PAGES 9
#define MOVES 2000

int64_t __real_uffd_move(int fd, vaddr_t dst, vaddr_t src, uint64_t len, unsigned int mode);
int64_t __wrap_uffd_move(int fd, vaddr_t dst, vaddr_t src, uint64_t len, unsigned int mode);

static struct {
	uint64_t pages;	    /* at most, that a call moves */
	unsigned int calls; /* that do so and say EEXIST */
} secret;

int64_t __wrap_uffd_move(int fd, vaddr_t dst, vaddr_t src, uint64_t len, unsigned int mode)
{
	uint64_t part = HOST_LEN(secret.pages) < len ? HOST_LEN(secret.pages) : len;
	int64_t ret;

	if (secret.calls == 0)
		return __real_uffd_move(fd, dst, src, len, mode);
	secret.calls--;
	ret = __real_uffd_move(fd, dst, src, part, mode);
	return ret < 0 ? ret : -EEXIST;
}

static void fill(const struct host_test *t)
{
	host_region(t, 0, PAGES, MACHINE_REGION_MAP, PROT_RW);
	for (pfn_t i = 0; i < PAGES; i++)
		page_fill(host_frame(t, i), i);
}

/* The first of each call's pages, some, or all, by the first call or by several. */
static void what_was_moved_in_secret_is_kept(void **state)
{
	const struct host_test *t = *state;
	struct machine_host_stats stats;

	if (t->no_move)
		test_skip("nothing is moved");
	for (secret.pages = 1; secret.pages <= PAGES; secret.pages++) {
		fill(t);
		secret.calls = 3;
		host_map(t, 0, 0, PAGES, PTE_RW);
		assert_int_equal(nr_resident(host_frame(t, 0), PAGES), 0);
		for (uint32_t i = 0; i < PAGES; i++)
			assert_page(host_ptr(t, i), i);
		secret.calls = 3;
		host_unmap(t, 0, 0, PAGES, PTE_RW);
		assert_int_equal(nr_resident(host_ptr(t, 0), PAGES), 0);
		for (uint32_t i = 0; i < PAGES; i++)
			assert_page(host_frame(t, i), i);
		host_region(t, 0, PAGES, MACHINE_REGION_UNMAP, 0);
	}
	secret.calls = 0;
	machine_host_stats(t->m, &stats);
	assert_int_equal(stats.nr_moved_in, PAGES * PAGES);
	assert_int_equal(stats.nr_moved_out, PAGES * PAGES);
}

/* A page of zeros is in the way of the one that is moved out: no other frame is touched. */
static void what_is_in_the_way_goes_alone(void **state)
{
	const struct host_test *t = *state;

	if (t->no_move)
		test_skip("nothing is moved");
	fill(t);
	host_map(t, 0, 0, PAGES, PTE_RW);
	assert_int_equal(*host_frame(t, 2), 0);
	assert_int_equal(*host_frame(t, 3), 0);
	host_unmap(t, 0, 0, PAGES, PTE_RW);
	for (uint32_t i = 0; i < PAGES; i++)
		assert_page(host_frame(t, i), i);
}

static atomic_bool is_over;

/* Takes accessed bits away: MADV_COLD changes nothing else that a move looks at. */
static void *make_cold(void *arg)
{
	const struct host_test *t = arg;

	while (!is_over) {
		madvise(host_ptr(t, 0), HOST_LEN(PAGES), MADV_COLD);
		madvise(host_frame(t, 0), HOST_LEN(PAGES), MADV_COLD);
	}
	return NULL;
}

static void no_page_is_lost_where_entries_change(void **state)
{
	const struct host_test *t = *state;
	pthread_t thread;

	fill(t);
	is_over = false;
	assert_int_equal(pthread_create(&thread, NULL, make_cold, *state), 0);
	for (unsigned int i = 0; i < MOVES; i++) {
		host_map(t, 0, 0, PAGES, PTE_RW);
		host_unmap(t, 0, 0, PAGES, PTE_RW);
	}
	is_over = true;
	pthread_join(thread, NULL);
	for (uint32_t i = 0; i < PAGES; i++)
		assert_page(host_frame(t, i), i);
}

static const struct CMUnitTest tests[] = {
	HOST_CASE(what_was_moved_in_secret_is_kept),
	HOST_CASE(what_is_in_the_way_goes_alone),
	HOST_CASE(no_page_is_lost_where_entries_change),
};
TEST_MAIN(tests)
