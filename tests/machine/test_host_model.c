/* SPDX-License-Identifier: MIT */
/*
 * The host machine against a model that knows, for each page, its frame, its translation and
 * what every byte must be: random batches, mapped and unmapped in runs and scattered, under
 * three protections. After each step pool and window together hold no more than the RAM.
 */
#include <stdlib.h>
#include <string.h>

#include "machine/host_support.h"
#include "support/rng.h"

#define MODEL_PAGES  1500 /* more than frames */
#define MODEL_STEPS  1500
#define BATCH_MAX    128
#define CHECK_SAMPLE 8

struct model_page {
	pfn_t pfn;  /* PFN_NONE: none */
	pte_t bits; /* 0: not translated */
	uint64_t seed;
};

struct model {
	const struct host_test *t;
	struct rng rng;
	struct model_page pages[MODEL_PAGES];
	int prot[3]; /* of each third of the pages */
	pfn_t free[HOST_FRAMES];
	uint32_t nr_free;
	uint64_t seed;
	struct machine_change changes[BATCH_MAX];
};

static int prot_of(const struct model *model, uint32_t page)
{
	return model->prot[page * 3 / MODEL_PAGES];
}

static bool may_write(const struct model *model, uint32_t page)
{
	return (prot_of(model, page) & MM_PROT_WRITE) != 0;
}

/* What a program would do while the page is there. */
static void page_use(struct model *model, uint32_t page)
{
	struct model_page *mp = &model->pages[page];

	assert_page(host_ptr(model->t, page), mp->seed);
	if (mp->bits == PTE_RW && rng_chance(&model->rng, 50)) {
		mp->seed = model->seed++;
		page_fill(host_ptr(model->t, page), mp->seed);
	}
}

static void model_apply(struct model *model, uint32_t nr, uint32_t flags)
{
	struct machine_batch batch = {.changes = model->changes, .nr = nr, .flags = flags};

	if (nr == 0)
		return;
	assert_int_equal(model->t->m->ops->apply(model->t->m, model->t->space, &batch), 0);
	assert_int_equal(batch.nr_done, nr);
}

/* A frame with content: the last of the free ones, or rarely one in their middle. */
static bool page_fault_in(struct model *model, struct model_page *mp)
{
	uint32_t at;

	if (mp->pfn != PFN_NONE)
		return true;
	if (model->nr_free == 0)
		return false;
	at = rng_chance(&model->rng, 80) ? model->nr_free - 1
					 : (uint32_t)rng_below(&model->rng, model->nr_free);
	mp->pfn = model->free[at];
	model->free[at] = model->free[--model->nr_free];
	mp->seed = model->seed++;
	page_fill(host_frame(model->t, mp->pfn), mp->seed);
	return true;
}

static void step_map(struct model *model, uint32_t first, uint32_t end, bool scattered)
{
	uint32_t nr = 0;

	for (uint32_t page = first; page < end; page++) {
		struct model_page *mp = &model->pages[page];

		if (mp->bits || (scattered && rng_chance(&model->rng, 60)))
			continue;
		if (!page_fault_in(model, mp))
			break;
		mp->bits = may_write(model, page) && !rng_chance(&model->rng, 20) ? PTE_RW
										  : PTE_RO;
		model->changes[nr++] = (struct machine_change){
			.va = host_va(model->t, page),
			.old_pte = pte_make(mp->pfn, PTE_IDLE),
			.new_pte = pte_make(mp->pfn, mp->bits),
		};
	}
	model_apply(model, nr, 0);
	for (uint32_t page = first; page < end; page++)
		if (model->pages[page].bits)
			page_use(model, page);
}

static void page_forget(struct model *model, struct model_page *mp)
{
	model->free[model->nr_free++] = mp->pfn;
	mp->pfn = PFN_NONE;
}

