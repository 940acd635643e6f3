/* SPDX-License-Identifier: MIT */
/*
 * The software machine by itself; what all machines have in common is in conformance.c.
 */
#include "machine/soft.h"

#include <errno.h>
#include <string.h>

#include "mm/pgtable.h"
#include "support/test.h"

#define NR_FRAMES 64
#define VA	  ((vaddr_t)0x200000000000)
#define END	  ((vaddr_t)0x300000000000)
#define RO	  (PTE_PRESENT | PTE_USER | PTE_NX)
#define RW	  (RO | PTE_WRITE)
#define RX	  (PTE_PRESENT | PTE_USER)
#define ALL_CAPS  (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)

struct soft {
	struct machine *m;
	struct machine_space *space;
};

static struct soft create(uint32_t caps)
{
	const struct machine_soft_config cfg = {.nr_frames = NR_FRAMES, .caps = caps};
	struct soft s;

	assert_int_equal(machine_soft_create(&cfg, &s.m), 0);
	assert_int_equal(s.m->ops->space_create(s.m, VA, END, &s.space), 0);
	return s;
}

static void destroy(struct soft *s)
{
	s->m->ops->space_destroy(s->m, s->space);
	machine_soft_destroy(s->m);
}

static int change(struct soft *s, vaddr_t va, pte_t old_pte, pte_t new_pte, pte_t *ret_old)
{
	struct machine_change c = {.va = va, .old_pte = old_pte, .new_pte = new_pte};
	struct machine_batch batch = {.changes = &c, .nr = 1};
	int err = s->m->ops->apply(s->m, s->space, &batch);

	assert_int_equal(batch.nr_done, err ? 0 : 1);
	if (ret_old)
		*ret_old = c.old_pte;
	return err;
}

static void map(struct soft *s, vaddr_t va, pte_t pte)
{
	assert_int_equal(change(s, va, 0, pte, NULL), 0);
}

static void assert_faults(struct soft *s, vaddr_t va, unsigned int access)
{
	struct machine_soft_fault fault = {0};
	char c = 0;
	int err;

	if (access == MM_ACCESS_WRITE)
		err = machine_soft_store(s->space, va, &c, 1, &fault);
	else if (access == MM_ACCESS_EXEC)
		err = machine_soft_fetch(s->space, va, &fault);
	else
		err = machine_soft_load(s->space, va, &c, 1, &fault);
	assert_int_equal(err, -EFAULT);
	assert_int_equal(fault.va, va);
	assert_int_equal(fault.access, access);
}

static void assert_allowed(struct soft *s, vaddr_t va, unsigned int access)
{
	struct machine_soft_fault fault;
	char c = 0;

	assert_int_equal(machine_soft_load(s->space, va, &c, 1, &fault), 0);
	if (access == MM_ACCESS_WRITE)
		assert_int_equal(machine_soft_store(s->space, va, &c, 1, &fault), 0);
	if (access == MM_ACCESS_EXEC)
		assert_int_equal(machine_soft_fetch(s->space, va, &fault), 0);
}

static void the_bits_say_what_is_allowed(void **state)
{
	struct soft s = create(ALL_CAPS);

	(void)state;
	map(&s, VA, pte_make(1, RO));
	map(&s, VA + PAGE_SIZE, pte_make(2, RW));
	map(&s, END - PAGE_SIZE, pte_make(3, RX));
	assert_allowed(&s, VA, MM_ACCESS_READ);
	assert_faults(&s, VA, MM_ACCESS_WRITE);
	assert_faults(&s, VA, MM_ACCESS_EXEC);
	assert_allowed(&s, VA + PAGE_SIZE, MM_ACCESS_WRITE);
	assert_faults(&s, VA + PAGE_SIZE, MM_ACCESS_EXEC);
	assert_allowed(&s, END - 1, MM_ACCESS_EXEC);
	assert_faults(&s, END - 1, MM_ACCESS_WRITE);
	destroy(&s);
}

