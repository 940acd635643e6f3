/* SPDX-License-Identifier: MIT */
/*
 * What two threads rarely hit, on one thread: whenever the manager has dropped its lock for an
 * op of the machine or of a swap device, a hook runs other calls in between, as another thread
 * would, and they have hooks of their own, three deep. The machine fails and forgets, and there
 * are several swap areas. mm_check() comes after many of them, and each value is compared.
 *
 * Hooks also fork the address space, at work as it may be, touch what its children have, and
 * end them, while reclaim may have them in its hands.
 *
 * The outermost level works on the first pages (the model of world.h), the hooks on pages of
 * their own, and with faults, advice and reclaim, which change no content, on all.
 */
#include <errno.h>
#include <string.h>

#include "support/test.h"
#include "world.h"

#define RW	   (MM_PROT_READ | MM_PROT_WRITE)
#define TELLS	   (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)
#define OUTER	   448		  /* pages of the outermost level */
#define KEPT	   320		  /* of the hooks, never unmapped */
#define LOOSE	   (OUTER + KEPT) /* from here on: mapped and unmapped by the hooks */
#define LOOSE_NR   32
#define DEPTH_MAX  3
#define AREAS_MORE 3
#define STEPS	   250
#define KIN_MAX	   3

/* A child of the world's address space, and what its KEPT pages hold. */
struct kin {
	struct mm *mm;
	unsigned int nr_users; /* levels that are at work on it */
	uint64_t kept[KEPT];
};

static struct {
	struct world *w;
	const struct machine_ops *machine;
	const struct swapdev_ops *dev;
	unsigned int depth;
	uint64_t kept[KEPT];
	uint64_t nr_hooked, nr_forked;
	bool has_kin;
	struct kin kin[KIN_MAX];
	struct swapdev *more[AREAS_MORE];
} in;

/* One try, as the thread of a program makes it before it is told to wait. */
static void touch(struct world *w, struct mm *mm, uint64_t *kept)
{
	unsigned int page = (unsigned int)rng_below(&w->rng, KEPT);
	vaddr_t va = world_va(OUTER + page);
	bool is_write = rng_chance(&w->rng, 50);
	struct machine_soft_fault fault;
	uint64_t value;

	for (unsigned int i = 0; i < 3; i++) {
		enum mm_fault_result result;
		uint64_t stamp = w->next_stamp + 1;
		int err = is_write ? machine_soft_store(mm->space, va, &stamp, 8, &fault)
				   : machine_soft_load(mm->space, va, &value, 8, &fault);

		if (err == 0 && is_write)
			kept[page] = ++w->next_stamp;
		else if (err == 0)
			assert_int_equal(value, kept[page]);
		if (err == 0)
			return;
		result = mm_fault(mm, va, is_write ? MM_ACCESS_WRITE : MM_ACCESS_READ);
		assert_in_range(result, 0, MM_FAULT_RETRY);
	}
}

static void hook_touch(struct world *w)
{
	touch(w, w->mm, in.kept);
}

static void kin_fork(struct world *w, struct kin *kin)
{
	kin->nr_users++; /* the place is taken */
	if (mm_fork(w->mm, &kin->mm) == 0) {
		memcpy(kin->kept, in.kept, sizeof(in.kept));
		in.nr_forked++;
	}
	kin->nr_users--;
}

static void hook_kin(struct world *w)
{
	struct kin *kin = &in.kin[rng_below(&w->rng, KIN_MAX)];
	struct mm *mm = kin->mm;

	if (!mm && kin->nr_users == 0)
		kin_fork(w, kin);
	if (!mm)
		return;
	if (kin->nr_users == 0 && rng_chance(&w->rng, 4)) {
		kin->mm = NULL;
		mm_destroy(mm);
		return;
	}
	kin->nr_users++;
	for (unsigned int i = 0; i < 4; i++)
		touch(w, mm, kin->kept);
	if (rng_chance(&w->rng, 10))
		mm_advise(mm, world_va((unsigned int)rng_below(&w->rng, LOOSE - 64)),
			  64 * PAGE_SIZE, MM_MADV_PAGEOUT);
	kin->nr_users--;
}

/* A fault that was resolved long ago, or is for another thread. */
static void hook_spurious_fault(struct world *w)
{
	unsigned int page = (unsigned int)rng_below(&w->rng, LOOSE);

	mm_fault(w->mm, world_va(page), rng_chance(&w->rng, 50) ? MM_ACCESS_WRITE : 0);
}

