/* SPDX-License-Identifier: MIT */
/*
 * What every swap device owes the manager (mm/swapdev.h), asked of each kind.
 */
#include "support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/rng.h"
#include "swapdev/devices.h"

#define BATCH 64

static int device_open(void **state)
{
	const struct device_kind *kind = *state;
	struct test_device *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->kind = kind;
	t->event_fd = -1;
	assert_int_equal(kind->open(kind, &t->dev), 0);
	if (strcmp(t->dev->ops->name, "file") == 0)
		t->event_fd = swapdev_file_event_fd(t->dev);
	*state = t;
	return 0;
}

static int device_close(void **state)
{
	struct test_device *t = *state;

	t->dev->ops->close(t->dev);
	free(t);
	return 0;
}

/* A kind that this machine cannot have has opened as another. */
static struct test_device *device_of(void **state)
{
	struct test_device *t = *state;

	if (t->event_fd >= 0 && !t->kind->no_uring &&
	    strcmp(swapdev_file_engine(t->dev), "io_uring") != 0)
		test_skip("needs io_uring");
	return t;
}

static void write_batch(struct test_device *t, const uint64_t *slots, unsigned int nr,
			uint64_t generation)
{
	struct swapdev_io ios[BATCH], done[BATCH];
	void *pages = pages_make(nr);

	for (unsigned int i = 0; i < nr; i++) {
		page_fill(page_at(pages, i), slots[i], generation);
		ios[i] = (struct swapdev_io){.slot = slots[i],
					     .page = page_at(pages, i),
					     .cookie = i,
					     .is_write = true};
	}
	submit_all(t, ios, nr);
	wait_for(t, done, nr);
	for (unsigned int i = 0; i < nr; i++)
		assert_int_equal(done[i].err, 0);
	pages_free(pages, nr);
}

static void check_batch(struct test_device *t, const uint64_t *slots, unsigned int nr,
			uint64_t generation)
{
	struct swapdev_io ios[BATCH], done[BATCH];
	void *pages = pages_make(nr);

	for (unsigned int i = 0; i < nr; i++)
		ios[i] = (struct swapdev_io){
			.slot = slots[i], .page = page_at(pages, i), .cookie = i};
	submit_all(t, ios, nr);
	wait_for(t, done, nr);
	for (unsigned int i = 0; i < nr; i++) {
		assert_int_equal(done[i].err, 0);
		if (!t->kind->forgets)
			assert_true(page_holds(done[i].page, done[i].slot, generation));
	}
	pages_free(pages, nr);
}

static void gives_back_what_was_written(void **state)
{
	struct test_device *t = device_of(state);
	const uint64_t slots[] = {1, 2, 3, 255, 256, 257, TEST_SLOTS / 2, TEST_SLOTS - 1};
	void *page = pages_make(1);

	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		assert_int_equal(write_page(t, slots[i], 7), 0);
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		assert_int_equal(read_page(t, slots[i], page), 0);
		if (!t->kind->forgets)
			assert_true(page_holds(page, slots[i], 7));
	}
	pages_free(page, 1);
}

/*
 *	ascending, longer than one transfer   descending      with gaps
 *	10 11 12 ... 73                       400 399 ...     500 502 503 506 ...
 */
static void moves_batches_of_any_shape(void **state)
{
	struct test_device *t = device_of(state);
	uint64_t up[BATCH], down[BATCH], gaps[BATCH];

	for (unsigned int i = 0; i < BATCH; i++) {
		up[i] = 10 + i;
		down[i] = 400 - i;
		gaps[i] = i == 0 ? 500 : gaps[i - 1] + 1 + (i % 3 == 0) + i % 2;
	}
	write_batch(t, up, BATCH, 1);
	write_batch(t, down, BATCH, 2);
	write_batch(t, gaps, BATCH, 3);
	check_batch(t, gaps, BATCH, 3);
	check_batch(t, up, BATCH, 1);
	check_batch(t, down, BATCH, 2);
}

