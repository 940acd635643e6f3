/* SPDX-License-Identifier: MIT */
/*
 * `--tlb help`: the processors whose TLBs are modelled.
 */
#include <stdio.h>

#include "machine/tlb.h"
#include "sim/report.h"

static const char *const kind_names[] = {
	[TLB_BIT(TLB_INSTR)] = "instructions",
	[TLB_BIT(TLB_DATA)] = "data",
	[TLB_KINDS_BOTH] = "both",
};

static void print_array(FILE *out, const struct tlb_array_config *a)
{
	const char *between = "";

	fprintf(out, "    level %u  %-12s  %4u entries, ", (unsigned int)a->level,
		kind_names[a->kinds], a->sets * a->ways);
	if (a->sets == 1)
		fprintf(out, "fully associative, of ");
	else
		fprintf(out, "%2u ways, of ", a->ways);
	for (unsigned int size = 0; size < TLB_NR_SIZES; size++) {
		if (!(a->sizes & TLB_BIT(size)))
			continue;
		fprintf(out, "%s%s", between, tlb_size_name(size));
		between = ", ";
	}
	fprintf(out, "\n");
}

static void print_preset(FILE *out, const struct tlb_config *cfg)
{
	fprintf(out, "\n%s: %s (%s)\n", cfg->name, cfg->title, cfg->source);
	for (unsigned int i = 0; i < TLB_ARRAYS_MAX && cfg->arrays[i].level; i++)
		print_array(out, &cfg->arrays[i]);
	fprintf(out, "    walk caches  %u PDEs, %u PDPTEs, %u PML4Es\n",
		cfg->walk[0].sets * cfg->walk[0].ways, cfg->walk[1].sets * cfg->walk[1].ways,
		cfg->walk[2].sets * cfg->walk[2].ways);
	fprintf(out, "    cycles  level 1: %u, level 2: %u, walk: %u and %u for each entry\n",
		cfg->cycles.l1_hit, cfg->cycles.l2_hit, cfg->cycles.walk,
		cfg->cycles.walk_step);
}

/**
 * sim_tlb_help() - all processors, their TLBs, and where they are published.
 */
void sim_tlb_help(FILE *out)
{
	fprintf(out,
		"Processors for --tlb, with where their makers describe them. Walk caches and "
		"cycles are\nmostly not published, but assumed.\n");
	for (size_t i = 0; i < tlb_nr_presets; i++)
		print_preset(out, &tlb_presets[i]);
}
