/* SPDX-License-Identifier: MIT */
/*
 * Inside swapdev/zram: the tier, and its fronts.
 *
 * Locks: z zram->lock   (c) set at create, or by set_frames()
 */
#ifndef SWAPDEV_ZRAM_INTERNAL_H
#define SWAPDEV_ZRAM_INTERNAL_H

#include "base/lock.h"
#include "swapdev/zram.h"
#include "swapdev/zstore.h"

#define ZRAM_DONE_MAX	   1024
#define ZRAM_SUBMITTED_MAX 512	/* of these; the rest is for what comes from behind */
#define ZRAM_PASSED_MAX	   1024 /* I/Os with the device behind */
#define ZRAM_STATES_MAX	   8
#define ZRAM_WRITES_MAX	   32 /* pages that are written back at a time */
#define ZRAM_KEY_NONE	   0  /* slot 0 of the first front is a header */
#define ZRAM_SPARE_MAX	   16 /* frames that are kept at hand */
#define ZRAM_REFILL	   4  /* frames that are taken at a time */

enum zslot_state {
	ZSLOT_NONE, /* not here: behind, or nowhere */
	ZSLOT_SAME, /* word[0] over and over */
	ZSLOT_OBJECT,
};

/*
 * One slot. A frame has those of a cluster.
 *
 *   NONE --write--> SAME, OBJECT --free, written back--> NONE
 *
 * is_writing: its content as of some time ago is on its way to the device behind, so nobody
 * else may write there. is_stale: that content is not the slot's any more.
 */
struct zslot {
	uint32_t handle; /* OBJECT */
	uint16_t size;	 /* OBJECT: of the packed page */
	uint8_t state;	 /* enum zslot_state */
	bool is_writing : 1;
	bool is_stale : 1;
	bool is_on_lru : 1;
	union {
		uint64_t word; /* SAME */
		struct {
			uint32_t older, newer; /* OBJECT, on the LRU list: keys */
		};
	};
};

_Static_assert(sizeof(struct zslot) * SWAP_CLUSTER_SLOTS == PAGE_SIZE, "a frame a cluster");

struct zcluster {
	struct zslot *slots; /* NULL: all are NONE, and none is being written */
	uint16_t nr_used;    /* not NONE, or is_writing */
	uint16_t nr_writing;
	bool is_put; /* the device behind gets it back when nothing is being written */
};

struct zram_state {
	bool is_taken; /* atomic */
	void *memory;  /* (c) once it is not NULL: the packed page, then the codec's */
};

struct zram_front {
	struct swapdev dev;
	struct zram *zram;	 /* (c) */
	struct swapdev *behind;	 /* (c) NULL: there is none */
	uint32_t base;		 /* (c) key of slot 0 */
	uint32_t oldest, newest; /* z: keys: the LRU list of objects */

	unsigned int done_first, nr_done, nr_promised; /* z: promised: places of done[] */
	struct swapdev_io done[ZRAM_DONE_MAX];	       /* z: a ring */

	unsigned int nr_passed; /* z */
	uint32_t passed_free;	/* z: index of the first free, ZRAM_PASSED_MAX: none */
	struct swapdev_io passed[ZRAM_PASSED_MAX]; /* z: the caller's; free: slot is the next */

	unsigned int nr_writes;		      /* z: pages being written back */
	unsigned int pause;		      /* z: batches to let pass, after an error */
	uint32_t write_keys[ZRAM_WRITES_MAX]; /* z */
	void *write_pages[ZRAM_WRITES_MAX];   /* (c) */
	unsigned int nr_write_pages;	      /* (c) */
	uint64_t next_cluster;		      /* z: where to look for same-filled pages */
};

/* What the reads since the last change of the limit say (zram_share.c). */
struct zram_balance {
	uint32_t nr, lost, gained, missed;
};

