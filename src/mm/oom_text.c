/* SPDX-License-Identifier: MIT */
/*
 * What the OOM killer says: the state of the system at that moment, and the text of it in
 * Linux's format (mm/oom_kill.c: dump_header(), __oom_kill_process(); lib/show_mem.c;
 * mm/page_alloc.c: show_free_areas(), all of 6.1).
 *
 * The report is taken under the lock into memory of the caller of mm_system_create(); the text
 * is made of the report alone, at any time, by a pure function.
 */
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"
#include "mm/commit.h"
#include "mm/oom.h"
#include "ration/oom.h"

#define K(pages) ((pages) << (PAGE_SHIFT - 10))

/* The mask of a fault on anonymous memory. */
#define GFP_TEXT "gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO)"

static struct mm_oom_task task_of(const struct mm *mm)
{
	return (struct mm_oom_task){
		.who = mm->who,
		.oom_score_adj = mm->oom_score_adj,
		.total_vm = mm->total_vm,
		.anon = mm->nr_resident,
		.file = mm->nr_file,
		.tables = mm->nr_tables,
		.swapents = mm->nr_swapped,
	};
}

static struct mm_oom_zone zone_of(const struct mm_system *sys, const struct zone *zone)
{
	struct mm_oom_zone z = {
		.free = zone->nr_free,
		.min = zone->watermark[WMARK_MIN],
		.low = zone->watermark[WMARK_LOW],
		.high = zone->watermark[WMARK_HIGH],
		.present = zone->end - zone->start,
		.managed = zone->managed,
		.lowmem_reserve = zone->lowmem_reserve,
	};

	memcpy(z.name, zone->name, min_u64(strlen(zone->name), sizeof(z.name) - 1));
	for (unsigned int cpu = 0; zone->pcps && cpu < sys->cfg.nr_cpus; cpu++)
		z.free_pcp += zone->pcps[cpu].list.nr;
	for (unsigned int order = 0; order < BUDDY_NR_ORDERS; order++)
		z.nr_free[order] = zone->free_area[order].nr >> order;
	return z;
}

/**
 * oom_report_fill() - the state of the system, as @victim is killed.
 *
 * Context: sys->lock held; there is a report to fill.
 */
void oom_report_fill(struct mm_system *sys, struct mm *invoker, struct mm *victim)
{
	static const enum mm_vmstat_item list_items[] = {
		MM_VMSTAT_nr_inactive_anon, MM_VMSTAT_nr_active_anon,
		MM_VMSTAT_nr_inactive_file, MM_VMSTAT_nr_active_file};
	struct mm_oom_report *r = sys->cfg.oom_report;
	uint64_t lists[4];
	struct mm *mm;

	memset(r, 0, sizeof(*r));
	r->invoker = task_of(invoker);
	r->victim = task_of(victim);
	r->is_allocating_task = sys->tune.oom_kill_allocating_task != 0;
	r->has_tasks = sys->tune.oom_dump_tasks != 0;
	memcpy(r->vmstat, sys->vmstat, sizeof(r->vmstat));
	sys->policy_ops->count(sys->policy, lists);
	for (unsigned int i = 0; i < 4; i++)
		r->vmstat[list_items[i]] = lists[i];
	r->swap_total = sys->nr_swap_pages;
	r->swap_free =
		r->swap_total - min_u64(r->swap_total, r->vmstat[MM_VMSTAT_nr_swap_slots_used]);
	for (unsigned int i = 0; i < sys->nr_zones; i++)
		r->zones[r->nr_zones++] = zone_of(sys, &sys->zones[i]);
	list_for_each_entry (mm, &sys->mms, node) {
		if (r->nr_tasks < MM_OOM_TASKS_MAX)
			r->tasks[r->nr_tasks] = task_of(mm);
		r->nr_tasks++;
	}
}

/* Text that may be longer than its buffer, as snprintf() has it. */
struct text {
	char *at;
	size_t size, len;
};

static void put_char(struct text *t, char c)
{
	if (t->len + 1 < t->size)
		t->at[t->len] = c;
	t->len++;
}

static void put(struct text *t, const char *s)
{
	while (*s)
		put_char(t, *s++);
}

/* Decimal, with blanks on the left up to width. */
static void put_int(struct text *t, int64_t value, unsigned int width)
{
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char digits[24];
	unsigned int nr = 0;

	do
		digits[nr++] = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (value < 0)
		digits[nr++] = '-';
	for (unsigned int i = nr; i < width; i++)
		put_char(t, ' ');
	while (nr > 0)
		put_char(t, digits[--nr]);
}

/* "name:value", with what comes after the value. */
static void put_field(struct text *t, const char *name, uint64_t value, const char *end)
{
	put(t, name);
	put_int(t, (int64_t)value, 0);
	put(t, end);
}

