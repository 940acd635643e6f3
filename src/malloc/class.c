/* SPDX-License-Identifier: MIT */
#include "malloc/class.h"

/**
 * class_size() - bytes of an object of a class.
 * @class: 0..NR_CLASSES - 1.
 */
uint32_t class_size(unsigned int class)
{
	unsigned int doubling = (class - 8) / 8, step = (class - 8) % 8;

	if (class < 8)
		return (class + 1) * CLASS_ALIGN;
	return (9 + step) << (4 + doubling);
}

/*
 * Small runs give whole free pages back soon; large ones need fewer descriptors. A descriptor
 * and the page map's entries come to 0.37% of 32 KiB and 0.54% of 16 KiB, and a bitmap to
 * 1 / (8 * size): below 256 bytes the bitmap is felt, so there the run is the larger one.
 */
static uint32_t pages_min(uint32_t size)
{
	return size <= 256 ? 8 : 4;
}

/**
 * class_layout_init() - lay out the runs of a class.
 * @layout: filled in.
 * @class: 0..NR_CLASSES - 1.
 *
 * The shortest run, of at least 16 KiB and at most 64 KiB, whose unused end is at most a
 * sixteenth of it.
 *
 * The quotient by multiplication is exact: magic exceeds 2^40 / size by less than 1, offsets
 * are below 2^16, so the error stays below 2^-24, and a fraction of size is at least 2^-15
 * below the next integer (Granlund, Montgomery 1994).
 */
void class_layout_init(struct class_layout *layout, unsigned int class)
{
	uint32_t size = class_size(class), nr_pages, bytes;

	for (nr_pages = pages_min(size); nr_pages < CLASS_PAGES_MAX; nr_pages++) {
		bytes = nr_pages << PAGE_SHIFT;
		if (bytes % size <= bytes / 16)
			break;
	}
	layout->size = size;
	layout->nr_pages = nr_pages;
	layout->nr_objects = (nr_pages << PAGE_SHIFT) / size;
	layout->nr_words = (layout->nr_objects + 63) / 64;
	layout->magic = ((uint64_t)1 << CLASS_MAGIC_SHIFT) / size + 1;
}
