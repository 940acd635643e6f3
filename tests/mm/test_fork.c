/* SPDX-License-Identifier: MIT */
/*
 * mm_fork(), copy on write, and what of memory changes hands by them, on the soft machine.
 */
#include <errno.h>
#include <string.h>

#include "mm/reclaim.h"
#include "mm/vma.h"
#include "support/test.h"
#include "world.h"

#define RW    (MM_PROT_READ | MM_PROT_WRITE)
#define TELLS (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)
#define PAGES 64 /* that most tests share */

/* Both ends of a page, through an address space. */
static void poke(struct world *w, struct mm *mm, unsigned int page, uint64_t value)
{
	struct mm *was = w->mm;

	w->mm = mm;
	assert_in_range(world_access(w, world_va(page), &value, true), 0, MM_FAULT_MAJOR);
	value = ~value;
	assert_in_range(world_access(w, world_va(page) + PAGE_SIZE - 8, &value, true), 0,
			MM_FAULT_MAJOR);
	w->mm = was;
}

static uint64_t peek(struct world *w, struct mm *mm, unsigned int page)
{
	struct mm *was = w->mm;
	uint64_t head, tail;

	w->mm = mm;
	assert_in_range(world_access(w, world_va(page), &head, false), 0, MM_FAULT_MAJOR);
	assert_in_range(world_access(w, world_va(page) + PAGE_SIZE - 8, &tail, false), 0,
			MM_FAULT_MAJOR);
	w->mm = was;
	assert_true(head == 0 ? tail == 0 : tail == ~head);
	return head;
}

static void advise(struct world *w, struct mm *mm, unsigned int first, unsigned int nr,
		   int advice)
{
	int err = -EAGAIN;

	for (unsigned int i = 0; i < 1000 && err == -EAGAIN; i++) {
		err = mm_advise(mm, world_va(first), nr * PAGE_SIZE, advice);
		world_step(w);
	}
	assert_int_equal(err, 0);
}

static struct mm *fork_of(struct world *w, struct mm *parent)
{
	struct mm *child = NULL;

	assert_int_equal(mm_fork(parent, &child), 0);
	world_check(w);
	return child;
}

static struct page *page_at(struct mm *mm, unsigned int page)
{
	pte_t *pte = pgtable_lookup(mm, world_va(page));

	return pte && pte_is_resident(*pte) ? page_of(mm->sys, pte_pfn(*pte)) : NULL;
}

/* PAGES pages, page n holds n + 1. */
static void family_create(struct world *w, const struct world_config *cfg)
{
	world_create(w, cfg);
	world_map(w, 0, PAGES, RW);
	for (unsigned int i = 0; i < PAGES; i++)
		poke(w, w->mm, i, i + 1);
}

static void each_side_has_what_it_had_and_wrote(void **state)
{
	static const uint32_t caps[] = {0, TELLS, MACHINE_SETS_DIRTY, MACHINE_FAULTS_COST};

	(void)state;
	for (unsigned int c = 0; c < 4; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;
		struct mm *child;

		cfg.caps = caps[c];
		family_create(&w, &cfg);
		child = fork_of(&w, w.mm);
		assert_int_equal(WSTAT(&w, nr_anon_pages), PAGES);
		assert_int_equal(child->nr_resident, PAGES);
		for (unsigned int i = 0; i < PAGES; i += 2)
			poke(&w, i % 4 ? w.mm : child, i, 1000 + i);
		world_check(&w);
		for (unsigned int i = 0; i < PAGES; i++) {
			uint64_t mine = i % 4 == 2 ? 1000 + i : i + 1;
			uint64_t childs = i % 4 == 0 ? 1000 + i : i + 1;

			assert_int_equal(peek(&w, w.mm, i), mine);
			assert_int_equal(peek(&w, child, i), childs);
		}
		assert_int_equal(WSTAT(&w, pgcow), PAGES / 2);
		assert_int_equal(WSTAT(&w, nr_anon_pages), PAGES + PAGES / 2);
		mm_destroy(child);
		world_check(&w);
		world_destroy(&w);
	}
}

