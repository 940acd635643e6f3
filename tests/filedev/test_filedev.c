/* SPDX-License-Identifier: MIT */
/*
 * Every file device against the bytes of a file: pages are written, read, the file is cut and
 * grown, in batches whose I/Os end in any order.
 */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filedev/file.h"
#include "filedev/slots.h"
#include "support/rng.h"
#include "support/spawn.h"
#include "swapdev/faulty.h"
#include "swapdev/mem.h"
#include "swapdev/model.h"

#define PAGES_MAX 100
#define BATCH_MAX 48
#define WAIT_MS	  20000

struct kind {
	const char *name;
	struct filedev *(*open)(const struct kind *kind);
	enum swapdev_mem_mode mode;
	bool has_thread;
};

struct bench {
	const struct kind *kind;
	struct filedev *dev;
	struct rng rng;
	uint8_t *file; /* what the file's bytes are: PAGES_MAX pages, zero from size on */
	uint64_t size;
	uint8_t *pages; /* BATCH_MAX buffers */
};

static struct swapdev *open_store(enum swapdev_mem_mode mode)
{
	struct swapdev_mem_config cfg = {
		.nr_slots = PAGES_MAX + 1, .mode = mode, .seed = test_seed()};
	struct swapdev *store;

	assert_int_equal(swapdev_mem_create(&cfg, &store), 0);
	return store;
}

static struct filedev *over(struct swapdev *store)
{
	struct filedev_slots_config cfg = {.store = store, .name = "RAM"};
	struct filedev *dev;

	assert_int_equal(filedev_slots_create(&cfg, &dev), 0);
	return dev;
}

static struct filedev *open_mem(const struct kind *kind)
{
	return over(open_store(kind->mode));
}

static struct filedev *open_late(const struct kind *kind)
{
	static const struct swapdev_fault_rule delays[] = {
		{.fault = SWAPDEV_FAULT_DELAY, .delay_polls = 3, .per_mille = 300},
		{.fault = SWAPDEV_FAULT_DELAY,
		 .is_write = true,
		 .delay_polls = 5,
		 .nth = 2,
		 .every = 4},
	};
	struct swapdev_faulty_config cfg = {.inner = open_store(kind->mode),
					    .rules = delays,
					    .nr_rules = 2,
					    .seed = test_seed()};
	struct swapdev *store;

	assert_int_equal(swapdev_faulty_create(&cfg, &store), 0);
	return over(store);
}

