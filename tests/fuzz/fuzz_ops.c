/* SPDX-License-Identifier: MIT */
/*
 * A byte string as a program of operations on address spaces: map (private, shared, of a file),
 * unmap, protect, fork, exit, load, store, touch a range, advise, fsync, swapon, swapoff,
 * balloon, let time go on, on the software machine with two processors and their TLBs. Beside
 * it goes a plain model, an array of pages a space, and every byte that is read must be the
 * model's; mm_check() now and then, and at the end everything is read.
 *
 * The first byte: bit 0: larger pages; bit 1: which processor; bits 2 and 3: the policy. Then
 * an operation is a byte, and its operands are the bytes behind it; where the string ends, they
 * are 0.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filedev/slots.h"
#include "fuzz.h"
#include "machine/soft.h"
#include "mm/filedev.h"
#include "mm/system.h"
#include "policy/policy.h"
#include "swapdev/mem.h"

#define NR_FRAMES     2048
#define NR_PAGES      1024 /* of a space: two regions of 2 MiB */
#define NR_FILE_PAGES 64
#define NR_SPACES     4
#define NR_DEVICES    2
#define NR_SLOTS      3000
#define NR_OPS_MAX    400
#define TRIES_MAX     20000
#define CHECK_EVERY   16
#define BASE	      0x200000000000u

struct content {
	unsigned int refs;
	uint8_t bytes[PAGE_SIZE];
};

struct view {
	struct content *content; /* NULL: zeros, of its own */
	bool is_mapped, is_shared;
	int prot;
};

struct space {
	struct mm *mm; /* NULL: free */
	struct view views[NR_PAGES];
};

struct world {
	const uint8_t *data;
	size_t size, at;
	struct machine *m;
	struct mm_system *sys;
	struct swapdev *devices[NR_DEVICES];
	bool is_on[NR_DEVICES];
	struct filedev *dev;
	struct address_space *file;
	struct content *file_pages[NR_FILE_PAGES];
	struct space spaces[NR_SPACES];
	struct mm *victim; /* of the OOM killer */
	unsigned int cpu;
	uint64_t now_ns;
};

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "fuzz_ops: not so: %s\n", what);
	abort();
}

static unsigned int take(struct world *w)
{
	return w->at < w->size ? w->data[w->at++] : 0;
}

static unsigned int cpu(void *arg)
{
	return ((struct world *)arg)->cpu;
}

static void kill_victim(void *arg, struct mm *victim)
{
	((struct world *)arg)->victim = victim;
}

static void step(struct world *w, unsigned int budget)
{
	w->now_ns += 1000000;
	mm_step(w->sys, w->now_ns, budget);
}

/* Is a call that answered err to be made again? */
static bool again(struct world *w, int err, unsigned int *tries)
{
	if (err != -EAGAIN || ++*tries > TRIES_MAX)
		return false;
	step(w, 64);
	return true;
}

static struct content *content_new(void)
{
	struct content *c = calloc(1, sizeof(*c));

	must(c != NULL, "the host has memory");
	c->refs = 1;
	return c;
}

static void view_drop(struct view *v)
{
	if (v->content && --v->content->refs == 0)
		free(v->content);
	v->content = NULL;
}

static void view_unmap(struct view *v)
{
	view_drop(v);
	*v = (struct view){.content = NULL};
}

static void space_end(struct space *s)
{
	mm_destroy(s->mm);
	s->mm = NULL;
	for (unsigned int i = 0; i < NR_PAGES; i++)
		view_unmap(&s->views[i]);
}

/* Whom the OOM killer has chosen is ended, as it wants it. */
static void bury(struct world *w)
{
	for (unsigned int i = 0; w->victim && i < NR_SPACES; i++)
		if (w->spaces[i].mm == w->victim)
			space_end(&w->spaces[i]);
	w->victim = NULL;
}