/* What is translated in the parent needs no fault in the child to be read, nor there. */
static void reading_after_a_fork_is_no_fault(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	uint64_t nr_faults;
	struct world w;
	struct mm *child;

	(void)state;
	family_create(&w, &cfg);
	child = fork_of(&w, w.mm);
	nr_faults = WSTAT(&w, pgfault);
	for (unsigned int i = 0; i < PAGES; i++) {
		assert_int_equal(peek(&w, w.mm, i), i + 1);
		assert_int_equal(peek(&w, child, i), i + 1);
	}
	assert_int_equal(WSTAT(&w, pgfault), nr_faults);
	mm_destroy(child);
	world_destroy(&w);
}

/* With the other side gone a write needs no copy. */
static void the_last_one_takes_a_page_back(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct page *page, *copied;
	struct world w;
	struct mm *child;

	(void)state;
	family_create(&w, &cfg);
	child = fork_of(&w, w.mm);
	page = page_at(w.mm, 5);
	copied = page_at(w.mm, 6);
	assert_int_equal(page->mapcount, 2);
	poke(&w, child, 6, 77); /* the child has a copy, page 6 is the parent's alone */
	assert_ptr_equal(page_at(w.mm, 6), copied);
	assert_int_equal(copied->mapcount, 1);
	mm_destroy(child);
	poke(&w, w.mm, 5, 50);
	poke(&w, w.mm, 6, 60);
	assert_ptr_equal(page_at(w.mm, 5), page);
	assert_ptr_equal(page_at(w.mm, 6), copied);
	assert_true(page_is_exclusive(page) && page->mm == w.mm);
	assert_int_equal(WSTAT(&w, pgcow), 1);
	assert_int_equal(WSTAT(&w, pgreuse), 2);
	world_check(&w);
	world_destroy(&w);
}

/* The parent may go first, and the family is gone with the last. */
static void a_parent_may_exit_first(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	struct mm *child, *grandchild;

	(void)state;
	family_create(&w, &cfg);
	child = fork_of(&w, w.mm);
	grandchild = fork_of(&w, child);
	assert_int_equal(page_at(child, 0)->mapcount, 3);
	mm_destroy(w.mm);
	world_check(&w);
	mm_destroy(child);
	world_check(&w);
	for (unsigned int i = 0; i < PAGES; i++)
		assert_int_equal(peek(&w, grandchild, i), i + 1);
	w.mm = grandchild;
	world_destroy(&w);
}

/* One slot for both, one read for both. */
static void swapped_pages_are_shared_too(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	struct mm *child;

	(void)state;
	cfg.page_cluster = 0;
	family_create(&w, &cfg);
	advise(&w, w.mm, 0, PAGES, MM_MADV_PAGEOUT);
	world_settle(&w);
	assert_int_equal(w.mm->nr_swapped, PAGES);
	child = fork_of(&w, w.mm);
	assert_int_equal(child->nr_swapped, PAGES);
	assert_int_equal(WSTAT(&w, nr_swap_slots_used), PAGES);
	for (unsigned int i = 0; i < PAGES; i++) {
		assert_int_equal(peek(&w, child, i), i + 1);
		assert_int_equal(peek(&w, w.mm, i), i + 1);
		assert_ptr_equal(page_at(w.mm, i), page_at(child, i));
	}
	assert_int_equal(WSTAT(&w, pswpin), PAGES);
	assert_int_equal(WSTAT(&w, nr_anon_pages), PAGES);
	world_check(&w);
	mm_destroy(child);
	world_destroy(&w);
}

/* A page that is mapped once, but whose slot the other will read, is not written either. */
static void a_slot_that_another_will_read_keeps_its_content(void **state)
{
	static const uint32_t caps[] = {0, TELLS};

	(void)state;
	for (unsigned int c = 0; c < 2; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;
		struct mm *child;

		cfg.caps = caps[c];
		family_create(&w, &cfg);
		advise(&w, w.mm, 0, PAGES, MM_MADV_PAGEOUT);
		world_settle(&w);
		child = fork_of(&w, w.mm);
		for (unsigned int i = 0; i < PAGES; i++) {
			if (i % 2)
				peek(&w, child, i);
			poke(&w, child, i, 500 + i);
		}
		world_check(&w);
		assert_int_equal(WSTAT(&w, pgcow), PAGES);
		for (unsigned int i = 0; i < PAGES; i++) {
			assert_int_equal(peek(&w, w.mm, i), i + 1);
			assert_int_equal(peek(&w, child, i), 500 + i);
		}
		mm_destroy(child);
		world_destroy(&w);
	}
}