static void reads_and_writes_in_one_batch(void **state)
{
	struct test_device *t = device_of(state);
	struct swapdev_io ios[4], done[4];
	void *pages = pages_make(4);

	for (uint64_t slot = 20; slot < 24; slot += 2)
		assert_int_equal(write_page(t, slot, 5), 0);
	for (unsigned int i = 0; i < 4; i++) {
		page_fill(page_at(pages, i), 20 + i, 6);
		ios[i] = (struct swapdev_io){.slot = 20 + i,
					     .page = page_at(pages, i),
					     .cookie = i,
					     .is_write = i % 2 == 1};
	}
	submit_all(t, ios, 4);
	wait_for(t, done, 4);
	for (unsigned int i = 0; i < 4 && !t->kind->forgets; i++)
		assert_true(page_holds(page_at(pages, i), 20 + i, i % 2 == 1 ? 6 : 5));
	pages_free(pages, 4);
}

static void hands_back_what_was_handed_in(void **state)
{
	struct test_device *t = device_of(state);
	struct swapdev_io ios[BATCH], done[BATCH];
	void *pages = pages_make(BATCH);
	bool seen[BATCH] = {false};

	for (unsigned int i = 0; i < BATCH; i++)
		ios[i] = (struct swapdev_io){.slot = 1 + 3 * i,
					     .page = page_at(pages, i),
					     .cookie = 0xc00c1e0000000000u + i,
					     .is_write = true};
	submit_all(t, ios, BATCH);
	wait_for(t, done, BATCH);
	for (unsigned int j = 0; j < BATCH; j++) {
		unsigned int i = (unsigned int)(done[j].cookie - 0xc00c1e0000000000u);

		assert_in_range(i, 0, BATCH - 1);
		assert_false(seen[i]);
		seen[i] = true;
		assert_int_equal(done[j].slot, ios[i].slot);
		assert_ptr_equal(done[j].page, ios[i].page);
		assert_true(done[j].is_write);
	}
	assert_int_equal(t->dev->ops->poll(t->dev, done, BATCH), 0);
	pages_free(pages, BATCH);
}

static void refuses_by_the_end_not_at_the_start(void **state)
{
	struct test_device *t = device_of(state);
	void *pages = pages_make(2);
	struct swapdev_io done[5],
		ios[5] = {
			{.slot = 30, .page = pages, .cookie = 0, .is_write = true},
			{.slot = 0, .page = pages, .cookie = 1, .is_write = true},
			{.slot = TEST_SLOTS, .page = pages, .cookie = 2, .is_write = true},
			{.slot = 31,
			 .page = (char *)pages + 512,
			 .cookie = 3,
			 .is_write = true},
			{.slot = 31, .page = page_at(pages, 1), .cookie = 4, .is_write = true},
		};

	page_fill(pages, 30, 8);
	page_fill(page_at(pages, 1), 31, 8);
	submit_all(t, ios, 5);
	wait_for(t, done, 5);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(done[i].err, done[i].cookie % 4 == 0 ? 0 : -EINVAL);
	check_batch(t, (const uint64_t[]){30, 31}, 2, 8);
	pages_free(pages, 2);
}

static void hands_out_no_more_than_asked_for(void **state)
{
	struct test_device *t = device_of(state);
	struct swapdev_io ios[8], done[8];
	void *pages = pages_make(8);

	for (unsigned int i = 0; i < 8; i++)
		ios[i] = (struct swapdev_io){.slot = 40 + i,
					     .page = page_at(pages, i),
					     .cookie = i,
					     .is_write = true};
	submit_all(t, ios, 8);
	assert_int_equal(t->dev->ops->poll(t->dev, done, 0), 0);
	for (unsigned int i = 0; i < 8; i++)
		wait_for(t, &done[i], 1);
	assert_int_equal(t->dev->ops->poll(t->dev, done, 8), 0);
	pages_free(pages, 8);
}

/* Every other slot, so that nothing can be merged: a queue of any sane length fills up. */
static void takes_fewer_when_its_queue_is_full(void **state)
{
	struct test_device *t = device_of(state);
	enum { NR = TEST_SLOTS / 2 - 1 };
	struct swapdev_io *ios = calloc(NR, sizeof(*ios)), *done = calloc(NR, sizeof(*ios));
	unsigned int *ends = calloc(NR, sizeof(*ends)), taken = 0, ended = 0;
	void *page = pages_make(1);

	for (unsigned int i = 0; i < NR; i++)
		ios[i] = (struct swapdev_io){
			.slot = 1 + 2 * i, .page = page, .cookie = i, .is_write = true};
	while (taken < NR) {
		unsigned int n = t->dev->ops->submit(t->dev, ios + taken, NR - taken);

		assert_in_range(n, 0, NR - 1);
		taken += n;
		wait_for(t, done, 1);
		ends[done[0].cookie]++;
		ended++;
	}
	wait_for(t, done, NR - ended);
	for (unsigned int i = 0; i < NR - ended; i++)
		ends[done[i].cookie]++;
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(ends[i], 1);
	pages_free(page, 1);
	free(ios);
	free(done);
	free(ends);
}

