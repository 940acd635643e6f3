/* SPDX-License-Identifier: MIT */
/*
 * The way of one access, step by step: in a space that a simulation saved, which is made again
 * (sim/save.c) and then goes on by this access; or in a small world of its own.
 *
 * The small world: the manager on the software machine with one processor, 2 MiB of RAM,
 * nearly all of it in use, and a swap device in memory. The access is then made on it, and what
 * is printed is read from the manager's own tables and counters, the processor's TLB, and the
 * differences that the fault left: nothing is calculated for show. There is no clock and no
 * chance in it, so the same question always has the same answer.
 */
#include "sim/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/mmu.h"
#include "machine/soft.h"
#include "mm/system.h"
#include "policy/two_lists.h"
#include "sim/save.h"
#include "swapdev/mem.h"

#define NR_FRAMES   512
#define NR_SLOTS    4096
#define BASE	    0x200000000000u
#define WORLD_PAGES 1024
#define RW	    (MM_PROT_READ | MM_PROT_WRITE)
#define TRIES_MAX   1000 /* faults of one access: far above what a synchronous device needs */
#define SHOWN_MAX   4	 /* victims that are named */

enum touch { TOUCH_NONE, TOUCH_READ, TOUCH_WRITE, TOUCH_EXEC };

static const struct area {
	unsigned int page, nr;
	int prot;
	enum touch touch;
} areas[] = {
	{0x000, 4, RW, TOUCH_WRITE},
	{0x004, 4, RW, TOUCH_NONE},
	{0x010, 4, MM_PROT_READ, TOUCH_READ},
	{0x020, 4, MM_PROT_READ | MM_PROT_EXEC, TOUCH_EXEC},
	{0x030, 8, RW, TOUCH_WRITE},  /* paged out afterwards */
	{0x100, 448, RW, TOUCH_NONE}, /* touched until RAM is nearly full */
};
#define AREA_SWAPPED 4
#define AREA_FILLER  5

/* Whose page a frame held. */
struct was {
	struct mm *mm; /* NULL: nobody's */
	vaddr_t va;
};

struct world {
	struct machine *m;
	struct swapdev *dev;
	struct mm_system *sys;
	struct mm *mm;
	struct sim_replay *replay; /* NULL: the small world */
	unsigned int pid;
	struct was *before; /* of each frame */
	uint64_t vmstat[NR_MM_VMSTAT];
	FILE *out;
	unsigned int step;
};

/* Of a page that is resident; the frame in the middle of a larger page, too. */
static pfn_t frame_of(struct world *w, vaddr_t va)
{
	unsigned int level = 0;
	pte_t *pte = pgtable_leaf(w->mm, va, &level);
	vaddr_t span = PAGE_SIZE << (9 * level);

	return pte ? pte_pfn(*pte) + (pfn_t)((va & (span - 1)) >> PAGE_SHIFT) : 0;
}

static vaddr_t page_va(unsigned int page)
{
	return BASE + page * PAGE_SIZE;
}

static enum mm_fault_result touch(struct world *w, vaddr_t va, enum touch how)
{
	uint64_t word = va;

	if (how == TOUCH_WRITE)
		return machine_soft_mm_store(w->mm, va, &word, sizeof(word));
	if (how == TOUCH_EXEC)
		return machine_soft_mm_fetch(w->mm, va);
	return machine_soft_mm_load(w->mm, va, &word, sizeof(word));
}

static uint64_t free_and_spare(const struct mm_system *sys)
{
	uint64_t min = 0;

	for (unsigned int i = 0; i < sys->nr_zones; i++)
		min += sys->zones[i].watermark[WMARK_MIN];
	return sys->vmstat[MM_VMSTAT_nr_free_pages] > min
		       ? sys->vmstat[MM_VMSTAT_nr_free_pages] - min
		       : 0;
}

