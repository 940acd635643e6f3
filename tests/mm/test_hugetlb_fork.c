/* SPDX-License-Identifier: MIT */
/*
 * Pages of a pool under fork: stories with every counter at each step, and a random life of a
 * family whose every slot, byte, counter and fault is told beforehand by a plain model.
 */
#include <errno.h>
#include <string.h>

#include "machine/soft.h"
#include "mm/hugetlb.h"
#include "policy/policy.h"
#include "ration/sysctl.h"
#include "support/rng.h"
#include "support/test.h"

#define BASE	 0x200000000000ull
#define MIB2	 (512 * PAGE_SIZE)
#define GIB	 (512 * MIB2)
#define NR_SLOTS 6u
#define NR_MMS	 4u
#define RW	 (MM_PROT_READ | MM_PROT_WRITE)
#define HUGE	 (MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_HUGETLB | MM_MAP_FIXED)
#define CAPS	 (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY | MACHINE_HUGE | MACHINE_MAPS_SHARED)

struct world {
	struct machine *machine;
	struct mm_system *sys;
	struct mm *mms[NR_MMS];
};

static void create(struct world *w, uint32_t nr_hugepages, uint32_t nr_1g)
{
	const struct machine_soft_config soft = {
		.nr_frames = nr_1g ? 4 * GIB >> PAGE_SHIFT : 12000, .caps = CAPS};
	struct mm_config cfg = MM_CONFIG_DEFAULT;

	memset(w, 0, sizeof(*w));
	assert_int_equal(machine_soft_create(&soft, &w->machine), 0);
	cfg.machine = w->machine;
	cfg.policy = policy_at(0);
	cfg.window_start = BASE;
	cfg.window_end = BASE + (nr_1g ? 4 * GIB : (NR_SLOTS + 1) * MIB2);
	cfg.nr_hugepages = nr_hugepages;
	cfg.nr_hugepages_1g = nr_1g;
	assert_int_equal(mm_system_create(&cfg, &w->sys), 0);
	assert_int_equal(mm_create(w->sys, &w->mms[0]), 0);
}

static void destroy(struct world *w)
{
	for (unsigned int i = 0; i < NR_MMS; i++)
		if (w->mms[i])
			mm_destroy(w->mms[i]);
	assert_int_equal(mm_check(w->sys), 0);
	mm_system_destroy(w->sys);
	machine_soft_destroy(w->machine);
}

static void expect(struct world *w, const struct mm_hugetlb *want)
{
	struct mm_hugetlb pool;

	assert_int_equal(mm_hugetlb_get(w->sys, HUGE_ORDER_2M, &pool), 0);
	assert_int_equal(pool.total, want->total);
	assert_int_equal(pool.free, want->free);
	assert_int_equal(pool.reserved, want->reserved);
	assert_int_equal(pool.surplus, want->surplus);
	assert_int_equal(mm_check(w->sys), 0);
}

static vaddr_t slot_va(unsigned int slot)
{
	return BASE + slot * MIB2;
}

/* Both ends of the page, so that half a copy is seen. */
static enum mm_fault_result store(struct mm *mm, vaddr_t va, uint64_t len, uint64_t word)
{
	enum mm_fault_result result = machine_soft_mm_store(mm, va, &word, sizeof(word));

	if (result != MM_FAULT_MINOR)
		return result;
	return machine_soft_mm_store(mm, va + len - 8, &word, sizeof(word));
}

static enum mm_fault_result load(struct mm *mm, vaddr_t va, uint64_t len, uint64_t want)
{
	uint64_t words[2] = {0, 0};
	enum mm_fault_result result = machine_soft_mm_load(mm, va, &words[0], 8);

	if (result != MM_FAULT_MINOR)
		return result;
	assert_int_equal(machine_soft_mm_load(mm, va + len - 8, &words[1], 8), MM_FAULT_MINOR);
	assert_int_equal(words[0], want);
	assert_int_equal(words[1], want);
	return result;
}

