/* SPDX-License-Identifier: MIT */
/*
 * Swap areas, slots and the swap cache.
 *
 * An area is cut into clusters of SWAP_CLUSTER_SLOTS slots. A cluster's bookkeeping exists only
 * while one of its slots is used, and while it exists the cluster is this manager's at the
 * device. Slots are taken in order from one current cluster, so that what is written together
 * lies together and is read together (mm/swapfile.c). When it is used up, the next is an unused
 * one, and only where there is none, one with holes.
 *
 * After a fork of the process, parent and child hold the same clusters. These are sealed: their
 * slots are read and freed, but not handed out, until the device says that the other is gone.
 *
 * Invariants:
 *  1. nr_used of a cluster is the number of its slots with a count, a cached frame, or a mark
 *     as bad or absent; an existing cluster has a used slot or is the current one.
 *  2. A frame is in cache[] of its slot if and only if it has PG_swapcache. A slot that a page
 *     table entry names has there instead what the frame left that was evicted (CACHE_SHADOW).
 *  3. A slot with the count SLOT_MORE has a count of at least that in more[].
 *  4. A cluster is on the area's partial list if and only if it has a free slot, is not sealed
 *     and is not the current one.
 */
#include "mm/swap.h"

#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "mm/slab.h"
#include "mm/system.h"

#define SLOT_BAD  255 /* count of a slot that must not be used; live counts stay below */
#define SLOT_MORE 254 /* the count is this or more, and in ->more[] */

struct swap_cluster {
	struct list_head node; /* on area->partial, or empty */
	uint64_t number;
	uint16_t nr_used;
	uint16_t nr_absent; /* of these, slots that do not exist */
	uint16_t next;	    /* where to look for a free slot first */
	bool is_sealed;
	uint8_t count[SWAP_CLUSTER_SLOTS];
	uint32_t *more; /* by slot; NULL until a count needs it (Linux's continuations) */
	pfn_t cache[SWAP_CLUSTER_SLOTS];
};

int swap_init(struct mm_system *sys)
{
	return kmem_cache_create(sys, "swap_cluster", sizeof(struct swap_cluster), 8,
				 &sys->swap_cluster_cache);
}

static struct swap_area *area_of(struct mm_system *sys, swp_entry_t entry)
{
	unsigned int type = swp_type(entry);

	MM_ASSERT(type < sys->nr_swap_areas && sys->swap_areas[type]);
	MM_ASSERT(swp_slot(entry) > 0 &&
		  swp_slot(entry) < sys->swap_areas[type]->dev->nr_slots);
	return sys->swap_areas[type];
}

static struct swap_cluster *cluster_of(struct mm_system *sys, swp_entry_t entry)
{
	return area_of(sys, entry)->clusters[swp_slot(entry) / SWAP_CLUSTER_SLOTS];
}

static unsigned int slot_index(swp_entry_t entry)
{
	return (unsigned int)(swp_slot(entry) % SWAP_CLUSTER_SLOTS);
}

/* Slots that can be used: not the header, not beyond the end, not found broken by mkswap. */
static bool slot_is_usable(const struct swapdev *dev, uint64_t slot)
{
	if (slot == 0 || slot >= dev->nr_slots)
		return false;
	for (unsigned int i = 0; i < dev->nr_bad_slots; i++)
		if (dev->bad_slots[i] == slot)
			return false;
	return true;
}

/* In cache[]: no frame, but what the last one left (mm/workingset.h). */
#define CACHE_SHADOW (1u << 31)

_Static_assert(WORKINGSET_SHADOW_BITS < 31, "a shadow entry in cache[] is never PFN_NONE");

static bool cache_is_shadow(pfn_t value)
{
	return value != PFN_NONE && (value & CACHE_SHADOW) != 0;
}

static bool slot_is_free(const struct swap_cluster *c, unsigned int index)
{
	return c->count[index] == 0 && c->cache[index] == PFN_NONE;
}

/* The lowest type that no area has. -EBUSY if the device is in use, -EPERM if there is none. */
static int free_type(struct mm_system *sys, const struct swapdev *dev, unsigned int *ret_type)
{
	unsigned int type = SWAP_TYPES_MAX;

	for (unsigned int t = SWAP_TYPES_MAX; t-- > 0;) {
		if (!sys->swap_areas[t])
			type = t;
		else if (sys->swap_areas[t]->dev == dev)
			return -EBUSY;
	}
	*ret_type = type;
	return type == SWAP_TYPES_MAX ? -EPERM : 0;
}

