/* SPDX-License-Identifier: MIT */
/*
 * The public calls one by one: what becomes of pages, and what a call leaves behind when memory
 * runs out or the machine refuses.
 */
#include "vma/space.h"

#include <errno.h>
#include <string.h>

#define PAGES 1024 /* two leaf tables */
#define ANON  (MM_MAP_PRIVATE | MM_MAP_ANONYMOUS)
#define FIXED (ANON | MM_MAP_FIXED)
#define RW    (MM_PROT_READ | MM_PROT_WRITE)

static struct space s;

static int setup(void **state)
{
	const struct space_config cfg = {.nr_pages = PAGES, .nr_frames = 2048, .nr_slots = 512};

	(void)state;
	space_create(&s, &cfg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	space_destroy(&s);
	return 0;
}

static vaddr_t va(unsigned int page)
{
	return space_va(&s, page);
}

/* What the model has afterwards; the calls are the test's. */
static void model_set(unsigned int first, unsigned int end, uint32_t flags)
{
	for (unsigned int i = first; i < end; i++)
		s.model[i] = (struct model_page){.is_mapped = true, .flags = flags};
}

static void model_clear(unsigned int first, unsigned int end)
{
	memset(&s.model[first], 0, (end - first) * sizeof(s.model[0]));
}

static void map(unsigned int first, unsigned int end, int prot)
{
	vaddr_t addr;

	assert_int_equal(mm_map(s.mm, va(first), (end - first) * PAGE_SIZE, prot, FIXED, &addr),
			 0);
	model_set(first, end, (uint32_t)prot);
}

static void fill(unsigned int first, unsigned int end)
{
	for (unsigned int i = first; i < end; i++)
		space_store(&s, i);
}

static void to_swap(unsigned int first, unsigned int end)
{
	assert_int_equal(mm_advise(s.mm, va(first), (end - first) * PAGE_SIZE, MM_MADV_PAGEOUT),
			 0);
	space_settle(&s);
	assert_true(s.mm->nr_swapped > 0);
}

static uint64_t stat(enum mm_vmstat_item item)
{
	return s.sys->vmstat[item];
}

static void check_content(void)
{
	space_check(&s);
	space_load_all(&s);
}

/* Frames, slots and tables go with the range: present, untranslated and swapped pages. */
static void unmap_gives_everything_back(void **state)
{
	uint64_t nr_translated;

	(void)state;
	map(0, 200, RW);
	fill(0, 200);
	to_swap(0, 50);
	assert_int_equal(mm_protect(s.mm, va(50), 50 * PAGE_SIZE, MM_PROT_READ), 0);
	model_clear(0, 200);
	nr_translated = 200 - s.mm->nr_swapped - 50;
	assert_int_equal(mm_unmap(s.mm, va(0), 200 * PAGE_SIZE), 0);
	assert_int_equal(s.machine.nr_discarded, nr_translated);
	space_settle(&s);
	check_content();
	assert_int_equal(stat(MM_VMSTAT_nr_anon_pages), 0);
	assert_int_equal(stat(MM_VMSTAT_nr_swap_slots_used), 0);
	assert_int_equal(stat(MM_VMSTAT_nr_page_table_pages), 1); /* the PGD */
}

static void dontneed_leaves_the_area_and_zeroes(void **state)
{
	(void)state;
	map(0, 40, RW);
	fill(0, 40);
	to_swap(10, 20);
	assert_int_equal(mm_advise(s.mm, va(5), 30 * PAGE_SIZE, MM_MADV_DONTNEED), 0);
	for (unsigned int i = 5; i < 35; i++)
		s.model[i].stamp = 0;
	check_content();
}

static void remap_moves_what_is_resident_and_what_is_swapped(void **state)
{
	vaddr_t addr;

	(void)state;
	map(0, 40, RW);
	fill(0, 40);
	to_swap(10, 20);
	assert_int_equal(mm_remap(s.mm, va(0), 40 * PAGE_SIZE, 60 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, va(300), &addr),
			 0);
	assert_int_equal(addr, va(300));
	memcpy(&s.model[300], &s.model[0], 40 * sizeof(s.model[0]));
	model_set(340, 360, RW);
	model_clear(0, 40);
	check_content();
}

static void protection_is_kept(void **state)
{
	(void)state;
	map(0, 12, RW);
	fill(0, 12);
	assert_int_equal(mm_protect(s.mm, va(4), 4 * PAGE_SIZE, MM_PROT_READ), 0);
	assert_int_equal(mm_protect(s.mm, va(8), 4 * PAGE_SIZE, MM_PROT_NONE), 0);
	for (unsigned int i = 4; i < 12; i++)
		s.model[i].flags = i < 8 ? VMA_READ : 0;
	check_content();
	space_store(&s, 0);
	space_store(&s, 5); /* is refused, as the model knows */
	space_store(&s, 9);
	assert_int_equal(mm_protect(s.mm, va(0), 12 * PAGE_SIZE, RW), 0);
	for (unsigned int i = 4; i < 12; i++)
		s.model[i].flags = RW;
	check_content();
}

/* A batch is 512 changes, a table 512 entries: ranges that are not their multiple. */
static void large_ranges_go_in_batches(void **state)
{
	const struct space_config cfg = {.nr_pages = SPACE_PAGES_MAX, .nr_frames = 4096};

	(void)state;
	space_destroy(&s);
	space_create(&s, &cfg);
	map(3, 1020, RW);
	fill(3, 1020);
	assert_int_equal(mm_unmap(s.mm, va(7), 1000 * PAGE_SIZE), 0);
	model_clear(7, 1007);
	check_content();
	assert_int_equal(s.mm->nr_resident, 17);
}

static void writers_are_refused_while_a_reader_is_in(void **state)
{
	vaddr_t addr = 1;

	(void)state;
	map(0, 4, RW);
	sys_lock(s.sys);
	assert_true(mm_read_trylock(s.mm));
	sys_unlock(s.sys);
	assert_int_equal(mm_map(s.mm, 0, PAGE_SIZE, RW, ANON, &addr), -EAGAIN);
	assert_int_equal(mm_unmap(s.mm, va(0), PAGE_SIZE), -EAGAIN);
	assert_int_equal(mm_protect(s.mm, va(0), PAGE_SIZE, MM_PROT_NONE), -EAGAIN);
	assert_int_equal(mm_remap(s.mm, va(0), PAGE_SIZE, 9 * PAGE_SIZE, 0, 0, &addr), -EAGAIN);
	assert_int_equal(mm_advise(s.mm, va(0), PAGE_SIZE, MM_MADV_RANDOM), -EAGAIN);
	assert_int_equal(mm_brk(s.mm, va(9), &addr), -EAGAIN);
	assert_int_equal(addr, 1);
	sys_lock(s.sys);
	mm_read_unlock(s.mm);
	sys_unlock(s.sys);
	space_check(&s);
}

static void what_is_not_done_is_said(void **state)
{
	static const int flags[] = {
		MM_MAP_PRIVATE,	     MM_MAP_SHARED,	      MM_MAP_SHARED | MM_MAP_ANONYMOUS,
		ANON | MM_MAP_32BIT, ANON | MM_MAP_GROWSDOWN, ANON | MM_MAP_HUGETLB,
	};
	vaddr_t addr = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		assert_int_equal(mm_map(s.mm, 0, PAGE_SIZE, RW, flags[i], &addr), -EOPNOTSUPP);
	assert_int_equal(mm_map(s.mm, va(0) - PAGE_SIZE, PAGE_SIZE, RW, FIXED, &addr), -ENOMEM);
	assert_int_equal(mm_map(s.mm, va(PAGES), PAGE_SIZE, RW, FIXED, &addr), -ENOMEM);
	assert_int_equal(addr, 1);
	space_check(&s);
}

/* The number of areas is at its limit: a cut is refused, what needs none is not. */
static void too_many_areas(void **state)
{
	uint64_t nr;
	vaddr_t addr;

	(void)state;
	map(0, 8, RW);
	map(10, 12, RW);
	nr = s.mm->nr_vmas;
	s.mm->nr_vmas = VMA_COUNT_MAX;
	assert_int_equal(mm_unmap(s.mm, va(2), PAGE_SIZE), -ENOMEM);
	assert_int_equal(mm_protect(s.mm, va(2), PAGE_SIZE, 0), -ENOMEM);
	assert_int_equal(mm_advise(s.mm, va(2), PAGE_SIZE, MM_MADV_RANDOM), -EAGAIN);
	assert_int_equal(mm_remap(s.mm, va(0), PAGE_SIZE, PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, va(20), &addr),
			 -ENOMEM);
	assert_int_equal(mm_unmap(s.mm, va(10), 2 * PAGE_SIZE), 0);
	s.mm->nr_vmas = VMA_COUNT_MAX + 1;
	assert_int_equal(mm_map(s.mm, 0, PAGE_SIZE, RW, ANON, &addr), -ENOMEM);
	s.mm->nr_vmas = nr - 1;
	model_clear(10, 12);
	space_check(&s);
}

/*
 * In bytes from the heap's start, step by step. The hole of a page above the heap is Linux's;
 * so is that an area in the way is no reason to lose what there is.
 */
static void brk_is_linuxs(void **state)
{
	static const struct {
		uint64_t brk, ends; /* asked for; where it ends then */
		int err;
	} table[] = {
		{0, 0, 0},
		{1, 1, 0},
		{PAGE_SIZE, PAGE_SIZE, 0},
		{5 * PAGE_SIZE + 7, 5 * PAGE_SIZE + 7, 0},
		{(uint64_t)-1, 5 * PAGE_SIZE + 7, 0}, /* below the start: asks */
		{8 * PAGE_SIZE, 5 * PAGE_SIZE + 7, -ENOMEM},
		{7 * PAGE_SIZE, 5 * PAGE_SIZE + 7, -ENOMEM + 0},
		{6 * PAGE_SIZE, 6 * PAGE_SIZE, 0},
		{2 * PAGE_SIZE, 2 * PAGE_SIZE, 0},
		{0, 0, 0},
	};
	vaddr_t now = 0;

	(void)state;
	map(7, 9, MM_PROT_READ);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		unsigned int end = (unsigned int)((table[i].ends + PAGE_SIZE - 1) / PAGE_SIZE);

		assert_int_equal(mm_brk(s.mm, s.mm->start_brk + table[i].brk, &now),
				 table[i].err);
		assert_int_equal(s.mm->brk - s.mm->start_brk, table[i].ends);
		if (!table[i].err)
			assert_int_equal(now, s.mm->brk);
		model_clear(0, 7);
		model_set(0, end, RW);
		space_check(&s);
		if (end) {
			space_store(&s, end - 1);
			s.model[end - 1].stamp = 0; /* is set anew above */
		}
	}
	assert_int_equal(mm_brk(s.mm, va(PAGES) + 1, &now), -ENOMEM);
}