/* Memory is short: pages with several mappers leave for all of them at once. */
static void shared_pages_are_reclaimed(void **state)
{
	static const uint32_t caps[] = {0, TELLS, MACHINE_SETS_ACCESSED, MACHINE_FAULTS_COST};

	(void)state;
	for (unsigned int c = 0; c < 4; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct mm *child, *second;
		struct world w;

		cfg.caps = caps[c];
		cfg.mode = SWAPDEV_MEM_RANDOM;
		family_create(&w, &cfg);
		child = fork_of(&w, w.mm);
		second = fork_of(&w, w.mm);
		world_map(&w, PAGES, WORLD_PAGES - PAGES, RW);
		for (unsigned int i = PAGES; i < WORLD_PAGES; i++)
			poke(&w, w.mm, i, i + 1);
		world_settle(&w);
		world_check(&w);
		assert_true(child->nr_swapped > PAGES / 2);
		assert_int_equal(child->nr_swapped, second->nr_swapped);
		for (unsigned int i = 0; i < PAGES; i++) {
			assert_int_equal(peek(&w, second, i), i + 1);
			assert_int_equal(peek(&w, w.mm, i), i + 1);
			assert_int_equal(peek(&w, child, i), i + 1);
		}
		world_check(&w);
		mm_destroy(child);
		mm_destroy(second);
		world_destroy(&w);
	}
}

/* More mappers than one round of reclaim asks, and than a slot's byte can count. */
static void a_page_may_have_hundreds_of_mappers(void **state)
{
	enum { CHILDREN = 300 };
	static struct mm *children[CHILDREN];
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	(void)state;
	cfg.nr_frames = 8192;
	world_create(&w, &cfg);
	world_map(&w, 0, 4, RW);
	for (unsigned int i = 0; i < 4; i++)
		poke(&w, w.mm, i, i + 1);
	for (unsigned int i = 0; i < CHILDREN; i++)
		assert_int_equal(mm_fork(w.mm, &children[i]), 0);
	assert_int_equal(page_at(w.mm, 1)->mapcount, CHILDREN + 1);
	for (unsigned int i = 0; w.mm->nr_swapped < 4; i++) {
		bool was_refused;

		assert_true(i < 1000);
		sys_lock(w.sys);
		reclaim_pages(w.sys, 32, 0, &was_refused);
		sys_unlock(w.sys);
		world_settle(&w);
	}
	world_check(&w);
	assert_int_equal(WSTAT(&w, nr_swap_slots_used), 4);
	assert_int_equal(swap_entry_count(w.sys, *pgtable_lookup(w.mm, world_va(1))),
			 CHILDREN + 1);
	for (unsigned int i = 0; i < CHILDREN; i++) {
		assert_int_equal(peek(&w, children[i], 1), 2);
		if (i % 2)
			poke(&w, children[i], 2, i);
		mm_destroy(children[i]);
	}
	assert_int_equal(peek(&w, w.mm, 2), 3);
	world_check(&w);
	world_destroy(&w);
}

