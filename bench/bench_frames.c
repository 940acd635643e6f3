/* SPDX-License-Identifier: MIT */
/*
 * What frames and objects cost: an operation is an allocation and its free. The pairs take and
 * give the same one again; the rows take many and give them back, so that lists are refilled,
 * blocks split and joined, slabs made and given up; their time is for one pair of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "machine/soft.h"
#include "mm/slab.h"
#include "mm/system.h"
#include "policy/two_lists.h"

#define RAM_BYTES ((uint64_t)256 << 20)
#define ROW	  1024

struct pair {
	struct mm_system *sys;
	unsigned int order;
	uint64_t size;
	struct kmem_cache *cache;
};

static void must(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "bench_frames: %s: %d\n", what, err);
		exit(1);
	}
}

static void buddy_pair(void *arg, uint64_t nr_ops)
{
	struct pair *p = arg;
	struct page *page;

	while (nr_ops--) {
		must(buddy_alloc(p->sys, &p->sys->zones[0], p->order, &page), "buddy_alloc");
		bench_use(page);
		buddy_free(p->sys, &p->sys->zones[0], page, p->order);
	}
}

static void page_pair(void *arg, uint64_t nr_ops)
{
	struct pair *p = arg;
	struct page *page;

	while (nr_ops--) {
		must(page_alloc(p->sys, p->order, GFP_USER, &page), "page_alloc");
		bench_use(page);
		page_free(p->sys, page, p->order);
	}
}

static void page_row(void *arg, uint64_t nr_ops)
{
	struct page *pages[ROW];
	struct pair *p = arg;

	for (uint64_t done = 0; done < nr_ops; done += ROW) {
		for (int i = 0; i < ROW; i++)
			must(page_alloc(p->sys, p->order, GFP_USER, &pages[i]), "page_alloc");
		for (int i = 0; i < ROW; i++)
			page_free(p->sys, pages[i], p->order);
	}
}

static void cache_pair(void *arg, uint64_t nr_ops)
{
	struct pair *p = arg;

	while (nr_ops--) {
		void *object = kmem_cache_alloc(p->sys, p->cache);

		bench_use(object);
		kmem_cache_free(p->sys, p->cache, object);
	}
}

static void cache_row(void *arg, uint64_t nr_ops)
{
	struct pair *p = arg;
	void *objects[ROW];

	for (uint64_t done = 0; done < nr_ops; done += ROW) {
		for (int i = 0; i < ROW; i++)
			objects[i] = kmem_cache_alloc(p->sys, p->cache);
		bench_use(objects);
		for (int i = 0; i < ROW; i++)
			kmem_cache_free(p->sys, p->cache, objects[i]);
	}
}

static void kmalloc_pair(void *arg, uint64_t nr_ops)
{
	struct pair *p = arg;

	while (nr_ops--) {
		void *object = kmalloc(p->sys, p->size);

		bench_use(object);
		kfree(p->sys, object);
	}
}

static struct mm_system *boot(void)
{
	const struct machine_soft_config soft = {.nr_frames = RAM_BYTES / PAGE_SIZE};
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	struct mm_system *sys;

	must(machine_soft_create(&soft, &cfg.machine), "machine_soft_create");
	cfg.policy = &policy_two_lists;
	must(mm_system_create(&cfg, &sys), "mm_system_create");
	return sys;
}

int main(int argc, char **argv)
{
	struct mm_system *sys = boot();
	struct pair single = {.sys = sys}, large = {.sys = sys, .order = 9};
	struct pair small = {.sys = sys, .size = 100};
	const struct bench benches[] = {
		{"buddy_order0_pair", buddy_pair, &single},
		{"buddy_order9_pair", buddy_pair, &large},
		{"pcp_pair", page_pair, &single},
		{"pcp_row", page_row, &single},
		{"kmem_cache_pair", cache_pair, &small},
		{"kmem_cache_row", cache_row, &small},
		{"kmalloc_pair", kmalloc_pair, &small},
	};
	int ret;

	sys_lock(sys);
	must(kmem_cache_create(sys, "bench", 64, 0, &small.cache), "kmem_cache_create");
	ret = bench_main(argc, argv, benches, sizeof(benches) / sizeof(*benches));
	sys_unlock(sys);
	return ret;
}
