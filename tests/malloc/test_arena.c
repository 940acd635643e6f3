/* SPDX-License-Identifier: MIT */
#include "malloc/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "malloc/backend.h"
#include "support/test.h"

#define KiB ((uint64_t)1 << 10)
#define MiB ((uint64_t)1 << 20)

/* An arena whose backend has a break of its own. */
struct fixture {
	struct test_backend backend;
	struct arena arena;
};

static int setup(void **state)
{
	static struct fixture fixture;

	test_backend_create(&fixture.backend);
	fixture.arena = (struct arena)ARENA_INIT(NULL, 0);
	assert_int_equal(arena_set_backend(&fixture.arena, &fixture.backend.ops), 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	int err = arena_check(&fixture->arena);

	test_backend_destroy(&fixture->backend);
	return err;
}

static struct malloc_usage usage_of(struct fixture *f)
{
	struct malloc_usage usage;

	arena_get_usage(&f->arena, &usage);
	return usage;
}

static uint64_t usable_of(struct fixture *f, void *object)
{
	uint64_t size;

	assert_int_equal(arena_usable_size(&f->arena, object, &size), 0);
	return size;
}

static void *take(struct fixture *f, uint64_t size)
{
	void *object = arena_alloc(&f->arena, size);

	assert_non_null(object);
	return object;
}

static void give_back(struct fixture *f, void *object)
{
	assert_int_equal(arena_free(&f->arena, object), 0);
}

static uint64_t resident_pages(const void *start, uint64_t bytes)
{
	unsigned char seen[1024];
	uint64_t nr = 0;

	assert_true(bytes / PAGE_SIZE <= sizeof(seen));
	assert_int_equal(mincore((void *)(uintptr_t)start, bytes, seen), 0);
	for (uint64_t i = 0; i < bytes / PAGE_SIZE; i++)
		nr += seen[i] & 1;
	return nr;
}

static void sizes_are_rounded_up_to_classes_pages_and_mappings(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint64_t size, usable;
	} table[] = {
		{0, 16},
		{1, 16},
		{16, 16},
		{17, 32},
		{128, 128},
		{129, 144},
		{4096, 4096},
		{4097, 4608},
		{32768, 32768},
		{32769, 9 * PAGE_SIZE},
		{128 * KiB - 1, 128 * KiB},
		{128 * KiB, 128 * KiB},
		{128 * KiB + 1, 132 * KiB},
		{3 * MiB + 5, 3 * MiB + 4 * KiB},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		void *object = take(f, table[i].size);

		assert_int_equal((vaddr_t)object % CLASS_ALIGN, 0);
		assert_int_equal(usable_of(f, object), table[i].usable);
		memset(object, 0xff, table[i].usable);
		assert_int_equal(arena_check(&f->arena), 0);
	}
	assert_int_equal(usage_of(f).nr_mapped, 3);
}

static void objects_of_no_bytes_differ(void **state)
{
	void *first = take(*state, 0);

	assert_ptr_not_equal(first, take(*state, 0));
}

static void what_cannot_be_is_refused_without_a_call(void **state)
{
	struct fixture *f = *state;
	static const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 4095,
					 (uint64_t)INT64_MAX + 1};
	uint64_t nr_calls;

	take(f, 1);
	nr_calls = f->backend.nr_all;
	for (int i = 0; i < 3; i++) {
		assert_null(arena_alloc(&f->arena, sizes[i]));
		assert_null(arena_alloc_zeroed(&f->arena, sizes[i]));
		assert_null(arena_alloc_aligned(&f->arena, MiB, sizes[i]));
	}
	assert_null(arena_alloc_aligned(&f->arena, (uint64_t)1 << 63, 1));
	assert_int_equal(f->backend.nr_all, nr_calls);
	assert_null(arena_alloc(&f->arena,
				(uint64_t)1 << 60)); /* this one is the backend's to refuse */
}

static void objects_lie_at_the_multiples_that_are_asked_for(void **state)
{
	struct fixture *f = *state;
	static const uint64_t sizes[] = {0, 1, 24, 100, 4000, 5000, 32768, 60000, 200000};

	for (uint64_t align = 1; align <= MiB; align *= 2) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			void *object = arena_alloc_aligned(&f->arena, align, sizes[i]);

			assert_non_null(object);
			assert_int_equal((vaddr_t)object % align, 0);
			assert_true(usable_of(f, object) >= sizes[i]);
			memset(object, 0xff, sizes[i]);
			assert_int_equal(arena_check(&f->arena), 0);
			if (i % 2)
				give_back(f, object);
		}
	}
}

