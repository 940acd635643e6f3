/* SPDX-License-Identifier: MIT */
/*
 * The host machine under threads that touch what is not there. The case's own thread answers
 * the faults; what it has to say is told by wait_fault().
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "machine/host_support.h"
#include "support/rng.h"

#define WAIT_MS 10000 /* a machine under load is slow, a lost wake is for ever */

/* A thread that touches one page, once. */
struct toucher {
	pthread_t thread;
	char *at;
	bool is_write;
	int tid;   /* atomic */
	char seen; /* what was there */
};

/* The access waits for what the other thread does to the page; ThreadSanitizer cannot know. */
__attribute__((no_sanitize_thread)) static void *touch(void *arg)
{
	struct toucher *toucher = arg;

	__atomic_store_n(&toucher->tid, (int)gettid(), __ATOMIC_RELEASE);
	toucher->seen = *(volatile char *)toucher->at;
	if (toucher->is_write)
		*(volatile char *)toucher->at = 'w';
	return NULL;
}

static void toucher_start(struct toucher *toucher, char *at, bool is_write)
{
	*toucher = (struct toucher){.at = at, .is_write = is_write};
	assert_int_equal(pthread_create(&toucher->thread, NULL, touch, toucher), 0);
}

static void toucher_join(struct toucher *toucher)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	if (pthread_timedjoin_np(toucher->thread, NULL, &until) != 0)
		fail_msg("the thread at %p was not woken", (void *)toucher->at);
}

static struct machine_host_fault wait_fault(const struct host_test *t)
{
	struct pollfd fd = {.fd = machine_host_fd(t->m), .events = POLLIN};
	struct machine_host_fault fault;

	for (;;) {
		if (poll(&fd, 1, WAIT_MS) != 1)
			fail_msg("no fault was told");
		if (machine_host_read_faults(t->m, &fault, 1) == 1)
			return fault;
	}
}

static void setup_pages(const struct host_test *t, uint32_t nr, int prot)
{
	host_region(t, 0, nr, MACHINE_REGION_MAP, prot);
	for (pfn_t i = 0; i < nr; i++)
		page_fill(host_frame(t, i), i);
}

static void nobody_waits_and_nothing_is_told(void **state)
{
	const struct host_test *t = *state;
	struct machine_host_fault fault;

	assert_int_equal(machine_host_read_faults(t->m, &fault, 1), 0);
}

static void the_first_touch_is_told(void **state)
{
	const struct host_test *t = *state;
	struct machine_host_fault fault;
	struct toucher toucher;

	setup_pages(t, 4, PROT_RW);
	toucher_start(&toucher, host_ptr(t, 2) + 100, false);
	fault = wait_fault(t);
	assert_int_equal(fault.va, host_va(t, 2));
	assert_int_equal(fault.access, MM_ACCESS_READ);
	assert_int_equal(fault.tid, __atomic_load_n(&toucher.tid, __ATOMIC_ACQUIRE));
	host_map(t, 2, 2, 1, PTE_RW);
	toucher_join(&toucher);
	assert_int_equal(toucher.seen, host_ptr(t, 2)[100]);
}

/* A clean page: reading it is free, the first write is told, and nothing is lost. */
static void the_first_write_to_a_clean_page_is_told(void **state)
{
	const struct host_test *t = *state;
	struct machine_host_fault fault;
	struct toucher toucher;

	setup_pages(t, 4, PROT_RW);
	host_map(t, 0, 0, 4, PTE_RO);
	assert_page(host_ptr(t, 1), 1);
	toucher_start(&toucher, host_ptr(t, 1), true);
	fault = wait_fault(t);
	assert_int_equal(fault.va, host_va(t, 1));
	assert_int_equal(fault.access, MM_ACCESS_WRITE);
	assert_page(host_ptr(t, 1), 1);
	assert_int_equal(host_change(t, RUN(1, 1, 1, PTE_RO, PTE_RW), NULL), 0);
	toucher_join(&toucher);
	assert_int_equal(host_ptr(t, 1)[0], 'w');
	host_unmap(t, 1, 1, 1, PTE_RW);
	assert_int_equal(host_frame(t, 1)[0], 'w');
	assert_page(host_ptr(t, 2), 2);
}

