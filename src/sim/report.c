/* SPDX-License-Identifier: MIT */
/*
 * A table for people: of one simulation a line a figure, with its name in /proc/vmstat; of a
 * sweep a line a row. JSON for programs: one line, its names do not change, new ones may come.
 */
#include "sim/report.h"

#include <inttypes.h>
#include <string.h>

#define MIB 1048576.0

static uint64_t minor_faults(const struct sim_result *result)
{
	return result->vmstat[MM_VMSTAT_pgfault] - result->vmstat[MM_VMSTAT_pgmajfault];
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static double mib_of_pages(uint64_t nr_pages)
{
	return (double)(nr_pages * PAGE_SIZE) / MIB;
}

static void print_setup(const struct sim_report *report, FILE *out)
{
	const struct sim_config *cfg = &report->request->cfg;

	fprintf(out, "%s\n", report->request->source);
	if (report->request->nr_rows == 1)
		fprintf(out, "%.1f MiB of RAM, ", (double)cfg->ram_bytes / MIB);
	if (cfg->swap_bytes)
		fprintf(out, "%.1f MiB of swap (%s)", (double)cfg->swap_bytes / MIB,
			cfg->swap.name);
	else
		fprintf(out, "no swap");
	fprintf(out, ", swappiness %u, page-cluster %u, policy %s\n\n", cfg->swappiness,
		cfg->page_cluster, report->policy_name);
}

static void print_count(FILE *out, const char *what, uint64_t count, const char *name)
{
	fprintf(out, "%-22s %14" PRIu64 "%s%s\n", what, count, *name ? "  " : "", name);
}

static void print_stat(FILE *out, const char *what, const struct sim_result *result,
		       enum mm_vmstat_item item)
{
	print_count(out, what, result->vmstat[item], mm_vmstat_names[item]);
}

static void print_stats(FILE *out, const struct sim_result *result)
{
	static const struct {
		const char *what;
		enum mm_vmstat_item item;
	} stats[] = {
		{"major faults", MM_VMSTAT_pgmajfault},
		{"pages swapped in", MM_VMSTAT_pswpin},
		{"pages swapped out", MM_VMSTAT_pswpout},
		{"read ahead", MM_VMSTAT_swap_ra},
		{"  and used", MM_VMSTAT_swap_ra_hit},
		{"scanned by kswapd", MM_VMSTAT_pgscan_kswapd},
		{"  and freed", MM_VMSTAT_pgsteal_kswapd},
		{"scanned in faults", MM_VMSTAT_pgscan_direct},
		{"  and freed", MM_VMSTAT_pgsteal_direct},
		{"activated", MM_VMSTAT_pgactivate},
		{"deactivated", MM_VMSTAT_pgdeactivate},
		{"allocation stalls", MM_VMSTAT_allocstall},
	};

	for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++)
		print_stat(out, stats[i].what, result, stats[i].item);
}

static void print_single(FILE *out, const struct sim_result *result)
{
	print_count(out, "accesses", result->nr_accesses, "");
	print_count(out, "page references", result->nr_references, "");
	print_count(out, "processes", result->nr_processes, "");
	print_count(out, "minor faults", minor_faults(result), "pgfault - pgmajfault");
	print_stats(out, result);
	fprintf(out, "%-22s %10.1f MiB\n", "peak resident",
		mib_of_pages(result->resident_peak));
	fprintf(out, "%-22s %10.1f MiB\n", "peak touched",
		mib_of_pages(result->vmstat[MM_VMSTAT_nr_touched_peak]));
	fprintf(out, "%-22s %12.6f s\n", "estimated time", seconds(result->time_ns));
	fprintf(out, "%-22s %12.6f s\n", "  in faults", seconds(result->fault_ns));
	fprintf(out, "%-22s %12.6f s\n", "  waiting for swap", seconds(result->wait_ns));
}

static void print_row(FILE *out, const struct sim_result *result)
{
	const uint64_t *vmstat = result->vmstat;

	fprintf(out,
		"%10.1f %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64
		" %10" PRIu64 " %12.1f %12.6f%s\n",
		(double)result->ram_bytes / MIB, minor_faults(result),
		vmstat[MM_VMSTAT_pgmajfault], vmstat[MM_VMSTAT_pswpin],
		vmstat[MM_VMSTAT_pswpout],
		vmstat[MM_VMSTAT_pgscan_kswapd] + vmstat[MM_VMSTAT_pgscan_direct],
		vmstat[MM_VMSTAT_allocstall], mib_of_pages(result->resident_peak),
		seconds(result->time_ns), result->is_out_of_memory ? "  out of memory" : "");
}

/**
 * sim_report_table() - for people.
 */
void sim_report_table(const struct sim_report *report, FILE *out)
{
	unsigned int nr_rows = report->request->nr_rows;

	print_setup(report, out);
	if (nr_rows == 1) {
		print_single(out, report->results);
		return;
	}
	fprintf(out, "%10s %12s %12s %12s %12s %12s %10s %12s %12s\n", "RAM MiB", "minor",
		"major", "pswpin", "pswpout", "pgscan", "allocstall", "resident MiB", "time s");
	for (unsigned int i = 0; i < nr_rows; i++)
		print_row(out, &report->results[i]);
}

/* Bytes that are no ASCII go through as they are: a path is bytes. */
static void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < ' ')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void json_row(FILE *out, const struct sim_result *result)
{
	fprintf(out,
		"{\"ram_bytes\": %" PRIu64 ", \"out_of_memory\": %s, \"accesses\": %" PRIu64
		", \"references\": %" PRIu64 ", \"processes\": %" PRIu64
		", \"minor_faults\": %" PRIu64 ", \"major_faults\": %" PRIu64
		", \"resident_peak_bytes\": %" PRIu64 ", \"touched_peak_bytes\": %" PRIu64
		", \"time_ns\": %" PRIu64 ", \"fault_ns\": %" PRIu64 ", \"wait_ns\": %" PRIu64
		", \"vmstat\": {",
		result->ram_bytes, result->is_out_of_memory ? "true" : "false",
		result->nr_accesses, result->nr_references, result->nr_processes,
		minor_faults(result), result->vmstat[MM_VMSTAT_pgmajfault],
		result->resident_peak * PAGE_SIZE,
		result->vmstat[MM_VMSTAT_nr_touched_peak] * PAGE_SIZE, result->time_ns,
		result->fault_ns, result->wait_ns);
	for (int i = 0; i < NR_MM_VMSTAT; i++)
		fprintf(out, "%s\"%s\": %" PRIu64, i ? ", " : "", mm_vmstat_names[i],
			result->vmstat[i]);
	fputs("}}", out);
}

/**
 * sim_report_json() - for programs; also of one simulation it is an array of rows.
 */
void sim_report_json(const struct sim_report *report, FILE *out)
{
	const struct sim_request *request = report->request;

	fputs("{\"source\": ", out);
	json_string(out, request->source);
	fprintf(out,
		", \"seed\": %" PRIu64 ", \"policy\": \"%s\", \"swap_bytes\": %" PRIu64
		", \"swap_device\": \"%s\", \"swappiness\": %u, \"page_cluster\": %u"
		", \"rows\": [",
		request->seed, report->policy_name, request->cfg.swap_bytes,
		request->cfg.swap_bytes ? request->cfg.swap.name : "none",
		request->cfg.swappiness, request->cfg.page_cluster);
	for (unsigned int i = 0; i < request->nr_rows; i++) {
		if (i)
			fputs(", ", out);
		json_row(out, &report->results[i]);
	}
	fputs("]}\n", out);
}