enum op { END, MAP, UNMAP, DROP, WRITE, READ, FORK, EXIT };

/*
 * MAP, UNMAP: slots [arg, arg + nr). DROP: MADV_DONTNEED of one. WRITE: nr goes to slot arg.
 * READ: nr is found in slot arg. FORK: arg is the child's number.
 */
struct step {
	enum op op;
	unsigned int who, arg, nr;
	enum mm_fault_result result;
	struct mm_hugetlb pool; /* afterwards: total, free, reserved, surplus */
};

#define P 0
#define C 1
#define G 2

static const struct story {
	const char *name;
	unsigned int nr_hugepages, nr_overcommit;
	struct step steps[16];
} stories[] = {
	{"a child copies while there is room",
	 3,
	 0,
	 {{MAP, P, 0, 1, 0, {3, 3, 1, 0}},
	  {WRITE, P, 0, 7, MM_FAULT_MINOR, {3, 2, 0, 0}},
	  {FORK, P, C, 0, 0, {3, 2, 0, 0}},
	  {READ, C, 0, 7, MM_FAULT_MINOR, {3, 2, 0, 0}},
	  {WRITE, C, 0, 8, MM_FAULT_MINOR, {3, 1, 0, 0}},
	  {READ, P, 0, 7, MM_FAULT_MINOR, {3, 1, 0, 0}},
	  {WRITE, P, 0, 9, MM_FAULT_MINOR, {3, 1, 0, 0}}, /* its own again */
	  {READ, C, 0, 8, MM_FAULT_MINOR, {3, 1, 0, 0}},
	  {EXIT, C, 0, 0, 0, {3, 2, 0, 0}},
	  {UNMAP, P, 0, 1, 0, {3, 3, 0, 0}}}},
	{"a parent's copy is one page more than it was promised",
	 2,
	 0,
	 {{MAP, P, 0, 1, 0, {2, 2, 1, 0}},
	  {WRITE, P, 0, 7, MM_FAULT_MINOR, {2, 1, 0, 0}},
	  {FORK, P, C, 0, 0, {2, 1, 0, 0}},
	  {WRITE, P, 0, 8, MM_FAULT_MINOR, {2, 0, 0, 0}},
	  {READ, C, 0, 7, MM_FAULT_MINOR, {2, 0, 0, 0}},
	  {WRITE, C, 0, 9, MM_FAULT_MINOR, {2, 0, 0, 0}},
	  {DROP, P, 0, 0, 0, {2, 1, 1, 0}}, /* the promise is whole again */
	  {EXIT, C, 0, 0, 0, {2, 2, 1, 0}},
	  {UNMAP, P, 0, 1, 0, {2, 2, 0, 0}}}},
	{"when the pool is empty the child dies, never the parent",
	 1,
	 0,
	 {{MAP, P, 0, 1, 0, {1, 1, 1, 0}},
	  {WRITE, P, 0, 7, MM_FAULT_MINOR, {1, 0, 0, 0}},
	  {FORK, P, C, 0, 0, {1, 0, 0, 0}},
	  {WRITE, C, 0, 8, MM_FAULT_BUS, {1, 0, 0, 0}},
	  {READ, C, 0, 7, MM_FAULT_MINOR, {1, 0, 0, 0}},
	  {WRITE, P, 0, 9, MM_FAULT_MINOR, {1, 0, 0, 0}}, /* takes it from the child */
	  {READ, C, 0, 0, MM_FAULT_BUS, {1, 0, 0, 0}},
	  {READ, P, 0, 9, MM_FAULT_MINOR, {1, 0, 0, 0}},
	  {UNMAP, P, 0, 1, 0, {1, 1, 0, 0}},
	  {READ, C, 0, 0, MM_FAULT_BUS, {1, 1, 0, 0}}, /* zeroes would be wrong */
	  {UNMAP, C, 0, 1, 0, {1, 1, 0, 0}}}},
	{"a promise is not inherited",
	 2,
	 0,
	 {{MAP, P, 0, 2, 0, {2, 2, 2, 0}},
	  {WRITE, P, 0, 7, MM_FAULT_MINOR, {2, 1, 1, 0}},
	  {FORK, P, C, 0, 0, {2, 1, 1, 0}},
	  {WRITE, C, 0, 8, MM_FAULT_BUS, {2, 1, 1, 0}},
	  {READ, C, 1, 0, MM_FAULT_BUS, {2, 1, 1, 0}},
	  {WRITE, P, 0, 9, MM_FAULT_MINOR, {2, 1, 1, 0}},
	  {WRITE, P, 1, 10, MM_FAULT_MINOR, {2, 0, 0, 0}},
	  {EXIT, C, 0, 0, 0, {2, 0, 0, 0}}}},
	{"what is taken is taken from all, and their children know",
	 1,
	 0,
	 {{MAP, P, 0, 1, 0, {1, 1, 1, 0}},
	  {WRITE, P, 0, 7, MM_FAULT_MINOR, {1, 0, 0, 0}},
	  {FORK, P, C, 0, 0, {1, 0, 0, 0}},
	  {FORK, C, G, 0, 0, {1, 0, 0, 0}},
	  {READ, G, 0, 7, MM_FAULT_MINOR, {1, 0, 0, 0}},
	  {WRITE, G, 0, 8, MM_FAULT_BUS, {1, 0, 0, 0}},
	  {WRITE, P, 0, 9, MM_FAULT_MINOR, {1, 0, 0, 0}},
	  {READ, G, 0, 0, MM_FAULT_BUS, {1, 0, 0, 0}},
	  {EXIT, G, 0, 0, 0, {1, 0, 0, 0}},
	  {EXIT, P, 0, 0, 0, {1, 1, 0, 0}},
	  {FORK, C, G, 0, 0, {1, 1, 0, 0}},
	  {READ, G, 0, 0, MM_FAULT_BUS, {1, 1, 0, 0}},
	  {READ, C, 0, 0, MM_FAULT_BUS, {1, 1, 0, 0}}}},
	{"a promise is spent where the page stays with a child",
	 1,
	 0,
	 {{MAP, P, 0, 1, 0, {1, 1, 1, 0}},
	  {WRITE, P, 0, 7, MM_FAULT_MINOR, {1, 0, 0, 0}},
	  {FORK, P, C, 0, 0, {1, 0, 0, 0}},
	  {DROP, P, 0, 0, 0, {1, 0, 0, 0}},
	  {WRITE, P, 0, 8, MM_FAULT_BUS, {1, 0, 0, 0}},
	  {WRITE, C, 0, 9, MM_FAULT_MINOR, {1, 0, 0, 0}}, /* nobody else has it */
	  {EXIT, C, 0, 0, 0, {1, 1, 0, 0}},
	  {READ, P, 0, 0, MM_FAULT_MINOR, {1, 0, 0, 0}},
	  {DROP, P, 0, 0, 0, {1, 1, 1, 0}},
	  {UNMAP, P, 0, 1, 0, {1, 1, 0, 0}}}},
	{"copies are surplus where that is allowed",
	 1,
	 1,
	 {{MAP, P, 0, 1, 0, {1, 1, 1, 0}},
	  {WRITE, P, 0, 7, MM_FAULT_MINOR, {1, 0, 0, 0}},
	  {FORK, P, C, 0, 0, {1, 0, 0, 0}},
	  {FORK, P, G, 0, 0, {1, 0, 0, 0}},
	  {WRITE, C, 0, 8, MM_FAULT_MINOR, {2, 0, 0, 1}},
	  {WRITE, G, 0, 9, MM_FAULT_BUS, {2, 0, 0, 1}},
	  {EXIT, C, 0, 0, 0, {1, 0, 0, 0}},
	  {WRITE, G, 0, 9, MM_FAULT_MINOR, {2, 0, 0, 1}},
	  {READ, P, 0, 7, MM_FAULT_MINOR, {2, 0, 0, 1}},
	  {EXIT, P, 0, 0, 0, {1, 0, 0, 0}}}},
	{"each part of an area that is cut has its promises",
	 4,
	 0,
	 {{MAP, P, 0, 4, 0, {4, 4, 4, 0}},
	  {WRITE, P, 0, 7, MM_FAULT_MINOR, {4, 3, 3, 0}},
	  {WRITE, P, 3, 8, MM_FAULT_MINOR, {4, 2, 2, 0}},
	  {FORK, P, C, 0, 0, {4, 2, 2, 0}},
	  {UNMAP, P, 1, 1, 0, {4, 2, 1, 0}},
	  {WRITE, P, 2, 9, MM_FAULT_MINOR, {4, 1, 0, 0}},
	  {UNMAP, P, 0, 1, 0, {4, 1, 0, 0}}, /* the child has the page */
	  {WRITE, C, 3, 10, MM_FAULT_MINOR, {4, 0, 0, 0}},
	  {READ, C, 0, 7, MM_FAULT_MINOR, {4, 0, 0, 0}},
	  {EXIT, C, 0, 0, 0, {4, 2, 0, 0}},
	  {UNMAP, P, 2, 2, 0, {4, 4, 0, 0}}}},
};