/* Every level of the tree absent in turn, and addresses that no table covers. */
static void what_no_table_covers_faults(void **state)
{
	static const vaddr_t vas[] = {
		VA + PAGE_SIZE, VA + (1 << 21), VA + (1 << 30), VA + ((vaddr_t)1 << 39), 0,
		PGTABLE_VA_MAX, UINT64_MAX,
	};
	struct soft s = create(ALL_CAPS);

	(void)state;
	map(&s, VA, pte_make(1, RW));
	for (size_t i = 0; i < sizeof(vas) / sizeof(*vas); i++) {
		assert_faults(&s, vas[i], MM_ACCESS_READ);
		assert_faults(&s, vas[i], MM_ACCESS_WRITE);
		assert_faults(&s, vas[i], MM_ACCESS_EXEC);
	}
	destroy(&s);
}

/*
 *	[ page 0: frame 5 ][ page 1: frame 3 ][ page 2: none ]
 *	            ^.......................................^	the fault is at page 2
 */
static void an_access_stops_at_the_page_that_faults(void **state)
{
	struct soft s = create(ALL_CAPS);
	struct machine_soft_fault fault;
	char out[3 * PAGE_SIZE], in[3 * PAGE_SIZE] = {0};

	(void)state;
	memset(out, 'x', sizeof(out));
	map(&s, VA, pte_make(5, RW));
	map(&s, VA + PAGE_SIZE, pte_make(3, RW));
	assert_int_equal(machine_soft_store(s.space, VA + 100, out, sizeof(out) - 100, &fault),
			 -EFAULT);
	assert_int_equal(fault.va, VA + 2 * PAGE_SIZE);
	assert_int_equal(s.m->ram[5 * PAGE_SIZE + 99], 0);
	assert_memory_equal(s.m->ram + 5 * PAGE_SIZE + 100, out, PAGE_SIZE - 100);
	assert_memory_equal(s.m->ram + 3 * PAGE_SIZE, out, PAGE_SIZE);
	assert_int_equal(machine_soft_load(s.space, VA, in, sizeof(in), &fault), -EFAULT);
	assert_memory_equal(in + 100, out, 2 * PAGE_SIZE - 100);
	assert_int_equal(in[2 * PAGE_SIZE], 0);
	destroy(&s);
}

