/* SPDX-License-Identifier: MIT */
/*
 * The integers the whole project shares, and nothing else.
 */
#ifndef RATION_TYPES_H
#define RATION_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t vaddr_t; /* a virtual address, in bytes */
typedef uint32_t pfn_t;	  /* a frame's number: frame 0 is the first of the machine's RAM */
typedef uint64_t pte_t;	  /* one entry of a page table, x86-64 layout (mm/pgtable.h) */

#define PFN_NONE ((pfn_t)-1)

#define PAGE_SHIFT 12
#define PAGE_SIZE  ((uint64_t)1 << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#endif
