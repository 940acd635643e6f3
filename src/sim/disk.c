/* SPDX-License-Identifier: MIT */
/*
 * Files on a disk in virtual time: each is a file in the slots of a swap device that moves no
 * bytes (filedev/slots.c, swapdev/model.c), and all of them share the disk's channel.
 */
#include "sim/disk.h"

#include "filedev/slots.h"

#define STORE_SLOTS_MORE 2 /* the header's, and one behind the last page */

/**
 * sim_file_create() - a file full of content.
 * @disk: outlives the file.
 * @nr_bytes: 1..SIM_FILE_BYTES_MAX.
 * @ret_file: without a cache.
 *
 * Return: 0 or -ENOMEM.
 */
int sim_file_create(struct sim_disk *disk, uint64_t nr_bytes, struct sim_file *ret_file)
{
	struct swapdev_model_config model = {
		.nr_slots = (nr_bytes + PAGE_SIZE - 1) / PAGE_SIZE + STORE_SLOTS_MORE,
		.params = disk->params,
		.clock_ns = disk->clock_ns,
		.channel = &disk->channel,
	};
	struct filedev_slots_config slots = {
		.nr_bytes = nr_bytes, .has_content = true, .name = "file"};
	struct sim_file file = {.store = NULL};
	int err = swapdev_model_create(&model, &file.store);

	if (err)
		return err;
	slots.store = file.store;
	err = filedev_slots_create(&slots, &file.dev);
	if (err)
		file.store->ops->close(file.store);
	else
		*ret_file = file;
	return err;
}

/* Context: no I/O is in flight, and the manager has no file of it any more. */
void sim_file_destroy(struct sim_file *file)
{
	if (file->dev)
		file->dev->ops->close(file->dev); /* with its store */
	*file = (struct sim_file){.dev = NULL};
}

/* When its next I/O ends: virtual time; UINT64_MAX if none is in flight. */
uint64_t sim_file_next_ns(const struct sim_file *file)
{
	return file->store ? swapdev_model_next_ns(file->store) : UINT64_MAX;
}