/* Random I/O against a table of what each slot holds; a slot has one I/O at a time. */
struct model {
	struct test_device *t;
	struct rng rng;
	uint64_t generation[TEST_SLOTS]; /* 0: never written */
	bool is_busy[TEST_SLOTS];
	void *pages;
	bool page_used[BATCH];
	unsigned int nr_busy;
};

static void model_start(struct model *m)
{
	struct swapdev_io ios[BATCH];
	unsigned int nr = 0, taken;
	uint64_t slot = rng_between(&m->rng, 1, TEST_SLOTS - 1);

	for (unsigned int i = 0; i < BATCH; i++) {
		if (m->page_used[i] || rng_chance(&m->rng, 30))
			continue;
		slot = rng_chance(&m->rng, 60) ? slot + 1
					       : rng_between(&m->rng, 1, TEST_SLOTS - 1);
		if (slot >= TEST_SLOTS || m->is_busy[slot])
			break;
		ios[nr] = (struct swapdev_io){
			.slot = slot, .page = page_at(m->pages, i), .cookie = i};
		ios[nr].is_write = m->generation[slot] == 0 || rng_chance(&m->rng, 50);
		if (ios[nr].is_write)
			page_fill(ios[nr].page, slot, ++m->generation[slot]);
		m->page_used[i] = m->is_busy[slot] = true;
		nr++;
	}
	for (taken = 0; taken < nr;) {
		unsigned int n = m->t->dev->ops->submit(m->t->dev, ios + taken, nr - taken);

		assert_int_not_equal(n, 0); /* BATCH pages are less than any queue */
		taken += n;
	}
	m->nr_busy += nr;
}

static void model_end(struct model *m, unsigned int nr)
{
	struct swapdev_io done[BATCH];

	wait_for(m->t, done, nr);
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t slot = done[i].slot;

		assert_int_equal(done[i].err, 0);
		if (!m->t->kind->forgets)
			assert_true(page_holds(done[i].page, slot, m->generation[slot]));
		m->page_used[done[i].cookie] = m->is_busy[slot] = false;
	}
	m->nr_busy -= nr;
}

static void holds_under_random_io(void **state)
{
	struct model *m = calloc(1, sizeof(*m));

	m->t = device_of(state);
	m->rng = rng_make(test_seed());
	m->pages = pages_make(BATCH);
	for (int round = 0; round < 150; round++) {
		model_start(m);
		if (m->nr_busy > 0)
			model_end(m, (unsigned int)rng_between(&m->rng, 1, m->nr_busy));
	}
	if (m->nr_busy > 0)
		model_end(m, m->nr_busy);
	pages_free(m->pages, BATCH);
	free(m);
}

/* Two threads on halves of the device; each may be handed what the other has started. */
#define THREAD_ROUNDS 40
#define THREAD_BATCH  16

struct worker {
	struct test_device *t;
	uint64_t first_slot;
	unsigned int *ended; /* by cookie, of both workers; atomic */
	unsigned int first_cookie;
	unsigned int nr_errors;
	void *pages;
};

static void worker_round(struct worker *w, unsigned int round, bool is_write)
{
	struct swapdev_io ios[THREAD_BATCH], done;
	uint64_t first = w->first_slot + round * THREAD_BATCH % (TEST_SLOTS / 2 - THREAD_BATCH);
	unsigned int ended = 0;

	for (unsigned int i = 0; i < THREAD_BATCH; i++) {
		ios[i] = (struct swapdev_io){.slot = first + i,
					     .page = page_at(w->pages, i),
					     .cookie = w->first_cookie + i,
					     .is_write = is_write};
		if (is_write)
			page_fill(ios[i].page, first + i, round);
		__atomic_store_n(&w->ended[w->first_cookie + i], 0, __ATOMIC_RELAXED);
	}
	if (w->t->dev->ops->submit(w->t->dev, ios, THREAD_BATCH) != THREAD_BATCH)
		w->nr_errors++;
	while (ended < THREAD_BATCH) {
		if (w->t->dev->ops->poll(w->t->dev, &done, 1) == 1) {
			w->nr_errors += done.err != 0;
			__atomic_store_n(&w->ended[done.cookie], 1, __ATOMIC_RELEASE);
		} else {
			usleep(20);
		}
		ended = 0;
		for (unsigned int i = 0; i < THREAD_BATCH; i++)
			ended += __atomic_load_n(&w->ended[w->first_cookie + i],
						 __ATOMIC_ACQUIRE);
	}
	for (unsigned int i = 0; i < THREAD_BATCH && !is_write && !w->t->kind->forgets; i++)
		w->nr_errors += !page_holds(ios[i].page, first + i, round);
}

