/* SPDX-License-Identifier: MIT */
/*
 * The files of a simulation.
 *
 * A file exists from the first access to it on: 64 GiB, with content all over, on the one disk
 * that all files share. So there is no end to run into, every page that is not cached costs a
 * read, and a write of a part of a page reads the page first, as it is where a program changes
 * a file that it has.
 *
 * A mapped access is a reference to a page of a process: each process maps file f, shared, from
 * SIM_FILES_START + f * SIM_FILE_BYTES_MAX on, 2 MiB at a time, as they are touched
 * (replay.c). No access to memory goes there.
 *
 * A call, pread() or pwrite(), goes to the page cache: the manager says how far it comes, and
 * the caller waits for the rest. It costs what a system call and copying the bytes do.
 *
 * Invariant: what is open stays open to the end, and place[] has each file once.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "sim/replay_internal.h"

static int open_file(struct sim_replay *r, unsigned int number, struct sim_error *error)
{
	struct sim_files *files = &r->files;
	struct sim_file file;
	unsigned int tries = 0;
	int err = sim_file_create(&files->disk, SIM_FILE_BYTES_MAX, &file);

	if (err)
		return sim_fail(error, -ENOBUFS, "access %" PRIu64 ": file %u: this host: %s",
				r->nr_accesses, number, strerror(-err));
	do
		err = mm_file_open(r->sys, file.dev, &file.cached);
	while (sim_should_retry(r, err, tries++));
	if (err) {
		sim_file_destroy(&file);
		return err;
	}
	files->open[files->nr++] = file;
	files->place[number] = (uint8_t)files->nr;
	return 0;
}

/**
 * sim_file_find() - the file of this number, opened if it is not.
 * @number: 1..SIM_FILES_MAX.
 *
 * Return: 0; -ENOMEM: the simulated machine is out of memory; -ENOBUFS, with error set: the
 * host is.
 */
int sim_file_find(struct sim_replay *r, unsigned int number, struct sim_file **ret_file,
		  struct sim_error *error)
{
	int err = r->files.place[number] ? 0 : open_file(r, number, error);

	if (!err)
		*ret_file = &r->files.open[r->files.place[number] - 1];
	return err;
}

/**
 * sim_replay_file_at() - which file is mapped there, if any is?
 *
 * Return: false: no place for files.
 */
bool sim_replay_file_at(vaddr_t va, unsigned int *ret_number, uint64_t *ret_offset)
{
	if (va < SIM_FILES_START + SIM_FILE_BYTES_MAX || va >= SIM_FILES_END)
		return false;
	*ret_number = (unsigned int)((va - SIM_FILES_START) / SIM_FILE_BYTES_MAX);
	*ret_offset = (va - SIM_FILES_START) % SIM_FILE_BYTES_MAX;
	return true;
}

/**
 * sim_file_map() - 2 MiB of a file become a part of an address space.
 * @start: a multiple of 2 MiB in [SIM_FILES_START, SIM_FILES_END).
 *
 * Return: 0; -ENOMEM; -ENOBUFS with error set; as mm_map_file().
 */
int sim_file_map(struct sim_replay *r, struct mm *mm, vaddr_t start, struct sim_error *error)
{
	struct mm_map_file_args args = {
		.hint = start,
		.len = (uint64_t)1 << SOFT_REPLAY_SHIFT,
		.prot = MM_PROT_READ | MM_PROT_WRITE | MM_PROT_EXEC,
		.flags = MM_MAP_SHARED | MM_MAP_FIXED,
		.offset = (start - SIM_FILES_START) % SIM_FILE_BYTES_MAX,
	};
	unsigned int number = (unsigned int)((start - SIM_FILES_START) / SIM_FILE_BYTES_MAX);
	struct sim_file *file;
	unsigned int tries = 0;
	vaddr_t unused;
	int err = sim_file_find(r, number, &file, error);

	if (err)
		return err;
	do
		err = mm_map_file(mm, file->cached, &args, &unused);
	while (sim_should_retry(r, err, tries++));
	return err;
}

/* One call of the manager, and what it costs. Return: bytes, or -errno. */
static int64_t call_once(struct sim_replay *r, struct address_space *file,
			 const struct trace_access *access, uint64_t done)
{
	uint64_t scanned = r->sys->vmstat[MM_VMSTAT_pgscan_direct], cost;
	uint64_t at = access->va + done, left = access->size - done;
	int64_t got;

	sim_set_clock(r);
	if (access->op == TRACE_PWRITE)
		got = mm_file_write(file, at, NULL, left);
	else
		got = mm_file_read(file, at, NULL, left);
	cost = (r->sys->vmstat[MM_VMSTAT_pgscan_direct] - scanned) * r->cfg.costs.scan;
	if (got > 0)
		cost += (uint64_t)got * r->cfg.costs.copy / PAGE_SIZE;
	r->call_cycles += cost;
	r->now += cost;
	sim_find_next_event(r);
	return got;
}

static int call_all(struct sim_replay *r, struct address_space *file,
		    const struct trace_access *access, struct sim_error *error)
{
	uint64_t done = 0;

	for (unsigned int tries = 0; done < access->size && tries < SIM_TRIES_MAX; tries++) {
		int64_t got = -EAGAIN;

		r->is_woken = false;
		if (!sim_is_swap_full(r))
			got = call_once(r, file, access, done);
		if (got > 0) {
			done += (uint64_t)got;
			tries = 0;
		} else if (got == -ENOMEM) {
			return -ENOMEM;
		} else if (got != -EAGAIN) {
			break;
		} else if (!r->is_woken) {
			sim_wait(r, tries);
		}
	}
	if (done == access->size)
		return 0;
	return sim_fail(error, -EIO,
			"access %" PRIu64 ": the manager does not come to the end of a call on "
			"file %u; this is a defect of Ration",
			r->nr_accesses, (unsigned int)access->file);
}

/**
 * sim_file_call() - pread() or pwrite(), to its end.
 * @access: of TRACE_PREAD or TRACE_PWRITE, checked.
 *
 * Return: 0; -ENOMEM: the simulated machine is out of memory; -ENOBUFS, -EIO with error set.
 */
int sim_file_call(struct sim_replay *r, const struct trace_access *access,
		  struct sim_error *error)
{
	uint64_t last = access->va + access->size - 1;
	struct sim_file *file;
	int err;

	r->nr_references += (last >> PAGE_SHIFT) - (access->va >> PAGE_SHIFT) + 1;
	r->call_cycles += r->cfg.costs.call;
	r->now += r->cfg.costs.call;
	if (r->now >= r->next_event)
		sim_run_events(r);
	sim_set_clock(r);
	err = sim_file_find(r, access->file, &file, error);
	return err ? err : call_all(r, file->cached, access, error);
}
