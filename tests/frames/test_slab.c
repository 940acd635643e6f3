/* SPDX-License-Identifier: MIT */
#include "frames/frames_fixture.h"

#include <string.h>

#include "mm/slab_cache.h"

static struct frames *slabs_create(pfn_t nr_frames)
{
	return frames_create(&(struct frames_config){
		.nr_frames = nr_frames, .nr_cpus = 1, .has_slabs = true});
}

static struct kmem_cache *cache_create(struct frames *f, uint32_t size, uint32_t align)
{
	struct kmem_cache *cache = NULL;

	assert_int_equal(kmem_cache_create(&f->sys, "test", size, align, &cache), 0);
	return cache;
}

static void assert_slabs(const struct frames *f, const struct kmem_cache *cache,
			 uint32_t nr_full, uint32_t nr_partial, uint32_t nr_free)
{
	struct kmem_cache_stat stat;

	kmem_cache_get_stat(&f->sys, cache, &stat);
	assert_int_equal(stat.nr_full, nr_full);
	assert_int_equal(stat.nr_partial, nr_partial);
	assert_int_equal(stat.nr_free, nr_free);
}

static void alloc_many(struct frames *f, struct kmem_cache *cache, void **objects, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		objects[i] = kmem_cache_alloc(&f->sys, cache);
		assert_non_null(objects[i]);
	}
	assert_int_equal(slab_check(&f->sys), 0);
}

static void free_many(struct frames *f, struct kmem_cache *cache, void **objects, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		kmem_cache_free(&f->sys, cache, objects[i]);
	assert_int_equal(slab_check(&f->sys), 0);
}

/* What the kernel chooses with one CPU (8 objects at least), as calculate_order() gives. */
static void order_is_that_of_slub(void **state)
{
	static const struct {
		uint32_t size, nr_cpus;
		uint32_t frames, objects;
	} table[] = {
		{8, 1, 1, 512},	 {64, 1, 1, 64},   {192, 1, 1, 21},  {512, 1, 1, 8},
		{520, 1, 2, 15}, {1024, 1, 2, 8},  {2048, 1, 4, 8},  {4096, 1, 8, 8},
		{8192, 1, 8, 4}, {3000, 1, 8, 10}, {9000, 1, 8, 3},  {40000, 1, 16, 1},
		{64, 64, 1, 64}, {256, 8, 2, 32},  {256, 16, 2, 32}, {1024, 8, 8, 32},
		{700, 1, 2, 11},
	};
	struct frames *f;

	(void)state;
	if (MM_DEBUG)
		test_skip("red zones change the size of objects");
	f = slabs_create(1024);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct kmem_cache *cache;
		struct kmem_cache_stat stat;

		f->sys.cfg.nr_cpus = table[i].nr_cpus;
		cache = cache_create(f, table[i].size, 0);
		kmem_cache_get_stat(&f->sys, cache, &stat);
		assert_int_equal(stat.slab_frames, table[i].frames);
		assert_int_equal(stat.slab_objects, table[i].objects);
		assert_int_equal(kmem_cache_destroy(&f->sys, cache), 0);
	}
	f->sys.cfg.nr_cpus = 1;
	frames_destroy(f);
}

/*
 * Eight objects a slab; current is the slab that the allocations come from.
 *
 *	[xxxxxxxx] [xxxxxxxx] [x.......]	17 objects
 *	[xxxxxxx.] [xxxxxxxx] [x.......]	one of the first freed: partial
 *	[........] [xxxxxxxx] [x.......]	all of the first freed: free, and kept
 */
static void slabs_change_state(void **state)
{
	struct frames *f = slabs_create(1024);
	struct kmem_cache *cache = cache_create(f, 1000, 0);
	struct kmem_cache_stat stat;
	void *objects[65];
	uint32_t nr;

	(void)state;
	kmem_cache_get_stat(&f->sys, cache, &stat);
	nr = stat.slab_objects;
	assert_slabs(f, cache, 0, 0, 0);
	alloc_many(f, cache, objects, 2 * nr + 1);
	assert_slabs(f, cache, 2, 1, 0);
	free_many(f, cache, objects, 1);
	assert_slabs(f, cache, 1, 2, 0);
	free_many(f, cache, objects + 1, nr - 1);
	assert_slabs(f, cache, 1, 1, 1);
	/* The rest of current is used first, then the free slab again. */
	alloc_many(f, cache, objects, nr);
	assert_slabs(f, cache, 2, 1, 0);
	free_many(f, cache, objects, 2 * nr + 1);
	assert_slabs(f, cache, 0, 0, 3);
	assert_int_equal(kmem_cache_destroy(&f->sys, cache), 0);
	frames_destroy(f);
}

