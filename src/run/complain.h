/* SPDX-License-Identifier: MIT */
#ifndef RUN_COMPLAIN_H
#define RUN_COMPLAIN_H

/* Exit statuses: of env(1), nohup(1) and timeout(1), and 2 for the user's mistakes. */
enum run_exit {
	EXIT_OK = 0,
	EXIT_USAGE = 2,		   /* the user's mistake, or a program that is refused */
	EXIT_TROUBLE = 125,	   /* Ration itself failed */
	EXIT_CANNOT_EXECUTE = 126, /* the program is there, but cannot be started */
	EXIT_NOT_FOUND = 127,
};

/*
 * One line on standard error: "ration: " and the text, whatever names the user has chosen for
 * his files: control characters come out as '?'.
 */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
