/* SPDX-License-Identifier: MIT */
/*
 * Inside swapdev/file: the device's state, and what its two engines (io_uring, I/O thread) do.
 *
 * An op is one transfer. It is in exactly one place:
 *	FREE     dev->free, or ops[nr_touched...]
 *	RUNNING  with the engine, counted by dev->nr_running
 *	ENDED    dev->ended, until poll() has handed out its last page
 * Moves: FREE->RUNNING (submit), FREE->ENDED (refused), RUNNING->ENDED, ENDED->FREE (poll).
 */
#ifndef SWAPDEV_ENGINE_H
#define SWAPDEV_ENGINE_H

#include <liburing.h>

#include "base/lock.h"
#include "swapdev/file.h"
#include "swapdev/header.h"
#include "swapdev/transfer.h"

#define FILE_OPS_MAX 128 /* transfers at a time: what keeps an SSD busy */

struct file_op {
	struct file_op *next;
	struct transfer t;
	uint32_t nr_given; /* pages handed out by poll() */
	bool is_queued;	   /* atomic: orders who fills an op before who reaps it */
};

struct op_list {
	struct file_op *first, **end;
};

struct file_dev;

struct file_engine {
	const char *name;
	int (*start)(struct file_dev *file);
	/* Takes the ops; one that cannot be started is run here or ends with its error. */
	void (*submit)(struct file_dev *file, struct op_list *ops);
	/* Moves what has ended to file->ended; may be NULL. Takes file->lock. */
	void (*reap)(struct file_dev *file);
	/* Waits until nothing runs, and lets go of what start() took. */
	void (*stop)(struct file_dev *file);
};

/* Locks: d lock, s submit_lock (never both), (c) set at create and reopen */
struct file_dev {
	struct swapdev dev; /* (c) */
	struct mm_lock lock;
	struct mm_lock submit_lock;
	const struct file_engine *engine;	     /* (c) */
	struct swap_share *share;		     /* (c) */
	unsigned int owner;			     /* (c) */
	int fd, event_fd;			     /* (c) */
	bool no_uring, is_direct;		     /* (c) */
	int (*spawn)(void (*fn)(void *), void *arg); /* (c) */

	struct file_op *free;	 /* d: used before, the last freed first */
	unsigned int nr_touched; /* d: ops beyond were never used and take no memory */
	struct op_list ended;	 /* d: first in, first out */
	unsigned int nr_running; /* d */

	struct io_uring ring; /* s: its submission side, d: its completion side */
	bool has_leftover;    /* atomic: entries are in the ring that no enter has taken */

	struct op_list queue; /* d: the I/O thread's work */
	bool is_stopping;     /* d */
	uint32_t queue_turn;  /* futex: changes when there is work, or the thread is to stop */
	uint32_t has_exited;  /* futex: 1 when the I/O thread has let go of this memory */

	struct swap_header header; /* (c) */
	struct file_op ops[FILE_OPS_MAX];
};

extern const struct file_engine file_engine_uring;
extern const struct file_engine file_engine_thread;

static inline void op_list_init(struct op_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static inline void op_list_add(struct op_list *list, struct file_op *op)
{
	op->next = NULL;
	*list->end = op;
	list->end = &op->next;
}

static inline struct file_op *op_list_take(struct op_list *list)
{
	struct file_op *op = list->first;

	if (!op)
		return NULL;
	list->first = op->next;
	if (!list->first)
		list->end = &list->first;
	return op;
}

void file_op_ended(struct file_dev *file, struct file_op *op);
void file_op_ended_locked(struct file_dev *file, struct file_op *op);
void file_signal(const struct file_dev *file);

#endif
