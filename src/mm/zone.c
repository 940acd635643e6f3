/* SPDX-License-Identifier: MIT */
/*
 * Zones: ranges of frames, each with a buddy system, watermarks and per-CPU lists of its own.
 *
 * A zone starts with all frames reserved; boot gives the buddy system what nobody keeps
 * ("managed"). The watermarks divide a zone's free frames: below low kswapd works until high is
 * reached, below min programs must reclaim by themselves, and what is left under min is for
 * those who free memory.
 *
 * Invariants, walked by zone_check(); 1 to 7 are in buddy.c and page_alloc.c:
 *  8. Blocks partition a zone: each frame is reserved, or of exactly one block, which is free,
 *     on a per-CPU list, or handed out (refs > 0 in its first frame unless it is PG_dead, refs
 * == 0 in the others).
 *  9. managed is the number of frames that are not reserved.
 */
#include "mm/zone.h"

#include <string.h>

#include "base/checked.h"
#include "mm/buddy.h"

/* Linux's defaults (mm/page_alloc.c). */
#define MIN_FREE_KBYTES_MIN  128
#define MIN_FREE_KBYTES_MAX  262144
#define LOWMEM_RESERVE_RATIO 256 /* DMA and DMA32: 1/256 of what lies in higher zones */
#define PCP_BATCH_PAGES_MAX  256 /* 1 MiB */

#define KBYTES_PER_PAGE (PAGE_SIZE / 1024)

/* The largest n with n * n <= x, bit by bit. */
static uint64_t int_sqrt(uint64_t x)
{
	uint64_t root = 0;

	for (int bit = 31; bit >= 0; bit--) {
		uint64_t next = root | 1ull << bit;

		if (next * next <= x)
			root = next;
	}
	return root;
}

/**
 * zone_init() - a zone of frames [start, end), all of them reserved.
 * @zone: in sys->zones; the caller counts it in sys->nr_zones.
 * @name: kept, not copied.
 *
 * Return: 0, or -EINVAL if the range is empty or not in mem_map.
 * Context: boot.
 */
int zone_init(struct mm_system *sys, struct zone *zone, const char *name, pfn_t start,
	      pfn_t end)
{
	if (start >= end || end > sys->nr_frames)
		return -EINVAL;
	memset(zone, 0, sizeof(*zone));
	zone->name = name;
	zone->start = start;
	zone->end = end;
	for (unsigned int order = 0; order < BUDDY_NR_ORDERS; order++)
		page_list_init(&zone->free_area[order]);
	for (pfn_t pfn = start; pfn < end; pfn++) {
		struct page *page = page_of(sys, pfn);

		memset(page, 0, sizeof(*page));
		page->flags = PG_reserved;
		page->next = page->prev = PFN_NONE;
	}
	return 0;
}

/* The order of the largest block that begins at start and ends before end. */
static unsigned int largest_order(pfn_t start, pfn_t end)
{
	unsigned int order = 0;

	while (order < BUDDY_ORDER_MAX && (start & ((2u << order) - 1)) == 0 &&
	       (2u << order) <= end - start)
		order++;
	return order;
}

static void free_boot_in_zone(struct mm_system *sys, struct zone *zone, pfn_t start, pfn_t end)
{
	zone->managed += end - start;
	for (pfn_t pfn = start; pfn < end; pfn++) {
		MM_ASSERT(page_of(sys, pfn)->flags == PG_reserved);
		page_of(sys, pfn)->flags = 0;
	}
	while (start < end) {
		unsigned int order = largest_order(start, end);

		buddy_give(sys, zone, start, order);
		start += 1u << order;
	}
}

/**
 * zone_free_boot() - the buddy system gets the reserved frames [start, end).
 *
 * The range may cross zones; frames of no zone are left alone. It may also come later than at
 * boot, for memory that is no longer kept.
 *
 * Context: mm_system.lock held, or boot.
 */
void zone_free_boot(struct mm_system *sys, pfn_t start, pfn_t end)
{
	for (unsigned int i = 0; i < sys->nr_zones; i++) {
		struct zone *zone = &sys->zones[i];
		pfn_t from = (pfn_t)max_u64(start, zone->start);
		pfn_t to = (pfn_t)min_u64(end, zone->end);

		if (from < to)
			free_boot_in_zone(sys, zone, from, to);
	}
}

