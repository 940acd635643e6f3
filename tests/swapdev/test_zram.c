/* SPDX-License-Identifier: MIT */
/*
 * The compressed tier: what goes where, write-back, faults of the device behind, and a model
 * that knows what each slot must hold.
 */
#include "swapdev/zram.h"

#include "support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support/rng.h"
#include "swapdev/devices.h"
#include "swapdev/frames.h"

#define SLOTS	   1024
#define RAM_FRAMES 2048

/* Contents of pages. */
enum content { SAME, SOFT, HARD, NR_CONTENTS };

struct zram_test {
	struct zram *zram;
	struct swapdev *dev, *behind, *inner; /* inner: under the faulty wrapper */
	struct test_frames *frames;
	void *page, *back;
	uint64_t cookie;
};

struct zram_test_config {
	uint64_t frames_max;
	enum zcodec_kind codec;
	bool is_alone;
	enum swapdev_mem_mode mode;
	const struct swapdev_fault_rule *rules;
	unsigned int nr_rules;
	struct swap_share *share;
};

static void behind_open(struct zram_test *t, const struct zram_test_config *cfg)
{
	struct swapdev_mem_config mem = {
		.nr_slots = SLOTS, .mode = cfg->mode, .seed = test_seed(), .share = cfg->share};
	struct swapdev_faulty_config faulty = {
		.rules = cfg->rules, .nr_rules = cfg->nr_rules, .seed = test_seed()};

	assert_int_equal(swapdev_mem_create(&mem, &t->inner), 0);
	faulty.inner = t->inner;
	assert_int_equal(swapdev_faulty_create(&faulty, &t->behind), 0);
}

static void open_zram(struct zram_test *t, const struct zram_test_config *cfg)
{
	struct zram_config config = {
		.frames_max = cfg->frames_max, .nr_slots_max = SLOTS, .codec = cfg->codec};
	struct swapdev_frames frames;

	memset(t, 0, sizeof(*t));
	t->page = pages_make(1);
	t->back = pages_make(1);
	t->frames = frames_make(RAM_FRAMES, &frames);
	assert_int_equal(zram_create(&config, &t->zram), 0);
	if (cfg->is_alone) {
		assert_int_equal(zram_alone_create(t->zram, SLOTS, &t->dev), 0);
	} else {
		behind_open(t, cfg);
		assert_int_equal(zram_front_create(t->zram, t->behind, &t->dev), 0);
	}
	assert_int_equal(t->dev->ops->set_frames(t->dev, &frames), 0);
}

static void check(struct zram_test *t)
{
	struct swapdev_stats stats = {0};

	assert_int_equal(zram_check(t->zram), 0);
	t->dev->ops->stats(t->dev, &stats);
	assert_int_equal(stats.nr_frames + frames_nr_free(t->frames), RAM_FRAMES - 1);
}

static struct swapdev_stats stats_of(struct zram_test *t)
{
	struct swapdev_stats stats = {0};

	t->dev->ops->stats(t->dev, &stats);
	return stats;
}

static void close_zram(struct zram_test *t)
{
	check(t);
	t->dev->ops->close(t->dev);
	zram_destroy(t->zram);
	frames_destroy(t->frames);
	pages_free(t->page, 1);
	pages_free(t->back, 1);
}

static void content_make(void *page, enum content content, uint64_t slot, uint64_t generation)
{
	uint64_t *words = page;
	struct rng rng = rng_make(slot << 32 | generation);

	for (unsigned int i = 0; i < 512; i++) {
		if (content == HARD || (content == SOFT && i < 200))
			words[i] = rng_next(&rng);
		else
			words[i] = slot << 32 | generation;
	}
}

/* Until it has ended. Return: its error. */
static int io(struct zram_test *t, uint64_t slot, void *page, bool is_write)
{
	struct swapdev_io one = {
		.slot = slot, .page = page, .cookie = ++t->cookie, .is_write = is_write};
	struct swapdev_io done;

	while (t->dev->ops->submit(t->dev, &one, 1) == 0)
		;
	while (t->dev->ops->poll(t->dev, &done, 1) == 0)
		;
	assert_int_equal(done.cookie, one.cookie);
	assert_int_equal(done.slot, slot);
	assert_int_equal(done.is_write, is_write);
	assert_ptr_equal(done.page, page);
	return done.err;
}

