/* SPDX-License-Identifier: MIT */
/*
 * Small objects, tightly packed in page frames: the idea of Linux's zsmalloc.
 *
 *   frame 0             frame 1             frame 2
 *   [head|  obj 0  |  obj 1  |  obj 2  |  obj 3  |  obj 4  |  obj 5  | tail]
 *
 * An object is of a size class. A class has groups of 1 to 8 frames, which need not be
 * neighbours; objects lie one after another and may go from one frame into the next, so what is
 * lost at the end of a group is little. The number of frames is the one that loses least.
 *
 * A group gets a frame when an object is put there, and gives it back when no object lies in it
 * any more; only the first, which has the head, stays until the last object goes. Objects are
 * put in at the lowest free place. So to store one more object takes at most two new frames,
 * nearly always one or none: an eviction that gives a frame back never costs more than it gives
 * for long, however little RAM and however many classes there are.
 *
 * Compaction moves objects from sparse groups into the holes of dense ones of the same class
 * until one group has all the holes, and then within that to its low end. Each object begins
 * with its owner's key, so that the owner can be told where it is now.
 *
 * Frames come in and go out through a list of spare ones, which the owner fills and empties.
 *
 * Invariants:
 *  1. A group is on the list that its fill says, and only there: FULL, DENSE from half on,
 *     SPARSE below; an empty group does not exist.
 *  2. used has a bit for each object; nr_used is their number; none at or beyond nr_objects.
 *  3. A group has frame n > 0 exactly while an object lies in it, and frame 0 always.
 *  4. The sums of the store are those of its groups; nr_bytes at most what they can hold.
 */
#include "swapdev/zstore.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/checked.h"

#define OBJECT_BITS 6 /* of a handle; the rest is the number of the group's first frame */
_Static_assert(ZSTORE_GROUP_OBJECTS == 1 << OBJECT_BITS, "a handle names each");

#define LOSS_PERCENT_MAX 8 /* compaction begins */
#define SIZE_STEP_MAX	 128
#define SIZE_STEP_BEST	 (1843 * 1843) /* see size_step() */
#define PICK_MAX	 8 /* groups that are looked at for a sparse or a dense one */

/* Lies at the start of its first frame. */
struct zgroup {
	uint32_t frames[ZSTORE_GROUP_FRAMES]; /* their numbers; 0: there is none */
	uint64_t used;
	uint32_t next, prev; /* groups on the same list; 0: none */
	uint16_t class;
	uint8_t nr_used;
	uint8_t list; /* enum zstore_list */
};

_Static_assert(sizeof(struct zgroup) % 8 == 0, "objects are aligned");

static struct zgroup *group_at(const struct zstore *store, uint32_t number)
{
	return (struct zgroup *)(store->ram + (uint64_t)number * PAGE_SIZE);
}

static uint32_t frame_number(const struct zstore *store, const void *frame)
{
	return (uint32_t)((uint64_t)((const char *)frame - store->ram) >> PAGE_SHIFT);
}

static uint32_t group_number(const struct zgroup *g)
{
	return g->frames[0];
}

void zstore_give_frame(struct zstore *store, void *frame)
{
	*(void **)frame = store->spare;
	store->spare = frame;
	store->nr_spare++;
}

void *zstore_take_frame(struct zstore *store)
{
	void *frame = store->spare;

	if (!frame)
		return NULL;
	store->spare = *(void **)frame;
	store->nr_spare--;
	return frame;
}

/* -- Classes -- */

static unsigned int objects_in(unsigned int nr_frames, unsigned int size)
{
	unsigned int room =
		nr_frames * (unsigned int)PAGE_SIZE - (unsigned int)sizeof(struct zgroup);

	return (unsigned int)min_u64(room / size, ZSTORE_GROUP_OBJECTS);
}