static int open_scratch(void)
{
	char path[] = "/tmp/ration-filedev-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static struct filedev *open_file(const struct kind *kind)
{
	struct filedev_file_config cfg = {.fd = open_scratch(),
					  .name = "scratch",
					  .spawn = kind->has_thread ? spawn_thread : NULL};
	struct filedev *dev;

	assert_int_equal(filedev_file_create(&cfg, &dev), 0);
	return dev;
}

static const struct kind kinds[] = {
	{.name = "mem", .open = open_mem},
	{.name = "mem, by chance", .open = open_mem, .mode = SWAPDEV_MEM_RANDOM},
	{.name = "late", .open = open_late, .mode = SWAPDEV_MEM_RANDOM},
	{.name = "file, thread", .open = open_file, .has_thread = true},
	{.name = "file", .open = open_file},
};

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void bench_open(struct bench *b, const struct kind *kind)
{
	b->kind = kind;
	b->rng = rng_make(test_seed());
	b->dev = kind->open(kind);
	b->file = calloc(PAGES_MAX, PAGE_SIZE);
	b->pages = aligned_alloc(PAGE_SIZE, BATCH_MAX * PAGE_SIZE);
	b->size = 0;
	print_message("%s\n", kind->name);
}

static void bench_close(struct bench *b)
{
	b->dev->ops->close(b->dev);
	free(b->file);
	free(b->pages);
}

static void wait_a_little(struct bench *b)
{
	struct pollfd pfd = {.events = POLLIN};

	if (!b->kind->has_thread)
		return;
	pfd.fd = filedev_file_event_fd(b->dev);
	assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
}

static void run(struct bench *b, struct filedev_io *ios, unsigned int nr)
{
	struct filedev_io done[7]; /* fewer than a batch, on purpose */
	unsigned int nr_done = 0;

	for (unsigned int i = 0; i < nr; i++)
		ios[i].cookie = i;
	assert_int_equal(b->dev->ops->submit(b->dev, ios, nr), nr);
	for (int polls = 0; nr_done < nr; polls++) {
		unsigned int n;

		assert_true(polls < 100000);
		n = b->dev->ops->poll(b->dev, done, 7);
		for (unsigned int i = 0; i < n; i++)
			ios[done[i].cookie].err = done[i].err;
		nr_done += n;
		if (n == 0)
			wait_a_little(b);
	}
}

static uint8_t *page_at(struct bench *b, unsigned int i)
{
	return b->pages + i * PAGE_SIZE;
}

/* A batch of neighbours or of pages here and there; none twice. */
static unsigned int draw_pages(struct bench *b, struct filedev_io *ios, enum filedev_op op)
{
	unsigned int nr = 1 + (unsigned int)rng_below(&b->rng, BATCH_MAX);
	unsigned int stride = 1 + (unsigned int)rng_below(&b->rng, 2);
	uint64_t first = rng_below(&b->rng, PAGES_MAX - nr * stride + 1);

	for (unsigned int i = 0; i < nr; i++)
		ios[i] = (struct filedev_io){.op = op,
					     .bytes = PAGE_SIZE,
					     .offset = (first + i * stride) * PAGE_SIZE,
					     .page = page_at(b, i)};
	return nr;
}

static void do_write(struct bench *b)
{
	struct filedev_io ios[BATCH_MAX];
	unsigned int nr = draw_pages(b, ios, FILEDEV_WRITE);
	struct filedev_io *last = &ios[nr - 1];

	if (last->offset + PAGE_SIZE > b->size)
		last->bytes = 1 + (uint32_t)rng_below(&b->rng, PAGE_SIZE);
	if (last->offset + last->bytes < b->size)
		last->bytes = PAGE_SIZE;
	for (unsigned int i = 0; i < nr; i++) {
		for (unsigned int j = 0; j < PAGE_SIZE; j += 8)
			*(uint64_t *)(void *)(page_at(b, i) + j) = rng_next(&b->rng);
		memcpy(b->file + ios[i].offset, page_at(b, i), ios[i].bytes);
	}
	if (last->offset + last->bytes > b->size)
		b->size = last->offset + last->bytes;
	run(b, ios, nr);
	for (unsigned int i = 0; i < nr; i++)
		assert_int_equal(ios[i].err, 0);
}

static void do_read(struct bench *b)
{
	struct filedev_io ios[BATCH_MAX];
	unsigned int nr = draw_pages(b, ios, FILEDEV_READ);

	memset(b->pages, 0xee, BATCH_MAX * PAGE_SIZE);
	run(b, ios, nr);
	for (unsigned int i = 0; i < nr; i++) {
		assert_int_equal(ios[i].err, 0);
		assert_memory_equal(page_at(b, i), b->file + ios[i].offset, PAGE_SIZE);
	}
}

static void do_truncate(struct bench *b)
{
	struct filedev_io io = {.op = FILEDEV_TRUNCATE};

	io.offset = rng_chance(&b->rng, 20) ? PAGES_MAX * PAGE_SIZE
					    : rng_below(&b->rng, PAGES_MAX * PAGE_SIZE);
	run(b, &io, 1);
	assert_int_equal(io.err, 0);
	if (io.offset < b->size)
		memset(b->file + io.offset, 0, b->size - io.offset);
	b->size = io.offset;
}

static void do_sync(struct bench *b)
{
	struct filedev_io io = {.op = FILEDEV_SYNC};

	run(b, &io, 1);
	assert_int_equal(io.err, 0);
}

static void keeps_every_byte(void **state)
{
	(void)state;
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		struct bench b;

		bench_open(&b, &kinds[k]);
		for (unsigned int step = 0; step < 400; step++) {
			uint64_t op = rng_below(&b.rng, 20);

			if (op < 9)
				do_write(&b);
			else if (op < 17)
				do_read(&b);
			else if (op < 19)
				do_truncate(&b);
			else
				do_sync(&b);
		}
		bench_close(&b);
	}
}

/* What is there when the device is opened is read, and what is written is in the file. */
static void is_the_host_s_file(void **state)
{
	struct filedev_file_config cfg = {.fd = open_scratch(), .name = "scratch"};
	struct filedev_io io = {.op = FILEDEV_READ, .offset = PAGE_SIZE};
	int fd = dup(cfg.fd);
	uint8_t byte = 0;
	struct bench b = {.kind = &kinds[4]};
	struct stat st;

	(void)state;
	assert_int_equal(pwrite(fd, "tail", 4, PAGE_SIZE), 4);
	assert_int_equal(filedev_file_create(&cfg, &b.dev), 0);
	assert_int_equal(b.dev->nr_bytes, PAGE_SIZE + 4);
	b.pages = io.page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	memset(io.page, 0xee, PAGE_SIZE);
	run(&b, &io, 1);
	assert_memory_equal(io.page, "tail\0\0\0", 8);
	io = (struct filedev_io){
		.op = FILEDEV_WRITE, .offset = 5 * PAGE_SIZE, .bytes = 3, .page = b.pages};
	run(&b, &io, 1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 5 * PAGE_SIZE + 3);
	assert_int_equal(pread(fd, &byte, 1, 5 * PAGE_SIZE), 1);
	assert_int_equal(byte, 't');
	b.dev->ops->close(b.dev);
	free(b.pages);
	close(fd);
}

static void a_file_that_cannot_be_written_says_so(void **state)
{
	struct filedev_io io = {.op = FILEDEV_WRITE, .bytes = PAGE_SIZE};
	struct bench b = {.kind = &kinds[4]};
	struct filedev_file_config cfg = {.name = "self"};

	(void)state;
	cfg.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(filedev_file_create(&cfg, &b.dev), 0);
	b.pages = io.page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	run(&b, &io, 1);
	assert_int_equal(io.err, -EBADF);
	b.dev->ops->close(b.dev);
	free(b.pages);
	cfg.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(filedev_file_create(&cfg, &b.dev), -EINVAL);
	close(cfg.fd);
}

