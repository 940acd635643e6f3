/* SPDX-License-Identifier: MIT */
/*
 * `ration sim`: its options, and its result on standard output.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/sim_options.h"
#include "run/complain.h"
#include "sim/opt.h"
#include "sim/pattern.h"
#include "sim/report.h"

#define EXIT_NO_RESULT 1

static const char help[] =
	"Usage: ration sim [OPTION...] SOURCE\n"
	"\n"
	"Replays memory accesses on the memory manager, on a machine made of software, and\n"
	"tells what they would cost. SOURCE is a trace (Ration's own, of valgrind's lackey, "
	"or\n"
	"CSV; plain or compressed), - for one on standard input, or a pattern. Simulated are\n"
	"anonymous memory, of one or several processes, and files, if SOURCE has any.\n"
	"\n"
	"  --ram SIZE           RAM, the manager's own included; 128M if not given\n"
	"  --sweep ram=A..B:N   N sizes of RAM from A to B instead, a line each\n"
	"  --swap SIZE[:DEVICE] swap, on nvme, ssd, hdd or zram; nvme, 8 times the RAM and 1G\n"
	"                       at least if not given\n"
	"  --swap none          no swap\n"
	"  --files DEVICE       what files lie on, one of the same; nvme if not given\n"
	"  --swappiness N       0 to 200, as vm.swappiness; 60 if not given\n"
	"  --page-cluster N     0 to 5, as vm.page-cluster; 3 if not given\n"
	"  --policy NAME        which pages leave first; " SIM_POLICY_DEFAULT
	" if not given. There are:\n"
	"                      ";

static const char help_end[] =
	",\n"
	"                       and " SIM_POLICY_OPT
	", which knows the future: only its misses "
	"are told\n"
	"  --seed N             of a pattern, and of a policy that draws lots; 1 if not given\n"
	"  --thp WHICH          huge pages: never, madvise (no source has advice), always, of "
	"2 MiB,\n"
	"                       64k, or both; never if not given\n"
	"  --tlb NAME           the processor; " SIM_TLB_DEFAULT
	" if not given; none: translation is\n"
	"                       free; help lists them\n"
	"  --save FILE          the space at the end, for ration walk --space FILE\n"
	"  --json               the result for programs\n"
	"  --help               print this\n"
	"\n"
	"Exit status: 0; 1 if there is no result, because SOURCE cannot be read or is broken,\n"
	"or because the simulated machine ran out of memory; 2 for bad options.\n"
	"\n";

enum sim_option {
	OPTION_RAM = 256,
	OPTION_SWEEP,
	OPTION_SWAP,
	OPTION_SWAPPINESS,
	OPTION_PAGE_CLUSTER,
	OPTION_POLICY,
	OPTION_SEED,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_THP,
	OPTION_TLB,
	OPTION_SAVE,
	OPTION_FILES,
};

static const struct option long_options[] = {
	{"ram", required_argument, NULL, OPTION_RAM},
	{"sweep", required_argument, NULL, OPTION_SWEEP},
	{"swap", required_argument, NULL, OPTION_SWAP},
	{"files", required_argument, NULL, OPTION_FILES},
	{"swappiness", required_argument, NULL, OPTION_SWAPPINESS},
	{"page-cluster", required_argument, NULL, OPTION_PAGE_CLUSTER},
	{"policy", required_argument, NULL, OPTION_POLICY},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"tlb", required_argument, NULL, OPTION_TLB},
	{"save", required_argument, NULL, OPTION_SAVE},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{"thp", required_argument, NULL, OPTION_THP},
	{0},
};

static int print_help(void)
{
	char patterns[PATTERN_HELP_MAX],
		text[sizeof(help) + sizeof(help_end) + 512 + sizeof(patterns)];
	size_t len;

	pattern_help(patterns);
	strcpy(text, help);
	for (unsigned int i = 0; sim_policy_name_at(i); i++) {
		len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s %s", i ? "," : "",
			 sim_policy_name_at(i));
	}
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, "%s%s", help_end, patterns);
	return cli_print(text);
}

/* An option whose value goes into a field; false for one that does something else. */
static bool take_value(struct sim_options *options, int code)
{
	switch (code) {
	case OPTION_RAM:
		options->ram = optarg;
		return true;
	case OPTION_SWEEP:
		options->sweep = optarg;
		return true;
	case OPTION_SWAP:
		options->swap = optarg;
		return true;
	case OPTION_SWAPPINESS:
		options->swappiness = optarg;
		return true;
	case OPTION_PAGE_CLUSTER:
		options->page_cluster = optarg;
		return true;
	case OPTION_POLICY:
		options->policy = optarg;
		return true;
	case OPTION_SEED:
		options->seed = optarg;
		return true;
	case OPTION_TLB:
		options->tlb = optarg;
		return true;
	case OPTION_THP:
		options->thp = optarg;
		return true;
	case OPTION_FILES:
		options->files = optarg;
		return true;
	case OPTION_SAVE:
		options->save = optarg;
		return true;
	default:
		return false;
	}
}