static int write_slot(struct zram_test *t, uint64_t slot, enum content content, uint64_t gen)
{
	content_make(t->page, content, slot, gen);
	return io(t, slot, t->page, true);
}

static void read_slot(struct zram_test *t, uint64_t slot, enum content content, uint64_t gen)
{
	content_make(t->page, content, slot, gen);
	memset(t->back, 0xee, PAGE_SIZE);
	assert_int_equal(io(t, slot, t->back, false), 0);
	assert_memory_equal(t->page, t->back, PAGE_SIZE);
}

static void free_slot(struct zram_test *t, uint64_t slot)
{
	void *frames[SWAPDEV_FREED_MAX];

	frames_give(t->frames, frames, t->dev->ops->slot_free(t->dev, slot, frames));
}

static void settle(struct zram_test *t)
{
	struct swapdev_io done;

	while (t->dev->ops->is_busy(t->dev))
		assert_int_equal(t->dev->ops->poll(t->dev, &done, 1), 0);
}

/* Same-filled pages take no object, soft ones are packed, hard ones go behind. */
static void puts_pages_where_they_belong(void **state)
{
	struct zram_test_config cfg = {.frames_max = 512};
	struct zram_test t;

	(void)state;
	for (cfg.codec = 0; cfg.codec < NR_ZCODECS; cfg.codec++) {
		open_zram(&t, &cfg);
		for (uint64_t slot = 1; slot < 301; slot++)
			assert_int_equal(write_slot(&t, slot, slot % 3, 5), 0);
		assert_int_equal(stats_of(&t).nr_same, 100);
		assert_int_equal(stats_of(&t).nr_stored, 200);
		assert_int_equal(stats_of(&t).nr_incompressible, 100);
		for (uint64_t slot = 1; slot < 301; slot++)
			read_slot(&t, slot, slot % 3, 5);
		check(&t);
		for (uint64_t slot = 1; slot < 301; slot++)
			free_slot(&t, slot);
		assert_int_equal(stats_of(&t).nr_stored, 0);
		assert_int_equal(stats_of(&t).stored_bytes, 0);
		close_zram(&t);
	}
}

/* A slot's content is the last that was written, in the tier or behind. */
static void forgets_old_content(void **state)
{
	struct zram_test_config cfg = {.frames_max = 512};
	struct zram_test t;

	(void)state;
	open_zram(&t, &cfg);
	for (unsigned int from = 0; from < NR_CONTENTS; from++) {
		for (unsigned int to = 0; to < NR_CONTENTS; to++) {
			assert_int_equal(write_slot(&t, 9, from, 1), 0);
			assert_int_equal(write_slot(&t, 9, to, 2), 0);
			read_slot(&t, 9, to, 2);
			check(&t);
		}
	}
	close_zram(&t);
}

/* Alone: what cannot be packed is refused, and what is beyond the share. */
static void refuses_alone_what_it_cannot_keep(void **state)
{
	struct zram_test_config cfg = {.frames_max = 64, .is_alone = true};
	uint64_t slot = 1;
	struct zram_test t;

	(void)state;
	open_zram(&t, &cfg);
	assert_int_equal(write_slot(&t, 600, HARD, 0), -E2BIG);
	while (write_slot(&t, slot, SOFT, 0) == 0)
		slot++;
	assert_int_equal(write_slot(&t, slot, SOFT, 0), -ENOBUFS);
	assert_true(slot > 64); /* more than the frames it has */
	assert_true(stats_of(&t).nr_frames <= 64);
	for (uint64_t s = 1; s < slot; s++)
		read_slot(&t, s, SOFT, 0);
	free_slot(&t, 1);
	assert_int_equal(write_slot(&t, slot, SOFT, 0), 0);
	close_zram(&t);
}