static void heap_keeps_its_content_when_it_moves(void **state)
{
	vaddr_t now;

	(void)state;
	assert_int_equal(mm_brk(s.mm, va(10), &now), 0);
	model_set(0, 10, RW);
	fill(0, 10);
	assert_int_equal(mm_brk(s.mm, va(20), &now), 0);
	model_set(10, 20, RW);
	check_content();
	fill(10, 20);
	assert_int_equal(mm_brk(s.mm, va(5), &now), 0);
	model_clear(5, 20);
	check_content();
	assert_int_equal(mm_brk(s.mm, va(20), &now), 0);
	model_set(5, 20, RW);
	check_content(); /* what comes back is zero */
}

/*
 *	 0    4    8    12    16
 *	 [ RW )[ foreign )[ RW )     the machine hears nothing of what is foreign
 */
static void foreign_areas_only_have_a_place(void **state)
{
	struct mm_area area;
	vaddr_t addr;

	(void)state;
	map(0, 16, RW);
	fill(0, 16);
	assert_int_equal(mm_map(s.mm, va(4), 8 * PAGE_SIZE, MM_PROT_READ,
				MM_MAP_SHARED | MM_MAP_FIXED | MM_MAP_FOREIGN, &addr),
			 0);
	model_set(4, 12, VMA_READ | VMA_FOREIGN);
	check_content();
	assert_int_equal(mm_query(s.mm, va(0), &area), 0);
	assert_false(area.is_foreign);
	assert_int_equal(mm_query(s.mm, area.end, &area), 0);
	assert_true(area.is_foreign);
	assert_int_equal(area.start, va(4));
	assert_int_equal(area.end, va(12));
	assert_int_equal(area.prot, MM_PROT_READ);

	assert_int_equal(mm_protect(s.mm, va(0), 16 * PAGE_SIZE, RW), 0);
	model_set(4, 12, RW | VMA_FOREIGN);
	assert_int_equal(mm_advise(s.mm, va(4), 8 * PAGE_SIZE, MM_MADV_DONTNEED), 0);
	check_content();
	assert_int_equal(mm_remap(s.mm, va(4), PAGE_SIZE, PAGE_SIZE, 0, 0, &addr), -EOPNOTSUPP);
	assert_int_equal(mm_remap(s.mm, va(0), 8 * PAGE_SIZE, 8 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, va(100), &addr),
			 -EOPNOTSUPP);
	assert_int_equal(mm_remap(s.mm, va(0), 8 * PAGE_SIZE, PAGE_SIZE, 0, 0, &addr),
			 -EOPNOTSUPP);
	check_content();

	map(6, 8, RW); /* in its middle */
	check_content();
	assert_int_equal(mm_unmap(s.mm, va(2), 12 * PAGE_SIZE), 0);
	model_clear(2, 14);
	check_content();
	assert_int_equal(mm_query(s.mm, va(16), &area), -ENOENT);
}

