/* SPDX-License-Identifier: MIT */
/*
 * The io_uring engine of swapdev/file.
 *
 * One submission queue entry a transfer, and as many entries as ops, so that neither queue ever
 * overflows. The submission side has a lock of its own, held over io_uring_enter(2): the kernel
 * lets one submitter in at a time anyway, and poll() does not wait for it.
 *
 * The ring is asked for and entered by calls of our own, not liburing's: a filter on system
 * calls, the runtime's or one that the program installs for all threads, knows ours by their
 * place.
 *
 * An enter that fails for the moment is repeated, at last by the next poll(). One that fails
 * for good (a seccomp filter of the program that came later) leaves its entries in the ring:
 * they are taken out again and run in the calling thread.
 */
#include <errno.h>
#include <sys/syscall.h>

#include "base/assert.h"
#include "base/syscall.h"
#include "swapdev/engine.h"

#define ENTER_TRIES_MAX 16

/* As io_uring_queue_init_params() does it. */
static int ring_make(struct file_dev *file)
{
	struct io_uring_params params = {0};
	int fd = (int)sys_call2(SYS_io_uring_setup, FILE_OPS_MAX, (long)&params);
	int err;

	if (fd < 0)
		return fd;
	err = io_uring_queue_mmap(fd, &params, &file->ring);
	if (err) {
		sys_call2(SYS_close, fd, 0);
		return err;
	}
	file->ring.features = params.features;
	for (unsigned int i = 0; i < params.sq_entries; i++)
		file->ring.sq.array[i] = i;
	return 0;
}

static int uring_start(struct file_dev *file)
{
	int err = ring_make(file);

	if (err)
		return err;
	err = io_uring_ring_dontfork(&file->ring);
	if (err == 0)
		err = (int)sys_call4(SYS_io_uring_register, file->ring.ring_fd,
				     IORING_REGISTER_EVENTFD, (long)&file->event_fd, 1);
	if (err)
		io_uring_queue_exit(&file->ring);
	return err;
}

static void queue_entry(struct file_dev *file, struct file_op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&file->ring);
	struct transfer_attempt a;

	MM_ASSERT(sqe != NULL);
	transfer_attempt(&op->t, &a);
	if (op->t.is_write)
		io_uring_prep_writev(sqe, file->fd, a.iov, a.nr_iov, a.offset);
	else
		io_uring_prep_readv(sqe, file->fd, a.iov, a.nr_iov, a.offset);
	io_uring_sqe_set_data(sqe, op);
	/* The way through the kernel orders nothing that C's memory model knows of. */
	__atomic_store_n(&op->is_queued, true, __ATOMIC_RELEASE);
}

/* The kernel has not seen them: it looks only during an enter, which submit_lock excludes. */
static void withdraw_entries(struct file_dev *file, struct op_list *ret_ops)
{
	struct io_uring_sq *sq = &file->ring.sq;
	unsigned int head = *sq->khead, mask = *sq->kring_mask;

	for (unsigned int i = head; i != sq->sqe_tail; i++)
		op_list_add(ret_ops, (struct file_op *)(uintptr_t)sq->sqes[i & mask].user_data);
	sq->sqe_head = sq->sqe_tail = head;
	*sq->ktail = head;
}

/* As io_uring_submit(). Return: entries that the kernel took, or -errno. */
static int submit_entries(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;

	sq->sqe_head = sq->sqe_tail;
	__atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
	return (int)sys_call6(SYS_io_uring_enter, ring->ring_fd, io_uring_sq_ready(ring), 0, 0,
			      0, 0);
}

static bool is_for_the_moment(int err)
{
	return err == -EINTR || err == -EAGAIN || err == -EBUSY || err == -ENOMEM;
}

/* Return: 0, or why entries are left in the ring. */
static int enter(struct file_dev *file)
{
	int n = 0;

	for (int i = 0; i < ENTER_TRIES_MAX && io_uring_sq_ready(&file->ring) > 0; i++) {
		n = submit_entries(&file->ring);
		if (n < 0 && !is_for_the_moment(n))
			break;
	}
	return io_uring_sq_ready(&file->ring) > 0 ? (n < 0 ? n : -EAGAIN) : 0;
}

static void uring_submit(struct file_dev *file, struct op_list *ops)
{
	struct op_list refused;
	struct file_op *op;
	int err;

	op_list_init(&refused);
	mm_lock_acquire(&file->submit_lock);
	while ((op = op_list_take(ops)))
		queue_entry(file, op);
	err = enter(file);
	if (err && !is_for_the_moment(err))
		withdraw_entries(file, &refused);
	__atomic_store_n(&file->has_leftover, io_uring_sq_ready(&file->ring) > 0,
			 __ATOMIC_RELAXED);
	mm_lock_release(&file->submit_lock);
	if (err)
		file_signal(file); /* the next poll() tries again */
	while ((op = op_list_take(&refused))) {
		transfer_run(&op->t, file->fd);
		file_op_ended(file, op);
	}
}

static void uring_reap(struct file_dev *file)
{
	struct op_list again;
	struct io_uring_cqe *cqe;

	op_list_init(&again);
	mm_lock_acquire(&file->lock);
	for (int i = 0; i < FILE_OPS_MAX && io_uring_peek_cqe(&file->ring, &cqe) == 0; i++) {
		struct file_op *op = io_uring_cqe_get_data(cqe);
		int result = cqe->res;
		bool was_queued;

		io_uring_cqe_seen(&file->ring, cqe);
		was_queued = __atomic_exchange_n(&op->is_queued, false, __ATOMIC_ACQUIRE);
		MM_ASSERT(was_queued);
		if (transfer_advance(&op->t, result))
			file_op_ended_locked(file, op);
		else
			op_list_add(&again, op);
	}
	mm_lock_release(&file->lock);
	if (again.first || __atomic_load_n(&file->has_leftover, __ATOMIC_RELAXED))
		uring_submit(file, &again);
}

static void uring_stop(struct file_dev *file)
{
	while (file->nr_running > 0) {
		uring_reap(file);
		if (file->nr_running > 0 && !file->has_leftover)
			sys_call6(SYS_io_uring_enter, file->ring.ring_fd, 0, 1,
				  IORING_ENTER_GETEVENTS, 0, 0);
	}
	io_uring_queue_exit(&file->ring);
}

const struct file_engine file_engine_uring = {
	.name = "io_uring",
	.start = uring_start,
	.submit = uring_submit,
	.reap = uring_reap,
	.stop = uring_stop,
};
