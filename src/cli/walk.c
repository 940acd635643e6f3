/* SPDX-License-Identifier: MIT */
/*
 * `ration walk`: its options.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "run/complain.h"
#include "sim/walk.h"

#define EXIT_NO_SPACE 1 /* it cannot be read, or is broken */

static const char help[] =
	"Usage: ration walk [OPTION...] ADDRESS\n"
	"\n"
	"Shows the way of one access, step by step: TLB, page tables, page fault, victims, "
	"swap,\n"
	"physical address. It is made in a space that ration sim saved, or in a small world, 2 "
	"MiB\n"
	"of RAM nearly all in use:\n"
	"\n"
	"  0x200000000000  4 pages of data, written, resident\n"
	"  0x200000004000  4 pages that were never touched\n"
	"  0x200000010000  4 pages that may only be read\n"
	"  0x200000020000  4 pages of code\n"
	"  0x200000030000  8 pages that have gone to swap\n"
	"  0x200000100000  448 pages that take the rest of RAM\n"
	"\n"
	"  --access KIND   read, write or exec; read if not given\n"
	"  --tlb NAME      the processor; skylake if not given; help lists them\n"
	"  --space FILE    in a space that ration sim --save FILE has written\n"
	"  --pid N         the process of it; the lowest if not given\n"
	"  --help          print this\n";

enum walk_option {
	OPTION_ACCESS = 256,
	OPTION_TLB,
	OPTION_SPACE,
	OPTION_PID,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"access", required_argument, NULL, OPTION_ACCESS},
	{"tlb", required_argument, NULL, OPTION_TLB},
	{"space", required_argument, NULL, OPTION_SPACE},
	{"pid", required_argument, NULL, OPTION_PID},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static int show(const struct walk_options *options)
{
	char why[480], *text = NULL;
	int status, err = walk_describe(options, &text, why, sizeof(why));

	if (err) {
		complain("%s", why);
		return err == -EINVAL	? EXIT_USAGE
		       : options->space ? EXIT_NO_SPACE
					: EXIT_TROUBLE;
	}
	status = cli_print(text);
	free(text);
	return status;
}

int cli_walk(int argc, char **argv)
{
	struct walk_options options = {.address = NULL};
	int code;

	while ((code = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		switch (code) {
		case OPTION_ACCESS:
			options.access = optarg;
			break;
		case OPTION_TLB:
			options.tlb = optarg;
			break;
		case OPTION_SPACE:
			options.space = optarg;
			break;
		case OPTION_PID:
			options.pid = optarg;
			break;
		case OPTION_HELP:
			return cli_print(help);
		default:
			return cli_bad_option(argv, code, "ration walk --help");
		}
	}
	if (options.tlb && !strcmp(options.tlb, "help"))
		return cli_tlb_help();
	options.address = argv[optind];
	if (options.address && argv[optind + 1]) {
		complain("%s: one ADDRESS at a time; try ration walk --help", argv[optind + 1]);
		return EXIT_USAGE;
	}
	return show(&options);
}
