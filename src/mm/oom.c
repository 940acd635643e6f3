/* SPDX-License-Identifier: MIT */
/*
 * The OOM killer: memory has run out, reclaim finds nothing, and one address space has to go so
 * that the others can stay (Linux mm/oom_kill.c).
 *
 * The worst one is chosen: the one with the most points,
 *
 *   points = pages in RAM + swap entries + page tables + oom_score_adj * (RAM + swap) / 1000
 *
 * unless its oom_score_adj is -1000. Of equals it is the oldest, so that a run can be repeated.
 * Or, with vm.oom_kill_allocating_task, the one that asked.
 *
 * To be killed is to be marked: faults of a victim answer MM_FAULT_OOM from then on, so its
 * program never sees what is missing. Its private memory is taken away at once if nobody is at
 * work on it, otherwise by mm_step() (Linux's oom_reaper). mm_config.oom_kill tells the owner,
 * who ends the program and calls mm_destroy(). Until the memory is back, faults of others
 * answer RETRY; if that is not enough, the next one is chosen.
 *
 * Where there is one address space only, there is nothing to choose: its fault answers
 * MM_FAULT_OOM, and what follows from that is its owner's affair.
 *
 * 1. A reaped address space is a victim.
 * 2. nr_oom_dying is the number of victims that have not been reaped.
 */
#include "mm/oom.h"

#include <string.h>

#include "base/assert.h"
#include "mm/commit.h"
#include "mm/mmap.h"
#include "ration/oom.h"

static uint64_t total_pages(const struct mm_system *sys)
{
	return sys_ram_pages(sys) + sys->nr_swap_pages;
}

/* Linux's oom_badness(), for one that may be killed. */
static int64_t badness(const struct mm *mm)
{
	int64_t per_mille = (int64_t)(total_pages(mm->sys) / 1000);

	return (int64_t)(mm->nr_resident + mm->nr_file + mm->nr_swapped + mm->nr_tables) +
	       mm->oom_score_adj * per_mille;
}

static bool may_be_killed(const struct mm *mm)
{
	return mm->oom_score_adj != MM_OOM_SCORE_ADJ_MIN && !mm->is_oom_victim &&
	       !mm->is_doomed;
}

static struct mm *select_victim(struct mm_system *sys)
{
	struct mm *mm, *worst = NULL;

	list_for_each_entry (mm, &sys->mms, node)
		if (may_be_killed(mm) &&
		    (!worst || badness(mm) > badness(worst) ||
		     (badness(mm) == badness(worst) && mm->id < worst->id)))
			worst = mm;
	return worst;
}

static void kill_victim(struct mm *invoker, struct mm *victim)
{
	struct mm_system *sys = victim->sys;

	STAT(sys, oom_kill, 1);
	victim->is_oom_victim = true;
	sys->nr_oom_dying++;
	if (sys->cfg.oom_report)
		oom_report_fill(sys, invoker, victim);
	if (sys->cfg.oom_kill)
		sys->cfg.oom_kill(sys->cfg.arg, victim);
}

/* What is the victim's alone; what others map they may still need. */
static bool area_is_reaped(const struct vma *vma)
{
	return !(vma->flags & (VMA_FOREIGN | VMA_HUGETLB | VMA_SHARED));
}

/* Return: true if its memory is back. Unlocks. */
static bool reap(struct mm *mm)
{
	struct mm_system *sys = mm->sys;
	struct vma *vma;
	int err = 0;

	if (!mm_write_trylock(mm))
		return false;
	for (vma = vma_find_first(mm, 0); vma && !err; vma = vma_next(vma))
		if (area_is_reaped(vma))
			err = mm_zap_range(mm, (struct mm_range){vma->start, vma->end});
	if (!err) {
		pgtable_free_range(mm, mm->window_start, mm->window_end);
		mm->is_oom_reaped = true;
		sys->nr_oom_dying--;
	}
	sys->has_waiters = true; /* they wait for this memory */
	mm_write_unlock(mm);
	return !err;
}