static enum mm_fault_result run_call(struct world *w, const struct step *step)
{
	struct mm *mm = w->mms[step->who];
	vaddr_t addr = slot_va(step->arg);

	switch (step->op) {
	case MAP:
		assert_int_equal(mm_map(mm, addr, step->nr * MIB2, RW, HUGE, &addr), 0);
		break;
	case UNMAP:
		assert_int_equal(mm_unmap(mm, addr, step->nr * MIB2), 0);
		break;
	case DROP:
		assert_int_equal(mm_advise(mm, addr, MIB2, MM_MADV_DONTNEED), 0);
		break;
	case FORK:
		assert_int_equal(mm_fork(mm, &w->mms[step->arg]), 0);
		break;
	case EXIT:
		mm_destroy(mm);
		w->mms[step->who] = NULL;
		break;
	case WRITE:
		return store(mm, addr, MIB2, step->nr);
	default:
		return load(mm, addr, MIB2, step->nr);
	}
	return step->result;
}

static void stories_with_every_counter(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		const struct story *story = &stories[i];
		struct world w;

		print_message("%s\n", story->name);
		create(&w, story->nr_hugepages, 0);
		assert_int_equal(mm_sysctl_set(w.sys, "vm.nr_overcommit_hugepages",
					       story->nr_overcommit),
				 0);
		for (const struct step *step = story->steps; step->op != END; step++) {
			assert_int_equal(run_call(&w, step), step->result);
			expect(&w, &step->pool);
		}
		destroy(&w);
	}
}

