/* SPDX-License-Identifier: MIT */
/*
 * Random lives of an address space while the system around it changes: swap areas come and go,
 * tunables change. Each value is compared with a plain model, and mm_check() comes after each
 * step; on machines with and without accessed and dirty bits, with devices that fail, with
 * every nth allocation failing.
 *
 * Memory may run out here: a refusal is legal, a wrong value is not.
 */
#include <errno.h>
#include <string.h>

#include "mm/vma.h"
#include "ration/sysctl.h"
#include "support/test.h"
#include "world.h"

#define RW    (MM_PROT_READ | MM_PROT_WRITE)
#define TELLS (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)
#define STEPS 1200
#define DEVS  3
#define TRIES 100000

struct range {
	unsigned int first, nr;
};

struct life {
	struct world w;
	struct swapdev *devs[DEVS]; /* besides the world's own */
	bool is_on[DEVS];
};

static struct range random_range(struct world *w, unsigned int max)
{
	struct range r = {.first = (unsigned int)rng_below(&w->rng, WORLD_PAGES)};

	r.nr = (unsigned int)rng_between(&w->rng, 1, max);
	if (r.nr > WORLD_PAGES - r.first)
		r.nr = WORLD_PAGES - r.first;
	return r;
}

static bool is_all_mapped(const struct world *w, struct range r)
{
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		if (!w->model[i].is_mapped)
			return false;
	return true;
}

/* Calls until it is not told to come back. */
#define UNTIL_DONE(w, err, call)                                       \
	do {                                                           \
		unsigned int tries = 0;                                \
                                                                       \
		while (((err) = (call)) == -EAGAIN && tries++ < TRIES) \
			world_step(w);                                 \
	} while (0)

static bool may_refuse(const struct world *w, enum mm_fault_result result)
{
	return result == MM_FAULT_OOM || (result == MM_FAULT_BUS && w->cfg.nr_rules > 0);
}

static void touch(struct world *w, unsigned int page, bool is_write)
{
	struct model_page *m = &w->model[page];
	bool is_allowed = m->is_mapped &&
			  (is_write ? (m->prot & MM_PROT_WRITE) != 0 : m->prot != MM_PROT_NONE);
	uint64_t value = is_write ? w->next_stamp + 1 : 0;
	enum mm_fault_result result = world_access(w, world_va(page), &value, is_write);

	if (!is_allowed) {
		assert_int_equal(result, MM_FAULT_SEGV);
		return;
	}
	if (may_refuse(w, result))
		return;
	assert_in_range(result, 0, MM_FAULT_MAJOR);
	if (is_write)
		m->stamp = ++w->next_stamp;
	else
		assert_int_equal(value, m->stamp);
}

static void step_touch(struct life *l)
{
	struct range r = random_range(&l->w, 64);
	bool is_write = rng_chance(&l->w.rng, 50);

	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		touch(&l->w, i, is_write);
}

static void step_map(struct life *l)
{
	static const int flags[] = {0, 0, MM_MAP_NORESERVE};
	struct world *w = &l->w;
	struct range r = random_range(w, rng_chance(&w->rng, 20) ? WORLD_PAGES : 24);
	int prot = rng_chance(&w->rng, 80) ? RW : MM_PROT_READ, err;
	vaddr_t addr;

	UNTIL_DONE(w, err,
		   mm_map(w->mm, world_va(r.first), r.nr * PAGE_SIZE, prot,
			  MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED |
				  flags[rng_below(&w->rng, 3)],
			  &addr));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		w->model[i] = (struct model_page){.is_mapped = true, .prot = prot};
}

static void step_unmap(struct life *l)
{
	struct world *w = &l->w;
	struct range r = random_range(w, 24);
	int err;

	UNTIL_DONE(w, err, mm_unmap(w->mm, world_va(r.first), r.nr * PAGE_SIZE));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		w->model[i] = (struct model_page){.is_mapped = false};
}

static void step_protect(struct life *l)
{
	static const int prots[] = {RW, RW, MM_PROT_READ, MM_PROT_NONE};
	struct world *w = &l->w;
	struct range r = random_range(w, 24);
	int prot = prots[rng_below(&w->rng, 4)], err;

	if (!is_all_mapped(w, r))
		return;
	UNTIL_DONE(w, err, mm_protect(w->mm, world_va(r.first), r.nr * PAGE_SIZE, prot));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		w->model[i].prot = prot;
}

/* It ended at the first locked area: the model is told what comes before. */
static int model_advise_locked(struct world *w, struct range r, int which)
{
	for (unsigned int i = r.first; i < r.first + r.nr && which == MM_MADV_DONTNEED; i++) {
		const struct vma *vma = vma_find(w->mm, world_va(i));

		if (vma && vma->flags & VMA_LOCKED)
			break;
		w->model[i].stamp = 0;
	}
	return 0;
}