static void advice_says_what_a_child_gets(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct mm_area area;
	struct world w;
	struct mm *child;
	vaddr_t brk;

	(void)state;
	family_create(&w, &cfg);
	advise(&w, w.mm, 0, 4, MM_MADV_DONTFORK);
	advise(&w, w.mm, 4, 4, MM_MADV_WIPEONFORK);
	advise(&w, w.mm, 8, 4, MM_MADV_DONTFORK);
	advise(&w, w.mm, 8, 4, MM_MADV_DOFORK);
	advise(&w, w.mm, 12, 4, MM_MADV_WIPEONFORK);
	advise(&w, w.mm, 12, 4, MM_MADV_KEEPONFORK);
	assert_int_equal(mm_brk(w.mm, 0, &brk), 0);
	child = fork_of(&w, w.mm);
	assert_int_equal(child->brk, brk);
	assert_int_equal(mm_fault(child, world_va(0), MM_ACCESS_READ), MM_FAULT_SEGV);
	assert_int_equal(mm_query(child, world_va(0), &area), 0);
	assert_int_equal(area.start, world_va(4));
	for (unsigned int i = 4; i < PAGES; i++)
		assert_int_equal(peek(&w, child, i), i < 8 ? 0 : i + 1);
	for (unsigned int i = 0; i < PAGES; i++)
		assert_int_equal(peek(&w, w.mm, i), i + 1);
	/* and so for the child's children */
	poke(&w, child, 5, 55);
	mm_destroy(w.mm);
	w.mm = child;
	child = fork_of(&w, w.mm);
	assert_int_equal(peek(&w, child, 5), 0);
	assert_int_equal(peek(&w, w.mm, 5), 55);
	mm_destroy(child);
	world_destroy(&w);
}

/* Shared pages are copied before they move; swap entries move as they are. */
static void a_moved_page_is_found_by_nobody_else(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	struct mm *child;
	vaddr_t addr;

	(void)state;
	family_create(&w, &cfg);
	advise(&w, w.mm, 32, 16, MM_MADV_PAGEOUT);
	world_settle(&w);
	child = fork_of(&w, w.mm);
	assert_int_equal(mm_remap(child, world_va(16), 32 * PAGE_SIZE, 32 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(200), &addr),
			 0);
	world_check(&w);
	for (unsigned int i = 16; i < 48; i++) {
		bool child_first = i % 2 == 0;

		if (child_first)
			assert_int_equal(peek(&w, child, 184 + i), i + 1);
		assert_int_equal(peek(&w, w.mm, i), i + 1);
		poke(&w, child, 184 + i, 900 + i);
		assert_int_equal(peek(&w, w.mm, i), i + 1);
		assert_int_equal(peek(&w, child, 184 + i), 900 + i);
	}
	world_check(&w);
	mm_destroy(child);
	/* the parent's own move, with nobody to share any more */
	assert_int_equal(mm_remap(w.mm, world_va(0), 16 * PAGE_SIZE, 16 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(300), &addr),
			 0);
	world_check(&w);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(peek(&w, w.mm, 300 + i), i + 1);
	world_destroy(&w);
}

/* One of several mappers does not speak for the others. */
static void advice_on_shared_pages_is_of_one_mapper(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	struct mm *child;

	(void)state;
	family_create(&w, &cfg);
	child = fork_of(&w, w.mm);
	advise(&w, child, 0, 16, MM_MADV_DONTNEED);
	advise(&w, child, 16, 16, MM_MADV_FREE);
	advise(&w, child, 32, 16, MM_MADV_PAGEOUT);
	advise(&w, child, 48, 16, MM_MADV_COLD);
	world_settle(&w);
	world_check(&w);
	assert_int_equal(WSTAT(&w, pglazyfree), 0);
	assert_int_equal(WSTAT(&w, pswpout), 0);
	for (unsigned int i = 0; i < PAGES; i++) {
		assert_int_equal(peek(&w, w.mm, i), i + 1);
		assert_int_equal(peek(&w, child, i), i < 16 ? 0 : i + 1);
	}
	world_check(&w);
	mm_destroy(child);
	world_destroy(&w);
}

/* Freed lazily before the fork, dropped after it, for both; but not where one wrote again. */
static void lazily_freed_pages_stay_so(void **state)
{
	static const uint32_t caps[] = {0, TELLS};

	(void)state;
	for (unsigned int c = 0; c < 2; c++) {
		struct world_config cfg = WORLD_CONFIG_DEFAULT;
		struct world w;
		struct mm *child;

		cfg.caps = caps[c];
		family_create(&w, &cfg);
		advise(&w, w.mm, 0, PAGES, MM_MADV_FREE);
		child = fork_of(&w, w.mm);
		poke(&w, child, 3, 33);
		world_map(&w, PAGES, WORLD_PAGES - PAGES, RW);
		for (unsigned int i = PAGES; i < WORLD_PAGES; i++)
			poke(&w, w.mm, i, i + 1);
		world_check(&w);
		assert_true(WSTAT(&w, pglazyfreed) > PAGES / 2);
		for (unsigned int i = 0; i < PAGES; i++) {
			uint64_t mine = peek(&w, w.mm, i), childs = peek(&w, child, i);

			assert_true(mine == 0 || mine == i + 1);
			assert_true(i == 3 ? childs == 33 : childs == 0 || childs == i + 1);
		}
		mm_destroy(child);
		world_destroy(&w);
	}
}