static int fill_areas(struct world *w)
{
	for (size_t i = 0; i < sizeof(areas) / sizeof(*areas); i++) {
		vaddr_t va = page_va(areas[i].page), unused;
		int err = mm_map(w->mm, va, areas[i].nr * PAGE_SIZE, areas[i].prot,
				 MM_MAP_PRIVATE | MM_MAP_ANONYMOUS | MM_MAP_FIXED, &unused);

		for (unsigned int p = 0; !err && areas[i].touch && p < areas[i].nr; p++)
			if (touch(w, va + p * PAGE_SIZE, areas[i].touch) > MM_FAULT_MAJOR)
				err = -ENOMEM;
		if (err)
			return err;
	}
	return 0;
}

/* One area goes to swap, another takes what RAM there is, page 0 is used last. */
static int use_up(struct world *w)
{
	const struct area *swapped = &areas[AREA_SWAPPED], *filler = &areas[AREA_FILLER];
	int err = -EAGAIN;

	for (int i = 0; i < TRIES_MAX && err == -EAGAIN; i++) {
		err = mm_advise(w->mm, page_va(swapped->page), swapped->nr * PAGE_SIZE,
				MM_MADV_PAGEOUT);
		mm_step(w->sys, w->sys->now_ns + 1000, NR_FRAMES);
	}
	for (int i = 0; i < TRIES_MAX && w->sys->nr_io > 0; i++)
		mm_step(w->sys, w->sys->now_ns + 1000, NR_FRAMES);
	for (unsigned int p = 0; p < filler->nr && free_and_spare(w->sys) > 0; p++)
		if (touch(w, page_va(filler->page + p), TOUCH_WRITE) > MM_FAULT_MAJOR)
			return -ENOMEM;
	touch(w, BASE, TOUCH_READ);
	return err;
}

static void world_destroy(struct world *w)
{
	free(w->before);
	if (w->replay) {
		sim_replay_destroy(w->replay);
		return;
	}
	if (w->sys)
		mm_system_destroy(w->sys);
	if (w->dev)
		w->dev->ops->close(w->dev);
	if (w->m)
		machine_soft_destroy(w->m);
}

static int world_create(struct world *w, const struct tlb_config *tlb)
{
	const struct machine_soft_config soft = {.nr_frames = NR_FRAMES,
						 .caps = MACHINE_SETS_ACCESSED |
							 MACHINE_SETS_DIRTY,
						 .tlb = tlb};
	const struct swapdev_mem_config mem = {.nr_slots = NR_SLOTS, .mode = SWAPDEV_MEM_SYNC};
	struct mm_config cfg = MM_CONFIG_DEFAULT;
	int err = machine_soft_create(&soft, &w->m);

	if (!err)
		err = swapdev_mem_create(&mem, &w->dev);
	cfg.machine = w->m;
	cfg.policy = &policy_two_lists;
	if (!err)
		err = mm_system_create(&cfg, &w->sys);
	if (!err)
		err = mm_swapon(w->sys, w->dev, 0);
	if (!err)
		err = mm_create(w->sys, &w->mm);
	if (!err)
		err = fill_areas(w);
	if (!err)
		err = use_up(w);
	if (!err) {
		w->before = calloc(NR_FRAMES, sizeof(*w->before));
		err = w->before ? 0 : -ENOMEM;
	}
	if (err)
		world_destroy(w);
	return err;
}

/* The lowest pid that there is, unless one was asked for. */
static int find_process(struct world *w, const char *pid, struct sim_error *error)
{
	char *end = NULL;
	unsigned long first = pid ? strtoul(pid, &end, 10) : 0;
	unsigned long last = pid ? first : UINT16_MAX;

	if (pid && (*pid < '0' || *pid > '9' || *end || first > UINT16_MAX))
		return sim_fail(error, -EINVAL, "--pid %s: wants a whole number from 0 to %u",
				pid, UINT16_MAX);
	for (; first <= last && !w->mm; first++) {
		w->pid = (unsigned int)first;
		w->mm = sim_replay_mm(w->replay, w->pid);
	}
	if (w->mm)
		return 0;
	return sim_fail(error, -EINVAL, "--pid %s: no such process in the space",
			pid ? pid : "0");
}

