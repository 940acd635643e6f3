/* SPDX-License-Identifier: MIT */
/*
 * Random lives of two address spaces and a file, each value checked against a plain model:
 * shared and private mappings of the file, shared and private memory, forks, reads and writes
 * by call, truncation, syncs, advice, and time; on devices that answer at once, late or with
 * errors, with allocations that fail, in far less RAM than there is data. mm_check() after each
 * step.
 *
 * The model knows objects (the file, and shared memory) as values at a few places of each page,
 * and for each page of each address space which object it shows, or which copy it has.
 */
#include "support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

#define RW	  (MM_PROT_READ | MM_PROT_WRITE)
#define TELLS	  (MACHINE_SETS_ACCESSED | MACHINE_SETS_DIRTY)
#define OBJ_PAGES 96 /* of an object at most */
#define OBJS_MAX  6
#define OBJ_FILE  0
#define OBJ_ANON  (-1) /* private memory: only copies */
#define SPACE	  400  /* pages of the window that are used */
#define PLACES	  4
#define STEPS	  700
#define RETRIES	  1000
#define SECOND	  1000000000ull

static const uint64_t place_at[PLACES] = {0, 1024, 2048, PAGE_SIZE - 8};

struct object {
	uint64_t nr_bytes; /* 0: not used; the file's may be 0 too */
	uint64_t values[OBJ_PAGES][PLACES];
};

struct view {
	bool is_mapped, is_private, has_copy;
	int prot, obj;
	unsigned int index;
	uint64_t copy[PLACES];
};

struct life {
	struct files f;
	struct rng *rng;
	struct object objs[OBJS_MAX];
	struct view views[FILES_MMS][SPACE];
	bool device_fails;
};

static uint64_t below(struct life *l, uint64_t n)
{
	return rng_below(l->rng, n);
}

static struct view *view_at(struct life *l, unsigned int mm, unsigned int page)
{
	return &l->views[mm][page];
}

static bool is_beyond(const struct life *l, const struct view *v)
{
	return v->obj >= 0 && v->index * PAGE_SIZE >= l->objs[v->obj].nr_bytes;
}

static bool place_is_beyond(const struct life *l, const struct view *v, unsigned int place)
{
	return v->obj >= 0 &&
	       v->index * PAGE_SIZE + place_at[place] >= l->objs[v->obj].nr_bytes;
}

static uint64_t *value_at(struct life *l, struct view *v, unsigned int place)
{
	if (v->has_copy || v->obj == OBJ_ANON)
		return &v->copy[place];
	return &l->objs[v->obj].values[v->index][place];
}

/* What an access must come to; MINOR stands for success. */
static enum mm_fault_result expected(const struct life *l, const struct view *v, bool is_write)
{
	if (!v->is_mapped || !(v->prot & (is_write ? MM_PROT_WRITE : MM_PROT_READ)))
		return MM_FAULT_SEGV;
	if (!v->has_copy && is_beyond(l, v))
		return MM_FAULT_BUS;
	return MM_FAULT_MINOR;
}

/* A device that fails may be asked again. */
static enum mm_fault_result access(struct life *l, unsigned int mm, vaddr_t va, uint64_t *value,
				   bool is_write)
{
	enum mm_fault_result result = MM_FAULT_BUS;

	for (int i = 0; i < RETRIES && result == MM_FAULT_BUS; i++) {
		result = files_access(&l->f, l->f.mms[mm], va, value, is_write);
		if (!l->device_fails)
			break;
	}
	return result > MM_FAULT_MAJOR ? result : MM_FAULT_MINOR;
}

static void make_copy(struct life *l, struct view *v)
{
	if (v->has_copy || !v->is_private || v->obj == OBJ_ANON)
		return;
	memcpy(v->copy, l->objs[v->obj].values[v->index], sizeof(v->copy));
	v->has_copy = true;
}