static void hook_advise(struct world *w)
{
	static const int advice[] = {MM_MADV_COLD, MM_MADV_PAGEOUT, MM_MADV_WILLNEED};
	unsigned int first = (unsigned int)rng_below(&w->rng, LOOSE - 64);

	mm_advise(w->mm, world_va(first), rng_between(&w->rng, 1, 64) * PAGE_SIZE,
		  advice[rng_below(&w->rng, 3)]);
}

static void hook_loose(struct world *w)
{
	vaddr_t va = world_va(LOOSE + (unsigned int)rng_below(&w->rng, LOOSE_NR));
	vaddr_t addr;

	switch (rng_below(&w->rng, 4)) {
	case 0:
		mm_unmap(w->mm, va, PAGE_SIZE * rng_between(&w->rng, 1, 8));
		break;
	case 1:
		mm_map(w->mm, va, PAGE_SIZE * rng_between(&w->rng, 1, 8), RW,
		       MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr);
		break;
	case 2:
		mm_advise(w->mm, va, PAGE_SIZE, MM_MADV_DONTNEED);
		break;
	default:
		mm_fault(w->mm, va, MM_ACCESS_WRITE);
	}
}

static void hook_machine(struct world *w)
{
	static const int errors[] = {-EAGAIN, -EBUSY};
	struct machine_soft_failure failure = {
		.nth = (uint32_t)rng_between(&w->rng, 1, 3),
		.err = errors[rng_below(&w->rng, 2)],
		.nr_done = (uint32_t)rng_below(&w->rng, 5),
	};
	vaddr_t va = world_va((unsigned int)rng_below(&w->rng, LOOSE));

	if (rng_chance(&w->rng, 50))
		machine_soft_fail(w->machine, SOFT_APPLY, &failure);
	else
		machine_soft_forget(w->mm->space, va, va + 4 * PAGE_SIZE);
}

static void hook(void)
{
	struct world *w = in.w;

	if (!w || in.depth == DEPTH_MAX || !rng_chance(&w->rng, 40))
		return;
	in.depth++;
	in.nr_hooked++;
	switch (rng_below(&w->rng, in.has_kin ? 10 : 8)) {
	case 0:
	case 1:
		hook_touch(w);
		break;
	case 8:
	case 9:
		hook_kin(w);
		break;
	case 2:
		hook_spurious_fault(w);
		break;
	case 3:
		hook_advise(w);
		break;
	case 4:
		hook_loose(w);
		break;
	case 5:
		hook_machine(w);
		break;
	default:
		mm_step(w->sys, 0, (unsigned int)rng_below(&w->rng, 40));
	}
	if (rng_chance(&w->rng, 20))
		world_check(w);
	in.depth--;
}

static int hooked_apply(struct machine *m, struct machine_space *space,
			struct machine_batch *batch)
{
	int err;

	hook();
	err = in.machine->apply(m, space, batch);
	hook();
	return err;
}

static int hooked_harvest(struct machine *m, struct machine_space *space, vaddr_t start,
			  vaddr_t end, void (*seen)(void *arg, vaddr_t va, pte_t bits),
			  void *arg)
{
	int err;

	hook();
	err = in.machine->harvest(m, space, start, end, seen, arg);
	hook();
	return err;
}

static unsigned int hooked_submit(struct swapdev *dev, const struct swapdev_io *ios,
				  unsigned int nr)
{
	unsigned int nr_taken;

	hook();
	if (rng_chance(&in.w->rng, 5))
		nr = (unsigned int)rng_below(&in.w->rng, nr + 1);
	nr_taken = nr ? in.dev->submit(dev, ios, nr) : 0;
	hook();
	return nr_taken;
}

static unsigned int hooked_poll(struct swapdev *dev, struct swapdev_io *done, unsigned int max)
{
	unsigned int nr;

	hook();
	nr = in.dev->poll(dev, done, max);
	hook();
	return nr;
}

/* The ops of the world's machine and devices, with hooks around them. */
static void install(struct world *w)
{
	static struct machine_ops machine;
	static struct swapdev_ops dev;
	static const int prios[AREAS_MORE] = {0, 7, -1};

	in.machine = w->machine->ops;
	in.dev = w->dev->ops;
	machine = *in.machine;
	machine.apply = hooked_apply;
	if (machine.harvest)
		machine.harvest = hooked_harvest;
	dev = *in.dev;
	dev.submit = hooked_submit;
	dev.poll = hooked_poll;
	w->machine->ops = &machine;
	w->dev->ops = &dev;
	for (unsigned int i = 0; i < AREAS_MORE; i++) {
		struct swapdev_mem_config cfg = {
			.nr_slots = 400, .mode = w->cfg.mode, .seed = w->cfg.seed + i};

		assert_int_equal(swapdev_mem_create(&cfg, &in.more[i]), 0);
		in.more[i]->ops = &dev;
		assert_int_equal(mm_swapon(w->sys, in.more[i], prios[i]), 0);
	}
}

