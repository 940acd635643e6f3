/* SPDX-License-Identifier: MIT */
/*
 * Slabs (Bonwick 1994; Linux mm/slub.c).
 *
 * A cache hands out objects of one size. It gets its memory in slabs, blocks of frames cut into
 * objects; the free objects of a slab are chained through themselves, and the head of the chain
 * and the number of objects in use are in the struct page of the slab's first frame. Nothing
 * else is kept about a slab, and an object leads to its slab through its frame number.
 *
 * Objects are taken from one slab, current, until it is full; freeing one is a push on its own
 * slab's chain. Only when a slab changes its state, it changes lists. A slab that becomes free
 * stays with its cache as long as that has few slabs with room; slab_shrink() takes the free
 * ones away.
 *
 * Invariants, walked by slab_check() in mm/slab_check.c:
 *  1. A slab's first frame has PG_slab, its cache and its order; the others have PG_slab_tail
 *     and, in index, the first one's number.
 *  2. slab_inuse plus the length of the chain is slab_objects; each link leads to another
 *     object of the same slab.
 *  3. current is on no list; any other slab is on full, partial or free, as slab_inuse says.
 *  4. At most keep_slabs slabs are on free.
 *  5. nr_slab is the number of frames with PG_slab or PG_slab_tail, plus those of kmalloc()'s
 *     whole blocks.
 */
#include "mm/slab.h"

#include <string.h>

#include "base/checked.h"
#include "mm/buddy.h"
#include "mm/slab_cache.h"

/* Linux's (mm/slub.c). */
#define SLAB_ORDER_MAX	   3  /* above that only for a single object */
#define SLAB_KEEP_MIN	   5  /* MIN_PARTIAL */
#define SLAB_KEEP_MAX	   10 /* MAX_PARTIAL */
#define SLAB_ALIGN_MIN	   8
#define SLAB_WASTE_DIVISOR 16 /* 1/16 of a slab may be wasted; then 1/8, 1/4, 1/2 */
#define SLAB_SIZE_MAX	   (PAGE_SIZE << BUDDY_ORDER_MAX)

/* Linux's calculate_order(): few objects cost a slab change each, large slabs are rare blocks.
 */
static unsigned int slab_order(const struct mm_system *sys, uint32_t stride)
{
	uint32_t nr_cpus = (uint32_t)max_u64(sys->cfg.nr_cpus, 1);
	uint64_t objects_min = 4 * (33 - (uint64_t)__builtin_clz(nr_cpus));
	uint64_t objects_max = max_u64((PAGE_SIZE << SLAB_ORDER_MAX) / stride, 1);
	unsigned int order_first =
		slab_order_for_bytes(min_u64(objects_min, objects_max) * stride);

	for (unsigned int divisor = SLAB_WASTE_DIVISOR; divisor > 1; divisor /= 2)
		for (unsigned int order = order_first; order <= SLAB_ORDER_MAX; order++)
			if ((PAGE_SIZE << order) % stride <= (PAGE_SIZE << order) / divisor)
				return order;
	return slab_order_for_bytes(stride);
}

static uint32_t keep_slabs(uint32_t stride)
{
	uint32_t half_log = (31 - (uint32_t)__builtin_clz(stride)) / 2;

	return (uint32_t)min_u64(max_u64(half_log, SLAB_KEEP_MIN), SLAB_KEEP_MAX);
}

static int cache_init(const struct mm_system *sys, struct kmem_cache *cache, const char *name,
		      uint32_t size, uint32_t align)
{
	if (align == 0)
		align = SLAB_ALIGN_MIN;
	if (size == 0 || size > SLAB_SIZE_MAX || (align & (align - 1)) != 0 ||
	    align > PAGE_SIZE)
		return -EINVAL;
	memset(cache, 0, sizeof(*cache));
	align = (uint32_t)max_u64(align, SLAB_ALIGN_MIN);
	cache->name = name;
	cache->size = size;
	cache->stride = slab_debug_layout(cache, align);
	if (cache->stride > SLAB_SIZE_MAX)
		return -EINVAL;
	cache->order = (uint8_t)slab_order(sys, cache->stride);
	cache->order_min = (uint8_t)slab_order_for_bytes(cache->stride);
	cache->keep_slabs = keep_slabs(cache->stride);
	page_list_init(&cache->partial);
	page_list_init(&cache->full);
	page_list_init(&cache->free);
	list_init(&cache->node);
	return 0;
}