#define STATE(r, name) ((r)->vmstat[MM_VMSTAT_##name])

static void put_counts(struct text *t, const struct mm_oom_report *r)
{
	uint64_t free_pcp = 0, free = 0;

	for (unsigned int i = 0; i < r->nr_zones; i++) {
		free_pcp += r->zones[i].free_pcp;
		free += r->zones[i].free;
	}
	put_field(t, "active_anon:", STATE(r, nr_active_anon), "");
	put_field(t, " inactive_anon:", STATE(r, nr_inactive_anon), "");
	put_field(t, " isolated_anon:", STATE(r, nr_isolated_anon), "\n");
	put_field(t, " active_file:", STATE(r, nr_active_file), "");
	put_field(t, " inactive_file:", STATE(r, nr_inactive_file), " isolated_file:0\n");
	put_field(t, " unevictable:", STATE(r, nr_unevictable), "");
	put_field(t, " dirty:", STATE(r, nr_dirty), "");
	put_field(t, " writeback:", STATE(r, nr_writeback), "\n");
	put_field(t, " slab_reclaimable:0 slab_unreclaimable:", STATE(r, nr_slab), "\n");
	put_field(t, " mapped:", STATE(r, nr_mapped), "");
	put_field(t, " shmem:", STATE(r, nr_shmem), "");
	put_field(t, " pagetables:", STATE(r, nr_page_table_pages), "\n");
	put(t, " sec_pagetables:0 bounce:0\n kernel_misc_reclaimable:0\n");
	put_field(t, " free:", free, "");
	put_field(t, " free_pcp:", free_pcp, " free_cma:0\n");
}

static void put_node(struct text *t, const struct mm_oom_report *r)
{
	put_field(t, "Node 0 active_anon:", K(STATE(r, nr_active_anon)), "kB");
	put_field(t, " inactive_anon:", K(STATE(r, nr_inactive_anon)), "kB");
	put_field(t, " active_file:", K(STATE(r, nr_active_file)), "kB");
	put_field(t, " inactive_file:", K(STATE(r, nr_inactive_file)), "kB");
	put_field(t, " unevictable:", K(STATE(r, nr_unevictable)), "kB");
	put_field(t, " isolated(anon):", K(STATE(r, nr_isolated_anon)), "kB");
	put_field(t, " isolated(file):0kB mapped:", K(STATE(r, nr_mapped)), "kB");
	put_field(t, " dirty:", K(STATE(r, nr_dirty)), "kB");
	put_field(t, " writeback:", K(STATE(r, nr_writeback)), "kB");
	put_field(t, " shmem:", K(STATE(r, nr_shmem)),
		  "kB shmem_thp: 0kB shmem_pmdmapped: 0kB");
	put_field(t, " anon_thp: ", K(STATE(r, nr_anon_transparent_hugepages) * 512), "kB");
	put_field(t, " writeback_tmp:0kB kernel_stack:0kB pagetables:",
		  K(STATE(r, nr_page_table_pages)), "kB");
	put(t, " sec_pagetables:0kB all_unreclaimable? no\n");
}

static void put_zone(struct text *t, const struct mm_oom_report *r, const struct mm_oom_zone *z)
{
	put(t, "Node 0 ");
	put(t, z->name);
	put_field(t, " free:", K(z->free), "kB boost:0kB");
	put_field(t, " min:", K(z->min), "kB");
	put_field(t, " low:", K(z->low), "kB");
	put_field(t, " high:", K(z->high), "kB reserved_highatomic:0KB");
	put_field(t, " active_anon:", K(STATE(r, nr_active_anon)), "kB");
	put_field(t, " inactive_anon:", K(STATE(r, nr_inactive_anon)), "kB");
	put_field(t, " active_file:", K(STATE(r, nr_active_file)), "kB");
	put_field(t, " inactive_file:", K(STATE(r, nr_inactive_file)), "kB");
	put_field(t, " unevictable:", K(STATE(r, nr_unevictable)), "kB");
	put_field(t, " writepending:", K(STATE(r, nr_dirty) + STATE(r, nr_writeback)), "kB");
	put_field(t, " present:", K(z->present), "kB");
	put_field(t, " managed:", K(z->managed), "kB");
	put_field(t, " mlocked:", K(STATE(r, nr_mlock)), "kB bounce:0kB");
	put_field(t, " free_pcp:", K(z->free_pcp), "kB");
	put_field(t, " local_pcp:", K(z->free_pcp), "kB free_cma:0kB\n");
	put_field(t, "lowmem_reserve[]: ", z->lowmem_reserve, "\n");
}