static void it_is_refused_where_it_cannot_be(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct machine_ops ops;
	const struct machine_ops *own;
	struct mm *child = NULL;
	struct world w;

	(void)state;
	cfg.nr_slots = PAGES + PAGES / 2; /* the commit limit, below */
	family_create(&w, &cfg);
	own = w.machine->ops;
	ops = *own;
	ops.caps &= ~(uint32_t)MACHINE_MAPS_SHARED;
	w.machine->ops = &ops;
	assert_int_equal(mm_fork(w.mm, &child), -EOPNOTSUPP);
	assert_int_equal(mm_advise(w.mm, world_va(0), PAGE_SIZE, MM_MADV_DONTFORK), -EINVAL);
	assert_int_equal(mm_advise(w.mm, world_va(0), PAGE_SIZE, MM_MADV_WIPEONFORK), -EINVAL);
	assert_int_equal(mm_advise(w.mm, world_va(0), PAGE_SIZE, MM_MADV_DOFORK), 0);
	w.machine->ops = own;
	sys_lock(w.sys);
	assert_true(mm_read_trylock(w.mm));
	sys_unlock(w.sys);
	assert_int_equal(mm_fork(w.mm, &child), -EAGAIN);
	sys_lock(w.sys);
	mm_read_unlock(w.mm);
	sys_unlock(w.sys);
	w.sys->cfg.overcommit_memory = MM_OVERCOMMIT_NEVER;
	w.sys->tune.overcommit_ratio = 0;
	assert_int_equal(mm_fork(w.mm, &child), -ENOMEM);
	w.sys->cfg.overcommit_memory = MM_OVERCOMMIT_GUESS;
	assert_null(child);
	world_check(&w);
	world_destroy(&w);
}

/* What a call that fails must leave as it was. */
struct numbers {
	uint64_t resident, swapped, tables, vmas, committed, anon, slots, touched, nr_mms;
};

static struct numbers numbers_of(const struct world *w)
{
	struct numbers n = {
		.resident = w->mm->nr_resident,
		.swapped = w->mm->nr_swapped,
		.tables = WSTAT(w, nr_page_table_pages),
		.vmas = w->mm->nr_vmas,
		.committed = w->sys->nr_committed,
		.anon = WSTAT(w, nr_anon_pages),
		.slots = WSTAT(w, nr_swap_slots_used),
		.touched = w->sys->nr_touched,
	};
	struct mm *mm;

	list_for_each_entry (mm, &w->sys->mms, node)
		n.nr_mms++;
	return n;
}

static void assert_nothing_changed(struct world *w, const struct numbers *before)
{
	struct numbers now = numbers_of(w);

	world_check(w);
	assert_memory_equal(&now, before, sizeof(now));
	for (unsigned int i = 0; i < PAGES; i++) {
		assert_int_equal(peek(w, w->mm, i), i + 1);
		poke(w, w->mm, i, i + 1);
	}
}

/* Half of the pages in swap; several tables and areas. */
static void failing_create(struct world *w)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	cfg.caps = TELLS;
	family_create(w, &cfg);
	world_map(w, 600, 8, MM_PROT_READ);
	world_map(w, 700, 8, RW);
	poke(w, w->mm, 700, 1);
}

