/* SPDX-License-Identifier: MIT */
/*
 * Processors' TLBs.
 *
 * Entries, ways and page sizes are as their makers publish them; each preset names where. What
 * makers do not publish is an assumption of this model, and marked: the sizes of most walk
 * caches, and costs. A walk's step is taken to cost what a load from the second-level cache
 * does, since there is where the page tables of a busy working set lie.
 */
#include "machine/tlb.h"

#define INSTR TLB_BIT(TLB_INSTR)
#define DATA  TLB_BIT(TLB_DATA)
#define BOTH  TLB_KINDS_BOTH
#define P4K   TLB_BIT(TLB_4K)
#define P64K  TLB_BIT(TLB_64K)
#define P2M   TLB_BIT(TLB_2M)
#define P1G   TLB_BIT(TLB_1G)

const struct tlb_config tlb_presets[] = {
	{
		/*
		 * Intel 64 and IA-32 Architectures Optimization Reference Manual (248966-045),
		 * table 2-15, "TLB Parameters of the Skylake Client Microarchitecture": ITLB
		 * 128 x 4K, 8 ways, and 8 x 2M; DTLB 64 x 4K, 4 ways, 32 x 2M, 4 ways, 4 x 1G;
		 * STLB 1536 x 4K or 2M, 12 ways, and 16 x 1G, 4 ways. L2 cache: 12 cycles
		 * (table 2-14). Assumed: fetches from 1G pages are broken down to 2M; walk
		 * caches; a second-level hit of 9 cycles.
		 */
		.name = "skylake",
		.title = "Intel Skylake (client)",
		.source = "Intel 248966-045, table 2-15",
		.arrays = {{1, INSTR, P4K, 16, 8},
			   {1, INSTR, P2M, 1, 8},
			   {1, DATA, P4K, 16, 4},
			   {1, DATA, P2M, 8, 4},
			   {1, DATA, P1G, 1, 4},
			   {2, BOTH, P4K | P2M, 128, 12},
			   {2, BOTH, P1G, 4, 4}},
		.walk = {{8, 4}, {1, 4}, {1, 2}},
		.cycles = {.l1_hit = 0, .l2_hit = 9, .walk = 9, .walk_step = 12},
	},
	{
		/*
		 * The same manual, "TLB Parameters of the Haswell Microarchitecture": ITLB 128
		 * x 4K, 4 ways, and 8 x 2M; DTLB 64 x 4K, 4 ways, 32 x 2M, 4 ways, 4 x 1G, 4
		 * ways; STLB 1024 x 4K or 2M, 8 ways; it holds no 1G. Assumed as for Skylake.
		 */
		.name = "haswell",
		.title = "Intel Haswell",
		.source = "Intel 248966-045, Haswell's TLB table",
		.arrays = {{1, INSTR, P4K, 32, 4},
			   {1, INSTR, P2M, 1, 8},
			   {1, DATA, P4K, 16, 4},
			   {1, DATA, P2M, 8, 4},
			   {1, DATA, P1G, 1, 4},
			   {2, BOTH, P4K | P2M, 128, 8}},
		.walk = {{8, 4}, {1, 4}, {1, 2}},
		.cycles = {.l1_hit = 0, .l2_hit = 9, .walk = 9, .walk_step = 12},
	},
	{
		/*
		 * The same manual, "TLB Parameters of the Ice Lake Client Microarchitecture":
		 * ITLB 128 x 4K, 8 ways, and 16 x 2M; DTLB for loads 64 x 4K, 4 ways, 32 x 2M,
		 * 4 ways, 8 x 1G; STLB 2048 entries, 16 ways, of which 2M pages have one half
		 * and 1G pages the other. Left out: that halving, and the 16 entries that
		 * stores have apart. L2 cache: 13 cycles. Assumed otherwise as for Skylake.
		 */
		.name = "icelake",
		.title = "Intel Ice Lake (client)",
		.source = "Intel 248966-045, Ice Lake's TLB table",
		.arrays = {{1, INSTR, P4K, 16, 8},
			   {1, INSTR, P2M, 1, 16},
			   {1, DATA, P4K, 16, 4},
			   {1, DATA, P2M, 8, 4},
			   {1, DATA, P1G, 1, 8},
			   {2, BOTH, P4K | P2M | P1G, 128, 16}},
		.walk = {{8, 4}, {1, 4}, {1, 2}},
		.cycles = {.l1_hit = 0, .l2_hit = 9, .walk = 9, .walk_step = 13},
	},
	{
		/*
		 * AMD, Software Optimization Guide for Family 17h Models 30h and Greater
		 * (56305): L1 ITLB and DTLB 64 entries each, all sizes, fully associative; L2
		 * ITLB 512 x 4K or 2M, 8 ways; L2 DTLB 2048 x 4K or 2M, 16 ways; 1G pages are
		 * broken down to 2M there. Assumed: a page directory cache of 64 entries, here
		 * half for each upper level; for PDEs, which the real one keeps in the L2 DTLB,
		 * 128 entries of their own; a second-level hit of 7 cycles, an L2 cache of 12.
		 * Left out: neighbouring 4K pages that one entry holds.
		 */
		.name = "zen2",
		.title = "AMD Zen 2",
		.source = "AMD 56305",
		.arrays = {{1, INSTR, P4K | P2M | P1G, 1, 64},
			   {1, DATA, P4K | P2M | P1G, 1, 64},
			   {2, INSTR, P4K | P2M, 64, 8},
			   {2, DATA, P4K | P2M, 128, 16}},
		.walk = {{16, 8}, {1, 32}, {1, 32}},
		.cycles = {.l1_hit = 0, .l2_hit = 7, .walk = 7, .walk_step = 12},
	},
	{
		/*
		 * AMD, Software Optimization Guide for AMD Family 19h Processors (56665): L1
		 * ITLB and DTLB 64 entries each, all sizes, fully associative; L2 ITLB 512 x 4K
		 * or 2M, 8 ways; L2 DTLB 2048 x 4K or 2M, 16 ways; 1G pages are broken down to
		 * 2M there. Assumed as for Zen 2: walk caches and costs. Left out as there; and
		 * that six walks may go on at a time.
		 */
		.name = "zen3",
		.title = "AMD Zen 3",
		.source = "AMD 56665",
		.arrays = {{1, INSTR, P4K | P2M | P1G, 1, 64},
			   {1, DATA, P4K | P2M | P1G, 1, 64},
			   {2, INSTR, P4K | P2M, 64, 8},
			   {2, DATA, P4K | P2M, 128, 16}},
		.walk = {{16, 8}, {1, 32}, {1, 32}},
		.cycles = {.l1_hit = 0, .l2_hit = 7, .walk = 7, .walk_step = 12},
	},
	{
		/*
		 * Arm Cortex-A76 Core Technical Reference Manual (100798), A5.1 and A5.2:
		 * instruction and data L1 TLBs of 48 entries, fully associative, of 4K, 64K and
		 * 2M among others; L2 TLB of 1280 entries, 5 ways, of all sizes; its access
		 * "usually takes three cycles". Neoverse N1 has the same. Assumed: walk caches,
		 * and an L2 cache of 9 cycles. 64K entries stand for Arm's contiguous bit.
		 */
		.name = "cortex-a76",
		.title = "Arm Cortex-A76",
		.source = "Arm 100798, A5",
		.arrays = {{1, INSTR, P4K | P64K | P2M, 1, 48},
			   {1, DATA, P4K | P64K | P2M, 1, 48},
			   {2, BOTH, P4K | P64K | P2M | P1G, 256, 5}},
		.walk = {{16, 4}, {1, 8}, {1, 4}},
		.cycles = {.l1_hit = 0, .l2_hit = 3, .walk = 3, .walk_step = 9},
	},
	{
		/*
		 * Arm Neoverse N1 Core Technical Reference Manual (100616), A5.1: instruction
		 * and data L1 TLBs of 48 entries, fully associative; L2 TLB of 1280 entries, 5
		 * ways. Assumed: walk caches, and an L2 cache of 11 cycles.
		 */
		.name = "neoverse-n1",
		.title = "Arm Neoverse N1",
		.source = "Arm 100616, A5",
		.arrays = {{1, INSTR, P4K | P64K | P2M, 1, 48},
			   {1, DATA, P4K | P64K | P2M, 1, 48},
			   {2, BOTH, P4K | P64K | P2M | P1G, 256, 5}},
		.walk = {{16, 4}, {1, 8}, {1, 4}},
		.cycles = {.l1_hit = 0, .l2_hit = 3, .walk = 3, .walk_step = 11},
	},
	{
		/*
		 * Arm Cortex-A72 MPCore Processor Technical Reference Manual (100095), 5.2:
		 * instruction L1 TLB of 48 entries and data L1 TLB of 32, fully associative, of
		 * 4K, 64K and 1M; L2 TLB of 1024 entries, 4 ways, of 4K, 64K, 2M and 1G among
		 * others. Assumed: that 1M pieces, which x86 has not, are 64K; walk caches; a
		 * second-level hit of 4 cycles and an L2 cache of 16.
		 */
		.name = "cortex-a72",
		.title = "Arm Cortex-A72",
		.source = "Arm 100095, 5.2",
		.arrays = {{1, INSTR, P4K | P64K, 1, 48},
			   {1, DATA, P4K | P64K, 1, 32},
			   {2, BOTH, P4K | P64K | P2M | P1G, 256, 4}},
		.walk = {{8, 4}, {1, 8}, {1, 4}},
		.cycles = {.l1_hit = 0, .l2_hit = 4, .walk = 4, .walk_step = 16},
	},
	{
		/*
		 * Arm Cortex-A53 MPCore Processor Technical Reference Manual (DDI 0500), 5.2:
		 * micro TLBs of 10 entries, fully associative, for instructions and data each,
		 * of 4K, 64K and 1M among others; main TLB of 512 entries, 4 ways; walk cache
		 * of 64 entries, 4 ways. Assumed: 1M as for Cortex-A72; that the walk cache
		 * serves one level; a main TLB hit of 4 cycles and an L2 cache of 15.
		 */
		.name = "cortex-a53",
		.title = "Arm Cortex-A53",
		.source = "Arm DDI 0500, 5.2",
		.arrays = {{1, INSTR, P4K | P64K, 1, 10},
			   {1, DATA, P4K | P64K, 1, 10},
			   {2, BOTH, P4K | P64K | P2M | P1G, 128, 4}},
		.walk = {{16, 4}, {0, 0}, {0, 0}},
		.cycles = {.l1_hit = 0, .l2_hit = 4, .walk = 4, .walk_step = 15},
	},
};

const size_t tlb_nr_presets = sizeof(tlb_presets) / sizeof(*tlb_presets);