/* Objects of a new slab ascend, do not overlap and are aligned. */
static void objects_are_apart_and_aligned(void **state)
{
	static const struct {
		uint32_t size, align;
	} table[] = {{1, 0},	 {8, 0},       {24, 0},	    {24, 64},  {100, 1},
		     {100, 256}, {4096, 4096}, {5000, 512}, {65536, 0}};
	struct frames *f = slabs_create(2048);

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		uint32_t align = table[i].align > 8 ? table[i].align : 8;
		struct kmem_cache *cache = cache_create(f, table[i].size, table[i].align);
		void *objects[3];

		alloc_many(f, cache, objects, 3);
		for (int j = 0; j < 3; j++) {
			assert_int_equal((uintptr_t)objects[j] % align, 0);
			memset(objects[j], j, table[i].size);
		}
		for (int j = 0; j < 3; j++)
			for (uint32_t k = 0; k < table[i].size; k++)
				assert_int_equal(((char *)objects[j])[k], j);
		free_many(f, cache, objects, 3);
		assert_int_equal(kmem_cache_destroy(&f->sys, cache), 0);
	}
	frames_destroy(f);
}

/* The free slabs that a cache keeps are bounded, and go when they are asked for. */
static void free_slabs_are_few_and_can_be_had_back(void **state)
{
	struct frames *f = slabs_create(1024);
	struct kmem_cache *cache = cache_create(f, 2000, 0);
	uint64_t nr_slab = f->sys.vmstat[MM_VMSTAT_nr_slab];
	struct kmem_cache_stat stat;
	void *objects[128];

	(void)state;
	alloc_many(f, cache, objects, 128);
	free_many(f, cache, objects, 128);
	kmem_cache_get_stat(&f->sys, cache, &stat);
	assert_int_equal(stat.active_objects, 0);
	assert_int_equal(stat.nr_free, 5 + 1); /* MIN_PARTIAL, and current */
	assert_int_equal(f->sys.vmstat[MM_VMSTAT_nr_slab], nr_slab + stat.nr_frames);
	assert_true(slab_shrink(&f->sys) >= stat.nr_frames);
	assert_slabs(f, cache, 0, 0, 0);
	assert_true(f->sys.vmstat[MM_VMSTAT_nr_slab] <= nr_slab);
	assert_int_equal(slab_check(&f->sys), 0);
	assert_int_equal(slab_shrink(&f->sys), 0);
	frames_destroy(f);
}

static void create_wants_a_size_and_an_alignment(void **state)
{
	static const struct {
		uint32_t size, align;
	} table[] = {{0, 0}, {(4u << 20) + 1, 0}, {UINT32_MAX, 0}, {8, 3}, {8, 8192}};
	struct frames *f = slabs_create(256);
	struct kmem_cache *cache = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		assert_int_equal(kmem_cache_create(&f->sys, "bad", table[i].size,
						   table[i].align, &cache),
				 -EINVAL);
	assert_null(cache);
	frames_destroy(f);
}

static void destroy_refuses_while_objects_live(void **state)
{
	struct frames *f = slabs_create(256);
	struct kmem_cache *cache = cache_create(f, 1000, 0);
	uint64_t nr_free;
	void *objects[20];

	(void)state;
	pcp_drain(&f->sys);
	nr_free = zones_free_pages(&f->sys);
	for (uint32_t nr = 1; nr <= 20; nr++) {
		alloc_many(f, cache, objects, nr);
		for (uint32_t i = 0; i < nr; i++) {
			assert_int_equal(kmem_cache_destroy(&f->sys, cache), -EBUSY);
			free_many(f, cache, objects + i, 1);
		}
	}
	/* The other way round: the slab that is allocated from is free first. */
	alloc_many(f, cache, objects, 20);
	for (uint32_t i = 20; i-- > 0;) {
		assert_int_equal(kmem_cache_destroy(&f->sys, cache), -EBUSY);
		free_many(f, cache, objects + i, 1);
	}
	assert_int_equal(kmem_cache_destroy(&f->sys, cache), 0);
	pcp_drain(&f->sys);
	assert_int_equal(zones_free_pages(&f->sys), nr_free);
	assert_int_equal(slab_check(&f->sys), 0);
	frames_destroy(f);
}