/* What lies before and behind an aligned object in its mapping goes back. */
static void an_aligned_mapping_is_no_larger_than_it_must_be(void **state)
{
	struct fixture *f = *state;
	uint64_t before;
	void *object;

	take(f, 1);
	before = f->backend.mapped;
	object = arena_alloc_aligned(&f->arena, MiB, 300 * KiB);
	assert_non_null(object);
	assert_int_equal(f->backend.mapped - before, 300 * KiB);
	give_back(f, object);
	assert_int_equal(f->backend.mapped, before);
}

static void the_heap_grows_by_a_mebibyte(void **state)
{
	struct fixture *f = *state;

	take(f, 1);
	assert_int_equal(f->backend.brk - f->backend.start, MiB);
	for (int i = 0; i < 200; i++)
		take(f, 4096);
	assert_int_equal(f->backend.nr_calls[TEST_SBRK], 1);
	take(f, 120 * KiB);
	take(f, 120 * KiB);
	assert_int_equal(f->backend.nr_calls[TEST_SBRK], 2);
	assert_int_equal(f->backend.brk - f->backend.start, 2 * MiB);
}

/* A program that takes and frees one object in turn does not make a run each time. */
static void the_last_run_of_a_class_is_kept(void **state)
{
	struct fixture *f = *state;
	void *objects[65];

	give_back(f, take(f, 256));
	assert_int_equal(usage_of(f).heap - usage_of(f).heap_free, 8 * PAGE_SIZE);
	/* 32 to a run of 4 pages; of three runs that become empty, one stays. */
	for (int i = 0; i < 64; i++)
		take(f, 512);
	for (int i = 0; i < 65; i++)
		objects[i] = take(f, 512);
	assert_int_equal(usage_of(f).heap - usage_of(f).heap_free, (8 + 20) * PAGE_SIZE);
	for (int i = 0; i < 65; i++)
		give_back(f, objects[i]);
	assert_int_equal(usage_of(f).heap - usage_of(f).heap_free, (8 + 12) * PAGE_SIZE);
}

static void large_objects_come_from_mmap_and_go_back_to_it(void **state)
{
	struct fixture *f = *state;
	uint64_t before, nr_calls;
	void *object;

	take(f, 1);
	before = f->backend.mapped;
	nr_calls = f->backend.nr_calls[TEST_MMAP];
	take(f, 128 * KiB - 1);
	assert_int_equal(f->backend.nr_calls[TEST_MMAP], nr_calls);
	object = take(f, 128 * KiB);
	assert_int_equal(f->backend.nr_calls[TEST_MMAP], nr_calls + 1);
	assert_int_equal(f->backend.mapped, before + 128 * KiB);
	assert_int_equal(usage_of(f).mapped, 128 * KiB);
	give_back(f, object);
	assert_int_equal(f->backend.mapped, before);
	assert_int_equal(usage_of(f).mapped, 0);
	assert_int_equal(usage_of(f).mapped_peak, 128 * KiB);
}

/* mallopt(3): what is mapped and freed over and over comes from the heap in the end. */
static void the_threshold_follows_what_is_freed(void **state)
{
	struct fixture *f = *state;
	uint64_t nr_calls;

	give_back(f, take(f, 256 * KiB));
	nr_calls = f->backend.nr_calls[TEST_MMAP];
	give_back(f, take(f, 256 * KiB));
	assert_int_equal(f->backend.nr_calls[TEST_MMAP], nr_calls);
	give_back(f, take(f, 2 * MiB));
	give_back(f, take(f, MiB + 1));
	assert_int_equal(f->backend.nr_calls[TEST_MMAP], nr_calls + 2);
	give_back(f, take(f, 256 * KiB + 1));
	assert_int_equal(f->backend.nr_calls[TEST_MMAP], nr_calls + 3);
	assert_int_equal(f->arena.options.mmap_threshold, 260 * KiB + 1);
}

