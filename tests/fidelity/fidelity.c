/* SPDX-License-Identifier: MIT */
/*
 * The software machine beside real Linux.
 *
 *   fidelity DATA KNOWN
 *   fidelity DATA		names what is outside, as KNOWN does
 *
 * It fails when a figure is outside its bounds that KNOWN does not name, or when the model
 * orders two configurations otherwise than Linux does. DATA has a line for each run of the
 * workload in a guest (tests/fidelity/digest); runs of one configuration are repeats. Real
 * Linux does not repeat itself: so a figure of the model is held against the range of its
 * repeats, and its deviation is how far it lies outside.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

#define ROWS_MAX       400
#define LINE_MAX_BYTES 1024
#define TOLERANCE                                                                   \
	2 /* percent more before it is a failure: a struct that grows moves figures \
	   */
#define ORDER_GAP 825 /* pages, 5% of the RAM: what is nearer has no order in Linux either */

static const char *const figure_names[NR_FIGURES] = {"pgmajfault", "pswpin",  "pswpout",
						     "pgscan",	   "pgsteal", "pgactivate"};

struct row {
	struct fidelity_guest guest;
	uint64_t low[NR_FIGURES], high[NR_FIGURES];
	uint64_t model[NR_FIGURES];
	unsigned int nr_runs;
};

static struct row rows[ROWS_MAX];
static unsigned int nr_rows;

static bool parse(const char *line, struct row *ret)
{
	uint64_t n[15 + NR_FIGURES] = {0};
	char name[16];
	int at = 0, len;

	if (sscanf(line, "%15s%n", name, &at) != 1 || fidelity_find(name) == NR_FID)
		return false;
	for (unsigned int i = 0; i < sizeof(n) / sizeof(n[0]); i++, at += len)
		if (sscanf(line + at, "%" SCNu64 "%n", &n[i], &len) != 1)
			return false;
	*ret = (struct row){
		.guest = {.pattern = fidelity_find(name),
			  .nr_pages = n[0],
			  .nr_accesses = n[1],
			  .swappiness = n[2],
			  .dma = {n[3], n[4], n[5], n[6], n[7]},
			  .dma32 = {n[8], n[9], n[10], n[11], n[12]},
			  .nr_inactive_anon = n[13],
			  .nr_active_anon = n[14]},
		.nr_runs = 1,
	};
	memcpy(ret->low, n + 15, sizeof(ret->low));
	memcpy(ret->high, n + 15, sizeof(ret->high));
	return true;
}

/* Without pages of files swappiness decides nothing: its values are repeats. */
static bool is_repeat(const struct fidelity_guest *a, const struct fidelity_guest *b)
{
	return a->pattern == b->pattern && a->nr_pages == b->nr_pages &&
	       (a->pattern != FID_MIXED || a->swappiness == b->swappiness);
}

static void row_merge(struct row *to, const struct row *from)
{
	if (from->guest.swappiness == 60)
		to->guest = from->guest;
	to->nr_runs++;
	for (unsigned int i = 0; i < NR_FIGURES; i++) {
		if (from->low[i] < to->low[i])
			to->low[i] = from->low[i];
		if (from->high[i] > to->high[i])
			to->high[i] = from->high[i];
	}
}

static int read_rows(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[LINE_MAX_BYTES];

	if (!file) {
		perror(path);
		return -ENOENT;
	}
	while (fgets(line, sizeof(line), file)) {
		unsigned int i = 0;
		struct row row;

		if (line[0] == '#' || !parse(line, &row))
			continue;
		while (i < nr_rows && !is_repeat(&rows[i].guest, &row.guest))
			i++;
		if (i < nr_rows)
			row_merge(&rows[i], &row);
		else if (nr_rows < ROWS_MAX)
			rows[nr_rows++] = row;
	}
	fclose(file);
	return 0;
}

/* Of 100: how far the model lies outside the guest's range. */
static double deviation(uint64_t low, uint64_t high, uint64_t model)
{
	if (model < low)
		return ((double)model - (double)low) * 100 / (double)low;
	if (model > high)
		return ((double)model - (double)high) * 100 / (double)(high > 0 ? high : 1);
	return 0;
}

static double bound(const struct row *row, enum fidelity_figure figure)
{
	if (figure >= FIG_PGSCAN)
		return 10;
	return row->guest.pattern == FID_MIXED ? 5 : 3;
}

