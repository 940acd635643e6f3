/* SPDX-License-Identifier: MIT */
/*
 * OPT for a source (policy/opt.c): how many pages must be fetched with so much RAM, whoever
 * decides which ones leave?
 *
 * The source is read once, to the end, and kept as page numbers, so that it may be a pipe; a
 * reference to the page of the one before it can neither miss nor change what misses, and is
 * left out. Then each page's next uses are found, and for each size of RAM the references are
 * replayed, forwards, with them.
 *
 * A size of RAM stands for the frames that are free when the simulated machine has booted with
 * it. The manager takes more of them for page tables as it goes, and fetches pages ahead; so
 * without readahead, no policy has fewer faults under `ration sim` than OPT has misses.
 */
#include "sim/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "policy/opt.h"
#include "sim/disk.h"
#include "sim/progress.h"
#include "sim/report.h"
#include "sim/source.h"

#define CHUNK	      4096
#define UPDATE_CHUNKS 64
#define PAGES_FIRST   65536
#define PID_SHIFT     36
#define FILES	      ((uint64_t)1 << 35) /* above page numbers of user addresses, too */
#define NR_PIDS	      65536
#define READING	      0.5 /* its share of the work, for progress */

struct references {
	uint64_t *pages;
	size_t nr, max;
	uint64_t nr_accesses, nr_references, nr_processes;
	bool is_seen[NR_PIDS];
};

static int no_memory(struct sim_error *error, const struct references *refs)
{
	return sim_fail(error, -ENOBUFS,
			"OPT keeps every reference, and this host has no memory for more than "
			"%zu",
			refs->nr);
}

static int add_page(struct references *refs, uint64_t page, struct sim_error *error)
{
	refs->nr_references++;
	if (refs->nr > 0 && refs->pages[refs->nr - 1] == page)
		return 0;
	if (refs->nr == refs->max) {
		size_t max = refs->max ? 2 * refs->max : PAGES_FIRST;
		uint64_t *pages = realloc(refs->pages, max * sizeof(*pages));

		if (!pages)
			return no_memory(error, refs);
		refs->pages = pages;
		refs->max = max;
	}
	refs->pages[refs->nr++] = page;
	return 0;
}

static int add_access(struct references *refs, const struct trace_access *access,
		      struct sim_error *error)
{
	uint64_t first = access->va >> PAGE_SHIFT;
	uint64_t last = (access->va + access->size - 1) >> PAGE_SHIFT;
	uint64_t space = (uint64_t)access->pid << PID_SHIFT;
	int err = 0;

	refs->nr_accesses++;
	err = sim_check_access(access, refs->nr_accesses, error);
	if (access->file)
		space = FILES | access->file * (SIM_FILE_BYTES_MAX >> PAGE_SHIFT);
	if (!err && access->op <= TRACE_EXEC && !refs->is_seen[access->pid]) {
		refs->is_seen[access->pid] = true;
		refs->nr_processes++;
	}
	for (uint64_t page = first; !err && page <= last; page++)
		err = add_page(refs, space + page, error);
	return err;
}

static int add_all(struct references *refs, struct sim_source *source,
		   struct progress_part *part, struct sim_error *error)
{
	struct trace_access accesses[CHUNK];
	uint64_t size = sim_source_size(source);

	for (unsigned int chunk = 1;; chunk++) {
		int nr = sim_source_next(source, accesses, CHUNK, error), err = 0;

		if (nr <= 0)
			return nr;
		for (int i = 0; !err && i < nr; i++)
			err = add_access(refs, &accesses[i], error);
		if (err)
			return err;
		if (chunk % UPDATE_CHUNKS == 0 && size)
			progress_update(part, refs->nr_accesses,
					READING * (double)sim_source_done(source) /
						(double)size);
	}
}

static int read_source(const struct sim_request *request, struct references *refs,
		       struct progress_part *part, struct sim_error *error)
{
	struct sim_source *source;
	int err = sim_source_open(request->source, request->seed, &source, error);

	if (err)
		return err;
	err = add_all(refs, source, part, error);
	sim_source_close(source);
	return err;
}

/* What the manager leaves to programs of a machine that has just booted. */
static int count_frames(const struct sim_request *request, uint64_t ram_bytes,
			uint64_t *ret_nr_frames, struct sim_error *error)
{
	struct sim_config cfg = request->cfg;
	struct sim_result result;
	struct sim_replay *replay;
	int err;

	cfg.ram_bytes = ram_bytes;
	cfg.policy = sim_policy(sim_policy_name_at(0)); /* any: nothing leaves */
	err = sim_replay_create(&cfg, &replay, error);
	if (err)
		return err;
	sim_replay_finish(replay, &result);
	sim_replay_destroy(replay);
	*ret_nr_frames = result.vmstat[MM_VMSTAT_nr_free_pages];
	return 0;
}