/* The number of frames that loses the smallest part of them; of equal ones the smallest. */
static unsigned int best_frames(unsigned int size)
{
	unsigned int best = 1;

	for (unsigned int n = 2; n <= ZSTORE_GROUP_FRAMES; n++)
		if (objects_in(n, size) * best > objects_in(best, size) * n)
			best = n;
	return best;
}

static struct zstore_class class_for(unsigned int size)
{
	unsigned int nr_frames = best_frames(size), nr = objects_in(nr_frames, size);
	unsigned int room =
		nr_frames * (unsigned int)PAGE_SIZE - (unsigned int)sizeof(struct zgroup);

	return (struct zstore_class){
		.size = (uint16_t)min_u64(align_down(room / nr, 8), ZSTORE_SIZE_MAX),
		.max_frames = (uint8_t)nr_frames,
		.nr_objects = (uint8_t)nr,
	};
}

/*
 * How far sizes of neighbouring classes lie apart, at least. Rounding up to a class loses half
 * of it an object, and each class loses half a frame to the group that is being filled; with
 * objects of 1100 bytes the sum is least at 1843 / sqrt(frames).
 */
static unsigned int size_step(uint64_t frames_max)
{
	unsigned int step = ZSTORE_SIZE_STEP;

	while (step < SIZE_STEP_MAX && frames_max * step * step < SIZE_STEP_BEST)
		step *= 2;
	return step;
}

/* A class serves all sizes for which as many objects go into as many frames. */
static void classes_init(struct zstore *store, unsigned int step)
{
	for (unsigned int i = ZSTORE_CLASSES_MAX - 1; i > 0; i--) {
		unsigned int size = (unsigned int)min_u64(
			max_u64(align_down(i * ZSTORE_SIZE_STEP + step - 1, step),
				ZSTORE_SIZE_MIN),
			ZSTORE_SIZE_MAX);
		struct zstore_class class = class_for(size);
		const struct zstore_class *last =
			store->nr_classes ? &store->classes[store->nr_classes - 1] : NULL;

		if (!last || last->max_frames != class.max_frames ||
		    last->nr_objects != class.nr_objects)
			store->classes[store->nr_classes++] = class;
		store->class_of[i] = (uint16_t)(store->nr_classes - 1);
	}
}

static struct zstore_class *class_of_size(struct zstore *store, unsigned int size)
{
	MM_ASSERT(size > 0 && size <= ZSTORE_SIZE_MAX);
	return &store->classes[store->class_of[(size + ZSTORE_SIZE_STEP - 1) /
					       ZSTORE_SIZE_STEP]];
}

/**
 * zstore_init() - an empty store without a frame.
 * @ram: address of the frame with the number 0, which is never given to the store; all frames
 *	that are lie after it, at most ZSTORE_FRAMES_MAX.
 * @frames_max: about how many it will have; see size_step().
 * @moved: compaction has moved the object of @key.
 */
void zstore_init(struct zstore *store, char *ram, uint64_t frames_max,
		 void (*moved)(void *arg, uint32_t key, uint32_t handle), void *arg)
{
	memset(store, 0, sizeof(*store));
	store->ram = ram;
	store->moved = moved;
	store->arg = arg;
	classes_init(store, size_step(frames_max));
}

/* -- Groups -- */

static void list_remove(struct zstore *store, struct zgroup *g)
{
	struct zstore_class *class = &store->classes[g->class];

	if (g->prev)
		group_at(store, g->prev)->next = g->next;
	else
		class->lists[g->list] = g->next;
	if (g->next)
		group_at(store, g->next)->prev = g->prev;
}

static void list_insert(struct zstore *store, struct zgroup *g, enum zstore_list list)
{
	struct zstore_class *class = &store->classes[g->class];

	g->list = (uint8_t)list;
	g->prev = 0;
	g->next = class->lists[list];
	if (g->next)
		group_at(store, g->next)->prev = group_number(g);
	class->lists[list] = group_number(g);
}