/* KNOWN has lines "pattern pages swappiness figure"; the rest of a line is for people. */
static bool is_known(const char *path, const struct row *row, enum fidelity_figure figure)
{
	char line[LINE_MAX_BYTES], want[128];
	FILE *file = fopen(path, "r");
	bool found = false;

	if (!file)
		return false;
	snprintf(want, sizeof(want), "%s %" PRIu64 " %" PRIu64 " %s",
		 fidelity_names[row->guest.pattern], row->guest.nr_pages, row->guest.swappiness,
		 figure_names[figure]);
	while (!found && fgets(line, sizeof(line), file)) {
		size_t len = strlen(want);

		found = strncmp(line, want, len) == 0 &&
			(line[len] == '\n' || line[len] == ' ');
	}
	fclose(file);
	return found;
}

static void print_names(const struct row *row)
{
	const struct fidelity_guest *g = &row->guest;

	for (unsigned int i = 0; i < NR_FIGURES; i++) {
		double off = deviation(row->low[i], row->high[i], row->model[i]);

		if (off > bound(row, i) || off < -bound(row, i))
			printf("%s %" PRIu64 " %" PRIu64 " %s %+.1f%%\n",
			       fidelity_names[g->pattern], g->nr_pages, g->swappiness,
			       figure_names[i], off);
	}
}

/* Return: figures outside their bounds that are not known to be. */
static unsigned int compare(const struct row *row, const char *known)
{
	const struct fidelity_guest *g = &row->guest;
	unsigned int unknown = 0;

	printf("%s, %" PRIu64 " pages, swappiness %" PRIu64 ", %u runs in the guest\n",
	       fidelity_names[g->pattern], g->nr_pages, g->swappiness, row->nr_runs);

	for (unsigned int i = 0; i < NR_FIGURES; i++) {
		double off = deviation(row->low[i], row->high[i], row->model[i]);
		bool is_outside = off > bound(row, i) || off < -bound(row, i);
		const char *mark = "";

		if (is_outside)
			mark = is_known(known, row, i) ? "  outside, known" : "  OUTSIDE";
		unknown += strcmp(mark, "  OUTSIDE") == 0 && (off > bound(row, i) + TOLERANCE ||
							      off < -bound(row, i) - TOLERANCE);
		printf("    %-10s Linux %8" PRIu64 " .. %8" PRIu64 "  model %8" PRIu64
		       "  %+6.1f%%%s\n",
		       figure_names[i], row->low[i], row->high[i], row->model[i], off, mark);
	}
	return unknown;
}

/* Where all runs of a have clearly less than all runs of b, the model has less, too. */
static bool orders_as_linux(const struct row *a, const struct row *b,
			    enum fidelity_figure figure)
{
	return a->high[figure] + ORDER_GAP >= b->low[figure] ||
	       a->model[figure] < b->model[figure];
}

/* Return: pairs of configurations of one pattern in the wrong order. */
static unsigned int check_order(void)
{
	unsigned int wrong = 0;

	for (unsigned int a = 0; a < nr_rows; a++)
		for (unsigned int b = 0; b < nr_rows; b++)
			for (unsigned int i = FIG_PGMAJFAULT; i <= FIG_PSWPOUT; i++) {
				const struct fidelity_guest *ga = &rows[a].guest;
				const struct fidelity_guest *gb = &rows[b].guest;

				if (ga->pattern != gb->pattern ||
				    orders_as_linux(&rows[a], &rows[b], i))
					continue;
				printf("%s: %s of %" PRIu64 " pages, swappiness %" PRIu64
				       " is not below %" PRIu64 ", %" PRIu64 "\n",
				       fidelity_names[ga->pattern], figure_names[i],
				       ga->nr_pages, ga->swappiness, gb->nr_pages,
				       gb->swappiness);
				wrong++;
			}
	return wrong;
}

/* Return: 0; 1: a figure or an order is not as it should be, or the model failed. */
static int report(const char *known)
{
	unsigned int unknown = 0, wrong;

	for (unsigned int i = 0; i < nr_rows; i++) {
		int err = fidelity_model_run(&rows[i].guest, rows[i].model);

		if (err) {
			printf("the model ended with %d\n", err);
			return 1;
		}
		if (known)
			unknown += compare(&rows[i], known);
		else
			print_names(&rows[i]);
	}
	if (!known)
		return 0;
	wrong = check_order();
	printf("%u configurations, %u figures; %u outside their bounds and not known, "
	       "%u pairs in another order\n",
	       nr_rows, nr_rows * NR_FIGURES, unknown, wrong);
	return unknown > 0 || wrong > 0;
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3 || read_rows(argv[1]))
		return 2;
	return report(argc == 3 ? argv[2] : NULL);
}
