/* SPDX-License-Identifier: MIT */
/*
 * A swap device with bad days.
 *
 * I/Os are counted, reads and writes apart, and each is held against the rules in their order;
 * the first that hits decides. What is not to fail at once goes to the inner device under the
 * number of its entry here, and is given its fate when it comes back.
 *
 * With one thread the same calls and seed give the same faults. The lock is not held while the
 * inner device is called: both have the same rank.
 *
 * Invariants:
 *  1. An entry is in one place: free, with the inner device, delayed, or ready.
 *  2. An I/O that the inner device did not take was never counted.
 */
#include "swapdev/faulty.h"

#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/lock.h"
#include "swapdev/common.h"

#define ENTRIES_MAX 256
#define POLL_BATCH  32
#define JUNK	    0xdb
#define HALF_PAGE   (PAGE_SIZE / 2)

struct entry {
	struct list_head link;		       /* free, delayed or ready */
	struct swapdev_io io;		       /* the caller's */
	const struct swapdev_fault_rule *rule; /* NULL: all goes well */
	unsigned int nr_polls;		       /* delayed: to go */
};

/* Locks: d lock, (c) set at create */
struct faulty_dev {
	struct swapdev dev;    /* (c) */
	struct swapdev *inner; /* (c) */
	struct mm_lock lock;
	uint64_t random;					   /* d */
	uint64_t count[2];					   /* d: reads, writes */
	uint64_t nr_hits;					   /* d */
	unsigned int nr_rules;					   /* d */
	struct swapdev_fault_rule rules[SWAPDEV_FAULTY_RULES_MAX]; /* d */
	struct list_head free, delayed, ready;			   /* d */
	struct entry entries[ENTRIES_MAX];			   /* d */
	uint8_t (*scratch)[PAGE_SIZE]; /* a page an entry: what a short write leaves (c) */
};

#define STATE_BYTES \
	(((sizeof(struct faulty_dev) + PAGE_SIZE - 1) & PAGE_MASK) + ENTRIES_MAX * PAGE_SIZE)

static struct faulty_dev *faulty_of(struct swapdev *dev)
{
	return container_of(dev, struct faulty_dev, dev);
}

static bool rule_hits(struct faulty_dev *faulty, const struct swapdev_fault_rule *rule,
		      uint64_t count)
{
	if (rule->nth != 0 && count == rule->nth)
		return true;
	if (rule->nth != 0 && rule->every != 0 && count > rule->nth &&
	    (count - rule->nth) % rule->every == 0)
		return true;
	return rule->per_mille != 0 && random_next(&faulty->random) % 1000 < rule->per_mille;
}

static const struct swapdev_fault_rule *choose_rule(struct faulty_dev *faulty, bool is_write)
{
	uint64_t count = ++faulty->count[is_write];

	for (unsigned int i = 0; i < faulty->nr_rules; i++) {
		const struct swapdev_fault_rule *rule = &faulty->rules[i];

		if (rule->is_write != is_write || !rule_hits(faulty, rule, count))
			continue;
		faulty->nr_hits++;
		return rule;
	}
	return NULL;
}

static bool rule_is(const struct swapdev_fault_rule *rule, enum swapdev_fault fault)
{
	return rule && rule->fault == fault;
}

static void entry_move(struct entry *entry, struct list_head *to)
{
	list_del(&entry->link);
	list_add_tail(&entry->link, to);
}

/* Return: an entry for io with its fate chosen, in no list; NULL if all are in use. */
static struct entry *entry_get(struct faulty_dev *faulty, const struct swapdev_io *io)
{
	struct entry *entry;

	if (list_is_empty(&faulty->free))
		return NULL;
	entry = list_entry(faulty->free.next, struct entry, link);
	list_del(&entry->link);
	entry->io = *io;
	entry->rule = choose_rule(faulty, io->is_write);
	return entry;
}

static void entry_undo(struct faulty_dev *faulty, struct entry *entry)
{
	faulty->count[entry->io.is_write]--;
	faulty->nr_hits -= entry->rule != NULL;
	list_add(&entry->link, &faulty->free);
}