/* Frames for a slab: as large as they should be, else as they must be, else of other caches. */
static struct page *slab_frames(struct mm_system *sys, const struct kmem_cache *cache,
				unsigned int *ret_order)
{
	struct page *page;

	*ret_order = cache->order;
	if (page_alloc_uncounted(sys, *ret_order, GFP_KERNEL, &page) == 0)
		return page;
	*ret_order = cache->order_min;
	if (page_alloc_uncounted(sys, *ret_order, GFP_KERNEL, &page) == 0)
		return page;
	pcp_drain(sys);
	if (sys->slab)
		slab_shrink(sys);
	return page_alloc_uncounted(sys, *ret_order, GFP_KERNEL, &page) == 0 ? page : NULL;
}

/* Chains the objects so that they are taken in ascending order. */
static void slab_chain(const struct mm_system *sys, const struct kmem_cache *cache,
		       struct page *slab)
{
	char *base = page_addr(sys, slab);
	char *object = base + (uint64_t)(slab->slab_objects - 1u) * cache->stride;
	void *next = NULL;

	for (; object >= base; object -= cache->stride) {
		if (MM_DEBUG)
			slab_debug_init_object(cache, object);
		*slab_link(cache, object) = next;
		next = object;
	}
	slab->freelist = next;
}

static struct page *slab_create(struct mm_system *sys, struct kmem_cache *cache)
{
	unsigned int order;
	struct page *slab = slab_frames(sys, cache, &order);

	if (!slab)
		return NULL;
	for (pfn_t i = 1; i < 1u << order; i++) {
		slab[i].flags = PG_slab_tail;
		slab[i].index = page_pfn(sys, slab);
	}
	slab->flags |= PG_slab;
	slab->cache = cache;
	slab->slab_order = order;
	slab->slab_inuse = 0;
	slab->slab_objects = (uint16_t)((PAGE_SIZE << order) / cache->stride);
	slab_chain(sys, cache, slab);
	STAT(sys, nr_slab, 1 << order);
	return slab;
}

/* Return: the frames given back. */
static uint32_t slab_destroy(struct mm_system *sys, struct page *slab)
{
	unsigned int order = slab->slab_order;

	MM_ASSERT(slab->slab_inuse == 0);
	for (pfn_t i = 1; i < 1u << order; i++)
		slab[i].flags = 0;
	slab->flags &= ~(uint32_t)PG_slab;
	page_free(sys, slab, order);
	STAT(sys, nr_slab, -(1 << order));
	return 1u << order;
}

static struct page *slab_pop(struct mm_system *sys, struct page_list *list)
{
	pfn_t pfn = list->head;

	if (pfn == PFN_NONE)
		return NULL;
	page_list_del(sys->mem_map, list, pfn);
	return page_of(sys, pfn);
}

/* current is full, or there is none: the next slab with room takes its place. */
static struct page *cache_next_slab(struct mm_system *sys, struct kmem_cache *cache)
{
	struct page *slab = slab_pop(sys, &cache->partial);

	if (!slab)
		slab = slab_pop(sys, &cache->free);
	if (!slab)
		slab = slab_create(sys, cache);
	if (!slab)
		return NULL;
	if (cache->current)
		page_list_add_head(sys->mem_map, &cache->full, page_pfn(sys, cache->current));
	cache->current = slab;
	return slab;
}

/**
 * kmem_cache_alloc() - one object; its content is undefined.
 *
 * Where frames are short, takes smaller slabs, empties the per-CPU lists and takes the free
 * slabs of other caches before it gives up.
 *
 * Return: its address, or NULL if there is no memory for one above half of the min watermark.
 * Context: mm_system.lock held.
 */
void *kmem_cache_alloc(struct mm_system *sys, struct kmem_cache *cache)
{
	struct page *slab = cache->current;
	void *object;

	if (alloc_fails_for_test(sys))
		return NULL;
	if (__builtin_expect(!slab || !slab->freelist, 0)) {
		slab = cache_next_slab(sys, cache);
		if (!slab)
			return NULL;
	}
	object = slab->freelist;
	slab->freelist = *slab_link(cache, object);
	slab->slab_inuse++;
	if (MM_DEBUG)
		slab_debug_on_alloc(cache, object);
	return object;
}

/* An object of a slab other than current was freed: the slab may be in a new state. */
static void slab_change_state(struct mm_system *sys, struct kmem_cache *cache,
			      struct page *slab)
{
	pfn_t pfn = page_pfn(sys, slab);

	if (slab->slab_inuse + 1 == slab->slab_objects)
		page_list_del(sys->mem_map, &cache->full, pfn);
	else if (slab->slab_inuse == 0)
		page_list_del(sys->mem_map, &cache->partial, pfn);
	else
		return;
	if (slab->slab_inuse > 0)
		page_list_add_tail(sys->mem_map, &cache->partial, pfn);
	else if (cache->partial.nr + cache->free.nr < cache->keep_slabs)
		page_list_add_head(sys->mem_map, &cache->free, pfn);
	else
		slab_destroy(sys, slab);
}

