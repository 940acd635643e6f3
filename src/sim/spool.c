/* SPDX-License-Identifier: MIT */
/*
 * A pipe kept in a file, so that each row of a sweep can read it from its start: in Ration's
 * own format, a few bytes an access, without a name, in TMPDIR or /tmp. It is read to its end
 * before the first row begins; so a trace that is broken is found then.
 */
#include "sim/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/source.h"

#define CHUNK	      4096
#define UPDATE_CHUNKS 64

static const char *folder(void)
{
	const char *name = secure_getenv("TMPDIR");

	return name && *name ? name : "/tmp";
}

static int fail_folder(struct sim_error *error, int err)
{
	return sim_fail(error, err,
			"%.300s: %s; a sweep keeps there what it reads from a pipe, see TMPDIR",
			folder(), strerror(-err));
}

/* A file without a name, also where O_TMPFILE is not known. */
static int open_nameless(struct sim_error *error)
{
	int fd = open(folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *name;

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd >= 0 ? fd : fail_folder(error, -errno);
	if (asprintf(&name, "%s/ration.XXXXXX", folder()) < 0)
		return fail_folder(error, -ENOMEM);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		fail_folder(error, -errno);
	else
		unlink(name);
	free(name);
	return fd >= 0 ? fd : -EIO;
}

static int copy(struct sim_source *source, struct trace_writer *writer,
		struct progress_part *part, struct sim_error *error)
{
	struct trace_access accesses[CHUNK];
	uint64_t nr_accesses = 0;

	for (unsigned int chunk = 1;; chunk++) {
		int nr = sim_source_next(source, accesses, CHUNK, error), err;

		if (nr <= 0)
			return nr;
		err = trace_write(writer, accesses, (unsigned int)nr);
		if (err)
			return fail_folder(error, err);
		nr_accesses += (uint64_t)nr;
		if (chunk % UPDATE_CHUNKS == 0)
			progress_update(part, nr_accesses, 0);
	}
}

static int fill(int fd, const char *text, struct progress_part *part, struct sim_error *error)
{
	struct trace_writer *writer;
	struct sim_source *source;
	int err = sim_source_open(text, 0, &source, error);

	if (err)
		return err;
	err = trace_writer_create(fd, &writer);
	if (err) {
		sim_source_close(source);
		return fail_folder(error, err);
	}
	err = copy(source, writer, part, error);
	sim_source_close(source);
	if (err) {
		trace_writer_discard(writer);
		return err;
	}
	err = trace_writer_finish(writer);
	return err ? fail_folder(error, err) : 0;
}

/**
 * sim_spool_create() - read a trace to its end and keep it.
 * @text: of the trace, as for sim_source_open().
 *
 * Return: 0; -errno with error set.
 */
int sim_spool_create(const char *text, struct progress_part *part, struct sim_spool *ret_spool,
		     struct sim_error *error)
{
	int fd = open_nameless(error);
	int err = fd < 0 ? fd : fill(fd, text, part, error);

	if (!err) {
		ret_spool->fd = fd;
		snprintf(ret_spool->path, SIM_SPOOL_PATH, "/proc/self/fd/%d", fd);
	} else if (fd >= 0) {
		close(fd);
	}
	return err;
}

void sim_spool_destroy(struct sim_spool *spool)
{
	close(spool->fd);
}
