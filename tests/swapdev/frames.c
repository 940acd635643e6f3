/* SPDX-License-Identifier: MIT */
#include "swapdev/frames.h"

#include "support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct test_frames {
	pthread_mutex_t lock;
	char *ram;
	uint64_t nr, nr_free, nr_held;
	bool *is_used; /* a frame each */
};

static bool block_is_free(const struct test_frames *f, uint64_t at, uint64_t nr)
{
	for (uint64_t i = at; i < at + nr; i++)
		if (f->is_used[i])
			return false;
	return true;
}

static int take(void *arg, unsigned int order, void **ret_block)
{
	struct test_frames *f = arg;
	uint64_t nr = 1ull << order;
	int err = -ENOMEM;

	pthread_mutex_lock(&f->lock);
	for (uint64_t at = nr; at + nr <= f->nr && err && f->nr_free >= f->nr_held + nr;
	     at += nr) {
		if (!block_is_free(f, at, nr))
			continue;
		memset(f->is_used + at, 1, nr);
		f->nr_free -= nr;
		*ret_block = f->ram + at * PAGE_SIZE;
		memset(*ret_block, 0xdb, nr * PAGE_SIZE);
		err = 0;
	}
	pthread_mutex_unlock(&f->lock);
	return err;
}

static void give(void *arg, unsigned int order, void *block)
{
	struct test_frames *f = arg;
	uint64_t at = (uint64_t)((char *)block - f->ram) / PAGE_SIZE;

	pthread_mutex_lock(&f->lock);
	for (uint64_t i = at; i < at + (1ull << order); i++) {
		assert_true(f->is_used[i]);
		f->is_used[i] = false;
		f->nr_free++;
	}
	pthread_mutex_unlock(&f->lock);
}

struct test_frames *frames_make(uint64_t nr, struct swapdev_frames *ret_frames)
{
	struct test_frames *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	pthread_mutex_init(&f->lock, NULL);
	f->ram = aligned_alloc(PAGE_SIZE, nr * PAGE_SIZE);
	f->is_used = calloc(nr, sizeof(bool));
	assert_true(f->ram && f->is_used);
	f->nr = nr;
	f->nr_free = nr - 1;
	f->is_used[0] = true;
	*ret_frames = (struct swapdev_frames){
		.ram = f->ram, .nr_frames = nr, .alloc = take, .free = give, .arg = f};
	return f;
}

void frames_destroy(struct test_frames *f)
{
	pthread_mutex_destroy(&f->lock);
	free(f->ram);
	free(f->is_used);
	free(f);
}

uint64_t frames_nr_free(struct test_frames *f)
{
	uint64_t nr;

	pthread_mutex_lock(&f->lock);
	nr = f->nr_free;
	pthread_mutex_unlock(&f->lock);
	return nr;
}

void frames_give(struct test_frames *f, void *const *frames, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		give(f, 0, frames[i]);
}

void frames_hold(struct test_frames *f, uint64_t nr)
{
	pthread_mutex_lock(&f->lock);
	f->nr_held = nr;
	pthread_mutex_unlock(&f->lock);
}
