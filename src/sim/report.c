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

/* Linux counts it in KiB. */
static uint64_t file_pages_read(const struct sim_result *result)
{
	return result->vmstat[MM_VMSTAT_pgpgin] / (PAGE_SIZE / 1024);
}

static double mib_of_pages(uint64_t nr_pages)
{
	return (double)(nr_pages * PAGE_SIZE) / MIB;
}

static bool has_huge_pages(const struct sim_config *cfg)
{
	return cfg->thp == MM_THP_ALWAYS || cfg->thp_64k == MM_THP_ALWAYS;
}

static bool has_any_files(const struct sim_report *report)
{
	for (unsigned int i = 0; i < report->request->nr_rows; i++)
		if (report->results[i].nr_files > 0)
			return true;
	return false;
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
	fprintf(out, ", swappiness %u, page-cluster %u, policy %s\n", cfg->swappiness,
		cfg->page_cluster, report->policy_name);
	if (has_any_files(report))
		fprintf(out, "files on %s\n", cfg->file_disk.name);
	if (cfg->tlb)
		fprintf(out, "TLB of %s\n", cfg->tlb->title);
	if (has_huge_pages(cfg))
		fprintf(out, "huge pages:%s%s\n", cfg->thp == MM_THP_ALWAYS ? " 2 MiB" : "",
			cfg->thp_64k == MM_THP_ALWAYS ? " 64 KiB" : "");
	fputc('\n', out);
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

struct stat_line {
	const char *what;
	enum mm_vmstat_item item;
};

static void print_lines(FILE *out, const struct sim_result *result,
			const struct stat_line *lines, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		print_stat(out, lines[i].what, result, lines[i].item);
}

static void print_stats(FILE *out, const struct sim_result *result)
{
	static const struct stat_line stats[] = {
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
	static const struct stat_line refaults[] = {
		{"refaults", MM_VMSTAT_workingset_refault_anon},
		{"  activated", MM_VMSTAT_workingset_activate_anon},
		{"  of active pages", MM_VMSTAT_workingset_restore_anon},
	};

	print_lines(out, result, stats, sizeof(stats) / sizeof(stats[0]));
	if (result->nr_files == 0)
		print_lines(out, result, refaults, sizeof(refaults) / sizeof(refaults[0]));
}

_Static_assert(
	MM_VMSTAT_pgscan_file == MM_VMSTAT_pgscan_anon + 1 &&
		MM_VMSTAT_pgsteal_file == MM_VMSTAT_pgsteal_anon + 1 &&
		MM_VMSTAT_workingset_refault_file == MM_VMSTAT_workingset_refault_anon + 1 &&
		MM_VMSTAT_workingset_activate_file == MM_VMSTAT_workingset_activate_anon + 1 &&
		MM_VMSTAT_workingset_restore_file == MM_VMSTAT_workingset_restore_anon + 1,
	"print_pair() takes the next one");

/* A figure of anonymous memory beside that of files, as /proc/vmstat has them: NAME_anon. */
static void print_pair(FILE *out, const struct stat_line *line, const struct sim_result *result)
{
	const char *name = mm_vmstat_names[line->item];

	fprintf(out, "%-22s %14" PRIu64 " %14" PRIu64 "  %.*s\n", line->what,
		result->vmstat[line->item], result->vmstat[line->item + 1],
		(int)(strlen(name) - strlen("_anon")), name);
}

static void print_files(FILE *out, const struct sim_result *result)
{
	static const struct stat_line pairs[] = {
		{"scanned", MM_VMSTAT_pgscan_anon},
		{"  and freed", MM_VMSTAT_pgsteal_anon},
		{"refaults", MM_VMSTAT_workingset_refault_anon},
		{"  activated", MM_VMSTAT_workingset_activate_anon},
		{"  of active pages", MM_VMSTAT_workingset_restore_anon},
	};
	static const struct stat_line traffic[] = {
		{"  made dirty", MM_VMSTAT_nr_dirtied},
		{"  written back", MM_VMSTAT_nr_written},
		{"  dirty at the end", MM_VMSTAT_nr_dirty},
		{"  cached at the end", MM_VMSTAT_nr_file_pages},
	};

	fprintf(out, "\n%-22s %14s %14s\n", "reclaim by kind", "anonymous", "files");
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		print_pair(out, &pairs[i], result);
	fputc('\n', out);
	print_count(out, "files", result->nr_files, "");
	print_count(out, "  pages read", file_pages_read(result), "pgpgin, in pages");
	print_lines(out, result, traffic, sizeof(traffic) / sizeof(traffic[0]));
}

static void print_huge(FILE *out, const struct sim_result *result)
{
	static const struct stat_line stats[] = {
		{"2 MiB pages", MM_VMSTAT_thp_fault_alloc},
		{"  none to be had", MM_VMSTAT_thp_fault_fallback},
		{"  made by khugepaged", MM_VMSTAT_thp_collapse_alloc},
		{"  split", MM_VMSTAT_thp_split_page},
		{"64 KiB pages", MM_VMSTAT_anon_64k_fault_alloc},
		{"  none to be had", MM_VMSTAT_anon_64k_fault_fallback},
	};

	print_lines(out, result, stats, sizeof(stats) / sizeof(stats[0]));
}

/* What a level was asked for and had not: hits further down, and walks. */
static uint64_t tlb_misses(const struct tlb_stats *tlb, unsigned int level, enum tlb_kind kind,
			   enum tlb_size size)
{
	uint64_t misses = tlb->walks[kind][size];

	for (unsigned int below = level + 1; below < TLB_NR_LEVELS; below++)
		misses += tlb->hits[below][kind][size];
	return misses;
}

static bool is_size_used(const struct tlb_stats *tlb, enum tlb_kind kind, enum tlb_size size)
{
	return tlb->hits[0][kind][size] + tlb_misses(tlb, 0, kind, size) > 0;
}

static const char *const tlb_kind_names[] = {"instructions", "data"};

/* A line for each kind of access and size of pages that occurs. */
static void print_tlb(FILE *out, const struct tlb_stats *tlb)
{
	char what[32];

	fprintf(out, "\n%-22s %14s %14s %14s\n", "translations", "level 1 hits",
		"level 1 misses", "level 2 misses");
	for (unsigned int i = 0; i < TLB_NR_KINDS * TLB_NR_SIZES; i++) {
		enum tlb_kind kind = i / TLB_NR_SIZES;
		enum tlb_size size = i % TLB_NR_SIZES;

		if (size != TLB_4K && !is_size_used(tlb, kind, size))
			continue;
		snprintf(what, sizeof(what), "%s, %s", tlb_kind_names[kind],
			 tlb_size_name(size));
		fprintf(out, "%-22s %14" PRIu64 " %14" PRIu64 " %14" PRIu64 "\n", what,
			tlb->hits[0][kind][size], tlb_misses(tlb, 0, kind, size),
			tlb_misses(tlb, 1, kind, size));
	}
	print_count(out, "page walks", tlb_walks(tlb), "");
	print_count(out, "  that faulted",
		    tlb->walks_faulted[TLB_INSTR] + tlb->walks_faulted[TLB_DATA], "");
	print_count(out, "  from a walk cache", tlb_walk_hits(tlb), "");
	print_count(out, "entries read", tlb->walk_steps, "");
	print_count(out, "  saved by caches", tlb->walk_steps_saved, "");
	print_count(out, "pages invalidated", tlb->page_invalidations, "");
	print_count(out, "spaces invalidated", tlb->asid_invalidations, "");
	fputc('\n', out);
}

static void print_single(FILE *out, const struct sim_config *cfg,
			 const struct sim_result *result)
{
	print_count(out, "accesses", result->nr_accesses, "");
	print_count(out, "page references", result->nr_references, "");
	print_count(out, "processes", result->nr_processes, "");
	print_count(out, "minor faults", minor_faults(result), "pgfault - pgmajfault");
	print_stats(out, result);
	if (has_huge_pages(cfg))
		print_huge(out, result);
	if (result->nr_files > 0)
		print_files(out, result);
	if (cfg->tlb)
		print_tlb(out, &result->tlb);
	else if (result->nr_files > 0)
		fputc('\n', out);
	fprintf(out, "%-22s %10.1f MiB\n", "peak resident",
		mib_of_pages(result->resident_peak));
	fprintf(out, "%-22s %10.1f MiB\n", "peak touched",
		mib_of_pages(result->vmstat[MM_VMSTAT_nr_touched_peak]));
	fprintf(out, "%-22s %12.6f s\n", "estimated time", seconds(result->time_ns));
	fprintf(out, "%-22s %12.6f s\n", "  in faults", seconds(result->fault_ns));
	if (result->nr_files > 0)
		fprintf(out, "%-22s %12.6f s\n", "  in calls on files",
			seconds(result->call_ns));
	fprintf(out, "%-22s %12.6f s\n",
		result->nr_files > 0 ? "  waiting for I/O" : "  waiting for swap",
		seconds(result->wait_ns));
	if (cfg->tlb)
		fprintf(out, "%-22s %12.6f s\n", "  in TLB misses", seconds(result->tlb_ns));
}

static void print_row(FILE *out, const struct sim_result *result, bool has_files)
{
	const uint64_t *vmstat = result->vmstat;

	fprintf(out, "%10.1f %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64,
		(double)result->ram_bytes / MIB, minor_faults(result),
		vmstat[MM_VMSTAT_pgmajfault], vmstat[MM_VMSTAT_pswpin],
		vmstat[MM_VMSTAT_pswpout]);
	if (has_files)
		fprintf(out, " %12" PRIu64 " %12" PRIu64, file_pages_read(result),
			vmstat[MM_VMSTAT_nr_written]);
	fprintf(out, " %12" PRIu64 " %10" PRIu64 " %12.1f %12.6f%s\n",
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
	bool has_files = has_any_files(report);

	print_setup(report, out);
	if (nr_rows == 1) {
		print_single(out, &report->request->cfg, report->results);
		return;
	}
	fprintf(out, "%10s %12s %12s %12s %12s", "RAM MiB", "minor", "major", "pswpin",
		"pswpout");
	if (has_files)
		fprintf(out, " %12s %12s", "file in", "file out");
	fprintf(out, " %12s %10s %12s %12s\n", "pgscan", "allocstall", "resident MiB",
		"time s");
	for (unsigned int i = 0; i < nr_rows; i++)
		print_row(out, &report->results[i], has_files);
}

/**
 * sim_report_string() - a string of JSON.
 *
 * Bytes that are no ASCII go through as they are: a path is bytes.
 */
void sim_report_string(FILE *out, const char *text)
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

/* A count for each size of pages, of one kind of access. */
static void json_sizes(FILE *out, const char *name, const uint64_t counts[TLB_NR_SIZES])
{
	fprintf(out, "\"%s\": {", name);
	for (unsigned int size = 0; size < TLB_NR_SIZES; size++)
		fprintf(out, "%s\"%s\": %" PRIu64, size ? ", " : "", tlb_size_name(size),
			counts[size]);
	fputc('}', out);
}

static void json_tlb_kind(FILE *out, const struct tlb_stats *tlb, enum tlb_kind kind)
{
	static const char *const names[TLB_NR_LEVELS] = {"level1_misses", "level2_misses"};

	fprintf(out, "\"%s\": {", tlb_kind_names[kind]);
	json_sizes(out, "level1_hits", tlb->hits[0][kind]);
	for (unsigned int level = 0; level < TLB_NR_LEVELS; level++) {
		uint64_t misses[TLB_NR_SIZES];

		for (unsigned int size = 0; size < TLB_NR_SIZES; size++)
			misses[size] = tlb_misses(tlb, level, kind, size);
		fputs(", ", out);
		json_sizes(out, names[level], misses);
	}
	fprintf(out, ", \"walks_faulted\": %" PRIu64 "}, ", tlb->walks_faulted[kind]);
}

static void json_tlb(FILE *out, const struct sim_result *result)
{
	const struct tlb_stats *tlb = &result->tlb;

	fputs("\"tlb\": {", out);
	for (unsigned int kind = 0; kind < TLB_NR_KINDS; kind++)
		json_tlb_kind(out, tlb, kind);
	fprintf(out,
		"\"walks\": %" PRIu64 ", \"walk_cache_hits\": %" PRIu64
		", \"walk_entries_read\": %" PRIu64 ", \"walk_entries_saved\": %" PRIu64
		", \"page_invalidations\": %" PRIu64 ", \"asid_invalidations\": %" PRIu64
		", \"time_ns\": %" PRIu64 "}, ",
		tlb_walks(tlb), tlb_walk_hits(tlb), tlb->walk_steps, tlb->walk_steps_saved,
		tlb->page_invalidations, tlb->asid_invalidations, result->tlb_ns);
}

static void json_row(FILE *out, const struct sim_config *cfg, const struct sim_result *result)
{
	fprintf(out,
		"{\"ram_bytes\": %" PRIu64 ", \"out_of_memory\": %s, \"accesses\": %" PRIu64
		", \"references\": %" PRIu64 ", \"processes\": %" PRIu64
		", \"minor_faults\": %" PRIu64 ", \"major_faults\": %" PRIu64
		", \"resident_peak_bytes\": %" PRIu64 ", \"touched_peak_bytes\": %" PRIu64
		", \"files\": %" PRIu64 ", \"file_pages_read\": %" PRIu64
		", \"file_pages_written\": %" PRIu64 ", \"time_ns\": %" PRIu64
		", \"fault_ns\": %" PRIu64 ", \"call_ns\": %" PRIu64 ", \"wait_ns\": %" PRIu64
		", ",
		result->ram_bytes, result->is_out_of_memory ? "true" : "false",
		result->nr_accesses, result->nr_references, result->nr_processes,
		minor_faults(result), result->vmstat[MM_VMSTAT_pgmajfault],
		result->resident_peak * PAGE_SIZE,
		result->vmstat[MM_VMSTAT_nr_touched_peak] * PAGE_SIZE, result->nr_files,
		file_pages_read(result), result->vmstat[MM_VMSTAT_nr_written], result->time_ns,
		result->fault_ns, result->call_ns, result->wait_ns);
	if (cfg->tlb)
		json_tlb(out, result);
	fputs("\"vmstat\": {", out);
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
	sim_report_string(out, request->source);
	fprintf(out,
		", \"seed\": %" PRIu64 ", \"policy\": \"%s\", \"swap_bytes\": %" PRIu64
		", \"swap_device\": \"%s\", \"file_device\": \"%s\", \"swappiness\": %u, "
		"\"page_cluster\": %u"
		", \"tlb\": \"%s\", \"thp\": %s, \"thp_64k\": %s, \"rows\": [",
		request->seed, report->policy_name, request->cfg.swap_bytes,
		request->cfg.swap_bytes ? request->cfg.swap.name : "none",
		request->cfg.file_disk.name, request->cfg.swappiness, request->cfg.page_cluster,
		request->cfg.tlb ? request->cfg.tlb->name : "none",
		request->cfg.thp == MM_THP_ALWAYS ? "true" : "false",
		request->cfg.thp_64k == MM_THP_ALWAYS ? "true" : "false");
	for (unsigned int i = 0; i < request->nr_rows; i++) {
		if (i)
			fputs(", ", out);
		json_row(out, &request->cfg, &report->results[i]);
	}
	fputs("]}\n", out);
}
