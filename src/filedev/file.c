/* SPDX-License-Identifier: MIT */
/*
 * A file of the host's file system.
 *
 * What is submitted is queued, and one thread runs it in order: neighbouring whole pages in one
 * vectored transfer (swapdev/transfer.c, which continues short ones and finds out whose an
 * error is), the page at the file's end by itself, syncs with fdatasync(2), truncations with
 * ftruncate(2). An eventfd is readable while something may have ended.
 *
 * The order makes a sync right without more: writes that ended before it was submitted have
 * been handed to the kernel.
 *
 * Invariants:
 *  1. An op is FREE, QUEUED, RUNNING (in the thread's hands) or ENDED; their number is OPS_MAX.
 *  2. While ended is not empty, or an op is queued or running, the eventfd is readable or will
 *     be.
 */
#include "filedev/file.h"

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/lock.h"
#include "swapdev/common.h"
#include "swapdev/transfer.h"

#include <string.h>

#define OPS_MAX 512

struct op {
	struct list_head link;
	struct filedev_io io;
};

/* Locks: d lock, (c) set at create, t the I/O thread */
struct file_dev {
	struct filedev dev; /* (c) */
	struct mm_lock lock;
	int fd, event_fd;    /* (c) */
	bool has_thread;     /* (c) */
	bool is_stopping;    /* d */
	uint32_t turn;	     /* futex: changes when there is work, or the thread is to stop */
	uint32_t has_exited; /* futex: 1 when the thread has let go of this memory */
	struct list_head free, queued, ended;		    /* d */
	struct op *run[TRANSFER_PAGES_MAX];		    /* t */
	struct transfer transfer;			    /* t */
	struct swapdev_io transfer_ios[TRANSFER_PAGES_MAX]; /* t */
	struct op ops[OPS_MAX];
};

static struct file_dev *file_of(struct filedev *dev)
{
	return container_of(dev, struct file_dev, dev);
}

static void signal_event(const struct file_dev *file)
{
	uint64_t one = 1;

	sys_call3(SYS_write, file->event_fd, (long)&one, sizeof(one));
}

static bool is_whole_page(const struct filedev_io *io)
{
	return io->op == FILEDEV_READ || (io->op == FILEDEV_WRITE && io->bytes == PAGE_SIZE);
}

/* Does next continue a run of whole pages whose last is io? */
static bool continues(const struct filedev_io *io, const struct filedev_io *next)
{
	return is_whole_page(io) && is_whole_page(next) && next->op == io->op &&
	       next->offset == io->offset + PAGE_SIZE;
}

/* The next ops that can be done in one go. Context: lock held. */
static unsigned int take_run(struct file_dev *file)
{
	unsigned int nr = 0;

	while (nr < TRANSFER_PAGES_MAX && !list_is_empty(&file->queued)) {
		struct op *op = list_entry(file->queued.next, struct op, link);

		if (nr > 0 && !continues(&file->run[nr - 1]->io, &op->io))
			break;
		list_del(&op->link);
		file->run[nr++] = op;
	}
	return nr;
}