static void pages_of_1_gib_are_shared_too(void **state)
{
	struct mm_hugetlb pool;
	struct world w;
	vaddr_t addr;

	(void)state;
	create(&w, 0, 2);
	assert_int_equal(mm_map(w.mms[P], BASE, GIB, RW, HUGE | MM_MAP_HUGE_1GB, &addr), 0);
	assert_int_equal(machine_soft_mm_store(w.mms[P], addr + MIB2, "one", 4), 0);
	assert_int_equal(mm_fork(w.mms[P], &w.mms[C]), 0);
	assert_int_equal(mm_check(w.sys), 0);
	assert_int_equal(mm_hugetlb_get(w.sys, HUGE_ORDER_1G, &pool), 0);
	assert_int_equal(pool.free, 1);
	destroy(&w);
}

static void advice_for_fork(void **state)
{
	static const struct mm_hugetlb after = {3, 2, 1, 0};
	struct world w;
	vaddr_t addr;

	(void)state;
	create(&w, 3, 0);
	assert_int_equal(mm_map(w.mms[P], BASE, 2 * MIB2, RW, HUGE, &addr), 0);
	assert_int_equal(store(w.mms[P], addr, MIB2, 5), MM_FAULT_MINOR);
	assert_int_equal(mm_advise(w.mms[P], addr, MIB2, MM_MADV_WIPEONFORK), -EINVAL);
	assert_int_equal(mm_advise(w.mms[P], addr, MIB2, MM_MADV_DONTFORK), 0);
	assert_int_equal(mm_fork(w.mms[P], &w.mms[C]), 0);
	assert_int_equal(load(w.mms[C], addr, MIB2, 0), MM_FAULT_SEGV);
	assert_int_equal(store(w.mms[P], addr, MIB2, 6), MM_FAULT_MINOR);
	expect(&w, &after);
	destroy(&w);
}