static void step_advise(struct life *l)
{
	static const int advice[] = {MM_MADV_DONTNEED, MM_MADV_COLD, MM_MADV_PAGEOUT,
				     MM_MADV_WILLNEED};
	struct world *w = &l->w;
	struct range r = random_range(w, 100);
	int which = advice[rng_below(&w->rng, 4)], err;

	UNTIL_DONE(w, err, mm_advise(w->mm, world_va(r.first), r.nr * PAGE_SIZE, which));
	if (err == -EINVAL)
		which = model_advise_locked(w, r, which);
	else
		assert_true(err == 0 || err == -ENOMEM);
	for (unsigned int i = r.first; i < r.first + r.nr && which == MM_MADV_DONTNEED; i++)
		w->model[i].stamp = 0;
}

static bool is_one_area(struct world *w, struct range r)
{
	struct mm_area area;

	return mm_query(w->mm, world_va(r.first), &area) == 0 &&
	       area.start <= world_va(r.first) && area.end >= world_va(r.first + r.nr);
}

static void step_remap(struct life *l)
{
	struct world *w = &l->w;
	struct range from = random_range(w, 24), to = random_range(w, 24);
	vaddr_t addr;
	int err;

	if (from.nr > to.nr)
		from.nr = to.nr;
	if (!is_one_area(w, from))
		return;
	if (from.first < to.first + to.nr && to.first < from.first + from.nr)
		return;
	UNTIL_DONE(w, err,
		   mm_remap(w->mm, world_va(from.first), from.nr * PAGE_SIZE, to.nr * PAGE_SIZE,
			    MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(to.first), &addr));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = 0; i < to.nr; i++)
		w->model[to.first + i] =
			i < from.nr ? w->model[from.first + i]
				    : (struct model_page){.is_mapped = true,
							  .prot = w->model[from.first].prot};
	for (unsigned int i = 0; i < from.nr; i++)
		w->model[from.first + i] = (struct model_page){.is_mapped = false};
}

static void swap_off(struct life *l, unsigned int d)
{
	struct world *w = &l->w;
	unsigned int nr = (unsigned int)rng_between(&w->rng, 1, 40);
	int err = -EAGAIN;

	for (unsigned int i = 0; i < nr && err == -EAGAIN; i++) {
		err = mm_swapoff(w->sys, l->devs[d]);
		if (rng_chance(&w->rng, 50))
			world_step(w);
	}
	if (err == 0)
		l->is_on[d] = false;
	else
		assert_true(err == -EAGAIN || err == -ENOMEM || err == -EIO);
}

static void step_swap(struct life *l)
{
	struct world *w = &l->w;
	unsigned int d = (unsigned int)rng_below(&w->rng, DEVS);

	if (!l->is_on[d]) {
		int err = mm_swapon(w->sys, l->devs[d], (int)rng_below(&w->rng, 3));

		assert_true(err == 0 || err == -ENOMEM);
		l->is_on[d] = err == 0;
	} else if (rng_chance(&w->rng, 10)) {
		mm_swapoff_cancel(w->sys, l->devs[d]);
	} else {
		swap_off(l, d);
	}
}

static void step_lock(struct life *l)
{
	struct world *w = &l->w;
	struct range r = random_range(w, 20);
	int flags = rng_chance(&w->rng, 50) ? MM_MLOCK_ONFAULT : 0, err;

	w->sys->cfg.memlock_bytes = 60 * PAGE_SIZE;
	if (rng_chance(&w->rng, 50))
		UNTIL_DONE(w, err, mm_mlock(w->mm, world_va(r.first), r.nr * PAGE_SIZE, flags));
	else if (rng_chance(&w->rng, 80))
		UNTIL_DONE(w, err, mm_munlock(w->mm, world_va(r.first), r.nr * PAGE_SIZE));
	else
		UNTIL_DONE(w, err, mm_munlockall(w->mm));
	assert_true(err == 0 || err == -ENOMEM);
}

static void step_balloon(struct life *l)
{
	struct world *w = &l->w;
	uint64_t pages = rng_between(&w->rng, 1, 60), taken;
	int err;

	if (rng_chance(&w->rng, 50) || mm_balloon_pages(w->sys) > 100) {
		mm_balloon_deflate(w->sys, pages);
		return;
	}
	err = mm_balloon_inflate(w->sys, pages, &taken);
	assert_true(err == 0 || err == -EAGAIN || err == -ENOMEM);
}

static void step_tune(struct life *l)
{
	static const struct {
		const char *name;
		int64_t min, max;
	} tunables[] = {
		{"vm.swappiness", 0, 200},	   {"vm.min_free_kbytes", 0, 400},
		{"vm.overcommit_memory", 0, 2},	   {"vm.watermark_scale_factor", 1, 1000},
		{"vm.overcommit_ratio", 0, 300},   {"vm.page-cluster", 0, 7},
		{"vm.overcommit_kbytes", 0, 8192}, {"vm.max_map_count", 20, 1000},
	};
	struct world *w = &l->w;
	uint64_t i = rng_below(&w->rng, sizeof(tunables) / sizeof(tunables[0]));
	int64_t value = (int64_t)rng_between(&w->rng, (uint64_t)tunables[i].min,
					     (uint64_t)tunables[i].max);

	assert_int_equal(mm_sysctl_set(w->sys, tunables[i].name, value), 0);
}