static void kmalloc_takes_the_class_that_fits(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t class_size;
	} table[] = {
		{0, 8},	      {1, 8},	    {8, 8},	  {9, 16},	{33, 64},
		{64, 64},     {65, 96},	    {96, 96},	  {97, 128},	{128, 128},
		{129, 192},   {192, 192},   {193, 256},	  {256, 256},	{257, 512},
		{512, 512},   {513, 1024},  {1025, 2048}, {2048, 2048}, {2049, 4096},
		{4097, 8192}, {8192, 8192},
	};
	struct frames *f = slabs_create(2048);

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char *object = kmalloc(&f->sys, table[i].size);
		uint32_t size = table[i].class_size;

		assert_non_null(object);
		assert_int_equal(slab_of(&f->sys, object)->cache->size, size);
		if ((size & (size - 1)) == 0 && size <= PAGE_SIZE)
			assert_int_equal((uintptr_t)object % size, 0);
		for (uint64_t k = 0; k < table[i].size; k++)
			object[k] = 1;
		kfree(&f->sys, object);
	}
	kfree(&f->sys, NULL);
	frames_destroy(f);
}

static void kmalloc_takes_whole_blocks_above(void **state)
{
	struct frames *f = slabs_create(4096);
	uint64_t nr_slab = f->sys.vmstat[MM_VMSTAT_nr_slab];
	void *object = kmalloc(&f->sys, 8193);

	(void)state;
	assert_int_equal((uintptr_t)object % PAGE_SIZE, 0);
	assert_int_equal(f->sys.vmstat[MM_VMSTAT_nr_slab], nr_slab + 4);
	assert_int_equal(slab_check(&f->sys), 0);
	kfree(&f->sys, object);
	assert_int_equal(f->sys.vmstat[MM_VMSTAT_nr_slab], nr_slab);
	object = kmalloc(&f->sys, 4 << 20);
	assert_non_null(object);
	kfree(&f->sys, object);
	assert_null(kmalloc(&f->sys, (4 << 20) + 1));
	assert_null(kmalloc(&f->sys, UINT64_MAX));
	assert_null(kzalloc(&f->sys, UINT64_MAX));
	frames_destroy(f);
}

static void kzalloc_is_zero(void **state)
{
	static const uint64_t sizes[] = {1, 100, 8192, 20000};
	struct frames *f = slabs_create(256);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		unsigned char *object = kmalloc(&f->sys, sizes[i]);

		for (uint64_t k = 0; k < sizes[i]; k++)
			object[k] = 0xff;
		kfree(&f->sys, object);
		object = kzalloc(&f->sys, sizes[i]);
		for (uint64_t k = 0; k < sizes[i]; k++)
			assert_int_equal(object[k], 0);
		kfree(&f->sys, object);
	}
	frames_destroy(f);
}

/* Blocks of the usual order are gone, single frames are not: slabs become smaller. */
static void takes_smaller_slabs_where_blocks_are_short(void **state)
{
	struct frames *f = slabs_create(64);
	struct kmem_cache *cache = cache_create(f, 1000, 0);
	struct page *pages[64];
	struct kmem_cache_stat stat;
	unsigned int nr = 0;
	void *object;

	(void)state;
	while (buddy_alloc(&f->sys, &f->sys.zones[0], 0, &pages[nr]) == 0)
		nr++;
	for (unsigned int i = 0; i < nr; i += 2)
		page_free(&f->sys, pages[i], 0);
	object = kmem_cache_alloc(&f->sys, cache);
	assert_non_null(object);
	kmem_cache_get_stat(&f->sys, cache, &stat);
	assert_int_equal(stat.nr_frames, 1);
	assert_int_equal(slab_check(&f->sys), 0);
	kmem_cache_free(&f->sys, cache, object);
	frames_destroy(f);
}