static void complain_out_of_memory(const struct sim_request *request,
				   const struct sim_result *result)
{
	char ram[64], swap[64] = "no swap";

	snprintf(ram, sizeof(ram), "%.1f MiB of RAM", (double)result->ram_bytes / 1048576.0);
	if (request->cfg.swap_bytes)
		snprintf(swap, sizeof(swap), "%.1f MiB of swap",
			 (double)request->cfg.swap_bytes / 1048576.0);
	complain("%s: out of memory after %" PRIu64 " accesses, with %s and %s; give it more",
		 request->source, result->nr_accesses, ram, swap);
}

/* A sweep is printed with rows that ran out of memory; a single simulation has no result. */
static int check_results(const struct sim_request *request, const struct sim_result *results)
{
	int status = EXIT_OK;

	for (unsigned int i = 0; i < request->nr_rows; i++) {
		if (!results[i].is_out_of_memory)
			continue;
		complain_out_of_memory(request, &results[i]);
		status = EXIT_NO_RESULT;
	}
	return status;
}

/* What is in report or, if that is NULL, of OPT in request and result. */
struct answer {
	const struct sim_report *report;
	const struct sim_request *request;
	const struct sim_opt_result *result;
	bool is_json;
};

static void write_answer(const struct answer *answer, FILE *out)
{
	if (answer->report)
		(answer->is_json ? sim_report_json : sim_report_table)(answer->report, out);
	else
		(answer->is_json ? sim_opt_json : sim_opt_table)(answer->request,
								 answer->result, out);
}

static int print_answer(const struct answer *answer)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int status = EXIT_TROUBLE;

	if (!out) {
		complain("sim: %m");
		return status;
	}
	write_answer(answer, out);
	if (fclose(out) == 0)
		status = cli_print(text);
	else
		complain("sim: %m");
	free(text);
	return status;
}

/* `--tlb help`, of sim and walk. */
int cli_tlb_help(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int status = EXIT_TROUBLE;

	if (out)
		sim_tlb_help(out);
	if (out && fclose(out) == 0)
		status = cli_print(text);
	else
		complain("--tlb help: %m");
	free(text);
	return status;
}

static int simulate_opt(const struct sim_request *request, bool is_json)
{
	static struct sim_opt_result result;
	const struct answer answer = {NULL, request, &result, is_json};
	struct sim_error error;

	if (sim_opt(request, &result, &error)) {
		complain("%s", error.why);
		return EXIT_NO_RESULT;
	}
	return print_answer(&answer);
}

static int simulate(const struct sim_options *options, bool is_json)
{
	static struct sim_result results[SIM_ROWS_MAX];
	struct sim_request request;
	struct sim_report report = {.request = &request, .results = results};
	const struct answer answer = {.report = &report, .is_json = is_json};
	struct sim_error error;
	int status = sim_options_read(options, &request), status_print;

	if (status)
		return status;
	report.policy_name = options->policy ? options->policy : SIM_POLICY_DEFAULT;
	request.shows_progress = isatty(STDERR_FILENO) == 1;
	if (!request.cfg.policy)
		return simulate_opt(&request, is_json);
	if (sim_sweep(&request, results, &error)) {
		complain("%s", error.why);
		return EXIT_NO_RESULT;
	}
	status = check_results(&request, results);
	if (status && request.nr_rows == 1)
		return status;
	status_print = print_answer(&answer);
	return status_print ? status_print : status;
}

int cli_sim(int argc, char **argv)
{
	struct sim_options options = {.ram = NULL};
	bool is_json = false;
	int code;

	while ((code = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (take_value(&options, code))
			continue;
		if (code == OPTION_HELP)
			return print_help();
		if (code != OPTION_JSON)
			return cli_bad_option(argv, code, "ration sim --help");
		is_json = true;
	}
	if (argc - optind > 1) {
		complain("%s: there is one SOURCE; try ration sim --help", argv[optind + 1]);
		return EXIT_USAGE;
	}
	if (options.tlb && !strcmp(options.tlb, "help"))
		return cli_tlb_help();
	options.source = argv[optind];
	return simulate(&options, is_json);
}
