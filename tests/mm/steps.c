/* SPDX-License-Identifier: MIT */
#include "steps.h"

#include <errno.h>

#include "support/test.h"

#define RW (MM_PROT_READ | MM_PROT_WRITE)

static struct range any_range(struct world *w)
{
	struct range r = {.first = (unsigned int)rng_below(&w->rng, WORLD_PAGES)};
	unsigned int max = rng_chance(&w->rng, 20) ? WORLD_PAGES : 24;

	r.nr = (unsigned int)rng_between(&w->rng, 1, max);
	if (r.nr > WORLD_PAGES - r.first)
		r.nr = WORLD_PAGES - r.first;
	return r;
}

struct range random_range(struct world *w)
{
	/* Larger pages need areas that are not cut everywhere. */
	if (w->cfg.thp && rng_chance(&w->rng, 25))
		return (struct range){.first = rng_chance(&w->rng, 50) ? PGTABLE_ENTRIES : 0,
				      .nr = PGTABLE_ENTRIES};
	return any_range(w);
}

bool is_all_mapped(const struct world *w, struct range r)
{
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		if (!w->model[i].is_mapped)
			return false;
	return true;
}

static void step_touch(struct world *w)
{
	unsigned int page = (unsigned int)rng_below(&w->rng, WORLD_PAGES);
	unsigned int nr = (unsigned int)rng_between(&w->rng, 1, 64);
	unsigned int step =
		rng_chance(&w->rng, 70) ? 1 : (unsigned int)rng_below(&w->rng, 9) - 4;
	bool is_write = rng_chance(&w->rng, 50);

	/* Downwards, page wraps and is out of the world, too. */
	for (unsigned int i = page; nr-- > 0 && i < WORLD_PAGES; i += step) {
		struct model_page *m = &w->model[i];
		bool is_allowed = m->is_mapped && (is_write ? (m->prot & MM_PROT_WRITE) != 0
							    : m->prot != MM_PROT_NONE);
		enum mm_fault_result result = is_write ? world_write(w, i) : world_read(w, i);

		if (result == MM_FAULT_OOM && w->cfg.nr_slots == 0)
			return;
		if (result == MM_FAULT_BUS && w->cfg.nr_rules > 0)
			continue; /* the next read asks the device again */
		if (is_allowed)
			assert_in_range(result, 0, MM_FAULT_MAJOR);
		else
			assert_int_equal(result, MM_FAULT_SEGV);
	}
}

static void step_map(struct world *w)
{
	static const int prots[] = {RW, RW, RW, MM_PROT_READ, MM_PROT_NONE};
	struct range r = random_range(w);
	int prot = prots[rng_below(&w->rng, 5)], err;
	vaddr_t addr;

	UNTIL_DONE(w, err,
		   mm_map(w->mm, world_va(r.first), r.nr * PAGE_SIZE, prot,
			  MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &addr));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		w->model[i] = (struct model_page){.is_mapped = true, .prot = prot};
}

static void step_unmap(struct world *w)
{
	struct range r = random_range(w);
	int err;

	UNTIL_DONE(w, err, mm_unmap(w->mm, world_va(r.first), r.nr * PAGE_SIZE));
	if (err == -ENOMEM)
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		w->model[i] = (struct model_page){.is_mapped = false};
}

static void step_protect(struct world *w)
{
	static const int prots[] = {RW, RW, MM_PROT_READ, MM_PROT_NONE};
	struct range r = random_range(w);
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

static void step_advise(struct world *w)
{
	static const int advice[] = {MM_MADV_DONTNEED,	MM_MADV_FREE,	  MM_MADV_COLD,
				     MM_MADV_PAGEOUT,	MM_MADV_WILLNEED, MM_MADV_HUGEPAGE,
				     MM_MADV_NOHUGEPAGE};
	struct range r = random_range(w);

	if (is_all_mapped(w, r))
		world_advise(w, r.first, r.nr, advice[rng_below(&w->rng, w->cfg.thp ? 7 : 5)]);
}

/* Moves one area's pages to a free place; the model moves with them. */
static void step_remap(struct world *w)
{
	struct range from = random_range(w), to = random_range(w);
	vaddr_t addr;
	int err;

	if (from.nr > to.nr)
		from.nr = to.nr;
	to.nr = from.nr;
	if (!is_all_mapped(w, from))
		return;
	if (from.first < to.first + to.nr && to.first < from.first + from.nr)
		return;
	for (unsigned int i = 1; i < from.nr; i++)
		if (w->model[from.first + i].prot != w->model[from.first].prot)
			return;
	UNTIL_DONE(w, err,
		   mm_remap(w->mm, world_va(from.first), from.nr * PAGE_SIZE, to.nr * PAGE_SIZE,
			    MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(to.first), &addr));
	if (err == -EFAULT ||
	    err == -ENOMEM) /* two areas that differ in what is not modelled */
		return;
	assert_int_equal(err, 0);
	for (unsigned int i = 0; i < from.nr; i++) {
		w->model[to.first + i] = w->model[from.first + i];
		w->model[from.first + i] = (struct model_page){.is_mapped = false};
	}
}

static void step_rest(struct world *w)
{
	int err;

	UNTIL_DONE(w, err, mm_fork_prepare(w->mm));
	assert_int_equal(err, 0);
	mm_fork_parent(w->mm, false);
}

/* Anything that a program may do. */
void step_any(struct world *w)
{
	uint64_t dice = rng_below(&w->rng, 100);

	if (w->cfg.collapses)
		world_step(w);
	if (dice < 60)
		step_touch(w);
	else if (dice < 70)
		step_map(w);
	else if (dice < 76)
		step_unmap(w);
	else if (dice < 83)
		step_protect(w);
	else if (dice < 91)
		step_advise(w);
	else if (dice < 95)
		step_remap(w);
	else if (dice < 97)
		step_rest(w);
	else
		world_step(w);
}
