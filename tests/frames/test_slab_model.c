/* SPDX-License-Identifier: MIT */
/*
 * Slabs against a plain array: each object keeps what was written to it until it is freed, no
 * two overlap, and all invariants hold after each step, with frames short and allocations made
 * to fail.
 */
#include "frames/frames_fixture.h"

#include <string.h>

#include "mm/slab_cache.h"

#define NR_STEPS       6000
#define NR_OBJECTS_MAX 600
#define NR_CACHES      5
#define NR_FRAMES      128

struct object {
	unsigned char *start;
	uint32_t size;
	unsigned char fill;
	struct kmem_cache *cache; /* NULL: from kmalloc() */
};

struct model {
	struct frames *f;
	struct rng rng;
	struct kmem_cache *caches[NR_CACHES];
	uint32_t sizes[NR_CACHES];
	struct object objects[NR_OBJECTS_MAX];
	unsigned int nr_objects;
	unsigned int nr_failed; /* allocations that were made to fail */
	unsigned int nr_short;	/* allocations that found no frames */
};

static uint32_t random_size(struct rng *rng)
{
	return (uint32_t)rng_between(rng, 1, 1ull << rng_between(rng, 3, 14));
}

static void assert_intact(const struct object *object)
{
	for (uint32_t i = 0; i < object->size; i++)
		assert_int_equal(object->start[i], object->fill);
}

static void *model_alloc(struct model *m, struct object *object)
{
	uint64_t which = rng_below(&m->rng, NR_CACHES * 2);

	if (which < NR_CACHES) {
		object->cache = m->caches[which];
		object->size = m->sizes[which];
		return kmem_cache_alloc(&m->f->sys, object->cache);
	}
	object->cache = NULL;
	object->size = random_size(&m->rng);
	return kmalloc(&m->f->sys, object->size);
}

static void step_alloc(struct model *m)
{
	struct object object = {.fill = (unsigned char)rng_next(&m->rng)};
	bool fails = rng_chance(&m->rng, 5);

	m->f->sys.fail_alloc = fails;
	object.start = model_alloc(m, &object);
	assert_int_equal(m->f->sys.fail_alloc, 0);
	if (fails)
		assert_null(object.start);
	m->nr_failed += fails;
	m->nr_short += !fails && !object.start;
	if (!object.start)
		return;
	for (uint32_t i = 0; i < object.size; i++)
		object.start[i] = object.fill;
	m->objects[m->nr_objects++] = object;
}

static void step_free(struct model *m)
{
	uint64_t i = rng_below(&m->rng, m->nr_objects);
	struct object object = m->objects[i];

	assert_intact(&object);
	m->objects[i] = m->objects[--m->nr_objects];
	if (object.cache && rng_chance(&m->rng, 80))
		kmem_cache_free(&m->f->sys, object.cache, object.start);
	else
		kfree(&m->f->sys, object.start);
}

/* A cache without objects goes, and one of another size takes its place. */
static void step_replace(struct model *m)
{
	uint64_t i = rng_below(&m->rng, NR_CACHES);
	bool is_used = false;
	int err;

	for (unsigned int j = 0; j < m->nr_objects; j++)
		is_used |= m->objects[j].cache == m->caches[i];
	err = kmem_cache_destroy(&m->f->sys, m->caches[i]);
	assert_int_equal(err, is_used ? -EBUSY : 0);
	if (is_used)
		return;
	m->sizes[i] = random_size(&m->rng);
	assert_int_equal(kmem_cache_create(&m->f->sys, "model", m->sizes[i],
					   1u << rng_below(&m->rng, 7), &m->caches[i]),
			 0);
}

static void step(struct model *m, unsigned int percent_alloc)
{
	if (rng_chance(&m->rng, 3))
		step_replace(m);
	else if (rng_chance(&m->rng, 1))
		slab_shrink(&m->f->sys);
	else if (m->nr_objects < NR_OBJECTS_MAX && rng_chance(&m->rng, percent_alloc))
		step_alloc(m);
	else if (m->nr_objects > 0)
		step_free(m);
	assert_int_equal(slab_check(&m->f->sys), 0);
}

static void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->rng = rng_make(test_seed());
	m->f = frames_create(&(struct frames_config){.nr_frames = NR_FRAMES,
						     .nr_cpus = 1,
						     .has_slabs = true,
						     .min_free_kbytes = 128});
	for (unsigned int i = 0; i < NR_CACHES; i++) {
		m->sizes[i] = random_size(&m->rng);
		assert_int_equal(
			kmem_cache_create(&m->f->sys, "model", m->sizes[i], 0, &m->caches[i]),
			0);
	}
}

/* In turns the objects become more, until memory is short, and fewer. */
static void slabs_are_their_model(void **state)
{
	struct model m;

	(void)state;
	model_init(&m);
	for (int i = 0; i < NR_STEPS; i++) {
		step(&m, i / 1000 % 2 == 0 ? 80 : 20);
		if (i % 50 == 0) {
			for (unsigned int j = 0; j < m.nr_objects; j++)
				assert_intact(&m.objects[j]);
			assert_int_equal(zone_check(&m.f->sys), 0);
		}
	}
	while (m.nr_objects > 0)
		step_free(&m);
	for (unsigned int i = 0; i < NR_CACHES; i++)
		assert_int_equal(kmem_cache_destroy(&m.f->sys, m.caches[i]), 0);
	assert_true(m.nr_failed > 0);
	assert_true(m.nr_short > 0);
	assert_int_equal(slab_check(&m.f->sys), 0);
	slab_shrink(&m.f->sys);
	assert_int_equal(m.f->sys.slab->nr_large, 0);
	/* The cache of caches, and the class that slab_state is an object of. */
	assert_true(m.f->sys.vmstat[MM_VMSTAT_nr_slab] <= 8);
	frames_destroy(m.f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(slabs_are_their_model),
};

int main(void)
{
	test_seed();
	return test_run(tests, sizeof(tests) / sizeof(*tests), NULL, NULL);
}