static void a_pointer_that_is_none_changes_nothing(void **state)
{
	struct fixture *f = *state;
	char *small = take(f, 100), *twice = take(f, 100), *pages = take(f, 60000);
	char *mapped = take(f, MiB), *top = (char *)f->backend.brk;
	int on_stack;
	void *const wild[] = {
		twice,
		small + 1,
		small + 16,
		pages + 1,
		pages + PAGE_SIZE,
		mapped + 1,
		mapped + PAGE_SIZE,
		mapped - PAGE_SIZE,
		top,
		top - PAGE_SIZE,
		top - 16,
		&on_stack,
		(void *)8,
		(void *)-8,
		(void *)((uint64_t)1 << 47),
		(void *)f->arena.pagemap,
		(void *)(f->backend.start - 1),
	};
	struct malloc_usage before;
	uint64_t size = 7;
	void *moved = NULL;

	give_back(f, twice);
	before = usage_of(f);
	for (size_t i = 0; i < sizeof(wild) / sizeof(*wild); i++) {
		assert_int_equal(arena_free(&f->arena, wild[i]), -EINVAL);
		assert_int_equal(arena_realloc(&f->arena, wild[i], 10, &moved), -EINVAL);
		assert_int_equal(arena_usable_size(&f->arena, wild[i], &size), -EINVAL);
		assert_int_equal(arena_check(&f->arena), 0);
	}
	assert_null(moved);
	assert_int_equal(size, 7);
	assert_int_equal(usage_of(f).used, before.used);
	give_back(f, small);
	give_back(f, pages);
	give_back(f, mapped);
	assert_int_equal(arena_free(&f->arena, pages), -EINVAL);
	assert_int_equal(arena_free(&f->arena, mapped), -EINVAL);
}

static void nothing_is_an_object_before_the_first_call(void **state)
{
	struct arena arena = ARENA_INIT(NULL, 0);
	int on_stack;

	(void)state;
	assert_int_equal(arena_free(&arena, &on_stack), -EINVAL);
	assert_int_equal(arena_check(&arena), 0);
	assert_false(arena_trim(&arena, 0));
}

static void fill(unsigned char *bytes, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i * 31 + i / 256);
}

static void assert_filled(const unsigned char *bytes, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], (unsigned char)(i * 31 + i / 256));
}

static void realloc_keeps_the_bytes_between_all_kinds(void **state)
{
	struct fixture *f = *state;
	static const uint64_t sizes[] = {0,	1,     16,	  17,	     1000,    32768,
					 32769, 60000, 128 * KiB, 200 * KiB, MiB + 1, 5 * MiB};
	const size_t nr = sizeof(sizes) / sizeof(*sizes);
	void *object;

	for (size_t from = 0; from < nr; from++) {
		for (size_t to = 0; to < nr; to++) {
			object = take(f, sizes[from]);
			fill(object, sizes[from]);
			assert_int_equal(arena_realloc(&f->arena, object, sizes[to], &object),
					 0);
			assert_true(usable_of(f, object) >= sizes[to]);
			assert_filled(object, min_u64(sizes[from], sizes[to]));
			memset(object, 0xee, sizes[to]);
			assert_int_equal(arena_check(&f->arena), 0);
			give_back(f, object);
		}
	}
	assert_int_equal(usage_of(f).used, 0);
}

/*
 *   |     pages     |  free  |   ->   |       pages       |    |
 */
static void a_run_of_pages_grows_and_shrinks_in_place(void **state)
{
	struct fixture *f = *state;
	char *first = take(f, 40000), *moved;

	take(f, 100);
	moved = take(f, 40000);
	assert_int_equal(arena_realloc(&f->arena, moved, 100000, (void **)&moved), 0);
	first = moved;
	assert_int_equal(arena_realloc(&f->arena, moved, 50000, (void **)&moved), 0);
	assert_ptr_equal(moved, first);
	assert_int_equal(usable_of(f, moved), 13 * PAGE_SIZE);
	assert_int_equal(arena_check(&f->arena), 0);
	assert_int_equal(arena_realloc(&f->arena, moved, 110000, (void **)&moved), 0);
	assert_ptr_equal(moved, first);
	assert_int_equal(usable_of(f, moved), 27 * PAGE_SIZE);
}

static void a_large_object_moves_by_its_pages(void **state)
{
	struct fixture *f = *state;
	char *object = take(f, 64 * MiB);
	uint64_t nr_calls = f->backend.nr_calls[TEST_MMAP];

	object[5 * MiB] = 5;
	assert_int_equal(arena_realloc(&f->arena, object, 128 * MiB, (void **)&object), 0);
	assert_int_equal(object[5 * MiB], 5);
	assert_int_equal(f->backend.nr_calls[TEST_MREMAP], 1);
	assert_int_equal(f->backend.nr_calls[TEST_MMAP], nr_calls);
	assert_int_equal(resident_pages(object + 5 * MiB - MiB, 2 * MiB), 1);
	assert_int_equal(arena_realloc(&f->arena, object, 128 * MiB - 5, (void **)&object), 0);
	assert_int_equal(f->backend.nr_calls[TEST_MREMAP], 1);
	give_back(f, object);
}