static struct mm *next_dying(struct mm_system *sys)
{
	struct mm *mm;

	list_for_each_entry (mm, &sys->mms, node)
		if (mm->is_oom_victim && !mm->is_oom_reaped)
			return mm;
	return NULL;
}

/**
 * oom_reap_victims() - take the memory of those that were killed.
 *
 * Those that somebody is at work on come later.
 *
 * Context: sys->lock held, dropped and retaken.
 */
void oom_reap_victims(struct mm_system *sys)
{
	for (uint64_t i = sys->nr_oom_dying; i > 0; i--) {
		struct mm *mm = next_dying(sys);

		if (!mm || !reap(mm))
			return;
	}
}

static bool is_alone(const struct mm_system *sys)
{
	return sys->mms.next == sys->mms.prev;
}

/**
 * oom_out_of_memory() - a fault can have no frame, and nothing can be reclaimed.
 * @mm: whose fault.
 *
 * Return: enum oom_answer.
 * Context: sys->lock held, dropped and retaken; mm read-locked.
 */
enum oom_answer oom_out_of_memory(struct mm *mm)
{
	struct mm_system *sys = mm->sys;
	struct mm *victim;

	if (mm->is_oom_victim || is_alone(sys))
		return OOM_DIE;
	victim = next_dying(sys);
	if (victim)
		return reap(victim) ? OOM_AGAIN : OOM_WAIT;
	if (sys->tune.oom_kill_allocating_task && may_be_killed(mm))
		victim = mm;
	else
		victim = select_victim(sys);
	if (!victim)
		return OOM_DIE; /* Linux: "no killable processes", a panic */
	kill_victim(mm, victim);
	if (victim == mm)
		return OOM_DIE;
	return reap(victim) ? OOM_AGAIN : OOM_WAIT;
}

/**
 * mm_set_identity() - whose the address space is, for what is printed.
 * @who: copied; @who->comm ends with a zero.
 *
 * Context: takes sys->lock.
 */
void mm_set_identity(struct mm *mm, const struct mm_identity *who)
{
	sys_lock(mm->sys);
	mm->who = *who;
	mm->who.comm[MM_COMM_SIZE - 1] = '\0';
	sys_unlock(mm->sys);
}

/**
 * mm_set_oom_score_adj() - /proc/PID/oom_score_adj.
 * @adj: -1000: never killed; 1000: first.
 *
 * Return: 0, or -EINVAL: out of range.
 * Context: takes sys->lock.
 */
int mm_set_oom_score_adj(struct mm *mm, int adj)
{
	if (adj < MM_OOM_SCORE_ADJ_MIN || adj > MM_OOM_SCORE_ADJ_MAX)
		return -EINVAL;
	sys_lock(mm->sys);
	mm->oom_score_adj = adj;
	sys_unlock(mm->sys);
	return 0;
}

/**
 * mm_oom_score() - /proc/PID/oom_score: badness, scaled (Linux's proc_oom_score()).
 *
 * Return: 0: it is not killed; 666 with an adjustment of 0 is nothing, 1333 all memory.
 * Context: takes sys->lock.
 */
int mm_oom_score(struct mm *mm)
{
	int64_t score = 0;

	sys_lock(mm->sys);
	if (may_be_killed(mm))
		score = (1000 + badness(mm) * 1000 / (int64_t)total_pages(mm->sys)) * 2 / 3;
	sys_unlock(mm->sys);
	return (int)score;
}

/* Has it been killed? Its faults answer MM_FAULT_OOM. Context: takes sys->lock. */
bool mm_is_oom_victim(struct mm *mm)
{
	bool is_victim;

	sys_lock(mm->sys);
	is_victim = mm->is_oom_victim;
	sys_unlock(mm->sys);
	return is_victim;
}
