/* SPDX-License-Identifier: MIT */
/*
 * A folder of its own for a test's files, removed with all that is in it.
 */
#ifndef CLI_TREE_H
#define CLI_TREE_H

#include <sys/types.h>

const char *tree_make(void);
void tree_remove(void);
/* Below the folder; makes the folders on the way. Return: the file's path, until the next. */
const char *tree_write(const char *path, const void *data, size_t len, mode_t mode);

#endif
