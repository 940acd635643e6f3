/* SPDX-License-Identifier: MIT */
/*
 * Faults that go through memory in order.
 *
 *   faults at        v   v   v       v               v               v
 *   pages          | 0 | 1 | 2   3 | 4   5   6   7 | 8  …            | 16 …
 *   window           1   1    2          4              8              16
 *
 * An address space remembers the last few places where faults were, each with the step from
 * one to the next. A fault where the next was expected makes the window twice as large, and the
 * fault does that many pages of the stream at once; the next is then expected behind them. So
 * what is done without need is at most as much as was done with, and faults at random, which
 * continue nothing, do one page each. The step is one page until two faults in the
 * neighbourhood show another; it may be negative. Where a page is read from a device the window
 * may be 32.
 *
 * Linux keeps one such window a VMA, and judges it by how many pages read ahead were used
 * (swap_vma_readahead()). Here the pages of a window are mapped at once, and whether they were
 * used is not to be seen; that the stream goes on behind them is.
 */
#include "base/assert.h"
#include "base/checked.h"
#include "mm/fault.h"

#define STEP_MAX 32 /* pages: faults farther apart have nothing to do with each other */

static int64_t pages_from(vaddr_t from, vaddr_t to)
{
	return ((int64_t)to - (int64_t)from) >> PAGE_SHIFT;
}

static vaddr_t page_after(vaddr_t va, int64_t pages)
{
	return va + ((uint64_t)pages << PAGE_SHIFT);
}

/* A page that the window had, and did not get: it was busy, say. */
static bool is_within(const struct fault_stream *s, vaddr_t va)
{
	return s->window > 1 &&
	       (s->step > 0 ? va > s->last && va < s->next : va < s->last && va > s->next);
}

/*
 * The stream that the fault goes on with, or that it may be the second page of, or that has
 * left it out.
 */
static struct fault_stream *stream_find(struct mm *mm, vaddr_t va)
{
	struct fault_stream *near = NULL;

	for (unsigned int i = 0; i < FAULT_STREAMS; i++) {
		struct fault_stream *s = &mm->streams[i];
		int64_t pages = pages_from(s->last, va);

		if (s->window > 0 && (s->next == va || s->last == va))
			return s;
		if (is_within(s, va) ||
		    (s->window == 1 && pages <= STEP_MAX && pages >= -STEP_MAX))
			near = s;
	}
	return near;
}

static void stream_start(struct fault_stream *s, vaddr_t va, int64_t step)
{
	s->last = va;
	s->step = (int32_t)step;
	s->window = 1;
	s->nr_ahead = 0;
	s->next = page_after(va, step);
}

/* What a page costs that comes from RAM adds up; the wait for a device does not. */
static unsigned int window_max(const struct fault *f)
{
	return pte_is_swap(*f->pte) && !swap_entry_is_in_ram(f->sys, *f->pte) ? FAULT_WINDOW_MAX
									      : FAULT_WINDOW;
}

/* What was read ahead was right. */
static void stream_go_on(const struct fault *f, struct fault_stream *s)
{
	STAT(f->sys, swap_ra_hit, s->nr_ahead);
	s->window = (unsigned int)min_u64(2ull * s->window, window_max(f));
	s->nr_ahead = 0;
	s->last = f->va;
}

/* So many pages of the stream lie in the area, and in the table of the first. */
static unsigned int window_clip(const struct fault *f, const struct fault_stream *s)
{
	uint64_t table = PGTABLE_ENTRIES * PAGE_SIZE, first = align_down(f->va, table);
	vaddr_t start = max_u64(first, f->vma->start), end = f->vma->end;
	uint64_t room;

	end = min_u64(first + table, end);
	if (s->step > 0)
		room = (end - 1 - f->va) / ((uint64_t)s->step << PAGE_SHIFT);
	else
		room = (f->va - start) / ((uint64_t)-s->step << PAGE_SHIFT);
	return (unsigned int)min_u64(s->window, room + 1);
}

/**
 * stream_enter() - what the fault is to do at once: f->window pages, f->step apart.
 * @f: the area is known.
 *
 * The same fault, asked again, gets the same answer.
 *
 * Context: sys->lock held.
 */