static void replay_tells_the_machine_everything_again(void **state)
{
	vaddr_t addr;

	(void)state;
	map(0, 4, RW);
	map(4, 8, MM_PROT_READ);
	map(20, 30, RW | MM_PROT_EXEC);
	assert_int_equal(mm_map(s.mm, va(40), PAGE_SIZE, RW, FIXED | MM_MAP_FOREIGN, &addr), 0);
	model_set(40, 41, RW | VMA_FOREIGN);
	sys_lock(s.sys);
	assert_true(mm_write_trylock(s.mm));
	memset(s.machine.prots, 0xff, sizeof(s.machine.prots));
	s.machine.refuse_region = (struct refusal){.nth = 2, .err = -ENOMEM};
	assert_int_equal(mm_replay_regions(s.mm), -ENOMEM);
	memset(s.machine.prots, 0xff, sizeof(s.machine.prots));
	assert_int_equal(mm_replay_regions(s.mm), 0);
	mm_write_unlock(s.mm);
	sys_unlock(s.sys);
	space_check(&s);
}

static void an_end_goes_on_where_the_machine_refuses(void **state)
{
	(void)state;
	map(0, 20, RW);
	fill(0, 20);
	s.machine.refuse_apply = (struct refusal){.nth = 1, .nr_done = 5, .err = -EAGAIN};
	/* teardown ends the space, and sees that nothing is left */
}

