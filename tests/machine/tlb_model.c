/* SPDX-License-Identifier: MIT */
#include "machine/tlb_model.h"

static const uint64_t bytes[TLB_NR_SIZES] = {4096, 65536, 2097152, 1073741824};

static bool has_page(const struct model_entry *e, vaddr_t va, uint16_t asid)
{
	return e->is_valid && va / bytes[e->size] == e->number &&
	       (e->is_global || e->asid == asid);
}

static struct model_entry *find(struct tlb_model *m, unsigned int level, enum tlb_kind kind,
				vaddr_t va, uint16_t asid)
{
	for (unsigned int i = 0; i < MODEL_ENTRIES_MAX; i++) {
		struct model_entry *e = &m->entries[i];

		if (has_page(e, va, asid) && m->cfg->arrays[e->array].level == level &&
		    m->cfg->arrays[e->array].kinds & TLB_BIT(kind))
			return e;
	}
	return NULL;
}

static int array_for(const struct tlb_config *cfg, unsigned int level, enum tlb_kind kind,
		     enum tlb_size size)
{
	for (int i = 0; i < TLB_ARRAYS_MAX && cfg->arrays[i].level; i++)
		if (cfg->arrays[i].level == level && cfg->arrays[i].kinds & TLB_BIT(kind) &&
		    cfg->arrays[i].sizes & TLB_BIT(size))
			return i;
	return -1;
}

static bool shares_set(const struct tlb_model *m, const struct model_entry *e,
		       unsigned int array, uint64_t set)
{
	return e->is_valid && e->array == array &&
	       e->number % m->cfg->arrays[array].sets == set;
}

/* A free place, or that of the set's least recently used once all ways are taken. */
static struct model_entry *place(struct tlb_model *m, unsigned int array, uint64_t number)
{
	uint64_t set = number % m->cfg->arrays[array].sets;
	struct model_entry *oldest = NULL, *unused = NULL;
	uint32_t nr = 0;

	for (unsigned int i = 0; i < MODEL_ENTRIES_MAX; i++) {
		struct model_entry *e = &m->entries[i];

		if (!e->is_valid)
			unused = e;
		if (!shares_set(m, e, array, set))
			continue;
		nr++;
		if (!oldest || e->used < oldest->used)
			oldest = e;
	}
	return nr < m->cfg->arrays[array].ways ? unused : oldest;
}

/* A page that comes in takes the place of its pieces. */
static void drop_inside(struct tlb_model *m, unsigned int level, enum tlb_kind kind,
			const struct model_entry *page)
{
	for (unsigned int i = 0; i < MODEL_ENTRIES_MAX; i++) {
		struct model_entry *e = &m->entries[i];
		const struct tlb_array_config *a = &m->cfg->arrays[e->array];

		if (e->is_valid && a->level == level && a->kinds & TLB_BIT(kind) &&
		    e->size < page->size && (e->asid == page->asid || e->is_global) &&
		    e->number / (bytes[page->size] / bytes[e->size]) == page->number)
			e->is_valid = false;
	}
}

static void insert(struct tlb_model *m, unsigned int level, const struct tlb_page *page)
{
	enum tlb_size size = page->size;
	int array = array_for(m->cfg, level, page->kind, size);
	struct model_entry e = {.is_valid = true,
				.is_global = page->is_global,
				.asid = page->asid,
				.rights = page->rights};

	while (array < 0 && size > TLB_4K)
		array = array_for(m->cfg, level, page->kind, --size);
	if (array < 0)
		return;
	e.array = (unsigned int)array;
	e.size = size;
	e.number = page->va / bytes[size];
	e.pa = (page->pa / bytes[page->size] * bytes[page->size] +
		page->va % bytes[page->size]) /
	       bytes[size] * bytes[size];
	drop_inside(m, level, page->kind, &e);
	e.used = ++m->now;
	*place(m, e.array, e.number) = e;
}

unsigned int tlb_model_lookup(struct tlb_model *m, vaddr_t va, uint16_t asid,
			      enum tlb_kind kind, unsigned int need, uint64_t *ret_pa)
{
	for (unsigned int level = 1; level <= 2; level++) {
		struct model_entry *e = find(m, level, kind, va, asid);

		if (!e)
			continue;
		if ((e->rights & need) != need) {
			for (unsigned int i = 0; i < MODEL_ENTRIES_MAX; i++)
				if (has_page(&m->entries[i], va, asid))
					m->entries[i].is_valid = false;
			return 0;
		}
		e->used = ++m->now;
		m->stats.hits[level - 1][kind][e->size]++;
		*ret_pa = e->pa + va % bytes[e->size];
		if (level == 2)
			insert(m, 1,
			       &(const struct tlb_page){va, e->pa, asid, (uint8_t)kind,
							(uint8_t)e->size, (uint8_t)e->rights,
							e->is_global});
		return level;
	}
	return 0;
}

void tlb_model_fill(struct tlb_model *m, const struct tlb_page *page)
{
	m->stats.walks[page->kind][page->size]++;
	insert(m, 2, page);
	insert(m, 1, page);
}

void tlb_model_invalidate_page(struct tlb_model *m, vaddr_t va, uint16_t asid)
{
	for (unsigned int i = 0; i < MODEL_ENTRIES_MAX; i++)
		if (has_page(&m->entries[i], va, asid))
			m->entries[i].is_valid = false;
}

void tlb_model_invalidate_asid(struct tlb_model *m, uint16_t asid)
{
	for (unsigned int i = 0; i < MODEL_ENTRIES_MAX; i++)
		if (m->entries[i].asid == asid && !m->entries[i].is_global)
			m->entries[i].is_valid = false;
}

void tlb_model_invalidate_all(struct tlb_model *m, bool with_globals)
{
	for (unsigned int i = 0; i < MODEL_ENTRIES_MAX; i++)
		if (with_globals || !m->entries[i].is_global)
			m->entries[i].is_valid = false;
}
