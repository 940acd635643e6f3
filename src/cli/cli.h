/* SPDX-License-Identifier: MIT */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* A subcommand: argv[0] is its name. Return: the exit status. */
int cli_run(int argc, char **argv);
int cli_walk(int argc, char **argv);
int cli_sim(int argc, char **argv);

int cli_tlb_help(void);		 /* the exit status */
int cli_print(const char *text); /* on standard output; the exit status */
int cli_bad_option(char **argv, int code, const char *way_out);

#endif