static void a_fork_that_fails_changes_nothing(void **state)
{
	int err = -ENOMEM;
	unsigned int nth;

	(void)state;
	for (nth = 1; err; nth++) {
		struct numbers before;
		struct mm *child;
		struct world w;

		assert_true(nth < 50);
		failing_create(&w);
		advise(&w, w.mm, 0, PAGES / 2, MM_MADV_PAGEOUT);
		world_settle(&w);
		before = numbers_of(&w);
		w.sys->fail_alloc = nth;
		err = mm_fork(w.mm, &child);
		w.sys->fail_alloc = 0;
		if (err) {
			assert_true(err == -ENOMEM || err == -EAGAIN);
			/* reading them back is what the comparison does */
			before.resident = w.mm->nr_resident;
			before.swapped = w.mm->nr_swapped;
			before.anon = WSTAT(&w, nr_anon_pages);
			before.slots = WSTAT(&w, nr_swap_slots_used);
			assert_nothing_changed(&w, &before);
			assert_int_equal(mm_fork(w.mm, &child), 0);
		}
		mm_destroy(child);
		world_check(&w);
		world_destroy(&w);
	}
	assert_true(nth > 6); /* mm, table, areas, family, tables */
}

static void a_machine_that_refuses_changes_nothing(void **state)
{
	static const int errors[] = {-EAGAIN, -EBUSY, -ENOMEM};

	(void)state;
	for (unsigned int nth = 1; nth < 8; nth++) {
		for (unsigned int op = 0; op < SOFT_NR_OPS; op++) {
			struct machine_soft_failure failure = {
				.nth = nth, .err = errors[nth % 3], .nr_done = 5 * nth};
			struct numbers before;
			struct mm *child = NULL;
			struct world w;
			int err;

			failing_create(&w);
			before = numbers_of(&w);
			machine_soft_fail(w.machine, (enum machine_soft_op)op, &failure);
			err = mm_fork(w.mm, &child);
			machine_soft_fail(w.machine, (enum machine_soft_op)op,
					  &(struct machine_soft_failure){.nth = 0});
			if (err)
				assert_nothing_changed(&w, &before);
			else
				mm_destroy(child);
			world_check(&w);
			world_destroy(&w);
		}
	}
}

static struct {
	struct world *w;
	struct mm *victim;
	const struct machine_ops *own;
	struct machine_ops ops;
} exiting;

static int apply_and_exit(struct machine *m, struct machine_space *space,
			  struct machine_batch *batch)
{
	struct mm *victim = exiting.victim;

	if (victim && victim->space == space && victim->users > 0) {
		exiting.victim = NULL;
		mm_destroy(victim);
	}
	return exiting.own->apply(m, space, batch);
}

/* While reclaim in another thread has its translations in hand. */
static void an_exit_waits_for_reclaim(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	bool was_refused;

	(void)state;
	family_create(&w, &cfg);
	exiting.own = w.machine->ops;
	exiting.ops = *exiting.own;
	exiting.ops.apply = apply_and_exit;
	w.machine->ops = &exiting.ops;
	exiting.w = &w;
	exiting.victim = fork_of(&w, w.mm);
	sys_lock(w.sys);
	reclaim_pages(w.sys, 32, 0, &was_refused);
	reclaim_pages(w.sys, 32, 0, &was_refused);
	sys_unlock(w.sys);
	assert_null(exiting.victim);
	assert_int_equal(numbers_of(&w).nr_mms, 2);
	world_check(&w);
	world_step(&w);
	assert_int_equal(numbers_of(&w).nr_mms, 1);
	for (unsigned int i = 0; i < PAGES; i++)
		assert_int_equal(peek(&w, w.mm, i), i + 1);
	w.machine->ops = exiting.own;
	world_destroy(&w);
}

/* What is shared by its mapping is shared by a fork, not copied. */
static void shared_mappings_stay_shared(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	struct mm *child;
	vaddr_t addr;

	(void)state;
	family_create(&w, &cfg);
	assert_int_equal(mm_map(w.mm, world_va(100), 16 * PAGE_SIZE, RW,
				MM_MAP_SHARED | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr),
			 0);
	poke(&w, w.mm, 101, 1);
	child = fork_of(&w, w.mm);
	assert_int_equal(peek(&w, child, 101), 1);
	poke(&w, child, 102, 2);
	poke(&w, w.mm, 101, 3);
	assert_int_equal(peek(&w, w.mm, 102), 2);
	assert_int_equal(peek(&w, child, 101), 3);
	poke(&w, child, 5, 55);
	assert_int_equal(peek(&w, w.mm, 5), 6);
	assert_int_equal(WSTAT(&w, pgcow), 1);
	world_check(&w);
	mm_destroy(w.mm);
	assert_int_equal(peek(&w, child, 101), 3);
	w.mm = child;
	world_destroy(&w);
}