static void touch(struct life *l, unsigned int mm, unsigned int page)
{
	struct view *v = view_at(l, mm, page);
	unsigned int place = (unsigned int)below(l, PLACES);
	bool is_write = below(l, 2) == 0;
	uint64_t value = rng_next(l->rng), wanted;
	vaddr_t va = world_va(page) + place_at[place];
	enum mm_fault_result result = expected(l, v, is_write);

	if (result != MM_FAULT_MINOR) {
		if (result != MM_FAULT_BUS || !l->device_fails)
			assert_int_equal(access(l, mm, va, &value, is_write), result);
		return;
	}
	if (!v->has_copy && place_is_beyond(l, v, place))
		return; /* what is there is nobody's */
	if (is_write)
		make_copy(l, v);
	wanted = *value_at(l, v, place);
	if (is_write)
		wanted = *value_at(l, v, place) = value;
	assert_int_equal(access(l, mm, va, &value, is_write), MM_FAULT_MINOR);
	assert_int_equal(value, wanted);
}

static void step_touch(struct life *l)
{
	unsigned int mm = (unsigned int)below(l, FILES_MMS);
	unsigned int page = (unsigned int)below(l, SPACE), nr = 1 + (unsigned int)below(l, 48);

	for (unsigned int i = page; i < page + nr && i < SPACE; i++)
		touch(l, mm, i);
}

#define UNTIL_DONE(l, err, call)                               \
	do {                                                   \
		for (int tries = 0; tries < 100000; tries++) { \
			(err) = (call);                        \
			if ((err) != -EAGAIN)                  \
				break;                         \
			world_step(&(l)->f.w);                 \
		}                                              \
	} while (0)

/* An object of shared memory that no page shows; 0: none. */
static int free_object(struct life *l)
{
	for (int obj = 1; obj < OBJS_MAX; obj++) {
		bool is_used = false;

		for (unsigned int i = 0; i < FILES_MMS * SPACE; i++)
			is_used |= l->views[i / SPACE][i % SPACE].is_mapped &&
				   l->views[i / SPACE][i % SPACE].obj == obj;
		if (!is_used)
			return obj;
	}
	return 0;
}

static void set_views(struct life *l, unsigned int mm, unsigned int page, unsigned int nr,
		      const struct view *first)
{
	for (unsigned int i = 0; i < nr; i++) {
		*view_at(l, mm, page + i) = *first;
		view_at(l, mm, page + i)->index += i;
	}
}

static void step_map_file(struct life *l)
{
	unsigned int mm = (unsigned int)below(l, FILES_MMS),
		     nr = 1 + (unsigned int)below(l, 40);
	unsigned int page = (unsigned int)below(l, SPACE - nr);
	struct view v = {.is_mapped = true, .obj = OBJ_FILE, .is_private = below(l, 2)};
	struct mm_map_file_args args = {.len = nr * PAGE_SIZE};

	v.prot = below(l, 4) ? RW : MM_PROT_READ;
	v.index = (unsigned int)below(l, OBJ_PAGES - nr);
	args.prot = v.prot;
	args.flags = v.is_private ? MM_MAP_PRIVATE : MM_MAP_SHARED;
	args.offset = v.index * PAGE_SIZE;
	files_map(&l->f, l->f.mms[mm], page, &args);
	set_views(l, mm, page, nr, &v);
}

static void step_map_memory(struct life *l)
{
	unsigned int mm = (unsigned int)below(l, FILES_MMS),
		     nr = 1 + (unsigned int)below(l, 60);
	unsigned int page = (unsigned int)below(l, SPACE - nr);
	struct view v = {.is_mapped = true, .prot = RW, .obj = OBJ_ANON, .is_private = true};
	int flags = MM_MAP_ANONYMOUS | MM_MAP_FIXED, obj = free_object(l), err = 0;
	vaddr_t addr;

	if (obj && below(l, 2)) {
		memset(&l->objs[obj], 0, sizeof(l->objs[obj]));
		l->objs[obj].nr_bytes = nr * PAGE_SIZE;
		v.obj = obj;
		v.is_private = false;
	}
	flags |= v.is_private ? MM_MAP_PRIVATE : MM_MAP_SHARED;
	UNTIL_DONE(l, err,
		   mm_map(l->f.mms[mm], world_va(page), nr * PAGE_SIZE, RW, flags, &addr));
	assert_int_equal(err, 0);
	set_views(l, mm, page, nr, &v);
}