static void a_store_s_errors_are_the_file_s(void **state)
{
	static const struct swapdev_fault_rule rule = {
		.fault = SWAPDEV_FAULT_ERROR, .is_write = true, .err = -ENOSPC, .nth = 2};
	struct swapdev_faulty_config cfg = {
		.inner = open_store(SWAPDEV_MEM_SYNC), .rules = &rule, .nr_rules = 1};
	struct bench b = {.kind = &kinds[0]};
	struct filedev_io ios[3];
	struct swapdev *store;

	(void)state;
	assert_int_equal(swapdev_faulty_create(&cfg, &store), 0);
	b.dev = over(store);
	b.pages = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	for (unsigned int i = 0; i < 3; i++)
		ios[i] = (struct filedev_io){.op = FILEDEV_WRITE,
					     .bytes = PAGE_SIZE,
					     .offset = i * PAGE_SIZE,
					     .page = b.pages};
	run(&b, ios, 3);
	assert_int_equal(ios[0].err, 0);
	assert_int_equal(ios[1].err, -ENOSPC);
	assert_int_equal(ios[2].err, 0);
	assert_int_equal(filedev_slots_size(b.dev), 3 * PAGE_SIZE);
	ios[0].offset = PAGES_MAX * PAGE_SIZE;
	run(&b, ios, 1);
	assert_int_equal(ios[0].err, -EFBIG);
	filedev_slots_fail_sync(b.dev, 2, -EIO);
	for (unsigned int i = 0; i < 3; i++) {
		ios[0] = (struct filedev_io){.op = FILEDEV_SYNC};
		run(&b, ios, 1);
		assert_int_equal(ios[0].err, i == 1 ? -EIO : 0);
	}
	b.dev->ops->close(b.dev);
	free(b.pages);
}

/* A file on a disk in virtual time: it is read when its time has come. */
static void a_modelled_disk_takes_its_time(void **state)
{
	uint64_t now_ns = 1000, next_ns;
	struct swapdev_model_config cfg = {.nr_slots = PAGES_MAX + 1, .clock_ns = &now_ns};
	struct filedev_slots_config slots = {
		.nr_bytes = 4 * PAGE_SIZE, .has_content = true, .name = "model"};
	struct filedev_io io = {.op = FILEDEV_READ, .offset = PAGE_SIZE}, done;
	struct filedev *dev;

	(void)state;
	cfg.params = *swapdev_model_preset("ssd");
	assert_int_equal(swapdev_model_create(&cfg, &slots.store), 0);
	assert_int_equal(filedev_slots_create(&slots, &dev), 0);
	io.page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	assert_int_equal(dev->ops->submit(dev, &io, 1), 1);
	assert_int_equal(dev->ops->poll(dev, &done, 1), 0);
	next_ns = swapdev_model_next_ns(slots.store);
	assert_true(next_ns >= now_ns + cfg.params.read_latency_ns);
	now_ns = next_ns;
	assert_int_equal(dev->ops->poll(dev, &done, 1), 1);
	assert_int_equal(done.err, 0);
	dev->ops->close(dev);
	free(io.page);
}

/* What is submitted together reaches the store together, but for a page without content. */
static void neighbours_are_one_request(void **state)
{
	uint64_t now_ns = 0;
	struct swapdev_model_config cfg = {.nr_slots = PAGES_MAX + 1, .clock_ns = &now_ns};
	struct filedev_slots_config slots = {
		.nr_bytes = 5 * PAGE_SIZE, .has_content = true, .name = "model"};
	struct filedev_io ios[6], done[6];
	struct filedev *dev;
	void *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);

	(void)state;
	cfg.params = *swapdev_model_preset("ssd");
	assert_int_equal(swapdev_model_create(&cfg, &slots.store), 0);
	assert_int_equal(filedev_slots_create(&slots, &dev), 0);
	for (unsigned int i = 0; i < 6; i++)
		ios[i] = (struct filedev_io){
			.op = FILEDEV_READ, .offset = i * PAGE_SIZE, .page = page, .cookie = i};
	assert_int_equal(dev->ops->submit(dev, ios, 6), 6);
	assert_int_equal(dev->ops->poll(dev, done, 6), 1);
	assert_int_equal(done[0].cookie, 5);
	now_ns = swapdev_model_next_ns(slots.store);
	assert_int_equal(dev->ops->poll(dev, done, 6), 5);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(done[i].cookie, i);
	dev->ops->close(dev);
	free(page);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(keeps_every_byte),
	cmocka_unit_test(is_the_host_s_file),
	cmocka_unit_test(a_file_that_cannot_be_written_says_so),
	cmocka_unit_test(a_store_s_errors_are_the_file_s),
	cmocka_unit_test(a_modelled_disk_takes_its_time),
	cmocka_unit_test(neighbours_are_one_request),
};
TEST_MAIN(tests)