struct zram {
	struct mm_lock lock;
	enum zcodec_kind codec;	      /* (c) */
	struct swapdev_frames frames; /* (c); ram is NULL until set_frames() */
	uint64_t frames_max;	      /* (c) the share */
	uint64_t frames_first;	      /* (c) the limit, at first, with a device behind */
	uint64_t frames_limit;	      /* z: of it, just now; momentary looks without */
	struct zram_balance balance;  /* z */
	bool has_behind;	      /* (c) a front has */
	uint64_t nr_frames;	      /* z: of the manager's, for whatever */
	uint64_t nr_blocks;	      /* z: of these, not the store's and not tables */
	struct zstore store;	      /* z */
	struct zcluster *clusters;    /* z: by key / SWAP_CLUSTER_SLOTS; grows with fronts */
	uint64_t nr_clusters;	      /* (c) */
	uint64_t nr_given;	      /* of these, to fronts (c) */
	struct swapdev_stats stats;   /* z: but nr_frames and stored_bytes */
	struct zram_state states[ZRAM_STATES_MAX];
	struct zram_front *fronts[ZRAM_FRONTS_MAX]; /* (c) */
	unsigned int nr_fronts;			    /* (c) */
};

static inline struct zcluster *zram_cluster(const struct zram *z, uint32_t key)
{
	return &z->clusters[key / SWAP_CLUSTER_SLOTS];
}

/* Of a state: the packed page, and the codec's own after it. */
#define ZRAM_PACKED_BYTES ((sizeof(struct zcodec_packed) + 63) & ~(size_t)63)

static inline struct zcodec_packed *zram_state_packed(const struct zram_state *state)
{
	return state->memory;
}

static inline void *zram_state_codec(const struct zram_state *state)
{
	return (char *)state->memory + ZRAM_PACKED_BYTES;
}

/* NULL: the slot is NONE. */
static inline struct zslot *zram_slot(const struct zram *z, uint32_t key)
{
	struct zcluster *c = zram_cluster(z, key);

	return c->slots ? &c->slots[key % SWAP_CLUSTER_SLOTS] : NULL;
}

static inline uint32_t front_key(const struct zram_front *front, uint64_t slot)
{
	return front->base + (uint32_t)slot;
}

/* zram_table.c */
int zram_slot_ensure(struct zram *z, uint32_t key, struct zslot **ret_slot);
void zram_slot_settle(struct zram *z, uint32_t key);
void zram_drop(struct zram_front *front, uint32_t key);
int zram_put_word(struct zram_front *front, uint32_t key, uint64_t word);
int zram_put_packed(struct zram_front *front, uint32_t key, const struct zcodec_packed *packed,
		    unsigned int size);
void zram_moved(void *arg, uint32_t key, uint32_t handle);
void zram_lru_add(struct zram_front *front, uint32_t key, struct zslot *slot);
void zram_lru_remove(struct zram_front *front, struct zslot *slot);
void zram_writing_begin(struct zram_front *front, uint32_t key, struct zslot *slot);
void zram_writing_end(struct zram_front *front, uint32_t key, bool is_written);
int zram_table_check(const struct zram *z);

/* zram_frames.c */
int zram_refill(struct zram *z);
void zram_trim(struct zram *z);
struct zram_state *zram_state_take(struct zram *z);
void zram_state_release(struct zram_state *state);
unsigned int zram_spare_take(struct zram *z, void **ret_frames, unsigned int max);
int zram_block_take(struct zram *z, unsigned int order, void **ret_block);
void zram_block_give(struct zram *z, unsigned int order, void *block);

/* zram_share.c */
void zram_refault(struct swapdev *dev, uint64_t slot, uint64_t distance);
bool zram_squeeze(struct swapdev *dev);

/* zram_io.c */
unsigned int zram_submit(struct swapdev *dev, const struct swapdev_io *ios, unsigned int nr);
unsigned int zram_poll(struct swapdev *dev, struct swapdev_io *ret_done, unsigned int max);
int zram_fetch(struct zram *z, uint32_t key, void *page);

/* zram_writeback.c */
void zram_write_back(struct zram_front *front);
void zram_written_back(struct zram_front *front, const struct swapdev_io *io);
bool zram_cluster_get(struct swapdev *dev, uint64_t cluster);
void zram_cluster_put(struct swapdev *dev, uint64_t cluster);
bool zram_cluster_is_exclusive(struct swapdev *dev, uint64_t cluster);

#define ZRAM_WRITE_COOKIE ((uint64_t)1 << 63) /* to the device behind: not passed, ours */

#endif