/*
 * The scene of the failures below: an area with resident, untranslated and swapped pages, one
 * more above, which some moves replace. Others go to another leaf table.
 *
 *	 0      20      40            60           100     130
 *	 [  RW  )[ READ )             [ RW|EXEC )
 */
static void scene(void)
{
	map(0, 20, RW);
	map(20, 40, RW);
	map(60, 100, RW | MM_PROT_EXEC);
	fill(0, 40);
	to_swap(5, 10);
	fill(60, 100);
	assert_int_equal(mm_protect(s.mm, va(20), 20 * PAGE_SIZE, MM_PROT_READ), 0);
	for (unsigned int i = 20; i < 40; i++)
		s.model[i].flags = VMA_READ;
	check_content();
}

enum action {
	MAP,
	MAP_OVER,
	UNMAP,
	PROTECT,
	ADVISE_FLAGS,
	DONTNEED,
	GROW,
	GROW_IN_PLACE,
	SHRINK,
	MOVE,
	MOVE_OVER,
	MOVE_SEVERAL,
	DONTUNMAP,
	BRK,
	NR_ACTIONS
};

static int act(enum action action)
{
	const int fixed = MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED;
	vaddr_t addr;

	switch (action) {
	case MAP:
		return mm_map(s.mm, va(200), 10 * PAGE_SIZE, RW, FIXED, &addr);
	case MAP_OVER:
		return mm_map(s.mm, va(3), 50 * PAGE_SIZE, MM_PROT_EXEC, FIXED, &addr);
	case UNMAP:
		return mm_unmap(s.mm, va(3), 10 * PAGE_SIZE);
	case PROTECT:
		return mm_protect(s.mm, va(3), 20 * PAGE_SIZE, MM_PROT_NONE);
	case ADVISE_FLAGS:
		return mm_advise(s.mm, va(3), 10 * PAGE_SIZE, MM_MADV_RANDOM);
	case DONTNEED:
		return mm_advise(s.mm, va(3), 80 * PAGE_SIZE, MM_MADV_DONTNEED) == -ENOMEM
			       ? 0
			       : -EAGAIN;
	case GROW:
		return mm_remap(s.mm, va(3), 10 * PAGE_SIZE, 30 * PAGE_SIZE, MM_MREMAP_MAYMOVE,
				0, &addr);
	case GROW_IN_PLACE:
		return mm_remap(s.mm, va(30), 10 * PAGE_SIZE, 20 * PAGE_SIZE, 0, 0, &addr);
	case SHRINK:
		return mm_remap(s.mm, va(3), 10 * PAGE_SIZE, 2 * PAGE_SIZE, 0, 0, &addr);
	case MOVE:
		return mm_remap(s.mm, va(3), 10 * PAGE_SIZE, 10 * PAGE_SIZE, fixed, va(600),
				&addr);
	case MOVE_OVER:
		return mm_remap(s.mm, va(3), 10 * PAGE_SIZE, 8 * PAGE_SIZE, fixed, va(62),
				&addr);
	case MOVE_SEVERAL:
		return mm_remap(s.mm, va(3), 80 * PAGE_SIZE, 80 * PAGE_SIZE, fixed, va(603),
				&addr);
	case DONTUNMAP:
		return mm_remap(s.mm, va(3), 10 * PAGE_SIZE, 10 * PAGE_SIZE,
				fixed | MM_MREMAP_DONTUNMAP, va(62), &addr);
	default:
		return mm_brk(s.mm, va(110), &addr) == -ENOMEM ? 0 : -EAGAIN;
	}
}