struct range {
	struct space *space;
	unsigned int first, nr;
	vaddr_t va;
	uint64_t len;
};

/* A space, and pages in it. */
static struct range take_range(struct world *w)
{
	struct range r = {.space = &w->spaces[take(w) % NR_SPACES]};

	r.first = (take(w) | take(w) << 8) % NR_PAGES;
	r.nr = 1 + take(w);
	if (r.nr >= 240) /* large ranges, too */
		r.nr = 512;
	if (r.nr > NR_PAGES - r.first)
		r.nr = NR_PAGES - r.first;
	r.va = BASE + r.first * PAGE_SIZE;
	r.len = r.nr * PAGE_SIZE;
	return r;
}

static int take_prot(struct world *w)
{
	static const int prots[] = {MM_PROT_READ | MM_PROT_WRITE, MM_PROT_READ, MM_PROT_NONE,
				    MM_PROT_READ | MM_PROT_WRITE | MM_PROT_EXEC};

	return prots[take(w) % 4];
}

static void op_map(struct world *w)
{
	struct range r = take_range(w);
	int prot = take_prot(w), flags = MM_MAP_FIXED | MM_MAP_ANONYMOUS, err;
	bool is_shared = take(w) % 4 == 1;
	unsigned int tries = 0;
	vaddr_t unused;

	if (!r.space->mm)
		return;
	flags |= is_shared ? MM_MAP_SHARED : MM_MAP_PRIVATE;
	do
		err = mm_map(r.space->mm, r.va, r.len, prot, flags, &unused);
	while (again(w, err, &tries));
	for (unsigned int i = r.first; !err && i < r.first + r.nr; i++) {
		view_unmap(&r.space->views[i]);
		r.space->views[i] = (struct view){.is_mapped = true,
						  .is_shared = is_shared,
						  .prot = prot,
						  .content = is_shared ? content_new() : NULL};
	}
	must(!err || err == -ENOMEM || err == -EAGAIN, "mm_map() answers as it should");
}

static void op_map_file(struct world *w)
{
	struct range r = take_range(w);
	unsigned int at = take(w) % NR_FILE_PAGES, tries = 0;
	struct mm_map_file_args args;
	vaddr_t unused;
	int err;

	if (!r.space->mm)
		return;
	if (r.nr > NR_FILE_PAGES - at)
		r.nr = NR_FILE_PAGES - at;
	args = (struct mm_map_file_args){r.va, r.nr * PAGE_SIZE, MM_PROT_READ | MM_PROT_WRITE,
					 MM_MAP_SHARED | MM_MAP_FIXED, at * PAGE_SIZE};
	do
		err = mm_map_file(r.space->mm, w->file, &args, &unused);
	while (again(w, err, &tries));
	for (unsigned int i = 0; !err && i < r.nr; i++) {
		struct view *v = &r.space->views[r.first + i];

		view_unmap(v);
		*v = (struct view){w->file_pages[at + i], true, true, args.prot};
		v->content->refs++;
	}
}

static void op_unmap(struct world *w)
{
	struct range r = take_range(w);
	unsigned int tries = 0;
	int err;

	if (!r.space->mm)
		return;
	do
		err = mm_unmap(r.space->mm, r.va, r.len);
	while (again(w, err, &tries));
	for (unsigned int i = r.first; !err && i < r.first + r.nr; i++)
		view_unmap(&r.space->views[i]);
}

static bool is_all_mapped(const struct range *r)
{
	for (unsigned int i = r->first; i < r->first + r->nr; i++)
		if (!r->space->views[i].is_mapped)
			return false;
	return true;
}

