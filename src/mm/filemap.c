/* SPDX-License-Identifier: MIT */
/*
 * The page cache: which frames hold what of a file.
 *
 * A page is in its mapping's tree from when it is about to be filled until it is evicted or cut
 * off (mm/truncate.c). Page table entries that map it are found through the areas on i_mmap
 * (mm/rmap.c), a plain list: a file is mapped a few times, not thousands of times.
 *
 * A page that leaves the tree while somebody holds it (mapped, in I/O, isolated by reclaim) has
 * no mapping any more, and is freed with the last reference.
 *
 * A mapping lives while it is open or an area maps it. The last area may go in the middle of a
 * change that puts another in its place (mremap), so a mapping is not freed there, but by
 * filemap_reap() when the change has ended, and not before its I/O has.
 *
 * Invariants:
 *  1. A frame with PG_file and a mapping is in that mapping's tree at its index, and only such
 *     frames are in trees.
 *  2. Its references are one for the tree, mapcount, and one for I/O in flight.
 *  3. mapcount is the number of entries that rmap_walk() finds.
 *  4. A page with FILEMAP_DIRTY has PG_dirty, one with FILEMAP_WRITEBACK has PG_writeback, and
 *     the other way round; one with FILEMAP_TOWRITE is dirty or on its way.
 *  5. The counts of a mapping, nr_file_pages, nr_dirty, nr_mapped and nr_shmem are true.
 *  6. Where an entry is writable its page is dirty and not under writeback, and its area is
 *     shared.
 */
#include "mm/filemap.h"

#include "base/assert.h"
#include "mm/slab.h"
#include "mm/system.h"
#include "mm/vma.h"

static struct radix_node *node_alloc(void *arg)
{
	struct mm_system *sys = arg;

	return kmem_cache_alloc(sys, sys->files.node_cache);
}

static void node_free(void *arg, struct radix_node *node)
{
	struct mm_system *sys = arg;

	kmem_cache_free(sys, sys->files.node_cache, node);
}

static const struct radix_pool node_pool = {.alloc = node_alloc, .free = node_free};

int filemap_init(struct mm_system *sys)
{
	int err;

	list_init(&sys->files.mappings);
	err = kmem_cache_create(sys, "address_space", sizeof(struct address_space), 8,
				&sys->files.mapping_cache);
	if (!err)
		err = kmem_cache_create(sys, "radix_tree_node", sizeof(struct radix_node), 8,
					&sys->files.node_cache);
	return err;
}

/**
 * filemap_create() - a mapping with nothing in it.
 * @dev: the file, or NULL for shared anonymous memory.
 *
 * Return: 0 or -ENOMEM.
 */
int filemap_create(struct mm_system *sys, struct filedev *dev, uint64_t nr_bytes,
		   struct address_space **ret_mapping)
{
	struct address_space *mapping = kmem_cache_alloc(sys, sys->files.mapping_cache);

	if (!mapping)
		return -ENOMEM;
	*mapping = (struct address_space){
		.sys = sys,
		.dev = dev,
		.nr_bytes = nr_bytes,
		.ra.prev_index = UINT64_MAX,
	};
	radix_init(&mapping->tree, &node_pool, sys);
	list_init(&mapping->i_mmap);
	list_add_tail(&mapping->node, &sys->files.mappings);
	*ret_mapping = mapping;
	return 0;
}

void filemap_area_linked(struct address_space *mapping, struct vma *vma)
{
	list_add_tail(&vma->i_mmap, &mapping->i_mmap);
}

void filemap_area_unlinked(struct address_space *mapping, struct vma *vma)
{
	list_del(&vma->i_mmap);
	if (list_is_empty(&mapping->i_mmap) && !mapping->is_open)
		mapping->sys->files.has_unused = true;
}

struct page *filemap_find(const struct address_space *mapping, uint64_t index)
{
	return filemap_value_page(radix_get(&mapping->tree, index));
}