/* Without a frame to be had pages go behind, and come back. */
static void does_without_frames(void **state)
{
	struct zram_test_config cfg = {.frames_max = 512};
	struct zram_test t;

	(void)state;
	open_zram(&t, &cfg);
	assert_int_equal(write_slot(&t, 1, SOFT, 0), 0);
	frames_hold(t.frames, RAM_FRAMES);
	for (uint64_t slot = 2; slot < 200; slot++)
		assert_int_equal(write_slot(&t, slot, SOFT, 0), 0);
	assert_true(stats_of(&t).nr_refused > 0);
	frames_hold(t.frames, 0);
	for (uint64_t slot = 1; slot < 200; slot++)
		read_slot(&t, slot, SOFT, 0);
	close_zram(&t);
}

/* At its share the oldest move on, and are read from there. */
static void moves_the_oldest_on(void **state)
{
	struct zram_test_config cfg = {.frames_max = 128};
	uint64_t zeros[512] = {0};
	struct zram_test t;

	(void)state;
	open_zram(&t, &cfg);
	for (uint64_t slot = 1; slot < 900; slot++) {
		assert_int_equal(write_slot(&t, slot, SOFT, 3), 0);
		check(&t);
	}
	settle(&t);
	assert_true(stats_of(&t).nr_written_back > 300);
	assert_memory_not_equal(swapdev_mem_page(t.inner, 1), zeros, PAGE_SIZE);
	assert_memory_equal(swapdev_mem_page(t.inner, 899), zeros, PAGE_SIZE);
	for (uint64_t slot = 1; slot < 900; slot++)
		read_slot(&t, slot, SOFT, 3);
	close_zram(&t);
}

static uint64_t share_words[1 + SLOTS / SWAP_CLUSTER_SLOTS];

/*
 * A slot that is freed while its content is on its way behind: a page that must go there waits,
 * and the cluster is not given back before.
 */
static void an_old_write_never_comes_last(void **state)
{
	struct swap_share *share = (struct swap_share *)share_words;
	struct zram_test_config cfg = {
		.frames_max = 80, .mode = SWAPDEV_MEM_HELD, .share = share};
	struct swapdev_io one = {.slot = 1, .is_write = true}, done;
	struct zram_test t;
	uint64_t slot = 1;

	(void)state;
	memset(share_words, 0, sizeof(share_words));
	swap_share_init(share, SLOTS / SWAP_CLUSTER_SLOTS);
	open_zram(&t, &cfg);
	assert_true(t.dev->ops->cluster_get(t.dev, 0));
	while (!t.dev->ops->is_busy(t.dev))
		assert_int_equal(write_slot(&t, slot++, SOFT, 0), 0);
	assert_true(slot < SWAP_CLUSTER_SLOTS);
	for (uint64_t s = 1; s < slot; s++)
		free_slot(&t, s);
	check(&t);
	content_make(t.page, HARD, 1, 1);
	one.page = t.page;
	assert_int_equal(t.dev->ops->submit(t.dev, &one, 1), 1);
	assert_int_equal(t.dev->ops->poll(t.dev, &done, 1), 1);
	assert_int_equal(done.err, -EAGAIN);

	t.dev->ops->cluster_put(t.dev, 0);
	assert_int_equal(swap_share_count(share, 0), 1);
	assert_true(t.dev->ops->cluster_get(t.dev, 0)); /* ours still */
	swap_share_fork(share, 0, 1);
	t.dev->ops->cluster_put(t.dev, 0);
	assert_false(t.dev->ops->cluster_get(t.dev, 0)); /* another's, too */
	while (swapdev_mem_deliver(t.inner, 8) > 0)
		assert_int_equal(t.dev->ops->poll(t.dev, &done, 1), 0);
	settle(&t);
	assert_int_equal(swap_share_count(share, 0), 0);
	assert_int_equal(swap_share_count(share, 1), 1);
	close_zram(&t);
}

