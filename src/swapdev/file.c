/* SPDX-License-Identifier: MIT */
/*
 * A swap device in a file or on a block device.
 *
 * I/Os of neighbouring slots become one transfer (transfer.c), and an engine runs the
 * transfers: io_uring, or one I/O thread where the kernel or the machine's owner forbids that.
 * Ended transfers wait in a list that poll() hands out page by page; an eventfd is readable
 * while there may be something in it.
 *
 * Where the file system takes it the file is read and written with O_DIRECT, past the host's
 * page cache: what is swapped out shall not fill memory a second time. Whether it takes it is
 * found out by reading the header page so.
 *
 * Everything but create, reopen and close runs in threads that share the program's thread-local
 * storage: system calls are made through base/syscall.h and by those functions of liburing that
 * neither touch errno nor allocate (all that are called here: on x86-64 they are made of plain
 * system calls). All of them run in one file table, the creator's.
 *
 * Invariants:
 *  1. Each op is FREE, RUNNING or ENDED (engine.h); their number is FILE_OPS_MAX.
 *  2. While ended is not empty, or an op is RUNNING, the eventfd is readable or will be.
 *  3. Nothing is written to slot 0, to a bad slot, or past nr_slots.
 */
#include "swapdev/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/assert.h"
#include "base/list.h"
#include "swapdev/common.h"
#include "swapdev/engine.h"

static struct file_dev *file_of(struct swapdev *dev)
{
	return container_of(dev, struct file_dev, dev);
}

/**
 * file_signal() - make the eventfd readable.
 * @file: the device.
 */
void file_signal(const struct file_dev *file)
{
	uint64_t one = 1;

	sys_call3(SYS_write, file->event_fd, (long)&one, sizeof(one));
}

static void file_unsignal(const struct file_dev *file)
{
	uint64_t count;

	sys_call3(SYS_read, file->event_fd, (long)&count, sizeof(count));
}

/**
 * file_op_ended_locked() - RUNNING -> ENDED.
 * @file: the device.
 * @op: its transfer has ended.
 *
 * Context: file->lock held; the caller signals after it.
 */
void file_op_ended_locked(struct file_dev *file, struct file_op *op)
{
	op->nr_given = 0;
	file->nr_running--;
	op_list_add(&file->ended, op);
}

/**
 * file_op_ended() - RUNNING -> ENDED, and whoever waits on the eventfd wakes.
 * @file: the device.
 * @op: its transfer has ended.
 *
 * Context: takes file->lock.
 */
void file_op_ended(struct file_dev *file, struct file_op *op)
{
	mm_lock_acquire(&file->lock);
	file_op_ended_locked(file, op);
	mm_lock_release(&file->lock);
	file_signal(file);
}

static struct file_op *op_get(struct file_dev *file)
{
	struct file_op *op = file->free;

	if (op)
		file->free = op->next;
	else if (file->nr_touched < FILE_OPS_MAX)
		op = &file->ops[file->nr_touched++];
	else
		return NULL;
	file->nr_running++;
	return op;
}

/* How many slots in a row from ios[0] on may be moved, up to the first that is refused. */
static unsigned int run_length(const struct swapdev *dev, const struct swapdev_io *ios,
			       unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr && i < TRANSFER_PAGES_MAX && ios[i].slot == ios[0].slot + i &&
	       swapdev_io_refusal(dev, &ios[i]) == 0)
		i++;
	return i;
}

/* Return: how many of ios[0..nr) op takes; one that is refused stands alone, with its error. */
static unsigned int op_fill(struct file_dev *file, struct file_op *op,
			    const struct swapdev_io *ios, unsigned int nr)
{
	unsigned int run = run_length(&file->dev, ios, nr);

	if (run > 0)
		return transfer_init(&op->t, ios, run);
	transfer_init(&op->t, ios, 1);
	op->t.err[0] = swapdev_io_refusal(&file->dev, ios);
	return 1;
}