/* What the machine sets in a page's entry, by its caps and by what was done. */
static void caps_say_which_bits_are_set(void **state)
{
	static const struct {
		uint32_t caps;
		pte_t after_load, after_store;
	} table[] = {
		{0, 0, 0},
		{MACHINE_SETS_ACCESSED, PTE_ACCESSED, PTE_ACCESSED},
		{MACHINE_SETS_DIRTY, 0, PTE_DIRTY},
		{ALL_CAPS, PTE_ACCESSED, PTE_ACCESSED | PTE_DIRTY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct soft s = create(table[i].caps);
		pte_t pte = pte_make(1, RW), old;

		assert_int_equal(s.m->ops->harvest != NULL,
				 (table[i].caps & MACHINE_SETS_ACCESSED) != 0);
		map(&s, VA, pte);
		assert_int_equal(change(&s, VA, pte, 0, &old), 0);
		assert_int_equal(old, pte);
		map(&s, VA, pte);
		assert_allowed(&s, VA, MM_ACCESS_READ);
		assert_int_equal(change(&s, VA, pte, 0, &old), 0);
		assert_int_equal(old, pte | table[i].after_load);
		map(&s, VA, pte);
		assert_allowed(&s, VA, MM_ACCESS_WRITE);
		assert_int_equal(change(&s, VA, pte, 0, &old), 0);
		assert_int_equal(old, pte | table[i].after_store);
		destroy(&s);
	}
}

static void what_is_forgotten_comes_back_with_its_bits(void **state)
{
	struct soft s = create(ALL_CAPS);
	pte_t pte = pte_make(1, RW), old;

	(void)state;
	map(&s, VA, pte);
	assert_allowed(&s, VA, MM_ACCESS_WRITE);
	machine_soft_forget(s.space, VA, END);
	assert_faults(&s, VA, MM_ACCESS_READ);
	assert_int_equal(change(&s, VA, 0, pte, NULL), -EEXIST);
	assert_int_equal(change(&s, VA, pte, pte, NULL), 0);
	assert_allowed(&s, VA, MM_ACCESS_READ);
	machine_soft_forget(s.space, VA, END);
	assert_int_equal(change(&s, VA, pte, 0, &old), 0);
	assert_int_equal(old, pte | PTE_ACCESSED | PTE_DIRTY);
	destroy(&s);
}

static void apply_fails_when_a_test_wants_it(void **state)
{
	static const struct {
		uint32_t nr_done, expected;
	} table[] = {{0, 0}, {1, 1}, {2, 2}, {3, 2}, {100, 2}};
	struct machine_soft_fault fault;
	char c;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct soft s = create(ALL_CAPS);
		struct machine_change changes[3];
		struct machine_batch batch = {.changes = changes, .nr = 3};

		for (pfn_t j = 0; j < 3; j++)
			changes[j] = (struct machine_change){.va = VA + j * PAGE_SIZE,
							     .new_pte = pte_make(j, RW)};
		machine_soft_fail(s.m, SOFT_APPLY,
				  &(struct machine_soft_failure){2, -EBUSY, table[i].nr_done});
		map(&s, END - PAGE_SIZE, pte_make(9, RW));
		assert_int_equal(s.m->ops->apply(s.m, s.space, &batch), -EBUSY);
		assert_int_equal(batch.nr_done, table[i].expected);
		for (uint32_t j = 0; j < 3; j++)
			assert_int_equal(
				machine_soft_load(s.space, VA + j * PAGE_SIZE, &c, 1, &fault),
				j < table[i].expected ? 0 : -EFAULT);
		map(&s, END - 2 * PAGE_SIZE, pte_make(10, RW));
		destroy(&s);
	}
}

static void other_ops_fail_when_a_test_wants_it(void **state)
{
	const struct machine_soft_failure failure = {1, -ENOMEM, 0};
	struct soft s = create(ALL_CAPS);
	struct machine_space *space = NULL;
	vaddr_t end = VA + PAGE_SIZE;

	(void)state;
	machine_soft_fail(s.m, SOFT_SPACE_CREATE, &failure);
	assert_int_equal(s.m->ops->space_create(s.m, VA, END, &space), -ENOMEM);
	assert_null(space);
	machine_soft_fail(s.m, SOFT_REGION, &failure);
	assert_int_equal(s.m->ops->region(s.m, s.space, VA, end, MACHINE_REGION_UNMAP, 0), 0);
	assert_int_equal(s.m->ops->region(s.m, s.space, VA, end, MACHINE_REGION_MAP, 0),
			 -ENOMEM);
	assert_int_equal(s.m->ops->region(s.m, s.space, VA, end, MACHINE_REGION_MAP, 0), 0);
	destroy(&s);
}

static void create_wants_frames(void **state)
{
	const struct machine_soft_config none = {.nr_frames = 0};
	const struct machine_soft_config one = {.nr_frames = 1};
	struct machine *m = NULL;

	(void)state;
	assert_int_equal(machine_soft_create(&none, &m), -EINVAL);
	assert_null(m);
	assert_int_equal(machine_soft_create(&one, &m), 0);
	assert_int_equal(m->nr_frames, 1);
	machine_soft_destroy(m);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_bits_say_what_is_allowed),
	cmocka_unit_test(what_no_table_covers_faults),
	cmocka_unit_test(an_access_stops_at_the_page_that_faults),
	cmocka_unit_test(caps_say_which_bits_are_set),
	cmocka_unit_test(what_is_forgotten_comes_back_with_its_bits),
	cmocka_unit_test(apply_fails_when_a_test_wants_it),
	cmocka_unit_test(other_ops_fail_when_a_test_wants_it),
	cmocka_unit_test(create_wants_frames),
};

TEST_MAIN(tests)