/* Over a hole the call may have done a part: then it is not made. */
static void op_protect(struct world *w)
{
	struct range r = take_range(w);
	int prot = take_prot(w), err;
	unsigned int tries = 0;

	if (!r.space->mm || !is_all_mapped(&r))
		return;
	do
		err = mm_protect(r.space->mm, r.va, r.len, prot);
	while (again(w, err, &tries));
	must(!err || err == -ENOMEM || err == -EAGAIN, "mm_protect() answers as it should");
	if (err) /* perhaps in part: it is made anew */
		prot = MM_PROT_NONE;
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		r.space->views[i].prot = prot;
	if (!err)
		return;
	must(mm_unmap(r.space->mm, r.va, r.len) == 0, "what was not protected is unmapped");
	for (unsigned int i = r.first; i < r.first + r.nr; i++)
		view_unmap(&r.space->views[i]);
}

static void op_advise(struct world *w)
{
	static const int advices[] = {MM_MADV_DONTNEED, MM_MADV_PAGEOUT,    MM_MADV_COLD,
				      MM_MADV_HUGEPAGE, MM_MADV_NOHUGEPAGE, MM_MADV_WILLNEED};
	struct range r = take_range(w);
	int advice = advices[take(w) % 6], err;
	unsigned int tries = 0;

	if (!r.space->mm || !is_all_mapped(&r))
		return;
	do
		err = mm_advise(r.space->mm, r.va, r.len, advice);
	while (again(w, err, &tries));
	for (unsigned int i = r.first; !err && advice == MM_MADV_DONTNEED && i < r.first + r.nr;
	     i++)
		if (!r.space->views[i].is_shared)
			view_drop(&r.space->views[i]);
}

static void view_fork(struct view *child, const struct view *parent)
{
	*child = *parent;
	if (!parent->content)
		return;
	if (parent->is_shared) {
		parent->content->refs++;
		return;
	}
	child->content = content_new();
	memcpy(child->content->bytes, parent->content->bytes, PAGE_SIZE);
}

static void op_fork(struct world *w)
{
	struct space *parent = &w->spaces[take(w) % NR_SPACES];
	struct space *child = &w->spaces[take(w) % NR_SPACES];
	unsigned int tries = 0;
	int err;

	if (!parent->mm || child->mm)
		return;
	do
		err = mm_fork(parent->mm, &child->mm);
	while (again(w, err, &tries));
	must(!err || err == -ENOMEM || err == -EAGAIN, "mm_fork() answers as it should");
	for (unsigned int i = 0; !err && i < NR_PAGES; i++)
		view_fork(&child->views[i], &parent->views[i]);
}

static void op_exit(struct world *w)
{
	struct space *s = &w->spaces[take(w) % NR_SPACES];
	int err = 0;

	if (s->mm)
		space_end(s);
	else
		err = mm_create(w->sys, &s->mm);
	must(!err || err == -ENOMEM || err == -EAGAIN, "mm_create() answers as it should");
}

/* Is the answer what the area says? Return: was the access made? */
static bool check_access(const struct view *v, enum mm_fault_result result, int prot)
{
	bool is_allowed = v->is_mapped && (v->prot & prot);

	if (result == MM_FAULT_OOM || (result == MM_FAULT_RETRY && is_allowed))
		return false;
	if (!is_allowed)
		must(result == MM_FAULT_SEGV, "what is not mapped so is a SEGV");
	else
		must(result <= MM_FAULT_MAJOR, "what is mapped can be accessed");
	return is_allowed;
}

static void load(struct space *s, unsigned int page, unsigned int from, unsigned int len)
{
	static const uint8_t zeros[PAGE_SIZE];
	const struct view *v = &s->views[page];
	const uint8_t *want = v->content ? v->content->bytes : zeros;
	uint8_t got[PAGE_SIZE];
	enum mm_fault_result result =
		machine_soft_mm_load(s->mm, BASE + page * PAGE_SIZE + from, got, len);

	if (check_access(v, result, MM_PROT_READ))
		must(memcmp(got, want + from, len) == 0, "every byte is the model's");
}