static int world_load(struct world *w, const struct walk_options *options,
		      struct sim_saved *ret_saved, struct sim_error *error)
{
	int err = sim_saved_load(options->space, ret_saved, &w->replay, error);

	if (err)
		return err;
	w->sys = sim_replay_system(w->replay);
	w->m = sim_replay_machine(w->replay);
	w->before = calloc(w->m->nr_frames, sizeof(*w->before));
	err = w->before ? find_process(w, options->pid, error)
			: sim_fail(error, -ENOMEM, "out of memory");
	if (err)
		world_destroy(w);
	return err;
}

static void heading(struct world *w, const char *what)
{
	fprintf(w->out, "\n%u. %s\n", ++w->step, what);
}

static void print_bits(FILE *out, pte_t entry)
{
	fprintf(out, "%s%s%s%s%s%s", entry & PTE_PRESENT ? " present" : " not present",
		entry & PTE_WRITE ? " write" : " read-only",
		entry & PTE_USER ? " user" : " supervisor",
		entry & PTE_ACCESSED ? " accessed" : "", entry & PTE_DIRTY ? " dirty" : "",
		entry & PTE_NX ? " nx" : "");
}

static void print_leaf(FILE *out, pte_t pte)
{
	if (pte_is_none(pte)) {
		fprintf(out, " empty: never touched\n");
	} else if (pte_is_swap(pte)) {
		fprintf(out, " swap: area %u, slot %" PRIu64 "\n", swp_type(pte),
			swp_slot(pte));
	} else if (pte_is_idle(pte)) {
		fprintf(out, " idle: frame 0x%x, not translated\n", pte_pfn(pte));
	} else {
		print_bits(out, pte);
		fprintf(out, ", frame 0x%x\n", pte_pfn(pte));
	}
}

static void show_tlb(struct world *w, vaddr_t va, unsigned int access)
{
	const struct tlb *t = machine_soft_tlb(w->m, 0);
	enum tlb_kind kind = mmu_access_kind(access);
	unsigned int level, rights;
	uint32_t slot = t && mmu_is_canonical(va)
				? tlb_peek(t, va, machine_soft_asid(w->mm->space), kind, &level)
				: 0;

	if (!t) {
		fprintf(w->out, "   none\n");
		return;
	}
	if (!slot) {
		fprintf(w->out, "   %s: not in the first level, not in the second\n",
			kind == TLB_INSTR ? "instructions" : "data");
		return;
	}
	rights = tlb_slot_rights(t, slot);
	fprintf(w->out, "   %s: in level %u, a %s page: frame 0x%" PRIx64 ", may%s%s%s\n",
		kind == TLB_INSTR ? "instructions" : "data", level,
		tlb_size_name(tlb_slot_size(t, slot)), tlb_slot_pa(t, slot) >> PAGE_SHIFT,
		rights & TLB_READ ? " read" : "", rights & TLB_WRITE ? " write" : "",
		rights & TLB_EXEC ? " execute" : "");
}

static void show_tables(struct world *w, vaddr_t va)
{
	static const char *const names[] = {"PTE", "PMD", "PUD", "PGD"};
	pfn_t table = w->mm->pgd;

	for (int level = PGTABLE_LEVELS - 1; level >= 0; level--) {
		unsigned int index = va >> (PAGE_SHIFT + 9 * level) & (PGTABLE_ENTRIES - 1);
		pte_t entry = ((const pte_t *)pfn_addr(w->sys, table))[index];

		fprintf(w->out, "   %s in frame 0x%03x [%3u] 0x%016" PRIx64, names[level],
			table, index, entry);
		if (level == 0 || (entry & PTE_PS)) {
			fprintf(w->out, "%s", level ? " (a page of 2 MiB)" : "");
			print_leaf(w->out, entry);
			return;
		}
		if (pte_is_none(entry)) {
			fprintf(w->out, " empty: no table\n");
			return;
		}
		print_bits(w->out, entry);
		fprintf(w->out, ", next table in frame 0x%x\n", pte_pfn(entry));
		table = pte_pfn(entry);
	}
}