static enum zstore_list list_for(const struct zstore_class *class, const struct zgroup *g)
{
	if (g->nr_used == class->nr_objects)
		return ZSTORE_FULL;
	return g->nr_used * 2 >= class->nr_objects ? ZSTORE_DENSE : ZSTORE_SPARSE;
}

static void list_update(struct zstore *store, struct zgroup *g)
{
	enum zstore_list list = list_for(&store->classes[g->class], g);

	if (list == g->list)
		return;
	list_remove(store, g);
	list_insert(store, g, list);
}

static unsigned int object_start(const struct zstore_class *class, unsigned int i)
{
	return (unsigned int)sizeof(struct zgroup) + i * class->size;
}

/* The frames of a group that object i lies in: first to last. */
static unsigned int first_frame(const struct zstore_class *class, unsigned int i)
{
	return object_start(class, i) >> PAGE_SHIFT;
}

static unsigned int last_frame(const struct zstore_class *class, unsigned int i)
{
	return (object_start(class, i + 1) - 1) >> PAGE_SHIFT;
}

/* Those bits of used whose objects lie in frame n, in part or whole. */
static uint64_t objects_on(const struct zstore_class *class, unsigned int n)
{
	unsigned int start = n << PAGE_SHIFT, head = sizeof(struct zgroup);
	unsigned int low = start <= head ? 0 : (start - head) / class->size;
	unsigned int high = (start + (unsigned int)PAGE_SIZE - 1 - head) / class->size;

	if (high >= class->nr_objects)
		high = class->nr_objects - 1u;
	return (~0ull << low) & (~0ull >> (ZSTORE_GROUP_OBJECTS - 1 - high));
}

static void *frame_take(struct zstore *store, struct zstore_class *class)
{
	class->nr_frames++;
	store->nr_frames++;
	return zstore_take_frame(store);
}

static void frame_give(struct zstore *store, struct zstore_class *class, uint32_t number)
{
	class->nr_frames--;
	store->nr_frames--;
	zstore_give_frame(store, group_at(store, number));
}

static struct zgroup *group_create(struct zstore *store, struct zstore_class *class)
{
	struct zgroup *g = frame_take(store, class);

	memset(g, 0, sizeof(*g));
	g->frames[0] = frame_number(store, g);
	g->class = (uint16_t)(class - store->classes);
	list_insert(store, g, ZSTORE_SPARSE);
	class->nr_groups++;
	return g;
}

static void group_destroy(struct zstore *store, struct zgroup *g)
{
	struct zstore_class *class = &store->classes[g->class];

	list_remove(store, g);
	class->nr_groups--;
	frame_give(store, class, group_number(g));
}

/* The lowest free place of the densest group at hand; NULL: all are full. */
static struct zgroup *group_with_room(struct zstore *store, const struct zstore_class *class)
{
	uint32_t number = class->lists[ZSTORE_DENSE];

	if (!number)
		number = class->lists[ZSTORE_SPARSE];
	return number ? group_at(store, number) : NULL;
}

static unsigned int lowest_free(const struct zgroup *g)
{
	return (unsigned int)__builtin_ctzll(~g->used);
}

static unsigned int frames_missing(const struct zstore_class *class, const struct zgroup *g,
				   unsigned int i)
{
	unsigned int nr = 0;

	for (unsigned int n = first_frame(class, i); n <= last_frame(class, i); n++)
		nr += g->frames[n] == 0;
	return nr;
}

static char *byte_at(const struct zstore *store, const struct zgroup *g, unsigned int offset)
{
	return store->ram + (uint64_t)g->frames[offset >> PAGE_SHIFT] * PAGE_SIZE +
	       (offset & (PAGE_SIZE - 1));
}