/* A lock is not inherited, but keeps what the parent maps, and the copies that it gets. */
static void locked_pages_stay_locked_for_the_parent(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	struct mm *child;
	vaddr_t addr;

	(void)state;
	family_create(&w, &cfg);
	assert_int_equal(mm_mlock(w.mm, world_va(0), 32 * PAGE_SIZE, 0), 0);
	assert_int_equal(WSTAT(&w, nr_mlock), 32);
	child = fork_of(&w, w.mm);
	assert_int_equal(WSTAT(&w, nr_mlock), 32);
	poke(&w, child, 1, 100);
	poke(&w, w.mm, 2, 200);
	world_check(&w);
	assert_int_equal(WSTAT(&w, nr_mlock), 32);
	assert_int_equal(mm_remap(child, world_va(0), 16 * PAGE_SIZE, 16 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(200), &addr),
			 0);
	world_check(&w);
	assert_int_equal(WSTAT(&w, nr_mlock), 32);
	assert_int_equal(mm_remap(w.mm, world_va(16), 16 * PAGE_SIZE, 16 * PAGE_SIZE,
				  MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(300), &addr),
			 0);
	world_check(&w);
	assert_int_equal(WSTAT(&w, nr_mlock), 32);
	assert_int_equal(peek(&w, child, 201), 100);
	assert_int_equal(peek(&w, child, 202), 3);
	assert_int_equal(peek(&w, w.mm, 2), 200);
	assert_int_equal(peek(&w, w.mm, 300), 17);
	mm_destroy(child);
	world_check(&w);
	world_destroy(&w);
}

/* What a processor had translated writable before the fork is so no more. */
static void no_tlb_writes_to_what_is_shared(void **state)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;
	struct mm *child;

	(void)state;
	cfg.caps = TELLS;
	cfg.tlb = &tlb_presets[0];
	cfg.nr_cpus = 2;
	family_create(&w, &cfg);
	for (unsigned int round = 0; round < 4; round++) {
		for (unsigned int i = 0; i < PAGES; i++)
			poke(&w, w.mm, i, 1000 * round + i + 1);
		child = fork_of(&w, w.mm);
		for (unsigned int i = 0; i < PAGES; i++) {
			poke(&w, w.mm, i, 7);
			assert_int_equal(peek(&w, child, i), 1000 * round + i + 1);
			poke(&w, child, i, 8);
			assert_int_equal(peek(&w, w.mm, i), 7);
		}
		mm_destroy(child);
	}
	world_destroy(&w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(each_side_has_what_it_had_and_wrote),
	cmocka_unit_test(reading_after_a_fork_is_no_fault),
	cmocka_unit_test(the_last_one_takes_a_page_back),
	cmocka_unit_test(a_parent_may_exit_first),
	cmocka_unit_test(swapped_pages_are_shared_too),
	cmocka_unit_test(a_slot_that_another_will_read_keeps_its_content),
	cmocka_unit_test(shared_pages_are_reclaimed),
	cmocka_unit_test(a_page_may_have_hundreds_of_mappers),
	cmocka_unit_test(advice_says_what_a_child_gets),
	cmocka_unit_test(a_moved_page_is_found_by_nobody_else),
	cmocka_unit_test(advice_on_shared_pages_is_of_one_mapper),
	cmocka_unit_test(lazily_freed_pages_stay_so),
	cmocka_unit_test(it_is_refused_where_it_cannot_be),
	cmocka_unit_test(a_fork_that_fails_changes_nothing),
	cmocka_unit_test(a_machine_that_refuses_changes_nothing),
	cmocka_unit_test(an_exit_waits_for_reclaim),
	cmocka_unit_test(no_tlb_writes_to_what_is_shared),
	cmocka_unit_test(shared_mappings_stay_shared),
	cmocka_unit_test(locked_pages_stay_locked_for_the_parent),
};
TEST_MAIN(tests)
