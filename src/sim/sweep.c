/* SPDX-License-Identifier: MIT */
/*
 * Rows of a sweep are simulations of their own: each reads the source from its start (a pipe is
 * kept in a file before, spool.c), and has its own machine, manager, devices and clock. A
 * thread a processor takes them in order; a row's figures do not depend on who computes it.
 *
 * Invariants:
 *  1. Rows are taken in ascending order, and each that was taken is finished. So of several
 *     rows that fail, the first is always among them, and it is what is reported.
 *  2. Results are handed out only if no row has failed. A row whose machine ran out of memory
 *     has not failed: its result says so.
 */
#include "sim/sweep.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sim/progress.h"
#include "sim/save.h"
#include "sim/source.h"
#include "sim/spool.h"

#define THREADS_MAX   64
#define CHUNK	      4096
#define UPDATE_CHUNKS 64 /* accesses between looks at the clock: about 5 ms */

struct row {
	int err;
	struct sim_error error;
	struct sim_result result;
};

struct sweep {
	const struct sim_request *request;
	const char *source; /* what rows read: the request's, or what was kept of it */
	struct progress progress;
	unsigned int next; /* atomic: the row to be taken */
	int has_failed;	   /* atomic */
	struct row *rows;
};

/**
 * sim_row_ram() - the RAM of a row: sizes at equal distances, both ends among them, in whole
 * pages.
 */
uint64_t sim_row_ram(const struct sim_request *request, unsigned int index)
{
	uint64_t first = request->cfg.ram_bytes, last = request->ram_last;

	if (request->nr_rows == 1)
		return first;
	return align_down(first + (last - first) / PAGE_SIZE * index / (request->nr_rows - 1) *
					  PAGE_SIZE,
			  PAGE_SIZE);
}

static void update(struct progress_part *part, const struct sim_source *source,
		   uint64_t nr_accesses)
{
	uint64_t size = sim_source_size(source);

	progress_update(part, nr_accesses,
			size ? (double)sim_source_done(source) / (double)size : 0);
}

/* Return: 0 at the end of the source; otherwise what stopped it. */
static int replay_all(struct sim_replay *replay, struct sim_source *source,
		      struct progress_part *part, struct sim_save *save,
		      struct sim_error *error)
{
	struct trace_access accesses[CHUNK];
	uint64_t nr_accesses = 0;

	for (unsigned int chunk = 1;; chunk++) {
		int nr = sim_source_next(source, accesses, CHUNK, error), err;

		if (nr <= 0)
			return nr;
		err = sim_replay_run(replay, accesses, (unsigned int)nr, error);
		if (!err && save)
			err = sim_save_add(save, accesses, (unsigned int)nr, error);
		if (err)
			return err;
		nr_accesses += (uint64_t)nr;
		if (chunk % UPDATE_CHUNKS == 0)
			update(part, source, nr_accesses);
	}
}

static int replay_saved(struct sim_replay *replay, struct sim_source *source,
			struct progress_part *part, struct sim_save *save, struct row *row)
{
	int err = replay_all(replay, source, part, save, &row->error);

	sim_replay_finish(replay, &row->result);
	return row->result.is_out_of_memory && !save ? 0 : err;
}

/* What is saved is whole, or not there. */
static int replay_source(const struct sim_request *request, const struct sim_config *cfg,
			 struct sim_source *source, struct progress_part *part, struct row *row)
{
	struct sim_save *save = NULL;
	struct sim_replay *replay;
	int err = sim_replay_create(cfg, &replay, &row->error);

	if (err)
		return err;
	if (request->save)
		err = sim_save_create(request->save, &save, &row->error);
	if (!err)
		err = replay_saved(replay, source, part, save, row);
	sim_replay_destroy(replay);
	if (!save)
		return err;
	if (err)
		sim_save_discard(save);
	else
		err = sim_save_finish(save, cfg, request->source, &row->result, &row->error);
	return err;
}