/**
 * mm_swapon() - give the system a swap area.
 * @sys: the system.
 * @dev: the device; it must outlive the system's use of it. Slot 0 is its header.
 * @prio: areas of higher priority are filled first, equal ones in turn.
 *
 * Return: 0, -ENOMEM, -EINVAL for a device without slots or with more than PAGE_SLOT_MAX,
 * -EBUSY if an area is on it already, -EPERM if there are SWAP_TYPES_MAX, -EFBIG if the device
 * cannot use so much RAM.
 * Context: takes sys->lock.
 */
int mm_swapon(struct mm_system *sys, struct swapdev *dev, int prio)
{
	struct swap_area *area;
	unsigned int type;
	int err = 0;

	if (dev->nr_slots < 2 || dev->nr_slots > PAGE_SLOT_MAX)
		return -EINVAL;
	if (dev->ops->set_frames)
		err = swap_lend_frames(sys, dev);
	if (err)
		return err;
	err = -ENOMEM;
	sys_lock(sys);
	err = free_type(sys, dev, &type);
	if (err)
		goto unlock;
	err = -ENOMEM;
	area = kzalloc(sys, sizeof(*area));
	if (!area)
		goto unlock;
	area->nr_clusters = (dev->nr_slots + SWAP_CLUSTER_SLOTS - 1) / SWAP_CLUSTER_SLOTS;
	area->clusters = kzalloc(sys, area->nr_clusters * sizeof(struct swap_cluster *));
	if (!area->clusters)
		goto free_area;
	area->dev = dev;
	area->prio = prio;
	area->type = type;
	area->nr_pages = dev->nr_slots - 1 - dev->nr_bad_slots;
	list_init(&area->partial);
	sys->swap_areas[type] = area;
	sys->nr_swap_areas = (unsigned int)max_u64(sys->nr_swap_areas, type + 1);
	sys->nr_swap_pages += area->nr_pages;
	sys_unlock(sys);
	return 0;
free_area:
	kfree(sys, area);
unlock:
	sys_unlock(sys);
	return err;
}

static void cluster_list_update(struct swap_area *area, struct swap_cluster *c)
{
	bool is_partial =
		c->nr_used < SWAP_CLUSTER_SLOTS && !c->is_sealed && c != area->current;

	if (is_partial && list_is_empty(&c->node))
		list_add_tail(&c->node, &area->partial);
	else if (!is_partial && !list_is_empty(&c->node))
		list_del(&c->node);
}

static bool device_grants(struct swap_area *area, uint64_t number)
{
	struct swapdev *dev = area->dev;

	return !dev->ops->cluster_get || dev->ops->cluster_get(dev, number);
}

static void device_return(struct swap_area *area, uint64_t number)
{
	if (area->dev->ops->cluster_put)
		area->dev->ops->cluster_put(area->dev, number);
}

/* Makes the bookkeeping of a cluster that the device has granted. */
static struct swap_cluster *cluster_create(struct mm_system *sys, struct swap_area *area,
					   uint64_t number)
{
	struct swap_cluster *c;

	sys->is_memalloc = true;
	c = kmem_cache_alloc(sys, sys->swap_cluster_cache);
	sys->is_memalloc = false;
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	list_init(&c->node);
	c->number = number;
	for (unsigned int i = 0; i < SWAP_CLUSTER_SLOTS; i++) {
		c->cache[i] = PFN_NONE;
		if (!slot_is_usable(area->dev, number * SWAP_CLUSTER_SLOTS + i)) {
			c->count[i] = SLOT_BAD;
			c->nr_used++;
		}
	}
	c->nr_absent = c->nr_used;
	area->clusters[number] = c;
	return c;
}

static void cluster_destroy(struct mm_system *sys, struct swap_area *area,
			    struct swap_cluster *c)
{
	if (!list_is_empty(&c->node))
		list_del(&c->node);
	area->clusters[c->number] = NULL;
	device_return(area, c->number);
	if (c->more)
		kfree(sys, c->more);
	kmem_cache_free(sys, sys->swap_cluster_cache, c);
}