/* There is no memory to copy it to: it stays where it is, and grows no smaller. */
static void realloc_to_less_never_fails(void **state)
{
	struct fixture *f = *state;
	void *object = take(f, MiB), *moved = NULL;

	f->backend.fail_every = 1;
	assert_int_equal(arena_realloc(&f->arena, object, 900 * KiB, &moved), 0);
	assert_ptr_equal(moved, object);
	assert_int_equal(arena_realloc(&f->arena, object, 100, &moved), 0);
	f->backend.fail_every = 0;
	give_back(f, moved);
}

static void realloc_that_fails_keeps_the_object(void **state)
{
	struct fixture *f = *state;
	void *object = take(f, MiB), *moved = NULL;

	fill(object, MiB);
	f->backend.fail_every = 1;
	assert_int_equal(arena_realloc(&f->arena, object, 2 * MiB, &moved), -ENOMEM);
	assert_null(moved);
	assert_int_equal(usable_of(f, object), MiB);
	assert_filled(object, MiB);
	assert_int_equal(arena_check(&f->arena), 0);
	f->backend.fail_every = 0;
	give_back(f, object);
}

static void zeroed_objects_leave_fresh_pages_alone(void **state)
{
	struct fixture *f = *state;
	static const uint64_t sizes[] = {32 * KiB, 100000, 8 * MiB};
	char *object, *dirty;

	take(f, 1);
	for (int i = 0; i < 3; i++) {
		uint64_t bytes = min_u64(align_down(sizes[i], PAGE_SIZE), 4 * MiB);

		object = arena_alloc_zeroed(&f->arena, sizes[i]);
		assert_non_null(object);
		assert_int_equal(resident_pages(object, bytes), 0);
	}
	/* Of a run that was used in part, the used pages are set to zero and no others. */
	dirty = take(f, 60000);
	memset(dirty, 0xff, 60000);
	give_back(f, dirty);
	object = arena_alloc_zeroed(&f->arena, 100000);
	assert_ptr_equal(object, dirty);
	assert_int_equal(resident_pages(object, 24 * PAGE_SIZE), 15);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(object[i], 0);
}

static void zeroed_objects_are_zero_where_others_have_been(void **state)
{
	struct fixture *f = *state;
	static const uint64_t sizes[] = {1, 16, 100, 5000, 32768, 40000, 100000, 200000};
	unsigned char *object;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (int round = 0; round < 3; round++) {
			object = arena_alloc_zeroed(&f->arena, sizes[i]);
			for (uint64_t at = 0; at < sizes[i]; at++)
				assert_int_equal(object[at], 0);
			memset(object, 0xff, usable_of(f, object));
			give_back(f, object);
		}
	}
}

/* Fills the heap with objects of a page, and frees all but the last. */
static void leave_the_last(struct fixture *f, unsigned int nr, char **ret_last)
{
	char *objects[1024];

	assert_true(nr <= 1024);
	for (unsigned int i = 0; i < nr; i++) {
		objects[i] = take(f, 40000);
		memset(objects[i], 0xff, 40000);
	}
	for (unsigned int i = 0; i + 1 < nr; i++)
		give_back(f, objects[i]);
	*ret_last = objects[nr - 1];
}

static void free_pages_that_hold_something_are_dropped(void **state)
{
	struct fixture *f = *state;
	char *last;

	leave_the_last(f, 500, &last); /* 20 MB */
	assert_true(f->backend.nr_calls[TEST_DONTNEED] > 0);
	assert_true(usage_of(f).heap_dirty <= max_u64(2 * MiB, usage_of(f).heap / 8));
	assert_true(usage_of(f).heap_free >= 499 * 40000);
	assert_true(arena_trim(&f->arena, 0));
	assert_int_equal(usage_of(f).heap_dirty, 0);
	assert_int_equal(resident_pages((char *)f->backend.start, 4 * MiB), 0);
	assert_int_equal(arena_check(&f->arena), 0);
	for (int i = 0; i < 40000; i++)
		assert_int_equal((unsigned char)last[i], 0xff);
}