void stream_enter(struct fault *f)
{
	struct mm *mm = f->mm;
	struct fault_stream *s = stream_find(mm, f->va);

	f->window = f->step = 1;
	if (!s) {
		s = &mm->streams[mm->next_stream++ % FAULT_STREAMS];
		stream_start(s, f->va, 1);
	} else if (s->next == f->va) {
		stream_go_on(f, s);
	} else if (is_within(s, f->va)) {
		return;
	} else if (s->last != f->va) {
		stream_start(s, f->va, pages_from(s->last, f->va));
	}
	f->window = window_clip(f, s);
	f->step = s->step;
	s->next = page_after(f->va, (int64_t)f->window * s->step);
}

static struct fault_stream *stream_at(struct mm *mm, vaddr_t va)
{
	for (unsigned int i = 0; i < FAULT_STREAMS; i++)
		if (mm->streams[i].last == va)
			return &mm->streams[i];
	return NULL;
}

/**
 * stream_leave() - no more than so many pages could be done.
 *
 * Context: sys->lock held; it may have been dropped since stream_enter().
 */
void stream_leave(struct fault *f, unsigned int nr)
{
	struct fault_stream *s = stream_at(f->mm, f->va);

	MM_ASSERT(nr > 0);
	f->window = nr;
	if (s)
		s->next = fault_nth_va(f, nr);
}

/**
 * stream_break() - begin anew, with one page.
 *
 * Context: as stream_leave().
 */
void stream_break(struct fault *f)
{
	struct fault_stream *s = stream_at(f->mm, f->va);

	if (s)
		stream_start(s, f->va, s->step);
}

/**
 * stream_note_ahead() - so many pages that were read ahead are mapped with the one that was
 * touched.
 *
 * Context: as stream_leave().
 */
void stream_note_ahead(struct fault *f, unsigned int nr)
{
	struct fault_stream *s = stream_at(f->mm, f->va);

	if (s)
		s->nr_ahead += nr;
}

/* Which pages of the window are to be read. The first is. */
static unsigned int wanted(const struct fault *f, unsigned int *ret_nths)
{
	unsigned int nr = 0;

	for (unsigned int nth = 0; nth < f->window; nth++) {
		pte_t entry = *fault_nth_pte(f, nth);

		if (pte_is_swap(entry) && !swap_cache_lookup(f->sys, entry))
			ret_nths[nr++] = nth;
	}
	return nr;
}

/*
 * Frames ascending: pages that are neighbours and lie in neighbouring frames are mapped by one
 * machine op. At most FAULT_WINDOW_MAX: insertion is fine.
 */
static unsigned int take_frames(struct mm_system *sys, unsigned int nr, struct page **pages)
{
	struct page *page;
	unsigned int at, i;

	for (i = 0; i < nr; i++) {
		if ((i > 0 && !fault_has_frames(sys)) || page_alloc(sys, 0, GFP_USER, &page))
			break;
		for (at = i; at > 0 && pages[at - 1] > page; at--)
			pages[at] = pages[at - 1];
		pages[at] = page;
	}
	return i;
}

/**
 * stream_read() - start reading the page that was touched, and those of the window that are
 * out.
 * @f: its entry is a slot that is not cached.
 *
 * Return: SWAPIN_STARTED, or SWAPIN_NO_MEMORY where there is no frame at all.
 * Context: sys->lock held, dropped and retaken; the mm read-locked.
 */
enum swapin_result stream_read(struct fault *f)
{
	unsigned int nths[FAULT_WINDOW_MAX], nr = wanted(f, nths);
	struct page *frames[FAULT_WINDOW_MAX], *pages[FAULT_WINDOW_MAX];
	unsigned int nr_frames = take_frames(f->sys, nr, frames);

	if (nr_frames == 0)
		return SWAPIN_NO_MEMORY;
	if (nr_frames < nr)
		stream_leave(f, nths[nr_frames]);
	for (unsigned int i = 0; i < nr_frames; i++) {
		pages[i] = frames[f->step > 0 ? i : nr_frames - 1 - i];
		swap_cache_fill(f->sys, pages[i], *fault_nth_pte(f, nths[i]),
				i == 0 ? PG_demand : PG_readahead);
	}
	STAT(f->sys, swap_ra, nr_frames - 1);
	swap_read_pages(f->sys, pages, nr_frames);
	return SWAPIN_STARTED;
}
