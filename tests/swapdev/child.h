/* SPDX-License-Identifier: MIT */
/*
 * Parts of a test that run in a child, because they change the process for good.
 */
#ifndef TESTS_SWAPDEV_CHILD_H
#define TESTS_SWAPDEV_CHILD_H

#include <stdio.h>

#define CHILD_CANNOT 77

/* In the child, where cmocka's assertions have nowhere to go back to. */
#define CHILD_EXPECT(cond)                                                         \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			return 1;                                                  \
		}                                                                  \
	} while (0)

/* The case passes if fn() answers 0, and is skipped if CHILD_CANNOT. */
void assert_in_child(int (*fn)(void));

/* A tmpfs on dir that only this process sees, gone with it. 0 or CHILD_CANNOT. */
int child_mount_tmpfs(const char *dir, const char *options);

/* From now on system call nr answers -err to this process. 0 or CHILD_CANNOT. */
int child_forbid_syscall(unsigned int nr, int err);

#endif