/* What one zone has for its per-CPU lists, in bytes. */
uint64_t zone_pcps_bytes(const struct mm_system *sys)
{
	return (uint64_t)zone_nr_pcps(sys) * sizeof(struct pcp);
}

/* Linux's zone_batchsize(): at most 1/1024 of the zone, a power of two less one. */
static uint32_t pcp_batch(const struct zone *zone)
{
	uint64_t quarter = min_u64(zone->managed >> 10, PCP_BATCH_PAGES_MAX) / 4;
	uint32_t batch = (uint32_t)max_u64(quarter, 1);

	batch += batch / 2;
	batch = (1u << (31 - __builtin_clz(batch))) - 1;
	return (uint32_t)max_u64(batch, 1);
}

/* Linux's zone_highsize(): all lists together hold at most what kswapd keeps free. */
static void zone_size_pcps(struct mm_system *sys, struct zone *zone)
{
	uint32_t batch = pcp_batch(zone);
	uint32_t share = zone->watermark[WMARK_LOW] / zone_nr_pcps(sys);

	for (unsigned int cpu = 0; zone->pcps && cpu < zone_nr_pcps(sys); cpu++) {
		zone->pcps[cpu].batch = batch;
		zone->pcps[cpu].high = (uint32_t)max_u64(share, 4 * (uint64_t)batch);
	}
}

/**
 * zone_set_pcps() - from now on order 0 goes through per-CPU lists.
 * @memory: zone_pcps_bytes() bytes, aligned to 8; the zone keeps it for good.
 *
 * Context: mm_system.lock held, or boot.
 */
void zone_set_pcps(struct mm_system *sys, struct zone *zone, void *memory)
{
	MM_ASSERT(!zone->pcps);
	zone->pcps = memory;
	for (unsigned int cpu = 0; cpu < zone_nr_pcps(sys); cpu++)
		page_list_init(&zone->pcps[cpu].list);
	zone_size_pcps(sys, zone);
}

/**
 * zone_default_min_free_kbytes() - vm.min_free_kbytes where nobody set it.
 *
 * Grows with the square root of memory: the need to get memory at once does not grow with all
 * of it (Linux's calculate_min_free_kbytes()).
 */
uint64_t zone_default_min_free_kbytes(uint64_t lowmem_kbytes)
{
	uint64_t kbytes = int_sqrt(lowmem_kbytes * 16);

	return min_u64(max_u64(kbytes, MIN_FREE_KBYTES_MIN), MIN_FREE_KBYTES_MAX);
}

/**
 * zones_managed_pages() - frames of all zones, free or in use (Linux's managed_pages).
 */
uint64_t zones_managed_pages(const struct mm_system *sys)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < sys->nr_zones; i++)
		sum += sys->zones[i].managed;
	return sum;
}

static void zone_set_watermarks(struct zone *zone, uint64_t pages_min, uint64_t all_managed,
				uint32_t scale_factor)
{
	uint64_t min = pages_min * zone->managed / all_managed;
	uint64_t gap = max_u64(min / 4, (uint64_t)zone->managed * scale_factor / 10000);

	zone->watermark[WMARK_MIN] = (uint32_t)min;
	zone->watermark[WMARK_LOW] = (uint32_t)(min + gap);
	zone->watermark[WMARK_HIGH] = (uint32_t)(min + 2 * gap);
}

/*
 * Any request here may use the highest zone, so that one reserve per zone is enough. A zone
 * that is not the lowest keeps its low watermark as long as a lower one can serve.
 */
static void zone_set_reserve(struct mm_system *sys, struct zone *zone, uint32_t reserve)
{
	uint32_t min = zone->watermark[WMARK_MIN];

	zone->lowmem_reserve = reserve;
	zone->floor[GFP_USER] = min + reserve;
	zone->floor[GFP_KERNEL] = min - min / 2 + reserve;
	zone->floor[GFP_RECLAIM] = 0;
	zone->floor_first = (sys->nr_zones > 1 ? zone->watermark[WMARK_LOW] : min) + reserve;
}