/* The spare frames suffice. */
static uint32_t object_place(struct zstore *store, struct zgroup *g, uint32_t key)
{
	struct zstore_class *class = &store->classes[g->class];
	unsigned int i = lowest_free(g);
	uint32_t handle = group_number(g) << OBJECT_BITS | i;

	for (unsigned int n = first_frame(class, i); n <= last_frame(class, i); n++)
		if (!g->frames[n])
			g->frames[n] = frame_number(store, frame_take(store, class));
	g->used |= 1ull << i;
	g->nr_used++;
	class->nr_used++;
	list_update(store, g);
	*(uint32_t *)byte_at(store, g, object_start(class, i)) = key;
	return handle;
}

static void object_remove(struct zstore *store, struct zgroup *g, unsigned int i)
{
	struct zstore_class *class = &store->classes[g->class];

	MM_ASSERT(g->used & 1ull << i);
	g->used &= ~(1ull << i);
	g->nr_used--;
	class->nr_used--;
	for (unsigned int n = last_frame(class, i); n > 0 && n >= first_frame(class, i); n--) {
		if (g->used & objects_on(class, n))
			continue;
		frame_give(store, class, g->frames[n]);
		g->frames[n] = 0;
	}
	if (g->nr_used == 0)
		group_destroy(store, g);
	else
		list_update(store, g);
}

/**
 * zstore_alloc() - a place for an object.
 * @key: its owner's name for it.
 * @size: bytes, at most ZSTORE_SIZE_MAX; the first ZSTORE_KEY_BYTES are the store's.
 *
 * Return: 0; -ENOMEM if it takes more frames than are spare (two suffice).
 */
int zstore_alloc(struct zstore *store, uint32_t key, unsigned int size, uint32_t *ret_handle)
{
	struct zstore_class *class = class_of_size(store, size);
	struct zgroup *g = group_with_room(store, class);
	unsigned int missing = g ? frames_missing(class, g, lowest_free(g)) : 1;

	if (missing > store->nr_spare)
		return -ENOMEM;
	if (!g)
		g = group_create(store, class);
	*ret_handle = object_place(store, g, key);
	store->nr_objects++;
	store->nr_bytes += size;
	return 0;
}

static struct zgroup *handle_group(const struct zstore *store, uint32_t handle)
{
	return group_at(store, handle >> OBJECT_BITS);
}

static unsigned int handle_object(uint32_t handle)
{
	return handle & (ZSTORE_GROUP_OBJECTS - 1);
}

/**
 * zstore_free() - the object is not wanted any more; what was its alone becomes spare.
 * @size: as it was asked for.
 */
void zstore_free(struct zstore *store, uint32_t handle, unsigned int size)
{
	object_remove(store, handle_group(store, handle), handle_object(handle));
	store->nr_objects--;
	store->nr_bytes -= size;
}

/* The owner's part of an object, piece by piece: at most two. */
static unsigned int piece_at(const struct zstore *store, uint32_t handle, unsigned int done,
			     unsigned int size, char **ret_bytes)
{
	const struct zgroup *g = handle_group(store, handle);
	unsigned int start = object_start(&store->classes[g->class], handle_object(handle)) +
			     ZSTORE_KEY_BYTES + done;

	*ret_bytes = byte_at(store, g, start);
	return (unsigned int)min_u64(size - done, PAGE_SIZE - (start & (PAGE_SIZE - 1)));
}

static void write_at(struct zstore *store, uint32_t handle, unsigned int at, const char *from,
		     unsigned int size)
{
	unsigned int len;
	char *bytes;

	for (unsigned int done = 0; done < size; done += len) {
		len = piece_at(store, handle, at + done, at + size, &bytes);
		memcpy(bytes, from + done, len);
	}
}

/**
 * zstore_write() - fill an object.
 * @size: of what follows the key: at most what was asked for less ZSTORE_KEY_BYTES.
 */
void zstore_write(struct zstore *store, uint32_t handle, const void *from, unsigned int size)
{
	write_at(store, handle, 0, from, size);
}

/**
 * zstore_key() - whose the object is.
 */
