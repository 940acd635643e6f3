/* SPDX-License-Identifier: MIT */
/*
 * numbers MIB HOW: a program that does what it likes with descriptor numbers. It fills MIB with
 * bytes that do not compress, does as HOW says to all numbers above 2, and checks every byte;
 * then so does a child, after doing the same again. Prints "done", or what was wrong.
 *
 *	kept       closes them by the C library; prints how many regular files are left
 *	closed     closes those that are regular files, past the C library
 *	replaced   puts another file in the place of each regular one, past the C library
 *	all        puts another file at every number
 *	executed   closes all, and executes itself as "kept"
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	  4096
#define WORDS	  (PAGE / sizeof(uint64_t))
#define FD_END	  1024
#define OTHER_LEN (1l << 30) /* as long as any swap area here, and zero */

static uint64_t *data;
static size_t nr_pages;

static uint64_t word(size_t page, size_t i)
{
	uint64_t z = (page * WORDS + i + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static void fill(void)
{
	for (size_t page = 0; page < nr_pages; page++)
		for (size_t i = 0; i < WORDS; i++)
			data[page * WORDS + i] = word(page, i);
}

static bool is_right(const char *who)
{
	for (size_t page = 0; page < nr_pages; page++)
		for (size_t i = 0; i < WORDS; i++)
			if (data[page * WORDS + i] != word(page, i)) {
				printf("%s: page %zu word %zu\n", who, page, i);
				return false;
			}
	return true;
}

static bool is_regular(int fd)
{
	struct stat stat;

	return syscall(SYS_fstat, fd, &stat) == 0 && S_ISREG(stat.st_mode);
}

static int nr_regular(void)
{
	int nr = 0;

	for (int fd = 3; fd < FD_END; fd++)
		nr += is_regular(fd);
	return nr;
}

static void replace(bool all)
{
	int other = (int)syscall(SYS_memfd_create, "other", 0);

	if (other < 0 || ftruncate(other, OTHER_LEN))
		exit(2);
	for (int fd = 3; fd < FD_END; fd++)
		if (fd != other && (all || is_regular(fd)))
			syscall(SYS_dup2, other, fd);
}

static void disturb(const char *how, char **argv)
{
	for (int fd = 3; fd < FD_END; fd++)
		if (!strcmp(how, "kept"))
			close(fd);
		else if (!strcmp(how, "closed") && is_regular(fd))
			syscall(SYS_close, fd);
	if (!strcmp(how, "replaced") || !strcmp(how, "all"))
		replace(*how == 'a');
	if (strcmp(how, "executed") != 0)
		return;
	syscall(SYS_close_range, 3, ~0u, 0);
	execl("/proc/self/exe", argv[0], argv[1], "kept", NULL);
	exit(2);
}

int main(int argc, char **argv)
{
	int status = -1;
	bool is_good;

	if (argc < 3)
		return 2;
	nr_pages = strtoull(argv[1], NULL, 0) << 8;
	data = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (data == MAP_FAILED)
		return 2;
	fill();
	disturb(argv[2], argv);
	if (!strcmp(argv[2], "kept"))
		printf("files: %d\n", nr_regular());
	is_good = is_right("parent");
	fflush(stdout);
	if (fork() == 0) {
		disturb(argv[2], argv);
		_exit(!is_right("child"));
	}
	wait(&status);
	is_good = is_good && is_right("parent again") && status == 0;
	printf("%s\n", is_good ? "done" : "wrong");
	return 0;
}
