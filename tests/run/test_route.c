/* SPDX-License-Identifier: MIT */
/*
 * Which mappings are managed: the table of run/route.c.
 */
#include "run/route.h"

#include <sys/mman.h>

#include "support/test.h"

#define KIB ((uint64_t)1 << 10)
#define RW  (PROT_READ | PROT_WRITE)
#define PA  (MAP_PRIVATE | MAP_ANONYMOUS)

static const struct rt_window window = {0x200000000000, 0x300000000000};

static void the_kind_decides_where_no_address_is_fixed(void **state)
{
	static const struct {
		const char *what;
		int prot, flags;
		enum rt_route route;
	} rows[] = {
		{"data", RW, PA, RT_ROUTE_MANAGED},
		{"reserved", PROT_NONE, PA | MAP_NORESERVE, RT_ROUTE_MANAGED},
		{"populated", RW, PA | MAP_POPULATE, RT_ROUTE_MANAGED},
		{"code", RW | PROT_EXEC, PA, RT_ROUTE_HOST},
		{"stack", RW, PA | MAP_STACK, RT_ROUTE_HOST},
		{"growing stack", RW, PA | MAP_GROWSDOWN, RT_ROUTE_HOST},
		{"locked", RW, PA | MAP_LOCKED, RT_ROUTE_HOST},
		{"huge", RW, PA | MAP_HUGETLB, RT_ROUTE_HOST},
		{"low", RW, PA | MAP_32BIT, RT_ROUTE_HOST},
		{"shared", RW, MAP_SHARED | MAP_ANONYMOUS, RT_ROUTE_HOST},
		{"shared, checked", RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, RT_ROUTE_HOST},
		{"file", RW, MAP_PRIVATE, RT_ROUTE_HOST},
		{"of no type", RW, MAP_ANONYMOUS, RT_ROUTE_HOST},
		{"with odd protection", 0x40, PA, RT_ROUTE_HOST},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		enum rt_route got =
			rt_route_mmap(&window, 0, 64 * KIB, rows[i].prot, rows[i].flags);

		if (got != rows[i].route)
			fail_msg("%s: %d, not %d", rows[i].what, (int)got, (int)rows[i].route);
	}
}

/*
 *	     before   |  window                          |   after
 *	 a:  [--]     |                                  |
 *	 b:      [--] |                                  |
 *	 c:        [--|--]                               |
 *	 d:           [--]              [--]          [--]
 *	 e:           |                                [-|--]
 *	 f:           |                                  [--]
 */
static void a_fixed_address_decides_by_place(void **state)
{
	const uint64_t page = 4 * KIB;
	static const struct {
		vaddr_t addr;
		uint64_t nr_pages;
		enum rt_route data, file;
	} rows[] = {
		{0x1000, 1, RT_ROUTE_HOST, RT_ROUTE_HOST},
		{0x200000000000 - 0x1000, 1, RT_ROUTE_HOST, RT_ROUTE_HOST},
		{0x200000000000 - 0x1000, 2, RT_ROUTE_NO_ROOM, RT_ROUTE_NO_ROOM},
		{0x200000000000, 1, RT_ROUTE_MANAGED, RT_ROUTE_FOREIGN},
		{0x250000000000, 1, RT_ROUTE_MANAGED, RT_ROUTE_FOREIGN},
		{0x300000000000 - 0x1000, 1, RT_ROUTE_MANAGED, RT_ROUTE_FOREIGN},
		{0x300000000000 - 0x1000, 2, RT_ROUTE_NO_ROOM, RT_ROUTE_NO_ROOM},
		{0x300000000000, 1, RT_ROUTE_HOST, RT_ROUTE_HOST},
		{0x200000000000, 0, RT_ROUTE_HOST, RT_ROUTE_HOST},
		{~(vaddr_t)0xfff, 2, RT_ROUTE_HOST, RT_ROUTE_HOST},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t len = rows[i].nr_pages * page;

		for (int fixed = MAP_FIXED; fixed;
		     fixed = fixed == MAP_FIXED ? MAP_FIXED_NOREPLACE : 0) {
			assert_int_equal(
				rt_route_mmap(&window, rows[i].addr, len, RW, PA | fixed),
				rows[i].data);
			assert_int_equal(rt_route_mmap(&window, rows[i].addr, len, RW,
						       MAP_PRIVATE | fixed),
					 rows[i].file);
			assert_int_equal(rt_route_mmap(&window, rows[i].addr, len, PROT_EXEC,
						       PA | fixed),
					 rows[i].file);
		}
	}
}

static void a_hint_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(rt_route_mmap(&window, 0x1000, KIB, RW, PA), RT_ROUTE_MANAGED);
	assert_int_equal(rt_route_mmap(&window, window.start, KIB, RW, MAP_PRIVATE),
			 RT_ROUTE_HOST);
	assert_int_equal(rt_route_mmap(&window, 0, 0, RW, PA), RT_ROUTE_HOST);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_kind_decides_where_no_address_is_fixed),
	cmocka_unit_test(a_fixed_address_decides_by_place),
	cmocka_unit_test(a_hint_changes_nothing),
};
TEST_MAIN(tests)
