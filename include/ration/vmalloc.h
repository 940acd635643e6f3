/* SPDX-License-Identifier: MIT */
/*
 * Kernel space: memory of frames that lie anywhere, at addresses that follow one another, for
 * the supervisor of a machine with an MMU. How it works is told in mm/vmalloc.c.
 */
#ifndef RATION_VMALLOC_H
#define RATION_VMALLOC_H

#include "ration/types.h"

struct mm_system;

/* Linux's range on x86-64 with four levels (Documentation/arch/x86/x86_64/mm.rst): 32 TiB. */
#define MM_VMALLOC_START 0xffffc90000000000ull
#define MM_VMALLOC_END	 0xffffe90000000000ull

int mm_vmalloc(struct mm_system *sys, uint64_t size, vaddr_t *ret_addr);
int mm_vzalloc(struct mm_system *sys, uint64_t size, vaddr_t *ret_addr);
int mm_vfree(struct mm_system *sys, vaddr_t addr);
int mm_vmalloc_purge(struct mm_system *sys);

/* What /proc/meminfo says of it. */
struct mm_vmalloc_usage {
	uint64_t total_kbytes; /* VmallocTotal: addresses */
	uint64_t used_kbytes;  /* VmallocUsed: frames that are mapped */
	uint64_t chunk_kbytes; /* VmallocChunk: the largest hole between areas */
	uint64_t lazy_pages;   /* addresses that wait for the next shootdown */
};

void mm_vmalloc_usage(struct mm_system *sys, struct mm_vmalloc_usage *ret_usage);

/* A line of /proc/vmallocinfo. */
struct mm_vmalloc_area {
	vaddr_t start, end; /* the guard page is the last */
	uint64_t nr_pages;  /* that are mapped */
	bool is_free;	    /* mm_vfree() was called: only the addresses are still kept */
};

int mm_vmalloc_next(struct mm_system *sys, vaddr_t from, struct mm_vmalloc_area *ret_area);

/* For the machine: the root of the tables, PFN_NONE before the first mm_vmalloc(); and what a
 * page is mapped to. */
pfn_t mm_vmalloc_root(struct mm_system *sys);
int mm_vmalloc_frame(struct mm_system *sys, vaddr_t addr, pfn_t *ret_pfn);

#endif