static void store(struct world *w, struct space *s, unsigned int page, unsigned int from)
{
	struct view *v = &s->views[page];
	uint8_t bytes[16];
	enum mm_fault_result result;

	memset(bytes, (int)take(w), sizeof(bytes));
	bytes[0] = (uint8_t)w->at;
	result = machine_soft_mm_store(s->mm, BASE + page * PAGE_SIZE + from, bytes,
				       sizeof(bytes));
	if (!check_access(v, result, MM_PROT_WRITE))
		return;
	if (!v->content)
		v->content = content_new();
	memcpy(v->content->bytes + from, bytes, sizeof(bytes));
}

static void op_access(struct world *w, bool is_store)
{
	struct range r = take_range(w);
	unsigned int from = take(w) * 16 % PAGE_SIZE;

	if (!r.space->mm)
		return;
	w->cpu = r.nr % 2;
	if (is_store)
		store(w, r.space, r.first, from);
	else
		load(r.space, r.first, 0, PAGE_SIZE);
}

static void op_touch(struct world *w)
{
	struct range r = take_range(w);

	w->cpu = r.nr % 2;
	for (unsigned int i = 0; i < r.nr && r.space->mm; i++) {
		store(w, r.space, r.first + i, 64);
		bury(w);
	}
}

static void op_swap(struct world *w)
{
	unsigned int i = take(w) % NR_DEVICES, tries = 0;
	int err;

	if (!w->is_on[i]) {
		err = mm_swapon(w->sys, w->devices[i], (int)(take(w) % 3));
		must(!err || err == -ENOMEM, "swapon() answers as it should");
		w->is_on[i] = !err;
		return;
	}
	do
		err = mm_swapoff(w->sys, w->devices[i]);
	while (again(w, err, &tries));
	if (err == -EAGAIN)
		err = mm_swapoff_cancel(w->sys, w->devices[i]) ? -EINVAL : -ENOMEM;
	must(!err || err == -ENOMEM, "swapoff() answers as it should");
	w->is_on[i] = err != 0;
}

static void op_balloon(struct world *w)
{
	uint64_t pages = take(w) * 4, taken = 0;
	unsigned int tries = 0;
	int err;

	if (take(w) % 2) {
		mm_balloon_deflate(w->sys, pages);
		return;
	}
	if (pages + mm_balloon_pages(w->sys) > NR_FRAMES / 2)
		return;
	do {
		err = mm_balloon_inflate(w->sys, pages, &taken);
		pages -= taken;
	} while (tries < 50 && again(w, err, &tries));
}

static void op_fsync(struct world *w)
{
	unsigned int tries = 0;
	uint64_t ticket = 0;
	int err;

	do
		err = mm_fsync(w->file, &ticket);
	while (again(w, err, &tries));
	must(!err, "the file can be written");
}

static void run_op(struct world *w)
{
	switch (take(w) % 14) {
	case 0:
		return op_map(w);
	case 1:
		return op_map_file(w);
	case 2:
		return op_unmap(w);
	case 3:
		return op_protect(w);
	case 4:
		return op_advise(w);
	case 5:
		return op_fork(w);
	case 6:
		return op_exit(w);
	case 7:
		return op_access(w, false);
	case 8:
		return op_access(w, true);
	case 9:
		return op_touch(w);
	case 10:
		return op_swap(w);
	case 11:
		return op_balloon(w);
	case 12:
		return op_fsync(w);
	default:
		return step(w, take(w));
	}
}

