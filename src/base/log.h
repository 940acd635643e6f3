/* SPDX-License-Identifier: MIT */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * One line on standard error, with the newline added, in one write(2). Safe in any thread and
 * in signal handlers; keeps errno; cut at 511 bytes.
 */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