static int run_rows(const struct sim_request *request, const struct references *refs,
		    struct progress_part *part, struct sim_opt_result *ret_result,
		    struct sim_error *error)
{
	uint64_t *next = malloc((refs->nr + 1) * sizeof(*next));
	uint64_t *scratch = malloc((OPT_SCRATCH_WORDS(refs->nr) + 1) * sizeof(*scratch));
	int err = next && scratch ? 0 : no_memory(error, refs);

	if (!err)
		opt_next_uses(refs->pages, refs->nr, next, scratch);
	for (size_t i = 0; !err && i < refs->nr; i++)
		ret_result->nr_pages += next[i] == refs->nr; /* its last use */
	for (unsigned int i = 0; !err && i < request->nr_rows; i++) {
		struct sim_opt_row *row = &ret_result->rows[i];

		row->ram_bytes = sim_row_ram(request, i);
		err = count_frames(request, row->ram_bytes, &row->nr_frames, error);
		if (!err)
			row->nr_misses = opt_misses(next, refs->nr, row->nr_frames, scratch);
		progress_update(part, refs->nr_accesses,
				READING + (1 - READING) * (i + 1) / request->nr_rows);
	}
	free(scratch);
	free(next);
	return err;
}

/**
 * sim_opt() - the misses of OPT, for each row of a request.
 * @request: its policy is not used. The source need not be repeatable.
 *
 * Return: 0; -errno with error set: see sim_source_open(), sim_source_next(),
 * sim_check_access(), sim_replay_create(); -ENOBUFS where the host has not enough memory, 24
 * bytes for each reference to another page than the last.
 */
int sim_opt(const struct sim_request *request, struct sim_opt_result *ret_result,
	    struct sim_error *error)
{
	struct references *refs = calloc(1, sizeof(*refs));
	struct progress progress;
	struct progress_part part = {.whole = &progress};
	int err;

	if (!refs)
		return sim_fail(error, -ENOMEM, "%s", strerror(ENOMEM));
	memset(ret_result, 0, sizeof(*ret_result));
	progress_begin(&progress, 1, request->shows_progress);
	err = read_source(request, refs, &part, error);
	if (!err)
		err = run_rows(request, refs, &part, ret_result, error);
	progress_end(&progress);
	ret_result->nr_accesses = refs->nr_accesses;
	ret_result->nr_references = refs->nr_references;
	ret_result->nr_processes = refs->nr_processes;
	free(refs->pages);
	free(refs);
	return err;
}

/**
 * sim_opt_table() - for people.
 */
void sim_opt_table(const struct sim_request *request, const struct sim_opt_result *result,
		   FILE *out)
{
	fprintf(out,
		"%s\npolicy opt: the fewest pages that must be fetched, whoever decides\n\n",
		request->source);
	fprintf(out, "%-22s %14" PRIu64 "\n", "accesses", result->nr_accesses);
	fprintf(out, "%-22s %14" PRIu64 "\n", "page references", result->nr_references);
	fprintf(out, "%-22s %14" PRIu64 "\n", "processes", result->nr_processes);
	fprintf(out, "%-22s %14" PRIu64 "\n\n", "pages", result->nr_pages);
	fprintf(out, "%10s %12s %14s %14s\n", "RAM MiB", "frames", "misses", "of them again");
	for (unsigned int i = 0; i < request->nr_rows; i++)
		fprintf(out, "%10.1f %12" PRIu64 " %14" PRIu64 " %14" PRIu64 "\n",
			(double)result->rows[i].ram_bytes / 1048576.0,
			result->rows[i].nr_frames, result->rows[i].nr_misses,
			result->rows[i].nr_misses - result->nr_pages);
}

/**
 * sim_opt_json() - for programs.
 */
void sim_opt_json(const struct sim_request *request, const struct sim_opt_result *result,
		  FILE *out)
{
	fputs("{\"source\": ", out);
	sim_report_string(out, request->source);
	fprintf(out,
		", \"seed\": %" PRIu64 ", \"policy\": \"opt\", \"accesses\": %" PRIu64
		", \"references\": %" PRIu64 ", \"processes\": %" PRIu64 ", \"pages\": %" PRIu64
		", \"rows\": [",
		request->seed, result->nr_accesses, result->nr_references, result->nr_processes,
		result->nr_pages);
	for (unsigned int i = 0; i < request->nr_rows; i++)
		fprintf(out,
			"%s{\"ram_bytes\": %" PRIu64 ", \"frames\": %" PRIu64
			", \"misses\": %" PRIu64 "}",
			i ? ", " : "", result->rows[i].ram_bytes, result->rows[i].nr_frames,
			result->rows[i].nr_misses);
	fputs("]}\n", out);
}