static void step_unmap(struct model *model, uint32_t first, uint32_t end, uint32_t flags)
{
	uint32_t nr = 0;

	for (uint32_t page = first; page < end; page++) {
		struct model_page *mp = &model->pages[page];

		if (mp->bits == 0)
			continue;
		model->changes[nr++] = (struct machine_change){
			.va = host_va(model->t, page),
			.old_pte = pte_make(mp->pfn, mp->bits),
			.new_pte = flags & MACHINE_DISCARD ? 0 : pte_make(mp->pfn, PTE_IDLE),
		};
	}
	model_apply(model, nr, flags);
	for (uint32_t page = first; page < end; page++) {
		struct model_page *mp = &model->pages[page];

		if (mp->bits == 0)
			continue;
		mp->bits = 0;
		if (flags & MACHINE_DISCARD)
			page_forget(model, mp);
		else
			assert_page(host_frame(model->t, mp->pfn), mp->seed);
	}
}

/* Clean pages become writable, writable ones clean, others are refreshed. */
static void step_turn(struct model *model, uint32_t first, uint32_t end)
{
	uint32_t nr = 0;

	for (uint32_t page = first; page < end; page++) {
		struct model_page *mp = &model->pages[page];
		pte_t bits =
			may_write(model, page) && rng_chance(&model->rng, 70) ? PTE_RW : PTE_RO;

		if (mp->bits == 0)
			continue;
		model->changes[nr++] = (struct machine_change){
			.va = host_va(model->t, page),
			.old_pte = pte_make(mp->pfn, mp->bits),
			.new_pte = pte_make(mp->pfn, bits),
		};
		mp->bits = bits;
	}
	model_apply(model, nr, 0);
}

static void step_protect(struct model *model)
{
	static const int prots[] = {PROT_RW, MM_PROT_READ, PROT_RW | MM_PROT_EXEC};
	uint32_t third = (uint32_t)rng_below(&model->rng, 3);
	uint32_t first = third * (MODEL_PAGES / 3);

	for (uint32_t page = first; page < first + MODEL_PAGES / 3; page += 100)
		step_unmap(model, page, page + 100, 0);
	model->prot[third] = prots[rng_below(&model->rng, 3)];
	host_region(model->t, first, MODEL_PAGES / 3, MACHINE_REGION_PROTECT,
		    model->prot[third]);
}

static void model_step(struct model *model)
{
	uint32_t nr = (uint32_t)rng_between(&model->rng, 1, BATCH_MAX);
	uint32_t first = (uint32_t)rng_below(&model->rng, MODEL_PAGES - nr);
	uint64_t dice = rng_below(&model->rng, 100);

	if (dice < 50)
		step_map(model, first, first + nr, dice < 10);
	else if (dice < 70)
		step_unmap(model, first, first + nr, 0);
	else if (dice < 88)
		step_unmap(model, first, first + nr, MACHINE_DISCARD);
	else if (dice < 98)
		step_turn(model, first, first + nr);
	else
		step_protect(model);
}

static void model_check(struct model *model)
{
	uint64_t nr = nr_resident(host_frame(model->t, 0), HOST_FRAMES) +
		      nr_resident(host_ptr(model->t, 0), MODEL_PAGES);

	assert_in_range(nr, 0, HOST_FRAMES);
	for (int i = 0; i < CHECK_SAMPLE; i++) {
		uint32_t page = (uint32_t)rng_below(&model->rng, MODEL_PAGES);
		const struct model_page *mp = &model->pages[page];

		if (mp->bits)
			assert_page(host_ptr(model->t, page), mp->seed);
		else if (mp->pfn != PFN_NONE)
			assert_page(host_frame(model->t, mp->pfn), mp->seed);
	}
}

static void random_batches_keep_every_byte(void **state)
{
	struct model *model = calloc(1, sizeof(*model));

	assert_non_null(model);
	model->t = *state;
	model->rng = rng_make(test_seed());
	for (uint32_t page = 0; page < MODEL_PAGES; page++)
		model->pages[page].pfn = PFN_NONE;
	for (pfn_t pfn = HOST_FRAMES; pfn-- > 0;)
		model->free[model->nr_free++] = pfn;
	for (uint32_t i = 0; i < 3; i++) {
		model->prot[i] = PROT_RW;
		host_region(model->t, i * (MODEL_PAGES / 3), MODEL_PAGES / 3,
			    MACHINE_REGION_MAP, PROT_RW);
	}
	for (int i = 0; i < MODEL_STEPS; i++) {
		model_step(model);
		model_check(model);
	}
	free(model);
}

static const struct CMUnitTest tests[] = {
	HOST_CASE(random_batches_keep_every_byte),
};
TEST_MAIN(tests)
