/* SPDX-License-Identifier: MIT */
/*
 * Which TLBs can be made, and what is said of one that cannot.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine/tlb.h"

static const char *const size_names[TLB_NR_SIZES] = {"4K", "64K", "2M", "1G"};
static const char *const kind_names[TLB_NR_KINDS] = {"instructions", "data"};
static const char *const walk_names[TLB_NR_WALK_LEVELS] = {"PDE", "PDPTE", "PML4E"};

const char *tlb_size_name(enum tlb_size size)
{
	return size_names[size];
}

static int refuse_count(char *why, size_t why_len, const char *what, uint64_t sets,
			uint64_t ways)
{
	snprintf(why, why_len,
		 "%s: %llu sets of %llu ways; there can be 1 to %d sets of 1 to %d ways", what,
		 (unsigned long long)sets, (unsigned long long)ways, TLB_SETS_MAX,
		 TLB_WAYS_MAX);
	return -EINVAL;
}

static bool is_count(uint32_t sets, uint32_t ways)
{
	return sets >= 1 && sets <= TLB_SETS_MAX && ways >= 1 && ways <= TLB_WAYS_MAX;
}

static int check_array(const struct tlb_array_config *a, unsigned int i, char *why,
		       size_t why_len)
{
	char what[24];

	snprintf(what, sizeof(what), "TLB array %u", i);
	if (!is_count(a->sets, a->ways))
		return refuse_count(why, why_len, what, a->sets, a->ways);
	if (a->level > TLB_NR_LEVELS)
		snprintf(why, why_len, "%s: level %u; there are levels 1 and 2", what,
			 a->level);
	else if (a->kinds == 0 || a->kinds > TLB_KINDS_BOTH)
		snprintf(why, why_len,
			 "%s: it must hold translations of instructions, data or both", what);
	else if (a->sizes == 0 || a->sizes > TLB_SIZES_ALL)
		snprintf(why, why_len, "%s: it must hold pages of 4K, 64K, 2M or 1G", what);
	else
		return 0;
	return -EINVAL;
}

static unsigned int arrays_holding(const struct tlb_config *cfg, unsigned int level,
				   unsigned int kind, unsigned int sizes)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < TLB_ARRAYS_MAX && cfg->arrays[i].level; i++)
		nr += cfg->arrays[i].level == level && (cfg->arrays[i].kinds & TLB_BIT(kind)) &&
		      (cfg->arrays[i].sizes & sizes);
	return nr;
}

/* One home for each size, and one for the smallest that everything can be broken down to. */
static int check_level(const struct tlb_config *cfg, unsigned int level, unsigned int kind,
		       char *why, size_t why_len)
{
	for (unsigned int size = 0; size < TLB_NR_SIZES; size++) {
		if (arrays_holding(cfg, level, kind, TLB_BIT(size)) < 2)
			continue;
		snprintf(why, why_len,
			 "TLB level %u holds %s of %s pages in two arrays; let it be one",
			 level, kind_names[kind], size_names[size]);
		return -EINVAL;
	}
	if (level == 2 && !arrays_holding(cfg, level, kind, TLB_SIZES_ALL))
		return 0;
	if (arrays_holding(cfg, level, kind, TLB_BIT(TLB_4K)))
		return 0;
	snprintf(why, why_len, "TLB level %u has no array for %s of 4K pages; add one", level,
		 kind_names[kind]);
	return -EINVAL;
}

/**
 * tlb_config_check() - can a TLB be made like this?
 * @why: out, on error: one line that names what is wrong and what would be right.
 *
 * Return: 0 or -EINVAL.
 */
int tlb_config_check(const struct tlb_config *cfg, char *why, size_t why_len)
{
	int err;

	for (unsigned int i = 0; i < TLB_ARRAYS_MAX && cfg->arrays[i].level; i++) {
		err = check_array(&cfg->arrays[i], i, why, why_len);
		if (err)
			return err;
	}
	for (unsigned int i = 0; i < TLB_NR_LEVELS * TLB_NR_KINDS; i++) {
		err = check_level(cfg, 1 + i / TLB_NR_KINDS, i % TLB_NR_KINDS, why, why_len);
		if (err)
			return err;
	}
	for (unsigned int i = 0; i < TLB_NR_WALK_LEVELS; i++) {
		uint32_t sets = cfg->walk[i].sets, ways = cfg->walk[i].ways;
		char what[24];

		snprintf(what, sizeof(what), "%s cache", walk_names[i]);
		if ((sets || ways) && !is_count(sets, ways))
			return refuse_count(why, why_len, what, sets, ways);
	}
	return 0;
}

const struct tlb_config *tlb_preset_find(const char *name)
{
	for (size_t i = 0; i < tlb_nr_presets; i++)
		if (strcmp(tlb_presets[i].name, name) == 0)
			return &tlb_presets[i];
	return NULL;
}
