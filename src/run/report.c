/* SPDX-License-Identifier: MIT */
/*
 * What a run took, as text: pure functions from a struct report.
 *
 * Counters are sums over all processes of the run. "data touched" and "peak RSS" are of the
 * process that had the most: budgets are per process, and pages that a fork shares would count
 * twice in a sum.
 */
#include "run/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "run/size.h"

struct text {
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format,
						      ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text->at, text->left, format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= text->left)
		return; /* cut: REPORT_TEXT_MAX is four times what the largest numbers need */
	text->at += len;
	text->left -= (size_t)len;
}

static double seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static uint64_t stat_of(const struct report *report, enum mm_vmstat_item item)
{
	return report->totals.vmstat[item];
}

static uint64_t minor_faults(const struct report *report)
{
	return stat_of(report, MM_VMSTAT_pgfault) - stat_of(report, MM_VMSTAT_pgmajfault);
}

static uint64_t touched_bytes(const struct report *report)
{
	return stat_of(report, MM_VMSTAT_nr_touched_peak) * PAGE_SIZE;
}

static uint64_t rss_bytes(const struct report *report)
{
	return (uint64_t)report->usage.ru_maxrss * 1024;
}

/* The names of the bits of paths that are set. */
static void put_paths(struct text *text, const struct report *report, const char *quote)
{
	static const struct {
		enum run_paths path;
		const char *name;
	} names[] = {
		{RUN_PATH_MOVE, "move"},	{RUN_PATH_COPY, "copy"},
		{RUN_PATH_MAP, "map"},		{RUN_PATH_URING, "io_uring"},
		{RUN_PATH_THREAD, "io_thread"},
	};
	const char *comma = "";

	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!(report->totals.paths & names[i].path))
			continue;
		put(text, "%s%s%s%s", comma, quote, names[i].name, quote);
		comma = ", ";
	}
}

static const char *engine_name(const struct report *report)
{
	uint32_t paths = report->totals.paths;

	bool has_thread = (paths & RUN_PATH_FAULT_THREAD) != 0;

	if (paths & RUN_PATH_FAULT_SIGNAL)
		return has_thread ? "signal, thread" : "signal";
	if (paths & RUN_PATH_FAULT_SEGV)
		return has_thread ? "segv, thread" : "segv";
	return has_thread ? "thread" : "nobody";
}

/* Why that engine. */
static const char *engine_reason(const struct report *report)
{
	uint32_t paths = report->totals.paths;

	if (paths & (RUN_PATH_REFUSED << RUN_REFUSED_USERFAULTFD))
		return "no userfaultfd by signals";
	if (paths & (RUN_PATH_REFUSED << RUN_REFUSED_FILTER))
		return "no seccomp filter";
	if (paths & (RUN_PATH_REFUSED << RUN_REFUSED_PROGRAM))
		return "a Go program";
	if (paths & (RUN_PATH_REFUSED << RUN_REFUSED_WINDOW))
		return "addresses taken";
	return report->engine_reason;
}

static void put_bytes(struct text *text, const char *name, uint64_t bytes)
{
	char size[SIZE_TEXT_MAX];

	put(text, "  %-18s %14s\n", name, size_format(bytes, size));
}

static void put_count(struct text *text, const char *name, uint64_t n)
{
	put(text, "  %-18s %14" PRIu64 "\n", name, n);
}

static void put_seconds(struct text *text, const char *name, double s)
{
	put(text, "  %-18s %12.2f s\n", name, s);
}

static uint64_t stored_bytes(const struct report *report)
{
	return stat_of(report, MM_VMSTAT_nr_zswapped) * PAGE_SIZE;
}

