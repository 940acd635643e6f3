/* SPDX-License-Identifier: MIT */
/*
 * Red zones and poison, for debug builds (Linux's SLAB_RED_ZONE and SLAB_POISON).
 *
 *	| object: size bytes | red zone: to the next 8 bytes, and 8 more | link | padding |
 *
 * The red zone's bytes tell whether the object is handed out, so that a second free is seen, as
 * is a write past its end. A free object is filled with poison, which is looked at when it is
 * handed out again: a write after the free is seen. The link lies outside of the poison.
 */
#include <string.h>

#include "base/checked.h"
#include "mm/slab_cache.h"

#define POISON_FREE   0x6b
#define POISON_NEW    0x5a /* handed out, not written yet */
#define RED_ACTIVE    0xcc
#define RED_INACTIVE  0xbb
#define RED_BYTES_MIN 8

/* Return: the stride; sets link_offset. Without debugging the link is the object's first bytes.
 */
uint32_t slab_debug_layout(struct kmem_cache *cache, uint32_t align)
{
	uint64_t bytes = max_u64(cache->size, sizeof(void *));
	uint64_t stride;

	if (MM_DEBUG) {
		bytes = align_down((uint64_t)cache->size + 7, 8) + RED_BYTES_MIN;
		cache->link_offset = (uint32_t)bytes;
		bytes += sizeof(void *);
	}
	stride = align_down(bytes + align - 1, align);
	return (uint32_t)stride;
}

static bool is_filled(const void *start, const void *end, int byte)
{
	for (const unsigned char *p = start; p != end; p++)
		if (*p != byte)
			return false;
	return true;
}

static bool red_zone_is(const struct kmem_cache *cache, const void *object, int byte)
{
	const char *p = object;

	return is_filled(p + cache->size, p + cache->link_offset, byte);
}

static void set_red_zone(const struct kmem_cache *cache, void *object, int byte)
{
	memset((char *)object + cache->size, byte, cache->link_offset - cache->size);
}

static bool is_poisoned(const struct kmem_cache *cache, const void *object)
{
	return is_filled(object, (const char *)object + cache->size, POISON_FREE);
}

/* Does an object of the slab begin there? */
static bool is_object(const struct mm_system *sys, const struct page *slab, const void *object)
{
	uint64_t offset = (uint64_t)((const char *)object - (char *)page_addr(sys, slab));

	return offset % slab->cache->stride == 0 &&
	       offset / slab->cache->stride < slab->slab_objects;
}

void slab_debug_init_object(const struct kmem_cache *cache, void *object)
{
	memset(object, POISON_FREE, cache->size);
	set_red_zone(cache, object, RED_INACTIVE);
}

void slab_debug_on_alloc(const struct kmem_cache *cache, void *object)
{
	MM_ASSERT(red_zone_is(cache, object, RED_INACTIVE)); /* overrun while it was free */
	MM_ASSERT(is_poisoned(cache, object));		     /* written after it was freed */
	memset(object, POISON_NEW, cache->size);
	set_red_zone(cache, object, RED_ACTIVE);
}

void slab_debug_on_free(const struct mm_system *sys, const struct page *slab, void *object)
{
	const struct kmem_cache *cache = slab->cache;

	MM_ASSERT(is_object(sys, slab, object));
	MM_ASSERT(!red_zone_is(cache, object, RED_INACTIVE)); /* freed twice */
	MM_ASSERT(red_zone_is(cache, object, RED_ACTIVE));    /* written past its end */
	slab_debug_init_object(cache, object);
}

/* Each object's red zone, and each free one's poison. Return: 0 or -EUCLEAN. */
int slab_debug_check(const struct mm_system *sys, const struct page *slab)
{
	const struct kmem_cache *cache = slab->cache;
	const char *object = page_addr(sys, slab);
	uint32_t active = 0;

	for (uint32_t i = 0; i < slab->slab_objects; i++, object += cache->stride) {
		if (red_zone_is(cache, object, RED_ACTIVE)) {
			active++;
			continue;
		}
		CHECK(red_zone_is(cache, object, RED_INACTIVE));
		CHECK(is_poisoned(cache, object));
	}
	CHECK(active == slab->slab_inuse);
	return 0;
}
