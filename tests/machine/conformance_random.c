/* SPDX-License-Identifier: MIT */
/*
 * Random changes and accesses, against what each page and each frame must hold.
 */
#include "machine/conformance_world.h"
#include "support/rng.h"

#define MODEL_PAGES  64
#define MODEL_FRAMES 80
#define MODEL_STEPS  1500
#define MODEL_BATCH  16

struct model {
	struct world *w;
	struct rng rng;
	uint64_t seeds[MODEL_FRAMES]; /* what each frame holds */
	bool is_used[MODEL_FRAMES];
	bool is_dirty[MODEL_PAGES]; /* written since the translation was made */
	uint64_t last_seed;
};

static pfn_t model_take_frame(struct model *m)
{
	pfn_t pfn = (pfn_t)rng_below(&m->rng, MODEL_FRAMES);

	while (m->is_used[pfn])
		pfn = (pfn + 1) % MODEL_FRAMES;
	m->is_used[pfn] = true;
	if (rng_chance(&m->rng, 50)) {
		m->seeds[pfn] = ++m->last_seed;
		world_fill(world_frame(m->w, pfn), m->seeds[pfn]);
	}
	return pfn;
}

/* The next state of a page, at random. A frame that leaves is free after the batch. */
static pte_t model_next(struct model *m, pte_t pte)
{
	pte_t bits = rng_chance(&m->rng, 60) ? PTE_RW : PTE_RO;
	uint64_t dice = rng_below(&m->rng, 100);

	if (!pte_is_present(pte))
		return dice < 70 ? pte_make(model_take_frame(m), bits) : pte;
	if (dice < 50)
		return 0;
	if (dice < 80)
		return pte_make(pte_pfn(pte), bits);
	return pte;
}

static void model_changed(struct model *m, uint64_t page, pte_t was,
			  const struct machine_change *change)
{
	bool tells = (m->w->m->ops->caps & MACHINE_SETS_DIRTY) != 0;

	if (was != change->new_pte) {
		assert_int_equal((change->old_pte & PTE_DIRTY) != 0,
				 tells && m->is_dirty[page]);
		m->is_dirty[page] = false;
	}
	if (pte_is_present(was) && !pte_is_present(change->new_pte)) {
		assert_true(world_is_filled(world_frame(m->w, pte_pfn(was)),
					    m->seeds[pte_pfn(was)]));
		m->is_used[pte_pfn(was)] = false;
	}
}

static void model_batch(struct model *m)
{
	uint32_t nr = (uint32_t)rng_between(&m->rng, 1, MODEL_BATCH);
	uint64_t first = rng_below(&m->rng, MODEL_PAGES - nr + 1);
	struct machine_change changes[MODEL_BATCH];
	struct machine_batch batch = {.changes = changes, .nr = nr};
	pte_t was[MODEL_BATCH];

	for (uint32_t i = 0; i < nr; i++)
		changes[i] = (struct machine_change){
			.va = world_va(m->w, first + i),
			.old_pte = m->w->ptes[first + i],
			.new_pte = model_next(m, m->w->ptes[first + i]),
		};
	assert_int_equal(m->w->m->ops->apply(m->w->m, m->w->space, &batch), 0);
	assert_int_equal(batch.nr_done, nr);
	for (uint32_t i = 0; i < nr; i++) {
		was[i] = m->w->ptes[first + i];
		m->w->ptes[first + i] = changes[i].new_pte;
	}
	for (uint32_t i = 0; i < nr; i++)
		model_changed(m, first + i, was[i], &changes[i]);
}

/* A read of any page; where it is not translated it faults. */
static void model_load(struct model *m, uint64_t page)
{
	pfn_t pfn;

	if (pte_is_present(m->w->ptes[page])) {
		assert_reads(m->w, page, m->seeds[pte_pfn(m->w->ptes[page])]);
		return;
	}
	pfn = model_take_frame(m);
	assert_read_faults(m->w, page, pte_make(pfn, PTE_RO), m->seeds[pfn]);
}

static void model_store(struct model *m, uint64_t page)
{
	pte_t pte = m->w->ptes[page];
	pfn_t pfn = pte_is_present(pte) ? pte_pfn(pte) : model_take_frame(m);

	m->seeds[pfn] = ++m->last_seed;
	if (pte_is_present(pte) && (pte & PTE_WRITE))
		assert_writes(m->w, page, m->seeds[pfn]);
	else
		assert_write_faults(m->w, page, pte_make(pfn, PTE_RW), m->seeds[pfn]);
	m->is_dirty[page] = true;
}

void random_steps_keep_every_byte(void **state)
{
	struct model m = {.w = *state, .rng = rng_make(test_seed())};

	for (pfn_t pfn = 0; pfn < MODEL_FRAMES; pfn++) {
		m.seeds[pfn] = ++m.last_seed;
		world_fill(world_frame(m.w, pfn), m.seeds[pfn]);
	}
	for (int i = 0; i < MODEL_STEPS; i++) {
		uint64_t page = rng_below(&m.rng, MODEL_PAGES);

		if (rng_chance(&m.rng, 40))
			model_batch(&m);
		else if (rng_chance(&m.rng, 50))
			model_load(&m, page);
		else
			model_store(&m, page);
	}
	for (uint64_t page = 0; page < MODEL_PAGES; page++)
		model_load(&m, page);
}