static void the_break_goes_down_when_the_end_is_free(void **state)
{
	struct fixture *f = *state;
	char *last;

	take(f, 1);
	leave_the_last(f, 500, &last);
	give_back(f, last);
	/* The first object's run, and what is kept below the break. */
	assert_true(f->backend.brk - f->backend.start <= 2 * MiB);
	assert_int_equal(usage_of(f).heap, f->backend.brk - f->backend.start);
	assert_true(arena_trim(&f->arena, 100));
	assert_int_equal(f->backend.brk - f->backend.start, 9 * PAGE_SIZE);
	assert_false(arena_trim(&f->arena, 100));
	take(f, 100000);
}

static void trim_drops_the_unused_pages_of_runs_in_use(void **state)
{
	struct fixture *f = *state;
	char *objects[64];

	for (int i = 0; i < 64; i++) {
		objects[i] = take(f, 512);
		memset(objects[i], 0xff, 512);
	}
	for (int i = 0; i < 64; i++)
		if (i != 9)
			give_back(f, objects[i]);
	assert_true(arena_trim(&f->arena, 0));
	/* 32 objects in 4 pages; the tenth lies on the second page. */
	assert_int_equal(f->backend.brk - f->backend.start, 4 * PAGE_SIZE);
	assert_int_equal(resident_pages((char *)f->backend.start, 4 * PAGE_SIZE), 1);
	assert_int_equal((unsigned char)objects[9][511], 0xff);
	assert_int_equal(arena_check(&f->arena), 0);
}

/*
 *   break:  | ours | theirs | ours ...
 */
static void others_may_move_the_break(void **state)
{
	struct fixture *f = *state;
	char *theirs, *ours;

	take(f, 1);
	theirs = (char *)test_backend_sbrk(&f->backend, 1000);
	memset(theirs, 0x77, 1000);
	for (int i = 0; i < 100; i++) {
		ours = take(f, 100000);
		memset(ours, 0xff, 100000);
		assert_true(ours + 100000 <= theirs || ours >= theirs + 1000);
	}
	assert_int_equal(arena_check(&f->arena), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(theirs[i], 0x77);
	assert_int_equal(f->backend.brk % PAGE_SIZE, 0);
	/* The break is theirs again: to free everything does not move it. */
	theirs = (char *)test_backend_sbrk(&f->backend, PAGE_SIZE);
	give_back(f, ours);
	arena_trim(&f->arena, 0);
	assert_ptr_equal((char *)f->backend.brk, theirs + PAGE_SIZE);
	assert_int_equal(arena_check(&f->arena), 0);
}

static void without_room_for_the_break_mmap_serves(void **state)
{
	struct fixture *f = *state;

	f->backend.end = f->backend.start + MiB;
	for (int i = 0; i < 100; i++)
		memset(take(f, 100000), 0xff, 100000);
	assert_int_equal(arena_check(&f->arena), 0);
	assert_true(usage_of(f).heap >= 100 * 100000);
	assert_int_equal(f->backend.brk, f->backend.end);
}

/* No page of an object may be touched but by its owner: here nobody can. */
static void cold_objects_are_not_touched(void **state)
{
	struct fixture *f = *state;
	void *objects[2000];
	uint64_t bytes;

	for (int i = 0; i < 2000; i++)
		objects[i] = take(f, i % 5 == 4 ? 50000 : 16u << i % 5);
	bytes = f->backend.brk - f->backend.start;
	assert_int_equal(mprotect((void *)f->backend.start, bytes, PROT_NONE), 0);
	for (int i = 0; i < 2000; i += 2)
		give_back(f, objects[i]);
	assert_int_equal(arena_check(&f->arena), 0);
	for (int i = 0; i < 2000; i += 2)
		objects[i] = take(f, 16u << i % 4);
	assert_int_equal(arena_free(&f->arena, (char *)objects[1] + 8), -EINVAL);
	for (int i = 0; i < 2000; i++)
		give_back(f, objects[i]);
	assert_int_equal(arena_check(&f->arena), 0);
	arena_trim(&f->arena, 0);
	assert_int_equal(usage_of(f).used, 0);
}

static void bookkeeping_is_about_half_a_hundredth(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint64_t size, per_mille_max;
	} table[] = {{16, 13}, {48, 8}, {64, 7}, {256, 6}, {1024, 7}, {40000, 5}};
	struct malloc_usage before, after;

	take(f, 1);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		before = usage_of(f);
		for (uint64_t used = 0; used < 64 * MiB; used += table[i].size)
			take(f, table[i].size);
		after = usage_of(f);
		assert_true((after.metadata - before.metadata) * 1000 <=
			    (after.heap - before.heap) * table[i].per_mille_max);
	}
}