void slab_put(struct mm_system *sys, struct page *slab, void *object)
{
	struct kmem_cache *cache = slab->cache;

	MM_ASSERT(slab->slab_inuse > 0);
	MM_ASSERT(slab->freelist != object); /* freed twice */
	if (MM_DEBUG)
		slab_debug_on_free(sys, slab, object);
	*slab_link(cache, object) = slab->freelist;
	slab->freelist = object;
	slab->slab_inuse--;
	if (slab != cache->current)
		slab_change_state(sys, cache, slab);
}

/**
 * kmem_cache_free() - give back an object.
 * @object: from kmem_cache_alloc() of the same @cache; anything else aborts, at least in debug
 * builds.
 *
 * Context: mm_system.lock held.
 */
void kmem_cache_free(struct mm_system *sys, struct kmem_cache *cache, void *object)
{
	struct page *slab = slab_of(sys, object);

	MM_ASSERT(page_has(slab, PG_slab));
	MM_ASSERT(slab->cache == cache);
	slab_put(sys, slab, object);
}

static uint32_t cache_shrink(struct mm_system *sys, struct kmem_cache *cache)
{
	uint32_t frames = 0;
	struct page *slab;

	if (cache->current && cache->current->slab_inuse == 0) {
		frames += slab_destroy(sys, cache->current);
		cache->current = NULL;
	}
	while ((slab = slab_pop(sys, &cache->free)) != NULL)
		frames += slab_destroy(sys, slab);
	return frames;
}

/**
 * slab_shrink() - give the free slabs of all caches back to the buddy system.
 *
 * Return: frames given back.
 * Context: mm_system.lock held.
 */
uint32_t slab_shrink(struct mm_system *sys)
{
	struct kmem_cache *cache;
	uint32_t frames = 0;

	list_for_each_entry (cache, &sys->slab->caches, node)
		frames += cache_shrink(sys, cache);
	return frames;
}

/**
 * slab_count_free() - frames of slabs without an object in use.
 *
 * Context: mm_system.lock held.
 */
uint64_t slab_count_free(struct mm_system *sys)
{
	struct kmem_cache *cache;
	uint64_t frames = 0;

	list_for_each_entry (cache, &sys->slab->caches, node) {
		if (cache->current && cache->current->slab_inuse == 0)
			frames += 1u << cache->current->slab_order;
		for (pfn_t pfn = cache->free.head; pfn != PFN_NONE;
		     pfn = page_of(sys, pfn)->next)
			frames += 1u << page_of(sys, pfn)->slab_order;
	}
	return frames;
}

/**
 * slab_shrink_frames() - give free slabs back, cache by cache, until it is enough.
 * @nr: frames.
 *
 * Return: frames given back; the last slab may make it more than @nr.
 * Context: mm_system.lock held.
 */
uint64_t slab_shrink_frames(struct mm_system *sys, uint64_t nr)
{
	struct kmem_cache *cache;
	uint64_t frames = 0;
	struct page *slab;

	list_for_each_entry (cache, &sys->slab->caches, node) {
		while (frames < nr && (slab = slab_pop(sys, &cache->free)) != NULL)
			frames += slab_destroy(sys, slab);
		if (frames < nr && cache->current && cache->current->slab_inuse == 0) {
			frames += slab_destroy(sys, cache->current);
			cache->current = NULL;
		}
	}
	return frames;
}

/**
 * kmem_cache_create() - a cache of objects of one size.
 * @name: for monitors; kept, not copied.
 * @size: bytes of an object, 1 .. 4 MiB.
 * @align: a power of two up to PAGE_SIZE; 0: 8.
 *
 * Return: 0; -EINVAL for a size or an alignment out of range; -ENOMEM.
 * Context: mm_system.lock held.
 */
int kmem_cache_create(struct mm_system *sys, const char *name, uint32_t size, uint32_t align,
		      struct kmem_cache **ret_cache)
{
	struct kmem_cache made, *cache;
	int err = cache_init(sys, &made, name, size, align);

	if (err)
		return err;
	cache = kmem_cache_alloc(sys, sys->slab->cache_cache);
	if (!cache)
		return -ENOMEM;
	*cache = made;
	list_add_tail(&cache->node, &sys->slab->caches);
	*ret_cache = cache;
	return 0;
}

/**
 * kmem_cache_destroy() - give up a cache and all its slabs.
 *
 * Return: 0, or -EBUSY while one of its objects is in use (then nothing changes).
 * Context: mm_system.lock held.
 */