/* The next cluster that nobody uses, round robin from the hint. 0, -ENOSPC or -ENOMEM. */
static int cluster_take_unused(struct mm_system *sys, struct swap_area *area,
			       struct swap_cluster **ret_cluster)
{
	for (uint64_t i = 0; i < area->nr_clusters; i++) {
		uint64_t number = (area->hint + i) % area->nr_clusters;

		if (area->clusters[number] || !device_grants(area, number))
			continue;
		area->hint = number + 1;
		*ret_cluster = cluster_create(sys, area, number);
		if (!*ret_cluster) {
			device_return(area, number);
			return -ENOMEM;
		}
		if ((*ret_cluster)->nr_absent < SWAP_CLUSTER_SLOTS)
			return 0;
		cluster_destroy(sys, area, *ret_cluster); /* not one good slot in it */
		*ret_cluster = NULL;
	}
	return -ENOSPC;
}

/* Clusters sealed by a fork are ours again once the other process is gone. */
static struct swap_cluster *cluster_unseal(struct swap_area *area)
{
	struct swapdev *dev = area->dev;

	for (uint64_t i = 0; i < area->nr_clusters && area->nr_sealed > 0; i++) {
		struct swap_cluster *c = area->clusters[i];

		if (!c || !c->is_sealed || !dev->ops->cluster_is_exclusive ||
		    !dev->ops->cluster_is_exclusive(dev, i))
			continue;
		c->is_sealed = false;
		area->nr_sealed--;
		cluster_list_update(area, c);
		if (c->nr_used < SWAP_CLUSTER_SLOTS)
			return c;
	}
	return NULL;
}

static int area_next_cluster(struct mm_system *sys, struct swap_area *area)
{
	struct swap_cluster *old = area->current, *c = NULL;
	int err;

	err = cluster_take_unused(sys, area, &c);
	if (!c && !list_is_empty(&area->partial))
		c = list_entry(area->partial.next, struct swap_cluster, node);
	if (!c)
		c = cluster_unseal(area);
	area->current = c;
	if (old && old->nr_used == old->nr_absent)
		cluster_destroy(sys, area, old);
	else if (old)
		cluster_list_update(area, old);
	if (c) {
		cluster_list_update(area, c);
		return 0;
	}
	if (err == -ENOSPC)
		area->full_for = SWAP_FULL_PATIENCE;
	return err;
}

static int area_slot_alloc(struct mm_system *sys, struct swap_area *area,
			   swp_entry_t *ret_entry)
{
	struct swap_cluster *c = area->current;

	if (area->full_for > 0) {
		area->full_for--;
		return -ENOSPC;
	}
	if (!c || c->nr_used == SWAP_CLUSTER_SLOTS) {
		int err = area_next_cluster(sys, area);

		if (err)
			return err;
		c = area->current;
	}
	for (unsigned int i = 0; i < SWAP_CLUSTER_SLOTS; i++) {
		unsigned int index = (c->next + i) % SWAP_CLUSTER_SLOTS;

		if (!slot_is_free(c, index))
			continue;
		c->next = (uint16_t)(index + 1);
		*ret_entry = swp_entry(area->type, c->number * SWAP_CLUSTER_SLOTS + index);
		return 0;
	}
	MM_ASSERT(false);
	return -ENOSPC;
}

static struct swap_area *area_best(struct mm_system *sys, uint32_t tried)
{
	struct swap_area *best = NULL;

	for (unsigned int i = 0; i < sys->nr_swap_areas; i++) {
		unsigned int type = (sys->swap_turn + i) % sys->nr_swap_areas;
		struct swap_area *area = sys->swap_areas[type];

		if (tried & 1u << type || !swap_area_gives(area))
			continue;
		if (!best || area->prio > best->prio)
			best = area;
	}
	return best;
}

/**
 * swap_slot_alloc() - find a free slot.
 * @ret_entry: its entry. It becomes used when swap_cache_add() or swap_entry_dup() names it,
 *             which must come before the next call.
 *
 * The area of the highest priority that has room; areas of equal priority take turns by
 * cluster.
 *
 * Return: 0; -ENOSPC; -ENOMEM where there was no memory for a cluster's bookkeeping just now.
 * Context: sys->lock held.
 */
