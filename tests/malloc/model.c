/* SPDX-License-Identifier: MIT */
#include "malloc/model.h"

#include <errno.h>

#include "base/checked.h"
#include "support/test.h"

/* Every page's first byte and the ends: enough to see a byte lost, cheap for a MiB. */
static uint64_t next_probe(uint64_t i, uint64_t size)
{
	if (i < 64 || i + 64 >= size)
		return i + 1;
	return min_u64((i | 511) + 1, size - 64);
}

static unsigned char expected(const struct model_object *object, uint64_t i)
{
	return (unsigned char)(object->key + 7 * i + (i >> 9));
}

static void fill(struct model_object *object)
{
	for (uint64_t i = 0; i < object->size; i = next_probe(i, object->size))
		object->bytes[i] = expected(object, i);
}

static void verify(const struct model_object *object, uint64_t size)
{
	for (uint64_t i = 0; i < size; i = next_probe(i, object->size))
		assert_int_equal(object->bytes[i], expected(object, i));
}

/* Mostly small, some of a few pages, few that get a mapping. */
static uint64_t random_size(struct model *model)
{
	static const uint64_t limits[] = {64, 64, 512, 512, 4096, 40000, 140000};
	unsigned int kind = (unsigned int)rng_below(&model->rng, 64);

	if (kind == 0)
		return rng_below(&model->rng, 3 * ARENA_MMAP_THRESHOLD);
	return rng_below(&model->rng, min_u64(limits[kind % 7], model->size_max));
}

static void take(struct model *model, struct model_object *object)
{
	struct arena *arena = model->arena;
	unsigned int kind = (unsigned int)rng_below(&model->rng, 8);
	uint64_t usable;

	object->size = random_size(model);
	object->align = kind == 0 ? (uint64_t)1 << rng_below(&model->rng, 18) : CLASS_ALIGN;
	object->key = (unsigned char)rng_next(&model->rng);
	if (kind == 0)
		object->bytes = arena_alloc_aligned(arena, object->align, object->size);
	else if (kind == 1)
		object->bytes = arena_alloc_zeroed(arena, object->size);
	else
		object->bytes = arena_alloc(arena, object->size);
	if (!object->bytes && model->may_fail)
		return;
	assert_non_null(object->bytes);
	assert_int_equal((vaddr_t)object->bytes % max_u64(object->align, CLASS_ALIGN), 0);
	assert_int_equal(arena_usable_size(arena, object->bytes, &usable), 0);
	assert_true(usable >= object->size);
	for (uint64_t i = 0; kind == 1 && i < object->size; i++)
		assert_int_equal(object->bytes[i], 0);
	fill(object);
}

static void resize(struct model *model, struct model_object *object)
{
	uint64_t size = random_size(model), old_size = object->size, before, after;
	void *moved = NULL;
	int err;

	assert_int_equal(arena_usable_size(model->arena, object->bytes, &before), 0);
	err = arena_realloc(model->arena, object->bytes, size, &moved);
	if (err) {
		assert_int_equal(arena_usable_size(model->arena, object->bytes, &after), 0);
		assert_int_equal(before, after);
		assert_true(model->may_fail);
		assert_int_equal(err, -ENOMEM);
		assert_null(moved);
		verify(object, old_size);
		return;
	}
	object->bytes = moved;
	/* The probes depend on the size: look where the old ones were. */
	verify(object, min_u64(old_size, size));
	object->size = size;
	fill(object);
}

static void give_back(struct model *model, struct model_object *object)
{
	verify(object, object->size);
	assert_int_equal(arena_free(model->arena, object->bytes), 0);
	object->bytes = NULL;
}

void model_init(struct model *model, struct arena *arena, uint64_t seed)
{
	*model = (struct model){.arena = arena, .rng = rng_make(seed), .size_max = UINT64_MAX};
}

/* One call of the arena. */
void model_step(struct model *model)
{
	struct model_object *object = &model->objects[rng_below(&model->rng, MODEL_SLOTS)];

	if (!object->bytes)
		take(model, object);
	else if (rng_chance(&model->rng, 25))
		resize(model, object);
	else
		give_back(model, object);
	if (rng_below(&model->rng, 512) == 0)
		arena_trim(model->arena, rng_below(&model->rng, 1 << 20));
}

void model_free_all(struct model *model)
{
	for (int i = 0; i < MODEL_SLOTS; i++)
		if (model->objects[i].bytes)
			give_back(model, &model->objects[i]);
}

void model_verify(const struct model *model)
{
	for (int i = 0; i < MODEL_SLOTS; i++)
		if (model->objects[i].bytes)
			verify(&model->objects[i], model->objects[i].size);
}