static unsigned int file_submit(struct swapdev *dev, const struct swapdev_io *ios,
				unsigned int nr)
{
	struct file_dev *file = file_of(dev);
	bool has_refused = false;
	unsigned int taken = 0;
	struct op_list ops;
	struct file_op *op;

	op_list_init(&ops);
	mm_lock_acquire(&file->lock);
	while (taken < nr && (op = op_get(file))) {
		taken += op_fill(file, op, ios + taken, nr - taken);
		if (op->t.err[0] == 0) {
			op_list_add(&ops, op);
			continue;
		}
		file_op_ended_locked(file, op);
		has_refused = true;
	}
	mm_lock_release(&file->lock);
	if (has_refused)
		file_signal(file);
	if (ops.first)
		file->engine->submit(file, &ops);
	return taken;
}

/* Hands out ended pages and frees the ops that are through. */
static unsigned int give_out(struct file_dev *file, struct swapdev_io *ret_done,
			     unsigned int max)
{
	unsigned int nr = 0;

	while (nr < max && file->ended.first) {
		struct file_op *op = file->ended.first;

		transfer_result(&op->t, op->nr_given++, &ret_done[nr++]);
		if (op->nr_given < op->t.nr)
			continue;
		op_list_take(&file->ended);
		op->next = file->free;
		file->free = op;
	}
	return nr;
}

static unsigned int file_poll(struct swapdev *dev, struct swapdev_io *ret_done,
			      unsigned int max)
{
	struct file_dev *file = file_of(dev);
	unsigned int nr;
	bool has_more;

	/* First: what ends after this signals anew. */
	file_unsignal(file);
	if (file->engine->reap)
		file->engine->reap(file);
	mm_lock_acquire(&file->lock);
	nr = give_out(file, ret_done, max);
	has_more = file->ended.first != NULL;
	mm_lock_release(&file->lock);
	if (has_more)
		file_signal(file);
	return nr;
}

static bool file_cluster_get(struct swapdev *dev, uint64_t cluster)
{
	return swap_share_get(file_of(dev)->share, cluster, file_of(dev)->owner);
}

static void file_cluster_put(struct swapdev *dev, uint64_t cluster)
{
	swap_share_put(file_of(dev)->share, cluster, file_of(dev)->owner);
}

static bool file_cluster_is_exclusive(struct swapdev *dev, uint64_t cluster)
{
	return swap_share_is_exclusive(file_of(dev)->share, cluster, file_of(dev)->owner);
}

static void file_close(struct swapdev *dev)
{
	struct file_dev *file = file_of(dev);

	file->engine->stop(file);
	sys_call2(SYS_close, file->event_fd, 0);
	sys_call2(SYS_close, file->fd, 0);
	state_unmap(file, sizeof(*file));
}

static const struct swapdev_ops file_ops = {
	.name = "file",
	.submit = file_submit,
	.poll = file_poll,
	.close = file_close,
};

static const struct swapdev_ops file_shared_ops = {
	.name = "file",
	.submit = file_submit,
	.poll = file_poll,
	.cluster_get = file_cluster_get,
	.cluster_put = file_cluster_put,
	.cluster_is_exclusive = file_cluster_is_exclusive,
	.close = file_close,
};

static int set_direct(int fd, bool direct)
{
	long flags = sys_call3(SYS_fcntl, fd, F_GETFL, 0);

	if (flags < 0)
		return (int)flags;
	flags = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
	return (int)sys_call3(SYS_fcntl, fd, F_SETFL, flags);
}

/* The header page is read so; a device whose blocks are larger than pages says -EINVAL. */
static bool try_direct(int fd)
{
	_Alignas(PAGE_SIZE) uint8_t page[PAGE_SIZE];

	if (set_direct(fd, true) < 0)
		return false;
	if (sys_call4(SYS_pread64, fd, (long)page, sizeof(page), 0) == (long)sizeof(page))
		return true;
	set_direct(fd, false);
	return false;
}

static int check_header(struct file_dev *file, uint64_t nr_slots)
{
	enum swap_header_state state;
	int err = set_direct(file->fd, false);

	if (err)
		return err;
	err = swap_header_read(file->fd, &state, &file->header);
	if (err)
		return err;
	if (state != SWAP_HEADER_OK || nr_slots < 2 || nr_slots > file->header.nr_slots)
		return -EINVAL;
	return 0;
}

static int start_engine(struct file_dev *file)
{
	int err = -ENOSYS;

	file->engine = &file_engine_uring;
	if (!file->no_uring)
		err = file->engine->start(file);
	if (err && file->spawn) {
		file->engine = &file_engine_thread;
		err = file->engine->start(file);
	}
	return err;
}

