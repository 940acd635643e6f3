/* SPDX-License-Identifier: MIT */
#include "malloc/class.h"

#include "support/test.h"

static void every_size_gets_the_smallest_class_that_holds_it(void **state)
{
	(void)state;
	assert_int_equal(class_of(0), 0);
	for (uint64_t size = 1; size <= CLASS_SIZE_MAX; size++) {
		unsigned int class = class_of(size);

		assert_in_range(class, 0, NR_CLASSES - 1);
		assert_true(class_size(class) >= size);
		assert_true(class == 0 || class_size(class - 1) < size);
	}
	assert_int_equal(class_size(NR_CLASSES - 1), CLASS_SIZE_MAX);
}

static void a_class_wastes_at_most_a_ninth(void **state)
{
	(void)state;
	for (unsigned int class = 8; class < NR_CLASSES; class ++) {
		uint64_t smallest = class_size(class - 1) + 1;

		assert_true((class_size(class) - smallest) * 9 < class_size(class));
	}
}

static void a_multiple_of_an_alignment_gets_an_aligned_class(void **state)
{
	(void)state;
	for (uint64_t align = CLASS_ALIGN; align <= PAGE_SIZE; align *= 2)
		for (uint64_t size = align; size <= CLASS_SIZE_MAX; size += align)
			assert_int_equal(class_size(class_of(size)) % align, 0);
}

static void a_run_wastes_at_most_a_sixteenth(void **state)
{
	struct class_layout layout;

	(void)state;
	for (unsigned int class = 0; class < NR_CLASSES; class ++) {
		class_layout_init(&layout, class);
		uint64_t bytes = layout.nr_pages * PAGE_SIZE;
		uint64_t used = (uint64_t)layout.nr_objects * layout.size;

		assert_in_range(layout.nr_pages, 4, CLASS_PAGES_MAX);
		assert_in_range(layout.nr_objects, 1, CLASS_OBJECTS_MAX);
		assert_int_equal(layout.nr_words, (layout.nr_objects + 63) / 64);
		assert_true(used <= bytes && (bytes - used) * 16 <= bytes);
	}
}

static void an_index_is_the_quotient(void **state)
{
	struct class_layout layout;

	(void)state;
	for (unsigned int class = 0; class < NR_CLASSES; class ++) {
		class_layout_init(&layout, class);
		for (uint64_t offset = 0; offset < CLASS_PAGES_MAX * PAGE_SIZE; offset++)
			assert_int_equal(class_index(&layout, offset), offset / layout.size);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_size_gets_the_smallest_class_that_holds_it),
	cmocka_unit_test(a_class_wastes_at_most_a_ninth),
	cmocka_unit_test(a_multiple_of_an_alignment_gets_an_aligned_class),
	cmocka_unit_test(a_run_wastes_at_most_a_sixteenth),
	cmocka_unit_test(an_index_is_the_quotient),
};
TEST_MAIN(tests)