static void remember(struct world *w)
{
	for (pfn_t pfn = 0; pfn < w->m->nr_frames; pfn++) {
		const struct page *page = page_of(w->sys, pfn);
		bool is_mapped = page_has(page, PG_anon) && !page_has(page, PG_shared) &&
				 page->refs > 0 && page->mapcount > 0;

		w->before[pfn] = (struct was){0};
		if (is_mapped)
			w->before[pfn] = (struct was){page->mm, page->index << PAGE_SHIFT};
	}
	memcpy(w->vmstat, w->sys->vmstat, sizeof(w->vmstat));
}

static uint64_t grown(const struct world *w, enum mm_vmstat_item item)
{
	return w->sys->vmstat[item] - w->vmstat[item];
}

static void show_victims(struct world *w)
{
	unsigned int nr = 0;

	for (pfn_t pfn = 0; pfn < w->m->nr_frames; pfn++) {
		const struct was *was = &w->before[pfn];
		pte_t *pte = was->mm ? pgtable_lookup(was->mm, was->va) : NULL;

		if (!pte || !pte_is_swap(*pte) || ++nr > SHOWN_MAX)
			continue;
		fprintf(w->out,
			"   page 0x%" PRIx64 " leaves frame 0x%x for slot %" PRIu64 "%s\n",
			was->va >> PAGE_SHIFT, pfn, swp_slot(*pte),
			was->mm != w->mm ? ", of another process" : "");
	}
	if (nr > SHOWN_MAX)
		fprintf(w->out, "   and %u more\n", nr - SHOWN_MAX);
	if (grown(w, MM_VMSTAT_pgsteal_file))
		fprintf(w->out, "   pages of files that are dropped: %" PRIu64 "\n",
			grown(w, MM_VMSTAT_pgsteal_file));
	else if (nr == 0)
		fprintf(w->out, "   none\n");
	fprintf(w->out, "   free frames: %" PRIu64 " before, %" PRIu64 " now\n",
		w->vmstat[MM_VMSTAT_nr_free_pages], w->sys->vmstat[MM_VMSTAT_nr_free_pages]);
}

static void show_error_code(struct world *w, uint32_t code)
{
	fprintf(w->out, "   error code 0x%x: %s mode, %s, %s\n", code,
		code & MMU_PF_USER ? "user" : "supervisor",
		code & MMU_PF_INSTR   ? "instruction fetch"
		: code & MMU_PF_WRITE ? "write"
				      : "read",
		code & MMU_PF_PRESENT ? "the translation forbids it" : "no translation");
}

static enum mm_fault_result resolve(struct world *w, const struct machine_soft_fault *fault)
{
	const struct trace_access access = {
		.va = fault->va, .size = 1, .op = (uint8_t)fault->access};
	enum mm_fault_result result = MM_FAULT_RETRY;

	if (w->replay)
		return sim_replay_fault(w->replay, w->mm, &access);
	for (int i = 0; i < TRIES_MAX && result == MM_FAULT_RETRY; i++) {
		result = mm_fault(w->mm, fault->va, fault->access);
		if (result == MM_FAULT_RETRY)
			mm_step(w->sys, w->sys->now_ns + 1000, 0);
	}
	return result;
}

/* Where what is in the page comes from. Of a file, reads ahead may still be on their way. */
static void show_content(struct world *w)
{
	uint64_t file_kib = grown(w, MM_VMSTAT_pgpgin);

	if (grown(w, MM_VMSTAT_pswpin))
		fprintf(w->out,
			"   read from swap: %" PRIu64 " pages, of which %" PRIu64 " ahead\n",
			grown(w, MM_VMSTAT_pswpin), grown(w, MM_VMSTAT_swap_ra));
	if (file_kib)
		fprintf(w->out, "   read from files: %" PRIu64 " pages\n",
			file_kib * 1024 / PAGE_SIZE);
	if (!grown(w, MM_VMSTAT_pswpin) && !file_kib)
		fprintf(w->out, "   no I/O\n");
}