static bool inner_take(struct faulty_dev *faulty, struct entry *entry)
{
	unsigned int i = (unsigned int)(entry - faulty->entries);
	struct swapdev_io io = entry->io;

	io.cookie = i;
	if (rule_is(entry->rule, SWAPDEV_FAULT_SHORT) && io.is_write) {
		memcpy(faulty->scratch[i], io.page, HALF_PAGE);
		memset(faulty->scratch[i] + HALF_PAGE, JUNK, HALF_PAGE);
		io.page = faulty->scratch[i];
	}
	return faulty->inner->ops->submit(faulty->inner, &io, 1) == 1;
}

static bool submit_one(struct faulty_dev *faulty, const struct swapdev_io *io)
{
	struct entry *entry;
	bool fails, taken;

	mm_lock_acquire(&faulty->lock);
	entry = entry_get(faulty, io);
	fails = entry && rule_is(entry->rule, SWAPDEV_FAULT_ERROR);
	if (fails) {
		entry->io.err = entry->rule->err;
		list_add_tail(&entry->link, &faulty->ready);
	}
	mm_lock_release(&faulty->lock);
	if (!entry || fails)
		return entry != NULL;
	taken = inner_take(faulty, entry);
	if (taken)
		return true;
	mm_lock_acquire(&faulty->lock);
	entry_undo(faulty, entry);
	mm_lock_release(&faulty->lock);
	return false;
}

static unsigned int faulty_submit(struct swapdev *dev, const struct swapdev_io *ios,
				  unsigned int nr)
{
	unsigned int taken = 0;

	while (taken < nr && submit_one(faulty_of(dev), &ios[taken]))
		taken++;
	return taken;
}

/* The inner device is through with an entry. */
static void entry_came_back(struct faulty_dev *faulty, struct entry *entry, int err)
{
	entry->io.err = err;
	if (rule_is(entry->rule, SWAPDEV_FAULT_SHORT) && err == 0) {
		entry->io.err = -EIO;
		if (!entry->io.is_write)
			memset((char *)entry->io.page + HALF_PAGE, JUNK, HALF_PAGE);
	}
	if (rule_is(entry->rule, SWAPDEV_FAULT_DELAY)) {
		entry->nr_polls = entry->rule->delay_polls;
		list_add_tail(&entry->link, &faulty->delayed);
		return;
	}
	list_add_tail(&entry->link, &faulty->ready);
}

static void poll_inner(struct faulty_dev *faulty)
{
	struct swapdev_io done[POLL_BATCH];
	unsigned int nr = POLL_BATCH;

	for (int i = 0; i < ENTRIES_MAX / POLL_BATCH && nr == POLL_BATCH; i++) {
		nr = faulty->inner->ops->poll(faulty->inner, done, POLL_BATCH);
		mm_lock_acquire(&faulty->lock);
		for (unsigned int j = 0; j < nr; j++) {
			MM_ASSERT(done[j].cookie < ENTRIES_MAX);
			entry_came_back(faulty, &faulty->entries[done[j].cookie], done[j].err);
		}
		mm_lock_release(&faulty->lock);
	}
}

static unsigned int give_out(struct faulty_dev *faulty, struct swapdev_io *ret_done,
			     unsigned int max)
{
	struct entry *entry, *next;
	unsigned int nr = 0;

	list_for_each_entry_safe (entry, next, &faulty->delayed, link)
		if (entry->nr_polls-- == 0)
			entry_move(entry, &faulty->ready);
	list_for_each_entry_safe (entry, next, &faulty->ready, link) {
		if (nr == max)
			break;
		ret_done[nr++] = entry->io;
		entry_move(entry, &faulty->free);
	}
	return nr;
}

static unsigned int faulty_poll(struct swapdev *dev, struct swapdev_io *ret_done,
				unsigned int max)
{
	struct faulty_dev *faulty = faulty_of(dev);
	unsigned int nr;

	poll_inner(faulty);
	mm_lock_acquire(&faulty->lock);
	nr = give_out(faulty, ret_done, max);
	mm_lock_release(&faulty->lock);
	return nr;
}

static bool faulty_cluster_get(struct swapdev *dev, uint64_t cluster)
{
	struct swapdev *inner = faulty_of(dev)->inner;

	return inner->ops->cluster_get(inner, cluster);
}

static void faulty_cluster_put(struct swapdev *dev, uint64_t cluster)
{
	struct swapdev *inner = faulty_of(dev)->inner;

	inner->ops->cluster_put(inner, cluster);
}

