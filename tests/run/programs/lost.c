/* SPDX-License-Identifier: MIT */
/*
 * lost SWAPFILE: writes more than fits, reads it until no page differs from its copy in swap,
 * cuts the swap file short, and reads all again. (A page that is written after the cut would
 * make the file long again, and what was cut off would read as zeros.)
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	 4096
#define NR_PAGES 8192

static sigjmp_buf caught;
static char *data;
static size_t nr_lost, nr_wrong;

static void on_bus(int sig)
{
	siglongjmp(caught, sig);
}

static void read_page(size_t page)
{
	if (sigsetjmp(caught, 1)) {
		nr_lost++;
		return;
	}
	for (size_t i = 0; i < PAGE; i++)
		nr_wrong += data[page * PAGE + i] != (char)(page % 251 + 1);
}

static void read_all(void)
{
	for (size_t page = 0; page < NR_PAGES; page++)
		read_page(page);
}

int main(int argc, char **argv)
{
	data = mmap(NULL, (size_t)NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	signal(SIGBUS, on_bus);
	for (size_t page = 0; page < NR_PAGES; page++)
		memset(data + page * PAGE, (int)(page % 251) + 1, PAGE);
	read_all();
	read_all();
	if (nr_lost || argc < 2 || truncate(argv[1], PAGE))
		return 1;
	read_all();
	if (nr_wrong)
		printf("%zu wrong bytes\n", nr_wrong);
	else if (nr_lost > 1000 && nr_lost < NR_PAGES - 500)
		puts("SIGBUS, then the rest");
	else
		printf("lost %zu pages\n", nr_lost);
	return 0;
}