/* Whoever is at work on a sharer or on the page is waited for. */
static void who_is_at_work_is_waited_for(void **state)
{
	struct huge_leaf leaf;
	struct world w;
	vaddr_t addr;

	(void)state;
	create(&w, 1, 0);
	assert_int_equal(mm_map(w.mms[P], BASE, MIB2, RW, HUGE, &addr), 0);
	assert_int_equal(store(w.mms[P], addr, MIB2, 5), MM_FAULT_MINOR);
	assert_int_equal(mm_fork(w.mms[P], &w.mms[C]), 0);
	assert_true(mm_write_trylock(w.mms[C]));
	assert_int_equal(mm_fault(w.mms[P], addr, MM_ACCESS_WRITE), MM_FAULT_RETRY);
	w.mms[C]->users = 0;
	assert_true(huge_find(w.mms[C], addr, &leaf));
	huge_leaf_page(&leaf)->flags |= PG_locked;
	assert_int_equal(mm_fault(w.mms[P], addr, MM_ACCESS_WRITE), MM_FAULT_RETRY);
	huge_leaf_page(&leaf)->flags &= ~(uint32_t)PG_locked;
	assert_int_equal(load(w.mms[C], addr, MIB2, 5), MM_FAULT_MINOR);
	assert_int_equal(mm_check(w.sys), 0);
	assert_int_equal(store(w.mms[P], addr, MIB2, 6), MM_FAULT_MINOR);
	assert_int_equal(load(w.mms[C], addr, MIB2, 0), MM_FAULT_BUS);
	destroy(&w);
}

static void a_copy_is_whole(void **state)
{
	struct world w;
	vaddr_t addr;

	(void)state;
	create(&w, 2, 0);
	assert_int_equal(mm_map(w.mms[P], BASE, MIB2, RW, HUGE, &addr), 0);
	for (uint64_t i = 0; i < 512; i++)
		assert_int_equal(machine_soft_mm_store(w.mms[P], addr + i * PAGE_SIZE, &i, 8),
				 MM_FAULT_MINOR);
	assert_int_equal(mm_fork(w.mms[P], &w.mms[C]), 0);
	assert_int_equal(machine_soft_mm_store(w.mms[C], addr + 8, "child", 6), MM_FAULT_MINOR);
	for (uint64_t i = 0; i < 512; i++) {
		uint64_t word = 0;

		assert_int_equal(machine_soft_mm_load(w.mms[C], addr + i * PAGE_SIZE, &word, 8),
				 MM_FAULT_MINOR);
		assert_int_equal(word, i);
	}
	destroy(&w);
}