static void a_page_made_clean_again_tells_again(void **state)
{
	const struct host_test *t = *state;
	struct toucher toucher;

	setup_pages(t, 2, PROT_RW);
	host_map(t, 0, 0, 2, PTE_RW);
	page_fill(host_ptr(t, 0), 9);
	assert_int_equal(host_change(t, RUN(0, 0, 2, PTE_RW, PTE_RO), NULL), 0);
	toucher_start(&toucher, host_ptr(t, 0), true);
	assert_int_equal(wait_fault(t).access, MM_ACCESS_WRITE);
	assert_page(host_ptr(t, 0), 9);
	assert_int_equal(host_change(t, RUN(0, 0, 2, PTE_RO, PTE_RW), NULL), 0);
	toucher_join(&toucher);
}

/* A system call that writes to a clean page waits in the kernel, and is told like the rest. */
static void *read_zeros(void *arg)
{
	int fd = open("/dev/zero", O_RDONLY);
	ssize_t nr = read(fd, arg, 8192);

	close(fd);
	return nr == 8192 ? arg : NULL;
}

static void a_system_call_waits_too(void **state)
{
	const struct host_test *t = *state;
	static const char zeros[8192];
	pthread_t thread;
	void *ret;

	setup_pages(t, 2, PROT_RW);
	host_map(t, 0, 0, 1, PTE_RO);
	assert_int_equal(pthread_create(&thread, NULL, read_zeros, host_ptr(t, 0)), 0);
	assert_int_equal(wait_fault(t).va, host_va(t, 0));
	assert_int_equal(host_change(t, RUN(0, 0, 1, PTE_RO, PTE_RW), NULL), 0);
	assert_int_equal(wait_fault(t).va, host_va(t, 1));
	host_map(t, 1, 1, 1, PTE_RW);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_non_null(ret);
	assert_memory_equal(host_ptr(t, 0), zeros, sizeof(zeros));
}

static void one_map_wakes_all_who_wait(void **state)
{
	const struct host_test *t = *state;
	struct toucher touchers[4];

	setup_pages(t, 2, PROT_RW);
	for (int i = 0; i < 4; i++)
		toucher_start(&touchers[i], host_ptr(t, i % 2), false);
	for (int i = 0; i < 4; i++)
		wait_fault(t);
	host_map(t, 0, 0, 2, PTE_RW);
	for (int i = 0; i < 4; i++)
		toucher_join(&touchers[i]);
}

/* Told, but the manager sees nothing to do: the unchanged entry lets the thread go on. */
static void a_refresh_wakes(void **state)
{
	static const pte_t bits[] = {PTE_RO, PTE_RW};
	const struct host_test *t = *state;
	struct toucher toucher;

	for (int way = 0; way < 2; way++) {
		setup_pages(t, 1, PROT_RW);
		toucher_start(&toucher, host_ptr(t, 0), false);
		wait_fault(t);
		assert_int_equal(host_change(t, RUN(0, 0, 1, bits[way], bits[way]), NULL), 0);
		toucher_join(&toucher);
		assert_int_equal(toucher.seen, 0); /* the kernel had dropped it */
		assert_int_equal(
			host_change(t, RUN(0, 0, 1, bits[way], 0, MACHINE_DISCARD), NULL), 0);
	}
}

/* The page is there, but protected although the manager takes it for writable. */
static void a_refresh_makes_a_writable_page_so(void **state)
{
	const struct host_test *t = *state;
	struct toucher toucher;

	setup_pages(t, 1, PROT_RW);
	host_map(t, 0, 0, 1, PTE_RO);
	toucher_start(&toucher, host_ptr(t, 0), true);
	wait_fault(t);
	assert_int_equal(host_change(t, RUN(0, 0, 1, PTE_RO, PTE_RO), NULL), 0);
	assert_int_equal(wait_fault(t).access, MM_ACCESS_WRITE); /* woken, told again */
	assert_int_equal(host_change(t, RUN(0, 0, 1, PTE_RW, PTE_RW), NULL), 0);
	toucher_join(&toucher);
	assert_int_equal(host_ptr(t, 0)[0], 'w');
}

static void a_wake_is_a_second_try(void **state)
{
	const struct host_test *t = *state;
	struct toucher toucher;

	setup_pages(t, 1, PROT_RW);
	toucher_start(&toucher, host_ptr(t, 0), false);
	assert_int_equal(wait_fault(t).va, host_va(t, 0));
	machine_host_wake(t->m, host_va(t, 0) + 5);
	assert_int_equal(wait_fault(t).va, host_va(t, 0)); /* told again */
	host_map(t, 0, 0, 1, PTE_RW);
	toucher_join(&toucher);
}

