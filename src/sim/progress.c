/* SPDX-License-Identifier: MIT */
#include "sim/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define FIRST_NS  1000000000u /* what takes less is not long */
#define PERIOD_NS 200000000u

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/**
 * progress_begin() - the clock starts.
 * @is_on: standard error is a terminal; otherwise nothing is ever printed.
 */
void progress_begin(struct progress *progress, unsigned int nr_parts, bool is_on)
{
	*progress = (struct progress){.is_on = is_on, .nr_parts = nr_parts};
	pthread_mutex_init(&progress->lock, NULL);
	progress->next_ns = is_on ? now_ns() + FIRST_NS : 0;
}

/* Context: lock held. */
static void print(struct progress *progress)
{
	uint64_t now = now_ns();

	if (now < progress->next_ns)
		return;
	progress->next_ns = now + PERIOD_NS;
	progress->is_shown = true;
	if (progress->sum > 0)
		fprintf(stderr, "\rration sim: %.0f%%, %.0f million accesses\033[K",
			100 * progress->sum / progress->nr_parts,
			(double)progress->nr_accesses / 1e6);
	else
		fprintf(stderr, "\rration sim: %.0f million accesses\033[K",
			(double)progress->nr_accesses / 1e6);
	fflush(stderr);
}

/**
 * progress_update() - this part has come so far.
 * @share: 0 to 1; 0 as long as nobody knows.
 *
 * Context: any thread, each with its own part.
 */
void progress_update(struct progress_part *part, uint64_t nr_accesses, double share)
{
	struct progress *progress = part->whole;

	if (!progress->is_on)
		return;
	pthread_mutex_lock(&progress->lock);
	progress->sum += share - part->share;
	progress->nr_accesses += nr_accesses - part->nr_accesses;
	part->share = share;
	part->nr_accesses = nr_accesses;
	print(progress);
	pthread_mutex_unlock(&progress->lock);
}

void progress_end(struct progress *progress)
{
	if (progress->is_shown)
		fputs("\r\033[K", stderr);
	pthread_mutex_destroy(&progress->lock);
}
