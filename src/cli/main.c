/* SPDX-License-Identifier: MIT */
/*
 * `ration`: finds the subcommand. One file a subcommand, without logic: it reads the options
 * and calls the part that does the work.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "run/complain.h"

static const char help[] =
	"Usage: ration COMMAND [OPTION...] [ARG...]\n"
	"\n"
	"Ration lets a program run in less RAM than it needs.\n"
	"\n"
	"Commands:\n"
	"  run    run a program in a given amount of RAM; the rest goes to swap files\n"
	"  walk   show the way of one memory access, step by step\n"
	"  sim    tell what a program's accesses would cost in a given amount of RAM\n"
	"\n"
	"Options:\n"
	"  --help       print this\n"
	"  --version    print the version\n"
	"\n"
	"'ration COMMAND --help' tells more, for example 'ration run --help'.\n";

enum main_option {
	OPTION_HELP = 256,
	OPTION_VERSION,
};

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"run", cli_run},
	{"walk", cli_walk},
	{"sim", cli_sim},
};

int cli_print(const char *text)
{
	if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
		return EXIT_OK;
	complain("standard output: %m");
	return EXIT_TROUBLE;
}

/**
 * cli_bad_option() - say what getopt_long() stumbled over.
 * @code: what it returned: ':' for a missing value, '?' for anything else.
 * @way_out: the command that tells what there is.
 *
 * Return: EXIT_USAGE.
 */
int cli_bad_option(char **argv, int code, const char *way_out)
{
	const char *text = argv[optind - 1];
	char letter[] = {'-', (char)optopt, '\0'};

	if (optopt && optopt < 256 && strncmp(text, "--", 2))
		text = letter;
	if (code == ':')
		complain("%s: wants a value; try %s", text, way_out);
	else if (optopt >= 256)
		complain("%s: takes no value; try %s", text, way_out);
	else
		complain("%s: no such option; try %s", text, way_out);
	return EXIT_USAGE;
}

static int find_command(int argc, char **argv)
{
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[0], commands[i].name))
			return commands[i].run(argc, argv);
	complain("%s: no such command; try ration --help", argv[0]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, OPTION_HELP},
		{"version", no_argument, NULL, OPTION_VERSION},
		{0},
	};
	int code;

	opterr = 0;
	code = getopt_long(argc, argv, "+:", options, NULL);
	if (code == OPTION_HELP)
		return cli_print(help);
	if (code == OPTION_VERSION)
		return cli_print("ration " RATION_VERSION "\n");
	if (code != -1)
		return cli_bad_option(argv, code, "ration --help");
	if (optind >= argc) {
		complain("COMMAND is missing; try ration --help");
		return EXIT_USAGE;
	}
	argc -= optind;
	argv += optind;
	optind = 0; /* begin anew (getopt(3)) */
	return find_command(argc, argv);
}
