/* SPDX-License-Identifier: MIT */
/*
 * forks MIB ROUNDS THREADS: after each fork() parent and child both check every byte, change
 * half of it, and check again; the child forks once more. With THREADS > 0 other threads touch
 * memory, allocate, use stdio and ask for users' names all the time. Prints what each
 * generation found, in order.
 */
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static uint64_t *data;
static size_t nr_pages;
static uint64_t *tags; /* what each page must hold */
static atomic_bool is_over;

static uint64_t word(size_t page, size_t i)
{
	return (tags[page] ^ page) * 0x9e3779b97f4a7c15u + i;
}

static void write_page(size_t page, uint64_t tag)
{
	tags[page] = tag;
	for (size_t i = 0; i < PAGE / 8; i++)
		data[page * PAGE / 8 + i] = word(page, i);
}

static size_t count_wrong(void)
{
	size_t wrong = 0;

	for (size_t page = 0; page < nr_pages; page++)
		for (size_t i = 0; i < PAGE / 8; i++)
			wrong += data[page * PAGE / 8 + i] != word(page, i);
	return wrong;
}

static void change(uint64_t tag)
{
	for (size_t page = tag % 2; page < nr_pages; page += 2)
		write_page(page, tag * 1000 + page);
}

static void *busy(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (!is_over) {
		size_t size = 100 + rand_r(&seed) % 100000;
		char *text = malloc(size);
		FILE *file = tmpfile();

		memset(text, 'x', size);
		if (file) {
			fprintf(file, "%.*s", 100, text);
			fclose(file);
		}
		getpwuid(rand_r(&seed) % 3);
		free(text);
	}
	return NULL;
}

/* Its answer travels by the exit status; its words are printed by itself, before its parent's.
 */
static void generation(const char *name, int depth);

static void fork_one(const char *name, int depth)
{
	char child_name[64];
	int status;
	pid_t pid;

	snprintf(child_name, sizeof(child_name), "%s.%d", name, depth);
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	if (pid == 0) {
		is_over = true;
		generation(child_name, depth - 1);
		fflush(stdout);
		_exit(0);
	}
	change((uint64_t)depth * 2 + 1); /* while the child reads */
	if (waitpid(pid, &status, 0) != pid || status)
		printf("%s: status %#x\n", child_name, status);
	printf("%s: after the child, wrong %zu\n", name, count_wrong());
}

static void generation(const char *name, int depth)
{
	printf("%s: wrong %zu\n", name, count_wrong());
	change((uint64_t)depth * 2 + 6);
	printf("%s: changed, wrong %zu\n", name, count_wrong());
	if (depth > 0)
		fork_one(name, depth);
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 0) : 8;
	int rounds = argc > 2 ? atoi(argv[2]) : 1;
	int threads = argc > 3 ? atoi(argv[3]) : 0;
	pthread_t thread;

	nr_pages = (mib << 20) / PAGE;
	data = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	tags = calloc(nr_pages, sizeof(*tags));
	for (size_t page = 0; page < nr_pages; page++)
		write_page(page, page);
	for (int i = 0; i < threads; i++)
		pthread_create(&thread, NULL, busy, (void *)(uintptr_t)(i + 1));
	for (int round = 0; round < rounds; round++) {
		printf("round %d\n", round);
		fork_one("parent", 2);
	}
	is_over = true;
	return 0;
}
