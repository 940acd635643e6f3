/* SPDX-License-Identifier: MIT */
/*
 * Processors' TLBs.
 *
 * Entries, ways and page sizes are published, by their makers or by the processors themselves;
 * each preset names where, and a processor whose sizes could not be looked up is not here. What
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
		 * What CPUID leaf 2 says on a Core i3-4160 (06C3h): B5h, ITLB 64 x 4K, 8 ways;
		 * 76h, ITLB 8 x 2M, fully associative; 03h, DTLB 64 x 4K, 4 ways; 63h, DTLB 32
		 * x 2M and 4 x 1G, 4 ways each; C1h, STLB 1024 x 4K or 2M, 8 ways; nothing for
		 * 1G there. The descriptors are in Intel's SDM, volume 2A, CPUID, "Encoding of
		 * CPUID Leaf 2 Descriptors". Assumed as for Skylake.
		 */
		.name = "haswell",
		.title = "Intel Haswell",
		.source = "CPUID leaf 2 of a Core i3-4160: 03 63 76 B5 C1",
		.arrays = {{1, INSTR, P4K, 8, 8},
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
		 * Arm Cortex-A76 Core Technical Reference Manual (100798), A5.1 and A5.2:
		 * instruction and data L1 TLBs of 48 entries, fully associative, of 4K, 64K and
		 * 2M among others; L2 TLB of 1280 entries, 5 ways, of all sizes; its access
		 * "usually takes three cycles". Assumed: walk caches,
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
		 * Arm Cortex-A72 MPCore Processor Technical Reference Manual (100095_0002_04),
		 * 5.2.3: L2 TLB of 1024 entries, 4 ways, of 4K, 64K, 2M and 1G among others.
		 * L1 TLBs, fully associative, of 48 entries for instructions and 32 for data,
		 * of 4K, 64K and 1M: "ARM Cortex-A72", Wikipedia. Assumed: that 1M pieces,
		 * which x86 has not, are 64K; walk caches; a second-level hit of 4 cycles and
		 * an L2 cache of 16.
		 */
		.name = "cortex-a72",
		.title = "Arm Cortex-A72",
		.source = "Arm 100095, 5.2.3; L1: Wikipedia, ARM Cortex-A72",
		.arrays = {{1, INSTR, P4K | P64K, 1, 48},
			   {1, DATA, P4K | P64K, 1, 32},
			   {2, BOTH, P4K | P64K | P2M | P1G, 256, 4}},
		.walk = {{8, 4}, {1, 8}, {1, 4}},
		.cycles = {.l1_hit = 0, .l2_hit = 4, .walk = 4, .walk_step = 16},
	},
	{
		/*
		 * Arm Cortex-A53 MPCore Processor Technical Reference Manual (DDI 0500E),
		 * 5.2.2: main TLB of 512 entries, 4 ways, of all sizes but 1G, which it splits.
		 * Intel Stratix 10 Hard Processor System Technical Reference Manual (683222),
		 * table 33 and below: micro TLBs of 10 entries, fully associative, for
		 * instructions and data each; walk cache of 64 entries, 4 ways. Assumed: that
		 * micro TLBs hold 4K and 64K; that 1G splits into 2M, not 512M; that the walk
		 * cache serves one level; a main TLB hit of 4 cycles and an L2 cache of 15.
		 */
		.name = "cortex-a53",
		.title = "Arm Cortex-A53",
		.source = "Arm DDI 0500E, 5.2.2; Intel 683222, table 33",
		.arrays = {{1, INSTR, P4K | P64K, 1, 10},
			   {1, DATA, P4K | P64K, 1, 10},
			   {2, BOTH, P4K | P64K | P2M, 128, 4}},
		.walk = {{16, 4}, {0, 0}, {0, 0}},
		.cycles = {.l1_hit = 0, .l2_hit = 4, .walk = 4, .walk_step = 15},
	},
};

const size_t tlb_nr_presets = sizeof(tlb_presets) / sizeof(*tlb_presets);
