/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <errno.h>
#include <string.h>

#include "support/test.h"

#define TRIES_MAX 100000 /* far above what any legal run needs */

uint64_t files_stamp(uint64_t offset)
{
	return offset * 0x9e3779b97f4a7c15 + 1;
}

static void open_device(struct files *f, const struct files_config *cfg)
{
	struct swapdev_mem_config mem = {
		.nr_slots = cfg->max_pages + 1, .mode = cfg->mode, .seed = cfg->world.seed};
	struct swapdev_faulty_config faulty = {
		.rules = cfg->rules, .nr_rules = cfg->nr_rules, .seed = cfg->world.seed};
	struct filedev_slots_config slots = {
		.nr_bytes = cfg->nr_bytes, .has_content = true, .name = "file"};

	assert_int_equal(swapdev_mem_create(&mem, &f->store), 0);
	for (uint64_t at = 0; at < cfg->nr_bytes; at += 8)
		files_stored(f, at >> PAGE_SHIFT)[at % PAGE_SIZE / 8] = files_stamp(at);
	faulty.inner = slots.store = f->store;
	f->faulty = NULL;
	if (cfg->nr_rules > 0) {
		assert_int_equal(swapdev_faulty_create(&faulty, &f->faulty), 0);
		slots.store = f->faulty;
	}
	assert_int_equal(filedev_slots_create(&slots, &f->dev), 0);
}

void files_create(struct files *f, const struct files_config *cfg)
{
	int err;

	world_create(&f->w, &cfg->world);
	f->mms[0] = f->w.mm;
	assert_int_equal(mm_create(f->w.sys, &f->mms[1]), 0);
	open_device(f, cfg);
	err = mm_file_open(f->w.sys, f->dev, &f->file);
	assert_int_equal(err, 0);
}

void files_destroy(struct files *f)
{
	int err = -EAGAIN;

	world_settle(&f->w);
	mm_destroy(f->mms[1]);
	assert_int_equal(mm_unmap(f->w.mm, WORLD_BASE, WORLD_PAGES * PAGE_SIZE), 0);
	for (unsigned int i = 0; i < TRIES_MAX && err == -EAGAIN; i++) {
		err = mm_file_close(f->file);
		world_step(&f->w);
	}
	assert_int_equal(err, 0);
	assert_int_equal(WSTAT(&f->w, nr_file_pages), 0);
	assert_int_equal(WSTAT(&f->w, nr_mapped), 0);
	assert_true(list_is_empty(&f->w.sys->files.mappings));
	world_destroy(&f->w);
	f->dev->ops->close(f->dev);
}

uint64_t *files_stored(struct files *f, uint64_t index)
{
	return swapdev_mem_page(f->store, index + 1);
}

void files_map(struct files *f, struct mm *mm, unsigned int page,
	       const struct mm_map_file_args *args)
{
	struct mm_map_file_args at = *args;
	int err = -EAGAIN;
	vaddr_t addr;

	at.hint = world_va(page);
	at.flags |= MM_MAP_FIXED;
	for (unsigned int i = 0; i < TRIES_MAX && err == -EAGAIN; i++) {
		err = mm_map_file(mm, f->file, &at, &addr);
		if (err == -EAGAIN)
			world_step(&f->w);
	}
	assert_int_equal(err, 0);
	assert_int_equal(addr, at.hint);
}

enum mm_fault_result files_access(struct files *f, struct mm *mm, vaddr_t va, uint64_t *value,
				  bool is_write)
{
	enum mm_fault_result worst = MM_FAULT_MINOR;
	struct machine_soft_fault fault;

	for (unsigned int i = 0; i < TRIES_MAX; i++) {
		enum mm_fault_result result;
		int err = is_write ? machine_soft_store(mm->space, va, value, 8, &fault)
				   : machine_soft_load(mm->space, va, value, 8, &fault);

		if (err == 0)
			return worst;
		result = mm_fault(mm, va, is_write ? MM_ACCESS_WRITE : MM_ACCESS_READ);
		if (result == MM_FAULT_RETRY)
			world_step(&f->w);
		else if (result == MM_FAULT_MAJOR)
			worst = result;
		else if (result != MM_FAULT_MINOR)
			return result;
	}
	fail_msg("an access at %lx never ended", (unsigned long)va);
	return MM_FAULT_OOM;
}

enum mm_fault_result files_load(struct files *f, struct mm *mm, vaddr_t va, uint64_t *value)
{
	return files_access(f, mm, va, value, false);
}

enum mm_fault_result files_store(struct files *f, struct mm *mm, vaddr_t va, uint64_t value)
{
	return files_access(f, mm, va, &value, true);
}

int files_sync(struct files *f)
{
	uint64_t ticket = 0;
	int err = -EAGAIN;

	for (unsigned int i = 0; i < TRIES_MAX && err == -EAGAIN; i++) {
		err = mm_fsync(f->file, &ticket);
		if (err == -EAGAIN)
			world_step(&f->w);
	}
	return err;
}

int files_truncate(struct files *f, uint64_t size)
{
	int err = -EAGAIN;

	for (unsigned int i = 0; i < TRIES_MAX && err == -EAGAIN; i++) {
		err = mm_truncate(f->file, size);
		if (err == -EAGAIN)
			world_step(&f->w);
	}
	return err;
}

static int move_all(struct files *f, uint64_t offset, char *buf, uint64_t len, bool is_write)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < TRIES_MAX && done < len; i++) {
		int64_t n =
			is_write ? mm_file_write(f->file, offset + done, buf + done, len - done)
				 : mm_file_read(f->file, offset + done, buf + done, len - done);

		if (n == 0)
			break;
		if (n < 0 && n != -EAGAIN)
			return (int)n;
		if (n < 0)
			world_step(&f->w);
		else
			done += (uint64_t)n;
	}
	return (int)done;
}

int files_read(struct files *f, uint64_t offset, void *buf, uint64_t len)
{
	return move_all(f, offset, buf, len, false);
}

int files_write(struct files *f, uint64_t offset, const void *buf, uint64_t len)
{
	return move_all(f, offset, (char *)(uintptr_t)buf, len, true);
}