/* Each allocation of a fork fails once: nothing has changed, and the parent goes on writing. */
static void a_fork_that_fails_changes_nothing(void **state)
{
	static const struct mm_hugetlb before = {3, 1, 1, 0};
	struct world w;
	unsigned int nth = 0;
	vaddr_t addr;
	int err;

	(void)state;
	create(&w, 3, 0);
	assert_int_equal(mm_map(w.mms[P], BASE, 3 * MIB2, RW, HUGE, &addr), 0);
	assert_int_equal(store(w.mms[P], slot_va(0), MIB2, 5), MM_FAULT_MINOR);
	assert_int_equal(store(w.mms[P], slot_va(2), MIB2, 6), MM_FAULT_MINOR);
	do {
		w.sys->fail_alloc = ++nth;
		err = mm_fork(w.mms[P], &w.mms[C]);
		w.sys->fail_alloc = 0;
		expect(&w, &before);
		if (err)
			assert_int_equal(store(w.mms[P], slot_va(0), MIB2, 5), MM_FAULT_MINOR);
		assert_int_equal(load(w.mms[P], slot_va(2), MIB2, 6), MM_FAULT_MINOR);
	} while (err && nth < 100);
	assert_in_range(nth, 5, 99);
	assert_int_equal(load(w.mms[C], slot_va(0), MIB2, 5), MM_FAULT_MINOR);
	destroy(&w);
}

/* The model: pages by number, areas by number in each address space; 0 is none. */
#define NR_PAGES (NR_MMS * NR_SLOTS + 1)
#define NR_AREAS 200u
#define STEPS	 2500

struct model_area {
	bool is_owner, is_lost;
	unsigned int nr_promised;
};

struct model_mm {
	unsigned int page[NR_SLOTS], area[NR_SLOTS];
	struct model_area areas[NR_AREAS];
	unsigned int nr_areas;
};

struct life {
	struct world w;
	struct rng rng;
	struct mm_hugetlb pool;
	unsigned int nr_overcommit;
	unsigned int refs[NR_PAGES];
	uint64_t words[NR_PAGES], last;
	struct model_mm mms[NR_MMS];
};

static bool pool_grow(struct life *l)
{
	if (l->pool.surplus == l->nr_overcommit)
		return false;
	l->pool.total++;
	l->pool.free++;
	l->pool.surplus++;
	return true;
}

static void pool_trim(struct life *l)
{
	while (l->pool.surplus > 0 && l->pool.free > l->pool.reserved) {
		l->pool.total--;
		l->pool.free--;
		l->pool.surplus--;
	}
}

static bool pool_reserve(struct life *l, unsigned int nr)
{
	while (l->pool.free - l->pool.reserved < nr) {
		if (!pool_grow(l)) {
			pool_trim(l);
			return false;
		}
	}
	l->pool.reserved += nr;
	return true;
}

/* A page; 0: none. */
static unsigned int pool_get(struct life *l, struct model_area *area)
{
	unsigned int page = 1;

	if (area && area->nr_promised > 0) {
		area->nr_promised--;
		l->pool.reserved--;
	} else if (l->pool.free == l->pool.reserved && !pool_grow(l)) {
		return 0;
	}
	l->pool.free--;
	while (l->refs[page] > 0)
		page++;
	l->refs[page] = 1;
	l->words[page] = 0;
	return page;
}

static void slot_put(struct life *l, struct model_mm *mm, unsigned int slot)
{
	struct model_area *area = &mm->areas[mm->area[slot]];
	unsigned int page = mm->page[slot];

	mm->page[slot] = 0;
	if (page == 0 || --l->refs[page] > 0)
		return;
	l->pool.free++;
	if (area->is_owner) {
		area->nr_promised++;
		l->pool.reserved++;
	}
	pool_trim(l);
}

/* The slots of one area from here on become another. */
static void area_cut(struct model_mm *mm, unsigned int slot)
{
	unsigned int was = slot < NR_SLOTS ? mm->area[slot] : 0, nr_empty = 0;
	struct model_area *tail = &mm->areas[mm->nr_areas];

	if (was == 0 || slot == 0 || mm->area[slot - 1] != was)
		return;
	*tail = mm->areas[was];
	for (; slot < NR_SLOTS && mm->area[slot] == was; slot++) {
		nr_empty += mm->page[slot] == 0;
		mm->area[slot] = mm->nr_areas;
	}
	if (tail->nr_promised > nr_empty)
		tail->nr_promised = nr_empty;
	mm->areas[was].nr_promised -= tail->nr_promised;
	mm->nr_areas++;
}