int swap_slot_alloc(struct mm_system *sys, swp_entry_t *ret_entry)
{
	uint32_t tried = 0;
	int err = -ENOSPC;

	for (unsigned int i = 0; i < sys->nr_swap_areas; i++) {
		struct swap_area *area = area_best(sys, tried);
		int area_err;

		if (!area)
			break;
		area_err = area_slot_alloc(sys, area, ret_entry);
		if (!area_err) {
			if (area->current->nr_used + 1 == SWAP_CLUSTER_SLOTS)
				sys->swap_turn = area->type + 1;
			return 0;
		}
		if (area_err == -ENOMEM)
			err = -ENOMEM;
		tried |= 1u << area->type;
	}
	return err;
}

static void slot_taken(struct mm_system *sys, struct swap_area *area, struct swap_cluster *c)
{
	c->nr_used++;
	area->nr_used++;
	STAT(sys, nr_swap_slots_used, 1);
	cluster_list_update(area, c);
}

static void slot_released(struct mm_system *sys, struct swap_area *area, struct swap_cluster *c,
			  unsigned int index)
{
	swap_slot_forget(sys, area->dev, c->number * SWAP_CLUSTER_SLOTS + index);
	c->nr_used--;
	area->nr_used--;
	area->full_for = 0;
	STAT(sys, nr_swap_slots_used, -1);
	if (c->nr_used > c->nr_absent || c == area->current) {
		cluster_list_update(area, c);
		return;
	}
	if (c->is_sealed)
		area->nr_sealed--;
	cluster_destroy(sys, area, c);
}

static uint32_t slot_count(const struct swap_cluster *c, unsigned int index)
{
	return c->count[index] == SLOT_MORE ? c->more[index] : c->count[index];
}

static void slot_set_count(struct swap_cluster *c, unsigned int index, uint32_t count)
{
	c->count[index] = count < SLOT_MORE ? (uint8_t)count : SLOT_MORE;
	if (count >= SLOT_MORE)
		c->more[index] = count;
}

/**
 * swap_count_reserve() - so many entries more will name this slot.
 *
 * Return: 0: so many swap_entry_dup() cannot fail, before sys->lock is dropped; -ENOMEM.
 * Context: sys->lock held.
 */
int swap_count_reserve(struct mm_system *sys, swp_entry_t entry, uint32_t nr)
{
	struct swap_cluster *c = cluster_of(sys, entry);

	if (c->more || slot_count(c, slot_index(entry)) + nr < SLOT_MORE)
		return 0;
	c->more = kzalloc(sys, SWAP_CLUSTER_SLOTS * sizeof(*c->more));
	return c->more ? 0 : -ENOMEM;
}

/**
 * swap_entry_dup() - one more page table entry names this slot.
 *
 * Context: sys->lock held; after swap_count_reserve(), unless it is the first.
 */
void swap_entry_dup(struct mm_system *sys, swp_entry_t entry)
{
	struct swap_cluster *c = cluster_of(sys, entry);
	unsigned int i = slot_index(entry);
	bool was_free = slot_is_free(c, i);

	MM_ASSERT(c->count[i] != SLOT_BAD);
	slot_set_count(c, i, slot_count(c, i) + 1);
	if (was_free)
		slot_taken(sys, area_of(sys, entry), c);
}

/**
 * swap_entry_put() - a page table entry that named this slot is gone.
 * Context: sys->lock held.
 */
void swap_entry_put(struct mm_system *sys, swp_entry_t entry)
{
	struct swap_cluster *c = cluster_of(sys, entry);
	unsigned int i = slot_index(entry);

	MM_ASSERT(c && c->count[i] > 0 && c->count[i] < SLOT_BAD);
	slot_set_count(c, i, slot_count(c, i) - 1);
	if (c->count[i] == 0 && cache_is_shadow(c->cache[i]))
		c->cache[i] = PFN_NONE;
	if (slot_is_free(c, i))
		slot_released(sys, area_of(sys, entry), c, i);
}

uint32_t swap_entry_count(struct mm_system *sys, swp_entry_t entry)
{
	struct swap_cluster *c = cluster_of(sys, entry);
	unsigned int i = slot_index(entry);

	return c && c->count[i] != SLOT_BAD ? slot_count(c, i) : 0;
}

bool swap_entry_is_in_ram(struct mm_system *sys, swp_entry_t entry)
{
	return area_of(sys, entry)->dev->is_synchronous;
}

struct page *swap_cache_lookup(struct mm_system *sys, swp_entry_t entry)
{
	struct swap_cluster *c = cluster_of(sys, entry);
	pfn_t pfn = c ? c->cache[slot_index(entry)] : PFN_NONE;