/* The page goes while a thread waits to write it; it writes to the one that comes. */
static void a_waiter_survives_a_discard(void **state)
{
	const struct host_test *t = *state;
	struct toucher toucher;

	setup_pages(t, 2, PROT_RW);
	host_map(t, 0, 0, 1, PTE_RO);
	toucher_start(&toucher, host_ptr(t, 0), true);
	assert_int_equal(wait_fault(t).access, MM_ACCESS_WRITE);
	assert_int_equal(host_change(t, RUN(0, 0, 1, PTE_RO, 0, MACHINE_DISCARD), NULL), 0);
	assert_int_equal(host_change(t, RUN(0, 1, 1, 0, PTE_RW), NULL), 0);
	toucher_join(&toucher);
	assert_int_equal(host_ptr(t, 0)[0], 'w');
	assert_int_equal(host_ptr(t, 0)[1], (char)((1 + 1) * 0x9e3779b97f4a7c15u >> 8));
}

/*
 * Writers count in each word of some pages, again and again, while the pages are taken from
 * under them and given back clean or writable. No increment may be lost.
 */
#define RACE_PAGES   64
#define RACE_WRITERS 2
#define RACE_ROUNDS  80
#define RACE_COUNTS  500 /* in one visit: the page leaves in their midst */

struct race {
	const struct host_test *t;
	pte_t bits[RACE_PAGES]; /* how each page is mapped; 0: it is not */
	struct rng rng;
	unsigned int nr_writing; /* atomic */
};

struct writer {
	struct race *race;
	pthread_t thread;
	unsigned int nr;
};