static void put_tier(const struct report *report, struct text *text)
{
	if (report->zram_bytes == 0)
		return;
	put_bytes(text, "compressed tier", report->zram_bytes);
	put_bytes(text, "  RAM at the end", stat_of(report, MM_VMSTAT_nr_zspages) * PAGE_SIZE);
	put_bytes(text, "  data in it", stored_bytes(report));
	put_bytes(text, "    compressed to", stat_of(report, MM_VMSTAT_zswap_bytes));
	put_bytes(text, "    same-filled", stat_of(report, MM_VMSTAT_nr_zsame) * PAGE_SIZE);
	put_count(text, "  pages put in", stat_of(report, MM_VMSTAT_zswpout));
	put_count(text, "  pages read", stat_of(report, MM_VMSTAT_zswpin));
	put_count(text, "  incompressible", stat_of(report, MM_VMSTAT_zswp_poor));
	put_count(text, "  no room for", stat_of(report, MM_VMSTAT_zswp_full));
	put_count(text, "  written back", stat_of(report, MM_VMSTAT_zswpwb));
	put_count(text, "  compaction moves", stat_of(report, MM_VMSTAT_zswp_moved));
}

static void render_table(const struct report *report, struct text *text)
{
	put(text, "ration: what the run took\n");
	put_bytes(text, "RAM given", report->ram_bytes);
	put_bytes(text, "data touched", touched_bytes(report));
	put_bytes(text, "peak RSS", rss_bytes(report));
	put_count(text, "minor faults", minor_faults(report));
	put_count(text, "major faults", stat_of(report, MM_VMSTAT_pgmajfault));
	put_count(text, "pages swapped out", stat_of(report, MM_VMSTAT_pswpout));
	put_count(text, "pages swapped in", stat_of(report, MM_VMSTAT_pswpin));
	put_tier(report, text);
	put_seconds(text, "wall time", (double)report->wall_ns / 1e9);
	put_seconds(text, "user CPU", seconds(&report->usage.ru_utime));
	put_seconds(text, "system CPU", seconds(&report->usage.ru_stime));
	put_count(text, "processes managed", report->totals.nr_processes);
	put(text, "  %-18s %14s\n", "faults resolved by", engine_name(report));
	put(text, "  %-18s %14s\n", "because", engine_reason(report));
	put(text, "  %-18s ", "paths taken");
	put_paths(text, report, "");
	put(text, "\n");
}

static void render_json(const struct report *report, struct text *text)
{
	int status = report->exit_status;

	put(text, "{\"ram_bytes\": %" PRIu64 ", ", report->ram_bytes);
	put(text, "\"zram_bytes\": %" PRIu64 ", ", report->zram_bytes);
	put(text, "\"touched_bytes\": %" PRIu64 ", ", touched_bytes(report));
	put(text, "\"rss_peak_bytes\": %" PRIu64 ", ", rss_bytes(report));
	put(text, "\"minor_faults\": %" PRIu64 ", ", minor_faults(report));
	put(text, "\"major_faults\": %" PRIu64 ", ", stat_of(report, MM_VMSTAT_pgmajfault));
	put(text, "\"pages_out\": %" PRIu64 ", ", stat_of(report, MM_VMSTAT_pswpout));
	put(text, "\"pages_in\": %" PRIu64 ", ", stat_of(report, MM_VMSTAT_pswpin));
	put(text, "\"wall_ns\": %" PRIu64 ", ", report->wall_ns);
	put(text, "\"user_s\": %.6f, ", seconds(&report->usage.ru_utime));
	put(text, "\"system_s\": %.6f, ", seconds(&report->usage.ru_stime));
	put(text, "\"processes\": %" PRIu32 ", ", report->totals.nr_processes);
	put(text, "\"fault_engine\": \"%s\", \"fault_reason\": \"%s\", \"paths\": [",
	    engine_name(report), engine_reason(report));
	put_paths(text, report, "\"");
	put(text, "], \"%s\": %d, \"vmstat\": {",
	    WIFSIGNALED(status) ? "exit_signal" : "exit_status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	for (unsigned int i = 0; i < NR_MM_VMSTAT; i++)
		put(text, "%s\"%s\": %" PRIu64, i ? ", " : "", mm_vmstat_names[i],
		    report->totals.vmstat[i]);
	put(text, "}}\n");
}

/**
 * report_render() - the report as text, whole lines.
 */
void report_render(const struct report *report, enum report_form form,
		   char ret_text[REPORT_TEXT_MAX])
{
	struct text text = {.at = ret_text, .left = REPORT_TEXT_MAX};

	ret_text[0] = '\0';
	if (form == REPORT_TABLE)
		render_table(report, &text);
	else if (form == REPORT_JSON)
		render_json(report, &text);
}