	return pfn == PFN_NONE || cache_is_shadow(pfn) ? NULL : page_of(sys, pfn);
}

/**
 * swap_cache_add() - the frame is a copy of the slot, or is about to be written to it.
 *
 * Return: the shadow entry that swap_cache_evict() left there; 0: none.
 * Context: sys->lock held.
 */
uint64_t swap_cache_add(struct mm_system *sys, struct page *page, swp_entry_t entry)
{
	struct swap_cluster *c = cluster_of(sys, entry);
	unsigned int i = slot_index(entry);
	bool was_free = slot_is_free(c, i);
	uint64_t shadow = cache_is_shadow(c->cache[i]) ? c->cache[i] & ~CACHE_SHADOW : 0;

	MM_ASSERT((shadow || c->cache[i] == PFN_NONE) && !page_has(page, PG_swapcache));
	c->cache[i] = page_pfn(sys, page);
	page->flags |= PG_swapcache;
	page_set_swap(page, entry);
	page->refs++;
	STAT(sys, nr_swapcached, 1);
	if (was_free)
		slot_taken(sys, area_of(sys, entry), c);
	return shadow;
}

/**
 * swap_cache_del() - the frame and its slot have nothing to do with each other any more.
 *
 * The slot becomes free if no page table entry names it. The frame is the caller's.
 * Context: sys->lock held.
 */
void swap_cache_del(struct mm_system *sys, struct page *page)
{
	swp_entry_t entry = page_swap(page);
	struct swap_cluster *c = cluster_of(sys, entry);
	unsigned int i = slot_index(entry);

	MM_ASSERT(page_has(page, PG_swapcache) && c->cache[i] == page_pfn(sys, page));
	c->cache[i] = PFN_NONE;
	page->flags &= ~(uint32_t)PG_swapcache;
	page->refs--;
	STAT(sys, nr_swapcached, -1);
	if (slot_is_free(c, i))
		slot_released(sys, area_of(sys, entry), c, i);
	page_set_swap(page, 0);
}

/**
 * swap_cache_evict() - swap_cache_del(), for lack of memory.
 *
 * The slot keeps a shadow entry for the time when the page is read again, if it will be.
 * Context: sys->lock held.
 */
void swap_cache_evict(struct mm_system *sys, struct page *page)
{
	struct swap_cluster *c = cluster_of(sys, page_swap(page));
	unsigned int i = slot_index(page_swap(page));
	bool is_named = c->count[i] > 0;

	swap_cache_del(sys, page); /* may destroy the cluster */
	if (is_named)
		c->cache[i] = (pfn_t)workingset_eviction(sys, page) | CACHE_SHADOW;
}

/**
 * swap_slot_mark_bad() - the device could not write this slot: it is never handed out again.
 *
 * The slot must be free. Context: sys->lock held.
 */
void swap_slot_mark_bad(struct mm_system *sys, swp_entry_t entry)
{
	struct swap_area *area = area_of(sys, entry);
	uint64_t number = swp_slot(entry) / SWAP_CLUSTER_SLOTS;
	struct swap_cluster *c = area->clusters[number];

	if (!c) {
		if (!device_grants(area, number))
			return;
		c = cluster_create(sys, area, number);
		if (!c) {
			device_return(area, number);
			return;
		}
	}
	MM_ASSERT(slot_is_free(c, slot_index(entry)));
	c->count[slot_index(entry)] = SLOT_BAD;
	area->nr_bad++;
	slot_taken(sys, area, c);
}

/**
 * swap_seal_clusters() - after a fork of the process, in both: leave the shared slots alone.
 *
 * Context: sys->lock held, no I/O in flight.
 */
void swap_seal_clusters(struct mm_system *sys)
{
	for (unsigned int t = 0; t < sys->nr_swap_areas; t++) {
		struct swap_area *area = sys->swap_areas[t];

		if (!area || area->dev->is_private)
			continue;
		area->current = NULL;
		for (uint64_t i = 0; i < area->nr_clusters; i++) {
			struct swap_cluster *c = area->clusters[i];

			if (!c || c->is_sealed)
				continue;
			if (c->nr_used == c->nr_absent) {
				cluster_destroy(sys, area, c);
				continue;
			}
			c->is_sealed = true;
			area->nr_sealed++;
			cluster_list_update(area, c);
		}
	}
}