int kmem_cache_destroy(struct mm_system *sys, struct kmem_cache *cache)
{
	if (cache->full.nr > 0 || cache->partial.nr > 0)
		return -EBUSY;
	if (cache->current && cache->current->slab_inuse > 0)
		return -EBUSY;
	cache_shrink(sys, cache);
	list_del(&cache->node);
	kmem_cache_free(sys, sys->slab->cache_cache, cache);
	return 0;
}

static void count_slab(const struct page *slab, struct kmem_cache_stat *stat)
{
	stat->active_objects += slab->slab_inuse;
	stat->nr_objects += slab->slab_objects;
	stat->nr_frames += 1u << slab->slab_order;
}

static void count_slabs(const struct mm_system *sys, const struct page_list *list,
			struct kmem_cache_stat *stat)
{
	for (pfn_t pfn = list->head; pfn != PFN_NONE; pfn = page_of(sys, pfn)->next)
		count_slab(page_of(sys, pfn), stat);
}

/**
 * kmem_cache_get_stat() - count what a cache has; walks its slabs.
 *
 * Context: mm_system.lock held.
 */
void kmem_cache_get_stat(const struct mm_system *sys, const struct kmem_cache *cache,
			 struct kmem_cache_stat *ret_stat)
{
	const struct page *current = cache->current;
	struct kmem_cache_stat stat = {
		.name = cache->name,
		.object_size = cache->stride,
		.slab_objects = (uint32_t)((PAGE_SIZE << cache->order) / cache->stride),
		.slab_frames = 1u << cache->order,
		.nr_full = cache->full.nr,
		.nr_partial = cache->partial.nr,
		.nr_free = cache->free.nr,
	};

	count_slabs(sys, &cache->full, &stat);
	count_slabs(sys, &cache->partial, &stat);
	count_slabs(sys, &cache->free, &stat);
	if (current) {
		count_slab(current, &stat);
		stat.nr_full += current->slab_inuse == current->slab_objects;
		stat.nr_free += current->slab_inuse == 0;
		stat.nr_partial +=
			current->slab_inuse > 0 && current->slab_inuse < current->slab_objects;
	}
	*ret_stat = stat;
}

/* The cache of caches is made by a twin on the stack, and becomes its own first object. */
static struct kmem_cache *make_cache_cache(struct mm_system *sys)
{
	struct kmem_cache boot, *cache;
	int err = cache_init(sys, &boot, "kmem_cache", sizeof(boot), 0);

	MM_ASSERT(err == 0);
	cache = kmem_cache_alloc(sys, &boot);
	if (!cache)
		return NULL;
	*cache = boot;
	list_init(&cache->node);
	cache->current->cache = cache;
	return cache;
}

/* kmem_cache_destroy() for the cache that is its own object. */
static void destroy_cache_cache(struct mm_system *sys, struct kmem_cache *cache)
{
	struct page *slab = cache->current;

	cache_shrink(sys, cache);
	MM_ASSERT(slab->slab_inuse == 1);
	slab->slab_inuse = 0;
	slab_destroy(sys, slab);
}

/* Everything that slab_init() made so far; its state is on the stack. */
static void undo_init(struct mm_system *sys)
{
	struct slab_state *boot = sys->slab;

	for (unsigned int i = 0; i < KMALLOC_NR_CLASSES; i++)
		if (boot->classes[i])
			kmem_cache_destroy(sys, boot->classes[i]);
	destroy_cache_cache(sys, boot->cache_cache);
	sys->slab = NULL;
}

static void move_state(struct mm_system *sys, struct slab_state *state)
{
	*state = *sys->slab;
	state->caches.next->prev = &state->caches;
	state->caches.prev->next = &state->caches;
	sys->slab = state;
}

/**
 * slab_init() - make sys->slab: the cache of caches and the kmalloc classes.
 *
 * Return: 0, or -ENOMEM (then all frames are back).
 * Context: mm_system.lock held, or boot; zones are up.
 */
int slab_init(struct mm_system *sys)
{
	struct slab_state boot = {0}, *state = NULL;

	boot.cache_cache = make_cache_cache(sys);
	if (!boot.cache_cache)
		return -ENOMEM;
	list_init(&boot.caches);
	list_add(&boot.cache_cache->node, &boot.caches);
	sys->slab = &boot;
	if (kmalloc_init(sys) == 0)
		state = kmalloc(sys, sizeof(*state));
	if (!state) {
		undo_init(sys);
		return -ENOMEM;
	}
	move_state(sys, state);
	return 0;
}