static void put_orders(struct text *t, const struct mm_oom_zone *z)
{
	put(t, "Node 0 ");
	put(t, z->name);
	put(t, ": ");
	for (unsigned int order = 0; order < MM_OOM_ORDERS; order++) {
		put_int(t, (int64_t)z->nr_free[order], 0);
		put_field(t, "*", K(1ull << order), "kB ");
	}
	put_field(t, "= ", K(z->free), "kB\n");
}

static void put_mem_info(struct text *t, const struct mm_oom_report *r)
{
	uint64_t present = 0, managed = 0;

	put(t, "Mem-Info:\n");
	put_counts(t, r);
	put_node(t, r);
	for (unsigned int i = 0; i < r->nr_zones; i++)
		put_zone(t, r, &r->zones[i]);
	for (unsigned int i = 0; i < r->nr_zones; i++) {
		put_orders(t, &r->zones[i]);
		present += r->zones[i].present;
		managed += r->zones[i].managed;
	}
	put_field(t, "", STATE(r, nr_file_pages), " total pagecache pages\n");
	put_field(t, "", STATE(r, nr_swapcached), " pages in swap cache\n");
	put_field(t, "Free swap  = ", K(r->swap_free), "kB\n");
	put_field(t, "Total swap = ", K(r->swap_total), "kB\n");
	put_field(t, "", present, " pages RAM\n0 pages HighMem/MovableOnly\n");
	put_field(t, "", present - managed, " pages reserved\n");
}

static void put_task(struct text *t, const struct mm_oom_task *task)
{
	put(t, "[");
	put_int(t, task->who.pid, 7);
	put(t, "] ");
	put_int(t, task->who.uid, 5);
	put(t, " ");
	put_int(t, task->who.pid, 5);
	put(t, " ");
	put_int(t, (int64_t)task->total_vm, 8);
	put(t, " ");
	put_int(t, (int64_t)(task->anon + task->file), 8);
	put(t, " ");
	put_int(t, (int64_t)(task->tables * PAGE_SIZE), 8);
	put(t, " ");
	put_int(t, (int64_t)task->swapents, 8);
	put(t, "         ");
	put_int(t, task->oom_score_adj, 5);
	put(t, " ");
	put(t, task->who.comm);
	put(t, "\n");
}

static void put_tasks(struct text *t, const struct mm_oom_report *r)
{
	put(t, "Tasks state (memory values in pages):\n"
	       "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj "
	       "name\n");
	for (unsigned int i = 0; i < r->nr_tasks && i < MM_OOM_TASKS_MAX; i++)
		put_task(t, &r->tasks[i]);
	if (r->nr_tasks > MM_OOM_TASKS_MAX)
		put_field(t, "... and ", r->nr_tasks - MM_OOM_TASKS_MAX, " more\n");
}

static void put_killed(struct text *t, const struct mm_oom_report *r)
{
	const struct mm_oom_task *v = &r->victim;

	put(t, "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,"
	       "global_oom,task_memcg=/,task=");
	put(t, v->who.comm);
	put_field(t, ",pid=", v->who.pid, "");
	put_field(t, ",uid=", v->who.uid, "\nOut of memory");
	if (r->is_allocating_task)
		put(t, " (oom_kill_allocating_task)");
	put_field(t, ": Killed process ", v->who.pid, " (");
	put(t, v->who.comm);
	put_field(t, ") total-vm:", K(v->total_vm), "kB");
	put_field(t, ", anon-rss:", K(v->anon), "kB");
	put_field(t, ", file-rss:", K(v->file), "kB, shmem-rss:0kB");
	put_field(t, ", UID:", v->who.uid, "");
	put_field(t, " pgtables:", K(v->tables), "kB oom_score_adj:");
	put_int(t, v->oom_score_adj, 0);
	put(t, "\n");
}

/**
 * mm_oom_describe() - what Linux would print.
 * @report: as mm_config.oom_report was filled.
 * @ret_text: gets the text and a zero, cut off where it is too long.
 * @size: bytes of @ret_text.
 *
 * Return: the length of the whole text, without the zero; as snprintf().
 * Context: any.
 */
size_t mm_oom_describe(const struct mm_oom_report *report, char *ret_text, size_t size)
{
	struct text t = {.at = ret_text, .size = size};

	put(&t, report->invoker.who.comm);
	put(&t, " invoked oom-killer: " GFP_TEXT ", order=0, oom_score_adj=");
	put_int(&t, report->invoker.oom_score_adj, 0);
	put(&t, "\n");
	put_mem_info(&t, report);
	if (report->has_tasks)
		put_tasks(&t, report);
	put_killed(&t, report);
	if (size > 0)
		ret_text[min_u64(t.len, size - 1)] = '\0';
	return t.len;
}