static void *count_up(void *arg)
{
	struct writer *writer = arg;
	const struct host_test *t = writer->race->t;

	for (unsigned int i = 0; i < RACE_ROUNDS * RACE_PAGES; i++) {
		volatile uint64_t *words = (uint64_t *)host_ptr(t, i % RACE_PAGES);

		for (int count = 0; count < RACE_COUNTS; count++) {
			words[writer->nr]++;
			words[511 - writer->nr]++;
		}
	}
	__atomic_fetch_sub(&writer->race->nr_writing, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void race_set(struct race *race, uint32_t page, pte_t bits)
{
	pte_t *now = &race->bits[page];

	assert_int_equal(host_change(race->t, RUN(page, page, 1, *now, bits), NULL), 0);
	*now = bits;
}

/* All that is mapped goes in one batch: between the first copy and the last drop time passes.
 */
static void race_take_all(struct race *race)
{
	struct machine_change changes[RACE_PAGES];
	struct machine_batch batch = {.changes = changes};

	for (uint32_t page = 0; page < RACE_PAGES; page++) {
		if (race->bits[page] == 0)
			continue;
		changes[batch.nr++] = (struct machine_change){
			.va = host_va(race->t, page),
			.old_pte = pte_make(page, race->bits[page]),
		};
		race->bits[page] = 0;
	}
	assert_int_equal(race->t->m->ops->apply(race->t->m, race->t->space, &batch), 0);
}

static void race_answer(struct race *race, const struct machine_host_fault *fault)
{
	uint32_t page = (uint32_t)((fault->va - race->t->va) / PAGE_SIZE);

	if (fault->access == MM_ACCESS_WRITE && race->bits[page] != PTE_RW)
		race_set(race, page, PTE_RW);
	else if (race->bits[page] == 0)
		race_set(race, page, rng_chance(&race->rng, 50) ? PTE_RO : PTE_RW);
	else
		race_set(race, page, race->bits[page]);
}

static void race_step(struct race *race)
{
	struct machine_host_fault faults[4];
	unsigned int nr = machine_host_read_faults(race->t->m, faults, 4);
	uint32_t page = (uint32_t)rng_below(&race->rng, RACE_PAGES);

	for (unsigned int i = 0; i < nr; i++)
		race_answer(race, &faults[i]);
	if (rng_chance(&race->rng, 20))
		usleep(100); /* let the writers get on */
	else if (rng_chance(&race->rng, 30))
		race_take_all(race);
	else if (race->bits[page])
		race_set(race, page, rng_chance(&race->rng, 70) ? 0 : PTE_RO);
}

static void no_write_is_lost(void **state)
{
	const struct host_test *t = *state;
	struct race race = {.t = t, .rng = rng_make(test_seed()), .nr_writing = RACE_WRITERS};
	struct writer writers[RACE_WRITERS];

	host_region(t, 0, RACE_PAGES, MACHINE_REGION_MAP, PROT_RW);
	memset(host_frame(t, 0), 0, HOST_LEN(RACE_PAGES));
	for (unsigned int i = 0; i < RACE_WRITERS; i++) {
		writers[i] = (struct writer){.race = &race, .nr = i};
		assert_int_equal(
			pthread_create(&writers[i].thread, NULL, count_up, &writers[i]), 0);
	}
	while (__atomic_load_n(&race.nr_writing, __ATOMIC_ACQUIRE) > 0)
		race_step(&race);
	for (unsigned int i = 0; i < RACE_WRITERS; i++)
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
	for (uint32_t page = 0; page < RACE_PAGES; page++) {
		const uint64_t *words = (const uint64_t *)host_frame(t, page);

		race_set(&race, page, 0);
		for (unsigned int i = 0; i < RACE_WRITERS; i++) {
			assert_int_equal(words[i], RACE_ROUNDS * RACE_COUNTS);
			assert_int_equal(words[511 - i], RACE_ROUNDS * RACE_COUNTS);
		}
	}
}

/* Two threads answer faults on different pages at once, and two take them. */
#define PARALLEL_PAGES 256

struct server {
	pthread_t thread;
	const struct host_test *t;
	bool *stop;
	unsigned int nr_served;
};

static void *serve(void *arg)
{
	struct server *server = arg;
	const struct host_test *t = server->t;
	struct pollfd fd = {.fd = machine_host_fd(t->m), .events = POLLIN};
	struct machine_host_fault fault;

	while (!__atomic_load_n(server->stop, __ATOMIC_ACQUIRE)) {
		uint64_t page;

		poll(&fd, 1, 10);
		if (machine_host_read_faults(t->m, &fault, 1) != 1)
			continue;
		page = (fault.va - t->va) / PAGE_SIZE;
		server->nr_served++;
		if (host_change(t, RUN(page, (pfn_t)page, 1, 0, PTE_RW), NULL) != 0)
			return NULL;
	}
	return server;
}

struct walker {
	pthread_t thread;
	const struct host_test *t;
	uint32_t first;
	uint64_t sum;
};

static void *walk(void *arg)
{
	struct walker *walker = arg;

	for (uint32_t i = walker->first; i < PARALLEL_PAGES; i += 2)
		walker->sum += *(volatile uint64_t *)host_ptr(walker->t, i);
	return NULL;
}

static void faults_on_different_pages_go_on_at_once(void **state)
{
	const struct host_test *t = *state;
	struct server servers[2];
	struct walker walkers[2];
	bool stop = false;
	uint64_t sum = 0;
	void *ret;

	setup_pages(t, PARALLEL_PAGES, PROT_RW);
	for (uint32_t i = 0; i < PARALLEL_PAGES; i++)
		sum += *(uint64_t *)host_frame(t, i);
	for (uint32_t i = 0; i < 2; i++) {
		servers[i] = (struct server){.t = t, .stop = &stop};
		walkers[i] = (struct walker){.t = t, .first = i};
		pthread_create(&servers[i].thread, NULL, serve, &servers[i]);
		pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(walkers[i].thread, NULL), 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(servers[i].thread, &ret), 0);
		assert_non_null(ret);
	}
	assert_true(walkers[0].sum + walkers[1].sum == sum);
	assert_int_equal(servers[0].nr_served + servers[1].nr_served, PARALLEL_PAGES);
}

static const struct CMUnitTest tests[] = {
	HOST_CASE(nobody_waits_and_nothing_is_told),
	HOST_CASE(the_first_touch_is_told),
	HOST_CASE(the_first_write_to_a_clean_page_is_told),
	HOST_CASE(a_page_made_clean_again_tells_again),
	HOST_CASE(a_system_call_waits_too),
	HOST_CASE(one_map_wakes_all_who_wait),
	HOST_CASE(a_refresh_wakes),
	HOST_CASE(a_refresh_makes_a_writable_page_so),
	HOST_CASE(a_wake_is_a_second_try),
	HOST_CASE(a_waiter_survives_a_discard),
	HOST_CASE(no_write_is_lost),
	HOST_CASE(faults_on_different_pages_go_on_at_once),
};
TEST_MAIN(tests)