static void step_unmap(struct life *l)
{
	unsigned int mm = (unsigned int)below(l, FILES_MMS),
		     nr = 1 + (unsigned int)below(l, 50);
	unsigned int page = (unsigned int)below(l, SPACE - nr);
	int err = 0;

	UNTIL_DONE(l, err, mm_unmap(l->f.mms[mm], world_va(page), nr * PAGE_SIZE));
	assert_int_equal(err, 0);
	for (unsigned int i = 0; i < nr; i++)
		*view_at(l, mm, page + i) = (struct view){0};
}

static void step_protect(struct life *l)
{
	unsigned int mm = (unsigned int)below(l, FILES_MMS), nr = 1 + (unsigned int)below(l, 8);
	unsigned int page = (unsigned int)below(l, SPACE - nr);
	int prot = below(l, 2) ? RW : MM_PROT_READ, err = 0;

	for (unsigned int i = 0; i < nr; i++)
		if (!view_at(l, mm, page + i)->is_mapped)
			return;
	UNTIL_DONE(l, err, mm_protect(l->f.mms[mm], world_va(page), nr * PAGE_SIZE, prot));
	assert_int_equal(err, 0);
	for (unsigned int i = 0; i < nr; i++)
		view_at(l, mm, page + i)->prot = prot;
}

static void step_move(struct life *l)
{
	unsigned int mm = (unsigned int)below(l, FILES_MMS),
		     nr = 1 + (unsigned int)below(l, 10);
	unsigned int from = (unsigned int)below(l, SPACE / 2 - nr);
	unsigned int to = SPACE / 2 + (unsigned int)below(l, SPACE / 2 - nr);
	int err = 0;
	vaddr_t addr;

	for (unsigned int i = 0; i < nr; i++)
		if (!view_at(l, mm, from + i)->is_mapped)
			return;
	UNTIL_DONE(l, err,
		   mm_remap(l->f.mms[mm], world_va(from), nr * PAGE_SIZE, nr * PAGE_SIZE,
			    MM_MREMAP_MAYMOVE | MM_MREMAP_FIXED, world_va(to), &addr));
	assert_int_equal(err, 0);
	for (unsigned int i = 0; i < nr; i++) {
		*view_at(l, mm, to + i) = *view_at(l, mm, from + i);
		*view_at(l, mm, from + i) = (struct view){0};
	}
}

static void unlock_all(struct life *l, unsigned int mm)
{
	int err = 0;

	UNTIL_DONE(l, err, mm_munlockall(l->f.mms[mm]));
	assert_int_equal(err, 0);
}

static void step_advise(struct life *l)
{
	static const int advice[] = {MM_MADV_DONTNEED, MM_MADV_WILLNEED, MM_MADV_COLD,
				     MM_MADV_PAGEOUT,  MM_MADV_RANDOM,	 MM_MADV_SEQUENTIAL,
				     MM_MADV_NORMAL};
	unsigned int mm = (unsigned int)below(l, FILES_MMS),
		     nr = 1 + (unsigned int)below(l, 30);
	unsigned int page = (unsigned int)below(l, SPACE - nr);
	int what = advice[below(l, 7)], err = 0;

	unlock_all(l, mm); /* what is locked stays, and the call says so */
	UNTIL_DONE(l, err, mm_advise(l->f.mms[mm], world_va(page), nr * PAGE_SIZE, what));
	assert_true(err == 0 || err == -ENOMEM); /* a hole */
	for (unsigned int i = 0; i < nr && what == MM_MADV_DONTNEED; i++) {
		struct view *v = view_at(l, mm, page + i);

		v->has_copy = false;
		if (v->obj == OBJ_ANON)
			memset(v->copy, 0, sizeof(v->copy));
	}
}