uint32_t zstore_key(const struct zstore *store, uint32_t handle)
{
	const struct zgroup *g = handle_group(store, handle);

	return *(uint32_t *)byte_at(
		store, g, object_start(&store->classes[g->class], handle_object(handle)));
}

/**
 * zstore_read() - the start of what was written.
 */
void zstore_read(const struct zstore *store, uint32_t handle, void *to, unsigned int size)
{
	unsigned int len;
	char *bytes;

	for (unsigned int done = 0; done < size; done += len) {
		len = piece_at(store, handle, done, size, &bytes);
		memcpy((char *)to + done, bytes, len);
	}
}

/* -- Compaction -- */

/* Of the first few on a list the one with the most or the fewest objects, but not except. */
static struct zgroup *pick_group(const struct zstore *store, uint32_t number, bool is_dense,
				 const struct zgroup *except)
{
	struct zgroup *best = NULL;

	for (unsigned int i = 0; number && i < PICK_MAX; i++) {
		struct zgroup *g = group_at(store, number);

		number = g->next;
		if (g == except)
			continue;
		if (!best ||
		    (is_dense ? g->nr_used > best->nr_used : g->nr_used < best->nr_used))
			best = g;
	}
	return best;
}

static struct zgroup *pick_source(const struct zstore *store, const struct zstore_class *class)
{
	uint32_t sparse = class->lists[ZSTORE_SPARSE];

	return pick_group(store, sparse ? sparse : class->lists[ZSTORE_DENSE], false, NULL);
}

static struct zgroup *pick_target(const struct zstore *store, const struct zstore_class *class,
				  const struct zgroup *source)
{
	struct zgroup *g = pick_group(store, class->lists[ZSTORE_DENSE], true, source);

	return g ? g : pick_group(store, class->lists[ZSTORE_SPARSE], true, source);
}

/* Has the class more frames than its objects need, packed as tightly as can be? */
static bool class_is_loose(const struct zstore_class *class)
{
	uint64_t nr_whole = class->nr_used / class->nr_objects;
	unsigned int rest = (unsigned int)(class->nr_used % class->nr_objects);
	uint64_t needed = nr_whole * class->max_frames;

	if (rest > 0)
		needed += last_frame(class, rest - 1) + 1u;
	return class->nr_frames > needed;
}

static void object_copy(struct zstore *store, const struct zgroup *from, unsigned int i,
			struct zgroup *to)
{
	struct zstore_class *class = &store->classes[from->class];
	uint32_t key = *(uint32_t *)byte_at(store, from, object_start(class, i));
	unsigned int size = class->size - ZSTORE_KEY_BYTES;
	uint32_t old = group_number(from) << OBJECT_BITS | i;
	uint32_t handle = object_place(store, to, key);
	char *bytes;

	for (unsigned int done = 0, len; done < size; done += len) {
		len = piece_at(store, old, done, size, &bytes);
		write_at(store, handle, done, bytes, len);
	}
	store->moved(store->arg, key, handle);
}

/*
 * Moves the last object of a sparse group into a dense one; or where only one group has holes,
 * into its lowest. False: nothing is to be won, or it takes more frames than are spare.
 */
static bool class_compact(struct zstore *store, struct zstore_class *class)
{
	struct zgroup *source, *target;
	unsigned int i;

	if (!class_is_loose(class))
		return false;
	source = pick_source(store, class);
	target = source ? pick_target(store, class, source) : NULL;
	if (!target)
		target = source;
	if (!target || frames_missing(class, target, lowest_free(target)) > store->nr_spare)
		return false;
	i = ZSTORE_GROUP_OBJECTS - 1 - (unsigned int)__builtin_clzll(source->used);
	if (source == target && lowest_free(target) > i)
		return false;
	object_copy(store, source, i, target);
	object_remove(store, source, i);
	store->nr_moved++;
	return true;
}