/* New content of a slot that is on its way behind stays when the old has arrived. */
static void new_content_outlives_its_write_back(void **state)
{
	struct zram_test_config cfg = {.frames_max = 128, .mode = SWAPDEV_MEM_HELD};
	struct swapdev_io done;
	struct zram_test t;
	uint64_t slot = 1;

	(void)state;
	open_zram(&t, &cfg);
	while (!t.dev->ops->is_busy(t.dev))
		assert_int_equal(write_slot(&t, slot++, SOFT, 0), 0);
	assert_int_equal(write_slot(&t, 1, SOFT, 1), 0);
	free_slot(&t, 2);
	assert_int_equal(write_slot(&t, 2, SAME, 1), 0);
	check(&t);
	while (swapdev_mem_deliver(t.inner, 8) > 0)
		assert_int_equal(t.dev->ops->poll(t.dev, &done, 1), 0);
	settle(&t);
	read_slot(&t, 1, SOFT, 1);
	read_slot(&t, 2, SAME, 1);
	close_zram(&t);
}

/* A device behind that fails: what was to move on stays and is read here. */
static void keeps_what_cannot_move_on(void **state)
{
	static const struct swapdev_fault_rule fails[] = {{.fault = SWAPDEV_FAULT_ERROR,
							   .is_write = true,
							   .err = -EIO,
							   .nth = 1,
							   .every = 2}};
	struct zram_test_config cfg = {.frames_max = 128, .rules = fails, .nr_rules = 1};
	struct zram_test t;
	unsigned int nr_failed = 0;
	bool is_lost[SLOTS] = {false};

	(void)state;
	open_zram(&t, &cfg);
	for (uint64_t slot = 1; slot < 900; slot++) {
		int err = write_slot(&t, slot, SOFT, 7);

		is_lost[slot] = err != 0; /* refused here, refused behind: the writer knows */
		nr_failed += err != 0;
		check(&t);
	}
	settle(&t);
	assert_true(nr_failed < 450);
	for (uint64_t slot = 1; slot < 900; slot++)
		if (!is_lost[slot])
			read_slot(&t, slot, SOFT, 7);
	close_zram(&t);
}

/* -- A model -- */

struct model_slot {
	bool is_used;
	enum content content;
	uint64_t generation;
};

static void model_write(struct zram_test *t, struct model_slot *m, uint64_t slot,
			struct rng *rng)
{
	int err = -EAGAIN;

	m->content = (enum content)rng_below(rng, NR_CONTENTS);
	m->generation++;
	while (err == -EAGAIN)
		err = write_slot(t, slot, m->content, m->generation);
	m->is_used = err == 0;
	if (err)
		free_slot(t, slot); /* as the manager does */
}

static void model_step(struct zram_test *t, struct model_slot *slots, struct rng *rng)
{
	uint64_t slot = 1 + rng_below(rng, SLOTS - 1);
	struct model_slot *m = &slots[slot];

	switch (rng_below(rng, 4)) {
	case 0:
		if (m->is_used)
			free_slot(t, slot);
		m->is_used = false;
		break;
	case 1:
	case 2:
		model_write(t, m, slot, rng);
		break;
	default:
		if (m->is_used)
			read_slot(t, slot, m->content, m->generation);
	}
}

static void holds_under_random_use(void **state)
{
	static const struct swapdev_fault_rule fails[] = {{.fault = SWAPDEV_FAULT_ERROR,
							   .is_write = true,
							   .err = -EIO,
							   .per_mille = 100}};
	static struct model_slot slots[SLOTS];
	struct zram_test_config cfg = {
		.mode = SWAPDEV_MEM_RANDOM, .rules = fails, .nr_rules = 1};
	struct rng rng = rng_make(test_seed());
	struct zram_test t;

	(void)state;
	for (unsigned int round = 0; round < 6; round++) {
		cfg.frames_max = 40 + 100 * round;
		cfg.codec = round % 3 == 2 ? ZCODEC_ZSTD : ZCODEC_LZ4;
		cfg.is_alone = round % 2 == 1;
		memset(slots, 0, sizeof(slots));
		open_zram(&t, &cfg);
		for (unsigned int step = 0; step < 4000; step++) {
			model_step(&t, slots, &rng);
			if (step % 16 == 0)
				check(&t);
			if (step % 500 == 0)
				frames_hold(t.frames, rng_below(&rng, RAM_FRAMES));
		}
		frames_hold(t.frames, 0);
		for (uint64_t slot = 1; slot < SLOTS; slot++)
			if (slots[slot].is_used)
				read_slot(&t, slot, slots[slot].content,
					  slots[slot].generation);
		settle(&t);
		close_zram(&t);
	}
}