static void outer_step(struct world *w)
{
	unsigned int first = (unsigned int)rng_below(&w->rng, OUTER - 40);
	unsigned int nr = (unsigned int)rng_between(&w->rng, 1, 40);
	static const int advice[] = {MM_MADV_DONTNEED, MM_MADV_FREE, MM_MADV_PAGEOUT};
	uint64_t dice = rng_below(&w->rng, 20);

	if (dice == 0)
		world_advise(w, first, nr, advice[rng_below(&w->rng, 3)]);
	for (unsigned int i = first; dice > 0 && i < first + nr; i++)
		assert_in_range(dice & 1 ? world_write(w, i) : world_read(w, i), 0,
				MM_FAULT_MAJOR);
	if (dice == 1 && mm_fork_prepare(w->mm) == 0)
		assert_int_equal(w->sys->nr_io, 0);
	if (dice == 1)
		mm_fork_parent(w->mm, false);
}

static void check_kept(struct world *w, const uint64_t *kept)
{
	for (unsigned int i = 0; i < KEPT; i++) {
		uint64_t value;

		assert_in_range(world_access(w, world_va(OUTER + i), &value, false), 0,
				MM_FAULT_MAJOR);
		assert_int_equal(value, kept[i]);
	}
}

static void check_kin(struct world *w)
{
	struct mm *own = w->mm;

	for (unsigned int i = 0; i < KIN_MAX; i++) {
		if (!in.kin[i].mm)
			continue;
		w->mm = in.kin[i].mm;
		check_kept(w, in.kin[i].kept);
		mm_destroy(w->mm);
		world_check(w);
	}
	w->mm = own;
}

static void interleave_some(uint32_t caps, uint64_t seed, unsigned int steps)
{
	struct world_config cfg = WORLD_CONFIG_DEFAULT;
	struct world w;

	cfg.caps = caps;
	cfg.mode = SWAPDEV_MEM_RANDOM;
	cfg.seed = seed;
	cfg.nr_frames += in.has_kin ? 400 : 0;
	world_create(&w, &cfg);
	world_map(&w, 0, LOOSE + LOOSE_NR, RW);
	install(&w);
	for (unsigned int i = 0; in.has_kin && i < KIN_MAX - 1; i++)
		kin_fork(&w, &in.kin[i]); /* no hook runs yet */
	in.w = &w;
	for (unsigned int i = 0; i < steps; i++)
		outer_step(&w);
	assert_true(in.nr_hooked > steps && (in.nr_forked > 0) == in.has_kin);
	machine_soft_fail(w.machine, SOFT_APPLY, &(struct machine_soft_failure){.nth = 0});
	in.depth = DEPTH_MAX;
	for (unsigned int i = 0; i < OUTER; i++)
		assert_in_range(world_read(&w, i), 0, MM_FAULT_MAJOR);
	check_kept(&w, in.kept);
	check_kin(&w);
	world_settle(&w);
	w.machine->ops = in.machine;
	for (unsigned int i = 0; i < AREAS_MORE; i++)
		assert_true(w.sys->swap_areas[1 + i]->dev == in.more[i]);
	w.dev->ops = in.dev;
	world_destroy(&w);
	for (unsigned int i = 0; i < AREAS_MORE; i++) {
		in.more[i]->ops = in.dev;
		in.dev->close(in.more[i]);
	}
}

static void interleave(uint32_t caps, uint64_t seed)
{
	memset(&in, 0, sizeof(in));
	interleave_some(caps, seed, STEPS);
}

/* Each check walks all families, so fewer steps, and more frames for the tables. */
static void with_children(void **state)
{
	static const uint32_t caps[] = {0, TELLS};

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		memset(&in, 0, sizeof(in));
		in.has_kin = true;
		interleave_some(caps[i], test_seed() + 40 + i, STEPS / 12);
	}
}

static void without_bits(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		interleave(0, test_seed() + i);
}

static void with_accessed_and_dirty_bits(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		interleave(TELLS, test_seed() + 10 + i);
}

static void with_dirty_bits_alone(void **state)
{
	(void)state;
	interleave(MACHINE_SETS_DIRTY, test_seed() + 20);
}

static void with_neighbours(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++)
		interleave(MACHINE_FAULTS_COST, test_seed() + 30 + i);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(without_bits),		 cmocka_unit_test(with_accessed_and_dirty_bits),
	cmocka_unit_test(with_dirty_bits_alone), cmocka_unit_test(with_neighbours),
	cmocka_unit_test(with_children),
};
TEST_MAIN(tests)