/* What is bound to a process: descriptors, threads, lock words. */
static int attach(struct file_dev *file, int fd, bool no_direct)
{
	long event_fd;
	int err;

	mm_lock_init(&file->lock, LOCK_RANK_SWAPDEV);
	mm_lock_init(&file->submit_lock, LOCK_RANK_SWAPDEV);
	file->fd = fd;
	err = check_header(file, file->dev.nr_slots);
	if (err)
		return err;
	file->is_direct = !no_direct && try_direct(fd);
	event_fd = sys_call2(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event_fd < 0)
		return (int)event_fd;
	file->event_fd = (int)event_fd;
	err = start_engine(file);
	if (err)
		sys_call2(SYS_close, event_fd, 0);
	return err;
}

/**
 * swapdev_file_create() - a swap device over an open swap file or block device.
 * @cfg: see file.h. The header is read again, for its bad slots; the descriptor's O_DIRECT is
 *	switched as the device likes it.
 * @ret_dev: the device; @cfg->fd is its own from now on, on failure it stays the caller's.
 *
 * Return: 0, -EINVAL (no swap header, or nr_slots is beyond it), -ENOMEM, -ENOSYS (no io_uring
 * and no spawn), and what open descriptors, io_uring_setup(2) or spawn answer.
 * Context: waits for the disk once. All later calls are made in the same file table.
 */
int swapdev_file_create(const struct swapdev_file_config *cfg, struct swapdev **ret_dev)
{
	struct file_dev *file;
	void *mapped;
	int err = state_map(sizeof(*file), &mapped);

	if (err)
		return err;
	file = mapped;
	file->dev = (struct swapdev){.ops = cfg->share ? &file_shared_ops : &file_ops,
				     .nr_slots = cfg->nr_slots,
				     .name = cfg->name};
	file->share = cfg->share;
	file->owner = cfg->owner;
	file->no_uring = cfg->no_uring;
	file->spawn = cfg->spawn;
	op_list_init(&file->ended);
	err = attach(file, cfg->fd, cfg->no_direct);
	if (err) {
		state_unmap(file, sizeof(*file));
		return err;
	}
	file->dev.bad_slots = file->header.bad;
	file->dev.nr_bad_slots = file->header.nr_bad;
	*ret_dev = &file->dev;
	return 0;
}

/**
 * swapdev_file_event_fd() - what to wait on.
 * @dev: from swapdev_file_create().
 *
 * Return: a descriptor, readable while poll() has something or may have.
 */
int swapdev_file_event_fd(struct swapdev *dev)
{
	return file_of(dev)->event_fd;
}

/**
 * swapdev_file_reopen() - make the device work in the child of a fork.
 * @dev: the parent's, copied by the fork while no I/O ran; ended I/Os that were not polled
 *	yet are kept.
 * @fd: the area, opened anew in the child; on failure it stays the caller's.
 * @owner: the child's number in the share.
 *
 * The parent's descriptors are forgotten, not closed: their numbers may be another's here.
 *
 * Return: 0; -EBUSY if I/O was running: the device cannot be used; else as
 * swapdev_file_create().
 * Context: the child, before any other call on @dev.
 */
int swapdev_file_reopen(struct swapdev *dev, int fd, unsigned int owner)
{
	struct file_dev *file = file_of(dev);
	int err;

	if (file->nr_running != 0)
		return -EBUSY;
	memset(&file->ring, 0, sizeof(file->ring));
	err = attach(file, fd, !file->is_direct);
	if (err)
		return err;
	file->owner = owner;
	if (file->ended.first)
		file_signal(file);
	return 0;
}

/**
 * swapdev_file_engine() - who does the I/O, for a log line and for tests.
 * @dev: from swapdev_file_create().
 *
 * Return: "io_uring" or "thread".
 */
const char *swapdev_file_engine(struct swapdev *dev)
{
	return file_of(dev)->engine->name;
}

/**
 * swapdev_file_is_direct() - does the I/O go past the host's page cache?
 * @dev: from swapdev_file_create().
 *
 * Return: true if it does.
 */
bool swapdev_file_is_direct(struct swapdev *dev)
{
	return file_of(dev)->is_direct;
}