/* Whole values at the places of a few pages. */
static void step_write(struct life *l)
{
	struct object *file = &l->objs[OBJ_FILE];
	uint64_t index = below(l, OBJ_PAGES - 1), place = below(l, PLACES);
	uint64_t at = index * PAGE_SIZE + place_at[place], value = rng_next(l->rng);
	int n = -EIO;

	for (int i = 0; i < RETRIES && n == -EIO; i++)
		n = files_write(&l->f, at, &value, 8);
	assert_int_equal(n, 8);
	file->values[index][place] = value;
	if (file->nr_bytes < at + 8)
		file->nr_bytes = at + 8;
	assert_int_equal(mm_file_size(l->f.file), file->nr_bytes);
}

static void step_read(struct life *l)
{
	const struct object *file = &l->objs[OBJ_FILE];
	uint64_t index = below(l, OBJ_PAGES), nr = 1 + below(l, 4);
	uint64_t at = index * PAGE_SIZE, buf[4 * 512];
	int n = -EIO, want = 0;

	if (at < file->nr_bytes)
		want = (int)(file->nr_bytes - at < nr * PAGE_SIZE ? file->nr_bytes - at
								  : nr * PAGE_SIZE);
	for (int i = 0; i < RETRIES && n < want; i++)
		n = files_read(&l->f, at, buf, nr * PAGE_SIZE);
	assert_int_equal(n, want);
	for (unsigned int p = 0; p < nr * PLACES; p++) {
		uint64_t byte = p / PLACES * PAGE_SIZE + place_at[p % PLACES];

		if (byte < (uint64_t)n)
			assert_int_equal(buf[byte / 8],
					 file->values[index + p / PLACES][p % PLACES]);
	}
}

static void step_truncate(struct life *l)
{
	struct object *file = &l->objs[OBJ_FILE];
	uint64_t size = below(l, OBJ_PAGES * 512) * 8;
	uint64_t end = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;

	assert_int_equal(files_truncate(&l->f, size), 0);
	file->nr_bytes = size;
	for (unsigned int i = 0; i < OBJ_PAGES * PLACES; i++)
		if (i / PLACES * PAGE_SIZE + place_at[i % PLACES] >= size)
			file->values[i / PLACES][i % PLACES] = 0;
	for (unsigned int i = 0; i < FILES_MMS * SPACE; i++)
		if (l->views[i / SPACE][i % SPACE].obj == OBJ_FILE &&
		    l->views[i / SPACE][i % SPACE].index >= end)
			l->views[i / SPACE][i % SPACE].has_copy = false;
}

static void step_sync(struct life *l)
{
	const struct object *file = &l->objs[OBJ_FILE];
	int err = -EIO;

	for (int i = 0; i < RETRIES && err == -EIO; i++)
		err = files_sync(&l->f);
	assert_int_equal(err, 0);
	if (l->f.w.sys->files.nr_dirty > 0)
		return; /* a write that failed and was told is still to come */
	assert_int_equal(filedev_slots_size(l->f.dev), file->nr_bytes);
}

static void step_fork(struct life *l)
{
	int err = 0;

	mm_destroy(l->f.mms[1]);
	UNTIL_DONE(l, err, mm_fork(l->f.mms[0], &l->f.mms[1]));
	assert_int_equal(err, 0);
	memcpy(l->views[1], l->views[0], sizeof(l->views[0]));
}

static void step_time(struct life *l)
{
	l->f.w.now_ns += below(l, 20) * SECOND;
	world_step(&l->f.w);
}