/* Return: may the program go on? */
static bool show_fault(struct world *w, const struct machine_soft_fault *fault)
{
	enum mm_fault_result result;

	heading(w, "Page fault");
	show_error_code(w, fault->error_code);
	remember(w);
	result = resolve(w, fault);
	if (result > MM_FAULT_MAJOR) {
		fprintf(w->out,
			result == MM_FAULT_OOM
				? "   no memory for it, and none can be freed\n"
				: "   no mapping allows it: the program gets %s\n",
			result == MM_FAULT_SEGV ? "SIGSEGV" : "SIGBUS");
		return false;
	}
	fprintf(w->out, "   resolved by the manager: a %s fault\n",
		result == MM_FAULT_MAJOR ? "major" : "minor");
	heading(w, "Victims");
	show_victims(w);
	heading(w, "Content");
	show_content(w);
	heading(w, "Entry recorded");
	show_tables(w, fault->va);
	return true;
}

static int make_access(struct world *w, vaddr_t va, unsigned int access,
		       struct machine_soft_fault *ret_fault)
{
	struct machine_space *space = w->mm->space;
	uint8_t byte = 0;

	if (access == MM_ACCESS_EXEC)
		return machine_soft_fetch(space, va, ret_fault);
	if (access == MM_ACCESS_WRITE)
		return machine_soft_store(space, va, &byte, 1, ret_fault);
	return machine_soft_load(space, va, &byte, 1, ret_fault);
}

static struct tlb_stats stats_of(const struct world *w)
{
	const struct tlb *t = machine_soft_tlb(w->m, 0);

	return t ? tlb_stats_get(t) : (struct tlb_stats){.walk_steps = 0};
}

static void show_walked(struct world *w, const struct tlb_stats *before)
{
	const struct tlb_stats now = stats_of(w);
	uint64_t steps = now.walk_steps - before->walk_steps;

	if (!machine_soft_tlb(w->m, 0))
		return;
	fprintf(w->out,
		"   entries read by the processor: %" PRIu64
		", saved by its walk caches: %" PRIu64 "\n",
		steps, now.walk_steps_saved - before->walk_steps_saved);
}

static void show_way(struct world *w, vaddr_t va, unsigned int access)
{
	struct tlb_stats before = stats_of(w);
	struct machine_soft_fault fault;
	pfn_t pfn;

	heading(w, "Page number and offset");
	fprintf(w->out, "   page 0x%" PRIx64 ", offset 0x%03" PRIx64 "\n", va >> PAGE_SHIFT,
		va & ~PAGE_MASK);
	heading(w, "TLB");
	show_tlb(w, va, access);
	heading(w, "Page tables");
	if (!mmu_is_canonical(va)) {
		fprintf(w->out, "   not a canonical address: bits 63 to 47 must be alike; the "
				"program gets SIGSEGV\n");
		return;
	}
	show_tables(w, va);
	if (make_access(w, va, access, &fault)) {
		show_walked(w, &before);
		if (!show_fault(w, &fault) || make_access(w, va, access, &fault))
			return;
	} else {
		show_walked(w, &before);
	}
	heading(w, "TLB afterwards");
	show_tlb(w, va, access);
	heading(w, "Physical address");
	pfn = frame_of(w, va);
	fprintf(w->out, "   frame 0x%x and offset 0x%03" PRIx64 ": 0x%" PRIx64 "\n", pfn,
		va & ~PAGE_MASK, pfn * PAGE_SIZE + (va & ~PAGE_MASK));
}

static bool parse_address(const char *text, vaddr_t *ret_va)
{
	char *end;

	errno = 0;
	*ret_va = strtoull(text, &end, 0);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static int parse_access(const char *text, unsigned int *ret_access)
{
	static const struct {
		const char *name;
		unsigned int access;
	} names[] = {
		{"read", MM_ACCESS_READ}, {"write", MM_ACCESS_WRITE}, {"exec", MM_ACCESS_EXEC}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(text, names[i].name) != 0)
			continue;
		*ret_access = names[i].access;
		return 0;
	}
	return -EINVAL;
}