static void memory_from_before_the_backend_stays_good(void **state)
{
	struct fixture *f = *state;
	static char boot[512 << 10] __attribute__((aligned(4096)));
	struct arena arena = ARENA_INIT(boot, sizeof(boot));
	static const uint64_t sizes[] = {1, 5000, 60000, 300000, 3000000};
	unsigned char *early[5], *late;

	for (int i = 0; i < 5; i++) {
		early[i] = arena_alloc(&arena, sizes[i]);
		fill(early[i], sizes[i]);
	}
	assert_in_range((vaddr_t)early[0], (vaddr_t)boot, (vaddr_t)boot + sizeof(boot) - 1);
	assert_int_equal(arena_set_backend(&arena, &f->backend.ops), 0);
	assert_int_equal(arena_set_backend(&arena, &f->backend.ops), -EBUSY);
	late = arena_alloc(&arena, 500000);
	assert_true(f->backend.mapped >= 500000);
	for (int i = 0; i < 5; i++) {
		assert_filled(early[i], sizes[i]);
		assert_int_equal(
			arena_realloc(&arena, early[i], sizes[i] * 2, (void **)&early[i]), 0);
		assert_filled(early[i], sizes[i]);
		assert_int_equal(arena_free(&arena, early[i]), 0);
		assert_int_equal(arena_check(&arena), 0);
	}
	arena_trim(&arena, 0);
	assert_int_equal(arena_free(&arena, late), 0);
	assert_int_equal(arena_check(&arena), 0);
}

static void the_number_of_mappings_has_a_limit(void **state)
{
	struct fixture *f = *state;
	struct arena_options options;

	arena_get_options(&f->arena, &options);
	options.mmap_max = 2;
	arena_set_options(&f->arena, &options);
	for (int i = 0; i < 4; i++)
		take(f, MiB);
	assert_int_equal(usage_of(f).nr_mapped, 2);
	assert_true(usage_of(f).heap >= 2 * MiB);
}

/* The check is worth something: it sees what is wrong. */
static void the_check_sees_a_wrong_count_and_a_wrong_bit(void **state)
{
	struct fixture *f = *state;
	struct run *run = pagemap_run((take(f, 100), f->arena.pagemap), f->backend.start);

	run->objects.nr_free--;
	assert_int_equal(arena_check(&f->arena), -EUCLEAN);
	run->objects.nr_free++;
	run->objects.bitmap[0] ^= 1;
	assert_int_equal(arena_check(&f->arena), -EUCLEAN);
	run->objects.bitmap[0] ^= 1;
	f->arena.heap.nr_dirty++;
	assert_int_equal(arena_check(&f->arena), -EUCLEAN);
	f->arena.heap.nr_dirty--;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	TEST(sizes_are_rounded_up_to_classes_pages_and_mappings),
	TEST(objects_of_no_bytes_differ),
	TEST(what_cannot_be_is_refused_without_a_call),
	TEST(objects_lie_at_the_multiples_that_are_asked_for),
	TEST(an_aligned_mapping_is_no_larger_than_it_must_be),
	TEST(the_heap_grows_by_a_mebibyte),
	TEST(the_last_run_of_a_class_is_kept),
	TEST(large_objects_come_from_mmap_and_go_back_to_it),
	TEST(the_threshold_follows_what_is_freed),
	TEST(a_pointer_that_is_none_changes_nothing),
	TEST(nothing_is_an_object_before_the_first_call),
	TEST(realloc_keeps_the_bytes_between_all_kinds),
	TEST(a_run_of_pages_grows_and_shrinks_in_place),
	TEST(a_large_object_moves_by_its_pages),
	TEST(realloc_to_less_never_fails),
	TEST(realloc_that_fails_keeps_the_object),
	TEST(zeroed_objects_leave_fresh_pages_alone),
	TEST(zeroed_objects_are_zero_where_others_have_been),
	TEST(free_pages_that_hold_something_are_dropped),
	TEST(the_break_goes_down_when_the_end_is_free),
	TEST(trim_drops_the_unused_pages_of_runs_in_use),
	TEST(others_may_move_the_break),
	TEST(without_room_for_the_break_mmap_serves),
	TEST(cold_objects_are_not_touched),
	TEST(bookkeeping_is_about_half_a_hundredth),
	TEST(memory_from_before_the_backend_stays_good),
	TEST(the_number_of_mappings_has_a_limit),
	TEST(the_check_sees_a_wrong_count_and_a_wrong_bit),
};
TEST_MAIN(tests)
