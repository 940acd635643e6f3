/* SPDX-License-Identifier: MIT */
/*
 * What libFuzzer's main does with a corpus and no more, for an ordinary test without it:
 *
 *	replay_trace FOLDER
 *
 * Exit status: 0; 1 where there was nothing to replay.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX (1 << 20)

static uint8_t input[INPUT_MAX];

static int replay(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t nr = fd < 0 ? -1 : read(fd, input, sizeof(input));

	if (fd >= 0)
		close(fd);
	if (nr < 0)
		return 0; /* a folder */
	LLVMFuzzerTestOneInput(input, (size_t)nr);
	return 1;
}

int main(int argc, char **argv)
{
	DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	int nr = 0;

	if (!folder)
		return EXIT_FAILURE;
	while ((entry = readdir(folder)))
		nr += replay(dirfd(folder), entry->d_name);
	closedir(folder);
	printf("%d inputs\n", nr);
	return nr ? EXIT_SUCCESS : EXIT_FAILURE;
}