static void world_create(struct world *w)
{
	static const char *const presets[] = {"skylake", "cortex-a76"};
	unsigned int mode = take(w);
	struct machine_soft_config soft = {
		.nr_frames = NR_FRAMES,
		.caps = MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY,
		.tlb = tlb_preset_find(presets[mode >> 1 & 1]),
		.nr_cpus = 2,
		.cpu = cpu,
		.arg = w,
	};
	const struct swapdev_mem_config mem = {.nr_slots = NR_SLOTS,
					       .mode = SWAPDEV_MEM_RANDOM};
	const struct swapdev_mem_config store = {.nr_slots = NR_FILE_PAGES + 1,
						 .mode = SWAPDEV_MEM_RANDOM};
	struct filedev_slots_config file = {.nr_bytes = NR_FILE_PAGES * PAGE_SIZE,
					    .name = "file"};
	struct mm_config cfg = MM_CONFIG_DEFAULT;

	if (mode & 1)
		soft.caps |= MACHINE_HUGE_64K | MACHINE_HUGE_2M;
	must(machine_soft_create(&soft, &w->m) == 0, "there is a machine");
	cfg.machine = w->m;
	cfg.policy = policy_at((mode >> 2 & 3) % 4);
	cfg.overcommit_memory = MM_OVERCOMMIT_ALWAYS;
	cfg.thp = mode & 1 ? MM_THP_ALWAYS : MM_THP_NEVER;
	cfg.thp_64k = mode & 1 ? MM_THP_ALWAYS : MM_THP_NEVER;
	cfg.oom_kill = kill_victim;
	cfg.arg = w;
	must(mm_system_create(&cfg, &w->sys) == 0, "there is a manager");
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		must(swapdev_mem_create(&mem, &w->devices[i]) == 0, "there is a device");
	w->is_on[0] = mm_swapon(w->sys, w->devices[0], 0) == 0;
	must(swapdev_mem_create(&store, &file.store) == 0, "there is a store");
	must(filedev_slots_create(&file, &w->dev) == 0, "there is a file device");
	must(mm_file_open(w->sys, w->dev, &w->file) == 0, "there is a file");
	for (unsigned int i = 0; i < NR_FILE_PAGES; i++)
		w->file_pages[i] = content_new();
	must(mm_create(w->sys, &w->spaces[0].mm) == 0, "there is a space");
}

/* Reads all there is, twice: the second processor's TLB may know otherwise. */
static void read_all(struct world *w)
{
	for (unsigned int i = 0; i < 2 * NR_SPACES; i++) {
		struct space *s = &w->spaces[i / 2];

		w->cpu = i % 2;
		for (unsigned int page = 0; s->mm && page < NR_PAGES; page++) {
			if (s->views[page].is_mapped && (s->views[page].prot & MM_PROT_READ))
				load(s, page, 0, PAGE_SIZE);
			bury(w);
		}
	}
}

static void world_destroy(struct world *w)
{
	unsigned int tries = 0;
	int err;

	for (unsigned int i = 0; i < NR_SPACES; i++)
		if (w->spaces[i].mm)
			space_end(&w->spaces[i]);
	do
		err = mm_file_close(w->file);
	while (again(w, err, &tries));
	must(!err, "the file can be closed");
	while (w->sys->nr_io > 0 && tries++ < TRIES_MAX)
		step(w, 0);
	must(mm_check(w->sys) == 0, "mm_check() at the end");
	mm_system_destroy(w->sys);
	for (unsigned int i = 0; i < NR_FILE_PAGES; i++)
		free(w->file_pages[i]);
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		w->devices[i]->ops->close(w->devices[i]);
	w->dev->ops->close(w->dev);
	for (unsigned int i = 0; i < 2; i++)
		must(tlb_check(machine_soft_tlb(w->m, i)) == 0, "tlb_check() at the end");
	machine_soft_destroy(w->m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w = calloc(1, sizeof(*w));

	must(w != NULL, "the host has memory");
	w->data = data;
	w->size = size;
	world_create(w);
	for (unsigned int i = 0; w->at < w->size && i < NR_OPS_MAX; i++) {
		run_op(w);
		bury(w);
		if (i % CHECK_EVERY == 0)
			must(mm_check(w->sys) == 0, "mm_check()");
	}
	must(mm_check(w->sys) == 0, "mm_check()");
	read_all(w);
	must(mm_check(w->sys) == 0, "mm_check()");
	world_destroy(w);
	free(w);
	return 0;
}
