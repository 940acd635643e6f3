/* SPDX-License-Identifier: MIT */
/*
 * `ration run`: its options.
 */
#include <getopt.h>
#include <stdio.h>

#include "cli/cli.h"
#include "run/launch.h"

static const char help[] =
	"Usage: ration run --ram SIZE [--swap PATH[:SIZE]]... [OPTION...] [--] PROGRAM "
	"[ARG...]\n"
	"\n"
	"Runs PROGRAM in SIZE of RAM. Of its data, what does not fit goes to the swap files.\n"
	"Managed is anonymous private memory: malloc, mmap, brk. Code, stacks, file mappings\n"
	"and shared memory are not, and come on top.\n"
	"\n"
	"  --ram SIZE           RAM for each process of the run, the manager's own included:\n"
	"                       256M, 1.5G, 268435456, or 25% of what can be had; 4M at least\n"
	"  --swap PATH[:SIZE]   swap to this file or block device; may be given more than "
	"once.\n"
	"                       A file that is missing is made, and removed at the end; "
	"without\n"
	"                       a SIZE it can grow to 8 times the RAM, 1G at least. One that\n"
	"                       exists must have a swap signature (mkswap)\n"
	"  --zram SIZE[,CODEC]  of the RAM, what compressed pages may take, which go there "
	"before\n"
	"                       they go to a swap file: 128M, or 50% of --ram, which is what "
	"it\n"
	"                       takes if not given; off: none. CODEC is lz4, if not given, or\n"
	"                       zstd, which is smaller and slower\n"
	"  --swappiness N       0 to 200, as vm.swappiness; 60 if not given\n"
	"  --fault ENGINE       who resolves page faults: signal, the thread that takes them,\n"
	"                       which needs no privilege; thread, a thread of Ration's; or\n"
	"                       segv, as signal but without userfaultfd, and slower. If not\n"
	"                       given, the first of them that can serve; --stats says which\n"
	"                       and why\n"
	"  --stats[=json]       at the end, print what the run took on standard error\n"
	"  --help               print this\n"
	"\n"
	"Options end at PROGRAM. Exit status, signals, standard streams and the working\n"
	"directory are PROGRAM's own. Otherwise the exit status is 2 for bad options and for "
	"a\n"
	"program that would run unmanaged (static, set-uid, another C library), 125 if Ration\n"
	"fails, 126 if PROGRAM cannot be started, 127 if it cannot be found.\n"
	"\n"
	"A process that outlives PROGRAM keeps the swap it uses, although the file's name is\n"
	"gone. If ration is killed by SIGKILL, so is PROGRAM, and a swap file that was made\n"
	"stays behind.\n"
	"\n"
	"For testing:\n"
	"  RATION_TEST=LIST     in the environment, of no-move, no-uring, no-direct, with\n"
	"                       commas: do without these abilities of the kernel\n"
	"  RATION_PRELOAD=PATH  in the environment: the runtime to load into PROGRAM\n";

enum run_option {
	OPTION_RAM = 256,
	OPTION_SWAP,
	OPTION_ZRAM,
	OPTION_SWAPPINESS,
	OPTION_STATS,
	OPTION_FAULT,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"ram", required_argument, NULL, OPTION_RAM},
	{"swap", required_argument, NULL, OPTION_SWAP},
	{"zram", required_argument, NULL, OPTION_ZRAM},
	{"swappiness", required_argument, NULL, OPTION_SWAPPINESS},
	{"stats", optional_argument, NULL, OPTION_STATS},
	{"fault", required_argument, NULL, OPTION_FAULT},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static void add_swap(struct run_options *options, const char *text)
{
	if (options->nr_swaps < RUN_AREAS_MAX)
		options->swaps[options->nr_swaps] = text;
	options->nr_swaps++;
}

int cli_run(int argc, char **argv)
{
	struct run_options options = {.ram = NULL};
	int code;

	while ((code = getopt_long(argc, argv, "+:", long_options, NULL)) != -1) {
		switch (code) {
		case OPTION_RAM:
			options.ram = optarg;
			break;
		case OPTION_SWAP:
			add_swap(&options, optarg);
			break;
		case OPTION_ZRAM:
			options.zram = optarg;
			break;
		case OPTION_SWAPPINESS:
			options.swappiness = optarg;
			break;
		case OPTION_STATS:
			options.stats = optarg ? optarg : "";
			break;
		case OPTION_FAULT:
			options.fault = optarg;
			break;
		case OPTION_HELP:
			return cli_print(help);
		default:
			return cli_bad_option(argv, code, "ration run --help");
		}
	}
	options.argv = argv + optind;
	return launch(&options);
}
