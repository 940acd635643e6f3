/* SPDX-License-Identifier: MIT */
/*
 * Two threads, each with an address space of its own, write to their words of one file's pages
 * through shared mappings, while a third syncs it, reads it, cuts and extends it behind what
 * they use, and runs the manager. Each finds what it wrote last; at the end so does the device.
 */
#include "support/test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "files.h"

#define PAGES	   64 /* that the writers use */
#define FILE_PAGES 128
#define ROUNDS	   300

struct writer {
	struct files *f;
	unsigned int number;
	struct rng rng;
	uint64_t last[PAGES];
	const bool *must_stop; /* atomic */
};

static vaddr_t word(const struct writer *w, unsigned int page)
{
	return world_va(page) + w->number * 8;
}

/* Return: did it end well? (cmocka's assertions are not for threads.) */
static bool access_word(struct writer *w, unsigned int page, uint64_t *value, bool is_write)
{
	struct mm *mm = w->f->mms[w->number];
	enum mm_fault_result result = MM_FAULT_RETRY;

	for (int i = 0; i < 100 && result == MM_FAULT_RETRY; i++)
		result = is_write ? machine_soft_mm_store(mm, word(w, page), value, 8)
				  : machine_soft_mm_load(mm, word(w, page), value, 8);
	return result <= MM_FAULT_MAJOR;
}

static void *write_words(void *arg)
{
	struct writer *w = arg;
	bool is_well = true;

	for (uint64_t i = 1; is_well && !__atomic_load_n(w->must_stop, __ATOMIC_ACQUIRE); i++) {
		unsigned int page = (unsigned int)rng_below(&w->rng, PAGES);
		uint64_t value = 0;

		is_well = access_word(w, page, &value, false) && value == w->last[page];
		value = w->last[page] = i << 1 | w->number;
		is_well = is_well && access_word(w, page, &value, true);
	}
	return is_well ? w : NULL;
}

/* Everything that goes on beside the writers; each call is made again until it ends. */
static void disturb(struct files *f)
{
	uint64_t ticket = 0, size = FILE_PAGES * PAGE_SIZE, now_ns = 0, buf[512];
	struct rng rng = rng_make(test_seed());

	for (unsigned int round = 0; round < ROUNDS; round++) {
		int err = mm_fsync(f->file, &ticket);

		assert_true(err == 0 || err == -EAGAIN);
		err = mm_truncate(f->file, size);
		assert_true(err == 0 || err == -EAGAIN);
		if (err == 0)
			size = rng_between(&rng, PAGES + 1, FILE_PAGES) * PAGE_SIZE;
		mm_file_read(f->file, rng_below(&rng, PAGES) * PAGE_SIZE, buf, sizeof(buf));
		mm_step(f->w.sys, now_ns += 100000, 32);
		assert_int_equal(mm_check(f->w.sys), 0);
		sched_yield();
	}
	while (mm_truncate(f->file, size) == -EAGAIN)
		mm_step(f->w.sys, now_ns += 100000, 32);
	f->w.now_ns = now_ns;
}

static void words_stay_what_was_written(void **state)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;
	struct mm_map_file_args args = {.len = PAGES * PAGE_SIZE,
					.prot = MM_PROT_READ | MM_PROT_WRITE,
					.flags = MM_MAP_SHARED};
	struct writer writers[FILES_MMS];
	bool must_stop = false;
	pthread_t threads[FILES_MMS];
	struct files f;

	(void)state;
	cfg.nr_bytes = FILE_PAGES * PAGE_SIZE;
	cfg.mode = SWAPDEV_MEM_RANDOM;
	cfg.world.nr_frames = 300;
	files_create(&f, &cfg);
	for (unsigned int i = 0; i < FILES_MMS; i++) {
		files_map(&f, f.mms[i], 0, &args);
		writers[i] = (struct writer){.f = &f,
					     .number = i,
					     .rng = rng_make(test_seed() + i),
					     .must_stop = &must_stop};
		for (unsigned int page = 0; page < PAGES; page++)
			writers[i].last[page] = files_stamp(page * PAGE_SIZE + i * 8);
		assert_int_equal(pthread_create(&threads[i], NULL, write_words, &writers[i]),
				 0);
	}
	disturb(&f);
	__atomic_store_n(&must_stop, true, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < FILES_MMS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_non_null(result);
	}
	assert_int_equal(files_sync(&f), 0);
	for (unsigned int page = 0; page < PAGES; page++)
		for (unsigned int i = 0; i < FILES_MMS; i++)
			assert_int_equal(files_stored(&f, page)[i], writers[i].last[page]);
	world_check(&f.w);
	files_destroy(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(words_stay_what_was_written),
};
TEST_MAIN(tests)