/* Slots are taken from no cluster of the area any more, until it is in use again. */
void swap_area_close(struct mm_system *sys, struct swap_area *area)
{
	struct swap_cluster *c = area->current;

	area->current = NULL;
	if (c && c->nr_used == c->nr_absent)
		cluster_destroy(sys, area, c);
	else if (c)
		cluster_list_update(area, c);
}

/**
 * swap_area_remove() - an area goes.
 * @area: none of its slots is used, but those that are bad; no op of its device runs.
 *
 * Context: sys->lock held.
 */
void swap_area_remove(struct mm_system *sys, struct swap_area *area)
{
	MM_ASSERT(area->nr_used == area->nr_bad && area->nr_ops == 0);
	for (uint64_t i = 0; i < area->nr_clusters; i++)
		if (area->clusters[i])
			cluster_destroy(sys, area, area->clusters[i]);
	STAT(sys, nr_swap_slots_used, -(int64_t)area->nr_bad);
	sys->nr_swap_pages -= area->nr_pages;
	sys->swap_areas[area->type] = NULL;
	while (sys->nr_swap_areas > 0 && !sys->swap_areas[sys->nr_swap_areas - 1])
		sys->nr_swap_areas--;
	kfree(sys, area->clusters);
	kfree(sys, area);
}

/* A slot that a fork's other half may read must keep its content; an area that leaves gets
 * none.
 */
bool swap_slot_is_writable(struct mm_system *sys, swp_entry_t entry)
{
	return swap_area_gives(area_of(sys, entry)) && !cluster_of(sys, entry)->is_sealed &&
	       swap_entry_count(sys, entry) == 0;
}

/* May an entry name the slot of a page that is in the swap cache? Not where the area leaves. */
bool swap_slot_may_stay(struct mm_system *sys, swp_entry_t entry)
{
	return swap_area_gives(area_of(sys, entry));
}

static int cluster_check(struct mm_system *sys, struct swap_area *area, struct swap_cluster *c)
{
	unsigned int nr_used = 0;

	for (unsigned int i = 0; i < SWAP_CLUSTER_SLOTS; i++) {
		nr_used += !slot_is_free(c, i);
		CHECK(c->count[i] != SLOT_MORE || slot_count(c, i) >= SLOT_MORE); /* 3 */
		if (c->cache[i] == PFN_NONE)
			continue;
		if (cache_is_shadow(c->cache[i])) {
			CHECK(c->count[i] > 0 && c->count[i] != SLOT_BAD);
			continue;
		}
		CHECK(c->cache[i] < sys->nr_frames);
		CHECK(page_has(page_of(sys, c->cache[i]), PG_swapcache));
		CHECK(page_swap(page_of(sys, c->cache[i])) ==
		      swp_entry(area->type, c->number * SWAP_CLUSTER_SLOTS + i));
	}
	CHECK(c->nr_used == nr_used);
	CHECK(c->nr_used > c->nr_absent || c == area->current);
	CHECK(!list_is_empty(&c->node) ==
	      (c->nr_used < SWAP_CLUSTER_SLOTS && !c->is_sealed && c != area->current));
	return 0;
}

/**
 * swap_check() - walk invariants 1 to 4, and the one of swapoff.c.
 * Return: 0 or -EUCLEAN. Context: sys->lock held.
 */
int swap_check(struct mm_system *sys)
{
	uint64_t nr_all = 0, nr_pages = 0;

	for (unsigned int t = 0; t < sys->nr_swap_areas; t++) {
		struct swap_area *area = sys->swap_areas[t];
		uint64_t nr_used = 0, nr_sealed = 0;

		if (!area)
			continue;
		CHECK(!area->leave.is_leaving || !area->current);
		nr_pages += area->nr_pages;
		for (uint64_t i = 0; i < area->nr_clusters; i++) {
			struct swap_cluster *c = area->clusters[i];

			if (!c)
				continue;
			CHECK(c->number == i);
			CHECK(cluster_check(sys, area, c) == 0);
			nr_used += (uint64_t)(c->nr_used - c->nr_absent);
			nr_sealed += c->is_sealed;
		}
		CHECK(area->nr_used == nr_used);
		CHECK(area->nr_sealed == nr_sealed);
		nr_all += nr_used;
	}
	CHECK(sys->vmstat[MM_VMSTAT_nr_swap_slots_used] == nr_all);
	CHECK(sys->nr_swap_pages == nr_pages);
	return 0;
}