static void model_unmap(struct life *l, struct model_mm *mm, unsigned int first,
			unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		slot_put(l, mm, i);
	area_cut(mm, first);
	area_cut(mm, first + nr);
	for (unsigned int i = first; i < first + nr; i++) {
		struct model_area *area = &mm->areas[mm->area[i]];

		l->pool.reserved -= area->nr_promised;
		area->nr_promised = 0;
		mm->area[i] = 0;
		pool_trim(l);
	}
}

static bool model_map(struct life *l, struct model_mm *mm, unsigned int first, unsigned int nr,
		      bool is_owner)
{
	if (is_owner && !pool_reserve(l, nr))
		return false;
	model_unmap(l, mm, first, nr);
	mm->areas[mm->nr_areas] =
		(struct model_area){.is_owner = is_owner, .nr_promised = is_owner ? nr : 0};
	for (unsigned int i = first; i < first + nr; i++)
		mm->area[i] = mm->nr_areas;
	mm->nr_areas++;
	return true;
}

static void model_fork(struct life *l, const struct model_mm *mm, struct model_mm *child)
{
	*child = *mm;
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		l->refs[child->page[i]] += child->page[i] != 0;
	for (unsigned int i = 0; i < NR_AREAS; i++) {
		child->areas[i].is_owner = false;
		child->areas[i].nr_promised = 0;
	}
}

/* All others lose the page. */
static void model_take(struct life *l, const struct model_mm *mm, unsigned int slot)
{
	for (unsigned int i = 0; i < NR_MMS; i++) {
		struct model_mm *other = &l->mms[i];

		if (other == mm || other->page[slot] != mm->page[slot])
			continue;
		other->areas[other->area[slot]].is_lost = true;
		slot_put(l, other, slot);
	}
}

static enum mm_fault_result model_write_shared(struct life *l, struct model_mm *mm,
					       unsigned int slot)
{
	unsigned int page = pool_get(l, NULL), old = mm->page[slot];

	if (page == 0 && !mm->areas[mm->area[slot]].is_owner)
		return MM_FAULT_BUS;
	if (page == 0) {
		model_take(l, mm, slot);
		return MM_FAULT_MINOR;
	}
	l->words[page] = l->words[old];
	l->refs[old]--;
	mm->page[slot] = page;
	return MM_FAULT_MINOR;
}

static enum mm_fault_result model_touch(struct life *l, struct model_mm *mm, unsigned int slot,
					bool is_write)
{
	struct model_area *area = &mm->areas[mm->area[slot]];

	if (mm->area[slot] == 0)
		return MM_FAULT_SEGV;
	if (mm->page[slot] == 0) {
		if (!area->is_lost)
			mm->page[slot] = pool_get(l, area);
		return mm->page[slot] ? MM_FAULT_MINOR : MM_FAULT_BUS;
	}
	if (is_write && l->refs[mm->page[slot]] > 1)
		return model_write_shared(l, mm, slot);
	return MM_FAULT_MINOR;
}

static void life_touch(struct life *l, unsigned int who, unsigned int slot, bool is_write)
{
	struct model_mm *mm = &l->mms[who];
	enum mm_fault_result want = model_touch(l, mm, slot, is_write);
	vaddr_t va = slot_va(slot);

	if (is_write)
		assert_int_equal(store(l->w.mms[who], va, MIB2, ++l->last), want);
	else
		assert_int_equal(load(l->w.mms[who], va, MIB2, l->words[mm->page[slot]]), want);
	if (is_write && want == MM_FAULT_MINOR)
		l->words[mm->page[slot]] = l->last;
}