static void run_row(struct sweep *sweep, unsigned int index)
{
	const struct sim_request *request = sweep->request;
	struct progress_part part = {.whole = &sweep->progress};
	struct sim_config cfg = request->cfg;
	struct row *row = &sweep->rows[index];
	struct sim_source *source;

	cfg.ram_bytes = sim_row_ram(request, index);
	cfg.seed = request->seed;
	row->err = sim_source_open(sweep->source, request->seed, &source, &row->error);
	if (!row->err) {
		row->err = replay_source(request, &cfg, source, &part, row);
		progress_update(&part, row->result.nr_accesses, 1);
		sim_source_close(source);
	}
	if (row->err)
		__atomic_store_n(&sweep->has_failed, 1, __ATOMIC_RELEASE);
}

static void *run_rows(void *arg)
{
	struct sweep *sweep = arg;

	while (!__atomic_load_n(&sweep->has_failed, __ATOMIC_ACQUIRE)) {
		unsigned int index = __atomic_fetch_add(&sweep->next, 1, __ATOMIC_RELAXED);

		if (index >= sweep->request->nr_rows)
			break;
		run_row(sweep, index);
	}
	return NULL;
}

/* One for each processor that this process may use, and row. */
static unsigned int nr_threads(const struct sweep *sweep)
{
	unsigned int nr = 1;
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		nr = (unsigned int)CPU_COUNT(&cpus);
	return (unsigned int)min_u64(min_u64(nr, THREADS_MAX), sweep->request->nr_rows);
}

/* The calling thread is one of them; should there be no other, it does all. */
static void run_threads(struct sweep *sweep)
{
	pthread_t threads[THREADS_MAX - 1];
	unsigned int nr = 0;

	while (nr + 1 < nr_threads(sweep) &&
	       pthread_create(&threads[nr], NULL, run_rows, sweep) == 0)
		nr++;
	run_rows(sweep);
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

static int collect(const struct sweep *sweep, struct sim_result *ret_results,
		   struct sim_error *error)
{
	for (unsigned int i = 0; i < sweep->request->nr_rows; i++) {
		if (sweep->rows[i].err) {
			*error = sweep->rows[i].error;
			return sweep->rows[i].err;
		}
	}
	for (unsigned int i = 0; i < sweep->request->nr_rows; i++)
		ret_results[i] = sweep->rows[i].result;
	return 0;
}

static int run_sweep(struct sweep *sweep, struct sim_result *ret_results,
		     struct sim_error *error)
{
	const struct sim_request *request = sweep->request;
	bool is_kept = request->nr_rows > 1 && !sim_source_is_repeatable(request->source);
	struct progress_part part = {.whole = &sweep->progress};
	struct sim_spool spool;
	int err = 0;

	progress_begin(&sweep->progress, request->nr_rows + is_kept, request->shows_progress);
	if (is_kept) {
		err = sim_spool_create(request->source, &part, &spool, error);
		progress_update(&part, 0, 1);
	}
	if (is_kept && !err)
		sweep->source = spool.path;
	if (!err)
		run_threads(sweep);
	progress_end(&sweep->progress);
	if (is_kept && !err)
		sim_spool_destroy(&spool);
	return err ? err : collect(sweep, ret_results, error);
}

/**
 * sim_sweep() - simulate each row.
 * @ret_results: request->nr_rows of them.
 *
 * Return: 0, or the -errno of the first row that could not be simulated to its end, with error
 * set: see sim_source_open(), sim_source_next(), sim_spool_create(), sim_replay_create(),
 * sim_replay_run().
 */
int sim_sweep(const struct sim_request *request, struct sim_result *ret_results,
	      struct sim_error *error)
{
	struct sweep sweep = {.request = request, .source = request->source};
	int err;

	sweep.rows = calloc(request->nr_rows, sizeof(*sweep.rows));
	if (!sweep.rows)
		return sim_fail(error, -ENOMEM, "%s", strerror(ENOMEM));
	err = run_sweep(&sweep, ret_results, error);
	free(sweep.rows);
	return err;
}