static void step_any(struct life *l)
{
	static void (*const steps[])(struct life * l) = {
		step_touch, step_touch,	  step_touch,  step_touch,   step_touch, step_map,
		step_unmap, step_protect, step_advise, step_remap,   step_swap,	 step_swap,
		step_swap,  step_tune,	  step_lock,   step_balloon,
	};

	steps[rng_below(&l->w.rng, sizeof(steps) / sizeof(steps[0]))](l);
	if (rng_chance(&l->w.rng, 30))
		world_step(&l->w);
}

static void life_begin(struct life *l, const struct world_config *cfg)
{
	memset(l, 0, sizeof(*l));
	world_create(&l->w, cfg);
	for (unsigned int d = 0; d < DEVS; d++) {
		struct swapdev_mem_config mem = {
			.nr_slots = 300 + 200 * d, .mode = cfg->mode, .seed = cfg->seed + d};
		struct swapdev_faulty_config faulty = {
			.rules = cfg->rules, .nr_rules = cfg->nr_rules, .seed = cfg->seed};

		assert_int_equal(swapdev_mem_create(&mem, &l->devs[d]), 0);
		faulty.inner = l->devs[d];
		if (cfg->nr_rules > 0)
			assert_int_equal(swapdev_faulty_create(&faulty, &l->devs[d]), 0);
	}
	world_map(&l->w, 0, WORLD_PAGES, RW);
}

static void life_end(struct life *l)
{
	mm_balloon_deflate(l->w.sys, WORLD_PAGES);
	for (unsigned int i = 0; i < WORLD_PAGES; i++)
		touch(&l->w, i, false);
	world_settle(&l->w);
	mm_unmap(l->w.mm, WORLD_BASE, WORLD_PAGES * PAGE_SIZE);
	for (unsigned int d = 0; d < DEVS; d++) {
		int err = 0;

		if (l->is_on[d])
			UNTIL_DONE(&l->w, err, mm_swapoff(l->w.sys, l->devs[d]));
		assert_true(err == 0 || err == -ENOMEM);
		if (err)
			UNTIL_DONE(&l->w, err, mm_swapoff(l->w.sys, l->devs[d]));
		assert_int_equal(err, 0);
		l->devs[d]->ops->close(l->devs[d]);
	}
	world_destroy(&l->w);
}

static void live(const struct world_config *cfg, unsigned int steps)
{
	static struct life l;

	life_begin(&l, cfg);
	for (unsigned int i = 0; i < steps; i++) {
		step_any(&l);
		world_check(&l.w);
	}
	assert_true(WSTAT(&l.w, pswpout) > 0);
	life_end(&l);
}

static struct world_config config(unsigned int i)
{
	static const uint32_t caps[] = {0, TELLS, MACHINE_FAULTS_COST, MACHINE_SETS_DIRTY};
	struct world_config cfg = WORLD_CONFIG_DEFAULT;

	cfg.caps = caps[i % 4];
	cfg.mode = i % 8 < 4 ? SWAPDEV_MEM_RANDOM : SWAPDEV_MEM_SYNC;
	cfg.nr_slots = 500;
	cfg.seed = test_seed() + i;
	return cfg;
}

static void every_value_is_as_modelled(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		struct world_config cfg = config(i);

		live(&cfg, STEPS);
	}
}

static void failing_devices_lose_nothing(void **state)
{
	static const struct swapdev_fault_rule rules[] = {
		{.fault = SWAPDEV_FAULT_ERROR, .is_write = true, .err = -EIO, .per_mille = 3},
		{.fault = SWAPDEV_FAULT_ERROR, .err = -EIO, .per_mille = 10},
		{.fault = SWAPDEV_FAULT_DELAY, .delay_polls = 9, .per_mille = 50},
	};

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct world_config cfg = config(i + 20);

		cfg.rules = rules;
		cfg.nr_rules = sizeof(rules) / sizeof(rules[0]);
		live(&cfg, STEPS / 2);
	}
}

/* Every nth allocation of a step fails, for each n in turn. */
static void failing_allocations_change_nothing(void **state)
{
	static struct life l;

	(void)state;
	for (unsigned int nth = 1; nth <= 24; nth++) {
		struct world_config cfg = config(nth + 40);

		life_begin(&l, &cfg);
		for (unsigned int i = 0; i < 100; i++) {
			l.w.sys->fail_alloc = nth;
			step_any(&l);
			l.w.sys->fail_alloc = 0;
			world_check(&l.w);
		}
		life_end(&l);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_value_is_as_modelled),
	cmocka_unit_test(failing_devices_lose_nothing),
	cmocka_unit_test(failing_allocations_change_nothing),
};
TEST_MAIN(tests)