static bool faulty_cluster_is_exclusive(struct swapdev *dev, uint64_t cluster)
{
	struct swapdev *inner = faulty_of(dev)->inner;

	return inner->ops->cluster_is_exclusive(inner, cluster);
}

static void faulty_close(struct swapdev *dev)
{
	struct faulty_dev *faulty = faulty_of(dev);

	faulty->inner->ops->close(faulty->inner);
	state_unmap(faulty, STATE_BYTES);
}

static const struct swapdev_ops faulty_ops = {
	.name = "faulty",
	.submit = faulty_submit,
	.poll = faulty_poll,
	.close = faulty_close,
};

static const struct swapdev_ops faulty_shared_ops = {
	.name = "faulty",
	.submit = faulty_submit,
	.poll = faulty_poll,
	.cluster_get = faulty_cluster_get,
	.cluster_put = faulty_cluster_put,
	.cluster_is_exclusive = faulty_cluster_is_exclusive,
	.close = faulty_close,
};

static void init_state(struct faulty_dev *faulty, struct swapdev *inner)
{
	faulty->inner = inner;
	faulty->dev = (struct swapdev){
		.ops = inner->ops->cluster_get ? &faulty_shared_ops : &faulty_ops,
		.nr_slots = inner->nr_slots,
		.name = inner->name,
		.bad_slots = inner->bad_slots,
		.nr_bad_slots = inner->nr_bad_slots,
	};
	mm_lock_init(&faulty->lock, LOCK_RANK_SWAPDEV);
	faulty->scratch = (void *)((char *)faulty + STATE_BYTES - ENTRIES_MAX * PAGE_SIZE);
	list_init(&faulty->free);
	list_init(&faulty->delayed);
	list_init(&faulty->ready);
	for (int i = 0; i < ENTRIES_MAX; i++)
		list_add_tail(&faulty->entries[i].link, &faulty->free);
}

/**
 * swapdev_faulty_create() - wrap a device.
 * @cfg: see faulty.h; the rules are copied.
 * @ret_dev: the wrapper; it closes the inner device at its own close.
 *
 * Return: 0, -EINVAL (too many rules), -ENOMEM; on failure the inner device is the caller's.
 */
int swapdev_faulty_create(const struct swapdev_faulty_config *cfg, struct swapdev **ret_dev)
{
	struct faulty_dev *faulty;
	void *mapped;
	int err;

	if (cfg->nr_rules > SWAPDEV_FAULTY_RULES_MAX)
		return -EINVAL;
	err = state_map(STATE_BYTES, &mapped);
	if (err)
		return err;
	faulty = mapped;
	init_state(faulty, cfg->inner);
	faulty->random = cfg->seed;
	swapdev_faulty_set_rules(&faulty->dev, cfg->rules, cfg->nr_rules);
	*ret_dev = &faulty->dev;
	return 0;
}

/**
 * swapdev_faulty_set_rules() - other faults from now on; counting starts anew.
 * @dev: from swapdev_faulty_create(), with no I/O in flight.
 * @rules: copied.
 * @nr_rules: 0: nothing fails any more.
 *
 * Return: 0, -EINVAL (too many rules).
 */
int swapdev_faulty_set_rules(struct swapdev *dev, const struct swapdev_fault_rule *rules,
			     unsigned int nr_rules)
{
	struct faulty_dev *faulty = faulty_of(dev);

	if (nr_rules > SWAPDEV_FAULTY_RULES_MAX)
		return -EINVAL;
	mm_lock_acquire(&faulty->lock);
	for (unsigned int i = 0; i < nr_rules; i++)
		faulty->rules[i] = rules[i];
	faulty->nr_rules = nr_rules;
	faulty->count[0] = faulty->count[1] = 0;
	faulty->nr_hits = 0;
	mm_lock_release(&faulty->lock);
	return 0;
}

/**
 * swapdev_faulty_hits() - how many I/Os met a fault since the rules were set.
 * @dev: from swapdev_faulty_create().
 *
 * Return: a momentary figure.
 */
uint64_t swapdev_faulty_hits(struct swapdev *dev)
{
	struct faulty_dev *faulty = faulty_of(dev);
	uint64_t nr;

	mm_lock_acquire(&faulty->lock);
	nr = faulty->nr_hits;
	mm_lock_release(&faulty->lock);
	return nr;
}