/* Locked private views would become copies at once: these are left out. */
static void step_lock(struct life *l)
{
	unsigned int mm = (unsigned int)below(l, FILES_MMS), nr = 1 + (unsigned int)below(l, 6);
	unsigned int page = (unsigned int)below(l, SPACE - nr);
	int err = 0;

	for (unsigned int i = 0; i < nr; i++) {
		const struct view *v = view_at(l, mm, page + i);

		if (!v->is_mapped || (v->is_private && v->obj != OBJ_ANON))
			return;
	}
	UNTIL_DONE(l, err, mm_mlock(l->f.mms[mm], world_va(page), nr * PAGE_SIZE, 0));
	/* The limit, a page beyond the end of the file, or one that cannot be read. */
	assert_true(err == 0 || err == -ENOMEM);
}

static void step_fail(struct life *l)
{
	l->f.w.sys->fail_alloc = 1 + below(l, 30);
}

static const struct {
	void (*run)(struct life *l);
	unsigned int weight;
} steps[] = {
	{step_touch, 40},  {step_map_file, 8}, {step_map_memory, 8}, {step_unmap, 4},
	{step_protect, 4}, {step_move, 4},     {step_advise, 6},     {step_write, 8},
	{step_read, 8},	   {step_truncate, 3}, {step_sync, 3},	     {step_fork, 2},
	{step_lock, 4},	   {step_time, 4},     {step_fail, 6},
};

static void step_any(struct life *l)
{
	uint64_t draw, total = 0;
	unsigned int i = 0;

	for (unsigned int k = 0; k < sizeof(steps) / sizeof(steps[0]); k++)
		total += steps[k].weight;
	for (draw = below(l, total); draw >= steps[i].weight; i++)
		draw -= steps[i].weight;
	steps[i].run(l);
}

static void live(const struct files_config *cfg)
{
	struct life *l = calloc(1, sizeof(*l));

	files_create(&l->f, cfg);
	l->rng = &l->f.w.rng;
	l->device_fails = cfg->nr_rules > 0;
	l->objs[OBJ_FILE].nr_bytes = cfg->nr_bytes;
	for (unsigned int i = 0; i < cfg->nr_bytes / PAGE_SIZE * PLACES; i++)
		l->objs[OBJ_FILE].values[i / PLACES][i % PLACES] =
			files_stamp(i / PLACES * PAGE_SIZE + place_at[i % PLACES]);
	for (unsigned int i = 0; i < STEPS; i++) {
		step_any(l);
		world_check(&l->f.w);
	}
	l->f.w.sys->fail_alloc = 0;
	files_destroy(&l->f);
	free(l);
}

static struct files_config config(unsigned int i)
{
	struct files_config cfg = FILES_CONFIG_DEFAULT;

	cfg.nr_bytes = 60 * PAGE_SIZE;
	cfg.max_pages = OBJ_PAGES + 1;
	cfg.world.nr_frames = 300;
	cfg.world.caps = i % 2 ? TELLS : 0;
	cfg.world.seed = test_seed() + i;
	cfg.world.policy = policy_at(i / 2 % 3);
	cfg.mode = cfg.world.mode = i % 4 < 2 ? SWAPDEV_MEM_RANDOM : SWAPDEV_MEM_SYNC;
	return cfg;
}

static void every_value_is_as_modelled(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		struct files_config cfg = config(i);

		live(&cfg);
	}
}

static void failing_devices_lose_nothing(void **state)
{
	static const struct swapdev_fault_rule rules[] = {
		{.fault = SWAPDEV_FAULT_ERROR,
		 .is_write = true,
		 .err = -EIO,
		 .nth = 3,
		 .every = 7},
		{.fault = SWAPDEV_FAULT_ERROR, .err = -EIO, .nth = 2, .every = 9},
		{.fault = SWAPDEV_FAULT_DELAY, .delay_polls = 3, .per_mille = 200},
	};

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct files_config cfg = config(i);

		cfg.rules = rules;
		cfg.nr_rules = 3;
		live(&cfg);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_value_is_as_modelled),
	cmocka_unit_test(failing_devices_lose_nothing),
};
TEST_MAIN(tests)