static void move_model(unsigned int from, unsigned int nr, unsigned int to)
{
	memcpy(&s.model[to], &s.model[from], nr * sizeof(s.model[0]));
}

static void act_in_model(enum action action)
{
	switch (action) {
	case MAP:
		model_set(200, 210, RW);
		break;
	case MAP_OVER:
		model_set(3, 53, VMA_EXEC);
		break;
	case UNMAP:
		model_clear(3, 13);
		break;
	case PROTECT:
		for (unsigned int i = 3; i < 23; i++)
			s.model[i].flags = 0;
		break;
	case ADVISE_FLAGS:
		for (unsigned int i = 3; i < 13; i++)
			s.model[i].flags |= VMA_RAND_READ;
		break;
	case DONTNEED:
		for (unsigned int i = 3; i < 83; i++)
			s.model[i].stamp = 0;
		break;
	case GROW: /* the window's top is free */
		model_set(PAGES - 30, PAGES, RW);
		move_model(3, 10, PAGES - 30);
		model_clear(3, 13);
		break;
	case GROW_IN_PLACE:
		model_set(40, 50, VMA_READ);
		break;
	case SHRINK:
		model_clear(5, 13);
		break;
	case MOVE:
		move_model(3, 10, 600);
		model_clear(3, 13);
		break;
	case MOVE_OVER:
		move_model(3, 8, 62);
		model_clear(3, 13);
		break;
	case MOVE_SEVERAL:
		move_model(3, 80, 603);
		model_clear(3, 83);
		break;
	case DONTUNMAP:
		move_model(3, 10, 62);
		for (unsigned int i = 3; i < 13; i++)
			s.model[i].stamp = 0;
		break;
	default:
		break;
	}
}

static void restart(void)
{
	space_destroy(&s);
	setup(NULL);
	scene();
}

/*
 * Each allocation of each call fails once. The call has changed nothing then, and may be made
 * again (there is memory: it is told so).
 */
static void a_failed_allocation_changes_nothing(void **state)
{
	(void)state;
	for (enum action action = 0; action < NR_ACTIONS; action++) {
		unsigned int nr_failures = 0;
		int err = -EAGAIN;

		restart();
		for (uint64_t nth = 1; err == -EAGAIN; nth++) {
			uint64_t tables = s.mm->nr_tables;

			s.sys->fail_alloc = nth;
			err = act(action);
			if (s.sys->fail_alloc)
				break; /* fewer than nth allocations: it was let through */
			assert_int_equal(err, -EAGAIN);
			assert_int_equal(s.mm->nr_tables, tables);
			check_content();
			nr_failures++;
		}
		s.sys->fail_alloc = 0;
		assert_int_equal(err, 0);
		act_in_model(action);
		check_content();
		/* All but these must take an area or a table at least. */
		if (action != DONTNEED && action != GROW_IN_PLACE && action != BRK)
			assert_in_range(nr_failures, 1, 20);
	}
}

