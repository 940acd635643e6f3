/* SPDX-License-Identifier: MIT */
/*
 * Why a simulation has no result: one line for a person, without "ration: ".
 */
#ifndef SIM_ERROR_H
#define SIM_ERROR_H

struct sim_error {
	char why[480];
};

/* Return: err. */
int sim_fail(struct sim_error *error, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