static void life_map(struct life *l, unsigned int who, unsigned int first, unsigned int nr)
{
	bool is_owner = rng_chance(&l->rng, 70);
	int flags = HUGE | (is_owner ? 0 : MM_MAP_NORESERVE);
	vaddr_t addr = slot_va(first);
	int want = model_map(l, &l->mms[who], first, nr, is_owner) ? 0 : -ENOMEM;

	assert_int_equal(mm_map(l->w.mms[who], addr, nr * MIB2, RW, flags, &addr), want);
}

static void life_unmap(struct life *l, unsigned int who, unsigned int first, unsigned int nr)
{
	model_unmap(l, &l->mms[who], first, nr);
	assert_int_equal(mm_unmap(l->w.mms[who], slot_va(first), nr * MIB2), 0);
}

static void life_drop(struct life *l, unsigned int who, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		slot_put(l, &l->mms[who], i);
	mm_advise(l->w.mms[who], slot_va(first), nr * MIB2,
		  MM_MADV_DONTNEED); /* holes: an error */
}

/* A child is made, or one ends; the first stays. */
static void life_fork_or_exit(struct life *l, unsigned int who)
{
	unsigned int other = (unsigned int)rng_between(&l->rng, 1, NR_MMS - 1);

	if (!l->w.mms[other]) {
		assert_int_equal(mm_fork(l->w.mms[who], &l->w.mms[other]), 0);
		model_fork(l, &l->mms[who], &l->mms[other]);
		return;
	}
	mm_destroy(l->w.mms[other]);
	l->w.mms[other] = NULL;
	model_unmap(l, &l->mms[other], 0, NR_SLOTS);
}

static void life_step(struct life *l)
{
	unsigned int who = (unsigned int)rng_below(&l->rng, NR_MMS);
	unsigned int first = (unsigned int)rng_below(&l->rng, NR_SLOTS);
	unsigned int nr = (unsigned int)rng_between(&l->rng, 1, NR_SLOTS - first);
	uint64_t dice = rng_below(&l->rng, 100);

	if (!l->w.mms[who])
		who = 0;
	if (l->mms[who].nr_areas > NR_AREAS - 4) {
		life_unmap(l, who, 0, NR_SLOTS);
		l->mms[who].nr_areas = 1;
	} else if (dice < 10) {
		life_map(l, who, first, nr);
	} else if (dice < 15) {
		life_unmap(l, who, first, nr);
	} else if (dice < 20) {
		life_drop(l, who, first, nr);
	} else if (dice < 32) {
		life_fork_or_exit(l, who);
	} else {
		life_touch(l, who, first, dice < 80);
	}
}

static void life_check(struct life *l)
{
	for (unsigned int who = 0; who < NR_MMS; who++)
		for (unsigned int i = 0; l->w.mms[who] && i < NR_SLOTS; i++)
			if (l->mms[who].page[i])
				life_touch(l, who, i, false);
	expect(&l->w, &l->pool);
}

static void any_family_is_as_the_model_says(void **state)
{
	static struct life l;

	(void)state;
	l = (struct life){.rng = rng_make(test_seed()), .nr_overcommit = 2};
	l.pool = (struct mm_hugetlb){.total = 6, .free = 6};
	create(&l.w, (uint32_t)l.pool.total, 0);
	assert_int_equal(mm_sysctl_set(l.w.sys, "vm.nr_overcommit_hugepages", l.nr_overcommit),
			 0);
	for (unsigned int i = 0; i < NR_MMS; i++)
		l.mms[i].nr_areas = 1;
	for (unsigned int i = 0; i < STEPS; i++) {
		life_step(&l);
		life_check(&l);
	}
	destroy(&l.w);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(stories_with_every_counter),
	cmocka_unit_test(pages_of_1_gib_are_shared_too),
	cmocka_unit_test(advice_for_fork),
	cmocka_unit_test(a_copy_is_whole),
	cmocka_unit_test(who_is_at_work_is_waited_for),
	cmocka_unit_test(a_fork_that_fails_changes_nothing),
	cmocka_unit_test(any_family_is_as_the_model_says),
};
TEST_MAIN(tests)