/* Content goes in the course of it, before the end if the machine stops in between. */
static bool throws_away(enum action action)
{
	switch (action) {
	case MAP_OVER:
	case UNMAP:
	case DONTNEED:
	case SHRINK:
	case MOVE_OVER:
	case DONTUNMAP: /* what is at the new place */
		return true;
	default:
		return false;
	}
}

/*
 * The machine lets go of some pages and not of others. The call answers -EAGAIN; made again, it
 * ends. In between the space is consistent, and no content is lost but what the call throws
 * away.
 */
static void a_machine_that_is_busy(void **state)
{
	(void)state;
	for (enum action action = 0; action < NR_ACTIONS; action++) {
		for (unsigned int nr_done = 0; nr_done < 12; nr_done += 3) {
			uint64_t tables;
			bool was_refused;

			restart();
			tables = s.mm->nr_tables;
			s.machine.refuse_apply = (struct refusal){
				.nth = 1 + nr_done % 2, .nr_done = nr_done, .err = -EBUSY};
			if (act(action) == 0) {
				was_refused = s.machine.refuse_apply.nth == 0;
				assert_false(was_refused);
				s.machine.refuse_apply.nth = 0;
			} else {
				space_check(&s);
				if (!throws_away(action)) {
					assert_int_equal(s.mm->nr_tables, tables);
					space_load_all(&s);
				}
				assert_int_equal(act(action), 0);
			}
			act_in_model(action);
			check_content();
		}
	}
}

/* It refuses for good to have the range: what the call would make is not made. */
static void a_machine_that_refuses_a_region(void **state)
{
	static const enum action actions[] = {MAP,	 MAP_OVER,	PROTECT,
					      GROW,	 GROW_IN_PLACE, MOVE,
					      MOVE_OVER, MOVE_SEVERAL,	DONTUNMAP};

	(void)state;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		restart();
		s.machine.refuse_region = (struct refusal){.nth = 1, .err = -ENOMEM};
		assert_int_equal(act(actions[i]), -ENOMEM);
		/* What was to be replaced is gone (POSIX), and what was to be cut off. */
		if (actions[i] == MAP_OVER)
			model_clear(3, 53);
		if (actions[i] == MOVE_OVER)
			model_clear(62, 70);
		if (actions[i] == MOVE_OVER)
			model_clear(11, 13);
		if (actions[i] == DONTUNMAP)
			model_clear(62, 72);
		check_content();
	}
}

/* The second area's region is refused: of the first nothing is left at the new place. */
static void a_machine_that_refuses_the_second_region(void **state)
{
	(void)state;
	restart();
	s.machine.refuse_region = (struct refusal){.nth = 2, .err = -ENOMEM};
	assert_int_equal(act(MOVE_SEVERAL), -ENOMEM);
	check_content();
	/* mprotect() goes area by area, as Linux does: the first is changed. */
	s.machine.refuse_region = (struct refusal){.nth = 2, .err = -ENOMEM};
	assert_int_equal(act(PROTECT), -ENOMEM);
	for (unsigned int i = 3; i < 20; i++)
		s.model[i].flags = 0;
	check_content();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	CASE(unmap_gives_everything_back),
	CASE(dontneed_leaves_the_area_and_zeroes),
	CASE(remap_moves_what_is_resident_and_what_is_swapped),
	CASE(protection_is_kept),
	CASE(large_ranges_go_in_batches),
	CASE(writers_are_refused_while_a_reader_is_in),
	CASE(what_is_not_done_is_said),
	CASE(too_many_areas),
	CASE(brk_is_linuxs),
	CASE(heap_keeps_its_content_when_it_moves),
	CASE(foreign_areas_only_have_a_place),
	CASE(replay_tells_the_machine_everything_again),
	CASE(an_end_goes_on_where_the_machine_refuses),
	CASE(a_failed_allocation_changes_nothing),
	CASE(a_machine_that_is_busy),
	CASE(a_machine_that_refuses_a_region),
	CASE(a_machine_that_refuses_the_second_region),
};
TEST_MAIN(tests)
