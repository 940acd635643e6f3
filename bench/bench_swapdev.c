/* SPDX-License-Identifier: MIT */
/*
 * What a page costs on swapdev/file, by io_uring and by the I/O thread, on the file system that
 * TMPDIR (or /tmp) lies on: read one by one at random, as a major fault does it, and written in
 * batches as reclaim does it, in a row and scattered. Each operation is one page; waiting is
 * part of it. The "null" lines are what the interface itself costs.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "swapdev/file.h"
#include "swapdev/mem.h"

#define AREA_BYTES (128ull << 20)
#define BATCH	   32

struct area {
	struct swapdev *dev;
	int event_fd; /* -1: none */
	void *pages;  /* BATCH of them */
	uint64_t random, slot;
};

static _Noreturn void die(const char *why)
{
	fprintf(stderr, "bench_swapdev: %s\n", why);
	exit(1);
}

struct thread_start {
	void (*fn)(void *);
	void *arg;
};

static void *thread_main(void *arg)
{
	struct thread_start start = *(struct thread_start *)arg;

	free(arg);
	start.fn(start.arg);
	return NULL;
}

static int spawn(void (*fn)(void *), void *arg)
{
	struct thread_start *start = malloc(sizeof(*start));
	pthread_t thread;

	if (!start)
		die("no memory");
	*start = (struct thread_start){.fn = fn, .arg = arg};
	if (pthread_create(&thread, NULL, thread_main, start) != 0)
		die("no thread");
	return pthread_detach(thread);
}

static uint64_t next_random(struct area *area)
{
	area->random = area->random * 6364136223846793005u + 1442695040888963407u;
	return (area->random >> 33) % (area->dev->nr_slots - 1) + 1;
}

static uint64_t next_slot(struct area *area)
{
	area->slot = area->slot + 1 < area->dev->nr_slots ? area->slot + 1 : 1;
	return area->slot;
}

static void wait_for(struct area *area, unsigned int nr)
{
	struct swapdev_io done[BATCH];
	struct pollfd fd = {.fd = area->event_fd, .events = POLLIN};

	while (nr > 0) {
		unsigned int n = area->dev->ops->poll(area->dev, done, nr);

		for (unsigned int i = 0; i < n; i++)
			if (done[i].err)
				die(strerror(-done[i].err));
		nr -= n;
		if (nr > 0 && n == 0 && area->event_fd >= 0)
			poll(&fd, 1, -1);
	}
}

static void move(struct area *area, uint64_t (*choose)(struct area *), unsigned int nr,
		 bool is_write)
{
	struct swapdev_io ios[BATCH];

	for (unsigned int i = 0; i < nr; i++)
		ios[i] = (struct swapdev_io){.slot = choose(area),
					     .page = (char *)area->pages + i * PAGE_SIZE,
					     .is_write = is_write};
	if (area->dev->ops->submit(area->dev, ios, nr) != nr)
		die("the queue is full");
	wait_for(area, nr);
}

static void read_random(void *arg, uint64_t nr_ops)
{
	while (nr_ops-- > 0)
		move(arg, next_random, 1, false);
}

static void write_sequential(void *arg, uint64_t nr_ops)
{
	for (; nr_ops > 0; nr_ops -= nr_ops < BATCH ? nr_ops : BATCH)
		move(arg, next_slot, nr_ops < BATCH ? (unsigned int)nr_ops : BATCH, true);
}

static void write_random(void *arg, uint64_t nr_ops)
{
	for (; nr_ops > 0; nr_ops -= nr_ops < BATCH ? nr_ops : BATCH)
		move(arg, next_random, nr_ops < BATCH ? (unsigned int)nr_ops : BATCH, true);
}

static void area_init(struct area *area, struct swapdev *dev, int event_fd)
{
	area->dev = dev;
	area->event_fd = event_fd;
	area->random = 1;
	area->slot = 0;
	area->pages = mmap(NULL, BATCH * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area->pages == MAP_FAILED)
		die("no memory");
	memset(area->pages, 0x5a, BATCH * PAGE_SIZE);
}

/* Written once from end to end: a hole is read and filled otherwise than a block. */
static void open_area(struct area *area, bool no_uring)
{
	const char *dir = getenv("TMPDIR");
	char path[PATH_MAX], again[64], why[2 * PATH_MAX];
	struct swap_file_request req = {.path = path, .size_bytes = AREA_BYTES};
	struct swapdev_file_config cfg = {
		.no_uring = no_uring, .spawn = spawn, .name = "bench"};
	struct swap_file file;
	struct swapdev *dev;

	snprintf(path, sizeof(path), "%s/ration-bench-%d", dir && *dir ? dir : "/tmp",
		 getpid());
	if (swap_file_open(&req, &file, why, sizeof(why)) != 0)
		die(why);
	snprintf(again, sizeof(again), "/proc/self/fd/%d", file.fd);
	cfg.fd = open(again, O_RDWR | O_CLOEXEC);
	cfg.nr_slots = file.nr_slots;
	swap_file_close(&file); /* removes it; the new descriptor keeps it */
	if (cfg.fd < 0 || swapdev_file_create(&cfg, &dev) != 0)
		die("no device over the swap file");
	if (!no_uring && strcmp(swapdev_file_engine(dev), "io_uring") != 0)
		fprintf(stderr,
			"bench_swapdev: no io_uring here; its lines are the thread's\n");
	area_init(area, dev, swapdev_file_event_fd(dev));
	write_sequential(area, dev->nr_slots - 1);
}

int main(int argc, char **argv)
{
	struct area uring, thread, null;
	const struct bench benches[] = {
		{"swapdev_uring_read_random_1", read_random, &uring},
		{"swapdev_uring_write_sequential_32", write_sequential, &uring},
		{"swapdev_uring_write_random_32", write_random, &uring},
		{"swapdev_thread_read_random_1", read_random, &thread},
		{"swapdev_thread_write_sequential_32", write_sequential, &thread},
		{"swapdev_thread_write_random_32", write_random, &thread},
		{"swapdev_null_read_random_1", read_random, &null},
		{"swapdev_null_write_random_32", write_random, &null},
	};
	struct swapdev *dev;
	int status;

	if (swapdev_null_create(AREA_BYTES / PAGE_SIZE, &dev) != 0)
		die("no memory");
	area_init(&null, dev, -1);
	open_area(&uring, false);
	open_area(&thread, true);
	status = bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
	uring.dev->ops->close(uring.dev);
	thread.dev->ops->close(thread.dev);
	null.dev->ops->close(null.dev);
	return status;
}