/* One cache has all the frames as free slabs; another one gets them. */
static void takes_the_free_slabs_of_others(void **state)
{
	struct frames *f = slabs_create(64);
	struct kmem_cache *rich = cache_create(f, 4096, 0);
	struct kmem_cache *poor = cache_create(f, 64, 0);
	void *objects[64];
	uint32_t nr = 0;
	struct page *page;

	(void)state;
	while (nr < 8)
		objects[nr++] = kmem_cache_alloc(&f->sys, rich);
	free_many(f, rich, objects, nr);
	while (page_alloc(&f->sys, 0, GFP_RECLAIM, &page) == 0)
		;
	objects[0] = kmem_cache_alloc(&f->sys, poor);
	assert_non_null(objects[0]);
	assert_slabs(f, rich, 0, 0, 0);
	kmem_cache_free(&f->sys, poor, objects[0]);
	frames_destroy(f);
}

/* For each n, the nth allocation fails: nothing is lost, and the next try works. */
static void init_survives_a_failure_at_each_step(void **state)
{
	struct frames *f = frames_create(&(struct frames_config){.nr_frames = 256});
	unsigned int nr_failures = 0;
	int err;

	(void)state;
	do {
		f->sys.fail_alloc = nr_failures + 1;
		err = slab_init(&f->sys);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			assert_null(f->sys.slab);
			assert_int_equal(zones_free_pages(&f->sys), 256);
			assert_int_equal(f->sys.vmstat[MM_VMSTAT_nr_slab], 0);
			assert_int_equal(zone_check(&f->sys), 0);
			nr_failures++;
		}
	} while (err);
	assert_int_equal(nr_failures, 1 + KMALLOC_NR_CLASSES + 1);
	assert_true(f->sys.fail_alloc > 0);
	frames_destroy(f);
}

static void no_memory_is_an_answer(void **state)
{
	struct frames *f = slabs_create(64);
	struct kmem_cache *cache = cache_create(f, 64, 0), *other = NULL;
	void *first = NULL, *object;
	struct page *page;

	(void)state;
	while (page_alloc(&f->sys, 0, GFP_RECLAIM, &page) == 0)
		;
	assert_null(kmem_cache_alloc(&f->sys, cache));
	while ((object = kmem_cache_alloc(&f->sys, f->sys.slab->cache_cache)) != NULL) {
		*(void **)object = first;
		first = object;
	}
	assert_int_equal(kmem_cache_create(&f->sys, "late", 64, 0, &other), -ENOMEM);
	assert_null(other);
	assert_null(kmalloc(&f->sys, 100));
	assert_null(kmalloc(&f->sys, 10000));
	for (; first; first = object) {
		object = *(void **)first;
		kmem_cache_free(&f->sys, f->sys.slab->cache_cache, first);
	}
	frames_destroy(f);
}

/* Misuses, each seen at once. */
struct misuse {
	struct frames *f;
	struct kmem_cache *cache;
	char *objects[3];
};

static void frees_twice(void *arg)
{
	struct misuse *m = arg;

	kmem_cache_free(&m->f->sys, m->cache, m->objects[0]);
	kmem_cache_free(&m->f->sys, m->cache, m->objects[0]);
}

static void frees_to_another_cache(void *arg)
{
	struct misuse *m = arg;

	kmem_cache_free(&m->f->sys, m->f->sys.slab->classes[0], m->objects[0]);
}

static void frees_what_is_no_object(void *arg)
{
	struct misuse *m = arg;
	struct page *page;

	assert_int_equal(page_alloc(&m->f->sys, 0, GFP_KERNEL, &page), 0);
	page->flags |= PG_table;
	kfree(&m->f->sys, page_addr(&m->f->sys, page));
}

static void frees_the_middle_of_a_block(void *arg)
{
	struct misuse *m = arg;

	kfree(&m->f->sys, (char *)kmalloc(&m->f->sys, 10000) + 8);
}

/* Only debug builds see these. */
static void frees_twice_with_another_between(void *arg)
{
	struct misuse *m = arg;

	kmem_cache_free(&m->f->sys, m->cache, m->objects[0]);
	kmem_cache_free(&m->f->sys, m->cache, m->objects[1]);
	kmem_cache_free(&m->f->sys, m->cache, m->objects[0]);
}

static void frees_the_middle_of_an_object(void *arg)
{
	struct misuse *m = arg;

	kmem_cache_free(&m->f->sys, m->cache, m->objects[0] + 8);
}

static void writes_past_the_end(void *arg)
{
	struct misuse *m = arg;

	m->objects[0][100] ^= 1;
	kmem_cache_free(&m->f->sys, m->cache, m->objects[0]);
}