static int parse(const struct walk_options *options, vaddr_t *ret_va, unsigned int *ret_access,
		 const struct tlb_config **ret_tlb, char *why, size_t why_len)
{
	const char *access = options->access ? options->access : "read";
	const char *tlb = options->tlb ? options->tlb : tlb_presets[0].name;

	*ret_tlb = tlb_preset_find(tlb);
	if (!options->address)
		snprintf(why, why_len, "ADDRESS is missing; try ration walk 0x200000030abc");
	else if (!parse_address(options->address, ret_va))
		snprintf(why, why_len,
			 "%s: not an address of 64 bits; try ration walk 0x200000030abc",
			 options->address);
	else if (parse_access(access, ret_access))
		snprintf(why, why_len, "--access %s: not an access; try read, write or exec",
			 access);
	else if (*ret_tlb)
		return 0;
	else
		snprintf(why, why_len, "--tlb %s: no such processor; try --tlb help", tlb);
	return -EINVAL;
}

static int world_make(struct world *w, const struct walk_options *options,
		      const struct tlb_config *tlb, struct sim_saved *ret_saved,
		      struct sim_error *error)
{
	int err;

	if (options->space && options->tlb)
		return sim_fail(error, -EINVAL,
				"--tlb: the space has one already; leave it out, or --space");
	if (options->pid && !options->space)
		return sim_fail(error, -EINVAL,
				"--pid: only a space has processes; see --space");
	if (options->space)
		return world_load(w, options, ret_saved, error);
	err = world_create(w, tlb);
	return err ? sim_fail(error, err, "%s", strerror(-err)) : 0;
}

static void show_where(struct world *w, vaddr_t va, const struct sim_saved *saved,
		       const struct tlb_config *tlb)
{
	unsigned int number;
	uint64_t offset;

	if (!w->replay) {
		fprintf(w->out, ", on a processor with the TLB of %s\n", tlb->title);
		return;
	}
	fprintf(w->out, ", in process %u after %" PRIu64 " accesses of %s\n", w->pid,
		saved->nr_accesses, saved->source);
	if (sim_replay_file_at(va, &number, &offset))
		fprintf(w->out, "which is byte 0x%" PRIx64 " of file %u\n", offset, number);
	fprintf(w->out, "%.1f MiB of RAM, policy %s, TLB of %s\n",
		(double)saved->cfg.ram_bytes / 1048576.0, saved->cfg.policy->name,
		saved->cfg.tlb ? saved->cfg.tlb->title : "none");
}

/**
 * walk_describe() - make one access and tell how it went.
 *
 * Context: uses the C library's heap.
 */
int walk_describe(const struct walk_options *options, char **ret_text, char *why,
		  size_t why_len)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct tlb_config *tlb = NULL;
	struct sim_saved saved = {.source = ""};
	struct sim_error error;
	unsigned int access = 0;
	size_t unused;
	vaddr_t va = 0;
	int err;

	if (!w)
		return -ENOMEM;
	err = parse(options, &va, &access, &tlb, why, why_len);
	if (err)
		goto free_world;
	err = world_make(w, options, tlb, &saved, &error);
	if (err) {
		snprintf(why, why_len, "%s", error.why);
		goto free_world;
	}
	err = -ENOMEM;
	w->out = open_memstream(ret_text, &unused);
	if (w->out) {
		fprintf(w->out, "0x%" PRIx64 ": %s", va,
			options->access ? options->access : "read");
		show_where(w, va, &saved, tlb);
		show_way(w, va, access);
		err = fclose(w->out) ? -ENOMEM : 0;
	}
	world_destroy(w);
	snprintf(why, why_len, "out of memory");
free_world:
	free(w);
	return err;
}
