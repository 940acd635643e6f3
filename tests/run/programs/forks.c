/* SPDX-License-Identifier: MIT */
/*
 * forks MIB ROUNDS THREADS WAY: after each fork() parent and child both check every byte,
 * change half of it, and check again; the child forks once more. With THREADS > 0 other threads
 * touch memory, allocate, use stdio and ask for users' names all the time. Prints what each
 * generation found, in order. WAY is the call that makes a child (ways).
 */
#include <dlfcn.h>
#include <linux/sched.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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

/* -- Ways to make a child -- */

static char own_stack[256 * 1024] __attribute__((aligned(16)));
static jmp_buf back;

static int jump(void *arg)
{
	(void)arg;
	longjmp(back, 1);
}

static __attribute__((noinline)) pid_t clone_here(int flags)
{
	char stack[16384] __attribute__((aligned(16)));

	return clone(jump, stack + sizeof(stack), flags, NULL);
}

/* As Chromium does: the child comes back to where its parent was. */
static pid_t by_clone(void)
{
	return setjmp(back) ? 0 : clone_here(SIGCHLD);
}

static pid_t by_clone_in_namespaces(void)
{
	if (getpid() == 1)
		return fork();
	return setjmp(back) ? 0 : clone_here(CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD);
}

static pid_t by_clone_elsewhere(void)
{
	return setjmp(back) ? 0 : clone(jump, own_stack + sizeof(own_stack), SIGCHLD, NULL);
}

/* Where the kernel puts the number is managed. */
static pid_t by_number(void)
{
	pid_t *numbers = malloc(2 * sizeof(*numbers));
	pid_t pid;

	numbers[0] = numbers[1] = -1;
	pid = (pid_t)syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD,
			     NULL, &numbers[0], &numbers[1], NULL);
	if (pid > 0 ? numbers[0] != pid : numbers[1] != syscall(SYS_gettid))
		printf("number %d is %d, %d\n", pid, numbers[0], numbers[1]);
	free(numbers);
	return pid;
}

static pid_t by_clone3(void)
{
	struct clone_args *args = calloc(1, sizeof(*args));
	pid_t pid;

	args->exit_signal = SIGCHLD;
	pid = (pid_t)syscall(SYS_clone3, args, sizeof(*args));
	free(args);
	return pid;
}

static pid_t by_fork_number(void)
{
	return (pid_t)syscall(SYS_fork);
}

/* As Firefox does: the C library's handlers of forks are called around a clone, too. */

#define HANDLERS_MAX 16

typedef void handler(void);

static struct {
	handler *prepare, *parent, *child;
} handlers[HANDLERS_MAX];
static int nr_handlers;

int __register_atfork(handler *prepare, handler *parent, handler *child, void *dso);
int __register_atfork(handler *prepare, handler *parent, handler *child, void *dso)
{
	__typeof__(&__register_atfork) next;

	if (nr_handlers < HANDLERS_MAX) {
		handlers[nr_handlers].prepare = prepare;
		handlers[nr_handlers].parent = parent;
		handlers[nr_handlers++].child = child;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "__register_atfork");
	return next(prepare, parent, child, dso);
}

static pid_t by_clone_with_handlers(void)
{
	pid_t pid;

	for (int i = nr_handlers - 1; i >= 0; i--)
		if (handlers[i].prepare)
			handlers[i].prepare();
	pid = by_clone();
	for (int i = 0; i < nr_handlers; i++) {
		handler *after = pid == 0 ? handlers[i].child : handlers[i].parent;

		if (after)
			after();
	}
	return pid;
}

static const struct {
	const char *name;
	pid_t (*make)(void);
} ways[] = {
	{"fork", fork},
	{"clone", by_clone},
	{"namespaces", by_clone_in_namespaces},
	{"elsewhere", by_clone_elsewhere},
	{"handlers", by_clone_with_handlers},
	{"number", by_number},
	{"clone3", by_clone3},
	{"SYS_fork", by_fork_number},
};

static pid_t (*make_child)(void) = fork;

static void choose_way(const char *name)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i].name, name) == 0) {
			make_child = ways[i].make;
			return;
		}
	fprintf(stderr, "forks: no way %s\n", name);
	exit(2);
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
	pid = make_child();
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

	if (argc > 4)
		choose_way(argv[4]);
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