static void writes_after_the_free(void *arg)
{
	struct misuse *m = arg;

	kmem_cache_free(&m->f->sys, m->cache, m->objects[0]);
	m->objects[0][99] ^= 1;
	kmem_cache_alloc(&m->f->sys, m->cache);
}

static void check_sees_a_write_past_the_end(void *arg)
{
	struct misuse *m = arg;

	m->objects[0][103] ^= 1;
	MM_ASSERT(slab_check(&m->f->sys) == 0);
}

static void frees_as_it_should(void *arg)
{
	struct misuse *m = arg;

	for (int i = 0; i < 3; i++)
		kmem_cache_free(&m->f->sys, m->cache, m->objects[i]);
	kmem_cache_alloc(&m->f->sys, m->cache);
	MM_ASSERT(slab_check(&m->f->sys) == 0);
}

static void misuse_aborts(void **state)
{
	static void (*const always[])(void *) = {frees_twice, frees_to_another_cache,
						 frees_what_is_no_object,
						 frees_the_middle_of_a_block};
	static void (*const in_debug_builds[])(void *) = {
		frees_twice_with_another_between, frees_the_middle_of_an_object,
		writes_past_the_end, writes_after_the_free, check_sees_a_write_past_the_end};
	struct misuse m = {.f = slabs_create(256)};

	(void)state;
	m.cache = cache_create(m.f, 100, 0);
	alloc_many(m.f, m.cache, (void **)m.objects, 3);
	assert_false(aborts(frees_as_it_should, &m));
	for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
		assert_true(aborts(always[i], &m));
	for (size_t i = 0; MM_DEBUG && i < sizeof(in_debug_builds) / sizeof(*in_debug_builds);
	     i++)
		assert_true(aborts(in_debug_builds[i], &m));
	frames_destroy(m.f);
}

static void assert_damage_is_seen(struct frames *f, uint32_t **fields)
{
	for (; *fields; fields++) {
		assert_int_equal(slab_check(&f->sys), 0);
		**fields ^= 1;
		assert_int_equal(check_quietly(slab_check, &f->sys), -EUCLEAN);
		**fields ^= 1;
	}
}

/* slab_check() finds what is broken on purpose. */
static void check_sees_damage(void **state)
{
	struct frames *f = slabs_create(256);
	struct kmem_cache *cache = cache_create(f, 1000, 0);
	struct page *slab;
	void *objects[20];

	(void)state;
	alloc_many(f, cache, objects, 20);
	free_many(f, cache, objects, 2);
	slab = slab_of(&f->sys, objects[0]);
	assert_ptr_not_equal(slab, cache->current);
	assert_damage_is_seen(
		f, (uint32_t *[]){&slab->flags, &slab->refs, &slab->slab_order, &slab->prev,
				  &slab[1].flags, (uint32_t *)&slab[1].index,
				  &cache->partial.nr, &cache->full.tail,
				  (uint32_t *)&slab->slab_inuse, (uint32_t *)&slab->freelist,
				  (uint32_t *)slab_link(cache, objects[1]),
				  (uint32_t *)&f->sys.vmstat[MM_VMSTAT_nr_slab],
				  (uint32_t *)&f->sys.slab->nr_large, NULL});
	free_many(f, cache, objects + 2, 18);
	frames_destroy(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(order_is_that_of_slub),
	cmocka_unit_test(slabs_change_state),
	cmocka_unit_test(objects_are_apart_and_aligned),
	cmocka_unit_test(free_slabs_are_few_and_can_be_had_back),
	cmocka_unit_test(create_wants_a_size_and_an_alignment),
	cmocka_unit_test(destroy_refuses_while_objects_live),
	cmocka_unit_test(kmalloc_takes_the_class_that_fits),
	cmocka_unit_test(kmalloc_takes_whole_blocks_above),
	cmocka_unit_test(kzalloc_is_zero),
	cmocka_unit_test(takes_smaller_slabs_where_blocks_are_short),
	cmocka_unit_test(takes_the_free_slabs_of_others),
	cmocka_unit_test(init_survives_a_failure_at_each_step),
	cmocka_unit_test(no_memory_is_an_answer),
	cmocka_unit_test(misuse_aborts),
	cmocka_unit_test(check_sees_damage),
};

TEST_MAIN(tests)
