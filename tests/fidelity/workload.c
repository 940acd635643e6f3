/* SPDX-License-Identifier: MIT */
/*
 * The program that runs in the guest (guest-init), linked statically.
 *
 *   workload PATTERN PAGES ACCESSES [FILE]
 *
 * It prints /proc/zoneinfo's first zones and /proc/vmstat as they were before the first access
 * (VM0), after the first writing (VMP) and at the end (VM1), each item on a line of its own.
 * Nothing is printed before the end, so that printing disturbs nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "access.h"

#define PAGE 4096
#define TEXT (64 * 1024)

struct shot {
	const char *name;
	char text[TEXT];
};

static struct shot zones = {.name = "ZONE"}, before = {.name = "VM0"};
static struct shot written = {.name = "VMP"}, after = {.name = "VM1"};

static void take(struct shot *s, const char *path)
{
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, s->text + len, TEXT - 1 - len)) > 0)
		len += (size_t)n;
	s->text[len] = 0;
	close(fd);
}

static void print(struct shot *s)
{
	char *save = NULL;

	for (char *line = strtok_r(s->text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		printf("%s %s\n", s->name, line);
}

static char *map(uint64_t nr_pages, const char *path)
{
	int fd = path ? open(path, O_RDONLY) : -1;
	int flags = path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	char *at;

	if (nr_pages == 0)
		return NULL;
	at = mmap(NULL, nr_pages * PAGE, path ? PROT_READ : PROT_READ | PROT_WRITE, flags, fd,
		  0);
	if (at == MAP_FAILED) {
		perror("workload: mmap");
		exit(1);
	}
	return at;
}

/* The sum keeps the reads alive. */
static unsigned int run(struct fidelity_stream *s, volatile char *anon, volatile char *file)
{
	struct fidelity_access a;
	unsigned int sum = 0;

	while (fidelity_next(s, &a)) {
		if (a.is_write)
			anon[a.page * PAGE] = (char)a.page;
		else
			sum += (unsigned char)(a.is_file ? file : anon)[a.page * PAGE];
		if (s->at == s->nr_anon)
			take(&written, "/proc/vmstat");
	}
	return sum;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct fidelity_stream s;
	char *anon, *file;
	unsigned int sum;
	double start;

	if (argc < 4 || fidelity_find(argv[1]) == NR_FID)
		return 2;
	fidelity_init(&s, fidelity_find(argv[1]), strtoull(argv[2], NULL, 10),
		      strtoull(argv[3], NULL, 10));
	anon = map(s.nr_anon, NULL);
	file = map(s.nr_file, argc > 4 ? argv[4] : NULL);
	take(&zones, "/proc/zoneinfo");
	take(&after, "/proc/vmstat"); /* its pages are there from now on */
	take(&written, "/proc/vmstat");
	take(&before, "/proc/vmstat");
	start = seconds();
	sum = run(&s, anon, file);
	take(&after, "/proc/vmstat");
	printf("\nWL %s pages %s accesses %s sum %u seconds %.2f\n", argv[1], argv[2], argv[3],
	       sum, seconds() - start);
	print(&zones);
	print(&before);
	print(&written);
	print(&after);
	return 0;
}