/**
 * zone_use_watermarks() - these and no others, until zones_setup_watermarks() is called.
 * @marks: frames.
 * @reserve: frames kept from requests that could use a higher zone.
 *
 * For a simulation of a machine whose figures are known. Context: mm_system.lock held.
 */
void zone_use_watermarks(struct mm_system *sys, struct zone *zone,
			 const uint32_t marks[NR_WMARK], uint32_t reserve)
{
	pcp_drain(sys);
	memcpy(zone->watermark, marks, sizeof(zone->watermark));
	zone_set_reserve(sys, zone, reserve);
	zone_size_pcps(sys, zone);
}

/**
 * zones_set_reclaim_active() - while kswapd works, per-CPU lists hold four batches at most.
 *
 * Else the frames that it frees would pile up there, where it does not count them (Linux's
 * ZONE_RECLAIM_ACTIVE). Context: mm_system.lock held.
 */
void zones_set_reclaim_active(struct mm_system *sys, bool is_active)
{
	if (is_active)
		pcp_drain(sys);
	for (unsigned int i = 0; i < sys->nr_zones; i++) {
		struct zone *zone = &sys->zones[i];

		zone_size_pcps(sys, zone);
		for (unsigned int cpu = 0; is_active && zone->pcps && cpu < zone_nr_pcps(sys);
		     cpu++) {
			struct pcp *pcp = &zone->pcps[cpu];

			pcp->high = (uint32_t)min_u64(pcp->high, 4 * (uint64_t)pcp->batch);
		}
	}
}

/**
 * zones_default_min_free_kbytes() - vm.min_free_kbytes for the memory that the zones manage.
 */
uint64_t zones_default_min_free_kbytes(const struct mm_system *sys)
{
	return zone_default_min_free_kbytes(zones_managed_pages(sys) * KBYTES_PER_PAGE);
}

/**
 * zones_setup_watermarks() - watermarks, reserves and per-CPU list sizes of all zones.
 * @min_free_kbytes: what min is in all zones together. Larger than what is managed, it leaves
 * nothing for programs.
 * @watermark_scale_factor: the least gap between two marks, in 1/10000 of the zone.
 *
 * Linux's __setup_per_zone_wmarks() and setup_per_zone_lowmem_reserve().
 *
 * Context: mm_system.lock held, or boot.
 */
void zones_setup_watermarks(struct mm_system *sys, uint64_t min_free_kbytes,
			    uint32_t watermark_scale_factor)
{
	uint64_t all = zones_managed_pages(sys);
	uint64_t higher = 0;

	if (all == 0)
		return;
	min_free_kbytes = min_u64(min_free_kbytes, all * KBYTES_PER_PAGE);
	pcp_drain(sys);
	for (unsigned int i = sys->nr_zones; i-- > 0;) {
		struct zone *zone = &sys->zones[i];

		zone_set_watermarks(zone, min_free_kbytes / KBYTES_PER_PAGE, all,
				    watermark_scale_factor);
		zone_set_reserve(sys, zone, (uint32_t)(higher / LOWMEM_RESERVE_RATIO));
		higher += zone->managed;
		zone_size_pcps(sys, zone);
	}
}

/**
 * zones_set_watermarks() - as zones_setup_watermarks(), where 0 asks for the default.
 * @min_free_kbytes: 0: zone_default_min_free_kbytes().
 *
 * Context: mm_system.lock held, or boot.
 */
void zones_set_watermarks(struct mm_system *sys, uint64_t min_free_kbytes,
			  uint32_t watermark_scale_factor)
{
	if (min_free_kbytes == 0)
		min_free_kbytes = zones_default_min_free_kbytes(sys);
	zones_setup_watermarks(sys, min_free_kbytes, watermark_scale_factor);
}

/**
 * zones_watermark() - a watermark of all zones together, in frames.
 * @mark: WMARK_*.
 */
uint64_t zones_watermark(const struct mm_system *sys, unsigned int mark)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < sys->nr_zones; i++)
		sum += sys->zones[i].watermark[mark];
	return sum;
}

/**
 * zones_free_pages() - frames in the buddy systems of all zones; those on per-CPU lists are not
 * counted, as in Linux's NR_FREE_PAGES.
 */
uint64_t zones_free_pages(const struct mm_system *sys)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < sys->nr_zones; i++)
		sum += sys->zones[i].nr_free;
	return sum;
}
