/* SPDX-License-Identifier: MIT */
/*
 * The I/O thread engine of swapdev/file, for kernels without io_uring and machines whose owner
 * forbids it: transfers are queued, and one thread runs them in turn with preadv(2) and
 * pwritev(2).
 *
 * The thread is started by the caller's spawn() and lives on raw system calls. It sleeps on
 * queue_turn, which changes whenever there is something new for it to see.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "base/syscall.h"
#include "swapdev/engine.h"

static void futex_wait(const uint32_t *word, uint32_t seen)
{
	sys_call4(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, seen, 0);
}

static void futex_wake(const uint32_t *word)
{
	sys_call4(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0);
}

static void next_turn(struct file_dev *file)
{
	__atomic_fetch_add(&file->queue_turn, 1, __ATOMIC_RELEASE);
	futex_wake(&file->queue_turn);
}

/* Return: the next op; NULL when the thread is to stop and nothing is left to do. */
static struct file_op *next_op(struct file_dev *file)
{
	struct file_op *op;
	bool is_stopping;

	for (;;) {
		uint32_t turn = __atomic_load_n(&file->queue_turn, __ATOMIC_ACQUIRE);

		mm_lock_acquire(&file->lock);
		op = op_list_take(&file->queue);
		is_stopping = file->is_stopping;
		mm_lock_release(&file->lock);
		if (op || is_stopping)
			return op;
		futex_wait(&file->queue_turn, turn);
	}
}

static void io_thread(void *arg)
{
	struct file_dev *file = arg;
	struct file_op *op;

	while ((op = next_op(file))) {
		transfer_run(&op->t, file->fd);
		file_op_ended(file, op);
	}
	/* Whoever sees the 1 unmaps; a wake at an address that is gone does nothing. */
	__atomic_store_n(&file->has_exited, 1, __ATOMIC_RELEASE);
	futex_wake(&file->has_exited);
}

static int thread_start(struct file_dev *file)
{
	op_list_init(&file->queue);
	file->is_stopping = false;
	file->queue_turn = 0;
	file->has_exited = 0;
	return file->spawn(io_thread, file);
}

static void thread_submit(struct file_dev *file, struct op_list *ops)
{
	struct file_op *op;

	mm_lock_acquire(&file->lock);
	while ((op = op_list_take(ops)))
		op_list_add(&file->queue, op);
	mm_lock_release(&file->lock);
	next_turn(file);
}

static void thread_stop(struct file_dev *file)
{
	mm_lock_acquire(&file->lock);
	file->is_stopping = true;
	mm_lock_release(&file->lock);
	next_turn(file);
	while (__atomic_load_n(&file->has_exited, __ATOMIC_ACQUIRE) == 0)
		futex_wait(&file->has_exited, 0);
}

const struct file_engine file_engine_thread = {
	.name = "thread",
	.start = thread_start,
	.submit = thread_submit,
	.stop = thread_stop,
};