/**
 * zstore_compact() - move objects together, so that frames become spare.
 * @moves_max: objects at most.
 *
 * Return: how many were moved; fewer than @moves_max: nothing more is to be won.
 */
unsigned int zstore_compact(struct zstore *store, unsigned int moves_max)
{
	unsigned int moves = 0;

	for (unsigned int tried = 0; tried < store->nr_classes && moves < moves_max; tried++) {
		struct zstore_class *class = &store->classes[store->next_class];

		while (moves < moves_max && class_compact(store, class))
			moves++;
		if (moves < moves_max)
			store->next_class = (store->next_class + 1) % store->nr_classes;
	}
	return moves;
}

/**
 * zstore_is_loose() - is more lost than LOSS_PERCENT_MAX of the frames?
 *
 * A few frames are always lost to groups that are being filled, two a class.
 */
bool zstore_is_loose(const struct zstore *store)
{
	uint64_t room = store->nr_frames * PAGE_SIZE;

	return store->nr_frames > 2 * store->nr_classes &&
	       (room - store->nr_bytes) * 100 > room * LOSS_PERCENT_MAX;
}

/* -- Check -- */

static int check_group(const struct zstore *store, const struct zstore_class *class,
		       uint32_t number, unsigned int list, uint64_t *ret_frames)
{
	const struct zgroup *g = group_at(store, number);

	CHECK(group_number(g) == number && &store->classes[g->class] == class);
	CHECK(g->nr_used > 0 &&
	      g->nr_used == (unsigned int)__builtin_popcountll(g->used)); /* 2 */
	CHECK(class->nr_objects == ZSTORE_GROUP_OBJECTS || g->used >> class->nr_objects == 0);
	CHECK(g->list == list && list_for(class, g) == list); /* 1 */
	CHECK(!g->next || group_at(store, g->next)->prev == number);
	for (unsigned int n = 1; n < ZSTORE_GROUP_FRAMES; n++) {
		bool is_needed = n < class->max_frames && (g->used & objects_on(class, n));

		CHECK((g->frames[n] != 0) == is_needed); /* 3 */
	}
	for (unsigned int n = 0; n < ZSTORE_GROUP_FRAMES; n++)
		*ret_frames += g->frames[n] != 0;
	return 0;
}

static int check_class(const struct zstore *store, const struct zstore_class *class,
		       uint64_t *ret_frames, uint64_t *ret_objects)
{
	uint64_t nr_groups = 0, nr_used = 0, nr_others = *ret_frames;

	for (unsigned int list = 0; list < NR_ZSTORE_LISTS; list++) {
		for (uint32_t n = class->lists[list]; n; n = group_at(store, n)->next) {
			CHECK(++nr_groups <= class->nr_groups);
			CHECK(check_group(store, class, n, list, ret_frames) == 0);
			nr_used += group_at(store, n)->nr_used;
		}
	}
	CHECK(nr_groups == class->nr_groups && nr_used == class->nr_used); /* 4 */
	CHECK(class->nr_frames == *ret_frames - nr_others);
	*ret_objects += nr_used;
	return 0;
}

/**
 * zstore_check() - walk invariants 1 to 4.
 * Return: 0 or -EUCLEAN.
 */
int zstore_check(const struct zstore *store)
{
	uint64_t nr_frames = 0, nr_objects = 0, nr_spare = 0;

	for (unsigned int i = 0; i < store->nr_classes; i++)
		CHECK(check_class(store, &store->classes[i], &nr_frames, &nr_objects) == 0);
	CHECK(nr_frames == store->nr_frames && nr_objects == store->nr_objects);
	CHECK(store->nr_bytes <= nr_frames * PAGE_SIZE);
	for (const void *frame = store->spare; frame; frame = *(void *const *)frame)
		CHECK(++nr_spare <= store->nr_spare);
	CHECK(nr_spare == store->nr_spare);
	return 0;
}