static void refault_often(struct zram_test *t, uint64_t slot, uint64_t distance)
{
	for (unsigned int i = 0; i < 128; i++)
		t->dev->ops->refault(t->dev, slot, distance);
}

/*
 * Reads of pages that the tier's own frames would have spared make it smaller, and what it has
 * moves on; reads that it spared make it larger. Without a device behind it stays as it is.
 */
static void takes_what_is_worth_it(void **state)
{
	struct zram_test_config cfg = {.frames_max = 512};
	struct zram_test t;

	(void)state;
	open_zram(&t, &cfg);
	for (uint64_t slot = 1; slot < 600; slot++)
		assert_int_equal(write_slot(&t, slot, SOFT, 1), 0);
	assert_int_equal(stats_of(&t).nr_frames_limit, 512);
	refault_often(&t, 5, 0);
	assert_int_equal(stats_of(&t).nr_frames_limit, 384);
	assert_int_equal(stats_of(&t).nr_lost, 128);
	for (unsigned int i = 0; i < 6; i++)
		refault_often(&t, 5, 0);
	for (uint64_t slot = 600; slot < 900; slot++)
		assert_int_equal(write_slot(&t, slot, SOFT, 1), 0);
	settle(&t);
	assert_true(stats_of(&t).nr_frames <= stats_of(&t).nr_frames_limit + 32);
	refault_often(&t, 1, 1000); /* behind: a larger one might have it */
	assert_true(stats_of(&t).nr_frames_limit > 100); /* 512 * (3/4)^7 is 68 */
	for (unsigned int i = 0; i < 16; i++)
		refault_often(&t, 1, 1000);
	assert_int_equal(stats_of(&t).nr_frames_limit, 512);
	for (uint64_t slot = 1; slot < 900; slot++)
		read_slot(&t, slot, SOFT, 1);
	close_zram(&t);

	cfg.is_alone = true;
	open_zram(&t, &cfg);
	refault_often(&t, 5, 0);
	assert_int_equal(stats_of(&t).nr_frames_limit, 512);
	assert_false(t.dev->ops->squeeze(t.dev));
	close_zram(&t);
}

/* Before memory runs out all goes behind, what takes no object too, for its table is a frame.
 */
static void gives_all_that_it_has(void **state)
{
	struct zram_test_config cfg = {.frames_max = 512};
	struct zram_test t;

	(void)state;
	open_zram(&t, &cfg);
	for (uint64_t slot = 1; slot < 900; slot++)
		assert_int_equal(write_slot(&t, slot, slot % 2 ? SAME : SOFT, 1), 0);
	for (unsigned int i = 0; i < 1000 && t.dev->ops->squeeze(t.dev); i++) {
		settle(&t);
		check(&t);
	}
	assert_false(t.dev->ops->squeeze(t.dev));
	assert_int_equal(stats_of(&t).nr_stored, 0);
	assert_true(stats_of(&t).nr_frames < 64);
	for (uint64_t slot = 1; slot < 900; slot++)
		read_slot(&t, slot, slot % 2 ? SAME : SOFT, 1);
	close_zram(&t);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(takes_what_is_worth_it),
	cmocka_unit_test(gives_all_that_it_has),
	cmocka_unit_test(puts_pages_where_they_belong),
	cmocka_unit_test(forgets_old_content),
	cmocka_unit_test(refuses_alone_what_it_cannot_keep),
	cmocka_unit_test(does_without_frames),
	cmocka_unit_test(moves_the_oldest_on),
	cmocka_unit_test(an_old_write_never_comes_last),
	cmocka_unit_test(new_content_outlives_its_write_back),
	cmocka_unit_test(keeps_what_cannot_move_on),
	cmocka_unit_test(holds_under_random_use),
};

TEST_MAIN(tests)
