/* SPDX-License-Identifier: MIT */
/*
 * Small objects, tightly packed in page frames (zstore.c).
 */
#ifndef SWAPDEV_ZSTORE_H
#define SWAPDEV_ZSTORE_H

#include "ration/types.h"

#define ZSTORE_GROUP_FRAMES  8	/* Linux's CONFIG_ZSMALLOC_CHAIN_SIZE */
#define ZSTORE_GROUP_OBJECTS 64 /* bits of a map */
#define ZSTORE_KEY_BYTES     4
#define ZSTORE_SIZE_STEP     8 /* the finest */
#define ZSTORE_SIZE_MIN	     64
#define ZSTORE_SIZE_MAX	     3088 /* 3/4 of a page, and a header; less than a frame in any case */
#define ZSTORE_CLASSES_MAX   (ZSTORE_SIZE_MAX / ZSTORE_SIZE_STEP + 1)
#define ZSTORE_NONE	     0			 /* no handle: frame 0 is never an object's */
#define ZSTORE_FRAMES_MAX    ((uint64_t)1 << 26) /* what a handle can name: 256 GiB */

/* Groups of one class, by how full they are. */
enum zstore_list { ZSTORE_FULL, ZSTORE_DENSE, ZSTORE_SPARSE, NR_ZSTORE_LISTS };

struct zstore_class {
	uint16_t size;	    /* bytes of an object, a multiple of 8 (c) */
	uint8_t max_frames; /* of a whole group (c) */
	uint8_t nr_objects; /* in a whole group (c) */
	uint32_t nr_groups;
	uint64_t nr_used;		 /* objects */
	uint64_t nr_frames;		 /* of all groups */
	uint32_t lists[NR_ZSTORE_LISTS]; /* number of the first group's first frame; 0: none */
};

/* Context for all: the owner's lock held. */
struct zstore {
	char *ram; /* of frame 0 (c) */
	/* An object has another handle now. */
	void (*moved)(void *arg, uint32_t key, uint32_t handle); /* (c) */
	void *arg;						 /* (c) */
	uint64_t nr_frames;					 /* in groups */
	uint64_t nr_objects;
	uint64_t nr_bytes; /* as asked for, headers included */
	uint64_t nr_moved;
	void *spare; /* frames that are free, linked through their first word */
	unsigned int nr_spare;
	unsigned int nr_classes; /* (c) */
	unsigned int next_class; /* the one that compaction looks at next */
	struct zstore_class classes[ZSTORE_CLASSES_MAX];
	uint16_t class_of[ZSTORE_CLASSES_MAX]; /* by size / ZSTORE_SIZE_STEP, rounded up (c) */
};

void zstore_init(struct zstore *store, char *ram, uint64_t frames_max,
		 void (*moved)(void *arg, uint32_t key, uint32_t handle), void *arg);
int zstore_alloc(struct zstore *store, uint32_t key, unsigned int size, uint32_t *ret_handle);
void zstore_free(struct zstore *store, uint32_t handle, unsigned int size);
void zstore_write(struct zstore *store, uint32_t handle, const void *from, unsigned int size);
uint32_t zstore_key(const struct zstore *store, uint32_t handle);
void zstore_read(const struct zstore *store, uint32_t handle, void *to, unsigned int size);
unsigned int zstore_compact(struct zstore *store, unsigned int moves_max);
bool zstore_is_loose(const struct zstore *store);
int zstore_check(const struct zstore *store);

void zstore_give_frame(struct zstore *store, void *frame);
void *zstore_take_frame(struct zstore *store); /* NULL: there is no spare one */

#endif