/* Return: bytes moved, less than asked only at the file's end; or -errno. */
static long move_bytes(const struct file_dev *file, const struct filedev_io *io, size_t bytes)
{
	long nr = io->op == FILEDEV_WRITE ? SYS_pwrite64 : SYS_pread64;
	size_t done = 0;

	while (done < bytes) { /* each turn moves a byte, is interrupted, or ends it */
		long n = sys_call4(nr, file->fd, (long)io->page + (long)done,
				   (long)(bytes - done), (long)(io->offset + done));

		if (n == -EINTR)
			continue;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (long)done;
}

static int read_tail(const struct file_dev *file, const struct filedev_io *io)
{
	long n = move_bytes(file, io, PAGE_SIZE);

	if (n < 0)
		return (int)n;
	memset((char *)io->page + n, 0, PAGE_SIZE - (size_t)n);
	return 0;
}

static int write_tail(const struct file_dev *file, const struct filedev_io *io)
{
	long n = move_bytes(file, io, io->bytes);

	if (n < 0)
		return (int)n;
	return n == (long)io->bytes ? 0 : -EIO;
}

static int run_single(const struct file_dev *file, const struct filedev_io *io)
{
	switch (io->op) {
	case FILEDEV_READ:
		return read_tail(file, io);
	case FILEDEV_WRITE:
		return write_tail(file, io);
	case FILEDEV_SYNC:
		return (int)sys_call2(SYS_fdatasync, file->fd, 0);
	default:
		return (int)sys_call2(SYS_ftruncate, file->fd, (long)io->offset);
	}
}

/* How many pages of the run the file has whole, so that a transfer does not meet its end. */
static unsigned int nr_whole(const struct file_dev *file, unsigned int nr)
{
	const struct filedev_io *first = &file->run[0]->io;
	struct stat st;

	if (!is_whole_page(first))
		return 0;
	if (first->op == FILEDEV_WRITE)
		return nr;
	if (sys_call2(SYS_fstat, file->fd, (long)&st) < 0 ||
	    (uint64_t)st.st_size <= first->offset)
		return 0;
	if (((uint64_t)st.st_size - first->offset) >> PAGE_SHIFT < nr)
		return (unsigned int)(((uint64_t)st.st_size - first->offset) >> PAGE_SHIFT);
	return nr;
}

static void run_transfer(struct file_dev *file, unsigned int nr)
{
	struct swapdev_io *ios = file->transfer_ios;

	for (unsigned int i = 0; i < nr; i++)
		ios[i] = (struct swapdev_io){
			.slot = file->run[i]->io.offset >> PAGE_SHIFT,
			.page = file->run[i]->io.page,
			.is_write = file->run[i]->io.op == FILEDEV_WRITE,
		};
	transfer_init(&file->transfer, ios, nr);
	transfer_run(&file->transfer, file->fd);
	for (unsigned int i = 0; i < nr; i++)
		file->run[i]->io.err = file->transfer.err[i];
}

/* Runs what take_run() has taken, and ends it. Context: lock not held; waits for the disk. */
static void run_all(struct file_dev *file, unsigned int nr)
{
	unsigned int whole = nr_whole(file, nr);

	if (whole > 0)
		run_transfer(file, whole);
	for (unsigned int i = whole; i < nr; i++)
		file->run[i]->io.err = run_single(file, &file->run[i]->io);
	mm_lock_acquire(&file->lock);
	for (unsigned int i = 0; i < nr; i++)
		list_add_tail(&file->run[i]->link, &file->ended);
	mm_lock_release(&file->lock);
	signal_event(file);
}

static unsigned int next_run(struct file_dev *file, bool *ret_is_stopping)
{
	unsigned int nr;

	mm_lock_acquire(&file->lock);
	nr = take_run(file);
	*ret_is_stopping = file->is_stopping;
	mm_lock_release(&file->lock);
	return nr;
}

static void io_thread(void *arg)
{
	struct file_dev *file = arg;
	bool is_stopping = false;

	while (!is_stopping) {
		uint32_t turn = __atomic_load_n(&file->turn, __ATOMIC_ACQUIRE);
		unsigned int nr = next_run(file, &is_stopping);

		if (nr > 0) {
			is_stopping = false;
			run_all(file, nr);
		} else if (!is_stopping) {
			sys_call4(SYS_futex, (long)&file->turn, FUTEX_WAIT_PRIVATE, turn, 0);
		}
	}
	/* Whoever sees the 1 unmaps; a wake at an address that is gone does nothing. */
	__atomic_store_n(&file->has_exited, 1, __ATOMIC_RELEASE);
	sys_call4(SYS_futex, (long)&file->has_exited, FUTEX_WAKE_PRIVATE, 1, 0);
}

static void next_turn(struct file_dev *file)
{
	__atomic_fetch_add(&file->turn, 1, __ATOMIC_RELEASE);
	sys_call4(SYS_futex, (long)&file->turn, FUTEX_WAKE_PRIVATE, 1, 0);
}

static unsigned int file_submit(struct filedev *dev, const struct filedev_io *ios,
				unsigned int nr)
{
	struct file_dev *file = file_of(dev);
	unsigned int taken = 0;
	bool is_stopping;

	mm_lock_acquire(&file->lock);
	for (; taken < nr && !list_is_empty(&file->free); taken++) {
		struct op *op = list_entry(file->free.next, struct op, link);

		op->io = ios[taken];
		list_del(&op->link);
		list_add_tail(&op->link, &file->queued);
	}
	mm_lock_release(&file->lock);
	if (file->has_thread) {
		next_turn(file);
		return taken;
	}
	while ((nr = next_run(file, &is_stopping)) > 0)
		run_all(file, nr);
	return taken;
}

static unsigned int file_poll(struct filedev *dev, struct filedev_io *ret_done,
			      unsigned int max)
{
	struct file_dev *file = file_of(dev);
	unsigned int nr = 0;
	uint64_t count;

	/* First: what ends after this signals anew. */
	sys_call3(SYS_read, file->event_fd, (long)&count, sizeof(count));
	mm_lock_acquire(&file->lock);
	while (nr < max && !list_is_empty(&file->ended)) {
		struct op *op = list_entry(file->ended.next, struct op, link);

		ret_done[nr++] = op->io;
		list_del(&op->link);
		list_add(&op->link, &file->free);
	}
	if (!list_is_empty(&file->ended))
		signal_event(file);
	mm_lock_release(&file->lock);
	return nr;
}

static void file_close(struct filedev *dev)
{
	struct file_dev *file = file_of(dev);

	mm_lock_acquire(&file->lock);
	file->is_stopping = true;
	mm_lock_release(&file->lock);
	if (file->has_thread)
		next_turn(file);
	while (file->has_thread && __atomic_load_n(&file->has_exited, __ATOMIC_ACQUIRE) == 0)
		sys_call4(SYS_futex, (long)&file->has_exited, FUTEX_WAIT_PRIVATE, 0, 0);
	sys_call2(SYS_close, file->event_fd, 0);
	sys_call2(SYS_close, file->fd, 0);
	state_unmap(file, sizeof(*file));
}

static const struct filedev_ops file_ops = {
	.name = "file",
	.submit = file_submit,
	.poll = file_poll,
	.close = file_close,
};

static void init_state(struct file_dev *file, const struct filedev_file_config *cfg,
		       uint64_t nr_bytes)
{
	file->dev = (struct filedev){.ops = &file_ops, .nr_bytes = nr_bytes, .name = cfg->name};
	file->fd = cfg->fd;
	file->has_thread = cfg->spawn != NULL;
	mm_lock_init(&file->lock, LOCK_RANK_SWAPDEV);
	list_init(&file->free);
	list_init(&file->queued);
	list_init(&file->ended);
	for (int i = 0; i < OPS_MAX; i++)
		list_add_tail(&file->ops[i].link, &file->free);
}

/**
 * filedev_file_create() - a device over an open file.
 * @cfg: see file.h.
 * @ret_dev: the device; @cfg->fd is its own from now on, on failure it stays the caller's.
 *
 * Return: 0, -EINVAL (no regular file), -ENOMEM, and what fstat(2), eventfd(2) or spawn answer.
 */
int filedev_file_create(const struct filedev_file_config *cfg, struct filedev **ret_dev)
{
	struct file_dev *file;
	struct stat st;
	void *mapped;
	int err = (int)sys_call2(SYS_fstat, cfg->fd, (long)&st);

	if (err)
		return err;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	err = state_map(sizeof(*file), &mapped);
	if (err)
		return err;
	file = mapped;
	init_state(file, cfg, (uint64_t)st.st_size);
	file->event_fd = (int)sys_call2(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = file->event_fd < 0 ? file->event_fd : 0;
	if (err)
		goto unmap;
	if (cfg->spawn)
		err = cfg->spawn(io_thread, file);
	if (err)
		goto close_event;
	*ret_dev = &file->dev;
	return 0;
close_event:
	sys_call2(SYS_close, file->event_fd, 0);
unmap:
	state_unmap(file, sizeof(*file));
	return err;
}

/**
 * filedev_file_event_fd() - what to wait on.
 * @dev: from filedev_file_create().
 *
 * Return: a descriptor, readable while poll() has something or may have.
 */
int filedev_file_event_fd(struct filedev *dev)
{
	return file_of(dev)->event_fd;
}