static void *worker_main(void *arg)
{
	for (unsigned int round = 0; round < THREAD_ROUNDS; round++) {
		worker_round(arg, round, true);
		worker_round(arg, round, false);
	}
	return NULL;
}

static void serves_two_threads(void **state)
{
	unsigned int ended[2 * THREAD_BATCH];
	struct worker workers[2];
	pthread_t threads[2];

	for (unsigned int i = 0; i < 2; i++) {
		workers[i] = (struct worker){.t = device_of(state),
					     .first_slot = i == 0 ? 1 : TEST_SLOTS / 2,
					     .ended = ended,
					     .first_cookie = i * THREAD_BATCH,
					     .pages = pages_make(THREAD_BATCH)};
	}
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &workers[i]),
				 0);
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].nr_errors, 0);
		pages_free(workers[i].pages, THREAD_BATCH);
	}
}

static void hands_out_clusters_once(void **state)
{
	struct test_device *t = device_of(state);
	const struct swapdev_ops *ops = t->dev->ops;

	if (!t->kind->is_shared) {
		assert_null(ops->cluster_get);
		assert_null(ops->cluster_put);
		assert_null(ops->cluster_is_exclusive);
		return;
	}
	assert_false(ops->cluster_is_exclusive(t->dev, 3));
	assert_true(ops->cluster_get(t->dev, 3));
	assert_false(ops->cluster_get(t->dev, 3));
	assert_true(ops->cluster_is_exclusive(t->dev, 3));
	ops->cluster_put(t->dev, 3);
	assert_false(ops->cluster_is_exclusive(t->dev, 3));
	assert_true(ops->cluster_get(t->dev, 3));
	ops->cluster_put(t->dev, 3);
	assert_false(ops->cluster_get(t->dev, TEST_SLOTS / SWAP_CLUSTER_SLOTS));
}

static const struct CMUnitTest cases[] = {
	cmocka_unit_test(gives_back_what_was_written),
	cmocka_unit_test(moves_batches_of_any_shape),
	cmocka_unit_test(reads_and_writes_in_one_batch),
	cmocka_unit_test(hands_back_what_was_handed_in),
	cmocka_unit_test(refuses_by_the_end_not_at_the_start),
	cmocka_unit_test(hands_out_no_more_than_asked_for),
	cmocka_unit_test(takes_fewer_when_its_queue_is_full),
	cmocka_unit_test(holds_under_random_io),
	cmocka_unit_test(serves_two_threads),
	cmocka_unit_test(hands_out_clusters_once),
};

#define NR_CASES (sizeof(cases) / sizeof(cases[0]))

int main(void)
{
	struct CMUnitTest *tests = calloc(nr_device_kinds * NR_CASES, sizeof(*tests));
	int status;

	if (!tests)
		return EXIT_FAILURE;
	test_seed();
	for (size_t k = 0; k < nr_device_kinds; k++) {
		for (size_t c = 0; c < NR_CASES; c++) {
			struct CMUnitTest *test = &tests[k * NR_CASES + c];
			char *name = NULL;

			*test = cases[c];
			if (asprintf(&name, "%s: %s", device_kinds[k].name, cases[c].name) > 0)
				test->name = name;
			test->setup_func = device_open;
			test->teardown_func = device_close;
			memcpy(&test->initial_state, &(const void *){&device_kinds[k]},
			       sizeof(test->initial_state));
		}
	}
	status = test_run(tests, nr_device_kinds * NR_CASES, NULL, NULL);
	for (size_t i = 0; i < nr_device_kinds * NR_CASES; i++)
		if (tests[i].name != cases[i % NR_CASES].name)
			free((void *)(uintptr_t)tests[i].name);
	free(tests);
	return status;
}
