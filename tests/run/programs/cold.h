/* SPDX-License-Identifier: MIT */
/*
 * Memory that is out: a case makes its pages cold first (MADV_PAGEOUT, and waits until they are
 * gone, if it is managed).
 */
#ifndef PROGRAMS_COLD_H
#define PROGRAMS_COLD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define BIG  (64 * PAGE)

static size_t pages_in(const char *at, size_t bytes)
{
	unsigned char in[1024] = {0};
	size_t nr = 0, pages = bytes / PAGE;

	if (pages > sizeof(in))
		pages = sizeof(in);
	mincore((void *)(uintptr_t)at, pages * PAGE, in);
	for (size_t i = 0; i < pages; i++)
		nr += in[i] & 1;
	return nr;
}

/* Out they go. It is no error if they do not: then the case shows less. */
static void chill(void *at, size_t bytes)
{
	uintptr_t start = (uintptr_t)at & ~(PAGE - 1);
	size_t len = ((uintptr_t)at + bytes - start + PAGE - 1) & ~(PAGE - 1);

	for (int i = 0; getenv("RATION_RUN") && i < 20; i++) {
		madvise((void *)start, len, MADV_PAGEOUT);
		if (pages_in((char *)start, len) == 0)
			return;
		usleep(1000);
	}
}

static inline char *cold(size_t bytes, int fill)
{
	char *at =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(at, fill, bytes);
	chill(at, bytes);
	return at;
}

static inline unsigned int sum(const char *at, size_t bytes)
{
	unsigned int s = 0;

	for (size_t i = 0; i < bytes; i++)
		s = s * 31 + (unsigned char)at[i];
	return s;
}

#endif
